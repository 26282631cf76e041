"""The FHIR reader: each field, each kind of fault, the real files, and arbitrary JSON."""

from __future__ import annotations

import copy
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chartulary.claim import Attachment, Claim, Diagnosis, Note, OccurrenceCode, Patient, Payer, Procedure, ValueCode
from chartulary.errors import Problem
from chartulary.readers.fhir import read_fhir

HERE = Path(__file__).parent
DATA = HERE / "data" / "fhir"
CORPUS = HERE.parent.parent / "shared" / "corpus" / "claims" / "fhir"
CPT = "http://www.ama-assn.org/go/cpt"


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)


def read(document: object) -> tuple[list[Claim], list[str]]:
    """The claims, and each problem as ``place: message``."""
    claims, problems = [], []
    for one in read_fhir(document, source="f.json"):
        assert one.source == "f.json"
        if isinstance(one, Claim):
            claims.append(one)
        else:
            problems.append(f"{one.where}: {one.message}")
    return claims, problems


def read_one(document: object) -> Claim:
    claims, problems = read(document)
    assert problems == []
    (claim,) = claims
    return claim


def minimal(**more: Any) -> dict[str, Any]:
    concept = {"coding": [{"code": "normal"}]}
    return {
        "resourceType": "Claim",
        "id": "1",
        "status": "active",
        "type": concept,
        "use": "claim",
        "patient": {"reference": "Patient/1"},
        "created": "2025-07-01",
        "provider": {"reference": "Organization/1"},
        "priority": concept,
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": "Coverage/1"}}],
    } | more


def item(**more: Any) -> dict[str, Any]:
    return {"sequence": 1, "productOrService": {"coding": [{"system": CPT, "code": "38228"}]}} | more


def bundle(*resources: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in resources]}


# Two CAR-T claims, field by field


def test_outpatient_administration() -> None:
    claim = read_one(load(DATA / "outpatient_38228_kx.json"))
    assert (claim.id, claim.where, claim.request, claim.form) == ("OP-2025-0625", "Claim/op-38228", "claim", "837I")
    assert claim.payer == Payer(
        name="Medicare", id="12345", filing_indicator="MB", responsibility="P", member_id="1EG4TE5MK73"
    )
    assert claim.other_payers == ()
    assert (claim.bill_type, claim.frequency, claim.setting) == ("0131", "1", None)
    assert claim.patient == Patient(birth_date=date(1957, 3, 9), sex="F", relationship="18")
    assert claim.statement_from == claim.statement_through == date(2025, 6, 25)
    assert claim.submitted == date(2025, 7, 2)
    assert claim.total_charge == Decimal("2910.40")
    assert claim.prior_authorization == "PA-1"
    assert claim.condition_codes == ("30",)
    assert claim.value_codes == (ValueCode(code="D4", amount=Decimal(12345678)),)
    note = Note(text="Tisagenlecleucel, lot AB12", location="supportingInfo[2]", qualifier="info")
    assert claim.notes == (note,)
    icd = "http://hl7.org/fhir/sid/icd-10-cm"
    assert claim.diagnoses == (
        Diagnosis(code="C83.31", kind="principal", system=icd),
        Diagnosis(code="Z00.6", kind="other", system=icd),
    )
    first, second, detail = claim.lines
    assert (first.number, first.code, first.code_system, first.modifiers) == (1, "38228", CPT, ("KX",))
    assert (first.revenue_code, first.place_of_service, first.units, first.unit) == ("0874", "22", 1, "UN")
    assert first.description == "CAR-T cell administration, autologous"
    assert first.first_day == first.last_day == date(2025, 6, 25)
    assert str(first.charge) == "2910.10"
    assert first.diagnosis_pointers == (1, 2), "positions among the diagnoses, not their sequence numbers"
    assert first.notes == (note,)
    assert (second.code, second.revenue_code, second.ndc, second.ndc_units) == ("Q2042", "0891", "00078084619", 1)
    assert (second.first_day, second.last_day) == (date(2025, 6, 25), date(2025, 6, 26))
    assert second.charge == Decimal("0.3"), "unit price × quantity, exactly"
    assert (detail.number, detail.code, detail.charge) == (3, "J3590", Decimal("12.5"))
    assert (detail.revenue_code, detail.first_day) == ("0891", date(2025, 6, 25)), "taken over from its item"


