"""Counts the items of a study event, and the minutes that patients are told they take."""

from pro_tracker.domain import answering_time
from pro_tracker.domain.protocol import Protocol
from pro_tracker.services.instruments import instrument_catalog


def minutes(protocol: Protocol, event_code: str) -> int:
    """Returns the minutes that the event's battery takes, as in `answering_time.minutes`. Raises NotFound."""
    return answering_time.minutes(n_items(protocol, event_code))


def n_items(protocol: Protocol, event_code: str) -> int:
    """Returns how many items the event asks; of an adaptive test, at most. Raises NotFound."""
    counts: list[int] = []
    for code in protocol.event(event_code).battery:
        instrument = instrument_catalog.instrument(code)
        n_of_form = len(instrument.items)
        counts.append(min(instrument.bank.most_items, n_of_form) if instrument.bank else n_of_form)
    return sum(counts)
