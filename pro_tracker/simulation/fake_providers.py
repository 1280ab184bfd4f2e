"""Providers that keep messages inside the simulation, with simulated outages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pro_tracker.domain.channels import DEFAULT_CHANNELS, AddressKind, Channel, address_kind
from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.providers.base import OutcomeQuery, OutgoingMessage, Provider, SendResult
from pro_tracker.simulation.outages import SimulatedOutage, outage_kind_at

Store = Callable[["DeliveredMessage", datetime], None]
CONNECTION_REFUSED = SendResult(SendOutcome.TRY_AGAIN, "ConnectionRefusedError", is_provider_fault=True)
NO_RESPONSE = SendResult(SendOutcome.UNKNOWN, "TimeoutError", is_provider_fault=True)


@dataclass(frozen=True, slots=True)
class DeliveredMessage:
    """A message as delivered to the patient."""

    key: str
    channel: Channel
    to: str
    text: str


class FakeProvider(Provider):
    """Stores messages instead of sending them. Like SMTP, it cannot be queried for a message."""

    name = "simulation"

    def __init__(self, channel: Channel, store: Store, outages: Sequence[SimulatedOutage] = ()) -> None:
        self.channel = channel
        self._store = store
        self._outages = [outage for outage in outages if outage.channel == channel]

    def send(self, message: OutgoingMessage) -> SendResult:
        """Stores the message and confirms it. In a silent outage, stores every second message and never confirms."""
        failure = outage_kind_at(self._outages, message.written_at)
        if failure == "refusing":
            return CONNECTION_REFUSED
        if failure is None or message.key.int % 2:
            delivered = DeliveredMessage(str(message.key), self.channel, message.to, message.text)
            self._store(delivered, message.written_at)
        if failure is not None:
            return NO_RESPONSE
        return SendResult(SendOutcome.ACCEPTED, "250", str(message.key))

    def close(self) -> None:
        """Does nothing: there is no connection."""


class FakeSmsProvider(FakeProvider):
    """Like an SMS provider, it can be queried for the messages that it accepted, except during outages."""

    def __init__(
        self,
        channel: Channel,
        store: Store,
        stored: Callable[[], Sequence[DeliveredMessage]],
        outages: Sequence[SimulatedOutage] = (),
    ) -> None:
        super().__init__(channel, store, outages)
        self._stored = stored

    def query_status(self, query: OutcomeQuery) -> SendResult | None:
        """Returns ACCEPTED if a stored message to the number matches the query, otherwise TRY_AGAIN."""
        if outage_kind_at(self._outages, query.now):
            return NO_RESPONSE
        for message in self._stored():
            if message.to == query.to and query.is_ours(message.text):
                return SendResult(SendOutcome.ACCEPTED, "250", message.key)
        return SendResult(SendOutcome.TRY_AGAIN)


def fake_providers(
    store: Store, stored: Callable[[], Sequence[DeliveredMessage]], outages: Sequence[SimulatedOutage] = ()
) -> dict[Channel, Provider]:
    """Returns a provider for each channel. `store` keeps a message; `stored` returns all messages kept so far."""
    return {channel: _fake_provider(channel, store, stored, outages) for channel in DEFAULT_CHANNELS}


def _fake_provider(
    channel: Channel, store: Store, stored: Callable[[], Sequence[DeliveredMessage]], outages: Sequence[SimulatedOutage]
) -> Provider:
    if address_kind(channel) is AddressKind.TELEPHONE:
        return FakeSmsProvider(channel, store, stored, outages)
    return FakeProvider(channel, store, outages)
