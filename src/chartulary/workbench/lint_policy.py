"""The rules of lint for what files say together: days, amendments, conditions, codes and the ledger."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from chartulary.terms import CLM, COD, IS_PART_OF, LABEL, PERIOD, POL, PUBLISHED, ROOT, SKOS, TYPE
from chartulary.workbench.lint_files import RDFS, World
from chartulary.workbench.lint_rules import COMMENT, ONE_DAY, SEE_ALSO, Fault, near_end, rule, unknown_terms

_DESCRIBING = {LABEL, COMMENT, SEE_ALSO, POL.cites, POL.ifUnknown, POL.presumed}
_ANY = {
    POL.payer: f"{ROOT}payer/any",
    POL.lineOfBusiness: f"{ROOT}line-of-business/any",
    POL.setting: f"{ROOT}setting/any",
}
_ASKING = (POL.scope, POL.about, POL.checks, POL.when, POL.unless, POL.requires, POL.prohibits, POL.severity)


# --- Days -------------------------------------------------------------------------------------------------------------


class Period(NamedTuple):
    """Days of service on which something may hold, and on which it surely does; inclusive."""

    possible_from: date
    certain_from: date
    certain_until: date
    possible_until: date

    @property
    def empty(self) -> bool:
        return self.possible_from > self.possible_until


def own_period(world: World, thing: str) -> Period:
    """As it states it, or the version it stands in for it; amendments apart (as in ``chartulary.snapshot``)."""
    if not any(world.objects(thing, POL[name]) for name in PERIOD):
        thing = thing.partition("#")[0]
    begins, earliest, latest, ends, ends_earliest, ends_latest = (world.day(thing, POL[name]) for name in PERIOD)
    possible_from = begins or earliest or date.min
    return Period(
        possible_from,
        begins or latest or possible_from,
        ends or ends_earliest or date.max,
        ends or ends_latest or date.max,
    )


def first_days(world: World, amendment: str) -> tuple[date, date]:
    """The earliest and the latest day that an amendment may hold from."""
    day = world.day(amendment, POL.effectiveFrom)
    return (
        day or world.day(amendment, POL.effectiveEarliest) or date.min,
        day or world.day(amendment, POL.effectiveLatest) or date.max,
    )


@lru_cache(maxsize=1)
def periods(world: World) -> dict[str, Period]:
    """Every provision's days, with the amendments that end it."""
    found = {provision: own_period(world, provision) for provision in world.of(POL.Provision)}
    for amendment in world.of(POL.Amendment):
        earliest, latest = first_days(world, amendment)
        for ended in world.names(amendment, POL.ends):
            if ended in found:
                old = found[ended]
                found[ended] = old._replace(
                    certain_until=min(old.certain_until, _before(earliest)),
                    possible_until=min(old.possible_until, _before(latest) if latest < date.max else date.max),
                )
    return found


def _told_by_shape(world: World, thing: str) -> bool:
    """Whether the first and last day, or two bounds of one of them, are in the wrong order: a shape says that."""
    pairs = (
        ("effectiveFrom", "effectiveUntil"),
        ("effectiveEarliest", "effectiveLatest"),
        ("endsEarliest", "endsLatest"),
    )
    days = [(world.day(thing, POL[one]), world.day(thing, POL[other])) for one, other in pairs]
    return any(one and other and one > other for one, other in days)


def _before(day: date) -> date:
    return day - ONE_DAY if day > date.min else day


@rule("error")
def never_in_force(world: World) -> Iterator[Fault]:
    """A provision or validity has no day on which it holds.

    Its last day lies before its first: as it says itself, or because an amendment ends it before it begins. The
    rule is written, and never applies to any claim.

    Solution: Compare the days with the source: often two of them are swapped, or a year is wrong.

    Example:
        :kx-on-administration
            a pol:Provision ;
            rdfs:label "The administration line carries KX"@en ;
            pol:scope scope:medicare-part-b-claims ;
            pol:about cpt:38228 ;
            pol:checks clm:Line ;
            pol:effectiveEarliest "2025-06-26"^^xsd:date ;
            pol:effectiveUntil "2025-01-01"^^xsd:date ;
            pol:requires criterion:modifier-KX ;
            pol:cites stmt:mm14204.kx.historic .
    """
    for thing in world.here(POL.Provision, COD.Validity):
        own = own_period(world, thing)
        if own.empty and not _told_by_shape(world, thing):
            stated = thing if any(world.objects(thing, POL[name]) for name in PERIOD) else thing.partition("#")[0]
            last = next(
                (n for n in ("effectiveUntil", "endsLatest", "endsEarliest") if world.objects(stated, POL[n])), ""
            )
            yield Fault(
                stated,
                POL[last] if last else None,
                next(iter(world.objects(stated, POL[last])), None) if last else None,
                message=f"It never holds: it begins on {own.possible_from} and ends on {own.possible_until}",
                hint="the last day still counts; mend one of the two",
            )
    for amendment in world.of(POL.Amendment):
        for ended in world.names(amendment, POL.ends):
            period = periods(world).get(ended)
            if (
                period
                and period.empty
                and not own_period(world, ended).empty
                and first_days(world, amendment)[1] <= period.possible_from
            ):
                yield Fault(
                    amendment,
                    POL.ends,
                    ended,
                    message=f"{world.name(ended)} ends before it begins",
                    hint=f"it holds from {own_period(world, ended).possible_from}, "
                    f"and this ends it from {first_days(world, amendment)[1]} on",
                )


