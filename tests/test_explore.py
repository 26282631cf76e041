"""The editor for queries and the API's pages: what a person gets, with a script or without."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from service import kept

from chartulary import markup
from chartulary.service.app import create_app
from chartulary.service.settings import Settings

__all__ = ["kept"]

QUERIES = Path(__file__).parents[1] / "queries"
LABELS = "PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#> SELECT ?thing ?label { ?thing rdfs:label ?label }"


@pytest.fixture(scope="module")
def client(kept: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(replace(kept, query_workers=1)), base_url="http://localhost") as client:
        yield client


def run(client: TestClient, query: str, **more: str) -> Any:
    return client.get("/explore/sparql", params={"query": query, **more})


def written(page: str) -> str:
    """What stands in the editor."""
    found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
    assert found
    return unescape(found[1])


def cells(page: str) -> list[list[str]]:
    """The rows of the answer."""
    rows = re.findall(r"<tr>(.*?)</tr>", page.partition("<tbody>")[2], re.DOTALL)
    return [[unescape(re.sub("<[^>]+>", "", cell)) for cell in re.findall("<td>(.*?)</td>", row)] for row in rows]


# --- The editor -------------------------------------------------------------------------------------------------------


def test_it_begins_with_a_query_that_runs(client: TestClient) -> None:
    page = client.get("/explore/sparql").text
    assert "<h2>" not in page
    again = run(client, written(page))
    assert again.status_code == 200 and cells(again.text)


@pytest.mark.parametrize("name", sorted(path.stem for path in QUERIES.glob("*.rq")))
def test_each_question_of_the_library_runs_as_it_stands(client: TestClient, name: str) -> None:
    assert f'href="/explore/sparql?question={name}#answer"' in client.get("/explore/sparql").text
    answer = client.get("/explore/sparql", params={"question": name})
    assert answer.status_code == 200
    assert written(answer.text) == (QUERIES / f"{name}.rq").read_text()
    assert re.search(r"<h2>\s*[\d,]+ rows?\s", answer.text)
    # Sent back by the editor, it keeps its short address.
    again = client.post("/explore/sparql", data={"query": written(answer.text).replace("\n", "\r\n")})
    assert f'data-link="/explore/sparql?question={name}"' in again.text


def test_rows_link_to_things_of_the_register(client: TestClient) -> None:
    answer = run(
        client, 'SELECT * { BIND (<https://w3id.org/chartulary/code/cpt/38228> AS ?code) BIND ("x" AS ?text) }'
    )
    assert cells(answer.text) == [["cpt:38228", "x"]]
    assert '<a href="/code/cpt/38228" class="code">' in answer.text
    made_up = run(client, 'SELECT (IRI("javascript:alert(1)") AS ?x) (IRI("http://example.org/a?b") AS ?y) {}')
    assert 'href="javascript' not in made_up.text
    assert '<a href="http://example.org/a?b"' in made_up.text


def test_what_is_not_there_is_an_empty_cell(client: TestClient) -> None:
    assert cells(run(client, "SELECT ?a ?b { VALUES (?a ?b) { (1 UNDEF) } }").text) == [["1", ""]]
    none = run(client, "SELECT ?a { ?a a <urn:nothing> }").text
    assert "0 rows" in none and "The register holds nothing on this." in none


def test_long_answers_are_cut_and_say_so(client: TestClient) -> None:
    answer = run(client, LABELS)
    assert len(cells(answer.text)) == 200
    total = int(re.search(r"<h2>\s*([\d,]+) rows", answer.text)[1].replace(",", ""))  # type: ignore[index]
    assert total > 1000 and "Here are the first 200; the download has all of them." in answer.text


def test_yes_no_and_graphs(client: TestClient) -> None:
    assert re.search(r"<h2>\s*Yes\s", run(client, "ASK { ?a ?b ?c }").text)
    assert re.search(r"<h2>\s*No\s", run(client, "ASK { ?a a <urn:nothing> }").text)
    graph = run(client, 'CONSTRUCT { <urn:a> <urn:b> "<c>" } {}').text
    assert "&lt;urn:a&gt; &lt;urn:b&gt; &#34;&lt;c&gt;&#34; ." in graph
    assert "The graph is empty." in run(client, "CONSTRUCT { ?a ?a ?a } { ?a a <urn:nothing> }").text


def test_as_known_on_is_heeded(client: TestClient) -> None:
    query = "PREFIX pol: <https://w3id.org/chartulary/def/policy#> SELECT ?version { ?version a pol:PolicyVersion }"
    all_of_it = run(client, query)
    before = run(client, query, **{"as-known-on": "2025-09-01"})
    assert 0 < len(cells(before.text)) < len(cells(all_of_it.text))
    assert "as known on 2025-09-01" in before.text
    assert before.headers["Chartulary-As-Known-On"] == "2025-09-01"
    assert "as-known-on=2025-09-01" in re.search('data-link="([^"]*)"', before.text)[1]  # type: ignore[index]
    wrong = run(client, query, **{"as-known-on": "soon"})
    assert wrong.status_code == 400 and "this is not a day" in wrong.text


def test_a_fault_is_told_with_its_place(client: TestClient) -> None:
    query = "SELECT ?a\nWHERE { ?a ?b ?c ) }"
    answer = run(client, query)
    assert answer.status_code == 400
    assert written(answer.text) == query
    assert re.search(r'role="alert" data-line="2" data-column="18">Line 2, column 18: ', answer.text)
    for refused in ("SELECT * { SERVICE <http://example.org/> { ?a ?b ?c } }", "DROP ALL"):
        assert run(client, refused).status_code == 400
    unknown = client.get("/explore/sparql", params={"question": "nothing"})
    assert unknown.status_code == 404 and "error" in unknown.json()


def test_a_long_query_has_no_address(client: TestClient) -> None:
    long = "ASK {}" + " #" * 3000
    answer = client.post("/explore/sparql", data={"query": long})
    assert 'data-link="/explore/sparql"' in answer.text and "Yes" in answer.text
    assert "query=ASK" in run(client, "ASK {}").text


def test_a_query_is_never_markup(client: TestClient) -> None:
    evil = '</textarea><script>alert(1)</script>"><img src=x>'
    for answer in (
        run(client, evil),
        run(client, "ASK {}", **{"as-known-on": evil}),
        run(client, f"SELECT ({json.dumps(evil)} AS ?x) {{}}"),
        run(client, f"CONSTRUCT {{ <urn:a> <urn:b> {json.dumps(evil)} }} {{}}"),
    ):
        assert "<script>" not in answer.text and "<img src=x" not in answer.text


@pytest.mark.parametrize(
    ("query", "form", "media", "begins"),
    [
        (LABELS + " LIMIT 2", "csv", "text/csv", "thing,label\r\n"),
        (LABELS + " LIMIT 2", "json", "application/sparql-results+json", '{"head":{"vars":["thing","label"]}'),
        ("CONSTRUCT { <urn:a> <urn:b> 1 } {}", "ttl", "text/turtle", "<urn:a> <urn:b> 1 ."),
        ("CONSTRUCT { <urn:a> <urn:b> 1 } {}", "nt", "application/n-triples", "<urn:a> <urn:b> "),
        ("CONSTRUCT { <urn:a> <urn:b> 1 } {}", "jsonld", "application/ld+json", "[{"),
    ],
)
def test_answers_are_downloaded(client: TestClient, query: str, form: str, media: str, begins: str) -> None:
    answer = client.post("/explore/download", data={"query": query, "form": form})
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == media
    assert answer.headers["content-disposition"] == f'attachment; filename="answer.{form}"'
    assert answer.text.startswith(begins)


def test_a_download_that_cannot_be_is_refused(client: TestClient) -> None:
    for data in ({"query": "ASK {}", "form": "exe"}, {"query": "?", "form": "csv"}, {"query": "ASK {}", "form": "ttl"}):
        answer = client.post("/explore/download", data=data)
        assert answer.status_code in (400, 406) and "error" in answer.json()


# --- Terms to complete ------------------------------------------------------------------------------------------------


def test_terms_have_names_and_labels(client: TestClient) -> None:
    prefixes = client.get("/explore/terms").json()["prefixes"]
    assert prefixes["pol"] == "https://w3id.org/chartulary/def/policy#"
    found: dict[str, dict[str, str]] = {}
    for prefix in prefixes:
        told = client.get("/explore/terms", params={"prefix": f"{prefix}:"}).json()
        assert told["iri"] == prefixes[prefix]
        found[prefix] = {term["name"]: term["label"] for term in told["terms"]}
    assert found["pol"]["Provision"] == "provision"
    assert found["pol"]["possibleFrom"]
    assert "38228" in found["cpt"]
    assert found["stmt"]["mm14204.kx.removed"]
    assert "label" in found["rdfs"] and "type" in found["rdf"] and "date" in found["xsd"]
    assert not any(re.search(r"[/#\s]", name) for names in found.values() for name in names)
    assert client.get("/explore/terms", params={"prefix": "nothing"}).status_code == 404


# --- The API's own pages ----------------------------------------------------------------------------------------------


def test_the_api_can_be_read_offline(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    # Swagger UI styles by style attributes; nothing else of the policy is wider than that of other pages.
    assert page.headers["Content-Security-Policy"] == client.get("/check").headers["Content-Security-Policy"].replace(
        "default-src 'self';", "default-src 'self'; style-src 'self' 'unsafe-inline';"
    )
    assert "//" not in re.sub(r"<!.*?>", "", page.text)
    needed = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    assert any("swagger" in path for path in needed)
    for path in (*needed, "/openapi.json"):
        assert client.get(path).status_code == 200


def test_no_page_has_a_script_or_style_of_its_own(client: TestClient) -> None:
    for path in ("/check", "/explore/sparql", "/explore/sparql?question=policies", "/docs"):
        page = client.get(path).text
        assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=", page), path


def test_scripts_are_ours_and_make_no_markup() -> None:
    for script in markup.STATIC.glob("*.js"):
        text = script.read_text()
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://", text
        )
