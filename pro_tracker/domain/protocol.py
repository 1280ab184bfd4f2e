"""The content of a protocol: study events with windows and batteries, reminder steps, and when a course ends.

Data only, read from the protocol files (docs/protocol-format.md); visit_windows.py and reminder_times.py apply it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import time
from decimal import Decimal
from enum import StrEnum
from itertools import chain
from typing import Literal

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.errors import NotFound
from pro_tracker.domain.infusion_codes import MedicationPurpose, VitalTiming
from pro_tracker.domain.instrument import ChangeRule, Scale
from pro_tracker.domain.language_choice import best_language
from pro_tracker.domain.liver_tests import LiverTestRule

Anchor = Literal["enrolment", "course-start", "first-infusion", "each-infusion", "last-infusion", "by-hand"]
CountsFrom = Literal["opening", "due", "near-due"]


class ChannelWord(StrEnum):
    """The words that a reminder step may use instead of a channel; the channels follow from the subject's contacts."""

    PREFERRED = "preferred"  # the preferred channel; if it cannot be used, another with an address
    BOTH = "both"  # every channel on which the subject has an address of its own
    OTHER = "other"  # former spelling of: another channel than the preferred one, then the preferred one


ChannelOption = Channel | ChannelWord


@dataclass(frozen=True, slots=True)
class ReminderStep:
    """One message to an unanswered visit, `day` days after it opened or after its due day (then also negative).

    Steps that count from "near-due" are days from the due day, too; where the first of them would precede opening or
    planning, all move by the same days. `channels`: in order of preference; the message is sent on the first that can
    be used. `number`: counts from 0 in each event.
    """

    number: int
    day: int
    channels: tuple[ChannelOption, ...]
    template: str
    counts_from: CountsFrom = "opening"


@dataclass(frozen=True, slots=True)
class StudyEvent:
    """One point in a course at which a battery is answered. Days count from the anchor date, local to the subject.

    The window opens at the protocol's opening time and closes at the end of its last day. `titles`: language -> name.
    `before_treatment`: answers count only until the course's first infusion begins. `held_after_infusion`: not asked
    until the morning after an infusion. `reminders`: the event's own steps; if empty, those of the protocol apply.
    `optional`: asked once, never reminded of or called about, and not missed without an answer.
    """

    code: str
    number: int
    titles: Mapping[str, str] = field(hash=False)
    anchor: Anchor
    opens_day: int
    due_day: int
    closes_day: int
    battery: tuple[str, ...]
    reminders: tuple[ReminderStep, ...] = ()
    before_treatment: bool = False
    held_after_infusion: bool = True
    optional: bool = False

    @property
    def title(self) -> str:
        """The event's name in the first of its languages, which is the protocol's default language."""
        return next(iter(self.titles.values()))

    def title_in(self, language: str) -> str:
        """Returns the event's name in `language` or, for "es-MX", in "es"; without either, `title`."""
        return self.titles[self.title_language(language)]

    def title_language(self, language: str) -> str:
        """Returns the language that `title_in` gives the name in."""
        return best_language(self.titles, language)

    def name(self, infusion_day: int | None, language: str = "") -> str:
        """Returns the title with the number of the infusion day, if it has one; without `language` as in `title`."""
        title = self.title_in(language)
        return f"{title} {infusion_day}" if infusion_day else title

    @property
    def is_repeated(self) -> bool:
        """Returns whether the event has a visit for each infusion day, and not one in a course."""
        return self.anchor == "each-infusion"


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """The staff who act on an instrument's alerts, their telephone, and the time limit in hours after the answer.

    `advice`: language -> what the person reads at once; without it pages use a text of the service.
    """

    who: str
    within_hours: int
    telephone: str
    advice: Mapping[str, str] = field(default_factory=dict, hash=False)

    def advice_in(self, language: str) -> str:
        """Returns the advice in `language` or, for "es-MX", in "es"; "" without either."""
        primary = language.partition("-")[0]
        return self.advice.get(language) or self.advice.get(primary, "")


@dataclass(frozen=True, slots=True)
class PlannedSymptom:
    """A symptom that staff ask about at every infusion; `term`: the CTCAE term, as pages and files have it."""

    code: str
    term: str


@dataclass(frozen=True, slots=True)
class PlannedVital:
    """A vital sign or a score of sedation or dissociation: when it is taken, its unit, and its plausible range.

    `code` is that of CDISC where it has one (VSTESTCD), such as SYSBP.
    """

    code: str
    name: str
    unit: str
    lowest: Decimal
    highest: Decimal
    timings: tuple[VitalTiming, ...]


@dataclass(frozen=True, slots=True)
class PlannedMedication:
    """Another drug that may be given at an infusion, with the largest dose that passes for no slip."""

    name: str
    purpose: MedicationPurpose
    unit: str
    most: Decimal


@dataclass(frozen=True, slots=True)
class TreatmentPlan:
    """The infusions as the protocol gives them: dose in mg/kg with its tolerance, duration, days from one to the next.

    `premedication`, `monitoring`: sentences for the form that records infusions. That form asks for `symptoms`,
    `vitals` and `medications`, and with `nurse_and_chair` for who gave the infusion, and where. `liver_tests`: when
    staff are reminded of them.
    """

    dose_mg_per_kg: Decimal
    tolerance_percent: int
    minutes: int
    spacing_days: int
    premedication: str = ""
    monitoring: str = ""
    symptoms: tuple[PlannedSymptom, ...] = ()
    vitals: tuple[PlannedVital, ...] = ()
    medications: tuple[PlannedMedication, ...] = ()
    nurse_and_chair: bool = False
    liver_tests: LiverTestRule | None = None


