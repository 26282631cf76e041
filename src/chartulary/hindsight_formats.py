"""Writes comparisons and worklists: for people (table, html), programs (json, jsonl) and sheets (csv, parquet)."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from chartulary import formats
from chartulary.hindsight import (
    DIRECTIONS,
    AnswerChange,
    Cause,
    ClaimComparison,
    Comparison,
    Hindsight,
    Publication,
    Shift,
)
from chartulary.report import Citation
from chartulary.worklist import Entry, Total, Worklist, by_cause

_BOUNDS = {"exact": "", "earliest": " at the earliest", "latest": " at the latest"}
_KINDS = {"requirement": "required", "prohibition": "prohibited", "notice": "told"}
_VERDICTS = {"met": "met", "none": "—", "info": "told"}
_STYLES = {
    "violation": "bold red",
    "required": "bold red",
    "prohibited": "bold red",
    "review": "bold yellow",
    "met": "green",
    "told": "cyan",
    "—": "dim",
}
_ENTRIES_SHOWN = 200
"""On a terminal, of each group."""


def day_in_words(day: date | None) -> str:
    """A day of knowledge."""
    return str(day) if day else "all that is known"


# --- What makes the difference ----------------------------------------------------------------------------------------


def _by_version(causes: Iterable[Cause]) -> dict[str, list[Cause]]:
    """Causes under the version that they came with; of the version itself its amendments say more."""
    found: dict[str, list[Cause]] = {}
    for cause in causes:
        found.setdefault(cause.change.amendment.partition("#")[0], []).append(cause)
    return {v: [c for c in group if c.kind == "amendment"] or group for v, group in found.items()}


def publication(published: Publication) -> str:
    """A day of publication with what came out on it."""
    told = " ".join((f"{', '.join(published.documents)}." if published.documents else "", *published.says)).strip()
    return f"{published.day}{_BOUNDS[published.bound]}" + (f": {told}" if told else "")


def effective(cause: Cause) -> str:
    """The days of service from which a cause holds, in words; empty for a version, whose provisions have their own."""
    change = cause.change
    if change.effective_from:
        return f"holds for dates of service from {change.effective_from}"
    if change.effective_earliest or change.effective_latest:
        first, last = change.effective_earliest or "…", change.effective_latest or "…"
        return f"holds for dates of service from some day between {first} and {last}"
    return ""


def _published(published: Sequence[Publication]) -> Iterator[str]:
    yield from map(publication, published)
    if len(published) > 1:
        yield "In between nobody can say whether it was known: answers for those days are a maybe."


def _causes(causes: Iterable[Cause], *, notices: bool = True) -> Iterator[RenderableType]:
    """A block for each version: when it became known, what it changed by which sentences, and what else it tells."""
    for group in _by_version(causes).values():
        first = group[0]
        block = Table.grid(padding=(0, 2), expand=True)
        block.add_column(no_wrap=True, style="bold")
        block.add_column(ratio=1)
        for place, line in enumerate(_published(first.published)):
            block.add_row("" if place else "published", line)
        if first.change.implemented_on:
            block.add_row("in systems", f"the payer's systems apply it from {first.change.implemented_on}")
        for cause in group:
            lines = [
                Text(cause.change.label, style="bold green"),
                *([Text(effective(cause))] if effective(cause) else []),
            ]
            lines += _quotes(cause.change.cites)
            block.add_row("changed" if cause.kind == "amendment" else "version", Group(*lines))
        for place, notice in enumerate(first.notices if notices else ()):
            when = f"where {' and '.join(notice.when)}: " if notice.when else ""
            block.add_row("" if place else "also says", Group(Text(f"{when}{notice.label}"), *_quotes(notice.cites)))
        yield Padding(Group(Text(first.change.document, style="bold"), Padding(block, (0, 0, 0, 2))), (1, 0, 0, 0))


def _quotes(cites: Iterable[Citation]) -> list[Text]:
    return list(formats.citation_lines(map(formats.placed, cites)))


# --- Compare ----------------------------------------------------------------------------------------------------------


def show_comparison(console: Console, compared: Comparison, title: str) -> None:
    """A question's answers side by side, where they differ, and why."""
    first, second = map(day_in_words, compared.known)
    console.print(Text(title, style="bold"))
    console.print(Text(f"{_known(compared.known)}, register {compared.register_revision}", style="dim"))
    console.print()
    if compared.same:
        console.print(Text("Nothing changed: the answer is the same with what was known on either day.", style="bold"))
        if not len(compared.before):
            console.print("The register holds nothing on this. That is not to say that nothing applies.")
        for row in compared.after:
            if row.get("kind") in ("requirement", "prohibition"):
                console.print(Padding(Text(f"{_asks(row)}: {row['label']}"), (0, 0, 0, 2)))
        if compared.beside:
            console.print(
                Text("\nWhat became known in between about the same rules, and makes no difference on this day:")
            )
            for block in _causes(compared.beside, notices=False):
                console.print(block)
        return
    changes = sorted(compared.changes, key=lambda change: change.kind == "notice")
    if changes[0].kind == "notice":
        console.print(Text("What is asked for is the same; only what is told is not.", style="bold"))
    console.print(_side_by_side(first, second, map(_answer_row, changes)))
    if compared.causes:
        console.print(Text("\nWhat makes the difference", style="bold underline"))
    for block in _causes(compared.causes, notices=False):
        console.print(block)
    if any(not change.causes for change in compared.changes):
        console.print(Text("\nOf what has no amendment or new version behind it the cause is not traced.", style="dim"))


