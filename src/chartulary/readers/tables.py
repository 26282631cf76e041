"""Claims as tables, in and out: CSV and Parquet in the layout of Tuva's ``medical_claim`` (``docs/tables.md``).

A row is a claim line, with the claim's own columns repeated on each. Every column is read as text, and a part of some
thousand claims column by column, because a Python object for each of 165 cells of a row is what would cost the time.
Whatever is wrong in a row costs a field, as in the 837 reader; only a row without ``claim_id`` is nobody's.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import lru_cache
from itertools import islice, repeat
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from chartulary.claim import Claim, Diagnosis, Line, Note, Patient, Payer, Procedure, Request
from chartulary.columns import numbers_of
from chartulary.errors import ChartularyError, Problem

__all__ = ["LAYOUT", "OWN", "Part", "looks_like_table", "not_carried", "read_part", "read_table", "table_parts"]
__all__ += ["write_table"]

Content: TypeAlias = str | os.PathLike[str] | bytes
"""A file's path, or all its bytes (standard input)."""

_POSITIONS = range(1, 26)
_MODIFIERS = tuple(f"hcpcs_modifier_{position}" for position in range(1, 6))


def _numbered(name: str) -> list[str]:
    return [f"{name}_{position}" for position in _POSITIONS]


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


LAYOUT = (
    *_names("claim_id claim_line_number claim_type person_id member_id payer plan claim_start_date claim_end_date"),
    *_names("claim_line_start_date claim_line_end_date admission_date discharge_date admit_source_code"),
    *_names("admit_type_code discharge_disposition_code place_of_service_code bill_type_code drg_code_type drg_code"),
    *_names("revenue_center_code service_unit_quantity hcpcs_code"),
    *_MODIFIERS,
    *_names("rendering_npi rendering_tin billing_npi billing_tin facility_npi paid_date paid_amount allowed_amount"),
    *_names("charge_amount coinsurance_amount copayment_amount deductible_amount total_cost_amount"),
    "diagnosis_code_type",
    *_numbered("diagnosis_code"),
    *_numbered("diagnosis_poa"),
    "procedure_code_type",
    *_numbered("procedure_code"),
    *_numbered("procedure_date"),
    *_names("in_network_flag data_source file_name file_date ingest_datetime"),
)
"""The standard columns, in their order."""
OWN = (
    *_names("payer_id filing_indicator line_of_business setting request date_of_service submitted_date birth_date"),
    *_names("patient_age product donor_type prior_authorization condition_codes notes total_charge_amount"),
    *_names("line_description line_notes"),
)
"""Our own columns, for what rules ask and the layout has no place for; all optional."""

_UNUSED = {
    *_names("person_id admit_source_code admit_type_code discharge_disposition_code rendering_npi rendering_tin"),
    *_names("billing_npi billing_tin facility_npi paid_date paid_amount allowed_amount coinsurance_amount"),
    *_names("copayment_amount deductible_amount total_cost_amount"),
    *_names("in_network_flag data_source file_name file_date ingest_datetime"),
}
_USED = tuple(name for name in (*LAYOUT, *OWN) if name not in _UNUSED)
_TELLING = {*_USED} - {*_names("claim_id claim_line_number member_id payer plan charge_amount payer_id")}
"""One of these beside ``claim_id`` tells a table of medical claims from the layout's other tables (pharmacy claims)."""
_LINE_ONLY = (
    *_names("claim_line_start_date claim_line_end_date revenue_center_code service_unit_quantity hcpcs_code"),
    *_MODIFIERS,
    *_names("charge_amount line_description line_notes"),
)
_ROW = "_row"

_BATCH_ROWS = 65_536
_CLAIMS_AT_ONCE = 2_000
_GROUP_CLAIMS = 10_000
_MOST_ROWS = 10_000
"""Rows of one claim (an 837 has 999 lines at most); what has more is a table with a wrong ``claim_id``."""
_SORT_MEMORY = "256MB"
_HEAD = 65_536
_BLANK = " \t\r\n"

_DAY = re.compile(r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})(?:[T ][0-9]{2}:[0-9]{2}[0-9:.]*(?:Z|[+-][0-9:]{2,6})?)?")
_AMOUNT = re.compile(r"-?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][+-]?[0-9]{1,2})?")
_LINE_NUMBER = re.compile(r"([0-9]{1,9})(?:\.0*)?")
_AGE = re.compile(r"([0-9]{1,3})(?:\.0*)?")
_BILL_TYPE = re.compile(r"0?[0-9A-Z]{3}")
_DRG = re.compile(r"[0-9]{3,4}")
_ICD = re.compile(r"(?:.*/)?icd-?(10|9)(?:-?(?:cm|pcs))?", re.IGNORECASE | re.DOTALL)
_QUALIFIERS = {"ABK": "10", "ABJ": "10", "ABF": "10", "APR": "10", "ABN": "10", "BBR": "10", "BBQ": "10"}
_QUALIFIERS |= {"BK": "9", "BJ": "9", "BF": "9", "PR": "9", "BN": "9", "BR": "9", "BQ": "9"}
_DIAGNOSIS_TYPES, _PROCEDURE_TYPES = {"10": "icd-10-cm", "9": "icd-9-cm"}, {"10": "icd-10-pcs", "9": "icd-9-pcs"}
# As the 837 qualifies the first code and the others.
_DIAGNOSIS_SYSTEMS = {"10": ("ABK", "ABF"), "9": ("BK", "BF")}
_PROCEDURE_SYSTEMS = {"10": ("BBR", "BBQ"), "9": ("BR", "BQ")}
_FORMS = {"institutional": "837I", "professional": "837P", "837i": "837I", "837p": "837P"}
_FORMS |= {"ub-04": "UB-04", "cms-1500": "CMS-1500"}
_FORMLESS = frozenset(("dental", "vision", "pharmacy", "undetermined", "other", "unknown"))
_CLAIM_TYPES = {"837I": "institutional", "UB-04": "institutional", "837P": "professional", "CMS-1500": "professional"}
_REQUESTS: dict[str, Request] = {"claim": "claim", "prior-authorization": "prior-authorization"}


