"""Forms with files: read in memory alone, so that no claim touches the disk."""

from __future__ import annotations

import logging
from datetime import date
from urllib.parse import quote

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # its warnings quote what was sent

_FIELDS = 16


class _InMemory(MultiPartParser):
    """Keeps uploads in memory. The limit of a body is the limit of that."""

    spool_max_size = 0  # a spool without a limit is never written out


class Unfit(Exception):  # noqa: N818
    """A form that cannot be used; ``at`` names its field."""

    def __init__(self, at: str, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.at, self.reason, self.status = at, reason, status


async def form(request: Request, *, limit: int, files: int, at: str, wanted: str) -> FormData:
    """The fields of a form: texts, and at most so many files, each of at most ``limit`` bytes.

    Raises:
        Unfit: it is none, or holds more; said at the field ``at``, with what is wanted instead.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Unfit(at, "send the form as multipart/form-data")
    try:
        parser = _InMemory(request.headers, request.stream(), max_files=files, max_fields=_FIELDS, max_part_size=limit)
        return await parser.parse()
    except MultiPartException:  # its text may quote what was sent
        raise Unfit(at, f"the form could not be read; send {wanted}") from None


async def content(file: UploadFile) -> bytes:
    """The bytes of a file."""
    data = await file.read()
    await file.close()
    return data


def name_of(file: UploadFile) -> str:
    """What a file is called, without its folders."""
    return (file.filename or "the file").replace("\\", "/").rsplit("/", 1)[-1]


def day(text: str | None, at: str) -> date | None:
    """The day in the field ``at``; None where it is empty.

    Raises:
        Unfit: it is no day.
    """
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Unfit(at, "this is not a day (yyyy-mm-dd)") from None


def attached(name: str) -> dict[str, str]:
    """Headers of an answer that is a file to keep."""
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}
