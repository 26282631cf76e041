"""chartulary diff: what differs between two registers, in words, and which claims fare otherwise by it."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from rdflib import Graph, Literal, URIRef
from rdflib.namespace import RDFS, SKOS, XSD
from rich.console import Console
from typer.testing import CliRunner

from chartulary import Claim, Register, read_claims
from chartulary.cli import app
from chartulary.errors import ChartularyError
from chartulary.namespaces import POL, ROOT
from chartulary.register import data_folder
from chartulary.workbench import diff_formats
from chartulary.workbench.diff import Change, Difference, compare
from chartulary.workbench.sides import Side, is_register, sides

BASE = Path(__file__).resolve().parents[1]
EXAMPLE = BASE / "docs" / "example" / "policies"
NCD = f"{ROOT}policy/medicare/ncd-110.24"
CHANGE = URIRef(f"{NCD}/2025-12-09")
KX = URIRef(f"{NCD}/2021-07-20#kx-on-administration")
SUITE = data_folder("policies") / "medicare" / "ncd-110.24" / "claims"
CLAIMS = [str(SUITE), str(BASE / "demo")]
Edit = Callable[[Graph], None]


def day(text: str) -> Literal:
    return Literal(text, datatype=XSD.date)


def altered(register: Register, edits: dict[URIRef, Edit | None]) -> Register:
    """The register with some files edited, or (None) left out."""
    files = dict(register.files)
    for iri, edit in edits.items():
        graph = files.pop(iri)
        if edit:
            files[iri] = Graph() + graph
            edit(files[iri])
    other = Register(files, register.shapes, register.queries, f"altered {sorted(edits)}")
    other.rules = register.rules
    return other


@pytest.fixture(scope="module")
def part(register: Register) -> Register:
    """Medicare's policies, and what all policies share: less to fold each time."""
    others = tuple(f"{ROOT}policy/{name}" for name in ("astct/", "excellus/", "nimitt/", "wellcare-nc/"))
    sources = f"{ROOT}policy/sources/"
    kept = {
        iri: graph
        for iri, graph in register.files.items()
        if not str(iri).startswith(others) and (not iri.startswith(sources) or iri.endswith("mm14204"))
    }
    smaller = Register(kept, register.shapes, register.queries, "part")
    smaller.rules = register.rules
    return smaller


@pytest.fixture(scope="module")
def before(part: Register) -> Side:
    return Side("before", data_folder("policies"), "policies/", part, [])


@pytest.fixture(scope="module")
def against(part: Register, before: Side) -> Callable[..., Difference]:
    """Compares the register with one that is edited."""

    def run(edits: dict[URIRef, Edit | None], *, claims: list[str] | None = None, back: bool = False) -> Difference:
        after = Side("after", data_folder("policies"), "policies/", altered(part, edits), [])
        pair = (after, before) if back else (before, after)
        return compare(*pair, claims=[str(SUITE / "kx-still-sent.json")] if claims is None else claims)

    return run


def found(difference: Difference, kind: str) -> dict[str, Change]:
    return {change.iri.rpartition("#")[2]: change for change in difference.changes if change.kind == kind}


def only(difference: Difference) -> Change:
    (change,) = difference.changes
    return change


def file_of(name: str) -> URIRef:
    return URIRef(f"{ROOT}policy/{name}")