# --- Reading ----------------------------------------------------------------------------------------------------------


class _Flaw(NamedTuple):
    """Something wrong with the table itself."""

    row: int
    """It is told before the first claim that begins in a later row."""
    where: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Some whole claims of a table, cut out but not yet read: cheap to send to another process."""

    rows: bytes
    """Arrow IPC stream."""
    flaws: tuple[_Flaw, ...] = ()


def looks_like_table(head: bytes) -> bool:
    """Whether a file that begins so is a table of claims: Parquet, or CSV with a fitting header row.

    ``head`` must hold the whole header row; the first 64 KB do.
    """
    return head.startswith(b"PAR1") or _csv_header(head) is not None


def read_table(path: Content, *, source: str) -> Iterator[Claim | Problem]:
    """Read every claim of a CSV or Parquet table, with what could not be read along the way.

    Claims come in the order of the file; where rows of one claim are scattered, in the order of ``claim_id``.
    """
    for rows, flaws in _pieces(path, _CLAIMS_AT_ONCE):
        yield from _read(rows, flaws, source)


def table_parts(path: Content, *, claims: int | Callable[[int], int]) -> Iterator[Part]:
    """Cut a table into parts of so many claims each, without reading the claims.

    ``claims`` may be what gives that number for the number of all claims in the table. The items of :func:`read_part`
    over all parts are those of :func:`read_table`, in the same order.
    """
    for rows, flaws in _pieces(path, claims):
        filled = rows.select([name for name in rows.column_names if name in (_ROW, "claim_id") or _any(rows[name])])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, filled.schema) as writer:
            writer.write_table(filled)
        yield Part(sink.getvalue().to_pybytes(), tuple(flaws))


def read_part(part: Part, *, source: str) -> Iterator[Claim | Problem]:
    """Read the claims of a part."""
    yield from _read(pa.ipc.open_stream(part.rows).read_all(), part.flaws, source)


def _read(rows: pa.Table, flaws: Sequence[_Flaw], source: str) -> Iterator[Claim | Problem]:
    told = 0
    for row, item in _Rows(rows, source).items() if rows.num_rows else ():
        while told < len(flaws) and flaws[told].row < row:
            yield Problem(source, *flaws[told][1:])
            told += 1
        yield item
    for flaw in flaws[told:]:
        yield Problem(source, *flaw[1:])


# Files


@dataclass(slots=True)
class _File:
    """An opened table: which of its columns are ours, and what went wrong with it so far."""

    content: Content
    columns: dict[str, str]
    """Name in the layout, name in the file."""
    flaws: list[_Flaw]
    skip: int = 0
    delimiter: str = ""
    """Of CSV; empty for Parquet."""
    names: tuple[str, ...] = ()
    empty: bool = False
    """A header row alone, which the CSV parser would take for a fault."""
    encoding: str = "utf-8"
    lines: int = 0
    """Of CSV, blank ones not counted: at least as many as there are rows."""
    rows: int = 0
    """How many have been read, the ones left out among them."""
    broken: str = ""

    def opened(self) -> Any:
        return pa.BufferReader(self.content) if isinstance(self.content, bytes) else os.fspath(self.content)

    def stream(self) -> BinaryIO:
        return io.BytesIO(self.content) if isinstance(self.content, bytes) else Path(self.content).open("rb")

    def scan(self) -> None:
        """Count the lines of a CSV file, and see whether it is UTF-8."""
        decoder, block = codecs.getincrementaldecoder("utf-8")(), b""
        with self.stream() as stream:
            while read := stream.read(1 << 20):
                block = read
                self.lines += block.count(b"\n") - block.count(b"\n\n") - block.count(b"\n\r\n")
                if self.encoding == "utf-8":
                    try:
                        decoder.decode(block)
                    except UnicodeDecodeError:
                        self.encoding = "latin-1"  # common in the wild
        self.lines += not block.endswith(b"\n")


def _csv_header(head: bytes) -> tuple[int, str, list[str]] | None:
    """Lines to skip, delimiter and lower-case names of a header row that fits."""
    text = head[:_HEAD].decode("utf-8-sig", "replace")
    body = text.lstrip("\r\n")
    line = re.split(r"\r\n|\r|\n", body, maxsplit=1)[0]
    if "claim_id" not in line.lower():
        return None
    before = text[: len(text) - len(body)]
    skip = 1 + len(re.findall(r"\r\n|\r|\n", before))
    for delimiter in ",\t|;":
        try:
            names = [name.strip().lower() for name in next(csv.reader([line], delimiter=delimiter))]
        except (csv.Error, StopIteration):
            continue
        if "claim_id" in names and not _TELLING.isdisjoint(names):
            return skip, delimiter, names
    return None


def _open(content: Content) -> _File:
    file = _File(content, {}, [])
    with file.stream() as stream:
        head = stream.read(_HEAD)
    if head.startswith(b"PAR1"):
        schema = pq.read_schema(file.opened())
        empty = _empty_columns(content)
        names = [name.strip().lower() for name in schema.names]
        for name, column in zip(names, schema, strict=True):
            if column.name in empty or (name in _USED and schema.names.count(column.name) > 1):
                continue  # pyarrow reads no column whose very name stands twice
            if name in _USED and pa.types.is_nested(column.type):
                file.flaws.append(
                    _Flaw(0, "", f"column {name} holds lists or records, not text, and was not read", True)
                )
            elif name in _USED:
                file.columns.setdefault(name, column.name)
    elif header := _csv_header(head):
        file.skip, file.delimiter, names = header
        # Unique names, whatever the header says.
        file.names = tuple(
            name if name in _USED and name not in names[:at] else f"_{at}" for at, name in enumerate(names)
        )
        file.columns = {name: name for name in file.names if name in _USED}
        file.scan()
        file.empty = len(head) < _HEAD and not any(map(bytes.strip, re.split(rb"\r\n|\r|\n", head)[file.skip :]))
    else:
        raise ChartularyError("not a table of claims: no header row with claim_id and another column of the layout")
    for name in sorted({name for name in names if name in _USED and names.count(name) > 1}):
        what = "the first is" if name in file.columns else "neither is"
        file.flaws.append(_Flaw(0, "", f"column {name} stands twice; {what} read", name in file.columns))
    if "claim_id" not in file.columns:
        raise ChartularyError("the table has no column claim_id, or nothing in it")
    if _TELLING.isdisjoint(names):
        raise ChartularyError("the table has no column of the layout that says anything about a claim")
    return file


def _empty_columns(content: Content) -> set[str]:
    """Columns of a large Parquet file that hold nothing, by its own statistics: most of the layout's, as a rule.

    DuckDB tells, because pyarrow aborts the process over damaged statistics.
    """
    if isinstance(content, bytes) or re.search(r"[*?\[{]", os.fspath(content)):  # DuckDB takes these for patterns
        return set()
    if Path(content).stat().st_size < 1 << 20:
        return set()
    import duckdb

    with duckdb.connect() as connection:
        try:
            found = connection.execute(
                "SELECT path_in_schema FROM parquet_metadata(?)"
                " GROUP BY 1 HAVING bool_and(coalesce(stats_null_count = num_values, false))",
                [os.fspath(content)],
            ).fetchall()
        except duckdb.Error:
            return set()
    return {name for (name,) in found}


def _batches(file: _File, names: Sequence[str], bad_rows: list[_Flaw]) -> Iterator[pa.RecordBatch]:
    """Rows with these columns as text, and their numbers; stops where the file is broken, and says so in it."""
    schema = _schema(names)
    number = 0
    try:
        for batch in _raw_batches(file, names, bad_rows):
            rows: Sequence[int] = range(number + 1, number + 1 + batch.num_rows)
            if bad_rows:  # those left out count too
                rows = _renumbered(batch.num_rows, number, [flaw.row for flaw in bad_rows])
            number = rows[-1] if rows else number
            columns = [_text(batch.column(file.columns[name])) for name in names]
            columns[0] = pc.utf8_trim(columns[0].fill_null(""), _BLANK)
            yield pa.record_batch([*columns, pa.array(rows, pa.int64())], schema=schema)
        file.rows = max([number, *(flaw.row for flaw in bad_rows[-1:])])
    except (pa.ArrowException, OSError, UnicodeError):  # their texts quote the data
        where = f" after row {number}" if number else ""
        file.broken = f"the table cannot be read any further{where}: it is damaged, or a quotation mark is not closed"


def _schema(names: Sequence[str]) -> pa.Schema:
    return pa.schema([*((name, pa.string()) for name in names), (_ROW, pa.int64())])


def _raw_batches(file: _File, names: Sequence[str], bad_rows: list[_Flaw]) -> Iterator[pa.RecordBatch]:
    wanted = [file.columns[name] for name in names]
    if not file.delimiter:
        with pq.ParquetFile(file.opened(), pre_buffer=False) as parquet:
            yield from parquet.iter_batches(batch_size=_BATCH_ROWS, columns=wanted, use_threads=False)
        return
    if file.empty:
        return

    def skip_row(row: Any) -> str:
        few = "few" if row.actual_columns < row.expected_columns else "many"
        message = f"too {few} cells ({row.actual_columns}, not {row.expected_columns}); the row was left out"
        number = row.number - file.skip
        bad_rows.append(_Flaw(number, f"row {number}", message))
        return "skip"

    with pa_csv.open_csv(
        file.opened(),
        read_options=pa_csv.ReadOptions(
            use_threads=False, skip_rows=file.skip, column_names=list(file.names), encoding=file.encoding
        ),
        parse_options=pa_csv.ParseOptions(
            delimiter=file.delimiter, newlines_in_values=True, invalid_row_handler=skip_row
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(wanted, pa.string()), include_columns=wanted, strings_can_be_null=False
        ),
    ) as reader:
        yield from reader


def _renumbered(count: int, last: int, left_out: list[int]) -> list[int]:
    """Numbers of the next rows that were not left out."""
    gone = set(left_out[bisect_right(left_out, last) :])
    numbers: list[int] = []
    while len(numbers) < count:
        last += 1
        if last not in gone:
            numbers.append(last)
    return numbers


def _text(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        if not pa.types.is_string(column.type):
            return column.cast(pa.string())
        column.validate(full=True)
        return column
    except pa.ArrowInvalid:  # not UTF-8
        kind = column.type
        if not (pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            raise
        cells = column.cast(pa.binary()).to_pylist()
        return pa.array([None if cell is None else _decoded(cell) for cell in cells], pa.string())


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _any(column: pa.ChunkedArray | pa.Array) -> bool:
    """Whether any cell is filled."""
    return bool(column.null_count < len(column) and pc.max(pc.binary_length(column)).as_py())


def _swallowed(file: _File) -> list[_Flaw]:
    """Rows in which a quotation mark that nobody closed took in the rows after it, which no CSV parser can tell.

    Almost no table has line breaks in its cells, so more lines than rows are the sign to look closer.
    """
    if file.lines <= file.rows + 1:
        return []
    with file.stream() as stream:
        found: list[_Flaw] = []
        taken: list[str] = []

        def noted(text: Iterable[str]) -> Iterator[str]:
            for line in text:
                taken.append(line)
                yield line

        row = -1
        try:
            text = io.TextIOWrapper(stream, file.encoding, newline="")
            for record in csv.reader(noted(text), delimiter=file.delimiter):
                row += bool(record)
                if lost := sum(_is_row(line, file) for line in taken[1:]):
                    message = (
                        f"a quotation mark is not closed where it should be, so {lost} rows after it were not read"
                    )
                    found.append(_Flaw(0, f"row {row}", message))
                taken.clear()
        except csv.Error:  # a cell that is too long
            message = "a quotation mark is not closed where it should be, so rows after it were not read"
            found.append(_Flaw(0, f"row {row + 1}", message))
    return found


def _is_row(line: str, file: _File) -> bool:
    """Whether a line by itself is a whole row: the right number of cells, no quotation mark astray in them."""
    if line.count(file.delimiter) < len(file.names) - 1:
        return False
    cells = next(csv.reader([line], delimiter=file.delimiter), [])
    return len(cells) == len(file.names) and not any('"' in cell for cell in cells)


# Cutting


def _pieces(content: Content, claims: int | Callable[[int], int]) -> Iterator[tuple[pa.Table, list[_Flaw]]]:
    """Whole claims, so many at once, with the flaws among them; the end is marked by a flaw if the file is broken."""
    try:
        file = _open(content)
    except ChartularyError as error:
        yield _schema(["claim_id"]).empty_table(), [_Flaw(0, "", str(error))]
        return
    except (pa.ArrowException, OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        message = f"cannot be read: {reason}" if reason else "this Parquet file is damaged or cut short"
        yield _schema(["claim_id"]).empty_table(), [_Flaw(0, "", message)]
        return
    names = [name for name in _USED if name in file.columns]
    flaws = file.flaws
    bad_rows: list[_Flaw] = []
    told = 0

    def taken(row: int) -> list[_Flaw]:
        """Rows left out up to this one that were not told yet; all at once where rows are sorted anyway."""
        nonlocal told
        first, told = told, len(bad_rows) if scattered else bisect_right(bad_rows, row, key=lambda flaw: flaw.row)
        return [flaw._replace(row=0) for flaw in bad_rows[first:]] if scattered else bad_rows[first:told]

    held = _schema(names).empty_table()
    with ExitStack() as stack:
        scattered, total = _survey(file)
        file.broken = ""
        size = max(claims(total) if callable(claims) else claims, 1)
        batches = _sorted(file, names, bad_rows, stack) if scattered else _batches(file, names, bad_rows)
        for batch in batches:
            held = pa.concat_tables([held, pa.Table.from_batches([batch])])
            if not held.num_rows:
                continue
            starts = _starts(held["claim_id"])
            at = 0
            while at + size < len(starts):
                piece = held.slice(starts[at], starts[at + size] - starts[at])
                yield piece, [*flaws, *taken(piece[_ROW][-1].as_py())]
                flaws = []
                at += size
            # A claim without end would fill the memory.
            held = held.slice(starts[at], starts[-1] + _MOST_ROWS + 1 - starts[at])
    end = 2**62
    swallowed = _swallowed(file) if file.delimiter and not file.broken else []
    broken = [_Flaw(end, "", file.broken)] if file.broken else []
    left = [*flaws, *taken(end), *(flaw._replace(row=end) for flaw in swallowed), *broken]
    if held.num_rows or left:
        yield held, left


def _starts(ids: pa.ChunkedArray | pa.Array) -> list[int]:
    """Where each run of equal identifiers begins."""
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    changed = pc.indices_nonzero(pc.not_equal(ids.slice(1), ids.slice(0, len(ids) - 1)))
    return [0, *pc.add(changed, 1).to_pylist()]


def _survey(file: _File) -> tuple[bool, int]:
    """Whether a claim begins again after another one's rows, and how many claims there are."""
    heads, last = [], ""
    for batch in _batches(file, ["claim_id"], []):
        ids = batch.column(0)
        if len(ids):
            heads.append(ids.take(pa.array(_starts(ids)[ids[0].as_py() == last :], pa.int64())))
            last = ids[-1].as_py()
    begun = pa.chunked_array(heads, pa.string())
    begun = begun.filter(pc.not_equal(begun, ""))
    count = pc.count_distinct(begun).as_py()
    return count < len(begun), count


