"""What made-up claims are made of: the register made ready, and a claim as it grows.

`World` reads from the register, once, who can be billed for what and when, and turns each provision and criterion into
something that can be done to a `Draft`: meet it, or break it. ``generate.py`` decides what is done to which draft.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from rdflib import RDF, RDFS, Node, URIRef
from rdflib import Literal as Value
from rdflib.namespace import SKOS

from chartulary import Register
from chartulary.claim import FindingValue, Request
from chartulary.namespaces import CLM, COD, POL, ROOT

Carrier: TypeAlias = Literal["837I", "837P", "tuva", "json"]
"""What the claims must fit into: an 837 of one kind, the Tuva table, or claim JSON, which carries everything."""

# --- What hospitals and physicians bill besides -----------------------------------------------------------------------
# HCPCS code, revenue code, least and most charge in dollars, most units.

_Extra: TypeAlias = tuple[str | None, str, int, int, int]
_OUTPATIENT: tuple[_Extra, ...] = (
    ("36415", "0300", 12, 60, 1),
    ("80053", "0301", 60, 380, 1),
    ("83615", "0301", 30, 160, 1),
    ("82728", "0301", 40, 210, 1),
    ("86140", "0302", 30, 150, 1),
    ("85025", "0305", 35, 190, 1),
    ("96413", "0335", 600, 2400, 1),
    ("96415", "0335", 150, 700, 3),
    ("J9070", "0636", 90, 900, 20),
    ("J9185", "0636", 120, 800, 4),
    ("J3262", "0636", 2000, 6500, 480),
    ("J1100", "0636", 4, 40, 10),
    ("J7030", "0258", 20, 130, 2),
    ("G0463", "0510", 180, 640, 1),
    ("93306", "0480", 900, 3800, 1),
    ("78815", "0404", 4200, 9800, 1),
    ("36430", "0391", 500, 1600, 1),
    ("P9037", "0390", 700, 2100, 2),
)
_INPATIENT: tuple[_Extra, ...] = (
    (None, "0120", 1800, 5200, 0),
    (None, "0206", 3900, 8800, 0),
    (None, "0250", 800, 28000, 90),
    (None, "0258", 150, 2600, 30),
    (None, "0270", 90, 4800, 60),
    (None, "0300", 400, 9800, 80),
    (None, "0305", 300, 4200, 40),
    (None, "0390", 700, 6400, 6),
    (None, "0450", 900, 5600, 1),
    (None, "0636", 2000, 31000, 30),
    (None, "0730", 150, 1100, 3),
)
_OFFICE: tuple[_Extra, ...] = (
    ("99204", "", 190, 460, 1),
    ("99214", "", 120, 340, 1),
    ("99215", "", 170, 480, 1),
    ("36415", "", 8, 30, 1),
    ("85025", "", 15, 70, 1),
    ("80053", "", 18, 90, 1),
    ("96413", "", 240, 720, 1),
    ("38222", "", 310, 980, 1),
)
_BEDSIDE: tuple[_Extra, ...] = (
    ("99222", "", 190, 440, 1),
    ("99232", "", 90, 240, 1),
    ("99233", "", 140, 330, 1),
    ("99291", "", 330, 900, 1),
    ("99239", "", 150, 340, 1),
    ("38222", "", 310, 980, 1),
)
# Revenue codes under which hospitals charge a CAR-T service, and what they ask for it (least, most, in dollars).
_CHARGED_UNDER: Mapping[str, tuple[tuple[str, ...], int, int]] = {
    "car-t-cell-collection": (("0871", "0871", "0871", "0870", "0300"), 2400, 14800),
    "car-t-cell-processing": (("0872", "0873", "0872", "0873", "0870"), 900, 7600),
    "car-t-administration": (("0874", "0874", "0874", "0874", "0260", "0636"), 480, 9200),
    "car-t-product": (("0891", "0891", "0891", "0636"), 373000, 655000),
    "unlisted-procedure": (("0874", "0871", "0872", "0361"), 900, 9800),
    "unclassified-drug": (("0891", "0636"), 373000, 655000),
}
_ELSEWHERE = (("0636", "0510", "0260"), 200, 4200)
_SHARE = {"car-t-administration": 8, "car-t-cell-collection": 3, "car-t-cell-processing": 3, "unlisted-procedure": 2}
_DESCRIPTIONS = {
    "unlisted-procedure": ("CAR-T INFUSION ALLOGENEIC", "CAR-T CELL ADMINISTRATION", "CELL HARVEST FOR CAR-T"),
    "unclassified-drug": ("CAR-T PRODUCT", "UNCLASSIFIED BIOLOGIC"),
}
ELSE = (
    *("I10", "E11.9", "J18.9", "N39.0", "M54.50", "K35.80", "I50.23", "S72.001A", "Z00.00", "R07.9", "C50.911"),
    *("C34.11", "D50.9", "F32.A"),
)
_GIVEN_FOR: Mapping[str, str] = {
    "tisagenlecleucel": "acute-lymphoblastic-leukaemia dlbcl follicular-lymphoma",
    "axicabtagene ciloleucel": "dlbcl pmbcl follicular-lymphoma",
    "brexucabtagene autoleucel": "mantle-cell-lymphoma acute-lymphoblastic-leukaemia",
    "lisocabtagene maraleucel": "dlbcl cll follicular-lymphoma mantle-cell-lymphoma",
    "idecabtagene vicleucel": "multiple-myeloma",
    "ciltacabtagene autoleucel": "multiple-myeloma",
    "obecabtagene autoleucel": "acute-lymphoblastic-leukaemia",
}
_STRANGERS = {
    "12": ("BLUE CROSS BLUE SHIELD OF ILLINOIS", "ANTHEM PPO"),
    "13": ("UNITEDHEALTHCARE CHOICE POS",),
    "14": ("CIGNA OPEN ACCESS EPO",),
    "15": ("MUTUAL INDEMNITY",),
    "16": ("HUMANA GOLD PLUS", "AARP MEDICARE ADVANTAGE", "AETNA MEDICARE"),
    "BL": ("BLUE CROSS BLUE SHIELD OF TEXAS", "BLUE SHIELD OF CALIFORNIA"),
    "CI": ("AETNA", "CIGNA HEALTHCARE", "UNITEDHEALTHCARE", "OPTUM TRANSPLANT"),
    "HM": ("KAISER PERMANENTE",),
    "MC": ("TEXAS MEDICAID", "MEDI-CAL", "OHIO MEDICAID"),
}
_NOBODYS = (("CH", "TRICARE EAST"), ("VA", "VA COMMUNITY CARE"), ("WC", "STATE INSURANCE FUND"), ("AM", "GEICO"))


def made_number(rng: random.Random, letters: str, digits: int) -> str:
    return f"{letters}{int(rng.random() * 10**digits):0{digits}d}"


def shifted(day: date, days: int) -> date:
    return date.fromordinal(day.toordinal() + days)


def months_before(day: date, months: int) -> date:
    years, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(years, month + 1, min(day.day, last))
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")


# --- The register, made ready -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """A payer with a line of business, by the names that claims give them."""

    payer: URIRef
    business: URIRef
    names: tuple[str, ...]
    ids: tuple[str, ...]
    indicators: tuple[str, ...]
    business_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    iri: URIRef
    name: str
    is_stay: bool
    is_professional: bool
    bill_types: tuple[str, ...]


@dataclass(eq=False, slots=True)
class Context:
    """Who is asked, where care was given, and for what: payment or prior authorisation."""

    plan: Plan
    setting: Setting
    request: Request
    weight: float
    provisions: list[Rule]
    """In order: what has a condition comes after what has none."""
    by_service: dict[str, list[Rule]]
    conditions: list[Criterion]
    """Of those provisions, each once."""


@dataclass(eq=False, slots=True)
class Rule:
    """A provision, as far as a claim can be made to meet or break it."""

    iri: str
    policy: str
    scopes: list[tuple[set[Node], set[Node], set[Node], set[Node]]]
    about: list[Option]
    shown_by: dict[str, frozenset[str]]
    """What it is about, by field."""
    heads: set[Node]
    on_lines: bool
    first: date
    last: date
    days: list[date]
    when: list[Criterion]
    unless: list[Criterion]
    requires: list[Criterion]
    prohibits: list[Criterion]
    contexts: list[Context]
    in_doubt: bool
    """What sets other provisions aside: its conditions are seldom met unless a claim is aimed at it."""

    def concerns(self, draft: Draft) -> bool:
        """Whether the claim is about its matter; a line that is comes into focus."""
        if not self.first <= draft.day <= self.last:
            return False
        if not self.on_lines:
            return any(draft.shows(field, texts, "WholeClaim") for field, texts in self.shown_by.items())
        for position, line in enumerate(draft.lines):
            for field, texts in self.shown_by.items():
                if field in LINE_FIELDS and line[LINE_FIELDS[field]] in texts:
                    draft.focus = position
                    return True
        return False

    def satisfy(self, draft: Draft, *, told: bool) -> None:
        for criterion in self.when:
            if not criterion.holds(draft):
                return
        for criterion in self.unless:
            if criterion.holds(draft):
                return
        for criterion in self.requires:
            if (told or criterion.on_form) and not criterion.holds(draft):
                criterion.make(draft, True)
        for criterion in self.prohibits:
            if told or criterion.on_form:
                criterion.make(draft, False)


@dataclass(frozen=True, slots=True)
class Option:
    """A thing that a claim can show: the field that holds it, and what is written there."""

    field: str
    text: str
    first: date = date.min
    last: date = date.max


@dataclass(eq=False, slots=True)
class Criterion:
    make: Callable[[Draft, bool], None]
    """Change the draft so that the criterion is met, or not met."""
    holds: Callable[[Draft], bool]
    on_form: bool
    """Whether claim forms show it."""


class World:
    """All that claims are made of, read once from a snapshot."""

    def __init__(self, register: Register) -> None:
        self.graph = graph = register.snapshot().graph
        self._within: dict[Node, set[Node]] = defaultdict(set)
        self._under: dict[Node, list[Node]] = defaultdict(list)
        for thing, head in in_order(graph.subject_objects(POL.within)):
            self._within[thing].add(head)
            self._under[head].append(thing)
        self._fields = {
            scheme: str(graph.value(scheme, COD.field)).rsplit("#", 1)[-1]
            for scheme in in_order(graph.subjects(RDF.type, COD.CodeSystem))
        }
        self._options: dict[Node, list[Option]] = {}
        self._criteria: dict[Node, Criterion] = {}
        self._read_codes()
        self._read_contexts()
        self._read_rules()

    def names(self, thing: Node) -> tuple[str, ...]:
        graph = self.graph
        return tuple(
            [str(label) for label in in_order(graph.objects(thing, RDFS.label))]
            + [str(label) for label in in_order(graph.objects(thing, SKOS.altLabel))]
        )

    # Codes and products

    def _read_codes(self) -> None:
        graph = self.graph
        self.headings = sorted(
            str(graph.value(code, SKOS.notation)) for code in graph.subjects(COD.heading, Value(True))
        )
        self.replaced = {
            str(graph.value(new, SKOS.notation)): str(graph.value(old, SKOS.notation))
            for new, old in in_order(graph.subject_objects(COD.replaces))
        }
        self.places = [option.text for option in self.options(URIRef(f"{ROOT}scheme/place-of-service"))]
        self.services = {
            tail(service): codes
            for service in self._under[URIRef(f"{ROOT}scheme/service")]
            if (codes := [o for code in in_order(graph.subjects(SKOS.broader, service)) for o in self._own(code)])
            and (codes := [o for o in codes if o.field == "procedureCode"])
        }
        self.service_pool = [name for name in self.services for _ in range(_SHARE.get(name, 1))]
        describing: dict[Node, list[Node]] = defaultdict(list)
        for code, product in in_order(graph.subject_objects(COD.describes)):
            describing[product].append(code)
        self.products: list[str] = []
        self.supply: dict[str, list[Option]] = {}
        self.infusion: dict[str, list[Option]] = {}
        self.donor: dict[str, str] = {}
        car_t = {o.text for o in self.options(URIRef(f"{ROOT}product/car-t"))}
        for product in self._under[URIRef(f"{ROOT}scheme/product")]:
            name = str(graph.value(product, RDFS.label))
            if len(self._under[product]) > 1 or name not in car_t:
                continue
            heads = in_order(self._within[product])
            found = [o for head in heads for code in describing[head] for o in self._own(code)]
            self.supply[name] = [o for o in found if o.field == "procedureCode" and o.text[0].isalpha()]
            own = [o for code in describing[product] for o in self._own(code) if o.field == "procedure"]
            self.infusion[name] = own or [o for o in found if o.field == "procedure"]
            self.products += [name] * (6 if self.supply[name] else 1)
            allogeneic = any("allogeneic" in str(head) for head in heads)
            self.donor[name] = "allogeneic" if allogeneic else "autologous"
        history = URIRef(f"{ROOT}disease/history")
        diseases = self._under[URIRef(f"{ROOT}scheme/disease")]
        of_disease = {d: [o for o in self.options(d) if o.field == "diagnosis"] for d in diseases}
        self.diagnoses = [of_disease[d] for d in diseases if of_disease[d] and history not in self._within[d]]
        self.given_for = {
            product: [of_disease[d] for d in diseases if tail(d) in names.split() and of_disease[d]]
            for product, names in _GIVEN_FOR.items()
        }
        self.histories = of_disease.get(history, [])
        listed = {o.text for options in of_disease.values() for o in options}
        scheme = URIRef(f"{ROOT}scheme/icd-10-cm")
        self.unlisted = [o.text for o in self.options(scheme) if o.text not in listed] + list(ELSE)

    def _own(self, thing: Node) -> list[Option]:
        """What a claim writes to show exactly this thing."""
        graph = self.graph
        scheme = graph.value(thing, SKOS.inScheme)
        field = self._fields.get(scheme, "") if scheme else ""
        if field in ("finding", "event"):
            return [Option(field, tail(thing))]
        if field in ("product", "document", "attachment", "result"):
            return [Option(field, str(graph.value(thing, RDFS.label)))]
        if field == "note":
            return [Option("note", str(graph.value(thing, SKOS.notation)))]
        if field == "service":
            return [Option("words", str(text)) for text in in_order(graph.objects(thing, COD.text))]
        code = graph.value(thing, SKOS.notation)
        if code is None or (thing, COD.heading, Value(True)) in graph:
            return []
        periods = [self._period(validity) for validity in graph.objects(thing, COD.validity)]
        first = min((period[0] for period in periods), default=date.min)
        return [Option(field, str(code), first, max((period[1] for period in periods), default=date.max))]

    def _period(self, dated: Node) -> tuple[date, date]:
        bounds = [self.graph.value(dated, POL[name]) for name in ("possibleFrom", "possibleUntil")]
        first, last = (bound.toPython() for bound in bounds if isinstance(bound, Value))
        return first, last

    def options(self, thing: Node) -> list[Option]:
        """Everything that shows a thing: for a service or disease its codes, for a code system its registered codes."""
        if thing not in self._options:
            scheme = self.graph.value(thing, SKOS.inScheme)
            alone = scheme and self._fields.get(scheme) in ("finding", "event", "document", "attachment")
            things = [thing] if alone else self._under[thing]
            self._options[thing] = [option for each in things for option in self._own(each)]
        return self._options[thing]

    # Payers, settings, requests

    def _read_contexts(self) -> None:
        graph = self.graph
        stays = set(graph.subjects(POL.datedByStay, Value(True)))
        settings = []
        for iri in in_order(graph.subjects(RDF.type, POL.Setting)):
            bills = tuple(sorted(str(bill) for bill in graph.objects(iri, POL.billType)))
            professional = (iri, POL.form, None) in graph
            if bills or professional:
                settings.append(Setting(iri, self.names(iri)[0], iri in stays, professional, bills))
        self.contexts: list[Context] = []
        plans = list(self._plans())
        alike = Counter(plan.payer for plan in plans)
        for plan in plans:
            inside = set(graph.objects(plan.business, POL.inSetting))
            nobodys = plan.payer == URIRef(f"{ROOT}payer/unrecognised")
            for setting in settings:
                if inside and setting.iri not in inside:
                    continue
                for request in ("claim", "prior-authorization"):
                    weight = 0.4 if nobodys else alike[plan.payer] ** -0.5
                    weight *= 0.1 if setting.is_stay and "part-b" in setting.iri else 1.0
                    weight *= 1.0 if request == "claim" else 0.12
                    self.contexts.append(Context(plan, setting, request, weight, [], {}, []))

    def _plans(self) -> Iterator[Plan]:
        graph = self.graph
        owners = {b: in_order(graph.objects(b, POL.ofPayer)) for b in graph.subjects(RDF.type, POL.LineOfBusiness)}
        stranger, unknown = URIRef(f"{ROOT}payer/unrecognised"), URIRef(f"{ROOT}line-of-business/unrecognised")
        for payer in in_order(graph.subjects(RDF.type, POL.Payer)):
            businesses = {b for b, of in owners.items() if payer in of} | set(graph.objects(payer, POL.offers))
            for business in in_order(businesses):
                yield self._plan(payer, business, self.names(payer))
        for business, of in sorted(owners.items()):
            indicators = [str(code) for code in in_order(graph.objects(business, POL.filingIndicator))]
            if indicators and not of:
                names = [name for code in indicators for name in _STRANGERS.get(code, ())]
                if any((head, POL.filingIndicator, None) in graph for head in graph.objects(business, SKOS.broader)):
                    names = [self.names(business)[0]]  # of one state or kind: its payer is known by that name
                yield self._plan(stranger, business, tuple(names) or ("HEALTH PLAN",))
        for indicator, name in _NOBODYS:
            yield Plan(stranger, unknown, (name,), (), (indicator,), ())

    def _plan(self, payer: Node, business: Node, names: tuple[str, ...]) -> Plan:
        graph = self.graph
        assert isinstance(payer, URIRef) and isinstance(business, URIRef)
        ids = tuple(sorted(str(number) for number in graph.objects(payer, POL.payerId)))
        indicators = tuple(sorted(str(code) for code in graph.objects(business, POL.filingIndicator)))
        return Plan(payer, business, names, ids, indicators, self.names(business))

    # Provisions

    def _read_rules(self) -> None:
        graph = self.graph
        self.boundaries: set[date] = set()
        rules = []
        suspending = set(graph.subjects(POL.suspends, None)) | set(graph.subjects(POL.overrides, None))
        for iri in in_order(graph.subjects(RDF.type, POL.Provision)):
            rule = self._rule(iri, iri in suspending)
            rule.contexts = [context for context in self.contexts if self._binds(rule, context)]
            if rule.contexts and rule.about:
                rules.append(rule)
            for context in rule.contexts:
                context.provisions.append(rule)
        for code in in_order(graph.subjects(COD.validity, None)):
            for validity in graph.objects(code, COD.validity):
                self.boundaries |= around(self._period(validity))
        for day in graph.objects(None, POL.before):
            self.boundaries |= around([day.toPython()] if isinstance(day, Value) else [])
        self.days = sorted(self.boundaries)
        self.ages = sorted({int(str(years)) for years in graph.objects(None, POL.years)})
        self.rules = rules
        for context in self.contexts:
            context.provisions.sort(key=lambda rule: bool(rule.when or rule.unless))
            context.conditions = list(
                {c: None for rule in context.provisions if not rule.in_doubt for c in rule.when if not c.on_form}
            )
            for service, codes in self.services.items():
                shown = {head for code in codes for head in self._heads(code.text)}
                context.by_service[service] = [rule for rule in context.provisions if rule.heads & shown]
            context.by_service[""] = []

    def _heads(self, code: str) -> set[Node]:
        things = self.graph.subjects(SKOS.notation, Value(code))
        return {head for thing in things for head in self._within[thing]} | {URIRef(f"{ROOT}product/car-t")}

    def _rule(self, iri: Node, in_doubt: bool) -> Rule:
        graph = self.graph
        about = in_order(graph.objects(iri, POL.about))
        period = self._period(iri)
        dates = [
            graph.value(iri, POL[name]) for name in ("possibleFrom", "certainFrom", "certainUntil", "possibleUntil")
        ]
        days = sorted(around(day.toPython() for day in dates if isinstance(day, Value)))
        self.boundaries |= set(days)
        places = {name: in_order(graph.objects(iri, POL[name])) for name in ("when", "unless", "requires", "prohibits")}
        criteria = {name: [self.criterion(c) for c in found] for name, found in places.items()}
        options = [option for thing in about for option in self.options(thing)]
        return Rule(
            iri=str(iri),
            policy=str(iri).removeprefix(ROOT + "policy/").partition("#")[0].rpartition("/")[0],
            scopes=[
                (
                    set(graph.objects(scope, POL.payer)),
                    set(graph.objects(scope, POL.lineOfBusiness)),
                    set(graph.objects(scope, POL.setting)),
                    set(graph.objects(scope, POL.request)),
                )
                for scope in in_order(graph.objects(iri, POL.scope))
            ],
            about=options,
            shown_by=_by_field(options),
            heads=set(about),
            on_lines=(iri, POL.checks, CLM.Line) in graph,
            first=period[0],
            last=period[1],
            days=days,
            contexts=[],
            in_doubt=in_doubt,
            **criteria,
        )

    def _binds(self, rule: Rule, context: Context) -> bool:
        request = URIRef(f"{ROOT}request/{context.request}")
        payer, business = self._within[context.plan.payer], self._within[context.plan.business]
        return any(
            payers & payer
            and businesses & business
            and settings & self._within[context.setting.iri]
            and request in asked
            for payers, businesses, settings, asked in rule.scopes
        )

    # Criteria

    def criterion(self, iri: Node) -> Criterion:
        if iri not in self._criteria:
            kinds = [tail(kind) for kind in in_order(self.graph.objects(iri, RDF.type))]
            self._criteria[iri] = next((_KINDS[kind](self, iri) for kind in kinds if kind in _KINDS), _NEUTRAL)
        return self._criteria[iri]

    def shows(self, iri: Node) -> Criterion:
        graph = self.graph
        place = tail(graph.value(iri, POL.looksAt) or POL.ThisItem)
        options = [option for thing in in_order(graph.objects(iri, POL.expects)) for option in self.options(thing)]
        if not options:
            return _NEUTRAL
        texts = _by_field(options)
        fields = sorted(texts)

        def make(draft: Draft, want: bool) -> None:
            if not want:
                for field in fields:
                    draft.hide(field, texts[field], place)
            elif not holds(draft):
                option = draft.pick(options)
                draft.show(option.field, option.text, place)

        def holds(draft: Draft) -> bool:
            return any(draft.shows(field, texts[field], place) for field in fields)

        # A product stands in codes on forms, and a plan's own words for it don't.
        hidden = {"finding", "document", "event", "form"}
        return Criterion(make, holds, not set(fields) & hidden)

    def group(self, iri: Node) -> Criterion:
        members = [self.criterion(member) for member in in_order(self.graph.objects(iri, POL.member))]
        every = (iri, RDF.type, POL.AllOf) in self.graph

        def make(draft: Draft, want: bool) -> None:
            if want == every:
                for member in members:
                    member.make(draft, want)
            else:
                draft.choice(members).make(draft, want)

        def holds(draft: Draft) -> bool:
            return (all if every else any)(member.holds(draft) for member in members)

        return Criterion(make, holds, any(member.on_form for member in members))

    def age_under(self, iri: Node) -> Criterion:
        years = int(str(self.graph.value(iri, POL.years)))

        def make(draft: Draft, want: bool) -> None:
            birthday = months_before(draft.first, 12 * years)
            near = draft.rng.random() < 0.5
            draft.birth_date = (
                shifted(birthday, 1 if near else int(draft.rng.random() * 365 * (years - 1)) + 2)
                if want
                else shifted(birthday, 0 if near else -int(draft.rng.random() * 9000) - 1)
            )

        def holds(draft: Draft) -> bool:
            return draft.birth_date > months_before(draft.first, 12 * years)

        return Criterion(make, holds, True)

    def number_within(self, iri: Node) -> Criterion:
        graph = self.graph
        bounds = {
            name: Decimal(str(graph.value(iri, POL[name]))) for name in ("atLeast", "moreThan", "atMost", "lessThan")
        }
        edges = sorted({value for value in bounds.values() if abs(value) < 10**12})
        near = sorted({max(Decimal(0), edge + step) for edge in edges for step in (-1, 0, 1, 4)})
        inside = [
            n
            for n in near
            if bounds["atLeast"] <= n <= bounds["atMost"] and bounds["moreThan"] < n < bounds["lessThan"]
        ]
        outside = [n for n in near if n not in inside]
        measure = graph.value(iri, POL.measure)
        name = tail(measure) if measure else ""
        on_form = "measure/" in str(measure)

        def make(draft: Draft, want: bool) -> None:
            numbers = inside if want else outside
            if not numbers or (want and holds(draft)):
                return
            number = draft.choice(numbers)
            if not on_form:
                draft.findings[name] = f"{number:f}"
            elif name == "charge":
                draft.line()["cents"] = int(number * 100)
            else:
                draft.line()[name] = int(number)

        def holds(draft: Draft) -> bool:
            found = draft.findings.get(name)
            if on_form:
                found = str(draft.line()["cents"] / 100 if name == "charge" else draft.line().get(name, 0))
            if not isinstance(found, str) or not found.replace(".", "", 1).isdigit():
                return False
            number = Decimal(found)
            return bounds["atLeast"] <= number <= bounds["atMost"] and bounds["moreThan"] < number < bounds["lessThan"]

        return Criterion(make, holds, on_form)

    def event(self, iri: Node) -> Criterion:
        graph = self.graph
        sought = graph.value(iri, POL.event)
        name = tail(sought) if sought else ""
        on_the_day = (iri, RDF.type, POL.EventOnService) in graph
        before = graph.value(iri, POL.before)
        limit = before.toPython() if isinstance(before, Value) else None

        def make(draft: Draft, want: bool) -> None:
            day = limit or draft.day
            steps = (-1, 0, 1) if limit is None else (-1, 0, 0)
            right = [s for s in steps if (s == 0 if on_the_day else s < 0 if limit else s <= 0) == want]
            step = draft.choice(right) * draft.choice((1, 1, 12))
            draft.happened(name, shifted(day, step))

        def holds(draft: Draft) -> bool:
            return bool(limit and name == "submission" and draft.submitted < limit)

        return Criterion(make, holds, name == "submission")

    def document_within(self, iri: Node) -> Criterion:
        graph = self.graph
        kind = self._document(iri)
        limits: dict[str, int | None] = {}
        for name in ("lessThanMonths", "atMostMonths", "lessThanDays", "atMostDays"):
            found = graph.value(iri, POL[name])
            limits[name] = int(str(found)) if found is not None else None

        def make(draft: Draft, want: bool) -> None:
            months = limits["lessThanMonths"] or limits["atMostMonths"]
            days = limits["lessThanDays"] or limits["atMostDays"]
            edge = months_before(draft.submitted, months) if months else shifted(draft.submitted, -(days or 30))
            if limits["lessThanMonths"] or limits["lessThanDays"]:
                edge = shifted(edge, 1)  # now the oldest day that will do
            away = 0 if draft.rng.random() < 0.4 else int(draft.rng.random() * 25) + 1
            day = min(shifted(edge, away), draft.submitted) if want else shifted(edge, -1 - away)
            draft.document(kind, day, draft.choice(("negative", "negative", "")))

        def holds(draft: Draft) -> bool:
            return any(found[0] == kind for found in draft.documents)

        return Criterion(make, holds, False)

    def document_after(self, iri: Node) -> Criterion:
        graph = self.graph
        sought = graph.value(iri, POL.document)
        kind = self._document(iri)
        least = int(str(graph.value(iri, POL.atLeastDays) or 0))
        attached = "attachment/" in str(sought)

        def make(draft: Draft, want: bool) -> None:
            away = draft.choice((0, 1, 9)) if want else draft.choice((-1, -1, -12))
            day = shifted(draft.day, least + away)
            if attached:
                draft.attachments = [(kind, day)]
            else:
                draft.document(kind, day, "")

        return Criterion(make, lambda draft: False, False)

    def document_result(self, iri: Node) -> Criterion:
        kind, result = self._document(iri), self.graph.value(iri, POL.result)
        wanted = str(self.graph.value(result, RDFS.label)) if result else ""
        scheme = URIRef(f"{ROOT}scheme/result")
        others = [o.text for o in self.options(scheme) if o.text != wanted] or [""]

        def make(draft: Draft, want: bool) -> None:
            day = months_before(draft.submitted, draft.choice((1, 2, 5, 14)))
            draft.document(kind, day, wanted if want else draft.choice(others))

        return Criterion(make, lambda draft: (kind, wanted) in [(d[0], d[2]) for d in draft.documents], False)

    def _document(self, iri: Node) -> str:
        kind = self.graph.value(iri, POL.document)
        return str(self.graph.value(kind, RDFS.label)) if kind else ""

    def same_product(self, iri: Node) -> Criterion:
        finding = self.graph.value(iri, POL.finding)
        name = tail(finding) if finding else ""

        def make(draft: Draft, want: bool) -> None:
            draft.told_product = True
            draft.findings[name] = draft.product if want else draft.choice(self.products)

        return Criterion(make, lambda draft: draft.findings.get(name) == draft.product, False)

    def on_another_day(self, iri: Node) -> Criterion:
        options = [option for thing in in_order(self.graph.objects(iri, POL.expects)) for option in self.options(thing)]

        def make(draft: Draft, want: bool) -> None:
            if want and options and draft.lines:
                other = dict(draft.line(), day=shifted(draft.day, draft.choice((1, 2, -1))))
                other[LINE_FIELDS[options[0].field]] = draft.pick(options).text
                draft.lines.append(other)

        return Criterion(make, lambda draft: False, True)

    def code_valid(self, iri: Node) -> Criterion:
        systems = [o for thing in in_order(self.graph.objects(iri, POL.expects)) for o in self.options(thing)]

        def make(draft: Draft, want: bool) -> None:
            if want:
                return
            ended = [o for o in (draft.choice(systems) for _ in range(20)) if not o.first <= draft.day <= o.last]
            if ended:
                draft.show(ended[0].field, ended[0].text, "ThisItem")

        return Criterion(make, lambda draft: True, True)


_NEUTRAL = Criterion(lambda draft, want: None, lambda draft: False, False)
_KINDS: Mapping[str, Callable[[World, Node], Criterion]] = {
    "Shows": World.shows,
    "AllOf": World.group,
    "AnyOf": World.group,
    "AgeUnder": World.age_under,
    "NumberWithin": World.number_within,
    "EventBefore": World.event,
    "EventByService": World.event,
    "EventOnService": World.event,
    "DocumentWithin": World.document_within,
    "DocumentAfterService": World.document_after,
    "DocumentResult": World.document_result,
    "SameProduct": World.same_product,
    "OnAnotherDay": World.on_another_day,
    "CodeValid": World.code_valid,
}
LINE_FIELDS = {
    "procedureCode": "code",
    "revenueCode": "revenue_code",
    "placeOfService": "place_of_service",
    "words": "description",
}


def in_order(nodes: Iterable[Any]) -> list[Any]:
    """Nodes, or tuples of nodes, in an order that is the same in each run."""
    return sorted(nodes, key=str)


def tail(iri: Node) -> str:
    return str(iri).rsplit("#", 1)[-1].rsplit("/", 1)[-1]


def _by_field(options: Iterable[Option]) -> dict[str, frozenset[str]]:
    texts: dict[str, set[str]] = defaultdict(set)
    for option in options:
        texts[option.field].add(option.text)
    return {field: frozenset(found) for field, found in sorted(texts.items())}


def around(days: Iterable[date]) -> set[date]:
    near = [day for day in days if date(2000, 1, 1) < day < date(2100, 1, 1)]
    return {shifted(day, step) for day in near for step in (-1, 0, 1)}


# --- A claim as it grows ----------------------------------------------------------------------------------------------


class Draft:
    """A claim before it is written: criteria and faults change it in place."""

    def __init__(self, world: World, rng: random.Random, context: Context, day: date, carrier: Carrier) -> None:
        self.world, self.rng, self.context, self.day, self.carrier = world, rng, context, day, carrier
        self.first = self.last = day
        self.lines: list[dict[str, Any]] = []
        self.focus = 0
        """The line that a provision is about."""
        self.diagnoses: list[str] = []
        self.procedures: list[str] = []
        self.conditions: list[str] = []
        self.notes: list[str] = []
        self.drg: str | None = None
        self.place: str | None = None
        self.product = ""
        self.told_product = False
        self.findings: dict[str, FindingValue] = {}
        self.documents: list[tuple[str, date, str]] = []
        self.history: list[tuple[str, date | None]] = []
        self.attachments: list[tuple[str, date | None]] = []
        self.birth_date = day
        self.submitted = day
        self.approval: str | None = None
        self.service = ""
        self.form: str | None = None
        """Only where it is the wrong one."""
        self.payer_name = ""
        self.dated = True

    def choice(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.random() * len(items))]

    def pick(self, options: Sequence[Option]) -> Option:
        """One of the options, better one that is valid on the day."""
        option: Option = self.choice(options)
        if not option.first <= self.day <= option.last and (valid := self.valid(options)):
            option = self.choice(valid)
        return option

    def valid(self, options: Iterable[Option]) -> list[Option]:
        return [option for option in options if option.first <= self.day <= option.last]

    def line(self) -> dict[str, Any]:
        if not self.lines:
            self.add_line("", None, "0300", 20, 400, 1)
        return self.lines[min(self.focus, len(self.lines) - 1)]

    def add_line(self, text: str, code: str | None, revenue: str, least: int, most: int, units: int) -> dict[str, Any]:
        line: dict[str, Any] = {
            "code": code,
            "modifiers": [],
            "revenue_code": None if self.context.setting.is_professional else revenue or None,
            "description": text or None,
            "day": self.day,
            "units": units,
            "cents": int((least + self.rng.random() * (most - least)) * 100),
            "place_of_service": None,
        }
        self.lines.append(line)
        return line

    def extra_lines(self, count: int) -> None:
        setting = self.context.setting
        if setting.is_professional:
            table = _OFFICE if self.place in ("11", "19", "22", None) else _BEDSIDE
        else:
            table = _INPATIENT if setting.is_stay else _OUTPATIENT
        billed = {line["code"] or line["revenue_code"] for line in self.lines}
        if setting.is_stay and self.last > self.first and count:
            table = (*_INPATIENT[:2],) if self.rng.random() < 0.6 else table
        for _ in range(count):
            code, revenue, least, most, units = self.choice(table)
            table = _INPATIENT if setting.is_stay else table
            if (code or revenue) in billed:
                continue
            billed.add(code or revenue)
            days = max(1, self.last.toordinal() - self.first.toordinal())
            number = days if not units else 1 + int(self.rng.random() * units)
            line = self.add_line("", code, revenue, least, most, number)
            if not units:
                line["cents"] *= days
                line["unit"] = "DA"

    def service_line(self, service: str, code: str | None) -> dict[str, Any]:
        revenues, least, most = _CHARGED_UNDER.get(service, _ELSEWHERE)
        text = self.choice(_DESCRIPTIONS[service]) if service in _DESCRIPTIONS else ""
        if self.context.setting.is_professional and least < 100000:
            least, most = least // 6, most // 6
        # The first revenue code is the right one, and most hospitals know it.
        revenue = revenues[0] if self.rng.random() < 0.8 else self.choice(revenues)
        return self.add_line(text, code, revenue, least, most, 1)

    def happened(self, event: str, day: date | None) -> None:
        if event == "submission":
            if day and day >= self.day:
                self.submitted = day
        else:
            self.history = [found for found in self.history if found[0] != event] + [(event, day)]

    def document(self, kind: str, day: date, result: str) -> None:
        self.documents = [found for found in self.documents if found[0] != kind] + [(kind, day, result)]

    # What criteria ask

    def _items(self, place: str) -> list[dict[str, Any]]:
        if place == "ThisItem":
            return [self.line()]
        return self.lines

    def shows(self, field: str, texts: frozenset[str], place: str) -> bool:
        if field in LINE_FIELDS:
            name = LINE_FIELDS[field]
            if field == "placeOfService" and self.place in texts:
                return True
            return any(line[name] in texts for line in self._items(place))
        if field == "modifier":
            return any(not texts.isdisjoint(line["modifiers"]) for line in self._items(place))
        if field == "finding":
            return any(self.findings.get(text) not in (None, False) for text in texts)
        if field == "product":
            return self.product in texts
        if field == "diagnosis":
            return not texts.isdisjoint(self.diagnoses)
        if field == "procedure":
            return not texts.isdisjoint(self.procedures)
        if field == "conditionCode":
            return not texts.isdisjoint(self.conditions)
        if field == "drg":
            return self.drg in texts
        if field == "note":
            return not texts.isdisjoint(self.notes)
        if field == "event":
            return any(found[0] in texts for found in self.history) or bool(self.approval and "prior-approval" in texts)
        if field in ("document", "attachment"):
            return any(found[0] in texts for found in (*self.documents, *self.attachments))
        return field == "form" and any(text.endswith("P") == self.context.setting.is_professional for text in texts)

    def show(self, field: str, text: str, place: str) -> None:
        if field in LINE_FIELDS:
            name = LINE_FIELDS[field]
            if field == "placeOfService":
                self.place = text
            elif field == "revenueCode" and self.context.setting.is_professional:
                return
            elif place == "ThisItem" and self.lines:
                self.line()[name] = text
            elif field == "procedureCode":
                self.service_line(self.service, text)
            elif field == "words":
                self.service_line("car-t-product" if "product" in text else self.service, None)[name] = text
            else:
                self.add_line("", None, text, 200, 9000, 1)
        elif field == "modifier":
            self.line()["modifiers"].append(text)
        elif field == "finding":
            self.findings[text] = True
        elif field == "product":
            self.product, self.told_product = text, True
        elif field == "diagnosis":
            self.diagnoses.append(text)
        elif field == "procedure":
            self.procedures = [text]
        elif field == "conditionCode":
            self.conditions.append(text)
        elif field == "drg":
            self.drg = text
        elif field == "note":
            self.notes.append(text)
        elif field == "event":
            day = None if self.rng.random() < 0.2 else shifted(self.day, -int(self.rng.random() * 60))
            if text == "prior-approval" and self.rng.random() < 0.7:
                self.approval = made_number(self.rng, "PA", 8)
            else:
                self.happened(text, day)
        elif field == "document":
            self.document(text, shifted(self.submitted, -int(self.rng.random() * 80)), "")
        elif field == "attachment":
            self.attachments.append((text, None))

    def hide(self, field: str, texts: frozenset[str], place: str) -> None:
        if field in ("procedureCode", "revenueCode", "words"):
            name = LINE_FIELDS[field]
            for line in self._items(place):
                if line[name] in texts:
                    line[name] = "0510" if field == "revenueCode" and self.rng.random() < 0.5 else None
        elif field == "modifier":
            for line in self._items(place):
                line["modifiers"] = [modifier for modifier in line["modifiers"] if modifier not in texts]
        elif field == "finding":
            for text in sorted(texts):
                self.findings[text] = False
        elif field == "product":
            if self.product in texts:
                others = [product for product in self.world.products if product not in texts]
                self.product = self.choice(others) if others else self.product
            self.told_product = True
        elif field == "diagnosis":
            self.diagnoses = [code for code in self.diagnoses if code not in texts]
        elif field == "procedure":
            self.procedures = [code for code in self.procedures if code not in texts]
        elif field == "conditionCode":
            self.conditions = [code for code in self.conditions if code not in texts]
        elif field == "drg":
            self.drg = None
        elif field == "note":
            self.notes = [note for note in self.notes if note not in texts]
        elif field == "event":
            self.history = [found for found in self.history if found[0] not in texts]
            self.approval = None
            for text in sorted(texts):
                self.findings[text] = False
        elif field == "document":
            self.documents = [found for found in self.documents if found[0] not in texts]
        elif field == "attachment":
            self.attachments = [found for found in self.attachments if found[0] not in texts]
        elif field == "placeOfService":
            self.place = next((place for place in self.world.places if place not in texts), None)
