"""Runs the rules as SQL in an embedded DuckDB, set at a time over thousands of claims."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from chartulary.columns import amounts_column, days_column, numbers_column, numbers_of, texts_column
from chartulary.compiler.rules import Rule
from chartulary.compiler.tables import NUMBER, Table
from chartulary.facts import Facts, Relation, Value
from chartulary.report import Reach
from chartulary.terms import CLM, SHAPE

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Statements:
    """The rules over one snapshot as DuckDB's SQL. Pickles."""

    tables: dict[str, Table]
    """By predicate; helper tables by name."""
    steps: tuple[tuple[str, tuple[tuple[str, frozenset[str]], ...]], ...]
    """Table to add to, and the parts of what is added, each with the tables that must have rows for it."""
    once: tuple[tuple[str, str], ...]
    """Tables that the snapshot alone fills, and how."""
    held: tuple[str, ...]
    """Predicates that are read of the snapshot."""
    numbers: dict[str, int]
    """What stands for the IRIs that the queries name."""


def prepare(
    rules: Sequence[Rule],
    snapshot: Facts,
    *,
    shared: Collection[str],
    literals: Mapping[str, type],
    rows: Mapping[str, Sequence[str]] | None = None,
) -> Statements:
    """Compiles rules for one snapshot; see :func:`chartulary.compiler.sql.compile_sql`."""
    from chartulary.compiler.sql import Numbers, compile_sql

    terms = Numbers()
    program = compile_sql(rules, snapshot, shared=shared, literals=literals, rows=rows, terms=terms)
    steps = tuple(
        (
            step.table,
            tuple((part.sql(dialect="duckdb"), needs) for part, needs in zip(step.parts, step.needs, strict=True)),
        )
        for step in program.steps
        if not step.once
    )
    once = tuple((step.table, step.query.sql(dialect="duckdb")) for step in program.steps if step.once)
    return Statements(program.tables, steps, once, tuple(program.held.relations), terms.of)


class _Ids(dict[str, int]):
    """Numbers for terms, given out in the order in which they are asked for."""

    def __missing__(self, term: str) -> int:
        number = self[term] = len(self)
        return number


class SqlEngine:
    """The rules as SQL; terms are numbers, and the snapshot's tables are filled once.

    ``reads`` says what reports look at, and of which items; nothing else leaves the database.
    """

    name = "sql"
    together = 50  # what a claim states is numbered while the processor still has it at hand

    def __init__(
        self,
        statements: Statements,
        snapshot: Facts,
        *,
        shared: Collection[str],
        reads: Mapping[str, Reach],
    ) -> None:
        import duckdb

        self._program, self._ids = statements, _Ids(statements.numbers)
        self._shared, self._reads = frozenset(shared), reads
        self._db = duckdb.connect(config={"threads": 1})
        self._db.execute("SET disabled_optimizers = 'join_order'")  # the statements join in an order worked out
        self._db.execute("SET allocator_bulk_deallocation_flush_threshold = '8MB'")  # memory goes back to the system
        self._always = {table for table, _ in statements.once}
        """Tables that need no claim to have rows."""
        self._full: set[str] = set()
        """All that have rows."""
        made = [f"CREATE TABLE {name} (s {NUMBER});" for name in ("found", "near")]
        for table in statements.tables.values():
            columns = ", ".join(f"{c} {t}" for c, t in zip(table.columns, table.types, strict=True))
            made.append(f"CREATE TABLE {table.name} ({columns});")
        self._db.execute(" ".join(["BEGIN;", *made, "COMMIT;"]))
        held = Facts({p: snapshot.relations.get(p, {}) for p in statements.held})
        self._always.update(table.name for table in self._fill([held], self._ids))
        for name, query in statements.once:
            self._db.execute(f"INSERT INTO {name} {query}")
        self._first = len(self._ids)

    def _fill(self, facts: Iterable[Facts], ids: _Ids) -> Iterator[Table]:
        """Adds what facts say to the tables, and gives those that have got rows."""
        rows = [_Rows(table, ids) for table in self._program.tables.values() if table.predicate or table.row]
        for each in facts:
            for row in rows:
                row.add(each)
        for row in rows:
            if row.columns[0]:
                if row.table.predicate in self._shared:  # of an unlisted code, every portion says the same
                    row.columns = list(map(list, zip(*dict.fromkeys(zip(*row.columns, strict=True)), strict=True)))
                self._db.from_arrow(row.arrow()).insert_into(row.table.name)
                yield row.table

    def run(self, claims: Facts) -> Facts:
        """What claims state, and of what is derived all that a report reads."""
        return next(self.run_all([claims]))

    def run_all(self, portions: Iterable[Facts]) -> Iterator[Facts]:
        """The same for many portions, in their order; all are worked on at once."""
        stated: list[Facts] = []
        ends: list[int] = []
        ids = _Ids(self._ids)

        def noted() -> Iterator[Facts]:
            for portion in portions:
                stated.append(portion)
                yield portion
                ends.append(len(ids))

        try:
            self._derive(noted(), ids)
            self._look_closer()
            found = self._found()
        finally:
            self._clear()
        names = list(ids)
        for portion, end in zip(stated, ends, strict=True):
            derived = {predicate: answers.until(end, names) for predicate, answers in found.items()}
            yield Facts({**portion.relations, **derived})

    def _found(self) -> dict[str, _Answers]:
        """All that a report reads."""
        found = {}
        for predicate, reach in self._reads.items():
            table = self._program.tables.get(predicate)
            if table is not None and table.name in self._full:
                there = "" if reach == "all" else f"SEMI JOIN {reach} USING (s)"
                query = f"SELECT s, list(DISTINCT o) FROM {table.name} {there} GROUP BY s ORDER BY s"
                found[predicate] = _Answers(self._db.sql(query).to_arrow_table(), table.types[1] == NUMBER)
        return found

    def everything(self, portions: Iterable[Facts]) -> dict[str, set[tuple[str, Value]]]:
        """All that is derived of some claims, by predicate: for comparing engines."""
        found = {}
        try:
            ids = _Ids(self._ids)
            self._derive(portions, ids)
            names = list(ids)
            for predicate, table in self._program.tables.items():
                if table.derived:
                    rows = self._db.execute(f"SELECT DISTINCT s, o FROM {table.name}").fetchall()
                    is_iri = table.types[1] == NUMBER
                    found[predicate] = {(names[s], names[o] if is_iri else o) for s, o in rows}
        finally:
            self._clear()
        return found

    def _derive(self, claims: Iterable[Facts], ids: _Ids) -> None:
        """Runs every step over the claims."""
        self._full = set(self._always)
        for table in self._fill(claims, ids):
            self._full.add(table.name)
        for name, choices in self._program.steps:
            query = " UNION ".join(part for part, needs in choices if needs <= self._full)
            if query:
                count = self._db.execute(f"INSERT INTO {name} {query}").fetchone()
                if count and count[0]:
                    self._full.add(name)

    def _look_closer(self) -> None:
        """Fills ``found`` with the items that have a finding, ``near`` with all items of their claims."""
        tables = self._program.tables
        for predicate in self._reads:
            if predicate.startswith(SHAPE) and tables[predicate].name in self._full:
                self._db.execute(f"INSERT INTO found SELECT DISTINCT s FROM {tables[predicate].name}")
        table = next(table for table in tables.values() if CLM.claim in (table.predicate, *table.row))
        claim = table.column(CLM.claim)
        self._db.execute(
            f"INSERT INTO near SELECT DISTINCT b.s "
            f"FROM found JOIN {table.name} AS a USING (s) JOIN {table.name} AS b ON a.{claim} = b.{claim}"
        )

    def _clear(self) -> None:
        for name in ("found", "near", *(self._full - self._always)):
            self._db.execute(f"TRUNCATE {name}")
        for predicate in self._shared:
            self._db.execute(f"DELETE FROM {self._program.tables[predicate].name} WHERE s >= {self._first}")