@rule("warning")
def far_off_day(world: World) -> Iterator[Fault]:
    """A day lies more than ten years after its version was published.

    A payer announces what holds soon. A day in another century is most often a slip of the finger: the rule waits
    for it, and nobody is told.

    Solution: Compare the day with the source.

    Example:
        :kx-ends-in-2205
            a pol:Amendment ;
            rdfs:label "KX is no longer required"@en ;
            pol:ends :rule ;
            pol:effectiveFrom "2205-06-26"^^xsd:date ;
            pol:cites stmt:mm14204.kx.removed .
    """
    for thing in world.here(POL.Provision, POL.Amendment, POL.PolicyVersion):
        published = _published(world, thing.partition("#")[0])
        for name in (*PERIOD, "implementedOn"):
            day = world.day(thing, POL[name])
            if day and published > date.min and day.year > published.year + 10:
                yield Fault(
                    thing,
                    POL[name],
                    world.objects(thing, POL[name])[0],
                    message=f"{day} lies {day.year - published.year} years after its version was published",
                    hint=f"that was on {published}",
                )


@rule("error")
def already_ended(world: World) -> Iterator[Fault]:
    """An amendment ends what has ended.

    The provision had its last day before the amendment holds: by its own `pol:effectiveUntil`, or by another
    amendment. One of the two is wrong, or the amendment means another provision.

    Solution: Name the provision that the source speaks of, or take the day from the source.

    Example:
        PREFIX kx: <https://w3id.org/chartulary/policy/medicare/ncd-110.24/2021-07-20#>

        :kx-ends-again
            a pol:Amendment ;
            rdfs:label "KX is no longer required"@en ;
            pol:ends kx:kx-on-administration ;
            pol:effectiveFrom "2030-01-01"^^xsd:date ;
            pol:cites stmt:mm14204.kx.removed .
    """
    enders: dict[str, list[str]] = defaultdict(list)
    for amendment in world.of(POL.Amendment):
        for ended in world.names(amendment, POL.ends):
            enders[ended].append(amendment)
    for ended, amendments in enders.items():
        if POL.Provision not in world.kinds(ended):
            continue
        last = own_period(world, ended).possible_until
        # Those that stand in the register came first; the one that is checked is told.
        amendments.sort(key=lambda each: (world.in_path(each), *first_days(world, each), each))
        for number, amendment in enumerate(amendments):
            starts = first_days(world, amendment)[0]
            other = amendments[number - 1] if number else ""
            if last < date.max and last < starts:
                why = f"its own last day is {last}"
            elif other:
                why = f"{world.name(other)} ends it from {first_days(world, other)[0]} on"
            else:
                continue
            yield Fault(
                amendment,
                POL.ends,
                ended,
                message=f"{world.name(ended)} has ended already",
                hint=why,
            )


def _policy_of(world: World, provision: str) -> str:
    return next(iter(world.names(provision.partition("#")[0], POL.versionOf)), "")


def _published(world: World, version: str) -> date:
    days = (world.day(version, POL[name]) for name in PUBLISHED)
    return next((day for day in days if day), date.min)


@lru_cache(maxsize=1)
def _restated(world: World) -> list[tuple[str, str]]:
    """Pairs of provisions of a policy that are the same rule, by name, label or content; the older version's first."""
    alike: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    policies = {_policy_of(world, provision) for provision in world.here(POL.Provision)} - {""}
    for provision in world.of(POL.Provision):
        if (policy := _policy_of(world, provision)) in policies:
            alike[policy, "name", provision.rpartition("#")[2]].append(provision)
            alike[policy, "label", world.text(provision, LABEL).casefold()].append(provision)
            said = world.about[provision]
            asked = sorted((p, str(o)) for p in said if p in _ASKING for o in said[p])
            alike[policy, "content", str(asked)].append(provision)
    told: list[tuple[str, str]] = []
    for same in alike.values():
        in_order = sorted(same, key=lambda each: (_published(world, each.partition("#")[0]), each))
        for pair in itertools.pairwise(in_order):
            if (
                pair[0].partition("#")[0] != pair[1].partition("#")[0]
                and pair not in told
                and _same_place(world, *pair)
            ):
                told.append(pair)
    return told


def _same_place(world: World, one: str, other: str) -> bool:
    return (
        set(world.names(one, POL.scope)) == set(world.names(other, POL.scope))
        and any(world.meet(a, b) for a in world.names(one, POL.about) for b in world.names(other, POL.about))
        and bool(set(world.names(one, POL.checks)) & set(world.names(other, POL.checks)))
    )


def _version_periods(world: World) -> Iterator[tuple[str, Period, str, Period]]:
    """Versions of one policy that follow each other and say both since when and how long they hold."""
    versions: dict[str, list[str]] = defaultdict(list)
    for version in world.of(POL.PolicyVersion):
        if any(world.objects(version, POL[name]) for name in PERIOD):
            for policy in world.names(version, POL.versionOf):
                versions[policy].append(version)
    for several in versions.values():
        in_order = sorted(several, key=lambda each: (own_period(world, each).possible_from, each))
        for one, other in itertools.pairwise(in_order):
            yield one, own_period(world, one), other, own_period(world, other)


