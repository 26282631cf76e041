"""Writes reports and answers: for people (table), programs (json, jsonl, csv), RDF tools (ttl), FHIR systems (fhir)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from datetime import date
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from chartulary.ask import Answer
from chartulary.errors import Problem
from chartulary.graph import iri_for
from chartulary.report import REPORTED_BY, Change, Citation, Finding, Report
from chartulary.terms import ROOT

_STYLES = {
    "violation": "bold red",
    "review": "bold yellow",
    "needs-review": "bold yellow",
    "overridden": "magenta",
    "info": "cyan",
    "conformant": "bold green",
    "not-applicable": "dim",
    "requirement": "bold red",
    "prohibition": "bold red",
    "change": "bold green",
    "notice": "cyan",
}
_SHACL = {"violation": "Violation", "review": "Warning", "info": "Info", "overridden": "Info"}
_FHIR = {
    "violation": ("error", "business-rule"),
    "review": ("warning", "business-rule"),
    "info": ("information", "informational"),
    "overridden": ("information", "informational"),
}
_MADE_BY = ("register_revision", "as_known_on", "engine")
_TOLD = tuple(f.name for f in fields(Report) if f.name not in _MADE_BY)
_NO_PROMISE = "no rule in the register was broken; this does not say that the service is covered or payable"


# --- JSON -------------------------------------------------------------------------------------------------------------


def report_json(report: Report) -> dict[str, Any]:
    """One claim's report as plain JSON values."""
    plain: dict[str, Any] = msgspec.to_builtins(_told(report))
    return plain


def _told(report: Report) -> dict[str, Any]:
    """What JSON says of a report; what it was made by is said of the whole run."""
    told = {name: getattr(report, name) for name in _TOLD}
    told["governed_by"] = [
        {
            "provision": governing.provision,
            "label": governing.label,
            "line": governing.line,
            "cites": [citation.statement for citation in governing.cites],
        }
        for governing in report.governed_by
    ]
    return told


def run_json(
    reports: Iterable[Report], problems: Iterable[Problem], *, revision: str, as_known_on: date | None, engine: str
) -> dict[str, Any]:
    """A whole run as one object."""
    return {
        "register_revision": revision,
        "as_known_on": as_known_on,
        "engine": engine,
        "claims": [_told(report) for report in reports],
        "problems": list(problems),
    }


def dump(value: object) -> str:
    """JSON text, indented; days as yyyy-mm-dd."""
    return msgspec.json.format(encoded(value), indent=2).decode()


def line_json(item: Report | Problem, *, key: str | None = None, **more: object) -> bytes:
    """A line of JSON Lines: a problem, or a report with what it was made by and a ``key`` that names its claim.

    ``more`` stands in the line as well.
    """
    if isinstance(item, Problem):
        return encoded({**more, "problem": item})
    made_by = {name: getattr(item, name) for name in _MADE_BY}
    return encoded({**({"key": key} if key else {}), **more, **made_by, **_told(item)})


def encoded(value: object) -> bytes:
    """JSON in one line; days as yyyy-mm-dd."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # half a surrogate pair, as JSON may bring it
        return json.dumps(msgspec.to_builtins(value)).encode()


# --- SHACL validation report ------------------------------------------------------------------------------------------


def reports_turtle(reports: Iterable[Report]) -> str:
    """One SHACL validation report over all claims; a result's value is the provision, and it cites its statements."""
    from rdflib import RDF, BNode, Graph, Literal, URIRef
    from rdflib.namespace import DCTERMS, SH, XSD

    from chartulary.namespaces import POL

    graph = Graph()
    for prefix, iri in (("sh", SH), ("pol", POL), ("dcterms", DCTERMS), ("xsd", XSD)):
        graph.bind(prefix, iri)
    whole = BNode("report")
    graph.add((whole, RDF.type, SH.ValidationReport))
    found = 0
    for report in reports:
        graph.add((whole, POL.registerRevision, Literal(report.register_revision)))
        if report.as_known_on:
            graph.add((whole, POL.asKnownOn, Literal(report.as_known_on)))
        for finding in report.findings:
            found += 1
            result = BNode(f"result{found}")
            graph.add((whole, SH.result, result))
            graph.add((result, RDF.type, SH.ValidationResult))
            graph.add((result, SH.focusNode, URIRef(iri_for(report.claim, finding.position))))
            graph.add((result, SH.resultSeverity, SH[_SHACL[finding.outcome]]))
            graph.add((result, SH.sourceShape, URIRef(REPORTED_BY[finding.outcome])))
            graph.add((result, SH.sourceConstraintComponent, SH.SPARQLConstraintComponent))
            graph.add((result, SH.value, URIRef(finding.provision)))
            graph.add((result, SH.resultMessage, Literal(_sentence(finding), lang="en")))
            for citation in finding.cites:
                graph.add((result, POL.cites, URIRef(citation.statement)))
    graph.add((whole, SH.conforms, Literal(found == 0)))
    return graph.serialize(format="turtle")


