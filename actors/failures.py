"""Which exceptions are a failure of the code that raised them.

Code of users runs in steps of others: a hook in the server that it looks at, a processor of the log
in the process that dies. Whatever it raises is its own failure and must harm nobody else, be it an
`Exception`, an exit or a class of its own (in OTP: `catch` of every class). Four things are not: a
cancellation, Ctrl-C, `SystemExit` and the end of a generator, alone or in a group.

    except BaseException as error:
        if concerns_trio(error):
            raise
"""

from __future__ import annotations

import trio

__all__ = ("concerns_trio", "interrupt_in", "without_cancelled")

_NOT_OURS = (trio.Cancelled, KeyboardInterrupt, SystemExit, GeneratorExit)


def concerns_trio(error: BaseException) -> bool:
    """Is it, or does it hold, a cancellation or an interrupt? Then it has to pass."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(_NOT_OURS) is not None
    return isinstance(error, _NOT_OURS)


def without_cancelled(error: BaseException) -> BaseException | None:
    """What is left of an exception or a group when cancellations are taken out of it."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1]
    return None if isinstance(error, trio.Cancelled) else error


def interrupt_in(error: BaseException) -> BaseException | None:
    """The `KeyboardInterrupt` or `SystemExit` in a group, if there is one."""
    if isinstance(error, BaseExceptionGroup):
        found = (interrupt_in(inner) for inner in error.exceptions)
        return next((inner for inner in found if inner is not None), None)
    return error if isinstance(error, KeyboardInterrupt | SystemExit) else None
