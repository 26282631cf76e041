"""The X12 reader: delimiters, loops, every field of a claim, and faults that cost only themselves."""

from __future__ import annotations

import codecs
import io
import pickle
import random
import time
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartulary.claim import Attachment, Claim, Diagnosis, Line, Note, OccurrenceCode, Payer, Procedure, ValueCode
from chartulary.errors import Problem
from chartulary.readers import read_claims_from, x12_segments
from chartulary.readers.x12 import _KNOWN_HANDLERS, read_x12
from chartulary.readers.x12_parts import Part, encoding_of, parts, read_part

CORPUS = Path(__file__).parents[2] / "shared" / "corpus" / "claims" / "x12"

BILLING = "HL*1**20*1~NM1*85*2*CELL HOSPITAL*****XX*1234567893~N3*1 MAIN ST~N4*CENTERVILLE*PA*17111"
SUBSCRIBER = (
    "HL*2*1*22*0~SBR*P*18*GRP1******MB~NM1*IL*1*DOE*JOHN****MI*1EG4TE5MK73~DMG*D8*19601111*M"
    "~NM1*PR*2*MEDICARE*****PI*00435"
)
CLAIM = "CLM*PCN1*100.50***13:A:1**A*Y*Y"
LINE = "LX*1~SV2*0874*HC:38228*100.50*UN*1~DTP*472*D8*20250626"
INPATIENT = f"""\
{BILLING}~{SUBSCRIBER}
~CLM*PCN1*500000.00***11:A:1**A*Y*Y~DTP*096*TM*1200~DTP*434*RD8*20250620-20250710~DTP*435*DT*202506201530
~CL1*1*1*01~PWK*OZ*EL***AC*CTRL1~REF*G1*AUTH77~REF*D9*X~NTE*ADD*Diff Prod Clin Trial~NTE*UPI*SECOND
~HI*ABK:C8331:::::::Y~HI*ABJ:R509~HI*APR:R0600*APR:R11~HI*ABF:Z006:::::::1*ABF:D89832*BF:20280~HI*ABN:V9421XS
~HI*DR:018~HI*BBR:XW033C3:D8:20250626~HI*BBQ:6A550Z1:D8:20250601*BQ:9925
~HI*BG:90*BG:30~HI*BE:80:::20*BE:87:::373000.00~HI*BH:11:D8:20250101~HI*BI:70:RD8:20250601-20250605
~SBR*S*01*351630*PLAN NAME*****CI~AMT*D*39.15~AMT*EAF*10~OI***Y***Y~NM1*IL*1*DOE*JANE****MI*OTHER9~DMG*D8*19700101*F
~NM1*PR*2*STATE TEACHERS*****PI*1135~REF*G1*NOTOURS
~LX*1~SV2*874*HC:38228:Q0:KX:A:B:Infusion*300000*UN*1~DTP*472*RD8*20250626-20250627~REF*6R*1
~LX*2~SV2*0891*HC:Q2042*200000.00*UN*2.5~PWK*B4*FX***AC*L2~DTP*472*D8*20250626~LIN**N4*00078-0846-19~CTP****1.5*UN
~NTE*TPO*LINE NOTE~NM1*72*1*SURGEON*ANN~SVD*1135*40*HC:Q2042**1~CAS*PR*1*3~DTP*573*D8*20250801"""


def x12(body: str, *, st03: str = "005010X223A2", kind: str = "837", se01: str = "") -> str:
    """Return a whole file around the body of one transaction set; line breaks in the body are dropped."""
    body = body.replace("\n", "").strip("~")
    count = body.count("~") + 4
    return (
        "ISA*00*          *00*          *ZZ*123456789012345*ZZ*123456789012346*250710*1705*^*00501*000010216*0*T*:~"
        f"GS*HC*123*987*20250710*1705*20213*X*{st03}~ST*{kind}*0001*{st03}~BHT*0019*00*0123*20250711*0932*CH~"
        f"{body}~SE*{se01 or count}*0001~GE*1*20213~IEA*1*000010216~"
    )


def one_claim(*segments: str, form: str = "005010X223A2") -> str:
    return x12("~".join((BILLING, SUBSCRIBER, *segments)), st03=form)


def read(text: str) -> tuple[list[Claim], list[Problem]]:
    items = list(read_x12(text, source="f"))
    return [item for item in items if isinstance(item, Claim)], [item for item in items if isinstance(item, Problem)]


def only(text: str) -> Claim:
    claims, problems = read(text)
    assert not problems
    (claim,) = claims
    return claim


def with_fault(text: str) -> tuple[Claim, str]:
    """Return the one claim, and the one problem as text."""
    claims, problems = read(text)
    assert len(claims) == len(problems) == 1, problems
    return claims[0], str(problems[0])


# Fields


def test_institutional_claim() -> None:
    claim = only(x12(INPATIENT))
    assert (claim.id, claim.source, claim.where) == ("PCN1", "f", "segment 14")
    assert (claim.form, claim.bill_type, claim.place_of_service, claim.frequency) == ("837I", "0111", None, "1")
    assert claim.total_charge == Decimal("500000.00")
    assert (claim.statement_from, claim.statement_through) == (date(2025, 6, 20), date(2025, 7, 10))
    assert (claim.admission, claim.discharge, claim.submitted) == (date(2025, 6, 20), None, date(2025, 7, 11))
    assert claim.drg == "018"
    assert claim.prior_authorization == "AUTH77"
    assert claim.condition_codes == ("90", "30")
    assert claim.value_codes == (
        ValueCode(code="80", amount=Decimal(20)),
        ValueCode(code="87", amount=Decimal("373000.00")),
    )
    assert claim.occurrence_codes == (
        OccurrenceCode(code="11", first_day=date(2025, 1, 1)),
        OccurrenceCode(code="70", first_day=date(2025, 6, 1), last_day=date(2025, 6, 5)),
    )
    assert claim.attachments == (Attachment(kind="OZ", transmission="EL", control_number="CTRL1"),)
    assert claim.notes == (
        Note(text="Diff Prod Clin Trial", location="NTE02", qualifier="ADD"),
        Note(text="SECOND", location="NTE02", qualifier="UPI"),
    )


