"""One form for Turtle files: a function of what they say, whatever their order, prefixes and layout."""

from __future__ import annotations

import random
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdflib import RDF, XSD, BNode, Graph, Literal, URIRef
from rdflib.collection import Collection
from rdflib.compare import isomorphic

from chartulary import cli
from chartulary.errors import ChartularyError
from chartulary.turtle import TurtleFault, read
from chartulary.workbench import fmt
from chartulary.workbench.fmt import format_files, format_text

BASE = Path(__file__).resolve().parents[1]
FOLDERS = ("docs", "ontology", "policies", "shapes", "tests/data/questions", "tests/data/rdf")
FILES = [path for folder in FOLDERS for path in sorted((BASE / folder).rglob("*.ttl"))]
REGISTER = [path for path in FILES if path.is_relative_to(BASE / "policies")]
HEAD = """\
PREFIX : <https://w3id.org/chartulary/policy/payer-x/plan/2030-01-01#>
PREFIX pol: <https://w3id.org/chartulary/def/policy#>
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
"""


def name(path: Path) -> str:
    return path.relative_to(BASE).as_posix()


def formatted(body: str) -> str:
    """The statements of a file, formatted."""
    return format_text(HEAD + body).partition("\n\n")[2]


def shuffled(graph: Graph, seed: int) -> str:
    """The same graph with prefixes of other names, a statement a line, all in any order."""
    order = random.Random(seed)
    namespaces = sorted({found[0] for triple in graph for term in triple if (found := re.match(r"http.*[#/]", term))})
    names = [f"n{number}" for number in range(len(namespaces))]
    order.shuffle(names)
    copy = Graph(bind_namespaces="none")
    prefixes = []
    for prefix, namespace in zip(names, namespaces, strict=True):
        copy.bind(prefix, namespace)
        prefixes.append(f"@prefix {prefix}: <{namespace}> .")
    statements = [" ".join(term.n3(copy.namespace_manager) for term in triple) + " ." for triple in graph]
    for lines in (prefixes, statements):
        lines.sort()
        order.shuffle(lines)
    return "\n".join(prefixes + statements)