@rule("error")
def overlapping_versions(world: World) -> Iterator[Fault]:
    """Two versions of a policy hold on the same day.

    A rule that a newer version states again is a second rule, beside the older one, until an amendment ends that.
    On days on which both hold a claim is held against both, and finds are doubled, or differ.

    Solution: End the older provision (`pol:Amendment` with `pol:ends`) from the newer one's first day on; or give
    the older version its last day.

    Example:
        PREFIX kx: <https://w3id.org/chartulary/policy/medicare/ncd-110.24/2019-08-07#>

        <https://w3id.org/chartulary/policy/medicare/ncd-110.24/2031-01-01>
            a pol:PolicyVersion ;
            rdfs:label "NCD 110.24 of 2031"@en ;
            pol:versionOf <https://w3id.org/chartulary/policy/medicare/ncd-110.24> ;
            pol:publishedOn "2031-01-01"^^xsd:date ;
            pol:source source:ncd-110.24 .

        <https://w3id.org/chartulary/policy/medicare/ncd-110.24/2031-01-01#before-coverage-began>
            a pol:Provision ;
            rdfs:label "CAR-T before Medicare's national coverage began"@en ;
            pol:scope scope:medicare-claims ;
            pol:about service:car-t-therapy ;
            pol:checks clm:Line , clm:Claim ;
            pol:effectiveUntil "2019-08-06"^^xsd:date ;
            pol:severity pol:Review ;
            pol:cites stmt:mm14204.ncd11024.start .
    """
    for older, newer in _restated(world):
        one, other = periods(world)[older], periods(world)[newer]
        first, last = max(one.certain_from, other.certain_from), min(one.certain_until, other.certain_until)
        if first <= last and (told := _told_on(world, newer, older)):
            yield Fault(
                told[0],
                message=f"The same rule stands in {world.name(told[1])}, and both hold {_days(first, last)}",
                hint="end the older one with a pol:Amendment, or give it its last day",
            )
    for older, its, newer, others in _version_periods(world):
        first, last = others.certain_from, min(its.certain_until, others.certain_until)
        if its.certain_until < date.max and first <= last and (told := _told_on(world, newer, older)):
            yield Fault(
                told[0],
                message=f"{world.name(told[1])} is a version of the same policy, and both hold {_days(first, last)}",
                hint="the older one's last day is the day before the newer one's first",
            )


def _days(first: date, last: date) -> str:
    if first == date.min:
        return "on every day" if last == date.max else f"until {last}"
    if last == date.max:
        return f"from {first}"
    return f"on {first}" if first == last else f"from {first} to {last}"


def _told_on(world: World, first: str, second: str) -> tuple[str, str] | None:
    """A fault of two things is told once: on the first, unless only the second is checked. Then the other one."""
    if world.in_path(first):
        return first, second
    return (second, first) if world.in_path(second) else None


@rule("error")
def gap_between_versions(world: World) -> Iterator[Fault]:
    """Between two versions of a policy lie days on which neither holds.

    A rule that ended and is stated again later has days without it. That may be so; most often a day is one off, as
    the last day of a period still counts.

    Solution: Compare both days with the sources. If the gap is real, name the newer rule otherwise: it is another
    one.

    Example:
        <https://w3id.org/chartulary/policy/medicare/ncd-110.24/2031-01-01>
            a pol:PolicyVersion ;
            rdfs:label "NCD 110.24 of 2031"@en ;
            pol:versionOf <https://w3id.org/chartulary/policy/medicare/ncd-110.24> ;
            pol:publishedOn "2031-01-01"^^xsd:date ;
            pol:source source:ncd-110.24 .

        <https://w3id.org/chartulary/policy/medicare/ncd-110.24/2031-01-01#before-coverage-began>
            a pol:Provision ;
            rdfs:label "CAR-T before Medicare's national coverage began"@en ;
            pol:scope scope:medicare-claims ;
            pol:about service:car-t-therapy ;
            pol:checks clm:Line , clm:Claim ;
            pol:effectiveFrom "2031-01-01"^^xsd:date ;
            pol:severity pol:Review ;
            pol:cites stmt:mm14204.ncd11024.start .
    """
    pairs = [(older, periods(world)[older], newer, periods(world)[newer]) for older, newer in _restated(world)]
    for older, one, newer, other in [*pairs, *_version_periods(world)]:
        if one.possible_until < date.max and other.possible_from > one.possible_until + ONE_DAY:
            days = _days(one.possible_until + ONE_DAY, other.possible_from - ONE_DAY)
            if told := _told_on(world, newer, older):
                what = "the same rule" if "#" in older else "a version of the same policy"
                yield Fault(told[0], message=f"{world.name(told[1])} is {what}, and {days} neither holds")


# --- What never applies, and what contradicts -------------------------------------------------------------------------


def _all_of(world: World, criteria: Iterable[str], group: str) -> list[str]:
    """Criteria with the members of groups of one kind, and of groups in those."""
    found: list[str] = []
    waiting = list(criteria)
    while waiting:
        criterion = waiting.pop()
        if criterion not in found:
            found.append(criterion)
            if group in world.names(criterion, TYPE):
                waiting += world.names(criterion, POL.member)
    return found


def _same_criterion(world: World, one: str, other: str) -> bool:
    if one == other:
        return True

    def content(criterion: str) -> set[tuple[str, object]]:
        said = world.about.get(criterion, {})
        return {(p, str(o)) for p, values in said.items() if p not in _DESCRIBING for o in values}

    return bool(content(one)) and content(one) == content(other)


