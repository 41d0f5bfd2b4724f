"""Child specifications: S2, S3, S31, S33; OTP child_specs, child_specs_map, sup_start_map_faulty_specs."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest

from supervisors.backoff import Backoff
from supervisors.child_spec import (
    BRUTAL_KILL,
    INFINITY,
    ChildSpec,
    ChildType,
    Restart,
    without_arguments,
)
from supervisors.exceptions import InvalidSpecError


async def start(*args: Any, **kwargs: Any) -> Any:
    """A start function that is never called here."""


class Worker:
    @classmethod
    def child_spec(cls, *args: Any) -> dict[str, Any]:
        return {"id": cls, "start": (start, args, {}), "restart": "transient"}


class TakesNone:
    """Has no child_spec."""


def spec(**overrides: Any) -> ChildSpec:
    return ChildSpec.of({"id": "child", "start": start, **overrides})


def test_the_defaults_are_those_of_a_permanent_worker_with_five_seconds():
    """S2, sup_start_map."""
    child = spec()
    assert child == ChildSpec(
        id="child",
        start=(start, (), {}),
        restart=Restart.PERMANENT,
        shutdown=5.0,
        type=ChildType.WORKER,
        significant=False,
        backoff=None,
    )


def test_a_supervisor_is_given_all_the_time_it_needs_to_stop():
    """S2: shutdown defaults to infinity for supervisors."""
    assert spec(type="supervisor").shutdown == INFINITY


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (start, (start, (), {})),
        ((start, (1, 2)), (start, (1, 2), {})),
        ((start, [1, 2]), (start, (1, 2), {})),
        ((start, (1,), {"name": "a"}), (start, (1,), {"name": "a"})),
    ],
    ids=["function", "arguments", "arguments-as-list", "keywords"],
)
def test_start_may_leave_out_what_is_empty(given: Any, kept: Any):
    assert spec(start=given).start == kept


@pytest.mark.parametrize("seconds", [0, 1, 0.5, math.inf])
def test_shutdown_is_any_number_of_seconds_from_zero_to_infinity(seconds: float):
    """Elixir Supervisor 15, DynamicSupervisor 29: 0 and 1 are accepted."""
    assert spec(shutdown=seconds).shutdown == seconds


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("no id", {"start": start}, "missing_id"),
    ("id is None", {"id": None, "start": start}, "missing_id"),
    ("id cannot be a key", {"id": [], "start": start}, "invalid_id"),
    ("no start", {"id": 1}, "missing_start"),
    ("start is None", {"id": 1, "start": None}, "missing_start"),
    ("start is a word", {"id": 1, "start": "start"}, "invalid_mfa"),
    ("arguments are not a sequence", {"id": 1, "start": (start, 1)}, "invalid_mfa"),
    ("keywords are not a mapping", {"id": 1, "start": (start, (), 1)}, "invalid_mfa"),
    ("restart", {"id": 1, "start": start, "restart": "prmanent"}, "invalid_restart_type"),
    ("restart is no word", {"id": 1, "start": start, "restart": 1}, "invalid_restart_type"),
    ("negative shutdown", {"id": 1, "start": start, "shutdown": -1}, "invalid_shutdown"),
    ("shutdown is a word", {"id": 1, "start": start, "shutdown": "brutal"}, "invalid_shutdown"),
    ("shutdown is a bool", {"id": 1, "start": start, "shutdown": True}, "invalid_shutdown"),
    (
        "shutdown is not a number",
        {"id": 1, "start": start, "shutdown": math.nan},
        "invalid_shutdown",
    ),
    ("type", {"id": 1, "start": start, "type": "wrker"}, "invalid_child_type"),
    ("type is no word", {"id": 1, "start": start, "type": []}, "invalid_child_type"),
    ("significant", {"id": 1, "start": start, "significant": "maybe"}, "invalid_significant"),
    ("backoff", {"id": 1, "start": start, "backoff": 0.1}, "invalid_backoff"),
    (
        "permanent and significant",
        {"id": 1, "start": start, "significant": True},
        "bad_combination",
    ),
]


@pytest.mark.parametrize(
    ("given", "word"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_a_wrong_field_is_refused_with_otps_word(given: dict[str, Any], word: str):
    """S3, S33."""
    with pytest.raises(InvalidSpecError) as caught:
        ChildSpec.of(given)
    assert caught.value.word == word
    assert "expected" in str(caught.value)


@pytest.mark.parametrize(
    "junk", [None, 1, "worker", TakesNone, (), (TakesNone, 1), (1, 2)], ids=repr
)
def test_what_cannot_be_a_child_is_refused(junk: Any):
    """S3: {invalid_child_spec, V}; Elixir Supervisor 2: a module without child_spec."""
    with pytest.raises(InvalidSpecError, match="invalid_child_spec"):
        ChildSpec.of(junk)


def test_a_significant_child_may_be_transient_or_temporary():
    """S33."""
    assert spec(restart="transient", significant=True).significant
    assert spec(restart="temporary", significant=True).significant


def test_a_class_is_asked_for_its_child_spec():
    """S2: the module form."""
    assert ChildSpec.of(Worker) == ChildSpec(Worker, start, restart=Restart.TRANSIENT)


def test_the_arguments_beside_a_class_go_to_its_child_spec():
    """S2: the {module, arg} form."""
    assert ChildSpec.of((Worker, 1, 2)).start == (start, (1, 2), {})


def test_a_child_spec_is_taken_as_it_is():
    child = spec()
    assert ChildSpec.of(child) is child


def test_unknown_keys_of_a_mapping_are_ignored():
    """S2: unknown keys are ignored, `modules` among them."""
    assert ChildSpec.of({"id": "child", "start": start, "modules": ["m"]}) == spec()


@pytest.mark.parametrize(
    "child",
    [Worker, (Worker, 1), spec(), {"id": 1, "start": start}],
    ids=["class", "tuple", "spec", "mapping"],
)
def test_overrides_replace_fields_of_every_form(child: Any):
    """Elixir Supervisor 2: child_spec/2."""
    changed = ChildSpec.of(child, id="new", shutdown=BRUTAL_KILL)
    assert (changed.id, changed.shutdown) == ("new", BRUTAL_KILL)
    assert changed.start == ChildSpec.of(child).start


def test_overrides_are_checked_too():
    with pytest.raises(InvalidSpecError, match="invalid_shutdown"):
        ChildSpec.of(Worker, shutdown="soon")


def test_without_arguments_keeps_everything_but_the_arguments():
    """S31."""
    child = spec(start=(start, (1,), {"name": "a"}), backoff=Backoff())
    assert without_arguments(child) == attrs.evolve(child, start=start)


def test_a_child_may_take_more_seconds_than_a_float_can_hold():
    assert spec(shutdown=10**400).shutdown == INFINITY
