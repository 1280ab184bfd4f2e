"""What made-up people do with a message beside answering it, and what is heard on the telephone. An edge."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy.orm import Session

from pro_tracker.domain.call_codes import CallAttemptOutcome
from pro_tracker.domain.calling import STOP_REMINDERS_AFTER
from pro_tracker.domain.channels import Channel
from pro_tracker.models.call import Call
from pro_tracker.services.answering import links, snoozes, visit_context
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.simulation.calendar import Calendar
from pro_tracker.simulation.figures import TroubleFigures
from pro_tracker.simulation.life import Life
from pro_tracker.simulation.mishaps import Mishaps
from pro_tracker.simulation.postbox import Letter
from pro_tracker.simulation.telling import Tell

A_LITTLE_LATER = timedelta(minutes=40)
DAY_MINUTES = 24 * 60


@dataclass
class Whims:
    """Of everybody in a hard simulation."""

    session: Session
    calendar: Calendar
    figures: TroubleFigures
    mishaps: Mishaps
    counts: Counter[str]
    tell: Tell

    def follow(self, life: Life, letter: Letter, token: str) -> None:
        """What comes of a letter: "not today", a link lost, a provider's report."""
        now, chance = self.calendar.now, life.random.random()
        if chance < self.figures.snooze:
            self.calendar.add(now + A_LITTLE_LATER, partial(self._snooze, life, token))
        elif chance < self.figures.snooze + self.figures.fresh_link:
            later = timedelta(minutes=life.random.randint(1, 2 * DAY_MINUTES))
            self.calendar.add(now + later, partial(self._ask_for_link, token))
        if life.random.random() < self.figures.report:
            self.mishaps.deliver(letter, timedelta(minutes=life.random.randint(0, DAY_MINUTES)))

    def answers_the_telephone(self, life: Life) -> CallAttemptOutcome:
        """What comes of a call that does not reach the person it is for, or not in good health."""
        outcomes = self.figures.calls
        return life.random.choices(list(outcomes), list(outcomes.values()))[0]

    def after_call(self, call: Call, outcome: CallAttemptOutcome) -> None:
        """Tell what the service was told by a call."""
        if outcome == CallAttemptOutcome.WRONG_NUMBER:
            self.tell("closed", subject=call.subject_id, channel=Channel.SMS)
        if call.outcome in STOP_REMINDERS_AFTER:
            self.tell("declined", subject=call.subject_id, visit=call.visit_id)
            self.counts["no on the telephone"] += 1

    def _snooze(self, life: Life, token: str) -> None:
        """One of the days that the page offers."""
        context, now = self._open_context(token), self.calendar.now
        choices = snoozes.choices(self.session, context, now=now) if context is not None else []
        if context is not None and choices:
            choice = life.random.choice(choices)
            snoozes.snooze(self.session, context, choice.until_on, now=now)
            self.tell("snoozed", subject=context.subject_id, visit=context.visit_id, until_on=choice.until_on)
            self.counts["not today"] += 1

    def _ask_for_link(self, token: str) -> None:
        context = self._open_context(token)
        if context is not None:
            links.request_fresh_link(self.session, context, now=self.calendar.now)
            self.tell("asked", subject=context.subject_id, visit=context.visit_id)
            self.counts["fresh links asked for"] += 1

    def _open_context(self, token: str) -> VisitContext | None:
        """The visit behind a link while it can be answered."""
        context, now = visit_context.by_link(self.session, links.find(self.session, token)), self.calendar.now
        over = context.completed_at is not None or context.voided_at is not None
        return None if over or not context.opens_at <= now < context.closes_at else context
