"""The documentation: its examples print what they show, its made pages tell the whole register, it is read offline."""

from __future__ import annotations

import importlib.util
import os
import posixpath
import re
import shutil
import subprocess
import sys
from datetime import date
from functools import cache
from html import unescape
from pathlib import Path

import pytest
from examples import Document, agrees, check_example, normal, run_here, runs, title
from rdflib import OWL, RDF, SH, Graph

from chartulary import Register
from chartulary.terms import POL, TYPE
from chartulary.workbench.lint import RULES

BASE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(BASE / "tools" / "docs"))

from pages import files, lint_rules, policies, questions, shapes, vocabulary  # noqa: E402
from pages.book import Book, Period  # noqa: E402
from pages.timeline import Axis, Row, timeline  # noqa: E402

GUIDES = [Document(path) for path in sorted((BASE / "docs").rglob("*.md"))]
# The guides of authors and of the service have tests of their own, which run their examples.
EXAMPLES = [
    (guide, text) for guide in GUIDES if guide.name not in ("authors.md", "service.md") for text in guide.examples
]
NCD = "policies/medicare/ncd-110.24.md"

# --- Guides -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the checkout to a reader, and that examples may write to."""
    folder = tmp_path_factory.mktemp("docs")
    for name in ("demo", "docs"):
        shutil.copytree(BASE / name, folder / name)
    return folder


@pytest.mark.parametrize(
    ("guide", "example"), EXAMPLES, ids=lambda it: it.name if isinstance(it, Document) else title(it)
)
def test_example_of_a_guide(guide: Document, example: str, checkout: Path) -> None:
    check_example(guide, example, checkout)


def test_guides_for_programs_have_examples() -> None:
    named = {guide.name for guide, _ in EXAMPLES}
    assert {"index.md", "billing-systems.md", "analysts.md"} <= named