def _sentence(finding: Finding) -> str:
    parts = [finding.message]
    if finding.found:
        parts.append(f"found {finding.found}")
    if finding.repair:
        parts.append(finding.repair)
    return "; ".join(parts)


# --- FHIR OperationOutcome --------------------------------------------------------------------------------------------


def operation_outcome(reports: Iterable[Report], problems: Iterable[Problem]) -> dict[str, Any]:
    """A FHIR R4 OperationOutcome: an issue for each finding, for each claim without any, and for each problem."""
    issues: list[dict[str, Any]] = []
    for report in reports:
        for finding in report.findings:
            severity, code = _FHIR[finding.outcome]
            place = f"Claim.item[{finding.position - 1}]" if finding.position else "Claim"
            issues.append(
                {
                    "severity": severity,
                    "code": code,
                    "details": {
                        "coding": [{"system": finding.policy, "code": finding.provision.rpartition("#")[2]}],
                        "text": f"claim {report.claim}: {_sentence(finding)}",
                    },
                    "diagnostics": " | ".join(_cited(citation) for citation in finding.cites),
                    "expression": [place],
                }
            )
        if not report.findings:
            text = _NO_PROMISE if report.outcome == "conformant" else "no policy in the register governs this claim"
            issues.append(
                {
                    "severity": "information",
                    "code": "informational",
                    "details": {"text": f"claim {report.claim}: {text}"},
                }
            )
    for problem in problems:
        severity = "warning" if problem.warning else "error"
        issues.append({"severity": severity, "code": "structure", "details": {"text": str(problem)}})
    if not issues:
        issues.append({"severity": "error", "code": "not-found", "details": {"text": "no claim was read"}})
    for issue in issues:
        if not issue.get("diagnostics", "x"):
            del issue["diagnostics"]
    return {"resourceType": "OperationOutcome", "issue": issues}


def _cited(citation: Citation) -> str:
    return f"{citation.document}, {citation.section}: “{citation.quote}”"


# --- On a terminal ----------------------------------------------------------------------------------------------------


def show_report(console: Console, report: Report) -> None:
    """One claim: a heading with its outcome, then each finding with what to do and the sentence it rests on."""
    head = Table.grid(expand=True, padding=(0, 1))
    head.add_column(ratio=1)
    head.add_column(justify="right", no_wrap=True)
    place = f"{report.source}, {report.where}" if report.where else report.source
    about = Text.assemble(
        (f"claim {report.claim}", "bold"), f"  {report.payer}, {report.line_of_business}, {report.setting}"
    )
    if report.line_of_business.startswith(report.payer):
        about = Text.assemble((f"claim {report.claim}", "bold"), f"  {report.line_of_business}, {report.setting}")
    head.add_row(about, Text(report.outcome.upper(), style=_STYLES[report.outcome]))
    console.print(head)
    console.print(Padding(Text(place, style="dim"), (0, 0, 0, 2)))
    for note in report.notes:
        console.print(Padding(Text(note, style="dim italic"), (0, 0, 0, 2)))
    for finding in report.findings:
        console.print(Padding(_finding(finding), (1, 0, 0, 2)))
    if report.outcome == "conformant":
        console.print(Padding(Text(_NO_PROMISE[0].upper() + _NO_PROMISE[1:], style="dim"), (1, 0, 0, 2)))
    if report.outcome == "not-applicable":
        console.print(Padding(Text("No policy in the register governs this claim", style="dim"), (1, 0, 0, 2)))
    console.print()


