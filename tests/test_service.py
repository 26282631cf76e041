"""The service: what programs send and get, who is let in, and what is refused in one line."""

from __future__ import annotations

import base64
import json
import logging
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from examples import Document, check_example, title
from fastapi.testclient import TestClient
from rdflib import RDF, Graph
from rdflib.namespace import SH
from service import kept, server
from typer.testing import CliRunner

from chartulary.cli import app as command
from chartulary.service import start as starting
from chartulary.service.accept import choose
from chartulary.service.app import create_app
from chartulary.service.settings import Settings, read_token

__all__ = ["kept", "server"]

DEMO = Path(__file__).parents[1] / "demo"
X12 = (DEMO / "outpatient.837").read_bytes()
FHIR = (DEMO / "office-visit.fhir.json").read_bytes()
CLAIM = (DEMO / "prior-authorization.json").read_bytes()
LINES = "application/x-ndjson"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = Settings(cache=tmp_path_factory.mktemp("cache"), body_limit=200_000, line_limit=20_000)
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        yield client


def send(client: TestClient, body: bytes, kind: str = "application/edi-x12", **headers: str) -> Any:
    return client.post("/v1/validate", content=body, headers={"content-type": kind, **headers})


# --- Claims -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind", "outcome"),
    [
        (X12, "application/edi-x12", "violation"),
        (X12, "application/x12; charset=utf-8", "violation"),
        (X12, "", "violation"),
        (CLAIM, "application/json", "violation"),
        (FHIR, "application/fhir+json", "not-applicable"),
        (FHIR, "application/json", "not-applicable"),
    ],
)
def test_a_claim_is_held(client: TestClient, body: bytes, kind: str, outcome: str) -> None:
    answer = send(client, body, kind)
    assert answer.status_code == 200
    told = answer.json()
    assert told["claims"][0]["outcome"] == outcome
    assert told["problems"] == []
    assert answer.headers["chartulary-decision"] == told["decision"]
    assert answer.headers["chartulary-register-revision"] == told["register_revision"]


def test_the_api_says_what_the_command_says(client: TestClient) -> None:
    done = CliRunner().invoke(command, ["validate", str(DEMO / "outpatient.837"), "--format", "json"])
    here = send(client, X12).json()
    there = json.loads(done.stdout)
    for claim in there["claims"]:
        claim["source"] = "request"
    assert here["claims"] == there["claims"]
    assert here["register_revision"] == there["register_revision"]


def test_a_decision_hangs_on_all_that_it_was_made_from(client: TestClient) -> None:
    def decision(body: bytes = X12, query: str = "") -> str:
        answer = client.post(f"/v1/validate{query}", content=body)
        return str(answer.headers["chartulary-decision"])

    assert decision() == decision()
    others = [decision(CLAIM), decision(query="?as-known-on=2025-09-01"), decision(query="?unknown=info")]
    assert len({decision(), *others}) == 4


def test_as_known_on_a_day_between_publications(client: TestClient) -> None:
    late = client.post("/v1/validate?as-known-on=2025-09-17", content=X12).json()
    assert late["as_known_on"] == "2025-09-17"
    outcomes = {claim["claim"]: claim["outcome"] for claim in late["claims"]}
    assert outcomes["OP-0626"] == "violation"  # nobody knew yet that KX had ended
    assert send(client, X12).json()["claims"][2]["outcome"] == "conformant"


def test_fhir_and_shacl_answers(client: TestClient) -> None:
    outcome = send(client, X12, accept="application/fhir+json")
    assert outcome.headers["content-type"].startswith("application/fhir+json")
    assert outcome.json()["resourceType"] == "OperationOutcome"
    report = send(client, X12, accept="text/turtle, */*;q=0.1")
    graph = Graph().parse(data=report.text, format="turtle")
    assert graph.value(predicate=RDF.type, object=SH.ValidationReport)


