"""chartulary worklist: the claims that a change touches which became known later, and none other."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from random import Random
from typing import Any

import pytest
import service
from fastapi.testclient import TestClient
from rich.console import Console
from service import kept, written
from typer.testing import CliRunner

from chartulary import Claim, Register
from chartulary.batch import Settings
from chartulary.claim import Diagnosis, Line, Patient, Payer, Procedure
from chartulary.cli import app
from chartulary.hindsight import formats as hindsight_formats
from chartulary.hindsight.page import as_html
from chartulary.hindsight.remittances import Adjustment, Reasons, Remittances
from chartulary.hindsight.worklist import Wish, Worklist, worklist
from chartulary.readers import read_claims
from chartulary.readers.claim_json import claim_to_json
from chartulary.service import worklist as pages_of_lists
from chartulary.service.app import create_app
from chartulary.terms import POL

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from write_835 import Answer, write_835  # noqa: E402
from write_837 import write_837  # noqa: E402

__all__ = ["kept", "written"]
pytest.importorskip("oxedi", reason="needs oxedi")

FIRST_FREE = date(2025, 6, 26)
SINCE, UNTIL = date(2025, 12, 1), date(2025, 12, 12)
MISSING, LATE, DUPLICATE, UNMAPPED, ALLOWED = "4", "29", "18", "B7", "45"
PART_B = Payer(name="Medicare", id="MEDICARE", filing_indicator="MB", responsibility="P", member_id="MADEUP1")
PART_A = replace(PART_B, filing_indicator="MA")
OTHERS = (
    Payer(name="Excellus BlueCross BlueShield", filing_indicator="BL", responsibility="P", member_id="MADEUP1"),
    Payer(name="Acme Health", filing_indicator="CI", responsibility="P", member_id="MADEUP1"),
)


def visit(number: int, day: date, *, payer: Payer, form: str, code: str = "38228", modifiers: Iterable[str]) -> Claim:
    """A day on which cells are given, and another line that no rule here is about."""
    charge = Decimal(1000 + number) + Decimal("0.25")
    institutional = form == "837I"
    main = Line(
        number=1,
        code=code,
        modifiers=tuple(modifiers),
        revenue_code="0874" if institutional else None,
        first_day=day,
        last_day=day,
        units=Decimal(1),
        unit="UN",
        charge=charge,
        place_of_service=None if institutional else "22",
        diagnosis_pointers=() if institutional else (1,),
    )
    visit = replace(main, number=2, code="99214", modifiers=(), revenue_code="0510" if institutional else None)
    return Claim(
        id=f"{'I' if institutional else 'P'}-{number:05d}",
        source="made up",
        form=form,
        payer=payer,
        bill_type="0131" if institutional else None,
        place_of_service=None if institutional else "22",
        frequency="1",
        patient=Patient(birth_date=date(1960, 1, 1), sex="F", relationship="18"),
        statement_from=day if institutional else None,
        statement_through=day if institutional else None,
        submitted=date(2025, 12, 31),
        total_charge=charge + 200,
        diagnoses=(Diagnosis(code="C83.31", kind="principal", system="ABK"),),
        lines=(main, replace(visit, charge=Decimal(200))),
    )


def answered(claim: Claim, reason: str | None, remarks: tuple[str, ...] = ()) -> Answer:
    """The first line denied for a reason, or (None) paid but for what exceeds the fee and the patient's share."""
    charge = claim.lines[0].charge or Decimal()
    if reason:
        return Answer(claim, {1: (("CO", reason, charge),)}, {1: remarks})
    return Answer(claim, {1: (("CO", ALLOWED, charge / 2), ("PR", "2", Decimal(100)))})


