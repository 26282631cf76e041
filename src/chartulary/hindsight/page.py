"""A worklist as a page: what its template is given, for the service and for a file that stands alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from chartulary import markup
from chartulary.hindsight import Notice
from chartulary.hindsight.formats import heading, legend, money, summary
from chartulary.hindsight.words import day_in_words
from chartulary.hindsight.worklist import Entry, Worklist, by_cause
from chartulary.report import Change

_PROBLEMS = 50
HIGH, LEFT, STEP = 180, 52, 36
"""Of a plot: the height of the highest column at most, what stands left of the columns, and the width of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Claims of one direction and cause, as a page shows them."""

    heading: str
    claims: int
    paid: str | None
    """None without remittances."""
    changes: tuple[Change, ...]
    """By which they fare otherwise."""
    entries: tuple[Entry, ...]
    to_do: tuple[tuple[Notice, int], ...]
    """What the documents tell of these claims, and of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A month in a plot; lengths in its units."""

    month: str
    name: str
    year: str
    """Of the first month and of each January; else empty."""
    claims: int
    charge: Decimal
    short: str
    x: float
    top: float
    tall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """The charge of the lines concerned by month of service, every month between the first and the last."""

    width: int
    columns: tuple[Column, ...]
    lines: tuple[tuple[float, str], ...]
    """Heights of round amounts, with the amounts."""


def shown(found: Worklist, *, most: int | None = None) -> dict[str, Any]:
    """What ``worklist_list.html`` says of a list; ``most`` claims are shown, or all."""
    groups: list[Claims] = []
    room = len(found.entries) if most is None else most
    for total, entries in by_cause(found):
        words = heading(total)
        told = Counter(provision for entry in entries for provision in entry.notices)
        notices = {n.provision: n for cause in found.causes for n in cause.notices}
        groups.append(
            Claims(
                heading=words[0].upper() + words[1:],
                claims=total.claims,
                paid=money(total.paid) if found.with_remits else None,
                changes=tuple(c.change for c in found.causes if c.change.amendment in total.causes),
                entries=tuple(entries[:room]),
                to_do=tuple((notices[provision], count) for provision, count in told.items() if provision in notices),
            )
        )
        room = max(room - len(entries), 0)
    return {
        "found": found,
        "problems": found.problems[:_PROBLEMS],
        "more_problems": max(len(found.problems) - _PROBLEMS, 0),
        "title": f"Claims that fare otherwise: {' → '.join(map(day_in_words, found.known))}",
        "summary": summary(found),
        "groups": groups,
        "left_out": len(found.entries) - sum(len(group.entries) for group in groups),
        "plot": plot(found.months),
        "high": HIGH,
        "legend": list(legend(found)),
        "money": money,
    }


def as_html(found: Worklist) -> str:
    """One page that needs nothing else: the claims, a plot by month, and what the documents say."""
    return markup.alone("worklist_file.html", **shown(found))


def plot(months: Mapping[str, tuple[int, Decimal]]) -> Plot | None:
    """Columns for what :attr:`Worklist.months` gives; None where no claim has a day."""
    every = list(_every_month([month for month in months if month]))
    if not every:
        return None
    most = max(months.get(month, (0, Decimal()))[1] for month in every) or Decimal(1)
    columns = []
    for place, month in enumerate(every):
        claims, charge = months.get(month, (0, Decimal()))
        tall = round(float(charge / most) * HIGH, 1)
        columns.append(
            Column(
                month=month,
                name=f"{date(int(month[:4]), int(month[5:]), 1):%b}",
                year=month[:4] if not place or month.endswith("-01") else "",
                claims=claims,
                charge=charge,
                short=_short(charge),
                x=LEFT + place * STEP,
                top=HIGH - tall,
                tall=tall,
            )
        )
    lines = tuple((round(HIGH - float(amount / most) * HIGH, 1), _short(amount)) for amount in _round_amounts(most))
    return Plot(width=LEFT + STEP * len(every) + 8, columns=tuple(columns), lines=lines)


def _every_month(months: Sequence[str]) -> Iterator[str]:
    if not months:
        return
    first, last = (int(m[:4]) * 12 + int(m[5:7]) - 1 for m in (min(months), max(months)))
    for month in range(first, last + 1):
        yield f"{month // 12:04d}-{month % 12 + 1:02d}"


def _round_amounts(most: Decimal) -> list[Decimal]:
    """Nothing, and at most five round amounts up to the most."""
    step = Decimal(10) ** (most.adjusted() - 1)
    while most / step > 5:
        step *= Decimal("2.5") if step.normalize().as_tuple().digits == (2,) else 2  # 1, 2, 5, 10, …
    return [step * count for count in range(int(most / step) + 1)]


def _short(amount: Decimal) -> str:
    for size, letter in ((Decimal(1_000_000), "M"), (Decimal(1_000), "k")):
        if amount >= size:
            places = 0 if amount >= 100 * size else 1  # five characters are what a column has room for
            return f"{amount / size:.{places}f}".removesuffix(".0") + letter
    return f"{amount:.0f}"