def test_one_bad_claim_costs_no_other(client: TestClient) -> None:
    body = json.dumps([json.loads(CLAIM), {"lines": "none"}]).encode()
    answer = send(client, body, "application/json")
    assert answer.status_code == 200
    assert len(answer.json()["claims"]) == 1
    assert answer.json()["problems"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/edi-x12"),
        (b"ISA*00", "application/edi-x12"),
        (b"{", "application/json"),
        (b"[" * 5000, "application/json"),
        (b'{"resourceType": "Patient"}', "application/fhir+json"),
        (b"@prefix : <x> . :a :b", "text/turtle"),
        (b'{"@context": "https://example.org/context", "@id": "x"}', "application/ld+json"),
        (b"claim_id\n", "text/csv"),
        (b"\xff\xfe\x00\x00", "text/plain"),
        (b"PK\x03\x04", ""),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(client: TestClient, body: bytes, kind: str) -> None:
    answer = send(client, body, kind)
    assert answer.status_code == 400
    told = answer.json()
    assert told["error"] and "\n" not in told["error"]
    assert "Traceback" not in answer.text


def test_other_types_are_refused(client: TestClient) -> None:
    assert send(client, b"<a/>", "application/xml").status_code == 415
    assert send(client, X12, accept="image/png").status_code == 406
    assert client.post("/v1/validate?as-known-on=soon", content=X12).status_code == 422
    assert client.post("/v1/validate?unknown=maybe", content=X12).status_code == 422
    assert client.get("/v1/validate").status_code == 405
    assert client.get("/v1/nothing").status_code == 404


def test_a_body_has_a_limit(client: TestClient) -> None:
    def chunks() -> Iterator[bytes]:  # without a Content-Length
        for _ in range(30):
            yield b"x" * 10_000

    assert send(client, b"x" * 200_001).status_code == 413
    answer = client.post("/v1/validate", content=chunks())
    assert (answer.status_code, answer.json()) == (413, {"error": "the body is larger than 200,000 bytes"})


def test_a_request_has_so_many_claims_and_a_claim_so_many_lines(client: TestClient) -> None:
    claim = json.loads(CLAIM)
    many = [{"id": str(number), "diagnoses": ["C83.30"]} for number in range(2001)]
    line = {"code": "38228", "date_of_service": "2025-09-20"}
    long = {**claim, "lines": [{**line, "number": number} for number in range(1, 1002)]}
    answer = send(client, json.dumps(many).encode(), "application/json")
    assert answer.status_code == 413 and "more than 2,000 claims" in answer.json()["error"]
    answer = send(client, json.dumps(long).encode(), "application/json")
    assert answer.status_code == 413 and "1,001 lines" in answer.json()["error"]


# --- Repair -----------------------------------------------------------------------------------------------------------

MENDED = X12.replace(b"HC:38228*", b"HC:38228:KX*", 1)


def mend(client: TestClient, body: bytes, kind: str = "application/edi-x12", **headers: str) -> Any:
    return client.post("/v1/repair", content=body, headers={"content-type": kind, **headers})


def test_a_claim_is_mended_and_told_as_the_command_tells_it(client: TestClient) -> None:
    answer = mend(client, X12)
    told = answer.json()
    done = CliRunner().invoke(command, ["repair", str(DEMO / "outpatient.837"), "--format", "json"])
    there = json.loads(done.stdout)
    for claim in there["claims"]:
        claim["source"] = "request"
    assert told["claims"] == there["claims"] and told["as_known_on"] is None
    assert told["file"].encode() == MENDED
    assert told["decision"] == answer.headers["chartulary-decision"] != send(client, X12).json()["decision"]
    assert mend(client, X12).json() == told


@pytest.mark.parametrize("kind", ["application/edi-x12", "text/plain", ""])
def test_the_mended_file_comes_as_accept_asks(client: TestClient, kind: str) -> None:
    for accept in filter(None, (kind, "application/octet-stream")):
        answer = mend(client, X12, kind, accept=accept)
        assert answer.content == MENDED and answer.headers["content-type"].partition(";")[0] == accept
        assert mend(client, MENDED, kind, accept=accept).content == MENDED
    refused = mend(client, X12, kind, accept="application/fhir+json")
    assert refused.status_code == 406 and "application/octet-stream" in refused.json()["error"]


def test_a_file_without_a_mend_is_the_same_bytes(client: TestClient) -> None:
    assert mend(client, FHIR, "application/fhir+json", accept="application/fhir+json").content == FHIR
    odd = b"\xef\xbb\xbf" + CLAIM.replace(b"  ", b"\t")
    assert mend(client, odd, "application/json", accept="application/octet-stream").content == odd


def test_repair_heeds_the_day(client: TestClient) -> None:
    early = client.post("/v1/repair", params={"as-known-on": "2025-09-01"}, content=X12).json()
    assert early["as_known_on"] == "2025-09-01"
    assert [bool(claim["changes"]) for claim in early["claims"]] == [True, False, True]


def test_repair_refuses_what_validate_refuses(client: TestClient) -> None:
    for body, kind in ((b"Dear Sir", "text/plain"), (b"", "application/json")):
        for accept in ("application/json", "application/octet-stream"):
            answer = mend(client, body, kind, accept=accept)
            assert answer.status_code == 400 and "\n" not in answer.json()["error"]
    assert mend(client, X12, LINES).status_code == 415
    assert mend(client, b"x" * 200_001).status_code == 413
    many = json.dumps([{"id": str(number), "diagnoses": ["C83.30"]} for number in range(2001)]).encode()
    answer = mend(client, many, "application/json")
    assert answer.status_code == 413 and "“chartulary repair” takes any number" in answer.json()["error"]


# --- Lines ------------------------------------------------------------------------------------------------------------


def test_lines_are_answered_in_order_each_by_itself(client: TestClient) -> None:
    claim = json.dumps(json.loads(CLAIM)).encode()
    fhir = json.dumps(json.loads(FHIR)).encode()
    long = b'{"id": "' + b"x" * 30_000 + b'"}'
    body = b"\n".join([claim, b"", b"{", long, fhir] * 30)
    answer = send(client, body, LINES)
    assert answer.headers["content-type"].startswith(LINES)
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["line"] for line in told] == [n for n in range(1, 151) if n % 5 != 2]
    assert [line.get("outcome", "problem") for line in told[:4]] == [
        "violation",
        "problem",
        "problem",
        "not-applicable",
    ]
    assert told[2]["problem"]["message"] == "longer than 20,000 bytes"
    assert told[0]["decision"] != told[3]["decision"]


