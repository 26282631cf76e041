"""Skeletons: a policy's files, which lint and test green as they are, with an example to be replaced."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from string import Template

from chartulary.claim import Claim
from chartulary.errors import ChartularyError
from chartulary.facts import Facts
from chartulary.register import Register, data_folder
from chartulary.terms import COD, LABEL, POL, ROOT, SKOS, TYPE

_TEMPLATES = Path(__file__).with_name("templates")
_PAYER = f"{ROOT}payer/"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skeleton:
    """Files to write, none of which is there yet."""

    folder: Path
    """The folder of policies."""
    files: Mapping[str, str]
    """Text by path from the folder, in the order in which one edits them."""
    notes: tuple[str, ...]
    """What the author should know, a sentence each."""

    def write(self) -> None:
        """Writes every file, or none.

        Raises:
            ChartularyError: one is there already.
        """
        self._refuse()
        for name, text in self.files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)

    def _refuse(self) -> None:
        for name in self.files:
            if (self.folder / name).exists():
                raise ChartularyError(f"{self.folder / name}: is there already; nothing was written")


def policy(
    name: str,
    *,
    publisher: str,
    published: date,
    folder: Path,
    title: str | None = None,
    effective: date | None = None,
    cache: Path | None = None,
) -> Skeleton:
    """The skeleton of the policy ``name`` (``PAYER/NAME``), for a folder of policies that need not be there yet.

    ``effective`` is the first day of service where the document gives one. A payer that the register or the folder has
    is used; else one is made.

    Raises:
        ChartularyError: the name cannot be one, the payer goes by another, or the policy is there already.
    """
    payer, _, own = name.partition("/")
    if not (_NAME.fullmatch(payer) and _NAME.fullmatch(own)):
        raise ChartularyError(f"'{name}' is no name for a policy: write PAYER/NAME, of letters, digits, '-' and '.'")
    publisher, title = (_one_line(text) for text in (publisher, title or f"{publisher}: {own}"))
    if (folder / name).exists():
        raise ChartularyError(f"{folder / name}: is there already; nothing was written")
    shipped = folder.resolve() == data_folder("policies").resolve()
    register = Register.load(policies=folder if folder.is_dir() and not shipped else None, cache=cache)
    facts = register.snapshot().facts
    known = _payers(facts)
    if payer not in known:
        notes = _new_payer(payer, publisher, known)
    else:
        notes = [f"Suites with other claims of {known[payer][0]} may find the example too, until it is replaced"]
    label = known[payer][0] if payer in known else publisher
    scope = _scope_of(facts, _PAYER + payer)
    values = {
        "payer": payer,
        "payer_label": label,
        "publisher": publisher,
        "title": title,
        "published": published.isoformat(),
        "effective": f'\n    pol:effectiveFrom "{effective}"^^xsd:date ;' if effective else "",
        "folder": name,
        "version": f"{name}/{published}",
        "source": f"{payer}-{own}",
        "statement": f"{payer}.{own}.1",
        "scope": scope or f"{payer}-outpatient-claims",
    }
    if not effective:
        notes.append("The example holds on every day of service: add pol:effectiveFrom where the document gives a day")

    def beside(file: str) -> str:
        """Beside the payer's policies; with the policy itself where another has the place."""
        return f"{name}/{file}" if (folder / payer / file).exists() else f"{payer}/{file}"

    files = {beside("sources.ttl"): _turtle("sources.ttl", values)}
    if payer not in known:
        files[beside("payer.ttl")] = _turtle("payer.ttl", values)
    if scope is None:
        files[beside("scopes.ttl")] = _turtle("scopes.ttl", values)
    files[f"{name}/policy.ttl"] = _turtle("policy.ttl", values)
    files[f"{name}/{published}.ttl"] = _turtle("version.ttl", values)
    widened = _with(register, files)
    claims = _claims(values | {"service": str(_day_of_service(facts, widened, values, effective or published))})
    files[f"{name}/suite.toml"] = _suite(widened, name, claims)
    files |= {f"{name}/{file}": text for file, text in claims.items()}
    skeleton = Skeleton(folder=folder, files=files, notes=tuple(notes))
    skeleton._refuse()
    return skeleton


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    if not text:
        raise ChartularyError("publisher and title cannot be empty")
    return text


def _payers(facts: Facts) -> dict[str, list[str]]:
    """Label and other names of each payer, by the last part of its IRI."""
    return {
        payer.removeprefix(_PAYER): [str(facts.value(payer, LABEL)), *map(str, facts.objects(payer, SKOS.altLabel))]
        for payer in facts.subjects(TYPE, POL.Payer)
    }