def implies(world: World, one: str, other: str) -> bool:
    """Whether what meets the one criterion meets the other: the same, or a narrower thing in the same place."""
    if _same_criterion(world, one, other):
        return True
    if not {POL.Shows} == set(world.names(one, TYPE)) == set(world.names(other, TYPE)):
        return False
    here, there = (next(iter(world.names(each, POL.looksAt)), POL.ThisItem) for each in (one, other))
    wanted = world.names(other, POL.expects)
    shown = world.names(one, POL.expects)
    return (
        (here == there or there == POL.WholeClaim)
        and bool(shown)
        and all(any(wider in world.within(thing) for wider in wanted) for thing in shown)
    )


def _clash(world: World, must: Iterable[str], must_not: Iterable[str]) -> tuple[str, str] | None:
    """A criterion that must be met and one that must not, and cannot both be as they must."""
    musts = _all_of(world, must, POL.AllOf)
    nots = _all_of(world, must_not, POL.AnyOf)
    for one, other in itertools.product(musts, nots):
        if implies(world, one, other):
            return one, other
        members = world.names(one, POL.member) if POL.AnyOf in world.names(one, TYPE) else []
        if members and all(implies(world, member, other) for member in members):
            return one, other
    return None


@rule("error")
def never_applies(world: World) -> Iterator[Fault]:
    """A provision's conditions cannot be met.

    A provision applies where every `pol:when` is met and no `pol:unless`. Where an `unless` is met whenever a
    `when` is, that is never.

    Solution: Take out one of the two, or name in `pol:unless` the narrower thing that was meant.

    Example:
        :KX-with-KX
            a pol:Provision ;
            rdfs:label "The administration line carries KX"@en ;
            pol:scope scope:medicare-part-b-claims ;
            pol:about cpt:38228 ;
            pol:checks clm:Line ;
            pol:when criterion:modifier-KX ;
            pol:unless criterion:modifier-KX ;
            pol:requires criterion:diagnosis-Z00.6 ;
            pol:cites stmt:mm14204.kx.historic .
    """
    for provision in world.here(POL.Provision):
        if clash := _clash(world, world.names(provision, POL.when), world.names(provision, POL.unless)):
            yield Fault(
                provision,
                POL.unless,
                clash[1] if clash[1] in world.names(provision, POL.unless) else None,
                message=f"It never applies: {world.name(clash[0])} must be met and {world.name(clash[1])} must not",
                hint="one of the two is too wide, or too much",
            )


@rule("error")
def contradiction(world: World) -> Iterator[Fault]:
    """Two provisions ask for the opposite on the same claim and day.

    One requires what the other prohibits, their scopes and days meet, and neither gives way: whatever the claim
    shows, it breaks one of them.

    Solution: End the older provision, narrow one of the scopes or conditions, or say which goes first
    (`pol:overrides`).

    Example:
        :no-KX
            a pol:Provision ;
            rdfs:label "The administration line carries no KX"@en ;
            pol:scope scope:medicare-part-b-claims ;
            pol:about cpt:38228 ;
            pol:checks clm:Line ;
            pol:effectiveUntil "2025-06-25"^^xsd:date ;
            pol:prohibits criterion:modifier-KX ;
            pol:cites stmt:mm14204.kx.historic .
    """
    requiring = [p for p in world.of(POL.Provision) if world.objects(p, POL.requires)]
    here = set(world.here(POL.Provision))
    prohibiting = [p for p in world.of(POL.Provision) if world.objects(p, POL.prohibits)]
    told = set()
    for one, other in itertools.product(requiring, prohibiting):
        if not (one in here or other in here) or frozenset((one, other)) in told:
            continue
        clash = _clash(world, world.names(one, POL.requires), world.names(other, POL.prohibits))
        if not clash or (one != other and not _can_both_bind(world, one, other, clash)):
            continue
        told.add(frozenset((one, other)))
        days = _common_days(world, one, other)
        if one == other:
            yield Fault(
                one,
                POL.prohibits,
                message=f"It requires {world.name(clash[0])}, and prohibits "
                + ("the same" if clash[0] == clash[1] else world.name(clash[1])),
            )
            continue
        newer = max(
            (one, other), key=lambda each: (world.in_path(each), _published(world, each.partition("#")[0]), each)
        )
        older = other if newer == one else one
        verbs = ("requires", "prohibits") if newer == one else ("prohibits", "requires")
        asked = {one: clash[0], other: clash[1]}
        named = world.names(newer, POL[verbs[0]])
        yield Fault(
            newer,
            POL[verbs[0]],
            asked[newer] if asked[newer] in named else None,
            message=f"It {verbs[0]} {world.name(asked[newer])}, and {world.name(older)} {verbs[1]} "
            f"{'it' if clash[0] == clash[1] else world.name(asked[older])} {days}",
            hint=f"end one, or say which goes first (pol:overrides); the other stands in {_home(world, older)}",
        )


def _home(world: World, thing: str) -> str:
    home = world.homes[thing][0]
    return f"{near_end(home.path)}:{home.place(thing)[0]}"


def _common_days(world: World, one: str, other: str) -> str:
    mine, its = periods(world)[one], periods(world)[other]
    return _days(max(mine.certain_from, its.certain_from), min(mine.certain_until, its.certain_until))


