"""Times one claim in each engine, warm, and checks that they agree: ``python benchmarks/one_claim.py [FILE]``.

Reading the file, folding the register and preparing the engine are not in the times. Run by hand.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chartulary import Claim, Register, Report, read_claims
from chartulary.engines import EngineName

DEMO = Path(__file__).resolve().parents[1] / "demo" / "outpatient.837"


def main() -> None:
    parser = argparse.ArgumentParser(description="Time one claim in each engine.")
    parser.add_argument("file", nargs="?", default=DEMO, type=Path, help="its first claim is timed")
    parser.add_argument("--shifty", type=int, default=30, metavar="RUNS")
    parser.add_argument("--pyshacl", type=int, default=5, metavar="RUNS")
    options = parser.parse_args()
    claim = next((item for item in read_claims(options.file) if isinstance(item, Claim)), None)
    if claim is None:
        parser.error(f"{options.file}: no claim in it")
    snapshot = Register.load().snapshot()
    runs: dict[EngineName, int] = {"shifty": options.shifty, "pyshacl": options.pyshacl}
    times: dict[EngineName, list[float]] = {}
    reports: list[Report] = []
    for engine, count in runs.items():
        reports.append(replace(snapshot.validate(claim, engine=engine), engine=""))  # warms it up
        times[engine] = []
        for _ in range(count):
            start = time.perf_counter()
            snapshot.validate(claim, engine=engine)
            times[engine].append(1000 * (time.perf_counter() - start))
    medians = {engine: statistics.median(spent) for engine, spent in times.items()}
    best = min(medians.values())
    table = Table(
        title=f"Claim {claim.id}, Python {platform.python_version()}, register {reports[0].register_revision}"
    )
    for name in ("engine", "runs", "median ms", "fastest ms", "slowest ms", "ratio"):
        table.add_column(name, justify="left" if name == "engine" else "right")
    for engine, spent in times.items():
        row = [medians[engine], min(spent), max(spent), medians[engine] / best]
        table.add_row(engine, str(len(spent)), *(f"{value:,.1f}" for value in row))
    console = Console()
    console.print(table)
    if any(report != reports[0] for report in reports):
        raise SystemExit("The engines do not agree: this is a bug.")
    console.print(f"The engines agree: {reports[0].outcome}, findings: {len(reports[0].findings)}.")


if __name__ == "__main__":
    main()
