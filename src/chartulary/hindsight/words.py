"""Words for what differs between two days of knowledge: the same on a terminal, on a page and in a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from chartulary.coding import shared
from chartulary.hindsight import DIRECTIONS, AnswerChange, Cause, ClaimComparison, Comparison, Publication
from chartulary.report import Citation

_BOUNDS = {"exact": "", "earliest": " at the earliest", "latest": " at the latest"}
_KINDS = {"requirement": "required", "prohibition": "prohibited", "notice": "told"}
_VERDICTS = {"met": "met", "none": "—", "info": "told"}
_NAMED = 3
"""So many rules are named in a sentence; of more it says how many."""


def day_in_words(day: date | None) -> str:
    """A day of knowledge."""
    return str(day) if day else "all that is known"


def known_in_words(known: tuple[date | None, date | None]) -> str:
    """Two days of knowledge."""
    return f"as known on {day_in_words(known[0])} and on {day_in_words(known[1])}".replace("on all", "with all")


# --- What makes the difference ----------------------------------------------------------------------------------------


def by_version(causes: Iterable[Cause]) -> dict[str, list[Cause]]:
    """Causes under the version that they came with; of the version itself its amendments say more."""
    found: dict[str, list[Cause]] = {}
    for cause in causes:
        found.setdefault(cause.change.amendment.partition("#")[0], []).append(cause)
    return {v: [c for c in group if c.kind == "amendment"] or group for v, group in found.items()}


def publication(published: Publication) -> str:
    """A day of publication with what came out on it."""
    told = " ".join((f"{', '.join(published.documents)}." if published.documents else "", *published.says)).strip()
    return f"{published.day}{_BOUNDS[published.bound]}" + (f": {told}" if told else "")


def publications(published: Sequence[Publication]) -> Iterator[str]:
    """Each day of publication, and what is known between them."""
    yield from map(publication, published)
    if len(published) > 1:
        yield "In between nobody can say whether it was known: answers for those days are a maybe."


def effective(cause: Cause) -> str:
    """The days of service from which a cause holds, in words; empty for a version, whose provisions have their own."""
    change = cause.change
    if change.effective_from:
        return f"holds for dates of service from {change.effective_from}"
    if change.effective_earliest or change.effective_latest:
        first, last = change.effective_earliest or "…", change.effective_latest or "…"
        return f"holds for dates of service from some day between {first} and {last}"
    return ""


def telling(cites: Sequence[Citation], label: str) -> list[Citation]:
    """Sentences, those first that speak of what a label says."""
    return sorted(cites, key=lambda cite: -shared(label, cite.quote))


# --- A question -------------------------------------------------------------------------------------------------------


def gist(compared: Comparison) -> str:
    """What differs between the answers, in a sentence or two."""
    first, second = (f"on {day}" if day else "with all that is known" for day in compared.known)
    if compared.same:
        return f"Nothing changed: the answer {first} and {second} is the same"
    asked = [change for change in compared.changes if change.kind != "notice"]
    if not asked:
        return f"What is asked is the same {first} and {second}; only what is told is not"
    groups: dict[tuple[str, str], list[str]] = {}
    for change in asked:
        groups.setdefault((change.before, change.after), []).append(change.label)
    return ". ".join(_sentence(first, second, *pair, labels) for pair, labels in groups.items())


def _sentence(first: str, second: str, before: str, after: str, labels: list[str]) -> str:
    shown = [f"“{label}”" for label in labels[:_NAMED]]
    if len(labels) > _NAMED:
        shown.append(f"{len(labels) - _NAMED} more")
    what = " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
    one = len(labels) == 1
    they = "it" if one else "they"
    told = {"certain": "is asked" if one else "are asked", "maybe": "may be asked"}
    other = {
        "none": f"{they} {'is' if one else 'are'} not",
        "certain": f"{they} surely {'is' if one else 'are'}",
        "maybe": f"{they} may be",
    }
    begin = first[0].upper() + first[1:]
    if before == after:
        return f"{begin} one would have answered otherwise than {second} what {what} {'asks' if one else 'ask'}"
    if before == "none":
        begin, second, before, after = second[0].upper() + second[1:], first, after, before
    return f"{begin} one would have answered that {what} {told[before]}; {second}, that {other[after]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A provision with what it gave on each of two days, in words; a dash where it gave nothing."""

    label: str
    provision: str = ""
    kind: str = ""
    place: str = ""
    """The claim or one of its lines."""
    code: str = ""
    inner: tuple[str, ...] = ()
    """What it asks, or what was expected and found."""
    before: str
    after: str

    @property
    def same(self) -> bool:
        return self.before == self.after


def answer_rows(compared: Comparison) -> list[Row]:
    """What differs between the answers, what only tells last."""
    return [_answer_row(change) for change in sorted(compared.changes, key=lambda change: change.kind == "notice")]


def _answer_row(change: AnswerChange) -> Row:
    word = asks({**change.row, "certainty": "certain"})
    said = {"none": "—", "certain": word, "maybe": f"maybe {word}"}
    return Row(
        label=change.label,
        provision=change.provision,
        kind=change.kind,
        inner=tuple(asked_in_words(change.row)) if change.kind != "notice" else (),
        before=said[change.before],
        after=said[change.after],
    )


def asked_in_words(row: Mapping[str, Any]) -> list[str]:
    """What a provision asks, and on which conditions."""
    names = (("needs", "requires"), ("must not", "prohibits"), ("when", "when"), ("unless", "unless"))
    return [f"{name}: {' and '.join(row[key])}" for name, key in names if row.get(key)]


def asks(row: Mapping[str, Any]) -> str:
    """What a provision does, in a word or two."""
    is_review = row["kind"] != "notice" and row.get("severity") == "review"
    word = "review" if is_review else _KINDS.get(row["kind"], row["kind"])
    return f"maybe {word}" if row.get("certainty") == "maybe" else word


# --- A claim ----------------------------------------------------------------------------------------------------------


def claim_gist(compared: ClaimComparison) -> str:
    """What differs for a claim, in a few words."""
    if not compared.shifts and compared.before.outcome == compared.after.outcome:
        return "Nothing changed for this claim"
    return DIRECTIONS[compared.direction]


def claim_rows(compared: ClaimComparison) -> list[Row]:
    """The outcomes, what differs, and the findings that both days have."""
    rows = [Row(label="the claim", before=compared.before.outcome, after=compared.after.outcome)]
    for shift in compared.shifts:
        told = f"expected {shift.expected}" + (f"; found {shift.found}" if shift.found else "")
        rows.append(
            Row(
                label=shift.label,
                provision=shift.provision,
                place=_place(shift.line),
                code=shift.code or "",
                inner=(told,) if shift.decides and shift.expected else (),
                before=_verdict(shift.before),
                after=_verdict(shift.after),
            )
        )
    changed = {(shift.position, shift.provision) for shift in compared.shifts}
    for finding in compared.after.findings:
        if (finding.position, finding.provision) not in changed:
            given = _verdict(finding.outcome)
            rows.append(
                Row(
                    label=finding.label,
                    provision=finding.provision,
                    place=_place(finding.line),
                    code=finding.code or "",
                    before=given,
                    after=given,
                )
            )
    return rows


def _place(line: int | None) -> str:
    return f"line {line}" if line is not None else "claim"


def _verdict(given: str) -> str:
    return _VERDICTS.get(given, given)


def plain(given: str) -> str:
    """A verdict where a dash would not be understood."""
    return "not asked" if given == "none" else given
