"""How a relation stands in a database: its table's name, and its columns with their SQL types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from chartulary.facts import Text

NUMBER = "INT32"
"""The type of terms that are written as numbers; whole numbers have another, to tell them apart."""
TYPES: dict[type, str] = {
    bool: "BOOLEAN",
    int: "BIGINT",
    Decimal: "DECIMAL(38, 15)",
    date: "DATE",
    Text: "VARCHAR",
}
"""Of literals."""


@dataclass(frozen=True, slots=True)
class Table:
    """A relation as a table: of the snapshot, of what claims state, or of what rules derive."""

    name: str
    predicate: str
    types: tuple[str, ...]
    """Of its columns: ``s`` and ``o``, or ``c0``, ``c1``, … of a helper table."""
    stated: bool = False
    derived: bool = False
    row: tuple[str, ...] = ()
    """Of a table with a row for each subject: the predicates of all columns but the first."""

    @property
    def columns(self) -> tuple[str, ...]:
        if self.row:
            return ("s", *map(last_part, self.row))
        return ("s", "o") if self.predicate else tuple(f"c{n}" for n in range(len(self.types)))

    def column(self, predicate: str) -> str:
        """Where its objects stand."""
        return last_part(predicate) if self.row else "o"


def last_part(iri: str) -> str:
    """What an IRI ends with, behind the namespace."""
    return re.split(r"[/#]", iri)[-1]