def _known(known: tuple[date | None, date | None]) -> str:
    return f"as known on {day_in_words(known[0])} and on {day_in_words(known[1])}".replace("on all", "with all")


def _answer_row(change: AnswerChange) -> tuple[str, Sequence[str], str, str]:
    word = _asks({**change.row, "certainty": "certain"})
    said = {"none": "—", "certain": word, "maybe": f"maybe {word}"}
    inner = [
        f"{name}: {' and '.join(change.row[key])}"
        for name, key in (("needs", "requires"), ("must not", "prohibits"), ("when", "when"), ("unless", "unless"))
        if change.row.get(key) and change.kind != "notice"
    ]
    return change.label, inner, said[change.before], said[change.after]


def _asks(row: Mapping[str, Any]) -> str:
    """What a provision does, in a word or two."""
    is_review = row["kind"] != "notice" and row.get("severity") == "review"
    word = "review" if is_review else _KINDS.get(row["kind"], row["kind"])
    return f"maybe {word}" if row.get("certainty") == "maybe" else word


def _side_by_side(first: str, second: str, rows: Iterable[tuple[str, Sequence[str], str, str]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), expand=True)
    table.add_column("", ratio=1)
    table.add_column(first, no_wrap=True)
    table.add_column(second, no_wrap=True)
    for label, inner, before, after in rows:
        text = Group(Text(label), *(Padding(Text(line, style="dim"), (0, 0, 0, 2)) for line in inner))
        table.add_row(text, _word(before), _word(after))
    return table


def _word(said: str) -> Text:
    return Text(said, style="yellow" if said.startswith("maybe") else _STYLES.get(said, ""))


def show_claim_comparison(console: Console, compared: ClaimComparison, hindsight: Hindsight) -> None:
    """A claim's findings side by side, where they differ, and why."""
    before, after = compared.before, compared.after
    first, second = map(day_in_words, hindsight.known)
    place = f"{after.source}, {after.where}" if after.where else after.source
    console.print(
        Text.assemble((f"claim {after.claim}", "bold"), f"  {after.line_of_business or after.payer}, {after.setting}")
    )
    console.print(Padding(Text(f"{place}; {_known(hindsight.known)}", style="dim"), (0, 0, 0, 2)))
    rows: list[tuple[str, Sequence[str], str, str]] = [("the claim", (), before.outcome, after.outcome)]
    changed = {(shift.position, shift.provision) for shift in compared.shifts}
    for shift in compared.shifts:
        rows.append((_placed(shift), _asked(shift), _verdict(shift.before), _verdict(shift.after)))
    for finding in after.findings:
        if (finding.position, finding.provision) not in changed:
            where = f"line {finding.line}" if finding.line is not None else "claim"
            verdict = _verdict(finding.outcome)
            rows.append((f"{where}  {finding.label}", (), verdict, verdict))
    console.print(Padding(_side_by_side(first, second, rows), (0, 0, 0, 2)))
    if not compared.shifts and before.outcome == after.outcome:
        console.print(Padding(Text("Nothing changed for this claim.", style="bold"), (0, 0, 0, 2)))
    else:
        console.print(Padding(Text(f"{DIRECTIONS[compared.direction]}", style="bold"), (0, 0, 0, 2)))
    console.print()


