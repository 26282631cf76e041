"""Reader of X12 837I and 837P claims, 005010 and 004010: our own, and tolerant.

Real files lie about their delimiters, guides and counts, so nothing is taken on trust that the body can show:
the terminator is what stands before ``GS``, the component separator what the composites use, the form what the
service lines are. What cannot be read becomes a `Problem` and costs only itself; a claim whose start is lost
costs that claim and never lends its lines or payers to a neighbour.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from chartulary.claim import Attachment, Claim, Line, Note, Patient, Payer
from chartulary.errors import Problem
from chartulary.readers.x12_segments import Delimiters, Run, Segment, cut
from chartulary.readers.x12_usual import usual_in
from chartulary.readers.x12_values import (
    CLAIM_DATES,
    CODES,
    ENVELOPE,
    HANDLED,
    KNOWN,
    PADDING,
    Code,
    OpenClaim,
    OpenLine,
    amount_fault,
    amount_of,
    code_in,
    code_of,
    components,
    days_fault,
    days_of,
    is_code,
    is_number,
    line_number,
    procedure_of,
    shown,
)

_COMPONENT = re.compile(r"[A-Za-z0-9]{1,3}([^A-Za-z0-9 .-])")
_FACILITY = re.compile(r"[A-Za-z0-9]{2}([^A-Za-z0-9 ])[A-Za-z]?\1[A-Za-z0-9]")
"""CLM05, whatever the component separator."""

_FORMS = ("837I", "837P")
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
_PAYER_ELEMENTS = ((1, "responsibility"), (3, "group_number"), (9, "filing_indicator"))  # of SBR
_SUBSCRIBER_PARTS = {
    "SBR": "SBR segment (loop 2000B)",
    "IL": "subscriber (NM1*IL, loop 2010BA)",
}


def read_x12(text: str, *, source: str) -> Iterator[Claim | Problem]:
    """Read every 837 claim of an X12 file, in order, with what could not be read along the way."""
    reader = Reader(source)
    yield from reader.read(cut(text))
    reader.finish()
    yield from reader.drain()


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    """Set a field, unless there is nothing to set or it was set before."""
    if value is not None and value != "" and name not in values:
        values[name] = value


class _Draft:
    """A claim or line as far as it has been read: single values (the first one stays), and lists."""

    __slots__ = ("at", "facility", "kind", "lists", "values")

    def __init__(self, at: int) -> None:
        self.at = at
        self.kind = ""
        self.facility = ""
        self.values: dict[str, Any] = {}
        self.lists: dict[str, list[Any]] = {}

    def add(self, name: str, item: Any) -> None:
        self.lists.setdefault(name, []).append(item)

    def fields(self) -> dict[str, Any]:
        values = self.values
        for name, items in self.lists.items():
            values[name] = tuple(items)
        return values


class _Subscriber:
    __slots__ = ("checked", "hl", "patient", "payer", "seen")

    def __init__(self, *, hl: str = "", checked: bool = False) -> None:
        self.hl = hl
        self.checked = checked
        self.seen: set[str] = set()
        self.payer: dict[str, Any] = {}
        self.patient: dict[str, Any] = {}


class State(NamedTuple):
    """What a reader inside of a transaction set has to know when the next segment begins a subscriber loop."""

    number: int
    """Segments read so far."""
    delimiters: Delimiters
    interchange: bool
    group: tuple[str, str]
    began: int
    form: str
    submitted: date | None
    miscounts: int
    first_miscount: tuple[int, str]


class Reader:
    """Follows the loops segment by segment; which loop it is in shows in what is open."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.out: list[Claim | Problem] = []
        self.number = 0
        self.component = ":"
        self.interchange = False
        self.miscounts = 0
        self.first_miscount = (0, "")
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
        self.patient: dict[str, Any] | None = None
        self.claim: _Draft | None = None
        self.other: dict[str, Any] | None = None
        self.line: _Draft | None = None
        self.numbered = False
        self.damaged = False
        """An unknown segment stood since the last CLM or HL: it may have been one of those."""

    def resume(self, state: State) -> None:
        self.number = state.number
        self.component = state.delimiters.component
        self.interchange = state.interchange
        self.group = state.group
        self._begin(state.form, skip=False)
        self.began = state.began
        self.submitted = state.submitted
        self.miscounts = state.miscounts
        self.first_miscount = state.first_miscount

    def state(self, number: int, delimiters: Delimiters) -> State | None:
        """What `resume` needs before segment ``number`` + 1; None if no transaction set of claims is open."""
        if not self.began or self.skip:
            return None
        miscounts = self.miscounts, self.first_miscount
        return State(
            number, delimiters, self.interchange, self.group, self.began, self.form, self.submitted, *miscounts
        )

    def drain(self) -> Iterator[Claim | Problem]:
        yield from self.out
        self.out.clear()

    def problem(self, message: str, at: int | None = None, *, warning: bool = False) -> None:
        number = self.number if at is None else at
        self.out.append(Problem(self.source, f"segment {number}" if number else "", message, warning))

    def read(self, pieces: Iterable[Segment | Run]) -> Iterator[Claim | Problem]:
        """Read segments in order, and hand out each item once it is complete."""
        for piece in pieces:
            if isinstance(piece, Run):
                yield from self._run(piece)
                continue
            self.number = piece.number
            if piece.trouble:
                self.problem(piece.trouble)
                self.cut = True
            else:
                self._segment(piece.elements, piece.component)
            yield from self.drain()

    def _run(self, run: Run) -> Iterator[Claim | Problem]:
        out, element, terminator, text = self.out, run.element, run.terminator, run.text
        known: dict[str, _Handler | None] = {}
        if self.began and not self.skip and not self.cut:
            known = _KNOWN_HANDLERS
        number, place, subscriber = run.number, 0, f"HL{element}"
        usual = usual_in(element, self.component, terminator)
        while place < len(text):
            if known and not run.padded and text.startswith(subscriber, place):
                self.end_claim()
                if usual.component != self.component:  # learnt on the way
                    usual = usual_in(element, self.component, terminator)
                if found := usual.read(text, place, number, source=self.source, submitted=self.submitted):
                    claim, following = found
                    if out:
                        yield from out
                        out.clear()
                    yield claim
                    number += text.count(terminator, place, following)
                    place = following
                    continue
            following = text.find(terminator + subscriber, place) + 1 or len(text)
            for segment in text[place : following - 1].split(terminator):
                e = segment.split(element)
                if run.padded:
                    e = [part.strip(" ") for part in e]
                try:
                    handler = known[e[0]]
                except KeyError:  # an envelope, an unknown segment, or one outside of a claim transaction set
                    self.number = number
                    self._segment(e, run.component)
                    known = _KNOWN_HANDLERS if self.began and not self.skip else {}
                else:
                    if handler:
                        self.number = number
                        e += PADDING
                        handler(self, e)
                number += 1
                if out:
                    yield from out
                    out.clear()
            place = following
        self.number = number - 1

    def read_one(self, number: int, e: list[str], component: str) -> None:
        """Read one segment and leave out what there is to tell about it."""
        self.number = number
        self._segment(e, component)
        self.out.clear()

    def _segment(self, e: list[str], component: str) -> None:
        e += PADDING
        name = e[0]
        if envelope := _ENVELOPE.get(name):
            if name == "ISA":
                self.component = component
            envelope(self, e)
            self.cut = False
            return
        self.cut = False
        if not self.began:
            self._begin(self.group[1], skip=self.group[0] not in ("HC", ""))
            self.stated = False
            if name in KNOWN and name != "TA1":
                self.problem(f"{name} outside of a transaction set (no ST before it)")
        if self.skip:
            return
        if handler := _HANDLERS.get(name):
            handler(self, e)
        elif name not in KNOWN:
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
            (first, shown), more = self.first_miscount, self.miscounts - 1
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
        if not self.skip and not (is_number(e[1], 10) and int(e[1]) == count):
            if not self.miscounts:
                self.first_miscount = self.number, f"{shown(e[1])}; the transaction set has {count} segments"
            self.miscounts += 1
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

    def separator(self, composite: str) -> str:
        """Component separator of a composite that begins with a qualifier; learns it where ISA16 lies."""
        if self.component not in composite and (match := _COMPONENT.match(composite)):
            self.component = match[1]
        return self.component

    def amount(self, text: str, what: str, *, required: bool = False) -> Decimal | None:
        amount = amount_of(text)
        if amount is None and text:
            self.problem(amount_fault(text, what))
        elif amount is None and required:
            self.problem(f"{what} is missing")
        return amount

    def days(self, qualifier: str, text: str, what: str) -> tuple[date, date] | None:
        """First and last day of a D8, DT or RD8 date."""
        days = days_of(qualifier, text)
        if not days:
            self.problem(days_fault(qualifier, text, what))
        return days

    # Header, subscriber and patient loops (2000A, 2000B, 2000C)

    def _bht(self, e: list[str]) -> None:
        if e[4]:
            days = self.days("D8", e[4], "BHT04 submission date")
            self.submitted = days[0] if days else None

    def _hl(self, e: list[str]) -> None:
        self.end_claim()
        self.damaged = False
        self.patient = None
        level = e[3]
        if level == "23":
            self.patient = {}
            if self.subscriber and e[2] and self.subscriber.hl and e[2] != self.subscriber.hl:
                self.problem(f"the patient's HL names a parent{shown(e[2])} that is not the subscriber before it")
                self.subscriber = _Subscriber(checked=True)  # whose payer it is cannot be told
        else:
            self.subscriber = _Subscriber(hl=e[1]) if level == "22" else None
            if level not in ("20", "22"):
                self.problem(f"HL03 is not a known level{shown(level)}; it must be 20, 22 or 23")

    def _sbr(self, e: list[str]) -> None:
        if self.claim and not self.line:
            payer: dict[str, Any] = {}
            self.other = payer
            self.claim.add("other_payers", payer)
        else:
            subscriber = self.subscriber
            if self.line or subscriber is None or "SBR" in subscriber.seen:  # 2320 never follows a line
                self.end_claim()
                self.problem("SBR outside of a subscriber loop (no HL of level 22 before it)")
                self.subscriber = subscriber = _Subscriber()
                self.patient = None
            subscriber.seen.add("SBR")
            _put(subscriber.patient, "relationship", e[2])
            payer = subscriber.payer
        for place, name in _PAYER_ELEMENTS:
            if value := e[place]:
                payer.setdefault(name, value)

    def _nm1(self, e: list[str]) -> None:
        if self.claim:
            payer = None if self.line else self.other
        elif self.subscriber and self.patient is None:
            payer = self.subscriber.payer
            self.subscriber.seen.add(e[1])
        else:
            payer = None
        if payer is None:
            return
        if e[1] == "IL":
            _put(payer, "member_id", e[9])
        elif e[1] == "PR":
            _put(payer, "name", e[3] if e[2] != "1" else "")
            _put(payer, "id", e[9])

    def _pat(self, e: list[str]) -> None:
        if self.claim or (e[1] and self.patient is None):  # PAT never stands in a claim; PAT01 only in 2000C
            self.end_claim()
            self.problem("PAT outside of a patient loop (no HL of level 23 before it)")
            self.patient = {}
        if self.patient is not None:
            _put(self.patient, "relationship", e[1])

    def _dmg(self, e: list[str]) -> None:
        if self.claim or not (self.subscriber or self.patient is not None):  # 004010 has a DMG in loop 2320 too
            return
        person = self.subscriber.patient if self.subscriber and self.patient is None else self.patient
        if person is None:
            return
        if e[2]:
            days = days_of(e[1], e[2])
            if days:
                _put(person, "birth_date", days[0])
            else:  # which is not shown
                self.problem(days_fault(e[1], "", "DMG02 birth date"))
        _put(person, "sex", e[3])

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
        values = claim.values
        if e[1]:
            values["id"] = e[1]
        else:
            self.problem("CLM01 patient control number is missing; the claim was left out")
        _put(values, "total_charge", self.amount(e[2], "CLM02 total charge", required=True))
        facility, _, frequency = (*components(e[5], self.separator(e[5])), "", "")[:3]
        if is_code(facility, 2):
            claim.facility = facility
        elif e[5]:
            self._not_code("CLM05-1 facility type or place of service", facility)
        if is_code(frequency, 1):
            values["frequency"] = frequency
        elif e[5]:
            self._not_code("CLM05-3 claim frequency", frequency)
        if not e[5]:
            self.problem("CLM05 place of service or type of bill is missing")

    def _not_code(self, what: str, value: str) -> None:
        self.problem(f"{what} is {'not a valid code' if value else 'missing'}{shown(value)}")

    def _lost_claim(self, name: str) -> None:
        """Take what follows as a claim whose CLM is lost: it is read over, and nobody else's."""
        if self.claim is None and name != "HI":  # an SBR taken for the subscriber's may have been the lost claim's
            self.subscriber = _Subscriber(checked=True)
        self.end_claim()
        self.problem(f"{name} outside of a claim (its CLM is missing); left out up to the next CLM or HL")
        self.claim = _Draft(self.number)

    def _dtp(self, e: list[str]) -> None:
        if self.line:
            if e[1] == "472" and (days := self.days(e[2], e[3], "DTP*472 date of service")):
                values = self.line.values
                values.setdefault("first_day", days[0])
                values.setdefault("last_day", days[1])
        elif self.claim and e[1] in CLAIM_DATES and e[2] != "TM":
            what, names = CLAIM_DATES[e[1]]
            if days := self.days(e[2], e[3], what):
                for name, day in zip(names, days, strict=False):
                    self.claim.values.setdefault(name, day)

    def _hi(self, e: list[str]) -> None:
        if self.claim is None or self.line:
            self._lost_claim("HI")
        items = [*filter(None, e)][1:]
        component = self.component
        for item in items:
            if component not in item:
                self._odd_hi(items)
                return
        for item in items:
            if code := code_of(item, component):
                self._code(code)

    def _odd_hi(self, items: list[str]) -> None:
        composites = [components(item, self.separator(item)) for item in reversed(items)]
        while composites:
            parts = composites.pop()
            if len(parts) == 1 and parts[0] in CODES and composites:
                following = composites[-1]
                if len(following) == 1 and following[0] not in CODES:
                    parts += composites.pop()  # "HI*BK*8901": the code as an element of its own
            if code := code_in(parts):
                self._code(code)

    def _code(self, code: Code) -> None:
        field, value, fault = code
        if fault:
            self.problem(fault)
        if not field or self.claim is None:
            return
        if field == "drg":
            self.claim.values.setdefault("drg", value)
        else:
            self.claim.lists.setdefault(field, []).append(value)

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
        if e[1] == "G1" and self.claim and (not e[4] if self.line else self.other is None):
            _put(self.claim.values, "prior_authorization", e[2])

    def _amt(self, e: list[str]) -> None:
        if e[1] == "D" and self.other is not None and not self.line:
            _put(self.other, "paid", self.amount(e[2], "AMT*D amount paid", required=True))

    # Lines (2400, 2410)

    def _lx(self, e: list[str]) -> None:
        number = line_number(e[1])
        last = self.line.values["number"] if self.line else 0
        if self.claim is None or (self.damaged and number is not None and number <= last):
            self._lost_claim("LX")
        if number is None:
            self.problem(f"LX01 line number is not a number{shown(e[1])}")
            number = last + 1
        self._new_line(number)
        self.numbered = True

    def _new_line(self, number: int) -> None:
        if self.line:
            self.end_line()
        self.line = line = _Draft(self.number)
        line.values["number"] = number

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
        self._quantity(line.values, "SV1", e, 2)
        _put(line.values, "place_of_service", e[5])
        pointers = [pointer for pointer in e[7].replace(" ", "").split(self.component) if pointer]
        if all(is_number(pointer, 2) for pointer in pointers):
            line.values["diagnosis_pointers"] = tuple(map(int, pointers))
        else:
            self.problem(f"SV107 diagnosis pointer is not a number{shown(e[7])}")

    def _sv2(self, e: list[str]) -> None:
        line = self._service(e, "837I")
        revenue = e[1]
        if revenue:
            line.values["revenue_code"] = f"0{revenue}" if len(revenue) == 3 and is_number(revenue, 3) else revenue
        else:
            self.problem("SV201 revenue code is missing")
        self._procedure(line, e[2])
        self._quantity(line.values, "SV2", e, 3)

    def _sv3(self, e: list[str]) -> None:
        self._service(e, "837D")

    def _procedure(self, line: _Draft, composite: str) -> None:
        line.values |= procedure_of(composite, self.separator(composite))

    def _quantity(self, values: dict[str, Any], segment: str, e: list[str], place: int) -> None:
        """Charge, unit and units, which stand at ``place`` and behind."""
        charge = amount_of(e[place])
        if charge is not None:
            values["charge"] = charge
        else:
            self.amount(e[place], f"{segment}0{place} line charge", required=True)
        if unit := e[place + 1]:
            values["unit"] = unit
        units = amount_of(e[place + 2])
        if units is not None:
            values["units"] = units
        else:
            self.amount(e[place + 2], f"{segment}0{place + 2} units")

    def _lin(self, e: list[str]) -> None:
        if self.line:
            for qualifier, code in zip(e[2::2], e[3::2], strict=False):
                if qualifier == "N4":
                    _put(self.line.values, "ndc", code.replace("-", ""))

    def _ctp(self, e: list[str]) -> None:
        if self.line:
            _put(self.line.values, "ndc_units", self.amount(e[4], "CTP04 drug units"))

    # What has been gathered

    def end_line(self, *, cut_short: bool = False) -> None:
        line, self.line = self.line, None
        if line is None or self.claim is None:
            return
        kind = line.kind
        if not kind and not cut_short:
            self.problem(f"line {line.values['number']} has no service segment (SV1 or SV2) and was left out", line.at)
        self.claim.add("kinds", kind)
        if kind in _FORMS:
            opened = OpenLine(**line.fields())
            opened.__class__ = Line
            self.claim.add("lines", opened)

    def end_claim(self, *, cut_short: bool = False) -> None:
        if self.line:
            self.end_line(cut_short=cut_short)
        claim, self.claim, self.other = self.claim, None, None
        if claim is None or "id" not in claim.values:
            return
        lists = claim.lists
        kinds = set(lists.pop("kinds", ()))
        if not kinds and not cut_short:
            self.problem("the claim has no service line (LX with SV1 or SV2)", claim.at)
        kinds.discard("")
        form = kinds.pop() if len(kinds) == 1 else self.form  # the guide in ST03 or GS08 lies more often than the lines
        values = claim.values
        if form == "837P":
            _put(values, "place_of_service", claim.facility)
        elif form == "837I" and claim.facility and "frequency" in values:
            values["bill_type"] = f"0{claim.facility}{values['frequency']}"
        subscriber = self.subscriber or _Subscriber()
        patient = subscriber.patient if self.patient is None else self.patient
        if others := lists.pop("other_payers", None):
            values["other_payers"] = tuple(Payer(**other) for other in others)
        opened = OpenClaim(
            **claim.fields(),
            source=self.source,
            where=f"segment {claim.at}",
            form=form if form in _FORMS else None,
            payer=Payer(**subscriber.payer),
            patient=Patient(**patient),
            submitted=self.submitted,
        )
        opened.__class__ = Claim
        self.out.append(opened)


_Handler = Callable[[Reader, list[str]], None]


def _handlers(names: str) -> dict[str, _Handler]:
    return {name: getattr(Reader, f"_{name.lower()}") for name in names.split()}


_ENVELOPE = _handlers(ENVELOPE)
_HANDLERS = _handlers(HANDLED)
_KNOWN_HANDLERS: dict[str, _Handler | None] = {name: _HANDLERS.get(name) for name in KNOWN - _ENVELOPE.keys()}
"""What to do with a segment inside of a claim transaction set; None is nothing."""
