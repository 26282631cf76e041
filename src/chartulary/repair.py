"""Mends claims as far as the data allows without judgement, in the file that they came in, and proves it.

What is mended: a code in place of one that it followed or went before, by day; a modifier, a condition code, a note or
a revenue code that a provision names exactly. What hangs on clinical facts, or is a choice, is listed and left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias, get_args

import msgspec
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from chartulary.claim import Claim, Note
from chartulary.edits import Edit, Editor, Field, NotDone, editor, in_claim
from chartulary.engines import EngineName
from chartulary.errors import Problem
from chartulary.facts import Facts
from chartulary.readers import read_apart
from chartulary.register import Snapshot
from chartulary.report import Citation, Finding, Report
from chartulary.terms import COD, POL, SKOS, TYPE

Judge: TypeAlias = Callable[[Claim], Report]
"""Holds a claim against the snapshot."""
_ROUNDS = 8
"""Mends that call for other mends: no more often than this."""
_RANK = {"violation": 2, "review": 1}
_CLAIM_FIELDS = ("conditionCode", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """What whoever sends a code states to be so, and who says that."""

    code: str
    states: str
    cites: tuple[Citation, ...]

    @property
    def words(self) -> str:
        """What a person must know before the code is sent."""
        return f"{self.code} states that {self.states}: send it only where that is so"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mend:
    """A change to a claim, and the findings for which it was made."""

    edit: Edit
    noun: str
    line: int | None
    """Line number as sent; None for the claim itself."""
    findings: tuple[Finding, ...]
    attests: Attested | None = None
    also: str = ""
    """What else of the file had to go with it."""

    @property
    def words(self) -> str:
        """The change as a person would say it."""
        if self.edit.field == "note":
            return f"{self.noun} “{self.edit.code}” added"
        if self.edit.replaces:
            words = f"{self.noun} {self.edit.code} instead of {self.edit.replaces}"
            return f"{words}, {self.also}" if self.also else words
        return f"{self.noun} {self.edit.code} added"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A finding that is left to a person, and why."""

    finding: Finding
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What became of one claim."""

    claim: Claim
    """As it should read now."""
    before: Report
    after: Report
    """Of the claim as it was read again from what was written."""
    mends: tuple[Mend, ...]
    left: tuple[Left, ...]
    refused: str = ""
    """Why mends that were possible were not written; empty where all were."""

    @property
    def gone(self) -> int:
        """How many findings are there no more."""
        return len({_key(f) for f in self.before.findings if f.outcome in _RANK}) - len(self.left)

    @property
    def proof(self) -> str:
        """What was seen when the mended claim was read again; empty where nothing was mended."""
        if not self.mends:
            return ""
        return f"read again and judged: {self.gone} finding{'s' * (self.gone != 1)} gone, none new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """A file with its claims mended."""

    data: bytes
    """The file; the same bytes where nothing was mended."""
    repairs: tuple[Repair, ...]
    problems: tuple[Problem, ...]

    @property
    def mended(self) -> int:
        """How many claims were."""
        return sum(bool(repair.mends) for repair in self.repairs)

    @property
    def unfinished(self) -> int:
        """How many claims still have something that a person must look at."""
        return sum(bool(repair.left or repair.refused) for repair in self.repairs)


# --- One claim --------------------------------------------------------------------------------------------------------


def plan(claim: Claim, snapshot: Snapshot, *, before: Report | None = None, judge: Judge | None = None) -> Repair:
    """Mends a claim in memory. The outcome is never worse, and what was mended has no finding left.

    ``before`` is the report on the claim, where it is there already; ``judge`` makes further ones.
    """
    judge = judge or snapshot.validate
    first = report = before or judge(claim)
    mends: list[Mend] = []
    why: dict[tuple[str, int | None], str] = {}
    while seeds := _possible(report, claim, snapshot)[0]:
        single = [[seed] for seed in seeds] if len(seeds) > 1 else []
        why.clear()
        for trial in (seeds, *single):
            try:
                claim, report, more = _carried_out(claim, report, trial, snapshot, judge)
            except NotDone as fault:
                if len(trial) == 1:
                    why |= {_key(finding): str(fault) for finding in trial[0].findings}
            else:
                mends += more
                break
        else:
            break
    reasons = _possible(report, claim, snapshot)[1] | why
    left = tuple(Left(finding=f, why=reasons[_key(f)]) for f in report.findings if f.outcome in _RANK)
    return Repair(claim=claim, before=first, after=report, mends=tuple(mends), left=left)


def _carried_out(
    claim: Claim, before: Report, mends: Sequence[Mend], snapshot: Snapshot, judge: Judge
) -> tuple[Claim, Report, list[Mend]]:
    """The claim with these mends, and with those that they call for in turn.

    Raises:
        NotDone: it would not be better.
    """
    done: list[Mend] = []
    report = before
    for _ in range(_ROUNDS):
        touched = {_place(mend.edit) for mend in done if mend.edit.replaces}
        fresh = [m for m in mends if m.edit not in [d.edit for d in done] and _place(m.edit) not in touched]
        if not fresh:
            break
        for mend in fresh:
            claim = in_claim(claim, mend.edit)
        done += fresh
        report = judge(claim)
        known = {_key(finding) for finding in before.findings if finding.outcome in _RANK}
        mends = [m for m in _possible(report, claim, snapshot)[0] if not {*map(_key, m.findings)} & known]
    if fault := _fault(before, report, done, snapshot):
        raise NotDone(fault)
    return claim, report, done


def _place(edit: Edit) -> tuple[str, int | None]:
    return edit.field, edit.position


def _key(finding: Finding) -> tuple[str, int | None]:
    return finding.provision, finding.position


def _fault(before: Report, after: Report, mends: Iterable[Mend], snapshot: Snapshot) -> str:
    """Why a claim is not better for its mends; empty where it is."""
    ranks = {_key(f): _RANK.get(f.outcome, 0) for f in before.findings}
    for finding in after.findings:
        if _RANK.get(finding.outcome, 0) > ranks.get(_key(finding), 0):
            return f"it would bring another finding: {finding.label}"
    still = {_key(finding) for finding in after.findings if finding.outcome in _RANK}
    for mend in mends:
        if gone := [finding for finding in mend.findings if _key(finding) in still]:
            return f"it would not mend this: {gone[0].label}"
    if _governed(before, snapshot) and not _governed(after, snapshot):
        return "no policy would govern the claim any more"
    return ""


def _governed(report: Report, snapshot: Snapshot) -> bool:
    """Whether a policy governs the claim, beside the rules that stand behind every policy."""
    return any(not snapshot.facts.has(g.provision, POL.background, True) for g in report.governed_by)


def _possible(report: Report, claim: Claim, snapshot: Snapshot) -> tuple[list[Mend], dict[tuple[str, int | None], str]]:
    """What can be mended without judgement; and for each finding that cannot, why."""
    mends: dict[Edit, Mend] = {}
    why: dict[tuple[str, int | None], str] = {}
    for finding in report.findings:
        if finding.outcome not in _RANK:
            continue
        edit, reason = _edit_for(finding, snapshot)
        if edit is None:
            why[_key(finding)] = reason
            continue
        if earlier := mends.get(edit):
            mends[edit] = replace(earlier, findings=(*earlier.findings, finding))
            continue
        noun = snapshot.coding.noun(edit.field)
        line = claim.lines[edit.position - 1].number if edit.position else None
        mends[edit] = Mend(edit=edit, noun=noun, line=line, findings=(finding,), attests=_attested(edit, snapshot))
    alike: dict[tuple[str, int | None], list[Mend]] = {}
    for mend in mends.values():
        if mend.edit.field in ("procedureCode", "revenueCode"):
            alike.setdefault(_place(mend.edit), []).append(mend)
    for rivals in alike.values():
        if len(rivals) > 1:
            codes = " and ".join(sorted(mend.edit.code for mend in rivals))
            for mend in rivals:
                del mends[mend.edit]
                why |= {_key(finding): f"a choice: {codes} are asked for" for finding in mend.findings}
    return list(mends.values()), why


def _edit_for(finding: Finding, snapshot: Snapshot) -> tuple[Edit | None, str]:
    """The edit that mends a finding; or None, and why a person must."""
    if finding.outcome == "review":
        told = finding.message.removeprefix(finding.label).removeprefix(": ")
        return None, told or "the source leaves it to a person"
    action = finding.repair_action
    if action is None:
        if finding.repair:
            return None, f"a choice: {finding.repair}"
        return None, f"no one thing is named that mends it; expected: {finding.expected or 'nothing of the kind'}"
    scheme = next((s for s in snapshot.coding.schemes if s.label == action.system), None)
    if scheme is None or scheme.field not in get_args(Field):
        return None, f"a {scheme.noun if scheme else 'fact'} says what was so: only who knows may change it"
    name: Field = scheme.field  # type: ignore[assignment]
    if name == "procedureCode" and not _follows(action.code, action.replaces, scheme.iri, snapshot):
        return None, f"whether {action.code} is what was done, only who knows can tell"
    places = _looks_at(finding, action.code, scheme.iri, snapshot)
    if name in _CLAIM_FIELDS:
        if finding.position is not None and POL.ThisItem in places:
            return None, f"the {scheme.noun} belongs to a line, and is not written there"
        return Edit(field=name, code=action.code), ""
    if finding.position is None or not places <= {POL.ThisItem}:
        return None, "which line it belongs to, only who knows can tell"
    return Edit(field=name, code=action.code, replaces=action.replaces, position=finding.position), ""


def _named(notation: str | None, scheme: str, facts: Facts) -> set[str]:
    """The codes of a system that are written so."""
    return {
        thing
        for thing in facts.subjects(SKOS.inScheme, scheme)
        if notation is not None and str(facts.value(thing, SKOS.notation)) == notation
    }


def _attested(edit: Edit, snapshot: Snapshot) -> Attested | None:
    """What the code attests, where the register says that it does."""
    facts = snapshot.facts
    for scheme in snapshot.coding.schemes:
        for code in _named(edit.code, scheme.iri, facts) if scheme.field == edit.field else ():
            if states := facts.value(code, COD.attests):
                return Attested(code=edit.code, states=str(states), cites=snapshot.reader.cites(code))
    return None


def _follows(code: str, other: str | None, scheme: str, snapshot: Snapshot) -> bool:
    """Whether the register says that one of two codes took the other's place."""
    facts = snapshot.facts
    new, old = _named(code, scheme, facts), _named(other, scheme, facts)
    return any(facts.has(a, COD.replaces, b) or facts.has(b, COD.replaces, a) for a in new for b in old)


