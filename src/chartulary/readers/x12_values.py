"""What the elements of 837 segments say: days, amounts, codes; and the segments that a claim may hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import field, fields, make_dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from chartulary.claim import Claim, Diagnosis, Line, OccurrenceCode, Patient, Payer, Procedure, ValueCode

_AMOUNT = re.compile(r"-?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})")

_IDENTIFIERS = (
    "AMT BHT CAS CL1 CLM CN1 CR1 CR2 CR3 CR4 CR5 CR6 CR7 CR8 CRC CTP CUR DMG DN1 DN2 DSB DTP FRM HCP HI HL HSD IMM K3"
    " LIN LQ LX MEA MIA MOA N2 N3 N4 NM1 NTE OI PAT PER PRV PS1 PWK QTY REF SBR SV1 SV2 SV3 SV4 SV5 SV6 SV7 SVD TOO UR"
    " ISA GS ST SE GE IEA TA1"
)
KNOWN = frozenset(_IDENTIFIERS.split())
ENVELOPE = "ISA GS ST SE GE IEA"
HANDLED = "BHT HL SBR NM1 PAT DMG CLM DTP HI NTE PWK REF AMT LX SV1 SV2 SV3 LIN CTP"
"""Segments, beside those of the envelope, that say something that a claim holds."""
IGNORED = KNOWN.difference(ENVELOPE.split(), HANDLED.split())
_DIAGNOSES = {"BK": "principal", "BJ": "admitting", "PR": "reason-for-visit", "BN": "external-cause", "BF": "other"}
_DIAGNOSES |= {f"A{qualifier}": kind for qualifier, kind in _DIAGNOSES.items()}  # with A in front: ICD-10-CM
_PROCEDURES = {"BR": "principal", "BQ": "other", "BBR": "principal", "BBQ": "other"}
CODES = {*_DIAGNOSES, *_PROCEDURES, "BE", "BG", "BH", "BI", "DR"}
CLAIM_DATES = {
    "434": ("DTP*434 statement date", ("statement_from", "statement_through")),
    "435": ("DTP*435 admission date", ("admission",)),
    "096": ("DTP*096 discharge date", ("discharge",)),  # a day in 837P; in 837I only an hour (TM)
}
PADDING = ("",) * 9
"""Elements that a handler may look at and a segment may lack."""
CACHED = 8192
"""Texts of one kind (days, amounts, codes) whose reading is remembered: claims repeat them."""


def _day(text: str) -> date | None:
    if len(text) != 8 or not is_number(text, 8):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def shown(text: str) -> str:
    """A value at fault, fit for a message: only what is clearly a number, date or short code."""
    return f" ({text})" if re.fullmatch("(?=.*[0-9])(?:[0-9.,:+$eE-]{1,20}|[A-Za-z0-9]{1,4})", text) else ""


@lru_cache(maxsize=CACHED)
def days_of(qualifier: str, text: str) -> tuple[date, date] | None:
    """First and last day of a D8, DT or RD8 date; None if it is none."""
    if qualifier == "D8":
        day = _day(text.strip(" "))
        return (day, day) if day else None
    if qualifier == "RD8":
        first, dash, last = text.partition("-")
        last = last if dash else first
    elif qualifier == "DT" and re.fullmatch("[0-9]{12}", text):
        first = last = text[:8]
    elif qualifier == "DT":
        first = last = text
    else:
        return None
    days = _day(first.strip(" ")), _day(last.strip(" "))
    return (days[0], days[1]) if days[0] and days[1] and days[0] <= days[1] else None


def days_fault(qualifier: str, text: str, what: str) -> str:
    """Say that what should be days is none."""
    return f"{what} is not a valid date{' range' if qualifier == 'RD8' else ''}{shown(text)}"


class Known(dict[str, Any]):
    """What texts say, by the text; few repeat in some files, so that a miss must cost little."""

    __slots__ = ("_read",)

    def __init__(self, read: Callable[[str], Any]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, text: str) -> Any:
        found = self._read(text)
        if len(self) < CACHED:
            self[text] = found
        return found


amount_of: Callable[[str], Decimal | None] = Known(
    lambda text: Decimal(text) if _AMOUNT.fullmatch(text) else None
).__getitem__
"""The amount that a text is; None if it is none."""


def amount_fault(text: str, what: str) -> str:
    """Say that what should be an amount is none."""
    return f"{what} is not a plain decimal number{shown(text)}"


@lru_cache(maxsize=CACHED)
def components(composite: str, component: str) -> tuple[str, ...]:
    """Components of a composite, without outer spaces."""
    return tuple(part.strip(" ") for part in composite.split(component))


def is_number(text: str, most: int) -> bool:
    """Tell whether the text is one to ``most`` digits."""
    return text.isdigit() and text.isascii() and len(text) <= most


@lru_cache(maxsize=CACHED)
def line_number(text: str) -> int | None:
    """Number of a line; None if it is none."""
    return int(text) if is_number(text, 9) else None


def is_code(text: str, length: int) -> bool:
    """Tell whether the text is so many letters and digits."""
    return len(text) == length and text.isalnum() and text.isascii()


class Code(NamedTuple):
    """What an item of an HI segment says: a field of the claim and what it has to hold."""

    field: str
    value: Any
    fault: str = ""


@lru_cache(maxsize=CACHED)
def code_of(item: str, component: str) -> Code | None:
    """Read an item of an HI segment; None if it is nothing of ours."""
    return code_in(components(item, component))


def code_in(given: tuple[str, ...]) -> Code | None:
    """Read the components of an item of an HI segment; None if it is nothing of ours."""
    parts = given + ("",) * (9 - len(given))
    qualifier, code, form, day, money = parts[:5]
    if qualifier not in CODES:
        return None
    if not code:
        return Code("", None, f"HI has {qualifier} without a code")
    days = None
    fault = ""
    if (form or day) and (qualifier in _PROCEDURES or qualifier in ("BH", "BI")):
        days = days_of(form, day)
        if not days:
            fault = days_fault(form, day, f"date of HI {qualifier} {code}" if len(code) < 8 else "date in HI")
    first, last = days or (None, None)
    if kind := _DIAGNOSES.get(qualifier):
        if qualifier.startswith("A") and len(code) > 3 and "." not in code:
            code = f"{code[:3]}.{code[3:]}"
        diagnosis = Diagnosis(code=code, kind=kind, present_on_admission=parts[8] or None, system=qualifier)
        return Code("diagnoses", diagnosis)
    if kind := _PROCEDURES.get(qualifier):
        return Code("procedures", Procedure(code=code, date=first, kind=kind, system=qualifier), fault)
    if qualifier == "BE":
        amount = amount_of(money)
        if money and amount is None:
            fault = amount_fault(money, "amount of a value code (HI BE)")
        return Code("value_codes", ValueCode(code=code, amount=amount), fault)
    if qualifier == "BG":
        return Code("condition_codes", code)
    if qualifier == "DR":
        if re.fullmatch("[0-9]{3,4}", code):  # four in some Medicaid groupers
            return Code("drg", code)
        return Code("", None, f"DRG in HI is not three digits{shown(code)}")
    span = last if qualifier == "BI" else None
    return Code("occurrence_codes", OccurrenceCode(code=code, first_day=first, last_day=span), fault)


@lru_cache(maxsize=CACHED)
def procedure_of(composite: str, component: str) -> dict[str, Any]:
    """Fields of a line that the procedure of its service segment gives."""
    parts = components(composite, component) + ("",) * 6
    modifiers = tuple(modifier for modifier in parts[2:6] if modifier)
    fields = {"code_system": parts[0], "code": parts[1], "modifiers": modifiers, "description": parts[6]}
    return {name: value for name, value in fields.items() if value}


def _opened(frozen: type) -> Any:
    """Return a class whose instances may become those of a frozen dataclass: made thus, they cost a third.

    Fields may be given in their order too: that costs half of giving them by name.
    """
    same = [
        (one.name, one.type, field(default=one.default, default_factory=one.default_factory)) for one in fields(frozen)
    ]
    return make_dataclass(f"_Open{frozen.__name__}", same, slots=True)


OpenClaim, OpenLine, OpenPatient, OpenPayer = map(_opened, (Claim, Line, Patient, Payer))
