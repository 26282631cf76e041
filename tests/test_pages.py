"""Pages of the service: Ask and its timeline, the policies, and every IRI of the register at its own path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pyoxigraph
import pytest
from rdflib import Graph, URIRef
from starlette.testclient import TestClient

from chartulary import question
from chartulary.book import Contents
from chartulary.service import asking
from chartulary.service.app import Service, create_app
from chartulary.service.settings import Settings
from chartulary.snapshot import LAST_DAY
from chartulary.terms import POL, ROOT, SKOS, TYPE
from chartulary.wording import dated

ARTICLE = "/policy/medicare/ncd-110.24/2025-12-09"
KX = "/ask?code=KX&payer=medicare"
RDF = {
    "text/turtle": pyoxigraph.RdfFormat.TURTLE,
    "application/n-triples": pyoxigraph.RdfFormat.N_TRIPLES,
    "application/ld+json": pyoxigraph.RdfFormat.JSON_LD,
    "application/rdf+xml": pyoxigraph.RdfFormat.RDF_XML,
}
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def client() -> TestClient:
    """Not entered: nothing here needs the processes that answer SPARQL."""
    return TestClient(create_app(Settings()), base_url="http://127.0.0.1", headers=HTML, follow_redirects=False)


@pytest.fixture(scope="module")
def service(client: TestClient) -> Service:
    state: Service = client.app.state.service  # type: ignore[attr-defined]
    return state


class Page(HTMLParser):
    """What a page says and links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.faults: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in ("a", "span", "small", "strong", "code"):
            self.words += " "
        if tag in ("a", "link", "script", "img") and (to := given.get("href") or given.get("src")):
            self.links.append(to)
        if name := given.get("id"):
            self.ids.append(name)
        if "style" in given or tag == "style" or any(name.startswith("on") for name in given):
            self.faults.append(f"inline style or script: {tag} {given}")
        if tag == "script" and not given.get("src"):
            self.faults.append("inline script")

    def handle_data(self, data: str) -> None:
        self.words += data


def read(client: TestClient, path: str, status: int = 200) -> Page:
    answer = client.get(path)
    assert answer.status_code == status, f"{path}: {answer.status_code} {answer.text[:200]}"
    assert answer.headers["content-type"].startswith("text/html")
    page = Page(answer.text)
    assert not page.faults
    assert len(page.ids) == len(set(page.ids)), f"{path}: {[n for n in page.ids if page.ids.count(n) > 1][:3]}"
    page.words = " ".join(page.words.split())
    return page


# --- Ask --------------------------------------------------------------------------------------------------------------


def test_a_modifier_that_is_no_longer_asked_is_said_first_with_who_says_so(client: TestClient) -> None:
    words = read(client, f"{KX}&dos=2025-07-12").words
    beginning = words[: words.index("What had ended by")]
    assert "On 12 July 2025, under Medicare" in beginning
    assert "No rules that name modifier KX ask anything" in beginning
    assert "KX is no longer required on CAR-T claims, for services from 26 June 2025" in beginning
    assert "Published 9 to 12 December 2025" in beginning
    assert "“The KX modifier on Medicare Part B claims for CAR T-cell therapy” MM14204, Action Needed" in beginning


def test_the_day_before_it_was_asked(client: TestClient) -> None:
    words = read(client, f"{KX}&dos=2025-06-25").words
    assert "no longer asked" not in words
    assert "The administration line carries KX" in words[: words.index("What is asked")]
    assert "Ends for services from 26 June 2025: KX is no longer required on CAR-T claims" in words


def test_the_day_before_it_was_published_nobody_knew(client: TestClient) -> None:
    words = read(client, f"{KX}&dos=2025-07-12&as-known-on=2025-12-08").words
    assert "no longer asked" not in words
    assert "The administration line carries KX" in words
    assert "as known on 8 December 2025" in words


def test_between_the_two_publications_it_is_maybe_known(client: TestClient) -> None:
    words = read(client, f"{KX}&dos=2025-07-12&as-known-on=2025-12-10").words
    assert "no longer asked maybe KX is no longer required" in words
    assert "asked maybe The administration line carries KX" in words


