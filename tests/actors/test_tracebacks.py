"""What a log shows of an exception."""

import traceback

from actors import plain_traceback


def raised(function):
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def fails():
    raise ValueError("on purpose")


def without_marks(text):
    return [line for line in text.splitlines() if set(line) - set(" ^~")]


def test_an_exception_reads_as_python_prints_it_but_for_the_marks_under_the_lines():
    error = raised(fails)
    error.add_note("and a note")
    theirs = "".join(traceback.format_exception(error))
    assert plain_traceback(error).splitlines() == without_marks(theirs)


def test_a_syntax_error_shows_where_it_is():
    error = raised(lambda: compile("a = = 1", "written.py", "exec"))
    assert 'File "written.py", line 1\n    a = = 1\n        ^' in plain_traceback(error)


def test_what_was_never_raised_has_no_frames():
    assert plain_traceback(ValueError("on purpose")) == "ValueError: on purpose"


def test_causes_contexts_and_groups_are_told_in_full():
    def with_cause():
        try:
            fails()
        except ValueError as error:
            raise RuntimeError("because of it") from error

    def with_context():
        try:
            fails()
        except ValueError:
            raise RuntimeError("while at it")  # noqa: B904  # which is the point

    def in_a_group():
        raise ExceptionGroup("both", [raised(fails), raised(with_cause)])

    for function in (with_cause, with_context, in_a_group):
        error = raised(function)
        assert plain_traceback(error) == "".join(traceback.format_exception(error)).rstrip()


def test_of_a_deep_recursion_the_last_frames_are_shown():
    def dives(depth):
        if depth == 0:
            fails()
        dives(depth - 1)

    text = plain_traceback(raised(lambda: dives(200)))
    assert text.endswith('in fails\n    raise ValueError("on purpose")\nValueError: on purpose')
    assert "Previous line repeated" in text
    assert "in raised" not in text  # where it began
