"""Writes edits into the text that a claim came from: X12 837, FHIR and claim JSON. Every other byte stays as it is."""

from __future__ import annotations

import codecs
import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from chartulary.claim import Claim, Note
from chartulary.readers.x12_segments import BLANK, Segment, places

Field: TypeAlias = Literal["modifier", "procedureCode", "revenueCode", "conditionCode", "note"]
"""What can be edited; by the names of the ontology."""

_MODIFIERS, _HI_ITEMS, _CONDITION_CODES, _NOTE_LENGTH = 4, 12, 24, 80  # the most that an 837 has room for
_LINE_NOT_KNOWN = "its line cannot be told from another in the file"


class NotDone(Exception):  # noqa: N818
    """An edit that cannot be made without harm; its text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A code or note added, or put in place of another."""

    field: Field
    code: str
    """The code, or the words of a note."""
    replaces: str | None = None
    position: int | None = None
    """The line's place on the claim, from 1; None for the claim itself."""


def in_claim(claim: Claim, edit: Edit) -> Claim:
    """The claim with the edit.

    Raises:
        NotDone: there is no room, or no such thing to replace.
    """
    if edit.field == "conditionCode":
        if len(claim.condition_codes) >= _CONDITION_CODES:
            raise NotDone("the claim has no room for another condition code")
        return replace(claim, condition_codes=(*claim.condition_codes, edit.code))
    if edit.field == "note":
        for note in claim.notes:
            if note.location == "NTE02" and (claim.form == "837P" or note.qualifier == "ADD"):
                raise NotDone("an 837 has room for one such note (NTE), and the claim has it")
        return replace(claim, notes=(*claim.notes, Note(text=edit.code)))
    if edit.position is None:
        raise NotDone("the data does not say which line")
    line = claim.lines[edit.position - 1]
    if edit.field == "modifier":
        if len(line.modifiers) >= _MODIFIERS:
            raise NotDone(f"the line has no room for another modifier ({_MODIFIERS} are the most)")
        line = replace(line, modifiers=(*line.modifiers, edit.code))
    elif edit.field == "revenueCode":
        if claim.form in ("837P", "CMS-1500"):
            raise NotDone("a professional claim has no revenue codes")
        line = replace(line, revenue_code=edit.code)
    else:
        line = replace(line, code=edit.code)
    lines = (*claim.lines[: edit.position - 1], line, *claim.lines[edit.position :])
    return replace(claim, lines=lines)


class Editor(Protocol):
    """A file's text, into which edits can be written."""

    def edit(self, claim: Claim, edits: Sequence[Edit]) -> list[str]:
        """Make all of the edits to a claim as it was read from the file, or none.

        Gives for each what else of the file had to go with it, in words; empty where nothing had to.

        Raises:
            NotDone: one of them cannot be made.
        """

    def drop(self, claim: Claim) -> None:
        """Take a claim's edits back."""

    def written(self) -> bytes:
        """The file with the edits."""


def editor(data: bytes) -> Editor:
    """What edits a file.

    Raises:
        NotDone: files of this kind are not written.
    """
    text, mark, encoding = decoded(data)
    start = text.lstrip()[:200]
    if start.startswith("ISA"):
        return X12(text, mark, encoding)
    if start[:1] in ("{", "["):
        return Json(text, mark, encoding)
    raise NotDone("only X12 837, FHIR JSON and claim JSON are written back; this is a table, Turtle or something else")


def decoded(data: bytes) -> tuple[str, bytes, str]:
    """A file's text, the mark of its byte order, and its encoding: together they give the same bytes again."""
    mark, encoding = b"", "utf-8"
    marks = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
    for mark, encoding in marks.items():  # noqa: B007
        if data.startswith(mark):
            break
    else:
        mark, encoding = b"", "utf-8"
    try:
        return data[len(mark) :].decode(encoding), mark, encoding
    except UnicodeDecodeError:
        return data.decode("latin-1"), b"", "latin-1"  # as X12 is read