def _looks_at(finding: Finding, code: str, scheme: str, snapshot: Snapshot) -> set[str]:
    """Where the provision looks for the code; nowhere where it asks that the item's own codes be valid."""
    facts = snapshot.facts
    return {
        str(facts.value(criterion, POL.looksAt))
        for criterion in facts.objects(finding.provision, POL.requires)
        if facts.has(criterion, TYPE, POL.Shows)
        and any(
            str(facts.value(thing, SKOS.notation)) == code and facts.has(thing, SKOS.inScheme, scheme)
            for thing in facts.objects(criterion, POL.expects)
        )
    }


# --- A file -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Work:
    """A file's claims on their way."""

    source: str
    problems: Sequence[Problem]
    snapshot: Snapshot
    judge: Judge
    claims: list[Claim]
    plans: list[Repair]
    refused: dict[int, str] = field(default_factory=dict)


def repair(data: bytes, snapshot: Snapshot, *, source: str = "-", engine: EngineName = "auto") -> Repaired:
    """Mends the claims of a file, and reads and judges them again from what was written.

    A claim that does not come back exactly as it was meant, or not better than before, is left as it was.
    """
    claims, problems = read_apart(data, source=source)
    reports = list(snapshot.validate_all(claims, engine=engine)) if claims else []
    judge = partial(snapshot.validate, engine=engine)
    return mended(data, claims, reports, problems, snapshot, judge=judge, source=source)


