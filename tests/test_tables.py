"""Claims as tables: read from CSV and Parquet in any shape, cut into parts, written and read back."""

from __future__ import annotations

import csv
import io
import pickle
import random
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import claims

from chartulary import Register, readers
from chartulary.claim import Claim, Diagnosis, Line, Note, Patient, Payer, Procedure
from chartulary.errors import ChartularyError, Problem
from chartulary.readers import read_claims

pa = pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")
pq = pytest.importorskip("pyarrow.parquet")

from chartulary.readers import tables  # noqa: E402
from chartulary.readers.tables import (  # noqa: E402
    LAYOUT,
    OWN,
    looks_like_table,
    not_carried,
    read_part,
    read_table,
    table_parts,
    write_table,
)

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "tables.md"
Row = dict[str, object]


def csv_of(rows: list[Row]) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def parquet_of(columns: dict[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


def read(content: bytes | list[Row]) -> list[Claim | Problem]:
    return list(read_table(csv_of(content) if isinstance(content, list) else content, source="f"))


def one(**cells: object) -> Claim:
    """The only item of a table of one row, which must be a claim."""
    [claim] = read([{"claim_id": "A", **cells}])
    assert isinstance(claim, Claim)
    return claim


def shown(items: list[Claim | Problem]) -> list[str]:
    return [item.id if isinstance(item, Claim) else str(item) for item in items]


def some_rows(count: int = 60, seed: int = 1) -> list[Row]:
    """Rows of claims with one to four lines each, some with faults, in order."""
    chance = random.Random(seed)
    rows: list[Row] = []
    for claim in range(count):
        for line in range(chance.randint(1, 4)):
            rows.append(
                {
                    "claim_id": f"C{claim:03}" if claim % 17 else "",
                    "claim_line_number": line + 1,
                    "payer": chance.choice(("Medicare", "Medicare", "Excellus")),
                    "claim_start_date": chance.choice(("2025-06-25", "20250625", "", "soon")),
                    "hcpcs_code": chance.choice(("38228", "Q2041", "")),
                    "charge_amount": chance.choice(("1.50", "1,50")),
                    "place_of_service_code": chance.choice(("22", "22", "11")),
                    "diagnosis_code_1": "C8331",
                }
            )
    return rows


# --- what a cell becomes ---


def test_every_column_that_is_read_fills_its_field() -> None:
    row: Row = {
        "claim_id": "A-1",
        "claim_line_number": "2",
        "claim_type": "institutional",
        "member_id": "M1",
        "payer": "Medicare",
        "claim_start_date": "2025-06-25",
        "claim_end_date": "20250627",
        "claim_line_start_date": "2025-06-25",
        "claim_line_end_date": "2025-06-26",
        "admission_date": "2025-06-24",
        "discharge_date": "2025-06-27 00:00:00",
        "place_of_service_code": "22",
        "bill_type_code": "131",
        "drg_code_type": "ms-drg",
        "drg_code": "018",
        "revenue_center_code": "0636",
        "service_unit_quantity": "1",
        "hcpcs_code": "Q2041",
        "hcpcs_modifier_1": "KX",
        "hcpcs_modifier_3": "LU",
        "charge_amount": "373000.10",
        "diagnosis_code_type": "icd-10-cm",
        "diagnosis_code_1": "C8331",
        "diagnosis_code_3": "Z00.6",
        "diagnosis_poa_1": "Y",
        "procedure_code_type": "icd-10-pcs",
        "procedure_code_1": "XW033C3",
        "procedure_code_2": "XW043C3",
        "procedure_date_1": "2025-06-25",
        "payer_id": "12345",
        "filing_indicator": "MB",
        "line_of_business": "Medicare Part B",
        "setting": "outpatient",
        "request": "claim",
        "date_of_service": "2025-06-25",
        "submitted_date": "2025-07-01",
        "birth_date": "1950-02-03",
        "patient_age": "75",
        "product": "Yescarta",
        "donor_type": "autologous",
        "prior_authorization": "PA9",
        "condition_codes": "30;90 | 44",
        "notes": "Expanded access | Diff Prod Clin Trial",
        "total_charge_amount": "373000.10",
        "line_description": "CAR-T cells",
        "line_notes": "thawed",
    }
    assert not set(row) - {*LAYOUT, *OWN}
    assert read([row]) == [
        Claim(
            id="A-1",
            source="f",
            where="row 1",
            form="837I",
            payer=Payer(name="Medicare", id="12345", filing_indicator="MB", member_id="M1"),
            line_of_business="Medicare Part B",
            setting="outpatient",
            bill_type="0131",
            place_of_service="22",
            frequency="1",
            patient=Patient(birth_date=date(1950, 2, 3), age=75),
            date_of_service=date(2025, 6, 25),
            statement_from=date(2025, 6, 25),
            statement_through=date(2025, 6, 27),
            admission=date(2025, 6, 24),
            discharge=date(2025, 6, 27),
            submitted=date(2025, 7, 1),
            total_charge=Decimal("373000.10"),
            drg="018",
            diagnoses=(
                Diagnosis(code="C83.31", kind="principal", present_on_admission="Y", system="ABK"),
                Diagnosis(code="Z00.6", system="ABF"),
            ),
            procedures=(
                Procedure(code="XW033C3", date=date(2025, 6, 25), kind="principal", system="BBR"),
                Procedure(code="XW043C3", system="BBQ"),
            ),
            condition_codes=("30", "90", "44"),
            notes=(Note(text="Expanded access"), Note(text="Diff Prod Clin Trial")),
            prior_authorization="PA9",
            product="Yescarta",
            donor_type="autologous",
            lines=(
                Line(
                    number=2,
                    code="Q2041",
                    code_system="HC",
                    modifiers=("KX", "LU"),
                    revenue_code="0636",
                    description="CAR-T cells",
                    first_day=date(2025, 6, 25),
                    last_day=date(2025, 6, 26),
                    units=Decimal(1),
                    charge=Decimal("373000.10"),
                    notes=(Note(text="thawed"),),
                ),
            ),
        )
    ]


@pytest.mark.parametrize(
    ("cells", "field", "value"),
    [
        ({"claim_type": "Professional"}, "form", "837P"),
        ({"claim_type": "dental"}, "form", None),
        ({"bill_type_code": "0111"}, "bill_type", "0111"),
        ({"bill_type_code": "11a"}, "bill_type", "011A"),
        ({"drg_code": "018", "drg_code_type": "apr-drg"}, "drg", None),
        ({"drg_code": "018"}, "drg", "018"),
        ({"request": "prior_authorization", "drg_code": "018"}, "request", "prior-authorization"),
        ({"plan": "Excellus", "drg_code": "018"}, "payer", Payer(name="Excellus")),
        ({"payer": "Medicare", "plan": "x", "drg_code": "018"}, "payer", Payer(name="Medicare")),
        (
            {"diagnosis_code_2": "C8331"},
            "diagnoses",
            (Diagnosis(code="C83.31"),),
        ),
        (
            {"diagnosis_code_1": "20280", "diagnosis_code_type": "ICD-9-CM"},
            "diagnoses",
            (Diagnosis(code="20280", kind="principal", system="BK"),),
        ),
        (
            {"diagnosis_code_1": "109989000", "diagnosis_code_type": "snomed-ct"},
            "diagnoses",
            (Diagnosis(code="109989000", kind="principal", system="snomed-ct"),),
        ),
        ({"claim_start_date": " 2025-06-25T00:00:00Z "}, "statement_from", date(2025, 6, 25)),
        ({"drg_code": "018"}, "lines", ()),
        ({"revenue_center_code": "636"}, "lines", (Line(number=1, revenue_code="0636"),)),
        (
            {"claim_line_start_date": "2025-06-25"},
            "lines",
            (Line(number=1, first_day=date(2025, 6, 25), last_day=date(2025, 6, 25)),),
        ),
    ],
)
def test_a_cell_is_read_as_documented(cells: Row, field: str, value: object) -> None:
    assert getattr(one(**cells), field) == value


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"claim_start_date": "2025-02-30"}, "claim_start_date: not a date as yyyy-mm-dd or yyyymmdd (2025-02-30)"),
        ({"claim_start_date": "06/25/2025"}, "claim_start_date: not a date as yyyy-mm-dd or yyyymmdd (06/25/2025)"),
        ({"birth_date": "1950-13-01"}, "birth_date: not a date as yyyy-mm-dd or yyyymmdd"),
        ({"patient_age": "old"}, "patient_age: not a whole number of years"),
        ({"claim_line_number": "-1"}, "claim_line_number: not a line number (-1)"),
        ({"charge_amount": "a lot"}, "charge_amount: not a plain decimal number"),
        ({"charge_amount": "NaN"}, "charge_amount: not a plain decimal number"),
        ({"service_unit_quantity": "1,5"}, "service_unit_quantity: not a plain decimal number (1,5)"),
        ({"drg_code": "18"}, "drg_code: not a DRG of three digits (18)"),
        ({"bill_type_code": "13"}, "bill_type_code: not a type of bill (13)"),
        ({"claim_type": "inst"}, "claim_type: neither institutional nor professional"),
        (
            {"claim_start_date": "2025-06-25", "claim_end_date": "2025-06-24"},
            "claim_end_date: 2025-06-24 is before claim_start_date 2025-06-25; neither is taken",
        ),
        ({"claim_line_end_date": "2025-06-24"}, "claim_line_end_date: stands without claim_line_start_date"),
    ],
)
def test_a_bad_cell_costs_only_its_field(cells: Row, message: str) -> None:
    good: Row = {"claim_id": "A", "hcpcs_code": "38228", "diagnosis_code_1": "C8331"}
    problem, claim, other = read([{**good, **cells}, {**good, "claim_id": "B"}])
    assert str(problem) == f"f, row 1, {message}"
    assert claim == replace(other, id="A", where="row 1")  # type: ignore[type-var]