@dataclass(frozen=True, slots=True)
class CallRule:
    """The rules for calls by staff about one visit: at most `max_attempts`, `again_days` days apart.

    `severity`: "instrument.scale" whose baseline score orders calls about visits that close at the same time; if empty,
    the first scale of the first event.
    """

    max_attempts: int = 5
    again_days: int = 2
    severity: str = ""


@dataclass(frozen=True, slots=True)
class PatientView:
    """The content of a patient's pages besides the questions. `results`: "instrument.scale", in the order shown.

    `looked_at`: when the clinic looked at the answers. `goal`: a goal in their own words, rated at later visits.
    """

    results: tuple[str, ...] = ()
    looked_at: bool = False
    goal: bool = False


@dataclass(frozen=True, slots=True)
class Protocol:
    """One released version of a study's schedule. Times are wall times in the subject's zone, durations are days.

    A course ends after `planned_infusions`, or after `course_idle_days` without an infusion; an infusion more than
    `course_gap_days` after the one before begins a new course. Messages are sent from `quiet_until` to `quiet_from`.
    After an infusion they are held until the morning `hold_days` later; "not today" offers the days in `snooze_days`.
    Answers that were begun before closing may be sent for `grace_hours` after it.
    `treatment`: what infusions are compared with when they are recorded.
    `response_plans`: instrument code -> plan, for each instrument of a battery that raises alerts.
    `change_rules`: "instrument.scale" -> the size of change that matters in this study, instead of the instrument's.
    `compares_mixed_wording`: a score of answers in several wordings is compared with others, by the wording of most.
    `core`: the instruments that matter most, which come first: who can answer for a minute only is asked these.
    `consent`: the code of the consent form that a person agrees to before anything is asked; "" without one.
    `offline_forms`: adaptive test -> the fixed form used while offline, since the server chooses the items of the test.
    `for_patients`: what patients see besides the questions.
    """

    code: str
    version: str
    study: str
    title: str
    default_language: str
    events: tuple[StudyEvent, ...]
    reminders: tuple[ReminderStep, ...]
    planned_infusions: int
    course_gap_days: int
    course_idle_days: int
    open_time: time
    reminder_time: time
    quiet_from: time
    quiet_until: time
    core: tuple[str, ...] = ()
    prorate: bool = False
    compares_mixed_wording: bool = False
    hold_days: int = 1
    snooze_days: tuple[int, ...] = (1, 3)
    grace_hours: int = 24
    calls: CallRule = CallRule()
    treatment: TreatmentPlan | None = None
    response_plans: Mapping[str, ResponsePlan] = field(default_factory=dict, hash=False)
    change_rules: Mapping[str, ChangeRule] = field(default_factory=dict, hash=False)
    offline_forms: Mapping[str, str] = field(default_factory=dict, hash=False)
    for_patients: PatientView = PatientView()
    consent: str = ""

    def event(self, code: str) -> StudyEvent:
        """Returns the event with this code. Raises NotFound."""
        for event in self.events:
            if event.code == code:
                return event
        raise NotFound(f"Protocol {self.code} has no study event {code[:60]!r}.")

    def reminders_at(self, event_code: str) -> tuple[ReminderStep, ...]:
        """Returns the reminder steps of this event's visits, for an optional event the first. Raises NotFound."""
        event = self.event(event_code)
        steps = event.reminders or self.reminders
        return steps[:1] if event.optional else steps

    def plans_at(self, event_code: str) -> tuple[ResponsePlan, ...]:
        """Returns the response plans of the instruments in this event's battery. Raises NotFound."""
        asked = self.asked_at(event_code)
        return tuple(self.response_plans[code] for code in asked if code in self.response_plans)

    def asked_at(self, event_code: str) -> tuple[str, ...]:
        """Returns the codes of the instruments that the event can ask: its battery, each offline form after its test.

        Raises NotFound.
        """
        forms = self.offline_forms_at(event_code)
        with_forms = ((code, forms.get(code, code)) for code in self.event(event_code).battery)
        return tuple(dict.fromkeys(chain.from_iterable(with_forms)))

    def offline_forms_at(self, event_code: str) -> Mapping[str, str]:
        """Returns adaptive test -> the form that stands for it at this event. Raises NotFound.

        A form that the event asks anyway stands for no test, and none stands for two.
        """
        battery = self.event(event_code).battery
        found: dict[str, str] = {}
        for code in battery:
            form = self.offline_forms.get(code)
            if form is not None and form not in battery and form not in found.values():
                found[code] = form
        return found

    def other_form(self, event_code: str, code: str) -> str:
        """Returns the offline form of an adaptive test at this event, or the test of a form; "" for another instrument.

        Raises NotFound.
        """
        forms = self.offline_forms_at(event_code)
        tests = {form: test for test, form in forms.items()}
        return forms.get(code) or tests.get(code, "")

    @property
    def instruments(self) -> tuple[str, ...]:
        """The codes of all instruments that the events can ask, each once, in the order of the events."""
        asked = (self.asked_at(event.code) for event in self.events)
        return tuple(dict.fromkeys(chain.from_iterable(asked)))

    def with_study_rule(self, instrument_code: str, scale: Scale) -> Scale:
        """Returns the scale with this study's rules for change; unchanged if the study has none."""
        rule = self.change_rules.get(f"{instrument_code}.{scale.code}")
        if rule is None and not self.compares_mixed_wording:
            return scale
        rule = rule or scale.change_rule
        return replace(scale, change_rule=rule, compares_mixed_wording=self.compares_mixed_wording)
