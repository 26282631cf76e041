"""The project's own claim JSON, as ``claim.schema.json`` publishes it.

The schema says what may stand in a claim and how each fault is worded (the ``title`` of the part that failed);
this module turns what passes into a :class:`~chartulary.claim.Claim`, and a claim back into JSON.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache, partial
from importlib.resources import files
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, cast, get_args, get_origin, get_type_hints

from chartulary.claim import Claim, FindingValue, Line
from chartulary.errors import Problem

if TYPE_CHECKING:  # other readers need neither, and a sound claim not the second
    import jsonschema_rs
    from jsonschema.exceptions import ValidationError

MAX_DEPTH = 100
MAX_PROBLEMS = 10
# Fields and list items; a claim of 999 full lines has some 15 000. Checking a junk file of millions takes minutes.
MAX_VALUES = 50_000

# What JSON is read into; a float, say, comes from elsewhere.
_EXACT = frozenset({dict, list, str, bool, int, Decimal, NoneType})
# Written by the reader, not by the sender.
_NOT_IN_JSON = frozenset({"source", "where"})
# Fields of FHIR resources as well, so they don't tell a claim of ours from FHIR without its resourceType.
_NOT_OURS_ALONE = frozenset({"$schema", "id", "patient"})
# Here even a short value may tell who somebody is; it is never repeated in a message.
_PRIVATE = frozenset({"id", "patient", "payer", "other_payers", "prior_authorization"})
_FULL_WIDTH = {"revenue_code": 4, "bill_type": 4, "drg": 3}
_IN_ORDER = (("first_day", "last_day"), ("statement_from", "statement_through"), ("admission", "discharge"))

# Matches each escape in JSON text; "bad" is half a surrogate pair or a control character, neither of which can be
# printed or stored safely.
_ESCAPE = re.compile(
    r'\\(?:["\\/nrt]|u[dD][89abAB]..\\u[dD][c-fC-F]..|u00(?:09|0[aAdD])|u(?!00[01]|[dD][89a-fA-F])....|(?P<bad>.))',
    re.DOTALL,
)
_JSON_FAULTS = (
    ("Extra data", "something follows the end of the value; put several claims in a list, or one on each line"),
    ("Unterminated string", "text without its closing quote"),
    ("Invalid control character", "a line break or control character inside text"),
    ("Invalid \\", "a backslash that escapes nothing"),
    ("Expecting property name", "a field name in double quotes is missing"),
    ("Illegal trailing comma", "a comma with nothing after it"),
    ("Expecting ':'", "a colon after the field name is missing"),
    ("Expecting ','", "a comma or a closing bracket is missing"),
)


class JsonFault(Exception):
    """Text that is not JSON, or JSON that cannot be taken without loss."""

    def __init__(self, message: str, where: str = "") -> None:
        """Keep the sentence and the place (``line 3, column 9``, or empty)."""
        super().__init__(message)
        self.message = message
        self.where = where


def load_json(text: str) -> object:
    """Parse strict JSON with exact numbers: no binary floats, no doubled fields, no NaN, at most 100 levels."""
    try:
        document: object = json.loads(
            text, parse_float=_decimal, parse_constant=_constant, object_pairs_hook=_object_without_doubles
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        if error.pos >= len(text.rstrip()):
            raise JsonFault("the text ends too early", where) from None
        message = next((plain for start, plain in _JSON_FAULTS if error.msg.startswith(start)), "not JSON from here on")
        raise JsonFault(message, where) from None
    except RecursionError:
        raise JsonFault(f"nested more than {MAX_DEPTH} levels deep") from None
    except ValueError:  # Python's own limit on the digits of an integer
        raise JsonFault("a number with too many digits") from None
    for escape in _ESCAPE.finditer(text):
        if escape["bad"]:
            line, column = text.count("\n", 0, escape.start()) + 1, escape.start() - text.rfind("\n", 0, escape.start())
            raise JsonFault("a control character or half a character in text", f"line {line}, column {column}")
    _check_depth(document)
    return document


def looks_like_claim(document: Mapping[str, object]) -> bool:
    """Tell whether an object has any field that only claim JSON has."""
    return not (_schema()["properties"].keys() - _NOT_OURS_ALONE).isdisjoint(document)


def read_claim(document: object, *, source: str, where: str = "", number: int = 1) -> Iterator[Claim | Problem]:
    """Read one claim object: a claim, or else what is wrong with it (ten problems at most).

    ``where`` is its place in the file (``claim 2``); ``number`` its position, for a claim without an ``id``.
    """
    problems: dict[Problem, None] = {}  # in order, each once
    for problem in _faults(document, source, where):
        if len(problems) == MAX_PROBLEMS - 1 and problem not in problems:
            problem = Problem(source, where, "more is wrong with this claim than is listed here")
        problems[problem] = None
        if len(problems) == MAX_PROBLEMS:
            break
    if problems or not isinstance(document, dict):
        yield from problems
        return
    values = {name: value for name, value in document.items() if name != "$schema"}
    yield _build(Claim, {"id": f"{source} #{number}", **values, "source": source, "where": where})


def claim_to_json(claim: Claim) -> dict[str, object]:
    """Write a claim as claim JSON, without its empty fields; amounts become text, so that they stay exact."""
    result: dict[str, object] = _plain(claim)
    return result


@cache
def _schema_text() -> str:
    return files("chartulary").joinpath("claim.schema.json").read_text("utf-8")


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(_schema_text())
    return schema


@cache
def _quick_validator() -> jsonschema_rs.Draft202012Validator:
    """What it lets pass is sound, at a hundredth of the time; of anything else `_validator` says whether, and why."""
    import jsonschema_rs

    def with_blanks_of_python(part: dict[str, Any]) -> dict[str, Any]:
        if "pattern" in part:  # blanks in Python's regular expressions, but not in ECMAScript's
            part["not"] = {"type": "string", "pattern": "[\x1c-\x1f\x85]"}
        return part

    schema = json.loads(_schema_text(), object_hook=with_blanks_of_python)
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.exceptions import ValidationError
    from jsonschema.validators import extend

    def has_pattern(_validator: object, pattern: str, value: object, _schema: object) -> Iterator[ValidationError]:
        # Python's "$" lets a final line break pass; JSON Schema's doesn't.
        if isinstance(value, str) and (value.endswith("\n") or not re.search(pattern, value)):
            yield ValidationError("pattern")

    checker = FormatChecker(formats=())
    checker.checks("date", raises=ValueError)(_is_day)
    types = Draft202012Validator.TYPE_CHECKER.redefine("number", lambda _, value: _is_number(value)).redefine(
        "integer", lambda _, value: _is_number(value) and value == int(cast(Decimal, value))
    )
    exact: Any = extend(  # type: ignore[no-untyped-call]
        Draft202012Validator, validators={"pattern": has_pattern}, type_checker=types
    )
    return exact(_schema(), format_checker=checker)


def _is_day(value: object) -> bool:
    return not isinstance(value, str) or bool(date.fromisoformat(value))


def _is_number(value: object) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, Decimal) and value.is_finite()
    )


def _faults(document: object, source: str, where: str) -> Iterator[Problem]:
    if _more_values_than(MAX_VALUES, document):
        yield Problem(source, where, f"more than {MAX_VALUES} values in one claim")
        return
    sound = True
    for error in () if _is_sound(document) else _validator().iter_errors(document):
        sound = False
        path = list(error.absolute_path)
        place = ", ".join(part for part in (where, _place(path)) if part)
        for message in _messages(error, path):
            yield Problem(source, place, message)
    if sound:
        yield from _reversed_days(document, source, where, [])


def _is_sound(document: object) -> bool:
    """Tell whether the schema surely lets a document pass."""
    try:
        return all(
            _EXACT.issuperset(map(type, _children(node))) for level in _levels(document) for node in level
        ) and _quick_validator().is_valid(document)
    except ValueError:  # half a character, or a name that is no text
        return False


def _messages(error: ValidationError, path: Sequence[str | int]) -> Iterator[str]:
    """Say in plain words what one schema error means."""
    value: Any = error.instance
    rule, schema = error.validator, error.schema
    if not isinstance(schema, Mapping):  # the schema "false": a field that another one rules out
        yield "give either date_of_service or first_day and last_day, not both"
    elif rule == "additionalProperties":
        known = schema["properties"]
        for name in (name for name in value if name not in known):
            if not _is_tame(name):
                yield "unknown field"
                continue
            near = difflib.get_close_matches(name, known, 1)
            yield f"unknown field '{name}'" + (f"; did you mean '{near[0]}'?" if near else "")
    elif rule == "anyOf":
        yield "nothing to check: no lines, diagnoses, procedures, codes, product or findings"
    elif rule == "required":
        yield from (f"field '{name}' is missing" for name in schema["required"] if name not in value)
    elif rule == "dependentRequired":
        yield "last_day stands without first_day"
    elif rule == "enum":
        yield f"must be one of {', '.join(schema['enum'])}"
    elif value is None:
        yield f"is null; give {schema['title']}, or leave the field out"
    elif isinstance(value, float):
        yield "a binary float is not exact; give a Decimal or text"
    else:
        yield f"must be {schema['title']}{_hint(value, schema, path)}"


def _hint(value: object, schema: Mapping[str, Any], path: Sequence[str | int]) -> str:
    if not path or not _PRIVATE.isdisjoint(path):
        return ""
    width = _FULL_WIDTH.get(str(path[-1]), 0)
    digits = re.fullmatch(r"[0-9]{1,12}", str(value))
    if (
        digits
        and "string" in schema.get("type", ())
        and "format" not in schema
        and (isinstance(value, int) or len(digits[0]) < width)
    ):
        return f'; write "{digits[0]:0>{width}}" as text'
    short = (
        isinstance(value, str)
        and schema.get("type") == "string"
        and re.fullmatch(r"[A-Z]{0,2}[0-9][0-9/.:TZ-]{0,19}", value)
    )
    return f", not '{value}'" if short else ""


def _place(path: Sequence[str | int]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part if _is_tame(part) else '?'}" for part in path)
    return "".join(parts).removeprefix(".")


def _is_tame(name: object) -> bool:
    return isinstance(name, str) and bool(re.fullmatch(r"[A-Za-z_@$][\w@$.:-]{0,39}", name, re.ASCII))


def _reversed_days(node: object, source: str, where: str, path: list[str | int]) -> Iterator[Problem]:
    if isinstance(node, dict):
        for first, last in _IN_ORDER:
            if first in node and last in node and node[last] < node[first]:  # ISO days sort as text
                place = ", ".join(part for part in (where, _place([*path, last])) if part)
                yield Problem(source, place, f"{node[last]} is before {first} {node[first]}")
    if isinstance(node, (dict, list)):
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            if key == "findings":  # its names are the sender's own
                continue
            yield from _reversed_days(child, source, where, [*path, key])


@cache
def _makers(cls: Any) -> dict[str, Callable[[Any], Any]]:
    """What makes each field of a dataclass of the claim model from JSON that passed the schema."""
    return {name: _maker(hint, name) for name, hint in get_type_hints(cls).items()}


def _build(cls: Any, values: object) -> Any:
    """Make a dataclass of the claim model from JSON that passed the schema."""
    makers = _makers(cls)
    if isinstance(values, str):  # a bare name, code or text stands for its object
        values = {("name" if "name" in makers else "text" if "text" in makers else "code"): values}
    assert isinstance(values, dict)
    if cls is Line:
        values = dict(values)
        if "date_of_service" in values:
            values["first_day"] = values["last_day"] = values.pop("date_of_service")
        if "first_day" in values:
            values.setdefault("last_day", values["first_day"])
    return cls(**{name: makers[name](value) for name, value in values.items()})


def _maker(hint: Any, name: str) -> Callable[[Any], Any]:
    if name == "findings":
        return lambda said: tuple((fact, _finding(value)) for fact, value in said.items())
    if get_origin(hint) in (Union, UnionType):
        hint = get_args(hint)[0]  # "X | None"
    if get_origin(hint) is tuple:
        make = _maker(get_args(hint)[0], "")
        if name in ("diagnoses", "procedures"):
            return lambda items: tuple(map(make, _with_principal(items)))
        if name == "lines":
            return lambda lines: tuple(make({"number": place, **line}) for place, line in enumerate(lines, 1))
        return lambda items: tuple(map(make, items))
    if is_dataclass(hint):
        return partial(_build, hint)
    if hint is date:
        return date.fromisoformat
    if hint in (Decimal, int):
        return cast(Callable[[Any], Any], hint)
    return lambda value: value


def _finding(said: Any) -> FindingValue:
    if isinstance(said, list):
        return tuple(dict.fromkeys(said)) or None
    if said is None or isinstance(said, (bool, str)):
        return said
    return f"{Decimal(said):f}"  # a number as text, which stays exact


def _with_principal(items: list[Any]) -> list[Any]:
    """Take a first item that is only a code as the principal one, unless another one is said to be."""
    stated = any(isinstance(item, dict) and item.get("kind") == "principal" for item in items)
    if items and isinstance(items[0], str) and not stated:
        return [{"code": items[0], "kind": "principal"}, *items[1:]]
    return items


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        named = {field.name: getattr(value, field.name) for field in fields(value) if field.name not in _NOT_IN_JSON}
        filled = {
            name: {k: _plain(v) for k, v in item} if name == "findings" else _plain(item)
            for name, item in named.items()
        }
        return {name: item for name, item in filled.items() if item is not None and item not in ("", [], {})}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value


def _decimal(digits: str) -> Decimal:
    try:
        number = Decimal(digits)
    except InvalidOperation:  # an exponent that not even Decimal takes
        number = None
    # Written out, 1e999999999 would fill the memory.
    if number is None or abs(number.adjusted()) > 30 or len(digits) > 50:
        raise JsonFault("a number that is too large, too small or too long")
    return number


def _constant(name: str) -> object:
    raise JsonFault(f"{name} is not a number in JSON")


def _object_without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        double = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise JsonFault(f"field '{double}' stands twice in one object" if _is_tame(double) else "a field stands twice")
    return result


def _levels(document: object) -> Iterator[list[Any]]:
    """Give the lists and objects in a document, level by level."""
    level = [document] if isinstance(document, (dict, list)) else []
    while level:
        yield level
        level = [child for node in level for child in _children(node) if isinstance(child, (dict, list))]


def _children(node: Any) -> Any:
    """The values in a list or object."""
    return node.values() if isinstance(node, dict) else node


def _check_depth(document: object) -> None:
    if any(depth > MAX_DEPTH for depth, _ in enumerate(_levels(document), 1)):
        raise JsonFault(f"nested more than {MAX_DEPTH} levels deep")


def _more_values_than(most: int, document: object) -> bool:
    count = 0
    for level in _levels(document):
        count += sum(map(len, level))
        if count > most:
            return True
    return False