@pytest.mark.parametrize("path", sorted((BASE / "docs").rglob("*.md")), ids=lambda path: path.name)
def test_guide_names_only_what_is_there(path: Path) -> None:
    missing = [target for target in Document(path).targets if not (path.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_lists_stand_apart(guide: Document) -> None:
    """Python-Markdown takes a list for text where no empty line is before it; on GitHub nobody would notice."""
    text = re.sub(r"^```.*?^```$", "", guide.text, flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"^(?![-\s|>#]|\d+\. ).+\n(?:- |\d+\. ).*", text, re.MULTILINE) == []


# --- Made pages -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def book(register: Register) -> Book:
    return Book(BASE, register)


@pytest.fixture(scope="module")
def made(book: Book) -> dict[str, str]:
    pages: dict[str, str] = {}
    for part in (policies, questions, lint_rules, shapes, vocabulary):
        pages |= part.pages(book)
    return pages | files.pages(BASE, book.shown)


def spoken(text: str) -> str:
    return unescape(text)


@pytest.mark.slow
def test_each_policy_has_a_page_with_all_of_it(book: Book, made: dict[str, str]) -> None:
    assert len(book.policies) > 5
    for policy in book.policies:
        text = made[book.where(policy)]
        for version in book.versions(policy):
            parts = [node for kind in (POL.Provision, POL.Amendment) for node in book.inside(version, kind)]
            for node in (version, *parts):
                assert f"{{ #{book.where(node).partition('#')[2]} }}" in text, node
                assert book.reader.label(node) in spoken(text)
                for cite in book.reader.cites(node):
                    assert f"“{cite.quote}”" in spoken(text), cite.statement
    told = sum(len(book.inside(v, POL.Provision)) for policy in book.policies for v in book.versions(policy))
    assert told == len(book.facts.subjects(TYPE, POL.Provision))


def test_a_rule_is_told_whole(made: dict[str, str]) -> None:
    page = spoken(made[NCD])
    begin = page.index("### The administration line carries KX")
    rule = page[begin : page.index("### ", begin + 4)]
    for said in (
        "Medicare Part B claims <small>(Medicare; Medicare Part B; any setting; claim)</small>",
        "CPT 0540T (CAR-T: giving autologous cells, until 2024); CPT 38228",
        "Held against\n:   each line",
        "from 2019-08-07 until 2025-06-25",
        "Published\n:   2020-11-13/2021-07-20",
        "Needs\n:   modifier KX",
        "violation</span> where it is broken",
        "[KX is no longer required on CAR-T claims](#v2025-12-09-kx-ends), for services from 2025-06-26",
        "*break it*: [no-kx-",
        "*leave it to a person*: [no-kx-as-known-between-change-request-and-article](",
        "*keep it*: [",
        "<small>MM14204, ",
    ):
        assert said in rule, said


def test_periods_and_words_are_those_of_an_answer(book: Book, register: Register, made: dict[str, str]) -> None:
    answer = register.ask("requirements", code="38228", payer="medicare", setting="outpatient", dos=date(2025, 6, 25))
    rows = [row for row in answer if row["kind"] != "change"]
    assert len(rows) > 5
    for row in rows:
        words = book.period(row["provision"]).words
        assert (str(row["effective_until"]) in words) == (row["effective_until"] is not None)
        assert row["published_on"].removeprefix("../") in book.known(row["provision"])
        page = spoken(made[book.where(row["provision"]).partition("#")[0]])
        for criterion in (*row["requires"], *row["prohibits"], *row["when"], *row["unless"]):
            assert criterion in page


def test_statements_that_are_open_or_left_out_are_told(register: Register, made: dict[str, str]) -> None:
    text = "\n".join(map(spoken, made.values()))
    for question, column in (("not-encoded", "reason"), ("ambiguous", "ambiguity")):
        rows = list(register.ask(question))
        told = [row for row in rows if " ".join(row[column].split()) in text]
        assert len(told) > 0.9 * len(rows), question


def test_claims_of_suites_are_shown_with_what_is_found(book: Book, made: dict[str, str]) -> None:
    page = spoken(made["policies/medicare/ncd-110.24/claims.md"])
    begin = page.index("## no-kx-on-the-last-day {")
    claim = page[begin : page.index("\n## ", begin)]
    assert ">violation</span>" in claim
    assert "- violation, line 1: [The administration line carries KX](../ncd-110.24.md#v2021-07-20-kx-on-" in claim
    assert '"date_of_service": "2025-06-25"' in claim
    assert sum(text.count('??? example "The claim"') for text in made.values()) == len(book.examples)


@cache
def answered(command: str) -> str:
    code, printed = run_here(command.replace("\\\n", " ").split(), BASE)
    assert code == 0
    return printed


def test_each_question_has_a_page_with_its_answer(register: Register, made: dict[str, str]) -> None:
    for query in register.queries.values():
        page = Document(BASE / "README.md")
        page.text = made[f"questions/{query.name}.md"]
        assert query.text.strip() in page.text
        for parameter in query.parameters:
            assert f"| `{parameter.name}` | {parameter.kind} |" in page.text
        ((command, shown),) = runs(re.findall(r"^```console\n(.*?)^```$", page.text, re.DOTALL | re.MULTILINE)[0])
        lines = [line for line in normal(shown) if not line.startswith("all that the register holds")]
        assert len(lines) > 3, query.name


@pytest.mark.parametrize("name", ["requirements", "payer-differences", "guidelines", "ambiguous"])
def test_answers_on_pages_are_those_of_the_command_line(name: str, made: dict[str, str]) -> None:
    example = re.findall(r"^```console\n(.*?)^```$", made[f"questions/{name}.md"], re.DOTALL | re.MULTILINE)[0]
    ((command, shown),) = runs(example)
    assert agrees(normal(shown), normal(answered(command)))


@pytest.mark.parametrize("name", [name for name, _, _ in shapes.FILES])
def test_each_shape_is_told(name: str, made: dict[str, str]) -> None:
    graph = Graph().parse(BASE / "shapes" / f"{name}.ttl")
    pages = "\n".join(spoken(text) for place, text in made.items() if place.startswith(f"shapes/{name}/"))
    for message in graph.objects(None, SH.message):
        assert str(message) in pages or str(message) == "{?label}"
    for query in (*graph.objects(None, SH.construct), *graph.objects(None, SH.select)):
        assert str(query).strip().split("\n")[0].strip() in pages
    for target in (SH.targetClass, SH.targetSubjectsOf):
        for shape in graph.subjects(target, None):
            assert f"shapes/{name}/{str(shape).rpartition('#')[2]}.md" in made


def test_each_word_of_the_vocabulary_is_told(made: dict[str, str]) -> None:
    count = 0
    for name in ("policy", "claim", "coding"):
        graph, page = Graph().parse(BASE / "ontology" / f"{name}.ttl"), made[f"ontology/{name}.md"]
        kinds = (OWL.Class, OWL.ObjectProperty, OWL.DatatypeProperty, OWL.AnnotationProperty, OWL.NamedIndividual)
        for term in {term for kind in kinds for term in graph.subjects(RDF.type, kind)}:
            if str(term).startswith(f"https://w3id.org/chartulary/def/{name}#"):
                count += 1
                assert f"{{ #{str(term).rpartition('#')[2]} " in page, term
    assert count > 200
    claim = made["ontology/claim.md"]
    assert "Close to (FHIR R4)\n:   `Claim.item.serviced`" in claim
    assert "Domain\n:   [clm:Item](#Item)" in spoken(claim)


def test_each_lint_rule_has_a_page(made: dict[str, str]) -> None:
    assert len(RULES) > 20
    for rule in RULES:
        page = made[f"lint/{rule.name}.md"]
        for text in (rule.problem, rule.principle, rule.solution, rule.example):
            assert text.strip() in page


def test_links_between_pages_lead_somewhere(made: dict[str, str]) -> None:
    places = set(made) | {path.relative_to(BASE / "docs").as_posix() for path in (BASE / "docs").rglob("*.md")}
    lost = []
    for place, text in made.items():
        bare = re.sub(r"^( *)(```|~~~~).*?^\1\2$", "", text, flags=re.DOTALL | re.MULTILINE)
        for target, spot in re.findall(r"\]\(([^)#:\s]*)(?:#([^)\s]*))?\)", bare):
            page = posixpath.normpath(posixpath.join(posixpath.dirname(place), target)) if target else place
            if page not in places or (spot and page in made and f"{{ #{spot}" not in made[page]):
                lost.append((place, target, spot))
    assert lost == []


def test_pages_name_no_place_of_this_machine(made: dict[str, str]) -> None:
    assert [place for place, text in made.items() if str(BASE) in text or str(Path.home()) + "/" in text] == []


# --- Timeline ---------------------------------------------------------------------------------------------------------


def test_timeline_places_days_in_proportion() -> None:
    axis = Axis([date(2020, 1, 1), date(2025, 1, 1), date(2022, 7, 2)])
    first, middle, last = (axis.place(day) for day in (date(2020, 1, 1), date(2022, 7, 2), date(2025, 1, 1)))
    assert 0 < first < middle < last < 100
    assert middle - first == pytest.approx(last - middle, abs=0.1)
    assert [text for _, text in axis.ticks()] == ["2020", "2021", "2022", "2023", "2024", "2025"]


def test_timeline_of_a_single_day_has_months() -> None:
    assert all(re.fullmatch(r"2025-\d\d|2024-\d\d", text) for _, text in Axis([date(2025, 1, 1)]).ticks())


def test_timeline_tells_certain_from_possible_days() -> None:
    period = Period(date(2021, 5, 1), date(2021, 5, 31), None, None, "from 2021-05-01 (at the latest 2021-05-31)")
    drawn = timeline([Row(kind="rule", label="A <rule>", told=period.words, target="here", period=period)])
    assert "A &lt;rule&gt;" in drawn and period.words in drawn
    possible, certain = (
        re.search(rf"ch-{kind} ch-open-right\" style=\"left:([\d.]+)%", drawn) for kind in ("possible", "certain")
    )
    assert possible and certain and float(possible[1]) < float(certain[1])


def test_timeline_of_the_ncd_ends_the_kx_rule(made: dict[str, str]) -> None:
    drawn = made[NCD][made[NCD].index('<div class="ch-timeline">') :].split("\n")[0]
    row = drawn[drawn.index(">The administration line carries KX</a>") :].split("</li>")[0]
    bar = re.search(r'ch-bar ch-certain" style="left:([\d.]+)%;width:([\d.]+)%', row)
    change = re.search(r"KX is no longer required on CAR-T claims</a>.*?ch-starts\" style=\"left:([\d.]+)%", drawn)
    assert bar and change
    assert float(bar[1]) + float(bar[2]) == pytest.approx(float(change[1]), abs=0.3)
    assert "<script" not in drawn


# --- The site ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. Addresses that no proxy can be reached at see to it that nothing is fetched."""
    if not all(importlib.util.find_spec(name) for name in ("mkdocs", "material")):
        pytest.skip("the documentation's builder is not installed (pip install --group docs)")
    folder = tmp_path_factory.mktemp("site")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=BASE,
        env={**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return folder


@pytest.mark.slow
def test_site_builds_without_a_warning_and_fetches_nothing(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 150
    loads = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"(?:https?:)?//|<link\b[^>]*\brel=\"(?:stylesheet|preconnect|icon)\"[^>]*href=\"(?:https?:)?//|url\((?:https?:)?//"
    )
    for path in (*pages, *(site / "assets").rglob("*.css")):
        assert not loads.search(path.read_text(encoding="utf-8")), path.name
    assert (site / "search" / "search_index.js").is_file()
    for place in (
        "index.html",
        "policies/medicare/ncd-110.24.html",
        "questions/requirements.html",
        "ontology/policy.html",
    ):
        assert "<h1" in (site / place).read_text(encoding="utf-8")
    assert not (site / "example").exists()
