"""Receipts: a decision can be made again, and what is then otherwise is said; nothing of the claim stands in one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
import strategies
from hypothesis import given, settings

from chartulary import Claim, Register, cli
from chartulary.errors import ChartularyError
from chartulary.readers import read_claims_from
from chartulary.receipts import Receipt, decision_id, digest, dump, in_words, load, receipt, verify, write

LINE = {"code": "38228", "revenue_code": "0874", "date_of_service": "2025-06-25"}
WHOLE = {"id": "C-4711", "payer": "Medicare", "setting": "outpatient", "product": "Kymriah", "lines": [LINE]}


def claim(**more: Any) -> Claim:
    data = json.dumps(WHOLE | more).encode()
    (one,) = read_claims_from(data, source="x")
    assert isinstance(one, Claim)
    return one


def made(register: Register, one: Claim, known: date | None = None) -> Receipt:
    return receipt(one, register.validate(one, as_known_on=known))


def test_the_same_decision_holds_and_another_claim_is_told(register: Register) -> None:
    one = claim()
    note = made(register, one)
    verdict = verify(note, [claim(id="another"), one], register)
    assert verdict.same_claim and verdict.same_result and verdict.again == note
    assert list(in_words(verdict, register)) == ["the same decision: violation, 1 finding"]
    other = verify(note, [claim(id="another")], register)
    assert not other.same_claim and not other.same_result
    assert next(in_words(other, register)).startswith("another claim")


def test_a_receipt_is_of_its_day(register: Register) -> None:
    late = claim(lines=[LINE | {"date_of_service": "2025-07-01"}])
    then, now = made(register, late, date(2025, 9, 1)), made(register, late)
    assert (then.outcome, now.outcome) == ("violation", "conformant")
    assert then.decision != now.decision and then.claim_sha256 == now.claim_sha256
    assert verify(then, [late], register).same_result


def test_another_result_says_in_what(register: Register) -> None:
    note = made(register, claim())
    forged = msgspec.structs.replace(note, findings=(), outcome="conformant", register_revision="0" * 16, engine="sql")
    verdict = verify(forged, [claim()], register)
    assert verdict.same_claim and not verdict.same_result
    assert verdict.new == note.findings and not verdict.gone
    told = list(in_words(verdict, register))
    assert told[0] == "another result"
    assert any("the register is another: 0000000000000000 then" in line for line in told)
    assert "  conformant then, violation now" in told
    assert "  only now: violation, line 1: The administration line carries KX" in told


def test_another_register_may_come_to_the_same(register: Register, tmp_path: Path) -> None:
    note = made(register, claim())
    own = tmp_path / "own" / "terms.ttl"
    own.parent.mkdir()
    own.write_text(
        "PREFIX finding: <https://w3id.org/chartulary/finding/>\n"
        "PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>\n"
        'finding:of-a-test rdfs:comment "made up"@en .\n'
    )
    other = Register.load(policies=tmp_path)
    assert other.revision != register.revision
    verdict = verify(note, [claim()], other)
    told = list(in_words(verdict, other))
    assert verdict.same_result and told[0] == "the same result: violation, 1 finding"
    assert told[1].startswith("  the register is another")


@pytest.mark.parametrize(
    "change", [{"id": "C-4712"}, {"product": "Yescarta"}, {"lines": [LINE | {"modifiers": ["KX"]}]}]
)
def test_whatever_the_claim_says_changes_its_digest(change: dict[str, Any]) -> None:
    assert digest(claim(**change)) != digest(claim())


def test_file_and_place_do_not(register: Register) -> None:
    one = claim()
    assert digest(replace(one, source="elsewhere", where="claim 7")) == digest(one)
    nameless = {name: value for name, value in WHOLE.items() if name != "id"}
    here, there = (next(iter(read_claims_from(json.dumps(nameless).encode(), source=name))) for name in ("a", "b"))
    assert isinstance(here, Claim) and isinstance(there, Claim)
    assert here.id != there.id and digest(here) == digest(there)


@settings(max_examples=40)
@given(strategies.claims())
def test_any_claim_has_a_receipt_that_holds_and_tells_nothing(register: Register, one: Claim) -> None:
    note = made(register, one)
    text = dump(note).decode()
    assert msgspec.json.decode(text, type=Receipt) == note
    assert verify(note, [one], register).again == note
    told = {note.decision, note.claim_sha256, note.register_revision, *(f.provision for f in note.findings)}
    for word in told:
        text = text.replace(word, "")
    assert one.id not in text
    assert not any(line.code in text for line in one.lines if line.code)


def test_a_decision_hangs_on_each_of_its_parts() -> None:
    asked = ("r1", date(2025, 1, 1), "review", b"x")
    others = [("r2", *asked[1:]), ("r1", None, *asked[2:]), (*asked[:2], "info", b"x"), (*asked[:3], b"y")]
    names = {decision_id(*given) for given in [asked, *others]}
    assert len(names) == 5 and decision_id(*asked) in names


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"receipt": 2}', '{"id": "C-1"}', "\ufeff", "\x00"])
def test_what_is_no_receipt_is_said_so(tmp_path: Path, text: str) -> None:
    file = tmp_path / "r"
    file.write_text(text)
    with pytest.raises(ChartularyError, match="not a receipt"):
        load(file)


# --- The commands -----------------------------------------------------------------------------------------------------

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def go(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["chartulary", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        told = capsys.readouterr()
        return int(end.value.code or 0), told.out, told.err

    return go


@pytest.mark.parametrize("form", ["table", "jsonl"])
def test_validate_writes_receipts_that_verify(tmp_path: Path, run: Run, form: str) -> None:
    file, folder = tmp_path / "claims.jsonl", tmp_path / "receipts"
    lines = [WHOLE, WHOLE | {"id": "C-4712", "lines": [LINE | {"modifiers": ["KX"]}]}]
    file.write_text("\n".join(map(json.dumps, lines)) + "\n")
    code, _, _ = run("validate", file, "-f", form, "--receipts", folder)
    assert code == 1
    notes = sorted(folder.iterdir())
    assert len(notes) == 2 and {load(note).outcome for note in notes} == {"violation", "conformant"}
    assert all(note.name == f"{load(note).decision}.receipt.json" for note in notes)
    assert not any("C-471" in note.read_text() for note in notes)
    for note in notes:
        code, out, err = run("verify", note, file)
        assert (code, err) == (0, "") and out.startswith("the same decision: ")
    code, out, _ = run("verify", notes[0], file, "--engine", "sql")
    assert code == 0 and out.startswith("the same result: ") and "the engine is another: python then, sql now" in out


def test_verify_ends_with_one_or_two(tmp_path: Path, run: Run, register: Register) -> None:
    note, file = tmp_path / "note", tmp_path / "claim.json"
    good = made(register, claim())
    file.write_text(json.dumps(WHOLE))
    note.write_bytes(dump(msgspec.structs.replace(good, outcome="conformant", findings=())))
    code, out, _ = run("verify", note, file)
    assert code == 1 and out.startswith("another result")
    note.write_bytes(dump(good))
    file.write_text(json.dumps(WHOLE | {"id": "other"}))
    code, out, _ = run("verify", note, file)
    assert code == 1 and out.startswith("another claim")
    for words in (("verify", note, tmp_path / "none"), ("verify", file, file), ("verify", tmp_path / "none", file)):
        code, _, err = run(*words)
        assert code == 2 and err.count("\n") == 1 and "other" not in err


def test_receipts_of_the_same_decision_are_one(register: Register, tmp_path: Path) -> None:
    note = made(register, claim())
    assert write([note, note], tmp_path / "deep" / "folder") == 2
    assert len(list((tmp_path / "deep" / "folder").iterdir())) == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(ChartularyError, match="cannot be written"):
        write([note], tmp_path / "file")
