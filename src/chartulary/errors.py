"""What went wrong, in one line a user can act on."""

from __future__ import annotations

from dataclasses import dataclass


class ChartularyError(Exception):
    """A fault in what the user gave us; its text is one line, fit to print."""


class Interrupted(ChartularyError):  # noqa: N818
    """A run was stopped from outside; its text says where."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in an input file that could not be read or used.

    A problem costs only what it is about: readers report it and go on with the next claim.
    It never quotes more of a claim than a code or an identifier needs.
    """

    source: str
    """File name, or ``-`` for standard input."""
    where: str
    """Place inside the file: ``segment 17``, ``line 3, column 9``, ``Claim/100150 item[0]``; may be empty."""
    message: str
    """One sentence, no trailing stop."""
    warning: bool = False
    """True where nothing was lost: worth knowing, no reason to fail."""

    def __str__(self) -> str:
        place = f", {self.where}" if self.where else ""
        return f"{self.source}{place}: {'warning: ' if self.warning else ''}{self.message}"
