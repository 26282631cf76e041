"""Claim readers, and the recogniser that picks one by a file's content, never by its name."""

from __future__ import annotations

import codecs
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from chartulary.claim import Claim
from chartulary.errors import ChartularyError, Problem
from chartulary.readers.claim_json import JsonFault, load_json, looks_like_claim, read_claim

__all__ = ["MOST_PROBLEMS_WITHOUT_CLAIM", "Part", "parts", "read_claims", "read_claims_from", "read_part"]

Items: TypeAlias = Iterator[Claim | Problem]

# A file of junk must not answer with millions of lines.
MOST_PROBLEMS_WITHOUT_CLAIM = 1000
_HEAD = 1 << 16
"""Bytes in which a file shows its kind; a file that is no longer is not cut."""
_CLAIMS_A_PART = 10_000
"""Of a table, at most."""
_X12_A_PART = 3_000_000
"""Characters, at most about."""
_LINES_A_PART = 8_000_000
"""Bytes of JSON Lines, at most about."""

_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
}
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_TURTLE = re.compile(
    r"@(?:prefix|base)\b|(?:PREFIX|BASE)\s|#|_:|<(?:[A-Za-z][A-Za-z0-9+.-]*://|urn:|#|>)", re.IGNORECASE
)
_XML = re.compile(r"<[?!A-Za-z_]")
_JSON_LD = frozenset({"@context", "@graph", "@id", "@type"})


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a file's claims, cut out but not read: cheap to send to another process."""

    content: Any
    """Bytes of a whole file or of some of its lines, or what a reader cut out for itself."""
    size: int
    """Bytes of the file that it stands for, nearly."""
    first_line: int = 0
    """Of lines cut out of JSON Lines, the number of the first, from 1; else 0."""


def parts(path: str | os.PathLike[str]) -> Iterator[Part | Problem]:
    """Cuts a file (``-`` is standard input) into parts, each of some thousand claims, in bounded memory.

    A small file, and one that has to be read whole (FHIR, Turtle, JSON-LD), is one part.
    """
    # A name that isn't UTF-8 could not be printed later.
    source = os.fsencode(path).decode("utf-8", "replace")
    try:
        if source == "-":
            data = sys.stdin.buffer.read()
            yield Part(data, len(data))
            return
        with Path(path).open("rb") as file:
            head = file.read(_HEAD)
        if _is_table(head):
            from chartulary.readers.tables import table_parts

            for piece in table_parts(Path(path), claims=lambda total: _alike(total, _CLAIMS_A_PART)):
                yield Part(piece, len(piece.rows))
        elif len(head) == _HEAD and head[:200].lstrip(codecs.BOM_UTF8 + b" \r\n\t").startswith(b"ISA"):
            yield from _x12_parts(Path(path))
        elif len(head) == _HEAD and _begins_json_lines(head):
            yield from _line_parts(Path(path))
        else:
            yield _whole(Path(path))
    except ChartularyError as error:
        yield Problem(source, "", str(error))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        yield Problem(source, "", _why_not_opened(error))


def read_part(part: Part, *, source: str) -> Items:
    """Reads the claims of a part: never an exception, and no word if there is none."""
    yield from _safely(_items_of(part, source), source)


def read_claims(path: str | os.PathLike[str]) -> Items:
    """Read every claim in a file (``-`` is standard input); what cannot be read comes as a problem."""
    source = os.fsencode(path).decode("utf-8", "replace")

    def items() -> Items:
        for part in parts(path):
            if isinstance(part, Problem):
                yield part
            else:
                yield from read_part(part, source=source)

    yield from at_least_one(items(), source)


def read_claims_from(data: bytes, *, source: str) -> Items:
    """Read every claim in the bytes of a file: at least one claim or problem, and never an exception."""
    yield from at_least_one(read_part(Part(data, len(data)), source=source), source)


def read_apart(data: bytes, *, source: str) -> tuple[list[Claim], list[Problem]]:
    """The claims in the bytes of a file, and what could not be read."""
    claims: list[Claim] = []
    problems: list[Problem] = []
    for item in read_claims_from(data, source=source):
        if isinstance(item, Claim):
            claims.append(item)
        else:
            problems.append(item)
    return claims, problems


