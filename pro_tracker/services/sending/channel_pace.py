"""Pace of one sender on one channel: its rate, its pause while the provider is down, its batch size."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from pro_tracker.domain.channels import Channel
from pro_tracker.providers.base import SendResult
from pro_tracker.services.sending import attempts, circuit_breakers

BATCH_DURATION = timedelta(seconds=0.2)  # what a provider accepts in this time may be in flight together ...
MAX_BATCH = 100  # ... and no more

# Takes a channel and a number of messages; returns how many may go now, and how long the next one has to wait.
TakeTurns = Callable[[Channel, int], tuple[int, timedelta]]


class ChannelPace:
    """Pace of one sender on one channel, from the results of the messages it has submitted so far.

    `batch_size`: messages that may be in flight together. `is_paused`: nothing more is sent on the channel; its
    messages are released until `resumes_at`, or in their old place (None) while the provider is down.
    """

    def __init__(self, channel: Channel, take_turns: TakeTurns) -> None:
        self.batch_size = 1
        self.is_paused = False
        self.resumes_at: datetime | None = None
        self._channel = channel
        self._take_turns = take_turns
        self._is_healthy = False  # the provider accepted the message before

    @property
    def provider_is_down(self) -> bool:
        """Returns whether the channel's circuit breaker was open when it was last asked."""
        return self.is_paused and self.resumes_at is None

    @property
    def is_rate_limited(self) -> bool:
        """Returns whether messages wait for their turn at a provider that works."""
        return self.is_paused and self.resumes_at is not None

    def admit(self, n_messages: int, now: datetime) -> int:
        """Returns how many of `n_messages` may go now. The channel pauses unless all may."""
        if self.is_paused or n_messages == 0:
            return 0
        n_admitted, wait = self._take_turns(self._channel, n_messages)
        if n_admitted < n_messages:
            self.is_paused, self.resumes_at = True, now + wait
        return n_admitted

    def record(self, session: Session, result: SendResult, *, now: datetime) -> None:
        """Counts a result for the channel's circuit breaker; the channel pauses if the breaker is open after it."""
        if self._is_healthy and not result.is_provider_fault:
            return  # one more success changes nothing, and a statement for each would double the work of sending
        self._is_healthy = not result.is_provider_fault
        probe_at = circuit_breakers.record(session, self._channel, result, now=now)
        attempts.commit(session)
        if probe_at is not None:
            self.is_paused, self.resumes_at = True, None

    def learn_batch_size(self, elapsed: timedelta, n_messages: int) -> None:
        """Sets the batch size to what the provider accepts in BATCH_DURATION, after `n_messages` took `elapsed`."""
        per_message = elapsed / max(1, n_messages)
        n_accepted = BATCH_DURATION // max(per_message, timedelta(microseconds=1))
        self.batch_size = max(1, min(MAX_BATCH, n_accepted))
