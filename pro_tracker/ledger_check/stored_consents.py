"""Reads with plain SQL what people answered to consent forms, and who is left out of research for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

ANSWERS = (
    "SELECT consent_decision.id, subject_id, COALESCE(record.merged_into_id, record.id) AS person, form_code, version,"
    " outcome, agreed_registry, voided_at FROM consent_decision JOIN subject AS record ON record.id = subject_id"
    " WHERE outcome IN ('given', 'declined') ORDER BY given_at, consent_decision.id"
)
ASKED = (
    "SELECT DISTINCT COALESCE(record.merged_into_id, record.id) AS person, form_code FROM protocol_consent"
    " JOIN course ON course.protocol_code = protocol_consent.protocol_code"
    " AND course.protocol_version = protocol_consent.protocol_version"
    " JOIN subject AS record ON record.id = course.subject_id"
)


@dataclass(frozen=True, slots=True)
class StoredConsent:
    """One answer of a person to a consent form."""

    subject: str
    form: str
    version: str
    outcome: str
    is_voided: bool


@dataclass(frozen=True, slots=True)
class StoredConsents:
    """Every answer by its id, and the people who have not agreed to research, by a consent form that they are asked."""

    answers: Mapping[int, StoredConsent]
    left_out: frozenset[str]


def read_consents(connection: Connection) -> StoredConsents:
    """Returns the answers as stored."""
    answers: dict[int, StoredConsent] = {}
    newest: dict[tuple[str, str], bool] = {}
    for row in connection.execute(text(ANSWERS)):
        answers[row.id] = _stored(row)
        if row.voided_at is None:
            newest[_id(row.person), row.form_code] = bool(row.agreed_registry)
    left_out: set[str] = set()
    for row in connection.execute(text(ASKED)):
        person = _id(row.person)
        if not newest.get((person, row.form_code)):
            left_out.add(person)
    return StoredConsents(answers, frozenset(left_out))


def _stored(row: Any) -> StoredConsent:
    return StoredConsent(
        subject=_id(row.subject_id),
        form=row.form_code,
        version=row.version,
        outcome=row.outcome,
        is_voided=row.voided_at is not None,
    )


def _id(value: Any) -> str:
    """Returns a UUID in its canonical form. SQLite stores 32 digits without hyphens."""
    return str(UUID(str(value)))