_COLUMNS: dict[str, Callable[[list[Any]], Any]] = {
    NUMBER: partial(numbers_column, code="i"),
    "BIGINT": partial(numbers_column, code="q"),
    "BOOLEAN": partial(numbers_column, code="b"),
    "DATE": days_column,
    "DECIMAL(38, 15)": amounts_column,
    "VARCHAR": texts_column,
}


class _Rows:
    """What is to be added to a table, column by column."""

    def __init__(self, table: Table, ids: _Ids) -> None:
        self.table, self._number = table, ids.__getitem__
        self._predicates = table.row or (table.predicate,)
        self.columns: list[list[Any]] = [[] for _ in table.columns]

    def add(self, facts: Facts) -> None:
        first = facts.relation(self._predicates[0])
        if not first:
            return
        subjects: Iterable[int] = map(self._number, first)
        for predicate, kind, column in zip(self._predicates, self.table.types[1:], self.columns[1:], strict=True):
            relation = facts.relation(predicate)
            sets = relation.values() if len(self._predicates) == 1 else [relation[s] for s in first]
            values: Iterable[Any] = itertools.chain.from_iterable(sets)
            column += map(self._number, values) if kind == NUMBER else values
            if len(column) > len(self.columns[0]) + len(first):
                subjects = itertools.chain.from_iterable(map(itertools.repeat, subjects, map(len, sets)))
        self.columns[0] += subjects

    def arrow(self) -> pa.Table:
        import pyarrow as pa

        kinds = zip(self.table.types, self.columns, strict=True)
        arrays = [_COLUMNS[kind](cells) for kind, cells in kinds]
        return pa.Table.from_arrays(arrays, names=list(self.table.columns))


class _Answers:
    """Subjects, in order, each with all its objects; given out up to one subject after another."""

    def __init__(self, rows: pa.Table, is_iri: bool) -> None:
        subjects, lists = rows.combine_chunks().columns
        lists = lists.combine_chunks()
        self._subjects, self._bounds = numbers_of(subjects.combine_chunks()), numbers_of(lists.offsets)
        self._values = numbers_of(lists.values) if is_iri else lists.values.to_pylist()
        self._is_iri, self._at = is_iri, 0

    def until(self, end: int, names: Sequence[str]) -> Relation:
        """The next subjects, those below a number."""
        first, self._at = self._at, bisect_left(self._subjects, end, self._at)
        bounds, values = self._bounds, self._values
        found: Relation = {}
        for place in range(first, self._at):
            objects = values[bounds[place] : bounds[place + 1]]
            found[names[self._subjects[place]]] = {names[o] for o in objects} if self._is_iri else set(objects)
        return found