def test_an_unknown_request_costs_its_claim() -> None:
    rows: list[Row] = [{"claim_id": "A", "request": "question"}, {"claim_id": "B", "request": "claim"}]
    assert shown(read(rows)) == [
        "f, row 1, request: neither claim nor prior-authorization; the claim was left out",
        "B",
    ]


def test_lines_without_a_number_follow_the_one_before() -> None:
    numbers = ["", "5", "x", "", "9"]
    *problems, claim = read([{"claim_id": "A", "claim_line_number": n, "hcpcs_code": "38228"} for n in numbers])
    assert [line.number for line in claim.lines] == [1, 5, 6, 7, 9]  # type: ignore[union-attr]
    assert len(problems) == 1


def test_a_place_of_service_is_the_claims_only_where_all_rows_share_it() -> None:
    rows: list[Row] = [
        {"claim_id": claim, "hcpcs_code": "38228", "place_of_service_code": place}
        for claim, place in [("A", "22"), ("A", "22"), ("B", "11"), ("B", ""), ("C", "")]
    ]
    a, b, c = read(rows)
    assert isinstance(a, Claim) and isinstance(b, Claim) and isinstance(c, Claim)
    assert [a.place_of_service, b.place_of_service, c.place_of_service] == ["22", None, None]
    assert [line.place_of_service for claim in (a, b, c) for line in claim.lines] == [None, None, "11", None, None]


