"""The simulated clock: a queue of scheduled actions in order of time (discrete-event simulation)."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(order=True, frozen=True)
class QueuedAction:
    """An action at a time. `number` preserves the order of actions at the same time."""

    at: datetime
    number: int
    action: Callable[[], object] = field(compare=False)


@dataclass
class EventQueue:
    """The scheduled actions and the current time, which only moves forward."""

    now: datetime
    _actions: list[QueuedAction] = field(default_factory=list)
    _count: int = 0

    def schedule(self, at: datetime, action: Callable[[], object]) -> None:
        """Schedules an action; a time in the past means now."""
        self._count += 1
        queued = QueuedAction(max(at, self.now), self._count, action)
        heapq.heappush(self._actions, queued)

    @property
    def next_at(self) -> datetime | None:
        """Returns the time of the next action, or None when the queue is empty."""
        if not self._actions:
            return None
        return self._actions[0].at

    def run_next(self) -> None:
        """Advances to the next action and runs it. Raises IndexError when the queue is empty."""
        queued = heapq.heappop(self._actions)
        self.now = queued.at
        queued.action()

    def advance_to(self, moment: datetime) -> None:
        """Advances the time without running an action."""
        self.now = max(self.now, moment)
