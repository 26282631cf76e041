"""The register, read once for all tests, and the places that tests read from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from rdflib.plugins.sparql.algebra import translateQuery
from rdflib.plugins.sparql.evaluate import evalQuery
from rdflib.plugins.sparql.parser import parseQuery
from rdflib.plugins.sparql.processor import SPARQLProcessor

from chartulary import Register

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests run where CI is set: each takes many seconds, and others see most faults first."""
    if not os.environ.get("CI"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: runs where CI is set"))


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


@pytest.fixture(scope="session", autouse=True)
def parse_each_query_once() -> Iterator[None]:
    """pySHACL has rdflib parse each rule anew for each item, two thirds of its time: here a text is parsed once."""
    parsed: dict[object, Any] = {}

    def query(
        self: SPARQLProcessor, text: Any, bindings: Any = None, prefixes: Any = None, base: Any = None, _: bool = False
    ) -> Any:
        if isinstance(text, str):
            key = text, base, frozenset((prefixes or {}).items())
            if key not in parsed:
                parsed[key] = translateQuery(parseQuery(text), base, prefixes)
            text = parsed[key]
        return evalQuery(self.graph, text, bindings, base)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SPARQLProcessor, "query", query)
        yield
