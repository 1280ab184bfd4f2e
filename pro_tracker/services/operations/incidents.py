"""Detects incidents of the service itself and writes the operator's alerts at their start and end.

`pro-tracker watch` runs it outside of the workers, since a dead worker cannot report. Alerts hold counts and times, and
nothing about subjects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session

from pro_tracker.db import insert_into
from pro_tracker.domain.message_codes import WAITING_STATES
from pro_tracker.domain.record_codes import IncidentKind
from pro_tracker.models.heartbeat import Heartbeat
from pro_tracker.models.incident import Incident
from pro_tracker.models.message import Message
from pro_tracker.services.sending import circuit_breakers

MAX_SWEEP_AGE = timedelta(minutes=5)
LATE_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class OperatorAlert:
    """One alert mail: its subject line, and its text with the facts and advice."""

    title: str
    text: str


# How long the service may take after its start until each of these is an incident.
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
    """Returns what does not work now: kind of incident -> the facts in one sentence.

    `watching_since`: when the watcher started, together with the service; grace periods count from it. None: no grace.
    """
    facts = {
        IncidentKind.NOTHING_SWEPT: _nothing_swept(session, now),
        IncidentKind.MESSAGE_LATE: _late(session, now),
        IncidentKind.PROVIDER_DOWN: _provider_down(session),
    }
    watched = LATE_AFTER if watching_since is None else now - watching_since
    return {kind: fact for kind, fact in facts.items() if fact and watched >= GRACE_PERIODS[kind]}


def record(session: Session, detected: Mapping[IncidentKind, str], *, now: datetime) -> None:
    """Opens an incident for each new kind in `detected` and ends the others. Safe with several watchers."""
    is_open = Incident.ended_at.is_(None)
    is_over = Incident.kind.not_in(list(detected))
    ended = update(Incident).where(is_open, is_over)
    session.execute(ended.values(ended_at=now))
    if detected:
        rows = [{"kind": kind, "began_at": now} for kind in detected]
        insert = insert_into(session, Incident, rows)
        # The partial unique index allows one open incident of a kind: an existing one stays.
        opened = insert.on_conflict_do_nothing(index_elements=["kind"], index_where=is_open)
        session.execute(opened)


def pending_notifications(session: Session) -> Sequence[Incident]:
    """Returns the open incidents without an alert, and the ended ones without an all-clear, oldest first.

    An incident that ended before its alert was sent is left out.
    """
    is_open = Incident.ended_at.is_(None)
    is_notified = Incident.notified_at.is_not(None)
    needs_alert = and_(is_open, ~is_notified)
    needs_all_clear = and_(
        ~is_open,
        is_notified,
        Incident.end_notified_at.is_(None),
    )
    pending = select(Incident).where(or_(needs_alert, needs_all_clear))
    pending = pending.order_by(Incident.id)
    return session.scalars(pending).all()


def mark_notified(incident: Incident, *, now: datetime) -> None:
    """Records that the mail server accepted the alert, or the all-clear. Until then it is sent again."""
    if incident.ended_at is None:
        incident.notified_at = now
    else:
        incident.end_notified_at = now


def alert_for(incident: Incident, detected: Mapping[IncidentKind, str]) -> OperatorAlert:
    """Returns the alert of an open incident or the all-clear of an ended one; `detected` as `detect` returned it."""
    title = TITLES[incident.kind]
    if incident.ended_at is not None:
        return _all_clear(title, incident.began_at, incident.ended_at)
    facts = detected.get(incident.kind, "")
    advice = ADVICE[incident.kind]
    return OperatorAlert(title, f"{facts}\n\n{advice}".strip())


def _all_clear(title: str, began_at: datetime, ended_at: datetime) -> OperatorAlert:
    within_sentence = title[:1].lower() + title[1:]
    lasted = f"It began at {_moment(began_at)} and was over at {_moment(ended_at)}."
    return OperatorAlert(f"Over: {within_sentence}", lasted)


def _nothing_swept(session: Session, now: datetime) -> str:
    """Returns when the last sweep was if that is too long ago; "" if it is recent."""
    sweep = select(Heartbeat.seen_at).where(Heartbeat.part == "sweep")
    seen_at = session.scalar(sweep)
    if seen_at is None:
        return "No sweep was ever seen."
    if now - seen_at <= MAX_SWEEP_AGE:
        return ""
    return f"The last sweep was at {_moment(seen_at)}."


def _late(session: Session, now: datetime) -> str:
    """Returns how many messages are late, and since when; "" if none is."""
    is_waiting = Message.state.in_(WAITING_STATES)
    is_late = Message.send_at <= now - LATE_AFTER
    count = select(func.count(), func.min(Message.send_at))
    count = count.where(is_waiting, is_late)
    late, oldest = session.execute(count).one()
    if not late:
        return ""
    return f"{late} due messages were not sent; the oldest was due at {_moment(oldest)}."


def _provider_down(session: Session) -> str:
    """Returns the channels whose circuit breaker is open; "" if none is."""
    channels = sorted(circuit_breakers.open_breakers(session))
    if not channels:
        return ""
    return f"Sending is stopped for: {', '.join(channels)}."


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