def _finding(finding: Finding) -> RenderableType:
    where = f"line {finding.line}" if finding.line is not None else "claim"
    parts = [where, *(part for part in (finding.code, _days(finding)) if part)]
    head = Text.assemble((finding.outcome, _STYLES[finding.outcome]), "  ", "  ".join(parts))
    lines: list[Text] = [Text(finding.message, style="bold" if finding.outcome in ("violation", "review") else "")]
    if finding.outcome != "info" and finding.found:
        # A rule that says no more than its only criterion need not say it twice.
        same = finding.expected is not None and finding.expected.casefold() == finding.message.casefold()
        lines.append(Text(f"found {finding.found}" if same else f"expected {finding.expected}; found {finding.found}"))
    if finding.repair:
        lines.append(Text.assemble(("mend: ", "bold"), finding.repair))
    lines.extend(citation_lines(map(placed, finding.cites)))
    lines.extend(_change_line(change) for change in finding.changed_by)
    return Group(head, Padding(Group(*lines), (0, 0, 0, 2)))


def _days(finding: Finding) -> str | None:
    if finding.first_day == finding.last_day:
        return finding.first_day.isoformat() if finding.first_day else None
    return f"{finding.first_day or '…'} to {finding.last_day or '…'}"


def citation_lines(cites: Iterable[tuple[str, str]]) -> Iterator[Text]:
    """A line for each place of a document, with its sentences."""
    quotes: dict[str, list[str]] = {}
    for place, quote in cites:
        quotes.setdefault(place, []).append(f"“{quote}”")
    for place, sentences in quotes.items():
        yield Text.assemble((f"{place}: ", "dim"), ("; ".join(sentences), "italic dim"))


def placed(citation: Citation) -> tuple[str, str]:
    """Where a sentence stands, and the sentence."""
    unseen = "" if citation.verified else " (as others report it)"
    return f"{citation.document}, {citation.section}{unseen}", citation.quote


def _cited_lines(row: Mapping[str, Any]) -> Iterator[Text]:
    """The citations of an answer's row."""
    return citation_lines((f"{c['document']}, {c['section']}", c["quote"]) for c in row.get("cites", ()))


def _change_line(change: Change) -> Text:
    since = published(_span(change.published_earliest, change.published_latest))
    day = change.effective_from or f"some day of {_span(change.effective_earliest, change.effective_latest)}"
    return _changed(change.label, day, f"by {change.document}, published {since}")


def _changed(label: str, day: object, how: str) -> Text:
    return Text(f"changed for dates of service from {day} ({how}): {label}", style="green")


def show_summary(console: Console, outcomes: Mapping[str, int]) -> None:
    """One line after many claims."""
    parts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items() if count)
    console.print(Text(f"{sum(outcomes.values())} claims: {parts}", style="bold"))


def show_answer(console: Console, answer: Answer, title: str) -> None:
    """A question's rows: cited provisions as blocks, anything else as a table."""
    known = f"as known on {answer.as_known_on}" if answer.as_known_on else "all that the register holds"
    console.print(Text.assemble((title, "bold"), (f"\n{known}, register {answer.register_revision}", "dim")))
    if not answer.results:
        console.print("\nThe register holds nothing on this. That is not to say that nothing applies.")
    for row in answer.results:
        block = _rule(row) if "certainty" in row else _record(row)
        console.print(Padding(block, (1, 0, 0, 0)))


