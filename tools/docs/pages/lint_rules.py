"""A page for each rule of ``chartulary lint``: problem, principle, solution, example."""

from __future__ import annotations

from chartulary.workbench.lint import RULES
from chartulary.workbench.lint_rules import Rule
from pages.book import Book
from pages.markdown import Pages, code, link, page, table

_INDEX = "lint/index.md"


def pages(book: Book) -> Pages:
    """Every rule, and an index."""
    made = {f"lint/{rule.name}.md": _rule(rule) for rule in RULES}
    rows = [
        (link(rule.name, f"lint/{rule.name}.md", here=_INDEX), _badge(rule), rule.problem or rule.solution)
        for rule in sorted(RULES, key=lambda rule: rule.name)
    ]
    made[_INDEX] = page(
        "Lint rules",
        "`chartulary lint` holds policy files to these rules, and names the rule in each message.",
        table(("rule", "severity", "problem"), rows),
    )
    return made


def _rule(rule: Rule) -> str:
    kind = "toml" if rule.example.lstrip().startswith("[[") else "turtle"
    said = {
        "Problem": rule.problem,
        "Principle": rule.principle,
        "Solution": rule.solution,
        "Example": code(kind, rule.example) if rule.example else "",
    }
    return page(
        rule.name,
        _badge(rule),
        *(f"## {name}\n\n{text}" for name, text in said.items() if text),
        description=rule.problem or rule.solution,
    )


def _badge(rule: Rule) -> str:
    return f'<span class="ch-badge ch-is-{rule.severity}">{rule.severity}</span>'