# --- X12 --------------------------------------------------------------------------------------------------------------

_AFTER_CLAIM = frozenset(["CLM", "HL", "ISA", "GS", "ST", "SE", "GE", "IEA"])
_AFTER_CODES = frozenset(["HCP", "NM1", "SBR", "LX", "SV1", "SV2", "SV3"])
"""What stands behind the HI segments of a claim."""
_AFTER_NOTES = _AFTER_CODES | frozenset(["CR1", "CR2", "CR3", "CR4", "CR5", "CR6", "CRC", "HI"])
_SEPARATOR = re.compile(r"[A-Za-z0-9]{1,3}([^A-Za-z0-9 .-])")


@dataclass(slots=True)
class _Pieces:
    """Segments of one claim that are new or otherwise."""

    changed: dict[int, str]
    before: dict[int, list[str]]
    """New ones, by the segment before which they stand."""


class X12:
    """An X12 file."""

    def __init__(self, text: str, mark: bytes, encoding: str) -> None:
        self._text, self._mark, self._encoding = text, mark, encoding
        self._segments = places(text)
        self._index = {segment.number: index for index, segment in enumerate(self._segments)}
        self._pieces: dict[str, _Pieces] = {}

    def edit(self, claim: Claim, edits: Sequence[Edit]) -> list[str]:
        number = claim.where.removeprefix("segment ")
        begin = self._index.get(int(number)) if number.isdigit() else None
        if begin is None or self._name(begin) != "CLM":
            raise NotDone("the claim's first segment was not found again")
        end = self._next(begin + 1, len(self._segments), _AFTER_CLAIM)
        pieces = _Pieces({}, {})
        for edit in edits:
            if edit.position is not None:
                self._edit_line(self._service(begin, end, edit.position), edit, pieces)
            elif edit.field == "conditionCode":
                self._add_condition(begin, end, edit.code, pieces)
            elif edit.field == "note":
                self._add_note(begin, end, edit.code, pieces)
            else:
                raise NotDone("the data does not say which line")
        self._pieces[claim.where] = pieces
        return [""] * len(edits)

    def drop(self, claim: Claim) -> None:
        self._pieces.pop(claim.where, None)

    def written(self) -> bytes:
        changed: dict[int, str] = {}
        before: dict[int, list[str]] = {}
        for pieces in self._pieces.values():
            changed |= pieces.changed
            before |= pieces.before
        changed |= self._counts(before)
        out: list[str] = []
        done = 0
        for index in sorted({*changed, *before}):
            segment = self._segments[index]
            out.append(self._text[done : segment.start])
            out += [self._ended(index, text) for text in before.get(index, ())]
            out.append(changed.get(index, self._raw(index)))
            done = segment.stop
        out.append(self._text[done:])
        return self._mark + "".join(out).encode(self._encoding)

    def _name(self, index: int) -> str:
        return self._segments[index].elements[0] if self._segments[index].elements else ""

    def _next(self, begin: int, end: int, names: frozenset[str]) -> int:
        return next((index for index in range(begin, end) if self._name(index) in names), end)

    def _raw(self, index: int) -> str:
        return self._text[self._segments[index].start : self._segments[index].stop]

    def _ended(self, index: int, text: str) -> str:
        """A new segment with its terminator, and line breaks as its neighbour before it has them."""
        delimiters, last = self._segments[index].delimiters, self._segments[index - 1]
        assert delimiters
        raw = self._raw(index - 1)
        gap = self._text[last.stop + 1 : self._segments[index].start].replace(delimiters.terminator, "")
        return text + raw[len(raw.rstrip(BLANK)) :] + delimiters.terminator + gap

    def _counts(self, before: Mapping[int, Sequence[str]]) -> dict[int, str]:
        """SE segments of the transaction sets that have become longer."""
        added: dict[int, int] = defaultdict(int)
        for index, texts in before.items():
            end = self._next(index, len(self._segments), frozenset({"ST", "SE"}))
            if end < len(self._segments) and self._name(end) == "SE":  # else cut short: there is no count to keep right
                added[end] += len(texts)
        counts: dict[int, str] = {}
        for index, more in added.items():
            first = next((i for i in range(index, -1, -1) if self._name(i) == "ST"), None)
            if first is not None:
                count = self._segments[index].number - self._segments[first].number + 1 + more
                counts[index] = self._with(index, self._raw(index), 1, lambda old, n=count: str(n).zfill(len(old)))
        return counts

    def _service(self, begin: int, end: int, position: int) -> int:
        found = [index for index in range(begin, end) if self._name(index) in ("SV1", "SV2")]
        if position > len(found):
            raise NotDone(_LINE_NOT_KNOWN)
        return found[position - 1]

    def _edit_line(self, index: int, edit: Edit, pieces: _Pieces) -> None:
        raw = pieces.changed.get(index, self._raw(index))
        institutional = self._name(index) == "SV2"
        segment = self._segments[index]

        def composite(old: str) -> str:
            separator = _separator(old, segment)
            parts = old.split(separator)
            if edit.field == "procedureCode":
                if len(parts) < 2 or parts[1].strip(" ").upper() != edit.replaces:
                    raise NotDone(f"the line does not show {edit.replaces} where it should")
                parts[1] = edit.code
                return separator.join(parts)
            filled = [place for place in range(2, min(6, len(parts))) if parts[place].strip(" ")]
            free = filled[-1] + 1 if filled else 2
            if len(parts) < 2 or free > 5:
                raise NotDone("the line has no room for another modifier")
            parts += [""] * (free + 1 - len(parts))
            parts[free] = edit.code
            return separator.join(parts)

        if edit.field == "revenueCode":
            if not institutional:
                raise NotDone("a professional claim has no revenue codes")
            pieces.changed[index] = self._with(index, raw, 1, lambda _: edit.code)
        else:
            pieces.changed[index] = self._with(index, raw, 2 if institutional else 1, composite)

    def _with(self, index: int, raw: str, place: int, change: Callable[..., str]) -> str:
        """A segment with one element changed; blanks around it stay."""
        delimiters = self._segments[index].delimiters
        assert delimiters
        elements = raw.split(delimiters.element)
        if place >= len(elements):
            raise NotDone("the segment is too short to be changed")
        core = elements[place].strip(BLANK)
        if "\n" in core or "\r" in core:
            raise NotDone("a line break stands inside of what would be changed")
        lead, _, tail = elements[place].partition(core) if core else ("", "", elements[place])
        elements[place] = lead + change(core) + tail
        return delimiters.element.join(elements)

    def _add_condition(self, begin: int, end: int, code: str, pieces: _Pieces) -> None:
        clm = self._segments[begin]
        assert clm.delimiters
        separator = _separator(clm.elements[5] if len(clm.elements) > 5 else "", clm)
        item = f"BG{separator}{code}"
        last = self._next(begin, end, frozenset({"SBR", "LX", "SV1", "SV2", "SV3"}))
        codes = [index for index in range(begin, last) if self._name(index) == "HI"]
        told = [index for index in codes if (*self._segments[index].elements, "")[1].startswith(f"BG{separator}")]
        for index in told[-1:]:
            raw = pieces.changed.get(index, self._raw(index))
            if len(raw.split(clm.delimiters.element)) <= _HI_ITEMS:
                body = raw.rstrip(BLANK)
                pieces.changed[index] = body + clm.delimiters.element + item + raw[len(body) :]
                return
        at = codes[-1] + 1 if codes else self._next(begin + 1, end, _AFTER_CODES)
        new = self._new(pieces, at)
        element = clm.delimiters.element
        own = f"HI{element}BG{separator}"
        if new and new[-1].startswith(own) and len(new[-1].split(element)) <= _HI_ITEMS:
            new[-1] += element + item
        else:
            new.append(f"HI{element}{item}")

    def _new(self, pieces: _Pieces, at: int) -> list[str]:
        """What stands new before a segment."""
        if at >= len(self._segments):
            raise NotDone("the file breaks off in this claim")
        return pieces.before.setdefault(at, [])

    def _add_note(self, begin: int, end: int, text: str, pieces: _Pieces) -> None:
        delimiters = self._segments[begin].delimiters
        assert delimiters
        if len(text) > _NOTE_LENGTH or any(mark in text for mark in (delimiters.element, delimiters.terminator)):
            raise NotDone("the words of the note do not fit into the file")
        at = self._next(begin + 1, end, _AFTER_NOTES)
        notes = self._new(pieces, at)
        if any(note.startswith("NTE") for note in notes):
            raise NotDone("an 837 has room for one such note (NTE)")
        notes.insert(0, delimiters.element.join(("NTE", "ADD", text)))