def test_inpatient_stay() -> None:
    claim = read_one(load(DATA / "inpatient_xw033j7.json"))
    assert (claim.id, claim.form, claim.setting) == ("ip-018", "837I", "inpatient")
    assert (claim.bill_type, claim.frequency, claim.drg) == ("0117", "7", "018")
    assert (claim.admission, claim.discharge) == (date(2025, 8, 1), date(2025, 8, 19))
    assert (claim.statement_from, claim.statement_through) == (date(2025, 8, 1), date(2025, 8, 31))
    assert claim.payer == Payer(name="Medicare", responsibility="P", member_id="1EG4TE5MK73", group_number="G-1")
    assert claim.other_payers == (Payer(name="Commercial supplement", responsibility="S"),)
    assert claim.patient == Patient(birth_date=date(1950, 12, 31), sex="M")
    (diagnosis,) = claim.diagnoses
    assert (diagnosis.code, diagnosis.kind, diagnosis.present_on_admission) == ("C83.38", "principal", "Y")
    assert claim.procedures == (
        Procedure(
            code="XW033J7",
            date=date(2025, 8, 5),
            kind="principal",
            system="http://www.cms.gov/Medicare/Coding/ICD10",
        ),
    )
    assert claim.occurrence_codes == (
        OccurrenceCode(code="11", first_day=date(2025, 7, 20)),
        OccurrenceCode(code="74", first_day=date(2025, 8, 10), last_day=date(2025, 8, 11)),
    )
    assert claim.attachments == (Attachment(kind="OZ", control_number="ACN-7", date=date(2025, 8, 30)),)
    assert claim.notes == (), "a medical record number is not a note"
    (line,) = claim.lines
    assert (line.code, line.revenue_code, line.charge) == (None, "0891", Decimal("475000.00"))
    assert "not kept" not in repr(claim)


# Fields by themselves


@pytest.mark.parametrize(
    ("use", "request_"),
    [
        ("claim", "claim"),
        ("preauthorization", "prior-authorization"),
        ("predetermination", "prior-authorization"),
    ],
)
def test_use(use: str, request_: str) -> None:
    assert read_one(minimal(use=use)).request == request_


@pytest.mark.parametrize(
    ("kind", "form"), [("institutional", "837I"), ("professional", "837P"), ("oral", None), ("pharmacy", None)]
)
def test_form_only_where_the_type_says_so(kind: str, form: str | None) -> None:
    assert read_one(minimal(type={"coding": [{"code": kind}]})).form == form


@pytest.mark.parametrize(
    ("sent", "first", "last"),
    [
        ("2025-06-25", date(2025, 6, 25), date(2025, 6, 25)),
        ("2024-02", date(2024, 2, 1), date(2024, 2, 29)),
        ("2025", date(2025, 1, 1), date(2025, 12, 31)),
        ("2025-06-25T23:59:59.9-05:00", date(2025, 6, 25), date(2025, 6, 25)),
        ("9999", date(9999, 1, 1), date(9999, 12, 31)),
    ],
)
def test_partial_dates_are_intervals(sent: str, first: date, last: date) -> None:
    (line,) = read_one(minimal(item=[item(servicedDate=sent)])).lines
    assert (line.first_day, line.last_day) == (first, last)


