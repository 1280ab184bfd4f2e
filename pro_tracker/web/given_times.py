"""The moment at which a posted answer was given: a device may keep an answer for a while before it can send it.

The script sends its clock twice, at the answer and at the sending; only their difference is used, since the clock of
the device may be wrong. All fields are whole milliseconds, and a field that is none of ours is ignored.
"""

import re
from datetime import UTC, datetime, timedelta

from flask import request

from pro_tracker import clock
from pro_tracker.languages import patient_languages
from pro_tracker.services.answering.request_context import Given

GIVEN, SENT, SEQUENCE = "given_at", "sent_at", "sequence"
ASKED_IN = "asked_in"  # the language of the page
RECEIVED = "received_at"  # when the server first had the form, which then waited for the birth date
LONGEST_WAIT = timedelta(days=400)
NUMBER = re.compile(r"[0-9]{1,15}")
ONE_MS = timedelta(milliseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def posted(now: datetime) -> Given:
    """Returns when the posted answer was given by the clock of the server, not after `now`, its number and language."""
    first, last, received = (_number(name) for name in (GIVEN, SENT, RECEIVED))
    arrived = now
    if received is not None:
        arrived = min(now, max(EPOCH + received * ONE_MS, now - LONGEST_WAIT))
    waited = timedelta(0)
    if first is not None and last is not None:
        waited = _waited(first, last)
    sequence = _number(SEQUENCE) or 0
    asked_in = request.form.get(ASKED_IN)
    return Given(arrived - waited, sequence, _language(asked_in))


def kept(given_at: int, sent_at: int, sequence: int, asked_in: str, now: datetime) -> Given:
    """Returns when a kept answer was given by the clock of the server, from two moments of the device's in ms."""
    waited = _waited(given_at, sent_at)
    return Given(now - waited, sequence, _language(asked_in))


def _waited(given_at: int, sent_at: int) -> timedelta:
    """Returns how long the device kept an answer, by its own clock: never below 0."""
    milliseconds = max(sent_at - given_at, 0)
    return min(milliseconds * ONE_MS, LONGEST_WAIT)


def now_field() -> str:
    """Returns the value of RECEIVED for a form that waits from now on."""
    return str((clock.now() - EPOCH) // ONE_MS)


def _language(language: str | None) -> str | None:
    return language if language in patient_languages() else None


def _number(name: str) -> int | None:
    value = request.form.get(name, "")
    return int(value) if NUMBER.fullmatch(value) else None
