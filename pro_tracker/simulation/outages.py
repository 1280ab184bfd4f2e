"""When a channel's provider is down, and how: it refuses connections, or takes what it is given and says nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import exp, log
from random import Random
from typing import Literal

from pro_tracker.domain.channels import Channel
from pro_tracker.simulation.figures import TroubleFigures

Kind = Literal["refusing", "silent"]
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class PlannedOutage:
    """A provider is down from a moment until just before another one."""

    channel: Channel
    kind: Kind
    from_at: datetime
    until_at: datetime


def draw_outages(figures: TroubleFigures, from_at: datetime, seed: int) -> list[PlannedOutage]:
    """Of every channel: one in each of as many equal parts of the time, so that no two of a channel meet."""
    random = Random(f"{seed}:outages")
    part = timedelta(days=figures.days) / figures.outages
    parts = [from_at + number * part for number in range(figures.outages + 1)]
    return [each for channel in Channel for each in _of_channel(channel, parts, figures, random)]


def _of_channel(
    channel: Channel, parts: Sequence[datetime], figures: TroubleFigures, random: Random
) -> Iterator[PlannedOutage]:
    for start, end in pairwise(parts):
        lasts = _lasts(figures, random)
        kind: Kind = "silent" if random.random() < figures.silent else "refusing"
        begins = start + random.randrange((end - start - lasts) // MINUTE) * MINUTE
        yield PlannedOutage(channel, kind, begins, begins + lasts)


def _lasts(figures: TroubleFigures, random: Random) -> timedelta:
    """Short ones are as much more frequent as they are shorter."""
    span = figures.outage_minutes
    return round(exp(random.uniform(log(span.least), log(span.most)))) * MINUTE


def kind_at(outages: Sequence[PlannedOutage], now: datetime) -> Kind | None:
    """How the provider fails now, if it does."""
    return next((each.kind for each in outages if each.from_at <= now < each.until_at), None)
