"""Suites: the claims beside a policy and exactly what each of them must give, and the questions that it must answer.

A policy's folder holds ``suite.toml`` and ``claims/``. The suite lists each claim with its outcome and all of its
findings: one finding too many is as much a fault as one too few. Of a question it lists every provision of its own
policy that the answer has: so what no claim is held against is pinned too.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from chartulary.ask import Answer
from chartulary.claim import Claim
from chartulary.engines import EngineName
from chartulary.errors import ChartularyError
from chartulary.readers import read_claims
from chartulary.register import Register
from chartulary.report import ClaimOutcome, Outcome, Report
from chartulary.snapshot import Unknown
from chartulary.terms import ROOT

_FIELDS = {"file", "as_known_on", "unknown", "outcome", "findings"}
_FINDING_FIELDS = {"line", "provision", "outcome"}
_QUESTION_FIELDS = {"ask", "with", "as_known_on", "answers"}
_ANSWER_FIELDS = {"provision", "certainty"}

Certainty: TypeAlias = Literal["certain", "maybe"]


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
class Listed:
    """A provision (or amendment) of the suite's own policy that an answer must list."""

    provision: str
    """As written: a name in the suite's own policy folder."""
    certainty: Certainty
    """``maybe`` where the answer says so; what answers say nothing of is certain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question of a suite."""

    ask: str
    """Name of a query: ``requirements``."""
    parameters: Mapping[str, str]
    as_known_on: date | None
    answers: tuple[Listed, ...]

    @property
    def name(self) -> str:
        """The question in words: ``requirements code=38228 dos=2025-06-26``."""
        return " ".join([self.ask, *(f"{name}={value}" for name, value in self.parameters.items())])


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The examples and questions of one policy."""

    folder: Path
    name: str
    """The policy's folder inside the policies: ``medicare/ncd-110.24``."""
    examples: tuple[Example, ...]
    questions: tuple[Question, ...] = ()

    @property
    def own(self) -> str:
        """What the IRIs of the policy's own provisions begin with."""
        return f"{ROOT}policy/{self.name}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as the suite says."""

    where: str
    """The claim's file, or the question."""
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


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
    claims, questions = content.pop("claim", []), content.pop("question", [])
    if content or not (claims or questions) or not all(_is_tables(entries) for entries in (claims, questions)):
        raise ChartularyError(f"{path}: a suite is a list of [[claim]] and [[question]] and nothing else")
    return Suite(
        folder=path.parent,
        name=path.parent.relative_to(policies).as_posix(),
        examples=tuple(_example(claim, f"{path}: [[claim]] {number}") for number, claim in enumerate(claims, 1)),
        questions=tuple(_question(each, f"{path}: [[question]] {number}") for number, each in enumerate(questions, 1)),
    )


def root_of(folder: Path) -> Path:
    """The folder of policies that a policy's folder stands in, told by the files' own names; else the folder itself."""
    place = folder.resolve()
    for path in sorted(place.rglob("*.ttl")):
        told = path.read_text(encoding="utf-8", errors="replace")
        for name in dict.fromkeys(re.findall(rf"<{re.escape(ROOT)}policy/([^>#\s]+)[>#]", told)):
            whole = path.with_suffix("").as_posix()
            if whole.endswith(f"/{name}"):
                return Path(whole.removesuffix(f"/{name}"))
    return place


def run(suite: Suite, register: Register, engine: EngineName = "auto") -> list[str]:
    """What differs from the suite, a sentence each; nothing where all is as it says."""
    return [str(difference) for difference in differences(suite, register, engine)]


def differences(suite: Suite, register: Register, engine: EngineName = "auto") -> list[Difference]:
    """What differs from the suite, in its order; nothing where all is as it says."""
    listed = {example.file for example in suite.examples}
    files = (path for path in (suite.folder / "claims").rglob("*") if path.is_file())
    there = {path.relative_to(suite.folder).as_posix() for path in files}
    told = [Difference(where=file, text="not named in suite.toml") for file in sorted(there - listed)]
    entries: list[Example | Question] = [*suite.examples, *suite.questions]
    for entry in entries:
        if isinstance(entry, Example):
            where, found = _where(suite, entry), _of_claim(suite, entry, register, engine)
        else:
            where, found = entry.name, _of_question(suite, entry, register)
        try:
            told += (Difference(where=where, text=text) for text in found)
        except ChartularyError as fault:
            told.append(Difference(where=where, text=str(fault)))
    return told


