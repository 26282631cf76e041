"""Each question of ``queries/``: it runs as pasted anywhere, and says what the sources say."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyoxigraph
import pytest
from rdflib import Graph

from chartulary import Answer
from chartulary.errors import ChartularyError
from chartulary.namespaces import ROOT
from chartulary.register import Register, data_folder

QUESTIONS = sorted(path.stem for path in data_folder("queries").glob("*.rq"))
SLOW_IN_RDFLIB = {"mentions", "payer-differences"}


@pytest.fixture(scope="module")
def store(register: Register) -> pyoxigraph.Store:
    return register.snapshot().store


@pytest.fixture(scope="module")
def summit() -> Register:
    """The register with a made-up payer on top, which has a provision of each form that questions speak of."""
    return Register.load(policies=Path(__file__).parent / "data" / "questions")


def ask(register: Register, question: str, known: str | None = None, **given: str) -> Answer:
    return register.ask(question, as_known_on=date.fromisoformat(known) if known else None, **given)


def named(iri: str) -> str:
    """The last part of a provision's, version's or statement's IRI."""
    return iri.rpartition("#" if "#" in iri else "/")[2]


def statements(row: Any) -> set[str]:
    return {named(cite["statement"]) for cite in row["cites"]}


@pytest.mark.parametrize("name", QUESTIONS)
def test_it_runs_as_it_stands(name: str, register: Register, store: pyoxigraph.Store) -> None:
    text = register.queries[name].text
    answers = store.query(text)
    assert isinstance(answers, pyoxigraph.QuerySolutions)
    assert len(list(answers)) > 0
    assert "ORDER BY" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*QUESTIONS} - SLOW_IN_RDFLIB))
def test_rdflib_gives_the_same_rows(name: str, register: Register, store: pyoxigraph.Store) -> None:
    text = register.queries[name].text
    graph: Graph = register.snapshot().graph
    theirs = {tuple(str(term) if term is not None else None for term in row) for row in graph.query(text)}
    answers = store.query(text)
    assert isinstance(answers, pyoxigraph.QuerySolutions)
    names = [variable.value for variable in answers.variables]
    ours = {tuple(None if row[n] is None else row[n].value for n in names) for row in answers}  # type: ignore[union-attr]
    assert ours == theirs


@pytest.mark.parametrize("name", QUESTIONS)
def test_it_says_what_it_answers(name: str, register: Register) -> None:
    query = register.queries[name]
    assert query.summary[0].isupper()
    assert query.description.endswith(".")


def test_a_code_and_its_successor(register: Register) -> None:
    rows = list(register.ask("code-history", code="0540T"))
    assert {row["valid_until"] for row in rows} == {"2024-12-31"}
    assert {row["valid_from"] for row in rows} == {None}
    assert {row["replaced_by"] for row in rows} == {"38228"}
    assert {cite["statement"].rsplit("/", 1)[-1] for row in rows for cite in row["cites"]} == {
        "astct.cpt.0540t.op",
        "astct.cpt.0540t.ph",
    }


def test_codes_of_a_product_by_its_short_name(register: Register) -> None:
    rows = register.ask("product-codes", product="obe-cel")
    assert {row["notation"] for row in rows if row["system"] == "ICD-10-PCS"} == {"XW0338A", "XW0438A"}


def test_what_a_document_changed_and_when_it_was_known(register: Register) -> None:
    changes = [row for row in register.ask("what-changed", source="MM14204") if row["kind"] == "change"]
    assert {row["effective_from"] for row in changes} == {"2025-06-26"}
    assert {row["published_on"] for row in changes} == {"2025-12-09/2025-12-12"}
    assert {row["implemented_on"] for row in changes} == {"2026-02-06"}
    assert all(row["ends"] and row["cites"] for row in changes)
    with pytest.raises(ChartularyError, match="MM14204"):
        register.ask("what-changed", source="MM14204", as_known_on=date(2025, 12, 8))