def _sorted(file: _File, names: Sequence[str], bad_rows: list[_Flaw], stack: ExitStack) -> Iterator[pa.RecordBatch]:
    """Rows in the order of claim and line, sorted by DuckDB in bounded memory; what it spills, it removes.

    What was sent as bytes touched no disk, and is not brought there now.
    """
    import duckdb

    sent = isinstance(file.content, bytes)
    folder = "" if sent else stack.enter_context(tempfile.TemporaryDirectory(prefix="chartulary-"))
    settings: dict[str, Any] = {"memory_limit": _SORT_MEMORY, "temp_directory": folder, "threads": "1"}
    connection = stack.enter_context(duckdb.connect(config=settings))
    connection.execute("SET enable_progress_bar = false; SET preserve_insertion_order = false")
    reader = pa.RecordBatchReader.from_batches(_schema(names), _batches(file, names, bad_rows))
    line = "try_cast(claim_line_number AS DOUBLE)," if "claim_line_number" in names else ""
    try:
        connection.register("scattered_rows", reader)
        ordered: Any = connection.sql(f"SELECT * FROM scattered_rows ORDER BY claim_id, {line} {_ROW}")
        yield from ordered.to_arrow_reader(_BATCH_ROWS)
    except (duckdb.Error, pa.ArrowException, OSError):  # their texts quote the data
        why = "too large for memory: give a file" if sent else "is the disk full?"
        file.broken = f"rows of one claim are scattered, and the table could not be sorted ({why})"


