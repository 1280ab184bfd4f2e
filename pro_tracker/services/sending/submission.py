"""Submits a group of due messages of one channel to its provider, and records each result.

An attempt is committed before the provider is called, so that a worker that finds it open later knows that the message
may have been accepted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy.orm import Session

from pro_tracker.db import commit_each_statement
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import MessageState, SendOutcome
from pro_tracker.models.message import Message
from pro_tracker.providers.base import Provider, SendResult
from pro_tracker.services.answering import link_tokens
from pro_tracker.services.audit import Actor
from pro_tracker.services.contacts import contacts
from pro_tracker.services.sending import attempts, message_composer, outcomes
from pro_tracker.services.sending.attempts import FinishedAttempt, OpenAttempt
from pro_tracker.services.sending.channel_pace import ChannelPace, TakeTurns
from pro_tracker.services.sending.send_context import VALID_FOR, SendContext

NOT_CLAIMED: Final = "not-claimed"
NO_PROVIDER_NAME = "none"
NO_PROVIDER = SendResult(SendOutcome.REFUSED, "no provider for this channel")
NOT_SUBMITTED = SendResult(SendOutcome.TRY_AGAIN, "held back", is_provider_fault=True)  # its group stopped before it

Clock = Callable[[], datetime]
DeliveryState = MessageState | Literal["not-claimed"]


def _no_rate_limit(_channel: Channel, n_messages: int) -> tuple[int, timedelta]:
    return n_messages, timedelta(0)


@dataclass(frozen=True, slots=True)
class SendingSetup:
    """The providers of this installation by channel, where links lead, and the rate limits (`take_turns`)."""

    providers: Mapping[Channel, Provider]
    base_url: str
    take_turns: TakeTurns = _no_rate_limit


@dataclass(frozen=True, slots=True)
class PreparedSend:
    """A message with an open attempt, and the token of the link that it carries."""

    context: SendContext
    attempt: OpenAttempt
    token: str


class Submitter:
    """Begins, submits and records groups of messages. Exceptions of single messages are added to `errors`."""

    def __init__(self, session: Session, setup: SendingSetup, clock: Clock, errors: list[Exception]) -> None:
        self._session = session
        self._setup = setup
        self._clock = clock
        self._errors = errors

    def submit(self, contexts: Sequence[SendContext], pace: ChannelPace, now: datetime) -> dict[int, DeliveryState]:
        """Submits these messages of one channel; returns their states by message id."""
        if not contexts:
            return {}
        provider = self._setup.providers.get(contexts[0].message.channel)
        prepared = self._begin(contexts, provider, now)
        begun_ids = {each.attempt.message_id for each in prepared}
        states: dict[int, DeliveryState] = dict.fromkeys(begun_ids, MessageState.CLAIMED)
        for context in contexts:
            if context.message.id not in begun_ids:  # it changed since it was read: the next sweep reads it again
                states[context.message.id] = release(self._session, context.message, None)
        started_at = self._clock()
        finished = self._send_each(prepared, provider, pace)
        if provider is not None and provider.is_idempotent:
            pace.learn_batch_size(self._clock() - started_at, len(prepared))
        recorded = attempts.finish(self._session, finished)
        finished_ids = [each.attempt.message_id for each in finished]
        states |= zip(finished_ids, recorded, strict=True)
        self._close_contacts(finished)
        return states

    def _begin(self, contexts: Sequence[SendContext], provider: Provider | None, now: datetime) -> list[PreparedSend]:
        """Opens an attempt with a new link for each message; leaves out those that changed since they were read."""
        name = provider.name if provider else NO_PROVIDER_NAME
        tokens = [link_tokens.new_token() for _ in contexts]
        tokens_of_messages = list(zip(contexts, tokens, strict=True))
        rows = [(context.message, link_tokens.token_hash(token)) for context, token in tokens_of_messages]
        attempt_ids = attempts.begin(self._session, rows, channel=contexts[0].message.channel, provider=name, now=now)
        prepared = []
        for context, token in tokens_of_messages:
            attempt_id = attempt_ids.get(context.message.id)
            if attempt_id is not None:
                attempt = _open_attempt(context, attempt_id, name, now)
                prepared.append(PreparedSend(context, attempt, token))
        return prepared

    def _send_each(
        self, prepared: Sequence[PreparedSend], provider: Provider | None, pace: ChannelPace
    ) -> list[FinishedAttempt]:
        """Submits one after the other. Once the provider is down, or takes its time, the rest is not submitted."""
        finished: list[FinishedAttempt] = []
        has_stopped = False
        for number, each in enumerate(prepared):
            is_stale = number > 0 and self._clock() - each.attempt.began_at > VALID_FOR
            has_stopped = has_stopped or is_stale
            result = NOT_SUBMITTED if has_stopped else self._send(each, provider, pace)
            has_stopped = has_stopped or pace.provider_is_down
            if result is None:
                continue
            done = outcomes.finished_attempt(
                self._session, each.attempt, provider, result, now=self._clock(), keeps_place=has_stopped
            )
            if done is not None:
                finished.append(done)
        return finished

    def _send(self, prepared: PreparedSend, provider: Provider | None, pace: ChannelPace) -> SendResult | None:
        """Returns the provider's result; None when it is not known. The attempt stays open, so nothing repeats it."""
        base_url, began_at = self._setup.base_url, prepared.attempt.began_at
        try:
            outgoing = message_composer.compose(prepared.context, base_url, prepared.token, began_at)
        except Exception as error:  # noqa: BLE001  nothing was submitted
            self._errors.append(error)
            return SendResult(SendOutcome.TRY_AGAIN, type(error).__name__)
        try:
            result = provider.send(outgoing) if provider else NO_PROVIDER
        except Exception as error:  # noqa: BLE001  it may have been accepted: recovery of expired leases decides
            self._errors.append(error)
            return None
        pace.record(self._session, result, now=self._clock())
        return result

    def _close_contacts(self, finished: Sequence[FinishedAttempt]) -> None:
        """Closes the addresses that are dead or opted out, unless they were corrected in the meantime."""
        for each in finished:
            if each.result.contact_state is not None:
                self._close(each.attempt, each.result.contact_state)

    def _close(self, attempt: OpenAttempt, state: ContactState) -> None:
        self._session.commit()
        contact = contacts.of_subject(self._session, attempt.subject_id, attempt.channel)
        if contact is not None and contact.address == attempt.to:
            actor = Actor(ActorKind.SERVICE, f"outbox.{attempt.provider}")
            contacts.close(self._session, contact, state, now=self._clock(), actor=actor)
        self._session.commit()
        commit_each_statement(self._session)


def release(session: Session, message: Message, send_at: datetime | None) -> DeliveryState:
    """Lets a claimed message wait until `send_at`, or in its old place; returns its state."""
    released = attempts.release(session, message, send_at)
    return MessageState.PLANNED if released else NOT_CLAIMED


def _open_attempt(context: SendContext, attempt_id: int, provider: str, now: datetime) -> OpenAttempt:
    return OpenAttempt(
        attempt_id=attempt_id,
        message_id=context.message.id,
        subject_id=context.subject.id,
        number=context.message.attempts + 1,
        began_at=now,
        provider=provider,
        channel=context.message.channel,
        to=context.contact.address if context.contact is not None else "",
        provider_failures=context.provider_failures,
    )