def test_what_is_not_encoded_gives_its_reason(register: Register) -> None:
    rows = list(register.ask("not-encoded"))
    assert all(row["reason"].endswith(".") for row in rows)
    assert "https://w3id.org/chartulary/statement/mm14204.mac.website" in {row["statement"] for row in rows}


def test_versions_say_when_they_were_published(register: Register) -> None:
    published = {row["version"].rsplit("/policy/", 1)[-1]: row["published_on"] for row in register.ask("policies")}
    assert published["medicare/ncd-110.24/2025-12-09"] == "2025-12-09/2025-12-12"
    assert published["medicare/ms-drg-018/2020-10-01"] == "../2025-04-01"


def test_who_mentions_a_code(register: Register) -> None:
    named = {row["provision"].rsplit("#", 1)[-1] for row in register.ask("mentions", code="38999")}
    assert {"kx-on-unlisted-allogeneic-administration", "code-is-valid-on-its-date"} & named
    assert "rems-facility" not in named


# --- Prior authorisation ----------------------------------------------------------------------------------------------


def wanted(answer: Answer) -> dict[str, Any]:
    rows = {named(row["provision"]): row for row in answer}
    assert len(rows) == len(answer), "a row for each provision"
    return rows


def test_one_of_several_is_said_with_or(summit: Register) -> None:
    rows = wanted(ask(summit, "prior-authorization", payer="Summit Health", dos="2030-02-01"))
    assert rows["performance"]["requires"] == ["ECOG or Karnofsky or PPS"]
    assert rows["performance"]["kind"] == "requirement"
    assert rows["performance"]["certainty"] == "certain"
    assert statements(rows["performance"]) == {"summit.plan"}


def test_groups_within_groups_and_beside_others_stand_in_brackets(summit: Register) -> None:
    rows = wanted(ask(summit, "prior-authorization", payer="summit", dos="2030-02-01", product="tisagenlecleucel"))
    assert set(rows["serology"]["requires"]) == {
        "((an explanation and positive HIV serology) or recent HIV serology)",
        "(ECOG or Karnofsky or PPS)",
    }
    assert rows["biopsy"]["requires"] == ["(ECOG or Karnofsky or PPS) and a biopsy"]


def test_limits_and_conditions_are_listed(summit: Register) -> None:
    rows = wanted(ask(summit, "prior-authorization", payer="summit", dos="2030-03-01", product="Kymriah"))
    assert rows["serology"]["limits"] == ["HIV serology: less than 3 months old"]
    assert rows["biopsy"]["limits"] == ["bone marrow biopsy: at most 6 months old"]
    assert rows["biopsy"]["when"] == ["an explanation"]
    assert rows["biopsy"]["severity"] == "review"
    assert rows["no-cover"]["unless"] == rows["no-cover"]["presumed"] == ["the contract covers it"]


@pytest.mark.parametrize(
    ("dos", "more", "certainty"),
    [
        ("2030-01-31", {}, None),
        ("2030-02-01", {}, "maybe"),
        ("2030-02-27", {}, "maybe"),
        ("2030-02-28", {}, "certain"),
        ("2030-02-28", {"setting": "inpatient"}, "certain"),
        ("2030-02-28", {"setting": "outpatient"}, None),
        ("2030-02-28", {"product": "axi-cel"}, None),
        ("2030-02-28", {"product": "CAR-T product"}, None),
    ],
)
def test_only_what_is_in_scope_on_the_day(
    summit: Register, dos: str, more: dict[str, str], certainty: str | None
) -> None:
    given = {"payer": "summit", "dos": dos, "product": "Kymriah"} | more
    rows = wanted(ask(summit, "prior-authorization", **given))
    assert ("biopsy" in rows) == (certainty is not None)
    assert certainty is None or rows["biopsy"]["certainty"] == certainty


def test_neither_claims_nor_recommendations_are_asked_for(summit: Register) -> None:
    rows = wanted(ask(summit, "prior-authorization", payer="summit", dos="2030-03-01"))
    assert not {"KX-for-Summit", "guideline-A", "guideline-ungraded"} & set(rows)