def test_diagnoses_and_procedures() -> None:
    claim = only(x12(INPATIENT))
    assert claim.diagnoses == (
        Diagnosis(code="C83.31", kind="principal", present_on_admission="Y", system="ABK"),
        Diagnosis(code="R50.9", kind="admitting", system="ABJ"),
        Diagnosis(code="R06.00", kind="reason-for-visit", system="APR"),
        Diagnosis(code="R11", kind="reason-for-visit", system="APR"),
        Diagnosis(code="Z00.6", kind="other", present_on_admission="1", system="ABF"),
        Diagnosis(code="D89.832", kind="other", system="ABF"),
        Diagnosis(code="20280", kind="other", system="BF"),
        Diagnosis(code="V94.21XS", kind="external-cause", system="ABN"),
    )
    assert claim.procedures == (
        Procedure(code="XW033C3", date=date(2025, 6, 26), kind="principal", system="BBR"),
        Procedure(code="6A550Z1", date=date(2025, 6, 1), kind="other", system="BBQ"),
        Procedure(code="9925", kind="other", system="BQ"),
    )


def test_payers_stay_apart() -> None:
    claim = only(x12(INPATIENT))
    assert claim.payer == Payer(
        name="MEDICARE",
        id="00435",
        filing_indicator="MB",
        responsibility="P",
        member_id="1EG4TE5MK73",
        group_number="GRP1",
    )
    assert claim.other_payers == (
        Payer(
            name="STATE TEACHERS",
            id="1135",
            filing_indicator="CI",
            responsibility="S",
            member_id="OTHER9",
            group_number="351630",
            paid=Decimal("39.15"),
        ),
    )
    assert (claim.patient.birth_date, claim.patient.sex, claim.patient.relationship) == (date(1960, 11, 11), "M", "18")


def test_lines() -> None:
    assert only(x12(INPATIENT)).lines == (
        Line(
            number=1,
            code="38228",
            code_system="HC",
            modifiers=("Q0", "KX", "A", "B"),
            description="Infusion",
            revenue_code="0874",
            first_day=date(2025, 6, 26),
            last_day=date(2025, 6, 27),
            units=Decimal(1),
            unit="UN",
            charge=Decimal(300000),
        ),
        Line(
            number=2,
            code="Q2042",
            code_system="HC",
            revenue_code="0891",
            first_day=date(2025, 6, 26),
            last_day=date(2025, 6, 26),
            units=Decimal("2.5"),
            unit="UN",
            charge=Decimal("200000.00"),
            ndc="00078084619",
            ndc_units=Decimal("1.5"),
            notes=(Note(text="LINE NOTE", location="NTE02", qualifier="TPO"),),
            attachments=(Attachment(kind="B4", transmission="FX", control_number="L2"),),
        ),
    )


PROFESSIONAL = ("CLM*P1*90***21:B:7*Y*A*Y*Y", "DTP*435*D8*20250601", "DTP*096*D8*20250630", "HI*ABK:C9000*ABF:Z923")


def test_professional_claim() -> None:
    line = "LX*7~SV1*HC:38228:26:::: INFUSION *90*UN*1*22**1:2**Y~SV5*HC:E0110*DA*1*1~DTP*472*D8*20250626"
    claim = only(one_claim(*PROFESSIONAL, line, form="005010X222A1"))
    assert (claim.form, claim.bill_type, claim.place_of_service, claim.frequency) == ("837P", None, "21", "7")
    assert (claim.admission, claim.discharge) == (date(2025, 6, 1), date(2025, 6, 30))
    (read_line,) = claim.lines
    assert (read_line.number, read_line.code, read_line.modifiers) == (7, "38228", ("26",))
    assert (read_line.description, read_line.place_of_service) == ("INFUSION", "22")
    assert read_line.diagnosis_pointers == (1, 2)


@pytest.mark.parametrize(
    ("guide", "line", "form"),
    [
        ("005010X223A2", "SV2*0874*HC:38228*1*UN*1", "837I"),
        ("005010X222A1", "SV1*HC:38228*1*UN*1***1", "837P"),
        ("005010X222A1", "SV2*0874*HC:38228*1*UN*1", "837I"),  # the guide lies
        ("005010X223A2", "SV1*HC:38228*1*UN*1***1", "837P"),
        ("004010X096A1", "SV2*0874*HC:38228*1*UN*1", "837I"),
        ("004010X098A1", "SV1*HC:38228*1*UN*1***1", "837P"),
        ("", "SV2*0874*HC:38228*1*UN*1", "837I"),
        ("", "SV1*HC:38228*1*UN*1***1", "837P"),
        ("005010X224A2", "SV3*AD:D0120*1", None),
    ],
)
def test_form(guide: str, line: str, form: str | None) -> None:
    claim = only(one_claim(CLAIM, f"LX*1~{line}", form=guide))
    assert claim.form == form
    assert claim.bill_type == ("0131" if form == "837I" else None)
    assert claim.place_of_service == ("13" if form == "837P" else None)


def test_form_without_lines_follows_the_guide() -> None:
    claim, problem = with_fault(one_claim(CLAIM))
    assert claim.form == "837I"
    assert "no service line" in problem
    assert "segment 14" in problem


# Loops


def test_patient_who_is_not_the_subscriber() -> None:
    patient = "HL*3*2*23*0~PAT*19~NM1*QC*1*DOE*JIM~DMG*D8*20100203*F"
    claim = only(one_claim(patient, CLAIM, LINE))
    assert (claim.patient.birth_date, claim.patient.sex) == (date(2010, 2, 3), "F")
    assert claim.patient.relationship == "19"
    assert claim.payer.id == "00435"
    assert claim.payer.member_id == "1EG4TE5MK73"