def _separator(composite: str, segment: Segment) -> str:
    """The component separator that a composite shows, whatever ISA16 says."""
    if segment.component not in composite and (match := _SEPARATOR.match(composite)):
        return match[1]
    return segment.component


# --- JSON -------------------------------------------------------------------------------------------------------------


class _Value(NamedTuple):
    """A JSON value with its place in the text."""

    start: int
    stop: int
    members: dict[str, _Value] | None = None
    items: list[_Value] | None = None
    names: dict[str, int] | None = None
    """Where each member's name begins."""


_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_SCALAR = re.compile(r"[^\s,\]}]+")
_NDC = re.compile(r"/ndc$|\.113883\.6\.69$", re.IGNORECASE)
_NUBC = re.compile(r"nubc\.org.*revenue", re.IGNORECASE)
_REVENUE_SYSTEM = "https://www.nubc.org/CodeSystem/RevenueCodes"
_CONDITION_SYSTEM = "https://www.nubc.org/CodeSystem/ConditionCodes"
_INFORMATION = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/claiminformationcategory", "code": "info"}]
}


def _scan(text: str, at: int) -> _Value:
    """The value that begins here; the text was read before and is sound JSON."""
    if text[at] == '"':
        return _Value(at, _DECODER.raw_decode(text, at)[1])
    if text[at] not in "{[":
        found = _SCALAR.match(text, at)
        assert found
        return _Value(at, found.end())
    closing = "}" if text[at] == "{" else "]"
    members: dict[str, _Value] = {}
    names: dict[str, int] = {}
    items: list[_Value] = []
    place = _skip(text, at + 1)
    while text[place] != closing:
        if closing == "}":
            name, after = _DECODER.raw_decode(text, place)
            names[name] = place
            value = members[name] = _scan(text, _skip(text, _skip(text, after) + 1))
        else:
            value = _scan(text, place)
            items.append(value)
        place = _skip(text, value.stop)
        if text[place] == ",":
            place = _skip(text, place + 1)
    if closing == "}":
        return _Value(at, place + 1, members=members, names=names)
    return _Value(at, place + 1, items=items)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