@pytest.mark.parametrize(("lob", "named_here"), [("Medicare HMO", True), ("Commercial", False), (None, True)])
def test_a_line_of_business_that_the_payer_offers(summit: Register, lob: str | None, named_here: bool) -> None:
    given = {"payer": "summit", "dos": "2030-03-01"} | ({"lob": lob} if lob else {})
    assert ("medicare-decides" in wanted(ask(summit, "prior-authorization", **given))) == named_here


def test_what_wellcare_wants_documented(register: Register) -> None:
    rows = wanted(ask(register, "prior-authorization", payer="WellCare of North Carolina", dos="2025-09-20"))
    assert rows["hiv-serology"]["limits"] == ["HIV serology: less than 3 months old"]
    assert " or " in rows["hiv-serology"]["requires"][0]
    assert statements(rows["hiv-serology"]) >= {"wellcare.doc.C"}
    assert rows["bone-marrow-biopsy"]["limits"] == ["bone marrow biopsy: at most 6 months old"]
    assert {row["policy"] for row in rows.values()} >= {f"{ROOT}policy/wellcare-nc/wnc-cp-192"}


@pytest.mark.parametrize(("dos", "there"), [("2026-04-14", False), ("2026-04-15", True)])
def test_excellus_asks_from_its_first_day(register: Register, dos: str, there: bool) -> None:
    given = {"payer": "Excellus BCBS", "dos": dos, "setting": "inpatient"}
    rows = wanted(ask(register, "prior-authorization", **given))
    assert ("performance-status" in rows) == ("inpatient-explained" in rows) == there
    outpatient = wanted(ask(register, "prior-authorization", **given | {"setting": "outpatient"}))
    assert "inpatient-explained" not in outpatient


@pytest.mark.parametrize(("known", "there"), [("2025-12-17", False), ("2025-12-18", True)])
def test_what_excellus_asks_was_not_known_before(register: Register, known: str, there: bool) -> None:
    rows = wanted(ask(register, "prior-authorization", known, payer="excellus", dos="2026-05-01"))
    assert ("performance-status" in rows) == there


# --- Which policy governs ---------------------------------------------------------------------------------------------


def standing(answer: Answer, policy: str) -> Any:
    found = {(row["standing"], row["in_force"]) for row in answer if row["policy"].endswith(policy)}
    assert len(found) <= 1, "one standing, whatever the reasons"
    return found.pop() if found else None


def reasons(answer: Answer, policy: str) -> dict[str, Any]:
    return {
        named(row["provision"]): row
        for row in answer
        if row["policy"].endswith(policy) and row["provision"] is not None
    }


@pytest.mark.parametrize(
    ("lob", "dos", "expected"),
    [
        ("Commercial", "2030-01-31", ("not in force", "no")),
        ("Commercial", "2030-02-01", ("governs, as presumed", "certain")),
        ("NY Medicaid", "2030-02-01", ("may give way", "certain")),
        ("Medicare HMO", "2030-02-01", ("gives way", "certain")),
        ("Medicare HMO", "2030-12-31", ("gives way", "certain")),
        ("Medicare HMO", "2031-01-01", ("governs, as presumed", "certain")),
    ],
)
def test_a_deferral_is_as_sure_as_its_conditions(
    summit: Register, lob: str, dos: str, expected: tuple[str, str]
) -> None:
    assert standing(ask(summit, "governing-policy", payer="summit", lob=lob, dos=dos), "/plan") == expected


def test_each_reason_has_its_conditions_and_its_sentence(summit: Register) -> None:
    found = reasons(ask(summit, "governing-policy", payer="summit", lob="NY Medicaid", dos="2030-02-01"), "/plan")
    assert {name: row["role"] for name, row in found.items()} == {
        "approval-first": "gate",
        "medicaid-may-decide": "deferral",
        "no-cover": "deferral",
    }
    assert found["medicaid-may-decide"]["when"] == ["Medicaid has criteria", "the contract covers it"]
    assert found["medicaid-may-decide"]["presumed"] == ["the contract covers it"]
    assert found["no-cover"]["unless"] == ["the contract covers it"]
    assert all(statements(row) == {"summit.defers"} for row in found.values())
    assert found["no-cover"]["cites"][0]["ambiguity"] == "Which other rules is not said."


