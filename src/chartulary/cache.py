"""Prepared snapshots kept on disk between runs, each under a key that names all it was made from."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

_MOST_KEPT = 100
_CHECK = hashlib.sha256().digest_size


@cache
def code_revision() -> str:
    """Names the code that makes what is kept: another version of it, or of Python, keeps its own."""
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def default_folder() -> Path | None:
    """Where command-line runs keep what they prepared: ``CHARTULARY_CACHE``, or the user's cache folder.

    None, and so no cache, where ``CHARTULARY_CACHE`` is set to nothing.
    """
    told = os.environ.get("CHARTULARY_CACHE")
    if told is not None:
        return Path(told) if told else None
    home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(home) if home else Path.home() / ".cache") / "chartulary"


class Cache:
    """A folder of pickles. Only the user may write there; what is damaged or missing is simply made anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> Any:
        """What was kept under a key, or None."""
        try:
            if hasattr(os, "getuid") and self._folder.stat().st_uid != os.getuid():
                return None
            data = self._path(key).read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data[_CHECK:]).digest() != data[:_CHECK]:
            return None
        try:
            return pickle.loads(data[_CHECK:])
        except Exception:  # a pickle of something that has since changed its shape
            return None

    def put(self, key: str, thing: object) -> None:
        """Keeps a thing, whole or not at all: two runs may race. A folder that cannot be written costs nothing."""
        data = pickle.dumps(thing, protocol=pickle.HIGHEST_PROTOCOL)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, prefix=".making-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(hashlib.sha256(data).digest() + data)
                Path(name).replace(self._path(key))
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            self._forget()
        except OSError:
            return

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}-{code_revision()}.pickle"

    def _forget(self) -> None:
        """Lets go of what was longest not made."""
        kept = sorted(self._folder.glob("*.pickle"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in kept[_MOST_KEPT:]:
            with contextlib.suppress(OSError):
                path.unlink()
