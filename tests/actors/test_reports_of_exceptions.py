"""How a report carries an exception: never with the values of variables, whatever the log is (semantics C21)."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.dev import ConsoleRenderer, RichTracebackFormatter, plain_traceback
from structlog.processors import (
    ExceptionPrettyPrinter,
    ExceptionRenderer,
    JSONRenderer,
    dict_tracebacks,
    format_exc_info,
)
from structlog.stdlib import ProcessorFormatter
from structlog.tracebacks import ExceptionDictTransformer

from actors import spawn
from actors.reports import emit
from actors.testing import assert_down
from tests.actors.helpers import Boom


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    """structlog as it comes, before and after."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def fragile():
    password = "sword" + "fish"  # so that the source line does not show it
    raise Boom(f"length {len(password)}")


def raised(function: Any) -> Boom:
    with pytest.raises(Boom) as caught:
        function()
    return caught.value


async def crash() -> None:
    async def run():
        fragile()

    await assert_down(spawn(run))


CONFIGURED: dict[str, Any] = {
    "nothing": {},
    "a level": {"wrapper_class": structlog.make_filtering_bound_logger(20)},
    "a factory": {"logger_factory": structlog.WriteLoggerFactory()},
    "a console": {"processors": [structlog.processors.add_log_level, ConsoleRenderer()]},
    "a console without colours": {"processors": [ConsoleRenderer(colors=False)]},
    "a console with its own rich": {
        "processors": [ConsoleRenderer(exception_formatter=RichTracebackFormatter(width=80))]
    },
    "a console without values": {
        "processors": [
            ConsoleRenderer(
                exception_formatter=RichTracebackFormatter(show_locals=False, color_system=None)
            )
        ]
    },
    "text": {"processors": [format_exc_info, ConsoleRenderer()]},
    "dictionaries": {"processors": [dict_tracebacks, JSONRenderer()]},
    "dictionaries without values": {
        "processors": [
            ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            JSONRenderer(),
        ]
    },
}


@pytest.mark.parametrize("configured", CONFIGURED)
async def test_a_traceback_is_logged_without_values_whatever_the_program_has_configured(
    node, capsys, configured
):
    if CONFIGURED[configured]:
        structlog.configure(**CONFIGURED[configured])
    await crash()
    out = capsys.readouterr().out
    assert "fragile" in out
    assert "length 9" in out
    assert "swordfish" not in out


async def test_dictionaries_keep_their_shape(node, capsys):
    """Whatever reads the log relies on it; options other than that for values are kept too."""
    short = ExceptionDictTransformer(max_frames=2)
    for transformer in (short, ExceptionDictTransformer(show_locals=False, max_frames=2)):
        structlog.configure(processors=[ExceptionRenderer(transformer), JSONRenderer()])
        await crash()
    ours, theirs = (json.loads(line)["exception"] for line in capsys.readouterr().out.splitlines())
    assert ours == theirs
    assert short.show_locals is True  # the program's own object stays as it is


async def test_what_is_printed_beside_the_log_is_without_values_too(node):
    stream = io.StringIO()
    structlog.configure(
        processors=[ExceptionPrettyPrinter(stream, ExceptionDictTransformer()), JSONRenderer()]
    )
    await crash()
    assert "length 9" in stream.getvalue()
    assert "swordfish" not in stream.getvalue()


def test_a_logger_that_keeps_the_processors_of_its_first_use_is_judged_by_them(capsys):
    structlog.configure(cache_logger_on_first_use=True)
    log = structlog.get_logger("kept")
    log.info("first use")
    structlog.configure(processors=[JSONRenderer()])
    emit(log, "error", "crash", exc_info=raised(fragile))
    out = capsys.readouterr().out
    assert "length 9" in out
    assert "swordfish" not in out


@pytest.mark.parametrize(
    "renderers",
    [
        pytest.param([JSONRenderer()], id="JSON"),
        pytest.param([format_exc_info, JSONRenderer()], id="text"),
        pytest.param([ConsoleRenderer(exception_formatter=plain_traceback)], id="plain console"),
        pytest.param(
            [ExceptionRenderer(ExceptionDictTransformer(show_locals=False)), JSONRenderer()],
            id="dictionaries without values",
        ),
        pytest.param([ExceptionRenderer(lambda _: "mine"), JSONRenderer()], id="its own words"),
    ],
)
async def test_processors_get_the_exception_itself_where_none_writes_values(node, renderers):
    seen = []

    def look(logger, name, facts):
        seen.append(facts["exc_info"])
        return facts

    structlog.configure(processors=[look, *renderers])
    await crash()
    assert [type(error) for error in seen] == [Boom]


# -- the standard library's logging --------------------------------------------------------------


@pytest.fixture
def write_to() -> Iterator[Any]:
    """structlog hands over to logging, whose handlers get these formatters, a parent's the last."""
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    stream, loggers = io.StringIO(), [logging.getLogger(name) for name in ("tests.log", "tests")]

    def give(*formatters: logging.Formatter) -> io.StringIO:
        for logger, formatter in zip(loggers, formatters, strict=False):
            handler = logging.StreamHandler(stream)
            handler.setFormatter(formatter)
            logger.addHandler(handler)
        return stream

    yield give
    for logger in loggers:
        logger.handlers.clear()


def console(**options: Any) -> logging.Formatter:
    return ProcessorFormatter(processor=ConsoleRenderer(**options))


def dictionaries() -> logging.Formatter:
    remove = ProcessorFormatter.remove_processors_meta
    return ProcessorFormatter(processors=[remove, dict_tracebacks, JSONRenderer()])


@pytest.mark.parametrize(
    "formatters",
    [
        pytest.param([console()], id="console"),
        pytest.param([dictionaries()], id="dictionaries"),
        pytest.param([console(), dictionaries()], id="both"),
        pytest.param([dictionaries(), console()], id="both, the other way round"),
        pytest.param(
            [console(exception_formatter=plain_traceback), dictionaries()], id="a plain console too"
        ),
        pytest.param([logging.Formatter(), console()], id="one that knows nothing of structlog"),
    ],
)
def test_no_handler_of_logging_writes_values(write_to, formatters):
    stream = write_to(*formatters)
    emit(structlog.get_logger("tests.log"), "error", "crash", exc_info=raised(fragile))
    assert stream.getvalue().count("crash") >= len(formatters)
    assert stream.getvalue().count("length 9") >= len(formatters)
    assert "swordfish" not in stream.getvalue()


def test_a_handler_of_logging_that_writes_no_values_gets_the_exception_itself(write_to):
    got = []
    stream = write_to(console(exception_formatter=lambda _, exc_info: got.append(exc_info[1])))
    error = raised(fragile)
    emit(structlog.get_logger("tests.log"), "error", "crash", exc_info=error)
    assert got == [error]
    assert "crash" in stream.getvalue()