def _can_both_bind(world: World, one: str, other: str, clash: tuple[str, str]) -> bool:
    mine, its = periods(world)[one], periods(world)[other]
    if max(mine.certain_from, its.certain_from) > min(mine.certain_until, its.certain_until):
        return False
    if POL.Info in [*world.names(one, POL.severity), *world.names(other, POL.severity)]:
        return False
    for this, that in ((one, other), (other, one)):
        if that in world.names(this, POL.overrides) or _policy_of(world, that) in world.names(this, POL.suspends):
            return False
        if _clash(world, [*world.names(this, POL.when)], [*world.names(that, POL.unless)]):
            return False
    if not (_conditions_of(world, one, other) or _conditions_of(world, other, one)):
        return False  # each has conditions of its own: nobody can tell that they are ever met together
    anywhere = all(
        next(iter(world.names(each, POL.looksAt)), POL.ThisItem) != POL.ThisItem
        for each in clash
        if POL.Shows in world.names(each, TYPE)
    )
    same_item = bool(set(world.names(one, POL.checks)) & set(world.names(other, POL.checks)))
    return (same_item or anywhere) and _scopes_meet(world, one, other) and _subjects_meet(world, one, other)


def _conditions_of(world: World, one: str, other: str) -> bool:
    """Whether the one provision applies under no conditions but some of the other's."""
    given = _all_of(world, world.names(other, POL.when), POL.AllOf)
    return all(any(implies(world, theirs, mine) for theirs in given) for mine in world.names(one, POL.when))


def _subjects_meet(world: World, one: str, other: str) -> bool:
    return any(
        world.meet(a, b)
        or any(world.meet(product, b) for product in world.names(a, COD.describes))
        or any(world.meet(a, product) for product in world.names(b, COD.describes))
        for a in world.names(one, POL.about)
        for b in world.names(other, POL.about)
    )


def _scopes_meet(world: World, one: str, other: str) -> bool:
    mine, its = world.names(one, POL.scope), world.names(other, POL.scope)
    return any(_scope_meets(world, a, b) for a in mine for b in its)


def _scope_meets(world: World, one: str, other: str) -> bool:
    requests = (set(world.names(scope, POL.request)) for scope in (one, other))
    if not set.intersection(*requests):
        return False
    return all(
        any(world.meet(a, b) for a in world.names(one, what) or [anyone] for b in world.names(other, what) or [anyone])
        or not (world.names(one, what) and world.names(other, what))
        for what, anyone in _ANY.items()
    )


@rule("error")
def scope_takes_in_nobody(world: World) -> Iterator[Fault]:
    """A scope names things that never come together.

    A claim is in a scope if its payer, its line of business and its setting each are among those named. A line of
    business of another payer, or one that pays nothing in the setting named, lets no claim in.

    Solution: Look at `pol:ofPayer`, `pol:offers` and `pol:inSetting` of what the scope names, and mend one of them.

    Example:
        scope:example-medicare-part-a-professional
            a pol:Scope ;
            rdfs:label "Medicare Part A: professional claims"@en ;
            pol:payer payer:medicare ;
            pol:lineOfBusiness lob:medicare-ffs-part-a ;
            pol:setting setting:professional ;
            pol:request request:claim .
    """
    for scope in world.here(POL.Scope):
        payers, businesses, settings = (world.names(scope, what) for what in _ANY)
        if not all(POL.LineOfBusiness in world.kinds(business) for business in businesses):
            continue  # that is told
        if not businesses or any(
            _sold_by(world, payers, business) and _paid_in(world, business, settings) for business in businesses
        ):
            continue
        why = "no line of business named is the payer's" if payers else ""
        if any(_sold_by(world, payers, business) for business in businesses):
            why = "the line of business pays for nothing in the setting"
        yield Fault(scope, POL.lineOfBusiness, businesses[0], message=f"No claim is in this scope: {why}")


def _sold_by(world: World, payers: list[str], business: str) -> bool:
    if not payers:
        return True
    narrower = [each for each in world.of(POL.LineOfBusiness) if business in world.within(each)]
    for payer in payers:
        offered = world.names(payer, POL.offers)
        for each in narrower:
            owners = world.names(each, POL.ofPayer)
            if owners and not any(world.meet(owner, payer) for owner in owners):
                continue
            if owners or not offered or any(world.meet(each, one) for one in offered):
                return True
    return False


def _paid_in(world: World, business: str, settings: list[str]) -> bool:
    narrower = [each for each in world.of(POL.LineOfBusiness) if business in world.within(each)]
    return not settings or any(
        not paid or any(world.meet(one, setting) for one in paid for setting in settings)
        for paid in (world.names(each, POL.inSetting) for each in narrower)
    )


@lru_cache(maxsize=1)
def _shown_on(world: World) -> dict[str, set[str]]:
    """For each thing a rule may look for: on what a claim shows it (``clm:Claim``, ``clm:Line``)."""
    item = {CLM.Claim, CLM.Line}
    levels: dict[str, set[str]] = {}
    for system in world.of(COD.CodeSystem):
        found: set[str] = set()
        for field in world.names(system, COD.field):
            for term in world.names(field, SEE_ALSO) or [CLM.record]:
                for domain in world.names(term, f"{RDFS}domain"):
                    found |= item if domain == CLM.Item else {domain} & item
        levels[system] = found or item
    shown: dict[str, set[str]] = defaultdict(set)
    for code in world.of(COD.Code):
        own: set[str] = set()
        for system in world.names(code, SKOS.inScheme):
            own |= levels.get(system, item)
        named = [code, *world.names(code, COD.describes, COD.vein)]
        for thing in named:
            for wider in world.within(thing):
                shown[wider] |= own or item
    for system, found in levels.items():
        shown[system] |= found
    return shown


