"""Draws provider outages. During an outage a provider refuses connections, or accepts messages without a response."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import exp, log
from random import Random
from typing import Literal

from pro_tracker.domain.channels import DEFAULT_CHANNELS, Channel
from pro_tracker.simulation.parameters import FaultParameters, MinuteRange

OutageKind = Literal["refusing", "silent"]
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class SimulatedOutage:
    """An outage of a channel's provider; `until_at` is exclusive."""

    channel: Channel
    kind: OutageKind
    from_at: datetime
    until_at: datetime


def draw_outages(faults: FaultParameters, from_at: datetime, seed: int) -> list[SimulatedOutage]:
    """Draws the outages of every channel.

    Divides the time into equal parts with one outage each, so that outages of a channel do not overlap.
    """
    random = Random(f"{seed}:outages")
    part = timedelta(days=faults.days) / faults.outages
    limits = [from_at + number * part for number in range(faults.outages + 1)]
    outages: list[SimulatedOutage] = []
    for channel in DEFAULT_CHANNELS:
        outages.extend(_outages_of(channel, limits, faults=faults, random=random))
    return outages


def outage_kind_at(outages: Sequence[SimulatedOutage], now: datetime) -> OutageKind | None:
    """Returns how the provider fails at this time, or None while it is up."""
    for outage in outages:
        if outage.from_at <= now < outage.until_at:
            return outage.kind
    return None


def _outages_of(
    channel: Channel, limits: Sequence[datetime], *, faults: FaultParameters, random: Random
) -> Iterator[SimulatedOutage]:
    for start, end in pairwise(limits):
        duration = _draw_duration(faults.outage_minutes, random)
        kind: OutageKind = "silent" if random.random() < faults.silent_outage else "refusing"
        latest_start = (end - start - duration) // MINUTE
        from_at = start + random.randrange(latest_start) * MINUTE
        yield SimulatedOutage(channel, kind, from_at, from_at + duration)


def _draw_duration(limits: MinuteRange, random: Random) -> timedelta:
    """Draws a log-uniform duration: short outages are more frequent than long ones."""
    logarithm = random.uniform(log(limits.minimum), log(limits.maximum))
    return round(exp(logarithm)) * MINUTE