# Values


class _Fault(NamedTuple):
    """Why a cell could not be used."""

    message: str
    costs_claim: bool = False


def _shown(text: str) -> str:
    """A value at fault, fit for a message: only what is clearly a number, date or short code."""
    return f" ({text})" if re.fullmatch("(?=.*[0-9])(?:[0-9.,:/+$eE-]{1,20}|[A-Za-z0-9]{1,4})", text) else ""


@lru_cache(maxsize=16_384)
def _day(text: str) -> date | _Fault:
    if match := _DAY.fullmatch(text):
        try:
            return date(int(match[1]), int(match[3]), int(match[4]))
        except ValueError:
            pass
    return _Fault(f"not a date as yyyy-mm-dd or yyyymmdd{_shown(text)}")


def _birth_day(text: str) -> date | _Fault:
    day = _day(text)
    return _Fault("not a date as yyyy-mm-dd or yyyymmdd") if isinstance(day, _Fault) else day


def _amount(text: str) -> Decimal | _Fault:
    return Decimal(text) if _AMOUNT.fullmatch(text) else _Fault(f"not a plain decimal number{_shown(text)}")


def _line_number(text: str) -> int | _Fault:
    match = _LINE_NUMBER.fullmatch(text)
    return int(match[1]) if match else _Fault(f"not a line number{_shown(text)}")


