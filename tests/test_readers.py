"""The recogniser: the right reader for any bytes, and a plain problem for those that no reader takes."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import time
import types
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import claims

from chartulary.claim import Claim
from chartulary.errors import ChartularyError, Problem
from chartulary.readers import read_claims, read_claims_from
from chartulary.readers.claim_json import claim_to_json

CLAIM = '{"id": "%s", "diagnoses": ["C83.31"]}'
ISA = "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *250625*1253*^*00501*000000001*0*P*:~"
UNKNOWN = "not recognised as X12, FHIR JSON, claim JSON, Turtle, JSON-LD or a table of claims"


def read(data: bytes | str) -> list[Claim | Problem]:
    return list(read_claims_from(data.encode() if isinstance(data, str) else data, source="f"))


def shown(data: bytes | str) -> list[str]:
    return [item.id if isinstance(item, Claim) else str(item) for item in read(data)]


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Stand-ins for the other readers that keep what they are called with."""
    calls: list[tuple[object, ...]] = []

    def module(kind: str) -> types.ModuleType:
        def stand_in(content: object, *, source: str, media_type: str = "") -> Iterator[Claim | Problem]:
            calls.append((kind, content, media_type))
            yield Claim(id=kind, source=source, where="inside")

        made = types.ModuleType(f"chartulary.readers.{kind}")
        setattr(made, f"read_{kind}", stand_in)
        return made

    for kind in ("x12", "fhir", "rdf"):
        monkeypatch.setitem(sys.modules, f"chartulary.readers.{kind}", module(kind))
    return calls


# --- which reader ---


@pytest.mark.parametrize("text", [ISA, "\n  " + ISA, ISA.replace("*", "|"), "ISA", "ISA\x1d00"])
def test_x12(readers: list[tuple[object, ...]], text: str) -> None:
    for data in (
        text.encode(),
        text.encode("utf-8-sig"),
        text.encode("utf-16"),
        b"\xfe\xff" + text.encode("utf-16-be"),
    ):
        assert shown(data) == ["x12"]
        assert readers.pop() == ("x12", text, "")


def test_x12_may_be_latin_1(readers: list[tuple[object, ...]]) -> None:
    assert shown(ISA.encode() + "NM1*85*2*CLÍNICA~".encode("latin-1")) == ["x12"]
    assert "CLÍNICA" in str(readers[0][1])


def test_fhir_gets_the_parsed_document_with_exact_money(readers: list[tuple[object, ...]]) -> None:
    assert shown(' {"a": 0.10, "resourceType": "Claim"}') == ["fhir"]
    assert readers == [("fhir", {"a": Decimal("0.10"), "resourceType": "Claim"}, "")]


@pytest.mark.parametrize(
    "text",
    [
        '{"@context": {}, "lines": []}',
        '{"@graph": []}',
        '{"@id": "x"}',
        '[{"@id": "x", "@type": ["y"]}, {"@id": "z"}]',
    ],
)
def test_json_ld_goes_on_as_text(readers: list[tuple[object, ...]], text: str) -> None:
    assert shown(text) == ["rdf"]
    assert readers == [("rdf", text, "application/ld+json")]


@pytest.mark.parametrize(
    "text",
    [
        "@prefix c: <x:y> .",
        "PREFIX c: <x:y>",
        "@base <http://x/> .",
        "base <http://x/>",
        "# a claim\n@prefix c: <x:y> .",
        "<http://x/y> a <http://x/Z> .",
        "<urn:x> a <urn:y> .",
        "<#c> a <#d> .",
        "<> a <#d> .",
        "_:b a <urn:y> .",
    ],
)
def test_turtle(readers: list[tuple[object, ...]], text: str) -> None:
    assert shown("\ufeff" + text) == ["rdf"]
    assert readers == [("rdf", text, "text/turtle")]


def test_rdf_without_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "chartulary.readers.rdf", None)
    assert shown("@prefix c: <x:y> .") == ["f: this installation reads no Turtle or JSON-LD"]


