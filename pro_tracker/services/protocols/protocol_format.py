"""The format of a protocol file (docs/protocol-format.md): schema, consistency checks, and building a Protocol."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from pro_tracker.domain.channels import HELPER_CHANNELS, Channel
from pro_tracker.domain.infusion_codes import OPEN_QUESTION, MedicationPurpose, VitalTiming
from pro_tracker.domain.liver_tests import LiverTestRule
from pro_tracker.domain.protocol import (
    Anchor,
    CallRule,
    ChannelOption,
    ChannelWord,
    CountsFrom,
    PatientView,
    PlannedMedication,
    PlannedSymptom,
    PlannedVital,
    Protocol,
    ReminderStep,
    ResponsePlan,
    StudyEvent,
    TreatmentPlan,
)
from pro_tracker.services.instruments.data_files import FileModel, text_matching
from pro_tracker.services.instruments.instrument_checks import FormatError
from pro_tracker.services.instruments.instrument_format import ChangeEntry, Code, Text, Version
from pro_tracker.services.instruments.text_pack_format import Language


def _wall_time(value: Any) -> Any:
    """Reads "09:00". Quotes are required, since YAML 1.1 reads a bare 09:00 as a number in base 60."""
    if not isinstance(value, str) or len(value) != 5:
        raise ValueError('must be a time of day in quotes, such as "09:00"')
    return time.fromisoformat(value)


CHANNEL_WORDS = (ChannelWord.PREFERRED, ChannelWord.BOTH)  # of new versions; OTHER is only read
_CHANNEL_OPTIONS: dict[str, ChannelOption] = {option.value: option for option in (*Channel, *ChannelWord)}


def _is_channel_option(value: Any) -> bool:
    return isinstance(value, str) and value in _CHANNEL_OPTIONS


def _channel_order(value: Any) -> tuple[ChannelOption, ...]:
    """Reads one channel or word, or a list of them in order of preference. Raises ValueError."""
    named = value if isinstance(value, list) else [value]
    if not named or not all(map(_is_channel_option, named)):
        words = ", ".join((*CHANNEL_WORDS, *Channel))
        raise ValueError(f"must be one of {words}, or a list such as [sms, email], the channel to try first in front")
    if len(named) > 1 and ChannelWord.BOTH in named:
        raise ValueError("both stands alone: it is every channel on which the subject has an address")
    if len(named) > 1 and not set(named).isdisjoint(HELPER_CHANNELS):
        raise ValueError("helper stands alone: such a step reminds the helper, and asks the subject on no channel")
    if len(set(named)) < len(named):
        raise ValueError("names a channel twice")
    return tuple(_CHANNEL_OPTIONS[each] for each in named)


ChannelOrder = Annotated[tuple[ChannelOption, ...], BeforeValidator(_channel_order)]
WallTime = Annotated[time, BeforeValidator(_wall_time)]
Day = Annotated[int, Field(ge=-3660, le=3660)]
Days = Annotated[int, Field(ge=1, le=366)]
StepCount = Literal["opening", "due"]
ShortText = Annotated[str, Field(min_length=1, max_length=60)]
MOST_OF_A_VITAL, MOST_OF_A_DRUG = 9999, 99999  # what the columns of these values hold
ScaleName = Annotated[str, text_matching(r"[a-z0-9-]+\.[a-z0-9-]+", "instrument.scale, such as pcs.total")]


class WindowEntry(FileModel):
    opens: Day
    due: Day
    closes: Day


class StepEntry(FileModel):
    day: Annotated[int, Field(ge=-366, le=366)]
    counts_from: Annotated[StepCount | None, Field(alias="from")] = None
    channels: Annotated[ChannelOrder, Field(alias="channel")]
    template: Code

    def build(self, number: int, count_from: StepCount) -> ReminderStep:
        """Returns the step; `count_from` is what the protocol counts from where the step does not say."""
        by_default: CountsFrom = "near-due" if count_from == "due" else "opening"
        return ReminderStep(number, self.day, self.channels, self.template, self.counts_from or by_default)


class EventEntry(FileModel):
    code: Code
    titles: dict[Language, Text] = Field(min_length=1)
    anchor: Anchor
    window: WindowEntry
    battery: list[Code] = Field(min_length=1, max_length=40)
    before_treatment: bool | None = None
    hold_after_infusion: bool = True
    optional: bool = False
    steps: Annotated[list[StepEntry], Field(min_length=1, max_length=20)] | None = None

    def build(self, number: int, language: str, count_from: StepCount) -> StudyEvent:
        """Returns the event; `language`, the protocol's default, names it where no other is asked for."""
        return StudyEvent(
            code=self.code,
            number=number,
            titles={language: self.titles[language], **self.titles},
            anchor=self.anchor,
            opens_day=self.window.opens,
            due_day=self.window.due,
            closes_day=self.window.closes,
            battery=tuple(self.battery),
            reminders=_reminders(self.steps or [], count_from),
            before_treatment=self._is_before_treatment(number),
            held_after_infusion=self.hold_after_infusion,
            optional=self.optional,
        )

    def _is_before_treatment(self, number: int) -> bool:
        """Returns what the file says; by default that of an event that ends by the day of the first infusion.

        A first event that counts from enrolment is one, too, since change is measured from the first event.
        """
        if self.before_treatment is not None:
            return self.before_treatment
        ends_by_first_infusion = self.anchor in ("first-infusion", "course-start") and self.window.closes <= 0
        return ends_by_first_infusion or (number == 1 and self.anchor == "enrolment")

    def days_after_opening(self, steps: Sequence[StepEntry], count_from: StepCount) -> list[int]:
        """Returns the day of each step, counted from opening; a step may count from the due day."""
        built = _reminders(steps, count_from)
        due = self.window.due - self.window.opens
        first = next((step.day for step in built if step.counts_from == "near-due"), 0)
        counted_from = {"opening": 0, "due": due, "near-due": max(due, -first)}
        return [counted_from[step.counts_from] + step.day for step in built]