def _age(text: str) -> int | _Fault:
    match = _AGE.fullmatch(text)
    return int(match[1]) if match and int(match[1]) <= 150 else _Fault("not a whole number of years")


def _form(text: str) -> str | None | _Fault:
    kind = text.lower()
    if kind in _FORMS or kind in _FORMLESS:
        return _FORMS.get(kind)
    return _Fault(f"neither institutional nor professional{_shown(text)}")


def _bill_type(text: str) -> str | _Fault:
    if not _BILL_TYPE.fullmatch(text.upper()):
        return _Fault(f"not a type of bill{_shown(text)}")
    return text.upper().rjust(4, "0")


def _drg(text: str) -> str | _Fault:
    return text if _DRG.fullmatch(text) else _Fault(f"not a DRG of three digits{_shown(text)}")


def _is_ms_drg(text: str) -> bool:
    return text.lower().replace("-", "") in ("msdrg", "drg")


def _request(text: str) -> Request | _Fault:
    request = _REQUESTS.get(text.lower().replace("_", "-"))
    return request or _Fault("neither claim nor prior-authorization; the claim was left out", True)


def _revenue(text: str) -> str:
    return f"0{text}" if len(text) == 3 and text.isdigit() else text


def _conditions(text: str) -> tuple[str, ...]:
    return tuple(code for code in re.split(r"[\s;|,]+", text) if code)


def _notes(text: str) -> tuple[Note, ...]:
    return tuple(Note(text=part.strip(_BLANK)) for part in text.split("|") if part.strip(_BLANK))


def _family(system: str) -> str:
    """``10`` or ``9`` for ICD in any of its spellings, else the code system as it stands."""
    match = _ICD.fullmatch(system)
    return match[1] if match else _QUALIFIERS.get(system, system)


def _system(kind: str | None, systems: dict[str, tuple[str, str]], first: bool) -> str | None:
    return systems.get(_family(kind), (kind, kind))[not first] if kind else None


@lru_cache(maxsize=65_536)
def _diagnosis(kind: str | None, first: bool, code: str, present: str | None) -> Diagnosis:
    if (kind is None or _family(kind) == "10") and len(code) > 3 and "." not in code:
        code = f"{code[:3]}.{code[3:]}"
    return Diagnosis(
        code=code,
        kind="principal" if first else "other",
        present_on_admission=present,
        system=_system(kind, _DIAGNOSIS_SYSTEMS, first),
    )


@lru_cache(maxsize=16_384)
def _procedure(kind: str | None, first: bool, code: str, day: date | None) -> Procedure:
    return Procedure(
        code=code,
        date=day,
        kind="principal" if first else "other",
        system=_system(kind, _PROCEDURE_SYSTEMS, first),
    )


