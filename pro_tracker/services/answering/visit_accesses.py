"""Accesses of browsers to visits: starts one when the person was confirmed, and ends it.

visit_context.py reads the visit of an access.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.models.link import Link
from pro_tracker.models.visit_access import VisitAccess
from pro_tracker.services.answering.link_tokens import new_token, token_hash

DEVICE = "access-"  # begins the name under which answers of an access are stored


def start(
    session: Session, link_id: int, mode: ResponseMode, *, now: datetime, remembered_until: datetime | None = None
) -> str:
    """Starts an access to the visit of this link and returns its secret, of which only the hash is stored.

    `remembered_until`: until when the birth date is not asked for again in this browser; None: for some hours.
    """
    secret = new_token()
    access = VisitAccess(
        link_id=link_id,
        secret_hash=token_hash(secret),
        mode=mode,
        confirmed_at=now,
        remembered_until=remembered_until,
    )
    session.add(access)
    session.flush()
    return secret


def end(session: Session, secret: str, *, now: datetime) -> None:
    """Ends the access with this secret; without effect if it has ended or is not known."""
    of_secret = VisitAccess.secret_hash == token_hash(secret)
    started = update(VisitAccess).where(of_secret, VisitAccess.ended_at.is_(None))
    session.execute(started.values(ended_at=now), execution_options={"synchronize_session": False})


def device(access_id: int | None) -> str:
    """Returns the name under which the answers of an access are stored."""
    return f"{DEVICE}{access_id}"


def devices_of(session: Session, visit_id: int) -> Sequence[str]:
    """Returns the names of all accesses to a visit, ended ones too."""
    ids = select(VisitAccess.id).join(Link, Link.id == VisitAccess.link_id)
    of_visit = ids.where(Link.visit_id == visit_id)
    found = session.scalars(of_visit)
    return [device(access_id) for access_id in found]
