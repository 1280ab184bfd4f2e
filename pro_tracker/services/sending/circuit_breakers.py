"""The circuit breaker of each channel: while its provider is down, messages stay unclaimed and probes test it.

Without it an outage would use up every message's attempts and fill the log. It counts results that say something of
the provider, whatever the message (`SendResult.is_provider_fault`). Pattern: M. Nygard, Release It!, 2nd ed., ch. 5.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, case, select, update
from sqlalchemy.orm import Session

from pro_tracker.db import insert_into
from pro_tracker.domain.channels import Channel
from pro_tracker.models.provider_state import ProviderState
from pro_tracker.providers.base import SendResult

OPENS_AFTER = 5  # failures in a row: one or two are a hiccup that the next try outlives
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(minutes=5)  # so that messages are sent again at most this long after the provider is back


def open_breakers(session: Session) -> dict[Channel, ProviderState]:
    """Returns the open breakers by channel. Nothing on these channels is claimed, except after `start_probes`."""
    is_open = ProviderState.opened_at.is_not(None)
    states = _current(session, select(ProviderState).where(is_open))
    return {state.channel: state for state in states}


def start_probes(session: Session, *, now: datetime) -> list[Channel]:
    """Returns the channels with an open breaker whose provider may be tested now.

    Starting a probe moves the next one ahead, so that any number of concurrent sweeps together start one.
    """
    due = select(ProviderState).where(ProviderState.probe_at <= now)
    states = _current(session, due.with_for_update(skip_locked=True))
    for state in states:
        state.probes += 1
        state.probe_at = now + _wait(state.probes)
    return [state.channel for state in states]


def _current(session: Session, states: Select[ProviderState]) -> Sequence[ProviderState]:
    """Reads the rows as they are now in the database, also those that the session has read before."""
    return session.scalars(states, execution_options={"populate_existing": True}).all()


def record(session: Session, channel: Channel, result: SendResult, *, now: datetime) -> datetime | None:
    """Counts a result. Returns when the next probe may go if the breaker is open after it, else None.

    A result that is no provider fault closes the breaker.
    """
    if result.is_provider_fault:
        return _record_failure(session, channel, result, now)
    failing = update(ProviderState).where(ProviderState.channel == channel, ProviderState.failures > 0)
    session.execute(
        failing.values(failures=0, probes=0, reply=None, opened_at=None, probe_at=None),
        execution_options={"synchronize_session": False},
    )
    return None


def _record_failure(session: Session, channel: Channel, result: SendResult, now: datetime) -> datetime | None:
    """Uses one statement, so that workers that fail at the same moment are all counted and open the breaker once."""
    state: Any = ProviderState
    insert = insert_into(session, state, [_first_failure(channel, result)])
    opens = and_(state.opened_at.is_(None), state.failures + 1 >= OPENS_AFTER)
    requested_at = now + (result.retry_after or timedelta(0))
    first_probe_at = max(now + _wait(0), requested_at)
    counted = insert.on_conflict_do_update(
        index_elements=["channel"],
        set_={
            "failures": state.failures + 1,
            "reply": result.reply,
            "opened_at": case((opens, now), else_=state.opened_at),
            "probe_at": case(
                (opens, first_probe_at), (state.probe_at < requested_at, requested_at), else_=state.probe_at
            ),
        },
    )
    probe_at: datetime | None = session.scalar(counted.returning(state.probe_at))
    return probe_at


def _first_failure(channel: Channel, result: SendResult) -> dict[str, Any]:
    return {
        "channel": channel,
        "failures": 1,
        "probes": 0,
        "reply": result.reply,
        "opened_at": None,
        "probe_at": None,
    }


def _wait(probes: int) -> timedelta:
    """Returns 30 s, 1 minute, 2, 4, then 5: twice as long after each probe."""
    wait: timedelta = FIRST_WAIT * 2 ** min(probes, 10)
    return min(wait, LONGEST_WAIT)
