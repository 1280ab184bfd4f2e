"""Corrects who a subject is: name, birth date, record number, sex, and the newest consent. Former values are kept.

Study code, links, visits and messages stay as they are.
"""

import uuid
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import DuplicateRecord, InvalidInput
from pro_tracker.domain.subject_codes import IdentityField, Sex
from pro_tracker.models.identity_change import IdentityChange
from pro_tracker.models.subject import Consent, Subject
from pro_tracker.services import audit
from pro_tracker.services.answering import identity_checks
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import calls
from pro_tracker.services.contacts import preferences
from pro_tracker.services.corrections import require_reason
from pro_tracker.services.enrolment import enrolment, facts as enrolment_facts, identity_hashes
from pro_tracker.services.enrolment.enrolment import age_on
from pro_tracker.services.enrolment.facts import EnrolmentFacts, FieldProblem
from pro_tracker.services.enrolment.identity_hashes import DUPLICATE
from pro_tracker.services.planning.subject_lock import lock

OF_NAME = (IdentityField.GIVEN_NAME, IdentityField.FAMILY_NAME)
IN_NO_LABEL = (*OF_NAME, IdentityField.RECORD_NUMBER)


@dataclass(frozen=True, kw_only=True)
class IdentityFacts:
    """Identity of a subject, and the newest consent. Texts are as typed; a date is None where none was entered."""

    given_name: str
    family_name: str
    birth_date: date | None
    record_number: str
    sex: Sex
    consent_version: str
    consent_on: date | None


@dataclass(frozen=True, slots=True)
class IdentityCorrection:
    """The identity as it should be, and the reason of the correction in the words of the staff member."""

    facts: IdentityFacts
    reason: str


@dataclass(frozen=True, slots=True)
class _Change:
    """The fields of a subject that are to become what `facts` say."""

    subject: Subject
    facts: IdentityFacts
    fields: Collection[IdentityField]
    now: datetime


def recorded(session: Session, subject: Subject) -> IdentityFacts:
    """Returns what is recorded now."""
    identity, consent = subject.identity, newest_consent(session, subject.id)
    return IdentityFacts(
        given_name=identity.given_name,
        family_name=identity.family_name,
        birth_date=date.fromisoformat(identity.birth_date),
        record_number=identity.record_number,
        sex=subject.sex,
        consent_version=consent.version,
        consent_on=consent.signed_on,
    )


def newest_consent(session: Session, subject_id: uuid.UUID) -> Consent:
    """Returns the consent that was signed last; every subject has one from enrolment."""
    newest_first = select(Consent).where(Consent.subject_id == subject_id)
    newest_first = newest_first.order_by(Consent.signed_on.desc(), Consent.id.desc())
    return session.scalars(newest_first.limit(1)).one()


def check(session: Session, subject: Subject, facts: IdentityFacts, *, now: datetime) -> list[FieldProblem]:
    """Returns what is wrong with the fields that differ from the recorded ones, by the rules of enrolment."""
    before = recorded(session, subject)
    changed = {field.attribute for field in _changed(before, facts)}
    sites = {subject.site.code: identity_hashes.rules_of(subject.site)}
    problems = enrolment_facts.check(_as_enrolled(subject, facts), sites=sites, now=now)
    return list(_of_changed(problems, changed))


def correct(
    session: Session, actor: Actor, subject: Subject, correction: IdentityCorrection, *, now: datetime
) -> Collection[IdentityField]:
    """Corrects the fields that differ and returns them. A corrected birth date is asked for from now on.

    Raises InvalidInput with its field for an invalid fact, without a reason, and if nothing differs; DuplicateRecord
    when another subject has the record number, or an earlier consent the version.
    """
    lock(session, subject)
    before, after = recorded(session, subject), _normalised(subject, correction.facts)
    change = _Change(subject, after, _changed(before, after), now)
    if not change.fields:
        raise InvalidInput("This is what is recorded already. Change what is wrong, or cancel.")
    reason = require_reason(correction.reason, "Say why this is corrected.")
    _reject_invalid(session, change)
    for field in change.fields:
        session.add(_former_value(change, field, before, reason, by=actor))
    _apply(session, change)
    detail: audit.Detail = {"fields": [str(field) for field in change.fields]}
    audit.record(session, actor, "subject.correct-identity", now=now, subject_id=subject.id, detail=detail)
    return change.fields


def _normalised(subject: Subject, facts: IdentityFacts) -> IdentityFacts:
    """Returns the facts as enrolment would store them."""
    known = enrolment_facts.normalise(_as_enrolled(subject, facts))
    names = [name for name in asdict(facts) if name != "sex"]
    return replace(facts, **{name: getattr(known, name) for name in names})


