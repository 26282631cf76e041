"""What lint found, for people, for GitHub, for code scanning (SARIF 2.1.0) and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from chartulary.workbench.lint import RULES, Finding, Report
from chartulary.workbench.lint_rules import Rule

Format: TypeAlias = Literal["text", "github", "sarif", "json"]
_SARIF = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_COLOURS = {"error": "31", "warning": "33"}


def write(report: Report, kind: Format, *, colour: bool = False) -> str:
    """The report as text, without the last line end."""
    if kind == "text":
        return _text(report, colour=colour)
    writers: dict[str, Callable[[Report], str]] = {"github": _github, "sarif": _sarif, "json": _json}
    return writers[kind](report)


def _text(report: Report, *, colour: bool) -> str:
    def styled(text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colour else text

    rows = []
    for finding in report.findings:
        place = styled(f"{finding.file}:{finding.line}:{finding.column}", "1")
        name = styled(finding.rule, _COLOURS[finding.severity])
        warning = "warning: " if finding.severity == "warning" else ""
        rows.append(f"{place} {name} {warning}{finding.message}")
        if finding.hint:
            rows.append(f"    hint: {finding.hint}")
    if rows:
        rows.append("")
    return "\n".join([*rows, summary(report)])


def summary(report: Report) -> str:
    """One line of counts."""
    files = _counted(report.files, "file")
    if not report.findings:
        return f"{files}: nothing found"
    counts = [
        _counted(number, noun) for number, noun in ((report.errors, "error"), (report.warnings, "warning")) if number
    ]
    return f"{' and '.join(counts)} in {len({finding.file for finding in report.findings})} of {files}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _github(report: Report) -> str:
    """Workflow commands, which GitHub shows beside the lines; the summary comes last."""

    def escaped(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    def value(text: str) -> str:
        return escaped(text).replace(":", "%3A").replace(",", "%2C")

    rows = [
        f"::{finding.severity} file={value(finding.file)},line={finding.line},col={finding.column},"
        f"title={value(finding.rule)}::{escaped(_whole(finding))}"
        for finding in report.findings
    ]
    return "\n".join([*rows, summary(report)])


def _whole(finding: Finding) -> str:
    return f"{finding.message}\n{finding.hint}" if finding.hint else finding.message


def _json(report: Report) -> str:
    content = {
        "version": 1,
        "files": report.files,
        "errors": report.errors,
        "warnings": report.warnings,
        "findings": [asdict(finding) for finding in report.findings],
    }
    return json.dumps(content, ensure_ascii=False, indent=2)


def _sarif(report: Report) -> str:
    index = {rule.name: number for number, rule in enumerate(RULES)}
    driver = {
        "name": "chartulary lint",
        "version": version("chartulary"),
        "rules": [_sarif_rule(rule) for rule in RULES],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(finding, index[finding.rule]) for finding in report.findings],
    }
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, ensure_ascii=False, indent=2)


def _sarif_rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.name,
        "shortDescription": {"text": rule.problem},
        "fullDescription": {"text": f"{rule.principle} {rule.solution}".strip()},
        "help": {"text": explained(rule)},
        "defaultConfiguration": {"level": rule.severity},
    }


def _sarif_result(finding: Finding, index: int) -> dict[str, Any]:
    path = Path(finding.file)
    uri = path.as_uri() if path.is_absolute() else quote(finding.file)
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.severity,
        "message": {"text": _whole(finding)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": uri},
                    "region": {"startLine": finding.line, "startColumn": finding.column},
                }
            }
        ],
    }


def explained(rule: Rule, *, width: int = 80) -> str:
    """A rule's page as plain text: what is wrong, why it matters, what to do, an example that is wrong in this way."""
    import textwrap

    def block(text: str) -> str:
        return textwrap.fill(text, width, break_on_hyphens=False, break_long_words=False)

    parts = [f"{rule.name} ({rule.severity})", block(rule.problem)]
    parts += [block(text) for text in (rule.principle, f"What to do: {rule.solution}") if text]
    parts.append("Such as:\n\n" + textwrap.indent(rule.example.rstrip(), "    "))
    return "\n\n".join(parts)
