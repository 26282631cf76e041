"""Reader of X12 837I and 837P claims, 005010 and 004010: our own, and tolerant.

Real files lie about their delimiters, guides and counts, so nothing is taken on trust that the body can show:
the terminator is what stands before ``GS``, the component separator what the composites use, the form what the
service lines are. What cannot be read becomes a `Problem` and costs only itself; a claim whose start is lost
costs that claim and never lends its lines or payers to a neighbour.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple

from chartulary.claim import (
    Attachment,
    Claim,
    Diagnosis,
    Line,
    Note,
    OccurrenceCode,
    Patient,
    Payer,
    Procedure,
    ValueCode,
)
from chartulary.errors import Problem

# Not str.strip() and not \s: those also eat U+001C to U+001F, which are common delimiters.
_BLANK = " \t\r\n\ufeff"
_ISA = re.compile(r"ISA([^A-Za-z0-9 \r\n])")
_ISA_LENGTH = 400
"""No ISA is longer (the standard says 106 characters), however it is padded or indented."""
_SEGMENT_LENGTH = 65_536
"""No segment is longer; what is, has lost its terminator."""
_COMPONENT = re.compile(r"[A-Za-z0-9]{1,3}([^A-Za-z0-9 .-])")
_FACILITY = re.compile(r"[A-Za-z0-9]{2}([^A-Za-z0-9 ])[A-Za-z]?\1[A-Za-z0-9]")
"""CLM05, whatever the component separator."""
_AMOUNT = re.compile(r"-?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})")

_IDENTIFIERS = (
    "AMT BHT CAS CL1 CLM CN1 CR1 CR2 CR3 CR4 CR5 CR6 CR7 CR8 CRC CTP CUR DMG DN1 DN2 DSB DTP FRM HCP HI HL HSD IMM K3"
    " LIN LQ LX MEA MIA MOA N2 N3 N4 NM1 NTE OI PAT PER PRV PS1 PWK QTY REF SBR SV1 SV2 SV3 SV4 SV5 SV6 SV7 SVD TOO UR"
    " ISA GS ST SE GE IEA TA1"
)
_KNOWN = frozenset(_IDENTIFIERS.split())
_GUIDES = {"X096": "837I", "X098": "837P", "X222": "837P", "X223": "837I"}
_TRANSACTIONS = {
    "270": "eligibility inquiry",
    "271": "eligibility response",
    "276": "claim status request",
    "277": "claim status response",
    "278": "services review",
    "820": "premium payment",
    "824": "application advice",
    "834": "enrolment",
    "835": "remittance",
    "997": "acknowledgment",
    "999": "acknowledgment",
}
_DIAGNOSES = {"BK": "principal", "BJ": "admitting", "PR": "reason-for-visit", "BN": "external-cause", "BF": "other"}
_DIAGNOSES |= {f"A{qualifier}": kind for qualifier, kind in _DIAGNOSES.items()}  # with A in front: ICD-10-CM
_PROCEDURES = {"BR": "principal", "BQ": "other", "BBR": "principal", "BBQ": "other"}
_CODES = {*_DIAGNOSES, *_PROCEDURES, "BE", "BG", "BH", "BI", "DR"}
_CLAIM_DATES = {
    "434": ("statement date", ("statement_from", "statement_through")),
    "435": ("admission date", ("admission",)),
    "096": ("discharge date", ("discharge",)),  # a day in 837P; in 837I only an hour (TM)
}
_SUBSCRIBER_PARTS = {
    "SBR": "SBR segment (loop 2000B)",
    "IL": "subscriber (NM1*IL, loop 2010BA)",
}


def read_x12(text: str, *, source: str) -> Iterator[Claim | Problem]:
    """Read every 837 claim of an X12 file, in order, with what could not be read along the way."""
    reader = _Reader(source)
    for segment in _segments(text):
        reader.read(segment)
        yield from reader.drain()
    reader.finish()
    yield from reader.drain()


class _Segment(NamedTuple):
    number: int
    elements: list[str]
    component: str
    trouble: str = ""
    """Why the segment could not be cut out of the text, if so."""


class _Delimiters(NamedTuple):
    element: str
    component: str
    terminator: str
    end: int
    """Where the segment after ISA begins."""


def _segments(text: str) -> Iterator[_Segment]:
    """Cut the text into segments, numbered from 1; each ISA sets the delimiters anew."""
    starts = (match.start() for match in islice(_ISA.finditer(text), 1000))
    position = next((start for start in starts if _delimiters(text, start)), None)
    if position is None:
        yield _Segment(1, [], "", "no readable ISA segment: this is not an X12 file, or it is cut short")
        return
    if text[:position].strip(_BLANK + "ï»¿"):  # a byte order mark may come decoded as Latin-1
        yield _Segment(0, [], "", "what stands before the first readable ISA segment was not read")
    number = 0
    gap = re.compile(f"[{_BLANK}]*")
    delimiters = None
    while True:
        match = gap.match(text, position)
        position = match.end() if match else position
        if position >= len(text):
            return
        number += 1
        if _ISA.match(text, position) and (found := _delimiters(text, position)):
            delimiters, position = found, found.end
            gap = re.compile(f"[{_BLANK}{re.escape(delimiters.terminator)}]*")  # "~~" is no segment
            new_isa = re.compile("ISA{0}0[0-9]{0}[^{0}]{{10}}{0}".format(re.escape(delimiters.element)))
            yield _Segment(number, ["ISA"], delimiters.component)
            continue
        assert delimiters
        end = text.find(delimiters.terminator, position)
        stop = len(text) if end < 0 else end
        if stop - position > _SEGMENT_LENGTH:
            yield _Segment(number, [], "", f"segment without a terminator in {_SEGMENT_LENGTH} characters")
            position = stop + 1
            continue
        raw = text[position:stop]
        if cut := new_isa.search(raw, 1):  # a file that was cut short, and another one appended to it
            yield _Segment(number, [], "", "the interchange breaks off in this segment, where a new ISA begins")
            position += cut.start()
            continue
        if end < 0 and not raw.startswith("IEA"):
            if raw.strip(_BLANK + "\x00\x1a"):  # old end-of-file marks
                yield _Segment(number, [], "", "the file ends inside this segment (no terminator), so it is cut short")
            return
        elements = raw.strip(_BLANK).replace("\r", "").replace("\n", "").split(delimiters.element)
        yield _Segment(number, [element.strip(" ") for element in elements], delimiters.component)
        position = stop + 1


def _delimiters(text: str, start: int) -> _Delimiters | None:
    """Delimiters of the ISA at ``start``, best taken from its seam with GS: its length and ISA16 may be wrong."""
    element = text[start + 3]
    window = text[start : start + _ISA_LENGTH]
    for match in re.finditer("{0}([^{0}]*?)(?=GS{0})".format(re.escape(element)), window):
        seam = match[1]  # ISA16, terminator, blanks
        marks = seam.rstrip(_BLANK)
        line_end = next((char for char in "\n\r\t" if char in seam[len(marks) :]), "")
        end = start + match.end()
        if window.count(element, 0, match.start()) < 12:  # a sender that is called "GS"
            continue
        if len(marks) > 1 and not marks[-1].isalnum():
            return _Delimiters(element, _component(marks[0]), marks[-1], end)
        if line_end:
            stop = text.find(line_end, end, end + _ISA_LENGTH)
            if marks and not marks.isalnum() and text[end : max(stop, end)].rstrip(_BLANK).endswith(marks):
                return _Delimiters(element, ":", marks, end)  # ISA16 is empty, and lines are only for looks
            return _Delimiters(element, _component(marks), line_end, end)
        if marks and not marks.isalnum():
            return _Delimiters(element, ":", marks, end)
    parts = window.split(element, 16)
    if len(parts) == 17 and len(parts[16]) > 1:
        terminator = "\n" if parts[16][1:3] == "\r\n" else parts[16][1]
        if not terminator.isalnum() and terminator != " ":
            end = start + len(window) - len(parts[16]) + 2
            return _Delimiters(element, _component(parts[16][0]), terminator, end)
    return None


def _component(mark: str) -> str:
    return ":" if not mark or mark.isalnum() or mark == " " else mark


def _day(text: str) -> date | None:
    if not re.fullmatch("[0-9]{8}", text):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def _shown(text: str) -> str:
    """A value at fault, fit for a message: only what is clearly a number, date or short code."""
    return f" ({text})" if re.fullmatch("(?=.*[0-9])(?:[0-9.,:+$eE-]{1,20}|[A-Za-z0-9]{1,4})", text) else ""


class _Draft:
    """A claim, line or payer as far as it has been read: single values (the first one stays), and lists."""

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self.kind = ""
        self.values: dict[str, Any] = {}
        self.lists: dict[str, list[Any]] = {}

    def put(self, name: str, value: Any) -> None:
        if value is not None and value != "":
            self.values.setdefault(name, value)

    def add(self, name: str, item: Any) -> None:
        self.lists.setdefault(name, []).append(item)

    def fields(self) -> dict[str, Any]:
        return self.values | {name: tuple(items) for name, items in self.lists.items()}


@dataclass
class _Subscriber:
    hl: str = ""
    checked: bool = False
    seen: set[str] = field(default_factory=set)
    payer: _Draft = field(default_factory=_Draft)
    patient: _Draft = field(default_factory=_Draft)


class _Reader:
    """Follows the loops segment by segment; which loop it is in shows in what is open."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.out: list[Claim | Problem] = []
        self.number = 0
        self.component = ":"
        self.interchange = False
        self.miscounts: list[tuple[int, str]] = []
        self.cut = False
        """The segment before this one was unreadable: what it closed is not missed a second time."""
        self.group = ("", "")
        """Functional identifier and form by GS01 and GS08."""
        self.began = 0
        """Segment number of the open transaction set's ST; 0 when none is open."""
        self.stated = False
        self._begin("", skip=True)
        self.began = 0

    def _begin(self, form: str, *, skip: bool) -> None:
        self.began = self.number
        self.stated = True
        self.skip = skip
        self.form = form
        self.submitted: date | None = None
        self.subscriber: _Subscriber | None = None
        self.patient: _Draft | None = None
        self.claim: _Draft | None = None
        self.other: _Draft | None = None
        self.line: _Draft | None = None
        self.numbered = False
        self.damaged = False
        """An unknown segment stood since the last CLM or HL: it may have been one of those."""

    def drain(self) -> Iterator[Claim | Problem]:
        out, self.out = self.out, []
        yield from out

    def problem(self, message: str, at: int | None = None, *, warning: bool = False) -> None:
        number = self.number if at is None else at
        self.out.append(Problem(self.source, f"segment {number}" if number else "", message, warning))

    def read(self, segment: _Segment) -> None:
        self.number = segment.number
        if segment.trouble:
            self.problem(segment.trouble)
            self.cut = True
            return
        e = segment.elements + [""] * (10 - len(segment.elements))
        name = e[0]
        if envelope := _ENVELOPE.get(name):
            if name == "ISA":
                self.component = segment.component
            envelope(self, e)
            self.cut = False
            return
        self.cut = False
        if not self.began:
            self._begin(self.group[1], skip=self.group[0] not in ("HC", ""))
            self.stated = False
            if name in _KNOWN and name != "TA1":
                self.problem(f"{name} outside of a transaction set (no ST before it)")
        if self.skip:
            return
        if handler := _HANDLERS.get(name):
            handler(self, e)
        elif name not in _KNOWN:
            shown = f" {name}" if re.fullmatch(r"[A-Za-z0-9]{1,3}|(?=.*[0-9])[A-Za-z0-9]{4}", name) else ""
            self.damaged = True
            if _FACILITY.fullmatch(e[5]):
                self.end_claim()
                self.claim = _Draft(self.number)
                self.problem(f"unknown segment identifier{shown} where a CLM must be meant; its claim was left out")
            else:
                self.problem(f"unknown segment identifier{shown}; the segment was not read")

    # Envelopes

    def _end(self) -> bool:
        """Close the transaction set, if one is open that has had no SE; True if that was reported."""
        missed = bool(self.began and self.stated and not self.cut)
        if self.began:
            self.end_claim(cut_short=True)
            if missed:
                self.problem(f"the transaction set that begins in segment {self.began} has no SE and may be cut short")
        self.began = 0
        return missed

    def finish(self) -> None:
        if self.miscounts:  # one line for a file: senders that count wrong do so throughout
            (first, shown), more = self.miscounts[0], len(self.miscounts) - 1
            rest = f"; {more} more like it" if more else ""
            self.problem(f"SE01 gives a wrong segment count{shown}{rest}", at=first, warning=True)
        if not self._end() and self.interchange and not self.cut:
            self.problem("the file ends without an IEA segment and may be cut short")

    def _isa(self, e: list[str]) -> None:
        if not self._end() and self.interchange and not self.cut:
            self.problem("the interchange before this ISA has no IEA and may be cut short")
        self.interchange = True
        self.group = ("", "")

    def _gs(self, e: list[str]) -> None:
        self._end()
        self.group = (e[1], self._form(e[8]))

    def _st(self, e: list[str]) -> None:
        self._end()
        self._begin(self._form(e[3]) or self.group[1], skip=e[1] != "837")
        if self.skip:
            number = f"{e[1]} " if re.fullmatch("[0-9]{3}", e[1]) else ""
            self.problem(f"{number}{_TRANSACTIONS.get(e[1], 'transaction set')}, not a claim (837)")

    def _se(self, e: list[str]) -> None:
        if not self.began:
            self.problem("SE without an ST before it")
            return
        self.end_claim()
        count = self.number - self.began + 1
        if not self.skip and not (re.fullmatch("[0-9]{1,10}", e[1]) and int(e[1]) == count):
            self.miscounts.append((self.number, f"{_shown(e[1])}; the transaction set has {count} segments"))
        self.began = 0

    def _ge(self, e: list[str]) -> None:
        self._end()

    def _iea(self, e: list[str]) -> None:
        self._end()
        self.interchange = False

    @staticmethod
    def _form(guide: str) -> str:
        match = re.search("X(?:096|098|222|223)", guide)
        return _GUIDES[match[0]] if match else ""

    # Values

    def split(self, composite: str) -> list[str]:
        """Components of a composite that begins with a qualifier; learns the separator where ISA16 lies."""
        if self.component not in composite and (match := _COMPONENT.match(composite)):
            self.component = match[1]
        return [part.strip(" ") for part in composite.split(self.component)]

    def amount(self, text: str, what: str, *, required: bool = False) -> Decimal | None:
        if _AMOUNT.fullmatch(text):
            return Decimal(text)
        if text:
            self.problem(f"{what} is not a plain decimal number{_shown(text)}")
        elif required:
            self.problem(f"{what} is missing")
        return None

    def days(self, qualifier: str, text: str, what: str, *, secret: bool = False) -> tuple[date | None, date | None]:
        """First and last day of a D8, DT or RD8 date."""
        first, last = text, text
        if qualifier == "RD8":
            first, dash, last = text.partition("-")
            last = last if dash else first
        elif qualifier == "DT" and re.fullmatch("[0-9]{12}", text):
            first = last = text[:8]
        elif qualifier not in ("D8", "DT"):
            first = last = ""
        days = _day(first.strip(" ")), _day(last.strip(" "))
        if days[0] and days[1] and days[0] <= days[1]:
            return days
        shown = "" if secret else _shown(text)
        self.problem(f"{what} is not a valid date{' range' if qualifier == 'RD8' else ''}{shown}")
        return None, None

    # Header, subscriber and patient loops (2000A, 2000B, 2000C)

    def _bht(self, e: list[str]) -> None:
        if e[4]:
            self.submitted = self.days("D8", e[4], "BHT04 submission date")[0]

    def _hl(self, e: list[str]) -> None:
        self.end_claim()
        self.damaged = False
        self.patient = None
        if e[3] == "23":
            self.patient = _Draft()
            if self.subscriber and e[2] and self.subscriber.hl and e[2] != self.subscriber.hl:
                self.problem(f"the patient's HL names a parent{_shown(e[2])} that is not the subscriber before it")
                self.subscriber = _Subscriber(checked=True)  # whose payer it is cannot be told
        else:
            self.subscriber = _Subscriber(hl=e[1]) if e[3] == "22" else None
            if e[3] not in ("20", "22"):
                self.problem(f"HL03 is not a known level{_shown(e[3])}; it must be 20, 22 or 23")

    def _sbr(self, e: list[str]) -> None:
        if self.claim and not self.line:
            self.other = payer = _Draft()
            self.claim.add("other_payers", payer)
        else:
            subscriber = self.subscriber
            if self.line or subscriber is None or "SBR" in subscriber.seen:  # 2320 never follows a line
                self.end_claim()
                self.problem("SBR outside of a subscriber loop (no HL of level 22 before it)")
                self.subscriber = subscriber = _Subscriber()
                self.patient = None
            subscriber.seen.add("SBR")
            subscriber.patient.put("relationship", e[2])
            payer = subscriber.payer
        payer.put("responsibility", e[1])
        payer.put("group_number", e[3])
        payer.put("filing_indicator", e[9])

    def _nm1(self, e: list[str]) -> None:
        if self.claim:
            payer = None if self.line else self.other
        elif self.subscriber and not self.patient:
            payer = self.subscriber.payer
            self.subscriber.seen.add(e[1])
        else:
            payer = None
        if payer and e[1] == "IL":
            payer.put("member_id", e[9])
        elif payer and e[1] == "PR":
            payer.put("name", e[3] if e[2] != "1" else "")
            payer.put("id", e[9])

    def _pat(self, e: list[str]) -> None:
        if self.claim or (e[1] and self.patient is None):  # PAT never stands in a claim; PAT01 only in 2000C
            self.end_claim()
            self.problem("PAT outside of a patient loop (no HL of level 23 before it)")
            self.patient = _Draft()
        if self.patient:
            self.patient.put("relationship", e[1])

    def _dmg(self, e: list[str]) -> None:
        person = self.patient or (self.subscriber.patient if self.subscriber else None)
        if person and not self.claim:  # 004010 has a DMG in loop 2320 too
            if e[2]:
                person.put("birth_date", self.days(e[1], e[2], "DMG02 birth date", secret=True)[0])
            person.put("sex", e[3])

    # Claim (2300, 2320)

    def _clm(self, e: list[str]) -> None:
        self.end_claim()
        self.damaged = False
        self.claim = claim = _Draft(self.number)
        subscriber = self.subscriber
        if subscriber is None:
            self.problem("the claim stands outside of a subscriber loop, so its payer is not known")
        elif not subscriber.checked:
            subscriber.checked = True
            for entity, part in _SUBSCRIBER_PARTS.items():
                if entity not in subscriber.seen:
                    self.problem(f"the subscriber loop before this claim has no {part}")
        claim.put("id", e[1])
        if not e[1]:
            self.problem("CLM01 patient control number is missing; the claim was left out")
        claim.put("total_charge", self.amount(e[2], "CLM02 total charge", required=True))
        facility, frequency = ([part for i, part in enumerate(self.split(e[5])) if i != 1] + ["", ""])[:2]
        for name, value, what, length in (
            ("facility", facility, "CLM05-1 facility type or place of service", 2),
            ("frequency", frequency, "CLM05-3 claim frequency", 1),
        ):
            if re.fullmatch(f"[A-Za-z0-9]{{{length}}}", value):
                claim.put(name, value)
            elif e[5]:
                self.problem(f"{what} is {'not a valid code' if value else 'missing'}{_shown(value)}")
        if not e[5]:
            self.problem("CLM05 place of service or type of bill is missing")

    def _lost_claim(self, name: str) -> None:
        """Take what follows as a claim whose CLM is lost: it is read over, and nobody else's."""
        if self.claim is None and name != "HI":  # an SBR taken for the subscriber's may have been the lost claim's
            self.subscriber = _Subscriber(checked=True)
        self.end_claim()
        self.problem(f"{name} outside of a claim (its CLM is missing); left out up to the next CLM or HL")
        self.claim = _Draft(self.number)

    def _dtp(self, e: list[str]) -> None:
        if self.line:
            if e[1] == "472":
                first, last = self.days(e[2], e[3], "DTP*472 date of service")
                self.line.put("first_day", first)
                self.line.put("last_day", last)
        elif self.claim and e[1] in _CLAIM_DATES and e[2] != "TM":
            what, names = _CLAIM_DATES[e[1]]
            for name, day in zip(names, self.days(e[2], e[3], f"DTP*{e[1]} {what}"), strict=False):
                self.claim.put(name, day)

    def _hi(self, e: list[str]) -> None:
        if self.claim is None or self.line:
            self._lost_claim("HI")
        items = [self.split(item) for item in reversed(e[1:]) if item]
        while items:
            parts = items.pop()
            if len(parts) == 1 and parts[0] in _CODES and items and len(items[-1]) == 1 and items[-1][0] not in _CODES:
                parts += items.pop()  # "HI*BK*8901": the code as an element of its own
            self._code(parts + [""] * (9 - len(parts)))

    def _code(self, parts: list[str]) -> None:
        qualifier, code, form, day, money = parts[:5]
        claim = self.claim
        if claim is None or qualifier not in _CODES:
            return
        if not code:
            self.problem(f"HI has {qualifier} without a code")
            return
        first = last = None
        if (form or day) and (qualifier in _PROCEDURES or qualifier in ("BH", "BI")):
            first, last = self.days(form, day, f"date of HI {qualifier} {code}" if len(code) < 8 else "date in HI")
        if kind := _DIAGNOSES.get(qualifier):
            if qualifier.startswith("A") and len(code) > 3 and "." not in code:
                code = f"{code[:3]}.{code[3:]}"
            diagnosis = Diagnosis(code=code, kind=kind, present_on_admission=parts[8] or None, system=qualifier)
            claim.add("diagnoses", diagnosis)
        elif kind := _PROCEDURES.get(qualifier):
            claim.add("procedures", Procedure(code=code, date=first, kind=kind, system=qualifier))
        elif qualifier == "BE":
            claim.add("value_codes", ValueCode(code=code, amount=self.amount(money, "amount of a value code (HI BE)")))
        elif qualifier == "BG":
            claim.add("condition_codes", code)
        elif qualifier == "DR":
            if re.fullmatch("[0-9]{3,4}", code):  # four in some Medicaid groupers
                claim.put("drg", code)
            else:
                self.problem(f"DRG in HI is not three digits{_shown(code)}")
        else:
            span = last if qualifier == "BI" else None
            claim.add("occurrence_codes", OccurrenceCode(code=code, first_day=first, last_day=span))

    def _nte(self, e: list[str]) -> None:
        holder = self.line or self.claim
        if holder and e[2]:
            holder.add("notes", Note(text=e[2], location="NTE02", qualifier=e[1] or None))

    def _pwk(self, e: list[str]) -> None:
        if holder := self.line or self.claim:
            holder.add(
                "attachments",
                Attachment(kind=e[1] or None, transmission=e[2] or None, control_number=e[6] or None),
            )

    def _ref(self, e: list[str]) -> None:
        # G1 in loop 2330B, or on a line with REF04, is another payer's number.
        if e[1] == "G1" and self.claim and (not e[4] if self.line else not self.other):
            self.claim.put("prior_authorization", e[2])

    def _amt(self, e: list[str]) -> None:
        if e[1] == "D" and self.other and not self.line:
            self.other.put("paid", self.amount(e[2], "AMT*D amount paid", required=True))

    # Lines (2400, 2410)

    def _lx(self, e: list[str]) -> None:
        number = int(e[1]) if re.fullmatch("[0-9]{1,9}", e[1]) else None
        last = self.line.values["number"] if self.line else 0
        if self.claim is None or (self.damaged and number is not None and number <= last):
            self._lost_claim("LX")
        if number is None:
            self.problem(f"LX01 line number is not a number{_shown(e[1])}")
        self._new_line(last + 1 if number is None else number)
        self.numbered = True

    def _new_line(self, number: int) -> None:
        self.end_line()
        self.line = _Draft(self.number)
        self.line.put("number", number)

    def _service(self, e: list[str], kind: str) -> _Draft:
        """The line that a service segment belongs to; some files leave LX out."""
        if self.claim is None:
            self._lost_claim(e[0])
        if self.line is None or self.line.kind:
            if self.line and self.numbered:
                self.problem(f"a second service segment ({e[0]}) under one LX was read as a line of its own")
            self._new_line(self.line.values["number"] + 1 if self.line else 1)
            self.numbered = False
        assert self.line
        self.line.kind = kind
        return self.line

    def _sv1(self, e: list[str]) -> None:
        line = self._service(e, "837P")
        self._procedure(line, e[1])
        if "code" not in line.values:
            self.problem("SV101 has no procedure code")
        self._quantity(line, "SV1", e[2:5], 2)
        line.put("place_of_service", e[5])
        pointers = [pointer for pointer in e[7].replace(" ", "").split(self.component) if pointer]
        if all(re.fullmatch("[0-9]{1,2}", pointer) for pointer in pointers):
            line.lists["diagnosis_pointers"] = [int(pointer) for pointer in pointers]
        else:
            self.problem(f"SV107 diagnosis pointer is not a number{_shown(e[7])}")

    def _sv2(self, e: list[str]) -> None:
        line = self._service(e, "837I")
        line.put("revenue_code", f"0{e[1]}" if re.fullmatch("[0-9]{3}", e[1]) else e[1])
        if not e[1]:
            self.problem("SV201 revenue code is missing")
        self._procedure(line, e[2])
        self._quantity(line, "SV2", e[3:6], 3)

    def _sv3(self, e: list[str]) -> None:
        self._service(e, "837D")

    def _procedure(self, line: _Draft, composite: str) -> None:
        parts = self.split(composite)
        parts += [""] * (7 - len(parts))
        line.put("code_system", parts[0])
        line.put("code", parts[1])
        line.lists["modifiers"] = [modifier for modifier in parts[2:6] if modifier]
        line.put("description", parts[6])

    def _quantity(self, line: _Draft, segment: str, values: list[str], place: int) -> None:
        line.put("charge", self.amount(values[0], f"{segment}0{place} line charge", required=True))
        line.put("unit", values[1])
        line.put("units", self.amount(values[2], f"{segment}0{place + 2} units"))

    def _lin(self, e: list[str]) -> None:
        if self.line:
            for qualifier, code in zip(e[2::2], e[3::2], strict=False):
                if qualifier == "N4":
                    self.line.put("ndc", code.replace("-", ""))

    def _ctp(self, e: list[str]) -> None:
        if self.line:
            self.line.put("ndc_units", self.amount(e[4], "CTP04 drug units"))

    # What has been gathered

    def end_line(self, *, cut_short: bool = False) -> None:
        line, self.line = self.line, None
        if line is None or self.claim is None:
            return
        if not line.kind and not cut_short:
            self.problem(f"line {line.values['number']} has no service segment (SV1 or SV2) and was left out", line.at)
        self.claim.add("kinds", line.kind)
        if line.kind in ("837I", "837P"):
            self.claim.add("lines", Line(**line.fields()))

    def end_claim(self, *, cut_short: bool = False) -> None:
        self.end_line(cut_short=cut_short)
        claim, self.claim, self.other = self.claim, None, None
        if claim is None or "id" not in claim.values:
            return
        kinds = claim.lists.pop("kinds", [])
        if not kinds and not cut_short:
            self.problem("the claim has no service line (LX with SV1 or SV2)", claim.at)
        kinds = sorted(set(kinds) - {""})
        form = kinds[0] if len(kinds) == 1 else self.form  # the guide in ST03 or GS08 lies more often than the lines
        facility = claim.values.pop("facility", None)
        frequency = claim.values.get("frequency")
        if form == "837P":
            claim.put("place_of_service", facility)
        elif form == "837I" and facility and frequency:
            claim.put("bill_type", f"0{facility}{frequency}")
        subscriber = self.subscriber or _Subscriber()
        others = claim.lists.pop("other_payers", [])
        self.out.append(
            Claim(
                **claim.fields(),
                source=self.source,
                where=f"segment {claim.at}",
                form=form if form in ("837I", "837P") else None,
                payer=Payer(**subscriber.payer.fields()),
                other_payers=tuple(Payer(**other.fields()) for other in others),
                patient=Patient(**(self.patient or subscriber.patient).fields()),
                submitted=self.submitted,
            )
        )


_Handler = Callable[[_Reader, list[str]], None]


def _handlers(names: str) -> dict[str, _Handler]:
    return {name: getattr(_Reader, f"_{name.lower()}") for name in names.split()}


_ENVELOPE = _handlers("ISA GS ST SE GE IEA")
_HANDLERS = _handlers("BHT HL SBR NM1 PAT DMG CLM DTP HI NTE PWK REF AMT LX SV1 SV2 SV3 LIN CTP")