def test_a_professional_claim_has_no_statement_of_its_own() -> None:
    row: Row = {"claim_id": "A", "claim_type": "professional", "claim_line_start_date": "2025-06-25"}
    alike = {**row, "claim_start_date": "2025-06-25", "claim_end_date": "2025-06-25"}
    [claim, other, hospital] = read(
        [
            alike,
            {**alike, "claim_id": "B", "claim_end_date": "2025-06-26"},
            {**alike, "claim_id": "C", "claim_type": "institutional"},
        ]
    )
    assert claim.statement_from is None  # type: ignore[union-attr]
    assert other.statement_through == date(2025, 6, 26)  # type: ignore[union-attr]
    assert hospital.statement_from == date(2025, 6, 25)  # type: ignore[union-attr]


# --- rows that do not fit together ---


def test_contradictions_are_warned_of_and_the_first_value_wins() -> None:
    rows: list[Row] = [
        {"claim_id": "A", "claim_line_number": 1, "payer": "", "drg_code": "018"},
        {"claim_id": "A", "claim_line_number": 2, "payer": "Medicare", "drg_code": ""},
        {"claim_id": "A", "claim_line_number": 3, "payer": "Excellus", "drg_code": "018"},
        {"claim_id": "B", "claim_line_number": 1, "payer": "Aetna", "drg_code": ""},
    ]
    problem, claim, other = read(rows)
    assert isinstance(problem, Problem) and problem.warning
    assert str(problem) == "f, row 3, payer: warning: not as in row 2 of the same claim, which is taken"
    assert isinstance(claim, Claim) and (claim.payer.name, claim.drg, len(claim.lines)) == ("Medicare", "018", 3)
    assert isinstance(other, Claim) and other.payer.name == "Aetna"


