"""`python -m benchmarks [question ...]`: ask some or all questions and print the answers.

`--json` prints one JSON object instead of tables, `--quick` measures little (a smoke test, not a
measurement), `--no-peers` leaves the peers out, `--rounds` changes how often each is sampled.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module

from benchmarks.harness import report
from benchmarks.harness.contest import Result
from benchmarks.harness.machine import priority
from benchmarks.harness.options import Options

QUESTIONS = (
    "call",
    "cast",
    "spawn",
    "memory",
    "restart",
    "fanout",
    "echo",
    "connections",
    "engines",
    "idle",
    "hostile",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("questions", nargs="*", metavar="question", help=", ".join(QUESTIONS))
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--quick", action="store_true", help="a smoke test: small and short")
    parser.add_argument("--no-peers", action="store_true", help="raw limits and ours only")
    parser.add_argument("--nice", type=int, default=0, help="priority on a busy machine, e.g. -5")
    parser.add_argument("--rounds", type=int, help="samples of each (default: its own number)")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.questions) - set(QUESTIONS))
    if unknown:
        parser.error(f"no question {', '.join(unknown)}; there are {', '.join(QUESTIONS)}")
    options = Options(
        quick=arguments.quick,
        rounds=1 if arguments.quick else arguments.rounds,
        peers=not arguments.no_peers,
    )
    with priority(arguments.nice):
        results = ask(arguments.questions or QUESTIONS, options, printing=not arguments.json)
    if arguments.json:
        json.dump(report.json_object(results), sys.stdout, indent=2)
        print()
    return 0


def ask(questions: Sequence[str], options: Options, *, printing: bool) -> list[Result]:
    """The answers to `questions`; each table is printed as soon as it is there."""
    if printing:
        print(report.machine())
    results: list[Result] = []
    for name in questions:
        for result in import_module(f"benchmarks.{name}").ask(options):
            results.append(result)
            if printing:
                print(f"\n{report.text(result)}", flush=True)
    return results


if __name__ == "__main__":
    sys.exit(main())
