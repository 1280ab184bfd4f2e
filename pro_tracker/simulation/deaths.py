"""Deaths of synthetic patients: staff record them, some for the wrong patient, which they revert."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.subject import Subject
from pro_tracker.services.enrolment import deaths
from pro_tracker.services.enrolment.deaths import DeathFacts
from pro_tracker.simulation.context import STAFF, SimulationContext
from pro_tracker.simulation.scenario import DeathScenario, PatientScenario

SOURCE = "a relative called"
COUNTS = {"died": "deaths", "death-reverted": "deaths reverted"}


@dataclass
class SimulatedDeaths:
    """The deaths of all patients, through the service that staff use."""

    context: SimulationContext

    def schedule(self, scenario: PatientScenario, subject_id: uuid.UUID) -> None:
        """Schedules the record of a death, if the scenario has one."""
        if scenario.death is None:
            return
        record = partial(self._record, scenario.death, subject_id)
        self.context.queue.schedule(self.context.now + scenario.death.after, record)

    def _record(self, death: DeathScenario, subject_id: uuid.UUID) -> None:
        session, now = self.context.session, self.context.now
        subject = session.get_one(Subject, subject_id)
        deaths.record(session, STAFF, subject, self._facts(death, subject), now=now)
        self._note("died", subject_id)
        if death.reverted_after is not None:
            self.context.queue.schedule(now + death.reverted_after, partial(self._revert, subject_id))

    def _facts(self, death: DeathScenario, subject: Subject) -> DeathFacts:
        """Returns the death as staff enter it. A synthetic patient may have answered since: they confirm the date."""
        if death.days_late is None:
            return DeathFacts(None, DeathDatePrecision.UNKNOWN, SOURCE)
        today = local_date(self.context.now, subject.time_zone)
        died_on = max(today - timedelta(days=death.days_late), subject.enrolled_on)
        return DeathFacts(died_on, DeathDatePrecision.EXACT, SOURCE, is_confirmed=True)

    def _revert(self, subject_id: uuid.UUID) -> None:
        session = self.context.session
        subject = session.get_one(Subject, subject_id)
        deaths.revert(session, STAFF, subject, reason="another patient", now=self.context.now)
        self._note("death-reverted", subject_id)

    def _note(self, event: str, subject_id: uuid.UUID) -> None:
        self.context.record_event(event, subject=subject_id)
        self.context.counts[COUNTS[event]] += 1