def test_rows_without_claim_id_are_nobodys() -> None:
    rows: list[Row] = [{"claim_id": claim, "hcpcs_code": "38228"} for claim in ("", " ", "A", "", "B")]
    assert shown(read(rows)) == [
        "f, row 1: claim_id is missing and those right after it; left out",
        "A",
        "f, row 4: claim_id is missing; left out",
        "B",
    ]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_scattered_rows_come_together(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_BATCH_ROWS", 16)
    rows = [row for row in some_rows() if row["claim_id"]]
    shuffled = random.Random(3).sample(rows, len(rows))
    together = sorted(shuffled, key=lambda row: (str(row["claim_id"]), row["claim_line_number"]))  # type: ignore[arg-type, return-value]
    names = list(rows[0])

    def items(rows: list[Row]) -> list[Claim]:
        content = csv_of(rows) if kind == "csv" else parquet_of({n: [str(row[n]) for row in rows] for n in names})
        return [replace(item, where="") for item in read(content) if isinstance(item, Claim)]

    assert items(shuffled) == items(together)
    assert len(items(shuffled)) == len({row["claim_id"] for row in rows})


def test_nothing_is_sorted_without_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_BATCH_ROWS", 2)
    monkeypatch.setattr(tables, "_sorted", None)
    ids = [*"AAAAABCC", "", "D", "", *"EEE"]
    items = read(parquet_of({"claim_id": ids, "hcpcs_code": ["38228"] * len(ids)}))
    assert [item.id for item in items if isinstance(item, Claim)] == list("ABCDE")


def test_a_sort_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_SORT_MEMORY", "1KB")
    [problem] = read([{"claim_id": c, "hcpcs_code": "38228"} for c in "ABA"])
    assert "could not be sorted" in str(problem)


def test_nothing_is_left_behind_by_a_sort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, scratch = tmp_path / "claims.csv", tmp_path / "scratch"
    scratch.mkdir()
    table.write_bytes(csv_of([{"claim_id": c, "hcpcs_code": "38228"} for c in "ABA"]))
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    items = read_table(table, source="f")
    assert isinstance(next(items), Claim)
    items.close()  # type: ignore[attr-defined]
    assert list(scratch.iterdir()) == []


def test_what_was_sent_is_not_sorted_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tables, "_SORT_MEMORY", "12MB")
    ids = [f"claim-{row % 50_000}" for row in range(400_000)]
    items = read_table(parquet_of({"claim_id": ids, "hcpcs_code": ["38228"] * len(ids)}), source="f")
    assert "too large for memory" in str(next(items))
    assert list(tmp_path.iterdir()) == []


def test_a_claim_without_end_is_left_out_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_MOST_ROWS", 20)
    monkeypatch.setattr(tables, "_BATCH_ROWS", 16)
    content = parquet_of({"claim_id": ["A", *["B"] * 500, "C"], "hcpcs_code": ["38228"] * 502})
    expected = ["A", "f, row 2: more than 20 rows of one claim; left out", "C"]
    assert shown(read(content)) == expected
    assert [len(pickle.dumps(part)) < 20_000 for part in table_parts(content, claims=1)] == [True] * 3


# --- files ---


def test_columns_in_any_order_and_case_with_strangers() -> None:
    text = '\ufeff\r\nHCPCS_Code,Extra, Claim_ID ,claim_line_number\r\n38228,"a,\nb",A,1\r\nQ2041,,A,2\r\n'
    [claim] = read(text.encode())
    assert isinstance(claim, Claim) and [line.code for line in claim.lines] == ["38228", "Q2041"]


@pytest.mark.parametrize("delimiter", ["\t", "|", ";"])
def test_other_delimiters(delimiter: str) -> None:
    assert shown(read(f"claim_id{delimiter}hcpcs_code\nA{delimiter}38228\n".encode())) == ["A"]


def test_rows_of_the_wrong_length_cost_only_themselves() -> None:
    text = "claim_id,hcpcs_code\nA,38228\nB\n\nC,Q2041,x\nD,Q2041\nE\n"
    few, many = "too few cells (1, not 2); the row was left out", "too many cells (3, not 2); the row was left out"
    items = read(text.encode())
    assert shown(items) == ["A", f"f, row 2: {few}", f"f, row 3: {many}", "D", f"f, row 5: {few}"]
    assert items[3].where == "row 4"


def test_letters_that_are_not_utf8_cost_nothing() -> None:
    problem, claim = read("claim_id,payer,drg_code\né,é\nA,Assurée,018\n".encode("latin-1"))
    assert str(problem) == "f, row 1: too few cells (2, not 3); the row was left out"
    assert isinstance(claim, Claim) and claim.payer.name == "Assurée"
    names = pa.Array.from_buffers(pa.string(), 1, pa.array(["Assurée".encode("latin-1")]).buffers())
    [claim] = read(parquet_of({"claim_id": ["A"], "payer": names, "drg_code": ["018"]}))
    assert isinstance(claim, Claim) and claim.payer.name == "Assurée"