def test_each_claim_has_the_payer_of_its_own_subscriber() -> None:
    other = "HL*3*1*22*0~SBR*S*18*******CI~NM1*IL*1*ROE*ANN****MI*M2~NM1*PR*2*AETNA*****PI*60054"
    again = CLAIM.replace("PCN1", "PCN2")
    third = CLAIM.replace("PCN1", "PCN3")
    claims, problems = read(one_claim(CLAIM, LINE, again, LINE, other, third, LINE))
    assert not problems
    assert [(claim.id, claim.payer.id, claim.payer.filing_indicator) for claim in claims] == [
        ("PCN1", "00435", "MB"),
        ("PCN2", "00435", "MB"),
        ("PCN3", "60054", "CI"),
    ]
    assert claims[2].patient.birth_date is None


def test_secondary_claim_keeps_its_addressee() -> None:
    secondary = SUBSCRIBER.replace("SBR*P", "SBR*S")
    claim = only(x12(f"{BILLING}~{secondary}~{CLAIM}~SBR*P*18*******CI~AMT*D*5~NM1*PR*2*FIRST*****PI*1~{LINE}"))
    assert (claim.payer.id, claim.payer.responsibility, claim.payer.paid) == ("00435", "S", None)
    assert claim.other_payers == (
        Payer(name="FIRST", id="1", responsibility="P", filing_indicator="CI", paid=Decimal(5)),
    )


def test_prior_authorisation_on_the_line() -> None:
    assert only(one_claim(CLAIM, LINE, "REF*G1*LINEAUTH")).prior_authorization == "LINEAUTH"
    assert only(one_claim(CLAIM, LINE, "REF*G1*THEIRS**2U:1135")).prior_authorization is None


def test_service_without_lx() -> None:
    claim = only(one_claim(CLAIM, "SV1*HC:99213*1*UN*1***1~SV1*HC:99214*1*UN*1***1"))
    assert [(line.number, line.code) for line in claim.lines] == [(1, "99213"), (2, "99214")]


def test_several_transaction_sets_and_interchanges() -> None:
    first = one_claim(CLAIM, LINE)
    second = one_claim(CLAIM.replace("PCN1", "PCN2"), LINE).translate(str.maketrans("*~:", "|\x1d>"))
    claims, problems = read(f"{first}\r\n\ufeff{second}\x1a")
    assert not problems
    assert [(claim.id, claim.where) for claim in claims] == [("PCN1", "segment 14"), ("PCN2", "segment 34")]


def test_reader_is_lazy() -> None:
    items = read_x12(one_claim(CLAIM, LINE, CLAIM, LINE), source="f")
    assert isinstance(items, Iterator)
    assert isinstance(next(items), Claim)


@pytest.mark.parametrize(("kind", "word"), [("835", "remittance"), ("270", "eligibility"), ("997", "acknowledgment")])
def test_other_transaction_sets(kind: str, word: str) -> None:
    other = x12("BPR*I*945~CLP*1*1*1~CLM*9*1", kind=kind, st03="")
    claims, (problem,) = read(other + one_claim(CLAIM, LINE))
    assert str(problem) == f"f, segment 3: {kind} {word}, not a claim (837)" or word == "eligibility"
    assert word in problem.message
    assert len(claims) == 1


# Delimiters


@given(
    marks=st.permutations([*"*~:^|!\\>{}[]$?;+%@#`\x1c\x1d\x1e\x1f\x07\x85"]),
    line_end=st.sampled_from(["", "\n", "\r", "\r\n", "\n\n", "\r\n    "]),
    by_line=st.booleans(),
    lead=st.sampled_from(["", "\ufeff", "\r\n  ", "ï»¿"]),
    isa16=st.sampled_from(["right", "wrong", "empty"]),
)
@settings(max_examples=300, deadline=None)
def test_delimiters_do_not_matter(marks: list[str], line_end: str, by_line: bool, lead: str, isa16: str) -> None:
    element, terminator, component, wrong = marks[:4]
    if by_line and line_end in ("\n", "\r", "\r\n"):
        terminator, line_end = line_end, ""
    text = x12(INPATIENT)
    head, seam, tail = text.partition("*:~")
    seam = {"right": "*:~", "wrong": f"*{wrong}~", "empty": "*~"}[isa16]
    if isa16 == "empty" and terminator[0] in "\r\n":
        return  # then nothing tells a missing ISA16
    table = str.maketrans({"*": element, "~": terminator + line_end, ":": component})
    expected = only(text)
    # A separator that differs from ISA16 is learnt from the composites; here one of them is CLM05.
    assert only(lead + head.translate(table) + seam.translate(table) + tail.translate(table)) == expected


@pytest.mark.parametrize(
    "head",
    [
        "ISA*00**00**ZZ*1*ZZ*2*250710*1705*^*00501*1*0*T*:~",
        f"ISA*00*{' ' * 40}*00*x*ZZ*GS*ZZ*A-GS*250710*1705*^*00501*1*0*T*:~",
    ],
)
def test_isa_of_any_length(head: str) -> None:
    text = one_claim(CLAIM, LINE)
    assert only(head + text[text.index("GS*") :]).id == "PCN1"


def test_wrapped_lines() -> None:
    text = x12(INPATIENT)
    wrapped = "\n".join(text[start : start + 80] for start in range(0, len(text), 80))
    assert only(wrapped) == only(text)


def test_code_as_an_element_of_its_own() -> None:
    claim = only(one_claim(CLAIM, "HI*BK*8901*ABF*C8331*BF:5559", LINE))
    assert [(code.code, code.system) for code in claim.diagnoses] == [("8901", "BK"), ("C83.31", "ABF"), ("5559", "BF")]


