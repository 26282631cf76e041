"""Writes what differs between two registers: for people (text), for a pull request (markdown), for programs (json)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from chartulary.workbench.diff import Change, ClaimChange, Difference, Verdict
from chartulary.workbench.sides import Named

_STYLES = {"added": "green", "removed": "red", "changed": "yellow", "ended": "red", "reopened": "green"}
_WAYS = {"added": "added", "removed": "removed", "changed": "changed", "ended": "ended", "reopened": "no longer ended"}
_PLURALS = {"policy": "policies", "criterion": "criteria", "line of business": "lines of business"}
_PLURALS |= {
    "validity": "validities",
    "proposal's status": "proposals' statuses",
    "kind of request": "kinds of request",
}
_MANY = 8
"""Things of one kind, merely added or removed, that are not told one by one; names that are told of a list."""
_TOLD_ONE_BY_ONE = {"policy", "version", "amendment", "provision"}
_UNFOLDED = 20
_ROWS = 150
"""Rows of a Markdown table: a comment on GitHub holds 65,536 characters."""
_LONGEST = 60_000


def as_json(difference: Difference) -> dict[str, Any]:
    """The whole as one object."""
    plain: dict[str, Any] = msgspec.to_builtins(difference)
    claims = [{**told, "flips": claim.flips} for told, claim in zip(plain["claims"], difference.claims, strict=True)]
    return {**plain, "claims": claims, "claims_flipped": len(difference.flips)}


def summary(difference: Difference) -> str:
    """One sentence on the whole."""
    counts = Counter((change.what, change.kind) for change in difference.changes if change.kind in _TOLD_ONE_BY_ONE)
    others = Counter(change.kind for change in difference.changes if change.kind not in _TOLD_ONE_BY_ONE)
    parts = []
    for what in ("added", "removed", "changed", "ended", "reopened"):
        kinds = [_count(number, kind) for (w, kind), number in counts.items() if w == what]
        if kinds:
            parts.append(f"{_listed(kinds)} {_WAYS[what]}")
    if others:
        parts.append(f"{others.total()} other differences" if others.total() > 1 else "1 other difference")
    return "; ".join(parts) or "No policy differs"


def claims_summary(difference: Difference) -> str:
    """One sentence on the claims."""
    if not difference.claims_held:
        return "No claims were held against both" if difference.changes else "So no claim fares otherwise"
    others = len(difference.claims) - len(difference.flips)
    total = f"{difference.claims_held:,} claim{'s' * (difference.claims_held != 1)}"
    if not difference.claims:
        return f"None of {total} fares otherwise"
    flipped = len(difference.flips)
    flips = f"{flipped or 'None'} of {total} flip{'s' * (flipped < 2)}"
    more = "more " if flipped else ""
    return flips + (f", {others} {more}{'have' if others > 1 else 'has'} other findings" if others else "")


def directions(difference: Difference) -> list[tuple[str, int]]:
    """How many claims flip from which outcome to which, most first."""
    return Counter(f"{claim.old} → {claim.new}" for claim in difference.flips).most_common()


def _count(number: int, kind: str) -> str:
    return f"{number} {kind if number == 1 else _PLURALS.get(kind, f'{kind}s')}"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


# --- What is said of a change, in any format --------------------------------------------------------------------------


def sections(changes: Iterable[Change]) -> Iterator[tuple[Named | None, list[Change | list[Change]]]]:
    """Changes by policy; many things of a kind that merely came or went are one list.

    What amendments do to provisions is told of the amendments.
    """
    told = {change.iri for change in changes if change.kind == "amendment"}
    shown = [change for change in changes if not (change.by and change.by.iri in told)]
    for policy, some in groupby(shown, key=lambda change: change.policy):
        parts: list[Change | list[Change]] = []
        for (kind, what), alike in groupby(some, key=lambda change: (change.kind, change.what)):
            group = list(alike)
            few = kind in _TOLD_ONE_BY_ONE or what == "changed" or len(group) == 1
            parts += group if few else [group]
        yield policy, parts


def facts_of(change: Change, changes: Iterable[Change]) -> Iterator[str]:
    """Lines about a change, below what it is called."""
    done = [c for c in changes if c.by and c.by.iri == change.iri]
    if change.kind == "amendment" and change.what != "changed":
        yield f"for dates of service {change.period}"
    elif change.kind == "amendment":
        yield from (f"makes a difference {_service(period)}" for period in sorted({c.period for c in done}))
    elif change.period and change.what == "changed" and (change.effective_from or change.effective_until):
        yield f"makes a difference {_service(change.period)}"
    elif change.period and change.kind in ("provision", "validity"):
        yield change.period
    if change.by:
        yield f"by “{change.by.label}”"
    bound = ", ".join(scope.label for scope in change.scopes[:4]) + ("…" if len(change.scopes) > 4 else "")
    if bound and change.kind in ("provision", "amendment"):
        yield f"binds {bound}{_payers(change, bound)}"
    elif change.payers:
        yield f"concerns {', '.join(payer.label for payer in change.payers)}{_payers(change, '')}"
    if change.known_since and change.kind in ("amendment", "version"):
        yield f"known since {change.known_since}"
    yield from change.details
    if change.kind == "amendment":
        verb = {"ended": "ends", "reopened": "ended", "changed": "ends otherwise"}
        for one in done:
            scopes = ", ".join(scope.label for scope in one.scopes)
            rest = "; ".join(one.details)
            # The amendment's own line says from which day.
            held = "" if one.what == "changed" else ", which now holds " + _service(one.period)
            tail = f" ({rest})" if rest else held if one.what == "reopened" else ""
            yield f"{verb[one.what]} “{one.label}” ({scopes}){tail}"
    elif change.used_by:
        yield f"used by {_count(len(change.used_by), 'provision')}: {_names(change.used_by)}"


def _service(period: str) -> str:
    return period if period.startswith("on every") else f"for service {period}"


def _payers(change: Change, said: str) -> str:
    """Payers and lines of business that the names of the scopes do not have."""
    among = (*change.payers, *change.lines_of_business) if said else change.lines_of_business
    named = [thing.label for thing in among if thing.label.casefold() not in said.casefold()]
    return f" ({', '.join(named)})" if named else ""


def _names(things: Sequence[Named]) -> str:
    more = f" and {len(things) - _MANY} more" if len(things) > _MANY else ""
    return "; ".join(f"“{thing.label}”" for thing in things[:_MANY]) + more


# --- On a terminal ----------------------------------------------------------------------------------------------------


def show(console: Console, difference: Difference) -> None:
    """For people."""
    head = Table.grid(padding=(0, 2))
    for side, name, revision in (
        ("old", difference.old, difference.old_revision),
        ("new", difference.new, difference.new_revision),
    ):
        head.add_row(side, Text(name, style="bold"), Text(f"register {revision}", style="dim"))
    console.print(head)
    console.print()
    console.print(Text(summary(difference), style="bold"))
    for policy, parts in sections(difference.changes):
        console.print()
        console.print(Text(policy.label if policy else "Shared by policies", style="bold underline"))
        for part in parts:
            first = part[0] if isinstance(part, list) else part
            grid = Table.grid(padding=(0, 2))
            grid.add_column(width=18)
            grid.add_column(ratio=1)
            body = Text()
            if isinstance(part, list):
                body.append(_names([Named(iri=c.iri, label=c.label) for c in part]))
                kind = _count(len(part), first.kind)
            else:
                body.append(first.label, style="bold")
                for line in facts_of(first, difference.changes):
                    body.append(f"\n{line}", style="" if line in first.details else "dim")
                kind = first.kind
            grid.add_row(Text(f"{_WAYS[first.what]} {kind}", style=_STYLES[first.what]), body)
            console.print(Padding(grid, (0, 0, 0, 2)))
    console.print()
    console.print(Text(claims_summary(difference), style="bold"))
    for direction, number in directions(difference):
        console.print(f"  {number:>5,}  {direction}")
    for alike in _alike(difference.claims):
        console.print()
        _show_claims(console, alike)


def _alike(claims: Iterable[ClaimChange]) -> list[list[ClaimChange]]:
    """Claims that fare otherwise in the same way, by the same provisions; those that flip come first."""
    groups: dict[tuple[object, ...], list[ClaimChange]] = {}
    for claim in sorted(claims, key=lambda claim: not claim.flips):
        groups.setdefault((claim.old, claim.new, claim.gone, claim.come), []).append(claim)
    return list(groups.values())


def _show_claims(console: Console, alike: list[ClaimChange]) -> None:
    first = alike[0]
    way = f"{first.old} → {first.new}" if first.flips else f"{first.new} as before, with other findings"
    console.print(Text(f"{way}: {_count(len(alike), 'claim')}", style="bold yellow" if first.flips else "bold"))
    for word, verdicts in (("no longer", first.gone), ("now", first.come)):
        for verdict in verdicts:
            where = f"line {verdict.line}" if verdict.line else "claim"
            grid = Table.grid(padding=(0, 2))
            grid.add_column(width=9)
            grid.add_column(ratio=1)
            body = Text(f"{verdict.outcome}, {where}: {verdict.label}")
            if verdict.reason:
                body.append(f"\n{verdict.reason}", style="dim")
            grid.add_row(Text(word, style="red" if word == "no longer" else "green"), body)
            console.print(Padding(grid, (0, 0, 0, 2)))
    for claim in alike:
        console.print(Text(f"  - {' '.join(_named(claim))}"), soft_wrap=True)


def _named(claim: ClaimChange) -> tuple[str, ...]:
    """A claim's identifier and its file; the file alone where the claim has none of its own."""
    place = f"{claim.source}, {claim.where}" if claim.where else claim.source
    return (place,) if claim.claim.startswith(claim.source) else (claim.claim, place)