@pytest.mark.parametrize(
    "text",
    [
        '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaa"><!ENTITY b "&a;&a;">]><l>&b;</l>',
        "<rdf:RDF/>",
        "<!DOCTYPE html>",
        "<!-- x -->",
        "<Claim xmlns='http://hl7.org/fhir'/>",
        "<f:Claim>",
    ],
)
def test_xml_is_never_parsed(text: str) -> None:
    assert shown(text) == ["f: XML is not read; send X12, FHIR JSON, claim JSON, Turtle, JSON-LD or a table"]


# --- claim JSON: one, a list, one per line ---


def test_single_claim() -> None:
    (item,) = read(CLAIM % 1)
    assert isinstance(item, Claim) and (item.id, item.source, item.where) == ("1", "f", "")


def test_list_of_anything(readers: list[tuple[object, ...]]) -> None:
    text = (
        f'[{CLAIM % 1}, {{"resourceType": "Claim"}}, {{"diagnoses": [1]}}, 5, {{"x": 1}}, {{"@id": "y"}}, {CLAIM % 7}]'
    )
    items = read(text)
    assert [item.where for item in items] == [
        "claim 1", "item 2, inside", "claim 3, diagnoses[0]", "item 4", "item 5", "item 6", "claim 7",
    ]  # fmt: skip
    assert [item.id if isinstance(item, Claim) else item.message for item in items] == [
        "1",
        "fhir",
        'must be a code as text, or an object; write "1" as text',
        "not a JSON object",
        "neither FHIR (no resourceType), JSON-LD (no @context) nor claim JSON (no lines, diagnoses, …)",
        "JSON-LD in one list with something else; put it in a file of its own",
        "7",
    ]


def test_claims_without_id_are_numbered() -> None:
    assert shown('[{"diagnoses": ["C83.31"]}, {"diagnoses": ["C83.31"]}]') == ["f #1", "f #2"]


def test_json_lines_and_their_faults(readers: list[tuple[object, ...]]) -> None:
    lines = [CLAIM % 1, '{"id": "2", "diag', "", '{"resourceType": "Claim"}', '{"a": NaN}', '{"drg": 18}', CLAIM % 7]
    for newline in ("\n", "\r\n"):
        assert shown(newline.join([*lines, ""])) == [
            "1",
            "f, line 2, column 13: text without its closing quote",
            "fhir",
            "f, line 5: NaN is not a number in JSON",
            'f, line 6, drg: must be three digits as text, such as "018"; write "018" as text',
            "7",
        ]
    assert [item.where for item in read("\n".join(lines))][2] == "line 4, inside"


@pytest.mark.parametrize("first", ["oops", '{"id": ', '{"a": 1e999999}', '{"a": 1, "a": 2}', "[" * 500])
def test_json_lines_whose_first_is_broken(first: str) -> None:
    problem, claim = read(f"{first}\n{CLAIM % 2}")
    assert isinstance(problem, Problem) and problem.where.startswith("line 1")
    assert isinstance(claim, Claim) and claim.where == "line 2"


def test_broken_document_over_many_lines_is_one_problem() -> None:
    text = json.dumps({"lines": [{"code": "38228"}, {"code": "Q2042"}]}, indent=1)
    assert shown(text.replace("},", "}")) == ["f, line 6, column 3: a comma or a closing bracket is missing"]
    assert shown(text[:-5]) == ["f, line 8, column 4: the text ends too early"]


# --- what is no claim file ---


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "f: the file is empty"),
        (b"\xef\xbb\xbf \n", "f: the file is empty"),
        (b"[]", "f: no claim in this file"),
        (b"{}", "f: neither FHIR (no resourceType), JSON-LD (no @context) nor claim JSON (no lines, diagnoses, …)"),
        (gzip.compress(b"ISA*", mtime=0), "f: compressed (gzip); unpack it first"),
        (b"PK\x03\x04rest", "f: compressed (zip); unpack it first"),
        (b"\x89PNG\r\n\x1a\n\0\0", "f: binary data, not text"),
        (b"{\0}", "f: binary data, not text"),
        ("[]".encode("utf-16-le"), "f: binary data, not text"),
        (b'{"id": "caf\xe9"}', "f, byte 12: not UTF-8 text"),
        (b"\xff\xfe{", "f, byte 1: not UTF-16 text"),
        (b"claim_id,code\n1,38228\n", f"f: {UNKNOWN}"),
        (b"ISABEL,1\n", f"f: {UNKNOWN}"),
    ],
)
def test_problems_of_whole_files(data: bytes, message: str) -> None:
    assert shown(data) == [message]


