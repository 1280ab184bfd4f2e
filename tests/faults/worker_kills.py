"""Sends messages while the worker is killed repeatedly, and compares the ledger with the provider's record."""

import random
import time
from collections import Counter
from dataclasses import dataclass

from sqlalchemy import func, select

from pro_tracker import db
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.subject import Subject
from tests.faults.due_messages import add_due_messages, address
from tests.faults.installation import Installation

KNOWN_AS_SUBMITTED = ("sent", "uncertain")


@dataclass(frozen=True)
class SendReport:
    """The outcome of all messages: the provider's record compared with the ledger.

    `lost`: not accepted, and not reported to staff as uncertain. `hidden`: accepted, and would be sent again.
    """

    messages: int
    kills: int
    seconds: float
    accepted: int
    accepted_twice: int
    lost: int
    hidden: int
    uncertain: int
    uncertain_accepted: int
    attempts: int


def kill_workers(running: Installation, messages: int, kills: int, *, seed: int, channel: str = "email") -> SendReport:
    """Sends due messages while the worker is killed, at moments drawn from `seed`."""
    started = time.monotonic()
    add_due_messages(messages, channel=channel)
    running.start_worker()
    killer = WorkerKiller(running, kills, random.Random(seed), messages - 1)
    running.send_all(killer.maybe_kill, limit_seconds=120 + messages / 10 + kills * 10)
    seconds = time.monotonic() - started
    return send_report(running, messages, kills=kills - killer.remaining, seconds=seconds)


@dataclass
class WorkerKiller:
    """Kills the worker each time a random number of further messages is finished.

    Divides the unfinished messages by the remaining kills, so that messages last for all of them. `next_at`: the number
    of unfinished messages at the next kill.
    """

    running: Installation
    remaining: int
    random: random.Random
    next_at: int

    def maybe_kill(self, unfinished: int) -> None:
        """Kills and restarts the worker if it is time for it."""
        if self.remaining == 0 or unfinished > self.next_at:
            return
        time.sleep(self.random.uniform(0, 0.05))
        self.running.kill_worker()
        self.remaining -= 1
        self.running.start_worker()
        largest_step = max(1, unfinished // (self.remaining + 1))
        self.next_at = unfinished - self.random.randint(1, largest_step)


def send_report(running: Installation, messages: int, *, kills: int = 0, seconds: float = 0) -> SendReport:
    """Stops all processes and compares the provider's record with the ledger."""
    running.stop()
    states = _states_by_address()
    accepted = Counter(running.accepted_addresses())
    uncertain = {to for to, state in states.items() if state == "uncertain"}
    missing = states.keys() - accepted.keys()
    return SendReport(
        messages=messages,
        kills=kills,
        seconds=seconds,
        accepted=len(accepted),
        accepted_twice=sum(1 for count in accepted.values() if count > 1),
        lost=len(missing - uncertain),
        hidden=sum(1 for to in accepted if states.get(to) not in KNOWN_AS_SUBMITTED),
        uncertain=len(uncertain),
        uncertain_accepted=len(uncertain & accepted.keys()),
        attempts=_count_attempts(),
    )


def _states_by_address() -> dict[str, str]:
    query = select(Subject.study_code, Message.channel, Message.state).join(Message)
    states: dict[str, str] = {}
    with db.Session() as session:
        for study_code, channel, state in session.execute(query):
            number = int(study_code.rpartition("-")[2])
            states[address(channel, number)] = state
    return states


def _count_attempts() -> int:
    query = select(func.count()).select_from(Attempt)
    with db.Session() as session:
        return session.scalar(query) or 0