def _new_payer(payer: str, publisher: str, known: Mapping[str, list[str]]) -> list[str]:
    """What to say of a payer that is not in the register; it must not be one under another name."""
    called = {spoken.casefold(): slug for slug, names in known.items() for spoken in (slug, *names)}
    for spoken in (publisher, payer, payer.replace("-", " ")):
        if slug := called.get(spoken.casefold()):
            raise ChartularyError(f"the register has “{known[slug][0]}” as '{slug}': write {slug}/NAME")
    near = difflib.get_close_matches(publisher.casefold(), called, cutoff=0.75)
    near += difflib.get_close_matches(payer.casefold(), called, cutoff=0.75)
    names = dict.fromkeys(f"{called[spoken]} ({known[called[spoken]][0]})" for spoken in near)
    rest = f"; if it is one of these, start again with its name: {', '.join(names)}" if names else ""
    return [f"'{payer}' is a new payer{rest}"]


def _scope_of(facts: Facts, payer: str) -> str | None:
    """A scope for just this payer's outpatient facility claims, by the last part of its IRI."""
    asked = {
        POL.payer: {payer},
        POL.setting: {f"{ROOT}setting/outpatient"},
        POL.request: {f"{ROOT}request/claim"},
        POL.lineOfBusiness: {f"{ROOT}line-of-business/any"},
    }
    fitting = [
        scope
        for scope in facts.subjects(POL.payer, payer)
        if all(facts.objects(scope, name) == things for name, things in asked.items())
    ]
    return fitting[0].removeprefix(f"{ROOT}scope/") if fitting else None


def _turtle(template: str, values: Mapping[str, str]) -> str:
    from chartulary.workbench.fmt import format_text

    safe = {name: text if name == "effective" else _escaped(text) for name, text in values.items()}
    text = Template((_TEMPLATES / template).read_text("utf-8")).substitute(safe)
    return format_text(text, source=template)


def _escaped(text: str) -> str:
    """Text as it stands between quotation marks in Turtle."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _with(register: Register, files: Mapping[str, str]) -> Register:
    """A register with more files."""
    from rdflib import Graph, URIRef

    more = {
        URIRef(f"{ROOT}policy/{name.removesuffix('.ttl')}"): Graph().parse(data=text, format="turtle")
        for name, text in files.items()
    }
    whole = dict(register.files)
    for iri, graph in more.items():
        whole[iri] = whole[iri] + graph if iri in whole else graph
    widened = Register(whole, register.shapes, register.queries, "with a skeleton")
    widened.rules = register.rules
    return widened


def _day_of_service(facts: Facts, widened: Register, values: Mapping[str, str], day: date) -> date:
    """The first day from the one given on which the example's code may be billed."""
    provision = f"{ROOT}policy/{values['version']}#example-to-replace"
    codes = widened.snapshot().facts.objects(provision, POL.about)
    starts = [
        start
        for code in codes
        for validity in facts.objects(code, COD.validity)
        if isinstance(start := facts.value(validity, POL.certainFrom), date)
    ]
    return max([day, *starts])


def _claims(values: Mapping[str, str]) -> dict[str, str]:
    plain = {name: json.dumps(text, ensure_ascii=False)[1:-1] for name, text in values.items()}
    return {
        f"claims/{path.name}": Template(path.read_text("utf-8")).substitute(plain)
        for path in sorted((_TEMPLATES / "claims").iterdir())
    }


def _suite(register: Register, name: str, claims: Mapping[str, str]) -> str:
    """What each claim gives, which for the example is what it must give; rules of other policies find things too."""
    from chartulary.readers import read_claims_from

    parts = [(_TEMPLATES / "suite.toml").read_text("utf-8")]
    for file, text in claims.items():
        for item in read_claims_from(text.encode(), source=file):
            if not isinstance(item, Claim):
                raise ChartularyError(str(item))
            report = register.validate(item)
            found = [(f.line or 0, _named(f.provision, name), f.outcome) for f in report.findings]
            parts.append(f'[[claim]]\nfile = "{file}"\noutcome = "{report.outcome}"\n{_findings(found)}')
    return "\n".join(parts)


def _named(provision: str, policy: str) -> str:
    own = f"{ROOT}policy/{policy}/"
    return provision.rpartition("#")[2] if provision.startswith(own) else provision.removeprefix(f"{ROOT}policy/")


def _findings(found: Iterable[tuple[int, str, str]]) -> str:
    rows = [
        f'{{ line = {line}, provision = "{provision}", outcome = "{outcome}" }}' for line, provision, outcome in found
    ]
    if len(rows) < 2:
        return f"findings = [{''.join(rows)}]\n"
    return "findings = [\n" + "".join(f"    {row},\n" for row in rows) + "]\n"