def _record(row: Mapping[str, Any]) -> RenderableType:
    """A row of any question: its label, then what else it says; IRIs only where there is nothing better to show."""
    plain = {name: value for name, value in row.items() if value and not str(value).startswith(ROOT)}
    head = next((name for name in ("label", "quote") if name in plain), next(iter(plain), None))
    lines = [Text(f"{_words(name)}: {_cell(plain[name])}") for name in plain if name not in (head, "cites")]
    lines.extend(_cited_lines(row))
    title = _cell(plain[head]) if head else _cell(next(iter(row.values())))
    return Group(Text(title, style="bold"), Padding(Group(*lines), (0, 0, 0, 2)))


def _words(column: str) -> str:
    return column.removesuffix("_label").replace("_", " ")


def _span(earliest: date | None, latest: date | None) -> str:
    return str(earliest) if earliest and earliest == latest else f"{earliest or '..'}/{latest or '..'}"


def published(interval: str) -> str:
    """An ISO 8601 interval in words: ``../D`` has no stated beginning."""
    return f"by {interval[3:]}" if interval.startswith("../") else interval


def period(row: Mapping[str, Any]) -> str:
    """The days of service on which a provision holds, in words; bounds are said where no source gives the day."""
    text = f"from {row.get('effective_from') or '(no start stated)'}"
    if row.get("effective_latest"):
        text += f" (at the latest {row['effective_latest']})"
    if row.get("effective_until") or row.get("ends_earliest"):
        text += f" until {row.get('effective_until') or '(no end stated)'}"
    if row.get("ends_earliest"):
        text += f" (at the earliest {row['ends_earliest']})"
    return text


def _rule(row: Mapping[str, Any]) -> RenderableType:
    kind = row["kind"] + ("?" if row.get("certainty") == "maybe" else "")
    lines = [Text.assemble((kind, _STYLES.get(row["kind"], "")), "  ", (row["label"], "bold"))]
    inner: list[Text] = []
    for word, name in (("needs", "requires"), ("must not", "prohibits"), ("when", "when"), ("unless", "unless")):
        if row.get(name):
            inner.append(Text.assemble((f"{word}: ", "bold"), " and ".join(row[name])))
    for word, name in (("limit", "limits"), ("presumed", "presumed")):
        for said in row.get(name) or ():
            inner.append(Text(f"{word}: {said}", style="dim"))
    if row.get("certainty") == "maybe":
        inner.append(Text("maybe: the sources leave open whether it held on that day, or was known", style="yellow"))
    where = f"; {row['scope_label']}" if row.get("scope_label") else ""
    inner.append(Text(f"{period(row)}{where}", style="dim"))
    extra = f", implemented {row['implemented_on']}" if row.get("implemented_on") else ""
    inner.append(Text(f"{row['policy_label']} (published {published(row['published_on'])}{extra})", style="dim"))
    inner.extend(_cited_lines(row))
    if row["kind"] != "change":
        for change in row.get("changed_by", ()):
            inner.append(
                _changed(
                    change["change"],
                    change["change_from"],
                    f"published {published(change['change_published'])}",
                )
            )
    return Group(*lines, Padding(Group(*inner), (0, 0, 0, 2)))


def _cell(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(_cell(item) for item in value)
    if isinstance(value, dict):
        return " ".join(str(item) for item in value.values() if item)
    return "" if value is None else str(value)


def answer_json(answer: Answer) -> dict[str, Any]:
    """An answer as one object."""
    return asdict(answer) | {"results": [dict(row) for row in answer.results]}


def answer_csv(answer: Answer) -> str:
    """An answer's rows as CSV; lists are joined by ``; ``, citations by their statements."""
    out = io.StringIO()
    if answer.results:
        writer = csv.DictWriter(out, fieldnames=list(answer.results[0]), lineterminator="\n")
        writer.writeheader()
        for row in answer.results:
            writer.writerow({name: _flat(value) for name, value in row.items()})
    return out.getvalue()


def _flat(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(str(next(iter(item.values()))) if isinstance(item, dict) else str(item) for item in value)
    return "" if value is None else str(value)
