"""Hands claimed messages over, and settles what nobody knows. Which messages: outbox.py; the rows: attempts.py.

An attempt is committed before the provider is called, so that whoever finds it open later knows that the message may
have left: it goes again only where the provider knows it by its key, or says that it never came.
"""

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from pro_tracker.db import commit_each_statement
from pro_tracker.domain.reminder_times import retry_at
from pro_tracker.models.message import Message
from pro_tracker.providers.base import Asked, Outcome, OutgoingMessage, Provider, Receipt
from pro_tracker.services import attempts, circuits, contacts, handover, links
from pro_tracker.services.attempts import InHand, Result
from pro_tracker.services.audit import Actor
from pro_tracker.services.handover import Sheet

FRESH = timedelta(seconds=1)  # what was read of a message is not believed for longer
SPARED = 20  # tries at a message that may be the provider's fault; a provider chokes on what spoils each of them
REPEAT_WITHIN = timedelta(hours=12)  # providers remember a key for a day or longer
ASK_FOR = timedelta(days=1)  # a provider that cannot say for so long what became of a message never will
NOT_CLAIMED = "not-claimed"
LEFT_OPEN = "claimed"
NO_PROVIDER = Receipt(Outcome.REFUSED, "no provider for this channel")

Clock = Callable[[], datetime]


def _at_once(_channel: str) -> timedelta:
    return timedelta(0)


@dataclass(frozen=True, slots=True)
class Ways:
    """How messages leave this installation: by whom on each channel, and where their links lead.

    `wait`: how long a channel has to wait for its turn; zero takes the turn.
    """

    providers: Mapping[str, Provider]
    base_url: str
    wait: Callable[[str], timedelta] = _at_once


class Sender:
    """One worker's way through some claimed messages, and what it learns of their channels meanwhile."""

    def __init__(self, session: Session, ways: Ways, clock: Clock) -> None:
        self._session, self._ways, self._clock = session, ways, clock
        self._resting: dict[str, datetime | None] = {}  # channels, and until when what is left for them waits
        self._well: set[str] = set()  # channels that worked at the last try

    @property
    def held_back(self) -> bool:
        """Whether a message has to wait for its turn."""
        return any(until is not None for until in self._resting.values())

    def deliver(self, sheet: Sheet) -> str:
        """Send it, or say why not; returns its state."""
        now, message = self._clock(), sheet.message
        if reason := handover.no_longer_wanted(sheet, now):
            return "ended" if attempts.end(self._session, message, reason) else NOT_CLAIMED
        if (later := handover.not_before(sheet, now)) > now:
            return self._put_back(message, later)
        if sheet.unsure_since is not None and now - sheet.unsure_since >= REPEAT_WITHIN:
            return "uncertain" if attempts.give_up(self._session, message) else NOT_CLAIMED
        if not self._takes_turn(message.channel, now):
            return self._put_back(message, self._resting[message.channel])
        return self._hand_over(sheet, now)

    def _put_back(self, message: Message, send_at: datetime | None) -> str:
        return "planned" if attempts.put_back(self._session, message, send_at) else NOT_CLAIMED

    def _takes_turn(self, channel: str, now: datetime) -> bool:
        if channel not in self._resting and (wait := self._ways.wait(channel)):
            self._resting[channel] = now + wait
        return channel not in self._resting

    def _hand_over(self, sheet: Sheet, now: datetime) -> str:
        provider, token = self._ways.providers.get(sheet.message.channel), links.new_token()
        name, token_hash = provider.name if provider else "none", links.token_hash(token)
        attempt_id = attempts.begin(self._session, sheet.message, provider=name, token_hash=token_hash, now=now)
        if attempt_id is None:  # something happened since it was read: the next sweep looks at it afresh
            return self._put_back(sheet.message, None)
        held = _in_hand(sheet, attempt_id, name, now)
        outgoing = self._compose(sheet, held, f"{self._ways.base_url}/v/{token}")
        receipt = provider.send(outgoing) if provider else NO_PROVIDER
        rests = receipt.about_provider and self._fails(held.channel, receipt)
        state = settle(self._session, held, provider, receipt, now=self._clock(), rests=rests)
        if not receipt.about_provider:
            self._works(held.channel, receipt)
        if receipt.contact_state is not None:
            self._close(sheet, held, receipt.contact_state)
        return state

    def _compose(self, sheet: Sheet, held: InHand, url: str) -> OutgoingMessage:
        """Write the message. The attempt is open by now, so that one that kills its worker does so only once."""
        try:
            return handover.compose(sheet, url, held.began_at)
        except Exception as error:  # it has not left the house
            settle(self._session, held, None, Receipt(Outcome.TRY_AGAIN, type(error).__name__), now=held.began_at)
            raise

    def _fails(self, channel: str, receipt: Receipt) -> bool:
        """Whether the channel's circuit is open now; then what is left for it waits."""
        self._well.discard(channel)
        open_until = circuits.note(self._session, channel, receipt, now=self._clock())
        attempts.commit(self._session)
        if open_until is not None:
            self._resting[channel] = None
        return open_until is not None

    def _works(self, channel: str, receipt: Receipt) -> None:
        """That it goes on working is no news."""
        if channel not in self._well:
            self._well.add(channel)
            circuits.note(self._session, channel, receipt, now=self._clock())
            attempts.commit(self._session)

    def _close(self, sheet: Sheet, held: InHand, state: str) -> None:
        """Write no more to an address that is dead or wants nothing, unless it was corrected meanwhile."""
        self._session.commit()
        contact = contacts.of_subject(self._session, sheet.subject.id, held.channel)
        if contact is not None and contact.address == held.to:
            actor = Actor("service", f"outbox.{held.provider}")
            contacts.close(self._session, contact, state, now=self._clock(), actor=actor)
        self._session.commit()
        commit_each_statement(self._session)


