"""A page for each policy: its versions in time, each rule in words with what it rests on, and claims that test it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator

from chartulary.book import COMMENT
from chartulary.formats import published
from chartulary.report import Citation
from chartulary.suites import Example, Suite
from chartulary.terms import IS_PART_OF, POL, TYPE
from pages.book import POLICY, Book, Period, spot
from pages.markdown import Pages, anchor, code, facts, link, note, page, plain, table
from pages.timeline import Row, timeline

_DCTERMS = "http://purl.org/dc/terms/"
_INDEX = "policies/index.md"
_SEPARATE_RULES = 8
"""So many rules of the same days have a line each on the timeline; more share one."""
_MOST_EXAMPLES = 5
_OUTCOMES = (
    ("violation", "break it"),
    ("review", "leave it to a person"),
    ("overridden", "it gives way on"),
    ("info", "get it as information"),
    ("kept", "keep it"),
)


def pages(book: Book) -> Pages:
    """Every policy, the claims that test it, and an index."""
    made = {_INDEX: _index(book)}
    for policy in book.policies:
        here = book.where(policy)
        made[here] = _Policy(book, policy, here).written()
    for suite, page_ in _claims(book):
        made[_claims_of(suite)] = page_
    return made


def _index(book: Book) -> str:
    rows = []
    provisions = 0
    for policy in book.policies:
        versions = book.versions(policy)
        rules = sum(len(book.inside(version, POL.Provision)) for version in versions)
        provisions += rules
        rows.append(
            (
                link(book.reader.label(policy), book.where(policy), here=_INDEX),
                plain(", ".join(book.labels(book.facts.objects(policy, POL.ofPayer)))),
                str(len(versions)),
                str(rules),
                plain(published(book.text(versions[-1], POL.publishedText))),
            )
        )
    statements = len(book.facts.subjects(TYPE, POL.Statement))
    return page(
        "Policies",
        f"{len(rows)} policies, {provisions} provisions in their published versions, {statements} statements of "
        "sources. All of it is read from the register itself: what a page says of a rule is what a report says.",
        table(("policy", "payer", "versions", "provisions", "last published"), rows),
        f"Register revision `{book.register.revision}`. No payer’s policy is here in full; each page says what is left "
        "out. **Silence is never permission.**",
    )


class _Policy:
    """The page of one policy."""

    def __init__(self, book: Book, policy: str, here: str) -> None:
        self.book, self.policy, self.here = book, policy, here
        self.reader, self.facts = book.reader, book.facts
        self.versions = book.versions(policy)
        self.sources = {source for node in (policy, *self.versions) for source in self.facts.objects(node, POL.source)}

    def written(self) -> str:
        policy = self.policy
        title = self.reader.label(policy)
        return page(
            title,
            self._about(),
            "## Timeline\n",
            timeline(list(self._rows())),
            *(self._version(version) for version in self.versions),
            self._proposals(),
            self._statements("ambiguous", "What can be read in two ways", self._ambiguous),
            self._statements("not-encoded", "What is not encoded, and why", self._not_encoded),
            description=f"{title}: versions, provisions, what they rest on",
        )

    # --- The policy ---------------------------------------------------------------------------------------------------

    def _about(self) -> str:
        book, policy = self.book, self.policy
        name = policy.removeprefix(POLICY)
        incomplete = sorted(map(str, self.facts.objects(policy, POL.incomplete)))
        entries = [
            ("Title", plain(book.text(policy, f"{_DCTERMS}title"))),
            ("Published by", plain(book.text(policy, f"{_DCTERMS}publisher"))),
            ("Payer", plain(", ".join(book.labels(self.facts.objects(policy, POL.ofPayer))))),
            ("Sources", plain("; ".join(book.labels(self.sources)))),
            ("File", book.file(f"policies/{name}/policy.ttl", here=self.here)),
            ("Tested by", self._tested_by(name)),
        ]
        return "\n".join(
            [
                facts(entries),
                note("warning", "Not in the register", "\n\n".join(map(plain, incomplete))) if incomplete else "",
                plain(book.text(policy, COMMENT)),
            ]
        )

    def _tested_by(self, name: str) -> str:
        count = sum(suite.name == name for suite, _, _ in self.book.examples)
        return link(f"{count} claims", f"policies/{name}/claims.md", here=self.here) if count else ""

    # --- Timeline -----------------------------------------------------------------------------------------------------

    def _rows(self) -> Iterator[Row]:
        book, facts = self.book, self.facts
        for version in self.versions:
            implemented = facts.value(version, POL.implementedOn)
            told = f"published {published(book.text(version, POL.publishedText))}"
            yield Row(
                kind="version",
                label=self.reader.label(version),
                told=f"{told}, implemented {implemented}" if implemented else told,
                target=spot(version),
                published=book.bounds(version, "published"),
                implemented=implemented,
            )
            for change in book.inside(version, POL.Amendment):
                yield Row(
                    kind="change",
                    label=self.reader.label(change),
                    told=f"for services from {self.book.since(change)}",
                    target=_spot(change),
                    starts=book.starts(change),
                )
            yield from self._rules(book.inside(version, POL.Provision))

    def _rules(self, provisions: list[str]) -> Iterator[Row]:
        alike: dict[Period, list[str]] = defaultdict(list)
        for provision in provisions:
            alike[self.book.period(provision)].append(provision)
        for period in sorted(alike, key=lambda period: period.order):
            group = alike[period]
            if len(group) <= _SEPARATE_RULES:
                for provision in group:
                    yield Row(
                        kind="rule",
                        label=self.reader.label(provision),
                        told=period.words,
                        target=_spot(provision),
                        period=period,
                    )
            else:
                yield Row(
                    kind="rule",
                    label=f"{len(group)} provisions",
                    told=period.words,
                    target=_spot(group[0]),
                    period=period,
                )

    # --- Versions -----------------------------------------------------------------------------------------------------

    def _version(self, version: str) -> str:
        book, facts_ = self.book, self.facts
        folder, _, name = version.removeprefix(POLICY).rpartition("/")
        implemented = facts_.value(version, POL.implementedOn)
        entries = [
            ("Published", plain(published(book.text(version, POL.publishedText)))),
            ("Implemented", plain(implemented) if implemented else ""),
            ("Reviewed", plain(book.day(version, "reviewed"))),
            ("Approved", plain(book.day(version, "approved"))),
            ("Next review", plain(book.day(version, "nextReview"))),
            ("Sources", plain("; ".join(book.labels(facts_.objects(version, POL.source))))),
            ("Refers to", plain("; ".join(book.labels(facts_.objects(version, POL.refersTo))))),
            ("File", book.file(f"policies/{folder}/{name}.ttl", here=self.here)),
        ]
        changes = [self._amendment(change) for change in book.inside(version, POL.Amendment)]
        rules = [self._provision(rule) for rule in book.inside(version, POL.Provision)]
        return "\n".join(
            [
                f"## {plain(self.reader.label(version))} {{ #{spot(version)} }}\n",
                plain(book.text(version, COMMENT)) + "\n",
                facts(entries),
                _quotes(self.reader.cites(version)),
                *changes,
                *(rules or (["It adds no provision of its own.\n"] if not changes else [])),
            ]
        )

    def _amendment(self, change: str) -> str:
        ended = sorted(self.facts.objects(change, POL.ends), key=self.reader.label)
        implemented = self.facts.value(change, POL.implementedOn)
        entries = [
            ("From", plain(f"services from {self.book.since(change)}")),
            ("Implemented", plain(implemented) if implemented else ""),
            ("Ends", self._list(ended)),
        ]
        return "\n".join(
            [
                f"### Change: {plain(self.reader.label(change))} {{ #{_spot(change)} }}\n",
                plain(self.book.text(change, COMMENT)) + "\n",
                facts(entries),
                _quotes(self.reader.cites(change)),
            ]
        )

    def _provision(self, rule: str) -> str:
        facts_, label = self.facts, self.reader.label
        scope = facts_.value(rule, POL.scope)
        over = sorted(facts_.objects(rule, POL.overrides), key=label)
        under = facts_.subjects(POL.overrides, rule)
        changes = [
            f"{self._to(change.amendment)}, for services from {self.book.since(change.amendment)}"
            for change in self.reader.changes(rule)
        ]
        entries = [
            ("Binds", self._scope(scope)),
            ("About", plain("; ".join(self.book.labels(facts_.objects(rule, POL.about))))),
            ("Held against", self.book.checked(rule)),
            ("Days of service", plain(self.book.period(rule).words)),
            ("Published", plain(self.book.known(rule))),
            ("Needs", self._criteria(rule, POL.requires)),
            ("Must not", self._criteria(rule, POL.prohibits)),
            ("When", self._criteria(rule, POL.when)),
            ("Unless", self._criteria(rule, POL.unless)),
            ("Recommends", plain(self.book.recommends(rule))),
            ("Gives", self._gives(rule)),
            ("Ended by", "; ".join(changes)),
            ("Overrides", self._list(over)),
            ("Gives way to", self._list(under)),
            ("Sets aside", self._list(sorted(facts_.objects(rule, POL.suspends)))),
            ("Claims that", self._examples(rule)),
        ]
        return "\n".join(
            [
                f"### {plain(label(rule))} {{ #{_spot(rule)} }}\n",
                plain(self.book.text(rule, COMMENT)) + "\n",
                facts(entries),
                _quotes(self.reader.cites(rule)),
            ]
        )

    def _scope(self, scope: str) -> str:
        return f"{plain(self.reader.label(scope))} <small>({plain(self.book.scope(scope))})</small>"

    def _gives(self, rule: str) -> str:
        severity = self.book.severity(rule)
        if self.book.asks(rule):
            return f'<span class="ch-badge ch-is-{severity}">{severity}</span> where it is broken'
        said = "a notice: it only tells" if severity == "info" else "it asks nothing of the claim: a person decides"
        return f'<span class="ch-badge ch-is-{severity}">{severity}</span> {said}'

    def _criteria(self, rule: str, place: str) -> str:
        criteria = sorted(self.facts.objects(rule, place), key=self.reader.label)
        return " **and** ".join(self._criterion(criterion) for criterion in criteria)

    def _criterion(self, criterion: str) -> str:
        """A criterion's label; what it looks for, where that is not the same; and the members of a group."""
        said = plain(self.reader.label(criterion))
        word, sought = self.book.sought(criterion)
        if not sought:
            return said
        if word == "looks for":
            return f"{said} <small>(looks for {plain('; '.join(sought))})</small>"
        return f"{said} <small>({f' *{word}* '.join(map(plain, sought))})</small>"

    def _to(self, node: str) -> str:
        return link(self.reader.label(node), self.book.where(node), here=self.here)

    def _list(self, nodes: Iterable[str]) -> str:
        return "; ".join(map(self._to, nodes))

    # --- Examples -----------------------------------------------------------------------------------------------------

    def _examples(self, rule: str) -> str:
        told = self.book.by_provision.get(rule, {})
        own = self.policy.removeprefix(POLICY)
        lines = []
        for outcome, words in _OUTCOMES:
            examples = sorted(told.get(outcome, ()), key=lambda found: (found[0].name != own, found[0].name))
            if not examples:
                continue
            names = [link(_name(e), f"{_claims_of(s)}#{_claim_spot(e)}", here=self.here) for s, e in examples]
            rest = len(names) - _MOST_EXAMPLES
            shown = ", ".join(names[:_MOST_EXAMPLES]) + (f" and {rest} more" if rest > 0 else "")
            lines.append(f"*{words}*: {shown}")
        return "<br>\n".join(lines) if lines else "None of the suites’ claims meets it."

    # --- Proposals and statements -------------------------------------------------------------------------------------

    def _proposals(self) -> str:
        own = [
            row for row in self.book.register.ask("proposals").results if row["proposal"].startswith(f"{self.policy}/")
        ]
        if not own:
            return ""
        parts = []
        for row in own:
            entries = [
                ("Kind", plain(row["kind"])),
                ("By", plain(row["proposed_by"] or "")),
                ("To", plain(row["addressed_to"] or "")),
                ("Status", plain(row["status"] or "")),
                ("Note", plain(row["note"] or "")),
            ]
            quotes = _quotes(
                Citation(
                    statement=cite["statement"],
                    document=cite["document"],
                    section=cite["section"],
                    quote=cite["quote"],
                    ambiguity=cite["ambiguity"],
                )
                for cite in row["cites"]
            )
            parts.append(f"### {plain(row['label'])}\n\n{facts(entries)}\n{quotes}")
        return "## Proposals and opinions\n\nNone of these binds a claim.\n\n" + "\n".join(parts)

    def _statements(self, question: str, title: str, written: object) -> str:
        assert callable(written)
        rows = [
            row
            for row in self.book.register.ask(question).results
            if self.facts.value(row["statement"], IS_PART_OF) in self.sources
        ]
        if not rows:
            return ""
        lines = "\n".join(f"- {written(row)}" for row in rows)
        return f"## {title}\n\n{lines}\n"

    @staticmethod
    def _ambiguous(row: dict[str, object]) -> str:
        return f"“{plain(row['quote'])}” {_place(row)}<br>\n    {plain(row['ambiguity'])}"

    @staticmethod
    def _not_encoded(row: dict[str, object]) -> str:
        return f"“{plain(row['quote'])}” {_place(row)}<br>\n    {plain(row['reason'])}"


