"""Works through claimed messages: which are due, which may go together, how fast. Claiming them: outbox.py.

Submitting them to a provider: submission.py; the rows: attempts.py.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from pro_tracker.db import commit_each_statement
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.message_codes import MessageState
from pro_tracker.services.sending import attempts, send_context
from pro_tracker.services.sending.channel_pace import ChannelPace
from pro_tracker.services.sending.outcomes import RETRY_UNKNOWN_FOR
from pro_tracker.services.sending.send_context import VALID_FOR, SendContext
from pro_tracker.services.sending.submission import (
    NOT_CLAIMED,
    Clock,
    DeliveryState,
    SendingSetup,
    Submitter,
    release,
)

READ_AHEAD = 25  # messages read together at least


class Sender:
    """Works through one batch of claimed messages.

    Messages of a provider that knows idempotency keys are begun and recorded in groups: if the worker dies, they are
    submitted again under the same keys. With any other provider a message begins when the one before it is recorded.
    """

    def __init__(self, session: Session, setup: SendingSetup, clock: Clock) -> None:
        self._session = session
        self._setup = setup
        self._clock = clock
        self._paces: dict[Channel, ChannelPace] = {}
        self.errors: list[Exception] = []  # raised for single messages; the others are still sent
        self._submitter = Submitter(session, setup, clock, self.errors)

    @property
    def was_rate_limited(self) -> bool:
        """Returns whether some messages were released because of a rate limit."""
        return any(pace.is_rate_limited for pace in self._paces.values())

    def deliver_all(self, message_ids: Sequence[int]) -> None:
        """Delivers those of the messages that are claimed and have no open attempt; collects exceptions in `errors`."""
        for group in self.groups(message_ids):
            try:
                self.deliver(group)
            except Exception as error:  # noqa: BLE001  raised by the caller, all together
                self._session.rollback()
                commit_each_statement(self._session)
                self.errors.append(error)

    def groups(self, message_ids: Sequence[int]) -> Iterator[list[SendContext]]:
        """Yields the messages with freshly read context, in groups that may be in flight together."""
        remaining = deque(dict.fromkeys(message_ids))
        while remaining:
            read_at = self._clock()
            n_next = min(len(remaining), self._read_ahead())
            next_ids = [remaining.popleft() for _ in range(n_next)]
            contexts = send_context.load(self._session, next_ids, read_at)
            attempts.commit(self._session)
            waiting = deque(contexts[each] for each in next_ids if each in contexts)
            while waiting and self._clock() - read_at <= VALID_FOR:
                yield self._next_group(waiting)
            remaining.extendleft(context.message.id for context in reversed(waiting))

    def deliver(self, group: Sequence[SendContext]) -> list[DeliveryState]:
        """Sends these messages of one channel, or releases or ends them; returns their states in the same order."""
        now = self._clock()
        states: dict[int, DeliveryState] = {}
        due: list[SendContext] = []
        for context in group:
            state = self._state_unless_due(context, now)
            if state is None:
                due.append(context)
            else:
                states[context.message.id] = state
        pace = self._pace_of(group[0])
        n_admitted = pace.admit(len(due), now)
        for context in due[n_admitted:]:
            states[context.message.id] = release(self._session, context.message, pace.resumes_at)
        states |= self._submitter.submit(due[:n_admitted], pace, now)
        return [states[context.message.id] for context in group]

    def _pace_of(self, context: SendContext) -> ChannelPace:
        channel = context.message.channel
        return self._paces.setdefault(channel, ChannelPace(channel, self._setup.take_turns))

    def _read_ahead(self) -> int:
        """Returns how many messages are likely to be sent before their context is too old."""
        batch_sizes = [pace.batch_size for pace in self._paces.values()]
        return max([READ_AHEAD, *batch_sizes])

    def _next_group(self, waiting: deque[SendContext]) -> list[SendContext]:
        """Takes the next group. A message with an unknown outcome may have killed its worker, so it goes alone."""
        first = waiting.popleft()
        group = [first]
        channel = first.message.channel
        size = 1 if first.has_unknown_outcome else self._pace_of(first).batch_size
        while waiting and len(group) < size and _may_join(waiting[0], channel):
            group.append(waiting.popleft())
        return group

    def _state_unless_due(self, context: SendContext, now: datetime) -> DeliveryState | None:
        """Ends or releases a message that is not to be sent now, and returns its state; None for one that is due."""
        message = context.message
        if reason := send_context.end_reason(context, now):
            ended = attempts.end(self._session, message, reason)
            return MessageState.ENDED if ended else NOT_CLAIMED
        send_at = send_context.earliest_send_at(context, now)
        if send_at > now:
            return release(self._session, message, send_at)
        if context.unknown_since is not None and now - context.unknown_since >= RETRY_UNKNOWN_FOR:
            marked = attempts.mark_uncertain(self._session, message)
            return MessageState.UNCERTAIN if marked else NOT_CLAIMED
        return None


def _may_join(context: SendContext, channel: Channel) -> bool:
    return context.message.channel == channel and not context.has_unknown_outcome
