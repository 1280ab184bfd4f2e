"""The channels that this installation sends on, set once for each process at its start."""

from collections.abc import Iterable

from pro_tracker.domain.channels import DEFAULT_CHANNELS, Channel

_in_service: list[Channel] = list(DEFAULT_CHANNELS)


def set_channels_in_service(channels: Iterable[Channel]) -> None:
    """Restricts planning and sending to these channels."""
    _in_service[:] = channels


def channels_in_service() -> tuple[Channel, ...]:
    """Returns the channels that messages may be planned and sent on, in the order in which they were set."""
    return tuple(_in_service)