def _place(row: dict[str, object]) -> str:
    return f"<small>{plain(row['document'])}, {plain(row['section'])}</small>"


def _quotes(cites: Iterable[Citation]) -> str:
    """The sentences, by document."""
    lines = []
    for cite in cites:
        unseen = " (as others report it)" if not cite.verified else ""
        line = f"- “{plain(cite.quote)}” <small>{plain(cite.document)}, {plain(cite.section)}{unseen}</small>"
        if cite.ambiguity:
            line += f"<br>\n    *Can be read in two ways:* {plain(cite.ambiguity)}"
        lines.append(line)
    return '<div class="ch-quotes" markdown>\n\n' + "\n".join(lines) + "\n\n</div>\n" if lines else ""


def _spot(node: str) -> str:
    version, _, name = node.partition("#")
    return spot(version, name)


# --- Claims of suites -------------------------------------------------------------------------------------------------


def _claims(book: Book) -> Iterator[tuple[Suite, str]]:
    by_suite: dict[str, list[str]] = defaultdict(list)
    suites: dict[str, Suite] = {}
    for suite, example, report in book.examples:
        here = _claims_of(suite)
        suites[suite.name] = suite
        known = f" As known on {example.as_known_on}." if example.as_known_on else ""
        found = [
            f"- {finding.outcome}, {f'line {finding.line}' if finding.line else 'the claim'}: "
            f"{link(finding.label, book.where(finding.provision), here=here)}"
            for finding in report.findings
        ]
        text = (suite.folder / example.file).read_text(encoding="utf-8")
        by_suite[suite.name].append(
            "\n".join(
                [
                    f"## {plain(_name(example))} {{ #{_claim_spot(example)} }}\n",
                    f'<span class="ch-badge ch-is-{report.outcome}">{report.outcome}</span>{known}\n',
                    *found,
                    "" if found else "No findings.\n",
                    "",
                    note("example", "The claim", code("json", _json(text)), folded=True),
                ]
            )
        )
    for name, parts in by_suite.items():
        policy = POLICY + name
        title = f"Claims that test {book.reader.label(policy)}"
        to_policy = link(book.reader.label(policy), book.where(policy), here=_claims_of(suites[name]))
        intro = f"Made-up claims, each with all that is found about it; `chartulary test` runs them. To {to_policy}."
        yield suites[name], page(title, intro, *parts, search=False)


def _json(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def _claims_of(suite: Suite) -> str:
    return f"policies/{suite.name}/claims.md"


def _name(example: Example) -> str:
    return example.file.rpartition("/")[2].rpartition(".")[0]


def _claim_spot(example: Example) -> str:
    return anchor("claim", example.file.removeprefix("claims/"), str(example.as_known_on or ""), example.unknown)