def test_a_notice_says_why_a_policy_is_not_in_force(summit: Register) -> None:
    found = reasons(ask(summit, "governing-policy", payer="summit", lob="Commercial", dos="2030-01-31"), "/plan")
    assert {name: row["because"] for name, row in found.items()} == {"not-yet": "Plan 9 begins in February 2030"}


def test_nobody_knew_of_the_plan(summit: Register) -> None:
    given = {"payer": "summit", "lob": "Commercial", "dos": "2030-02-01"}
    assert standing(ask(summit, "governing-policy", "2030-01-09", **given), "/plan") is None
    assert standing(ask(summit, "governing-policy", "2030-01-10", **given), "/plan") == (
        "governs, as presumed",
        "certain",
    )


@pytest.mark.parametrize(
    ("lob", "expected", "why"),
    [
        ("Commercial", "governs, as presumed", {"contract-does-not-cover"}),
        ("Essential Plan", "governs, as presumed", {"contract-does-not-cover"}),
        ("NY Medicaid", "may give way", {"contract-does-not-cover", "medicaid-by-emedny"}),
        ("Medicare HMO", "gives way, as presumed", {"contract-does-not-cover", "medicare-by-coverage-decision"}),
        (
            "HMO-DSNP",
            "gives way, as presumed",
            {"medicare-by-coverage-decision", "dsnp-by-emedny", "dsnp-not-covered-at-all"},
        ),
    ],
)
def test_what_governs_at_excellus(register: Register, lob: str, expected: str, why: set[str]) -> None:
    answer = ask(register, "governing-policy", payer="excellus", lob=lob, dos="2026-04-15")
    assert standing(answer, "/7.02.11") == (expected, "certain")
    found = reasons(answer, "/7.02.11")
    assert {name for name, row in found.items() if row["role"] == "deferral"} == why
    assert {row["because"] for row in found.values() if row["role"] == "gate"}
    assert all(row["cites"] for row in found.values())
    before = ask(register, "governing-policy", payer="excellus", lob=lob, dos="2026-04-14")
    assert standing(before, "/7.02.11") == ("not in force", "no")


def test_what_governs_medicare(register: Register) -> None:
    answer = ask(register, "governing-policy", payer="medicare", lob="Medicare Part B", dos="2025-06-25")
    assert standing(answer, "/ncd-110.24") == ("governs", "certain")
    assert not reasons(answer, "/ncd-110.24")


# --- Two payers -------------------------------------------------------------------------------------------------------


def test_two_payers_side_by_side(summit: Register) -> None:
    given = {"code": "38228", "payer": "medicare", "other": "summit", "setting": "outpatient"}
    rows = ask(summit, "payer-differences", **given, dos="2030-02-01")
    theirs = {named(row["provision"]): row for row in rows if row["payer_label"] == "Summit Health"}
    assert theirs["KX-for-Summit"]["requires"] == ["modifier KX"]
    assert statements(theirs["KX-for-Summit"]) == {"summit.plan"}
    assert {row["payer_label"] for row in rows} == {"Medicare", "Summit Health"}
    turned = ask(summit, "payer-differences", **given | {"payer": "summit", "other": "medicare"}, dos="2030-02-01")
    assert {(row["payer_label"], row["provision"]) for row in turned} == {
        (row["payer_label"], row["provision"]) for row in rows
    }


@pytest.mark.parametrize(("dos", "kx"), [("2025-06-25", True), ("2025-06-26", False)])
def test_kx_sets_medicare_apart_until_its_last_day(register: Register, dos: str, kx: bool) -> None:
    given = {"code": "38228", "payer": "medicare", "other": "wellcare-nc", "setting": "outpatient", "dos": dos}
    rows = ask(register, "payer-differences", **given)
    medicare = {named(row["provision"]) for row in rows if row["payer_label"] == "Medicare"}
    assert ("kx-on-administration" in medicare) == kx
    assert all(row["cites"] for row in rows)


