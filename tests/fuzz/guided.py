"""Coverage-guided fuzzing of the pure rooms with atheris: `make fuzz-guided`, a nightly target.

Each target (targets.py) takes bytes and may refuse them only in the ways that its room documents;
any other exception is a finding, which atheris writes to a file. What it learns goes to
`.cache/fuzz/<target>`; the kept corpus of `corpus/` is where it starts.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent / "corpus"
LEARNT = Path(__file__).parent.parent.parent / ".cache" / "fuzz"
INSTRUMENTED = ["channels", "h11", "tests.fuzz"]  # what is to be covered; all else only costs time
TARGETS = ("messages", "multiplexer", "http", "bodies")


def main() -> None:
    """The command line: one target, so many seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    atheris: Any = importlib.import_module("atheris")  # only in the environment that make makes
    with atheris.instrument_imports(include=INSTRUMENTED):
        target, kind = importlib.import_module("tests.fuzz.targets").TARGETS[options.target]
    learnt = LEARNT / options.target
    learnt.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={options.seconds}", "-max_len=4096", f"-artifact_prefix={learnt}/"]
    atheris.Setup([sys.argv[0], *limits, str(learnt), str(CORPUS / kind)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