# Faults


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("CLM*PCN1*500000.00", "CLM*PCN1*1E5", "CLM02 total charge is not a plain decimal number (1E5)"),
        ("CLM*PCN1*500000.00", "CLM*PCN1*NaN", "CLM02 total charge"),
        ("CLM*PCN1*500000.00", "CLM*PCN1*٣", "CLM02 total charge"),
        ("CLM*PCN1*500000.00", "CLM*PCN1*", "CLM02 total charge is missing"),
        ("***11:A:1", "***", "CLM05 place of service or type of bill is missing"),
        ("***11:A:1", "***11:A", "CLM05-3 claim frequency is missing"),
        ("***11:A:1", "***1:A:1", "CLM05-1"),
        ("20250620-20250710", "20250620-20250231", "DTP*434 statement date is not a valid date range"),
        ("20250620-20250710", "20250710-20250620", "DTP*434"),
        ("DTP*435*DT*202506201530", "DTP*435*D8*20251320", "DTP*435 admission date is not a valid date (20251320)"),
        ("DTP*435*DT*202506201530", "DTP*435*D8*2025062", "DTP*435"),
        ("DTP*435*DT*202506201530", "DTP*435*D8*", "DTP*435"),
        ("BHT*0019*00*0123*20250711", "BHT*0019*00*0123*250711", "BHT04"),
        ("D8*19601111*M", "D8*19601131*M", "DMG02 birth date is not a valid date"),
        ("HI*DR:018", "HI*DR:18", "DRG"),
        ("XW033C3:D8:20250626", "XW033C3:D8:20250632", "HI BBR XW033C3 is not a valid date (20250632)"),
        ("BE:80:::20", "BE:80:::2O", "value code"),
        ("BG:90", "BG", "BG without a code"),
        ("BH:11:D8:20250101", "BH:11:D8:x", "BH"),
        ("AMT*D*39.15", "AMT*D*x", "AMT*D"),
        ("LX*1~", "LX*one~", "LX01"),
        ("Infusion*300000*", "Infusion*3,00*", "SV203 line charge is not a plain decimal number (3,00)"),
        ("Infusion*300000*", "Infusion**", "SV203 line charge is missing"),
        ("SV2*874*", "SV2**", "SV201"),
        ("*UN*2.5", "*UN*-", "SV205 units"),
        ("DTP*472*RD8*20250626-20250627", "DTP*472*D8*20250626-20250627", "DTP*472"),
        ("CTP****1.5", "CTP****x", "CTP04"),
        ("CL1*1*1*01", "CLl*1*1*01", "unknown segment identifier CLl"),
        ("CL1*1*1*01", "*1*1*01", "unknown segment identifier"),
    ],
)
def test_faulty_field_costs_only_that_field(old: str, new: str, words: str) -> None:
    text = x12(INPATIENT)
    assert text.count(old) == 1, old
    claim, problem = with_fault(text.replace(old, new))
    assert problem.startswith(f"f, segment {text.partition(old)[0].count('~') + 1}: ")
    assert words in problem
    assert (claim.id, len(claim.lines), claim.payer.id) == ("PCN1", 2, "00435")


def test_birth_dates_and_names_are_not_quoted() -> None:
    bad = one_claim(CLAIM, LINE).replace("19601111", "19601131").replace("*100.50***", "*JOHN DOE***")
    bad = bad.replace("NM1*85", "JOHN DOE*85")
    text = "\n".join(map(str, read(bad)[1]))
    assert text.count("\n") == 2
    assert "19601131" not in text
    assert "DOE" not in text


def test_claim_without_number_is_left_out() -> None:
    claims, (problem,) = read(one_claim("CLM**1***13:A:1", "SBR*S*18", "NM1*PR*2*X*****PI*9", LINE, CLAIM, LINE))
    assert "CLM01" in str(problem)
    assert [claim.id for claim in claims] == ["PCN1"]
    assert claims[0].payer.id == "00435"


def test_line_without_service() -> None:
    claim, problem = with_fault(one_claim(CLAIM, "LX*1~DTP*472*D8*20250626", LINE.replace("LX*1", "LX*2")))
    assert problem == "f, segment 15: line 1 has no service segment (SV1 or SV2) and was left out"
    assert [line.number for line in claim.lines] == [2]


def test_two_services_under_one_lx() -> None:
    claim, problem = with_fault(one_claim(CLAIM, LINE, "SV2*0891*HC:Q2042*1*UN*1"))
    assert "second service segment" in problem
    assert [line.code for line in claim.lines] == ["38228", "Q2042"]


def test_claim_outside_of_a_subscriber_loop() -> None:
    claim, problem = with_fault(x12(f"{BILLING}~{CLAIM}~{LINE}"))
    assert "outside of a subscriber loop" in problem
    assert claim.payer == Payer()


@pytest.mark.parametrize(("part", "words"), [("SBR", "2000B"), ("NM1*IL", "2010BA")])
def test_missing_subscriber_loops(part: str, words: str) -> None:
    subscriber = "~".join(segment for segment in SUBSCRIBER.split("~") if not segment.startswith(part))
    claims, (problem,) = read(x12(f"{BILLING}~{subscriber}~{CLAIM}~{LINE}~{CLAIM}~{LINE}"))
    assert words in problem.message
    assert len(claims) == 2


def test_patient_of_another_subscriber_loses_the_payer() -> None:
    claim, problem = with_fault(one_claim("HL*3*7*23*0~PAT*19", CLAIM, LINE))
    assert "parent (7)" in problem
    assert claim.payer == Payer()


SECOND = (
    "CLM*PCN2*1***13:A:1~NTE*ADD*MINE~HI*ABK:C9000~SBR*S*18*******CI~NM1*PR*2*OTHER*****PI*9~LX*1~SV2*0870*HC:38225*1"
)


@pytest.mark.parametrize("lost", ["CLM", "CLM+HI", "CLM, not its shape"])
def test_lost_claim_start_gives_nothing_to_its_neighbours(lost: str) -> None:
    second = SECOND.replace("CLM*", "CLN*", 1)
    if lost == "CLM+HI":
        second = second.replace("HI*ABK:C9000~", "")
    elif lost == "CLM, not its shape":
        second = second.replace("***13:A:1", "").replace("~NTE*ADD*MINE", "")
    whole, _ = read(one_claim(CLAIM, LINE, CLAIM.replace("PCN1", "PCN3"), LINE))
    claims, problems = read(one_claim(CLAIM, LINE, second, CLAIM.replace("PCN1", "PCN3"), LINE))
    assert problems
    assert [claim.id for claim in claims] == ["PCN1", "PCN3"]
    for claim, expected in zip(claims, whole, strict=True):
        assert (claim.lines, claim.notes, claim.diagnoses) == (expected.lines, expected.notes, expected.diagnoses)
        assert (claim.payer, claim.other_payers) == (expected.payer, expected.other_payers)


