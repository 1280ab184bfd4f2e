"""Personal links: issues, finds and revokes them, queues a fresh one on request."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.channels import HELPER_CHANNELS, Channel, address_channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.errors import UnusableLink
from pro_tracker.domain.message_codes import MessageKind
from pro_tracker.models.link import Link
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.answering.link_tokens import new_token, token_hash
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic.participation import takes_part
from pro_tracker.services.clinic.person import records_of
from pro_tracker.services.planning import visit_filters

FRESH_LINKS_A_DAY = 3


def issue(session: Session, visit_id: int, *, now: datetime, message_id: int | None = None) -> str:
    """Adds a link to the visit and returns its token. Only its hash is stored: a lost token cannot be recovered."""
    token = new_token()
    link = Link(visit_id=visit_id, message_id=message_id, token_hash=token_hash(token), created_at=now, revoked_at=None)
    session.add(link)
    session.flush()
    return token


def find(session: Session, token: str) -> int:
    """The id of the link with this token, revoked or not. Raises UnusableLink when there is none."""
    by_token = select(Link.id).where(Link.token_hash == token_hash(token))
    link_id = session.scalar(by_token)
    if link_id is None:
        raise UnusableLink("This link is not known here. It may have been cut off in the message.")
    return link_id


def hashes(session: Session, visit_id: int) -> Sequence[bytes]:
    """The hashes of the visit's links that work, by which a phone recognizes one of them without a connection."""
    of_visit = select(Link.token_hash).where(Link.visit_id == visit_id, Link.revoked_at.is_(None))
    return session.scalars(of_visit).all()


def revoke(session: Session, actor: Actor, visit_id: int, *, now: datetime) -> None:
    """Revokes every link of a visit, when a message reached the wrong person. Answers given so far stay."""
    # Also those that wrong birth dates ended: a corrected birth date must not open them again.
    usable = update(Link).where(Link.visit_id == visit_id, or_(Link.revoked_at.is_(None), Link.revoked_by_failures))
    ended = usable.values(revoked_at=now, revoked_by_failures=False)
    session.execute(ended, execution_options={"synchronize_session": False})
    visit = session.get_one(Visit, visit_id)
    detail = {"visit": visit_id}
    audit.record(session, actor, "link.revoke", now=now, subject_id=visit.subject_id, detail=detail)


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
            subject_id=session.get_one(Visit, visit_id).subject_id,
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
    of_subject = select(Visit.id).where(Visit.subject_id.in_(records_of(visit.person_id)))
    answerable = of_subject.where(visit_filters.answerable(now))
    own_first = answerable.order_by(Visit.id != visit.visit_id, Visit.closes_at)
    return session.scalar(own_first.limit(1).with_for_update())


def _channel(session: Session, visit: VisitContext, requested: Channel | None) -> Channel | None:
    """Returns the requested channel if its contact is active; without a request the preferred active one, or None."""
    contacts = select(Contact.channel).join(Subject, Subject.id == Contact.subject_id)
    usable = contacts.where(
        Contact.subject_id == visit.person_id,
        Contact.channel.not_in(HELPER_CHANNELS),
        Contact.state == ContactState.ACTIVE,
        takes_part(),
    )
    if requested is not None:
        usable = usable.where(Contact.channel == address_channel(requested))
    preferred_first = usable.order_by(Contact.channel != Subject.preferred_channel)
    found = session.scalar(preferred_first.limit(1))
    if found is None or requested is None:
        return found
    return requested


def _requested_today(session: Session, visit: VisitContext, now: datetime) -> int:
    """Messages with a fresh link that the subject requested in the last 24 hours."""
    rows = select(func.count()).where(
        Message.subject_id.in_(records_of(visit.person_id)),
        Message.kind == MessageKind.FRESH_LINK,
        Message.created_at > now - timedelta(days=1),
    )
    return session.scalar(rows) or 0


def _next_step(session: Session, visit_id: int) -> int:
    """The number of the next fresh link of the visit, from 0: visit, step and channel of a message are unique."""
    steps = select(func.max(Message.step)).where(
        Message.visit_id == visit_id,
        Message.kind == MessageKind.FRESH_LINK,
    )
    last = session.scalar(steps)
    return 0 if last is None else last + 1


def _record(session: Session, visit: VisitContext, action: str, *, now: datetime, actor: Actor | None = None) -> None:
    """Writes the audit row. `actor` None: the holder of the link."""
    if actor is None:
        actor = Actor(ActorKind.PATIENT, str(visit.link_id))
    detail = {"visit": visit.visit_id}
    audit.record(session, actor, action, now=now, subject_id=visit.subject_id, detail=detail)
