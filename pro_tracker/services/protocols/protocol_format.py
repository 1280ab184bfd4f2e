"""The format of a protocol file (docs/protocol-format.md): schema, consistency checks, and building a Protocol."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.protocol import (
    Anchor,
    CallRule,
    ChannelOption,
    ChannelWord,
    CountsFrom,
    Protocol,
    ReminderStep,
    ResponsePlan,
    StudyEvent,
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


def _channel_order(value: Any) -> tuple[ChannelOption, ...]:
    """Reads one channel or word, or a list of them in order of preference. Raises ValueError."""
    named = value if isinstance(value, list) else [value]
    known = {option.value: option for option in (*Channel, *ChannelWord)}
    if not named or any(not isinstance(each, str) or each not in known for each in named):
        words = ", ".join((ChannelWord.PREFERRED, ChannelWord.BOTH, *Channel))
        raise ValueError(f"must be one of {words}, or a list such as [sms, email], the channel to try first in front")
    if len(named) > 1 and ChannelWord.BOTH in named:
        raise ValueError("both stands alone: it is every channel on which the subject has an address")
    if len(set(named)) < len(named):
        raise ValueError("names a channel twice")
    return tuple(known[each] for each in named)


ChannelOrder = Annotated[tuple[ChannelOption, ...], BeforeValidator(_channel_order)]
WallTime = Annotated[time, BeforeValidator(_wall_time)]
Day = Annotated[int, Field(ge=-3660, le=3660)]
Days = Annotated[int, Field(ge=1, le=366)]
ScaleName = Annotated[str, text_matching(r"[a-z0-9-]+\.[a-z0-9-]+", "instrument.scale, such as pcs.total")]


class WindowEntry(FileModel):
    opens: Day
    due: Day
    closes: Day


class StepEntry(FileModel):
    day: Annotated[int, Field(ge=-366, le=366)]
    counts_from: Annotated[CountsFrom, Field(alias="from")] = "opening"
    channels: Annotated[ChannelOrder, Field(alias="channel")]
    template: Code


class EventEntry(FileModel):
    code: Code
    titles: dict[Language, Text] = Field(min_length=1)
    anchor: Anchor
    window: WindowEntry
    battery: list[Code] = Field(min_length=1, max_length=40)
    steps: Annotated[list[StepEntry], Field(min_length=1, max_length=20)] | None = None

    def build(self, number: int) -> StudyEvent:
        return StudyEvent(
            code=self.code,
            number=number,
            titles=self.titles,
            anchor=self.anchor,
            opens_day=self.window.opens,
            due_day=self.window.due,
            closes_day=self.window.closes,
            battery=tuple(self.battery),
            reminders=_reminders(self.steps or []),
        )

    def days_after_opening(self, step: StepEntry) -> int:
        """Returns the day of the step, counted from opening; a step may count from the due day."""
        if step.counts_from == "opening":
            return step.day
        return self.window.due - self.window.opens + step.day


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
    steps: list[StepEntry] = Field(min_length=1, max_length=20)


class ScoringEntry(FileModel):
    prorate: bool


class PlanEntry(FileModel):
    who: Text
    within_hours: Annotated[int, Field(ge=1, le=24)]
    telephone: Text


class CallsEntry(FileModel):
    max_attempts: Annotated[int, Field(ge=1, le=20)] = CallRule().max_attempts
    again_days: Annotated[int, Field(ge=1, le=30)] = CallRule().again_days
    severity: ScaleName | None = None


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
    messages: MessagesEntry
    scoring: ScoringEntry
    calls: CallsEntry = CallsEntry()
    response_plans: dict[Code, PlanEntry] = Field({}, max_length=40)
    change_rules: dict[ScaleName, ChangeEntry] = Field({}, max_length=200)
    offline_forms: dict[Code, Code] = Field({}, max_length=40)

    def build(self) -> Protocol:
        """Returns the protocol; the file must have no `errors`."""
        return Protocol(
            code=self.code,
            version=self.version,
            study=self.study,
            title=self.title,
            default_language=self.default_language,
            events=tuple(event.build(number) for number, event in enumerate(self.events, start=1)),
            reminders=_reminders(self.messages.steps),
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
            prorate=self.scoring.prorate,
            calls=CallRule(self.calls.max_attempts, self.calls.again_days, self.calls.severity or ""),
            response_plans={code: ResponsePlan(**dict(plan)) for code, plan in self.response_plans.items()},
            change_rules={key: entry.build() for key, entry in self.change_rules.items()},
            offline_forms=self.offline_forms,
        )


def errors(file: ProtocolFile, templates: Mapping[str, Sequence[str]]) -> list[FormatError]:
    """Returns every contradiction in the file, in the order of its keys.

    `templates`: the existing message templates, each with the channels and languages without wording.
    """
    return [
        *_course_errors(file),
        *_event_errors(file),
        *_message_errors(file.messages),
        *_step_errors(file),
        *_template_errors(file, templates),
    ]


def _reminders(steps: Sequence[StepEntry]) -> tuple[ReminderStep, ...]:
    return tuple(ReminderStep(number, **dict(step)) for number, step in enumerate(steps))


def _course_errors(file: ProtocolFile) -> Iterator[FormatError]:
    if file.course.idle_days > file.course.gap_days:
        yield "course.gap_days", "must not be less than idle_days"


def _event_errors(file: ProtocolFile) -> Iterator[FormatError]:
    codes = [event.code for event in file.events]
    for number, event in enumerate(file.events):
        key = f"events.{number}"
        if event.code in codes[:number]:
            yield f"{key}.code", f"{event.code} stands twice"
        if not event.window.opens <= event.window.due <= event.window.closes:
            yield f"{key}.window", "opens, due and closes must follow one another"
        if len(set(event.battery)) < len(event.battery):
            yield f"{key}.battery", "names an instrument twice"
        if file.default_language not in event.titles:
            yield f"{key}.titles", f"lacks the default language {file.default_language!r}"


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
        days = [event.days_after_opening(step) for step in steps]
        if sorted(set(days)) != days:
            found.setdefault(key, f"the days must rise from step to step, counted from the opening of {event.code}")
        for step, day in enumerate(days):
            if day < 0:
                found.setdefault(f"{key}.{step}.day", f"lies before {event.code} opens")
            if event.steps and day > event.window.closes - event.window.opens:
                found.setdefault(f"{key}.{step}.day", f"lies after {event.code} has closed")
    return list(found.items())


def _template_errors(file: ProtocolFile, templates: Mapping[str, Sequence[str]]) -> Iterator[FormatError]:
    steps_by_key = {f"events.{number}.steps": event.steps or [] for number, event in enumerate(file.events)}
    steps_by_key["messages.steps"] = file.messages.steps
    for key, steps in steps_by_key.items():
        for number, step in enumerate(steps):
            missing = templates.get(step.template)
            if missing is None:
                yield f"{key}.{number}.template", f"names no message; there are {', '.join(templates)}"
            elif missing:
                yield f"{key}.{number}.template", f"{step.template} lacks its {', '.join(missing)}"