def test_lost_hl_does_not_lend_its_payer() -> None:
    second = "HX*3*1*22*0~SBR*P*18*******CI~NM1*IL*1*ROE*ANN****MI*M2~NM1*PR*2*AETNA*****PI*60054"
    claims, problems = read(one_claim(CLAIM, LINE, second, CLAIM, LINE))
    assert [claim.payer.id for claim in claims] == ["00435", "60054"]
    assert ["HX" in problem.message or "SBR" in problem.message for problem in problems] == [True, True]
    patient = "HX*3*2*23*0~PAT*19~NM1*QC*1*DOE*JIM~DMG*D8*20100203*F"
    claims, problems = read(one_claim(CLAIM, LINE, patient, CLAIM, LINE))
    assert [claim.patient.birth_date for claim in claims] == [date(1960, 11, 11), date(2010, 2, 3)]
    assert [claim.payer.id for claim in claims] == ["00435", "00435"]
    assert len(problems) == 2


def test_lines_without_any_claim_leave_the_payer_open() -> None:
    claims, problems = read(one_claim("SBR*S*18~NM1*PR*2*OTHER*****PI*9", LINE, CLAIM, LINE))
    assert [claim.payer for claim in claims] == [Payer()]
    assert len(problems) == 2


def test_mangled_or_missing_st() -> None:
    text = one_claim(CLAIM, LINE)
    for new in ("S7*837*", ""):
        mangled = text.replace("ST*837*0001*005010X223A2~" if not new else "ST*837*", new)
        claims, problems = read(mangled)
        assert [claim.id for claim in claims] == ["PCN1"]
        assert problems


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (x12(f"{BILLING}~{SUBSCRIBER}~{CLAIM}~{LINE}", se01="99"), "SE01 gives a wrong segment count (99)"),
        (x12(f"{BILLING}~{SUBSCRIBER}~{CLAIM}~{LINE}", se01="x"), "SE01"),
        (one_claim(CLAIM, LINE).replace("SE*16*0001~", ""), "segment 3 has no SE"),
        (one_claim(CLAIM, LINE).partition("SE*")[0], "segment 3 has no SE"),
        (one_claim(CLAIM, LINE).partition("IEA*")[0], "without an IEA"),
        (one_claim(CLAIM, LINE).partition("GE*")[0], "without an IEA"),
        (one_claim(CLAIM, LINE).partition("SE*")[0] + "SE*1", "ends inside this segment"),
        ("Dear Sir,\n" + one_claim(CLAIM, LINE), "before the first readable ISA"),
    ],
)
def test_faulty_envelope(text: str, words: str) -> None:
    claim, problem = with_fault(text)
    assert words in problem
    assert claim.lines[0].code == "38228"


def test_cut_file_with_another_behind_it() -> None:
    text = one_claim(CLAIM, LINE)
    claims, problems = read(text[: text.index("38228") + 2] + "\n" + text)
    assert [len(claim.lines) for claim in claims] == [0, 1]
    assert "new ISA" in problems[0].message


@pytest.mark.parametrize(
    "text", ["", " \n", "ISA", "ISA*", "ISA*00*", "hello", "VISA: 4", "ST*837*1~", "ISA*" * 9, "\0"]
)
def test_no_x12_at_all(text: str) -> None:
    claims, (problem,) = read(text)
    assert not claims
    assert "not an X12 file" in problem.message


