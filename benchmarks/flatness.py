"""Does the cost of a message depend on how much else there is? From 10 to 100,000 of each thing.

`python -m benchmarks.flatness --write docs` writes `flatness.svg` and `flatness.md` there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness.contestants import Figures, Program, Role, Service, Worker, in_house
from benchmarks.harness.curves import Curve, markdown, trace
from benchmarks.harness.environments import UnavailableError
from benchmarks.harness.figures import Spread
from benchmarks.harness.lines import Remote, RemoteError
from benchmarks.harness.machine import priority
from benchmarks.harness.options import Options
from benchmarks.harness.plot import svg
from benchmarks.harness.servers import Server
from benchmarks.rosters import OUR_SERVER

SIZES = (10, 100, 1_000, 10_000, 100_000)
GROWTH = Program("understudy", Role.OURS, in_house("benchmarks.peers.our_growth"))
IN_PROCESS = {  # operation -> (what is measured, what there is more and more of)
    "processes": ("call", "idle processes"),
    "names": ("call by name", "names"),
    "queued_elsewhere": ("call", "messages queued elsewhere"),
    "queued_here": ("cast", "messages queued here"),
    "selective_receive": ("selective receive", "messages in front"),
    "topics": ("delivery", "other topics"),
}
ACTIVE = 10  # connections that do something, among the others that do not
CONNECTIONS_OF_A_CLIENT = 10_000  # open files of one process, with room to spare


def ask(options: Options) -> list[Curve]:
    """The curves of one process first, then those of a server under load."""
    sizes = SIZES[:3] if options.quick else SIZES
    rounds = options.rounds or 3
    curves = []
    for operation, (name, against) in IN_PROCESS.items():
        print(f"{name} against {against} ...", file=sys.stderr)
        curves.append(trace(name, against, sizes, _in_process(operation, options), rounds))
    return curves + _under_load(sizes, options)


def _in_process(operation: str, options: Options) -> Callable[[int], Figures]:
    def measure(size: int) -> Figures:
        parameters = {"size": size, "seconds": options.seconds(0.2)}
        return Worker(GROWTH, operation, parameters, fresh=True).sample()

    return measure


def _under_load(sizes: tuple[int, ...], options: Options) -> list[Curve]:
    """One server that gets more and more connections, each in a topic of its own."""
    orders: dict[str, dict[str, Any]] = {
        "push and reply": {"do": "echo", "active": ACTIVE},
        "broadcast to ten": {"do": "fan_out", "in_flight": 1, "members": ACTIVE},
        "join and leave": {"do": "visits"},
    }

    def all_orders(server: Server, load: Remote) -> Figures:
        common: dict[str, Any] = {"server": server.pid, "seconds": options.seconds(0.4)}
        return {name: load.request(**order, **common)["cpu_us"] for name, order in orders.items()}

    print("costs against connections ...", file=sys.stderr)
    service = Service(OUR_SERVER, all_orders, ACTIVE)
    costs: dict[str, list[tuple[int, Spread]]] = {name: [] for name in orders}
    others = 0
    try:
        service.open()
        for size in (size for size in sizes if size <= CONNECTIONS_OF_A_CLIENT):
            service.add(size - others, speaks="phoenix, a topic each")
            others = size
            samples = [service.sample() for _ in range(options.rounds or 3)]
            for name, points in costs.items():
                points.append((size, Spread.of([sample[name] for sample in samples])))
    except (UnavailableError, RemoteError) as error:
        return [Curve(name, "connections", (), str(error)) for name in orders]
    finally:
        service.close()
    return [Curve(name, "connections", tuple(points)) for name, points in costs.items()]


def write(curves: list[Curve], folder: Path) -> None:
    """The plot and the table, for docs/performance.md."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "flatness.svg").write_text(svg("Cost against size", curves), encoding="utf-8")
    (folder / "flatness.md").write_text(markdown(curves) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flatness", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="also write table and plot")
    parser.add_argument("--quick", action="store_true", help="a smoke test: small and short")
    parser.add_argument("--nice", type=int, default=0, help="priority on a busy machine, e.g. -5")
    arguments = parser.parse_args()
    with priority(arguments.nice):
        curves = ask(Options(quick=arguments.quick, rounds=1 if arguments.quick else 3))
    print(markdown(curves))
    if arguments.write:
        write(curves, arguments.write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
