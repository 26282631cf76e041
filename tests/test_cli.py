"""The command line: exit codes, and one plain line for whatever a user gets wrong."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdflib import RDF, Graph, Literal
from rdflib.namespace import SH

from chartulary import Register, cli

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "demo"
KX = "2021-07-20#kx-on-administration"


def claim(day: str = "2025-06-25", number: str = "C-1", **more: Any) -> str:
    """A claim JSON that lacks KX; right from 2025-06-26 on."""
    line = {"code": "38228", "revenue_code": "0874", "date_of_service": day}
    whole = {"id": number, "payer": "Medicare", "setting": "outpatient", "product": "Kymriah", "lines": [line]}
    return json.dumps(whole | more)


VISIT = {"code": "99213", "date_of_service": "2025-01-02"}
NOT_GOVERNED = json.dumps({"id": "C-9", "payer": "Aetna", "setting": "professional", "lines": [VISIT]})


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    def is_a_fault(self) -> str:
        """Holds it to exit code 2 and one line, and gives the line."""
        assert self.code == 2
        assert "Traceback" not in self.err
        assert self.err.count("\n") == 1 and self.err.endswith("\n"), self.err
        assert self.err.isprintable() or self.err[:-1].isprintable()
        return self.err.strip()


Run = Callable[..., Outcome]


@pytest.fixture
def run(register: Register, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command inside this process, with the register that is read already."""
    load = Register.load
    monkeypatch.setattr(
        Register, "load", lambda *, policies=None, cache=None: load(policies=policies) if policies else register
    )
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*arguments: str | Path, stdin: str | bytes = b"") -> Outcome:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "argv", ["chartulary", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, out.getvalue(), err.getvalue())

    return run