@pytest.mark.parametrize("sent", ["2025-6-1", "06/25/2025", "2025-02-30", "0000-01-01", "0000", "2025-00", "Doe, Jane"])
def test_a_bad_date_costs_only_itself(sent: str) -> None:
    (claim,), problems = read(minimal(item=[item(servicedDate=sent)]))
    assert problems == [f"Claim/1 item[0].servicedDate: {sent if sent[0].isdigit() else 'this'} is not a date"]
    assert (claim.lines[0].code, claim.lines[0].first_day) == ("38228", None)


def test_a_birth_date_is_not_quoted() -> None:
    patient = {"resourceType": "Patient", "id": "1", "birthDate": "1950-13-01"}
    assert read(bundle(minimal(), patient))[1] == ["Patient/1 birthDate: this is not a date"]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"created": "2025-07"}, "created: names a month or year where one day is needed"),
        ({"created": 20250701}, "created: must be text, not a number"),
        ({"use": "guess"}, "use: guess is not a use of a Claim that FHIR knows"),
        ({"status": "paid"}, "status: paid is not a status that FHIR knows"),
        ({"provider": "Organization/1"}, "provider: must be an object, not text"),
        ({"total": {"value": "12.50"}}, "total.value: must be a number, not text"),
        ({"total": {"value": True}}, "total.value: must be a number, not true or false"),
        ({"total": {"value": float("nan")}}, "total.value: is not a number of a size that can be used"),
        ({"total": {"value": 10**5000}}, "total.value: is not a number of a size that can be used"),
        ({"total": {"value": Decimal("1E+999999")}}, "total.value: is not a number of a size that can be used"),
        ({"billablePeriod": {"start": "2025-07-02", "end": "2025-07-01"}}, "billablePeriod: ends before it starts"),
        ({"item": {}}, None),
        ({"item": {"sequence": 1}}, "item: must be a list, not an object"),
        ({"item": [7]}, "item[0]: must be an object, not a number"),
        ({"item": [item(sequence=0)]}, "item[0].sequence: must be a whole number, 1 or more"),
        ({"item": [item(), item()]}, "item[1].sequence: 1 is the sequence of an earlier item too"),
        ({"item": [item(diagnosisSequence=[9])]}, "item[0].diagnosisSequence[0]: no diagnosis has the sequence 9"),
        (
            {"diagnosis": [{"sequence": 1, "diagnosisReference": {"reference": "Condition/1"}}]},
            "diagnosis[0].diagnosisReference: names a Condition that this file does not hold, so its code is unknown",
        ),
    ],
)
def test_faults_leave_the_claim(more: dict[str, Any], problem: str | None) -> None:
    claims, problems = read(minimal(**more))
    assert problems == ([f"Claim/1 {problem}"] if problem else [])
    assert len(claims) == 1


def test_missing_elements_are_one_problem() -> None:
    (claim,), problems = read({"resourceType": "Claim", "id": "1", "use": "claim", "item": [{"sequence": 1}]})
    assert problems == [
        "Claim/1: lacks what FHIR R4 requires: "
        "status, type, patient, created, provider, priority, insurance, item[0].productOrService"
    ]
    assert claim.id == "1"


def test_a_claim_without_anything_is_left_out() -> None:
    claims, problems = read({"resourceType": "Claim"})
    assert claims == []
    assert [one.split(":")[1].split(",")[0].strip() for one in problems] == ["lacks what FHIR R4 requires", "left out"]


def test_an_absent_element_may_be_explained_instead() -> None:
    document = minimal(_created={"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason"}]})
    del document["created"]
    assert read_one(document).submitted is None


def test_a_claim_entered_in_error_is_left_out() -> None:
    assert read(minimal(status="entered-in-error")) == (
        [],
        ["Claim/1 status: entered-in-error, so this claim is left out"],
    )


def test_codes_that_are_only_ndc() -> None:
    product = {"coding": [{"system": "http://hl7.org/fhir/sid/ndc", "code": "00078084619"}]}
    (line,) = read_one(minimal(item=[item(productOrService=product, quantity={"value": 2})])).lines
    assert (line.code, line.ndc, line.ndc_units, line.units) == (None, "00078084619", 2, 2)


