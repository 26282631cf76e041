"""What the pages are made from: the register with all that it holds, and what its suites' claims were found to be."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from rdflib import URIRef

from chartulary import suites
from chartulary.facts import Facts
from chartulary.formats import period, published
from chartulary.register import Register, data_folder
from chartulary.report import Reader, Report
from chartulary.snapshot import FIRST_DAY, LAST_DAY, bounds, span
from chartulary.suites import Example, Suite
from chartulary.terms import POL, ROOT, TYPE
from pages.markdown import link

POLICY = f"{ROOT}policy/"
_SUBJECT = re.compile(r"^:([\w.-]+)(?=\s)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Period:
    """Days of service on which something holds; None where no source gives an end."""

    possible_from: date | None
    certain_from: date | None
    certain_until: date | None
    possible_until: date | None
    words: str


@dataclass(frozen=True)
class Book:
    """The register behind the pages, read once."""

    base: Path
    """The checkout."""
    register: Register = field(default_factory=Register.load)
    shown: set[Path] = field(default_factory=set)
    """Files of the checkout that a page links to."""

    @property
    def facts(self) -> Facts:
        return self.register.snapshot().facts

    @property
    def reader(self) -> Reader:
        return self.register.snapshot().reader

    def file(self, path: str, *, here: str) -> str:
        """A link to the page that shows a file of the checkout; empty where there is no such file."""
        if not (self.base / path).is_file():
            return ""
        self.shown.add(self.base / path)
        return link(path, f"files/{path}.md", here=here)

    def text(self, node: str, predicate: str) -> str:
        """A text that is said of something; empty where nothing is."""
        value = self.facts.value(node, predicate)
        return "" if value is None else str(value)

    def labels(self, nodes: Any) -> list[str]:
        return sorted(map(self.reader.label, nodes))

    def period(self, node: str) -> Period:
        """When a provision holds, amendments counted; the words are those of an answer."""
        begins, sure, ends, until = (
            self.facts.value(node, name)
            for name in (POL.possibleFrom, POL.certainFrom, POL.certainUntil, POL.possibleUntil)
        )
        row = {
            "effective_from": _stated(begins),
            "effective_latest": sure if begins < sure <= ends else None,
            "ends_earliest": ends if ends < until and sure <= ends else None,
            "effective_until": _stated(until),
        }
        return Period(_stated(begins), _stated(sure), _stated(ends), _stated(until), period(row))

    # --- Policies -----------------------------------------------------------------------------------------------------

    @cached_property
    def policies(self) -> list[str]:
        return sorted(self.facts.subjects(TYPE, POL.Policy), key=lambda policy: self.reader.label(policy).casefold())

    def versions(self, policy: str) -> list[str]:
        """In the order of publication."""
        found = self.facts.subjects(POL.versionOf, policy)
        return sorted(found, key=lambda version: self.text(version, POL.publishedText).rpartition("/")[2])

    def inside(self, version: str, kind: str) -> list[str]:
        """The provisions or amendments of a version, in the order of its file."""
        path = self.base / "policies" / f"{version.removeprefix(POLICY)}.ttl"
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        places = {name: place for place, name in enumerate(_SUBJECT.findall(text))}
        found = [node for node in self.facts.subjects(TYPE, kind) if node.startswith(f"{version}#")]
        return sorted(found, key=lambda node: (places.get(node.rpartition("#")[2], len(places)), node))

    def known(self, provision: str) -> str:
        """When anyone could know of a provision: by its own publication, else its version's, in words."""
        graph, node = self.register.snapshot().graph, URIRef(provision)
        own = bounds(graph, node, "published")
        return published(span(*own) if any(own) else self.text(provision.partition("#")[0], POL.publishedText))

    def where(self, node: str) -> str:
        """The place on the site that tells of a policy, or of a version, provision or amendment of one."""
        version, _, name = node.partition("#")
        policy = self.facts.value(version, POL.versionOf) or version
        place = f"policies/{policy.removeprefix(POLICY)}.md"
        if version == policy:
            return place
        return f"{place}#{spot(version, name)}"

    # --- Suites -------------------------------------------------------------------------------------------------------

    @cached_property
    def examples(self) -> list[tuple[Suite, Example, Report]]:
        """Every claim of every suite, with what is found about it."""
        return [
            (suite, example, suites.report(suite, example, self.register))
            for suite in suites.find_suites(data_folder("policies"))
            for example in suite.examples
        ]

    @cached_property
    def by_provision(self) -> dict[str, dict[str, list[tuple[Suite, Example]]]]:
        """By provision and outcome (``kept`` where it was held against a claim and found nothing): claims of suites."""
        told: dict[str, dict[str, list[tuple[Suite, Example]]]] = defaultdict(lambda: defaultdict(list))
        for suite, example, report in self.examples:
            outcomes: dict[str, set[str]] = defaultdict(set)
            for finding in report.findings:
                outcomes[finding.provision].add(finding.outcome)
            for governing in report.governed_by:
                outcomes.setdefault(governing.provision, {"kept"})
            for provision, found in outcomes.items():
                for outcome in found:
                    told[provision][outcome].append((suite, example))
        return told


def spot(version: str, name: str = "") -> str:
    """The name of a place on its policy's page."""
    short = version.rpartition("/")[2]
    return f"v{short}" + (f"-{name}" if name else "")


def _stated(day: date) -> date | None:
    return None if day in (FIRST_DAY, LAST_DAY) else day
