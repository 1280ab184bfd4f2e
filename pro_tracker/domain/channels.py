"""The ways by which messages reach people. Whatever differs from channel to channel is looked up by these codes."""

from enum import StrEnum


class Channel(StrEnum):
    """A way to write to a subject; each has at most one contact on each."""

    EMAIL = "email"
    SMS = "sms"