def test_a_code_is_taken_from_the_coding_that_bills() -> None:
    codings = [{"system": "http://snomed.info/sct", "code": "9"}, {"system": CPT, "code": "38225"}]
    (line,) = read_one(minimal(item=[item(productOrService={"coding": codings})])).lines
    assert (line.code, line.code_system) == ("38225", CPT)


def test_details_that_repeat_their_item_are_left_out() -> None:
    details = [item(), item(modifier=[{"coding": [{"code": "KX"}]}])]
    lines = read_one(minimal(item=[item(detail=details)])).lines
    assert [(line.number, line.code, line.modifiers) for line in lines] == [(1, "38228", ()), (2, "38228", ("KX",))]


def test_cancelled_items_are_left_out() -> None:
    url = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-itemCancelled"
    cancelled = item(modifierExtension=[{"url": url, "valueBoolean": True}])
    assert [line.number for line in read_one(minimal(item=[cancelled, item(sequence=2)])).lines] == [2]


def test_a_procedure_asked_for_as_an_item() -> None:
    system = "http://www.cms.gov/Medicare/Coding/ICD10"
    product = {"coding": [{"system": system, "code": "XW033C3"}]}
    claim = read_one(minimal(item=[item(productOrService=product, servicedDate="2025-08-05")]))
    assert claim.procedures == (Procedure(code="XW033C3", date=date(2025, 8, 5), system=system),)


def test_a_quantity_that_cannot_be_read_leaves_no_charge() -> None:
    (claim,), problems = read(minimal(item=[item(quantity={"value": "two"}, unitPrice={"value": 5})]))
    assert problems == ["Claim/1 item[0].quantity.value: must be a number, not text"]
    assert claim.lines[0].charge is None


def test_text_that_no_encoding_can_write() -> None:
    info = {"sequence": 1, "category": {"coding": [{"code": "info"}]}, "valueString": "half \ud800"}
    assert read_one(minimal(supportingInfo=[info])).notes[0].text == "half ?"


def test_pas_patient_event_stands_in_for_the_statement_period() -> None:
    info = {"sequence": 1, "category": {"coding": [{"code": "patientEvent"}]}, "timingDate": "2025-08-05"}
    claim = read_one(minimal(supportingInfo=[info]))
    assert claim.statement_from == claim.statement_through == date(2025, 8, 5)


def test_an_inpatient_encounter_tells_the_setting() -> None:
    encounter = {"resourceType": "Encounter", "id": "e", "class": {"code": "IMP"}}
    claim = minimal(item=[item(encounter=[{"reference": "Encounter/e"}])])
    assert read_one(bundle(claim, encounter)).setting == "inpatient"


# References and Bundles


@pytest.mark.parametrize(
    ("reference", "full_url"),
    [
        ("Patient/7", "http://server/fhir/Patient/7"),
        ("Patient/7/_history/2", None),
        ("http://server/fhir/Patient/7", None),
        ("urn:uuid:1", "urn:uuid:1"),
    ],
)
def test_references_are_resolved(reference: str, full_url: str | None) -> None:
    document = bundle(
        minimal(patient={"reference": reference}), {"resourceType": "Patient", "id": "7", "gender": "male"}
    )
    document["entry"][1]["fullUrl"] = full_url
    assert read_one(document).patient.sex == "M"


def test_relative_references_stay_on_their_server() -> None:
    document = bundle(
        {"resourceType": "Patient", "id": "1", "gender": "male"},
        {"resourceType": "Patient", "id": "1", "gender": "female"},
        minimal(),
    )
    for entry, full_url in zip(document["entry"], ["a/Patient/1", "b/Patient/1", "b/Claim/1"], strict=True):
        entry["fullUrl"] = f"http://{full_url}"
    assert read_one(document).patient.sex == "F"