def at_least_one(items: Items, source: str) -> Items:
    """The items of a file; a file without any is a problem, and one of junk is not read to its end."""
    claims = problems = 0
    for item in items:
        if isinstance(item, Claim):
            claims += 1
        else:
            problems += 1
        yield item
        if problems == MOST_PROBLEMS_WITHOUT_CLAIM and not claims:
            yield Problem(source, "", f"{problems} problems and not one claim: the rest is not read")
            return
    if not claims and not problems:
        yield Problem(source, "", "no claim in this file")


def _safely(items: Items, source: str) -> Items:
    try:
        yield from items
    except ChartularyError as error:
        yield Problem(source, "", str(error))
    except Exception as error:
        # One broken file must not cost the others, so a bug of ours ends here, but it is called a bug.
        yield Problem(source, "", f"the reader failed ({type(error).__name__}); this is a bug in Chartulary")


def _items_of(part: Part, source: str) -> Items:
    if part.first_line:
        yield from _read_lines(part, source)
    elif isinstance(part.content, bytes):
        yield from _read_bytes(part.content, source)
    else:
        yield from import_module(type(part.content).__module__).read_part(part.content, source=source)


def _is_table(head: bytes) -> bool:
    if head.startswith(b"PAR1"):
        return True
    line = head[:_HEAD].split(b"\n", 1)[0].lower()
    if b"claim_id" not in line:
        return False
    from chartulary.readers.tables import looks_like_table

    return looks_like_table(head)


def _x12_parts(path: Path) -> Iterator[Part]:
    from chartulary.readers import x12_parts

    with path.open("rb") as file:
        encoding = x12_parts.encoding_of(file)
        if encoding is not None:
            file.seek(0)
            for piece in x12_parts.parts(file, encoding=encoding, size=_alike(path.stat().st_size, _X12_A_PART)):
                yield Part(piece, len(piece.text))
            return
    yield _whole(path)


def _alike(total: int, most: int) -> int:
    """A size of parts that gives an even number of them, all alike: a set-at-a-time engine pays for each part anew, and
    cores should end together. It hangs on the file alone, so that ``--resume`` meets the same parts."""
    return math.ceil(total / (2 * math.ceil(total / (2 * most)))) if total > most / 2 else most


def _whole(path: Path) -> Part:
    data = path.read_bytes()
    return Part(data, len(data))


def _begins_json_lines(head: bytes) -> bool:
    """Whether the first two lines are objects by themselves."""
    lines = head.removeprefix(codecs.BOM_UTF8).split(b"\n", 2)
    return len(lines) == 3 and all(line.startswith(b"{") and line.rstrip().endswith(b"}") for line in lines[:2])


def _line_parts(path: Path) -> Iterator[Part]:
    number = 1
    size = _alike(path.stat().st_size, _LINES_A_PART)
    with path.open("rb") as file:
        while lines := file.readlines(size):
            content = b"".join(lines)
            yield Part(content, len(content), number)
            number += len(lines)


def _read_lines(part: Part, source: str) -> Items:
    for number, line in enumerate(part.content.split(b"\n"), part.first_line):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            yield Problem(source, f"line {number}", "not UTF-8 text")
        else:
            yield from _read_json_lines([text], source, first=number)


def _why_not_opened(error: OSError | ValueError) -> str:
    if isinstance(error, IsADirectoryError):
        return "a directory, not a file"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read this file"
    return f"cannot be read: {getattr(error, 'strerror', None) or 'not a file name'}"


def _read_bytes(data: bytes, source: str) -> Items:
    if _is_table(data[:_HEAD]):
        from chartulary.readers.tables import read_table

        yield from read_table(data, source=source)
        return
    text = _decode(data, source)
    if isinstance(text, Problem):
        yield text
        return
    start = text[:200].lstrip() or text.lstrip()[:200]
    if not start:
        yield Problem(source, "", "the file is empty")
    elif start.startswith("ISA") and not start[3:4].isalnum():
        from chartulary.readers.x12 import read_x12

        yield from read_x12(text, source=source)
    elif start[0] in "{[":
        yield from _read_json(text, source)
    elif _TURTLE.match(start):
        yield from _read_rdf(text, source, "text/turtle")
    elif _XML.match(start):
        yield Problem(source, "", "XML is not read; send X12, FHIR JSON, claim JSON, Turtle, JSON-LD or a table")
    elif _is_json_lines(lines := text.split("\n")):  # the first line alone is broken
        yield from _read_json_lines(lines, source)
    else:
        yield Problem(source, "", "not recognised as X12, FHIR JSON, claim JSON, Turtle, JSON-LD or a table of claims")


