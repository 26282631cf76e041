"""Receipts of decisions: what a decision was made of and what it was, so that it can be made again and compared.

A receipt holds nothing of the claim but a digest: no identifier, no code, no day of service.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import msgspec

from chartulary.claim import Claim
from chartulary.engines import EngineName
from chartulary.errors import ChartularyError
from chartulary.readers.claim_json import claim_to_json
from chartulary.register import Register
from chartulary.report import ClaimOutcome, Outcome, Report
from chartulary.snapshot import Unknown

VERSION = version("chartulary")
"""Read once: it takes a fifth of the time that a claim takes."""

_SUFFIX = ".receipt.json"


class Found(msgspec.Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """A finding, as far as two decisions are compared."""

    provision: str
    position: int
    """The line's place on the claim, from 1; 0 for the claim itself."""
    outcome: Outcome


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A decision on one claim."""

    receipt: Literal[1] = 1
    """Version of this form."""
    decision: str
    """Names the decision by all that it hangs on; see `decision_id`."""
    claim_sha256: str
    """Of the claim as it was read; see `digest`."""
    register_revision: str
    version: str
    engine: str
    as_known_on: date | None
    unknown: Unknown
    outcome: ClaimOutcome
    findings: tuple[Found, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of making a decision again."""

    receipt: Receipt
    again: Receipt | None
    """The decision as it is made now; None where the claim is not the one that the receipt is about."""

    @property
    def same_claim(self) -> bool:
        return self.again is not None

    @property
    def same_result(self) -> bool:
        again, receipt = self.again, self.receipt
        return again is not None and (again.outcome, again.findings) == (receipt.outcome, receipt.findings)

    @property
    def gone(self) -> tuple[Found, ...]:
        """Findings of the receipt that are not made now."""
        return tuple(sorted({*self.receipt.findings} - {*(self.again.findings if self.again else ())}))

    @property
    def new(self) -> tuple[Found, ...]:
        """Findings that are made now and are not in the receipt."""
        return tuple(sorted({*(self.again.findings if self.again else ())} - {*self.receipt.findings}))


def decision_id(revision: str, as_known_on: date | None, what: str, body: bytes) -> str:
    """Names a decision by all that it hangs on: the same content, register, day and version give the same name."""
    digest = hashlib.sha256()
    for part in (VERSION, revision, str(as_known_on), what):
        digest.update(part.encode() + b"\0")
    digest.update(body)
    return digest.hexdigest()[:32]


def content(claim: Claim) -> bytes:
    """A claim in one form, whatever file it came in: claim JSON with its names in order."""
    whole = claim_to_json(claim)
    if claim.id.startswith(f"{claim.source} #"):
        del whole["id"]  # the reader's, for want of one: it tells of the file only
    return msgspec.json.encode(_whole(whole), order="sorted")


def _whole(value: object) -> object:
    """The value with what UTF-8 cannot hold made visible."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_whole(name): _whole(item) for name, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value


def digest(claim: Claim) -> str:
    """SHA-256 of a claim as it was read, without its file and its place there."""
    return hashlib.sha256(content(claim)).hexdigest()


def receipt(claim: Claim, report: Report, *, unknown: Unknown = "review") -> Receipt:
    """The receipt of a report on a claim."""
    return Receipt(
        decision=decision_id(report.register_revision, report.as_known_on, unknown, content(claim)),
        claim_sha256=digest(claim),
        register_revision=report.register_revision,
        version=VERSION,
        engine=report.engine,
        as_known_on=report.as_known_on,
        unknown=unknown,
        outcome=report.outcome,
        findings=tuple(sorted(Found(f.provision, f.position or 0, f.outcome) for f in report.findings)),
    )


def dump(made: Receipt) -> bytes:
    """A receipt as JSON."""
    return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"


def load(path: Path) -> Receipt:
    """Reads a receipt.

    Raises:
        ChartularyError: it cannot be read, or is none.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Receipt)
    except OSError as fault:
        raise ChartularyError(f"{path}: cannot be read: {fault.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise ChartularyError(f"{path}: not a receipt: {fault}") from None


def write(receipts: Iterable[Receipt], folder: Path) -> int:
    """Writes receipts into a folder, each named by its decision, and gives their number.

    The same decision is written once. Each receipt comes whole or not at all.

    Raises:
        ChartularyError: the folder cannot be written.
    """
    count = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for made in receipts:
            target = folder / f"{made.decision}{_SUFFIX}"
            part = target.with_suffix(".part")
            part.write_bytes(dump(made))
            part.replace(target)
            count += 1
    except OSError as fault:
        raise ChartularyError(f"{folder}: cannot be written: {fault.strerror}") from None
    return count


def verify(made: Receipt, claims: Iterable[Claim], register: Register, *, engine: EngineName = "auto") -> Verdict:
    """Makes a receipt's decision again, on that one of the claims that it is about.

    It is made as the receipt was, as known on the same day, by the register that there is now: whether that is another
    shows in ``again.register_revision``. ``engine`` takes the place of the receipt's,
    unless it is ``auto``.
    """
    claim = next((claim for claim in claims if digest(claim) == made.claim_sha256), None)
    if claim is None:
        return Verdict(receipt=made, again=None)
    snapshot = register.snapshot(as_known_on=made.as_known_on, unknown=made.unknown)
    report = snapshot.validate(claim, engine=_engine(made.engine) if engine == "auto" else engine)
    return Verdict(receipt=made, again=receipt(claim, report, unknown=made.unknown))


def _engine(name: str) -> EngineName:
    known: dict[str, EngineName] = {"python": "python", "sql": "sql", "shifty": "shifty", "pyshacl": "pyshacl"}
    return known.get(name, "auto")


def in_words(verdict: Verdict, register: Register) -> Iterator[str]:
    """What came of it, in lines; the first says it all."""
    old, new = verdict.receipt, verdict.again
    if new is None:
        yield "another claim: none of those given is the one that the receipt is about"
        return
    same = "the same decision" if new.decision == old.decision and new.engine == old.engine else "the same result"
    yield f"{same}: {old.outcome}, {_count(len(old.findings))}" if verdict.same_result else "another result"
    if new.register_revision != old.register_revision:
        yield f"  the register is another: {old.register_revision} then, {new.register_revision} now"
    if new.version != old.version:
        yield f"  Chartulary is another: {old.version} then, {new.version} now"
    if new.engine != old.engine:
        yield f"  the engine is another: {old.engine} then, {new.engine} now"
    if verdict.same_result:
        return
    if new.outcome != old.outcome:
        yield f"  {old.outcome} then, {new.outcome} now"
    reader = register.snapshot(as_known_on=old.as_known_on, unknown=old.unknown).reader
    for when, found in (("only then", verdict.gone), ("only now", verdict.new)):
        for one in found:
            place = f"line {one.position}" if one.position else "claim"
            yield f"  {when}: {one.outcome}, {place}: {reader.label(one.provision)}"


def _count(findings: int) -> str:
    return f"{findings or 'no'} finding{'s' * (findings != 1)}"