def test_a_change_of_which_only_bounds_are_known_is_maybe_between_them(client: TestClient) -> None:
    path = "/ask?code=38228&payer=wellcare-nc&request=prior-authorization&dos="
    during, after = (read(client, f"{path}{day}").words for day in ("2025-03-01", "2025-06-26"))
    label = "A REMS facility is needed only for products under a REMS"
    assert f"no longer asked maybe {label}, for services from some day of 1 September 2024 to 26 June 2025" in during
    assert f"no longer asked {label}" in after


def test_what_names_the_code_comes_before_what_reaches_it_through_a_group(client: TestClient) -> None:
    words = read(client, "/ask?code=38228&payer=medicare&setting=outpatient&dos=2025-07-12").words
    changes = ("KX is no longer required", "A REMS facility is no longer required", "The code is valid on its date")
    places = [words.index(text) for text in changes]
    assert places == sorted(places)
    assert "7 notices" in words


def test_the_answer_is_that_of_the_question(client: TestClient, service: Service) -> None:
    page = read(client, "/ask?code=38228&payer=medicare&setting=outpatient&dos=2024-12-31")
    rows = service.ask(
        "requirements", None, {"code": "38228", "payer": "medicare", "setting": "outpatient", "dos": "2024-12-31"}
    ).results
    assert len(rows) > 5
    for row in rows:
        assert row["label"] in unescape(page.words)
        assert "/" + row["provision"].removeprefix(ROOT) in page.links


@pytest.mark.parametrize("product", ["obe-cel", "Obecabtagene autoleucel"])
def test_a_product_is_asked_about_by_its_codes(client: TestClient, product: str) -> None:
    words = read(client, f"/ask?code={product}&payer=wellcare-nc&dos=2025-06-01").words
    assert "obecabtagene autoleucel" in words.lower()
    assert re.search(r"rules? asks? something of", words)


def test_nothing_is_not_permission(client: TestClient) -> None:
    words = read(client, "/ask?code=90&payer=excellus&dos=2025-07-12").words
    assert "The register holds nothing on this. That is not to say that nothing applies." in words


@pytest.mark.parametrize(
    ("query", "field", "reason"),
    [
        ("code=38229&payer=medicare", "code", "no code or product “38229”; did you mean “38"),
        ("code=38228", "payer", "choose one"),
        ("payer=medicare", "code", "give a code or a product"),
        ("code=38228&payer=medicar", "payer", "no payer “medicar”; did you mean “medicare”"),
        ("code=38228&payer=medicare&dos=12/7/2025", "dos", "“12/7/2025” is not a day (yyyy-mm-dd)"),
        ("code=38228&payer=medicare&as-known-on=soon", "as-known-on", "“soon” is not a day"),
        ("code=38228&payer=medicare&setting=moon", "setting", "no setting “moon”"),
        ("code=%3Cscript%3E&payer=medicare", "code", "<script>"),
    ],
)
@pytest.mark.parametrize("path", ["/ask", "/timeline"])
def test_what_is_wrong_is_said_at_its_field(client: TestClient, path: str, query: str, field: str, reason: str) -> None:
    answer = client.get(f"{path}?{query}")
    assert answer.status_code == 400
    told = re.search(rf'<p class="wrong" id="{field}-wrong">(.*?)</p>', answer.text)
    assert told and reason in unescape(told[1])
    assert f'aria-describedby="{field}-wrong"' in answer.text
    assert "<script>" not in answer.text


def test_an_empty_form_is_no_fault_and_offers_what_changed(client: TestClient) -> None:
    page = read(client, "/ask")
    assert "KX is no longer required on CAR-T claims for services from 26 June 2025" in page.words
    asked = next(link for link in page.links if "medicare" in link and "2025-06-26" in link)
    assert "had ended" in read(client, asked).words


def test_a_form_shows_what_was_asked(client: TestClient) -> None:
    text = client.get("/ask?code=38228&payer=Medicare&setting=outpatient&dos=2025-07-12&request=claim").text
    for value in ("medicare", "outpatient", "claim"):
        assert f'<option value="{value}" selected>' in text
    assert 'value="2025-07-12"' in text and 'value="38228"' in text


