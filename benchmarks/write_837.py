"""Writes claims as X12 837I and 837P interchanges, 005010: what a hospital's or a practice's system would send.

Everything about persons and places is made up. Each transaction set holds some hundred claims of one form that were
sent on one day, each with a subscriber loop of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from itertools import islice
from pathlib import Path

from chartulary.claim import Claim, Line, Payer

GUIDES = {"837I": "005010X223A2", "837P": "005010X222A1"}
CLAIMS_A_SET = 500
CLAIMS_AT_ONCE = 5_000
"""So many claims are sorted into transaction sets, and so many are held in memory."""

_HI_ITEMS = 12
_DELIMITERS = str.maketrans("*:^~", "    ")
_FIRST_NAMES = ("ADA", "BRUNO", "CLARA", "DORA", "EMIL", "FRIDA", "GUSTAV", "HELENE", "IVAN", "JUNE")


def write_837(claims: Iterable[Claim], file: Path) -> int:
    """Write claims to one interchange; give their number.

    The order within a few thousand claims is by form and day of submission. What an 837 cannot hold is left out.

    Raises:
        ValueError: a claim is neither 837I nor 837P, or has no day of submission (BHT04 must have one).
    """
    written = sets = 0
    remaining = iter(claims)
    with file.open("w", encoding="ascii", newline="") as out:
        out.write("".join(f"{segment}~\n" for segment in _opening()))
        while batch := list(islice(remaining, CLAIMS_AT_ONCE)):
            for form, day, alike in _alike(batch):
                sets += 1
                out.write("".join(f"{segment}~\n" for segment in _group(form, day, alike, sets)))
            written += len(batch)
        out.write(f"IEA*{sets}*000000001~\n")
    return written


def _alike(claims: Iterable[Claim]) -> Iterator[tuple[str, date, Sequence[Claim]]]:
    found: dict[tuple[str, date], list[Claim]] = defaultdict(list)
    for claim in claims:
        if claim.form not in GUIDES or claim.submitted is None:
            raise ValueError("an 837 claim needs a form, 837I or 837P, and the day on which it was sent")
        found[claim.form, claim.submitted].append(claim)
    for (form, day), group in sorted(found.items()):
        for start in range(0, len(group), CLAIMS_A_SET):
            yield form, day, group[start : start + CLAIMS_A_SET]


def _opening() -> Iterator[str]:
    blank, sender, receiver = " " * 10, f"{'MADEUPHOSPITAL':<15}", f"{'MADEUPCLEARING':<15}"
    yield f"ISA*00*{blank}*00*{blank}*ZZ*{sender}*ZZ*{receiver}*270101*1200*^*00501*000000001*0*T*:"


def _group(form: str, day: date, claims: Sequence[Claim], number: int) -> Iterator[str]:
    guide = GUIDES[form]
    yield f"GS*HC*MADEUPHOSPITAL*MADEUPCLEARING*{_d8(day)}*1200*{number}*X*{guide}"
    body = [f"ST*837*{number:04d}*{guide}", f"BHT*0019*00*{number:06d}*{_d8(day)}*1200*CH", *_header(form)]
    level = 1
    for claim in claims:
        self_insured = claim.patient.relationship in (None, "18")
        level += 1
        body += _subscriber(claim, level, self_insured)
        if not self_insured:
            level += 1
            body += _patient(claim, level)
        body += _claim(claim)
        for line in claim.lines:
            body += _line(line, form)
    body.append(f"SE*{len(body) + 1}*{number:04d}")
    yield from body
    yield f"GE*1*{number}"


def _header(form: str) -> Iterator[str]:
    yield "NM1*41*2*MADE UP HOSPITAL*****46*MADEUPHOSPITAL"
    yield "PER*IC*BILLING DESK*TE*5555550100"
    yield "NM1*40*2*MADE UP CLEARING*****46*MADEUPCLEARING"
    yield "HL*1**20*1"
    yield f"PRV*BI*PXC*{'282N00000X' if form == '837I' else '207RH0003X'}"
    yield "NM1*85*2*MADE UP HOSPITAL*****XX*1234567893"
    yield from _address("1 HOSPITAL WAY")
    yield "REF*EI*000000000"


def _address(street: str) -> tuple[str, str]:
    return f"N3*{street}", "N4*NOWHERE*MD*999999999"


def _subscriber(claim: Claim, level: int, self_insured: bool) -> Iterator[str]:
    payer = claim.payer
    yield f"HL*{level}*1*22*{0 if self_insured else 1}"
    yield _sbr(payer, "18" if claim.patient.relationship == "18" else "")
    yield f"NM1*IL*1*MEMBER*{_FIRST_NAMES[level % 10]}****MI*{payer.member_id or ''}"
    yield from _address(f"{level} MAIN STREET")
    if self_insured:
        yield from _dmg(claim)
    yield _payer_name(payer)


def _patient(claim: Claim, level: int) -> Iterator[str]:
    yield f"HL*{level}*{level - 1}*23*0"
    yield f"PAT*{claim.patient.relationship}"
    yield f"NM1*QC*1*MEMBER*{_FIRST_NAMES[level % 10]}"
    yield from _address(f"{level} MAIN STREET")
    yield from _dmg(claim)


def _dmg(claim: Claim) -> Iterator[str]:
    patient = claim.patient
    if patient.birth_date or patient.sex:
        yield _trimmed(f"DMG*D8*{_d8(patient.birth_date) if patient.birth_date else ''}*{patient.sex or ''}")


def _sbr(payer: Payer, relationship: str) -> str:
    indicator = payer.filing_indicator or ""
    return _trimmed(f"SBR*{payer.responsibility or ''}*{relationship}*{payer.group_number or ''}******{indicator}")


def _payer_name(payer: Payer) -> str:
    return f"NM1*PR*2*{_words(payer.name or '')}*****PI*{payer.id or ''}"


def _claim(claim: Claim) -> Iterator[str]:
    institutional = claim.form == "837I"
    place = (claim.bill_type or "0131")[1:3] + ":A" if institutional else (claim.place_of_service or "11") + ":B"
    assigned = "*A*Y*Y" if institutional else "Y*A*Y*Y"
    yield f"CLM*{claim.id}*{_text(claim.total_charge or 0)}***{place}:{claim.frequency or '1'}*{assigned}"
    if institutional:
        if claim.statement_from and claim.statement_through:
            yield f"DTP*434*RD8*{_d8(claim.statement_from)}-{_d8(claim.statement_through)}"
        if claim.admission:
            yield f"DTP*435*DT*{_d8(claim.admission)}0800"
        yield "CL1*3*1*01"
    for paper in claim.attachments:
        yield _trimmed(f"PWK*{paper.kind or ''}*{paper.transmission or ''}***AC*{paper.control_number or ''}")
    if claim.prior_authorization:
        yield f"REF*G1*{claim.prior_authorization}"
    for note in claim.notes:
        yield f"NTE*{note.qualifier or 'ADD'}*{_words(note.text)}"
    yield from _information(claim)
    role = "71" if institutional else "82"
    yield f"NM1*{role}*1*DOCTOR*ALEX****XX*1234567893"
    for other in claim.other_payers:
        yield _sbr(other, "18")
        if other.paid is not None:
            yield f"AMT*D*{_text(other.paid)}"
        yield "OI***Y***Y"
        yield f"NM1*IL*1*MEMBER*ALEX****MI*{other.member_id or ''}"
        yield _payer_name(other)


def _information(claim: Claim) -> Iterator[str]:
    """The HI segments: each qualifier that must stand alone alone, the others a dozen a segment."""
    items: dict[str, list[str]] = defaultdict(list)
    for diagnosis in claim.diagnoses:
        qualifier = diagnosis.system or "ABF"
        item = f"{qualifier}:{diagnosis.code.replace('.', '')}"
        items[qualifier].append(
            item + (f":::::::{diagnosis.present_on_admission}" if diagnosis.present_on_admission else "")
        )
    if claim.drg:
        items["DR"].append(f"DR:{claim.drg}")
    for procedure in claim.procedures:
        day = f":D8:{_d8(procedure.date)}" if procedure.date else ""
        items[procedure.system or "BBQ"].append(f"{procedure.system or 'BBQ'}:{procedure.code}{day}")
    for occurrence in claim.occurrence_codes:
        first, last = occurrence.first_day, occurrence.last_day
        if first and last:
            items["BI"].append(f"BI:{occurrence.code}:RD8:{_d8(first)}-{_d8(last)}")
        elif first:
            items["BH"].append(f"BH:{occurrence.code}:D8:{_d8(first)}")
    for value in claim.value_codes:
        items["BE"].append(f"BE:{value.code}:::{_text(value.amount or 0)}")
    for condition in claim.condition_codes:
        items["BG"].append(f"BG:{condition}")
    together = claim.form == "837P"  # there the principal diagnosis leads the others
    if together and "ABF" in items:
        items["ABK"] += items.pop("ABF")
    for found in items.values():
        for start in range(0, len(found), _HI_ITEMS):
            yield "*".join(["HI", *found[start : start + _HI_ITEMS]])


def _line(line: Line, form: str) -> Iterator[str]:
    service = ":".join(["HC", line.code, *line.modifiers]) if line.code else ""
    if service and line.description:
        service += ":" * (5 - len(line.modifiers)) + _words(line.description)
    quantity = f"{_text(line.charge or 0)}*{line.unit or 'UN'}*{_text(line.units if line.units is not None else 1)}"
    yield f"LX*{line.number}"
    if form == "837I":
        yield f"SV2*{line.revenue_code or ''}*{service}*{quantity}"
    else:
        pointers = ":".join(map(str, line.diagnosis_pointers))
        yield _trimmed(f"SV1*{service}*{quantity}*{line.place_of_service or ''}**{pointers}")
    if line.first_day and line.last_day:
        same = line.first_day == line.last_day
        yield f"DTP*472*D8*{_d8(line.first_day)}" if same else f"DTP*472*RD8*{_d8(line.first_day)}-{_d8(line.last_day)}"
    if line.ndc:
        yield f"LIN**N4*{line.ndc}"
        yield f"CTP****{_text(line.ndc_units or 1)}*UN"


def _d8(day: date) -> str:
    return f"{day.year:04d}{day.month:02d}{day.day:02d}"


def _text(number: Decimal | int) -> str:
    return str(number) if isinstance(number, int) else f"{number:f}"


def _words(text: str) -> str:
    return text.translate(_DELIMITERS)


def _trimmed(segment: str) -> str:
    return segment.rstrip("*")
