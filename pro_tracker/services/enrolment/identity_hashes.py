"""Stores record numbers and birth dates with the keyed hashes that find them, and computes all hashes again.

A hash is of the normal form (domain/record_numbers.py) under the rules of the subject's site.
"""

import uuid
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Row, select, update
from sqlalchemy.orm import Session, aliased

from pro_tracker.db import key_ring
from pro_tracker.domain import record_numbers
from pro_tracker.domain.errors import DuplicateRecord
from pro_tracker.domain.record_numbers import NO_RULES, NumberRules
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Identity, Subject

# The kinds of these look-up hashes; that of a contact is its channel.
RECORD_NUMBER = "record-number"
BARE_NUMBER = "record-number-without-zeros"
BIRTH_DATE = "birth-date"
DUPLICATE = "This record number is enrolled already. Look the subject up, or correct the number."
PORTION = 500  # rows read at a time

Hashes = dict[str, Any]  # column -> value, with the primary key of the row


def rules_of(site: Site) -> NumberRules:
    """Returns the site's rules of record numbers."""
    return NumberRules(site.number_pattern, site.number_example, site.number_width)


def rules_by_site(session: Session) -> dict[str, NumberRules]:
    """Returns site code -> its rules."""
    sites = session.scalars(select(Site))
    return {site.code: rules_of(site) for site in sites}


def set_record_number(session: Session, identity: Identity, number: str, rules: NumberRules) -> None:
    """Stores the number of a new or known identity. Raises DuplicateRecord if another person has it.

    The unique index compares hashes of one key only; the search also finds those of older keys.
    """
    if holder(session, number, rules) not in (None, identity.subject_id):
        raise DuplicateRecord(DUPLICATE, field="record_number")
    fill_record_number(identity, number, rules)


def fill_record_number(identity: Identity, number: str, rules: NumberRules) -> None:
    """Stores a number that no other subject has."""
    identity.record_number = record_numbers.written(number, rules)
    normal = record_numbers.normal_form(number, rules)
    identity.record_number_hash, identity.bare_number_hash = _number_hashes(normal)
    identity.shares_number = False


def follow_site(session: Session, identity: Identity, rules: NumberRules) -> None:
    """Computes the hashes of the number again, by the rules of the site that works with the subject from now on.

    A number that another record holds by these rules stays, marked by `shares_number`, as in `refresh`.
    """
    normal = record_numbers.normal_form(identity.record_number, rules)
    others = select(Identity.subject_id).where(
        has_number(identity.record_number, rules),
        Identity.subject_id != identity.subject_id,
        ~Identity.shares_number,
    )
    identity.shares_number = session.scalar(others.limit(1)) is not None
    identity.record_number_hash, identity.bare_number_hash = _number_hashes(normal)


def holder(session: Session, number: str, rules: NumberRules) -> uuid.UUID | None:
    """Returns the id of the subject with this number, of whichever site, or None."""
    found = select(Identity.subject_id)
    found = found.where(has_number(number, rules))
    return session.scalar(found.limit(1))


def set_birth_date(identity: Identity, birth_date: date) -> None:
    """Stores the birth date with its hash."""
    identity.birth_date = birth_date.isoformat()
    identity.birth_date_hash = key_ring().lookup_hash(identity.birth_date, BIRTH_DATE)


def has_number(number: str, *rules: NumberRules) -> ColumnElement[bool]:
    """SQL over Identity: it has this number, in the normal form of any of these rules, by a hash of any key."""
    forms = {record_numbers.normal_form(number, each) for each in rules or (NO_RULES,)}
    hashes: list[bytes] = []
    for form in forms:
        hashes += key_ring().lookup_hashes(form, RECORD_NUMBER)
    return Identity.record_number_hash.in_(hashes)


def bare_number_hashes(number: str, rules: NumberRules) -> list[bytes]:
    """Returns the hashes that stored rows may have for this number without its leading zeros."""
    normal = record_numbers.normal_form(number, rules)
    bare = record_numbers.without_zeros(normal)
    return key_ring().lookup_hashes(bare, BARE_NUMBER)


def birth_date_hashes(birth_date: date) -> list[bytes]:
    """Returns the hashes that stored rows may have for this birth date."""
    text = birth_date.isoformat()
    return key_ring().lookup_hashes(text, BIRTH_DATE)


def _number_hashes(normal: str) -> tuple[bytes, bytes]:
    bare = record_numbers.without_zeros(normal)
    keys = key_ring()
    return (
        keys.lookup_hash(normal, RECORD_NUMBER),
        keys.lookup_hash(bare, BARE_NUMBER),
    )


def refresh(session: Session) -> int:
    """Computes every hash again, with the newest key and the sites' rules; returns the number of changed rows.

    Of several records with one number the oldest holds it; `shares_number` marks the others, which stay as they are.
    """
    changed = list(_changed(session))
    if changed:
        # No order of single updates is free of conflicts in the unique index: first no changed row takes part in it.
        apart = [{"subject_id": new["subject_id"], "shares_number": True} for new in changed]
        session.execute(update(Identity), apart)
        session.execute(update(Identity), changed)
        session.expire_all()
    return len(changed)


def _changed(session: Session) -> Iterator[Hashes]:
    """Yields the values of each row whose hashes change."""
    rules = {site.id: rules_of(site) for site in session.scalars(select(Site))}
    taken: set[bytes] = set()
    for row in session.execute(_oldest_first().execution_options(yield_per=PORTION)):
        new = _hashes(row, rules, taken)
        if any(getattr(row.Identity, column) != value for column, value in new.items()):
            yield new


def _oldest_first() -> Any:
    rows = select(Identity, Subject.site_id)
    rows = rows.join(Subject, Subject.id == Identity.subject_id)
    return rows.order_by(Subject.created_at, Subject.study_code)


def _hashes(row: Row[Any], rules: Mapping[int, NumberRules], taken: set[bytes]) -> Hashes:
    identity: Identity = row.Identity
    normal = record_numbers.normal_form(identity.record_number, rules[row.site_id])
    number_hash, bare_hash = _number_hashes(normal)
    shares = number_hash in taken
    taken.add(number_hash)
    return {
        "subject_id": identity.subject_id,
        "record_number_hash": number_hash,
        "bare_number_hash": bare_hash,
        "birth_date_hash": key_ring().lookup_hash(identity.birth_date, BIRTH_DATE),
        "shares_number": shares,
    }


def sharing(session: Session) -> list[tuple[str, str]]:
    """Returns the study codes of each pair of records with one number that are not merged, the older one first."""
    older = aliased(Identity)
    older_subject = aliased(Subject)
    rows = select(older_subject.study_code, Subject.study_code)
    rows = rows.join(Identity, Identity.subject_id == Subject.id)
    rows = rows.join(older, older.record_number_hash == Identity.record_number_hash)
    rows = rows.join(older_subject, older_subject.id == older.subject_id)
    rows = rows.where(
        Identity.shares_number,
        ~older.shares_number,
        older_subject.person_id != Subject.person_id,
    )
    in_order = rows.order_by(Subject.study_code)
    return [(first, second) for first, second in session.execute(in_order)]


def advice(first: str, second: str) -> str:
    """Returns the sentence about two records with one number, by their study codes."""
    return f"{first} and {second} have the same record number. Merge them, or correct one on its page."