def test_no_stranger_and_no_word_of_the_code_is_offered(client: TestClient, service: Service) -> None:
    contents = service.contents()
    payers = [value for value, _ in question.choices(contents, "payer")]
    assert payers and not {"any", "unrecognised"} & {*payers}
    assert question.choices(contents, "setting")[0][0] == "any"
    assert question.choices(contents, "request")[0][0] == "claim"


# --- Timeline ---------------------------------------------------------------------------------------------------------


def answered(service: Service, **given: str) -> asking.Answered:
    contents = service.contents()
    form = question.read(contents, given, LAST_DAY)
    assert not form.errors
    return asking.Answered(contents, form)


def test_every_rule_is_on_the_timeline_over_its_days(service: Service) -> None:
    told = answered(service, code="38228", payer="medicare", setting="outpatient", dos="2025-07-12")
    rows = {row.label: row for row in told.over_time}
    kx = rows["The administration line carries KX"]
    assert kx.told == "from 2019-08-07 until 2025-06-25"
    assert {row.kind for row in rows.values()} == {"requirement", "change", "notice"}
    # Asked on any other day as well, nothing comes to light that is not there.
    for day in ("2019-08-06", "2021-03-05", "2024-12-31", "2025-06-25", "2026-03-01"):
        again = answered(service, code="38228", payer="medicare", setting="outpatient", dos=day)
        assert {card.label for card in again.cards} <= {*rows}


def test_one_can_move_to_the_change_before_and_after(client: TestClient) -> None:
    page = read(client, "/timeline?code=38228&payer=medicare&dos=2025-07-12")
    days = [link.rpartition("dos=")[2] for link in page.links if link.startswith("/timeline?")]
    assert days == ["2025-06-26", "2025-07-11", "2025-07-13"]
    page = read(client, "/timeline?code=38228&payer=medicare&dos=2025-06-25")
    assert [link.rpartition("dos=")[2] for link in page.links if link.startswith("/timeline?")][-1] == "2025-06-26"


def test_the_chosen_day_is_drawn_in_its_place(client: TestClient) -> None:
    text = client.get(f"/timeline{KX.removeprefix('/ask')}&dos=2025-06-26").text
    line = re.search(r'<line class="day" x1="([\d.]+)%"', text)
    change = re.search(r'<circle class="point starts" cx="([\d.]+)%"', text)
    assert line and change and line[1] == change[1]
    bar = re.search(r'carries KX</a>.*?<rect class="bar certain" x="([\d.]+)%" y="\d+" width="([\d.]+)%"', text, re.S)
    assert bar and float(bar[1]) + float(bar[2]) == pytest.approx(float(change[1]), abs=0.1)
    assert "from 7 August 2019 until 25 June 2025</td>" in text


def test_a_day_far_from_all_others_does_not_press_them_together(client: TestClient) -> None:
    words = read(client, f"{KX}&dos=1970-01-01").words
    assert "1 January 1970 lies outside the picture" in words
    for day in ("0001-01-01", "9999-12-31"):
        assert "outside the picture" in read(client, f"{KX}&dos={day}").words


def test_days_and_intervals_in_words() -> None:
    assert dated("2025-12-09/2025-12-12") == "9 to 12 December 2025"
    assert dated("from 2019-08-07 until 2025-06-25") == "from 7 August 2019 until 25 June 2025"
    assert dated("2024-09-01/2025-06-26") == "1 September 2024 to 26 June 2025"
    assert dated("../2025-04-01") == "by 1 April 2025"
    assert dated("2025-99-99 and 20250-12-09x") == "2025-99-99 and 20250-12-09x"


# --- Other questions --------------------------------------------------------------------------------------------------


def test_each_question_has_a_page(client: TestClient, service: Service) -> None:
    for name, query in service.register.queries.items():
        if name != "requirements":
            assert query.summary in read(client, f"/ask/{name}").words


