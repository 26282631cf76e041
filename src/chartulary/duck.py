"""Runs the rules as SQL in an embedded DuckDB, set at a time over thousands of claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chartulary.compiler.rules import Rule
from chartulary.compiler.sql import Numbers, Table, compile_sql
from chartulary.facts import Facts, Relation, Value
from chartulary.report import Reach
from chartulary.terms import CLM, SHAPE, TYPE


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
    rules: Sequence[Rule], snapshot: Facts, *, shared: Collection[str], literals: Mapping[str, type]
) -> Statements:
    """Compiles rules for one snapshot; see :func:`chartulary.compiler.sql.compile_sql`."""
    terms = Numbers()
    program = compile_sql(rules, snapshot, shared=shared, literals=literals, terms=terms)
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


class SqlEngine:
    """The rules as SQL; terms are numbers, and the snapshot's tables are filled once.

    ``reads`` says what reports look at, and of which items; nothing else leaves the database.
    """

    name = "sql"

    def __init__(
        self,
        statements: Statements,
        snapshot: Facts,
        *,
        shared: Collection[str],
        literals: Collection[str],
        reads: Mapping[str, Reach],
    ) -> None:
        import duckdb

        self._program, self._numbers = statements, dict(statements.numbers)
        self._shared, self._reads, self._plain = frozenset(shared), reads, frozenset(literals)
        self._db = duckdb.connect(config={"threads": 1})
        self._db.execute("SET disabled_optimizers = 'join_order'")  # the statements join in an order worked out
        self._db.execute("CREATE TABLE found (s BIGINT); CREATE TABLE near (s BIGINT)")
        self._emptied = ["found", "near"]
        self._always = {table for table, _ in statements.once}
        """Tables that need no claim to have rows."""
        for table in statements.tables.values():
            columns = ", ".join(f"{c} {t}" for c, t in zip(table.columns, table.types, strict=True))
            self._db.execute(f"CREATE TABLE {table.name} ({columns})")
            if table.predicate in statements.held:
                self._always.add(table.name)
                self._hold(table, snapshot)
            elif table.name not in self._always:
                self._emptied.append(table.name)
        for name, query in statements.once:
            self._db.execute(f"INSERT INTO {name} {query}")
        self._first = len(self._numbers)

    def _hold(self, table: Table, snapshot: Facts) -> None:
        """Fills a table with what the snapshot says."""
        held = snapshot.relation(table.predicate)
        subjects = [self._number(s) for s, values in held.items() for _ in values]
        objects = [value for values in held.values() for value in values]
        if table.types[1] == Numbers.type and any(type(value) is str for value in objects):
            objects = [self._number(value) for value in objects]
        self._add(table.name, table.types[1], subjects, objects)

    def _number(self, iri: str) -> int:
        return self._numbers.setdefault(iri, len(self._numbers))

    def _add(self, name: str, kind: str, subjects: list[int], values: list[Any]) -> None:
        import pyarrow as pa

        plain = {
            Numbers.type: pa.int64(),
            "BIGINT": pa.int64(),
            "DATE": pa.date32(),
            "BOOLEAN": pa.bool_(),
            "VARCHAR": pa.string(),
        }
        arriving = pa.table(
            {"s": pa.array(subjects, pa.int64()), "o": pa.array(values, plain.get(kind) or pa.decimal128(38, 15))}
        )
        self._db.register("arriving", arriving)
        self._db.execute(f"INSERT INTO {name} SELECT s, o FROM arriving")
        self._db.unregister("arriving")

    def run(self, claim: Facts) -> Facts:
        """What a claim states, and of what is derived all that a report reads."""
        return next(self.run_all([claim]))

    def run_all(self, claims: Iterable[Facts]) -> Iterator[Facts]:
        """The same for many claims, in their order; all are worked on at once."""
        claims = _told_apart(claims)
        derived: list[dict[str, Relation]] = [{} for _ in claims]
        try:
            whose, names = self._derive(claims)
            self._look_closer()
            first = self._first
            for predicate, reach in self._reads.items():
                table = self._program.tables.get(predicate)
                if table is None or table.name not in self._full:
                    continue
                there = "" if reach == "all" else f"SEMI JOIN {reach} USING (s)"
                rows = self._db.sql(f"SELECT s, list(DISTINCT o) FROM {table.name} {there} GROUP BY s").to_arrow_table()
                subjects, values = (column.to_pylist() for column in rows.columns)
                is_iri = table.types[1] == Numbers.type and predicate not in self._plain
                for s, found in zip(subjects, values, strict=True):
                    relation = derived[whose[s - first]].setdefault(predicate, {})
                    relation[names[s]] = {names[o] for o in found} if is_iri else set(found)
        finally:
            self._clear()
        for claim, found in zip(claims, derived, strict=True):
            whole = Facts({**claim.relations, **found})
            yield _renamed(whole, _AGAIN, "") if any(_AGAIN in item for item in claim.relation(TYPE)) else whole

    def everything(self, claims: Sequence[Facts]) -> dict[str, set[tuple[str, Value]]]:
        """All that is derived of some claims, by predicate: for comparing engines."""
        found = {}
        try:
            _, names = self._derive(claims)
            for predicate, table in self._program.tables.items():
                if table.derived:
                    rows = self._db.execute(f"SELECT DISTINCT s, o FROM {table.name}").fetchall()
                    is_iri = table.types[1] == Numbers.type
                    found[predicate] = {(names[s], names[o] if is_iri else o) for s, o in rows}
        finally:
            self._clear()
        return found

    def _derive(self, claims: Sequence[Facts]) -> tuple[list[int], list[str]]:
        """Runs every step over the claims. Gives whose each new term is, and what the numbers stand for."""
        program = self._program
        ids = dict(self._numbers)
        first = self._first
        columns: dict[str, tuple[list[int], list[Any], bool]] = {
            predicate: ([], [], predicate not in self._plain)
            for predicate, table in program.tables.items()
            if predicate
        }
        whose: list[int] = []
        for place, claim in enumerate(claims):
            for predicate, relation in claim.relations.items():
                if predicate not in columns:
                    continue
                subjects, values, is_iri = columns[predicate]
                for s, found in relation.items():
                    subject = ids.get(s)
                    if subject is None:
                        subject = ids[s] = len(ids)
                    for o in found:
                        subjects.append(subject)
                        if is_iri:
                            value = ids.get(o)
                            if value is None:
                                value = ids[o] = len(ids)
                            values.append(value)
                        else:
                            values.append(o)
            whose.extend([place] * (len(ids) - first - len(whose)))
        self._full = set(self._always)
        for predicate, (subjects, values, _) in columns.items():
            if subjects:
                table = program.tables[predicate]
                if predicate in self._shared:  # what many claims state of one code
                    subjects, values = map(list, zip(*dict.fromkeys(zip(subjects, values, strict=True)), strict=True))
                self._add(table.name, table.types[1], subjects, values)
                self._full.add(table.name)
        for name, choices in program.steps:
            query = " UNION ".join(part for part, needs in choices if needs <= self._full)
            if query:
                count = self._db.execute(f"INSERT INTO {name} {query}").fetchone()
                if count and count[0]:
                    self._full.add(name)
        return whose, list(ids)

    def _look_closer(self) -> None:
        """Fills ``found`` with the items that have a finding, ``near`` with all items of their claims."""
        tables = self._program.tables
        for predicate in self._reads:
            if predicate.startswith(SHAPE) and tables[predicate].name in self._full:
                self._db.execute(f"INSERT INTO found SELECT DISTINCT s FROM {tables[predicate].name}")
        claim = tables[CLM.claim].name
        self._db.execute(
            f"INSERT INTO near SELECT DISTINCT b.s "
            f"FROM found JOIN {claim} AS a USING (s) JOIN {claim} AS b ON a.o = b.o"
        )

    def _clear(self) -> None:
        for name in self._emptied:
            self._db.execute(f"TRUNCATE {name}")
        for predicate in self._shared:
            self._db.execute(f"DELETE FROM {self._program.tables[predicate].name} WHERE s >= {self._first}")


_AGAIN = "urn:again:"
"""Begins the names of a claim that bears the name of an earlier one."""


def _told_apart(claims: Iterable[Facts]) -> list[Facts]:
    """Claims of one name, such as one that was sent again, each with a name of its own."""
    seen: Counter[str] = Counter()
    found = []
    for claim in claims:
        name = next(iter(claim.relation(CLM.part)), "")
        if seen[name]:
            claim = _renamed(claim, name, f"{_AGAIN}{seen[name]}:{name}")
        seen[name] += 1
        found.append(claim)
    return found


def _renamed(claim: Facts, old: str, new: str) -> Facts:
    """A claim with another beginning of its items' names; an empty one gives back what :func:`_told_apart` changed."""

    def name(value: Any) -> Any:
        if type(value) is not str or not value.startswith(old):
            return value
        return new + value[len(old) :] if new else value[len(old) :].partition(":")[2]

    return Facts(
        {
            predicate: {name(s): {name(o) for o in values} for s, values in rows.items()}
            for predicate, rows in claim.relations.items()
        }
    )
