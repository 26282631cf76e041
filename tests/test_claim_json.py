"""Claim JSON: what passes, what it becomes, how faults are worded, and the way back."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import date
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from strategies import claims

from chartulary import claim as model
from chartulary.claim import Claim, Diagnosis, Line, Note, Payer, Procedure
from chartulary.errors import Problem
from chartulary.readers.claim_json import (
    MAX_PROBLEMS,
    JsonFault,
    _is_sound,
    _validator,
    claim_to_json,
    load_json,
    looks_like_claim,
    read_claim,
)

SCHEMA = json.loads(files("chartulary").joinpath("claim.schema.json").read_text("utf-8"))


def read(document: object, **options: Any) -> Claim:
    (item,) = read_claim(document, source="c.json", **options)
    assert isinstance(item, Claim), item
    return item


def faults(document: object, **options: Any) -> list[tuple[str, str]]:
    items = list(read_claim(document, source="c.json", **options))
    assert all(isinstance(item, Problem) for item in items)
    return [(item.where, item.message) for item in items if isinstance(item, Problem)]


def claim(**values: object) -> dict[str, object]:
    return {"id": "1", "diagnoses": ["C83.31"], **values}


# --- the schema ---


def test_schema_is_valid_and_its_examples_are_claims() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    for example in SCHEMA["examples"]:
        Draft202012Validator(SCHEMA).validate(example)
        assert isinstance(read(example), Claim)


def test_schema_has_the_fields_of_the_model() -> None:
    def properties(part: dict[str, Any]) -> set[str]:
        part = SCHEMA["$defs"][part["$ref"].rsplit("/", 1)[1]] if "$ref" in part else part
        return set(part["items"]["properties"] if "items" in part else part["properties"])

    tops, defs = SCHEMA["properties"], SCHEMA["$defs"]
    for part, cls, more in (
        (SCHEMA, model.Claim, {"$schema"}),
        (defs["line"], model.Line, {"date_of_service"}),
        (defs["payer"], model.Payer, set()),
        (tops["patient"], model.Patient, set()),
        (tops["diagnoses"], model.Diagnosis, set()),
        (tops["procedures"], model.Procedure, set()),
        (tops["value_codes"], model.ValueCode, set()),
        (tops["occurrence_codes"], model.OccurrenceCode, set()),
        (tops["notes"], model.Note, set()),
        (tops["attachments"], model.Attachment, set()),
        (tops["documents"], model.Document, set()),
        (tops["history"], model.Event, set()),
    ):
        assert properties(part) == {field.name for field in fields(cls)} - {"source", "where"} | more, cls


def test_every_field_of_the_schema_is_described_and_every_fault_has_words() -> None:
    def walk(part: Any, name: str) -> None:
        if isinstance(part, dict):
            for field, value in part.get("properties", {}).items():
                if isinstance(value, dict) and set(value) - {"minItems"}:
                    assert "description" in value or "$ref" in value, (name, field)
            if "type" in part and "items" not in name:
                assert "title" in part and "description" in part, name
            for key, value in part.items():
                walk(value, f"{name}/{key}")
        elif isinstance(part, list):
            for value in part:
                walk(value, name)

    walk({key: value for key, value in SCHEMA.items() if key != "examples"}, "")


# --- what claims become ---


def test_conveniences() -> None:
    got = read(
        {
            "payer": "Medicare",
            "diagnoses": ["C83.31", {"code": "Z00.6"}, "Z92.850"],
            "procedures": ["XW033C3"],
            "notes": ["Diff Prod Clin Trial", {"text": "x", "location": "FL80"}],
            "findings": {"b": True, "a": None, "vein": "central vein"},
            "lines": [
                {"code": "38228", "date_of_service": "2025-06-25", "modifiers": ["KX"], "charge": "1.10"},
                {"revenue_code": "0636", "first_day": "2025-06-25", "units": Decimal("2.5"), "charge": 3},
                {"number": 7, "first_day": "2025-06-25", "last_day": "2025-06-27"},
            ],
        },
        number=4,
        where="claim 4",
    )
    june = date(2025, 6, 25)
    assert got == Claim(
        id="c.json #4",
        source="c.json",
        where="claim 4",
        payer=Payer(name="Medicare"),
        diagnoses=(Diagnosis(code="C83.31", kind="principal"), Diagnosis(code="Z00.6"), Diagnosis(code="Z92.850")),
        procedures=(Procedure(code="XW033C3", kind="principal"),),
        notes=(Note(text="Diff Prod Clin Trial"), Note(text="x", location="FL80")),
        findings=(("b", True), ("a", None), ("vein", "central vein")),
        lines=(
            Line(number=1, code="38228", first_day=june, last_day=june, modifiers=("KX",), charge=Decimal("1.10")),
            Line(number=2, revenue_code="0636", first_day=june, last_day=june, units=Decimal("2.5"), charge=Decimal(3)),
            Line(number=7, first_day=june, last_day=date(2025, 6, 27)),
        ),
    )


def test_first_plain_diagnosis_is_not_principal_if_another_is() -> None:
    got = read({"diagnoses": ["Z00.6", {"code": "C83.31", "kind": "principal"}]})
    assert [item.kind for item in got.diagnoses] == ["other", "principal"]


def test_money_is_exact() -> None:
    document = load_json('{"diagnoses": ["C83.31"], "total_charge": 0.1, "payer": {"paid": 373000.10}}')
    got = read(document)
    assert got.total_charge == Decimal("0.1") and str(got.payer.paid) == "373000.10"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("8", "8"),
        ("-3", "-3"),
        ("8.50", "8.50"),
        ("1e3", "1000"),
        ("100000000000000000000000001", "100000000000000000000000001"),
        ('"8"', "8"),
        ('"2025-06-25"', "2025-06-25"),
        ('["CBC", "HIV"]', ("CBC", "HIV")),
        ('["2025-06-25"]', ("2025-06-25",)),
        ("[]", None),
        ("null", None),
        ("true", True),
        ("false", False),
    ],
)
def test_values_of_findings(written: str, expected: object) -> None:
    got = read(load_json(f'{{"diagnoses": ["C83.31"], "findings": {{"x": {written}}}}}'))
    assert got.findings == (("x", expected),)


def test_schema_reference_for_editors_is_let_through() -> None:
    assert read(claim(**{"$schema": SCHEMA["$id"]})).id == "1"


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(claims())
def test_round_trip(original: Claim) -> None:
    text = json.dumps(claim_to_json(original))
    assert list(read_claim(load_json(text), source=original.source, where=original.where)) == [original]
    Draft202012Validator(SCHEMA).validate(json.loads(text))


def test_written_json_has_no_empty_field() -> None:
    written = claim_to_json(Claim(id="1", source="x", lines=(Line(number=1, units=Decimal("1E+2")),)))
    assert written == {"id": "1", "request": "claim", "lines": [{"number": 1, "units": "100"}]}


# --- faults ---


@pytest.mark.parametrize(
    ("document", "where", "message"),
    [
        (claim(modifers=[]), "", "unknown field 'modifers'"),
        (claim(lines=[{"modifers": []}]), "lines[0]", "unknown field 'modifers'; did you mean 'modifiers'?"),
        (claim(payor="Medicare"), "", "unknown field 'payor'; did you mean 'payer'?"),
        (claim(**{"John Smith 1950-01-01": 1}), "", "unknown field"),
        (
            {"id": "1", "payer": "Medicare", "lines": []},
            "",
            "nothing to check: no lines, diagnoses, procedures, codes, product or findings",
        ),
        (
            claim(lines=[{"revenue_code": 636}]),
            "lines[0].revenue_code",
            'must be four digits as text with the leading zero, such as "0874"; write "0636" as text',
        ),
        (
            claim(lines=[{"revenue_code": "636"}]),
            "lines[0].revenue_code",
            'must be four digits as text with the leading zero, such as "0874"; write "0636" as text',
        ),
        (claim(drg=18), "drg", 'must be three digits as text, such as "018"; write "018" as text'),
        (claim(lines=[{"code": 38228}]), "lines[0].code", 'must be a code as text; write "38228" as text'),
        (claim(lines=[{"code": "38228\n"}]), "lines[0].code", "must be a code as text"),
        (claim(diagnoses=[8331]), "diagnoses[0]", 'must be a code as text, or an object; write "8331" as text'),
        (
            claim(findings={"labs": {"CBC": True}}),
            "findings.labs",
            "must be true, false, text, a number, a list of texts or null",
        ),
        (claim(findings={"score": 0.5}), "findings.score", "a binary float is not exact; give a Decimal or text"),
        (claim(findings={"vein": ""}), "findings.vein", "must be true, false, text, a number, a list of texts or null"),
        (claim(findings={"labs": ["CBC", 2]}), "findings.labs[1]", 'must be text; write "2" as text'),
        (claim(findings={"no name": True}), "findings", "must be a name such as facility-rems-enrolled"),
        (
            claim(lines=[{"first_day": "2025-02-30"}]),
            "lines[0].first_day",
            "must be a day written year-month-day, such as 2025-06-25, not '2025-02-30'",
        ),
        (
            claim(admission="06/25/2025"),
            "admission",
            "must be a day written year-month-day, such as 2025-06-25, not '06/25/2025'",
        ),
        (
            claim(admission="20250625"),
            "admission",
            "must be a day written year-month-day, such as 2025-06-25, not '20250625'",
        ),
        (claim(admission=20250625), "admission", "must be a day written year-month-day, such as 2025-06-25"),
        (
            claim(patient={"birth_date": "1950-13-01"}),
            "patient.birth_date",
            "must be a day written year-month-day, such as 2025-06-25",
        ),
        (claim(payer={"member_id": 123456789}), "payer.member_id", "must be text"),
        (claim(payer=7), "payer", "must be a name or an object"),
        (claim(drg=None), "drg", 'is null; give three digits as text, such as "018", or leave the field out'),
        (claim(total_charge="$5"), "total_charge", "must be an amount such as 475000.00"),
        (claim(total_charge=True), "total_charge", "must be an amount such as 475000.00"),
        (claim(total_charge=10**15), "total_charge", "must be an amount such as 475000.00"),
        (claim(total_charge=0.5), "total_charge", "a binary float is not exact; give a Decimal or text"),
        (claim(total_charge=Decimal("NaN")), "total_charge", "must be an amount such as 475000.00"),
        (claim(patient={"age": Decimal("3.5")}), "patient.age", "must be a whole number of years"),
        (claim(donor_type="autologus"), "donor_type", "must be one of autologous, allogeneic"),
        (claim(documents=[{"date": "2025-01-01"}]), "documents[0]", "field 'kind' is missing"),
        (claim(lines=[{"last_day": "2025-01-01"}]), "lines[0]", "last_day stands without first_day"),
        (
            claim(lines=[{"first_day": "2025-01-02", "last_day": "2025-01-01"}]),
            "lines[0].last_day",
            "2025-01-01 is before first_day 2025-01-02",
        ),
        (
            claim(lines=[{"first_day": "2025-01-02", "date_of_service": "2025-01-01"}]),
            "lines[0]",
            "give either date_of_service or first_day and last_day, not both",
        ),
        (claim(lines={}), "lines", "must be a list of lines"),
        (claim(lines=["38228"]), "lines[0]", "must be an object"),
        ([], "", "must be a claim"),
    ],
)
def test_faults_are_one_plain_sentence(document: object, where: str, message: str) -> None:
    ((got_where, got),) = faults(document)
    assert (got_where, got) == (where, message)


def test_place_begins_with_the_claim() -> None:
    assert faults(claim(drg=18), where="claim 2")[0][0] == "claim 2, drg"


def test_problems_are_capped_and_the_cap_is_told() -> None:
    found = faults(claim(lines=[{"revenue_code": 636} for _ in range(5000)]))
    assert len(found) == MAX_PROBLEMS
    assert found[-1] == ("", "more is wrong with this claim than is listed here")


_FIELDS = ("number", "code", "modifiers", "revenue_code", "charge", "last_day", "date_of_service", "ndc", "odd")
_BLANKS = [chr(code) for code in (*range(0x21), *range(0x7F, 0xA1), *range(0x1FF0, 0x2070), 0x1680, 0x3000, 0xFEFF)]
_NUMBERS = [0, 1, -1, 10**12, 10**12 - 1, -(10**12), 2**64, 10**400, True, 1.0, float("nan"), Decimal("NaN")]
_NUMBERS += [Decimal(text) for text in ("1", "1.0", "1.5", "-0", "1E+2", "1E+12", "999999999999.0000001", "-1E+11")]
_NUMBERS += [Decimal("1." + "0" * 40 + "1")]
_TEXTS = ["", "1", "1.", "+1", "-1.25", "9" * 13, "1\n", "\u0663", "\u0660874", "0874", "KX", "KX\n", "K  X", "K" * 101]
_DAYS = ["2025-02-28", "2025-02-29", "2000-02-29", "2100-02-29", "2025-06-31", "2025-13-01", "2025-6-1", "20250601"]
_OTHERS: list[object] = [None, [], {}, (), ("KX",), [None], ["KX"], {1: 2}, "\ud83d", date(2025, 6, 25)]


def test_what_the_quick_check_lets_pass_the_exact_one_does() -> None:
    values = [*_NUMBERS, *_TEXTS, *_DAYS, *_OTHERS]
    documents: list[object] = [
        {"lines": [{"first_day": "2025-06-25", field: value}]} for field in _FIELDS for value in values
    ]
    for value in values:
        documents += [{"findings": {"vein": value}}, {"findings": {"labs": [value]}}, {"drg": value}, {"lines": value}]
        documents += [claim(patient={"age": value}), claim(payer=value), claim(notes=[value]), claim(form=value), value]
    documents += [
        {"diagnoses": [text]} for blank in _BLANKS for text in (blank, f"{blank}C", f"C{blank}", f"C{blank}C")
    ]
    documents += [{"findings": {name: True}} for name in ("a", "1a", "a b", "a\n", "a" * 100, "a" * 101, "\u00e9")]
    passed = [(document, _is_sound(document), _validator().is_valid(document)) for document in documents]
    assert [document for document, quick, exact in passed if quick and not exact] == []
    # Where it stands back from what is sound, it is for these alone.
    others = [ascii(document) for document, quick, exact in passed if exact and not quick]
    assert others and all("\\ufeff" in other or "\\ud83d" in other for other in others)


def test_names_of_findings_never_meet_field_rules() -> None:
    assert read(claim(findings={"first_day": True, "last_day": "x"}))


def test_only_own_fields_make_a_claim() -> None:
    assert looks_like_claim({"payer": "x"}) and looks_like_claim({"lines": []})
    assert not looks_like_claim({"id": "1", "patient": {}, "status": "active"})


# --- strict JSON ---


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ('{"a": 1,\n "b": }', "line 2, column 7", "not JSON from here on"),
        ('{"a": 1', "line 1, column 8", "the text ends too early"),
        ('{"a": 1} x', "line 1, column 10", "something follows"),
        ('{"a" 1}', "line 1, column 6", "a colon"),
        ('{"a": 1 "b": 2}', "line 1, column 9", "a comma or a closing bracket"),
        ("{a: 1}", "line 1, column 2", "a field name in double quotes"),
        ('{"a": "x\ny"}', "line 1, column 9", "a line break"),
        ('{"a": 1, "a": 2}', "", "field 'a' stands twice"),
        ('{"a": NaN}', "", "NaN is not a number"),
        ('{"a": -Infinity}', "", "-Infinity is not a number"),
        ('{"a": ' + "9" * 5000 + "}", "", "a number with too many digits"),
        ('{"a": 1e999999999}', "", "a number that is too large"),
        ('{"a": 1e99999999999999999999999}', "", "a number that is too large"),
        ('{"a": 0.' + "3" * 100 + "}", "", "a number that is too large, too small or too long"),
        ('{"a":\n "x\\ud800y"}', "line 2, column 4", "a control character or half a character"),
        ('{"a": "\\u001b[2J"}', "line 1, column 8", "a control character"),
        ("[" * 101 + "]" * 101, "", "nested more than 100 levels"),
        ("[" * 100_000, "", "nested more than 100 levels"),
        ('{"a":' * 100_000, "", "nested more than 100 levels"),
    ],
)
def test_json_faults(text: str, where: str, message: str) -> None:
    with pytest.raises(JsonFault) as caught:
        load_json(text)
    assert caught.value.where == where and caught.value.message.startswith(message)


def test_json_that_is_let_through() -> None:
    assert load_json("[" * 100 + "]" * 100)
    assert load_json(r'"\u00e9\ud83d\ude00\n\t\\ud800 \u000a"') == "é😀\n\t\\ud800 \n"
    assert str(load_json("523000.10")) == "523000.10"