def test_what_binds_both_is_left_out(register: Register) -> None:
    given = {"code": "0540T", "payer": "medicare", "setting": "outpatient", "dos": "2025-01-01"}
    rows = {named(row["provision"]) for row in ask(register, "payer-differences", **given, other="wellcare-nc")}
    both = {named(row["provision"]) for row in ask(register, "requirements", **given)}
    assert "code-valid" in both - rows
    assert len(ask(register, "payer-differences", **given, other="medicare")) == 0


# --- Versions, reviews, guidelines, related documents -----------------------------------------------------------------


def in_force(answer: Answer, policy: str) -> dict[str, str]:
    return {named(row["version"]): row["in_force"] for row in answer if row["policy"].endswith(policy)}


@pytest.mark.parametrize(
    ("dos", "expected"),
    [
        ("2021-04-30", {}),
        ("2021-05-01", {"2021-05": "maybe"}),
        ("2021-05-31", {"2021-05": "certain"}),
        ("2021-11-01", {"2021-05": "maybe", "2021-11": "maybe"}),
        ("2021-11-30", {"2021-11": "certain"}),
        ("2022-06-01", {"2021-11": "certain"}),
        ("2022-10-31", {"2021-11": "certain"}),
        ("2022-11-01", {"2021-11": "maybe", "2022-11": "maybe"}),
        ("2022-11-30", {"2022-11": "certain"}),
        ("2024-08-31", {"2024-08": "certain"}),
    ],
)
def test_wellcares_version_in_force(register: Register, dos: str, expected: dict[str, str]) -> None:
    assert in_force(ask(register, "version-in-force", payer="wellcare-nc", dos=dos), "/wnc-cp-192") == expected


def test_the_version_in_force_says_when_it_was_reviewed_and_approved(register: Register) -> None:
    (row,) = ask(register, "version-in-force", "2026-05-01", payer="WellCare of North Carolina", dos="2022-06-01")
    assert (row["reviewed"], row["approved"]) == ("2021-10-01/2021-10-31", "2021-11-01/2021-11-30")
    assert "wellcare.rev.1121.dates" in statements(row)
    assert "wellcare.rev.1122" not in statements(row)


@pytest.mark.parametrize(
    ("dos", "known", "version"),
    [
        ("2025-06-25", None, "2021-07-20"),
        ("2025-06-26", None, "2025-12-09"),
        ("2025-07-01", "2025-12-12", "2025-12-09"),
        ("2025-07-01", "2025-12-08", "2021-07-20"),
        ("2020-06-01", None, "2021-07-20"),
        ("2020-06-01", "2020-06-01", "2019-08-07"),
    ],
)
def test_a_version_may_hold_from_before_it_was_published(
    register: Register, dos: str, known: str | None, version: str
) -> None:
    answer = ask(register, "version-in-force", known, payer="medicare", dos=dos)
    assert in_force(answer, "/ncd-110.24") == {version: "certain"}


def test_between_its_publications_a_version_may_be_in_force(register: Register) -> None:
    answer = ask(register, "version-in-force", "2025-12-10", payer="medicare", dos="2025-07-01")
    assert in_force(answer, "/ncd-110.24") == {"2021-07-20": "maybe", "2025-12-09": "maybe"}


@pytest.mark.parametrize(("dos", "version"), [("2022-09-30", "2020-10-01"), ("2022-10-01", "2022-10-01")])
def test_ms_drg_versions(register: Register, dos: str, version: str) -> None:
    answer = ask(register, "version-in-force", payer="medicare", dos=dos)
    assert in_force(answer, "/ms-drg-018") == {version: "certain"}