def show_causes(console: Console, causes: Iterable[Cause], *, notices: bool = True) -> None:
    """What makes the difference, once for all that differs."""
    if causes := tuple(causes):
        console.print(Text("What makes the difference", style="bold underline"))
        for block in _causes(causes, notices=notices):
            console.print(block)


def _placed(shift: Shift) -> str:
    where = f"line {shift.line}" if shift.line is not None else "claim"
    return "  ".join(filter(None, (where, shift.code, shift.label)))


def _asked(shift: Shift) -> list[str]:
    if not shift.decides or not shift.expected:
        return []
    return [f"expected {shift.expected}" + (f"; found {shift.found}" if shift.found else "")]


def _plain(verdict: str) -> str:
    """A verdict where a dash would not be understood."""
    return "not asked" if verdict == "none" else verdict


def _verdict(verdict: str) -> str:
    return _VERDICTS.get(verdict, verdict)


def comparison_json(compared: Comparison) -> dict[str, Any]:
    """A comparison as plain values."""
    return {
        "parameters": dict(compared.parameters),
        "register_revision": compared.register_revision,
        "known": list(compared.known),
        "same": compared.same,
        "changes": [asdict(change) for change in compared.changes],
        "causes": [asdict(cause) for cause in compared.causes],
        "beside": [asdict(cause) for cause in compared.beside],
        "before": [dict(row) for row in compared.before],
        "after": [dict(row) for row in compared.after],
    }


def claims_json(compared: Sequence[ClaimComparison], hindsight: Hindsight, revision: str) -> dict[str, Any]:
    """Comparisons of claims as plain values."""
    causes = dict.fromkeys(cause for each in compared for shift in each.shifts for cause in shift.causes)
    return {
        "register_revision": revision,
        "known": list(hindsight.known),
        "claims": [
            {
                "claim": each.after.claim,
                "source": each.after.source,
                "where": each.after.where,
                "direction": each.direction,
                "before": formats.report_json(each.before),
                "after": formats.report_json(each.after),
                "shifts": [asdict(shift) for shift in each.shifts],
            }
            for each in compared
        ],
        "causes": [asdict(hindsight.cause(iri)) for iri in causes],
    }


# --- Worklist: rows ---------------------------------------------------------------------------------------------------

COLUMNS = (
    "key",
    "claim",
    "source",
    "where",
    "payer",
    "line_of_business",
    "setting",
    "first_day",
    "last_day",
    "direction",
    "outcome_before",
    "outcome_after",
    "lines",
    "codes",
    "provisions",
    "charge",
    "claim_charge",
    "paid",
    "claim_paid",
    "remitted_on",
    "reasons",
    "remarks",
    "reason_fit",
    "reason_note",
    "amendments",
    "documents",
    "effective_from",
    "published_earliest",
    "published_latest",
    "implemented_on",
    "citations",
    "to_do",
    "filing_deadline",
    "known_before",
    "known_after",
    "register_revision",
)
_MONEY = frozenset(("charge", "claim_charge", "paid", "claim_paid"))
_NO_DEADLINE = "none given by the source"