def test_a_question_is_answered_on_its_page(client: TestClient) -> None:
    page = read(client, "/ask/code-history?code=0540T")
    assert "31 December 2024" in page.words and "38228" in page.words
    page = read(client, "/ask/what-changed?source=MM14204")
    assert f"{ARTICLE}#kx-ends" in page.links
    assert "no code '99999'" in read(client, "/ask/code-history?code=99999", 400).words


def test_the_api_leads_browsers_to_pages(client: TestClient) -> None:
    answer = client.get("/v1/queries/requirements?code=38228&payer=medicare&dos=2025-07-12")
    assert answer.status_code == 303
    second = client.get(answer.headers["location"])
    assert second.headers["location"] == "/ask?code=38228&payer=medicare&dos=2025-07-12"
    assert client.get("/ask/no-such-question").status_code == 404


# --- Policies ---------------------------------------------------------------------------------------------------------


def test_every_policy_and_version_has_a_page(client: TestClient, service: Service) -> None:
    contents = service.contents()
    listed = read(client, "/policies")
    assert len(contents.policies) > 5
    for policy in contents.policies:
        path = "/" + policy.removeprefix(ROOT)
        assert path in listed.links
        page = read(client, path)
        for version in contents.versions(policy):
            assert "/" + version.removeprefix(ROOT) in page.links
            _is_whole(client, contents, version)


def _is_whole(client: TestClient, contents: Contents, version: str) -> None:
    page = read(client, "/" + version.removeprefix(ROOT))
    words = unescape(page.words)
    for kind in (POL.Provision, POL.Amendment):
        for node in contents.inside(version, kind):
            assert node.partition("#")[2] in page.ids
            assert contents.reader.label(node) in words
            for cite in contents.reader.cites(node):
                assert " ".join(cite.quote.split()) in words


def test_a_policy_says_what_changed_what_is_ambiguous_and_what_is_left_out(client: TestClient) -> None:
    words = read(client, "/policy/medicare/ncd-110.24").words
    assert "Not in the register: The sources state the REMS and KX rules only." in words
    assert "The administration line carries KX (from 7 August 2019 until 25 June 2025)" in words
    assert re.search(r"What can be read in two ways: \d\d", words)
    assert re.search(r"What is not encoded, and why: \d\d", words)
    assert re.search(r"MM14204: 33 sentences", words)


# --- Things -----------------------------------------------------------------------------------------------------------

KINDS = (
    *(POL[name] for name in ("Policy", "PolicyVersion", "Statement", "Source", "Scope", "Payer", "LineOfBusiness")),
    *(POL[name] for name in ("Setting", "Request", "Shows", "AllOf", "NumberWithin", "ProposalStatus", "Proposal")),
    *(f"{ROOT}scheme/{name}" for name in ("cpt", "icd-10-cm", "product", "service", "finding", "disease", "event")),
    *(f"{ROOT}def/coding#{name}" for name in ("CodeSystem", "Validity")),
)
OTHERS = (
    "def/policy#Provision",
    "def/claim#Item",
    "def/coding#validity",
    "shape#reports-violation",
    "policy/payers",
    "policy/codes/cpt",
    "policy/medicare/ncd-110.24/policy",
    "policy/medicare/ncd-110.24/2025-12-09#kx-ends",
)


def sample(service: Service) -> Iterator[str]:
    """Two things of each kind, the first and the last, and things that files of the register are not about."""
    facts = service.snapshot(None).facts
    for kind in KINDS:
        found = facts.subjects(TYPE, kind) or facts.subjects(SKOS.inScheme, kind)
        assert found, kind
        yield from dict.fromkeys((found[0], found[-1]))
    yield from (ROOT + name for name in OTHERS)


def test_every_kind_of_thing_is_at_its_own_path(client: TestClient, service: Service) -> None:
    for iri in sample(service):
        path, _, name = iri.removeprefix(ROOT).partition("#")
        page = read(client, f"/{path}")
        assert not name or name in page.ids, iri
        for media, syntax in RDF.items():
            answer = client.get(f"/{path}", headers={"accept": media})
            assert answer.status_code == 200 and answer.headers["content-type"].partition(";")[0] == media
            assert answer.headers["vary"] == "Accept"
            assert f'</{path}>; rel="alternate"; type="text/html"' in answer.headers["link"]
            triples = list(pyoxigraph.parse(answer.content, format=syntax))
            # A file that is no thing of its own still gives all that it holds.
            named = any(triple.subject.value == iri for triple in triples)
            assert named or (service.things.is_file(iri) and len(triples) > 5), f"{iri} as {media}"