@rule("error")
def looks_where_nothing_is(world: World) -> Iterator[Fault]:
    """A provision looks for something on an item that never shows it.

    Diagnoses, findings and documents stand on the claim itself; modifiers, revenue codes and procedure codes on its
    lines. A provision on lines that is about a diagnosis never applies, and a criterion that looks for one on the
    line is never met.

    Solution: Correct `pol:checks`; or say where the criterion looks: `pol:looksAt pol:ClaimItself`, `pol:AnyLine`
    or `pol:WholeClaim`.

    Example:
        :trial
            a pol:Provision ;
            rdfs:label "A trial carries its diagnosis"@en ;
            pol:scope scope:medicare-part-b-claims ;
            pol:about icd10:Z00.6 ;
            pol:checks clm:Line ;
            pol:requires criterion:modifier-KX ;
            pol:cites stmt:mm14204.kx.historic .
    """
    shown = _shown_on(world)
    item = {CLM.Claim, CLM.Line}
    told: set[str] = set()
    for provision in world.here(POL.Provision):
        checks = set(world.names(provision, POL.checks)) & item
        about = [thing for thing in world.names(provision, POL.about) if thing in shown]
        if not checks or not world.in_path(provision):
            continue
        if about and not any(shown[thing] & checks for thing in about):
            yield Fault(
                provision,
                POL.checks,
                world.objects(provision, POL.checks)[0],
                message=f"It never applies: {world.name(about[0])} is shown on {_items(shown[about[0]])}, "
                f"and pol:checks names {_items(checks)}",
            )
        for place in (POL.requires, POL.when, POL.unless, POL.prohibits):
            for criterion in world.names(provision, place):
                wanted = [thing for thing in world.names(criterion, POL.expects) if thing in shown]
                if POL.Shows not in world.names(criterion, TYPE) or not wanted or criterion in told:
                    continue
                if criterion.startswith("_:"):  # it should have a name first:
                    continue
                where = next(iter(world.names(criterion, POL.looksAt)), POL.ThisItem)
                seen = {POL.ThisItem: checks, POL.ClaimItself: {CLM.Claim}, POL.AnyLine: {CLM.Line}}.get(where, item)
                if not any(shown[thing] & seen for thing in wanted):
                    told.add(criterion)
                    here = world.in_path(criterion) and not criterion.startswith("_:")
                    yield Fault(
                        *((criterion, POL.expects, wanted[0]) if here else (provision, place, criterion)),
                        message=f"It looks for {world.name(wanted[0])} on {_items(seen)}, "
                        f"and only {_items(shown[wanted[0]])} shows that",
                        hint="say where it looks (pol:looksAt pol:ClaimItself, pol:AnyLine or pol:WholeClaim)"
                        + (f": {world.name(provision)} checks {_items(checks)}" if where == POL.ThisItem else ""),
                    )


def _items(kinds: set[str]) -> str:
    names = {CLM.Claim: "the claim itself", CLM.Line: "a line"}
    return " or ".join(names[kind] for kind in sorted(kinds))


@rule("error")
def goes_in_circles(world: World) -> Iterator[Fault]:
    """Something is wider than itself, a member of itself, or overrides what overrides it.

    Broader things, groups and overriding each lead somewhere: to what is widest, to single criteria, to the rule
    that wins. In a circle there is no end.

    Solution: Take out the link that goes the wrong way.

    Example:
        finding:example-one
            a cod:Code ;
            rdfs:label "one finding"@en ;
            skos:inScheme scheme:finding ;
            skos:broader finding:example-two .

        finding:example-two
            a cod:Code ;
            rdfs:label "another finding"@en ;
            skos:inScheme scheme:finding ;
            skos:broader finding:example-one .
    """
    for predicate in (SKOS.broader, POL.member, POL.overrides, COD.replaces):
        told: set[str] = set()
        for file in world.checked:
            for subject, said in file.about.items():
                if subject in told or predicate not in said:
                    continue
                circle = _circle(world, subject, predicate)
                if circle:
                    told.update(circle)
                    shown = " → ".join(world.name(thing) for thing in [*circle, subject])
                    yield Fault(
                        subject,
                        predicate,
                        circle[1] if len(circle) > 1 else subject,
                        file=file,
                        message=f"{world.name(predicate)} goes in a circle",
                        hint=shown,
                    )


def _circle(world: World, start: str, predicate: str) -> list[str]:
    """The way from a thing back to itself, or nothing."""
    ways = {start: [start]}
    waiting = [start]
    while waiting:
        thing = waiting.pop(0)
        for following in world.names(thing, predicate):
            if following == start:
                return ways[thing]
            if following not in ways:
                ways[following] = [*ways[thing], following]
                waiting.append(following)
    return []


# --- Codes and their days ---------------------------------------------------------------------------------------------


def _required_codes(world: World, provision: str) -> Iterator[tuple[str, str, list[str]]]:
    """What a provision surely requires to be shown: where it is named, the criterion, and what will do."""
    for named in world.names(provision, POL.requires):
        for criterion in _all_of(world, [named], POL.AllOf):
            if {POL.Shows, POL.OnAnotherDay}.intersection(world.names(criterion, TYPE)):
                yield named, criterion, world.names(criterion, POL.expects)