def command(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it."""
    words = [sys.executable, "-m", "chartulary", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, **options)


# --- Exit codes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["auto", "python", "sql", "shifty", "pyshacl"])
@pytest.mark.parametrize(
    ("content", "code", "outcome"),
    [
        (claim("2025-06-25"), 1, "VIOLATION"),
        (claim("2025-06-26"), 0, "CONFORMANT"),
        (NOT_GOVERNED, 0, "NOT-APPLICABLE"),
    ],
)
def test_exit_codes(run: Run, tmp_path: Path, content: str, code: int, outcome: str, engine: str) -> None:
    (tmp_path / "c.json").write_text(content)
    done = run("validate", "--engine", engine, "--unknown", "info", tmp_path / "c.json")
    assert (done.code, done.err) == (code, "")
    assert outcome in done.out


def test_review_is_no_violation(run: Run) -> None:
    content = claim("2025-07-01")
    done = run("validate", "-", "--as-known-on", "2025-12-10", "--unknown", "info", stdin=content)
    assert (done.code, done.err) == (0, "")
    assert "NEEDS-REVIEW" in done.out
    assert run("validate", "-", "--as-known-on", "2025-12-08", stdin=content).code == 1
    assert run("validate", "-", "--as-known-on", "2025-12-12", "--unknown", "info", stdin=content).code == 0


def test_a_bad_file_costs_only_itself(run: Run, tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(claim())
    (tmp_path / "bad.json").write_text('{"lines": [')
    done = run("validate", tmp_path / "bad.json", tmp_path / "good.json", tmp_path / "none.json")
    assert done.code == 2
    assert "VIOLATION" in done.out
    assert [line.split(str(tmp_path))[1][:5] for line in done.err.splitlines()] == ["/bad.", "/none"]


def test_a_warning_is_no_fault(run: Run) -> None:
    content = (DEMO / "outpatient.837").read_text()
    done = run("validate", "-", "-f", "json", stdin=re.sub(r"SE\*\d+", "SE*9999", content))
    problems = json.loads(done.out)["problems"]
    assert problems and all(problem["warning"] for problem in problems)
    assert done.code == run("validate", "-", stdin=content).code
    assert "warning" in done.err


# --- Formats ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def three(tmp_path: Path) -> Path:
    path = tmp_path / "three.jsonl"
    path.write_text("\n".join([claim(number="A"), claim("2025-06-26", number="B"), NOT_GOVERNED, '{"lines": 5}']))
    return path


def test_json(run: Run, three: Path, register: Register) -> None:
    done = run("validate", three, "-f", "json")
    assert done.code == 2
    whole = json.loads(done.out)
    assert {"register_revision", "as_known_on", "engine", "claims", "problems"} <= set(whole)
    assert (whole["register_revision"], whole["as_known_on"], whole["engine"]) == (register.revision, None, "python")
    assert [entry["claim"] for entry in whole["claims"]] == ["A", "B", "C-9"]
    (problem,) = whole["problems"]
    assert {"source", "where", "message"} <= set(problem)
    assert any(finding["provision"].endswith(KX) for finding in whole["claims"][0]["findings"])


def test_jsonl(run: Run, three: Path) -> None:
    whole = json.loads(run("validate", three, "-f", "json").out)
    lines = [json.loads(line) for line in run("validate", three, "-f", "jsonl").out.splitlines()]
    made_by = {name: whole[name] for name in ("register_revision", "as_known_on", "engine")}
    keys = [line.pop("key") for line in lines[:3]]
    assert len(set(keys)) == 3
    assert lines[:3] == [made_by | entry for entry in whole["claims"]]
    assert lines[3:] == [{"problem": problem} for problem in whole["problems"]]


def test_turtle(run: Run, three: Path) -> None:
    graph = Graph().parse(data=run("validate", three, "-f", "ttl").out, format="turtle")
    (report,) = graph.subjects(RDF.type, SH.ValidationReport)
    assert graph.value(report, SH.conforms) == Literal(False)
    conforming = run("validate", "-", "-f", "ttl", stdin=NOT_GOVERNED)
    graph = Graph().parse(data=conforming.out, format="turtle")
    assert list(graph.objects(None, SH.conforms)) == [Literal(True)]


def test_fhir(run: Run, three: Path) -> None:
    outcome = json.loads(run("validate", three, "-f", "fhir").out)
    assert outcome["resourceType"] == "OperationOutcome"
    assert {issue["severity"] for issue in outcome["issue"]} >= {"error", "information"}


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "ttl", "fhir"])
def test_output_to_a_file(run: Run, three: Path, tmp_path: Path, form: str) -> None:
    shown = run("validate", three, "-f", form)
    done = run("validate", three, "-f", form, "-o", tmp_path / "result")
    assert (done.code, done.out, done.err) == (shown.code, "", shown.err)
    written = (tmp_path / "result").read_text()
    assert written == shown.out or form == "table"
    assert "KX" in written


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_ask(run: Run, form: str) -> None:
    done = run("ask", "requirements", "--code", "38228", "--payer", "medicare", "--dos=2025-06-25", "-f", form)
    assert (done.code, done.err) == (0, "")
    assert "modifier KX" in done.out


def test_ask_by_any_way_of_writing(run: Run) -> None:
    base = ("--code", "38228", "--payer", "medicare", "--dos", "2025-06-25")
    usual = run("ask", "requirements", *base, "--setting", "outpatient", "-f", "json").out
    assert run("ask", "requirements", *base, "--param", "setting=outpatient", "-f", "json").out == usual
    assert run("ask", "requirements", "--setting=outpatient", *base, "-f", "json").out == usual
    assert run("ask", "requirements", "setting=outpatient", *base, "-f", "json").out == usual


def test_ask_lists_questions(run: Run, register: Register) -> None:
    for words in (("ask",), ("ask", "--list")):
        done = run(*words)
        assert done.code == 0
        assert all(name in done.out for name in register.queries)
        assert "--dos" in done.out


def test_export(run: Run, register: Register) -> None:
    done = run("export")
    assert done.code == 0
    assert len(Graph().parse(data=done.out, format="nt")) == len(register.snapshot().graph)


def test_tables_fit_a_terminal_of_80_columns(run: Run, three: Path) -> None:
    for words in (
        ("validate", three),
        ("ask", "requirements", "--code", "38228", "--payer", "medicare", "--dos", "2025-06-25"),
    ):
        assert max(len(line.rstrip()) for line in run(*words).out.splitlines()) <= 80


# --- Files that are no claims -----------------------------------------------------------------------------------------

X12 = (DEMO / "outpatient.837").read_bytes()
FHIR = (DEMO / "office-visit.fhir.json").read_bytes()
JSON = claim().encode()
BOMB = b"""<?xml version="1.0"?><!DOCTYPE rdf [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">
<!ENTITY e SYSTEM "file:///etc/passwd">]>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description>&d;&e;</rdf:Description></rdf:RDF>"""
REMOTE = b'{"@context": "http://127.0.0.1:9/context.jsonld", "@type": "Claim", "lines": []}'
BAD = {
    "empty": b"",
    "white space": b" \n\n ",
    "random": random.Random(5).randbytes(5000),
    "words": b"Dear Sir or Madam, please find attached",
    "truncated 837": X12[: X12.index(b"CLM*")],
    "truncated header": X12[:60],
    "truncated FHIR": FHIR[: len(FHIR) // 2],
    "truncated JSON": claim()[:-20].encode(),
    "truncated Turtle": b"@prefix clm: <https://w3id.org/chartulary/def/claim#> .\n<urn:c> a clm:Cl",
    "no Turtle": b"@prefix : <x:> . :a :b ;; , .",
    "deep JSON": b'{"lines":' * 100_000,
    "deep list": b"[" * 1_000_000,
    "deep and closed": b"[" * 5000 + b"]" * 5000,
    "deep Turtle": b"@prefix : <x:> . :a :b " + b"( " * 5000,
    "XML bomb": BOMB,
    "remote context": REMOTE,
    "remote context in a list": b'[{"@context": ["http://127.0.0.1:9/c.jsonld"], "@id": "urn:x"}]',
    "remote import": b'{"@context": {"@version": 1.1, "@import": "http://127.0.0.1:9/c"}, "@id": "urn:x"}',
    "wrong day": claim("2025-06-31").encode(),
    "day as words": claim("June 2025").encode(),
    "wrong type": b'{"id": "C-1", "lines": "none"}',
    "no object": b"[1, 2, 3]"[:3] + b"]",
    "number": b"12",
    "gzip": b"\x1f\x8b\x08\x00" + bytes(50),
    "UTF-16 cut": "{".encode("utf-16")[:-1],
    "NUL": b'{"id": "\0"}',
}


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    tried: list[object] = []

    def refuse(*arguments: object, **_: object) -> None:
        tried.append(arguments)
        raise OSError("no network in this test")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    return tried


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_claim_is_one_line(run: Run, tmp_path: Path, no_network: list[object], name: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(BAD[name])
    done = run("validate", path)
    line = done.is_a_fault()
    assert line.startswith(f"{path}")
    assert len(line) - len(str(path)) < 250
    assert "bug" not in line
    assert done.out == ""
    assert no_network == []
    assert run("validate", "-", stdin=BAD[name]).is_a_fault().startswith("-")


@pytest.mark.parametrize("name", ["random", "truncated 837", "deep JSON", "XML bomb", "remote context", "empty"])
@pytest.mark.parametrize("form", ["json", "jsonl", "ttl", "fhir"])
def test_what_is_no_claim_in_every_format(run: Run, name: str, form: str) -> None:
    done = run("validate", "-", "-f", form, stdin=BAD[name])
    message = done.is_a_fault().partition(": ")[2]
    if form == "ttl":
        assert len(Graph().parse(data=done.out, format="turtle"))
    else:
        told = json.loads(done.out)
        problems = {"json": lambda: told["problems"], "jsonl": lambda: [told["problem"]], "fhir": lambda: told["issue"]}
        assert message in json.dumps(problems[form](), ensure_ascii=False).replace('\\"', '"')


@pytest.mark.parametrize("size", [50_000_000])
@pytest.mark.parametrize(
    ("name", "head", "filling", "tail"),
    [
        ("words", b"", b"x", b""),
        ("JSON text", b'{"id": "', b"x", b'"}'),
        ("837", X12[: X12.index(b"~") + 1], b"x", b""),
        ("JSON list", b"[", b"1,", b"1]"),
    ],
)
def test_fifty_megabytes_on_one_line(run: Run, name: str, head: bytes, filling: bytes, tail: bytes, size: int) -> None:
    content = head + filling * (size // len(filling)) + tail
    done = run("validate", "-", stdin=content)
    assert done.code == 2
    assert done.out == ""
    assert 0 < len(done.err) < 200_000
    assert "bug" not in done.err and "Traceback" not in done.err


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    data=st.binary(max_size=300), at=st.integers(0, 4000), whole=st.sampled_from([X12, FHIR, claim().encode(), REMOTE])
)
def test_damaged_files(run: Run, data: bytes, at: int, whole: bytes) -> None:
    at %= len(whole)
    for content in (data, whole[:at] + data, whole[:at] + data + whole[at + len(data) :]):
        done = run("validate", "-", "-f", "json", stdin=content)
        told = json.loads(done.out)
        failed = [problem for problem in told["problems"] if not problem["warning"]]
        assert done.code == (2 if failed else any(c["outcome"] == "violation" for c in told["claims"]))
        assert len(done.err.splitlines()) == len(told["problems"])
        assert "bug" not in done.err and "Traceback" not in done.err


def test_a_cut_file_still_gives_the_claims_before_the_cut(run: Run) -> None:
    whole = json.loads(run("validate", "-", "-f", "json", stdin=X12).out)
    last = X12.rindex(b"CLM*")
    cut = run("validate", "-", "-f", "json", stdin=X12[:last])
    told = json.loads(cut.out)
    assert [c["claim"] for c in told["claims"]] == [c["claim"] for c in whole["claims"]][:-1]
    assert cut.code == 2 and told["problems"]


def test_paths_that_are_no_files(run: Run, tmp_path: Path) -> None:
    assert "no such file" in run("validate", tmp_path / "none.837").is_a_fault()
    assert "directory" in run("validate", tmp_path).is_a_fault()
    assert run("validate", "x" * 5000).is_a_fault()


# --- Arguments --------------------------------------------------------------------------------------------------------

ASKED = ("ask", "requirements", "--code", "38228", "--payer", "medicare", "--dos", "2025-06-25")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("validate",), "FILE"),
        (("validate", "-", "--engine", "fast"), "fast"),
        (("validate", "-", "--format", "xml"), "xml"),
        (("validate", "-", "--unknown", "no"), "no"),
        (("validate", "-", "--as-known-on", "2025-02-30"), "'2025-02-30' is not a day"),
        (("validate", "-", "--as-known-on", "yesterday"), "'yesterday' is not a day"),
        (("validate", "-", "--as-known-on"), "as-known-on"),
        (("validate", "-", "--nonsense"), "nonsense"),
        (("validate", "-", "--policies", "/no/such/folder"), "no such folder"),
        (("validate", "-", "--output", "/no/such/folder/file"), "cannot be written"),
        (("validate", "-", "--output", "/"), "cannot be written"),
        (("valdate", "-"), "valdate"),
        (("export", "--output", "/no/such/folder/file"), "cannot be written"),
        ((*ASKED, "--format", "ttl"), "ttl"),
        ((*ASKED, "--as-known-on", "soon"), "'soon' is not a day"),
        ((*ASKED, "--endpoint", "http://127.0.0.1:9/query"), "no answer"),
        ((*ASKED, "--endpoint", "nowhere"), "no answer"),
        ((*ASKED, "--seting", "outpatient"), "did you mean 'setting'"),
        ((*ASKED, "--setting"), "--setting needs a value"),
        ((*ASKED, "outpatient"), "'outpatient' is no parameter"),
        ((*ASKED, "-x"), "-x"),
        ((*ASKED, "--question", "x"), "no parameter 'question'"),
        ((*ASKED, "--self", "x"), "no parameter 'self'"),
        ((*ASKED, "as_known_on=2025-01-01"), "as_known_on"),
        ((*ASKED, "endpoint=x"), "endpoint"),
        ((*ASKED, "--param", "setting"), "setting"),
        ((*ASKED, "--param", "=x"), "no parameter"),
        ((*ASKED, "--setting", "moon"), "no setting 'moon'"),
        (("ask", "requirement"), "did you mean 'requirements'"),
        (("ask", "requirements"), "needs --code"),
        (("ask", "requirements", "--code", "38228", "--payer", "acme", "--dos", "2025-06-25"), "no payer 'acme'"),
        (("ask", "requirements", "--code", "38228", "--payer", "medicare", "--dos", "25/6/2025"), "not a day"),
        (("ask", "requirements", "--code", "0000X", "--payer", "medicare", "--dos", "2025-06-25"), "no code '0000X'"),
    ],
)
def test_wrong_arguments(run: Run, words: tuple[str, ...], message: str) -> None:
    done = run(*words, stdin=claim())
    assert message in done.is_a_fault()
    assert done.out == ""


def test_broken_policies_of_the_user(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.ttl").write_text("@prefix : <x:> .\n:a :b")
    line = run("validate", "-", "--policies", tmp_path, stdin=claim()).is_a_fault()
    assert "mine.ttl" in line
    (tmp_path / "mine.ttl").write_bytes(b"\xff\xfe\x00")
    assert "mine.ttl" in run("ask", "--list", "--policies", tmp_path).is_a_fault()


def test_a_strange_terminal_width(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for width in ("wide", "", "0", "-5", "100000"):
        monkeypatch.setenv("COLUMNS", width)
        assert run("validate", "-", stdin=claim()).code == 1


def test_unknown_payer_on_a_claim_is_said(run: Run) -> None:
    done = run("validate", "-", stdin=claim(payer="Nobody Mutual"))
    assert done.code in (0, 1)
    assert "payer" in done.out and done.err == ""


# --- Privacy ----------------------------------------------------------------------------------------------------------

PRIVATE = ("DOE", "JANE", "Doe", "Jane", "1EG4TE5MK73", "1961-03-04", "19610304", "diabetic")


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"id": "C-1", "patient": {"name": "Jane Doe", "birth_date": "1961-03-04x"}, "lines": []}),
        json.dumps({"id": "C-1", "payer": {"member_id": ["1EG4TE5MK73"]}, "notes": [{"text": ["Jane is diabetic"]}]}),
        json.dumps({"id": "C-1", "Jane Doe": "diabetic", "lines": []}),
        json.dumps(
            {"resourceType": "Claim", "patient": {"display": "Jane Doe"}, "item": [{"servicedDate": {"x": "Doe"}}]}
        ),
        json.dumps({"resourceType": "Patient", "name": [{"family": "Doe"}], "birthDate": "1961-03-04"}),
        X12.decode().replace("TESTPATIENT*ANNA", "DOE*JANE").replace("DTP*472*D8*", "DTP*472*D8*DOE"),
        X12.decode().replace("TESTPATIENT*ANNA", "DOE*JANE").replace("SV2*", "SV2*DOE JANE*"),
        '@prefix clm: <https://w3id.org/chartulary/def/claim#> .\n<urn:c> a clm:Claim ; clm:note "Jane Doe diabetic',
        "Jane Doe, 1961-03-04, diabetic",
    ],
)
def test_nothing_private_on_the_terminal(run: Run, content: str) -> None:
    done = run("validate", "-", "-f", "json", stdin=content)
    for word in PRIVATE:
        assert word not in done.err
        assert word not in json.dumps(json.loads(done.out)["problems"])


# --- As a user runs it ------------------------------------------------------------------------------------------------


def test_as_a_command(tmp_path: Path) -> None:
    (tmp_path / "bad.bin").write_bytes(BAD["random"])
    done = command("validate", DEMO / "outpatient.837", tmp_path / "bad.bin", cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "VIOLATION" in done.stdout
    done = command("validate", "-", "-f", "json", input=claim(), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout)["claims"][0]["source"] == "-"


def test_a_closed_pipe_is_no_fault() -> None:
    words = [sys.executable, "-m", "chartulary", "export"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()


def test_help_says_what_there_is() -> None:
    done = command("--help", env=os.environ | {"COLUMNS": "80"})
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("validate", "ask", "export"))
    nothing = command()
    assert "validate" in nothing.stdout + nothing.stderr
    assert "Traceback" not in nothing.stderr
