"""Finds records that may be of the person who is being enrolled, and enrols only after staff said who it is.

`enrolment.enrol` itself refuses equal record numbers; what is only likely needs an answer of staff, which is asked for
at the edges: in the form and in the import.
"""

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from operator import attrgetter
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session, contains_eager, selectinload

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.folding import name_key
from pro_tracker.domain.record_numbers import NO_RULES, NumberRules
from pro_tracker.domain.subject_codes import DuplicateSign
from pro_tracker.models.account import Account
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Identity, Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import visibility
from pro_tracker.services.contacts import contacts
from pro_tracker.services.enrolment import enrolment, identity_hashes
from pro_tracker.services.enrolment.facts import EnrolmentFacts, normalise

UNANSWERED = "Say whether this is one of the people below."


@dataclass(frozen=True, slots=True)
class PossibleDuplicate:
    """A record that may be of the same person, and the signs of it."""

    subject: Subject
    signs: tuple[DuplicateSign, ...]


def find(session: Session, facts: EnrolmentFacts) -> list[PossibleDuplicate]:
    """Returns the records, of any site, that may be of the person of these valid facts, by study code.

    Signs are the same birth date together with the same name or the same address, and at the same site a record number
    that differs in leading zeros only. The caller decides how much of a record the reader may see. Of a number that is
    enrolled already nothing is asked: enrolment refuses it.
    """
    rules = identity_hashes.rules_by_site(session).get(facts.site_code, NO_RULES)
    if identity_hashes.holder(session, facts.record_number, rules) is not None:
        return []
    return find_each(session, [facts])[0]


def find_each(session: Session, people: Sequence[EnrolmentFacts]) -> list[list[PossibleDuplicate]]:
    """Returns for each of these people, whose numbers are not enrolled, what `find` does. Two statements for all."""
    rules = identity_hashes.rules_by_site(session)
    all_facts = [normalise(facts) for facts in people]
    subjects = session.scalars(_candidates(all_facts, rules)).unique().all()
    by_hash = defaultdict[bytes | None, list[Subject]](list)
    for subject in subjects:
        for key in {subject.identity.birth_date_hash, subject.identity.bare_number_hash}:
            by_hash[key].append(subject)
    return [_found(facts, by_hash, rules) for facts in all_facts]


def _found(
    facts: EnrolmentFacts, by_hash: Mapping[bytes | None, Sequence[Subject]], rules: Mapping[str, NumberRules]
) -> list[PossibleDuplicate]:
    """Returns the records with a sign, by study code."""
    hashes = (*_birth_date_hashes(facts), *_bare_number_hashes(facts, rules))
    candidates = chain.from_iterable(by_hash.get(key, ()) for key in hashes)
    subjects = {subject.id: subject for subject in candidates}
    in_order = sorted(subjects.values(), key=attrgetter("study_code"))
    found = [PossibleDuplicate(subject, _signs(subject, facts)) for subject in in_order]
    similar = [each for each in found if each.signs]
    ids = {each.subject.id for each in similar}
    return [each for each in similar if each.subject.merged_into_id not in ids]  # the kept record stands for both


def fingerprint(found: Sequence[PossibleDuplicate]) -> str:
    """Returns a hash of the records: staff answer for exactly those that the page showed. "" without any."""
    ids = ",".join(each.subject.id.hex for each in found)  # no study codes: short ones could be guessed from the hash
    return hashlib.sha256(ids.encode()).hexdigest() if ids else ""


def enrol(session: Session, actor: Actor, facts: EnrolmentFacts, *, answered: str, now: datetime) -> Subject:
    """Enrols a person of whom staff said that none of the possible duplicates is the same; the audit trail keeps it.

    `answered`: the `fingerprint` of those that were shown. Raises InvalidInput if others were found since, and as
    `enrolment.enrol` does.
    """
    site = select(Site.id).where(Site.code == facts.site_code).with_for_update()
    session.execute(site)  # two coordinators of one clinic enrol one after the other, and the second is warned
    found = find(session, facts)
    if fingerprint(found) != answered:
        raise InvalidInput(UNANSWERED, field="another_person")
    subject = enrolment.enrol(session, actor, facts, now=now)
    if found:
        _record(session, actor, subject.id, found, now)
    return subject


def visible(found: Sequence[PossibleDuplicate], account: Account) -> list[PossibleDuplicate]:
    """Returns those whose record this account may see; of the others it may learn only that they exist."""
    sites = visibility.sites_of(account)
    site_ids = {site.id for site in sites}
    return [each for each in found if each.subject.site_id in site_ids]


def _record(
    session: Session, actor: Actor, subject_id: uuid.UUID, found: Sequence[PossibleDuplicate], now: datetime
) -> None:
    detail = {"other_than": [each.subject.study_code for each in found]}
    audit.record(session, actor, "subject.distinguish", now=now, subject_id=subject_id, detail=detail)


def _candidates(people: Sequence[EnrolmentFacts], rules: Mapping[str, NumberRules]) -> Any:
    """SQL: subjects with one of the birth dates, or at one of the sites with a number equal but for leading zeros."""
    birth_dates = chain.from_iterable(_birth_date_hashes(facts) for facts in people)
    bare_numbers = chain.from_iterable(_bare_number_hashes(facts, rules) for facts in people)
    same_number = and_(
        Site.code.in_({facts.site_code for facts in people}),
        Identity.bare_number_hash.in_(list(bare_numbers)),
    )
    rows = select(Subject).join(Subject.identity).join(Subject.site)
    rows = rows.where(or_(Identity.birth_date_hash.in_(list(birth_dates)), same_number))
    rows = rows.options(contains_eager(Subject.identity), contains_eager(Subject.site), selectinload(Subject.contacts))
    return rows.order_by(Subject.study_code)


def _birth_date_hashes(facts: EnrolmentFacts) -> Sequence[bytes]:
    return [] if facts.birth_date is None else identity_hashes.birth_date_hashes(facts.birth_date)


def _bare_number_hashes(facts: EnrolmentFacts, rules: Mapping[str, NumberRules]) -> Sequence[bytes]:
    return identity_hashes.bare_number_hashes(facts.record_number, rules.get(facts.site_code, NO_RULES))


def _signs(subject: Subject, facts: EnrolmentFacts) -> tuple[DuplicateSign, ...]:
    identity = subject.identity
    same_birth_date = identity.birth_date == str(facts.birth_date)
    same_name = name_key(identity.given_name, identity.family_name) == name_key(facts.given_name, facts.family_name)
    applies = {
        DuplicateSign.NAME: same_birth_date and same_name,
        DuplicateSign.CONTACT: same_birth_date and _shares_address(subject, facts),
        DuplicateSign.NUMBER: subject.site.code == facts.site_code and _same_but_for_zeros(subject, facts),
    }
    return tuple(sign for sign, is_given in applies.items() if is_given)


def _shares_address(subject: Subject, facts: EnrolmentFacts) -> bool:
    known = {(contact.channel, contact.address_hash) for contact in subject.contacts}
    for channel, address in facts.addresses.items():
        if address and not known.isdisjoint((channel, one) for one in contacts.contact_hashes(channel, address)):
            return True
    return False


def _same_but_for_zeros(subject: Subject, facts: EnrolmentFacts) -> bool:
    rules = identity_hashes.rules_of(subject.site)
    hashes = identity_hashes.bare_number_hashes(facts.record_number, rules)
    return subject.identity.bare_number_hash in hashes