def test_reader_that_fails_costs_only_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(error: Exception) -> types.ModuleType:
        def read_x12(text: str, *, source: str) -> Iterator[Claim]:
            yield Claim(id="1", source=source)
            raise error

        made = types.ModuleType("x12")
        made.read_x12 = read_x12  # type: ignore[attr-defined]
        return made

    monkeypatch.setitem(sys.modules, "chartulary.readers.x12", failing(KeyError("x")))
    assert shown(ISA) == ["1", "f: the reader failed (KeyError); this is a bug in Chartulary"]
    monkeypatch.setitem(sys.modules, "chartulary.readers.x12", failing(ChartularyError("no table of codes")))
    assert shown(ISA) == ["1", "f: no table of codes"]


# --- paths ---


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = tmp_path / "claim.837"  # the name says nothing
    good.write_text(CLAIM % 1)
    (item,) = read_claims(good)
    assert isinstance(item, Claim) and item.source == str(good)
    assert [str(item) for item in read_claims(tmp_path)] == [f"{tmp_path}: a directory, not a file"]
    assert [str(item) for item in read_claims(tmp_path / "x")] == [f"{tmp_path / 'x'}: no such file"]
    assert [str(item) for item in read_claims("a\0b")] == ["a\0b: cannot be read: not a file name"]
    assert [item.source for item in read_claims(os.fsdecode(b"\xff"))] == ["\ufffd"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((CLAIM % 2).encode())))
    (item,) = read_claims("-")
    assert isinstance(item, Claim) and (item.id, item.source) == ("2", "-")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_unreadable_file(tmp_path: Path) -> None:
    shut = tmp_path / "shut"
    shut.touch(mode=0)
    assert [str(item) for item in read_claims(shut)] == [f"{shut}: no permission to read this file"]


# --- any bytes ---

STARTS = (
    b"",
    b"{",
    b"[",
    b"{\n{",
    b"ISA*",
    b"<",
    b"@prefix ",
    b"\xef\xbb\xbf{",
    b"\xff\xfe",
    b'{"lines": [',
    b'{"resourceType":',
)


def sound(items: list[Claim | Problem]) -> bool:
    return bool(items) and all(isinstance(item, (Claim, Problem)) and "bug" not in str(item) for item in items)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(STARTS), st.binary() | st.text().map(str.encode))
def test_never_raises(readers: list[tuple[object, ...]], start: bytes, data: bytes) -> None:
    assert sound(read(start + data))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(("lines", "payer", "id", "notes", "drg", "x")), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_never_raises_for_any_json(document: object) -> None:
    assert sound(read(json.dumps(document)))


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(claims(), st.data())
def test_never_raises_for_truncated_claims(claim: Claim, data: st.DataObject) -> None:
    text = json.dumps(claim_to_json(claim))
    (problem,) = read(text[: data.draw(st.integers(1, len(text) - 1))])
    assert isinstance(problem, Problem) and sound([problem])


SIZE = 50_000_000


@pytest.mark.parametrize(
    "unit",
    [b"x", b"{", b"[", b"[],", b"<a>", b'{"a":', b" ", b"\0", b"[1,", b"\xff", b'"', b"{}", b"# ", b"{}\n"],
    ids=repr,
)
def test_large_junk_is_answered_soon(readers: list[tuple[object, ...]], unit: bytes) -> None:
    data = unit * (SIZE // len(unit))
    began = time.perf_counter()
    items = read(data)
    assert sound(items) and len(items) <= 1001
    assert time.perf_counter() - began < 10  # a slow machine's couple of seconds


def test_many_items_of_junk_are_cut_off() -> None:
    items = read("[" + "0," * 100_000 + "0]")
    assert len(items) == 1001
    assert str(items[-1]) == "f: 1000 problems and not one claim: the rest is not read"
    assert len(read(f"[{CLAIM % 1}," + "0," * 2000 + CLAIM % 2 + "]")) == 2002