def text_of(difference: Difference, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    diff_formats.show(console, difference)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


# --- A whole amendment ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def without_amendment(against: Callable[..., Difference]) -> Difference:
    return against({CHANGE: None}, claims=CLAIMS, back=True)


def test_amendments_are_named_with_what_they_end(without_amendment: Difference) -> None:
    amendments = found(without_amendment, "amendment")
    assert {name: change.what for name, change in amendments.items()} == {
        "kx-ends": "added",
        "rems-facility-ends": "added",
    }
    kx = amendments["kx-ends"]
    assert str(kx.effective_from) == "2025-06-26" and kx.effective_until is None
    assert kx.known_since == "2025-12-09 to 2025-12-12"
    assert [payer.label for payer in kx.payers] == ["Medicare"]
    assert [business.label for business in kx.lines_of_business] == ["Medicare Part B"]
    assert {user.iri.rpartition("#")[2] for user in kx.used_by} == {
        "kx-on-administration",
        "kx-on-unlisted-allogeneic-administration",
        "kx-attests-rems",
    }


def test_provisions_that_end_say_by_what_from_when_and_known_since_when(without_amendment: Difference) -> None:
    ended = {c.iri.rpartition("#")[2]: c for c in without_amendment.changes if c.what == "ended"}
    assert {name: change.by.iri.rpartition("#")[2] for name, change in ended.items() if change.by} == {
        "kx-on-administration": "kx-ends",
        "kx-on-unlisted-allogeneic-administration": "kx-ends",
        "kx-attests-rems": "kx-ends",
        "rems-facility": "rems-facility-ends",
        "rems-facility-part-b": "rems-facility-ends",
    }
    for change in ended.values():
        assert (str(change.effective_from), change.effective_until) == ("2025-06-26", None)
        assert change.known_since == "2025-12-09 to 2025-12-12"


def test_exactly_the_claims_flip_whose_outcome_is_another(part: Register, without_amendment: Difference) -> None:
    poorer = altered(part, {CHANGE: None})
    paths = [*sorted(SUITE.iterdir()), *sorted((BASE / "demo").glob("*.*"))]
    claims = [claim for path in paths for claim in read_claims(path) if isinstance(claim, Claim)]
    outcomes = {(c.id, c.source): (poorer.validate(c).outcome, part.validate(c).outcome) for c in claims}
    assert without_amendment.claims_held == len(claims)
    flips = {(flip.claim, flip.source): (flip.old, flip.new) for flip in without_amendment.flips}
    assert flips == {key: (old, new) for key, (old, new) in outcomes.items() if old != new}
    assert {claim for claim, source in flips if source.startswith(str(BASE / "demo"))} == {"OP-0626", "PR-0715"}


def test_a_flip_says_by_which_provision(without_amendment: Difference) -> None:
    (flip,) = (flip for flip in without_amendment.flips if flip.claim == "OP-0626")
    assert (flip.old, flip.new) == ("violation", "conformant")
    assert [(v.outcome, v.provision.rpartition("#")[2], v.line) for v in flip.gone] == [
        ("violation", "kx-on-administration", 1)
    ]
    assert flip.gone[0].reason == "ended by “KX is no longer required on CAR-T claims”"
    assert [(v.outcome, v.provision.rpartition("#")[2], v.reason) for v in flip.come] == [
        ("info", "kx-not-needed", "provision added")
    ]


def test_the_other_way_round_it_is_no_longer_ended(against: Callable[..., Difference]) -> None:
    difference = against({CHANGE: None})
    assert {c.what for c in difference.changes} == {"removed", "reopened"}
    assert "no longer ended" in diff_formats.summary(difference)
    assert "which now holds for service from 2025-06-26" in " ".join(text_of(difference).split())


def test_one_amendment_alone(against: Callable[..., Difference]) -> None:
    def edit(graph: Graph) -> None:
        graph.remove((URIRef(f"{CHANGE}#kx-ends"), None, None))

    difference = against({CHANGE: edit}, back=True)
    assert {c.iri.rpartition("#")[2]: c.what for c in difference.changes} == {
        "kx-ends": "added",
        "kx-on-administration": "ended",
        "kx-on-unlisted-allogeneic-administration": "ended",
        "kx-attests-rems": "ended",
    }


# --- Other changes ----------------------------------------------------------------------------------------------------


def test_nothing_differs(before: Side) -> None:
    difference = compare(before, before)
    assert (difference.changes, difference.claims, difference.claims_held) == ((), (), 0)
    assert diff_formats.summary(difference) == "No policy differs"


def test_an_amendment_with_another_day(against: Callable[..., Difference]) -> None:
    amendment = URIRef(f"{CHANGE}#kx-ends")

    def edit(graph: Graph) -> None:
        graph.set((amendment, POL.effectiveFrom, day("2025-07-01")))

    difference = against({CHANGE: edit}, claims=[str(SUITE)])
    assert found(difference, "amendment")["kx-ends"].details == ("effective from: 2025-06-26 → 2025-07-01",)
    moved = found(difference, "provision")["kx-on-administration"]
    assert moved.what == "changed" and moved.by and moved.by.iri == str(amendment)
    assert (str(moved.effective_from), str(moved.effective_until)) == ("2025-06-26", "2025-06-30")
    flips = {Path(flip.source).name: flip for flip in difference.flips}
    assert "no-kx-on-the-first-free-day.json" in flips
    for flip in flips.values():
        assert (flip.old, flip.new) == ("conformant", "violation")
        assert "ends otherwise by “KX is no longer required on CAR-T claims”" in {v.reason for v in flip.come}


def test_days_scope_about_and_label_of_a_provision(against: Callable[..., Difference]) -> None:
    def edit(graph: Graph) -> None:
        graph.set((KX, POL.effectiveFrom, day("2020-01-01")))
        graph.set((KX, POL.scope, URIRef(f"{ROOT}scope/medicare-claims")))
        graph.remove((KX, POL.about, URIRef(f"{ROOT}code/cpt/0540T")))
        graph.set((KX, RDFS.label, Literal("Other words", lang="en")))

    change = only(against({file_of("medicare/ncd-110.24/2021-07-20"): edit}))
    told = "\n".join(change.details)
    assert "label: “The administration line carries KX” → “Other words”" in told
    assert "effective from: 2019-08-07 → 2020-01-01" in told
    assert "scope: “Medicare Part B claims” → “Medicare claims”" in told
    assert "about: no longer “CPT 0540T" in told
    assert {scope.label for scope in change.scopes} == {"Medicare Part B claims", "Medicare claims"}


def test_only_the_days_differ(against: Callable[..., Difference]) -> None:
    def edit(graph: Graph) -> None:
        graph.set((KX, POL.effectiveFrom, day("2020-01-01")))

    change = only(against({file_of("medicare/ncd-110.24/2021-07-20"): edit}))
    assert (str(change.effective_from), str(change.effective_until)) == ("2019-08-07", "2019-12-31")


def test_a_version_whose_days_its_provisions_have(against: Callable[..., Difference]) -> None:
    version = file_of("hipaa/code-sets/2025-04-01")

    def edit(graph: Graph) -> None:
        graph.add((version, POL.effectiveFrom, day("2026-01-01")))

    difference = against({version: edit})
    assert found(difference, "version")
    provisions = found(difference, "provision").values()
    assert {change.details for change in provisions} == {("held on every day of service, now from 2026-01-01",)}
    assert {(change.effective_from, str(change.effective_until)) for change in provisions} == {(None, "2025-12-31")}


def test_a_shared_criterion_is_told_once_with_its_provisions(against: Callable[..., Difference]) -> None:
    criterion = URIRef(f"{ROOT}criterion/modifier-KX")

    def edit(graph: Graph) -> None:
        graph.set((criterion, POL.expects, URIRef(f"{ROOT}code/modifier/LU")))

    difference = against({file_of("criteria"): edit})
    change = only(difference)
    assert change.policy is None and change.kind == "criterion"
    assert change.details == ("expects: “modifier KX” → code/modifier/LU",)
    assert {user.iri.rpartition("#")[2] for user in change.used_by} == {
        "kx-on-administration",
        "kx-on-unlisted-allogeneic-administration",
        "kx-attests-rems",
        "kx-not-needed",
        "kx-may-still-be-sent",
    }
    assert "code/modifier/LU" in " ".join(difference.warnings)
    assert difference.claims[0].gone[0].reason == "criterion “modifier KX” changed"


def test_criteria_are_compared_by_what_they_ask(register: Register, against: Callable[..., Difference]) -> None:
    criterion, other = URIRef(f"{ROOT}criterion/modifier-KX"), URIRef(f"{NCD}/2021-07-20#other")

    def renamed(graph: Graph) -> None:
        for _, p, o in shared.triples((criterion, None, None)):
            graph.add((other, p, o))
        graph.set((KX, POL.requires, other))

    shared = register.files[file_of("criteria")]
    change = only(against({file_of("medicare/ncd-110.24/2021-07-20"): renamed}))
    assert change.details == ("requires: “modifier KX” → “modifier KX”, the same condition under another name",)

    def otherwise(graph: Graph) -> None:
        renamed(graph)
        graph.add((other, POL.looksAt, POL.AnyLine))

    change = only(against({file_of("medicare/ncd-110.24/2021-07-20"): otherwise}))
    assert change.details == ("requires: “modifier KX” → “modifier KX” (looks at: now AnyLine)",)


def test_payer_code_and_validity(against: Callable[..., Difference]) -> None:
    def payers(graph: Graph) -> None:
        graph.remove((URIRef(f"{ROOT}payer/medicare"), SKOS.altLabel, Literal("Medicare FFS")))

    def codes(graph: Graph) -> None:
        graph.set((URIRef(f"{ROOT}policy/codes/cpt#0540T-outpatient"), POL.effectiveUntil, day("2025-12-31")))

    difference = against({file_of("payers"): payers, file_of("codes/cpt"): codes})
    told = {change.kind: change for change in difference.changes}
    assert set(told) == {"payer", "validity"}
    assert told["payer"].details == ("other name: no longer “Medicare FFS”",)
    assert [user.iri for user in told["payer"].used_by if "medicare" not in user.iri] == []
    assert (str(told["validity"].effective_from), str(told["validity"].effective_until)) == ("2025-01-01", "2025-12-31")


def test_a_missing_file_is_one_warning(against: Callable[..., Difference]) -> None:
    difference = against({file_of("medicare/ncd-110.24/2021-07-20"): None})
    (warning,) = (text for text in difference.warnings if text.startswith("after: "))
    assert "\n" not in warning and "is a file missing?" in warning
    assert diff_formats.markdown(difference)


# --- How it is written ------------------------------------------------------------------------------------------------


def test_text_fits_eighty_columns_but_for_names_of_files(without_amendment: Difference) -> None:
    text = text_of(without_amendment)
    assert [line for line in text.split("\n") if len(line.rstrip()) > 80 and not line.startswith("  - ")] == []
    assert "1 version, 2 amendments and 5 provisions added; 5 provisions ended" in text
    assert "for dates of service from 2025-06-26" in text


def test_json_has_everything(without_amendment: Difference) -> None:
    plain = json.loads(json.dumps(diff_formats.as_json(without_amendment)))
    assert plain["claims_flipped"] == len(without_amendment.flips) == sum(claim["flips"] for claim in plain["claims"])
    assert len(plain["changes"]) == len(without_amendment.changes)
    assert plain["changes"][0]["policy"]["label"] == "NCD 110.24 (Medicare)"


def test_markdown_is_safe_and_folds_many_claims(without_amendment: Difference) -> None:
    text = diff_formats.markdown(without_amendment)
    assert text.startswith("### 1 version, 2 amendments and 5 provisions added; 5 provisions ended\n")
    assert "**Amendment added**: KX is no longer required on CAR-T claims" in text
    assert text.count("| claim | outcome | by |") == 2
    flip = without_amendment.flips[0]
    many = Difference(
        old="@someone <b>",
        new="new",
        old_revision="",
        new_revision="",
        warnings=("see @team | <script>",),
        changes=(),
        claims_held=400,
        claims=tuple([flip] * 400),
    )
    text = diff_formats.markdown(many)
    assert "<summary>Claims that flip: 400 (400 " in text and text.count("<details>") == text.count("</details>") == 1
    assert "@team" not in text and "<script" not in text
    assert len(text) < 65_536


# --- Folders and revisions --------------------------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> None:
    names = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, register: Register) -> Path:
    """A repository with a policy of its own, changed since its only commit."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "mine"
    shutil.copytree(EXAMPLE, folder / "policies")
    (folder / "README.md").write_text("Mine")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    version = folder / "policies" / "example-health" / "car-t" / "2025-11.ttl"
    version.write_text(version.read_text("utf-8").replace('"2025-09-01"', '"2025-10-01"'), "utf-8")
    (folder / "more").mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(Register, "rules", register.rules)  # reading them takes longer than all else
    monkeypatch.setenv("CHARTULARY_CACHE", "")
    return folder


def left_over() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob("chartulary-*")}


def test_a_revision_against_the_folder_one_stands_in(repository: Path) -> None:
    there = left_over()
    done = CliRunner().invoke(app, ["diff", "main", "--format", "json"])
    assert done.exit_code == 1, done.output
    told = json.loads(done.stdout)
    assert {c["iri"].rpartition("#")[2]: c["what"] for c in told["changes"]} == {
        "Q0-ends": "changed",
        "Q0-in-a-trial": "changed",
    }
    flips = {Path(claim["source"]).name: claim for claim in told["claims"] if claim["flips"]}
    assert set(flips) == {"trial-without-Q0-after-it-ended.json"}
    assert flips["trial-without-Q0-after-it-ended.json"]["source"].startswith("policies/example-health/")
    assert left_over() <= there


def test_a_folder_that_a_revision_does_not_have_yet_is_empty(repository: Path) -> None:
    (repository / "policies").rename(repository / "more" / "rules")
    with sides("main", "more/rules") as (old, new):
        assert old.warnings == ["main: has no more/rules yet: taken as empty"]
        assert set(new.register.files) - set(old.register.files)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("nothing", "."), "nothing: neither a folder nor a revision of the git repository here"),
        (("main:nowhere", "."), "main:nowhere: no such folder in that revision"),
        (("README.md", "."), "README.md: not a folder"),
        (("more", "."), "more: no Turtle files in this folder"),
        (("--output=x", "."), "--output=x: neither a folder nor a revision of the git repository here"),
    ],
)
def test_what_is_neither_folder_nor_revision(repository: Path, names: tuple[str, str], message: str) -> None:
    with pytest.raises(ChartularyError, match=f"^{message}$"), sides(*names):
        pass


def test_a_broken_file_of_a_revision_is_named_as_there(repository: Path) -> None:
    (repository / "policies" / "bad.ttl").write_text("PREFIX")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "two")
    with pytest.raises(ChartularyError, match=r"^HEAD:policies/bad\.ttl:1:7: "), sides("HEAD", "policies"):
        pass


def test_which_folders_are_registers(tmp_path: Path) -> None:
    assert is_register(data_folder("policies"))
    assert not is_register(EXAMPLE)
    (tmp_path / "payers.ttl").write_text("")
    assert not is_register(tmp_path)
