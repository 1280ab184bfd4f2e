"""Watches the service itself: what does not work becomes an incident, and the operator is told when it begins and ends.

Asked from outside the workers, since dead ones tell nobody. Alerts hold numbers and moments, nothing of a person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session

from pro_tracker.db import insert_into
from pro_tracker.domain.message_codes import MessageState
from pro_tracker.domain.record_codes import IncidentKind
from pro_tracker.models.heartbeat import Heartbeat
from pro_tracker.models.incident import Incident
from pro_tracker.models.message import Message
from pro_tracker.services.sending import circuit_breakers

MAX_SWEEP_AGE = timedelta(minutes=5)
LATE_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class OperatorAlert:
    """One line for a mail's subject, and what it means."""

    title: str
    text: str


GRACE_PERIODS: Mapping[IncidentKind, timedelta] = {
    IncidentKind.NOTHING_SWEPT: MAX_SWEEP_AGE,
    IncidentKind.MESSAGE_LATE: LATE_AFTER,
    IncidentKind.PROVIDER_DOWN: timedelta(0),
}
TITLES: Mapping[IncidentKind, str] = {
    IncidentKind.NOTHING_SWEPT: "No message is being sent",
    IncidentKind.MESSAGE_LATE: "Messages are late",
    IncidentKind.PROVIDER_DOWN: "A provider does not take messages",
}
ADVICE: Mapping[IncidentKind, str] = {
    IncidentKind.NOTHING_SWEPT: (
        "Are a worker and beat running, and do they reach Redis? /readyz names the part that is not well."
    ),
    IncidentKind.MESSAGE_LATE: "Is a worker running and keeping up? /readyz names the part that is not well.",
    IncidentKind.PROVIDER_DOWN: (
        "Messages wait and go by themselves once it is back. /readyz and the log say what it answers."
    ),
}


def detect(session: Session, *, now: datetime, watching_since: datetime | None = None) -> Mapping[IncidentKind, str]:
    """What is wrong now: kind of incident -> the facts in one sentence.

    Who began to watch at `watching_since` gives the rest of the service as long to start as anything may take.
    """
    facts = {
        IncidentKind.NOTHING_SWEPT: _nothing_swept(session, now),
        IncidentKind.MESSAGE_LATE: _late(session, now),
        **_down(session),
    }
    watched = LATE_AFTER if watching_since is None else now - watching_since
    return {kind: fact for kind, fact in facts.items() if fact and watched >= GRACE_PERIODS[kind]}


def record(session: Session, detected: Mapping[IncidentKind, str], *, now: datetime) -> None:
    """Begin an incident for each kind that is new and end those that are over. Any number of watchers may do so."""
    over = (Incident.ended_at.is_(None), Incident.kind.not_in(list(detected)))
    session.execute(update(Incident).where(*over).values(ended_at=now))
    if detected:
        begin = insert_into(session, Incident, [{"kind": kind, "began_at": now} for kind in detected])
        session.execute(begin.on_conflict_do_nothing(index_elements=["kind"], index_where=Incident.ended_at.is_(None)))


def pending_notifications(session: Session) -> Sequence[Incident]:
    """Begun without an alert, or over without an all-clear. Of what was over before anybody was told, nobody hears."""
    begun = and_(Incident.notified_at.is_(None), Incident.ended_at.is_(None))
    over = and_(Incident.notified_at.is_not(None), Incident.ended_at.is_not(None), Incident.end_notified_at.is_(None))
    return session.scalars(select(Incident).where(or_(begun, over)).order_by(Incident.id)).all()


def mark_notified(incident: Incident, *, now: datetime) -> None:
    """The mail server took the alert, or the all-clear. Until then it is tried again: twice is better than never."""
    if incident.ended_at is None:
        incident.notified_at = now
    else:
        incident.end_notified_at = now


def alert_for(incident: Incident, detected: Mapping[IncidentKind, str]) -> OperatorAlert:
    """What to tell the operator of it; `detected` as `detect` returned it."""
    title = TITLES[incident.kind]
    if incident.ended_at is not None:
        lasted = f"It began at {_moment(incident.began_at)} and was over at {_moment(incident.ended_at)}."
        return OperatorAlert(f"Over: {title[:1].lower()}{title[1:]}", lasted)
    return OperatorAlert(title, f"{detected.get(incident.kind, '')}\n\n{ADVICE[incident.kind]}".strip())


def _nothing_swept(session: Session, now: datetime) -> str:
    seen_at = session.scalar(select(Heartbeat.seen_at).where(Heartbeat.part == "sweep"))
    if seen_at is not None and now - seen_at <= MAX_SWEEP_AGE:
        return ""
    return f"The last sweep was at {_moment(seen_at)}." if seen_at else "No sweep was ever seen."


def _late(session: Session, now: datetime) -> str:
    waiting = (Message.state.in_((MessageState.PLANNED, MessageState.CLAIMED)), Message.send_at <= now - LATE_AFTER)
    late, oldest = session.execute(select(func.count(), func.min(Message.send_at)).where(*waiting)).one()
    return f"{late} due messages were not sent; the oldest was due at {_moment(oldest)}." if late else ""


def _down(session: Session) -> Mapping[IncidentKind, str]:
    closed = sorted(circuit_breakers.open_breakers(session))
    return {IncidentKind.PROVIDER_DOWN: f"Sending is stopped for: {', '.join(closed)}." if closed else ""}


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