@pytest.mark.parametrize("media", RDF)
def test_each_form_says_the_same(client: TestClient, media: str) -> None:
    def told(form: str) -> set[tuple[object, ...]]:
        answer = client.get("/statement/mm14204.kx.removed", headers={"accept": form})
        return {*Graph().parse(data=answer.text, format=form)}

    assert told(media) == told("text/turtle")
    assert len(told(media)) > 6


def test_shapes_keep_what_has_no_name(client: TestClient) -> None:
    turtle = client.get("/shape", headers={"accept": "text/turtle"}).text
    graph = Graph().parse(data=turtle, format="turtle")
    declare = URIRef("http://www.w3.org/ns/shacl#declare")
    prefix = URIRef("http://www.w3.org/ns/shacl#prefix")
    parts = list(graph.objects(URIRef(f"{ROOT}shape"), declare))
    assert parts and all(graph.value(part, prefix) for part in parts)


def test_what_is_nowhere_is_said_in_a_line(client: TestClient) -> None:
    assert "nothing at /statement/nothing" in read(client, "/statement/nothing", 404).words
    answer = client.get("/statement/nothing", headers={"accept": "text/turtle"})
    assert (answer.status_code, answer.json()) == (404, {"error": "the register has nothing of that name"})
    answer = client.get("/statement/mm14204.kx.removed", headers={"accept": "image/png"})
    assert answer.status_code == 406
    for odd in ("/statement/%00", "/statement/%3C%3E", "/code/%F0%9F", "/policy/%20%22", "/policy//", "/def/policy/"):
        assert client.get(odd).status_code == 404
    assert "<i>" not in client.get("/statement/%3Ci%3E").text


def test_things_stand_in_nobodys_way(client: TestClient) -> None:
    assert client.get("/v1/validate").status_code == 405
    assert client.post("/statement/mm14204.kx.removed").status_code == 405
    assert client.get("/no-such-page").status_code == 404
    assert client.head("/statement/mm14204.kx.removed").status_code == 200


# --- Links ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_links_lead_somewhere(client: TestClient, service: Service) -> None:
    begin = ["/ask", f"{KX}&dos=2025-07-12", "/policies", "/policy/excellus/7.02.11", ARTICLE, "/def/policy"]
    waiting, seen, ids = list(begin), set(begin), {}
    found: dict[str, str] = {}
    while waiting:
        path = waiting.pop(0)
        page = read(client, path)
        ids[path] = {*page.ids}
        for link in page.links:
            to, _, spot = link.partition("#")
            if urlsplit(to).scheme:
                continue
            target = to or path
            if spot:
                found[f"{target}#{spot}"] = path
            found.setdefault(target, path)
            # From the first pages on, a few of each kind.
            kind = target.split("?")[0].split("/")[1]
            few = sum(known.split("?")[0].split("/")[1] == kind for known in seen) < 3
            is_page = kind not in ("", "static", "check", "explore", "docs") and not kind.startswith("timeline.")
            if target not in seen and few and is_page:
                seen.add(target)
                waiting.append(target)
    things = service.things
    for link, on in found.items():
        to, _, spot = link.partition("#")
        if to in ids:
            assert not spot or spot in ids[to], f"{on}: {link}"
        elif to.split("/")[1] in things.segments:
            assert things.known(ROOT + to.lstrip("/")), f"{on}: {link}"
            assert not spot or things.has(ROOT + link.lstrip("/")), f"{on}: {link}"
        elif to.split("?")[0] not in ("/ask", "/timeline"):
            assert client.get(to).status_code in (200, 303, 307), f"{on}: {link}"
    assert len(found) > 300