def _decode(data: bytes, source: str) -> str | Problem:
    for magic, name in _COMPRESSED.items():
        if data.startswith(magic):
            return Problem(source, "", f"compressed ({name}); unpack it first")
    encoding = "utf-8"
    for mark, marked in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            encoding, data = marked, data[len(mark) :]
            break
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if b"\0" in data and encoding == "utf-8":
            return Problem(source, "", "binary data, not text")
        if not data[:200].lstrip().startswith(b"ISA"):
            return Problem(source, f"byte {error.start + 1}", f"not {encoding[:6].upper()} text")
        text = data.decode("latin-1")  # common in X12 in the wild
    return Problem(source, "", "binary data, not text") if "\0" in text else text


def _read_json(text: str, source: str) -> Items:
    try:
        document = load_json(text)
    except JsonFault as fault:
        lines = text.split("\n")
        if _is_json_lines(lines):
            yield from _read_json_lines(lines, source)
        else:
            yield Problem(source, fault.where, fault.message)
        return
    if not isinstance(document, list):
        yield from _read_item(document, text, source)
    elif document and all(_is_json_ld(item) for item in document):
        yield from _read_rdf(text, source, "application/ld+json")
    else:
        for number, item in enumerate(document, 1):
            yield from _read_item(item, None, source, number=number)


def _is_json_lines(lines: list[str]) -> bool:
    """Tell whether half the (first) lines are objects by themselves, as those of a broken document are not."""
    filled = list(islice((line for line in lines if line and not line.isspace()), 1000))
    whole = sum(line.startswith("{") and line.rstrip().endswith("}") for line in filled)
    return len(filled) > 1 and 2 * whole >= len(filled)


def _read_json_lines(lines: list[str], source: str, *, first: int = 1) -> Items:
    for number, line in enumerate(lines, first):
        if not line or line.isspace():
            continue
        where = f"line {number}"
        try:
            document = load_json(line.rstrip())
        except JsonFault as fault:
            yield Problem(source, fault.where.replace("line 1,", f"{where},") or where, fault.message)
        else:
            yield from _read_item(document, line, source, where=where, number=number)


def _read_item(document: object, text: str | None, source: str, *, where: str = "", number: int = 1) -> Items:
    """Read one JSON value: a whole file (no ``where``), a line of it, or an item of its list (no ``text``)."""
    place = where or ("" if text else f"item {number}")
    if not isinstance(document, dict):
        yield Problem(source, place, "not a JSON object")
    elif "resourceType" in document:
        from chartulary.readers.fhir import read_fhir

        yield from _placed(read_fhir(document, source=source), place)
    elif _is_json_ld(document):
        if text:
            yield from _placed(_read_rdf(text, source, "application/ld+json"), place)
        else:
            yield Problem(source, place, "JSON-LD in one list with something else; put it in a file of its own")
    elif looks_like_claim(document):
        place = where or ("" if text else f"claim {number}")
        yield from read_claim(document, source=source, where=place, number=number)
    else:
        message = "neither FHIR (no resourceType), JSON-LD (no @context) nor claim JSON (no lines, diagnoses, …)"
        yield Problem(source, place, message)


def _is_json_ld(document: object) -> bool:
    return isinstance(document, dict) and not _JSON_LD.isdisjoint(document)


def _placed(items: Iterable[Claim | Problem], place: str) -> Items:
    """Put the place of a line or list item before the place inside it."""
    for item in items:
        yield replace(item, where=", ".join(part for part in (place, item.where) if part))


def _read_rdf(text: str, source: str, media_type: str) -> Items:
    try:
        read_rdf = import_module("chartulary.readers.rdf").read_rdf
    except ImportError:
        yield Problem(source, "", "this installation reads no Turtle or JSON-LD")
        return
    yield from read_rdf(text, source=source, media_type=media_type)