class CourseEntry(FileModel):
    planned_infusions: Annotated[int, Field(ge=1, le=100)]
    idle_days: Days
    gap_days: Days


class QuietEntry(FileModel):
    start: WallTime
    end: WallTime


MIN_SENDING_WINDOW = timedelta(hours=1)  # by day, between the quiet hours of two nights
DEFAULT_QUIET_HOURS = QuietEntry.model_validate({"start": "21:00", "end": "08:00"})


class MessagesEntry(FileModel):
    send_at: WallTime
    quiet: QuietEntry = DEFAULT_QUIET_HOURS
    hold_days: Annotated[int, Field(ge=0, le=7)] = 1
    snooze_days: list[Annotated[int, Field(ge=1, le=14)]] = Field([1, 3], max_length=5)
    count_from: StepCount = "opening"
    steps: list[StepEntry] = Field(min_length=1, max_length=20)


class ScoringEntry(FileModel):
    prorate: bool
    compare_mixed_wording: bool = False


class PlanEntry(FileModel):
    who: Text
    within_hours: Annotated[int, Field(ge=1, le=24)]
    telephone: Text
    advice: dict[Language, Text] = Field({}, max_length=20)


VitalCode = Annotated[str, text_matching(r"[A-Z][A-Z0-9]{0,7}", "up to 8 capitals and digits, such as SYSBP")]


class SymptomEntry(FileModel):
    code: Code
    term: ShortText


class VitalEntry(FileModel):
    code: VitalCode
    name: ShortText
    unit: Annotated[str, Field(min_length=1, max_length=20)]
    at: list[Annotated[VitalTiming, Field(strict=False)]] = Field(min_length=1, max_length=len(VitalTiming))
    range: list[float] = Field(min_length=2, max_length=2)

    def build(self) -> PlannedVital:
        lowest, highest = (Decimal(str(bound)) for bound in self.range)
        timings = tuple(timing for timing in VitalTiming if timing in self.at)
        return PlannedVital(self.code, self.name, self.unit, lowest, highest, timings)