def test_lines_come_in_any_pieces(client: TestClient) -> None:
    claim = json.dumps(json.loads(CLAIM)).encode()
    whole = send(client, claim + b"\n" + claim, LINES).text

    def chunks() -> Iterator[bytes]:
        body = claim + b"\n" + claim
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    assert client.post("/v1/validate", content=chunks(), headers={"content-type": LINES}).text == whole


# --- Questions --------------------------------------------------------------------------------------------------------

KX = "/v1/queries/requirements?code=38228&payer=medicare&setting=outpatient&dos=2025-06-25"


def test_every_question_is_listed_and_described(client: TestClient) -> None:
    listed = {query["name"]: query for query in client.get("/v1/queries").json()["queries"]}
    paths = client.get("/openapi.json").json()["paths"]
    assert len(listed) > 15
    for name, query in listed.items():
        described = paths[f"/v1/queries/{name}"]["get"]["parameters"]
        assert {p["name"] for p in described} == {*(p["name"] for p in query["parameters"]), "as-known-on"}


def test_a_question_is_answered_as_json_and_csv(client: TestClient) -> None:
    told = client.get(KX).json()
    done = CliRunner().invoke(
        command,
        [
            "ask",
            "requirements",
            "--code",
            "38228",
            "--payer",
            "medicare",
            "--setting",
            "outpatient",
            "--dos",
            "2025-06-25",
            "-f",
            "json",
        ],
    )
    assert told["results"] == json.loads(done.stdout)["results"]
    assert told["decision"]
    table = client.get(KX, headers={"accept": "text/csv"})
    assert table.text.startswith("provision,label,")
    assert client.get(KX, headers={"accept": "image/png"}).status_code == 406


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/v1/queries/requirements?code=38228&payer=medicare", 400, "needs dos"),
        ("/v1/queries/requirements?code=00000&payer=medicare&dos=2025-01-01", 400, "no code '00000'"),
        ("/v1/queries/requirements?code=38228&payer=medicare&dos=soon", 400, "not a day"),
        (KX + "&dose=1", 400, "dose"),
        (KX + "&dos=2025-06-26", 400, "dos: given twice"),
        (KX + "&as-known-on=2025", 422, "as-known-on"),
        ("/v1/queries/nothing", 404, "no question 'nothing'"),
    ],
)
def test_a_wrong_question_is_refused_in_one_line(client: TestClient, path: str, status: int, told: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert told in answer.json()["error"]


# --- Who is let in, and what is told ----------------------------------------------------------------------------------


def test_health_and_metrics_tell_nothing_of_claims(client: TestClient) -> None:
    send(client, X12)
    assert client.get("/healthz").text == "ok\n"
    assert client.get("/readyz").status_code == 200
    client.get("/v1/queries/secret-name")
    told = client.get("/metrics").text
    assert 'chartulary_claims_total{outcome="violation"}' in told
    assert 'route="/v1/validate"' in told
    assert "OP-0625" not in told and "secret-name" not in told


def test_every_answer_has_a_policy_for_browsers(client: TestClient) -> None:
    for path in ("/healthz", "/v1/queries", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_another_sites_name_is_no_way_in(client: TestClient) -> None:
    assert client.get("/healthz", headers={"host": "attacker.example"}).status_code == 421
    assert client.get("/healthz", headers={"host": "127.0.0.1:8000"}).status_code == 200
    assert client.get("/healthz", headers={"host": "[::1]:8000"}).status_code == 200


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    token = "correct-horse-battery"
    with TestClient(create_app(Settings(host="0.0.0.0", token=token)), base_url="http://example.org") as client:
        assert client.get("/healthz").status_code == 200
        refused = client.get("/v1/queries")
        assert (refused.status_code, refused.json()) == (401, {"error": "a token is needed"})
        assert refused.headers["www-authenticate"].startswith("Basic")
        basic = base64.b64encode(f"anyone:{token}".encode()).decode()
        for header, status in (
            (f"Bearer {token}", 200),
            (f"Basic {basic}", 200),
            (f"Bearer {token}x", 401),
            ("Bearer", 401),
            ("Basic ?", 401),
            (token, 401),
        ):
            assert client.get("/v1/queries", headers={"authorization": header}).status_code == status


def test_nothing_of_a_claim_is_logged(
    client: TestClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    send(client, X12)
    send(client, X12[:300])
    service: Any = client.app.state.service  # type: ignore[attr-defined]
    monkeypatch.setattr(service, "validate", lambda *_, **__: 1 / 0)
    answer = send(TestClient(client.app, base_url="http://localhost", raise_server_exceptions=False), X12)
    assert (answer.status_code, answer.json()) == (500, {"error": "this is a fault of the server, and was counted"})
    assert "ZeroDivisionError" in caplog.text
    assert "OP-0625" not in caplog.text and "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--host", "0.0.0.0"], "give --token-file FILE, or --insecure"),
        (["--token-file", "nowhere"], "the token cannot be read"),
        (["--host", "no.such.host.invalid", "--insecure"], "cannot listen there"),
    ],
)
def test_serve_refuses_in_one_line(arguments: list[str], told: str) -> None:
    done = CliRunner().invoke(command, ["serve", *arguments])
    assert done.exit_code != 0
    assert told in str(done.exception)