class Year:
    """A year of claims around the day from which nothing more was required, with the payers' answers to them."""

    def __init__(self, folder: Path, *, every: int = 1) -> None:
        self.claims: list[Claim] = []
        self.json: list[Claim] = []
        self.stays: list[Claim] = []
        self.answers: list[Answer] = []
        self.expected: dict[str, Claim] = {}
        self.for_another_reason: set[str] = set()
        rng = Random(7)
        for number in range(0, 720, every):
            day = FIRST_FREE - timedelta(days=182) + timedelta(days=number // 2 + number % 2)
            self._add(number, day, rng)
        for number, day in enumerate((FIRST_FREE - timedelta(days=1), FIRST_FREE, date(2025, 9, 9)), 9000):
            # Only claim JSON tells of the facility: it was not enrolled, though KX says so.
            claim = visit(number, day, payer=PART_B, form="837I", modifiers=["KX"])
            claim = replace(claim, findings=(("facility-rems-enrolled", False),))
            self.json.append(claim)
            self.answers.append(answered(claim, UNMAPPED))
            if day >= FIRST_FREE:
                self.expected[claim.id] = claim
        for number, reason in enumerate((UNMAPPED, MISSING, LATE), 9500):
            # Whether the hospital was enrolled was for a person to review: nothing says that it was not.
            stay = visit(number, date(2025, 8, 8), payer=PART_A, form="837I", modifiers=[])
            line = replace(stay.lines[0], code=None)
            given = Procedure(code="XW033J7", date=date(2025, 8, 8), kind="principal", system="BBR")
            stay = replace(stay, id=f"A-{number}", bill_type="0111", drg="018", procedures=(given,), lines=(line,))
            self.stays.append(stay)
            self.answers.append(answered(stay, reason))
        self.claims += self.stays
        self.files = [str(folder / "claims.837"), str(folder / "claims.jsonl")]
        self.remits = [str(folder / "first.835"), str(folder / "second.835")]
        write_837(self.claims, Path(self.files[0]))
        text = "".join(json.dumps(claim_to_json(claim)) + "\n" for claim in self.json)
        Path(self.files[1]).write_text(text, "utf-8")
        half = len(self.answers) // 2
        write_835(self.answers[:half], Path(self.remits[0]), day=date(2026, 1, 5))
        write_835(self.answers[half:], Path(self.remits[1]), day=date(2026, 1, 6))

    def _add(self, number: int, day: date, rng: Random) -> None:
        payer = PART_B if rng.random() < 0.8 else rng.choice(OTHERS)
        with_kx = rng.random() < 0.4
        form = "837P" if rng.random() < 0.3 else "837I"
        claim = visit(number, day, payer=payer, form=form, modifiers=["KX"] if with_kx else [])
        self.claims.append(claim)
        chance = rng.random()
        if chance < 0.05:
            return  # no answer yet
        reason = MISSING if chance < 0.5 else LATE if chance < 0.6 else DUPLICATE if chance < 0.65 else None
        self.answers.append(answered(claim, reason, ("N211",) if reason == LATE else ()))
        if payer is PART_B and not with_kx and day >= FIRST_FREE:
            if reason == MISSING:
                self.expected[claim.id] = claim
            else:
                self.for_another_reason.add(claim.id)

    def list(self, register: Register, since: date | None, until: date | None, *, remits: bool = True) -> Worklist:
        read = Remittances.read(self.remits) if remits else None
        return worklist(self.files, Settings(), Wish(since=since, until=until, remits=read), register=register)


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Year:
    return Year(tmp_path_factory.mktemp("year"))


@pytest.fixture(scope="module")
def found(year: Year, register: Register) -> Worklist:
    return year.list(register, SINCE, UNTIL)


# --- A year of claims -------------------------------------------------------------------------------------------------


def test_the_list_holds_what_was_denied_for_the_ended_requirement_and_none_other(year: Year, found: Worklist) -> None:
    assert len(year.expected) > 60 and found.problems == ()
    assert {entry.claim for entry in found.entries} == set(year.expected)
    assert len(found.entries) == len(year.expected)
    assert all(entry.line_of_business == "Medicare Part B" for entry in found.entries)
    assert all(entry.first_day and entry.first_day >= FIRST_FREE for entry in found.entries)
    assert {entry.first_day for entry in found.entries} >= {FIRST_FREE}
    assert {entry.lines for entry in found.entries} == {(1,)}
    assert {entry.direction for entry in found.entries} <= {"now-conformant", "fewer-violations"}


def test_the_totals_are_those_of_the_claims(year: Year, found: Worklist) -> None:
    charge = sum(claim.lines[0].charge or Decimal() for claim in year.expected.values())
    assert sum(total.charge or Decimal() for total in found.totals) == charge
    assert sum(total.claims for total in found.totals) == sum(total.lines for total in found.totals)
    assert sum(total.claims for total in found.totals) == len(year.expected)
    assert sum(amount for _, amount in found.months.values()) == charge
    assert min(found.months) == "2025-06" and sum(n for n, _ in found.months.values()) == len(year.expected)
    assert {entry.paid for entry in found.entries} == {Decimal(0)}
    assert {entry.claim_paid for entry in found.entries} == {Decimal(200)}
    assert found.counts.total() == len(year.claims) + len(year.json)
    assert found.counts["no remittance"] == len(year.claims) + len(year.json) - len(year.answers)


def test_the_other_way_round_it_is_the_mirror_image(year: Year, register: Register, found: Worklist) -> None:
    mirrored = year.list(register, UNTIL, SINCE)
    assert [e.claim for e in mirrored.entries] == [e.claim for e in found.entries]
    for there, back in zip(found.entries, mirrored.entries, strict=True):
        assert (back.before, back.after) == (there.after, there.before)
        assert [(s.provision, s.line, s.after, s.before) for s in back.shifts] == [
            (s.provision, s.line, s.before, s.after) for s in there.shifts
        ]
        assert (back.charge, back.paid, back.reasons, back.fit) == (there.charge, there.paid, there.reasons, there.fit)
        assert back.causes == there.causes
    assert {e.direction for e in mirrored.entries} <= {"newly-in-violation", "more-violations"}
    assert {c.change.amendment: c.known for c in mirrored.causes} == {
        c.change.amendment: (c.known[1], c.known[0]) for c in found.causes
    }


def test_between_the_two_publications_it_is_for_a_person(year: Year, register: Register) -> None:
    wish = Wish(since=SINCE, until=date(2025, 12, 10))
    between = worklist(year.files[1:], Settings(engine="python"), wish, register=register)
    assert {entry.claim for entry in between.entries} == {claim.id for claim in year.json} & set(year.expected)
    assert {entry.direction for entry in between.entries} == {"now-to-review"}
    assert year.list(register, SINCE, date(2025, 12, 8)).entries == ()
    assert year.list(register, UNTIL, date(2025, 12, 17), remits=False).entries == ()


def test_each_claim_says_why_it_was_denied(year: Year, found: Worklist) -> None:
    lacking_kx = [e for e in found.entries if e.claim not in {claim.id for claim in year.json}]
    assert {(e.reasons, e.fit) for e in lacking_kx} == {((f"CO-{MISSING}",), "fits")}
    others = [e for e in found.entries if e not in lacking_kx]
    assert {(e.reasons, e.fit, e.fit_note) for e in others} == {
        ((f"CO-{UNMAPPED}",), "not mapped", f"CO-{UNMAPPED}: not mapped")
    }


def test_other_reasons_are_counted_and_shown_when_asked_for(year: Year, register: Register, found: Worklist) -> None:
    remits = Remittances.read(year.remits)
    wish = Wish(since=SINCE, until=UNTIL, remits=remits, any_reason=True)
    every = worklist(year.files, Settings(), wish, register=register)
    answered = {answer.claim.id for answer in year.answers}
    stays = {claim.id for claim in year.stays}
    assert {e.claim for e in every.entries} == set(year.expected) | (year.for_another_reason & answered) | stays
    assert found.counts["other reason"] == len(year.for_another_reason & answered) + 2 > 20
    assert {e.fit for e in every.entries if e.claim in year.for_another_reason} == {"does not fit"}


def test_what_was_only_open_is_not_taken_for_lacking(year: Year, register: Register, found: Worklist) -> None:
    whole = worklist(year.files, Settings(), Wish(since=SINCE, until=UNTIL), register=register)
    stays = [entry for entry in whole.entries if entry.line_of_business == "Medicare Part A"]
    assert [(e.claim, e.before, e.after) for e in stays] == [
        (claim.id, "needs-review", "conformant") for claim in year.stays
    ]
    assert found.counts["nothing lacking"] == 1


def test_each_claim_names_the_change_and_what_to_do(found: Worklist) -> None:
    assert {cause.kind for cause in found.causes} == {"amendment"}
    for cause in found.causes:
        assert "MM14204" in cause.change.document and cause.change.cites
        assert cause.change.effective_from == FIRST_FREE and cause.change.implemented_on == date(2026, 2, 6)
    rows = [dict(zip(hindsight_formats.COLUMNS, row, strict=True)) for row in hindsight_formats.rows(found)]
    for row in rows:
        assert "the contractor adjusts them on request" in str(row["to_do"])
        assert row["filing_deadline"] == "none given by the source"
        assert (row["published_earliest"], row["published_latest"]) == ("2025-12-09", "2025-12-12")


def test_engines_and_processes_agree(year: Year, register: Register, found: Worklist) -> None:
    wish = Wish(since=SINCE, until=UNTIL, remits=Remittances.read(year.remits))
    alone = worklist(year.files[1:], Settings(engine="python"), wish, register=register)
    assert alone.entries == found.entries[-len(alone.entries) :]
    assert worklist(year.files, Settings(), wish, register=register, jobs=2).entries == found.entries


# --- Remittances ------------------------------------------------------------------------------------------------------


def one(day: date = date(2025, 9, 9)) -> Claim:
    return visit(1, day, payer=PART_B, form="837I", modifiers=[])


def read(folder: Path, *answers: Answer) -> Remittances:
    files = []
    for number, answer in enumerate(answers):
        files.append(str(folder / f"{number}.835"))
        write_835([answer], Path(files[-1]), day=date(2026, 1, 1) + timedelta(days=number))
    return Remittances.read(files)


def test_the_last_answer_counts(tmp_path: Path) -> None:
    claim = one()
    denied, paid = answered(claim, MISSING), Answer(claim)
    assert (told := read(tmp_path, denied).of(claim)) and told.is_denied_or_reduced and not told.is_denied
    assert (told := read(tmp_path, denied, paid).of(claim)) and not told.is_denied_or_reduced
    assert read(tmp_path, paid, replace(paid, reverses=True)).of(claim) is None
    assert (told := read(tmp_path, paid, replace(paid, reverses=True), denied).of(claim)) and told.status == "1"
    assert read(tmp_path, denied).of(replace(claim, id="another")) is None


def test_lines_are_told_apart_by_modifiers_and_day(tmp_path: Path) -> None:
    claim = one()
    again = replace(claim.lines[0], number=3, modifiers=("KX",))
    later = replace(claim.lines[0], number=4, first_day=date(2025, 9, 10))
    claim = replace(claim, lines=(*claim.lines, again, later))
    told = read(tmp_path, Answer(claim, {4: (("CO", MISSING, Decimal(10)),)}, {4: ("N519",)})).of(claim)
    assert told is not None
    answers = [told.lines_for(line) for line in claim.lines]
    assert [len(each) for each in answers] == [1, 1, 1, 1]
    assert [each[0].remarks for each in answers] == [(), (), (), ("N519",)]
    assert [each[0].modifiers for each in answers] == [(), (), ("KX",), ()]
    assert told.lines_for(replace(later, code="99215")) == ()


def test_a_file_that_is_no_remittance_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("PATIENT ADA MEMBER OWES NOTHING", "utf-8")
    write_835([Answer(one())], tmp_path / "right.835", day=date(2026, 1, 1))
    told = Remittances.read(str(tmp_path / name) for name in ("note.txt", "right.835", "gone.835"))
    assert len(told.found) == 1 and len(told.problems) == 2
    assert not any("ADA" in str(problem) for problem in told.problems)


def test_a_spoilt_remittance_is_read_as_far_as_it_goes_or_is_a_problem(tmp_path: Path) -> None:
    write_835([answered(one(), MISSING, ("N519",))], tmp_path / "one.835", day=date(2026, 1, 1))
    segments = (tmp_path / "one.835").read_bytes().split(b"~\n")
    for at, segment in enumerate(segments):
        name, *elements = segment.split(b"*")
        for spoilt in ([], [name], [name + b"*:"], [b"*".join((name, *elements[:1]))], [name, segment, segment]):
            told = Remittances()
            told.add(b"~\n".join((*segments[:at], *spoilt, *segments[at + 1 :])), source="x")
            assert told.problems or all(isinstance(r.paid, Decimal) for each in told.found.values() for r in each)


def test_real_remittances_are_read(corpus: Path) -> None:
    files = [path for path in (corpus / "claims" / "x12").iterdir() if b"ST" in path.read_bytes()[:400]]
    files = [path for path in files if b"835" in path.read_bytes()[:700].partition(b"ST")[2][:6]]
    told = Remittances.read(map(str, files))
    assert len(files) >= 5 and told.problems == []
    assert sum(map(len, told.found.values())) >= len(files)
    assert any(adjustment for all_of in told.found.values() for r in all_of for adjustment in r.all_adjustments)


def test_what_a_reason_tells_of_is_data(register: Register) -> None:
    reasons = Reasons(register.snapshot().facts)
    kx = next(p for p in register.provisions if p.endswith("#kx-on-administration"))
    rems = next(p for p in register.provisions if p.endswith("#rems-facility"))
    facts = register.snapshot().facts
    by_code = {str(facts.value(iri, POL.reasonCode)): iri for iri in facts.relation(POL.reasonCode)}
    assert {MISSING, LATE, DUPLICATE, ALLOWED} <= set(by_code) and UNMAPPED not in by_code
    assert all(facts.objects(iri, POL.cites) for iri in by_code.values())
    adjustments = [Adjustment(group="CO", reason=code, amount=Decimal(1)) for code in (MISSING, LATE, UNMAPPED)]
    known = {code: reasons.of(adjustments)[f"CO-{code}"] for code in (MISSING, LATE, UNMAPPED)}
    assert known[UNMAPPED] is None
    assert reasons.fit([known[MISSING]], [], [kx]) == "fits"
    assert reasons.fit([known[MISSING]], [], [rems]) == "does not fit"
    assert reasons.fit([known[LATE], known[MISSING]], [], [kx]) == "fits"
    assert reasons.fit([known[LATE]], [None], [kx]) == "does not fit"
    assert reasons.fit([known[LATE], None], [], [kx]) == "not mapped"
    assert reasons.fit([], [], [kx]) == "not mapped"


# --- How it is written ------------------------------------------------------------------------------------------------


def test_formats_say_the_same(found: Worklist) -> None:
    import pyarrow.parquet as pq

    as_csv = list(csv.DictReader(io.StringIO(hindsight_formats.as_csv(found))))
    lines = [json.loads(line) for line in hindsight_formats.as_jsonl(found).splitlines()]
    table = pq.read_table(io.BytesIO(hindsight_formats.as_parquet(found))).to_pylist()
    assert len(as_csv) == len(lines) == len(table) == len(found.entries)
    for name in ("key", "claim", "direction", "reasons", "amendments", "citations"):
        assert [r[name] for r in as_csv] == [r[name] for r in lines] == [r[name] for r in table]
    assert [Decimal(r["charge"]) for r in as_csv] == [r["charge"] for r in table] == [e.charge for e in found.entries]


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_it(found: Worklist, width: int) -> None:
    out = io.StringIO()
    hindsight_formats.show_worklist(Console(file=out, width=width), found)
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= width
    flat = " ".join(text.split())
    for words in ("now conformant", "CO-4", "fits", "MM14204", "2025-12-09 at the earliest", "2026-02-06",
                  "bring to their attention", "No filing deadline is given"):  # fmt: skip
        assert words in flat


def test_a_page_shows_it_and_what_claims_bring_is_escaped(found: Worklist) -> None:
    evil = replace(found.entries[0], claim="<script>alert(1)</script>")
    page = as_html(replace(found, entries=(evil, *found.entries[1:])))
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert page.count('data-name="Claim"') == len(found.entries)
    assert "2025-12" in page and "<svg" in page and "No filing deadline" in page


def test_the_command(year: Year, register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Register, "load", lambda **_: register)
    remits = [word for name in year.remits for word in ("--remits", name)]
    words = ["worklist", *year.files, *remits, "--since", str(SINCE), "--until", str(UNTIL)]
    output = tmp_path / "list.csv"
    result = CliRunner().invoke(app, [*words, "-f", "csv", "-o", str(output)])
    assert result.exit_code == 1, result.output
    assert len(output.read_text("utf-8").splitlines()) == len(year.expected) + 1
    assert f"{len(year.expected)} listed" in result.output
    nothing = CliRunner().invoke(app, [*words[:-1], str(SINCE)])
    assert nothing.exit_code == 0 and "No claim fares otherwise" in nothing.output


# --- Filing limits ----------------------------------------------------------------------------------------------------

LIMITS = {
    "in-days": ("pol:countedFrom event:denial ;\n    pol:filingLimitDays 180 ;", date(2026, 4, 29)),
    "in-months": ("pol:countedFrom event:denial ;\n    pol:filingLimitMonths 4 ;", date(2026, 2, 28)),
    "from-service": ("pol:filingLimitMonths 12 ;", date(2026, 10, 15)),
    "from-what-nobody-told": ("pol:countedFrom event:submission ;\n    pol:filingLimitDays 10 ;", None),
}


def test_filing_limits_that_policies_set_are_counted(tmp_path: Path) -> None:
    policies = tmp_path / "policies"
    shutil.copytree(Path(__file__).resolve().parents[1] / "docs" / "example" / "policies", policies)
    version = policies / "example-health" / "car-t" / "2025-11.ttl"
    text = version.read_text("utf-8")
    rule = text[text.index(":denied-claims-may-be-sent-again") :]
    limit = LIMITS["in-days"][0]
    assert limit in rule
    for name, (other, _) in LIMITS.items():
        text += "\n" + rule.replace(":denied-claims-may-be-sent-again", f":{name}").replace(limit, other)
    version.write_text(text.replace(rule, "", 1), "utf-8")
    claims = policies / "example-health" / "car-t" / "claims" / "denied-for-want-of-Q0.json"
    (denied,) = read_claims(claims)
    assert isinstance(denied, Claim)
    remits = tmp_path / "remits.835"
    charge = denied.lines[0].charge or Decimal()
    write_835([Answer(denied, {1: (("CO", MISSING, charge),)})], remits, day=date(2025, 10, 31))
    wish = Wish(since=date(2025, 10, 31), remits=Remittances.read([str(remits)]))
    found = worklist([str(claims)], Settings(policies=policies), wish)
    (entry,) = found.entries
    told = [(each.provision.rpartition("#")[2], each.day) for each in entry.deadlines]
    days = {name: day for name, (_, day) in LIMITS.items()}
    assert dict(told) == days and [day for _, day in told] == sorted(days.values(), key=lambda day: day or date.max)
    row = dict(zip(hindsight_formats.COLUMNS, hindsight_formats.rows(found)[0], strict=True))
    assert row["filing_deadline"] == "2026-02-28"
    legend = " ".join(hindsight_formats.legend(found))
    assert "Filing deadline: A denied claim may be sent again" in legend and "No filing deadline" not in legend


# --- The service ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(kept: service.Settings) -> TestClient:
    app = create_app(replace(kept, claims=100))
    app.state.service.warm()  # without the lifespan, so that no processes for queries are started
    return TestClient(app, base_url="http://localhost")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Year:
    return Year(tmp_path_factory.mktemp("few"), every=15)


@pytest.fixture(scope="module")
def list_of_few(few: Year, register: Register) -> Worklist:
    return few.list(register, SINCE, UNTIL)


def parts(claims: Iterable[str], remits: Iterable[str] = ()) -> list[tuple[str, tuple[str, bytes]]]:
    named = [*(("claims", name) for name in claims), *(("remits", name) for name in remits)]
    return [(field, (Path(name).name, Path(name).read_bytes())) for field, name in named]


def posted(client: TestClient, few: Year, path: str = "/worklist", **data: str) -> Any:
    data = {"since": str(SINCE), "until": str(UNTIL), **data}
    asked = {"params": data} if path.startswith("/v1") else {"data": data}
    return client.post(path, files=parts(few.files, few.remits), **asked)  # type: ignore[arg-type]


def said(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def without_names(row: dict[str, Any]) -> dict[str, Any]:
    """A row whatever its file is called."""
    return {name: value for name, value in row.items() if name not in ("key", "source")}


def test_the_api_lists_what_the_command_lists(client: TestClient, few: Year, list_of_few: Worklist) -> None:
    answer = posted(client, few, "/v1/worklist")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    rows = [json.loads(line) for line in hindsight_formats.as_jsonl(list_of_few).splitlines()]
    assert [without_names(row) for row in told["claims"]] == [without_names(row) for row in rows]
    assert told["summary"] == hindsight_formats.summary(list_of_few)
    assert [(t["direction"], t["claims"], Decimal(t["charge"])) for t in told["totals"]] == [
        (t.direction, t.claims, t.charge) for t in list_of_few.totals
    ]
    assert [c["change"]["amendment"] for c in told["causes"]] == [c.change.amendment for c in list_of_few.causes]
    assert told["decision"] == answer.headers["Chartulary-Decision"]
    assert answer.headers["Chartulary-As-Known-On"] == str(UNTIL)
    assert posted(client, few, "/v1/worklist").json() == told
    other = posted(client, few, "/v1/worklist", **{"any-reason": "true"}).json()
    assert other["decision"] != told["decision"] and len(other["claims"]) > len(told["claims"])


@pytest.mark.parametrize("media", ["text/csv", "application/x-ndjson", "application/vnd.apache.parquet", "text/html"])
def test_accept_chooses_the_form(client: TestClient, few: Year, list_of_few: Worklist, media: str) -> None:
    asked = {"since": str(SINCE), "until": str(UNTIL)}
    files = parts(few.files, few.remits)
    answer = client.post("/v1/worklist", params=asked, files=files, headers={"accept": media})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith(media)
    assert rows_in(media, answer.content) == len(list_of_few.entries)
    assert client.post("/v1/worklist", params=asked, files=files, headers={"accept": "image/png"}).status_code == 406


def rows_in(media: str, content: bytes) -> int:
    import pyarrow.parquet as pq

    if media.endswith("parquet"):
        return int(pq.read_table(io.BytesIO(content)).num_rows)
    if media.endswith("html"):
        return content.count(b'data-name="Claim"')
    return len(content.splitlines()) - (media == "text/csv")


def test_the_page_says_what_the_list_says(client: TestClient, few: Year, list_of_few: Worklist) -> None:
    answer = posted(client, few)
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
    words = said(answer.text)
    assert hindsight_formats.summary(list_of_few) in words
    for total in list_of_few.totals:
        assert hindsight_formats.heading(total)[1:] in words
    assert answer.text.count('data-name="Claim"') == len(list_of_few.entries)
    assert answer.text.count('<rect class="bar"') == len(list_of_few.months)
    for month, (claims, charge) in list_of_few.months.items():
        assert f"{month} {claims} {hindsight_formats.money(charge)}" in words
    for cause in list_of_few.causes:
        for cite in cause.change.cites:
            assert f'href="/statement/{cite.statement.rpartition("/")[2]}"' in answer.text
            assert " ".join(cite.quote.split()) in words
    for telling in ("adjusts them on request", "2026-02-06", "No filing deadline is given", "fits", "not mapped"):
        assert telling in words
    assert not re.search(r"<script(?! src=\"/static/(answer|check)\.js\")| style=| on\w+=", answer.text)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "html"])