def test_typed_parquet_columns_are_read_as_text() -> None:
    content = parquet_of(
        {
            "CLAIM_ID": pa.array([7, 7]),
            "claim_line_number": pa.array([1.0, None]),
            "payer": pa.array(["Medicare", "Medicare"]).dictionary_encode(),
            "claim_start_date": pa.array([date(2025, 6, 25)] * 2),
            "admission_date": pa.array([datetime(2025, 6, 24)] * 2),
            "revenue_center_code": pa.array([636, 874]),
            "charge_amount": pa.array([1500.5, 1e15]),
            "service_unit_quantity": pa.array([Decimal("2.00"), None]),
            "hcpcs_code": pa.array([b"38228", None], pa.binary()),
            "condition_codes": pa.array([["30"], ["90"]]),
        }
    )
    warning, claim = read(content)
    assert str(warning) == "f: warning: column condition_codes holds lists or records, not text, and was not read"
    assert isinstance(claim, Claim)
    assert (claim.id, claim.payer.name, claim.admission) == ("7", "Medicare", date(2025, 6, 24))
    assert claim.lines == (
        Line(number=1, code="38228", code_system="HC", revenue_code="0636", units=Decimal(2), charge=Decimal("1500.5")),
        Line(number=2, revenue_code="0874", charge=Decimal(10**15)),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"claim_id,hcpcs_code\n", []),
        (b"claim_id,hcpcs_code", []),
        (b"a,b\n1,2\n", ["not a table of claims: no header row with claim_id and another column of the layout"]),
        (b"claim_id,claim_id,drg_code\nA,B,018\n", ["warning: column claim_id stands twice; the first is read", "A"]),
        (b"PAR1 and then nothing", ["this Parquet file is damaged or cut short"]),
    ],
)
def test_odd_files(content: bytes, message: list[str]) -> None:
    assert [text.removeprefix("f: ") for text in shown(read(content))] == message


def test_parquet_without_claim_id_or_damaged_inside() -> None:
    content = parquet_of({"x": ["A"], "drg_code": ["018"]})
    assert shown(read(content)) == ["f: the table has no column claim_id, or nothing in it"]
    whole = parquet_of({"claim_id": [str(n) for n in range(5000)], "drg_code": ["018"] * 5000})
    damaged = whole[:200] + random.Random(1).randbytes(2000) + whole[2200:]
    problem = read(damaged)[-1]
    assert isinstance(problem, Problem) and "damaged" in problem.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('A,x,1\nB,"a\nb, c",2\n\nC,y,3\n', []),
        ('"A\nA",x,1\nB,y,2\n', []),
        ('A,x,1\nB,"open,2\nC,y,3\nD,z,4\n', ["row 2: too few cells", "row 2: a quotation mark"]),
        ('A,x,1\nB,x,"open\nC,y,3\n', ["row 2: a quotation mark"]),
        ('A,x,1\nB,"open,2\nC,y,3\nD,"z",4\nE,x,5\n', ["row 2: a quotation mark"]),
        ('A,x,1\nB,x,"open\n' + "C,y,3\n" * 40_000, ["row 2: a quotation mark"]),
        ('A,x,1\nB,x,"open\n' + "C,y,3\n" * 400_000, ["the table cannot be read any further"]),
    ],
)
def test_an_open_quotation_mark_is_told(text: str, told: list[str]) -> None:
    items = read(b"claim_id,notes,product\n" + text.encode())
    problems = [str(item)[3:] for item in items if isinstance(item, Problem)]
    assert [problem[: len(start)] for problem, start in zip(problems, told, strict=True)] == told


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    assert shown(list(read_table(tmp_path / "none.csv", source="f"))) == [
        "f: cannot be read: No such file or directory"
    ]


def test_only_tables_of_claims_look_like_tables(corpus: Path) -> None:
    folder = corpus / "claims" / "csv"
    known = {path.name for path in folder.iterdir() if looks_like_table(path.read_bytes())}
    assert known == {"tuva__raw_data__medical_claim.csv"}
    assert list(read_table(folder / "tuva__raw_data__medical_claim.csv", source="f")) == []
    others = [path for path in (corpus / "claims").rglob("*") if path.is_file() and path.parent.name in ("x12", "fhir")]
    assert others and not any(looks_like_table(path.read_bytes()) for path in others)


def test_the_layout_is_tuvas(corpus: Path) -> None:
    rows = (corpus / "claims" / "tuva_medical_claim_columns.tsv").read_text().splitlines()[1:]
    assert [row.split("\t")[0] for row in rows] == list(LAYOUT)
    assert not set(OWN) & set(LAYOUT)


# --- parts ---


