"""835 remittances, as far as a claim's fate is told by them: what was paid, what was not, and for which reasons.

``oxedi`` reads the files (the extra ``remits``); this keeps what a worklist needs. Nothing of it names a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from chartulary.claim import Claim, Line
from chartulary.errors import ChartularyError, Problem
from chartulary.terms import LABEL, POL, SKOS

if TYPE_CHECKING:
    from chartulary.facts import Facts

Fit: TypeAlias = Literal["fits", "not mapped", "does not fit"]
_DENIED, _REVERSAL = "4", "22"
"""Claim status codes (CLP02)."""
_REMARKS = {b"MIA": (4, 19, 20, 21, 22), b"MOA": (2, 3, 4, 5, 6)}
"""Where segments of a claim carry remark codes, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """An amount that was charged and not paid, with its reason."""

    group: str
    """CAS01: who bears it."""
    reason: str
    """Claim adjustment reason code (CARC)."""
    amount: Decimal

    def __str__(self) -> str:
        return f"{self.group}-{self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidLine:
    """A service line as the payer answers it."""

    code: str | None
    modifiers: tuple[str, ...]
    day: date | None
    charge: Decimal | None
    paid: Decimal | None
    adjustments: tuple[Adjustment, ...]
    remarks: tuple[str, ...]
    """Remittance advice remark codes (RARC)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remittance:
    """The payer's answer to one claim."""

    claim: str
    """Claim control number (CLP01), which is the claim's own (CLM01)."""
    status: str
    charge: Decimal
    paid: Decimal
    day: date | None
    """On which the remittance was made (DTM*405), or the payment (BPR16)."""
    adjustments: tuple[Adjustment, ...]
    """Of the claim as a whole."""
    remarks: tuple[str, ...]
    lines: tuple[PaidLine, ...]

    @property
    def is_reversal(self) -> bool:
        """Whether it only takes an earlier answer back."""
        return self.status == _REVERSAL

    @property
    def is_denied(self) -> bool:
        """Whether nothing was paid, and not because the charge was nothing."""
        return self.status == _DENIED or (self.paid == 0 and self.charge > 0 and bool(self.all_adjustments))

    @property
    def has_denial(self) -> bool:
        """Whether it denies the claim or one of its lines."""
        return self.is_denied or any(_is_denied(line) for line in self.lines)

    @property
    def is_denied_or_reduced(self) -> bool:
        return self.has_denial or self.paid < self.charge

    @property
    def all_adjustments(self) -> tuple[Adjustment, ...]:
        return (*self.adjustments, *(a for line in self.lines for a in line.adjustments))

    def lines_for(self, line: Line) -> tuple[PaidLine, ...]:
        """The answers to a line: those that agree with it best by code, modifiers and day; none where no code does."""
        alike = [paid for paid in self.lines if paid.code and paid.code == line.code]

        def agreement(paid: PaidLine) -> int:
            return 2 * (paid.day is not None and paid.day == line.first_day) + (paid.modifiers == line.modifiers)

        best = max(map(agreement, alike), default=0)
        return tuple(paid for paid in alike if agreement(paid) == best)


def _is_denied(line: PaidLine) -> bool:
    return not line.paid and bool(line.charge) and bool(line.adjustments)


