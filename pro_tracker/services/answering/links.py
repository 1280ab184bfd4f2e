"""Personal links: make one, find it, confirm who holds it, ask for a fresh one. What they lead to: visit_context.py."""

import hmac
from datetime import date, datetime, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.channels import Channel
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

TRIES = 5
LOCKED_FOR = timedelta(minutes=30)
FRESH_LINKS_A_DAY = 3


class BirthDateCheck(Enum):
    """What came of a birth date that was typed in."""

    RIGHT = "right"
    WRONG = "wrong"
    LOCKED = "locked"


def issue(session: Session, visit_id: int, *, now: datetime, message_id: int | None = None) -> str:
    """Add a link to the visit and return its token, which is stored nowhere: whoever loses it needs a new one."""
    token = new_token()
    link = Link(visit_id=visit_id, message_id=message_id, token_hash=token_hash(token), created_at=now, revoked_at=None)
    session.add(link)
    session.flush()
    return token


def find(session: Session, token: str) -> int:
    """The id of the link with this token, whatever its state. Raises UnusableLink."""
    link_id = session.scalar(select(Link.id).where(Link.token_hash == token_hash(token)))
    if link_id is None:
        raise UnusableLink("This link is not known here. It may have been cut off in the message.")
    return link_id


def revoke(session: Session, actor: Actor, visit_id: int, *, now: datetime) -> None:
    """End every link of a visit, when a message went astray. Answers given so far stay."""
    session.execute(
        update(Link).where(Link.visit_id == visit_id, Link.revoked_at.is_(None)).values(revoked_at=now),
        execution_options={"synchronize_session": False},
    )
    visit = session.get_one(Visit, visit_id)
    audit.record(session, actor, "link.revoke", now=now, subject_id=visit.subject_id, detail={"visit": visit_id})


def check_birth_date(session: Session, context: VisitContext, birth_date: date, *, now: datetime) -> BirthDateCheck:
    """Compare the birth date with the subject's and count a wrong one: five of them lock the visit for half an hour.

    Returns rather than raises, since the count must be committed.
    """
    visit = session.get_one(Visit, context.visit_id, with_for_update=True)
    if visit.locked_until is not None and now < visit.locked_until:
        return BirthDateCheck.LOCKED
    known = session.get_one(Identity, context.subject_id).birth_date
    right = hmac.compare_digest(known, birth_date.isoformat())
    visit.failed_checks = 0 if right else visit.failed_checks + 1
    visit.locked_until = now + LOCKED_FOR if visit.failed_checks >= TRIES else None
    if visit.locked_until is not None:
        visit.failed_checks = 0  # a new set of tries after the wait
    action = "identity.confirm" if right else "identity.refuse"
    _record(session, context, action, now=now)
    if right:
        return BirthDateCheck.RIGHT
    return BirthDateCheck.LOCKED if visit.locked_until is not None else BirthDateCheck.WRONG


def request_fresh_link(session: Session, context: VisitContext, *, now: datetime) -> None:
    """Queue a message with a new link to the visit that is open for this subject now, at most three a day.

    Says nothing about what came of it: whoever asks must not learn whether there is a visit or a contact.
    """
    visit_id = _lock_open_visit(session, context, now)
    channel = _channel(session, context)
    if visit_id is None or channel is None or _asked_today(session, context, now) >= FRESH_LINKS_A_DAY:
        return
    local = now.astimezone(ZoneInfo(context.time_zone))
    session.add(
        Message(
            subject_id=context.subject_id,
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
    _record(session, context, "link.request", now=now)


def _lock_open_visit(session: Session, context: VisitContext, now: datetime) -> int | None:
    """The subject's visit that is open now, the sheet's own first; locked, so that requests are counted one by one."""
    ids = select(Visit.id).where(Visit.subject_id == context.subject_id, visit_filters.answerable(now))
    return session.scalar(ids.order_by(Visit.id != context.visit_id, Visit.closes_at).limit(1).with_for_update())


def _channel(session: Session, context: VisitContext) -> Channel | None:
    """The preferred channel when its contact works, else the other one that does."""
    contacts = select(Contact.channel).join(Subject, Subject.id == Contact.subject_id)
    usable = contacts.where(
        Contact.subject_id == context.subject_id, Contact.state == ContactState.ACTIVE, Subject.withdrawn_at.is_(None)
    )
    return session.scalar(usable.order_by(Contact.channel != Subject.preferred_channel).limit(1))


def _asked_today(session: Session, context: VisitContext, now: datetime) -> int:
    asked = select(func.count()).where(Message.subject_id == context.subject_id, Message.kind == MessageKind.FRESH_LINK)
    return session.scalar(asked.where(Message.created_at > now - timedelta(days=1))) or 0


def _next_step(session: Session, visit_id: int) -> int:
    steps = select(func.max(Message.step)).where(Message.visit_id == visit_id, Message.kind == MessageKind.FRESH_LINK)
    last = session.scalar(steps)
    return 0 if last is None else last + 1


def _record(session: Session, context: VisitContext, action: str, *, now: datetime) -> None:
    patient = Actor(ActorKind.PATIENT, str(context.link_id))
    audit.record(session, patient, action, now=now, subject_id=context.subject_id, detail={"visit": context.visit_id})