def mended(
    data: bytes,
    claims: Sequence[Claim],
    reports: Sequence[Report],
    problems: Sequence[Problem],
    snapshot: Snapshot,
    *,
    judge: Judge | None = None,
    source: str = "-",
) -> Repaired:
    """What :func:`repair` gives, of a file that was read and judged already. What ``judge`` raises ends the work."""
    judge = judge or snapshot.validate
    plans = [plan(claim, snapshot, before=report, judge=judge) for claim, report in zip(claims, reports, strict=True)]
    work = _Work(source, problems, snapshot, judge, list(claims), plans)
    written = data
    if any(made.mends for made in work.plans):
        try:
            written = _written(data, editor(data), work)
        except NotDone as fault:
            work.refused |= {at: str(fault) for at, made in enumerate(work.plans) if made.mends}
    repairs = tuple(
        _refuse(made, claim, work.refused[at]) if at in work.refused else made
        for at, (claim, made) in enumerate(zip(work.claims, work.plans, strict=True))
    )
    return Repaired(data=written, repairs=repairs, problems=tuple(problems))


def _refuse(made: Repair, claim: Claim, why: str) -> Repair:
    """The claim as it was; what might have been mended is left as well."""
    could = {_key(finding): mend for mend in made.mends for finding in mend.findings}
    reasons = {_key(left.finding): left.why for left in made.left}
    left = tuple(
        Left(
            finding=f,
            why=f"{could[_key(f)].words}: not written, because {why}"
            if _key(f) in could
            else reasons.get(_key(f), f"not written, because {why}"),
        )
        for f in made.before.findings
        if f.outcome in _RANK
    )
    return Repair(claim=claim, before=made.before, after=made.before, mends=(), left=left, refused=why)


