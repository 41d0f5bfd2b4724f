"""The layers: imports point downward, and rooms of values and decisions never see Trio (docs/architecture.md)."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "actors": {"actors"},
    "supervisors": {"actors", "supervisors"},
    "channels": {"actors", "supervisors", "channels"},
}
ABOVE_ALL = {"tests", "examples", "benchmarks"}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = {c["id"]: c for c in PYPROJECT["tool"]["importlinter"]["contracts"]}
PURE_ROOMS = CONTRACTS["pure"]["source_modules"]


def imported_packages(path: Path) -> Iterator[str]:
    """The top-level names that a file imports, anywhere in it, types included."""
    for node in ast.walk(ast.parse(path.read_text(), path.name)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            own = path.relative_to(ROOT).parts[0]
            yield own if node.level else str(node.module).partition(".")[0]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_nothing_from_above(package):
    forbidden = (MAY_IMPORT.keys() | ABOVE_ALL) - MAY_IMPORT[package]
    for path in (ROOT / package).rglob("*.py"):
        assert forbidden.isdisjoint(imported_packages(path)), path


@pytest.mark.parametrize("room", PURE_ROOMS)
def test_a_room_of_values_and_decisions_does_not_import_trio(room):
    path = ROOT / room.replace(".", "/")
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    assert {"trio", "trio_websocket"}.isdisjoint(imported_packages(source))