class MedicationEntry(FileModel):
    name: ShortText
    use: Annotated[MedicationPurpose, Field(strict=False)]
    unit: Annotated[str, Field(min_length=1, max_length=20)]
    most: Annotated[float, Field(gt=0, le=MOST_OF_A_DRUG)]

    def build(self) -> PlannedMedication:
        return PlannedMedication(self.name, self.use, self.unit, Decimal(str(self.most)))


class LiverTestsEntry(FileModel):
    from_course: Annotated[int, Field(ge=1, le=20)]
    within_days: Annotated[int, Field(ge=1, le=366)]

    def build(self) -> LiverTestRule:
        return LiverTestRule(self.from_course, self.within_days)


class TreatmentEntry(FileModel):
    dose_mg_per_kg: Annotated[float, Field(gt=0, le=5)]
    tolerance_percent: Annotated[int, Field(ge=0, le=100)]
    minutes: Annotated[int, Field(ge=1, le=24 * 60)]
    spacing_days: Annotated[int, Field(ge=1, le=90)]
    premedication: Text | None = None
    monitoring: Text | None = None
    symptoms: list[SymptomEntry] = Field([], max_length=40)
    vitals: list[VitalEntry] = Field([], max_length=20)
    medications: list[MedicationEntry] = Field([], max_length=10)
    nurse_and_chair: bool = False
    liver_tests: LiverTestsEntry | None = None

    def build(self) -> TreatmentPlan:
        return TreatmentPlan(
            dose_mg_per_kg=Decimal(str(self.dose_mg_per_kg)),
            tolerance_percent=self.tolerance_percent,
            minutes=self.minutes,
            spacing_days=self.spacing_days,
            premedication=self.premedication or "",
            monitoring=self.monitoring or "",
            symptoms=tuple(PlannedSymptom(symptom.code, symptom.term) for symptom in self.symptoms),
            vitals=tuple(vital.build() for vital in self.vitals),
            medications=tuple(medication.build() for medication in self.medications),
            nurse_and_chair=self.nurse_and_chair,
            liver_tests=self.liver_tests.build() if self.liver_tests else None,
        )


class CallsEntry(FileModel):
    max_attempts: Annotated[int, Field(ge=1, le=20)] = CallRule().max_attempts
    again_days: Annotated[int, Field(ge=1, le=30)] = CallRule().again_days
    severity: ScaleName | None = None


class ForPatientsEntry(FileModel):
    results: list[ScaleName] = Field(default=[], max_length=12)
    looked_at: bool = False
    goal: bool = False

    def build(self) -> PatientView:
        return PatientView(tuple(self.results), self.looked_at, self.goal)


