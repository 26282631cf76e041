"""The rules as one Python function: nested loops over a claim's facts and the snapshot's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cache, lru_cache
from types import CodeType
from typing import Any, TypeAlias

from chartulary.compiler.plan import Index, Plan, inverse, is_bound
from chartulary.compiler.rules import (
    THIS,
    Atom,
    Body,
    Call,
    Const,
    Expression,
    Rule,
    Term,
    Var,
    all_variables,
    predicates,
    variables,
)
from chartulary.facts import Facts, Relation, Text, Value

Run: TypeAlias = Callable[[Mapping[str, Relation]], dict[str, Relation]]
"""Takes what a claim states, gives what the rules derive."""


@dataclass(frozen=True, slots=True)
class Program:
    """Python source of the rules, and the tables of one snapshot that it looks into. Pickles."""

    source: str
    tables: Mapping[str, object]
    numbers: Mapping[str, int] = field(default_factory=dict)
    """Predicates, each with the number in the names of its tables."""

    def over(self, changed: Mapping[str, Relation]) -> Program:
        """The same rules over a snapshot of which some relations differ.

        Nothing may be in those that would have rules hold which could not before: of a kind, say, that had no instance.
        """
        tables = dict(self.tables)
        for predicate, relation in changed.items():
            n = self.numbers.get(predicate)
            if f"S{n}" in tables:
                tables[f"S{n}"], tables[f"T{n}"] = relation, inverse(relation)
        return Program(self.source, tables, self.numbers)

    def prepare(self) -> Run:
        space: dict[str, Any] = {
            **self.tables,
            "_E": frozenset(),
            "_cache": cache,
            "_merged": _merged,
            "_inverse": inverse,
            "_text": _text,
        }
        exec(_code(self.source), space)
        run: Run = space["run"]
        return run


@lru_cache(maxsize=16)
def _code(source: str) -> CodeType:
    return compile(source, "<rules>", "exec")


def compile_rules(rules: Sequence[Rule], snapshot: Facts, *, shared: Collection[str]) -> Program:
    """Compiles rules for one snapshot.

    ``shared`` are the predicates of the snapshot that claims state too; of any other, one side alone speaks.
    """
    return _Compiler(rules, snapshot, frozenset(shared)).program()


def _merged(stated: Mapping[Any, AbstractSet[Any]], held: Index) -> Index:
    """What a claim states of things that the snapshot speaks of too, with what the snapshot says."""
    return {key: values | held[key] if key in held else values for key, values in stated.items()}


def _text(value: object) -> Text:
    """``STR`` of an IRI or literal."""
    return Text(str(value).lower() if isinstance(value, bool) else value)


@dataclass
class _Scope:
    """A body on its way into code: what is bound so far, and what is left to do."""

    bound: set[Var]
    atoms: list[Atom]
    binds: list[tuple[Var, Expression]]
    conditions: list[Expression]
    absent: list[Body]
    present: list[Body]
    failure: str
    """The statement that gives up."""
    indent: int


class _Compiler:
    def __init__(self, rules: Sequence[Rule], snapshot: Facts, shared: frozenset[str]) -> None:
        self._rules, self._shared = rules, shared
        self._plan = Plan(rules, snapshot, shared=shared)
        self._tables: dict[str, object] = {}
        self._numbers: dict[str, int] = {}
        self._lines: list[str] = []
        self._stated: dict[str, None] = {}
        self._functions = 0

    def program(self) -> Program:
        for predicate in self._plan.derived:
            self._forward(predicate)
        for rule in self._rules:
            self._rule(rule)
        heading = ["def run(stated):"]
        for predicate in self._stated:
            n = self._numbers[predicate]
            if predicate in self._plan.derived:
                heading.append(f"    f{n} = {{s: set(o) for s, o in stated.get({predicate!r}, _E or {{}}).items()}}")
            elif predicate in self._shared:
                heading.append(f"    c{n} = stated.get({predicate!r}, {{}})")
                heading.append(f"    f{n} = _merged(c{n}, S{n})")
                heading.append(f"    b{n} = _merged(_inverse(c{n}), T{n})")
            else:
                heading.append(f"    f{n} = stated.get({predicate!r}, {{}})")
        ending = ", ".join(f"{p!r}: f{self._numbers[p]}" for p in self._plan.derived)
        return Program("\n".join([*heading, *self._lines, f"    return {{{ending}}}\n"]), self._tables, self._numbers)

    # --- Relations ----------------------------------------------------------------------------------------------------

    def _number(self, predicate: str) -> int:
        if predicate not in self._numbers:
            n = self._numbers[predicate] = len(self._numbers)
            if self._plan.is_held(predicate) or predicate in self._shared:
                self._tables[f"S{n}"] = self._plan.forward(predicate)
                self._tables[f"T{n}"] = self._plan.backward(predicate)
            if not self._plan.is_held(predicate):
                self._stated[predicate] = None
        return self._numbers[predicate]

    def _forward(self, predicate: str) -> str:
        n = self._number(predicate)
        return f"S{n}" if self._plan.is_held(predicate) else f"f{n}"

    def _objects(self, predicate: str, subject: str) -> str:
        n = self._number(predicate)
        if predicate in self._shared:
            return f"(f{n}.get({subject}) or S{n}.get({subject}, _E))"
        return f"{self._forward(predicate)}.get({subject}, _E)"

    def _subjects(self, predicate: str, value: str) -> str:
        n = self._number(predicate)
        if predicate in self._shared:
            return f"(b{n}.get({value}) or T{n}.get({value}, _E))"
        return f"T{n}.get({value}, _E)" if self._plan.is_held(predicate) else f"_inverse(f{n}).get({value}, _E)"

    # --- Rules --------------------------------------------------------------------------------------------------------

    def _rule(self, rule: Rule) -> None:
        reads = {p for body in rule.bodies for p in predicates(body)}
        # What a rule derives is not there for itself, as in SHACL.
        later = any(head.predicate in reads for head in rule.heads)
        self._line(1, f"# {rule.name}")
        if later:
            self._line(1, "found = []")
        for body in rule.bodies:
            if not self._plan.can_hold(body):
                continue
            anchor = self._plan.anchor(body)
            body, present = self._plan.other_items(body, rule.heads)
            mark = len(self._lines)
            # Where no pattern of a claim begins at the focus node, it is found like any other variable.
            self._line(1, f"for this in {self._forward(anchor.predicate)}:" if anchor else "for _ in (None,):")
            scope = _Scope(
                {THIS} if anchor else set(),
                list(body.atoms),
                list(body.binds),
                list(body.conditions),
                list(body.absent),
                present,
                "continue",
                2,
            )
            functions: list[str] = []
            indent = self._search(scope, functions)
            for head in rule.heads:
                subject, value = self._term(head.subject), self._term(head.value)
                if later:
                    self._line(indent, f"found.append((f{self._number(head.predicate)}, {subject}, {value}))")
                else:
                    self._insert(indent, f"f{self._number(head.predicate)}", subject, value)
            self._lines[mark:mark] = functions
        if later:
            self._line(1, "for relation, s, o in found:")
            self._insert(2, "relation", "s", "o")

    def _insert(self, indent: int, relation: str, subject: str, value: str) -> None:
        self._line(indent, f"held = {relation}.get({subject})")
        self._line(indent, f"if held is None: {relation}[{subject}] = {{{value}}}")
        self._line(indent, f"else: held.add({value})")

    def _search(self, scope: _Scope, functions: list[str]) -> int:
        """Writes the loops and tests of a body; gives the depth at which all of it holds."""
        while True:
            self._settle(scope, functions)
            if not scope.atoms:
                return scope.indent
            atom = self._plan.next(scope.atoms, scope.bound)
            scope.atoms.remove(atom)
            subject, value = self._term(atom.subject), self._term(atom.value)
            if is_bound(atom.subject, scope.bound):
                self._line(scope.indent, f"for {value} in {self._objects(atom.predicate, subject)}:")
                scope.indent += 1
            elif is_bound(atom.value, scope.bound):
                subjects = self._subjects(atom.predicate, value)
                if others := self._other_ways(atom, scope):
                    # Few or many may hang on one thing: which way is the shortest shows when it is known which one.
                    scope.atoms.append(atom)
                    ways = (self._subjects(other.predicate, self._term(other.value)) for other in others)
                    subjects = f"min({', '.join([subjects, *ways])}, key=len)"
                self._line(scope.indent, f"for {subject} in {subjects}:")
                scope.indent += 1
            else:
                relation = self._forward(atom.predicate)
                if atom.predicate in self._shared:
                    n = self._number(atom.predicate)
                    relation = f"{{**S{n}, **f{n}}}"
                self._line(scope.indent, f"for {subject}, values in {relation}.items():")
                scope.indent += 1
                if atom.subject == atom.value:
                    self._line(scope.indent, f"if {value} not in values: continue")
                else:
                    self._line(scope.indent, f"for {value} in values:")
                    scope.indent += 1
            scope.failure = "continue"
            scope.bound |= {term for term in (atom.subject, atom.value) if isinstance(term, Var)}

    def _other_ways(self, atom: Atom, scope: _Scope) -> list[Atom]:
        """What else the snapshot knows of the subject of a pattern, and may well be as short a way to it."""
        if not self._plan.is_held(atom.predicate):
            return []
        most = 3 * self._plan.cost(atom, scope.bound)
        return [
            other
            for other in scope.atoms
            if other.subject == atom.subject
            and is_bound(other.value, scope.bound)
            and self._plan.is_held(other.predicate)
            and self._plan.cost(other, scope.bound) <= most
        ]

    def _settle(self, scope: _Scope, functions: list[str]) -> None:
        """Everything that can be decided with what is bound."""
        for bind in list(scope.binds):
            var, expression = bind
            if variables(expression) <= scope.bound:
                scope.binds.remove(bind)
                text = self._expression(expression)
                if var in scope.bound:
                    self._line(scope.indent, f"if {self._term(var)} != {text}: {scope.failure}")
                else:
                    self._line(scope.indent, f"{self._term(var)} = {text}")
                    scope.bound.add(var)
        for condition in list(scope.conditions):
            if variables(condition) <= scope.bound:
                scope.conditions.remove(condition)
                self._line(scope.indent, f"if not ({self._expression(condition)}): {scope.failure}")
        for atom in list(scope.atoms):
            if is_bound(atom.subject, scope.bound) and is_bound(atom.value, scope.bound):
                scope.atoms.remove(atom)
                there = self._objects(atom.predicate, self._term(atom.subject))
                self._line(scope.indent, f"if {self._term(atom.value)} not in {there}: {scope.failure}")
        wanted = {term for atom in scope.atoms for term in (atom.subject, atom.value) if isinstance(term, Var)}
        wanted |= {var for var, _ in scope.binds}
        for inner in list(scope.absent):
            if not all_variables(inner) & (wanted - scope.bound):
                scope.absent.remove(inner)
                self._line(scope.indent, f"if {self._holds(inner, scope.bound, functions)}: {scope.failure}")
        for inner in list(scope.present):
            if not all_variables(inner) & (wanted - scope.bound):
                scope.present.remove(inner)
                there = self._holds(inner, scope.bound, functions, once=True)
                self._line(scope.indent, f"if not {there}: {scope.failure}")

    def _holds(self, body: Body, bound: AbstractSet[Var], functions: list[str], *, once: bool = False) -> str:
        """An expression that is true where the body has a solution; with ``once`` it looks once for each case."""
        if not self._plan.can_hold(body):
            return "False"
        if len(body.atoms) == 1 and not (body.binds or body.conditions or body.absent):
            (atom,) = body.atoms
            s, o = is_bound(atom.subject, bound), is_bound(atom.value, bound)
            if s and o:
                return f"{self._term(atom.value)} in {self._objects(atom.predicate, self._term(atom.subject))}"
            if s:
                return self._objects(atom.predicate, self._term(atom.subject))
        self._functions += 1
        name = f"holds{self._functions}"
        taken = sorted(all_variables(body) & bound, key=lambda var: var.name)
        names = ", ".join(self._term(var) for var in taken)
        outside, self._lines = self._lines, []
        inner_functions: list[str] = []
        scope = _Scope(
            set(taken),
            list(body.atoms),
            list(body.binds),
            list(body.conditions),
            list(body.absent),
            [],
            "return False",
            2,
        )
        indent = self._search(scope, inner_functions)
        self._line(indent, "return True")
        lines, self._lines = self._lines, outside
        functions += [
            *inner_functions,
            *(["    @_cache"] if once else []),
            f"    def {name}({names}):",
            *lines,
            "        return False",
        ]
        return f"{name}({names})"

    # --- Words --------------------------------------------------------------------------------------------------------

    def _line(self, indent: int, text: str) -> None:
        self._lines.append("    " * indent + text)

    def _term(self, term: Term) -> str:
        return self._constant(term.value) if isinstance(term, Const) else _identifier(term)

    def _constant(self, value: Value) -> str:
        if type(value) in (str, bool, int):
            return repr(value)
        name = next((name for name, held in self._tables.items() if name[0] == "K" and held == value), "")
        if not name:
            name = f"K{len(self._tables)}"
            self._tables[name] = value
        return name

    def _expression(self, expression: Expression) -> str:
        if not isinstance(expression, Call):
            return self._term(expression)
        parts = [self._expression(argument) for argument in expression.arguments]
        if expression.name in ("and", "or"):
            return f"({f' {expression.name} '.join(parts)})"
        if expression.name == "not":
            return f"(not {parts[0]})"
        if expression.name == "str":
            return f"_text({parts[0]})"
        if expression.name == "integer":
            return f"int({parts[0]})"
        if expression.name == "substr":
            return f"_text({parts[0]}[{parts[1]} - 1:{parts[1]} - 1 + {parts[2]}])"
        return f"({parts[0]} {'==' if expression.name == '=' else expression.name} {parts[1]})"


def _identifier(var: Var) -> str:
    return "this" if var == THIS else "v_" + "".join(c if c.isalnum() else "_" for c in var.name)
