"""Hands claimed messages over. Which messages: outbox.py; the rows: attempts.py; what came of it: outcomes.py.

An attempt is committed before the provider is called, so that whoever finds it open later knows that the message may
have left.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy.orm import Session

from pro_tracker.db import commit_each_statement
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import MessageState
from pro_tracker.models.message import Message
from pro_tracker.providers.base import Outcome, Provider, Receipt
from pro_tracker.services.answering import link_tokens
from pro_tracker.services.audit import Actor
from pro_tracker.services.contacts import contacts
from pro_tracker.services.sending import attempts, circuit_breakers, message_composer, pre_send
from pro_tracker.services.sending.attempts import Finished, InHand
from pro_tracker.services.sending.outcomes import LEFT_OPEN, REPEAT_WITHIN, concluded
from pro_tracker.services.sending.pre_send import Sheet

FRESH = timedelta(seconds=1)  # what was read of a message is not believed for longer
READ_AHEAD = 25  # that are read together at least
IN_A_MOMENT = timedelta(seconds=0.2)  # what a provider takes in it may be in hand together ...
MOST_AT_ONCE = 100  # ... and no more
NOT_CLAIMED: Final = "not-claimed"  # somebody else has the message by now
NOBODY = "none"
NO_PROVIDER = Receipt(Outcome.REFUSED, "no provider for this channel")
HELD_BACK = Receipt(Outcome.TRY_AGAIN, "held back", about_provider=True)  # begun with others, and not handed over

Clock = Callable[[], datetime]
Turns = tuple[int, timedelta]
State = MessageState | Literal["not-claimed"]  # of a message after somebody dealt with it


def _all_at_once(_channel: Channel, wanted: int) -> Turns:
    return wanted, timedelta(0)


@dataclass(frozen=True, slots=True)
class Ways:
    """How messages leave this installation: by whom on each channel, and where their links lead.

    `take_turns`: of so many messages on a channel, how many may go now, and how long the next one has to wait.
    """

    providers: Mapping[Channel, Provider]
    base_url: str
    take_turns: Callable[[Channel, int], Turns] = _all_at_once


@dataclass(frozen=True, slots=True)
class Errand:
    """A message whose attempt is open, with the token of the link that it carries."""

    sheet: Sheet
    held: InHand
    token: str


class Sender:
    """One worker's way through some claimed messages, and what it learns of their channels meanwhile.

    A provider that knows keys gets as many as it takes in a moment begun and noted together: should the worker die,
    they go again. With any other a message begins when the one before it is done with.
    """

    def __init__(self, session: Session, ways: Ways, clock: Clock) -> None:
        self._session, self._ways, self._clock = session, ways, clock
        self._resting: dict[Channel, datetime | None] = {}  # channels, and until when what is left for them waits
        self._well: set[Channel] = set()  # channels that worked at the last try
        self._at_once: dict[Channel, int] = {}  # how many of a channel its provider takes in a moment
        self.errors: list[Exception] = []  # what single messages met with, which stops no other

    @property
    def held_back(self) -> bool:
        """Whether a message has to wait for its turn."""
        return any(until is not None for until in self._resting.values())

    def deliver_all(self, message_ids: Sequence[int]) -> None:
        """Deliver those of the messages that are this sender's; what goes wrong stands in `errors`."""
        for group in self.groups(message_ids):
            try:
                self.deliver(group)
            except Exception as error:  # noqa: BLE001  raised by the caller, all together
                self._session.rollback()
                commit_each_statement(self._session)
                self.errors.append(error)

    def groups(self, message_ids: Sequence[int]) -> Iterator[list[Sheet]]:
        """This sender's messages, each as it stood a moment ago, in groups that may be in hand together."""
        ids = deque(dict.fromkeys(message_ids))
        while ids:
            read_at, next_ids = self._clock(), [ids.popleft() for _ in range(min(len(ids), self._read_ahead()))]
            sheets = pre_send.claimed(self._session, next_ids, read_at)
            attempts.commit(self._session)
            waiting = deque(sheets[each] for each in next_ids if each in sheets)
            while waiting and self._clock() - read_at <= FRESH:
                yield self._next_group(waiting)
            ids.extendleft(sheet.message.id for sheet in reversed(waiting))

    def _read_ahead(self) -> int:
        """As many as are likely to go before what was read of them is too old."""
        return max(READ_AHEAD, *self._at_once.values(), 0)

    def _next_group(self, waiting: deque[Sheet]) -> list[Sheet]:
        """What may be in hand together. One with a try of unknown end may have killed its worker, and goes alone."""
        group = [waiting.popleft()]
        channel = group[0].message.channel
        most = self._at_once.get(channel, 1) if group[0].unsure_since is None else 1
        while waiting and len(group) < most and _may_join(waiting[0], channel):
            group.append(waiting.popleft())
        return group

    def deliver(self, group: Sequence[Sheet]) -> list[State]:
        """Send these messages of one channel, or say why not; returns their states in the same order."""
        now = self._clock()
        stays = {sheet.message.id: self._stays(sheet, now) for sheet in group}
        states = {message_id: state for message_id, state in stays.items() if state is not None}
        going = [sheet for sheet in group if sheet.message.id not in states]
        turns = self._take_turns(going, now)
        for sheet in going[turns:]:
            states[sheet.message.id] = self._put_back(sheet.message, self._resting[sheet.message.channel])
        states |= self._hand_over(going[:turns], now)
        return [states[sheet.message.id] for sheet in group]

    def _stays(self, sheet: Sheet, now: datetime) -> State | None:
        """The state of a message that does not go now, or None for one that does."""
        message = sheet.message
        if reason := pre_send.no_longer_wanted(sheet, now):
            return MessageState.ENDED if attempts.end(self._session, message, reason) else NOT_CLAIMED
        if (later := pre_send.not_before(sheet, now)) > now:
            return self._put_back(message, later)
        if sheet.unsure_since is not None and now - sheet.unsure_since >= REPEAT_WITHIN:
            return MessageState.UNCERTAIN if attempts.give_up(self._session, message) else NOT_CLAIMED
        return None

    def _put_back(self, message: Message, send_at: datetime | None) -> State:
        return MessageState.PLANNED if attempts.put_back(self._session, message, send_at) else NOT_CLAIMED

    def _take_turns(self, going: Sequence[Sheet], now: datetime) -> int:
        """How many of them, of one channel, may go now. Unless all may, the channel rests."""
        if not going or (channel := going[0].message.channel) in self._resting:
            return 0
        turns, wait = self._ways.take_turns(channel, len(going))
        if turns < len(going):
            self._resting[channel] = now + wait
        return turns

    def _hand_over(self, sheets: Sequence[Sheet], now: datetime) -> dict[int, State]:
        if not sheets:
            return {}
        channel = sheets[0].message.channel
        provider, errands = self._ways.providers.get(channel), self._begin(sheets, now)
        begun = {errand.held.message_id for errand in errands}
        # Something happened to the others since they were read: the next sweep looks at them afresh.
        states = {
            each.message.id: self._put_back(each.message, None) for each in sheets if each.message.id not in begun
        }
        started = self._clock()
        finished = self._send_each(errands, provider)
        self._learn_pace(channel, provider, (self._clock() - started) / max(1, len(errands)))
        states |= dict.fromkeys(begun, LEFT_OPEN)
        noted = attempts.finish(self._session, finished)
        states |= zip((each.held.message_id for each in finished), noted, strict=True)
        self._close_contacts(finished)
        return states

    def _begin(self, sheets: Sequence[Sheet], now: datetime) -> list[Errand]:
        channel = sheets[0].message.channel
        provider = self._ways.providers.get(channel)
        name, tokens = provider.name if provider else NOBODY, [link_tokens.new_token() for _ in sheets]
        taken = [(sheet.message, link_tokens.token_hash(token)) for sheet, token in zip(sheets, tokens, strict=True)]
        begun = attempts.begin(self._session, taken, channel=channel, provider=name, now=now)
        return [
            Errand(sheet, _in_hand(sheet, begun[sheet.message.id], name, now), token)
            for sheet, token in zip(sheets, tokens, strict=True)
            if sheet.message.id in begun
        ]

    def _send_each(self, errands: Sequence[Errand], provider: Provider | None) -> list[Finished]:
        """One after the other; once the provider is down, or takes its time, the rest is held back for later."""
        finished: list[Finished] = []
        rests = False
        for number, errand in enumerate(errands):
            held = errand.held
            rests = rests or (number > 0 and self._clock() - held.began_at > FRESH)
            receipt = HELD_BACK if rests else self._send(errand, provider)
            rests = rests or self._is_down(held.channel)
            if receipt is not None:
                done = concluded(self._session, held, provider, receipt, now=self._clock(), rests=rests)
                finished += [done] if done else []
        return finished

    def _send(self, errand: Errand, provider: Provider | None) -> Receipt | None:
        """What the provider said; None when nobody knows. The attempt is open, so what kills a worker does so once."""
        try:
            outgoing = message_composer.compose(
                errand.sheet, f"{self._ways.base_url}/v/{errand.token}", errand.held.began_at
            )
        except Exception as error:  # noqa: BLE001  it has not left the house
            self.errors.append(error)
            return Receipt(Outcome.TRY_AGAIN, type(error).__name__)
        try:
            receipt = provider.send(outgoing) if provider else NO_PROVIDER
        except Exception as error:  # noqa: BLE001  it may have left: whoever finds it open decides
            self.errors.append(error)
            return None
        self._note(errand.held.channel, receipt)
        return receipt

    def _is_down(self, channel: Channel) -> bool:
        return channel in self._resting and self._resting[channel] is None

    def _note(self, channel: Channel, receipt: Receipt) -> None:
        """Count it for the channel's circuit; when that is open after it, what is left for the channel waits."""
        if not receipt.about_provider and channel in self._well:
            return  # that it goes on working is no news
        (self._well.discard if receipt.about_provider else self._well.add)(channel)
        open_until = circuit_breakers.note(self._session, channel, receipt, now=self._clock())
        attempts.commit(self._session)
        if open_until is not None:
            self._resting[channel] = None

    def _learn_pace(self, channel: Channel, provider: Provider | None, took: timedelta) -> None:
        if provider is not None and provider.repeatable:
            in_a_moment = IN_A_MOMENT // max(took, timedelta(microseconds=1))
            self._at_once[channel] = max(1, min(MOST_AT_ONCE, in_a_moment))

    def _close_contacts(self, finished: Sequence[Finished]) -> None:
        """Write no more to addresses that are dead or want nothing, unless they were corrected meanwhile."""
        for held, state in ((each.held, each.receipt.contact_state) for each in finished):
            if state is not None:
                self._close(held, state)

    def _close(self, held: InHand, state: ContactState) -> None:
        self._session.commit()
        contact = contacts.of_subject(self._session, held.subject_id, held.channel)
        if contact is not None and contact.address == held.to:
            actor = Actor(ActorKind.SERVICE, f"outbox.{held.provider}")
            contacts.close(self._session, contact, state, now=self._clock(), actor=actor)
        self._session.commit()
        commit_each_statement(self._session)


def _may_join(sheet: Sheet, channel: Channel) -> bool:
    return sheet.message.channel == channel and sheet.unsure_since is None


def _in_hand(sheet: Sheet, attempt_id: int, provider: str, now: datetime) -> InHand:
    return InHand(
        attempt_id=attempt_id,
        message_id=sheet.message.id,
        subject_id=sheet.subject.id,
        number=sheet.message.attempts + 1,
        began_at=now,
        provider=provider,
        channel=sheet.message.channel,
        to=sheet.contact.address if sheet.contact is not None else "",
        spared=sheet.spared,
    )
