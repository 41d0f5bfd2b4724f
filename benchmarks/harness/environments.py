"""An environment for each peer: a venv or an npm folder, made on first use and kept in a cache.

The newest release is installed, and the versions that were found are printed with the figures.
A peer that cannot be installed is reported in one line, never silently dropped.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "benchmarks"


class UnavailableError(Exception):
    """A peer cannot be installed or started here; the message says why, in one line."""


def cache() -> Path:
    """The cache folder; it keeps itself out of git."""
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n", encoding="ascii")
    return CACHE


def log_file(name: str) -> Path:
    """Where a child process called `name` writes what it has to say."""
    logs = cache() / "logs"
    logs.mkdir(exist_ok=True)
    return logs / f"{name}.log"


def alone() -> Path:
    """A folder that shows a peer the benchmarks but not the house.

    Our package `channels` would shadow Django Channels, whose import name is the same.
    """
    folder = cache() / "alone"
    folder.mkdir(exist_ok=True)
    link = folder / "benchmarks"
    if not link.is_symlink():
        link.symlink_to(ROOT / "benchmarks", target_is_directory=True)
    return folder


def house() -> tuple[str, Path]:
    """The interpreter and the folder of what is ours and of the raw limits."""
    return sys.executable, ROOT


def venv(requirements: Sequence[str], *, python: tuple[int, int] | None = None) -> str:
    """The interpreter of a venv with `requirements`, on `python` or newer if that is given.

    Raises UnavailableError if there is no such Python or pip fails.
    """
    interpreter = sys.executable if python is None else _newer_python(python)
    folder = _folder(requirements[0], [interpreter, *requirements])

    def install() -> None:
        _run([interpreter, "-m", "venv", str(folder)])
        _run([str(folder / "bin/python"), "-m", "pip", "install", "--quiet", *requirements])

    _once(folder, install)
    return str(folder / "bin/python")


def npm(packages: Sequence[str]) -> tuple[str, Path]:
    """Node and a folder whose `node_modules` has `packages`; raises UnavailableError."""
    node = shutil.which("node")
    if node is None:
        raise UnavailableError("Node.js is not installed")
    folder = _folder("npm", packages)

    def install() -> None:
        folder.mkdir()
        (folder / "package.json").write_text('{"private": true}\n', encoding="ascii")
        _run(["npm", "install", "--silent", "--prefix", str(folder), *packages])

    _once(folder, install)
    return node, folder


def _folder(name: str, parts: Sequence[str]) -> Path:
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]
    return cache() / f"{name}-{digest}"


def _once(folder: Path, install: Callable[[], None]) -> None:
    ready = folder / "ready"
    if ready.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)  # what a failed attempt left
    print(f"  installing {folder.name} ...", file=sys.stderr)
    install()
    ready.touch()


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300.0, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{command[0]}: {error}") from None
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines() or ["without a word"]
        raise UnavailableError(f"{Path(command[0]).name} failed: {words[-1]}")


def _newer_python(least: tuple[int, int]) -> str:
    """An interpreter of version `least` or newer: this one, pyenv's, or one on the PATH."""
    candidates = [Path(sys.executable)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates += sorted(pyenv.glob("versions/3.*/bin/python"))
    candidates += [
        Path(found)
        for minor in range(least[1], least[1] + 4)
        if (found := shutil.which(f"python{least[0]}.{minor}"))
    ]
    for candidate in candidates:
        if _version(candidate) >= least:
            return str(candidate)
    raise UnavailableError(f"no Python {least[0]}.{least[1]} or newer was found")


def _version(interpreter: Path) -> tuple[int, ...]:
    program = "import sys; print(*sys.version_info[:2])"
    done = subprocess.run(
        [str(interpreter), "-c", program], capture_output=True, text=True, check=False
    )
    return tuple(int(part) for part in done.stdout.split())
