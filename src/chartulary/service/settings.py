"""What a service is started with: where it listens, whom it lets in, and how much it takes on."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from chartulary.errors import ChartularyError

_SHORTEST_TOKEN = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of it; sizes in bytes, times in seconds."""

    host: str = "127.0.0.1"
    port: int = 8000
    policies: Path | None = None
    cache: Path | None = None
    token: str | None = None
    """What a caller must show; None lets in whoever reaches the port."""
    body_limit: int = 16 * 1024 * 1024
    """The largest body. A stream of lines has no end, but none of its lines may be longer than ``line_limit``."""
    line_limit: int = 1024 * 1024
    claims: int = 2000
    """The most claims in one body; more go as lines, or through ``chartulary validate``."""
    lines: int = 999
    """The most lines of a claim: what an 837I holds."""
    seconds: float = 30.0
    """The longest wait for more of a body, and the longest time for one answer."""
    concurrency: int = 64
    """Requests worked on at once; more are refused, to be sent again."""
    query_seconds: float = 10.0
    """The longest time that a SPARQL query may take."""
    query_rows: int = 100_000
    """The most rows, or triples, of an answer to a SPARQL query."""
    query_workers: int = 2
    """Processes that answer SPARQL queries."""

    @property
    def loopback(self) -> bool:
        """Whether only programs on this machine can reach the service."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_token(path: Path) -> str:
    """The token in a file: its first line.

    Raises:
        ChartularyError: the file cannot be read, or what it holds is too short to keep anybody out.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        raise ChartularyError(f"{path}: the token cannot be read") from None
    token = lines[0].strip()
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise ChartularyError(f"{path}: a token has at least {_SHORTEST_TOKEN} letters, digits and signs on one line")
    return token
