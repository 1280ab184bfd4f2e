"""The newest answers of people to consent forms, for research files, without the typed names."""

import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from pro_tracker.domain.consent import ANSWERS_TO_FORM
from pro_tracker.models.consent_decision import ConsentDecision


class GivenConsent(NamedTuple):
    """The consent to the form of the visit's protocol: version, study day, and whether data may be passed on.

    Empty where the protocol has no form. `is_shared` None: the form does not ask for that.
    """

    version: str = ""
    day: int | None = None
    is_shared: bool | None = None


NO_CONSENT = GivenConsent()


def by_person(session: Session, people: Mapping[uuid.UUID, uuid.UUID]) -> Mapping[tuple[uuid.UUID, str], Row[Any]]:
    """Person and code of a form -> the newest answer to it. `people`: record -> person. One statement."""
    rows: Select[*tuple[Any, ...]] = select(
        ConsentDecision.subject_id,
        ConsentDecision.form_code,
        ConsentDecision.version,
        ConsentDecision.given_at,
        ConsentDecision.agreed_sharing,
    )
    rows = rows.where(
        ConsentDecision.subject_id.in_(people),
        ConsentDecision.outcome.in_(ANSWERS_TO_FORM),
        ConsentDecision.voided_at.is_(None),
    )
    oldest_first = rows.order_by(ConsentDecision.given_at, ConsentDecision.id)
    found: dict[tuple[uuid.UUID, str], Row[Any]] = {}
    for row in session.execute(oldest_first):
        found[people[row.subject_id], row.form_code] = row
    return found