def test_the_same_list_is_a_file_to_keep(client: TestClient, few: Year, list_of_few: Worklist, suffix: str) -> None:
    answer = posted(client, few, **{"as": suffix})
    name = f"worklist-{SINCE}-{UNTIL}.{suffix}"
    assert answer.headers["Content-Disposition"] == f"attachment; filename*=UTF-8''{name}"
    assert rows_in(answer.headers["content-type"].partition(";")[0], answer.content) == len(list_of_few.entries)


def test_a_page_shows_so_many_and_says_how_to_get_all(
    client: TestClient, few: Year, list_of_few: Worklist, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages_of_lists, "_SHOWN", 2)
    page = posted(client, few).text
    assert page.count('data-name="Claim"') == 2
    words = said(page)
    assert f"{len(list_of_few.entries) - 2} more claims are on the list than a page shows" in words
    assert f"chartulary worklist CLAIMS --remits 835 --since {SINCE} --until {UNTIL} --format csv" in words
    assert all(hindsight_formats.heading(total)[1:] in words for total in list_of_few.totals)


def test_without_remittances_and_without_a_second_day(client: TestClient, few: Year) -> None:
    files = parts(few.files[1:])
    words = said(client.post("/worklist", files=files, data={"since": str(SINCE), "until": ""}).text)
    assert f"Claims that fare otherwise: {SINCE} → all that is known" in words and "2 listed" in words
    assert "Denied or reduced for" not in words
    nothing = client.post("/worklist", files=files, data={"since": str(UNTIL), "until": str(UNTIL)})
    assert nothing.status_code == 200 and "No claim fares otherwise" in said(nothing.text)


