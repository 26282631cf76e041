"""Suites: the claims beside a policy, and exactly what each of them must give.

A policy's folder holds ``suite.toml`` and ``claims/``. The suite lists each claim with its outcome and all of its
findings: one finding too many is as much a fault as one too few.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, get_args

from rdflib import RDF

from chartulary.claim import Claim
from chartulary.engines import EngineName
from chartulary.errors import ChartularyError
from chartulary.namespaces import POL, ROOT
from chartulary.readers import read_claims
from chartulary.register import Register
from chartulary.report import ClaimOutcome, Outcome, Report
from chartulary.snapshot import Unknown

_FIELDS = {"file", "as_known_on", "unknown", "outcome", "findings"}
_FINDING_FIELDS = {"line", "provision", "outcome"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A finding that must be there."""

    provision: str
    """As written: a name in the suite's own policy folder, or what follows ``…/policy/`` in the IRI of another's."""
    line: int
    """Line number as sent; 0 is the claim itself."""
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A claim of a suite."""

    file: str
    """Path from the suite's folder."""
    as_known_on: date | None
    unknown: Unknown
    outcome: ClaimOutcome
    findings: tuple[Expected, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The examples of one policy."""

    folder: Path
    name: str
    """The policy's folder inside the policies: ``medicare/ncd-110.24``."""
    examples: tuple[Example, ...]


def find_suites(policies: Path) -> list[Suite]:
    """Every suite under a folder of policies.

    Raises:
        ChartularyError: a suite cannot be read, or a folder of claims has none beside it.
    """
    for claims in sorted(policies.rglob("claims")):
        if claims.is_dir() and not (claims.parent / "suite.toml").is_file():
            raise ChartularyError(f"{claims}: claims without a suite.toml beside them")
    return [read_suite(path, policies) for path in sorted(policies.rglob("suite.toml"))]


def read_suite(path: Path, policies: Path) -> Suite:
    """One ``suite.toml``, somewhere under the folder of policies.

    Raises:
        ChartularyError: it is not TOML, or says something that a suite does not say.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ChartularyError(f"{path}: not TOML: {fault}") from None
    claims = content.pop("claim", None)
    if content or not isinstance(claims, list) or not claims or not all(isinstance(claim, dict) for claim in claims):
        raise ChartularyError(f"{path}: a suite is a list of [[claim]] and nothing else")
    name = path.parent.relative_to(policies).as_posix()
    examples = tuple(_example(claim, f"{path}: [[claim]] {number}") for number, claim in enumerate(claims, 1))
    return Suite(folder=path.parent, name=name, examples=examples)


def run(suite: Suite, register: Register, engine: EngineName = "auto") -> list[str]:
    """What differs from the suite, a sentence each; nothing where all is as it says."""
    listed = {example.file for example in suite.examples}
    files = (path for path in (suite.folder / "claims").rglob("*") if path.is_file())
    there = {path.relative_to(suite.folder).as_posix() for path in files}
    differences = [f"{file}: not named in suite.toml" for file in sorted(there - listed)]
    for example in suite.examples:
        try:
            found = report(suite, example, register, engine)
            differences += (f"{example.file}: {text}" for text in _differences(suite, example, register, found))
        except ChartularyError as fault:
            differences.append(f"{example.file}: {fault}")
    return differences


def report(suite: Suite, example: Example, register: Register, engine: EngineName = "auto") -> Report:
    """The report on one example.

    Raises:
        ChartularyError: the file is missing, or does not hold exactly one claim without problems.
    """
    path = suite.folder / example.file
    if not path.is_file():
        raise ChartularyError("no such file")
    items = list(read_claims(path))
    for item in items:
        if not isinstance(item, Claim):
            raise ChartularyError(item.message)
    if len(items) != 1 or not isinstance(items[0], Claim):
        raise ChartularyError(f"{len(items)} claims, expected one")
    return register.validate(items[0], as_known_on=example.as_known_on, unknown=example.unknown, engine=engine)


def _differences(suite: Suite, example: Example, register: Register, got: Report) -> Iterator[str]:
    if got.outcome != example.outcome:
        yield f"outcome {got.outcome}, expected {example.outcome}"
    expected = Counter((resolve(f.provision, suite, register), f.line, f.outcome) for f in example.findings)
    found = Counter((f.provision, f.line or 0, f.outcome) for f in got.findings)
    for finding in sorted((expected - found).elements()):
        yield f"expected {_words(suite, *finding)}, not found"
    for finding in sorted((found - expected).elements()):
        yield f"found {_words(suite, *finding)}, not expected"


def _words(suite: Suite, provision: str, line: int, outcome: str) -> str:
    own = f"{ROOT}policy/{suite.name}/"
    name = provision.rpartition("#")[2] if provision.startswith(own) else provision.removeprefix(f"{ROOT}policy/")
    return f"{outcome} {name} on {f'line {line}' if line else 'the claim'}"


def resolve(name: str, suite: Suite, register: Register) -> str:
    """The IRI of a provision as a suite names it.

    Raises:
        ChartularyError: no provision has that name, or several in the suite's folder do.
    """
    named = f"{ROOT}policy/{name}" if "#" in name else f"#{name}"
    folder = f"{ROOT}policy/" if "#" in name else f"{ROOT}policy/{suite.name}/"
    fitting = [
        str(provision)
        for graph in register.files.values()
        for provision in graph.subjects(RDF.type, POL.Provision)
        if str(provision).startswith(folder) and str(provision).endswith(named)
    ]
    if not fitting:
        raise ChartularyError(f"suite.toml expects '{name}', which is no provision")
    if len(fitting) > 1:
        whole = " or ".join(sorted(iri.removeprefix(f"{ROOT}policy/") for iri in fitting))
        raise ChartularyError(f"suite.toml expects '{name}', which is several provisions: write {whole}")
    return fitting[0]


def _example(claim: dict[str, Any], where: str) -> Example:
    _only(claim, _FIELDS, where)
    known, findings = claim.get("as_known_on"), claim.get("findings", [])
    if not isinstance(claim.get("file"), str):
        raise ChartularyError(f"{where}: file is missing")
    if known is not None and type(known) is not date:
        raise ChartularyError(f"{where}: as_known_on is a day without quotes (year-month-day)")
    if not isinstance(findings, list) or not all(isinstance(finding, dict) for finding in findings):
        raise ChartularyError(f"{where}: findings is a list of {{ line, provision, outcome }}")
    return Example(
        file=claim["file"],
        as_known_on=known,
        unknown=_one_of(claim.get("unknown", "review"), Unknown, f"{where}: unknown"),
        outcome=_one_of(claim.get("outcome"), ClaimOutcome, f"{where}: outcome"),
        findings=tuple(_finding(finding, where) for finding in findings),
    )


def _finding(finding: dict[str, Any], where: str) -> Expected:
    _only(finding, _FINDING_FIELDS, where)
    line, provision = finding.get("line", 0), finding.get("provision")
    if type(line) is not int or not isinstance(provision, str):
        raise ChartularyError(f"{where}: a finding has a provision's name and a line's number (none for the claim)")
    outcome = _one_of(finding.get("outcome"), Outcome, f"{where}: outcome of {provision}")
    return Expected(provision=provision, line=line, outcome=outcome)


def _only(table: dict[str, Any], fields: set[str], where: str) -> None:
    if unknown := sorted(set(table) - fields):
        raise ChartularyError(f"{where}: '{unknown[0]}' is none of {', '.join(sorted(fields))}")


def _one_of(value: object, choice: Any, where: str) -> Any:
    if value not in get_args(choice):
        raise ChartularyError(f"{where} is one of {', '.join(get_args(choice))}")
    return value
