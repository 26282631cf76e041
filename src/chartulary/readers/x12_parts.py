"""Cuts a large X12 file into parts that can be read by themselves, in bounded memory and on many cores.

encoding = encoding_of(stream)  # None: read the file whole
stream.seek(0)
for part in parts(stream, encoding=encoding):
    yield from read_part(part, source=source)  # or send it to another process
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from chartulary.claim import Claim
from chartulary.errors import Problem
from chartulary.readers.x12 import Reader, State
from chartulary.readers.x12_segments import (
    BLANK,
    ISA,
    ISA_LENGTH,
    SEGMENT_LENGTH,
    Delimiters,
    cut,
    elements,
    find_delimiters,
    new_isa,
)

_CHUNK = 1 << 20
"""Bytes read at a time."""
_ISA_ROOM = 2 * ISA_LENGTH
"""How far behind the beginning of an ISA its delimiters may be looked for."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of an X12 file that `read_part` can read by itself, in any process."""

    text: str
    state: State | None = None
    """What the reader has to know from before; None at the beginning of the file."""
    last: bool = True


def read_part(part: Part, *, source: str) -> Iterator[Claim | Problem]:
    """Read one part; the items of all parts, in their order, are exactly those of `read_x12` on the whole file."""
    reader = Reader(source)
    if part.state:
        reader.resume(part.state)
        yield from reader.read(cut(part.text, part.state.delimiters, part.state.number))
    else:
        yield from reader.read(cut(part.text))
    if part.last:
        reader.finish()
    else:
        reader.end_claim()
    yield from reader.drain()


def encoding_of(stream: BinaryIO) -> str | None:
    """Encoding of a file that begins as X12 does, for `parts`; None if it begins otherwise or is not text.

    Reads the stream to its end, in bounded memory: only there it shows whether a file is UTF-8 or Latin-1.
    """
    chunk = stream.read(_CHUNK)
    latin = chunk[:200].lstrip().startswith(b"ISA")
    encoding = "utf-16" if chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    decoder = codecs.getincrementaldecoder(encoding)()
    start = ""
    while True:
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError:
            if not latin:
                return None
            encoding, text = "latin-1", chunk.decode("latin-1")  # as is common in X12 in the wild
            decoder = codecs.getincrementaldecoder(encoding)()
        if "\0" in text:
            return None
        if not start:
            start = text[:200].lstrip() or text.lstrip()[:200]
            if not start.startswith("ISA") or start[3:4].isalnum():
                return None
        if not chunk:
            return encoding
        chunk = stream.read(_CHUNK)


def parts(stream: BinaryIO, *, encoding: str, size: int = 2_000_000) -> Iterator[Part]:
    """Cut an X12 file into parts of at least ``size`` characters, each before a subscriber's loop (HL of level 22).

    The stream stands at the beginning of the file, whose encoding is as `encoding_of` says. What bears on later parts
    is looked at and nothing else; one part is in memory at a time. A subscriber's claims are never parted.

    The rest of a file, from the last cut on, is one part, however long, from where something stands that is not
    everyday: an ISA with other delimiters, or inside of a segment; an empty segment, or blanks before one; a line
    break that does not end a segment, or not behind every terminator alike; a segment between transaction sets
    that is no envelope; a CLM, HI, SV1 or SV2 that may teach another component separator than ISA16. So is a whole
    file that does not begin with an ISA whose delimiters are three.
    """
    decoder = codecs.getincrementaldecoder(encoding)()

    def texts() -> Iterator[str]:
        while data := stream.read(_CHUNK):
            yield decoder.decode(data)
        yield decoder.decode(b"", final=True)

    yield from _cut_parts(texts(), size)


def _cut_parts(texts: Iterator[str], size: int) -> Iterator[Part]:
    text, more = _grown("", texts, 4 * _ISA_ROOM)
    scan = _Scan.begin(text)
    state: State | None = None
    place = size
    while scan:
        if more:
            text, more = _grown(text, texts, place + 2 * _ISA_ROOM)
        limit = len(text) - _ISA_ROOM if more else len(text)
        loop = scan.loop.search(text, max(place, scan.isa + _ISA_ROOM), limit)
        if loop is None:
            if not more:
                break
            place = max(place, limit - _ISA_ROOM)
            text, more = _grown(text, texts, 2 * len(text))
            continue
        place = loop.start("HL")
        if not scan.read(text, place):
            break
        following = scan.reader.state(scan.number, scan.delimiters)
        if following is None or place < scan.isa + _ISA_ROOM:
            continue
        yield Part(text[:place], state, last=False)
        text, state = text[place:], following
        scan.isa -= place
        scan.done, place = 0, size
    yield Part("".join((text, *texts)), state)


def _grown(text: str, texts: Iterator[str], length: int) -> tuple[str, bool]:
    """Add to the text until it has the length; also tell whether there may be more."""
    pieces = [text]
    missing = length - len(text)
    while missing > 0:
        piece = next(texts, None)
        if piece is None:
            return "".join(pieces), False
        pieces.append(piece)
        missing -= len(piece)
    return "".join(pieces), True