def _written(data: bytes, file: Editor, work: _Work) -> bytes:
    """The file with those mends that come back as they were meant."""
    mended = {at for at, made in enumerate(work.plans) if made.mends}
    for at in sorted(mended):
        made = work.plans[at]
        try:
            gone = file.edit(work.claims[at], [mend.edit for mend in made.mends])
        except NotDone as fault:
            work.refused[at] = str(fault)
        else:
            mends = tuple(replace(mend, also=also) for mend, also in zip(made.mends, gone, strict=True))
            work.plans[at] = replace(made, mends=mends)
    while mended - work.refused.keys():
        written = file.written()
        failed = _failed(written, work)
        if not failed:
            return written
        for at, why in failed.items():
            work.refused[at] = why
            file.drop(work.claims[at])
    return data


def _failed(written: bytes, work: _Work) -> dict[int, str]:
    """Claims whose mends did not come back as they were meant, and why; all mended ones where it cannot be told."""
    tried = {at for at, made in enumerate(work.plans) if made.mends and at not in work.refused}
    again, problems = read_apart(written, source=work.source)
    faults, before = ([p.message for p in found if not p.warning] for found in (problems, work.problems))
    if len(again) != len(work.claims) or faults != before:
        return dict.fromkeys(tried, "the file could not be read again as before")
    failed: dict[int, str] = {}
    strays = False
    for at, (claim, made) in enumerate(zip(again, work.plans, strict=True)):
        if at in tried:
            report = work.judge(claim)
            if _plain(claim) != _plain(made.claim):
                failed[at] = "the claim could not be read again as it was meant"
            elif fault := _fault(made.before, report, made.mends, work.snapshot):
                failed[at] = fault
            else:
                work.plans[at] = replace(made, claim=claim, after=report)
        elif _plain(claim) != _plain(work.claims[at]):
            strays = True
    return dict.fromkeys(tried, "another claim of the file would have changed") if strays else failed


def _plain(claim: Claim) -> Claim:
    """A claim without its place in a file; a note without its place on the claim."""
    notes = tuple(Note(text=note.text) for note in claim.notes)
    return replace(claim, source="", where="", notes=notes)