# --- /v1 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["/", "%23"])
def test_a_provision_as_json(client: TestClient, mark: str) -> None:
    answer = client.get(
        f"/v1/provisions/medicare/ncd-110.24/2021-07-20{mark}kx-on-administration", headers={"accept": "*/*"}
    )
    told = answer.json()
    assert told["label"] == "The administration line carries KX"
    assert told["effective"]["possible_from"] == "2019-08-07" and told["effective"]["certain_until"] == "2025-06-25"
    assert told["published"] == {"earliest": "2020-11-13", "latest": "2021-07-20"}
    assert told["scope"]["label"] and {code["code"] for code in told["about"]} == {"0540T", "38228"}
    assert [(c["label"], [e["code"] for e in c["expects"]]) for c in told["requires"]] == [("modifier KX", ["KX"])]
    assert {cite["statement"].rpartition("/")[2] for cite in told["cites"]} >= {"astct.kx.required"}
    assert [change["effective_from"] for change in told["changed_by"]] == ["2025-06-26"]
    assert answer.headers["chartulary-decision"] == told["decision"]
    assert answer.headers["chartulary-register-revision"] == told["register_revision"]


def test_an_amendment_as_json(client: TestClient) -> None:
    told = client.get(f"/v1/provisions{ARTICLE.removeprefix('/policy')}/kx-ends", headers={"accept": "*/*"}).json()
    assert told["kind"] == "amendment"
    assert told["effective_from"] == {"earliest": "2025-06-26", "latest": "2025-06-26"}
    assert "The administration line carries KX" in {ended["label"] for ended in told["ends"]}


def test_a_statement_as_json(client: TestClient) -> None:
    told = client.get("/v1/statements/mm14204.kx.removed", headers={"accept": "*/*"}).json()
    assert told["document"] == "MM14204" and told["section"] == "Action Needed"
    assert {cited["iri"].rpartition("#")[2] for cited in told["cited_by"]} == {"kx-ends", "kx-not-needed"}
    left_out = client.get("/v1/statements/mm14204.mac.website", headers={"accept": "*/*"}).json()
    assert left_out["not_encoded"].endswith(".") and left_out["cited_by"] == []


def test_what_was_not_published_yet_was_not_known(client: TestClient) -> None:
    for path in ("statements/mm14204.kx.removed", "provisions/medicare/ncd-110.24/2025-12-09/kx-ends"):
        answer = client.get(f"/v1/{path}?as-known-on=2025-12-08", headers={"accept": "*/*"})
        assert answer.status_code == 404 and answer.json()["error"].endswith("was not known on that day")
        answer = client.get(f"/v1/{path}?as-known-on=2025-12-10", headers={"accept": "*/*"})
        assert answer.status_code == 200 and answer.headers["chartulary-as-known-on"] == "2025-12-10"
    answer = client.get("/v1/provisions/medicare/nothing", headers={"accept": "*/*"})
    assert answer.json() == {"error": "there is no provision 'medicare/nothing'"}
    before = client.get("/v1/policies?as-known-on=2025-12-08", headers={"accept": "*/*"}).json()
    versions = {v["version"].rpartition("/")[2] for p in before["policies"] for v in p["versions"]}
    assert "2021-07-20" in versions and "2025-12-09" not in versions


def test_policies_as_json_name_what_can_be_looked_up(client: TestClient, service: Service) -> None:
    told = client.get("/v1/policies", headers={"accept": "*/*"}).json()["policies"]
    nodes = [n for policy in told for v in policy["versions"] for n in (*v["amendments"], *v["provisions"])]
    assert {*nodes} <= service.register.provisions and len(nodes) > 200
    for node in nodes[:: len(nodes) // 20]:
        path = node.removeprefix(f"{ROOT}policy/").replace("#", "/")
        assert client.get(f"/v1/provisions/{path}", headers={"accept": "*/*"}).json()["provision"] == node


def test_records_are_in_the_openapi_document(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/v1/policies", "/v1/provisions/{name}", "/v1/statements/{name}"):
        told = paths[path]["get"]
        assert told["summary"] and told["description"] and {"200", "406"} <= {*told["responses"]}
