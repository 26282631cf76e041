"""Claim readers, and the recogniser that picks one by a file's content, never by its name."""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from chartulary.claim import Claim
from chartulary.errors import ChartularyError, Problem
from chartulary.readers.claim_json import JsonFault, load_json, looks_like_claim, read_claim

__all__ = ["read_claims", "read_claims_from"]

Items: TypeAlias = Iterator[Claim | Problem]

# A file of junk must not answer with millions of lines.
_MOST_PROBLEMS_WITHOUT_CLAIM = 1000

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


def read_claims(path: str | os.PathLike[str]) -> Items:
    """Read every claim in a file (``-`` is standard input); what cannot be read comes as a problem."""
    # A name that isn't UTF-8 could not be printed later.
    source = os.fsencode(path).decode("utf-8", "replace")
    try:
        if source == "-":
            data = sys.stdin.buffer.read()
        else:
            with Path(path).open("rb") as file:
                data = file.read()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        yield Problem(source, "", _why_not_opened(error))
        return
    yield from read_claims_from(data, source=source)


def read_claims_from(data: bytes, *, source: str) -> Items:
    """Read every claim in the bytes of a file: at least one claim or problem, and never an exception."""
    claims = problems = 0
    try:
        for item in _read_bytes(data, source):
            if isinstance(item, Claim):
                claims += 1
            else:
                problems += 1
            yield item
            if problems == _MOST_PROBLEMS_WITHOUT_CLAIM and not claims:
                yield Problem(source, "", f"{problems} problems and not one claim: the rest is not read")
                return
    except ChartularyError as error:
        yield Problem(source, "", str(error))
        return
    except Exception as error:
        # One broken file must not cost the others, so a bug of ours ends here, but it is called a bug.
        yield Problem(source, "", f"the reader failed ({type(error).__name__}); this is a bug in Chartulary")
        return
    if not claims and not problems:
        yield Problem(source, "", "no claim in this file")


def _why_not_opened(error: OSError | ValueError) -> str:
    if isinstance(error, IsADirectoryError):
        return "a directory, not a file"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read this file"
    return f"cannot be read: {getattr(error, 'strerror', None) or 'not a file name'}"


def _read_bytes(data: bytes, source: str) -> Items:
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
        yield Problem(source, "", "XML is not read; send X12, FHIR JSON, claim JSON, Turtle or JSON-LD")
    elif _is_json_lines(lines := text.split("\n")):  # the first line alone is broken
        yield from _read_json_lines(lines, source)
    else:
        yield Problem(source, "", "not recognised as X12, FHIR JSON, claim JSON, Turtle or JSON-LD")


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


def _read_json_lines(lines: list[str], source: str) -> Items:
    for number, line in enumerate(lines, 1):
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
