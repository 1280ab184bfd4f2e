"""Draws the staged patients of the last weeks before the end, who live what each demonstration shows.

They answer only what staged_sessions.py lets them answer, so that a cohort of any size and seed shows it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from pro_tracker.domain.helper_codes import HelperEnding
from pro_tracker.domain.infusion_codes import InfusionStatus
from pro_tracker.domain.wall_time import local_date, moment
from pro_tracker.simulation.demographics import SATURDAY, next_weekday
from pro_tracker.simulation.faults import with_person_events
from pro_tracker.simulation.missed_day_draws import without_last_day
from pro_tracker.simulation.parameters import SimulationParameters
from pro_tracker.simulation.scenario import (
    ConsentScenario,
    CourseScenario,
    DeathScenario,
    HelperScenario,
    InjectedEvent,
    PatientScenario,
    StagedAct,
    StagedKind,
    draw_scenario,
)

ZONE = "America/New_York"
A_DAY, A_WEEK = timedelta(days=1), timedelta(days=7)
ENROLLED_BEFORE = timedelta(days=6)  # the first infusion
BEGUN_BEFORE_END = timedelta(hours=50)  # the call about it opens a day later, in the night
ALERT_BEFORE_END = timedelta(hours=3)  # staff have some of the plan's hours left
# After enrolment.
TRANSFERRED_AFTER, CORRECTED_AFTER = timedelta(days=60, hours=7), timedelta(days=12, hours=7)
NAMED_AFTER = timedelta(days=1, hours=2)
DIED_AFTER = timedelta(days=70, hours=7)
ENROLLED_TWICE_AFTER = timedelta(days=2, hours=6)
MERGED_AFTER = timedelta(days=1, hours=3)  # after the second enrolment
CONSENT_AFTER, STOPPED_AFTER = timedelta(days=1, hours=5), timedelta(days=2, hours=5)
MORNING, NOON, EVENING = time(8, 30), time(12, 0), time(18, 0)


@dataclass(frozen=True)
class Staging:
    """The end of the simulation, and where and with which parameters the patients are enrolled."""

    until: datetime
    site_code: str
    parameters: SimulationParameters
    seed: int

    def draw(self, first_number: int) -> list[PatientScenario]:
        """Returns the staged patients. `first_number`: the number of the first of them in the cohort."""
        last_on = local_date(self.until, ZONE) - 2 * A_DAY  # what is asked the day after is open until tonight
        return [
            self._changed_language(first_number, last_on - A_WEEK),
            self._did_not_send(first_number + 1, last_on - A_WEEK),
            self._has_open_alert(first_number + 2, last_on),
            self._began(first_number + 3),
        ]

    def _changed_language(self, number: int, last_on: date) -> PatientScenario:
        """A visit in two languages, one answer amended a day after, and an effect that was tapped by mistake."""
        enrolled_on, infusions = _days(last_on, self._planned)
        acts = (
            _at(enrolled_on + A_DAY, EVENING, StagedKind.ANSWER_IN_TWO_LANGUAGES),
            _at(enrolled_on + 2 * A_DAY, EVENING, StagedKind.AMEND),
            _at(last_on + A_DAY, NOON, StagedKind.TAP_BY_MISTAKE),
        )
        return self._treated(number, enrolled_on, infusions, acts)

    def _did_not_send(self, number: int, last_on: date) -> PatientScenario:
        """A visit that was begun and never sent, and an alert that staff handled."""
        enrolled_on, infusions = _days(last_on, self._planned)
        acts = (
            _at(enrolled_on + A_DAY, EVENING, StagedKind.BEGIN),
            _at(last_on + A_DAY, NOON, StagedKind.REPORT_EFFECT),
        )
        return self._treated(number, enrolled_on, infusions, acts)

    def _has_open_alert(self, number: int, last_on: date) -> PatientScenario:
        """An answer that came late, and an alert that is open at the end."""
        enrolled_on, infusions = _days(last_on, self._planned)
        acts = (
            _at(enrolled_on + A_DAY, EVENING, StagedKind.ANSWER),
            _at(enrolled_on + 2 * A_DAY, MORNING, StagedKind.ANSWER_LATE),
            StagedAct(self.until - ALERT_BEFORE_END, StagedKind.REPORT_OPEN_EFFECT),
        )
        return self._treated(number, enrolled_on, infusions, acts)

    def _began(self, number: int) -> PatientScenario:
        """A visit that was begun and is still open at the end."""
        today = local_date(self.until, ZONE)
        acts = (StagedAct(self.until - BEGUN_BEFORE_END, StagedKind.BEGIN),)
        course = CourseScenario(next_weekday(today + A_WEEK), (), None)
        return self._scenario(number, today - 3 * A_DAY, course, acts)

    def _treated(
        self, number: int, enrolled_on: date, infusions: Sequence[date], acts: tuple[StagedAct, ...]
    ) -> PatientScenario:
        drawn = self._scenario(number, enrolled_on, CourseScenario(infusions[0], (), None), acts)
        first = self._draw(number, enrolled_on).courses[0].infusions[0]
        usual = replace(
            first, status=InfusionStatus.COMPLETED, stop_reason=None, minutes=self.parameters.course.minutes
        )
        given = tuple(replace(usual, given_on=day, adverse_events=()) for day in infusions)
        return replace(drawn, courses=(CourseScenario(infusions[0], given, None),))

    def _scenario(
        self, number: int, enrolled_on: date, course: CourseScenario, acts: tuple[StagedAct, ...]
    ) -> PatientScenario:
        drawn = self._draw(number, enrolled_on)
        facts = replace(
            drawn.facts,
            language="en",
            email=f"patient{number}@patients.example",
            mobile=f"+1216555{number % 10_000:04}",
            time_zone=ZONE,
            planned_start_on=course.start_on,
            planned_infusions=self._planned,
        )
        return replace(drawn, facts=facts, courses=(course,), withdraws_after=None, staged_acts=acts)

    def _draw(self, number: int, enrolled_on: date) -> PatientScenario:
        return draw_scenario(
            number, self.site_code, enrolled_on=enrolled_on, parameters=self.parameters, seed=self.seed
        )

    def draw_consents(self, first_number: int, protocol: str) -> list[PatientScenario]:
        """Returns patients of a study with a consent form, enrolled days ago: one in each state of consent.

        In this order: agreed, not to the last purpose, not asked yet, an earlier version, declined, withdrawn.
        """
        by_phone = ConsentScenario(on_paper=False, decides_after=CONSENT_AFTER)
        consents = (
            by_phone,
            replace(by_phone, is_partial=True),
            replace(by_phone, decides_after=None),
            ConsentScenario(is_earlier_version=True),
            replace(by_phone, declines=True),
            by_phone,
        )
        people = [self._asked(first_number + index, protocol, each) for index, each in enumerate(consents)]
        return [*people[:-1], replace(people[-1], withdraws_after=STOPPED_AFTER)]

    def _asked(self, number: int, protocol: str, consent: ConsentScenario) -> PatientScenario:
        """A patient whose first visit is open, and who answers nothing but the form."""
        today = local_date(self.until, ZONE)
        course = CourseScenario(next_weekday(today + A_WEEK), (), None)
        drawn = self._scenario(number, today - 3 * A_DAY, course, ())
        return replace(drawn, protocol=protocol, consent=consent, only_consents=True)

    @property
    def _planned(self) -> int:
        return self.parameters.course.planned_infusions


def with_changed_people(scenarios: Sequence[PatientScenario]) -> list[PatientScenario]:
    """Returns the cohort whose first patients have a transfer, a corrected birth date, a merge, a death.

    The second one has a helper and did not come on a day.
    """
    changes: Sequence[Sequence[InjectedEvent]] = (
        [InjectedEvent(TRANSFERRED_AFTER, "transfer")],
        [InjectedEvent(CORRECTED_AFTER, "birth-date")],
        [InjectedEvent(ENROLLED_TWICE_AFTER, "second-record"), InjectedEvent(MERGED_AFTER, "merge")],
    )
    changed: list[PatientScenario] = []
    for scenario, events in zip(scenarios, changes, strict=False):
        participant = replace(scenario, withdraws_after=None)
        changed.append(with_person_events(participant, events))
    if len(changed) > 1:
        changed[1] = _with_helper_and_missed_day(changed[1])
    for scenario in scenarios[len(changed) : len(changed) + 1]:
        died = DeathScenario(DIED_AFTER, days_late=1, reverted_after=None)
        changed.append(replace(scenario, withdraws_after=None, death=died))
    return [*changed, *scenarios[len(changed) :]]


def _with_helper_and_missed_day(scenario: PatientScenario) -> PatientScenario:
    helper = HelperScenario(
        relation="daughter",
        named_after=NAMED_AFTER,
        has_dead_mailbox=False,
        corrected_after=None,
        removed_after=None,
        ending=HelperEnding.PATIENT,
        named_again_after=None,
        stops_at_mail=None,
        reopened_after=None,
    )
    first, *later = scenario.courses
    return replace(scenario, helper=helper, courses=(without_last_day(first), *later))


def _at(day: date, local_time: time, kind: StagedKind) -> StagedAct:
    return StagedAct(moment(day, local_time, ZONE), kind)


def _days(last_on: date, count: int) -> tuple[date, list[date]]:
    """Returns the day of enrolment, and `count` infusion days of which the last is `last_on`."""
    infusions = [last_on, *_weekdays_before(last_on, count - 1)]
    infusions.reverse()
    return infusions[0] - ENROLLED_BEFORE, infusions


def _weekdays_before(day: date, count: int) -> Iterator[date]:
    for _ in range(count):
        day -= A_DAY
        while day.weekday() >= SATURDAY:
            day -= A_DAY
        yield day