class _Scan:
    """Counts a file's segments and follows its envelopes, for as long as it is an everyday one."""

    def __init__(self, delimiters: Delimiters, ending: str, isa: int) -> None:
        self.delimiters = delimiters
        self.ending = ending
        """The terminator and what stands behind every one of them."""
        self.isa = isa
        """Where the last ISA begins."""
        self.done = delimiters.end
        """Where the first segment begins that has not been counted."""
        self.number = self.envelope = 1
        """Numbers of the last segment that has been counted, and of the last one that is an envelope's."""
        self.reader = Reader("")
        self.reader.read_one(1, ["ISA"], delimiters.component)
        element, component, terminator = map(re.escape, delimiters[:3])
        any_element = f"{element}[^{element}{terminator}]*+"
        ends = rf"[{element}{terminator} \r]"
        # An element that teaches `Reader.separator` nothing.
        begun = rf"(?:[A-Za-z0-9 .-]*+(?=[{element}{terminator}\r])|[^{element}{component}{terminator}]*+{component})"
        plain = f"{element}{begun}"
        short = f"{element}[^{element}{terminator}]{{0,40}}"
        # Down to its terminator: an HL that breaks off ends no claim.
        self.loop = re.compile(
            rf"{re.escape(ending)}(?P<HL>HL{short}{short}{element}22(?:{element}[A-Za-z0-9 ]{{0,20}})?\r?{terminator})"
        )
        self.marks = re.compile(
            rf"{re.escape(ending)}(?=[ \t\r\n\ufeff{terminator}BCGHIS])(?:"
            rf"(?P<envelope>(?:GS|ST|SE|GE|IEA|BHT)(?={ends}))|(?P<isa>ISA[^A-Za-z0-9 \r\n])"
            rf"|ISA(?![A-Za-z0-9])|[ \t\r\n\ufeff{terminator}]"
            rf"|CLM *+(?:{any_element}){{4}}+(?={element})(?!{plain})|SV1 *+(?={element})(?!{plain})"
            rf"|SV2 *+{any_element}(?={element})(?!{plain})"
            rf"|HI(?! *+(?:{plain}[^{element}{terminator}]*+)*+\r?{terminator}))"
        )
        self.isas = new_isa(delimiters.element)

    @classmethod
    def begin(cls, text: str) -> _Scan | None:
        """Begin at the ISA with which the text begins."""
        start = len(text) - len(text.lstrip(BLANK))
        delimiters = find_delimiters(text, start) if start < _ISA_ROOM and ISA.match(text, start) else None
        if delimiters is None or len(set(delimiters[:3])) < 3 or len(delimiters.terminator) > 1:
            return None
        isa, terminator, line_end = text[start : delimiters.end].rpartition(delimiters.terminator)
        if not isa or terminator in isa or line_end not in ("", "\n", "\r", "\r\n"):
            return None
        return cls(delimiters, terminator + line_end, start)

    def read(self, text: str, end: int) -> bool:
        """Go on up to ``end``, where a segment begins; False where something is not everyday."""
        terminator, ending = self.delimiters.terminator, self.ending
        count = text.count(terminator, self.done, end)
        expected = {ending: count} | {mark: count if mark in ending else 0 for mark in "\r\n"}
        if terminator == "\n":  # a line may end in CR LF, as CR is dropped
            expected["\r"] = text.count("\r\n", self.done, end)
        if any(text.count(mark, self.done, end) != times for mark, times in expected.items()):
            return False
        for isa in self.isas.finditer(text, self.done, end):
            if not text.endswith(ending, 0, isa.start()):
                return False
        number, counted = self.number, self.done
        for mark in self.marks.finditer(text, max(self.done - len(ending), 0), end):
            start = mark.start() + len(ending)
            number, counted = number + text.count(terminator, counted, start), start
            if not mark.lastgroup or not self._envelope(text, start, number + 1, isa=mark.lastgroup == "isa"):
                return False
        self.number, self.done = number + text.count(terminator, counted, end), end
        return True

    def _envelope(self, text: str, start: int, number: int, *, isa: bool) -> bool:
        if not self.reader.began and number != self.envelope + 1:
            return False
        self.envelope = number
        element, component, terminator, _ = self.delimiters
        if isa:
            found = find_delimiters(text, start)
            if found is None or found[:3] != self.delimiters[:3]:
                return False
            own = text[start : found.end]
            self.isa = start
            self.reader.read_one(number, ["ISA"], component)
            return own.endswith(self.ending) and own.count(terminator) == 1
        raw = text[start : text.index(terminator, start)]
        name, *_ = read = elements(raw, element)
        if name == "BHT" and not self.reader.began:
            return False
        self.reader.read_one(number, read, component)
        return len(raw) <= SEGMENT_LENGTH