class ProtocolFile(FileModel):
    """One protocol file, as written."""

    code: Code
    version: Version
    study: Annotated[str, Field(max_length=40), text_matching(r"[A-Z0-9][A-Z0-9-]*", "capitals, digits and hyphens")]
    title: Text
    default_language: Language
    course: CourseEntry
    visits_open_at: WallTime
    grace_hours: Annotated[int, Field(ge=0, le=24)] = 24
    events: list[EventEntry] = Field(min_length=1, max_length=40)
    core: list[Code] = Field([], max_length=10)
    messages: MessagesEntry
    scoring: ScoringEntry
    calls: CallsEntry = CallsEntry()
    treatment: TreatmentEntry | None = None
    response_plans: dict[Code, PlanEntry] = Field({}, max_length=40)
    change_rules: dict[ScaleName, ChangeEntry] = Field({}, max_length=200)
    offline_forms: dict[Code, Code] = Field({}, max_length=40)
    for_patients: ForPatientsEntry = ForPatientsEntry()
    consent: Code | None = None

    def build(self) -> Protocol:
        """Returns the protocol; the file must have no `errors`."""
        return Protocol(
            code=self.code,
            version=self.version,
            study=self.study,
            title=self.title,
            default_language=self.default_language,
            events=tuple(
                event.build(number, self.default_language, self.messages.count_from)
                for number, event in enumerate(self.events, start=1)
            ),
            reminders=_reminders(self.messages.steps, self.messages.count_from),
            planned_infusions=self.course.planned_infusions,
            course_gap_days=self.course.gap_days,
            course_idle_days=self.course.idle_days,
            open_time=self.visits_open_at,
            reminder_time=self.messages.send_at,
            quiet_from=self.messages.quiet.start,
            quiet_until=self.messages.quiet.end,
            hold_days=self.messages.hold_days,
            snooze_days=tuple(self.messages.snooze_days),
            grace_hours=self.grace_hours,
            core=tuple(self.core),
            prorate=self.scoring.prorate,
            compares_mixed_wording=self.scoring.compare_mixed_wording,
            calls=CallRule(self.calls.max_attempts, self.calls.again_days, self.calls.severity or ""),
            treatment=self.treatment.build() if self.treatment else None,
            response_plans={code: ResponsePlan(**dict(plan)) for code, plan in self.response_plans.items()},
            change_rules={key: entry.build() for key, entry in self.change_rules.items()},
            offline_forms=self.offline_forms,
            for_patients=self.for_patients.build(),
            consent=self.consent or "",
        )


def errors(file: ProtocolFile, templates: Mapping[str, Sequence[str]]) -> list[FormatError]:
    """Returns every contradiction in the file, in the order of its keys.

    `templates`: the existing message templates, each with the channels and languages without wording.
    """
    return [
        *_course_errors(file),
        *_treatment_errors(file.treatment),
        *_event_errors(file),
        *_core_errors(file),
        *_message_errors(file.messages),
        *_step_errors(file),
        *_template_errors(file, templates),
        *_advice_errors(file),
        *_result_errors(file.for_patients),
    ]


def _result_errors(shown: ForPatientsEntry) -> Iterator[FormatError]:
    if len(set(shown.results)) < len(shown.results):
        yield "for_patients.results", "names a scale twice"


def _advice_errors(file: ProtocolFile) -> Iterator[FormatError]:
    for code, plan in file.response_plans.items():
        if plan.advice and file.default_language not in plan.advice:
            yield f"response_plans.{code}.advice", f"lacks the default language {file.default_language!r}"


def _core_errors(file: ProtocolFile) -> Iterator[FormatError]:
    """A battery begins with those of its instruments that are in the core; each of the core is in some battery."""
    for number, event in enumerate(file.events):
        n_core = sum(code in file.core for code in event.battery)
        if any(code not in file.core for code in event.battery[:n_core]):
            yield f"events.{number}.battery", "must begin with the instruments that are in `core`"
    batteries = [event.battery for event in file.events]
    for code in file.core:
        if not any(code in battery for battery in batteries):
            yield "core", f"names {code!r}, which no event asks"


def _reminders(steps: Sequence[StepEntry], count_from: StepCount) -> tuple[ReminderStep, ...]:
    numbered = enumerate(steps)
    built = (step.build(number, count_from) for number, step in numbered)
    return tuple(built)


def _course_errors(file: ProtocolFile) -> Iterator[FormatError]:
    if file.course.idle_days > file.course.gap_days:
        yield "course.gap_days", "must not be less than idle_days"


def _treatment_errors(treatment: TreatmentEntry | None) -> Iterator[FormatError]:
    if treatment is None:
        return
    codes = [symptom.code for symptom in treatment.symptoms]
    if OPEN_QUESTION in codes:
        yield f"treatment.symptoms.{codes.index(OPEN_QUESTION)}.code", "is the question after the list, always asked"
    if len(set(codes)) < len(codes):
        yield "treatment.symptoms", "has a code twice"
    yield from _vital_errors(treatment.vitals)
    names = [medication.name.casefold() for medication in treatment.medications]
    if len(set(names)) < len(names):
        yield "treatment.medications", "names a drug twice"