def test_a_person_who_pays_is_not_named() -> None:
    coverage = {"resourceType": "Coverage", "id": "1", "payor": [{"reference": "Patient/1", "display": "A Name"}]}
    assert read_one(bundle(minimal(), coverage)).payer == Payer(responsibility="P")


def test_an_insurer_by_display_alone() -> None:
    assert read_one(minimal(insurer={"display": "Medicare"})).payer.name == "Medicare"


def test_bundles_inside_bundles() -> None:
    patient = {"resourceType": "Patient", "id": "1", "gender": "female"}
    assert read_one(bundle(patient, bundle(bundle(minimal())))).patient.sex == "F"


def test_bundles_too_deep() -> None:
    document = bundle(minimal())
    for _ in range(50):
        document = bundle(document)
    claims, (problem,) = read(document)
    assert claims == []
    assert problem.endswith("Bundles inside each other are read only 5 deep")


def test_references_in_a_circle() -> None:
    coverage = {"resourceType": "Coverage", "id": "1", "payor": [{"reference": "Coverage/1"}]}
    assert read_one(bundle(minimal(insurer={"reference": "Claim/1"}), coverage)).payer == Payer(responsibility="P")


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], ": a list is not a FHIR resource"),
        (None, ": null is not a FHIR resource"),
        ({}, ": not a FHIR resource, because it has no resourceType"),
        (bundle(), "Bundle: this Bundle is empty: no Claim to read"),
        (
            bundle({"resourceType": "ClaimResponse"}, {"resourceType": "Patient"}),
            "Bundle: this Bundle holds no Claim, only ClaimResponse, Patient",
        ),
        (
            {"resourceType": "ExplanationOfBenefit", "id": "1"},
            ": ExplanationOfBenefit is not a Claim; only Claims and Bundles of them are read",
        ),
    ],
)
def test_documents_without_a_claim(document: object, problem: str) -> None:
    assert read(document) == ([], [problem])


def test_claims_after_a_broken_entry_are_read() -> None:
    document = bundle(minimal(), minimal(id="2", item=7), minimal(id="3"))
    document["entry"].insert(1, "broken")
    claims, problems = read(document)
    assert [claim.id for claim in claims] == ["1", "2", "3"]
    assert problems == ["Bundle entry[1]: must be an object, not text", "Claim/2 item: must be a list, not a number"]


# Whatever JSON there is

KEYS = sorted(
    {
        "resourceType",
        "id",
        "entry",
        "resource",
        "fullUrl",
        "contained",
        "reference",
        "coding",
        "code",
        "system",
        "value",
    }
    | {"item", "detail", "insurance", "coverage", "patient", "diagnosis", "supportingInfo", "identifier", "extension"}
)
WORDS = ["Claim", "Bundle", "Patient", "Patient/1", "#1", "1", "2014-08", "entered-in-error", "info", "drg", "\ud800\n"]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals()
    | st.sampled_from([float("nan"), float("inf"), 10**400, Decimal("1E-999999"), 0, -1, *WORDS])
    | st.text(max_size=20)
)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=5)
        | st.builds(lambda kind, rest: rest | {"resourceType": kind}, st.sampled_from(["Claim", "Bundle", "Coverage"]),
                    st.dictionaries(st.sampled_from(KEYS), inner, max_size=5))
    ),
    max_leaves=25,
)  # fmt: skip
EXAMPLES = [load(path) for path in sorted(DATA.glob("*.json"))]


def check(document: object) -> None:
    before = repr(document)
    for one in read_fhir(document, source="-"):
        assert isinstance(one, Claim | Problem)
        repr(one).encode()
        if isinstance(one, Claim):
            first, last = one.days_of_service(stay=True)
            assert first <= last
            numbers = [line.number for line in one.lines]
            assert len(set(numbers)) == len(numbers)
        else:
            text = str(one)
            assert text.isprintable() and len(text) < 1000
    assert repr(document) == before


