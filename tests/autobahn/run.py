"""Runs the Autobahn test suite against our WebSocket engines; `make autobahn` calls it.

Autobahn's client is a Python 2.7 program. It is installed once, into a folder of its own below
`.venv`, and finds a Python 2.7 on the PATH or in pyenv. For each engine an echo server (outbox and
engine, nothing else) is started on a free port and the client is let loose on it.

The counts come last, one line for each engine. The exit code is 1 where a case failed or is missing,
and 2 where the suite could not be run at all.

    python tests/autobahn/run.py --engine wsproto --cases 1.* 2.* --deflate
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = ROOT / ".venv" / "autobahn"
REPORTS = HERE / "reports"

SUITE = "autobahntestsuite==25.10.1"
ENGINES = ("trio-websocket", "wsproto", "websockets")
GROUPS = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*")
DEFLATE_GROUPS = ("12.1.*", "12.2.*", "13.1.*")
TIMEOUT = 600  # seconds for one engine

# addsitedir reads the .pth files that join zope's namespace packages.
CLIENT = "import site; site.addsitedir({site!r}); from autobahntestsuite.wstest import run; run()"


def main() -> int:
    """Run what the command line asks for; return the exit code."""
    options = arguments()
    python = find_python()
    if python is None:
        print("Autobahn needs Python 2.7: `pyenv install 2.7.18`, or a python2.7 on the PATH.")
        return 2
    install(python)
    cases = options.cases or [*GROUPS, *(DEFLATE_GROUPS if options.deflate else ())]
    results = {engine: run(python, engine, cases, options) for engine in options.engine}
    for engine, outcomes in results.items():
        report(engine, outcomes)
    for engine, outcomes in results.items():
        print(summary(engine, outcomes))
    return 0 if all(is_good(outcomes) for outcomes in results.values()) else 1


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--engine", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--cases", nargs="+", metavar="PATTERN", help="such as 6.* or 7.1.5")
    parser.add_argument("--deflate", action="store_true", help="offer compression, add 12 and 13")
    return parser.parse_args()


def find_python() -> str | None:
    """Return the path of a Python 2.7, if there is one."""
    found = shutil.which("python2.7")
    if (
        found is not None
        and subprocess.run([found, "--version"], check=False, capture_output=True).returncode == 0
    ):
        return found
    pyenv = shutil.which("pyenv")
    if pyenv is None:
        return None
    prefix = subprocess.run(
        [pyenv, "prefix", "2.7.18"], check=False, capture_output=True, text=True
    )
    python = Path(prefix.stdout.strip()) / "bin" / "python2.7"
    return str(python) if prefix.returncode == 0 and python.exists() else None


def install(python: str) -> None:
    """Install the suite into the cache, unless it is there."""
    stamp = CACHE / "installed"
    if stamp.exists() and stamp.read_text() == SUITE:
        return
    print(f"installing {SUITE} ...", flush=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    site = CACHE / "site"
    shutil.rmtree(site, ignore_errors=True)
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip = subprocess.run(
        [*command, "--target", str(site), SUITE], check=False, capture_output=True, text=True
    )
    if pip.returncode:
        sys.exit(f"could not install {SUITE}:\n{pip.stderr}")
    stamp.write_text(SUITE)


def run(
    python: str, engine: str, cases: list[str], options: argparse.Namespace
) -> dict[str, dict[str, object]]:
    """Let the suite loose on one engine; return its verdict on each case."""
    folder = REPORTS / engine
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [sys.executable, str(HERE / "echo_server.py"), "--engine", engine]
    server = subprocess.Popen(
        [*command, *(["--deflate"] if options.deflate else [])], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        specification = folder / "specification.json"
        specification.write_text(
            json.dumps(
                {
                    "outdir": str(folder),
                    "servers": [{"agent": engine, "url": f"ws://127.0.0.1:{port}"}],
                    "cases": cases,
                    "exclude-cases": [],
                }
            )
        )
        client = [python, "-c", CLIENT.format(site=str(CACHE / "site"))]
        started = time.monotonic()
        with (folder / "client.log").open("w") as log:
            subprocess.run(
                [*client, "-m", "fuzzingclient", "-s", str(specification)],
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
                check=True,
            )
        print(f"{engine}: done in {time.monotonic() - started:.0f} s", flush=True)
        if server.poll() is not None:
            print(f"{engine}: the echo server died with exit code {server.returncode}")
            return {}
    finally:
        server.kill()
        server.wait()
    outcomes: dict[str, dict[str, object]] = json.loads((folder / "index.json").read_text())[engine]
    return outcomes


def report(engine: str, outcomes: dict[str, dict[str, object]]) -> None:
    """Name the cases that are not simply good."""
    for case in sorted(outcomes, key=lambda name: [int(part) for part in name.split(".")]):
        behavior, closing = outcomes[case]["behavior"], outcomes[case]["behaviorClose"]
        if verdict(outcomes[case]) in {"failed", "non-strict", "unimplemented"}:
            print(f"{engine}: {case} {behavior}, close {closing}")


def verdict(outcome: dict[str, object]) -> str:
    """Sum up one case: the worse of how it went and how it was closed."""
    both = {outcome["behavior"], outcome["behaviorClose"]}
    if "UNIMPLEMENTED" in both:
        return "unimplemented"
    for word in ("NON-STRICT", "INFORMATIONAL"):
        if outcome["behavior"] == word and both <= {word, "OK", "INFORMATIONAL"}:
            return word.lower()
    return "OK" if both <= {"OK", "INFORMATIONAL"} else "failed"


def summary(engine: str, outcomes: dict[str, dict[str, object]]) -> str:
    """Count the verdicts in one line."""
    counts = Counter(map(verdict, outcomes.values()))
    words = ("OK", "non-strict", "informational", "failed", "unimplemented")
    return f"{engine}: {len(outcomes)} cases: " + ", ".join(
        f"{counts[word]} {word}" for word in words
    )


def is_good(outcomes: dict[str, dict[str, object]]) -> bool:
    """Whether there were cases and none failed."""
    return bool(outcomes) and not any(verdict(outcome) == "failed" for outcome in outcomes.values())


if __name__ == "__main__":
    sys.exit(main())
