"""Turns what a claim writes (codes, names, words) into the register's terms, by the tables in ``policies/`` alone."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from urllib.parse import quote

from chartulary.claim import Claim
from chartulary.facts import Facts, Memory, Text
from chartulary.terms import COD, LABEL, POL, ROOT, SKOS, TYPE

_NO_PAYER, _NO_SETTING = ROOT + "payer/unrecognised", ROOT + "setting/unrecognised"
_NO_BUSINESS, _ANY_BUSINESS = ROOT + "line-of-business/unrecognised", ROOT + "line-of-business/any"
_FORMS = ROOT + "scheme/form"


def folded(text: str) -> str:
    """Text as compared: lower case, single spaces, no space at the ends."""
    return " ".join(text.casefold().split())


def shared(label: str, text: str) -> int:
    """How many words of a label stand in a text."""
    words = set(folded(text).replace("-", " ").replace(".", "").split())
    return len(words & set(folded(label).replace("-", " ").split()))


def _dotted(text: str, after: int | None) -> str:
    return text if after is None or "." in text or len(text) <= after else f"{text[:after]}.{text[after:]}"


@dataclass(frozen=True, slots=True)
class Scheme:
    """A code system or list of the register."""

    iri: str
    label: str
    noun: str
    field: str
    namespace: str
    pattern: re.Pattern[str] | None
    sent_as: frozenset[str]
    dot_after: int | None
    """Where its codes have a dot that senders leave out."""
    repair: str | None
    """``add`` or ``replace``: what mends a claim that lacks a code of this system; None where only a person can."""


class Coding:
    """The code systems, names and words of one snapshot, indexed once. What it has worked out it remembers."""

    def __init__(self, snapshot: Facts) -> None:
        self._facts = snapshot
        self.schemes = [self._scheme(iri) for iri in snapshot.subjects(TYPE, COD.CodeSystem)]
        self._by_field: dict[str, list[Scheme]] = defaultdict(list)
        for scheme in self.schemes:
            self._by_field[scheme.field].append(scheme)
        self._by_iri = {scheme.iri: scheme for scheme in self.schemes}
        self._codes: dict[tuple[str, str], str] = {}
        self._names: dict[str, dict[str, str]] = defaultdict(dict)
        self._words: dict[str, list[tuple[re.Pattern[str], str]]] = defaultdict(list)
        for thing in snapshot.subjects(TYPE, COD.Code):
            scheme_iri = snapshot.value(thing, SKOS.inScheme)
            if not isinstance(scheme_iri, str):
                continue
            for notation in snapshot.objects(thing, SKOS.notation):
                self._codes[scheme_iri, str(notation)] = thing
            self._name(scheme_iri, thing)
            for words in snapshot.objects(thing, COD.text):
                self._words[scheme_iri].append((re.compile(rf"(?<!\w){re.escape(folded(str(words)))}(?!\w)"), thing))
        for kind in (POL.Payer, POL.LineOfBusiness, POL.Setting, POL.Request, POL.Source, POL.Policy):
            for thing in snapshot.subjects(TYPE, kind):
                self._name(kind, thing)
        # Claims write the same few things again and again.
        self._codes_known = Memory(self._find_code)
        self._named_known = Memory(self._find_named)
        self._words_known = Memory(self._find_words)
        self._payers_known = Memory(self._find_payer_and_business)
        self._settings_known = Memory(self._find_setting)

    def _scheme(self, iri: str) -> Scheme:
        def text(predicate: str) -> str | None:
            value = self._facts.value(iri, predicate)
            return None if value is None else str(value)

        pattern, repair = text(COD.pattern), text(COD.repair)
        return Scheme(
            iri=iri,
            label=text(LABEL) or iri,
            noun=text(COD.noun) or "",
            field=(text(COD.field) or "").rsplit("#", 1)[-1],
            namespace=text(COD.namespace) or "",
            pattern=re.compile(pattern) if pattern else None,
            dot_after=int(text(COD.dotAfter) or 0) or None,
            sent_as=frozenset(str(value) for value in self._facts.objects(iri, COD.sentAs)),
            repair=repair.rsplit("#", 1)[-1] if repair else None,
        )

    def _name(self, kind: str, thing: str) -> None:
        for predicate in (LABEL, SKOS.altLabel):
            for name in self._facts.objects(thing, predicate):
                self._names[kind][folded(str(name))] = thing
        self._names[kind].setdefault(folded(thing.rsplit("/", 1)[-1]), thing)

    # --- Codes --------------------------------------------------------------------------------------------------------

    def code(self, field: str, text: str, sent_as: str | None = None) -> tuple[str, str] | None:
        """IRI and scheme of a code in a field (``procedureCode``, ``modifier``, …), registered or not.

        ``sent_as`` is the code system as the claim writes it; None takes the system whose pattern fits. None is
        returned for a code of a system that the register does not know.
        """
        return self._codes_known[field, text, sent_as]

    def _find_code(self, asked: tuple[str, str, str | None]) -> tuple[str, str] | None:
        field, text, sent_as = asked
        text = text.strip().upper()
        written = [(scheme, _dotted(text, scheme.dot_after)) for scheme in self._taking(field, sent_as)]
        for scheme, notation in written:
            if (iri := self._codes.get((scheme.iri, notation))) is not None:
                return iri, scheme.iri
        for scheme, notation in written:
            if scheme.pattern and scheme.pattern.fullmatch(notation):
                return scheme.namespace + quote(notation, safe="."), scheme.iri
        return None

    def is_listed(self, code: str) -> bool:
        """Whether the register says anything of a code."""
        return code in self._facts.relation(POL.within)

    def takes(self, field: str, sent_as: str | None) -> bool:
        """Whether a field has a code system of that name; a code of another system is nobody's mistake."""
        return bool(self._taking(field, sent_as))

    def _taking(self, field: str, sent_as: str | None) -> list[Scheme]:
        return [s for s in self._by_field[field] if sent_as is None or not s.sent_as or sent_as in s.sent_as]

    def noun(self, field: str) -> str:
        """What a code in a field is called."""
        return self._by_field[field][0].noun

    def find_code(self, text: str) -> list[str]:
        """Registered codes with this notation, in any code system, or with this IRI."""
        wanted = text.strip().upper()
        return sorted({iri for (_, notation), iri in self._codes.items() if notation.upper() == wanted or iri == text})

    def scheme_of(self, thing: str) -> Scheme | None:
        iri = self._facts.value(thing, SKOS.inScheme) or thing
        return self._by_iri.get(iri) if isinstance(iri, str) else None

    def named(self, kind: str, name: str) -> str | None:
        """The thing of a kind (a code scheme, ``pol:Payer``, …) with this label, other name, IRI or last part of it."""
        return self._named_known[kind, name]

    def _find_named(self, asked: tuple[str, str]) -> str | None:
        kind, name = asked
        names = self._names[kind]
        return names.get(folded(name)) or next((thing for thing in names.values() if thing == name), None)

    def names(self, kind: str) -> list[str]:
        """Every name that :meth:`named` would find, for suggestions."""
        return sorted(self._names[kind])

    def narrower(self, head: str, name: str) -> str | None:
        """What a value names among the things that are narrower than a head."""
        wanted = folded(name)
        tail = f"{head.rsplit('/', 1)[-1]}-{wanted.replace(' ', '-')}"
        for thing in self.all_narrower(head):
            labels = {folded(str(x)) for p in (LABEL, SKOS.altLabel) for x in self._facts.objects(thing, p)}
            if wanted in labels or thing.rsplit("/", 1)[-1] in (tail, wanted):
                return thing
        return None

    def all_narrower(self, head: str) -> list[str]:
        """Everything under a head, the head itself left out."""
        return [thing for thing in self._facts.subjects(POL.within, head) if thing != head]

    def is_within(self, thing: str, head: str) -> bool:
        return self._facts.has(thing, POL.within, head)

    def is_exclusive(self, head: str) -> bool:
        """Whether a claim has one thing only of what is under a head."""
        return self._facts.has(head, COD.exclusive, True)

    def none_means_unknown(self, thing: str) -> bool:
        """Whether a null for this fact says that nobody has judged it, not that it is not so."""
        return self._facts.has(thing, COD.noneMeansUnknown, True)

    def in_words(self, scheme: str, text: str) -> list[str]:
        """What a description or note speaks of."""
        return self._words_known[scheme, text]

    def _find_words(self, asked: tuple[str, str]) -> list[str]:
        scheme, text = asked
        words = folded(text)
        return [thing for pattern, thing in self._words[scheme] if pattern.search(words)]

    # --- Payer, line of business, setting -----------------------------------------------------------------------------

    def setting(self, claim: Claim) -> str:
        return self._settings_known[claim.setting, (claim.bill_type or "")[:3], claim.form]

    def _find_setting(self, asked: tuple[str | None, str, str | None]) -> str:
        setting, bill_type, form = asked
        facts = self._facts
        if setting:
            return self.named(POL.Setting, setting) or _NO_SETTING
        if bill_type:
            return next(iter(facts.subjects(POL.billType, Text(bill_type))), _NO_SETTING)
        for known in self._names[_FORMS].values():
            if form and facts.has(known, SKOS.notation, Text(form)):
                for by_form in facts.subjects(POL.form, known):
                    return by_form
        return _NO_SETTING

    def is_stay(self, setting: str) -> bool:
        """Whether a claim of this setting is dated by a stay, not by its lines."""
        return self._facts.has(setting, POL.datedByStay, True)

    def payer_and_business(self, claim: Claim, setting: str) -> tuple[str, str]:
        """Who is asked, under which line of business: what the claim names wins, then what alone fits."""
        sent = claim.payer
        return self._payers_known[claim.line_of_business, sent.name, sent.id, sent.filing_indicator, setting]

    def _find_payer_and_business(
        self, asked: tuple[str | None, str | None, str | None, str | None, str]
    ) -> tuple[str, str]:
        named, name, identifier, indicator, setting = asked
        facts = self._facts
        payer = self._payer(name, identifier)
        if named:
            business = self.named(POL.LineOfBusiness, named)
            if business and payer is None:
                payer = self._owner(business)
            return payer or _NO_PAYER, business or _NO_BUSINESS
        fitting = [b for b in facts.subjects(TYPE, POL.LineOfBusiness) if self._fits(b, indicator, payer, setting)]
        business = self._sure(fitting, payer)
        if payer is None:
            owners = {self._owner(b) for b in fitting}
            payer = owners.pop() if len(owners) == 1 else None
        return payer or _NO_PAYER, business or _NO_BUSINESS

    def _owner(self, business: str) -> str | None:
        owner = self._facts.value(business, POL.ofPayer)
        return owner if isinstance(owner, str) else None

    def _sure(self, fitting: list[str], payer: str | None) -> str | None:
        """The narrowest line of business that takes in all that fit; a stranger's own lines don't count."""
        if payer is None and (anyones := [b for b in fitting if self._owner(b) is None]):
            fitting = anyones
        if not fitting:
            return None
        within = self._facts.relation(POL.within)
        common = {str(b) for b in set.intersection(*({*within.get(b, ())} for b in fitting))} - {_ANY_BUSINESS}
        sure = [b for b in common if common <= {*within.get(b, ())}]
        return sure[0] if len(sure) == 1 else None

    def _payer(self, name: str | None, identifier: str | None) -> str | None:
        if identifier:
            for by_id in self._facts.subjects(POL.payerId, Text(identifier)):
                return by_id
        return self.named(POL.Payer, name) if name else None

    def _fits(self, business: str, indicator: str | None, payer: str | None, setting: str) -> bool:
        facts = self._facts
        if payer is not None and not (
            facts.has(business, POL.ofPayer, payer) or facts.has(payer, POL.offers, business)
        ):
            return False
        if indicator and not facts.has(business, POL.filingIndicator, Text(indicator)):
            return False
        if payer is None and not indicator:
            return False
        settings = facts.objects(business, POL.inSetting)
        return not settings or setting in settings