class Json:
    """A file of FHIR Claims, Bundles or claim JSON: one value, a list of some, or one a line."""

    def __init__(self, text: str, mark: bytes, encoding: str) -> None:
        self._text, self._mark, self._encoding = text, mark, encoding
        self._claims: dict[str, list[tuple[int, int]]] = defaultdict(list)
        """Where each claim stands, by the place that the reader gives it."""
        self._edited: dict[tuple[int, int], str] = {}
        try:
            json.loads(text)
        except ValueError:
            start = 0
            for number, line in enumerate(text.split("\n"), 1):
                self._find_line(line, start, number)
                start += len(line) + 1
            return
        whole = _scan(text, _skip(text, 0))
        if whole.items is None:
            self._find(whole, "", "")
            return
        for number, item in enumerate(whole.items, 1):
            kind = "item" if item.members and "resourceType" in item.members else "claim"
            self._find(item, f"{kind} {number}", "")

    def edit(self, claim: Claim, edits: Sequence[Edit]) -> list[str]:
        found = self._claims.get(claim.where, [])
        if len(found) != 1:
            raise NotDone("the claim cannot be told from another in the file")
        text = self._edited.get(found[0], self._text[slice(*found[0])])
        gone = []
        for edit in edits:
            text, went = _edit_json(text, edit, claim)
            gone.append(went)
        self._edited[found[0]] = text
        return gone

    def drop(self, claim: Claim) -> None:
        for place in self._claims.get(claim.where, ()):
            self._edited.pop(place, None)

    def written(self) -> bytes:
        out: list[str] = []
        done = 0
        for (start, stop), text in sorted(self._edited.items()):
            out += (self._text[done:start], text)
            done = stop
        return self._mark + "".join((*out, self._text[done:])).encode(self._encoding)

    def _find_line(self, line: str, start: int, number: int) -> None:
        try:
            json.loads(line)
        except ValueError:
            return  # the reader could not read it either
        value = _scan(self._text, start + _skip(line, 0))
        self._find(value, f"line {number}", "")

    def _find(self, value: _Value, before: str, place: str) -> None:
        """Notes where claims stand, under the names that the readers give them."""
        members = value.members or {}
        if "resourceType" not in members:
            self._claims[before].append((value.start, value.stop))
            return
        kind, name = (self._string(members.get(key)) for key in ("resourceType", "id"))
        if kind == "Claim":
            own = f"Claim/{name}" if name else place or "Claim"
            self._claims[", ".join(filter(None, (before, own)))].append((value.start, value.stop))
        elif kind == "Bundle":
            own = f"Bundle/{name}" if name else place or "Bundle"
            entries = members["entry"].items if "entry" in members else None
            for number, entry in enumerate(entries or ()):
                if entry.members and "resource" in entry.members:
                    dot = "." if " " in own else " "
                    self._find(entry.members["resource"], before, f"{own}{dot}entry[{number}].resource")

    def _string(self, value: _Value | None) -> str | None:
        read = json.loads(self._text[value.start : value.stop]) if value else None
        return read if isinstance(read, str) else None