@pytest.mark.parametrize(
    ("dos", "known", "expected"),
    [
        ("2026-04-14", None, {}),
        ("2026-04-15", None, {"2026-01-07": "certain"}),
        ("2026-04-15", "2026-01-06", {"2025-12-18": "certain"}),
        ("2026-04-15", "2026-01-07", {"2026-01-07": "certain"}),
        ("2026-04-15", "2025-12-17", {}),
    ],
)
def test_an_edit_begins_with_its_policy(
    register: Register, dos: str, known: str | None, expected: dict[str, str]
) -> None:
    assert in_force(ask(register, "version-in-force", known, payer="excellus", dos=dos), "/7.02.11") == expected


def test_the_list_of_policies_has_reviews_and_approvals(register: Register, summit: Register) -> None:
    rows = {named(row["version"]): row for row in summit.ask("policies") if row["policy"].endswith("summit/plan")}
    assert rows["2030-01"]["reviewed"] == "2029-12-01/2029-12-31"
    assert rows["2030-01"]["approved"] == "2030-01-01/2030-01-31"
    assert rows["2030-01"]["next_review"] == "2031-06-01/2031-06-30"
    assert rows["2030-03-01"]["reviewed"] is None
    versions = [row["version"] for row in register.ask("policies")]
    assert len(versions) == len(set(versions)), "a row for each version"
    excellus = {named(row["version"]): row for row in register.ask("policies") if "7.02.11" in row["policy"]}
    assert excellus["2025-12-18"]["approved"] == "2025-12-18"
    assert excellus["2025-12-18"]["next_review"] == "2027-12-01/2027-12-31"


@pytest.mark.parametrize(
    ("by", "known", "expected"),
    [
        ("2031-05-31", "2030-02-28", None),
        ("2031-06-01", "2030-02-28", ("may be due", "2031-06-01/2031-06-30", "2029-12-01/2029-12-31")),
        ("2031-06-29", "2030-02-28", ("may be due", "2031-06-01/2031-06-30", "2029-12-01/2029-12-31")),
        ("2031-06-30", "2030-02-28", ("due", "2031-06-01/2031-06-30", "2029-12-01/2029-12-31")),
        ("2031-05-31", "2030-03-01", ("next review not stated", None, "unknown")),
    ],
)
def test_a_review_within_a_month_may_be_due(
    summit: Register, by: str, known: str, expected: tuple[str, str, str] | None
) -> None:
    rows = {row["policy"]: row for row in ask(summit, "reviews-due", known, by=by)}
    row = rows.get(f"{ROOT}policy/summit/plan")
    assert (row and (row["standing"], row["next_review"], row["last_review"])) == expected


@pytest.mark.parametrize(("by", "due"), [("2027-11-30", None), ("2027-12-01", "may be due"), ("2027-12-31", "due")])
def test_excellus_is_reviewed_in_december(register: Register, by: str, due: str | None) -> None:
    rows = {named(row["policy"]): row for row in ask(register, "reviews-due", by=by)}
    assert rows.get("7.02.11", {"standing": None})["standing"] == due
    wellcare = rows["wnc-cp-192"]
    assert (wellcare["standing"], wellcare["last_review"]) == ("next review not stated", "unknown")
    assert "wellcare.lastreview" in statements(wellcare)


def test_guidelines_give_direction_and_grade(summit: Register) -> None:
    rows = {named(row["provision"]): row for row in ask(summit, "guidelines", policy="plan 9 (summit)")}
    assert {name: (row["direction"], row["grade"]) for name, row in rows.items()} == {
        "guideline-A": ("for", "A"),
        "guideline-ungraded": ("no position", "ungraded"),
    }
    assert rows["guideline-A"]["patients"] == ["an explanation"]
    assert rows["guideline-ungraded"]["diseases_and_therapies"] == ["CAR-T therapy"]
    assert all(statements(row) == {"summit.plan"} for row in rows.values())


@pytest.mark.parametrize(
    ("about", "found"),
    [
        ("grade a", {"guideline-A"}),
        ("UNGRADED", {"guideline-ungraded"}),
        ("explanation", {"guideline-A"}),
        ("early", {"guideline-A"}),
        ("therap", {"guideline-ungraded"}),
        ("nothing of the kind", set()),
    ],
)
def test_guidelines_by_a_word(summit: Register, about: str, found: set[str]) -> None:
    rows = ask(summit, "guidelines", policy="plan 9 (summit)", about=about)
    assert {named(row["provision"]) for row in rows} == found


