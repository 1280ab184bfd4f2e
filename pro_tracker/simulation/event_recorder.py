"""Reports of the simulation about external events, to the event log."""

from typing import Protocol


class EventRecorder(Protocol):
    """Records one event at the current simulated time; docs/ledger-check.md defines event types and data."""

    def __call__(self, event: str, **data: object) -> None: ...


def discard_event(event: str, **data: object) -> None:
    """Records nothing: the recorder of simulations whose ledger is not checked."""