@pytest.mark.parametrize("head", ["", "ISA*", one_claim(CLAIM, LINE), one_claim(CLAIM, LINE).partition("SE*")[0]])
@pytest.mark.parametrize("filling", ["A", "*", " ", "ISA*", "~"])
def test_a_long_line_is_no_trouble(head: str, filling: str) -> None:
    started = time.perf_counter()
    assert len(read(head + filling * (20_000_000 // len(filling)))[1]) <= 1
    assert time.perf_counter() - started < 5


# No input raises


def check(text: str) -> None:
    for item in read_x12(text, source="f"):
        assert isinstance(item, Claim | Problem)
        if isinstance(item, Problem):
            assert "\n" not in str(item)
            assert len(str(item)) < 200


@given(st.text())
@settings(deadline=None)
def test_random_text(text: str) -> None:
    check(text)
    check(one_claim(CLAIM) + text)
    check("ISA*" + text)


PIECES = sorted({element for segment in x12(INPATIENT).split("~") for element in segment.split("*")})


@given(st.lists(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=8).map("*".join), max_size=40))
@settings(max_examples=300, deadline=None)
def test_random_segments(segments: list[str]) -> None:
    check(x12("~".join(segments)))
    check(x12("~".join((BILLING, SUBSCRIBER, CLAIM, LINE, *segments))))


def test_truncation_anywhere() -> None:
    text = x12(INPATIENT)
    whole = only(text)
    for length in range(len(text)):
        claims, problems = read(text[:length])
        done = length >= text.index("IEA") + 3
        assert len(problems) == (0 if done else 1), length
        assert claims == [whole] if length > text.index("SE*") else len(claims) <= 1


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_one_character_changed(data: st.DataObject) -> None:
    text = x12(INPATIENT)
    place = data.draw(st.integers(0, len(text) - 1))
    check(text[:place] + data.draw(st.characters() | st.sampled_from("*~:\n")) + text[place + 1 :])


# Runs of segments and parts of files are only faster


PROFESSIONAL_LINES = (
    "LX*1~SV1*HC:38228:26*60.25*UN*1*22**1:2~DTP*472*D8*20250626~REF*6R*1"
    "~LX*2~SV1*HC:38229*40.25*UN*2***1~DTP*472*RD8*20250626-20250627"
)


def file(claims: int, *, per_set: int = 4, line_end: str = "\n", line: str = LINE) -> str:
    """Return an interchange of sets with so many claims, each in a subscriber loop of its own."""
    body = []
    for first in range(0, claims, per_set):
        numbers = range(first, min(first + per_set, claims))
        loops = "~".join(f"{SUBSCRIBER}~{CLAIM}~HI*ABK:C8331*BG:30~{line}".replace("PCN1", f"PCN{n}") for n in numbers)
        segments = f"ST*837*{first:04}*005010X223A2~BHT*0019*00*1*20250711*0932*CH~{BILLING}~{loops}".split("~")
        body += [*segments, f"SE*{len(segments) + 1}*{first:04}"]
    head, tail = x12("").split("ST*")[0], x12("").split("~")[-3:]
    return (head + "~".join([*body, *tail])).replace("~", f"~{line_end}")


def mangled(text: str, rng: random.Random) -> str:
    """Return the text with one to three small faults."""
    for _ in range(rng.randint(1, 3)):
        segments = text.split("~")
        at, place = rng.randrange(len(segments)), rng.randrange(len(text) + 1)
        match rng.randrange(8):
            case 0:
                del segments[at]
            case 1:
                segments.insert(at, rng.choice(segments))
            case 2:
                segments[at] = rng.choice(
                    ("", " ", "\n", "TA1*1", "ISA*00*x", "HI*BK>1", "SE*1", "IEA", "NM1*PR*2* X ")
                )
            case 3:
                old, new = rng.sample("*:|>~\n\r #A0", 2)
                segments = text.replace(old, new, rng.choice((1, 99999))).split("~")
            case 4:
                segments = (
                    text[:place] + rng.choice(("*", "~", ":", "\n", "\t", " ", "\ufeff", "é")) + text[place:]
                ).split("~")
            case 5:
                segments = text[:place].split("~")
            case 6:
                segments = (text + text).split("~")
            case _:
                segments[at] += rng.choice((" ", "\r\n", "*", "*X"))
        text = "~".join(segments)
    return text


@pytest.mark.parametrize("text", [file(9), file(9, line=PROFESSIONAL_LINES)], ids=["837I", "837P"])
def test_usual_claims_are_read_at_once(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(x12_segments, "_run_end", lambda *_: -1)
        with_care = whole(text)
    monkeypatch.setitem(_KNOWN_HANDLERS, "CLM", lambda *_: pytest.fail("a usual claim was read with care"))
    assert whole(text) == with_care
    assert len({item.id for item in with_care if isinstance(item, Claim)}) == 9


@given(marks=st.permutations([*"*~:^|!\\>{}[]$?;+%@#`\x1c\x1d\x1e\x1f\x07\x85"]))
@settings(max_examples=100, deadline=None)
def test_delimiters_of_usual_claims_do_not_matter(marks: list[str]) -> None:
    table = str.maketrans(dict(zip("*~:", marks, strict=False)))
    for line in (LINE, PROFESSIONAL_LINES):
        text = file(2, line_end="", line=line)
        assert whole(text.translate(table)) == whole(text)


def whole(text: str) -> list[Claim | Problem]:
    return list(read_x12(text, source="f"))


def cut(text: str, size: int) -> list[Part]:
    return list(parts(io.BytesIO(text.encode()), encoding="utf-8", size=size))


@pytest.mark.parametrize("seed", range(200))
def test_runs_and_parts_change_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    line, line_end = rng.choice((LINE, PROFESSIONAL_LINES)), rng.choice(("", "\n", "\r\n"))
    text = file(rng.randint(4, 12), per_set=rng.randint(1, 6), line_end=line_end, line=line)
    if seed >= 10:
        text = mangled(text, rng)
    quick = whole(text)
    assert [item for part in cut(text, rng.choice((1, 2000))) for item in read_part(part, source="f")] == quick
    monkeypatch.setattr(x12_segments, "_run_end", lambda *_: -1)  # every segment cut with care
    assert whole(text) == quick


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("BG:30", "BE:80:::x"),
        ("BG:30", "BG"),
        ("BG:30", "DR:018*DR:019"),
        ("HI*ABK:", "HI*ABK>"),
        ("*UN*1", "*UN*x"),
        ("*UN*1", ""),
        ("*100.50*UN", "*1OO*UN"),
        ("HC:38228", "HC>38228"),
        ("SV2*0874", "SV2*874"),
        ("SV2*0874", "SV2*"),
        ("DTP*472*D8*20250626", "DTP*472*D8*20250626~DTP*472*D8*20250627~DTP*573*D8*x"),
        ("DTP*472*D8*20250626", "DTP*472*D8*20250631"),
        ("DTP*472*D8*20250626", "REF*G1*LINEAUTH~REF*6R*1~AMT*D*5~NM1*72*1*X"),
        ("~LX*", "~REF*G1*AUTH~REF*G1*OTHER~NTE*ADD*TEXT~NTE*ADD~AMT*F3*1~LX*"),
        ("~LX*", "~SBR*S*18*******CI~AMT*D*5~LX*"),
        ("~LX*", "~DTP*434*RD8*20250601-20250630~DTP*434*D8*20250701~DTP*435*D8*x~LX*"),
        ("~LX*", "~DTP*434*D8*20250601~DTP*435*DT*202506011530~DTP*096*TM*1200~LX*"),
        ("LX*1", "LX"),
        ("LX*1", "LX*x"),
        ("LX*1", "LX*3"),
        ("CLM*PCN1", "CLM*"),
        ("***13:A:1", "***13:A"),
        ("***13:A:1", "***1:A:1"),
        ("***13:A:1", "***13>A>1"),
        ("*100.50***", "*x***"),
        ("SBR*P", "SBR*P*18~SBR*S"),
        ("NM1*IL", "NM1*QC"),
        ("NM1*PR*2", "NM1*PR*2*FIRST~NM1*PR*1"),
        ("D8*19601111", "D8*19601131"),
        ("~DMG", "~PAT*19~DMG"),
        ("HL*2*1*22*0~", "HL*2*1*22*0~HL*3*2*23*0~PAT*19~"),
        ("HL*2*1*22*0~", "HL*3*9*23*0~PAT*19~"),
        ("*UN*1", "*UN*1x"),
        ("*100.50***", "*100.50x***"),
        ("*MI*1EG4TE5MK73", ""),
        ("*MI*1EG4TE5MK73", "*MI"),
        ("*JOHN****MI*1EG4TE5MK73", ""),
        ("*M~NM1*PR", "~NM1*PR"),
        ("*19601111*M", ""),
        ("~NM1*PR*2*MEDICARE*****PI*00435", ""),
        ("~NM1*PR*2*MEDICARE*****PI*00435", "~NM1*PR*1*MEDICARE"),
        ("SBR*P*18*GRP1******MB", "SBR*P"),
        ("~SE*", "~HL*9*2*23*0~PAT*19~CLM*PCN7*1***13:A:1~LX*1~SV2*0874**1*UN*1~SE*"),
        ("~SE*", "~XX*1~SE*"),
        ("~HI*", "~N3*X~CL1*1~REF*D9*1~AMT*F3*1~NM1*71*1*X~HCP*00~XX*1~HI*"),
        ("HL*2*1*22*0~", ""),
        ("HL*2*1*22*0~", "HL*2*1*24*0~"),
        ("~SE*", "~N3*X~N4*Y"),
    ],
)
@pytest.mark.parametrize("which", [1, -1])
def test_what_is_not_everyday_is_read_as_ever(old: str, new: str, which: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = file(3, per_set=3, line_end="")
    head, *tail = text.split(old)
    assert tail, old
    place = 1 if which > 0 else len(tail)
    text = old.join((head, *tail[: place - 1])) + new + old.join(tail[place - 1 :])
    text = text.partition("~N4*Y")[0] + "~" if "N4*Y" in new else text
    quick = whole(text)
    assert [item for part in cut(text, 1) for item in read_part(part, source="f")] == quick
    monkeypatch.setattr(x12_segments, "_run_end", lambda *_: -1)
    assert whole(text) == quick


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("HC:38228:26", "HC>38228>26"),
        ("HC:38228:26", "HC"),
        ("HC:38228:26", ""),
        ("HC:38228:26", "HC:38228:26:59:::TWO CELLS"),
        ("60.25", ""),
        ("60.25", "60,25"),
        ("*UN*1*22", "*UN**22"),
        ("*UN*1*22", "*UN*1x*22"),
        ("*22**1:2", ""),
        ("*22**1:2", "*22"),
        ("*22**1:2", "*22**1>2"),
        ("*22**1:2", "*22**1:x"),
        ("*22**1:2", "*22**1: 2**Y"),
        ("~REF*6R", "~SV5*HC:E0110*DA*1*1~REF*6R"),
        ("~REF*6R", "~LIN**N4*00078084619~CTP****2*UN~REF*6R"),
        ("SV1*HC:38229", "SV2*0874*HC:38229"),
        ("~LX*2", "~NTE*ADD*TEXT~LX*2"),
        ("***13:A:1", "***1X:B:1"),
        ("***13:A:1", "***:B:1"),
        ("LX*2", "LX*2*X"),
    ],
)
@pytest.mark.parametrize("which", [1, 2, 3])
def test_professional_lines_that_are_not_usual(old: str, new: str, which: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = file(3, line_end="", line=PROFESSIONAL_LINES).split(old)
    assert len(pieces) == 4
    text = old.join(pieces[:which]) + new + old.join(pieces[which:])
    quick = whole(text)
    monkeypatch.setattr(x12_segments, "_run_end", lambda *_: -1)
    assert whole(text) == quick


@pytest.mark.parametrize("end", ["", "*0", "*0*ISA*00*1234567890*" + file(1), "*" + "0" * 70_000 + "~"])
def test_a_loop_that_breaks_off_is_no_place_to_cut(end: str) -> None:
    text = file(12, per_set=12, line_end="").rpartition("HL*2*1*22*0~")[0] + "HL*2*1*22" + end
    found = cut(text, 1)
    assert len(found) > 1
    assert [item for part in found for item in read_part(part, source="f")] == whole(text)


def test_a_separator_learnt_is_known_to_every_part() -> None:
    pieces = file(12, per_set=12, line_end="").split("HI*ABK:C8331*BG:30")
    pieces[4:6] = [pieces[4] + "HI*ABK>C8331" + pieces[5].replace("13:A:1", "13:A>1")]
    text = "HI*ABK:C8331*BG:30".join(pieces)
    found = cut(text, 1)
    assert len(found) > 1
    assert [item for part in found for item in read_part(part, source="f")] == whole(text)


@pytest.mark.parametrize("line_end", ["", "\n", "\r\n"])
def test_parts_are_many_and_travel(line_end: str) -> None:
    text = file(40, per_set=15, line_end=line_end)
    found = cut(text, 3000)
    assert len(found) > 3
    assert all(3000 <= len(part.text) < 4500 for part in found[:-1])
    assert "".join(part.text for part in found) == text
    assert [part.last for part in found] == [False] * (len(found) - 1) + [True]
    items = [item for part in pickle.loads(pickle.dumps(found)) for item in read_part(part, source="f")]
    assert items == whole(text)
    assert len({item.id for item in items if isinstance(item, Claim)}) == 40


def test_miscounts_are_told_once_at_the_end() -> None:
    text = file(40).replace("SE*", "SE*9")
    items = [item for part in cut(text, 1) for item in read_part(part, source="f")]
    assert items == whole(text)
    assert "9 more like it" in str(items[-1])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("*T*:~", "*T*>~"),  # CLM05 teaches the separator
        ("BHT*", "\tBHT*"),
        ("~BHT", "~~BHT"),
        ("~BHT", "~\nBHT"),
        ("~GS*", "~TA1*000010216*250710*1705*A*000~GS*"),
        ("ST*837*0000", "S7*837*0000"),
        ("ISA*", "Dear Sir, ISA*"),
    ],
)
def test_what_is_not_everyday_is_one_part(old: str, new: str) -> None:
    text = file(30, per_set=30, line_end="").replace(old, new, 1)
    (part,) = cut(text, 1)
    assert list(read_part(part, source="f")) == whole(text)