def _edit_json(text: str, edit: Edit, claim: Claim) -> tuple[str, str]:
    """The text with an edit, and what had to go with it, in words."""
    whole = _scan(text, 0)
    fhir = "resourceType" in (whole.members or {})
    if edit.position is None:
        if fhir:
            return _append(text, whole, "supportingInfo", _supporting(text, edit)), ""
        return _append(text, whole, "condition_codes" if edit.field == "conditionCode" else "notes", edit.code), ""
    line = _fhir_item(text, whole, claim.lines[edit.position - 1].number) if fhir else _line(whole, edit.position)
    if not fhir:
        if edit.field == "modifier":
            return _append(text, line, "modifiers", edit.code), ""
        return _put(text, line, "code" if edit.field == "procedureCode" else "revenue_code", edit.code), ""
    if edit.field == "modifier":
        return _append(text, line, "modifier", {"coding": [{"code": edit.code}]}), ""
    concept = (line.members or {}).get("productOrService" if edit.field == "procedureCode" else "revenue")
    if concept is None and edit.field == "revenueCode":
        return _put(text, line, "revenue", {"coding": [{"system": _REVENUE_SYSTEM, "code": edit.code}]}), ""
    codings = ((concept.members or {}).get("coding") if concept else None) or _Value(0, 0, items=[])
    fitting = [one for one in codings.items or () if _is_old(text, one, edit)]
    if len(fitting) != 1:
        raise NotDone(f"the line does not show {edit.replaces} once and only once")
    text = _put(text, fitting[0], "code", edit.code)
    # The old code's words would belie the new code.
    without = _without(text, _scan_again(text, fitting[0]), "display")
    return without, "" if without == text else f"the words (display) of {edit.replaces} taken out"


def _scan_again(text: str, value: _Value) -> _Value:
    return _scan(text, value.start)


