"""The one place that decides which subjects an account may see: those of its sites, for the clinical roles.

Records outside are NotFound for the account, so that the reply does not reveal that they exist.
"""

import uuid
from typing import Any, TypeVar

from sqlalchemy import Select, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.interfaces import ORMOption

from pro_tracker.domain.account_codes import Role
from pro_tracker.domain.errors import NotFound
from pro_tracker.models.account import Account
from pro_tracker.models.call import Call
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit

CLINICAL_ROLES = frozenset({Role.COORDINATOR, Role.CLINICIAN})
UNKNOWN_SUBJECT = "There is no such patient at your sites. Look the patient up in the list."
UNKNOWN_CALL = "There is no such call at your sites. It may have been closed; the call list shows what is open."

Rows = TypeVar("Rows", bound=Select[*tuple[Any, ...]])


def visible(rows: Rows, account: Account) -> Rows:
    """Limits a select that includes Subject to the subjects that this account may see."""
    sites = account.site_ids if account.role in CLINICAL_ROLES else []
    return rows.where(Subject.site_id.in_(sites))


def subject(session: Session, account: Account, subject_id: uuid.UUID, *load: ORMOption) -> Subject:
    """Returns the subject, loaded with the options `load`. Raises NotFound if this account may not see it."""
    rows = select(Subject).where(Subject.id == subject_id).options(*load)
    return _only(session, visible(rows, account))


def subject_by_code(session: Session, account: Account, study_code: str) -> Subject:
    """Returns the subject with this study code. Raises NotFound if this account may not see it."""
    rows = select(Subject).where(Subject.study_code == study_code)
    return _only(session, visible(rows, account))


def _only(session: Session, rows: Select[Subject]) -> Subject:
    found = session.scalars(rows).unique().one_or_none()
    if found is None:
        raise NotFound(UNKNOWN_SUBJECT)
    return found


def visit(session: Session, subject: Subject, visit_id: int) -> Visit:
    """Returns the visit of a subject that was found for the account before. Raises NotFound."""
    found = session.get(Visit, visit_id)
    if found is None or found.subject_id != subject.id:
        raise NotFound("This patient has no such visit.")
    return found


def call(session: Session, account: Account, call_id: int) -> Call:
    """Returns the call. Raises NotFound if this account may not see its subject."""
    rows = select(Call).join(Subject, Subject.id == Call.subject_id).where(Call.id == call_id)
    found = session.scalar(visible(rows, account))
    if found is None:
        raise NotFound(UNKNOWN_CALL)
    return found


def sites(account: Account) -> list[Site]:
    """Returns the sites at which this account may enrol and see subjects."""
    return account.sites if account.role in CLINICAL_ROLES else []
