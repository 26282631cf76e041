"""Plain relations: predicate, subject, objects. What a snapshot and a claim are once RDF has been read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from rdflib import Graph, Literal, Node

Value: TypeAlias = str | bool | int | Decimal | date
"""An IRI (str), a text (:class:`Text`), or a literal's Python value."""
Relation: TypeAlias = dict[str, set[Any]]

_NOTHING: frozenset[Any] = frozenset()


class Text(str):
    """A literal text, told apart from an IRI by its type alone."""

    __slots__ = ()


class Facts:
    """Relations by predicate, each from a subject to the set of its objects."""

    __slots__ = ("_inverse", "relations")

    def __init__(self, relations: dict[str, Relation] | None = None) -> None:
        self.relations: dict[str, Relation] = {} if relations is None else relations
        self._inverse: dict[str, dict[Value, list[str]]] = {}

    def add(self, subject: str, predicate: str, value: Value) -> None:
        relation = self.relations.get(predicate)
        if relation is None:
            self.relations[predicate] = {subject: {value}}
            return
        values = relation.get(subject)
        if values is None:
            relation[subject] = {value}
        else:
            values.add(value)

    def relation(self, predicate: str) -> Mapping[str, AbstractSet[Any]]:
        return self.relations.get(predicate, {})

    def objects(self, subject: str, predicate: str) -> AbstractSet[Any]:
        relation = self.relations.get(predicate)
        return _NOTHING if relation is None else relation.get(subject, _NOTHING)

    def has(self, subject: str, predicate: str, value: Value) -> bool:
        return value in self.objects(subject, predicate)

    def value(self, subject: str, predicate: str) -> Any:
        """The only object, or the first by its text where there are more."""
        values = self.objects(subject, predicate)
        if len(values) > 1:
            return min(values, key=str)
        return next(iter(values), None)

    def subjects(self, predicate: str, value: Value) -> list[str]:
        """Subjects in the order of their names. Indexed on first use: for facts that no longer change."""
        inverse = self._inverse.get(predicate)
        if inverse is None:
            inverse = self._inverse[predicate] = {}
            for subject in sorted(self.relation(predicate)):
                for each in self.relations[predicate][subject]:
                    inverse.setdefault(each, []).append(subject)
        return inverse.get(value, [])

    def __iter__(self) -> Iterator[tuple[str, str, Value]]:
        for predicate, relation in self.relations.items():
            for subject, values in relation.items():
                for value in values:
                    yield subject, predicate, value

    def __reduce__(self) -> tuple[type[Facts], tuple[dict[str, Relation]]]:
        return Facts, (self.relations,)


_MOST_REMEMBERED = 100_000


_Asked = TypeVar("_Asked")
_Told = TypeVar("_Told")


class Memory(dict[_Asked, _Told]):
    """What a function gave for what it was asked; forgets all when it has become large."""

    def __init__(self, work_out: Callable[[_Asked], _Told]) -> None:
        super().__init__()
        self._work_out = work_out

    def __missing__(self, asked: _Asked) -> _Told:
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        answer = self[asked] = self._work_out(asked)
        return answer


def from_graph(triples: Iterable[tuple[Node, Node, Node]]) -> Facts:
    """Facts of an RDF graph without blank nodes; what stands for one string is one string."""
    from rdflib import Literal, URIRef

    facts = Facts()
    seen: dict[Node, Value] = {}
    for s, p, o in triples:
        if not isinstance(s, URIRef) or not isinstance(p, URIRef):
            continue
        subject = seen.setdefault(s, str(s))
        predicate = seen.setdefault(p, str(p))
        value = seen.get(o)
        if value is None:
            if isinstance(o, URIRef):
                value = str(o)
            elif isinstance(o, Literal):
                value = plain(o)
            else:
                continue
            seen[o] = value
        assert isinstance(subject, str) and isinstance(predicate, str)
        facts.add(subject, predicate, value)
    return facts


def plain(literal: Literal) -> Value:
    """A literal's Python value; text where it has none of the kinds that rules compute with."""
    value = literal.toPython()
    if isinstance(value, (bool, int, Decimal, date)) and not hasattr(value, "hour"):
        return value
    return Text(literal)


def to_graph(facts: Facts | Iterable[Facts]) -> Graph:
    """The same facts as one RDF graph."""
    from rdflib import Graph, Literal, URIRef

    graph = Graph()
    for s, p, o in facts if isinstance(facts, Facts) else itertools.chain(*facts):
        is_iri = isinstance(o, str) and not isinstance(o, Text)
        graph.add((URIRef(s), URIRef(p), URIRef(o) if is_iri else Literal(o)))  # type: ignore[arg-type]
    return graph
