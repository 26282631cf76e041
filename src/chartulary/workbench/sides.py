"""A side of a comparison: a register out of a folder or a git revision, and what its things are called."""

from __future__ import annotations

import contextlib
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path, PurePosixPath

from chartulary.errors import ChartularyError
from chartulary.facts import Facts, Text, from_graph
from chartulary.register import Register, data_folder
from chartulary.terms import COD, LABEL, POL, ROOT, SKOS, TYPE

_POLICY = f"{ROOT}policy/"
_KINDS = {
    POL.Policy: "policy",
    POL.PolicyVersion: "version",
    POL.Amendment: "amendment",
    POL.Provision: "provision",
    POL.Scope: "scope",
    POL.Payer: "payer",
    POL.LineOfBusiness: "line of business",
    POL.Setting: "setting",
    POL.Request: "kind of request",
    POL.Proposal: "proposal",
    POL.ProposalStatus: "proposal's status",
    POL.Source: "source",
    POL.Statement: "statement",
    COD.Validity: "validity",
    COD.CodeSystem: "code system",
    COD.Code: "code",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A thing of the register and what it is called."""

    iri: str
    label: str


@dataclass(slots=True)
class Side:
    """One of the two registers."""

    name: str
    """As the user calls it."""
    folder: Path
    """The folder of policies."""
    shown: str
    """What a path under the folder is shown under."""
    register: Register
    warnings: list[str]
    stated: Facts = field(init=False)
    facts: Facts = field(init=False)
    """The same folded: periods, scopes and hierarchies written out."""
    _users: dict[str, list[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.stated = from_graph(self.register.whole)
        self.facts = self.register.snapshot().facts
        self.warnings += _undefined(self)

    def kind(self, iri: str) -> str:
        types = self.stated.objects(iri, TYPE)
        told = next((word for kind, word in _KINDS.items() if kind in types), None)
        return told or ("criterion" if any(str(kind).startswith(str(POL)) for kind in types) else "thing")

    def label(self, iri: str) -> str:
        return str(self.stated.value(iri, LABEL) or short(iri))

    def named(self, iris: Iterable[str]) -> tuple[Named, ...]:
        return tuple(sorted((Named(iri=i, label=self.label(i)) for i in iris), key=lambda n: (n.label, n.iri)))

    def policy(self, iri: str) -> Named | None:
        """The policy whose versions a thing stands in, or that it is."""
        version = iri.partition("#")[0]
        policy = self.stated.value(version, POL.versionOf) or (version if self.kind(version) == "policy" else None)
        if policy is None and self.kind(iri) in ("provision", "amendment", "version"):
            policy = version
        return Named(iri=policy, label=self.label(policy)) if policy else None

    def period(self, iri: str) -> tuple[date, date, date, date] | None:
        """First possible, first certain, last certain and last possible day of service."""
        names = (POL.possibleFrom, POL.certainFrom, POL.certainUntil, POL.possibleUntil)
        days = [self.facts.value(iri, name) for name in names]
        return (days[0], days[1], days[2], days[3]) if all(isinstance(day, date) for day in days) else None

    def known_since(self, iri: str) -> str:
        for node in (iri, iri.partition("#")[0]):
            exact, *bounds = (self.stated.value(node, POL[f"published{x}"]) for x in ("On", "Earliest", "Latest"))
            if exact:
                return str(exact)
            if any(bounds):
                earliest, latest = bounds
                return (
                    f"{earliest} to {latest}" if all(bounds) else f"by {latest}" if latest else f"{earliest} or later"
                )
        return ""

    def users(self, iri: str, kind: str) -> set[str]:
        """Provisions that rest on a thing."""
        facts = self.facts
        if kind == "criterion":
            return set(facts.subjects(POL.tests, iri))
        if kind == "scope":
            return set(facts.subjects(POL.scope, iri))
        named = {"payer": POL.payer, "line of business": POL.lineOfBusiness, "setting": POL.setting}.get(kind)
        if named:
            scopes = {s for wider in self._within(iri) for s in facts.subjects(named, wider)}
            return {provision for scope in scopes for provision in facts.subjects(POL.scope, scope)}
        if kind == "validity":
            systems = {s for code in facts.subjects(COD.validity, iri) for s in facts.objects(code, SKOS.inScheme)}
            valid = set(facts.subjects(TYPE, POL.CodeValid))
            asked = {c for system in systems for c in facts.subjects(POL.expects, system) if c in valid}
            return {provision for criterion in asked for provision in facts.subjects(POL.tests, criterion)}
        if kind == "code":
            return {p for wider in self._within(iri) for p in self.speaking_of(wider)}
        return set()

    def _within(self, iri: str) -> set[str]:
        # What belongs to "any payer" and to the unknown one says nothing of whom a change concerns.
        return {w for w in (set(self.facts.objects(iri, POL.within)) or {iri}) if not w.endswith("/any")}

    def speaking_of(self, iri: str) -> set[str]:
        """Provisions about a thing, or with a criterion that looks for it."""
        facts = self.facts
        if iri not in self._users:
            sought = [c for name in (POL.expects, POL.recordKind, POL.result) for c in facts.subjects(name, iri)]
            spoken = [p for criterion in sought for p in facts.subjects(POL.tests, criterion)]
            self._users[iri] = [*facts.subjects(POL.about, iri), *spoken]
        return set(self._users[iri])


def short(iri: str) -> str:
    """A name without what all of the register's names begin with."""
    return iri.removeprefix(_POLICY).removeprefix(ROOT)


def _undefined(side: Side) -> Iterator[str]:
    """One line, where something is named that no file defines."""
    stated = side.stated
    said = stated.relation(TYPE)
    spaces = tuple(ROOT + name for name in ("def/", "ontology/", "shape#"))
    missing = {
        o
        for _, p, o in stated
        if isinstance(o, str) and not isinstance(o, Text) and o.startswith(ROOT) and o not in said and p != TYPE
    }
    names = sorted(short(iri) for iri in missing if not iri.startswith(spaces) and not iri.endswith("/"))
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield f"{side.name}: no file defines {', '.join(names[:3])}{more}: is a file missing?"


@contextlib.contextmanager
def sides(old: str, new: str, *, cache: Path | None = None) -> Iterator[tuple[Side, Side]]:
    """Both registers, each from a folder or from a git revision (``main``, ``HEAD~3``, ``main:policies``).

    Raises:
        ChartularyError: a name is neither; or a file there cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="chartulary-") as scratch:
        found = [
            _find(name, other, Path(scratch) / part) for name, other, part in ((old, new, "old"), (new, old, "new"))
        ]
        made: list[Side] = []
        for folder, name, shown, warnings in found:
            whole = is_register(folder)
            try:
                register = Register.load(
                    ground=folder if whole else None,
                    policies=None if whole else folder,
                    cache=cache,
                    like=made[0].register if made else None,
                )
                made.append(Side(name, folder, shown, register, warnings))
            except ChartularyError as fault:
                raise ChartularyError(str(fault).replace(f"{folder}/", shown)) from None
        yield made[0], made[1]


def is_register(folder: Path) -> bool:
    """Whether a folder is a register of its own, not policies to lay over the shipped one: it has most of its files."""
    shipped = data_folder("policies")
    names = [path.relative_to(shipped) for path in shipped.rglob("*.ttl")]
    return sum((folder / name).is_file() for name in names) * 2 >= len(names)


def _policies_in(folder: Path) -> Path:
    """The folder of policies in a checkout."""
    inner = folder / "policies"
    return inner if inner.is_dir() and next(inner.rglob("*.ttl"), None) else folder


def _find(name: str, other: str, scratch: Path) -> tuple[Path, str, str, list[str]]:
    """A side's folder of policies, its name, what its paths are shown under, and warnings."""
    given = Path(name)
    if given.is_dir():
        folder = _policies_in(given)
        if next(folder.rglob("*.ttl"), None) is None:
            raise ChartularyError(f"{name}: no Turtle files in this folder")
        return folder, name, f"{folder.as_posix()}/", []
    if given.exists():
        raise ChartularyError(f"{name}: not a folder")
    revision, colon, path = name.partition(":")
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise ChartularyError(f"{name}: neither a folder nor a revision of the git repository here")
    sha, top = commit.decode().strip(), Path((_git("rev-parse", "--show-toplevel") or b".").decode().strip())
    inside = path.strip("/")
    if not colon and Path(other).is_dir():
        with contextlib.suppress(ValueError):
            inside = Path(other).resolve().relative_to(top.resolve()).as_posix().removeprefix(".")
    within = _git("ls-tree", "-d", "--name-only", sha, "--", f"{inside}/policies".strip("/"), cwd=top)
    place = (within or b"").decode().strip() or inside
    scratch.mkdir()
    warnings = []
    archive = _git("archive", "--format=tar", sha, *(["--", place] if place else []), cwd=top)
    if archive is None and colon:
        raise ChartularyError(f"{name}: no such folder in that revision")
    if archive is None:
        warnings.append(f"{name}: has no {place} yet: taken as empty")
    else:
        _unpack(archive, scratch)
    shown = f"{revision}:{place}/" if place else f"{revision}:"
    return scratch / place if archive else scratch, name, shown, warnings


def _git(*arguments: str, cwd: Path | None = None) -> bytes | None:
    """What git says; None where it says that there is no such thing."""
    try:
        done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, check=False)
    except FileNotFoundError:
        raise ChartularyError("git is not installed: compare folders instead") from None
    return done.stdout if done.returncode == 0 else None


def _unpack(archive: bytes, folder: Path) -> None:
    """Turtle files and claims of a tar archive; links and whatever points outside are left."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            wanted = path.suffix == ".ttl" or "claims" in path.parts[:-1]
            if not member.isfile() or not wanted or path.is_absolute() or ".." in path.parts:
                continue
            content = tar.extractfile(member)
            if content:
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())
