"""Writes comparisons and worklists: for people (table), programs (json, jsonl) and sheets (csv, parquet)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from chartulary import formats
from chartulary.hindsight import DIRECTIONS, Cause, ClaimComparison, Comparison, Hindsight
from chartulary.hindsight.words import (
    Row,
    answer_rows,
    asks,
    by_version,
    claim_gist,
    claim_rows,
    day_in_words,
    effective,
    gist,
    known_in_words,
    plain,
    publications,
)
from chartulary.hindsight.worklist import Entry, Total, Worklist, by_cause
from chartulary.report import Citation

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


# --- What makes the difference ----------------------------------------------------------------------------------------


def _causes(causes: Iterable[Cause], *, notices: bool = True) -> Iterator[RenderableType]:
    """A block for each version: when it became known, what it changed by which sentences, and what else it tells."""
    for group in by_version(causes).values():
        first = group[0]
        block = Table.grid(padding=(0, 2), expand=True)
        block.add_column(no_wrap=True, style="bold")
        block.add_column(ratio=1)
        for place, line in enumerate(publications(first.published)):
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
    console.print(Text(f"{known_in_words(compared.known)}, register {compared.register_revision}", style="dim"))
    console.print()
    console.print(Text(f"{gist(compared)}.", style="bold"))
    if compared.same:
        if not len(compared.before):
            console.print("The register holds nothing on this. That is not to say that nothing applies.")
        for row in compared.after:
            if row.get("kind") in ("requirement", "prohibition"):
                console.print(Padding(Text(f"{asks(row)}: {row['label']}"), (0, 0, 0, 2)))
        if compared.beside:
            console.print(
                Text("\nWhat became known in between about the same rules, and makes no difference on this day:")
            )
            for block in _causes(compared.beside, notices=False):
                console.print(block)
        return
    console.print()
    console.print(_side_by_side(first, second, answer_rows(compared)))
    if compared.causes:
        console.print(Text("\nWhat makes the difference", style="bold underline"))
    for block in _causes(compared.causes, notices=False):
        console.print(block)
    if any(not change.causes for change in compared.changes):
        console.print(Text("\nOf what has no amendment or new version behind it the cause is not traced.", style="dim"))


def _side_by_side(first: str, second: str, rows: Iterable[Row]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), expand=True)
    table.add_column("", ratio=1)
    table.add_column(first, no_wrap=True)
    table.add_column(second, no_wrap=True)
    for row in rows:
        place = "  ".join(filter(None, (row.place, row.code, row.label)))
        text = Group(Text(place), *(Padding(Text(line, style="dim"), (0, 0, 0, 2)) for line in row.inner))
        table.add_row(text, _word(row.before), _word(row.after))
    return table


def _word(said: str) -> Text:
    return Text(said, style="yellow" if said.startswith("maybe") else _STYLES.get(said, ""))


def show_claim_comparison(console: Console, compared: ClaimComparison, hindsight: Hindsight) -> None:
    """A claim's findings side by side, where they differ, and why."""
    after = compared.after
    first, second = map(day_in_words, hindsight.known)
    place = f"{after.source}, {after.where}" if after.where else after.source
    console.print(
        Text.assemble((f"claim {after.claim}", "bold"), f"  {after.line_of_business or after.payer}, {after.setting}")
    )
    console.print(Padding(Text(f"{place}; {known_in_words(hindsight.known)}", style="dim"), (0, 0, 0, 2)))
    console.print(Padding(_side_by_side(first, second, claim_rows(compared)), (0, 0, 0, 2)))
    console.print(Padding(Text(claim_gist(compared), style="bold"), (0, 0, 0, 2)))
    console.print()


def show_causes(console: Console, causes: Iterable[Cause], *, notices: bool = True) -> None:
    """What makes the difference, once for all that differs."""
    if causes := tuple(causes):
        console.print(Text("What makes the difference", style="bold underline"))
        for block in _causes(causes, notices=notices):
            console.print(block)


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
        _joined(f"{s.label}: {plain(s.before)} → {plain(s.after)}" for s in entry.shifts),
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
        entry.file_by or "none given by the source",
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


def worklist_json(found: Worklist) -> dict[str, Any]:
    """The list with its totals and what makes the difference, as plain values."""
    return {
        "register_revision": found.register_revision,
        "known": list(found.known),
        "summary": summary(found),
        "counts": dict(found.counts),
        "totals": [asdict(total) for total in found.totals],
        "months": {month: {"claims": n, "charge": charge} for month, (n, charge) in found.months.items()},
        "claims": [dict(zip(COLUMNS, each, strict=True)) for each in rows(found)],
        "causes": [asdict(cause) for cause in found.causes],
        "problems": list(found.problems),
    }


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
        for line in legend(found):
            console.print(f"\n{line}")
    else:
        console.print(Text("\nNo claim fares otherwise.", style="bold"))


def legend(found: Worklist) -> Iterator[str]:
    """What a reader must know of every list."""
    limits = {each.provision: each for entry in found.entries for each in entry.deadlines}
    for each in limits.values():
        yield f"Filing deadline: {each.label} ({each.cites[0].document}, {each.cites[0].section})."
    if not all(entry.deadlines for entry in found.entries):
        others = "for the other claims" if limits else "by these documents"
        yield f"No filing deadline is given {others}, and none is assumed."
    if found.with_remits:
        yield (
            "fits: the register knows a reason code as telling of what the rule asked for. not mapped: it does not "
            "know what each reason tells of; a person has to look."
        )


def _entries(entries: Sequence[Entry], with_remits: bool) -> Table:
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
    limited = any(entry.deadlines for entry in entries)
    if limited:
        table.add_column("file by", no_wrap=True)
    for entry in entries:
        lines = " ".join(map(str, entry.lines)) + (f" ({', '.join(entry.codes)})" if entry.codes else "")
        cells = [entry.claim, str(entry.first_day or "–"), lines, money(entry.charge)]
        if with_remits:
            cells += [money(entry.paid), " ".join((*entry.reasons, *entry.remarks)) or "–", entry.fit or "–"]
        else:
            cells.append(f"{entry.before} → {entry.after}")
        table.add_row(*cells, *([entry.file_by or "–"] if limited else []))
    return table