@pytest.mark.parametrize(
    ("files", "data", "reason"),
    [
        ([], {"since": "2025-12-01"}, "Choose a file with claims."),
        ([("claims", ("", b""))], {"since": "2025-12-01"}, "Choose a file with claims."),
        ([("claims", ("a", b"{}"))], {}, "Say against which day’s knowledge the claims are to be held."),
        ([("claims", ("a", b"{}"))], {"since": "2025-13-01"}, "This is not a day (yyyy-mm-dd)."),
        ([("claims", ("a", b"{}"))], {"since": "2025-12-01", "until": "x"}, "This is not a day (yyyy-mm-dd)."),
        ([("claims", ("a", b"{}"))], {"since": "2025-12-01", "any-reason": "true"}, "This goes with 835 files."),
        ([("claims", (r"C:\Patients\a.txt", b"Dear Sir"))], {"since": "2025-12-01"}, "No claim could be read. a.txt:"),
    ],
)
def test_the_page_says_what_is_wrong(client: TestClient, files: Any, data: dict[str, str], reason: str) -> None:
    answer = client.post("/worklist", files=[*files, *((name, (None, value)) for name, value in data.items())])
    assert answer.status_code == 400
    assert reason in said(answer.text) and "Patients" not in answer.text
    assert '<form class="asked check" action="/worklist"' in answer.text