def _is_old(text: str, coding: _Value, edit: Edit) -> bool:
    read = json.loads(text[coding.start : coding.stop])
    system, code = str(read.get("system") or ""), str(read.get("code") or "").strip()
    if edit.field == "revenueCode":
        return edit.replaces in (code, code.zfill(4))
    return not _NDC.search(system) and code == edit.replaces


def _line(whole: _Value, position: int) -> _Value:
    lines = (whole.members or {}).get("lines")
    if lines is None or not lines.items or position > len(lines.items):
        raise NotDone(_LINE_NOT_KNOWN)
    return lines.items[position - 1]


def _fhir_item(text: str, whole: _Value, number: int) -> _Value:
    items = (whole.members or {}).get("item")
    found = [
        one
        for one in (items.items if items else None) or ()
        if one.members
        and "sequence" in one.members
        and text[one.members["sequence"].start : one.members["sequence"].stop] == str(number)
    ]
    if len(found) != 1:
        raise NotDone(_LINE_NOT_KNOWN)
    return found[0]


def _supporting(text: str, edit: Edit) -> dict[str, Any]:
    told = json.loads(text).get("supportingInfo") or []
    taken = [one.get("sequence") for one in told if isinstance(one, dict)]
    new: dict[str, Any] = {
        "sequence": max([0, *(number for number in taken if isinstance(number, int))]) + 1,
        "category": _INFORMATION,
    }
    if edit.field == "conditionCode":
        return new | {"code": {"coding": [{"system": _CONDITION_SYSTEM, "code": edit.code}]}}
    return new | {"valueString": edit.code}


def _append(text: str, holder: _Value, name: str, value: object) -> str:
    """The text with a value more at the end of a list, which is made where it is missing."""
    members = holder.members or {}
    if name not in members:
        return _put(text, holder, name, [value])
    listed = members[name]
    if listed.items is None:
        raise NotDone(f"{name} is no list")
    if not listed.items:
        return f"{text[: listed.start]}[{_dumped(value, '')}]{text[listed.stop :]}"
    gap, last = _gap(text, listed.start, [item.start for item in listed.items]), listed.items[-1].stop
    return f"{text[:last]},{gap}{_dumped(value, gap)}{text[last:]}"


def _put(text: str, holder: _Value, name: str, value: object) -> str:
    """The text with a member set to a value."""
    members, names = holder.members or {}, holder.names or {}
    if name in members:
        return text[: members[name].start] + _dumped(value, "") + text[members[name].stop :]
    if not members:
        return f"{text[: holder.start]}{{{json.dumps(name)}: {_dumped(value, '')}}}{text[holder.stop :]}"
    gap, last = _gap(text, holder.start, list(names.values())), max(member.stop for member in members.values())
    return f"{text[:last]},{gap}{json.dumps(name)}: {_dumped(value, gap)}{text[last:]}"


def _without(text: str, holder: _Value, name: str) -> str:
    """The text without a member, which is not the only one."""
    names, members = holder.names or {}, holder.members or {}
    if name not in members:
        return text
    start, stop = names[name], members[name].stop
    comma = _skip(text, stop)
    if text[comma] == ",":
        return text[:start] + text[_skip(text, comma + 1) :]
    head = text[:start].rstrip(" \t\r\n")
    return head.removesuffix(",") + text[stop:]


def _gap(text: str, opening: int, starts: Sequence[int]) -> str:
    """The blanks that stand before the values of a list or object, by its last one."""
    at = starts[-1]
    head = text[:at].rstrip(" \t\r\n")
    return text[max(len(head), opening + 1) : at]


def _dumped(value: object, gap: str) -> str:
    """JSON over several lines where its neighbours are."""
    if "\n" not in gap or not isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    indent = gap.rpartition("\n")[2]
    unit: int | str = "\t" if "\t" in indent else 2
    return json.dumps(value, ensure_ascii=False, indent=unit).replace("\n", f"\n{indent}")
