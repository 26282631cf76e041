"""The register to read in: policies, versions and what stands in them, in the order and the words of a page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from chartulary.facts import Facts, Memory
from chartulary.formats import period, published
from chartulary.register import Register, Snapshot
from chartulary.report import Reader
from chartulary.snapshot import FIRST_DAY, LAST_DAY, span
from chartulary.terms import CLM, POL, ROOT, SKOS, TYPE

POLICY = f"{ROOT}policy/"
COMMENT = "http://www.w3.org/2000/01/rdf-schema#comment"
_LEVELS = {CLM.Line: "each line", CLM.Claim: "the claim itself"}
_SUBJECT = re.compile(r"^:([\w.-]+)(?=\s)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Period:
    """Days of service on which something holds; None where no source gives an end."""

    possible_from: date | None
    certain_from: date | None
    certain_until: date | None
    possible_until: date | None
    words: str

    @property
    def doubtful(self) -> bool:
        """Whether it may hold on days on which it does not surely hold."""
        return (self.possible_from, self.possible_until) != (self.certain_from, self.certain_until)

    @property
    def ever_certain(self) -> bool:
        """Whether there is a day on which it surely holds."""
        return not self.certain_from or not self.certain_until or self.certain_from <= self.certain_until

    @property
    def order(self) -> tuple[date, date]:
        """What comes first begins first."""
        return self.possible_from or FIRST_DAY, self.possible_until or LAST_DAY


class Contents:
    """What a page says of policies, as known on the day of a snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._places = Memory(self._placed)

    @property
    def register(self) -> Register:
        return self.snapshot.register

    @property
    def facts(self) -> Facts:
        return self.snapshot.facts

    @property
    def reader(self) -> Reader:
        return self.snapshot.reader

    def text(self, node: str, predicate: str) -> str:
        """A text that is said of something; empty where nothing is."""
        value = self.facts.value(node, predicate)
        return "" if value is None else str(value)

    def labels(self, nodes: Iterable[str]) -> list[str]:
        return sorted(map(self.reader.label, nodes))

    def by_label(self, nodes: Iterable[str]) -> list[str]:
        return sorted(nodes, key=lambda node: (self.reader.label(node).casefold(), node))

    # --- Days ---------------------------------------------------------------------------------------------------------

    def period(self, node: str) -> Period:
        """When a provision holds, amendments counted; the words are those of an answer."""
        begins, sure, ends, until = (
            self.facts.value(node, name)
            for name in (POL.possibleFrom, POL.certainFrom, POL.certainUntil, POL.possibleUntil)
        )
        row = {
            "effective_from": stated(begins),
            "effective_latest": sure if begins < sure <= ends else None,
            "ends_earliest": ends if ends < until and sure <= ends else None,
            "effective_until": stated(until),
        }
        return Period(stated(begins), stated(sure), stated(ends), stated(until), period(row))

    def starts(self, amendment: str) -> tuple[date | None, date | None]:
        """The earliest and the latest that a change's first day of service may be."""
        exact = self.facts.value(amendment, POL.effectiveFrom)
        earliest, latest = (self.facts.value(amendment, name) for name in (POL.effectiveEarliest, POL.effectiveLatest))
        return exact or earliest, exact or latest

    def since(self, amendment: str) -> str:
        """A change's first day of service, in words."""
        earliest, latest = self.starts(amendment)
        return str(earliest) if earliest and earliest == latest else f"some day of {earliest or '..'}/{latest or '..'}"

    def day(self, node: str, name: str) -> str:
        """A date that may be exact (``nameOn``) or known within bounds, in words; empty where none is stated."""
        bounds = self.bounds(node, name)
        return published(span(*bounds)) if any(bounds) else ""

    def bounds(self, node: str, name: str) -> tuple[date | None, date | None]:
        """The earliest and the latest that a date (``nameOn``, ``nameEarliest``, ``nameLatest``) may be."""
        exact = self.facts.value(node, POL[f"{name}On"])
        if exact:
            return exact, exact
        return self.facts.value(node, POL[f"{name}Earliest"]), self.facts.value(node, POL[f"{name}Latest"])

    def known(self, node: str) -> str:
        """When anyone could know of a provision: by its own publication, else its version's, in words."""
        return self.day(node, "published") or published(self.text(node.partition("#")[0], POL.publishedText))

    # --- Policies -----------------------------------------------------------------------------------------------------

    @cached_property
    def policies(self) -> list[str]:
        return self.by_label(self.facts.subjects(TYPE, POL.Policy))

    def versions(self, policy: str) -> list[str]:
        """In the order of publication."""
        found = self.facts.subjects(POL.versionOf, policy)
        return sorted(found, key=lambda version: self.text(version, POL.publishedText).rpartition("/")[2])

    def inside(self, version: str, kind: str) -> list[str]:
        """The provisions or amendments of a version, in the order of its file."""
        places = self._places[version]
        found = [node for node in self.facts.subjects(TYPE, kind) if node.startswith(f"{version}#")]
        return sorted(found, key=lambda node: (places.get(node.rpartition("#")[2], len(places)), node))

    def _placed(self, version: str) -> dict[str, int]:
        text = "\n".join(path.read_text(encoding="utf-8") for path in self.register.paths.get(version, ()))
        return {name: place for place, name in enumerate(_SUBJECT.findall(text))}

    # --- A provision in words -----------------------------------------------------------------------------------------

    def scope(self, scope: str) -> str:
        """Whom a scope binds: payers, lines of business, settings and kinds of request."""
        names = (POL.payer, POL.lineOfBusiness, POL.setting, POL.request)
        return "; ".join(" or ".join(self.labels(self.facts.objects(scope, name))) for name in names)

    def checked(self, provision: str) -> str:
        """What a provision is held against."""
        return " and ".join(sorted(_LEVELS[level] for level in self.facts.objects(provision, POL.checks)))

    def recommends(self, provision: str) -> str:
        direction = self.facts.value(provision, POL.recommends)
        if not direction:
            return ""
        grade = self.text(provision, POL.grade)
        return self.reader.label(direction) + (f", grade {grade}" if grade else "")

    def severity(self, provision: str) -> str:
        """What it gives where it is broken: ``violation``, ``review`` or ``info``."""
        return str(self.facts.value(provision, POL.severity)).rpartition("#")[2].lower()

    def asks(self, provision: str) -> bool:
        """Whether it asks anything of a claim."""
        return bool(self.facts.objects(provision, POL.requires) or self.facts.objects(provision, POL.prohibits))

    def sought(self, criterion: str) -> tuple[str, list[str]]:
        """What a criterion comes down to: a word that joins it, and its members, or the codes that its label hides."""
        label, facts = self.reader.label, self.facts
        if members := self.by_label(facts.objects(criterion, POL.member)):
            return ("or" if facts.has(criterion, TYPE, POL.AnyOf) else "and"), [label(member) for member in members]
        codes = [c for c in facts.objects(criterion, POL.expects) if facts.value(c, SKOS.notation) is not None]
        hidden = (label(code) for code in codes if str(facts.value(code, SKOS.notation)) not in label(criterion))
        return "looks for", sorted(hidden)


def stated(day: date) -> date | None:
    """The open ends of the calendar are no dates: nothing is stated."""
    return None if day in (FIRST_DAY, LAST_DAY) else day
