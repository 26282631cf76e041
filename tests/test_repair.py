"""Repair: what the data mends is mended in the file that came, proved, and nothing else is touched."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st

from chartulary import Claim, Problem, Register, cli, edits
from chartulary.claim import Note
from chartulary.edits import Edit, NotDone, editor, in_claim
from chartulary.readers import read_claims_from
from chartulary.readers.claim_json import claim_to_json
from chartulary.register import Snapshot
from chartulary.repair import Mend, Repair, Repaired, mended, plan, repair, repaired_json
from chartulary.report import Report

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from generate import claims as generated  # noqa: E402
from generate import write_837, write_json_lines  # noqa: E402

POLICIES = Path(__file__).resolve().parents[1] / "policies"
GRAVE = {"violation": 2, "review": 1}

INTERCHANGE = """\
ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *250701*1200*^*00501*000000001*0*T*:~
GS*HC*SENDER*RECEIVER*20250701*1200*1*X*005010X223A2~
ST*837*0001*005010X223A2~
BHT*0019*00*1*20250701*1200*CH~
NM1*41*2*HOSPITAL*****46*1~
HL*1**20*1~
NM1*85*2*HOSPITAL*****XX*1234567893~
HL*2*1*22*0~
SBR*P*18*******MB~
NM1*IL*1*DOE*JAN****MI*1~
NM1*PR*2*MEDICARE*****PI*99999~
CLM*A1*100.10***13:A:1**A*Y*Y~
DTP*434*RD8*20250625-20250625~
CL1*3*1*01~
REF*EA*77~
HI*ABK:C8331~
HI*BE:80:::1~
NM1*71*1*DOCTOR*ALEX****XX*1234567893~
LX*1~
SV2*0874*HC:38228*100.10*UN*1~
DTP*472*D8*20250625~
LX*2~
SV2*0636*HC:Q2042:LU::::words*0*UN*1~
DTP*472*D8*20250625~
SE*23*0001~
GE*1*1~
IEA*1*000000001~
"""


@pytest.fixture(scope="module")
def snapshot(register: Register) -> Snapshot:
    return register.snapshot()


@pytest.fixture(scope="module")
def pool(register: Register) -> dict[str, list[Claim]]:
    """Made-up claims, most with something wrong."""
    return {
        form: list(generated(150, seed=11, register=register, carried_by=form, faults=0.8))  # type: ignore[arg-type]
        for form in ("json", "837I", "837P")
    }


def read(data: bytes) -> list[Claim]:
    items = list(read_claims_from(data, source="x"))
    assert not [item for item in items if isinstance(item, Problem)], items
    return [item for item in items if isinstance(item, Claim)]


def edited(data: bytes, *edits: Edit, which: int = 0) -> bytes:
    """A file with edits to one of its claims, which is held to read as it is meant."""
    claims = read(data)
    file = editor(data)
    file.edit(claims[which], edits)
    meant = claims[which]
    for edit in edits:
        meant = in_claim(meant, edit)
    written = file.written()
    again = read(written)
    assert [bare(c) for c in again] == [bare(meant if at == which else c) for at, c in enumerate(claims)]
    file.drop(claims[which])
    assert file.written() == data
    return written


def bare(claim: Claim) -> Claim:
    notes = tuple(Note(text=note.text) for note in claim.notes)
    return replace(claim, source="", where="", notes=notes)


def changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    pairs = zip(before.split("~"), after.split("~"), strict=True)
    return [(old.strip(), new.strip()) for old, new in pairs if old != new]


# --- 837 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [INTERCHANGE, INTERCHANGE.replace("\n", ""), INTERCHANGE.replace("\n", "\r\n")])
def test_a_modifier_is_added_and_every_other_byte_stays(snapshot: Snapshot, form: str) -> None:
    made = repair(form.encode(), snapshot)
    assert changed_lines(form, made.data.decode()) == [
        ("SV2*0874*HC:38228*100.10*UN*1", "SV2*0874*HC:38228:KX*100.10*UN*1")
    ]
    (one,) = made.repairs
    assert (one.before.outcome, one.after.outcome, made.mended, made.unfinished) == ("violation", "conformant", 1, 0)
    (mend,) = one.mends
    assert (mend.words, mend.line) == ("modifier KX added", 1)
    assert mend.findings[0].cites
    assert repair(made.data, snapshot).data == made.data


@pytest.mark.parametrize("marks", ["|>~", "*:\n", "^!\x1c", "*:'"])
def test_condition_code_and_note_are_added_as_segments(marks: str) -> None:
    element, component, terminator = marks
    swap = str.maketrans({"*": element, ":": component, "^": "U"})
    text = INTERCHANGE.translate(swap).replace("~", "" if terminator == "\n" else terminator)
    condition, note = Edit(field="conditionCode", code="90"), Edit(field="note", code="Expand Acc Use")
    written = edited(text.encode(), condition, note).decode()
    had, has = text.split("\n"), written.split("\n")
    end = "" if terminator == "\n" else terminator
    new = [line for line in has if line not in had]
    assert new == [
        element.join(("NTE", "ADD", "Expand Acc Use")) + end,
        f"HI{element}BG{component}90{end}",
        element.join(("SE", "25", "0001")) + end,
    ]
    assert has.index(new[0]) == has.index(f"REF{element}EA{element}77{end}") + 1
    assert has[has.index(new[1]) + 1].startswith("NM1")
    assert [line for line in has if line in had] == [line for line in had if not line.startswith("SE")]


def test_condition_codes_stand_together_up_to_twelve() -> None:
    codes = [Edit(field="conditionCode", code=f"{number:02}") for number in range(1, 15)]
    text = INTERCHANGE.replace("HI*BE:80:::1~\n", "HI*BG:44~\n")
    written = edited(text.encode(), *codes).decode()
    told = [line for line in written.split("\n") if line.startswith("HI*BG")]
    assert [line.count("BG:") for line in told] == [12, 3]
    assert "SE*24*0001~" in written


def test_revenue_code_and_procedure_code_on_one_line() -> None:
    code = Edit(field="procedureCode", code="Q2055", replaces="Q2042", position=2)
    revenue = Edit(field="revenueCode", code="0891", replaces="0636", position=2)
    modifier = Edit(field="modifier", code="KX", position=2)
    written = edited(INTERCHANGE.encode(), code, revenue, modifier)
    assert changed_lines(INTERCHANGE, written.decode()) == [
        ("SV2*0636*HC:Q2042:LU::::words*0*UN*1", "SV2*0891*HC:Q2055:LU:KX:::words*0*UN*1")
    ]


def test_a_wrong_count_is_right_afterwards_only_where_segments_were_added() -> None:
    wrong = INTERCHANGE.replace("SE*23", "SE*0099")
    modifier = Edit(field="modifier", code="KX", position=1)
    file = editor(wrong.encode())
    (claim,) = [c for c in read_claims_from(wrong.encode(), source="x") if isinstance(c, Claim)]
    file.edit(claim, [modifier])
    assert b"SE*0099*0001" in file.written()
    file.edit(claim, [Edit(field="conditionCode", code="90")])
    assert b"SE*0024*0001" in file.written()


def test_what_does_not_fit_an_837_is_not_done() -> None:
    (claim,) = read(INTERCHANGE.replace("HC:38228*", "HC:38228:A1:A2:A3:A4*").encode())
    with pytest.raises(NotDone, match="no room for another modifier"):
        in_claim(claim, Edit(field="modifier", code="KX", position=1))
    noted = INTERCHANGE.replace("REF*EA*77~", "NTE*ADD*hello~")
    (claim,) = read(noted.encode())
    with pytest.raises(NotDone, match="one such note"):
        in_claim(claim, Edit(field="note", code="Expand Acc Use"))
    with pytest.raises(NotDone, match="do not fit"):
        editor(INTERCHANGE.encode()).edit(*(read(INTERCHANGE.encode())), [Edit(field="note", code="a*b")])


def test_one_of_several_claims_is_mended(snapshot: Snapshot, tmp_path: Path, pool: dict[str, list[Claim]]) -> None:
    file = tmp_path / "many.837"
    write_837([*pool["837I"], *pool["837P"]], file)
    data = file.read_bytes()
    made = repair(data, snapshot)
    assert 5 < made.mended < len(made.repairs) / 2
    assert not any(one.refused for one in made.repairs)
    old, new = data.decode().split("~"), made.data.decode().split("~")
    added = len(new) - len(old)
    touched = {(m.edit.position, at) for at, one in enumerate(made.repairs) for m in one.mends if m.edit.position}
    if not added:
        assert sum(a != b for a, b in zip(old, new, strict=True)) == len(touched)
    hold(made, read(data), snapshot)
    again = repair(made.data, snapshot)
    assert again.data == made.data and not again.mended


# --- JSON -------------------------------------------------------------------------------------------------------------

LINE = '{"number": 1, "code": "38228", "revenue_code": "0874", "charge": 100.10}'
HEAD = '"payer": "Medicare", "line_of_business": "Medicare FFS Part B", "setting": "outpatient", "form": "837I"'
WHOLE = f'{{"id": "C-1", {HEAD}, "date_of_service": "2025-06-25", "lines": [{LINE}]}}'
MENDED = WHOLE.replace("100.10}", '100.10, "modifiers": ["KX"]}')


@pytest.mark.parametrize("form", ["{}\n", "[{}, {}]", "{}\n{}\n", "\ufeff{}"])
def test_claim_json_gets_a_field_more(snapshot: Snapshot, form: str) -> None:
    made = repair(form.replace("{}", WHOLE).encode(), snapshot, source="x")
    assert made.data.decode() == form.replace("{}", MENDED)
    assert repair(made.data, snapshot, source="x").data == made.data


def test_indented_json_stays_so(snapshot: Snapshot) -> None:
    text = json.dumps(json.loads(WHOLE) | {"condition_codes": []}, indent=4)
    text = edited(
        text.encode(), Edit(field="conditionCode", code="90"), Edit(field="note", code="Expand Acc Use")
    ).decode()
    assert text.endswith('    "condition_codes": ["90"],\n    "notes": [\n      "Expand Acc Use"\n    ]\n}')
    assert json.loads(text)["notes"] == ["Expand Acc Use"]
    made = repair(text.encode(), snapshot).data.decode()
    assert made.startswith(text[: text.index('"charge"')])
    assert json.loads(made)["lines"][0]["modifiers"] == ["KX"]


FHIR = """{
  "resourceType": "Claim", "id": "C1", "status": "active", "made-up": [1.0, {"x": 1.50}],
  "identifier": [{"value": "C-1"}],
  "type": {"coding": [{"code": "institutional"}]}, "subType": {"coding": [{"code": "outpatient"}]},
  "use": "claim", "patient": {"reference": "Patient/1"}, "created": "2025-07-01",
  "provider": {"display": "H"}, "priority": {"coding": [{"code": "normal"}]},
  "insurer": {"display": "Medicare"},
  "insurance": [{"sequence": 1, "focal": true, "coverage": {"display": "Medicare"}}],
  "supportingInfo": [
    {
      "sequence": 7,
      "category": {"coding": [{"code": "info"}]},
      "valueString": "hello"
    }
  ],
  "item": [
    {
      "sequence": 2,
      "revenue": {"coding": [{"system": "https://www.nubc.org/CodeSystem/RevenueCodes", "code": "0636",
        "display": "d"}]},
      "productOrService": {"coding": [{"display": "old", "system": "http://www.ama-assn.org/go/cpt", "code": "38228"}]},
      "servicedDate": "2025-06-25",
      "net": {"value": 100.00, "currency": "USD"}
    }
  ]
}
"""


def test_a_fhir_claim_keeps_what_nobody_knows(snapshot: Snapshot) -> None:
    edits = (
        Edit(field="modifier", code="KX", position=1),
        Edit(field="procedureCode", code="0540T", replaces="38228", position=1),
        Edit(field="revenueCode", code="0874", replaces="0636", position=1),
        Edit(field="conditionCode", code="90"),
        Edit(field="note", code="Expand Acc Use"),
    )
    for text in (FHIR, json.dumps({"resourceType": "Bundle", "id": "B", "entry": [{"resource": json.loads(FHIR)}]})):
        written = edited(text.encode(), *edits).decode()
        had, has = (json.loads(one, parse_float=str) for one in (text, written))
        if "entry" in had:
            had, has = had["entry"][0]["resource"], has["entry"][0]["resource"]
        (item,) = has["item"]
        assert item.pop("modifier")[0]["coding"][0]["code"] == "KX"
        assert item["productOrService"]["coding"] == [{"system": "http://www.ama-assn.org/go/cpt", "code": "0540T"}]
        assert item["revenue"]["coding"] == [{"system": "https://www.nubc.org/CodeSystem/RevenueCodes", "code": "0874"}]
        assert [one["sequence"] for one in has["supportingInfo"]] == [7, 8, 9]
        for name in ("productOrService", "revenue"):
            item[name] = had["item"][0][name]
        has["supportingInfo"] = has["supportingInfo"][:1]
        assert has == had and list(has) == list(had)
    kept = edited(FHIR.encode(), *edits[3:]).decode()
    assert kept.startswith(FHIR[: FHIR.index('"hello"\n    }') + len('"hello"\n    }')])
    assert kept.endswith(FHIR[FHIR.index('\n  ],\n  "item"') :])


def test_what_else_had_to_go_is_named(snapshot: Snapshot) -> None:
    text = FHIR.replace('"code": "38228"', '"code": "0540T"')
    made = repair(text.encode(), snapshot)
    (mend,) = [mend for mend in made.repairs[0].mends if mend.edit.field == "procedureCode"]
    assert mend.words.endswith("38228 instead of 0540T, the words (display) of 0540T taken out")
    (item,) = json.loads(made.data)["item"]
    assert item["productOrService"]["coding"] == [{"system": "http://www.ama-assn.org/go/cpt", "code": "38228"}]
    made = repair(text.replace('"display": "old", ', "").encode(), snapshot)
    (mend,) = [mend for mend in made.repairs[0].mends if mend.edit.field == "procedureCode"]
    assert mend.words.endswith("38228 instead of 0540T") and not mend.also


def test_two_claims_that_cannot_be_told_apart_are_left() -> None:
    one = json.loads(FHIR)
    data = json.dumps({"resourceType": "Bundle", "entry": [{"resource": one}, {"resource": one}]}).encode()
    with pytest.raises(NotDone, match="cannot be told from another"):
        editor(data).edit(read(data)[0], [Edit(field="modifier", code="KX", position=1)])


# --- What is not done -------------------------------------------------------------------------------------------------


def claim(**more: Any) -> bytes:
    return json.dumps(json.loads(WHOLE) | more).encode()


def left(made: Repaired) -> list[str]:
    return [one.why for one in made.repairs[0].left]


def test_what_only_may_be_wrong_is_left(snapshot: Snapshot) -> None:
    data = claim(date_of_service="2025-06-25", line_of_business="Medicare FFS Part A", setting="inpatient", drg="018")
    made = repair(data, snapshot)
    assert made.data == data and not made.mended


def test_nothing_is_added_where_a_fact_that_it_would_vouch_for_is_denied(snapshot: Snapshot) -> None:
    data = claim(findings={"facility-rems-enrolled": False})
    made = repair(data, snapshot)
    assert made.data == data
    assert any(why.startswith("it would bring another finding: KX says") for why in left(made))
    assert repair(claim(findings={"facility-rems-enrolled": True}), snapshot).mended == 1


def test_what_a_code_attests_is_said_beside_the_change(register: Register, snapshot: Snapshot) -> None:
    (mend,) = repair(claim(), snapshot).repairs[0].mends
    assert mend.attests
    assert mend.attests.words.startswith("KX states that ") and mend.attests.words.endswith("only where that is so")
    assert [cite.statement.rpartition("/")[2] for cite in mend.attests.cites] == [
        "astct.kx.meaning",
        "mm14204.kx.historic",
    ]
    early = register.snapshot(as_known_on=date(2025, 9, 1))
    (mend,) = repair(claim(), early).repairs[0].mends
    assert mend.attests and [c.statement.rpartition("/")[2] for c in mend.attests.cites] == ["astct.kx.meaning"]
    told = repaired_json(repair(claim(), snapshot), snapshot)["claims"][0]
    assert told["changes"][0]["attests"]["cites"][0]["quote"]
    assert told["proof"] == "read again and judged: 1 finding gone, none new"
    revenue = claim(lines=[json.loads(LINE) | {"revenue_code": "0636", "modifiers": ["KX"]}])
    assert [mend.attests for mend in repair(revenue, snapshot).repairs[0].mends] == [None]


def test_what_judges_may_end_the_work(snapshot: Snapshot) -> None:
    class Late(Exception):
        pass

    def judge(_: Claim) -> Report:
        raise Late

    claims = read(WHOLE.encode())
    reports = list(snapshot.validate_all(claims))
    with pytest.raises(Late):
        mended(WHOLE.encode(), claims, reports, [], snapshot, judge=judge)
    assert mended(WHOLE.encode(), claims, reports, [], snapshot).data.decode() == MENDED


def test_a_choice_and_a_diagnosis_are_left(snapshot: Snapshot) -> None:
    whys = [
        one.why
        for folder in ("astct", "hipaa", "medicare")
        for file in sorted(POLICIES.glob(f"{folder}/*/claims/*.json"))
        for one in repair(file.read_bytes(), snapshot).repairs[0].left
    ]
    assert "no one thing is named that mends it; expected: revenue code 0872 or 0873" in whys
    assert any(why.startswith("a diagnosis says what was so") for why in whys)
    assert any(why.startswith("whether ") and why.endswith("only who knows can tell") for why in whys)


def test_only_violations_are_mended(snapshot: Snapshot) -> None:
    made = [repair(file.read_bytes(), snapshot).repairs[0] for file in POLICIES.glob("medicare/*/claims/*.json")]
    open_ones = [f for one in made for f in one.before.findings if f.outcome == "review" and f.repair_action]
    mended = [finding for one in made for mend in one.mends for finding in mend.findings]
    assert open_ones and mended
    assert all(finding.outcome == "violation" for finding in mended)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("HC:38228:KX", "HC:38228:LU:KX"),
        ("HC:Q2042:LU", "HC:Q2042"),
        ("CLM*A1", "CLX*A1"),
        ("SV2*0636", "SV2*"),
        ("HC:38228:KX", "HC:38228:K1"),
    ],
)
def test_what_does_not_come_back_as_meant_is_not_written(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    written = edits.X12.written
    monkeypatch.setattr(edits.X12, "written", lambda file: written(file).replace(old.encode(), new.encode()))
    made = repair(INTERCHANGE.encode(), snapshot)
    assert made.data == INTERCHANGE.encode() and not made.mended
    assert "read again" in made.repairs[0].refused


def test_new_segments_end_as_their_neighbours() -> None:
    text = INTERCHANGE.replace("~\n", "\r\n")
    written = edited(text.encode(), Edit(field="conditionCode", code="90")).decode()
    assert written.count("\n") == written.count("\r\n") == text.count("\n") + 1


def test_a_table_is_not_written(snapshot: Snapshot, pool: dict[str, list[Claim]], tmp_path: Path) -> None:
    from chartulary.readers.tables import write_table

    (one,) = read(WHOLE.encode())
    file = tmp_path / "x.csv"
    write_table([replace(one, lines=(replace(one.lines[0], first_day=one.date_of_service),))], file)
    made = repair(file.read_bytes(), snapshot, source="x")
    assert made.data == file.read_bytes() and not made.mended
    assert "only X12 837, FHIR JSON and claim JSON are written back" in made.repairs[0].refused
    assert left(made)[0].startswith("modifier KX added: not written, because")


def test_as_known_on_a_day(register: Register, snapshot: Snapshot) -> None:
    data = claim(date_of_service="2025-07-01")
    assert not repair(data, snapshot).mended
    assert repair(data, register.snapshot(as_known_on=date(2025, 9, 1))).mended == 1


# --- Whatever the claim -----------------------------------------------------------------------------------------------


def hold(made: Repaired, before: Iterable[Claim], snapshot: Snapshot) -> None:
    """Holds a repaired file to what its list of changes says, and each claim to be no worse."""
    for one, old, new in zip(made.repairs, before, read(made.data), strict=True):
        hold_claim(one, old, new, snapshot)


def hold_claim(one: Repair, old: Claim, new: Claim, snapshot: Snapshot) -> None:
    was, now = (grave(snapshot, claim) for claim in (old, new))
    assert all(rank <= was.get(key, 0) for key, rank in now.items())
    for mend in one.mends:
        assert mend.findings
        assert all((finding.provision, finding.position) not in now for finding in mend.findings)
    for mend in reversed(one.mends):
        new = undone(new, mend)
    assert bare(new) == bare(old)


def grave(snapshot: Snapshot, claim: Claim) -> dict[tuple[str, int | None], int]:
    found = snapshot.validate(claim).findings
    return {(f.provision, f.position): GRAVE[f.outcome] for f in found if f.outcome in GRAVE}


def undone(claim: Claim, mend: Mend) -> Claim:
    """The claim before a change, by what the list says of it."""
    edit = mend.edit
    if edit.field == "conditionCode":
        assert claim.condition_codes[-1] == edit.code
        return replace(claim, condition_codes=claim.condition_codes[:-1])
    if edit.field == "note":
        at = max(at for at, note in enumerate(claim.notes) if note.text == edit.code)
        return replace(claim, notes=(*claim.notes[:at], *claim.notes[at + 1 :]))
    assert edit.position
    line = claim.lines[edit.position - 1]
    assert line.number == mend.line
    if edit.field == "modifier":
        assert line.modifiers[-1] == edit.code
        line = replace(line, modifiers=line.modifiers[:-1])
    elif edit.field == "revenueCode":
        assert line.revenue_code == edit.code
        line = replace(line, revenue_code=edit.replaces)
    else:
        assert line.code == edit.code and edit.replaces
        line = replace(line, code=edit.replaces)
    return replace(claim, lines=(*claim.lines[: edit.position - 1], line, *claim.lines[edit.position :]))


@settings(max_examples=60)
@given(data=st.data())
def test_repair_is_idempotent_never_worsens_and_touches_what_it_names(
    data: st.DataObject, snapshot: Snapshot, pool: dict[str, list[Claim]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    form = data.draw(st.sampled_from(("json", "837I", "837P")))
    chosen = [
        jumbled(data.draw, one) for one in data.draw(st.lists(st.sampled_from(pool[form]), min_size=1, max_size=3))
    ]
    file = tmp_path_factory.mktemp("made", numbered=True) / "claims"
    write: Callable[[Iterable[Claim], Path], int] = write_json_lines if form == "json" else write_837
    write(chosen, file)
    content = file.read_bytes()
    made = repair(content, snapshot, source="x")
    hold(made, read(content), snapshot)
    assert made.mended or made.data == content
    again = repair(made.data, snapshot, source="x")
    assert again.data == made.data and not again.mended


def jumbled(draw: Callable[[Any], Any], one: Claim) -> Claim:
    """The claim with some lines' codes as chance has it."""
    lines = tuple(
        replace(
            line,
            code=draw(st.just(line.code) | st.sampled_from(strategies.SERVICES)) if line.code else None,
            revenue_code=draw(st.just(line.revenue_code) | st.sampled_from(strategies.REVENUE))
            if line.revenue_code
            else None,
            modifiers=draw(st.just(line.modifiers) | st.just(()) | st.just(("KX",))) if line.code else line.modifiers,
        )
        for line in one.lines[:3]
    )
    return replace(one, lines=lines)


