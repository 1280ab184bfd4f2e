"""Beat's memory in the database: a restart forgets nothing, and any number of beats tick as one.

Celery's own is a file, which a container loses and which two beats cannot share.
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

NEVER = datetime(2000, 1, 1, tzinfo=UTC)  # what has not run yet is due
log = logging.getLogger(__name__)


class SharedScheduler(Scheduler):  # type: ignore[misc]  # Celery ships no types
    """Asks the table before it queues a task, and queues it all the same when the database does not answer."""

    def setup_schedule(self) -> None:
        """Go on where the last beat stopped: what was missed meanwhile runs once, at once."""
        super().setup_schedule()
        connect()
        seen: dict[str, datetime] = {}
        with suppress(SQLAlchemyError), Session() as session:
            seen = heartbeats.last_ticks(session)
        for name, entry in self.schedule.items():
            entry.last_run_at = seen.get(name, NEVER)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Queue the entry's task, unless another beat has done so."""
        if self._claim(entry):
            super().apply_entry(entry, producer)

    def _claim(self, entry: Any) -> bool:
        ticked_at = self.schedule[entry.name].last_run_at  # this tick's moment, which the next one is counted from
        try:
            with Session() as session:
                ours = heartbeats.claim_tick(
                    session, entry.name, ticked_at, is_due=lambda last: entry.schedule.is_due(last).is_due
                )
                session.commit()
        except SQLAlchemyError as error:
            log.warning("beat.database_away %s", type(error).__name__)
            return True
        return ours
