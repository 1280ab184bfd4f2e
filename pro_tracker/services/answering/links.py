"""Personal links: issues, finds and revokes them, checks the birth date, queues a fresh one on request."""

import hmac
from datetime import date, datetime, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.channels import Channel, address_channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.errors import UnusableLink
from pro_tracker.domain.message_codes import MessageKind
from pro_tracker.models.link import Link
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact, Identity, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.answering.link_tokens import new_token, token_hash
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.planning import visit_filters

MAX_ATTEMPTS = 5
LOCKED_FOR = timedelta(minutes=30)
FRESH_LINKS_A_DAY = 3


class BirthDateCheck(Enum):
    """The outcome of comparing a birth date with the one on file."""

    RIGHT = "right"
    WRONG = "wrong"
    LOCKED = "locked"


def issue(session: Session, visit_id: int, *, now: datetime, message_id: int | None = None) -> str:
    """Add a link to the visit and return its token. Only its hash is stored: a lost token cannot be recovered."""
    token = new_token()
    link = Link(visit_id=visit_id, message_id=message_id, token_hash=token_hash(token), created_at=now, revoked_at=None)
    session.add(link)
    session.flush()
    return token


def find(session: Session, token: str) -> int:
    """The id of the link with this token, revoked or not. Raises UnusableLink when there is none."""
    link_id = session.scalar(select(Link.id).where(Link.token_hash == token_hash(token)))
    if link_id is None:
        raise UnusableLink("This link is not known here. It may have been cut off in the message.")
    return link_id


def revoke(session: Session, actor: Actor, visit_id: int, *, now: datetime) -> None:
    """Revoke every link of a visit, when a message reached the wrong person. Answers given so far stay."""
    session.execute(
        update(Link).where(Link.visit_id == visit_id, Link.revoked_at.is_(None)).values(revoked_at=now),
        execution_options={"synchronize_session": False},
    )
    visit = session.get_one(Visit, visit_id)
    audit.record(session, actor, "link.revoke", now=now, subject_id=visit.subject_id, detail={"visit": visit_id})


def check_birth_date(session: Session, visit: VisitContext, birth_date: date, *, now: datetime) -> BirthDateCheck:
    """Compare the birth date with the subject's and count a wrong one: five of them lock the visit for half an hour.

    Returns the outcome instead of raising, because the count must be committed.
    """
    row = session.get_one(Visit, visit.visit_id, with_for_update=True)
    if row.locked_until is not None and now < row.locked_until:
        return BirthDateCheck.LOCKED
    known = session.get_one(Identity, visit.subject_id).birth_date
    is_right = hmac.compare_digest(known, birth_date.isoformat())  # takes as long for every wrong date
    _count_attempt(row, is_right, now)
    _record(session, visit, "identity.confirm" if is_right else "identity.refuse", now=now)
    if is_right:
        return BirthDateCheck.RIGHT
    return BirthDateCheck.WRONG if row.locked_until is None else BirthDateCheck.LOCKED


def _count_attempt(row: Visit, is_right: bool, now: datetime) -> None:
    """Count a wrong date; the last allowed one locks the visit and starts a new count for after the lock."""
    row.failed_checks = 0 if is_right else row.failed_checks + 1
    row.locked_until = None
    if row.failed_checks >= MAX_ATTEMPTS:
        row.locked_until = now + LOCKED_FOR
        row.failed_checks = 0


def request_fresh_link(
    session: Session,
    visit: VisitContext,
    *,
    now: datetime,
    channel: Channel | None = None,
    actor: Actor | None = None,
) -> None:
    """Queues a message with a new link to the visit that is open for this subject now, at most three a day.

    It goes on `channel`, or on the preferred one. `actor` is who requests it; None: the holder of the link. Returns
    nothing: the person who asks must not learn whether there is an open visit or a contact on file.
    """
    visit_id = _lock_open_visit(session, visit, now)
    channel = _channel(session, visit, channel)
    if visit_id is None or channel is None:
        return
    if _requested_today(session, visit, now) >= FRESH_LINKS_A_DAY:
        return
    local = now.astimezone(ZoneInfo(visit.time_zone))
    session.add(
        Message(
            subject_id=visit.subject_id,
            visit_id=visit_id,
            kind=MessageKind.FRESH_LINK,
            step=_next_step(session, visit_id),
            template=MessageKind.FRESH_LINK,
            channel=channel,
            local_on=local.date(),
            local_time=local.time().replace(microsecond=0),
            send_at=now,
            created_at=now,
        )
    )
    session.flush()
    _record(session, visit, "link.request", now=now, actor=actor)


def _lock_open_visit(session: Session, visit: VisitContext, now: datetime) -> int | None:
    """The subject's visit that is open now, preferably the link's own; locked, so that requests are counted in turn."""
    ids = select(Visit.id).where(Visit.subject_id == visit.subject_id, visit_filters.answerable(now))
    own_first = ids.order_by(Visit.id != visit.visit_id, Visit.closes_at)
    return session.scalar(own_first.limit(1).with_for_update())


def _channel(session: Session, visit: VisitContext, requested: Channel | None) -> Channel | None:
    """Returns the requested channel if its contact is active; without a request the preferred active one, or None."""
    contacts = select(Contact.channel).join(Subject, Subject.id == Contact.subject_id)
    usable = contacts.where(
        Contact.subject_id == visit.subject_id, Contact.state == ContactState.ACTIVE, Subject.withdrawn_at.is_(None)
    )
    if requested is not None:
        usable = usable.where(Contact.channel == address_channel(requested))
    found = session.scalar(usable.order_by(Contact.channel != Subject.preferred_channel).limit(1))
    return found if requested is None or found is None else requested


def _requested_today(session: Session, visit: VisitContext, now: datetime) -> int:
    """Messages with a fresh link that the subject requested in the last 24 hours."""
    rows = select(func.count()).where(
        Message.subject_id == visit.subject_id,
        Message.kind == MessageKind.FRESH_LINK,
        Message.created_at > now - timedelta(days=1),
    )
    return session.scalar(rows) or 0


def _next_step(session: Session, visit_id: int) -> int:
    """The number of the next fresh link of the visit, from 0: visit, step and channel of a message are unique."""
    steps = select(func.max(Message.step)).where(Message.visit_id == visit_id, Message.kind == MessageKind.FRESH_LINK)
    last = session.scalar(steps)
    return 0 if last is None else last + 1


def _record(session: Session, visit: VisitContext, action: str, *, now: datetime, actor: Actor | None = None) -> None:
    patient = Actor(ActorKind.PATIENT, str(visit.link_id))
    audit.record(
        session, actor or patient, action, now=now, subject_id=visit.subject_id, detail={"visit": visit.visit_id}
    )
