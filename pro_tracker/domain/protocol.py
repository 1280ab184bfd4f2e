"""What a protocol says: study events with their windows and batteries, reminder steps, when a course is over.

Facts only, filled from the protocol files (docs/protocol-format.md); visit_windows.py and reminder_times.py apply them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import time
from enum import StrEnum
from typing import Literal

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.errors import NotFound
from pro_tracker.domain.instrument import ChangeRule, Scale

Anchor = Literal["enrolment", "course-start", "first-infusion", "last-infusion", "by-hand"]
CountsFrom = Literal["opening", "due"]


class ChannelWord(StrEnum):
    """What a reminder step may name in place of a channel, by what the subject has."""

    PREFERRED = "preferred"  # the subject's preferred channel, and where that cannot be used another with an address
    BOTH = "both"  # every channel on which the subject has an address of its own
    OTHER = "other"  # the older spelling of: the channel that is not preferred, then the preferred one


ChannelOption = Channel | ChannelWord


@dataclass(frozen=True, slots=True)
class ReminderStep:
    """One message to an unanswered visit, `day` days after it opened or, also negative, after its due day.

    `channels`: an order of preference; the message goes on the first on which the subject can be reached. Numbers count
    from 0 in each event.
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
    `reminders`: its own steps; empty: the protocol's.
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

    @property
    def title(self) -> str:
        """The event's name in the first language of the protocol file."""
        return next(iter(self.titles.values()))

    def title_in(self, language: str) -> str:
        """The event's name for people who read `language`, else as `title`."""
        return self.titles.get(language) or self.titles.get(language.partition("-")[0]) or self.title


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """Who acts on an instrument's alerts, how many hours after the answer at the latest, and where they are reached."""

    who: str
    within_hours: int
    telephone: str


@dataclass(frozen=True, slots=True)
class CallRule:
    """How often people call about one visit at most, and how many days after a try that missed.

    `severity`: "instrument.scale" whose baseline score says who is called first of those whose visits close together;
    empty: the first scale of the first event.
    """

    max_attempts: int = 5
    again_days: int = 2
    severity: str = ""


@dataclass(frozen=True, slots=True)
class Protocol:
    """One released version of a study's schedule. Times are wall times in the subject's zone, durations are days.

    A course is over after `planned_infusions`, or `course_idle_days` without one; an infusion more than
    `course_gap_days` after the one before belongs to a new course. Messages leave from `quiet_until` to `quiet_from`.
    After an infusion they wait until the morning `hold_days` later; "not today" may mean any of `snooze_days`.
    A window does not close on answers being given: these may be sent for up to `grace_hours` more.
    `response_plans`: instrument code -> plan, for each instrument of a battery that raises alerts.
    `change_rules`: "instrument.scale" -> the size of change that matters in this study, in place of the instrument's.
    `offline_forms`: adaptive test -> the fixed form to use when the phone is offline, since items are chosen here.
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
    prorate: bool = False
    hold_days: int = 1
    snooze_days: tuple[int, ...] = (1, 3)
    grace_hours: int = 24
    calls: CallRule = CallRule()
    response_plans: Mapping[str, ResponsePlan] = field(default_factory=dict, hash=False)
    change_rules: Mapping[str, ChangeRule] = field(default_factory=dict, hash=False)
    offline_forms: Mapping[str, str] = field(default_factory=dict, hash=False)

    def event(self, code: str) -> StudyEvent:
        """The event with this code, or NotFound."""
        for event in self.events:
            if event.code == code:
                return event
        raise NotFound(f"Protocol {self.code} has no study event {code[:60]!r}.")

    def reminders_at(self, event_code: str) -> tuple[ReminderStep, ...]:
        """The steps of this event's visits; raises as `event`."""
        return self.event(event_code).reminders or self.reminders

    def plans_at(self, event_code: str) -> tuple[ResponsePlan, ...]:
        """What the clinic does about answers of this event that need a person the same day; raises as `event`."""
        battery = self.event(event_code).battery
        return tuple(self.response_plans[code] for code in battery if code in self.response_plans)

    @property
    def instruments(self) -> tuple[str, ...]:
        """The codes of all instruments that are asked for, each once, in the order of the events."""
        return tuple(dict.fromkeys(code for event in self.events for code in event.battery))

    def with_study_rule(self, instrument_code: str, scale: Scale) -> Scale:
        """The scale with this study's own rule for change, where it has one."""
        rule = self.change_rules.get(f"{instrument_code}.{scale.code}")
        return scale if rule is None else replace(scale, change_rule=rule)
