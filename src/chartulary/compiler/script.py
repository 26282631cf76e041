"""Writes the compiled rules out as one SQL script, for a warehouse that holds claims of its own.

The script takes claims as tables of two columns, one for each thing that a claim states: :func:`claim_tables` makes
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from sqlglot import exp

from chartulary.claim import Claim
from chartulary.compiler.sql import Program, Step, compile_sql
from chartulary.compiler.tables import Table
from chartulary.errors import ChartularyError
from chartulary.facts import Text, Value
from chartulary.graph import LITERALS, SHARED, facts_of, names_of
from chartulary.report import REPORTED_BY
from chartulary.terms import CLM, LABEL, POL, TYPE

if TYPE_CHECKING:
    import pyarrow as pa

    from chartulary.register import Snapshot

Dialect: TypeAlias = Literal["spark", "duckdb", "postgres", "snowflake", "bigquery"]

_ROWS_AT_ONCE = 500
"""Rows of one INSERT: warehouses limit the length of a statement."""


def compile_snapshot(snapshot: Snapshot) -> Program:
    """The rules over a snapshot as SQL in which IRIs stand as text."""
    return compile_sql(snapshot.prepared.rules, snapshot.facts, shared=SHARED, literals=LITERALS)


def stated_tables(program: Program) -> dict[str, tuple[str, Table]]:
    """By predicate, what claims state: the name of the table that holds it, and the table that rules read.

    They differ where the register or a rule has rows for it too.
    """
    found = {}
    for predicate, table in program.tables.items():
        if predicate in SHARED or (table.derived and predicate.startswith(str(CLM))):
            found[predicate] = (f"{table.name}_stated", table)
        elif table.stated and predicate.startswith(str(CLM)):
            found[predicate] = (table.name, table)
    return found


def live_steps(program: Program, filled: Iterable[str]) -> Iterator[tuple[Step, list[exp.Select]]]:
    """The steps that can give something where just these tables of claims have rows, each with the parts that can."""
    full = set(filled)
    for step in program.steps:
        parts = [query for query, needs in zip(step.parts, step.needs, strict=True) if needs <= full]
        if parts:
            full.add(step.table)
            yield step, parts


def union(parts: Sequence[exp.Query]) -> exp.Query:
    """All rows of some queries, each once."""
    if len(parts) == 1:
        return parts[0]
    return exp.union(*parts, distinct=True)


def constant_tables(program: Program) -> dict[str, pa.Table]:
    """By name, the tables that the register alone fills, in full or for its part, worked out here."""
    import duckdb
    import pyarrow as pa

    filled: set[str] = set()
    with duckdb.connect(config={"threads": 1}) as database:
        for table in program.tables.values():
            types = dict(zip(table.columns, map(arrow_type, table.types), strict=True))
            rows: list[list[Any]] = [[] for _ in types]
            if table.predicate in program.held.relations:
                relation = program.held.relations[table.predicate]
                rows = [[s for s in relation for _ in relation[s]], [o for s in relation for o in relation[s]]]
                filled.add(table.name)
            arriving = pa.table({name: pa.array(column, types[name]) for name, column in zip(types, rows, strict=True)})
            database.register("arriving", arriving)
            database.execute(f"CREATE TABLE {table.name} AS FROM arriving")
            database.unregister("arriving")
        for step in program.steps:
            if step.once:
                database.execute(f"INSERT INTO {step.table} {step.query.sql(dialect='duckdb')}")
                filled.add(step.table)
        return {name: database.table(name).to_arrow_table() for name in filled}


def claim_tables(claims: Iterable[Claim], snapshot: Snapshot) -> dict[str, pa.Table]:
    """What claims state, by the name of the table that a script expects it in: columns ``s`` and ``o``, IRIs as text.

    A claim is the item ``urn:chartulary:claim:ID`` (``ID`` with its special characters percent-encoded; ``:again:1`` is
    behind that of a second claim of one identifier), the line at a place from 1 ``urn:chartulary:claim:ID:line:PLACE``.
    Every table is there, if need be empty.
    """
    import pyarrow as pa

    claims = list(claims)
    facts = facts_of(zip(names_of(claims), claims, strict=True), snapshot.coding)
    tables = {}
    for predicate, (name, table) in stated_tables(compile_snapshot(snapshot)).items():
        rows = [(s, o) for s, values in facts.relation(predicate).items() for o in values]
        subjects, values = pa.array([s for s, _ in rows], pa.string()), [o for _, o in rows]
        tables[name] = pa.table({"s": subjects, "o": pa.array(values, arrow_type(table.types[1]))})
    return tables


def arrow_type(sql_type: str) -> pa.DataType:
    """How Arrow calls a column type of the compiled SQL."""
    import pyarrow as pa

    kinds = {"VARCHAR": pa.string(), "BIGINT": pa.int64(), "DATE": pa.date32(), "BOOLEAN": pa.bool_()}
    return kinds.get(sql_type) or pa.decimal128(38, 15)


def write(snapshot: Snapshot, *, dialect: Dialect) -> str:
    """All rules over a snapshot as one SQL script.

    It makes the register's tables, derives step by step from the tables of claims, which must be there or are made
    empty, and ends with the view ``findings``. Run again, it begins anew with the claims that the tables then hold.

    Raises:
        ChartularyError: the dialect is none of those that the rules were tried in.
    """
    if dialect not in get_args(Dialect):
        raise ChartularyError(f"no dialect '{dialect}': choose one of {', '.join(get_args(Dialect))}")
    return _Writer(snapshot, dialect).script()


class _Writer:
    def __init__(self, snapshot: Snapshot, dialect: Dialect) -> None:
        self._snapshot, self._dialect = snapshot, dialect
        self._program = compile_snapshot(snapshot)
        self._stated = stated_tables(self._program)
        self._parts: list[str] = []

    def script(self) -> str:
        program, stated = self._program, self._stated
        steps = list(live_steps(program, (table.name for _, table in stated.values())))
        derived = {step.table for step, _ in steps} | {program.tables[shape].name for shape in REPORTED_BY.values()}
        read = {each.name for _, parts in steps for query in parts for each in query.find_all(exp.Table)} | derived
        self._head()
        self._comment("--- What claims state: yours to fill")
        for predicate, (name, table) in stated.items():
            self._comment(f"<{predicate}>")
            self._create(name, table.columns, table.types, keep=True)
        self._comment("--- What the register holds")
        self._drop("findings", "VIEW")
        for predicate, relation in program.held.relations.items():
            table = program.tables[predicate]
            if table.name not in read:
                continue
            self._comment(f"<{predicate}>")
            self._create(table.name, table.columns, table.types)
            rows = sorted(((s, o) for s in relation for o in relation[s]), key=str)
            self._insert(table.name, table.columns, rows)
            if predicate in stated:
                self._add_stated(predicate)
        self._provisions()
        self._comment("--- What the rules derive, in their order")
        for predicate, table in program.tables.items():
            known = predicate in program.held.relations or (predicate in stated and not table.derived)
            if table.name in read and not known:
                self._create(table.name, table.columns, table.types)
                if predicate in stated:
                    self._add_stated(predicate)
        for step, parts in steps:
            for label in step.label.split("; "):
                self._comment(label)
            self._add(
                step.table, next(t for t in program.tables.values() if t.name == step.table).columns, union(parts)
            )
        self._findings()
        return "\n".join(self._parts)

    def _head(self) -> None:
        snapshot = self._snapshot
        known = f"as known on {snapshot.as_known_on}" if snapshot.as_known_on else "with all that it holds"
        self._comment(
            f"Chartulary: policies for CAR-T therapy as SQL for {self._dialect}.\n"
            f"Register revision {snapshot.register.revision}, {known}; the unknown gives {snapshot.unknown}.\n"
            "Fill the tables of claims that stand first, then run all of it. Each has two columns: s is the item (a\n"
            "claim or a line of one), o what is stated of it; codes and kinds are IRIs as the register has them.\n"
            "chartulary.compiler.script.claim_tables(claims, snapshot) makes these tables from claims in any form.\n"
            "Run again, the script forgets what was derived and begins with the claims that the tables then hold.\n"
            "The view findings says which provision found what on which item.\n"
            "No finding does not mean covered or payable.\n"
        )

    def _provisions(self) -> None:
        facts = self._snapshot.facts
        self._comment("Every provision, in words")
        self._create("provisions", ("provision", "label"), ("VARCHAR", "VARCHAR"))
        provisions = sorted(facts.subjects(TYPE, POL.Provision))
        rows = [(p, Text(facts.value(p, LABEL) or p.rpartition("#")[2])) for p in provisions]
        self._insert("provisions", ("provision", "label"), rows)

    def _findings(self) -> None:
        self._comment("--- For people")
        verdicts = [
            exp.select(
                exp.alias_(exp.column("s", table="r"), "item"),
                exp.alias_(exp.column("o", table="r"), "provision"),
                exp.alias_(exp.Literal.string(outcome), "outcome"),
                exp.column("label", table="p"),
            )
            .distinct()
            .from_(exp.to_table(self._program.tables[shape].name, alias="r"))
            .join(
                exp.to_table("provisions", alias="p"),
                on=exp.EQ(this=exp.column("provision", table="p"), expression=exp.column("o", table="r")),
            )
            for outcome, shape in REPORTED_BY.items()
        ]
        self._view("findings", exp.union(*verdicts, distinct=False))

    # --- Statements ---------------------------------------------------------------------------------------------------

    def _comment(self, text: str) -> None:
        self._parts += ["", *(f"-- {line}".rstrip() for line in text.splitlines())]

    def _statement(self, statement: exp.Expression) -> None:
        self._parts.append(statement.sql(dialect=self._dialect, pretty=True, comments=False) + ";")

    def _create(self, name: str, columns: Sequence[str], types: Sequence[str], *, keep: bool = False) -> None:
        """``keep``: what is there already is the user's, and stays."""
        if not keep:
            self._drop(name, "TABLE")
        schema = exp.Schema(
            this=exp.to_table(name),
            expressions=[
                exp.ColumnDef(this=exp.to_identifier(column), kind=self._type(kind))
                for column, kind in zip(columns, types, strict=True)
            ],
        )
        properties = None
        if self._dialect == "spark":  # without it, Spark 3 asks for Hive
            properties = exp.Properties(expressions=[exp.FileFormatProperty(this=exp.Var(this="PARQUET"))])
        self._statement(exp.Create(this=schema, kind="TABLE", exists=keep, properties=properties))

    def _type(self, kind: str) -> exp.DataType:
        if self._dialect == "bigquery":  # whose DECIMAL has nine places
            kind = kind.replace("DECIMAL", "BIGDECIMAL")
        return exp.DataType.build(kind)

    def _drop(self, name: str, kind: str) -> None:
        self._statement(exp.Drop(tables=[exp.to_table(name)], kind=kind, exists=True))

    def _view(self, name: str, query: exp.Query) -> None:
        self._statement(exp.Create(this=exp.to_table(name), kind="VIEW", expression=query))

    def _add(self, name: str, columns: Sequence[str], query: exp.Query) -> None:
        self._statement(exp.insert(query, name, columns=list(columns)))

    def _add_stated(self, predicate: str) -> None:
        name, table = self._stated[predicate]
        self._add(table.name, table.columns, exp.select("s", "o").distinct().from_(name))

    def _insert(self, name: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            values = ",\n  ".join(f"({', '.join(_literal(v, self._dialect) for v in row)})" for row in some)
            self._parts.append(f"INSERT INTO {name} ({', '.join(columns)}) VALUES\n  {values};")


@lru_cache(maxsize=20_000, typed=True)
def _literal(value: Value, dialect: Dialect) -> str:
    """A value as SQL; texts and IRIs alike."""
    literal: exp.Expression
    if isinstance(value, bool):
        literal = exp.Boolean(this=value)
    elif isinstance(value, date):
        literal = exp.cast(exp.Literal.string(value.isoformat()), "DATE")
    elif isinstance(value, (int, Decimal)):
        literal = exp.Literal.number(f"{value:f}" if isinstance(value, Decimal) else str(value))
    else:
        literal = exp.Literal.string(str(value))
    return literal.sql(dialect=dialect)
