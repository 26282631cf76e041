"""Hypothesis strategies for claims: made up, but as real CAR-T claims look."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from chartulary.claim import (
    Attachment,
    Claim,
    Diagnosis,
    Document,
    Event,
    Line,
    Note,
    OccurrenceCode,
    Patient,
    Payer,
    Procedure,
    ValueCode,
)

DIAGNOSES = ("C83.31", "C83.38", "C82.11", "C90.00", "C91.00", "C91.02", "C83.10", "Z00.6", "Z92.850", "D89.832")
PROCEDURES = ("XW033C3", "XW043C3", "XW033H3", "XW043H3", "XW033J7", "XW043K7", "XW033M7", "XW043N7", "6A550Z1")
SERVICES = ("38225", "38226", "38227", "38228", "0537T", "0540T", "38999", "Q2041", "Q2042", "Q2053", "Q2055", "C9399")
REVENUE = ("0636", "0871", "0872", "0873", "0874", "0891", "0111", "0260")
PRODUCTS = ("tisagenlecleucel", "axicabtagene ciloleucel", "lisocabtagene maraleucel", "ciltacabtagene autoleucel")

days = st.dates(date(2019, 1, 1), date(2026, 12, 31))
amounts = st.decimals(Decimal("0"), Decimal("999999.99"), places=2)
words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=30)
numbers = st.from_regex(r"[A-Z0-9]{4,12}", fullmatch=True)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A value or None."""
    return st.none() | values


def some(values: st.SearchStrategy[Any], most: int = 3, **options: Any) -> st.SearchStrategy[tuple[Any, ...]]:
    """A short tuple."""
    return st.lists(values, max_size=most, **options).map(tuple)


payers = st.builds(
    Payer,
    name=maybe(st.sampled_from(("Medicare", "Noridian", "Aetna", "New York Medicaid"))),
    id=maybe(numbers),
    filing_indicator=maybe(st.sampled_from(("MA", "MB", "16", "CI", "MC"))),
    responsibility=maybe(st.sampled_from("PST")),
    member_id=maybe(numbers),
    group_number=maybe(numbers),
    paid=maybe(amounts),
)
patients = st.builds(
    Patient,
    birth_date=maybe(st.dates(date(1930, 1, 1), date(2024, 12, 31))),
    age=maybe(st.integers(0, 100)),
    sex=maybe(st.sampled_from("FMU")),
    relationship=maybe(st.sampled_from(("18", "01", "19"))),
)
diagnoses = st.builds(
    Diagnosis,
    code=st.sampled_from(DIAGNOSES),
    kind=st.sampled_from(("principal", "admitting", "other", "external-cause", "reason-for-visit")),
    present_on_admission=maybe(st.sampled_from("YNUW")),
    system=maybe(st.sampled_from(("ABK", "ABF"))),
)
procedures = st.builds(
    Procedure,
    code=st.sampled_from(PROCEDURES),
    date=maybe(days),
    kind=st.sampled_from(("principal", "other")),
    system=maybe(st.just("BBR")),
)
notes = st.builds(
    Note,
    text=st.sampled_from(("Diff Prod Clin Trial", "Expanded access")) | words,
    location=maybe(st.sampled_from(("NTE02", "FL80"))),
    qualifier=maybe(st.just("ADD")),
)
attachments = st.builds(
    Attachment,
    kind=maybe(st.sampled_from(("OZ", "invoice"))),
    transmission=maybe(st.sampled_from(("EL", "FX"))),
    control_number=maybe(numbers),
    date=maybe(days),
)
documents = st.builds(
    Document,
    kind=st.sampled_from(("hiv-serology", "hepatitis-serology", "letter")),
    date=maybe(days),
    result=maybe(st.sampled_from(("negative", "positive"))),
)
events = st.builds(
    Event, kind=st.sampled_from(("submission", "denial", "car-t")), date=maybe(days), reason=maybe(words)
)
findings = st.dictionaries(
    st.sampled_from(
        ("facility-rems-enrolled", "eligibility-verified", "vein", "clinical-trial", "prior-car-t", "hiv-serology")
    ),
    st.none()
    | st.booleans()
    | st.sampled_from(("peripheral vein", "central vein", "Kymriah", "2025-06-25", "12.5", "-3"))
    | st.lists(words, min_size=1, max_size=3, unique=True).map(tuple),
).map(lambda found: tuple(found.items()))