def sheets_of(session: Session, message_ids: Sequence[int], clock: Clock) -> Iterator[Sheet]:
    """Those of the messages that are the caller's to send, each as it stood a moment ago."""
    waiting, read_at, sheets = deque(message_ids), None, dict[int, Sheet]()
    while waiting:
        if read_at is None or clock() - read_at > FRESH:
            read_at = clock()
            sheets = handover.claimed(session, list(waiting), read_at)
            attempts.commit(session)
        if (sheet := sheets.get(waiting.popleft())) is not None:
            yield sheet


def _in_hand(sheet: Sheet, attempt_id: int, provider: str, now: datetime) -> InHand:
    return InHand(
        attempt_id=attempt_id,
        message_id=sheet.message.id,
        number=sheet.message.attempts + 1,
        began_at=now,
        provider=provider,
        channel=sheet.message.channel,
        to=sheet.contact.address if sheet.contact is not None else "",
        spared=sheet.spared,
    )


def settle(
    session: Session, held: InHand, provider: Provider | None, receipt: Receipt, *, now: datetime, rests: bool = False
) -> str:
    """Write what became of an attempt; where that is not known, ask, and leave it open while asking again may help."""
    if receipt.outcome is Outcome.UNKNOWN and provider is not None and not provider.repeatable:
        found = provider.find(_question(session, held, now))
        if found is not None and found.outcome is Outcome.UNKNOWN and now - held.began_at < ASK_FOR:
            return LEFT_OPEN
        receipt = found or receipt
    return attempts.finish(session, held, receipt, _result(held, provider, receipt, rests=rests, now=now), now=now)


def _question(session: Session, held: InHand, now: datetime) -> Asked:
    is_ours = links.recogniser(session, held.message_id)
    attempts.commit(session)
    return Asked(to=held.to, since=held.began_at, now=now, is_ours=is_ours)


def _result(held: InHand, provider: Provider | None, receipt: Receipt, *, rests: bool, now: datetime) -> Result:
    """What the message is after this attempt. On a channel that rests it waits in its old place for the provider."""
    if receipt.outcome is Outcome.ACCEPTED:
        return Result("sent")
    repeatable = provider is not None and provider.repeatable and now - held.began_at < REPEAT_WITHIN
    given_up = "uncertain" if receipt.outcome is Outcome.UNKNOWN else "failed"
    if receipt.outcome is Outcome.REFUSED or (receipt.outcome is Outcome.UNKNOWN and not repeatable):
        return Result(given_up, failure=receipt.reply)
    again = None if rests else _again_at(held, receipt, now)
    return Result("planned" if rests or again else given_up, again, receipt.reply)


def _again_at(held: InHand, receipt: Receipt, now: datetime) -> datetime | None:
    """When to try again, or None after the last try. What the provider spoilt was none, within reason."""
    tries = max(1, held.number - SPARED) if receipt.about_provider else held.number - min(held.spared, SPARED)
    # Jitter: what failed together should not come back together. Nothing secret hangs on it.
    again = retry_at(tries, now, random.random())  # nosec B311
    return again and max(again, now + (receipt.retry_after or timedelta(0)))
