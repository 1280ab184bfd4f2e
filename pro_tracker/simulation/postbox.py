"""The made-up patients' letterbox: a provider that puts messages where they look, while it is up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.providers.base import OutcomeQuery, OutgoingMessage, Provider, SendResult
from pro_tracker.simulation.outages import PlannedOutage, kind_at

Put = Callable[["Letter", datetime], None]
REFUSES = SendResult(SendOutcome.TRY_AGAIN, "ConnectionRefusedError", is_provider_fault=True)
SAYS_NOTHING = SendResult(SendOutcome.UNKNOWN, "TimeoutError", is_provider_fault=True)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it arrived."""

    key: str
    channel: Channel
    to: str
    text: str


class Postbox(Provider):
    """Mail ends here during a simulation, so that nobody outside gets one. Nobody can ask it, as with SMTP."""

    name = "simulation"

    def __init__(self, channel: Channel, put: Put, outages: Sequence[PlannedOutage] = ()) -> None:
        self.channel = channel
        self._put = put
        self._outages = [each for each in outages if each.channel == channel]

    def send(self, message: OutgoingMessage) -> SendResult:
        """Put it down, then say that it was accepted; in a silent outage put every other one down and say nothing."""
        fails = kind_at(self._outages, message.written_at)
        if fails == "refusing":
            return REFUSES
        if fails is None or message.key.int % 2:
            self._put(Letter(str(message.key), self.channel, message.to, message.text), message.written_at)
        return SAYS_NOTHING if fails else SendResult(SendOutcome.ACCEPTED, "250", str(message.key))

    def close(self) -> None:
        """Nothing to let go of."""


class TextPostbox(Postbox):
    """Text messages end here; it can be asked what it accepted, as an SMS provider can, while it is up."""

    def __init__(
        self,
        channel: Channel,
        put: Put,
        accepted: Callable[[], Sequence[Letter]],
        outages: Sequence[PlannedOutage] = (),
    ) -> None:
        super().__init__(channel, put, outages)
        self._accepted = accepted

    def query_status(self, query: OutcomeQuery) -> SendResult | None:
        """Whether one of the letters to that number is the one."""
        if kind_at(self._outages, query.now):
            return SAYS_NOTHING
        found = [each for each in self._accepted() if each.to == query.to and query.is_ours(each.text)]
        return SendResult(SendOutcome.ACCEPTED, "250", found[0].key) if found else SendResult(SendOutcome.TRY_AGAIN)


def postboxes(
    put: Put, accepted: Callable[[], Sequence[Letter]], outages: Sequence[PlannedOutage] = ()
) -> dict[Channel, Provider]:
    """One for each channel; `put` gets each message and its moment, `accepted` tells all that was put."""
    return {channel: _postbox(channel, put, accepted, outages) for channel in Channel}


def _postbox(
    channel: Channel, put: Put, accepted: Callable[[], Sequence[Letter]], outages: Sequence[PlannedOutage]
) -> Provider:
    match channel:
        case Channel.EMAIL:
            return Postbox(channel, put, outages)
        case Channel.SMS:
            return TextPostbox(channel, put, accepted, outages)
        case _:
            assert_never(channel)
