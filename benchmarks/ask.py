"""How fast ``ask requirements`` answers: warm here and in rdflib with the same text, and as whole processes.

    python benchmarks/ask.py [--asked 200] [--rdflib 3] [--runs 7]

Milliseconds: in this process of its processor time (a busy machine does not count), of whole processes by the clock.
Register, store and rdflib's graph are ready before any time is taken.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from chartulary.register import Register

GIVEN = {"code": "38228", "payer": "medicare", "dos": "2025-06-26"}


def timed(work: Callable[[], object], times: int, *, clock: Callable[[], float] = time.process_time) -> list[float]:
    """Milliseconds that each run took."""
    taken = []
    for _ in range(times):
        begun = clock()
        work()
        taken.append((clock() - begun) * 1000)
    return taken


def show(name: str, taken: list[float]) -> float:
    """Prints best, median and 95th percentile; gives the median."""
    ordered = sorted(taken)
    middle, slow = statistics.median(ordered), ordered[int(0.95 * (len(ordered) - 1) + 0.5)]
    print(f"{name:42} best {ordered[0]:9.1f}   p50 {middle:9.1f}   p95 {slow:9.1f}   ({len(ordered)} runs)")
    return middle


def whole_process(words: list[str], folder: str) -> Callable[[], object]:
    """A run of the command line with its cache in a folder."""
    environment = os.environ | {"CHARTULARY_CACHE": folder}
    command = [sys.executable, "-m", "chartulary", *words]
    return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--asked", type=int, default=200, help="warm questions here")
    options.add_argument("--rdflib", type=int, default=3, help="questions to rdflib (seconds each)")
    options.add_argument("--runs", type=int, default=7, help="whole processes of each kind")
    chosen = options.parse_args()

    register = Register.load()
    snapshot = register.snapshot()
    answer = register.ask("requirements", **GIVEN)
    text, _ = register.queries["requirements"].bind(GIVEN, snapshot.coding)
    graph = snapshot.graph

    def names(rows: object) -> set[str]:
        return {str(row["provision"]) for row in rows}  # type: ignore[attr-defined]

    assert names(graph.query(text)) == names(answer), "rdflib gives the same provisions"

    print(f"requirements {GIVEN}: {len(answer)} rows of register {register.revision}")
    here = show("register.ask, warm", timed(lambda: register.ask("requirements", **GIVEN), chosen.asked))
    there = show("rdflib Graph.query, same text", timed(lambda: list(graph.query(text)), chosen.rdflib))
    print(f"{'ratio of medians':42} {there / here:14.0f} x")
    with tempfile.TemporaryDirectory() as folder:
        words = ["ask", "requirements", *(word for name, value in GIVEN.items() for word in (f"--{name}", value))]
        whole_process(words, folder)()
        show(
            "chartulary ask requirements, second run",
            timed(whole_process(words, folder), chosen.runs, clock=time.perf_counter),
        )
        show("chartulary --help", timed(whole_process(["--help"], folder), chosen.runs, clock=time.perf_counter))


if __name__ == "__main__":
    main()
