"""Reports of the fake providers: delivered, bounced, and STOP or START by text message."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy import select

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.delivery_reports import ReportEvent
from pro_tracker.models.message import Message
from pro_tracker.services.sending import delivery_reports
from pro_tracker.services.sending.delivery_reports import ReportedEvent
from pro_tracker.simulation.context import SimulationContext
from pro_tracker.simulation.fake_providers import DeliveredMessage

PROVIDER = "simulation"
BOUNCES_AFTER = timedelta(minutes=3)


@dataclass
class DeliveryReports:
    """Sends provider reports to the service. Reports about a message are sent twice, as real providers may do."""

    context: SimulationContext

    def schedule_bounce(self, message: DeliveredMessage) -> None:
        """Schedules bounces of an accepted message to a dead address."""
        self._schedule_twice(BOUNCES_AFTER, partial(self._report_bounce, message))

    def schedule_delivery(self, message: DeliveredMessage, after: timedelta) -> None:
        """Schedules reports that the message was delivered."""
        self._schedule_twice(after, partial(self._report_message, message, ReportEvent.DELIVERED))

    def report_keyword(self, keyword: ReportEvent, address: str) -> None:
        """Reports that a patient texted STOP or START from this number."""
        now = self.context.now
        report = ReportedEvent(
            provider=PROVIDER,
            event_id=f"{keyword}-{address}-{now.isoformat()}",
            channel=Channel.SMS,
            event=keyword,
            at=now,
            address=address,
        )
        delivery_reports.record(self.context.session, report, now=now)

    def _schedule_twice(self, interval: timedelta, action: Callable[[], object]) -> None:
        now = self.context.now
        self.context.queue.schedule(now + interval, action)
        self.context.queue.schedule(now + 2 * interval, action)

    def _report_bounce(self, message: DeliveredMessage) -> None:
        is_new = self._report_message(message, ReportEvent.HARD_BOUNCE)
        if not is_new:
            return
        query = select(Message.subject_id).where(Message.key == uuid.UUID(message.key))
        subject_id = self.context.session.scalars(query).one()
        self.context.counts["bounces"] += 1
        self.context.record_event(
            "bounced", subject=subject_id, key=message.key, channel=message.channel, to=message.to
        )

    def _report_message(self, message: DeliveredMessage, event: ReportEvent) -> bool:
        """Reports an event about a message; returns whether the service received it for the first time."""
        now = self.context.now
        report = ReportedEvent(
            provider=PROVIDER,
            event_id=f"{event}-{message.key}",
            channel=message.channel,
            event=event,
            at=now,
            message_key=uuid.UUID(message.key),
        )
        return delivery_reports.record(self.context.session, report, now=now)
