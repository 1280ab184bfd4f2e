"""The simulated clock: things that will happen, in order of their moments. Says nothing of what they are."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(order=True, frozen=True)
class Happening:
    """Something that happens at a moment; `number` keeps the order of those at the same moment."""

    at: datetime
    number: int
    act: Callable[[], object] = field(compare=False)


@dataclass
class Calendar:
    """Upcoming happenings and the present moment, which only moves forward."""

    now: datetime
    _upcoming: list[Happening] = field(default_factory=list)
    _count: int = 0

    def add(self, at: datetime, act: Callable[[], object]) -> None:
        """Let `act` happen at a moment, or now when that is past."""
        self._count += 1
        heapq.heappush(self._upcoming, Happening(max(at, self.now), self._count, act))

    @property
    def next_at(self) -> datetime | None:
        return self._upcoming[0].at if self._upcoming else None

    def advance(self) -> None:
        """Move to the next happening and let it happen."""
        happening = heapq.heappop(self._upcoming)
        self.now = happening.at
        happening.act()

    def move_to(self, moment: datetime) -> None:
        """Move forward without a happening."""
        self.now = max(self.now, moment)
