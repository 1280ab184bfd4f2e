"""Staff record what synthetic patients get alongside the infusions, and liver tests, and correct some of it."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from decimal import Decimal
from functools import partial
from random import Random

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.other_treatment_codes import LiverTestResult, OtherTreatmentKind, TreatmentFrequency
from pro_tracker.domain.wall_time import moment
from pro_tracker.models.other_treatment import OtherTreatment
from pro_tracker.models.subject import Subject
from pro_tracker.services.clinic import person
from pro_tracker.services.treatment.liver_tests import LIVER_TESTS, LiverTestFacts
from pro_tracker.services.treatment.other_treatments import OTHER_TREATMENTS, OtherTreatmentFacts
from pro_tracker.services.treatment.replaced_rows import RowCorrection
from pro_tracker.simulation.context import STAFF, SimulationContext
from pro_tracker.simulation.scenario import CourseScenario, PatientScenario

EVENING = time(17, 45)  # local; the infusions of the day are recorded by then
NOT_ASKED, NONE, SEVERAL = 0.2, 0.35, 0.7  # of all, those with a draw up to this; the rest get one treatment
ENDED, ERROR = 0.2, 0.3  # of treatments, those that end within the follow-up, and those of another patient
TESTED, RAISED = 0.7, 0.1
TESTED_BEFORE = timedelta(days=2)  # a repeat course is entered three days before it begins
ENDS_AFTER = timedelta(days=40)
TREATMENTS = (
    (OtherTreatmentKind.DRUG, "Gabapentin", Decimal(300), TreatmentFrequency.THRICE_DAILY),
    (OtherTreatmentKind.DRUG, "Duloxetine", Decimal(60), TreatmentFrequency.DAILY),
    (OtherTreatmentKind.DRUG, "Ibuprofen", Decimal(400), TreatmentFrequency.AS_NEEDED),
    (OtherTreatmentKind.PHYSICAL_THERAPY, "Exercise therapy", None, TreatmentFrequency.TWICE_WEEKLY),
    (OtherTreatmentKind.CHIROPRACTIC, "Manual therapy", None, TreatmentFrequency.WEEKLY),
    (OtherTreatmentKind.PROCEDURE, "Nerve block", None, TreatmentFrequency.ONCE),
)


@dataclass
class SimulatedOtherTreatments:
    """The treatments alongside and liver tests of all courses."""

    context: SimulationContext

    def schedule(self, scenario: PatientScenario, subject_id: uuid.UUID, course: CourseScenario) -> None:
        """Schedules what staff record on the first day of a course, and before it if it is a repeat course."""
        random = Random(f"{scenario.number}:{course.start_on}:alongside")  # nosec B311: synthetic data, not secrets
        if course is not scenario.courses[0] and random.random() < TESTED:
            self._schedule_test(scenario, subject_id, course.start_on - TESTED_BEFORE, random)
        if course.infusions:
            asked_on = course.infusions[0].given_on
            for facts in _draw_treatments(asked_on, random):
                record = partial(self._record, scenario, subject_id, facts, random.random())
                self._schedule(scenario, asked_on, record)

    def _schedule_test(self, scenario: PatientScenario, subject_id: uuid.UUID, on: date, random: Random) -> None:
        result = LiverTestResult.RAISED if random.random() < RAISED else LiverTestResult.NORMAL
        self._schedule(scenario, on, partial(self._record_test, subject_id, LiverTestFacts(on, result)))

    def _schedule(self, scenario: PatientScenario, on: date, action: Callable[[], None]) -> None:
        self.context.queue.schedule(moment(on, EVENING, scenario.facts.time_zone), action)

    def _record_test(self, subject_id: uuid.UUID, facts: LiverTestFacts) -> None:
        subject = self._subject(subject_id)
        if subject.takes_part:
            LIVER_TESTS.record(self.context.session, STAFF, subject, facts, now=self.context.now)
            self.context.counts["liver tests"] += 1

    def _record(
        self, scenario: PatientScenario, subject_id: uuid.UUID, facts: OtherTreatmentFacts, draw: float
    ) -> None:
        """Records a treatment; some of them end later, and some were of another patient. `draw`: which, 0 to 1."""
        subject = self._subject(subject_id)
        if not subject.takes_part:
            return
        session, now = self.context.session, self.context.now
        try:
            with session.begin_nested():
                row = OTHER_TREATMENTS.record(session, STAFF, subject, facts, now=now)
        except InvalidInput:  # one of the course before goes on, or is the same
            return
        self.context.counts["other treatments"] += 1
        if facts.kind != OtherTreatmentKind.NONE and draw < ENDED:
            self._schedule(scenario, facts.asked_on + ENDS_AFTER, partial(self._end, row.id))
        elif draw < ERROR:
            self._schedule(scenario, facts.asked_on + timedelta(days=1), partial(self._void, row.id))

    def _end(self, row_id: int) -> None:
        session, now = self.context.session, self.context.now
        row = session.get_one(OtherTreatment, row_id)
        facts = replace(OTHER_TREATMENTS.facts_of(row), ended_on=row.asked_on + ENDS_AFTER - timedelta(days=5))
        try:
            with session.begin_nested():
                OTHER_TREATMENTS.correct(session, STAFF, row, RowCorrection(facts, "it ended"), now=now)
        except InvalidInput:  # the patient died before
            return
        self.context.counts["other treatments ended"] += 1

    def _void(self, row_id: int) -> None:
        session, now = self.context.session, self.context.now
        row = session.get_one(OtherTreatment, row_id)
        OTHER_TREATMENTS.void(session, STAFF, row, reason="of another patient", now=now)

    def _subject(self, subject_id: uuid.UUID) -> Subject:
        return person.kept(self.context.session, subject_id)


def _draw_treatments(asked_on: date, random: Random) -> Iterator[OtherTreatmentFacts]:
    """Yields what is recorded at a course: nothing, that there is nothing, or one or two treatments."""
    draw = random.random()
    if draw < NOT_ASKED:
        return
    if draw < NONE:
        yield OtherTreatmentFacts(OtherTreatmentKind.NONE, "", asked_on)
        return
    for kind, name, amount, frequency in random.sample(TREATMENTS, 2 if draw > SEVERAL else 1):
        yield OtherTreatmentFacts(
            kind=kind,
            name=name,
            asked_on=asked_on,
            amount=amount,
            unit="mg" if amount else None,
            frequency=frequency,
            started_on=asked_on - timedelta(days=random.randrange(10, 900)),
        )