def _valid_days(world: World, code: str, provision: str) -> list[tuple[date, date]] | None:
    """Periods in which a code may be billed in the settings of a provision; None where it may on any day."""
    settings = [s for scope in world.names(provision, POL.scope) for s in world.names(scope, POL.setting)]
    found = []
    for validity in world.names(code, COD.validity):
        limits = world.names(validity, COD.inSetting)
        if limits and settings and not any(world.meet(limit, setting) for limit in limits for setting in settings):
            continue
        period = own_period(world, validity)
        found.append((period.possible_from, period.possible_until))
    return found or None


def _uncovered(first: date, last: date, spans: list[tuple[date, date]]) -> tuple[date, date] | None:
    """The first days of a period that no span covers."""
    for begins, ends in sorted(spans):
        if begins > first:
            return first, min(last, _before(begins))
        if ends >= first:
            if ends >= last:
                return None
            first = ends + ONE_DAY
    return (first, last) if first <= last else None


def _code_days(world: World) -> Iterator[tuple[str, str, str, list[str], Period, list[tuple[date, date]]]]:
    for provision in world.here(POL.Provision):
        period = periods(world)[provision]
        if period.certain_from > period.certain_until:
            continue
        for named, criterion, codes in _required_codes(world, provision):
            several = [_valid_days(world, code, provision) for code in codes]
            if several and all(several):  # one that may be billed on any day is enough
                spans = [span for days in several for span in days or ()]
                yield provision, named, criterion, codes, period, spans


@rule("error")
def code_never_valid(world: World) -> Iterator[Fault]:
    """A provision requires, or is about, codes that are valid on none of its days.

    A code has days on which it may be billed (`cod:validity`). Required outside of them, it can be sent by nobody:
    the rule makes every claim wrong. A rule about such codes alone is never looked at on a claim that is right.

    Solution: Name the code that is valid on those days (`cod:replaces` tells it), or mend the days.

    Example:
        :old-code
            a pol:Provision ;
            rdfs:label "CAR-T is billed with 0540T"@en ;
            pol:scope scope:commercial-and-medicaid-outpatient ;
            pol:about service:car-t-therapy ;
            pol:checks clm:Claim ;
            pol:effectiveFrom "2025-07-01"^^xsd:date ;
            pol:requires :line-with-0540T ;
            pol:cites stmt:astct.cpt.0540t.op .

        :line-with-0540T
            a pol:Shows ;
            rdfs:label "a line with 0540T"@en ;
            pol:looksAt pol:AnyLine ;
            pol:expects cpt:0540T .
    """
    for provision, named, criterion, codes, period, spans in _code_days(world):
        if all(last < period.certain_from or first > period.certain_until for first, last in spans):
            yield _code_fault(
                world, provision, named, criterion, codes, period, "on none of the days of this provision"
            )
    for provision in world.here(POL.Provision):
        about = world.names(provision, POL.about)
        valid = [_valid_days(world, code, provision) for code in about]
        period = periods(world)[provision]
        if about and not period.empty and all(valid):
            known = [span for days in valid for span in days or ()]
            if all(last < period.possible_from or first > period.possible_until for first, last in known):
                told = "; ".join(dict.fromkeys(_days(*span) for span in known))
                yield Fault(
                    provision,
                    POL.about,
                    about[0],
                    message=f"It is about {', '.join(map(world.name, about))}, valid on none of its days",
                    hint=f"it holds {_days(period.possible_from, period.possible_until)}, and the codes {told}",
                )


@rule("warning")
def code_not_always_valid(world: World) -> Iterator[Fault]:
    """A provision requires a code that is not valid on all of its days.

    On some days on which the provision holds, none of the codes that it requires may be billed.

    Solution: Write two provisions, one for each code and its days; or add the code of the other days to
    `pol:expects`.

    Example:
        :new-code
            a pol:Provision ;
            rdfs:label "CAR-T is billed with 38228"@en ;
            pol:scope scope:commercial-and-medicaid-outpatient ;
            pol:about service:car-t-therapy ;
            pol:checks clm:Claim ;
            pol:effectiveFrom "2024-07-01"^^xsd:date ;
            pol:requires :line-with-38228 ;
            pol:cites stmt:astct.cpt.38228.op .

        :line-with-38228
            a pol:Shows ;
            rdfs:label "a line with 38228"@en ;
            pol:looksAt pol:AnyLine ;
            pol:expects cpt:38228 .
    """
    for provision, named, criterion, codes, period, spans in _code_days(world):
        # A provision without a first day says nothing of the days before its codes.
        first = period.certain_from if period.certain_from > date.min else min(begins for begins, _ in spans)
        gap = _uncovered(first, period.certain_until, spans)
        if gap and any(last >= period.certain_from and begins <= period.certain_until for begins, last in spans):
            yield _code_fault(world, provision, named, criterion, codes, period, _days(*gap) + " it is not")


def _code_fault(
    world: World, provision: str, named: str, criterion: str, codes: list[str], period: Period, when: str
) -> Fault:
    shown = ", ".join(world.name(code) for code in codes)
    verb = "is valid" if "none" in when else "is required, and"
    spans = (
        f"{world.name(code)}: {_days(*span)}" for code in codes for span in _valid_days(world, code, provision) or ()
    )
    days = "; ".join(dict.fromkeys(spans))
    return Fault(
        provision,
        POL.requires,
        named,
        message=f"{shown} {verb} {when}" if "none" in when else f"{shown} {verb} {when} valid",
        hint=f"it holds {_days(period.certain_from, period.certain_until)}; {days}",
    )