class _Rows:
    """The rows of some whole claims, read column by column."""

    def __init__(self, rows: pa.Table, source: str) -> None:
        self.source = source
        self.numbers: list[int] = rows[_ROW].to_pylist()
        self.count = rows.num_rows
        self.columns = {name: filled for name in _USED if (filled := self._filled(rows, name)) is not None}
        ids = rows["claim_id"].combine_chunks()
        self.ids = ids
        self.starts = _starts(ids)
        self.heads = pa.array(self.starts, pa.int64()) if len(self.starts) < self.count else None
        self.same = pc.equal(ids.slice(1), ids.slice(0, self.count - 1))
        self.faults: dict[int, list[Problem]] = {}
        self.lost: set[int] = set()

    @staticmethod
    def _filled(rows: pa.Table, name: str) -> pa.Array | None:
        """A column's text, empty where absent; None if it is empty throughout."""
        if name not in rows.column_names or not _any(rows[name]):
            return None
        column = pc.utf8_trim(rows[name].combine_chunks().fill_null(""), _BLANK)
        return column if _any(column) else None

    def fault(self, row: int, name: str, fault: _Fault, *, warning: bool = False) -> None:
        claim = bisect_right(self.starts, row) - 1
        problem = Problem(self.source, f"row {self.numbers[row]}, {name}", fault.message, warning)
        self.faults.setdefault(claim, []).append(problem)
        if fault.costs_claim:
            self.lost.add(claim)

    def _uneven(self, column: pa.Array) -> list[int]:
        """Claims whose rows differ in this column."""
        differs = pc.and_(self.same, pc.not_equal(column.slice(1), column.slice(0, self.count - 1)))
        if not pc.any(differs).as_py():
            return []
        return sorted({bisect_right(self.starts, row + 1) - 1 for row in pc.indices_nonzero(differs).to_pylist()})

    def _span(self, claim: int) -> tuple[int, int]:
        return self.starts[claim], self.starts[claim + 1] if claim + 1 < len(self.starts) else self.count

    def _parsed(
        self, column: pa.Array, name: str, parse: Callable[[str], Any] | None, rows: dict[int, int] | Sequence[int]
    ) -> list[Any]:
        """Each distinct text of a column is parsed once; ``rows`` says which row a value stands in."""
        encoded = column.dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        values: list[Any] = [(parse(text) if parse else text) if text else None for text in texts]
        index = numbers_of(encoded.indices)
        if _Fault in set(map(type, values)):
            for position, at in enumerate(index):
                if isinstance(values[at], _Fault):
                    self.fault(rows[position], name, values[at])
            values = [None if isinstance(value, _Fault) else value for value in values]
        return list(map(values.__getitem__, index))

    def line(self, name: str, parse: Callable[[str], Any] | None = None) -> list[Any]:
        """A value for each row."""
        column = self.columns.get(name)
        if column is None:
            return [None] * self.count
        return self._parsed(column, name, parse, range(self.count))

    def claim(self, name: str, parse: Callable[[str], Any] | None = None) -> list[Any]:
        """A value for each claim: that of its first row that has one."""
        column = self.columns.get(name)
        if column is None:
            return [None] * len(self.starts)
        if self.heads is None:
            return self._parsed(column, name, parse, range(self.count))
        rows: Sequence[int] = self.starts
        heads = self.heads
        if uneven := self._uneven(column):
            rows = list(self.starts)
            for claim in uneven:
                first, last = self._span(claim)
                cells = column.slice(first, last - first).to_pylist()
                filled = [(row, cell) for row, cell in enumerate(cells, first) if cell]
                rows[claim] = filled[0][0]
                if other := next((row for row, cell in filled if cell != filled[0][1]), None):
                    message = f"not as in row {self.numbers[filled[0][0]]} of the same claim, which is taken"
                    self.fault(other, name, _Fault(message), warning=True)
            heads = pa.array(rows, pa.int64())
        return self._parsed(column.take(heads), name, parse, rows)

    def period(self, first_name: str, last_name: str, first: list[Any], last: list[Any], rows: Sequence[int]) -> None:
        """Take away days that run backwards."""
        for at, (begin, end) in enumerate(zip(first, last, strict=True)):
            if begin and end and end < begin:
                self.fault(rows[at], last_name, _Fault(f"{end} is before {first_name} {begin}; neither is taken"))
                first[at] = last[at] = None

    def codes(self, what: str, other: str, make: Callable[..., Any], parse: Callable[[str], Any] | None) -> Any:
        """The diagnoses or procedures of each claim."""
        positions = [position for position in _POSITIONS if f"{what}_code_{position}" in self.columns]
        if not positions:
            return repeat((), len(self.starts))
        kinds = self.claim(f"{what}_code_type")
        codes = [self.claim(f"{what}_code_{position}") for position in positions]
        others = [self.claim(f"{what}_{other}_{position}", parse) for position in positions]
        firsts = [position == 1 for position in positions]
        return [
            tuple(
                make(kind, first, code, extra) for first, code, extra in zip(firsts, row, extras, strict=True) if code
            )
            for kind, row, extras in zip(kinds, zip(*codes, strict=True), zip(*others, strict=True), strict=True)
        ]

    def lines(self) -> tuple[list[Line], list[bool] | None, list[str | None]]:
        """A line for each row, which rows are lines (None: all), and a place of service for each claim.

        A place that all rows share is the claim's; otherwise each line has its own.
        """
        is_line = self._is_line()
        places: list[str | None] = self.claim_places()
        first, last = self.line("claim_line_start_date", _day), self.line("claim_line_end_date", _day)
        for row, (begin, end) in enumerate(zip(first, last, strict=True)):
            if end is None:
                last[row] = begin
            elif begin is None:
                self.fault(row, "claim_line_end_date", _Fault("stands without claim_line_start_date"))
                last[row] = None
        self.period("claim_line_start_date", "claim_line_end_date", first, last, range(self.count))
        modifiers: Iterable[tuple[str, ...]] = repeat((), self.count)
        if any(name in self.columns for name in _MODIFIERS):
            known: dict[tuple[str | None, ...], tuple[str, ...]] = {}
            keys = list(zip(*(self.line(name) for name in _MODIFIERS), strict=True))
            for key in set(keys):
                known[key] = tuple(modifier for modifier in key if modifier)
            modifiers = map(known.__getitem__, keys)
        made = [
            Line(
                number=number,
                code=code,
                code_system="HC" if code else None,
                modifiers=shown,
                revenue_code=revenue,
                description=description,
                first_day=begin,
                last_day=end,
                units=units,
                charge=charge,
                notes=notes or (),
            )
            for number, code, shown, revenue, description, begin, end, units, charge, notes in zip(
                self._line_numbers(is_line),
                self.line("hcpcs_code"),
                modifiers,
                self.line("revenue_center_code", _revenue),
                self.line("line_description"),
                first,
                last,
                self.line("service_unit_quantity", _amount),
                self.line("charge_amount", _amount),
                self.line("line_notes", _notes),
                strict=True,
            )
        ]
        column = self.columns.get("place_of_service_code")
        if column is not None:
            for claim in self._uneven(column):
                places[claim] = None
                for row in range(*self._span(claim)):
                    made[row] = replace(made[row], place_of_service=column[row].as_py() or None)
        return made, is_line, places

    def claim_places(self) -> list[str | None]:
        column = self.columns.get("place_of_service_code")
        if column is None:
            return [None] * len(self.starts)
        return [text or None for text in (column if self.heads is None else column.take(self.heads)).to_pylist()]

    def _is_line(self) -> list[bool] | None:
        """Which rows hold a line; a claim without lines is a row without any of a line's columns."""
        filled = None
        for name in ("claim_line_number", *_LINE_ONLY):
            if name in self.columns:
                mask = pc.not_equal(self.columns[name], "")
                filled = mask if filled is None else pc.or_(filled, mask)
                if pc.all(filled).as_py():
                    return None
        return [False] * self.count if filled is None else filled.to_pylist()

    def _line_numbers(self, is_line: list[bool] | None) -> list[int]:
        """Line numbers; one that is missing or no number follows the one before."""
        numbers: list[Any] = self.line("claim_line_number", _line_number)
        if None in numbers:
            for claim in range(len(self.starts)):
                before = 0
                for row in range(*self._span(claim)):
                    if numbers[row] is None:
                        numbers[row] = before + (is_line is None or is_line[row])
                    before = numbers[row]
        return numbers

    def items(self) -> Iterator[tuple[int, Claim | Problem]]:
        """Each claim after its problems, with the row that it begins in."""
        lines, is_line, places = self.lines()
        starts = self.starts
        start, end = self.claim("claim_start_date", _day), self.claim("claim_end_date", _day)
        self.period("claim_start_date", "claim_end_date", start, end, starts)
        admission, discharge = self.claim("admission_date", _day), self.claim("discharge_date", _day)
        self.period("admission_date", "discharge_date", admission, discharge, starts)
        drgs = [
            None if kind and not _is_ms_drg(kind) else drg
            for kind, drg in zip(self.claim("drg_code_type"), self.claim("drg_code", _drg), strict=True)
        ]
        nobody, unnamed = Patient(), Payer()
        columns = zip(
            self.ids.to_pylist() if self.heads is None else self.ids.take(self.heads).to_pylist(),
            starts,
            [*starts[1:], self.count],
            self.claim("claim_type", _form),
            self.claim("request", _request),
            zip(
                (name or plan for name, plan in zip(self.claim("payer"), self.claim("plan"), strict=True)),
                self.claim("payer_id"),
                self.claim("filing_indicator"),
                self.claim("member_id"),
                strict=True,
            ),
            self.claim("line_of_business"),
            self.claim("setting"),
            self.claim("bill_type_code", _bill_type),
            places,
            zip(self.claim("birth_date", _birth_day), self.claim("patient_age", _age), strict=True),
            self.claim("date_of_service", _day),
            start,
            end,
            admission,
            discharge,
            self.claim("submitted_date", _day),
            self.claim("total_charge_amount", _amount),
            drgs,
            self.codes("diagnosis", "poa", _diagnosis, None),
            self.codes("procedure", "date", _procedure, _day),
            self.claim("condition_codes", _conditions),
            self.claim("notes", _notes),
            self.claim("prior_authorization"),
            self.claim("product"),
            self.claim("donor_type"),
            strict=True,
        )
        for (
            identifier, a, b, form, request, payer, business, setting, bill, place, patient, day, begin, through,
            admitted, discharged, submitted, total, drg, diagnoses, procedures, conditions, notes, authorization,
            product, donor,
        ) in columns:  # fmt: skip
            row = self.numbers[a]
            if not identifier:
                rest = " and those right after it" if b - a > 1 else ""
                yield row, Problem(self.source, f"row {row}", f"claim_id is missing{rest}; left out")
                continue
            if b - a > _MOST_ROWS:
                yield row, Problem(self.source, f"row {row}", f"more than {_MOST_ROWS} rows of one claim; left out")
                continue
            if self.faults:
                claim = bisect_right(starts, a) - 1
                for problem in self.faults.get(claim, ()):
                    yield row, problem
                if claim in self.lost:
                    continue
            own = lines[a:b]
            if is_line:
                own = [line for line, counts in zip(own, is_line[a:b], strict=True) if counts]
            if form in ("837P", "CMS-1500") and begin and through:
                days = [day for line in own for day in (line.first_day, line.last_day) if day]
                if days and begin == min(days) and through == max(days):
                    begin = through = None  # the form has no such field: the table repeats what its lines say
            name, payer_id, indicator, member = payer
            yield (
                row,
                Claim(
                    id=identifier,
                    source=self.source,
                    where=f"row {row}",
                    request=request or "claim",
                    form=form,
                    payer=Payer(name=name, id=payer_id, filing_indicator=indicator, member_id=member)
                    if any(payer)
                    else unnamed,
                    line_of_business=business,
                    setting=setting,
                    bill_type=bill,
                    place_of_service=place,
                    frequency=bill[3] if bill else None,
                    patient=nobody if patient == (None, None) else Patient(birth_date=patient[0], age=patient[1]),
                    date_of_service=day,
                    statement_from=begin,
                    statement_through=through,
                    admission=admitted,
                    discharge=discharged,
                    submitted=submitted,
                    total_charge=total,
                    drg=drg,
                    diagnoses=diagnoses,
                    procedures=procedures,
                    condition_codes=conditions or (),
                    notes=notes or (),
                    prior_authorization=authorization,
                    product=product,
                    donor_type=donor,
                    lines=tuple(own),
                ),
            )