def test_guidelines_that_excellus_reports(register: Register) -> None:
    rows = list(ask(register, "guidelines", policy="7.02.11"))
    grades = {cite: (row["direction"], row["grade"]) for row in rows for cite in statements(row)}
    assert grades["excellus.gl.dlbcl.1"] == ("for", "A")
    assert grades["excellus.gl.dlbcl.2"] == ("for", "A")
    assert grades["excellus.gl.dlbcl.3"] == ("for", "B")
    assert grades["excellus.gl.dlbcl.4"][1] == "B"
    assert grades["excellus.gl.mm.1"] == ("no position", "ungraded")
    assert grades["excellus.gl.fl.3"] == ("for considering", "ungraded")
    assert grades["excellus.gl.cll.3"] == ("for", "ungraded")
    lymphoma = ask(register, "guidelines", about="follicular")
    assert {cite for row in lymphoma for cite in statements(row)} >= {f"excellus.gl.fl.{n}" for n in (1, 2, 3, 4, 5)}
    assert not {cite for row in lymphoma for cite in statements(row) if "dlbcl" in cite}


@pytest.mark.parametrize(("known", "there"), [("2030-02-28", False), ("2030-03-01", True), (None, True)])
def test_a_document_is_related_once_it_is_named(summit: Register, known: str | None, there: bool) -> None:
    rows = ask(summit, "related-documents", known, policy="Plan 9 (Summit)")
    assert [(row["label"], row["seen"]) for row in rows] == ([("Summit manual", "no")] if there else [])
    references = ask(summit, "references", known, source="Summit plan 9")
    assert [row["label"] for row in references] == [row["label"] for row in rows]


@pytest.mark.parametrize(("known", "there"), [("2026-01-06", False), ("2026-01-07", True)])
def test_ap_29_is_related_since_january(register: Register, known: str, there: bool) -> None:
    rows = list(ask(register, "related-documents", known, policy="7.02.11"))
    cited = {cite for row in rows for cite in statements(row)}
    assert "excellus.rel.ph103" in cited
    assert ("excellus.rel.ap29" in cited) == there
    assert ("Excellus AP-29" in {row["label"] for row in rows}) == there
    references = ask(register, "references", known, source="Excellus 7.02.11")
    assert ("Excellus AP-29" in {row["label"] for row in references}) == there
    assert all(row["cites"] for row in references)


def test_references_of_a_source(register: Register) -> None:
    rows = {row["label"]: row for row in ask(register, "references", source="Excellus 7.02.11")}
    assert statements(rows["Pasqui 2022"]) >= {"excellus.ref4.pasqui"}
    assert statements(rows["NICE TA933"]) == {"excellus.ref4.tisdlbcl", "excellus.ref4.tisdlbcl.d"}


def test_what_the_documents_say(register: Register) -> None:
    rows = {named(row["statement"]): row for row in ask(register, "statements", about="apc 5694")}
    assert set(rows) == {"astct.opps.apc"}
    assert rows["astct.opps.apc"]["used_by"]
    everywhere = {named(row["statement"]) for row in ask(register, "statements", about="rems")}
    there = {named(row["statement"]) for row in ask(register, "statements", about="rems", source="MM14204")}
    assert there and there == {name for name in everywhere if name.startswith("mm14204.")}
    assert len(ask(register, "statements", about="no such words")) == 0


def test_the_inpatient_codes_of_a_product_as_known_then(register: Register) -> None:
    rows = [
        row for row in ask(register, "product-codes", "2025-05-01", product="obe-cel") if row["system"] == "ICD-10-PCS"
    ]
    assert [row["notation"] for row in rows] == ["XW0338A", "XW0438A"]
    assert all("astct.pcs.8a.d" in statements(row) for row in rows)