@st.composite
def periods(draw: st.DrawFn, first: str, last: str) -> dict[str, Any]:
    """No day, or two in order, under the names given."""
    if draw(st.booleans()):
        return {}
    return dict(zip((first, last), sorted((draw(days), draw(days))), strict=True))


@st.composite
def occurrence_codes(draw: st.DrawFn) -> OccurrenceCode:
    """An occurrence code with no day, one, or a span."""
    span = draw(periods("first_day", "last_day"))
    if draw(st.booleans()):
        span.pop("last_day", None)
    return OccurrenceCode(code=draw(st.sampled_from(("11", "24", "31", "70", "74"))), **span)


@st.composite
def lines(draw: st.DrawFn, number: int = 1) -> Line:
    """A service line."""
    return Line(
        number=number,
        code=draw(maybe(st.sampled_from(SERVICES))),
        code_system=draw(maybe(st.just("HC"))),
        modifiers=draw(some(st.sampled_from(("KX", "LU", "Q0", "JW")), 2)),
        revenue_code=draw(maybe(st.sampled_from(REVENUE))),
        description=draw(maybe(words)),
        units=draw(maybe(amounts)),
        unit=draw(maybe(st.sampled_from(("UN", "MJ", "DA")))),
        charge=draw(maybe(amounts)),
        place_of_service=draw(maybe(st.sampled_from(("11", "19", "21", "22")))),
        ndc=draw(maybe(st.sampled_from(("00078084619", "71287011901")))),
        ndc_units=draw(maybe(amounts)),
        diagnosis_pointers=draw(some(st.integers(1, 12))),
        notes=draw(some(notes, 1)),
        attachments=draw(some(attachments, 1)),
        **draw(periods("first_day", "last_day")),
    )


@st.composite
def claims(draw: st.DrawFn) -> Claim:
    """A claim or prior-authorisation request with something in it to check."""
    checked: dict[str, Any] = {
        "diagnoses": draw(some(diagnoses)),
        "procedures": draw(some(procedures, 2)),
        "lines": tuple(draw(lines(number)) for number in range(1, draw(st.integers(0, 3)) + 1)),
    }
    if not any(checked.values()):
        checked["diagnoses"] = (draw(diagnoses),)
    return Claim(
        id=draw(numbers),
        source=draw(st.sampled_from(("-", "claims.json"))),
        where=draw(st.sampled_from(("", "claim 2"))),
        request=draw(st.sampled_from(("claim", "prior-authorization"))),
        form=draw(maybe(st.sampled_from(("837I", "837P", "UB-04", "CMS-1500")))),
        payer=draw(payers),
        other_payers=draw(some(payers, 2)),
        line_of_business=draw(maybe(st.sampled_from(("Medicare FFS Part A", "Medicare FFS Part B")))),
        setting=draw(maybe(st.sampled_from(("inpatient", "outpatient", "professional")))),
        bill_type=draw(maybe(st.sampled_from(("0111", "0131", "0137")))),
        place_of_service=draw(maybe(st.sampled_from(("11", "21", "22")))),
        frequency=draw(maybe(st.sampled_from("178"))),
        patient=draw(patients),
        date_of_service=draw(maybe(days)),
        submitted=draw(maybe(days)),
        total_charge=draw(maybe(amounts)),
        drg=draw(maybe(st.sampled_from(("018", "016", "846")))),
        condition_codes=draw(some(st.sampled_from(("30", "90", "44")), 2)),
        value_codes=draw(
            some(st.builds(ValueCode, code=st.sampled_from(("86", "90", "80")), amount=maybe(amounts)), 2)
        ),
        occurrence_codes=draw(some(occurrence_codes(), 2)),
        notes=draw(some(notes, 2)),
        prior_authorization=draw(maybe(numbers)),
        attachments=draw(some(attachments, 1)),
        product=draw(maybe(st.sampled_from(PRODUCTS))),
        donor_type=draw(maybe(st.sampled_from(("autologous", "allogeneic")))),
        findings=draw(findings),
        documents=draw(some(documents, 2)),
        history=draw(some(events, 2)),
        **checked,
        **draw(periods("statement_from", "statement_through")),
        **draw(periods("admission", "discharge")),
    )