def _vital_errors(vitals: Sequence[VitalEntry]) -> Iterator[FormatError]:
    if len({vital.code for vital in vitals}) < len(vitals):
        yield "treatment.vitals", "has a code twice"
    for number, vital in enumerate(vitals):
        lowest, highest = vital.range
        if not -MOST_OF_A_VITAL <= lowest < highest <= MOST_OF_A_VITAL:
            yield f"treatment.vitals.{number}.range", f"must rise, and lie within {MOST_OF_A_VITAL}"
        if len(set(vital.at)) < len(vital.at):
            yield f"treatment.vitals.{number}.at", "names a time twice"


def _event_errors(file: ProtocolFile) -> Iterator[FormatError]:
    codes = [event.code for event in file.events]
    for number, event in enumerate(file.events):
        key = f"events.{number}"
        window = event.window
        if event.code in codes[:number]:
            yield f"{key}.code", f"{event.code} occurs twice"
        if not window.opens <= window.due <= window.closes:
            yield f"{key}.window", "opens, due and closes must follow one another"
        if len(set(event.battery)) < len(event.battery):
            yield f"{key}.battery", "names an instrument twice"
        if file.default_language not in event.titles:
            yield f"{key}.titles", f"lacks the default language {file.default_language!r}"
        if event.optional and len(event.steps or []) > 1:
            yield f"{key}.steps", "must be a single step: an optional event is asked once"


def _message_errors(messages: MessagesEntry) -> Iterator[FormatError]:
    quiet = messages.quiet
    # Quiet hours run over midnight, so messages may be sent from `end` to `start` of the same day.
    sending_from = datetime.combine(date.min, quiet.end)
    sending_until = datetime.combine(date.min, quiet.start)
    if sending_from + MIN_SENDING_WINDOW > sending_until:
        yield "messages.quiet", "must leave an hour by day: from `end`, in the morning, to `start`, in the evening"
    elif not quiet.end <= messages.send_at < quiet.start:
        yield "messages.send_at", "must lie outside the quiet hours, which run over midnight from start to end"
    if sorted(set(messages.snooze_days)) != messages.snooze_days:
        yield "messages.snooze_days", "must rise from choice to choice"


def _step_errors(file: ProtocolFile) -> list[FormatError]:
    """Returns the errors of steps that no visit could follow.

    Steps that several events share are checked for each; only the first error at each key is kept.
    """
    found: dict[str, str] = {}
    for number, event in enumerate(file.events):
        key, steps = "messages.steps", file.messages.steps
        if event.steps:
            key, steps = f"events.{number}.steps", event.steps
        days = event.days_after_opening(steps, file.messages.count_from)
        days_open = event.window.closes - event.window.opens
        if sorted(set(days)) != days:
            found.setdefault(key, f"the days must rise from step to step, counted from the opening of {event.code}")
        for step, day in enumerate(days):
            day_key = f"{key}.{step}.day"
            if day < 0:
                found.setdefault(day_key, f"lies before {event.code} opens")
            if event.steps and day > days_open:
                found.setdefault(day_key, f"lies after {event.code} has closed")
    return list(found.items())


def _template_errors(file: ProtocolFile, templates: Mapping[str, Sequence[str]]) -> Iterator[FormatError]:
    for key, template in _named_templates(file):
        missing = templates.get(template)
        if missing is None:
            yield key, f"names no message; there are {', '.join(templates)}"
        elif missing:
            yield key, f"{template} lacks its {', '.join(missing)}"


def _named_templates(file: ProtocolFile) -> Iterator[tuple[str, str]]:
    """Yields the template of every step, with its key in the file: those of single events, then the common ones."""
    for event_number, event in enumerate(file.events):
        for number, step in enumerate(event.steps or []):
            yield f"events.{event_number}.steps.{number}.template", step.template
    for number, step in enumerate(file.messages.steps):
        yield f"messages.steps.{number}.template", step.template