def test_what_the_service_refuses(client: TestClient, few: Year) -> None:
    day = {"since": str(SINCE)}
    assert client.post("/v1/worklist", params=day, content=b"x").status_code == 400
    assert client.post("/v1/worklist", files=parts(few.files)).status_code == 422
    unread = client.post("/v1/worklist", params=day, files=[("claims", ("a.txt", b"Dear Sir"))])
    assert unread.status_code == 400 and unread.json()["error"].startswith("a.txt: not recognised")
    none = client.post("/v1/worklist", params=day, files=[("remits", ("a.835", b"ISA"))])
    assert none.status_code == 400 and "send claim files" in none.json()["error"]
    twice = parts([*few.files, *few.files])
    assert client.post("/v1/worklist", params=day, files=twice).status_code == 413
    many = client.post("/worklist", data=day, files=twice)
    assert many.status_code == 413 and "“chartulary worklist” takes any number" in said(many.text)


def test_remittances_need_their_reader(client: TestClient, few: Year, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "oxedi", None)
    answer = posted(client, few, "/v1/worklist")
    assert answer.status_code == 501 and "pip install 'chartulary[remits]'" in answer.json()["error"]
    page = posted(client, few)
    assert page.status_code == 501 and "pip install 'chartulary[remits]'" in said(page.text)