# --- Markdown ---------------------------------------------------------------------------------------------------------


def markdown(difference: Difference) -> str:
    """For a comment on a pull request: short, long tables folded, and never longer than GitHub takes."""
    lines = [f"### {_plain(summary(difference))}", ""]
    lines += [f"{_plain(claims_summary(difference))}. From {_side(difference.old)} to {_side(difference.new)}.", ""]
    lines += [f"> {_plain(warning)}\n" for warning in difference.warnings]
    for policy, parts in sections(difference.changes):
        body = [line for part in parts for line in _bullets(part, difference.changes)]
        title = _plain(policy.label if policy else "Shared by policies")
        lines += _folded(f"{title}: {len(body)} lines", body) if len(body) > 60 else [f"**{title}**", "", *body, ""]
    if difference.claims:
        for flips, heading in ((True, "Claims that flip"), (False, "Claims with other findings")):
            claims = [claim for claim in difference.claims if claim.flips == flips]
            if not claims:
                continue
            rows = ["| claim | outcome | by |", "|---|---|---|", *map(_row, claims[:_ROWS])]
            rows += [f"\n… and {len(claims) - _ROWS} more"] if len(claims) > _ROWS else []
            folded = len(claims) > _UNFOLDED or not flips
            ways = ", ".join(f"{number} {_plain(way)}" for way, number in directions(difference)) if flips else ""
            title = f"{heading}: {len(claims)}" + (f" ({ways})" if ways else "")
            lines += _folded(title, rows) if folded else [f"**{title}**", "", *rows, ""]
    text = "\n".join(lines).rstrip() + "\n"
    if len(text) > _LONGEST:
        kept = text[:_LONGEST].rpartition("\n")[0]
        open_ = kept.count("<details>") > kept.count("</details>")
        text = kept + ("\n\n</details>" if open_ else "") + "\n\n… cut here: run `chartulary diff` for the rest.\n"
    return text