@pytest.mark.parametrize("scattered", [False, True])
@pytest.mark.parametrize("claims_each", [1, 2, 7, 1000])
@pytest.mark.parametrize("seed", [1, 2])
def test_parts_give_just_what_the_table_gives(
    claims_each: int, scattered: bool, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_BATCH_ROWS", 16)
    rows = some_rows(seed=seed)
    if scattered:
        random.Random(seed).shuffle(rows)
    lines = csv_of(rows).decode().splitlines()
    for at in random.Random(seed).sample(range(1, len(lines)), 12):
        lines[at] = lines[at].rsplit(",", 1)[0]
    content = "\n".join([*lines, "x,y"]).encode()
    expected = read(content)
    parts = [pickle.loads(pickle.dumps(part)) for part in table_parts(content, claims=claims_each)]
    assert [item for part in parts for item in read_part(part, source="f")] == expected
    assert sum(isinstance(item, Problem) and "too few cells" in item.message for item in expected) == 13
    if claims_each < 1000 and not scattered:
        sizes = [len({i.id for i in read_part(part, source="f") if isinstance(i, Claim)}) for part in parts]
        assert max(sizes) <= claims_each < len(expected)


@settings(max_examples=30)
@given(st.randoms(use_true_random=False), st.sampled_from(["csv", "parquet"]))
def test_damage_never_raises_and_never_depends_on_the_cuts(chance: random.Random, kind: str) -> None:
    rows = some_rows(12)
    names = list(rows[0])
    content = bytearray(csv_of(rows) if kind == "csv" else parquet_of({n: [str(r[n]) for r in rows] for n in names}))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(content))
        junk = chance.choice((b'"', b"\n", b",", b"\xff", b"\0", b"\r", chance.randbytes(3)))
        content[at : at + chance.randint(0, 3)] = junk
    expected = read(bytes(content))
    for size in (1, 3):
        parts = table_parts(bytes(content), claims=size)
        assert [item for part in parts for item in read_part(part, source="f")] == expected


