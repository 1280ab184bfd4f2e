"""SQL conditions on visits that follow from their study events, which protocols define. Read only."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, false, or_

from pro_tracker.domain.protocol import Protocol, StudyEvent
from pro_tracker.models.visit import Visit
from pro_tracker.services.protocols import protocol_catalog


def is_optional() -> ColumnElement[bool]:
    """SQL over Visit: its event is optional, so that no reminder and no call is about it."""
    found: list[ColumnElement[bool]] = []
    for protocol in protocol_catalog.all_versions():
        found += [_of_event(protocol, event) for event in protocol.events if event.optional]
    return or_(false(), *found)


def first_asked_later(now: datetime) -> ColumnElement[bool]:
    """SQL over Visit: its messages count from the due day, and the day of the first has not come at `now`."""
    waiting: list[ColumnElement[bool]] = []
    for protocol in protocol_catalog.all_versions():
        for event in protocol.events:
            first = protocol.reminders_at(event.code)[0]
            if first.counts_from == "near-due":
                first_at = now - timedelta(days=first.day)
                waiting.append(and_(_of_event(protocol, event), Visit.due_at > first_at))
    return or_(false(), *waiting)


def _of_event(protocol: Protocol, event: StudyEvent) -> ColumnElement[bool]:
    return and_(
        Visit.protocol_code == protocol.code,
        Visit.protocol_version == protocol.version,
        Visit.event_code == event.code,
    )
