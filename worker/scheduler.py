"""Celery beat with its schedule state in the database: restarts lose nothing, and several beats act as one.

Celery's default scheduler keeps a file, which a container loses and two beats cannot share.
"""

import logging
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from celery.beat import Scheduler
from sqlalchemy.exc import SQLAlchemyError

from pro_tracker.db import Session
from pro_tracker.services.operations import heartbeats
from worker.celery_app import connect

NEVER = datetime(2000, 1, 1, tzinfo=UTC)  # last run of an entry that has not run yet, so that it is due
log = logging.getLogger(__name__)


class SharedScheduler(Scheduler):  # type: ignore[misc]  # Celery ships no types
    """Claims each tick in the heartbeat table before it queues the task; queues it anyway if the database is down.

    A task queued twice is harmless, a missed one is not.
    """

    def setup_schedule(self) -> None:
        """Continues where the last beat stopped: an entry missed since then runs once, at once."""
        super().setup_schedule()
        connect()
        seen: dict[str, datetime] = {}
        with suppress(SQLAlchemyError), Session() as session:
            seen = heartbeats.last_ticks(session)
        for name, entry in self.schedule.items():
            entry.last_run_at = seen.get(name, NEVER)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Queues the entry's task, unless another beat has queued it for this tick."""
        if self._claim(entry):
            super().apply_entry(entry, producer)

    def _claim(self, entry: Any) -> bool:
        def is_due(last: datetime) -> bool:
            return bool(entry.schedule.is_due(last).is_due)

        ticked_at = self.schedule[entry.name].last_run_at  # Celery has set it to this tick's time
        try:
            with Session() as session:
                claimed = heartbeats.claim_tick(session, entry.name, ticked_at, is_due=is_due)
                session.commit()
        except SQLAlchemyError as error:
            log.warning("beat.database_away %s", type(error).__name__)
            return True
        return claimed
