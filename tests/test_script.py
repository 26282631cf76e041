"""The rules written out as SQL: in a database they give what the engines give, and every dialect can be parsed.

Snowflake's and BigQuery's are only parsed, by sqlglot: no server of theirs is at hand.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import get_args

import duckdb
import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from chartulary import Claim, Register, Snapshot, read_claims
from chartulary.compiler.script import Dialect, claim_tables, write
from chartulary.errors import ChartularyError
from chartulary.graph import iri_for, names_of
from chartulary.suites import find_suites

POLICIES = Path(__file__).resolve().parents[1] / "policies"
DIALECTS = get_args(Dialect)
Finding = tuple[str, str, str]


@pytest.fixture(scope="module")
def snapshot(register: Register) -> Snapshot:
    return register.snapshot()


@cache
def examples() -> list[Claim]:
    """Every claim of every suite, each with an id of its own."""
    paths = [suite.folder / example.file for suite in find_suites(POLICIES) for example in suite.examples]
    claims = [claim for path in paths for claim in read_claims(path) if isinstance(claim, Claim)]
    return [replace(claim, id=f"{place}/{claim.id}") for place, claim in enumerate(claims)]


def by_engine(claims: list[Claim], snapshot: Snapshot) -> set[Finding]:
    reports = zip(claims, snapshot.validate_all(claims, engine="python"), strict=True)
    return {(iri_for(c.id, f.position), f.provision, f.outcome) for c, report in reports for f in report.findings}


def in_duckdb(script: str, tables: dict[str, pa.Table]) -> duckdb.DuckDBPyConnection:
    database = duckdb.connect()
    fill(database, tables)
    database.execute(script)
    return database


def fill(database: duckdb.DuckDBPyConnection, tables: dict[str, pa.Table]) -> None:
    for name, rows in tables.items():
        database.register("arriving", rows)
        database.execute(f"CREATE OR REPLACE TABLE {name} AS FROM arriving")
        database.unregister("arriving")


def findings(database: duckdb.DuckDBPyConnection) -> set[Finding]:
    rows = database.execute("SELECT item, provision, outcome FROM findings").fetchall()
    assert len(rows) == len(set(rows))
    return set(rows)


def test_duckdb_gives_the_findings_of_the_engine(snapshot: Snapshot) -> None:
    expected = by_engine(examples(), snapshot)
    assert {outcome for _, _, outcome in expected} == {"violation", "review", "info", "overridden"}
    database = in_duckdb(write(snapshot, dialect="duckdb"), claim_tables(examples(), snapshot))
    assert findings(database) == expected
    labels = dict(database.execute("SELECT provision, label FROM findings").fetchall())
    assert labels == {f.provision: f.label for report in snapshot.validate_all(examples()) for f in report.findings}


def test_a_second_run_begins_with_the_claims_then_there(register: Register) -> None:
    snapshot = register.snapshot(as_known_on=date(2025, 12, 10), unknown="info")
    script = write(snapshot, dialect="duckdb")
    first, second = examples()[:40], examples()[200:240]
    database = in_duckdb(script, claim_tables(first, snapshot))
    assert findings(database) == by_engine(first, snapshot)
    fill(database, claim_tables(second, snapshot))
    database.execute(script)
    assert findings(database) == by_engine(second, snapshot)


def test_claims_of_one_identifier_are_held_apart(snapshot: Snapshot) -> None:
    """A claim that was sent again, corrected, comes with the id of the first."""
    some = examples()[:20]
    sent = [replace(claim, id="SAME") for claim in some]
    names = names_of(sent)
    assert len(set(names)) == len(sent)
    apart = {
        (name, f.position, f.provision, f.outcome)
        for name, claim in zip(names, some, strict=True)
        for f in snapshot.validate(claim).findings
    }
    database = in_duckdb(write(snapshot, dialect="duckdb"), claim_tables(sent, snapshot))
    items = {name: (name, None) for name in names}
    items |= {f"{n}:line:{p}": (n, p) for n, c in zip(names, sent, strict=True) for p in range(1, len(c.lines) + 1)}
    assert {(*items[item], provision, outcome) for item, provision, outcome in findings(database)} == apart


def test_without_claims_there_are_tables_to_fill_and_no_findings(snapshot: Snapshot) -> None:
    database = in_duckdb(write(snapshot, dialect="duckdb"), {})
    assert findings(database) == set()
    types = {"VARCHAR": "string", "DATE": "date32[day]", "BIGINT": "int64", "DECIMAL(38,15)": "decimal128(38, 15)"}
    for name, rows in claim_tables([], snapshot).items():
        made = {column: types[kind] for column, kind, *_ in database.execute(f"DESCRIBE {name}").fetchall()}
        assert made == {field.name: str(field.type) for field in rows.schema}, name


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_statement_parses_in_its_dialect(snapshot: Snapshot, dialect: Dialect) -> None:
    script = write(snapshot, dialect=dialect)
    # Rows are all of one form, and parsing thousands of them takes its time: some of each table are enough.
    short = re.sub(r"(VALUES\n(?:  \(.*\),\n){2})(?:  \(.*\),\n)+", r"\1", script)
    statements = sqlglot.parse(short, read=dialect)
    assert len(statements) == script.count(";\n") + script.endswith(";")
    assert not [s for s in statements if not isinstance(s, (exp.Create, exp.Drop, exp.Insert))]  # no exp.Command
    made = {s.this.find(exp.Table).name for s in statements if isinstance(s, exp.Create)}
    read = {t.name for s in statements if s for t in s.find_all(exp.Table)}
    assert read == made
    assert len({name.lower() for name in made}) == len(made)


def test_comments_name_the_rules_and_the_register(snapshot: Snapshot) -> None:
    script = write(snapshot, dialect="snowflake")
    assert snapshot.register.revision in script.splitlines()[2]
    rules = {rule.name for rule in snapshot.prepared.rules}
    told = set(re.findall(r"^-- ([\w-]+): ", script, re.MULTILINE))
    assert len(told & rules) > 60
    known = write(snapshot.register.snapshot(as_known_on=date(2025, 9, 1)), dialect="snowflake")
    assert "as known on 2025-09-01" in known
    assert known != script


def test_another_dialect_is_refused(snapshot: Snapshot) -> None:
    with pytest.raises(ChartularyError, match="no dialect 'oracle'"):
        write(snapshot, dialect="oracle")  # type: ignore[arg-type]


# --- PostgreSQL, where there is one -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgres() -> Iterator[list[str]]:
    """The command that runs SQL of a server of our own, which listens on a socket in a folder of ours only."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = shutil.which("initdb") or (str(programs[-1] / "initdb") if programs else None)
    if not found or not shutil.which("psql"):
        pytest.skip("no PostgreSQL here")
    runner: list[str] = []
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # a server never runs as root
        if not shutil.which("runuser") or subprocess.run(["id", "postgres"], capture_output=True).returncode:
            pytest.skip("PostgreSQL does not run as root")
        runner = ["runuser", "-u", "postgres", "--"]
    folder = Path(tempfile.mkdtemp(prefix="chartulary-"))
    if runner:
        shutil.chown(folder, "postgres")
    bin_folder, data = Path(found).parent, folder / "data"
    quiet = {"capture_output": True, "check": True, "timeout": 60, "cwd": folder}
    subprocess.run([*runner, found, "-D", str(data), "-A", "trust", "-U", "tests", "--no-sync"], **quiet)  # type: ignore[call-overload]
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    control = [*runner, str(bin_folder / "pg_ctl"), "-D", str(data), "-w"]
    log = ["-l", str(folder / "log")]
    subprocess.run([*control, *log, "-o", options, "start"], **quiet | {"capture_output": False})  # type: ignore[call-overload]
    try:
        yield ["psql", "-h", str(folder), "-U", "tests", "-d", "postgres", "-qAtX", "-v", "ON_ERROR_STOP=1"]
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **quiet)  # type: ignore[call-overload]
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_postgresql_gives_the_findings_of_the_engine(snapshot: Snapshot, postgres: list[str]) -> None:
    tables = claim_tables(examples()[::6], snapshot)
    rows = [write(snapshot, dialect="postgres").split("-- What the register holds")[0]]
    for name, table in tables.items():
        values = [
            f"('{s}', '{str(o).replace(chr(39), chr(39) * 2)}')"
            for s, o in zip(*table.to_pydict().values(), strict=True)
        ]
        if values:
            rows.append(f"INSERT INTO {name} VALUES {', '.join(values)};")
    script = "\n".join(rows) + write(snapshot, dialect="postgres") + "\nSELECT item, provision, outcome FROM findings;"
    done = subprocess.run([*postgres, "-F", "\t"], input=script, capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr[:2000]
    assert {tuple(line.split("\t")) for line in done.stdout.splitlines()} == by_engine(examples()[::6], snapshot)
