"""A synthetic protocol for tests of windows and reminders, and the time zones that they use."""

from datetime import time
from typing import Any
from zoneinfo import available_timezones

from hypothesis import strategies as st

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.protocol import ChannelWord, Protocol, ReminderStep, StudyEvent
from pro_tracker.domain.reminder_times import Recipient

EVERY_ZONE = sorted(available_timezones() - {"localtime", "Factory"})
ZONES = st.sampled_from(EVERY_ZONE)


EVERY_CHANNEL = frozenset(Channel)


def a_recipient(zone: str = "America/New_York", **facts: Any) -> Recipient:
    """Returns a recipient with mail and SMS, no preferred time and no hold, unless `facts` says otherwise."""
    known: dict[str, Any] = {"preferred_channel": "sms", "usable": EVERY_CHANNEL, **facts}
    return Recipient(zone, **known)


def event(
    code: str = "month-1", *, anchor: str = "last-infusion", days: tuple[int, int, int] = (20, 30, 45)
) -> StudyEvent:
    opens, due, closes = days
    return StudyEvent(
        code=code,
        number=1,
        titles={"en": "A month later", "es": "Un mes después"},
        anchor=anchor,  # type: ignore[arg-type]
        opens_day=opens,
        due_day=due,
        closes_day=closes,
        battery=("mood",),
    )


PROTOCOL = Protocol(
    code="synthetic",
    version="1",
    study="EXAMPLE",
    title="An example study",
    default_language="en",
    events=(event("start", anchor="first-infusion", days=(-14, -1, 0)), event()),
    reminders=(
        ReminderStep(0, 0, (ChannelWord.PREFERRED,), "invitation"),
        ReminderStep(1, 3, (ChannelWord.PREFERRED,), "reminder"),
        ReminderStep(2, 7, (ChannelWord.OTHER,), "reminder"),
    ),
    planned_infusions=3,
    course_gap_days=20,
    course_idle_days=7,
    open_time=time(8, 0),
    reminder_time=time(9, 0),
    quiet_from=time(21, 0),
    quiet_until=time(8, 0),
)