def test_big_parts_are_cut_from_many_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_BATCH_ROWS", 16)
    content = parquet_of({"claim_id": [str(n // 3) for n in range(3000)], "drg_code": ["018"] * 3000})
    sizes = [len(list(read_part(part, source="f"))) for part in table_parts(content, claims=300)]
    assert sizes == [300, 300, 300, 100]


@pytest.mark.parametrize("scattered", [False, True])
def test_a_file_is_cut_into_an_even_number_of_like_parts(
    scattered: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cores then end together."""
    monkeypatch.setattr(readers, "_CLAIMS_A_PART", 30)
    ids = [str(n % 100) for n in range(200)] if scattered else [str(n // 2) for n in range(200)]
    file = tmp_path / "c.parquet"
    file.write_bytes(parquet_of({"claim_id": ids, "drg_code": ["018"] * 200}))
    cut = [part for part in readers.parts(file) if not isinstance(part, Problem)]
    assert [len(list(readers.read_part(part, source="f"))) for part in cut] == [25, 25, 25, 25]


# --- written and read back ---


def note(text: str) -> tuple[Note, ...]:
    parts = (part.strip(" \t\r\n") for part in text.split("|"))
    return tuple(Note(text=part) for part in parts if part)


def carried(claim: Claim) -> Claim:
    """The claim as far as the layout carries it (``docs/tables.md`` has the same in words)."""

    def codes(items: Any, first: str, others: str, what: Any) -> Any:
        principal = next((item for item in items if item.kind == "principal"), None)
        rest = [item for item in items if item is not principal]
        return tuple(
            what(
                item, kind="principal" if item is principal else "other", system=first if item is principal else others
            )
            for item in ([principal] if principal else []) + rest
        )

    def diagnosis(item: Diagnosis, **changes: Any) -> Diagnosis:
        old = item.system in ("BK", "BF")
        if old:
            changes["system"] = "BK" if changes["kind"] == "principal" else "BF"
        return replace(item, **changes)

    places = {line.place_of_service or claim.place_of_service for line in claim.lines} or {claim.place_of_service}
    shared = len(places) == 1
    bill = claim.bill_type
    professional = claim.form in ("837P", "CMS-1500")
    days = [day for line in claim.lines for day in (line.first_day, line.last_day) if day]
    statement = claim.statement_from, claim.statement_through
    if professional and days and statement == (min(days), max(days)):
        statement = None, None
    payer = claim.payer
    return Claim(
        id=claim.id,
        source="",
        request=claim.request,
        form={"UB-04": "837I", "CMS-1500": "837P"}.get(claim.form or "", claim.form),
        payer=Payer(name=payer.name, id=payer.id, filing_indicator=payer.filing_indicator, member_id=payer.member_id),
        line_of_business=claim.line_of_business,
        setting=claim.setting,
        bill_type=bill,
        place_of_service=places.pop() if shared else None,
        frequency=bill[3] if bill else None,
        patient=Patient(birth_date=claim.patient.birth_date, age=claim.patient.age),
        date_of_service=claim.date_of_service,
        statement_from=statement[0],
        statement_through=statement[1],
        admission=claim.admission,
        discharge=claim.discharge,
        submitted=claim.submitted,
        total_charge=claim.total_charge,
        drg=claim.drg,
        diagnoses=codes(claim.diagnoses, "ABK", "ABF", diagnosis),
        procedures=codes(claim.procedures, "BBR", "BBQ", replace),
        condition_codes=claim.condition_codes,
        notes=tuple(part for item in claim.notes for part in note(item.text)),
        prior_authorization=claim.prior_authorization,
        product=claim.product,
        donor_type=claim.donor_type,
        lines=tuple(
            Line(
                number=line.number,
                code=line.code,
                code_system="HC" if line.code else None,
                modifiers=line.modifiers,
                revenue_code=line.revenue_code,
                description=(line.description or "").strip(" \t\r\n") or None,
                first_day=line.first_day,
                last_day=line.last_day,
                units=line.units,
                charge=line.charge,
                place_of_service=None if shared else line.place_of_service or claim.place_of_service,
                notes=tuple(part for item in line.notes for part in note(item.text)),
            )
            for line in claim.lines
        ),
    )


def back(claims: list[Claim], folder: Path, suffix: str) -> list[Claim | Problem]:
    path = folder / f"claims{suffix}"
    assert write_table(claims, path) == len(claims)
    return [
        replace(item, source="", where="") if isinstance(item, Claim) else item for item in read_table(path, source="f")
    ]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(written=st.lists(claims(), min_size=1, max_size=4, unique_by=lambda claim: claim.id))
def test_a_written_table_reads_back_as_the_same_claims(written: list[Claim], suffix: str, tmp_path: Path) -> None:
    assert back(written, tmp_path, suffix) == [carried(claim) for claim in written]


def numbered(claims: Iterator[Claim | Problem]) -> list[Claim]:
    found = [item for item in claims if isinstance(item, Claim)]
    return [replace(claim, id=f"{number} {claim.id}") for number, claim in enumerate(found)]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_837_claims_go_through_a_table(corpus: Path, tmp_path: Path, suffix: str) -> None:
    found: list[Claim] = []
    for path in sorted((corpus / "claims" / "x12").iterdir()):
        found += numbered(read_claims(path))
    found = [replace(claim, id=f"{number}") for number, claim in enumerate(found)]
    assert len(found) > 40
    assert {claim.form for claim in found} >= {"837I", "837P"}
    kept = [
        replace(claim, lines=tuple(replace(n, code=n.code if n.code_system == "HC" else None) for n in claim.lines))
        for claim in found
    ]
    assert back(found, tmp_path, suffix) == [carried(claim) for claim in kept]


def test_tables_give_the_findings_that_their_837_gives(register: Register, tmp_path: Path) -> None:
    demo = Path(__file__).resolve().parents[1] / "demo"
    claims = [c for path in demo.glob("*.837") for c in read_claims(path) if isinstance(c, Claim)]
    assert len(claims) > 3
    write_table(claims, tmp_path / "t.parquet")
    for claim, item in zip(claims, read_table(tmp_path / "t.parquet", source="t"), strict=True):
        assert isinstance(item, Claim)
        before, after = register.validate(claim), register.validate(item)
        assert (before.outcome, before.findings) == (after.outcome, after.findings)


def test_every_standard_column_is_written_and_then_ours(tmp_path: Path) -> None:
    claim = Claim(id="A", source="f", bill_type="0131", diagnoses=(Diagnosis(code="C83.31"),))
    write_table([claim], tmp_path / "t.csv")
    [row] = csv.DictReader((tmp_path / "t.csv").open())
    assert list(row) == [*LAYOUT, *OWN]
    assert {name: cell for name, cell in row.items() if cell} == {
        "claim_id": "A",
        "bill_type_code": "131",
        "diagnosis_code_type": "icd-10-cm",
        "diagnosis_code_2": "C8331",
        "request": "claim",
        "file_name": "f",
    }
    write_table([claim], tmp_path / "t.parquet")
    schema = pq.read_schema(tmp_path / "t.parquet")
    assert schema.names == [*LAYOUT, *OWN] and set(schema.types) == {pa.string()}


def test_claims_of_one_name_stay_apart(tmp_path: Path) -> None:
    claims = [Claim(id=name, source="f", drg="018") for name in ("A", "B", "A", "A#2", "A")]
    assert [claim.id for claim in back(claims, tmp_path, ".csv") if isinstance(claim, Claim)] == [
        "A",
        "B",
        "A#2",
        "A#2#2",
        "A#3",
    ]


def test_groups_are_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_GROUP_CLAIMS", 10)
    made = 0
    seen: list[int] = []

    def claims() -> Iterator[Claim]:
        nonlocal made
        for made in range(1, 26):
            yield Claim(id=str(made), source="f", drg="018")

    written = tables._written
    monkeypatch.setattr(tables, "_written", lambda group, *rest: (seen.append(made), written(group, *rest))[1])
    write_table(claims(), tmp_path / "t.parquet")
    assert seen == [10, 20, 25]
    assert pq.ParquetFile(tmp_path / "t.parquet").num_row_groups == 3


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_nothing_half_written_stands_under_the_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_text("before")

    def claims() -> Iterator[Claim]:
        yield Claim(id="A", source="f", drg="018")
        assert path.read_text() == "before"
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_table(claims(), path)
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_no_claims_make_an_empty_table(tmp_path: Path, suffix: str) -> None:
    assert back([], tmp_path, suffix) == []
    assert looks_like_table((tmp_path / f"claims{suffix}").read_bytes())


def test_large_files_are_read_without_their_empty_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    ids = [f"{number:032}" for number in range(60_000)]
    chance = random.Random(1)
    names = [str(chance.random()) for _ in ids]
    absent = pa.nulls(len(ids), pa.string())
    some = pa.array([*[None] * 59_999, "018"], pa.string())
    table = pa.table({"claim_id": ids, "payer": names, "plan": absent, "drg_code": some, "hcpcs_code": absent})
    pq.write_table(table, path)
    assert path.stat().st_size > 1 << 20
    assert tables._empty_columns(path) == {"plan", "hcpcs_code"}
    parts = list(table_parts(path, claims=59_999))
    [last] = read_part(parts[-1], source="f")
    assert isinstance(last, Claim) and (last.id, last.drg, last.where) == (ids[-1], "018", "row 60000")
    strange = path.rename(tmp_path / "t[1].parquet")
    assert tables._empty_columns(strange) == set()


def test_a_table_needs_a_known_suffix_and_a_place(tmp_path: Path) -> None:
    with pytest.raises(ChartularyError, match=r"\.csv or \.parquet"):
        write_table([], tmp_path / "t.txt")
    with pytest.raises(ChartularyError, match="cannot be written"):
        write_table([], tmp_path / "none" / "t.csv")


def test_what_a_table_cannot_carry_is_named() -> None:
    claim = Claim(id="A", source="f", diagnoses=(Diagnosis(code="C83.31", system="ABK"),), notes=(Note(text="a"),))
    assert not_carried(claim) == ()
    assert not_carried(
        replace(
            claim,
            findings=(("vein", True),),
            diagnoses=tuple(Diagnosis(code=f"C83.{n}") for n in range(25)),
            procedures=(Procedure(code="XW033C3"), Procedure(code="1", system="BQ")),
            notes=(Note(text="a|b"),),
            lines=(Line(number=1, modifiers=("A1", "A2", "A3", "A4", "A5", "A6")),),
        )
    ) == ("findings", "diagnoses", "procedures", "notes", "lines")


# --- the guide ---


def test_the_guides_table_is_read_as_it_says(register: Register) -> None:
    [example] = re.findall(r"^```csv\n(.*?)^```$", GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert looks_like_table(example.encode())
    items = read(example.encode())
    assert [(claim.id, len(claim.lines)) for claim in items if isinstance(claim, Claim)] == [("T-1", 2), ("T-2", 1)]
    assert len(items) == 2
    outcomes = [register.validate(claim).outcome for claim in items if isinstance(claim, Claim)]
    told = re.findall(r"^- `(T-\d)` .*?\*\*([a-z-]+)\*\*", GUIDE.read_text("utf-8"), re.MULTILINE)
    assert told == [("T-1", outcomes[0]), ("T-2", outcomes[1])]


def test_the_guide_names_every_column() -> None:
    text = GUIDE.read_text("utf-8")
    for name in (*LAYOUT, *OWN):
        stem = re.sub(r"_\d+$", "", name)
        assert f"`{stem}`" in text or f"`{stem}_1`" in text, name
