"""Reads 837 claims whose segments are those of nearly every claim, in their order: by regular expressions, and fast."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias

from chartulary.claim import Claim, Line, Patient, Payer
from chartulary.readers.x12_values import (
    CACHED,
    CLAIM_DATES,
    IGNORED,
    PADDING,
    Known,
    OpenClaim,
    OpenLine,
    OpenPatient,
    OpenPayer,
    amount_of,
    code_of,
    components,
    days_of,
    is_code,
    is_number,
    procedure_of,
)

_AMOUNT = r"[0-9]{1,18}+(?:\.[0-9]{0,18}+)?+"
_Match: TypeAlias = Callable[[str, int], re.Match[str] | None]


class Usual:
    """Reads a subscriber loop that holds one claim, whose segments are those of nearly every claim, in their order.

    Where anything is otherwise, nothing is read: that is for the handlers of the reader, which read all that there is.
    What they would make of a usual claim is made here, but faster. What is remembered names no person.
    """

    def __init__(self, element: str, component: str, terminator: str) -> None:
        self.element, self.component, self.terminator = element, component, terminator
        e, t = re.escape(element), re.escape(terminator)
        one, rest = rf"[^{e}{t}]*+", rf"(?:{e}[^{t}]*+)?{t}"
        skip, amount, maybe_amount = f"{e}{one}", f"({_AMOUNT})", f"({_AMOUNT}|)"
        address = rf"(?:(?:N[234]|PER|REF){e}[^{t}]*+{t})*+"
        self._subscriber = re.compile(
            rf"HL{skip}{skip}{e}22{rest}SBR{e}([^{t}]*+){t}"
            rf"NM1{e}IL(?:{skip}){{6}}(?:{skip}{e}({one}))?{rest}{address}"
            rf"(?:DMG{e}D8{e}([0-9]{{8}})(?:{e}({one}))?{rest}{address})?"
            rf"(?:NM1{e}PR{e}([^{t}]*+){t}{address})?"
            rf"CLM{e}({one}){e}{amount}{skip}{skip}{e}({one}){rest}"
        ).match
        aside = "|".join(sorted(IGNORED | {"NM1", "AMT", f"REF(?!{e}G1[{e}{t}])", f"DTP(?!{e}472[{e}{t}])"}))
        sv1 = f"SV1(){e}({one}){e}{amount}{e}({one}){e}{maybe_amount}(?:{e}({one}))?(?:{skip}{e}({one}))?"
        sv2 = f"SV2{e}([^{e}{t}]++){e}({one}){e}{amount}{e}({one}){e}{maybe_amount}()()"
        self._professional, self._institutional = (
            re.compile(
                rf"LX{e}([0-9]{{1,9}}){rest}{service}{rest}(?:DTP{e}472{e}([^{t}]*+){t})?"
                rf"(?:(?!LX|SE|HL)(?:{aside}){e}[^{t}]*+{t})*+(SE{e}|HL{skip}{skip}{e}2[02][{e}{t}])?"
            ).match
            for service in (sv1, sv2)
        )
        self._names = tuple(f"{name}{element}" for name in ("HI", "NM1"))
        self._first_line = f"{terminator}LX{element}"
        self._insured, self._payer, self._item = Known(self._sbr), Known(self._nm1_pr), Known(self._hi_item)
        self._facility, self._procedure = Known(self._clm05), Known(self._composite)
        self._days, self._pointers = Known(self._dtp_472), Known(self._sv107)
        self._said: dict[str, tuple[tuple[str, Any], ...]] = {}

    def read(
        self, text: str, place: int, number: int, *, source: str, submitted: date | None
    ) -> tuple[Claim, int] | None:
        """Read the loop that begins at a place of a run, with segment ``number``; tell where the next one begins."""
        begun = self._subscriber(text, place)
        if begun is None:
            return None
        insured, member, born, sex, payer, claim_id, charge, clm05 = begun.groups()
        facility, frequency, bill_type = self._facility[clm05]
        if not (claim_id and bill_type):
            return None
        try:
            birth_date = date.fromisoformat(born) if born else None
        except ValueError:
            return None
        gathered = self._gathered(text, begun.end())
        if gathered is None:
            return None
        values, lists, place = gathered
        form, service_place = "837I", None
        read = self._lines(text, place, self._institutional)
        if read is None:
            form, service_place, bill_type = "837P", facility, None
            read = self._lines(text, place, self._professional)
            if read is None:
                return None
        lines, following = read
        responsibility, relationship, group_number, filing_indicator = self._insured[insured]
        name, payer_id = self._payer[payer or ""]
        addressee = OpenPayer(name, payer_id, filing_indicator, responsibility, member or None, group_number)
        patient = OpenPatient(birth_date, None, sex or None, relationship)
        addressee.__class__, patient.__class__ = Payer, Patient
        at = number + text.count(self.terminator, begun.start(), begun.start(6))
        head = claim_id, source, f"segment {at}", "claim", form, addressee, (), None, None, bill_type
        claim = OpenClaim(*head, service_place, frequency, patient)
        claim.submitted = submitted
        claim.total_charge = Decimal(charge)
        claim.lines = tuple(lines)
        for field, value in values.items():
            setattr(claim, field, value)
        for field, found in lists.items():
            setattr(claim, field, found[0] if field == "drg" else tuple(found))
        claim.__class__ = Claim
        return claim, following

    def _gathered(self, text: str, place: int) -> tuple[dict[str, Any], dict[str, list[Any]], int] | None:
        """What the segments between CLM, which ends at a place, and the first LX say, and where that LX is."""
        first = text.find(self._first_line, place - 1) + 1
        if not first:
            return None
        values: dict[str, Any] = {}
        lists: dict[str, list[Any]] = {}
        said, items, element, (hi, nm1) = self._said, self._item, self.element, self._names
        for segment in text[place : first - 1].split(self.terminator) if place < first else ():
            if segment.startswith(hi):
                for item in segment[3:].split(element):
                    if code := items[item]:
                        field, value = code
                        if field in lists:
                            lists[field].append(value)
                        elif field:
                            lists[field] = [value]
                        else:
                            return None
            elif not segment.startswith(nm1):
                facts = said.get(segment)
                if facts is None:
                    facts = self._segment(segment)
                    if facts is None:
                        return None
                for field, value in facts:
                    if field not in values:
                        values[field] = value
        return values, lists, first

    def _lines(self, text: str, place: int, match: _Match) -> tuple[list[Line], int] | None:
        """The lines from a place on, and where the next subscriber's loop or the end of the transaction set is."""
        lines: list[Line] = []
        procedures, days, pointers_in = self._procedure, self._days, self._pointers
        while found := match(text, place):
            place = found.end()
            number, revenue, composite, charge, unit, units, service_place, sv107, stated, end = found.groups()
            procedure, both_days, pointers = procedures[composite], days[stated or ""], pointers_in[sv107 or ""]
            if procedure is None or both_days is None or pointers is None:
                return None
            code, system, modifiers, description = procedure
            if len(revenue) == 3 and is_number(revenue, 3):
                revenue = f"0{revenue}"
            elif not (revenue or code):
                return None
            first, last = both_days
            stands = int(number), code, system, modifiers, revenue or None, description, first, last
            line = OpenLine(*stands, amount_of(units), unit or None, Decimal(charge))
            if not revenue:
                line.place_of_service, line.diagnosis_pointers = service_place or None, pointers
            line.__class__ = Line
            lines.append(line)
            if end:
                return lines, found.start(10)
        return None

    # What a text says that claims repeat; None where that is not usual

    def _split(self, text: str) -> list[str]:
        return [*text.split(self.element), *PADDING]

    def _sbr(self, text: str) -> tuple[str | None, ...]:
        e = self._split(text)
        return tuple(e[place - 1] or None for place in (1, 2, 3, 9))

    def _nm1_pr(self, text: str) -> tuple[str | None, ...]:
        e = self._split(text)
        return (e[1] if e[0] != "1" else "") or None, e[7] or None

    def _clm05(self, text: str) -> tuple[str, str, str]:
        facility, _, frequency = (*components(text, self.component), "", "")[:3]
        if self.component in text and is_code(facility, 2) and is_code(frequency, 1):
            return facility, frequency, f"0{facility}{frequency}"
        return "", "", ""

    def _dtp_472(self, text: str) -> tuple[date | None, date | None] | None:
        return days_of(*self._split(text)[:2]) if text else (None, None)

    def _composite(self, text: str) -> tuple[Any, ...] | None:
        if text and self.component not in text:
            return None
        found = procedure_of(text, self.component)
        return found.get("code"), found.get("code_system"), found.get("modifiers", ()), found.get("description")

    def _sv107(self, text: str) -> tuple[int, ...] | None:
        pointers = [pointer for pointer in text.replace(" ", "").split(self.component) if pointer]
        return tuple(map(int, pointers)) if all(is_number(pointer, 2) for pointer in pointers) else None

    def _hi_item(self, text: str) -> tuple[str, Any] | None:
        if text and self.component not in text:
            return "", None
        code = code_of(text, self.component) if text else None
        return code and ("" if code.fault else code.field, code.value)

    def _segment(self, text: str) -> tuple[tuple[str, Any], ...] | None:
        """What another segment of the claim says, field by field."""
        e = self._split(text)
        if e[0] == "DTP":
            facts: tuple[tuple[str, Any], ...] = ()
            if e[1] in CLAIM_DATES and e[2] != "TM":
                days = days_of(e[2], e[3])
                if days is None:
                    return None
                facts = tuple(zip(CLAIM_DATES[e[1]][1], days, strict=False))
            if len(self._said) < CACHED:
                self._said[text] = facts
            return facts
        if e[0] == "REF":
            return (("prior_authorization", e[2]),) if e[1] == "G1" and e[2] else ()
        return () if e[0] == "AMT" or e[0] in IGNORED else None


@lru_cache(maxsize=4)
def usual_in(element: str, component: str, terminator: str) -> Usual:
    """Return what reads usual claims between these delimiters."""
    return Usual(element, component, terminator)
