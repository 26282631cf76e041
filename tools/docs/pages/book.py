"""What the pages are made from: the register with all that it holds, and what its suites' claims were found to be."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from pathlib import Path

from chartulary import suites
from chartulary.book import POLICY, Contents, Period
from chartulary.register import Register, data_folder
from chartulary.report import Report
from chartulary.suites import Example, Suite
from chartulary.terms import POL
from pages.markdown import link

__all__ = ["POLICY", "Book", "Period", "spot"]


class Book(Contents):
    """The register behind the pages, read once."""

    def __init__(self, base: Path, register: Register | None = None) -> None:
        super().__init__((register or Register.load()).snapshot())
        self.base = base
        """The checkout."""
        self.shown: set[Path] = set()
        """Files of the checkout that a page links to."""

    def file(self, path: str, *, here: str) -> str:
        """A link to the page that shows a file of the checkout; empty where there is no such file."""
        if not (self.base / path).is_file():
            return ""
        self.shown.add(self.base / path)
        return link(path, f"files/{path}.md", here=here)

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