def claim_of(suite: Suite, example: Example) -> Claim:
    """The claim of an example.

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
    return items[0]


def report(suite: Suite, example: Example, register: Register, engine: EngineName = "auto") -> Report:
    """The report on one example.

    Raises:
        ChartularyError: the file is missing, or does not hold exactly one claim without problems.
    """
    claim = claim_of(suite, example)
    return register.validate(claim, as_known_on=example.as_known_on, unknown=example.unknown, engine=engine)


def answer(question: Question, register: Register) -> Answer:
    """The answer to a question of a suite.

    Raises:
        ChartularyError: there is no such question or parameter, or a value names nothing in the register.
    """
    return register.ask(question.ask, as_known_on=question.as_known_on, **question.parameters)


def pinned(suite: Suite, found: Answer) -> frozenset[tuple[str, str]]:
    """What a suite pins of an answer: each provision of its own policy, and whether it is certain."""
    return frozenset(
        (str(row["provision"]), str(row.get("certainty") or "certain"))
        for row in found
        if str(row.get("provision")).startswith(suite.own)
    )


def _of_claim(suite: Suite, example: Example, register: Register, engine: EngineName) -> Iterator[str]:
    got = report(suite, example, register, engine)
    if got.outcome != example.outcome:
        yield f"outcome {got.outcome}, expected {example.outcome}"
    expected = Counter((resolve(f.provision, suite, register), f.line, f.outcome) for f in example.findings)
    found = Counter((f.provision, f.line or 0, f.outcome) for f in got.findings)
    for finding in sorted((expected - found).elements()):
        yield f"expected {_words(suite, *finding)}, not found"
    for finding in sorted((found - expected).elements()):
        yield f"found {_words(suite, *finding)}, not expected"


def _of_question(suite: Suite, question: Question, register: Register) -> Iterator[str]:
    expected = {(resolve(each.provision, suite, register), str(each.certainty)) for each in question.answers}
    found = pinned(suite, answer(question, register))
    for provision, certainty in sorted(expected - found):
        yield f"expected {certainty} {_short(suite, provision)}, not in the answer"
    for provision, certainty in sorted(found - expected):
        yield f"found {certainty} {_short(suite, provision)}, not expected"


def _where(suite: Suite, example: Example) -> str:
    """A file that is listed more than once is told apart by what makes it another example."""
    if sum(other.file == example.file for other in suite.examples) == 1:
        return example.file
    known = f"as known on {example.as_known_on}" if example.as_known_on else ""
    unknown = f"unknown {example.unknown}" if example.unknown != "review" else ""
    told = ", ".join(filter(None, (known, unknown)))
    return f"{example.file} ({told})" if told else example.file


def _words(suite: Suite, provision: str, line: int, outcome: str) -> str:
    return f"{outcome} {_short(suite, provision)} on {f'line {line}' if line else 'the claim'}"


def _short(suite: Suite, iri: str) -> str:
    return iri.rpartition("#")[2] if iri.startswith(suite.own) else iri.removeprefix(f"{ROOT}policy/")


def resolve(name: str, suite: Suite, register: Register) -> str:
    """The IRI of a provision as a suite names it.

    Raises:
        ChartularyError: no provision has that name, or several in the suite's folder do.
    """
    named = f"{ROOT}policy/{name}" if "#" in name else f"#{name}"
    folder = f"{ROOT}policy/" if "#" in name else suite.own
    if "#" in name and named in register.provisions:
        return named
    fitting = [iri for iri in register.provisions if iri.startswith(folder) and iri.endswith(named)]
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


def _question(question: dict[str, Any], where: str) -> Question:
    _only(question, _QUESTION_FIELDS, where)
    known, parameters, answers = question.get("as_known_on"), question.get("with", {}), question.get("answers")
    if not isinstance(question.get("ask"), str):
        raise ChartularyError(f"{where}: ask is missing: the name of a question (chartulary ask --list)")
    if known is not None and type(known) is not date:
        raise ChartularyError(f"{where}: as_known_on is a day without quotes (year-month-day)")
    if not isinstance(parameters, dict) or not all(isinstance(each, str | date) for each in parameters.values()):
        raise ChartularyError(f"{where}: with holds the question's parameters: {{ dos = year-month-day, code = '…' }}")
    if not isinstance(answers, list) or not all(isinstance(each, dict) for each in answers):
        raise ChartularyError(f"{where}: answers is a list of {{ provision, certainty }}, empty where there are none")
    return Question(
        ask=question["ask"],
        parameters={name: str(value) for name, value in parameters.items()},
        as_known_on=known,
        answers=tuple(_listed(each, where) for each in answers),
    )


def _listed(entry: dict[str, Any], where: str) -> Listed:
    _only(entry, _ANSWER_FIELDS, where)
    provision = entry.get("provision")
    if not isinstance(provision, str):
        raise ChartularyError(f"{where}: an answer has a provision's name")
    certainty = _one_of(entry.get("certainty", "certain"), Certainty, f"{where}: certainty of {provision}")
    return Listed(provision=provision, certainty=certainty)


def _is_tables(entries: object) -> bool:
    return isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)


def _only(table: dict[str, Any], fields: set[str], where: str) -> None:
    if unknown := sorted(set(table) - fields):
        raise ChartularyError(f"{where}: '{unknown[0]}' is none of {', '.join(sorted(fields))}")


def _one_of(value: object, choice: Any, where: str) -> Any:
    if value not in get_args(choice):
        raise ChartularyError(f"{where} is one of {', '.join(get_args(choice))}")
    return value