@settings(max_examples=60)
@given(strategies.claims())
def test_any_claim_is_mended_once_and_never_worse(snapshot: Snapshot, one: Claim) -> None:
    made = plan(one, snapshot)
    hold_claim(made, one, made.claim, snapshot)
    assert not plan(made.claim, snapshot).mends
    data = json.dumps(claim_to_json(one)).encode()
    assert repair(data, snapshot, source="x").data == data or made.mends


def test_real_files_without_a_fault_are_the_same_bytes(corpus: Path, snapshot: Snapshot) -> None:
    files = sorted(path for kind in ("x12", "fhir", "csv") for path in (corpus / "claims" / kind).iterdir())
    assert len(files) > 50
    for file in files:
        data = file.read_bytes()
        made = repair(data, snapshot, source=file.name)
        assert made.data == data and not made.mended, file.name


def test_every_real_837_takes_a_modifier_and_a_condition_code(corpus: Path) -> None:
    taken = 0
    for file in sorted((corpus / "claims" / "x12").iterdir()):
        data = file.read_bytes()
        items = list(read_claims_from(data, source="x"))
        if len(data) > 200_000:  # a claim at a time, that takes minutes
            continue
        for at, one in enumerate([item for item in items if isinstance(item, Claim)][:3]):
            edits = [Edit(field="conditionCode", code="ZZ")]
            if one.lines and one.lines[0].code and len(one.lines[0].modifiers) < 4:
                edits.append(Edit(field="modifier", code="ZZ", position=1))
            text = editor(data)
            text.edit(one, edits)
            again = list(read_claims_from(text.written(), source="x"))
            assert faults(again) == faults(items), file.name
            new = [item for item in again if isinstance(item, Claim)][at]
            meant = one
            for edit in edits:
                meant = in_claim(meant, edit)
            assert bare(new) == bare(meant), file.name
            taken += 1
    assert taken > 30