# --- Writing ----------------------------------------------------------------------------------------------------------


def write_table(claims: Iterable[Claim], path: str | os.PathLike[str]) -> int:
    """Write claims as CSV or Parquet, by the suffix of ``path``; returns how many.

    All columns are text, the standard ones first, then ours. The file appears under its name only when it is whole.
    A claim whose identifier was already written gets ``#2`` (``#3``, …) after it, since rows are joined by it.
    Raises `ChartularyError` for another suffix, or a place that cannot be written to.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise ChartularyError(f"{target.name}: a table is written to a name that ends in .csv or .parquet")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    schema = pa.schema([(name, pa.string()) for name in (*LAYOUT, *OWN)])
    count = 0
    seen: set[int] = set()
    try:
        stream = unfinished.open("wb")
    except OSError as error:
        raise ChartularyError(f"{target.name}: cannot be written: {error.strerror}") from None
    try:
        with stream, _writer(stream, schema, suffix) as writer:
            remaining = iter(claims)
            while group := list(islice(remaining, _GROUP_CLAIMS)):
                writer.write_table(_written(group, schema, [_unique(claim.id, seen) for claim in group]))
                count += len(group)
        unfinished.replace(target)
    except OSError as error:
        raise ChartularyError(f"{target.name}: cannot be written: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def not_carried(claim: Claim) -> tuple[str, ...]:
    """Names of a claim's fields that rules may ask for and a table leaves out, wholly or in part."""
    names = [name for name in ("attachments", "findings", "documents", "history") if getattr(claim, name)]
    for name, codes, types in (
        ("diagnoses", claim.diagnoses, _DIAGNOSIS_TYPES),
        ("procedures", claim.procedures, _PROCEDURE_TYPES),
    ):
        if sum(item is not None for item in _in_places(codes, types)[1]) < len(codes):
            names.append(name)
    if any("|" in note.text for note in claim.notes):
        names.append("notes")
    for line in claim.lines:
        if line.attachments or len(line.modifiers) > len(_MODIFIERS) or any("|" in note.text for note in line.notes):
            names.append("lines")
            break
    return tuple(names)


def _writer(stream: Any, schema: pa.Schema, suffix: str) -> Any:
    return pa_csv.CSVWriter(stream, schema) if suffix == ".csv" else pq.ParquetWriter(stream, schema)


def _unique(identifier: str, seen: set[int]) -> str:
    name, number = identifier, 1
    while hash(name) in seen:
        number += 1
        name = f"{identifier}#{number}"
    seen.add(hash(name))
    return name


