"""A provider is down: its channel's circuit opens, messages wait unclaimed, one at a time tries whether it is back.

Without it an outage would spend every message's attempts and fill the log. What a provider says of one message is no
business of this module, only what it would have said of any (`Receipt.about_provider`).
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, case, select, update
from sqlalchemy.orm import Session

from pro_tracker.db import insert_into
from pro_tracker.domain.channels import Channel
from pro_tracker.models.provider_state import ProviderState
from pro_tracker.providers.base import Receipt

OPENS_AFTER = 5  # failures in a row: one or two are a hiccup that the next try outlives
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(minutes=5)  # so that mails go again at most this long after the provider is back


def closed_channels(session: Session) -> set[Channel]:
    """The channels whose circuit is open: nothing on them is to be claimed, except by `take_probes`."""
    return set(open_circuits(session))


def open_circuits(session: Session) -> dict[Channel, ProviderState]:
    """The open circuits by channel."""
    rows = select(ProviderState).where(ProviderState.opened_at.is_not(None))
    return {row.channel: row for row in session.scalars(rows, execution_options={"populate_existing": True})}


def take_probes(session: Session, *, now: datetime) -> list[Channel]:
    """The open channels on which one message may be claimed now, to see whether the provider is back.

    Whoever takes a probe moves the next one ahead, so that any number of sweeps together take one.
    """
    due = select(ProviderState).where(ProviderState.probe_at <= now).with_for_update(skip_locked=True)
    states = session.scalars(due, execution_options={"populate_existing": True}).all()
    for state in states:
        state.probes += 1
        state.probe_at = now + _wait(state.probes)
    return [state.channel for state in states]


def note(session: Session, channel: Channel, receipt: Receipt, *, now: datetime) -> datetime | None:
    """Count what came of a hand-over. Returns when the next probe may go if the circuit is open after it, else None.

    One that went well closes the circuit. For many that went well in a batch, noting the last one says it all.
    """
    if receipt.about_provider:
        return _failed(session, channel, receipt, now)
    failing = update(ProviderState).where(ProviderState.channel == channel, ProviderState.failures > 0)
    session.execute(
        failing.values(failures=0, probes=0, reply=None, opened_at=None, probe_at=None),
        execution_options={"synchronize_session": False},
    )
    return None


def _failed(session: Session, channel: Channel, receipt: Receipt, now: datetime) -> datetime | None:
    """One statement, so that workers that fail at the same moment are all counted and open the circuit once."""
    state: Any = ProviderState
    insert = insert_into(session, state, [_first_failure(channel, receipt)])
    opens = and_(state.opened_at.is_(None), state.failures + 1 >= OPENS_AFTER)
    asked_for = now + (receipt.retry_after or timedelta(0))
    counted = insert.on_conflict_do_update(
        index_elements=["channel"],
        set_={
            "failures": state.failures + 1,
            "reply": receipt.reply,
            "opened_at": case((opens, now), else_=state.opened_at),
            "probe_at": case(
                (opens, max(now + _wait(0), asked_for)), (state.probe_at < asked_for, asked_for), else_=state.probe_at
            ),
        },
    )
    probe_at: datetime | None = session.scalar(counted.returning(state.probe_at))
    return probe_at


def _first_failure(channel: Channel, receipt: Receipt) -> dict[str, Any]:
    return {"channel": channel, "failures": 1, "probes": 0, "reply": receipt.reply, "opened_at": None, "probe_at": None}


def _wait(probes: int) -> timedelta:
    """Twice as long after each probe: 30 s, 1 minute, 2, 4, then 5."""
    wait: timedelta = FIRST_WAIT * 2 ** min(probes, 10)
    return min(wait, LONGEST_WAIT)