def _bullets(part: Change | list[Change], changes: Iterable[Change]) -> Iterator[str]:
    first = part[0] if isinstance(part, list) else part
    way = _WAYS[first.what]
    if isinstance(part, list):
        names = _names([Named(iri=c.iri, label=c.label) for c in part])
        yield f"- **{_count(len(part), first.kind)} {way}**: {_plain(names)}"
        return
    yield f"- **{first.kind.capitalize()} {way}**: {_plain(first.label)}"
    facts = list(map(_plain, facts_of(first, changes)))
    if first.kind != "amendment" and first.what != "changed":
        facts = ["; ".join(facts)] if facts else []
    yield from (f"  - {line}" for line in facts)


def _folded(title: str, body: Iterable[str]) -> list[str]:
    return ["<details>", f"<summary>{title}</summary>", "", *body, "", "</details>", ""]


def _row(claim: ClaimChange) -> str:
    by = "<br>".join(
        f"{sign} {_verdict(verdict)}" for sign, some in (("−", claim.gone), ("+", claim.come)) for verdict in some
    )
    way = f"{claim.old} → {claim.new}" if claim.flips else claim.new
    *own, place = _named(claim)
    return f"| {''.join(f'{_plain(name)}<br>' for name in own)}{_code(place)} | {way} | {by} |"


def _verdict(verdict: Verdict) -> str:
    line = f", line {verdict.line}" if verdict.line else ""
    reason = f" ({verdict.reason})" if verdict.reason else ""
    return _plain(f"{verdict.outcome}{line}: {verdict.label}{reason}")


def _plain(text: str) -> str:
    """Text that Markdown takes for nothing else: labels come from whoever opened the pull request."""
    text = re.sub(r"([\\`*_\[\]|~#])", r"\\\1", " ".join(text.split()).replace("&", "&amp;"))
    return text.replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")


def _side(name: str) -> str:
    """A side's name; of a whole commit's, as much as people use."""
    return _code(name[:10] if re.fullmatch("[0-9a-f]{40}", name) else name)


def _code(text: str) -> str:
    text = " ".join(text.split()).replace("`", "'").replace("|", "\\|")
    return f"`{text}`"