# --- The register -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=name)
def test_the_files_of_the_register_are_in_form(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert format_text(text, source=name(path)) == text


@pytest.mark.parametrize("path", REGISTER, ids=name)
def test_a_shuffled_copy_comes_back_as_the_same_bytes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert format_text(shuffled(read(text).graph(), seed=len(text))) == text


@pytest.mark.parametrize("path", [path for path in REGISTER if path.stat().st_size < 4000], ids=name)
def test_so_does_a_copy_that_rdflib_wrote(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    graph = Graph().parse(data=text, format="turtle")
    assert format_text(graph.serialize(format="turtle")) == text
    assert format_text(graph.serialize(format="nt")) == text


def test_the_policies_say_everything_as_data() -> None:
    """Tools that read RDF and write it lose what stands behind a #."""
    assert {name(path) for path in REGISTER if re.search(r"^#| {3}# ", path.read_text("utf-8"), re.M)} == set()


# --- Order and layout -------------------------------------------------------------------------------------------------


def test_what_the_file_is_about_comes_first_and_parts_behind_their_wholes() -> None:
    text = formatted("""
        :b-criterion a pol:Shows . :only-of-rule-2 a pol:AnyOf ; pol:member :inner . :inner a pol:Shows .
        :rule-10 a pol:Provision ; pol:requires :shared .
        :rule-2 a pol:Provision ; pol:unless :shared ; pol:when :only-of-rule-2 .
        :shared a pol:Shows . :end a pol:Amendment .
        <https://w3id.org/chartulary/policy/payer-x/plan/2030-01-01> a pol:PolicyVersion .
    """)
    assert re.findall(r"^\S+$", text, re.M) == [
        "<https://w3id.org/chartulary/policy/payer-x/plan/2030-01-01>",
        ":end",
        ":rule-2",
        ":only-of-rule-2",
        ":inner",
        ":rule-10",
        ":b-criterion",
        ":shared",
    ]


def test_members_of_each_other_are_all_written() -> None:
    assert re.findall(r"^\S+$", formatted(":a pol:member :b . :b pol:member :a ."), re.M) == [":a", ":b"]


def test_predicates_have_their_order_and_others_stand_before_the_last() -> None:
    text = formatted(':a pol:cites :c ; pol:zzz 1 ; pol:when :w ; pol:aaa 2 ; rdfs:label "a" ; a pol:Provision .')
    assert re.findall(r"^    (\S+)", text, re.M) == ["a", "rdfs:label", "pol:when", "pol:aaa", "pol:zzz", "pol:cites"]


def test_numbers_within_names_are_sorted_by_size_and_codes_as_their_books_do() -> None:
    code = "https://w3id.org/chartulary/code/icd-10-cm/"
    text = formatted(f":a pol:cites :s10 , :s9 , :S1 ; pol:expects <{code}C83.3> , <{code}C83.11> .")
    assert "pol:cites :S1 , :s9 , :s10 ." in text
    assert "pol:expects icd10:C83.11 , icd10:C83.3 ;" in text


def test_long_lines_are_wrapped_at_120_columns() -> None:
    text = formatted(":a pol:cites " + " , ".join(f":statement-{number}" for number in range(40)) + " .")
    lines = text.split("\n")
    assert max(map(len, lines)) <= 120
    assert len(lines[1]) > 100 and lines[2].startswith("        :statement-")


def test_brackets_and_lists_are_wrapped_too() -> None:
    text = formatted(":a rdfs:range [ a pol:X ; pol:in ( " + " ".join(f":m{number}" for number in range(60)) + " ) ] .")
    assert max(map(len, text.split("\n"))) <= 120
    assert re.search(
        r"rdfs:range \[\n        a pol:X ;\n        pol:in \( :m0 :m1 .*\n(?:            :m\d+ .*\n?)+ \)\n    \] \.",
        text,
    )


@pytest.mark.parametrize(
    "text",
    [
        'say "no"',
        'two\nlines "x" """ and "',
        "back\\slash\n",
        "tab\there",
        "\r",
        "é“”\u2028\x7f",
        "",
        '"',
        '\n"',
        '\\"\n\\',
    ],
)
def test_texts_survive(text: str) -> None:
    graph = Graph().add((URIRef("https://x/a"), URIRef("https://x/b"), Literal(text)))
    written = format_text(graph.serialize(format="nt"))
    assert [str(o) for o in Graph().parse(data=written, format="turtle").objects()] == [text]
    assert format_text(written) == written


def test_a_query_keeps_its_lines() -> None:
    query = '"""\n        SELECT $this\n        WHERE { ?a ?b "c\\\\d" }"""'
    assert query in formatted(f":a pol:select {query} .")


# --- Prefixes ---------------------------------------------------------------------------------------------------------


def test_prefixes_follow_from_the_namespaces_in_use() -> None:
    text = format_text("""
        PREFIX mine: <https://w3id.org/chartulary/policy/payer-x/plan/2030-01-01#>
        PREFIX old: <https://w3id.org/chartulary/policy/payer-x/7.1/2029#>
        PREFIX far: <https://elsewhere.example/#>
        PREFIX rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#>
        mine:a <https://w3id.org/chartulary/def/policy#ends> old:b , far:c ,
            <https://w3id.org/chartulary/policy/payer-x/7.1> .
    """)
    assert (
        text
        == """\
PREFIX :                 <https://w3id.org/chartulary/policy/payer-x/plan/2030-01-01#>
PREFIX payer-x:          <https://w3id.org/chartulary/policy/payer-x/>
PREFIX payer-x-7.1-2029: <https://w3id.org/chartulary/policy/payer-x/7.1/2029#>
PREFIX pol:              <https://w3id.org/chartulary/def/policy#>

:a
    pol:ends <https://elsewhere.example/#c> , payer-x-7.1-2029:b , payer-x:7.1 .
"""
    )


def test_prefixes_that_would_be_the_same_get_longer() -> None:
    root = "https://w3id.org/chartulary/policy/"
    found = fmt._derived([f"{root}a/plan/2030#", f"{root}b/plan/2030#", f"{root}b/scope/", f"{root}c#", f"{root}c/"])
    assert found == {
        f"{root}a/plan/2030#": "a-plan-2030",
        f"{root}b/plan/2030#": "b-plan-2030",
        f"{root}b/scope/": "b-scope",  # scope: is a shared prefix
    }


# --- Comments ---------------------------------------------------------------------------------------------------------


def test_comments_move_with_what_they_stand_at() -> None:
    text = format_text(f"""# about the file
#
# in two parts

{HEAD}
# above b
:b pol:cites :y , :x ;   # beside x
    # above when
    pol:when :w .   # beside w
# above a, as far as
# two lines

:a   # beside a
    pol:cites :x , # beside x of a
      :w .
""")
    assert text.startswith("# about the file\n#\n# in two parts\n\nPREFIX :")
    assert (
        text.split("\n\n", 2)[2]
        == """\
# above a, as far as
# two lines
# beside a
:a
    pol:cites :w , :x .   # beside x of a

# above b
:b
    # above when
    pol:when :w ;   # beside w
    pol:cites :x ,   # beside x
        :y .
"""
    )
    assert format_text(text) == text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (":a pol:member ( :b # c\n :d ) .", "5:20: this comment stands inside a statement"),
        (":a pol:member # c\n :b .", "5:15: this comment stands inside a statement"),
        (":a pol:member :b .\n# c", "6:1: this comment stands below the last statement"),
        (":a pol:member :b . # c\n:a pol:member :b . # d", "6:15: this is said twice with two comments"),
    ],
)
def test_refuses_where_a_comment_would_be_lost(body: str, message: str) -> None:
    with pytest.raises(TurtleFault, match="^f.ttl:" + re.escape(message)):
        format_text(HEAD + "\n" + body, source="f.ttl")


