"""chartulary compare: what was answered on one day of knowledge, what on another, and what makes the difference."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from chartulary import Claim, Register
from chartulary.claim import Event, Line, Payer
from chartulary.cli import app
from chartulary.errors import ChartularyError
from chartulary.hindsight import Comparison, Hindsight
from chartulary.hindsight import formats as hindsight_formats
from chartulary.register import data_folder

BEFORE, AFTER = date(2025, 9, 1), date(2026, 1, 1)
BETWEEN = date(2025, 12, 10)
LAST_DAY, FIRST_FREE = date(2025, 6, 25), date(2025, 6, 26)
SUITE = data_folder("policies") / "medicare" / "ncd-110.24" / "claims"


def ask(register: Register, dos: date, *known: date | None, payer: str = "medicare") -> Comparison:
    first, second = known
    return register.compare(known=(first, second), code="38228", payer=payer, setting="outpatient", dos=dos)


def visit(day: date, *modifiers: str) -> Claim:
    return Claim(
        id="C-1",
        source="made up",
        form="837I",
        payer=Payer(name="Medicare", filing_indicator="MB"),
        bill_type="0131",
        lines=(Line(number=1, code="38228", revenue_code="0874", first_day=day, last_day=day, modifiers=modifiers),),
    )


@pytest.fixture(scope="module")
def hindsight(register: Register) -> Hindsight:
    return Hindsight(register, since=BEFORE, until=AFTER)


# --- A question -------------------------------------------------------------------------------------------------------


def test_it_names_the_change_and_what_each_day_means(register: Register) -> None:
    compared = ask(register, date(2025, 7, 1), BEFORE, AFTER)
    gone = {change.label: (change.before, change.after) for change in compared.changes if change.kind != "notice"}
    assert gone["The administration line carries KX"] == ("certain", "none")
    assert set(gone.values()) == {("certain", "none")} and len(gone) == 3
    assert all(change.causes for change in compared.changes)
    amendments = [cause for cause in compared.causes if cause.kind == "amendment"]
    assert {cause.change.label for cause in amendments} == {
        "KX is no longer required on CAR-T claims",
        "A REMS facility is no longer required for CAR-T",
    }
    for cause in amendments:
        assert cause.known == ("none", "certain")
        assert cause.change.effective_from == FIRST_FREE and cause.change.implemented_on == date(2026, 2, 6)
        assert "MM14204" in cause.change.document and any("no longer require" in c.quote for c in cause.change.cites)
        first, last = cause.published
        assert (first.day, first.bound, first.documents) == (date(2025, 12, 9), "earliest", ("CR 14204",))
        assert (last.day, last.bound, last.documents) == (date(2025, 12, 12), "latest", ("MM14204",))
        assert first.says and "CR 14204" in first.says[0] and last.says and "article" in last.says[0]


@pytest.mark.parametrize("known", [(BEFORE, AFTER), (AFTER, BEFORE)])
def test_before_the_change_holds_nothing_changed(register: Register, known: tuple[date, date]) -> None:
    compared = ask(register, LAST_DAY, *known)
    assert compared.same and compared.causes == () and len(compared.before) > 5
    assert {cause.change.effective_from for cause in compared.beside} == {FIRST_FREE}


def test_it_changes_on_the_first_free_day(register: Register) -> None:
    assert not ask(register, FIRST_FREE, BEFORE, AFTER).same


def test_the_other_way_round_is_the_mirror_image(register: Register) -> None:
    there, back = (ask(register, FIRST_FREE, *known) for known in ((BEFORE, AFTER), (AFTER, BEFORE)))
    assert {(c.provision, c.before, c.after, c.causes) for c in there.changes} == {
        (c.provision, c.after, c.before, c.causes) for c in back.changes
    }


def test_between_the_publications_it_may_hold(register: Register) -> None:
    compared = ask(register, FIRST_FREE, BEFORE, BETWEEN)
    asked = {change.label: (change.before, change.after) for change in compared.changes if change.kind != "notice"}
    assert set(asked.values()) == {("certain", "maybe")}
    assert {cause.known for cause in compared.causes} == {("none", "maybe")}


def test_where_as_much_is_known_nothing_changed(register: Register) -> None:
    assert ask(register, FIRST_FREE, BEFORE, date(2025, 12, 8)).same
    assert ask(register, FIRST_FREE, AFTER, AFTER).same


def test_what_is_not_in_the_register_is_said_as_for_ask(register: Register) -> None:
    with pytest.raises(ChartularyError, match="no code"):
        register.compare(known=(BEFORE, AFTER), code="nonsense", payer="medicare", dos=FIRST_FREE)


# --- A claim ----------------------------------------------------------------------------------------------------------


def test_a_claim_without_kx_is_conformant_in_hindsight(hindsight: Hindsight) -> None:
    compared = hindsight.judge(visit(date(2025, 7, 1)))
    assert (compared.before.outcome, compared.after.outcome) == ("violation", "conformant")
    assert compared.direction == "now-conformant" and compared.differs
    (shift,) = compared.decisive
    assert (shift.label, shift.line, shift.before, shift.after) == (
        "The administration line carries KX",
        1,
        "violation",
        "none",
    )
    assert [hindsight.cause(iri).change.label for iri in compared.causes] == [
        "KX is no longer required on CAR-T claims"
    ]
    assert compared.before.as_known_on == BEFORE and compared.after.as_known_on == AFTER


@pytest.mark.parametrize("claim", [visit(LAST_DAY), visit(LAST_DAY, "KX"), visit(date(2025, 7, 1), "KX")])
def test_claims_that_the_change_does_not_touch(hindsight: Hindsight, claim: Claim) -> None:
    compared = hindsight.judge(claim)
    assert not compared.differs and compared.direction == "as-before" and compared.decisive == ()


def test_a_violation_that_stays_is_not_hidden_by_one_that_goes(hindsight: Hindsight) -> None:
    claim = visit(date(2025, 7, 1))
    claim = replace(claim, lines=(replace(claim.lines[0], revenue_code="0510"),))
    compared = hindsight.judge(claim)
    assert compared.before.outcome == compared.after.outcome == "violation"
    assert compared.direction == "fewer-violations" and compared.differs


def test_what_is_said_of_denied_claims_is_news(hindsight: Hindsight) -> None:
    claim = replace(visit(date(2025, 7, 1)), history=(Event(kind="denial", date=date(2025, 8, 2)),))
    told = {shift.label for shift in hindsight.judge(claim).news if shift.after == "info"}
    assert any("adjusts them on request" in label for label in told)


# --- How it is written ------------------------------------------------------------------------------------------------


def shown(compared: Comparison, width: int) -> str:
    out = io.StringIO()
    hindsight_formats.show_comparison(Console(file=out, width=width), compared, "38228")
    assert max(map(len, out.getvalue().splitlines())) <= width
    return " ".join(out.getvalue().split())


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_it(register: Register, width: int) -> None:
    text = shown(ask(register, date(2025, 7, 1), BEFORE, AFTER), width)
    for words in ("2025-09-01", "2026-01-01", "required", "MM14204", "2025-12-09 at the earliest: CR 14204",
                  "2025-12-12 at the latest: MM14204", "apply it from 2026-02-06", "from 2025-06-26"):  # fmt: skip
        assert words in text
    same = shown(ask(register, LAST_DAY, BEFORE, AFTER), width)
    assert "Nothing changed" in same and "makes no difference on this day" in same


@pytest.fixture
def loaded(register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Register, "load", lambda **_: register)


def run(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["compare", *map(str, words)])
    return result.exit_code, result.output


@pytest.mark.usefixtures("loaded")
def test_the_command_on_a_code() -> None:
    question = ("--code", "38228", "--payer", "medicare", "--known", str(BEFORE), "--known", str(AFTER))
    code, text = run(*question, "--dos", "2025-07-01", "-f", "json")
    told = json.loads(text)
    assert code == 1 and not told["same"] and told["known"] == [str(BEFORE), str(AFTER)]
    assert {cause["change"]["implemented_on"] for cause in told["causes"]} == {"2026-02-06"}
    code, text = run(*question, "--dos", str(LAST_DAY))
    assert code == 0 and "Nothing changed" in text


@pytest.mark.usefixtures("loaded")
def test_the_command_on_claims() -> None:
    known = ("--known", str(BEFORE), "--known", str(AFTER))
    code, text = run(SUITE / "denied-for-lack-of-kx.json", *known)
    assert code == 1 and "violation" in text and "now conformant" in text and "MM14204" in text
    code, text = run(SUITE / "no-kx-on-the-last-day.json", *known)
    assert code == 0 and "Nothing changed for this claim" in text
    code, text = run(SUITE / "denied-for-lack-of-kx.json", *known, "-f", "json")
    (claim,) = json.loads(text)["claims"]
    assert (claim["before"]["outcome"], claim["after"]["outcome"]) == ("violation", "conformant")


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--code", "38228", "--payer", "medicare", "--dos", "2025-07-01"), "--known DATE"),
        (("--known", "2025-09-01"), "name claims, or a code"),
        (("claim.json", "--code", "38228", "--known", "2025-09-01"), "name claims, or a code"),
    ],
)
def test_usage_is_said_in_one_line(words: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(app, ["compare", *words])
    assert isinstance(result.exception, ChartularyError) and said in str(result.exception)


# --- The API ----------------------------------------------------------------------------------------------------------


def test_the_api(tmp_path: Path) -> None:
    testing = pytest.importorskip("fastapi.testclient", reason="needs the extra serve")
    from chartulary.service.app import create_app
    from chartulary.service.settings import Settings

    with testing.TestClient(create_app(Settings(cache=tmp_path)), base_url="http://127.0.0.1:8000") as client:
        asked = "/v1/compare?code=38228&payer=medicare&known=2025-09-01&known-later=2026-01-01"
        told = client.get(f"{asked}&dos=2025-07-01").json()
        assert not told["same"] and told["decision"] and told["known"] == ["2025-09-01", "2026-01-01"]
        assert {cause["change"]["implemented_on"] for cause in told["causes"]} == {"2026-02-06"}
        assert client.get(f"{asked}&dos={LAST_DAY}").json()["same"]
        wrong = client.get(f"{asked}&dos=soon")
        assert wrong.status_code == 400 and "not a day" in wrong.json()["error"]
