"""The register, read once for all tests. It and its snapshots are read-only: a test that needs another builds its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from chartulary import Register

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(scope="session")
def register() -> Register:
    return Register.load()


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The corpus that lies beside a checkout of the project's makers; it is no part of the project."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "corpus"
    if not folder.is_dir():
        pytest.skip(f"no corpus at {folder}")
    return folder
