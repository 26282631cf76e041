"""In which order the patterns of a body are best tried, by what the snapshot holds and by guesses."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any, TypeAlias

from chartulary.compiler.rules import THIS, Atom, Body, Const, Rule, Term, Var, all_variables
from chartulary.facts import Facts
from chartulary.terms import TYPE

Index: TypeAlias = dict[Any, AbstractSet[Any]]

# Guesses at how many objects a subject has: of what a claim states, of what rules derive; and how much worse it is to
# look from the object. They choose an order, never a result.
_STATED, _DERIVED, _BACKWARDS, _TEST = 2.0, 8.0, 40.0, 0.01


def inverse(relation: Mapping[Any, AbstractSet[Any]]) -> Index:
    """A relation from its objects to their subjects."""
    found: dict[Any, set[Any]] = {}
    for subject, values in relation.items():
        for value in values:
            found.setdefault(value, set()).add(subject)
    return dict(found)


class Plan:
    """What is known of the relations that rules read.

    ``shared`` are the predicates of the snapshot that claims state too; of any other, one side alone speaks.
    """

    def __init__(self, rules: Iterable[Rule], snapshot: Facts, *, shared: Collection[str]) -> None:
        self.snapshot, self.shared = snapshot, frozenset(shared)
        self.derived = {head.predicate: rule.order for rule in rules for head in rule.heads}
        """Derived predicates, each with the order of the last rule that derives it."""
        self._backward: dict[str, Index] = {}

    def is_held(self, predicate: str) -> bool:
        """Whether the snapshot alone speaks of a predicate."""
        held = predicate in self.snapshot.relations
        return held and predicate not in self.shared and predicate not in self.derived

    def forward(self, predicate: str) -> Mapping[str, AbstractSet[Any]]:
        return self.snapshot.relation(predicate)

    def backward(self, predicate: str) -> Index:
        if predicate not in self._backward:
            self._backward[predicate] = inverse(self.forward(predicate))
        return self._backward[predicate]

    def can_hold(self, body: Body) -> bool:
        """False where the snapshot has nothing that a pattern asks for."""
        return not any(
            self.is_held(atom.predicate)
            and isinstance(atom.value, Const)
            and atom.value.value not in self.backward(atom.predicate)
            for atom in body.atoms
        )

    def is_said_by_snapshot(self, atom: Atom) -> bool:
        """Whether the snapshot alone answers a pattern: claims have no classes of their own but those of items."""
        if self.is_held(atom.predicate):
            return True
        return atom.predicate == TYPE and isinstance(atom.value, Const) and atom.value.value in self.backward(TYPE)

    def without_targets(self, atoms: Sequence[Atom]) -> list[Atom]:
        """Patterns without the class of the focus node where another is derived, and so of such a node anyway."""
        known = any(atom.subject == THIS and atom.predicate in self.derived for atom in atoms)
        return [a for a in atoms if not (known and a.subject == THIS and a.predicate == TYPE)]

    def other_items(self, body: Body, heads: Iterable[Atom]) -> tuple[Body, list[Body]]:
        """A body without what it asks of other items of the claim, and that by itself, to be asked once for all items.

        It is taken out where the body only asks whether there is such an item. So lines need not be held against each
        other, each against all.
        """
        wanted = {THIS, *(term for head in heads for term in (head.subject, head.value))}
        asked = []
        for var in [atom.value for atom in body.atoms if self._is_stated(atom.predicate)]:
            atoms = tuple(atom for atom in body.atoms if var in (atom.subject, atom.value))
            absent = tuple(inner for inner in body.absent if var in all_variables(inner))
            apart = Body(atoms, absent=absent)
            rest = replace(
                body,
                atoms=tuple(atom for atom in body.atoms if atom not in atoms),
                absent=tuple(inner for inner in body.absent if inner not in absent),
            )
            shared = all_variables(apart) - {var}
            if (
                any(atom.subject == var and atom.predicate in self.derived for atom in atoms)
                and THIS not in shared
                and shared <= rest.variables()
                and var not in wanted | all_variables(rest)
            ):
                body = rest
                asked.append(apart)
        return body, asked

    def _is_stated(self, predicate: str) -> bool:
        return not (self.is_held(predicate) or predicate in self.derived or predicate in self.shared)

    def held_groups(self, atoms: Iterable[Atom]) -> list[list[Atom]]:
        """The patterns that the snapshot alone answers, those together that share a variable."""
        groups: list[list[Atom]] = []
        for atom in atoms:
            if self.is_said_by_snapshot(atom):
                near = [group for group in groups if any(_variables(atom) & _variables(other) for other in group)]
                groups = [group for group in groups if group not in near] + [[*itertools.chain(*near), atom]]
        return groups

    def measure(self, atoms: Sequence[Atom], most: int = 20_000) -> tuple[int, dict[Var, int]] | None:
        """How many solutions the snapshot has of patterns, and how many values each variable; None for too many."""
        found = list(itertools.islice(self._solutions(list(atoms), {}), most + 1))
        if len(found) > most:
            return None
        names = {var for atom in atoms for var in _variables(atom)}
        return len(found), {var: len({solution[var] for solution in found}) for var in names}

    def _solutions(self, atoms: list[Atom], env: dict[Term, Any]) -> Iterator[dict[Term, Any]]:
        if not atoms:
            yield env
            return
        atom = self.next(atoms, {term for term in env if isinstance(term, Var)})
        rest = [other for other in atoms if other is not atom]
        s: Any
        o: Any
        s, o = (term.value if isinstance(term, Const) else env.get(term) for term in (atom.subject, atom.value))
        forward = self.forward(atom.predicate)
        if s is not None:
            pairs = [(s, value) for value in forward.get(s, ()) if o is None or value == o]
        elif o is not None:
            pairs = [(subject, o) for subject in self.backward(atom.predicate).get(o, ())]
        else:
            pairs = [(subject, value) for subject, values in forward.items() for value in values]
        for subject, value in pairs:
            yield from self._solutions(rest, {**env, atom.subject: subject, atom.value: value})

    def anchor(self, body: Body) -> Atom | None:
        """The pattern whose subjects are the items worth trying: what was derived last has the fewest."""
        said = [atom for atom in body.atoms if atom.subject == THIS and not self.is_held(atom.predicate)]
        return max(said, key=lambda atom: self.derived.get(atom.predicate, 0), default=None)

    def next(self, atoms: Sequence[Atom], bound: AbstractSet[Var]) -> Atom:
        """The pattern to try next."""
        return min(atoms, key=lambda atom: self.cost(atom, bound))

    def cost(self, atom: Atom, bound: AbstractSet[Var]) -> float:
        """How many ways there are on average to bind what is free."""
        s, o = is_bound(atom.subject, bound), is_bound(atom.value, bound)
        if s and o:
            return _TEST
        if not self.is_held(atom.predicate) and (s or atom.predicate not in self.shared):
            fan = _DERIVED if atom.predicate in self.derived else _STATED
            return fan if s else fan * _BACKWARDS
        forward, backward = self.forward(atom.predicate), self.backward(atom.predicate)
        total = sum(map(len, forward.values()))
        if s:
            return total / max(1, len(forward))
        if isinstance(atom.value, Const):
            return float(len(backward.get(atom.value.value, ())))
        if o:  # few things stand for very many others, such as a code system for its codes
            return total / max(1, len(backward)) * (_BACKWARDS if atom.predicate in self.shared else 1)
        return float(total) + 1


def _variables(atom: Atom) -> set[Var]:
    return {term for term in (atom.subject, atom.value) if isinstance(term, Var)}


def is_bound(term: Term, bound: AbstractSet[Var]) -> bool:
    """Whether a term is a constant or a variable that has its value."""
    return isinstance(term, Const) or term in bound