def test_one_odd_place_leaves_the_parts_before_it() -> None:
    text = file(60, per_set=30, line_end="")
    half = text.index("ST*837*0030")
    found = cut(text[:half] + "~" + text[half:], 1)
    assert len(found) > 20
    assert len(found[-1].text) > len(text) // 2


def test_parts_read_no_further_than_they_must() -> None:
    class Stream(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    stream = Stream(file(10_000, per_set=500).encode())
    found = parts(stream, encoding="utf-8", size=100_000)
    assert len(next(found).text) < 101_000
    assert stream.taken <= 1 << 20
    assert sum(len(part.text) < 101_000 for part in found) > 20


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (file(2).encode(), "utf-8-sig"),
        (codecs.BOM_UTF8 + file(2).replace("DOE", "DÖE").encode(), "utf-8-sig"),
        (codecs.BOM_UTF16_LE + file(2).encode("utf-16-le"), "utf-16"),
        (codecs.BOM_UTF16_BE + file(2).encode("utf-16-be"), "utf-16"),
        (file(2).replace("DOE", "DÖE").encode("latin-1"), "latin-1"),
        ((" " * 2_000_000).join(("ISA*", file(2).replace("DOE", "DÖE"))).encode("latin-1"), "latin-1"),
        (b" " * 300 + file(2).replace("DOE", "DÖE").encode("latin-1"), None),
        (codecs.BOM_UTF8 + file(2).replace("DOE", "DÖE").encode("latin-1"), None),
        (codecs.BOM_UTF16_LE + file(2).encode("utf-16-le") + b"x", None),
        (file(2).encode() + b"\0", None),
        (b"", None),
        (b"ISAAC", None),
        (b"{}", None),
    ],
)
def test_encoding(data: bytes, encoding: str | None) -> None:
    assert encoding_of(io.BytesIO(data)) == encoding
    if encoding:
        found = parts(io.BytesIO(data), encoding=encoding, size=1)
        assert [item for part in found for item in read_part(part, source="f")] == list(
            read_claims_from(data, source="f")
        )