# --- As told ----------------------------------------------------------------------------------------------------------


def repaired_json(repaired: Repaired, snapshot: Snapshot) -> dict[str, Any]:
    """What was done, as plain JSON values."""
    return {
        "register_revision": snapshot.register.revision,
        "as_known_on": snapshot.as_known_on,
        "claims": [_repair_json(made) for made in repaired.repairs],
        "problems": list(repaired.problems),
    }


def _repair_json(made: Repair) -> dict[str, Any]:
    return {
        "claim": made.before.claim,
        "source": made.before.source,
        "where": made.before.where,
        "outcome_before": made.before.outcome,
        "outcome_after": made.after.outcome,
        "refused": made.refused or None,
        "proof": made.proof or None,
        "changes": [
            {
                "line": mend.line,
                "position": mend.edit.position,
                "field": mend.edit.field,
                "code": mend.edit.code,
                "replaces": mend.edit.replaces,
                "change": mend.words,
                "attests": _attests_json(mend.attests),
                "because": [_why(finding) for finding in mend.findings],
            }
            for mend in made.mends
        ],
        "left": [{"why": left.why, "outcome": left.finding.outcome, **_why(left.finding)} for left in made.left],
    }


def _attests_json(attests: Attested | None) -> dict[str, Any] | None:
    if attests is None:
        return None
    cites: Mapping[str, Any] = msgspec.to_builtins({"cites": attests.cites})
    return {"states": attests.states, "words": attests.words, **cites}


def _why(finding: Finding) -> dict[str, Any]:
    cites: Mapping[str, Any] = msgspec.to_builtins({"cites": finding.cites})
    return {"provision": finding.provision, "label": finding.label, "line": finding.line, **cites}


def show_repaired(console: Console, repaired: Repaired) -> None:
    """Each claim with something to tell: what was changed, why and what it came to, and what is left."""
    for made in repaired.repairs:
        if made.mends or made.left:
            _show(console, made)
    untouched = sum(not (made.mends or made.left) for made in repaired.repairs)
    counts = [
        f"{repaired.mended:,} mended",
        f"{repaired.unfinished:,} with something left to a person",
        f"{untouched:,} with nothing to mend",
    ]
    console.print(f"claims: {', '.join(counts)}", soft_wrap=True)


def _show(console: Console, made: Repair) -> None:
    place = f"{made.before.source}, {made.before.where}" if made.before.where else made.before.source
    change = (
        made.after.outcome
        if made.after.outcome == made.before.outcome
        else f"{made.before.outcome} → {made.after.outcome}"
    )
    console.print(Text.assemble((f"claim {made.before.claim}", "bold"), f"  {change}"))
    console.print(Text(place, "dim"))
    rows = Table.grid(padding=(0, 2, 0, 0))
    rows.add_column(no_wrap=True)
    rows.add_column(no_wrap=True)
    rows.add_column()
    for mend in made.mends:
        rows.add_row(Text("mended", "bold green"), _on(mend.line), Text(mend.words))
        for finding in mend.findings:
            _reason(rows, finding.label, finding.cites)
        if mend.attests:
            _reason(rows, mend.attests.words, mend.attests.cites, "yellow")
    if made.proof:
        rows.add_row("", "", Text(made.proof, "green"))
    for left in made.left:
        style = "bold red" if left.finding.outcome == "violation" else "bold yellow"
        rows.add_row(Text("left", style), _on(left.finding.line), Text(left.finding.label))
        _reason(rows, f"{left.finding.outcome}; {left.why}", left.finding.cites)
    console.print(Padding(rows, (0, 0, 1, 2)))


def _on(line: int | None) -> str:
    return "claim" if line is None else f"line {line}"


def _reason(rows: Table, words: str, cites: Sequence[Citation], style: str = "") -> None:
    rows.add_row("", "", Text(words, style))
    for cited in cites[:1]:
        rows.add_row("", "", Text(f"{cited.document}, {cited.section}: “{cited.quote}”", "dim"))
