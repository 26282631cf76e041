"""The rules in one normal form that compilers read: bodies of triple patterns, conditions, and what must not hold.

A query becomes a list of bodies, one for each combination of its UNION branches. The module ``algebra`` makes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from chartulary.facts import Value


@dataclass(frozen=True, slots=True)
class Var:
    """A variable of a query; ``this`` is the focus node."""

    name: str


@dataclass(frozen=True, slots=True)
class Const:
    """An IRI or literal."""

    value: Value


Term: TypeAlias = Var | Const


@dataclass(frozen=True, slots=True)
class Call:
    """An operator or function: a comparison, ``and``, ``or``, ``not``, ``+ - *``, ``str``, ``substr``, ``integer``."""

    name: str
    arguments: tuple[Expression, ...]


Expression: TypeAlias = Var | Const | Call


@dataclass(frozen=True, slots=True)
class Atom:
    """A triple pattern with a constant predicate."""

    subject: Term
    predicate: str
    value: Term


@dataclass(frozen=True, slots=True)
class Body:
    """One way in which a query is answered."""

    atoms: tuple[Atom, ...] = ()
    binds: tuple[tuple[Var, Expression], ...] = ()
    conditions: tuple[Expression, ...] = ()
    absent: tuple[Body, ...] = ()

    def variables(self) -> set[Var]:
        """What its patterns and binds give a value to."""
        given = {term for atom in self.atoms for term in (atom.subject, atom.value) if isinstance(term, Var)}
        return given | {var for var, _ in self.binds}


@dataclass(frozen=True, slots=True)
class Rule:
    """What is derived (heads), and from what (any of the bodies)."""

    name: str
    label: str
    order: int
    heads: tuple[Atom, ...]
    bodies: tuple[Body, ...]
    message: str = field(default="", compare=False)
    """What a shape says where it is broken."""


THIS = Var("this")


def variables(expression: Expression) -> set[Var]:
    """Every variable of an expression."""
    if isinstance(expression, Var):
        return {expression}
    if isinstance(expression, Call):
        return set().union(*(variables(argument) for argument in expression.arguments))
    return set()


def all_variables(body: Body) -> set[Var]:
    """Every variable that a body speaks of, bound or not."""
    found = body.variables().union(*(variables(c) for c in body.conditions))
    found = found.union(*(variables(expression) for _, expression in body.binds))
    return found.union(*(all_variables(inner) for inner in body.absent))


def predicates(body: Body) -> Iterator[str]:
    """What a body reads, the parts that must not hold taken in."""
    for atom in body.atoms:
        yield atom.predicate
    for inner in body.absent:
        yield from predicates(inner)