def test_files_that_cannot_be_read_cost_no_other(client: TestClient, few: Year) -> None:
    files = [*parts(few.files[1:], few.remits), ("claims", ("b.txt", b"x")), ("remits", ("c.835", b"ADA OWES"))]
    told = client.post("/v1/worklist", params={"since": str(SINCE)}, files=files).json()
    assert len(told["claims"]) == 2
    assert {problem["source"] for problem in told["problems"]} == {"b.txt", "c.835"}
    assert "ADA" not in json.dumps(told["problems"])


def test_nothing_of_a_list_touches_the_disk_or_the_log(
    client: TestClient, few: Year, written: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    files, paths = parts(few.files, few.remits), ("/worklist", "/v1/worklist")
    del written[:]
    with caplog.at_level(logging.DEBUG):
        for path in paths:
            for form in ("", "parquet"):
                day = {"since": str(SINCE), "as": form}
                assert client.post(path, files=files, data=day, params={"since": str(SINCE)}).status_code == 200
        client.post("/worklist", files=[("claims", ("secret.txt", b"secret"))], data={"since": str(SINCE)})
    assert written == []
    logged = [r.getMessage() for r in caplog.records if not r.name.startswith("httpx")]
    assert not [text for text in logged if re.search(r"secret|I-00\d|38228|claims\.837", text)]


def test_what_files_and_claims_are_called_is_never_markup(client: TestClient, few: Year) -> None:
    evil = "<script>alert(1)</script>"
    claim = Path(few.files[1]).read_bytes().replace(b'"id": "I-', f'"id": "{evil}'.encode())
    for form in ("", "html"):
        data = {"since": str(SINCE), "as": form}
        page = client.post("/worklist", files=[("claims", (evil, claim)), ("claims", ("x", b"x"))], data=data).text
        assert "<script>" not in page and "&lt;script&gt;" in page