def test_reading_is_fast_whatever_is_in_the_way() -> None:
    """A tenth of what one core does, so that only a slip by an order of magnitude fails."""
    text = file(2000, per_set=100)
    started = time.process_time()
    assert len(whole(text)) == 2000
    assert time.process_time() - started < 1


# Real files: claims, faults and warnings of each

COUNTS = {
    "cloudf__sample837p_02.txt": (1, 0, 1),
    "e835__emedny_sample.txt": (0, 1, 0),
    "imsweb__x12_bad_segment_identifier.txt": (2, 4, 1),
    "imsweb__x12_missing_elements.txt": (2, 1, 1),
    "imsweb__x12_missing_required_loop_in_one_repeat.txt": (2, 1, 1),
    "imsweb__x12_multiple_gs.txt": (6, 0, 1),
    "imsweb__x12_multiple_isa.txt": (4, 0, 1),
    "imsweb__x12_multiple_transactions.txt": (624, 0, 1),
    "imsweb__x12_no_errors.txt": (2, 0, 1),
    "imsweb__x12_valid_different_separators.txt": (2, 0, 1),
    "lfh__demo.cob.2ndary.example4.837": (1, 0, 0),
    "lfh__managed-care.835": (0, 1, 0),
    "lfh__ppo-repriced-claim.837i": (1, 0, 0),
    "mimi__sample_837_0.txt": (5, 0, 0),
    "mimi__sample_837_1.txt": (1, 0, 0),
    "mimi__sample_837_11.txt": (1, 0, 1),
    "mimi__sample_837_3.txt": (1, 0, 0),
    "mimi__sample_837_5.txt": (1, 0, 0),
    "mimi__sample_837_7.txt": (1, 0, 0),
    "mimi__sample_837_9.txt": (1, 0, 0),
    "moov__sample1.txt": (0, 2, 0),
    "oop__837_DeIdent_03.dat": (18, 0, 0),
    "oop__Example1_2_And_3_Combined.txt": (3, 0, 0),
    "oop__ExampleFromNth.txt": (0, 3, 0),
    "oop__InstitutionalClaim5010.txt": (1, 0, 1),
    "oop__MedicaidExample.txt": (5, 0, 0),
    "oop__Spec_3.1.3_PPORepricedClaim.txt": (1, 0, 0),
    "stup__837-institutional-claim.edi": (1, 0, 0),
    "stup__COB-claim-from-billing-provider-to-payer-b.edi": (1, 0, 0),
    "stup__ambulance.edi": (1, 0, 0),
    "stup__commercial-health-insurance.edi": (1, 0, 0),
    "stup__dollars-and-data-sent-together.edi": (0, 1, 0),
    "stup__home-infusion-therapy-pharmacy-_adjudicated-with-NDC-in-loop-2410_.edi": (1, 0, 0),
    "stup__out-of-network-repriced-claim.edi": (1, 0, 0),
    "stup__secondary-payments.edi": (0, 1, 0),
    "stup__two-claims-for-the-same-provider.edi": (2, 0, 0),
}
NO_PAYER = {f"mimi__sample_837_{number}.txt" for number in (1, 3, 5, 7, 9, 11)} | {"cloudf__sample837p_02.txt"}
corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"{CORPUS} is not here")


@corpus
@pytest.mark.parametrize("name", COUNTS)
def test_real_file(name: str) -> None:
    claims, problems = read((CORPUS / name).read_bytes().decode())
    warnings = [problem for problem in problems if problem.warning]
    assert (len(claims), len(problems) - len(warnings), len(warnings)) == COUNTS[name]
    for claim in claims:
        assert claim.total_charge is not None
        assert claim.lines
        assert claim.form
        assert claim.payer.responsibility
        assert claim.payer.id or name in NO_PAYER


@corpus
def test_every_real_file_is_pinned() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(COUNTS)


@corpus
def test_what_is_wrong_with_the_bad_files() -> None:
    def messages(name: str) -> str:
        return "\n".join(map(str, read((CORPUS / f"imsweb__x12_{name}.txt").read_bytes().decode())[1]))

    assert "segment 20: unknown segment identifier NM31" in messages("bad_segment_identifier")
    assert "segment 31: CLM05" in messages("missing_elements")
    assert "segment 21: the subscriber loop before this claim has no subscriber" in messages(
        "missing_required_loop_in_one_repeat"
    )
