"""What a package gives away: `__all__` is a complete tuple (ruff keeps it sorted)."""

import importlib
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("actors", "supervisors", "channels")


@pytest.fixture(params=PACKAGES)
def package(request):
    return importlib.import_module(request.param)


def test_the_public_names_are_a_tuple_without_repetition(package):
    assert isinstance(package.__all__, tuple)
    assert len(package.__all__) == len(set(package.__all__))


def test_every_public_name_can_be_imported(package):
    missing = [name for name in package.__all__ if not hasattr(package, name)]
    assert missing == []


def test_no_public_name_is_left_out(package):
    present = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_")
        and not isinstance(value, types.ModuleType)
        and name != "annotations"
    }
    assert present - set(package.__all__) == set()


def test_a_package_tells_type_checkers_that_it_is_typed(package):
    assert (ROOT / package.__name__ / "py.typed").exists()


def test_every_public_name_is_documented(package):
    undocumented = [
        name
        for name in package.__all__
        if isinstance(value := getattr(package, name), type | types.FunctionType)
        and not value.__doc__
    ]
    assert undocumented == []