def row(entry: Entry, found: Worklist, causes: Mapping[str, Cause]) -> tuple[str | Decimal | None, ...]:
    """A claim on the list as a row of a table; several of a kind are joined by ``; ``."""
    own = [cause for iri in entry.causes if (cause := causes.get(iri))]
    changes = [cause.change for cause in own]
    labels = {notice.provision: notice for cause in own for notice in cause.notices}
    return (
        entry.key,
        entry.claim,
        entry.source,
        entry.where,
        entry.payer,
        entry.line_of_business,
        entry.setting,
        _text(entry.first_day),
        _text(entry.last_day),
        entry.direction,
        entry.before,
        entry.after,
        _joined(entry.lines),
        _joined(entry.codes),
        _joined(f"{s.label}: {_plain(s.before)} → {_plain(s.after)}" for s in entry.shifts),
        entry.charge,
        entry.claim_charge,
        entry.paid,
        entry.claim_paid,
        _text(entry.remitted_on),
        _joined(entry.reasons),
        _joined(entry.remarks),
        entry.fit,
        entry.fit_note,
        _joined(c.label for c in changes),
        _joined(c.document for c in changes),
        _joined(c.effective_from or c.effective_earliest for c in changes),
        _joined(c.published_earliest for c in changes),
        _joined(c.published_latest for c in changes),
        _joined(c.implemented_on for c in changes),
        _joined(f"{c.document}, {c.section}: “{c.quote}”" for change in changes for c in change.cites),
        _joined(labels[provision].label for provision in entry.notices if provision in labels),
        _NO_DEADLINE,
        _text(found.known[0]),
        _text(found.known[1]),
        found.register_revision,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _joined(values: Iterable[object]) -> str:
    return "; ".join(dict.fromkeys(str(value) for value in values if value is not None))


def rows(found: Worklist) -> list[tuple[str | Decimal | None, ...]]:
    """Every claim on the list, in the order of the input."""
    causes = {cause.change.amendment: cause for cause in found.causes}
    return [row(entry, found, causes) for entry in found.entries]


def as_csv(found: Worklist) -> str:
    """CSV with a header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows(found))
    return out.getvalue()


def as_jsonl(found: Worklist) -> str:
    """JSON Lines: an object a claim, amounts as text."""
    return "".join(formats.encoded(dict(zip(COLUMNS, each, strict=True))).decode() + "\n" for each in rows(found))


def as_parquet(found: Worklist) -> bytes:
    """A Parquet file; amounts are decimals with two places."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.decimal128(18, 2) if name in _MONEY else pa.string()) for name in COLUMNS])
    columns = list(zip(*rows(found), strict=True)) or [()] * len(COLUMNS)
    cents = Decimal("0.01")
    arrays = [
        pa.array([None if v is None else v.quantize(cents) for v in column] if f.name in _MONEY else column, f.type)
        for column, f in zip(columns, schema, strict=True)
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(arrays, schema=schema), sink, compression="zstd")
    return bytes(sink.getvalue())


# --- Worklist: for people ---------------------------------------------------------------------------------------------


def summary(found: Worklist) -> str:
    """What became of the claims that were read, in a line."""
    counts = found.counts
    parts = [f"{counts['listed']:,} listed", f"{counts['same']:,} judged the same on both days"]
    for name, words in (
        ("no remittance", "without a remittance"),
        ("paid", "paid in full"),
        ("other reason", "denied or reduced for another reason"),
        ("nothing lacking", "of which nothing says that they lacked something"),
    ):
        if counts[name]:
            parts.append(f"{counts[name]:,} {words}")
    return f"{counts.total():,} claims read: {', '.join(parts)}"


def heading(total: Total) -> str:
    """A group of claims in a line."""
    claims = f"{total.claims:,} {'claim' if total.claims == 1 else 'claims'}"
    lines = f"{total.lines:,} {'line' if total.lines == 1 else 'lines'}"
    return f"{DIRECTIONS[total.direction]}: {claims}, {lines}, charged {money(total.charge)}"


def money(amount: Decimal | None) -> str:
    """Dollars and cents; a dash where nothing is known."""
    return "–" if amount is None else f"{amount:,.2f}"


def show_worklist(console: Console, found: Worklist) -> None:
    """Groups of claims by direction and cause, then what makes the difference and what the documents say of it."""
    first, second = map(day_in_words, found.known)
    console.print(
        Text(f"Claims that fare otherwise: known on {first} → {second}".replace("on all", "all"), style="bold")
    )
    console.print(Text(f"register {found.register_revision}", style="dim"))
    console.print(summary(found))
    for total, entries in by_cause(found):
        paid = f", paid {money(total.paid)}" if found.with_remits else ""
        console.print(Text(f"\n{heading(total)}{paid}", style="bold"))
        console.print(_entries(entries[:_ENTRIES_SHOWN], found.with_remits))
        if len(entries) > _ENTRIES_SHOWN:
            console.print(f"  … and {len(entries) - _ENTRIES_SHOWN:,} more: --format csv, parquet or html has all")
    if found.entries:
        console.print()
        show_causes(console, found.causes)
        for line in _legend(found):
            console.print(f"\n{line}")
    else:
        console.print(Text("\nNo claim fares otherwise.", style="bold"))


def _legend(found: Worklist) -> Iterator[str]:
    yield "No filing deadline is given by these documents, and none is assumed."
    if found.with_remits:
        yield (
            "fits: the register knows a reason code as telling of what the rule asked for. not mapped: it does not "
            "know what each reason tells of; a person has to look."
        )


def _entries(entries: Iterable[Entry], with_remits: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("claim", overflow="fold")
    table.add_column("service", no_wrap=True)
    table.add_column("lines", overflow="fold")
    table.add_column("charged", justify="right", no_wrap=True)
    if with_remits:
        table.add_column("paid", justify="right", no_wrap=True)
        table.add_column("denied for", overflow="fold")
        table.add_column("reason", no_wrap=True)
    else:
        table.add_column("before → after", overflow="fold")
    for entry in entries:
        lines = " ".join(map(str, entry.lines)) + (f" ({', '.join(entry.codes)})" if entry.codes else "")
        cells = [entry.claim, str(entry.first_day or "–"), lines, money(entry.charge)]
        if with_remits:
            cells += [money(entry.paid), " ".join((*entry.reasons, *entry.remarks)) or "–", entry.fit or "–"]
        else:
            cells.append(f"{entry.before} → {entry.after}")
        table.add_row(*cells)
    return table


# --- Worklist: a page -------------------------------------------------------------------------------------------------

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .875rem; }}
th, td {{ text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8886; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
.bar {{ fill: #2563ab; }}
.faint {{ opacity: .75; }}
svg {{ max-width: 100%; height: auto; }}
svg text {{ font-size: 12px; fill: currentColor; }}
td:nth-child(2), td:nth-child(3) {{ white-space: nowrap; }}
q {{ font-style: italic; }}
@media print {{ body {{ max-width: none; }} }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{summary}<br><span class="faint">Register {revision}. Conformant means that no rule in the register is broken, never
that a service is covered or payable.</span></p>
{body}
</body>
</html>
"""


def as_html(found: Worklist) -> str:
    """One page that needs nothing else: the claims, a chart by month, and what the documents say."""
    first, second = map(day_in_words, found.known)
    body = [_chart(found.months)] if found.entries else ["<p>No claim fares otherwise.</p>"]
    for total, entries in by_cause(found):
        paid = f", paid {money(total.paid)}" if found.with_remits else ""
        body.append(f"<h2>{_escaped(heading(total)[0].upper() + heading(total)[1:] + paid)}</h2>")
        body.append(_html_entries(entries, found.with_remits))
    if found.entries:
        body.append("<h2>What makes the difference</h2>")
        body += _html_causes(found.causes)
        body += [f"<p>{_escaped(line)}</p>" for line in _legend(found)]
    return _PAGE.format(
        title=_escaped(f"Claims that fare otherwise: {first} → {second}"),
        summary=_escaped(summary(found)),
        revision=_escaped(found.register_revision),
        body="\n".join(body),
    )


def _escaped(value: object) -> str:
    return html.escape(str(value))


def _html_entries(entries: Iterable[Entry], with_remits: bool) -> str:
    names = ["Claim", "Service", "Lines", "Outcome", "Charged"]
    names += ["Paid", "Denied or reduced for", "Reason"] if with_remits else []
    out = ['<div class="wide"><table><thead><tr>']
    out += [f"<th{_number(name)}>{name}</th>" for name in names]
    out.append("</tr></thead><tbody>")
    for entry in entries:
        lines = " ".join(map(str, entry.lines)) + (f" ({', '.join(entry.codes)})" if entry.codes else "")
        cells = [entry.claim, entry.first_day or "–", lines, f"{entry.before} → {entry.after}", money(entry.charge)]
        if with_remits:
            cells += [money(entry.paid), entry.fit_note or "–", entry.fit or "–"]
        pairs = zip(names, cells, strict=True)
        out.append("<tr>" + "".join(f"<td{_number(n)}>{_escaped(cell)}</td>" for n, cell in pairs) + "</tr>")
    out.append("</tbody></table></div>")
    return "".join(out)


def _number(name: str) -> str:
    return ' class="number"' if name in ("Charged", "Paid") else ""


def _html_causes(causes: Iterable[Cause]) -> Iterator[str]:
    for group in _by_version(causes).values():
        first = group[0]
        yield f"<h3>{_escaped(first.change.document)}</h3><ul>"
        for line in _published(first.published):
            yield f"<li>Published {_escaped(line)}</li>" if line[:1].isdigit() else f"<li>{_escaped(line)}</li>"
        if first.change.implemented_on:
            yield f"<li>The payer's systems apply it from {first.change.implemented_on}</li>"
        for cause in group:
            said = f", {effective(cause)}" if effective(cause) else ""
            label = f"<strong>{_escaped(cause.change.label)}</strong>{_escaped(said)}"
            yield f"<li>{label}{_html_quotes(cause.change.cites)}</li>"
        for notice in first.notices:
            when = f"Where {' and '.join(notice.when)}: " if notice.when else ""
            yield f"<li>{_escaped(when + notice.label)}{_html_quotes(notice.cites)}</li>"
        yield "</ul>"


def _html_quotes(cites: Iterable[Citation]) -> str:
    return "".join(
        f"<br><small>{_escaped(c.document)}, {_escaped(c.section)}: <q>{_escaped(c.quote)}</q></small>" for c in cites
    )


def _chart(months: Mapping[str, tuple[int, Decimal]]) -> str:
    """The charge of the lines concerned by month of service, every month between the first and the last."""
    shown = list(_every_month([month for month in months if month]))
    if not shown:
        return ""
    most = max((months.get(month, (0, Decimal()))[1] for month in shown), default=Decimal()) or Decimal(1)
    step, high, left = 56, 140, 8
    width = left * 2 + step * len(shown)
    out = [
        f'<svg viewBox="0 0 {width} {high + 62}" width="{width}" height="{high + 62}" role="img">'
        "<title>Charge of the lines concerned, by month of service</title>"
    ]
    for place, month in enumerate(shown):
        claims, charge = months.get(month, (0, Decimal()))
        tall = round(float(charge / most) * high, 1)
        x, top = left + place * step, 18 + high - tall
        if claims:
            out.append(
                f'<rect class="bar" x="{x + 6}" y="{top:.1f}" width="{step - 12}" height="{max(tall, 1)}">'
                f"<title>{month}: {claims} claims, {money(charge)}</title></rect>"
                f'<text x="{x + step / 2}" y="{top - 4:.1f}" text-anchor="middle">{_short(charge)}</text>'
            )
        out.append(f'<text x="{x + step / 2}" y="{high + 34}" text-anchor="middle">{month}</text>')
        out.append(f'<text x="{x + step / 2}" y="{high + 52}" text-anchor="middle">{claims or "–"}</text>')
    out.append("</svg>")
    caption = "Charge of the lines concerned by month of service, in dollars; below each month its claims."
    return f"<figure>{''.join(out)}<figcaption>{caption}</figcaption></figure>"


def _every_month(months: Sequence[str]) -> Iterator[str]:
    if not months:
        return
    first, last = (int(m[:4]) * 12 + int(m[5:7]) - 1 for m in (min(months), max(months)))
    for month in range(first, last + 1):
        yield f"{month // 12:04d}-{month % 12 + 1:02d}"


def _short(amount: Decimal) -> str:
    for size, letter in ((Decimal(1_000_000), "M"), (Decimal(1_000), "k")):
        if amount >= size:
            return f"{amount / size:.1f}{letter}"
    return f"{amount:.0f}"