def _changed(before: IdentityFacts, after: IdentityFacts) -> list[IdentityField]:
    return [field for field in IdentityField if getattr(before, field.attribute) != getattr(after, field.attribute)]


def _as_enrolled(subject: Subject, facts: IdentityFacts) -> EnrolmentFacts:
    """Returns what the subject would be enrolled with today; contacts are not part of it."""
    return EnrolmentFacts(
        **asdict(facts),
        email="",
        mobile="",
        language=subject.language,
        time_zone=subject.time_zone,
        site_code=subject.site.code,
        enrolled_on=subject.enrolled_on,
        preferred_channel="",
    )


def _of_changed(problems: Collection[FieldProblem], changed: Collection[str]) -> Iterator[FieldProblem]:
    """Yields the problems of changed fields. What was recorded under earlier rules may stay."""
    for problem in problems:
        if problem.field in changed:
            yield problem
        elif problem.field == "enrolled_on" and "birth_date" in changed:
            yield FieldProblem("birth_date", problem.reason)
        elif problem.field == "given_name" and "family_name" in changed:  # neither name is given
            yield FieldProblem("family_name", problem.reason)


def _reject_invalid(session: Session, change: _Change) -> None:
    subject, facts = change.subject, change.facts
    for problem in check(session, subject, facts, now=change.now):
        raise InvalidInput(problem.reason, field=problem.field)
    if IdentityField.RECORD_NUMBER in change.fields:
        enrolment.reject_duplicate(session, facts.record_number, site_code=subject.site.code, own=subject)
    if IdentityField.CONSENT_VERSION in change.fields:
        _reject_known_consent(session, subject, facts.consent_version)


def _reject_known_consent(session: Session, subject: Subject, version: str) -> None:
    known = select(Consent.id).where(Consent.subject_id == subject.id, Consent.version == version)
    if session.scalar(known) is not None:
        raise DuplicateRecord("An earlier consent has this version. Check the version.", field="consent_version")


def _former_value(
    change: _Change, field: IdentityField, before: IdentityFacts, reason: str, *, by: Actor
) -> IdentityChange:
    row = IdentityChange(
        id=uuid.uuid4(),
        subject_id=change.subject.id,
        field=field,
        reason=reason,
        account_id=int(by.id) if by.kind == ActorKind.ACCOUNT else None,
        recorded_at=change.now,
    )
    row.former = str(getattr(before, field.attribute))
    return row


def _apply(session: Session, change: _Change) -> None:
    subject, facts = change.subject, change.facts
    for field in OF_NAME:
        if field in change.fields:  # an untouched cell keeps its key
            setattr(subject.identity, field.attribute, getattr(facts, field.attribute))
    subject.sex = facts.sex
    _apply_consent(session, subject, facts)
    if IdentityField.BIRTH_DATE in change.fields and facts.birth_date is not None:
        _apply_birth_date(session, subject, facts.birth_date, change.now)
    if IdentityField.RECORD_NUMBER in change.fields:
        _apply_record_number(session, subject, facts.record_number)
    if any(field in change.fields for field in IN_NO_LABEL):
        _reject_label(subject)
    session.flush()


def _apply_consent(session: Session, subject: Subject, facts: IdentityFacts) -> None:
    consent = newest_consent(session, subject.id)
    consent.version = facts.consent_version
    if facts.consent_on is not None:
        consent.signed_on = facts.consent_on


def _apply_birth_date(session: Session, subject: Subject, birth_date: date, now: datetime) -> None:
    """Sets the birth date with what follows from it: the age, the tries that were refused, and the calls about them."""
    identity_hashes.set_birth_date(subject.identity, birth_date)
    subject.age_years = age_on(subject.enrolled_on, birth_date)
    identity_checks.start_over(session, subject.id)
    calls.close_identity(session, subject.id, now=now)


def _apply_record_number(session: Session, subject: Subject, record_number: str) -> None:
    rules = identity_hashes.rules_of(subject.site)
    try:
        with session.begin_nested():
            identity_hashes.set_record_number(session, subject.identity, record_number, rules)
            session.flush()
    except IntegrityError as twice:
        raise DuplicateRecord(DUPLICATE, field="record_number") from twice


def _reject_label(subject: Subject) -> None:
    """Raises InvalidInput if the label, which stands in messages, shows the corrected name or number."""
    if subject.label and preferences.names_subject(subject, subject.label):
        advice = "Change the label first, under “Contact and consent”."
        raise InvalidInput(f"The label on the patient's pages would show who this is. {advice}")
