"""The rules as SQL, one statement for each predicate and stratum, over two-column tables of facts.

sqlglot writes the statements, so that the same program runs in DuckDB, in Spark and in warehouses. The way from shapes
to SQL follows the idea of "Compiling SHACL into SQL" (Jakubowski and Van den Bussche, ISWC 2024): every pattern becomes
a relation, negation becomes ``NOT EXISTS``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from sqlglot import exp

from chartulary.compiler.plan import Plan
from chartulary.compiler.rules import Atom, Body, Call, Const, Expression, Rule, Term, Var, all_variables, predicates
from chartulary.compiler.tables import NUMBER, TYPES, Table, last_part
from chartulary.errors import ChartularyError
from chartulary.facts import Facts, Text, Value

_COMPARISONS = {"=": exp.EQ, "!=": exp.NEQ, "<": exp.LT, "<=": exp.LTE, ">": exp.GT, ">=": exp.GTE}
_ARITHMETIC = {"+": exp.Add, "-": exp.Sub, "*": exp.Mul}


@dataclass(frozen=True, slots=True)
class Step:
    """Rows to add to a table; the steps of a program run in order."""

    table: str
    label: str
    """The rules behind it, in words."""
    parts: tuple[exp.Select, ...]
    """Each gives rows; what several give counts once."""
    needs: tuple[frozenset[str], ...]
    """For each part, the tables of claims that must not be empty if it is to give anything."""
    once: bool = False
    """True where it reads the snapshot alone."""

    @property
    def query(self) -> exp.Query:
        return exp.union(*self.parts, distinct=True) if len(self.parts) > 1 else self.parts[0]


@dataclass(frozen=True)
class _Source:
    """A table in a query, and what its columns stand for."""

    table: str
    columns: tuple[tuple[str, Term], ...]
    atoms: tuple[Atom, ...] = ()
    size: float = 0
    distinct: Mapping[Var, int] = field(default_factory=dict)
    """Of a table that is filled once: how many values each variable has."""

    @property
    def terms(self) -> set[Term]:
        """What it may be joined by: a constant joins nothing, but narrows as well."""
        return {term for _, term in self.columns}


class Terms:
    """How IRIs are written in tables: as themselves."""

    type = "VARCHAR"

    def write(self, iri: str) -> exp.Expression:
        return exp.Literal.string(iri)


class Numbers(Terms):
    """…or as numbers: short to compare, and only good where all tables come from one process."""

    type = NUMBER

    def __init__(self) -> None:
        self.of: dict[str, int] = {}

    def write(self, iri: str) -> exp.Expression:
        return exp.Literal.number(self.of.setdefault(iri, len(self.of)))


@dataclass
class Program:
    """All rules over one snapshot as SQL."""

    tables: dict[str, Table] = field(default_factory=dict)
    """By predicate; helper tables by name."""
    steps: list[Step] = field(default_factory=list)
    held: Facts = field(default_factory=Facts)
    """What of the snapshot the steps read."""


def compile_sql(
    rules: Sequence[Rule],
    snapshot: Facts,
    *,
    shared: Collection[str],
    literals: Mapping[str, type],
    rows: Mapping[str, Sequence[str]] | None = None,
    terms: Terms | None = None,
) -> Program:
    """Compiles rules for one snapshot.

    ``shared`` are the predicates of the snapshot that claims state too, ``literals`` the types of those that claims
    state of literals; any other stated predicate is between IRIs. ``rows`` are tables of several columns, by name: of
    predicates that claims state together, once of each subject.
    """
    return _Compiler(rules, snapshot, shared, literals, rows or {}, terms or Terms()).program()


def _comparable(one: type, other: type) -> bool:
    return one is other or object in (one, other) or {one, other} == {int, Decimal}


class _Compiler:
    def __init__(
        self,
        rules: Sequence[Rule],
        snapshot: Facts,
        shared: Collection[str],
        literals: Mapping[str, type],
        rows: Mapping[str, Sequence[str]],
        terms: Terms,
    ) -> None:
        self._rules, self._literals, self._terms = rules, literals, terms
        self._plan = Plan(rules, snapshot, shared=shared)
        said = {*snapshot.relations, *self._plan.derived}
        self._rows = {p: (name, tuple(row)) for name, row in rows.items() for p in row if said.isdisjoint(row)}
        self._program = Program()
        self._numbers = itertools.count()
        self._names: set[str] = set()
        self._groups: dict[frozenset[Atom], _Source] = {}
        self._kinds: dict[str, type] = {}
        """Of the objects of predicates; ``str`` is an IRI, ``object`` what nobody has said yet."""

    def program(self) -> Program:
        waiting: list[tuple[Rule, str, list[tuple[exp.Select, frozenset[str]]]]] = []
        for rule in self._rules:
            bodies = [body for body in rule.bodies if self._plan.can_hold(body)]
            reads = {p for body in bodies for p in predicates(body)}
            for entry in [entry for entry in waiting if entry[1] in reads]:
                self._flush(waiting, entry[1])
            for head in rule.heads:
                self._declare_head(rule, head, bodies)
            for head in rule.heads:
                parts = [(self._select(rule, body, head), self._needs(body)) for body in bodies]
                if parts:
                    waiting.append((rule, head.predicate, parts))
        for predicate in dict.fromkeys(entry[1] for entry in waiting):
            self._flush(waiting, predicate)
        return self._program

    def _flush(self, waiting: list[Any], predicate: str) -> None:
        """One step for all rules since the last that add to a predicate."""
        entries = [entry for entry in waiting if entry[1] == predicate]
        if not entries:
            return
        waiting[:] = [entry for entry in waiting if entry[1] != predicate]
        parts = [part for _, _, parts in entries for part in parts]
        label = "; ".join(dict.fromkeys(f"{rule.name}: {rule.label}" for rule, _, _ in entries))
        table = self._table(predicate).name
        self._program.steps.append(
            Step(table, label, tuple(part for part, _ in parts), tuple(needs for _, needs in parts))
        )

    # --- Tables -------------------------------------------------------------------------------------------------------

    def _table(self, predicate: str) -> Table:
        tables = self._program.tables
        if predicate in self._rows:
            name, row = self._rows[predicate]
            if name not in tables:
                self._kinds |= {each: self._literals.get(each, str) for each in row}
                kinds = (self._terms.type, *(TYPES.get(self._kinds[each], self._terms.type) for each in row))
                tables[name] = Table(self._name(name), "", kinds, stated=True, row=row)
            return tables[name]
        if predicate not in tables:
            plan = self._plan
            held = plan.is_held(predicate) or predicate in plan.shared
            values = {type(o) for values in plan.forward(predicate).values() for o in values} if held else set()
            kind = Decimal if values == {int, Decimal} else next(iter(values), self._literals.get(predicate, str))
            known = held or predicate in self._literals or predicate in plan.derived
            self._kinds[predicate] = kind if known else object
            tables[predicate] = Table(
                self._name(predicate),
                predicate,
                (self._terms.type, TYPES.get(kind, self._terms.type)),
                stated=not plan.is_held(predicate) and predicate not in plan.derived,
                derived=predicate in plan.derived,
            )
            if held:
                self._program.held.relations[predicate] = {s: set(o) for s, o in plan.forward(predicate).items()}
        return tables[predicate]

    def _name(self, predicate: str) -> str:
        """The predicate's last part, behind that of its namespace: ``policy_met``, ``claim_shows``."""
        ends = [part for part in re.split(r"[/#]", predicate) if part][-2:]
        name = re.sub(r"\W+", "_", "_".join(ends)).lstrip("_0123456789")
        while name.lower() in self._names:  # most databases fold the case of names
            name += "_"
        self._names.add(name.lower())
        return name

    def _declare_head(self, rule: Rule, head: Atom, bodies: Iterable[Body]) -> None:
        kinds = {self._kind(rule, head.value, self._kinds_of(rule, body, {})) for body in bodies} - {object}
        if head.predicate in self._program.tables:
            kinds |= {self._kinds[head.predicate]} - {object}
        if len(kinds) > 1:
            raise ChartularyError(f"{rule.name}: what it derives is of several kinds: one column cannot hold them")
        if head.predicate in self._program.tables:
            return
        kind = self._kinds[head.predicate] = (kinds or {str}).pop()
        self._program.tables[head.predicate] = Table(
            self._name(head.predicate),
            head.predicate,
            (self._terms.type, TYPES.get(kind, self._terms.type)),
            derived=True,
        )

    def _kinds_of(self, rule: Rule, body: Body, outer: Mapping[Var, type]) -> dict[Var, type]:
        """Of what each variable is. Columns are typed: what compares different kinds would be wrong, not just empty."""
        kinds = dict(outer)

        def same(term: Term, kind: type) -> None:
            known = type(term.value) if isinstance(term, Const) else kinds.setdefault(term, kind)
            if not _comparable(known, kind):
                raise ChartularyError(f"{rule.name}: compares values of different kinds")

        for atom in body.atoms:
            self._table(atom.predicate)
            same(atom.subject, str)
            same(atom.value, self._kinds[atom.predicate])
        for var, expression in body.binds:
            same(var, self._kind(rule, expression, kinds))
        for condition in body.conditions:
            self._kind(rule, condition, kinds)
        for inner in body.absent:
            self._kinds_of(rule, inner, kinds)
        return kinds

    def _kind(self, rule: Rule, expression: Expression, kinds: Mapping[Var, type]) -> type:
        if isinstance(expression, Const):
            return type(expression.value)
        if isinstance(expression, Var):
            return kinds[expression]
        parts = [self._kind(rule, argument, kinds) for argument in expression.arguments]
        name = expression.name
        fits = True
        if name in _COMPARISONS:
            fits = _comparable(*parts) and (name in ("=", "!=") or str not in parts)
        elif name in _ARITHMETIC:
            fits = {*parts} <= {int, Decimal, object}
        elif name == "str":
            fits = parts[0] not in (str, object) or self._terms.type == "VARCHAR"
        elif name == "substr":
            fits = parts[0] in (Text, object)
        if not fits:
            raise ChartularyError(f"{rule.name}: {name} of {', '.join(each.__name__ for each in parts)} has no SQL")
        if name in _ARITHMETIC:
            return Decimal if Decimal in parts else int
        return {"str": Text, "substr": Text, "integer": int}.get(name, bool)

    def _needs(self, body: Body) -> frozenset[str]:
        tables = (self._table(atom.predicate) for atom in body.atoms if not self._plan.is_held(atom.predicate))
        return frozenset(table.name for table in tables if table.predicate not in self._plan.shared)

    # --- Queries ------------------------------------------------------------------------------------------------------

    def _select(self, rule: Rule, body: Body, head: Atom) -> exp.Select:
        columns = {"s": head.subject, "o": head.value}
        return self._query(rule, body, columns, {})

    def _query(
        self, rule: Rule, body: Body, columns: Mapping[str, Term], outer: Mapping[Var, exp.Expression]
    ) -> exp.Select:
        """``SELECT`` of a body; without columns it is the inside of an ``EXISTS``."""
        body, helpers = self._without_nested_absence(rule, body)
        env: dict[Var, exp.Expression] = {}
        sources = self._sources(self._plan.without_targets(body.atoms))
        anchor = None if outer else self._plan.anchor(body)
        select, where = self._from(sources, anchor, env, set(outer))
        for var, expression in body.binds:
            value = self._expression(expression, {**outer, **env})
            if var in env:
                where.append(exp.EQ(this=env[var].copy(), expression=value))
            else:
                env[var] = exp.paren(value)
        where += [exp.EQ(this=env[var].copy(), expression=outer[var].copy()) for var in env if var in outer]
        where += [self._expression(condition, {**outer, **env}) for condition in body.conditions]
        for inner in body.absent:
            where.append(exp.Not(this=exp.Exists(this=self._query(rule, inner, {}, {**outer, **env}))))
        for helper, common in helpers:
            alias = f"t{next(self._numbers)}"
            same = [
                exp.EQ(this=exp.column(column, table=alias), expression=env[var].copy())
                for column, var in zip(helper.columns, common, strict=True)
            ]
            there = exp.select(exp.Literal.number(1)).from_(exp.to_table(helper.name, alias=alias)).where(*same)
            where.append(exp.Not(this=exp.Exists(this=there)))
        if columns:
            wanted = [exp.alias_(self._operand(term, env), name) for name, term in columns.items()]
            select = select.select(*wanted).distinct()
        else:
            select = select.select(exp.Literal.number(1))
        return select.where(*where) if where else select

    def _from(
        self, sources: list[_Source], anchor: Atom | None, env: dict[Var, exp.Expression], bound: set[Var]
    ) -> tuple[exp.Select, list[exp.Expression]]:
        """``FROM`` and ``JOIN`` of some sources, the cheapest next, and what remains for ``WHERE``. Fills ``env``."""
        select, where = exp.Select(), []
        left = list(sources)
        while left:
            seen = {*env, *bound}
            near = [source for source in left if source.terms & seen] or left
            source = next((s for s in left if anchor in s.atoms), None)
            source = source or min(near, key=lambda s: self._cost(s, seen))
            anchor = None
            left.remove(source)
            alias = f"t{next(self._numbers)}"
            on: list[exp.Expression] = []
            for column, term in source.columns:
                here = exp.column(column, table=alias)
                if isinstance(term, Const):
                    on.append(exp.EQ(this=here, expression=self._constant(term.value)))
                elif term in env:
                    on.append(exp.EQ(this=here, expression=env[term].copy()))
                else:
                    env[term] = here
            table = exp.to_table(source.table, alias=alias)
            if select.args.get("from_") or select.args.get("from"):
                select = select.join(table, on=exp.and_(*on) if on else None, join_type="" if on else "cross")
            else:
                select, where = select.from_(table), on
        return select, where

    def _cost(self, source: _Source, bound: AbstractSet[Var]) -> float:
        if source.atoms:
            return min(self._plan.cost(atom, bound) for atom in source.atoms)
        return source.size / max([1, *(count for var, count in source.distinct.items() if var in bound)])

    def _sources(self, atoms: Sequence[Atom]) -> list[_Source]:
        """The tables behind patterns.

        Patterns that the snapshot alone answers, and that hang together, become a table that is filled once.
        """
        apart: dict[tuple[Atom | str, Term], list[Atom]] = {}
        for atom in atoms:
            if not self._plan.is_said_by_snapshot(atom):
                row = self._rows.get(atom.predicate)
                apart.setdefault((row[0] if row else atom, atom.subject), []).append(atom)
        sources = [self._source(*together) for together in apart.values()]
        for group in self._plan.held_groups(atoms):
            size = self._plan.measure(group) if len(group) > 1 else None
            if size is None:
                sources += map(self._source, group)
                continue
            key = frozenset(group)
            if key not in self._groups:
                self._groups[key] = self._put_together(group, *size)
            sources.append(self._groups[key])
        return sources

    def _source(self, *atoms: Atom) -> _Source:
        """The table behind a pattern, or behind several of one subject whose values stand in one row."""
        table = self._table(atoms[0].predicate)
        columns = ((table.column(atom.predicate), atom.value) for atom in atoms)
        return _Source(table.name, (("s", atoms[0].subject), *columns), atoms)

    def _put_together(self, group: Sequence[Atom], rows: int, distinct: Mapping[Var, int]) -> _Source:
        common = sorted(distinct, key=lambda var: var.name)
        words = dict.fromkeys(last_part(atom.predicate) for atom in group)
        name = self._name(f"held {' '.join(words)}")
        kinds = dict.fromkeys(common, self._terms.type)
        for atom in group:
            if isinstance(atom.value, Var):
                kinds[atom.value] = self._table(atom.predicate).types[1]
        table = Table(name, "", tuple(kinds[var] for var in common))
        self._program.tables[name] = table
        columns = tuple(zip(table.columns, common, strict=True))
        env: dict[Var, exp.Expression] = {}
        select, where = self._from([self._source(atom) for atom in group], None, env, set())
        select = select.select(*(exp.alias_(env[var].copy(), column) for column, var in columns)).distinct()
        query = select.where(*where) if where else select
        label = "what the policies say, put together"
        self._program.steps.append(Step(name, label, (query,), (frozenset(),), once=True))
        return _Source(name, columns, (), rows, distinct)

    def _without_nested_absence(self, rule: Rule, body: Body) -> tuple[Body, list[tuple[Table, tuple[Var, ...]]]]:
        """What must not hold is taken one level at a time: many engines cannot look out of two subqueries at once.

        An inner body that itself has something that must not hold becomes a table of its own, of what it has in common
        with the outer one.
        """
        absent, helpers = [], []
        for inner in body.absent:
            if not inner.absent:
                absent.append(inner)
                continue
            kinds = self._kinds_of(rule, body, {})
            common = sorted(all_variables(inner) & body.variables(), key=lambda var: var.name)
            name = self._name(f"{rule.name.replace('-', '_')} helper")
            helper = Table(name, "", tuple(TYPES.get(kinds[var], self._terms.type) for var in common))
            self._program.tables[name] = helper
            whole = Body(
                tuple(dict.fromkeys((*body.atoms, *inner.atoms))),
                (*body.binds, *inner.binds),
                (*body.conditions, *inner.conditions),
                inner.absent,
            )
            query = self._query(rule, whole, dict(zip(helper.columns, common, strict=True)), {})
            label = f"{rule.name}: where an exception of it holds"
            self._program.steps.append(Step(name, label, (query,), (self._needs(whole),)))
            helpers.append((helper, tuple(common)))
        return replace(body, absent=tuple(absent)), helpers

    # --- Expressions --------------------------------------------------------------------------------------------------

    def _operand(self, term: Term, env: Mapping[Var, exp.Expression]) -> exp.Expression:
        return self._constant(term.value) if isinstance(term, Const) else env[term].copy()

    def _constant(self, value: Value) -> exp.Expression:
        if isinstance(value, bool):
            return exp.Boolean(this=value)
        if isinstance(value, Text):
            return exp.Literal.string(str(value))
        if isinstance(value, str):
            literal = self._terms.write(value)
            if literal.is_number:
                literal.add_comments([last_part(value)])
            return literal
        if isinstance(value, date):
            return exp.cast(exp.Literal.string(value.isoformat()), "DATE")
        return exp.Literal.number(str(value))

    def _expression(self, expression: Expression, env: Mapping[Var, exp.Expression]) -> exp.Expression:
        if not isinstance(expression, Call):
            return self._operand(expression, env)
        parts = [self._expression(argument, env) for argument in expression.arguments]
        name = expression.name
        if name in _COMPARISONS:
            return _COMPARISONS[name](this=parts[0], expression=parts[1])  # type: ignore[return-value]
        if name in _ARITHMETIC:
            return exp.paren(_ARITHMETIC[name](this=parts[0], expression=parts[1]))
        if name in ("and", "or"):
            return exp.paren((exp.and_ if name == "and" else exp.or_)(*parts))
        if name == "not":
            return exp.Not(this=exp.paren(parts[0]))
        if name == "substr":
            return exp.Substring(this=parts[0], start=parts[1], length=parts[2])
        return exp.cast(parts[0], "VARCHAR" if name == "str" else "BIGINT")
