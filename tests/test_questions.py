"""Each question of ``queries/``: it runs as pasted anywhere, and says what the sources say."""

from __future__ import annotations

from datetime import date

import pyoxigraph
import pytest
from rdflib import Graph

from chartulary.errors import ChartularyError
from chartulary.register import Register, data_folder

QUESTIONS = sorted(path.stem for path in data_folder("queries").glob("*.rq"))


@pytest.fixture(scope="module")
def store(register: Register) -> pyoxigraph.Store:
    return register.snapshot().store


@pytest.mark.parametrize("name", QUESTIONS)
def test_it_runs_as_it_stands(name: str, register: Register, store: pyoxigraph.Store) -> None:
    text = register.queries[name].text
    answers = store.query(text)
    assert isinstance(answers, pyoxigraph.QuerySolutions)
    assert len(list(answers)) > 0
    assert "ORDER BY" in text


@pytest.mark.parametrize("name", ["requirements", "code-history", "what-changed"])
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
