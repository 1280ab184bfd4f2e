"""Codes of snoozes ("not today"): the reason that a patient may tap instead of a birth date and a day."""

from enum import StrEnum


class SnoozeReason(StrEnum):
    """The reason for not answering today, as tapped on the page that the message's link opens."""

    PAIN = "pain"
    TIRED = "tired"
    NO_TIME = "no-time"
    OTHER = "other"
