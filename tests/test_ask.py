"""Questions: when KX was required, as known when, what that rests on and what changed it; here and on a server."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from chartulary import Answer, ChartularyError, Register
from chartulary.formats import answer_csv, answer_json, dump
from chartulary.namespaces import ROOT

POLICY = f"{ROOT}policy/medicare/ncd-110.24"
KX = f"{POLICY}/2021-07-20#kx-on-administration"
KX_ENDS = f"{POLICY}/2025-12-09#kx-ends"
KX_NOT_NEEDED = f"{POLICY}/2025-12-09#kx-not-needed"


def ask(register: Register, dos: str, known: str | None = None, **more: Any) -> Answer:
    parameters = {"code": "38228", "payer": "medicare", "dos": dos} | more
    return register.ask("requirements", as_known_on=date.fromisoformat(known) if known else None, **parameters)


def rows(answer: Answer) -> dict[str, Any]:
    found = {row["provision"]: row for row in answer if row["kind"] != "change"}
    changes = {row["provision"]: row for row in answer if row["kind"] == "change"}
    assert len(found) + len(changes) == len(answer), "a row for each provision and for each change"
    return found | changes


def statements(row: Any) -> set[str]:
    return {citation["statement"].rpartition("/")[2] for citation in row["cites"]}


# --- KX ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", [None, "outpatient", "professional"])
@pytest.mark.parametrize(
    ("dos", "known", "required"),
    [
        ("2019-08-06", None, False),
        ("2019-08-07", None, True),
        ("2025-06-25", None, True),
        ("2025-06-26", None, False),
        ("2025-07-01", "2025-09-01", True),
        ("2025-07-01", "2025-12-08", True),
        ("2025-07-01", "2025-12-09", "maybe"),
        ("2025-07-01", "2025-12-11", "maybe"),
        ("2025-07-01", "2025-12-12", False),
        ("2025-07-01", None, False),
        ("2025-06-25", "2025-12-11", True),
    ],
)
def test_when_kx_was_required(
    register: Register, setting: str | None, dos: str, known: str | None, required: bool | str
) -> None:
    found = rows(ask(register, dos, known, **{"setting": setting} if setting else {}))
    assert (KX in found) == bool(required)
    if KX in found:
        assert found[KX]["kind"] == "requirement"
        assert found[KX]["requires"] == ["modifier KX"]
        assert found[KX]["certainty"] == ("maybe" if required == "maybe" else "certain")
        assert "astct.kx.required" in statements(found[KX])
    needs_kx = {iri for iri, row in found.items() if "modifier KX" in row.get("requires", ())}
    assert needs_kx <= {KX}


def test_the_last_day_says_what_will_end_it(register: Register) -> None:
    row = rows(ask(register, "2025-06-25"))[KX]
    assert statements(row) >= {"astct.kx.required", "mm14204.kx.historic"}
    assert (row["effective_from"], row["effective_until"]) == ("2019-08-07", "2025-06-25")
    (change,) = row["changed_by"]
    assert change == {
        "amendment": KX_ENDS,
        "change": "KX is no longer required on CAR-T claims",
        "change_from": "2025-06-26",
        "change_published": "2025-12-09/2025-12-12",
        "change_implemented": "2026-02-06",
    }


@pytest.mark.parametrize("known", [None, "2025-12-12"])
@pytest.mark.parametrize("dos", ["2025-06-26", "2025-07-01"])
def test_the_first_free_day_says_what_changed(register: Register, dos: str, known: str | None) -> None:
    found = rows(ask(register, dos, known))
    change = found[KX_ENDS]
    assert change["kind"] == "change"
    assert change["certainty"] == "certain"
    assert statements(change) >= {"mm14204.kx.removed", "mm14204.effective"}
    assert change["effective_from"] == "2025-06-26"
    assert change["published_on"] == "2025-12-09/2025-12-12"
    assert change["implemented_on"] == "2026-02-06"
    assert [entry["amendment"] for entry in change["changed_by"]] == [KX_ENDS]
    assert found[KX_NOT_NEEDED]["kind"] == "notice"
    assert statements(found[KX_NOT_NEEDED]) >= {"mm14204.kx.removed"}


def test_in_september_nobody_knew(register: Register) -> None:
    found = rows(ask(register, "2025-07-01", "2025-09-01"))
    assert not {iri for iri in found if iri.startswith(f"{POLICY}/2025-12-09")}
    assert found[KX]["changed_by"] == []
    assert found[KX]["effective_until"] is None
    assert not {cited for row in found.values() for cited in statements(row) if cited.startswith("mm14204")}


@pytest.mark.parametrize("known", [None, "2025-12-12", "2026-05-01"])
def test_every_row_cites(register: Register, known: str | None) -> None:
    for dos in ("2019-01-01", "2025-06-25", "2025-06-26"):
        for row in ask(register, dos, known):
            assert row["cites"], row["provision"]
            for citation in row["cites"]:
                assert set(citation) == {"statement", "document", "section", "quote", "ambiguity"}
                assert citation["statement"].startswith(f"{ROOT}statement/")
                assert citation["document"] and citation["quote"]


def test_a_question_without_setting_covers_each_setting(register: Register) -> None:
    each = [set(rows(ask(register, "2025-06-25", setting=s))) for s in ("inpatient", "outpatient", "professional")]
    assert set.union(*each) <= set(rows(ask(register, "2025-06-25")))


def test_validity_cites_the_code_and_its_setting(register: Register) -> None:
    found = rows(ask(register, "2025-06-25", setting="outpatient"))
    (valid,) = [row for row in found.values() if row["provision"].endswith("#code-valid")]
    assert "astct.cpt.38228.op" in statements(valid)
    assert "astct.cpt.38228.ph" not in statements(valid)


# --- What is asked for: a claim, or a prior authorisation -------------------------------------------------------------


def test_a_prior_authorisation_is_asked_for_other_things(register: Register) -> None:
    given = {"payer": "wellcare-nc", "setting": "outpatient"}
    asked_of_claims = rows(ask(register, "2025-09-20", **given))
    asked_before = rows(ask(register, "2025-09-20", **given, request="prior-authorization"))
    documents = f"{ROOT}policy/wellcare-nc/wnc-cp-192/2021-05#hiv-serology"
    assert documents in asked_before
    assert documents not in asked_of_claims
    assert rows(ask(register, "2025-09-20", **given, request="claim")) == asked_of_claims


def test_facts_to_look_up_stand_in_both(register: Register) -> None:
    payment = f"{ROOT}policy/medicare/payment/2025-01-01#opps-status"
    for request in ("claim", "prior-authorization", "question"):
        assert payment in rows(ask(register, "2025-06-25", request=request))


@pytest.mark.parametrize(
    ("dos", "known", "told", "untold"),
    [
        (
            "2025-07-01",
            "2026-01-01",
            {"astct.cpt.38228.op", "mm14204.kx.removed", "mm14204.rems.removed", "astct.rev.0874.op.auto"},
            {"astct.kx.required", "mm14204.ncd11024.rems"},
        ),
        ("2025-07-01", "2025-09-01", {"astct.kx.required"}, {"mm14204.kx.removed"}),
        ("2024-12-31", "2026-01-01", {"astct.kx.required"}, {"mm14204.kx.removed"}),
        ("2025-01-01", "2026-01-01", {"astct.kx.required", "astct.opps.apc"}, {"mm14204.kx.removed"}),
    ],
)
def test_what_medicare_required_as_known_then(
    register: Register, dos: str, known: str, told: set[str], untold: set[str]
) -> None:
    found = rows(ask(register, dos, known, lob="Medicare FFS Part B"))
    cited = {statement for row in found.values() for statement in statements(row)}
    assert cited >= told
    assert not cited & untold


# --- The answer's form ------------------------------------------------------------------------------------------------


def test_answer_as_json(register: Register) -> None:
    answer = ask(register, "2025-07-01", "2025-12-10", setting="outpatient")
    plain = json.loads(dump(answer_json(answer)))
    assert {"parameters", "register_revision", "results"} <= set(plain)
    assert plain["as_known_on"] == "2025-12-10"
    assert plain["register_revision"] == register.revision
    assert plain["parameters"] == {
        "code": f"{ROOT}code/cpt/38228",
        "payer": f"{ROOT}payer/medicare",
        "setting": f"{ROOT}setting/outpatient",
        "lob": f"{ROOT}line-of-business/any",
        "request": f"{ROOT}request/claim",
        "dos": "2025-07-01",
    }
    contract = {
        "provision", "label", "kind", "policy", "effective_from", "effective_until", "published_on", "requires",
        "prohibits", "cites", "changed_by",
    }  # fmt: skip
    for row in plain["results"]:
        assert contract <= set(row)
        assert row["kind"] in {"requirement", "prohibition", "notice", "change"}
        assert bool(row["requires"]) == (row["kind"] == "requirement") or row["kind"] == "change"
        for name in ("effective_from", "effective_until"):
            assert row[name] is None or date.fromisoformat(row[name])


def test_answer_as_csv(register: Register) -> None:
    answer = ask(register, "2025-06-25")
    head, *lines = answer_csv(answer).splitlines()
    assert head.split(",")[:3] == ["provision", "label", "kind"]
    assert len(lines) == len(answer)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_answer_as_a_frame(register: Register, library: str) -> None:
    pytest.importorskip(library)
    answer = ask(register, "2025-06-25")
    frame = getattr(answer, f"to_{library}")()
    assert len(frame) == len(answer)
    assert list(frame["provision"]) == [row["provision"] for row in answer]


def test_no_answer_is_no_error(register: Register) -> None:
    assert len(ask(register, "2025-06-25", code="KX")) == 0


def test_before_anything_was_published_nothing_is_certain(register: Register) -> None:
    assert {row["certainty"] for row in ask(register, "2025-06-25", "1990-01-01")} <= {"maybe"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"codes": "38228"}, "no parameter 'codes'; did you mean 'code'?"),
        ({"paier": "medicare"}, "no parameter 'paier'; did you mean 'payer'?"),
        ({"whatever": "x"}, "no parameter 'whatever'"),
        ({"code": "99999999"}, "no code '99999999'"),
        ({"payer": "medicar"}, "no payer 'medicar'; did you mean 'medicare'?"),
        ({"payer": "acme health"}, "no payer 'acme health'"),
        ({"payer": f"{ROOT}payer/nobody"}, "no payer"),
        ({"setting": "moon"}, "no setting 'moon'"),
        ({"lob": "moon"}, "no line of business 'moon'"),
        ({"request": "prior authorization"}, "no request 'prior authorization'; did you mean 'prior-authorization'?"),
        ({"dos": "25 June 2025"}, "'25 June 2025' is not a day"),
        ({"dos": "2025-06-31"}, "not a day"),
        ({"payer": '> . } DROP ALL #"'}, "no payer"),
        ({"payer": f"{ROOT}payer/any> }} {{ <x"}, "no payer"),
        ({"payer": f"{ROOT}setting/outpatient"}, "no payer"),
        ({"code": f"{ROOT}code/cpt/99999"}, "no code"),
    ],
)
def test_wrong_parameters(register: Register, given: dict[str, str], message: str) -> None:
    with pytest.raises(ChartularyError) as caught:
        ask(register, given.pop("dos", "2025-06-25"), **given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["code", "payer", "dos"])
def test_missing_parameters(register: Register, missing: str) -> None:
    given = {"code": "38228", "payer": "medicare", "dos": "2025-06-25"}
    del given[missing]
    with pytest.raises(ChartularyError, match=f"needs --{missing}"):
        register.ask("requirements", **given)


@pytest.mark.parametrize(
    ("question", "given", "message"),
    [
        ("version-in-force", {"payer": "medicare"}, "needs --dos (date)"),
        ("version-in-force", {"payer": "medicar", "dos": "2025-01-01"}, "no payer 'medicar'; did you mean 'medicare'?"),
        ("governing-policy", {"payer": "excellus", "dos": "2026-05-01"}, "needs --lob (line-of-business)"),
        ("governing-policy", {"payer": "excellus", "lob": "HMO DSNP", "dos": "2026-05-01"}, "did you mean 'hmo-dsnp'?"),
        ("payer-differences", {"code": "38228", "payer": "medicare", "dos": "2025-01-01"}, "needs --other (payer)"),
        ("related-documents", {}, "needs --policy (policy)"),
        ("related-documents", {"policy": "ncd-110.42"}, "no policy 'ncd-110.42'; did you mean 'ncd-110.24'?"),
        ("related-documents", {"policy": f"{ROOT}payer/medicare"}, "no policy"),
        ("references", {"source": "MM14205"}, "no source 'MM14205'; did you mean 'mm14204'?"),
        ("guidelines", {"policy": "7.02.12"}, "no policy '7.02.12'; did you mean '7.02.11'?"),
        ("guidelines", {"abuot": "lymphoma"}, "no parameter 'abuot'; did you mean 'about'?"),
        ("statements", {}, "needs --about (text)"),
        ("reviews-due", {"by": "December 2027"}, "'December 2027' is not a day"),
        (
            "prior-authorization",
            {"payer": "excellus", "dos": "2026-05-01", "product": "Kymria"},
            "did you mean 'kymriah'?",
        ),
    ],
)
def test_every_question_refuses_what_it_cannot_know(
    register: Register, question: str, given: dict[str, str], message: str
) -> None:
    with pytest.raises(ChartularyError) as caught:
        register.ask(question, **given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ['") } DROP ALL #', "\\", "\n", "?about", "<x>", "“"])
def test_a_word_is_a_word(register: Register, text: str) -> None:
    assert len(register.ask("guidelines", about=f"none such {text}")) == 0


def test_unknown_question(register: Register) -> None:
    with pytest.raises(ChartularyError, match="no question 'requirement'; did you mean 'requirements'"):
        register.ask("requirement", code="38228")


def test_a_register_iri_is_a_name_too(register: Register) -> None:
    by_name = ask(register, "2025-06-25", setting="outpatient")
    by_iri = ask(register, "2025-06-25", setting=f"{ROOT}setting/outpatient", payer=f"{ROOT}payer/medicare")
    assert by_name == by_iri
    assert ask(register, "2025-06-25", setting="outpatient", code=f"{ROOT}code/cpt/38228") == by_name


def test_questions_run_as_they_stand(register: Register) -> None:
    """Each file runs where it is pasted, with its sample values, and gives an answer."""
    for query in register.queries.values():
        rows = list(register.snapshot().store.query(query.text))  # type: ignore[arg-type]
        assert rows or not query.parameters, query.name


# --- On a server ------------------------------------------------------------------------------------------------------


def oxigraph() -> str:
    found = shutil.which("oxigraph", path=str(Path(sys.executable).parent)) or shutil.which("oxigraph")
    return found or pytest.skip("no oxigraph binary (pip install oxigraph)")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A SPARQL server that holds what ``chartulary export`` wrote."""
    server, folder = oxigraph(), tmp_path_factory.mktemp("server")
    exported = folder / "register.nt"
    subprocess.run([sys.executable, "-m", "chartulary", "export", "--output", exported], check=True)
    load = [server, "load", "--location", folder / "store", "--file", exported]
    subprocess.run(load, check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    serve = [server, "serve", "--location", str(folder / "store"), "--bind", address]
    with subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(100):
                try:
                    urlopen(f"http://{address}/", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"http://{address}/query"
        finally:
            process.terminate()


@pytest.mark.parametrize("dos", ["2025-06-25", "2025-06-26"])
def test_a_server_gives_the_same_answer(register: Register, endpoint: str, dos: str) -> None:
    assert ask(register, dos, endpoint=endpoint) == ask(register, dos)
    assert ask(register, dos, endpoint=endpoint, setting="outpatient") == ask(register, dos, setting="outpatient")


@pytest.mark.parametrize(
    ("question", "given"),
    [
        ("prior-authorization", {"payer": "excellus", "dos": "2026-04-15", "setting": "inpatient"}),
        ("prior-authorization", {"payer": "wellcare-nc", "dos": "2025-06-26", "product": "Kymriah"}),
        ("governing-policy", {"payer": "excellus", "lob": "NY Medicaid", "dos": "2026-04-15"}),
        ("governing-policy", {"payer": "excellus", "lob": "NY Medicaid", "dos": "2026-04-14"}),
        ("payer-differences", {"code": "38228", "payer": "medicare", "other": "wellcare-nc", "dos": "2025-06-25"}),
        ("version-in-force", {"payer": "wellcare-nc", "dos": "2022-06-01"}),
        ("version-in-force", {"payer": "medicare", "dos": "2025-06-26"}),
        ("reviews-due", {"by": "2027-12-01"}),
        ("guidelines", {"about": "lymphoma"}),
        ("related-documents", {"policy": "7.02.11"}),
        ("references", {"source": "Excellus 7.02.11"}),
        ("statements", {"about": "rems"}),
        ("policies", {}),
        ("code-history", {"code": "0540T"}),
        ("product-codes", {"product": "obe-cel"}),
        (
            "requirements",
            {"code": "38228", "payer": "wellcare-nc", "dos": "2025-09-20", "request": "prior-authorization"},
        ),
    ],
)
def test_a_server_gives_the_same_answer_to_every_question(
    register: Register, endpoint: str, question: str, given: dict[str, str]
) -> None:
    here = register.ask(question, **given)
    assert len(here) > 0
    assert register.ask(question, endpoint=endpoint, **given) == here


def test_a_server_that_is_not_there(register: Register) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ChartularyError, match="no answer") as caught:
        ask(register, "2025-06-25", endpoint=f"http://{address}/query")
    assert "\n" not in str(caught.value)


def test_a_server_that_is_no_sparql_server(register: Register, endpoint: str) -> None:
    with pytest.raises(ChartularyError, match="no answer") as caught:
        ask(register, "2025-06-25", endpoint=endpoint.replace("/query", "/nothing"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", ['"', "\\", '\\" } #', "\n", "\r\n", "😀", "\x7f", "\x00", "'''", "é"])
def test_any_text_may_be_asked_for(register: Register, word: str) -> None:
    assert register.ask("statements", about=word) is not None


@pytest.mark.parametrize(
    ("dos", "certainty"), [("2024-09-15", "maybe"), ("2025-06-25", "maybe"), ("2025-06-26", "certain")]
)
def test_a_change_within_bounds_is_a_maybe_until_the_last(register: Register, dos: str, certainty: str) -> None:
    answer = register.ask(
        "requirements", code="38228", payer="wellcare-nc", request="prior-authorization", dos=date.fromisoformat(dos)
    )
    changes = {row["provision"].rpartition("#")[2]: row["certainty"] for row in answer if row["kind"] == "change"}
    assert changes["rems-only-where-required"] == certainty