def faults(items: Iterable[Claim | Problem]) -> list[str]:
    return [item.message for item in items if isinstance(item, Problem) and not item.warning]


# --- The command ------------------------------------------------------------------------------------------------------


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["chartulary", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    told = capsys.readouterr()
    return int(end.value.code or 0), told.out, told.err


def test_the_command_writes_shows_and_proves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "visit.837", tmp_path / "mended.837"
    file.write_text(INTERCHANGE)
    code, told, _ = run(monkeypatch, capsys, "repair", file)
    assert code == 1 and "nothing is written yet" in told and not out.exists()
    code, told, err = run(monkeypatch, capsys, "repair", file, "-o", out)
    assert (code, err) == (0, "")
    assert "line 1  modifier KX added" in told and "1 finding gone, none new" in told and "Footnote 3" in told
    assert "KX states that" in told and "send it only where that is so" in " ".join(told.split())
    assert b"HC:38228:KX" in out.read_bytes()
    code, told, _ = run(monkeypatch, capsys, "repair", out, "-o", tmp_path / "third", "-f", "json")
    assert code == 0 and json.loads(told)["claims"][0]["changes"] == []
    assert (tmp_path / "third").read_bytes() == out.read_bytes()
    code, _, err = run(monkeypatch, capsys, "repair", file, "-o", file)
    assert code == 2 and err.count("\n") == 1 and file.read_text() == INTERCHANGE
    code, _, err = run(monkeypatch, capsys, "repair", tmp_path / "none")
    assert code == 2 and err.count("\n") == 1
