"""Evaluates acceptance cases: evaluate.py CASES.jsonl [--engine shifty|pyshacl] > RESULTS.jsonl

Turns each case into claim JSON, validates it, and writes a line of statement ids by outcome. It only translates: what a
case's words mean is said in ``policies/``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from chartulary.claim import Claim
from chartulary.readers.claim_json import read_claim
from chartulary.register import Register
from chartulary.report import Citation, Report

# A case's facts that claim JSON has a field of its own for.
_DATES = {
    "statement_from": "statement_from",
    "statement_through": "statement_through",
    "submitted_on": "submitted",
    "reference_date": "submitted",
}


def claim_json(case: dict[str, Any]) -> dict[str, Any]:
    """The case's input in the words of claim JSON."""
    given = case["input"]
    facts = dict(given.get("facts") or {})
    claim: dict[str, Any] = {
        "id": case["id"],
        "request": "prior-authorization" if case["type"] == "prior-auth" else "claim",
        "form": given.get("claim_form"),
        "payer": given.get("payer"),
        "line_of_business": given.get("line_of_business"),
        "setting": given.get("setting"),
        "date_of_service": given.get("dos"),
        "drg": given.get("drg"),
        "diagnoses": given.get("diagnoses"),
        "procedures": given.get("icd10pcs"),
        "condition_codes": given.get("condition_codes"),
        "notes": [{"location": note.get("loc"), "text": note["text"]} for note in given.get("notes") or ()],
        "attachments": [
            {"kind": item.get("type"), "date": item.get("date")} for item in given.get("attachments") or ()
        ],
        "product": given.get("product"),
        "donor_type": facts.pop("donor_type", None),
        "patient": {"age": given.get("member_age"), "birth_date": facts.pop("birth_date", None)},
        "lines": [dict(_line(line)) for line in given.get("lines") or ()],
    }
    for fact, name in _DATES.items():
        claim[name] = facts.pop(fact, None) or claim.get(name)
    if "denied_on" in facts:
        claim["history"] = [
            {"kind": "denial", "date": facts.pop("denied_on"), "reason": facts.pop("denial_reason", None)}
        ]
    claim["documents"] = [
        {"kind": name.replace("_", "-"), "date": fact["date"], "result": fact.get("result")}
        for name, fact in list(facts.items())
        if isinstance(fact, dict) and fact.get("date") and facts.pop(name)
    ]
    claim["findings"] = dict(_findings(facts))
    return _without_blanks(claim)


def _line(line: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    names = {"line": "number", "dos": "date_of_service", "pos": "place_of_service"}
    for name, value in line.items():
        yield names.get(name, name), value


def _findings(facts: dict[str, Any], head: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in facts.items():
        key = (head + name).replace("_", "-")
        if isinstance(value, dict):
            yield from _findings(value, f"{head}{name}-")
        else:
            yield key, value


def _without_blanks(value: dict[str, Any]) -> dict[str, Any]:
    kept = {}
    for name, item in value.items():
        if name == "findings":
            kept[name] = item
            continue
        if isinstance(item, dict):
            item = _without_blanks(item)
        elif isinstance(item, list):
            item = [_without_blanks(entry) if isinstance(entry, dict) else entry for entry in item]
        if item not in (None, [], {}):
            kept[name] = item
    return kept


def _ids(citations: Iterable[Citation]) -> list[str]:
    return [citation.statement.rsplit("/", 1)[-1] for citation in citations]


def result(claim: Claim, report: Report) -> dict[str, Any]:
    """A report in the form that the judge compares."""
    by_outcome: dict[str, set[str]] = {"violation": set(), "review": set(), "info": set(), "overridden": set()}
    by_line: dict[str, set[str]] = {str(line.number): set() for line in claim.lines}
    for governing in report.governed_by:
        by_outcome["info"].update(_ids(governing.cites))
    for finding in report.findings:
        cited = _ids((*finding.cites, *finding.later_cites))
        by_outcome[finding.outcome].update(cited)
        if finding.line is not None and finding.outcome == "violation":
            by_line[str(finding.line)].update(cited)
    return {
        "id": claim.id,
        "outcome": report.outcome,
        "violated": sorted(by_outcome["violation"]),
        "needs_review": sorted(by_outcome["review"]),
        "informational": sorted(by_outcome["info"] - by_outcome["violation"] - by_outcome["review"]),
        "overridden": sorted(by_outcome["overridden"]),
        "by_line": {line: sorted(ids) for line, ids in by_line.items()},
    }


def evaluate(
    cases: Iterable[dict[str, Any]], engine: Any = "auto", register: Register | None = None
) -> Iterator[dict[str, Any]]:
    """A result for each case that is a claim or a prior authorisation request."""
    register = register or Register.load()
    for case in cases:
        if case["type"] == "query":
            continue
        known = case["input"].get("as_known_on")
        for claim in read_claim(claim_json(case), source=case["id"]):
            if not isinstance(claim, Claim):
                print(claim, file=sys.stderr)
                continue
            snapshot = register.snapshot(as_known_on=date.fromisoformat(known) if known else None, unknown="info")
            yield result(claim, snapshot.validate(claim, engine=engine))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases")
    parser.add_argument("--engine", default="auto")
    options = parser.parse_args()
    with Path(options.cases).open(encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines if line.strip()]
    for row in evaluate(cases, options.engine):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