@rule("error")
def overlapping_validities(world: World) -> Iterator[Fault]:
    """A code has two validities for one setting on the same day.

    Each validity is a period of its own with its own sources. Two that overlap say twice when a code began or
    ended, and one of them is wrong, or they are one.

    Solution: Make one of both, with the statements of both; or mend the days.

    Example:
        finding:example-code
            a cod:Code ;
            rdfs:label "a code"@en ;
            skos:inScheme scheme:finding ;
            cod:validity :first-half , :whole-year .

        :first-half
            a cod:Validity ;
            rdfs:label "a code, in the first half of 2025"@en ;
            pol:effectiveFrom "2025-01-01"^^xsd:date ;
            pol:effectiveUntil "2025-06-30"^^xsd:date ;
            pol:cites stmt:mm14204.effective .

        :whole-year
            a cod:Validity ;
            rdfs:label "a code, in 2025"@en ;
            pol:effectiveFrom "2025-06-01"^^xsd:date ;
            pol:effectiveUntil "2025-12-31"^^xsd:date ;
            pol:cites stmt:mm14204.effective .
    """
    for code in world.here(COD.Code):
        validities = sorted(world.names(code, COD.validity))
        for one, other in itertools.combinations(validities, 2):
            if set(world.names(one, COD.inSetting)) != set(world.names(other, COD.inSetting)):
                continue
            mine, its = own_period(world, one), own_period(world, other)
            first, last = max(mine.certain_from, its.certain_from), min(mine.certain_until, its.certain_until)
            if first <= last and not (mine.empty or its.empty):
                yield Fault(
                    code,
                    COD.validity,
                    other,
                    message=f"{world.name(one)} and {world.name(other)} both hold {_days(first, last)}",
                )


# --- The ledger -------------------------------------------------------------------------------------------------------


@rule("error")
def statement_not_used(world: World) -> Iterator[Fault]:
    """Nothing rests on a statement, and it does not say why.

    The statements of a document are its ledger: each is cited by something, or says why nothing rests on it. So it
    can be seen that nothing of the document was forgotten.

    Solution: Cite it where it belongs (`pol:cites`), or give the reason (`pol:notEncoded`).

    Example:
        stmt:example.courtesy
            a pol:Statement ;
            dcterms:isPartOf source:mm14204 ;
            pol:section "Head"@en ;
            pol:quote "We are happy to help."@en ;
            pol:says "Questions are welcome."@en .
    """
    meant = set(unknown_terms(world).values())  # what a misspelt name stands for is told there
    for statement in world.here(POL.Statement):
        if _cited(world, statement) or world.objects(statement, POL.notEncoded) or POL.Source in world.kinds(statement):
            continue
        # Where its source is cited, the statement was meant: that is told there.
        by_source = any(_cited(world, source) for source in world.names(statement, IS_PART_OF))
        if not by_source and statement not in world.doubtful and statement not in meant:
            yield Fault(
                statement,
                message=f"Nothing cites {world.name(statement)}, and it does not say why",
                hint="cite it (pol:cites), or say why nothing rests on it (pol:notEncoded)",
            )


def _cited(world: World, statement: str) -> bool:
    return any(predicate in (POL.cites, SEE_ALSO) for _, predicate in world.users.get(statement, ()))


@rule("error")
def cited_and_not_encoded(world: World) -> Iterator[Fault]:
    """A statement is cited, and says that nothing rests on it.

    One of the two is no longer true.

    Solution: Take out `pol:notEncoded`, or the citation.

    Example:
        stmt:example.effective
            a pol:Statement ;
            dcterms:isPartOf source:mm14204 ;
            pol:section "Head"@en ;
            pol:quote "Effective Date"@en ;
            pol:says "The day from which it holds."@en ;
            pol:notEncoded "It is a heading and says nothing by itself."@en .

        :kx-told
            a pol:Provision ;
            rdfs:label "KX is told of"@en ;
            pol:scope scope:medicare-part-b-claims ;
            pol:about cpt:38228 ;
            pol:checks clm:Line ;
            pol:cites stmt:example.effective .
    """
    for statement in world.of(POL.Statement):
        citing = sorted(
            subject
            for subject, predicate in world.users.get(statement, ())
            if predicate == POL.cites and {POL.Provision, POL.Amendment} & world.kinds(subject)
        )
        if citing and world.objects(statement, POL.notEncoded) and (told := _told_on(world, statement, citing[0])):
            yield Fault(
                told[0],
                POL.notEncoded if told[0] == statement else POL.cites,
                None if told[0] == statement else statement,
                message=f"{world.name(statement)} says that nothing rests on it, and {world.name(citing[0])} cites it",
            )


@rule("warning")
def not_used(world: World) -> Iterator[Fault]:
    """A criterion or scope is defined, and nothing uses it.

    It says nothing to any claim. Often the provision that should name it has another name for it.

    Solution: Use it, or delete it.

    Example:
        scope:example-unused
            a pol:Scope ;
            rdfs:label "Medicare claims, and nobody asks"@en ;
            pol:payer payer:medicare ;
            pol:request request:claim .
    """
    meant = set(unknown_terms(world).values())  # what a misspelt name stands for is told there
    for thing in world.here(POL.Criterion, POL.Scope):
        if (
            thing not in world.users
            and thing not in meant
            and thing not in world.doubtful
            and not thing.startswith("_:")
        ):
            yield Fault(thing, message=f"Nothing uses {world.name(thing)}")