def _in_places(codes: Sequence[Any], types: dict[str, str]) -> tuple[str | None, list[Any]]:
    """The code type of a claim's diagnoses or procedures, and them by position; the first place is the principal's.

    A claim has one code type: that of its principal code, or else of its first. Codes of others have no place.
    """
    if not codes:
        return None, []
    principal = next((item for item in codes if item.kind == "principal"), None)
    family = _family_of(principal or codes[0])
    rest = [item for item in codes if item is not principal and _family_of(item) == family]
    return types.get(family, family), [principal, *rest][: len(_POSITIONS)]


def _family_of(item: Diagnosis | Procedure) -> str:
    return _family(item.system) if item.system else "10"


def _written(group: Sequence[Claim], schema: pa.Schema, ids: list[str]) -> pa.Table:
    """The rows of some claims: their own columns once, then repeated for each line."""
    columns: dict[str, pa.Array] = {}
    repeated = pa.array([at for at, claim in enumerate(group) for _ in claim.lines or (None,)], pa.int64())
    rows = [(claim, line) for claim in group for line in claim.lines or (None,)]

    def put(name: str, values: Iterable[object]) -> None:
        columns[name] = pa.array([_cell(value) for value in values], pa.string()).take(repeated)

    put("claim_id", ids)
    for name, value in _CLAIM_CELLS.items():
        put(name, map(value, group))
    for what, other, items, types in (
        ("diagnosis", "poa", [claim.diagnoses for claim in group], _DIAGNOSIS_TYPES),
        ("procedure", "date", [claim.procedures for claim in group], _PROCEDURE_TYPES),
    ):
        placed = [_in_places(codes, types) for codes in items]
        put(f"{what}_code_type", (kind for kind, _ in placed))
        for position in range(max(len(places) for _, places in placed)):
            at = [places[position] if position < len(places) else None for _, places in placed]
            field = "present_on_admission" if other == "poa" else "date"
            put(f"{what}_code_{position + 1}", (item and _undotted(item, what) for item in at))
            put(f"{what}_{other}_{position + 1}", (item and getattr(item, field) for item in at))
    for name, cell in _LINE_CELLS.items():
        columns[name] = pa.array([_cell(cell(line)) if line else None for _, line in rows], pa.string())
    columns["place_of_service_code"] = pa.array(
        [(line and line.place_of_service) or claim.place_of_service for claim, line in rows], pa.string()
    )
    absent = pa.nulls(len(rows), pa.string())
    return pa.table([columns.get(name, absent) for name in schema.names], schema=schema)


def _cell(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _undotted(item: Diagnosis | Procedure, what: str) -> str:
    """The layout has codes without their dot."""
    code = item.code
    if what == "diagnosis" and _family_of(item) == "10" and code[3:4] == "." and code.count(".") == 1:
        return code.replace(".", "")
    return code


def _span_of(claim: Claim) -> tuple[date | None, date | None]:
    """The statement's days; for a professional claim, which has none, its lines'."""
    if claim.form in ("837P", "CMS-1500") and not claim.statement_from and not claim.statement_through:
        days = [day for line in claim.lines for day in (line.first_day, line.last_day) if day]
        return (min(days), max(days)) if days else (None, None)
    return claim.statement_from, claim.statement_through


def _without_zero(bill_type: str | None) -> str | None:
    return bill_type[1:] if bill_type and len(bill_type) == 4 and bill_type[0] == "0" else bill_type


def _joined(notes: tuple[Note, ...]) -> str:
    return " | ".join(note.text for note in notes)


_CLAIM_CELLS: dict[str, Callable[[Claim], object]] = {
    "claim_type": lambda claim: _CLAIM_TYPES.get(claim.form or ""),
    "member_id": lambda claim: claim.payer.member_id,
    "payer": lambda claim: claim.payer.name,
    "claim_start_date": lambda claim: _span_of(claim)[0],
    "claim_end_date": lambda claim: _span_of(claim)[1],
    "admission_date": lambda claim: claim.admission,
    "discharge_date": lambda claim: claim.discharge,
    "bill_type_code": lambda claim: _without_zero(claim.bill_type),
    "drg_code_type": lambda claim: "ms-drg" if claim.drg else None,
    "drg_code": lambda claim: claim.drg,
    "payer_id": lambda claim: claim.payer.id,
    "filing_indicator": lambda claim: claim.payer.filing_indicator,
    "line_of_business": lambda claim: claim.line_of_business,
    "setting": lambda claim: claim.setting,
    "request": lambda claim: claim.request,
    "date_of_service": lambda claim: claim.date_of_service,
    "submitted_date": lambda claim: claim.submitted,
    "birth_date": lambda claim: claim.patient.birth_date,
    "patient_age": lambda claim: claim.patient.age,
    "product": lambda claim: claim.product,
    "donor_type": lambda claim: claim.donor_type,
    "prior_authorization": lambda claim: claim.prior_authorization,
    "condition_codes": lambda claim: " ".join(claim.condition_codes),
    "notes": lambda claim: _joined(claim.notes),
    "total_charge_amount": lambda claim: claim.total_charge,
    "file_name": lambda claim: claim.source,
}
_LINE_CELLS: dict[str, Callable[[Line], object]] = {
    "claim_line_number": lambda line: line.number,
    "claim_line_start_date": lambda line: line.first_day,
    "claim_line_end_date": lambda line: line.last_day,
    "revenue_center_code": lambda line: line.revenue_code,
    "service_unit_quantity": lambda line: line.units,
    "hcpcs_code": lambda line: line.code if _is_hcpcs(line.code_system) else None,
    "charge_amount": lambda line: line.charge,
    "line_description": lambda line: line.description,
    "line_notes": lambda line: _joined(line.notes),
}


def _is_hcpcs(system: str | None) -> bool:
    return system is None or system == "HC" or bool(re.search("hcpcs|cpt", system, re.IGNORECASE))


def _modifier_cell(position: int) -> Callable[[Line], object]:
    return lambda line: line.modifiers[position] if position < len(line.modifiers) else None


_LINE_CELLS |= {name: _modifier_cell(position) for position, name in enumerate(_MODIFIERS)}