def test_refuses_what_it_cannot_keep_for_any_other_reason(tmp_path: Path) -> None:
    path = tmp_path / "f.ttl"
    text = HEAD + "# about b\n_:b pol:member _:b .\n"
    path.write_text(text)
    (refused,) = format_files([path]).refused
    assert "a comment would be lost" in refused
    assert path.read_text() == text


# --- Any graph --------------------------------------------------------------------------------------------------------

TERMS = [
    URIRef(f"{namespace}{local}")
    for namespace in ("https://x.example/y#", str(RDF), "urn:x:")
    for local in ("a", "b.", "")
]
literals = st.one_of(
    st.builds(Literal, st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)),
    st.builds(lambda text: Literal(text, lang="en"), st.text("a\"'\\\n", max_size=6)),
    st.builds(Literal, st.integers(-20, 20)),
    st.builds(Literal, st.booleans()),
    st.sampled_from(
        [
            Literal("1.5", datatype=XSD.decimal),
            Literal("2025-13-45", datatype=XSD.date),
            Literal("1e3", datatype=XSD.double),
        ]
    ),
)
BLANKS = [BNode(f"n{number}") for number in range(5)]
subjects = st.sampled_from([*TERMS, *BLANKS])


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    graph = Graph()
    for _ in range(draw(st.integers(0, 9))):
        graph.add((draw(subjects), draw(st.sampled_from(TERMS)), draw(st.one_of(subjects, literals))))
    for _ in range(draw(st.integers(0, 2))):
        head = BNode()
        Collection(graph, head, draw(st.lists(st.one_of(subjects, literals), min_size=1, max_size=3)))
        graph.add((draw(subjects), draw(st.sampled_from(TERMS)), head))
    return graph


@settings(max_examples=150, deadline=None)
@given(graphs(), st.integers(0, 99))
def test_any_graph_has_one_form_that_says_the_same(graph: Graph, seed: int) -> None:
    written = format_text(graph.serialize(format="nt"))
    assert format_text(written) == written
    assert isomorphic(read(written).graph(), graph)
    lines = graph.serialize(format="nt").replace("_:n", "_:m").strip().split("\n")
    random.Random(seed).shuffle(lines)
    assert format_text("\n".join(lines)) == written


# --- The command ------------------------------------------------------------------------------------------------------


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["chartulary", "fmt", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.ttl").write_text(format_text(HEAD + ":a pol:cites :b ."))
    (tmp_path / "other.ttl").write_text(HEAD + ":a pol:cites :c, :b .")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "bad.ttl").write_text("no Turtle")
    return tmp_path


def test_check_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "other.ttl").read_text()
    assert run(monkeypatch, "--check", str(folder)) == 1
    assert capsys.readouterr().out == (
        f"would be formatted: {folder / 'other.ttl'}\n1 file would be formatted, 1 in form already\n"
    )
    assert run(monkeypatch, "--diff", str(folder)) == 1
    assert "\n-:a pol:cites :c, :b ." in capsys.readouterr().out
    assert (folder / "other.ttl").read_text() == before


def test_writes_what_is_not_in_form(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "other.ttl").chmod(0o640)
    monkeypatch.chdir(folder)
    assert run(monkeypatch) == 0
    assert capsys.readouterr().out == "formatted: other.ttl\n1 file formatted, 1 in form already\n"
    assert (folder / "other.ttl").read_text().endswith("\n:a\n    pol:cites :b , :c .\n")
    assert stat.S_IMODE((folder / "other.ttl").stat().st_mode) == 0o640
    assert sorted(path.name for path in folder.iterdir()) == [".hidden", "good.ttl", "other.ttl"]
    assert run(monkeypatch, "--check") == 0


def test_refused_files_cost_the_others_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.ttl").write_text(HEAD + ":a pol:cites :b")
    (folder / "latin.ttl").write_bytes(b"# caf\xe9\n")
    assert run(monkeypatch, str(folder)) == 2
    told = capsys.readouterr()
    assert told.out.endswith("1 file formatted, 1 in form already, 2 refused\n")
    first, second = told.err.strip().split("\n")
    assert f"{folder / 'bad.ttl'}:4:16: the file ends within a statement" in first
    assert second == f"chartulary: {folder / 'latin.ttl'}:1: this file is not in UTF-8"


@pytest.mark.parametrize(("path", "message"), [("missing.ttl", "no such file or folder"), ("empty", "no Turtle")])
def test_needs_something_to_format(path: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ChartularyError, match=message):
        format_files([tmp_path / path])


def test_windows_lines_and_byte_order_marks_go(tmp_path: Path) -> None:
    path = tmp_path / "f.ttl"
    path.write_bytes(b"\xef\xbb\xbf" + (HEAD + ':a rdfs:label """b\nc""" .').replace("\n", "\r\n").encode())
    assert format_files([path]).changed == [path]
    assert path.read_bytes() == format_text(HEAD + ':a rdfs:label """b\nc""" .').encode()