@dataclass(slots=True)
class Remittances:
    """Answers by claim control number."""

    found: dict[str, list[Remittance]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def read(cls, files: Iterable[str]) -> Remittances:
        """Reads 835 files; one that is none is a problem, and costs no other.

        Raises:
            ChartularyError: ``oxedi`` is not installed.
        """
        whole = cls()
        for name in files:
            try:
                data = Path(name).read_bytes()
            except OSError as fault:
                whole.problems.append(Problem(name, "", f"cannot be read: {fault.strerror}"))
                continue
            whole.add(data, source=name)
        return whole

    def add(self, data: bytes, *, source: str) -> None:
        """Reads the bytes of an 835 file, as :meth:`read` does."""
        read = _read(data)
        if read is None:
            self.problems.append(Problem(source, "", "no 835 remittance that can be read"))
            return
        for remittance in read:
            self.found.setdefault(remittance.claim, []).append(remittance)

    def of(self, claim: Claim) -> Remittance | None:
        """The last answer to a claim that was not taken back since; None where there is none.

        Where several claims bear one control number, those answers are taken that name the claim's charge.
        """
        told = self.found.get(claim.id, [])
        told = [r for r in told if abs(r.charge) == claim.total_charge] or told
        told = sorted(told, key=lambda r: r.day or date.min)
        if not told or told[-1].is_reversal:
            return None
        return told[-1]


def _read(data: bytes) -> Iterator[Remittance] | None:
    """The remittances of a file; None where it is none. What oxedi says of that is not told: it may quote the file."""
    try:
        import oxedi
    except ImportError:
        raise ChartularyError("--remits needs oxedi: pip install 'chartulary[remits]'") from None

    try:
        result = oxedi.parse(data)
    except oxedi.ParseError:
        return None
    ids = {result.document[index].id for index in range(len(result.document))}
    return _remittances(result) if ids & {b"BPR", b"CLP"} else None


def _remittances(result: Any) -> Iterator[Remittance]:
    import pyarrow

    tables: dict[str, list[dict[str, Any]]] = {
        table: pyarrow.table(result.tables[table]).to_pylist()
        for table in ("payments", "claims", "services", "adjustments")
    }
    days = {p["row"]: p["production_date"] or p["payment_date"] for p in tables["payments"]}
    services: dict[int, list[dict[str, Any]]] = {}
    for service in tables["services"]:
        services.setdefault(service["claim"], []).append(service)
    of_claims: dict[int, list[Adjustment]] = {}
    of_lines: dict[int, list[Adjustment]] = {}
    for row in tables["adjustments"]:
        adjustment = Adjustment(
            group=_text(row["group_code"]), reason=_text(row["reason_code"]), amount=row["amount"] or Decimal()
        )
        if row["service"] is not None:
            of_lines.setdefault(row["service"], []).append(adjustment)
        else:
            of_claims.setdefault(row["claim"], []).append(adjustment)
    ends = (*(claim["segment"] for claim in tables["claims"][1:]), len(result.document))
    for claim, end in zip(tables["claims"], ends, strict=False):  # one end is left over where there is no claim
        own = services.get(claim["row"], [])
        starts = [service["segment"] for service in own]
        stops = [*starts[1:], end] if starts else []
        yield Remittance(
            claim=_text(claim["claim_id"]),
            status=_text(claim["claim_status"]),
            charge=claim["charge_amount"] or Decimal(),
            paid=claim["payment_amount"] or Decimal(),
            day=days.get(claim["payment"]),
            adjustments=tuple(of_claims.get(claim["row"], ())),
            remarks=_remarks(result.document, claim["segment"], starts[0] if starts else end),
            lines=tuple(
                PaidLine(
                    code=_text(service["procedure_code"]) or None,
                    modifiers=_modifiers(result.document[start]),
                    day=service["service_date"] or _first_day(result.document, start, stop),
                    charge=service["charge_amount"],
                    paid=service["payment_amount"],
                    adjustments=tuple(of_lines.get(service["row"], ())),
                    remarks=_remarks(result.document, start, stop),
                )
                for service, start, stop in zip(own, starts, stops, strict=True)
            ),
        )


def _text(value: bytes | list[bytes] | None) -> str:
    """Empty also where one value is expected and several are there."""
    return value.decode("latin-1").strip() if isinstance(value, bytes) else ""


def _remarks(document: Any, start: int, stop: int) -> tuple[str, ...]:
    """Remark codes between two segments: those of lines (LQ*HE) and those of the claim (MIA, MOA)."""
    found: list[str] = []
    for index in range(start, stop):
        segment = document[index]
        elements = segment.elements
        if segment.id == b"LQ":
            if len(elements) > 1 and elements[0] == b"HE":
                found.append(_text(elements[1]))
        elif places := _REMARKS.get(segment.id):
            found += [_text(elements[place]) for place in places if place < len(elements)]
    return tuple(dict.fromkeys(code for code in found if code))


def _modifiers(segment: Any) -> tuple[str, ...]:
    """Those of SVC01."""
    procedure = segment.elements[0] if segment.elements else b""
    return tuple(filter(None, map(_text, procedure[2:6]))) if isinstance(procedure, list) else ()


def _first_day(document: Any, start: int, stop: int) -> date | None:
    """The first day of a line that has a period (DTM*150)."""
    for index in range(start + 1, stop):
        segment = document[index]
        elements = segment.elements
        if segment.id == b"DTM" and len(elements) > 1 and elements[0] == b"150":
            text = _text(elements[1])
            try:
                return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
            except ValueError:
                return None
    return None


# --- Whether a reason fits what a provision asks for ------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """What the register says of a reason code."""

    iri: str
    label: str
    tells_of: frozenset[str]
    """Codes and code systems; empty where it tells of nothing that provisions ask for."""


class Reasons:
    """The register's denial reasons. What is not there is not mapped."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._known: dict[tuple[str, str], Reason] = {
            (str(facts.value(iri, POL.reasonList)), str(code)): Reason(
                iri=iri,
                label=str(facts.value(iri, LABEL) or ""),
                tells_of=frozenset(facts.objects(iri, POL.tellsOf)),
            )
            for iri, codes in facts.relation(POL.reasonCode).items()
            for code in codes
        }

    def of(self, adjustments: Iterable[Adjustment]) -> dict[str, Reason | None]:
        """What is known of the reason of each adjustment; None where it is not mapped."""
        return {str(a): self._known.get(("CARC", a.reason)) for a in adjustments}

    def of_remarks(self, remarks: Iterable[str]) -> dict[str, Reason | None]:
        """What is known of remark codes; None where one is not mapped."""
        return {code: self._known.get(("RARC", code)) for code in remarks}

    def fit(self, reasons: Iterable[Reason | None], remarks: Iterable[Reason | None], provisions: Iterable[str]) -> Fit:
        """Whether a reason or remark tells of what one of the provisions asks for.

        Remarks only explain reasons: where each reason is mapped, and tells of something else, one that is not mapped
        leaves nothing open.
        """
        reasons = list(reasons)
        asked = {thing for provision in provisions for thing in self._asked(provision)}
        if any(reason and reason.tells_of & asked for reason in (*reasons, *remarks)):
            return "fits"
        return "does not fit" if reasons and all(reasons) else "not mapped"

    def _asked(self, provision: str) -> Iterator[str]:
        """What the obligations of a provision look for, and the code systems of that."""
        facts = self._facts
        waiting = [c for slot in (POL.requires, POL.prohibits) for c in facts.objects(provision, slot)]
        seen: set[str] = set()
        while waiting:
            criterion = waiting.pop()
            if criterion in seen:
                continue
            seen.add(criterion)
            waiting += facts.objects(criterion, POL.member)
            for thing in facts.objects(criterion, POL.expects):
                yield thing
                yield from facts.objects(thing, SKOS.inScheme)