def paths(value: object) -> list[list[str | int]]:
    """Where each sub-value of a JSON value stands."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [[]] + [[key, *rest] for key, inner in items for rest in paths(inner)]


PATHS = [paths(example) for example in EXAMPLES]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON)
def test_any_json(document: object) -> None:
    check(document)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_mutation(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(EXAMPLES) - 1))
    document = copy.deepcopy(EXAMPLES[number])
    for path in data.draw(st.lists(st.sampled_from(PATHS[number][1:]), min_size=1, max_size=3)):
        target = document
        for key in path[:-1]:
            try:
                target = target[key]
            except (KeyError, IndexError, TypeError):
                break  # an earlier mutation took it away
        else:
            if isinstance(target, dict) or (isinstance(target, list) and path[-1] in range(len(target))):
                target[path[-1]] = data.draw(JSON)
    check(document)


def test_deep_json() -> None:
    deep: Any = {}
    for _ in range(50_000):
        deep = {"item": [deep], "detail": [deep]}
    claims, _ = read(minimal(item=[deep], extension=[deep]))
    assert len(claims) == 1


# Real files

EOB = (0, 1)
CORPUS_COUNTS = {
    "bfd__ExplanationOfBenefit-PriorAuth.json": EOB,
    "bfd__ExplanationOfBenefit.json": EOB,
    "carininf200__ExplanationOfBenefit-EOBInpatient1.json": EOB,
    "carininf200__ExplanationOfBenefit-EOBOutpatient2.json": EOB,
    "carininf200__ExplanationOfBenefit-EOBProfessional1.json": EOB,
    "carininf200nf__ExplanationOfBenefit-EOBInpatientNonFinancial2.json": EOB,
    "carininf__c4bb_eob_inpatient_example.json": EOB,
    "mimi__sample_eob_1.json": EOB,
    "pasinf2.0.1__Bundle-HomecareAuthorizationBundleExample.json": (1, 0),
    "pasinf2.0.1__Bundle-ReferralAuthorizationResponseBundleExample.json": (0, 1),
    "pasinf2.0.1__Bundle-SurgicalRequestBundleExample.json": (1, 0),
    "pasinf2.2.1__Bundle-MedicalServicesAuthorizationBundleExample.json": (1, 0),
    "pasinf2.2.1__Claim-SurgicalAuthorizationRequestExample.json": (1, 0),
    "pasinf__conformant_pas_bundle_v110.json": (1, 0),
    "pasinf__nonconformant_pas_bundle_v110.json": (0, 1),  # its entry list is empty
    "pasinf__valid_pa_response_bundle_denial.json": (0, 1),
    "priorauth__Claim.json": (1, 0),
    "priorauth__claim-complete.json": (1, 0),
    "r4ex__Claim-100150.json": (1, 0),
    "r4ex__Claim-100152.json": (1, 0),
    "r4ex__Claim-100154.json": (1, 0),
    "r4ex__Claim-660152.json": (1, 0),
    "r4ex__Claim-760151.json": (1, 0),
    "r4ex__Claim-960150.json": (1, 0),
    "r4ex__ClaimResponse-R3500.json": (0, 1),
    "r4ex__Coverage-9876B1.json": (0, 1),
    "r4ex__ExplanationOfBenefit-EB3500.json": EOB,
}


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus at {CORPUS}")
def test_corpus() -> None:
    found = {}
    for path in sorted(CORPUS.glob("*.json")):
        claims, problems = read(load(path))
        found[path.name] = (len(claims), len(problems))
    assert found == CORPUS_COUNTS


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus at {CORPUS}")
def test_corpus_nonconformant_bundle() -> None:
    assert read(load(CORPUS / "pasinf__nonconformant_pas_bundle_v110.json"))[1] == [
        "Bundle/ReferralAuthorizationBundleExample: this Bundle is empty: no Claim to read"
    ]
