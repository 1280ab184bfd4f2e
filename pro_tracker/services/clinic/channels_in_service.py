"""Which channels this installation sends on. Set once per process, as db.connect sets the database."""

from collections.abc import Iterable

from pro_tracker.domain.channels import DEFAULT_CHANNELS, Channel

_in_service: list[Channel] = list(DEFAULT_CHANNELS)


def set_channels_in_service(channels: Iterable[Channel]) -> None:
    """Plan and send on these channels only."""
    _in_service[:] = channels


def channels_in_service() -> tuple[Channel, ...]:
    """The channels that planning may use, in their order."""
    return tuple(_in_service)
