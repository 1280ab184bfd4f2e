"""The one place that decides which subjects an account may see: those of its sites, for the clinical roles.

After a transfer the former site may still read its own courses, and nothing else. Records outside are NotFound for the
account, so that the reply does not reveal that they exist.
"""

import uuid
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, and_, exists, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.interfaces import ORMOption

from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import MergedRecord, NotFound
from pro_tracker.models.account import Account
from pro_tracker.models.call import Call
from pro_tracker.models.course import COUNTS, Course
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.clinic.person import RECORD, is_kept, kept, with_person

CLINICAL_ROLES = frozenset({Role.COORDINATOR, Role.CLINICIAN})
UNKNOWN_SUBJECT = "There is no such patient at your sites. Look the patient up in the list."
UNKNOWN_CALL = "There is no such call at your sites. It may have been closed; the call list shows what is open."

Rows = TypeVar("Rows", bound=Select[*tuple[Any, ...]])


def visible(rows: Rows, account: Account) -> Rows:
    """Limits a select that includes Subject to the subjects that this account may see."""
    is_clinical = account.role in CLINICAL_ROLES
    sites = account.site_ids if is_clinical else []
    return rows.where(Subject.site_id.in_(sites))


def readable(rows: Rows, account: Account) -> Rows:
    """Limits a select that includes Subject to people at other sites now with a course at the account's sites.

    Of them the account may read these courses (`own_courses`), and neither identity nor contacts.
    """
    of_person = and_(
        RECORD.id == Course.subject_id,
        RECORD.person_id == Subject.id,
    )
    own = exists().where(of_person, COUNTS, own_courses(account))
    return rows.where(
        Subject.site_id.not_in(account.site_ids),
        is_kept(),
        own,
    )


def own_courses(account: Account) -> ColumnElement[bool]:
    """SQL: the course was begun at a site of this account, which has a clinical role."""
    is_clinical = account.role in CLINICAL_ROLES
    return Course.site_id.in_(account.site_ids if is_clinical else [])


def find_readable(session: Session, account: Account, subject_id: uuid.UUID) -> Subject:
    """Returns a subject who was transferred away from the account's sites. Raises NotFound for any other."""
    rows = select(Subject).where(Subject.id == subject_id)
    return _only(session, readable(rows, account))


def find_subject(session: Session, account: Account, subject_id: uuid.UUID, *load: ORMOption) -> Subject:
    """Returns the subject, loaded with the options `load`.

    Raises NotFound if this account may not see it, MergedRecord if the record was merged into another one.
    """
    rows = select(Subject).where(Subject.id == subject_id)
    rows = rows.options(*load)
    found = _only(session, visible(rows, account))
    if found.merged_into_id is not None:
        raise MergedRecord(found.study_code, found.merged_into_id)
    return found


def find_subject_by_code(session: Session, account: Account, study_code: str) -> Subject:
    """Returns the subject with this study code. Raises NotFound if this account may not see it."""
    rows = select(Subject).where(Subject.study_code == study_code)
    return _only(session, visible(rows, account))


def _only(session: Session, rows: Select[Subject]) -> Subject:
    found = session.scalars(rows).unique().one_or_none()
    if found is None:
        raise NotFound(UNKNOWN_SUBJECT)
    return found


def find_visit(session: Session, subject: Subject, visit_id: int) -> Visit:
    """Returns the visit of a subject that was found for the account before. Raises NotFound."""
    found = session.get(Visit, visit_id)
    if found is None or kept(session, found.subject_id).id != subject.id:
        raise NotFound("This patient has no such visit.")
    return found


def find_call(session: Session, account: Account, call_id: int) -> Call:
    """Returns the call. Raises NotFound if this account may not see its subject."""
    rows = with_person(select(Call), Call.subject_id)
    rows = rows.where(Call.id == call_id)
    found = session.scalar(visible(rows, account))
    if found is None:
        raise NotFound(UNKNOWN_CALL)
    return found


def sites_of(account: Account) -> list[Site]:
    """Returns the sites at which this account may enrol and see subjects."""
    return account.sites if account.role in CLINICAL_ROLES else []
