"""Whatever a caller sends that the OpenAPI document allows, or nearly allows, no answer is a 500."""

from __future__ import annotations

import json
import random
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from service import kept, server

from chartulary.service.api import CLAIMS

__all__ = ["kept", "server"]
pytestmark = pytest.mark.slow

BASE = Path(__file__).parents[1]
SAMPLES = sorted(path for path in (BASE / "demo").iterdir() if path.is_file())
REMITS = sorted((BASE / "demo" / "remittances").iterdir())


def test_no_request_ends_in_a_500(server: str) -> None:
    operations = [found.ok() for found in schemathesis.openapi.from_url(f"{server}/openapi.json").get_all_operations()]
    assert len(operations) > 15
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
        def ask(case: schemathesis.Case) -> None:
            answer = case.call()
            assert answer.status_code < 500, f"{case.method} {case.path}"

        ask()


def spoilt(content: bytes, chance: random.Random) -> bytes:
    """A body with some bytes changed, lost, doubled, or in another place."""
    body = bytearray(content)
    for _ in range(chance.randint(1, 12)):
        at = chance.randrange(len(body)) if body else 0
        what = chance.randrange(5)
        if what == 0:
            body[at : at + 1] = bytes([chance.randrange(256)])
        elif what == 1:
            del body[at : at + chance.randint(1, 40)]
        elif what == 2:
            body[at:at] = body[at : at + chance.randint(1, 40)]
        elif what == 3:
            body[at:at] = chance.choice([b"\x00", b"\xff", b"{", b"[", b'"', b"~", b"*", b"\n", b"1e999", b"\\u0000"])
        else:
            del body[at:]
    return bytes(body)


@pytest.mark.parametrize("kind", CLAIMS)
def test_a_fuzz_of_each_type_gets_an_answer_or_a_reason(server: str, kind: str) -> None:
    chance = random.Random(kind)
    refused = 0
    with httpx.Client(base_url=server, timeout=60) as client:
        for turn in range(40):
            body = spoilt(chance.choice(SAMPLES).read_bytes(), chance)
            answer = client.post("/v1/validate", content=body, headers={"content-type": kind})
            assert answer.status_code in (200, 400), f"turn {turn}: {answer.status_code}"
            if answer.status_code == 400:
                refused += 1
                reason = json.loads(answer.text)["error"]
                assert reason and "\n" not in reason and "this is a bug" not in reason
    assert refused or kind == "application/x-ndjson"  # lines are refused one by one


def test_a_fuzz_of_files_to_mend_and_to_list_gets_an_answer_or_a_reason(server: str) -> None:
    chance = random.Random(5)
    with httpx.Client(base_url=server, timeout=60) as client:
        for turn in range(60):
            claims = spoilt(chance.choice(SAMPLES).read_bytes(), chance)
            mended = client.post("/v1/repair", content=claims, headers={"accept": "application/octet-stream"})
            assert mended.status_code in (200, 400), f"turn {turn}: {mended.status_code}"
            files = [("claims", ("c", claims)), ("remits", ("r", spoilt(chance.choice(REMITS).read_bytes(), chance)))]
            for path, asked in (("/v1/worklist", {"params": {"since": "2025-12-01"}}), ("/worklist", {})):
                answer = client.post(path, files=files, data={"since": "2025-12-01"}, **asked)  # type: ignore[arg-type]
                assert answer.status_code in (200, 400), f"turn {turn}: {answer.status_code}"
                assert "this is a bug" not in answer.text