def test_answers_are_sent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What asyncio sends through a socket that does not say that it is TCP's waits for the caller, some 40 ms."""
    taken: list[socket.socket] = []
    monkeypatch.setattr(starting, "create_app", lambda _: None)
    monkeypatch.setattr(uvicorn.Server, "run", lambda _, sockets: taken.extend(sockets))
    starting.run(Settings(port=0))
    with taken[0] as listening:
        assert listening.proto == socket.IPPROTO_TCP


def test_a_token_is_long_enough(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("short\n")
    with pytest.raises(Exception, match="at least 16"):
        read_token(tmp_path / "token")
    (tmp_path / "token").write_text("0123456789abcdef\nnot this\n")
    assert read_token(tmp_path / "token") == "0123456789abcdef"


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (None, "a/a"),
        ("*/*", "a/a"),
        ("a/b", "a/b"),
        ("b/*", "b/b"),
        ("a/*;q=0.1, b/b;q=0.2", "b/b"),
        ("a/a;q=0, */*", "a/b"),
        ("c/c", None),
        ("a/b;q=x, b/b", "b/b"),
    ],
)
def test_content_negotiation(header: str | None, chosen: str | None) -> None:
    assert choose(header, ["a/a", "a/b", "b/b"]) == chosen


GUIDE = Document(Path(__file__).parents[1] / "docs" / "service.md")


@pytest.mark.parametrize("example", GUIDE.examples, ids=title)
def test_example_of_the_guide(server: str, example: str) -> None:
    if not shutil.which("curl"):
        pytest.skip("no curl")
    check_example(GUIDE, example.replace("localhost:8000", server.removeprefix("http://")), DEMO.parent)
