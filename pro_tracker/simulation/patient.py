"""What made-up patients do with their mail: open the link, give the birth date, answer, or not. An edge: it commits."""

import re
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.call_codes import CallAttemptOutcome
from pro_tracker.domain.errors import AlreadyAnswered, WindowClosed
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.models.call import Call
from pro_tracker.models.message import Message
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import links, responses, visit_context
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import call_attempts
from pro_tracker.services.calling.call_attempts import CallAttemptFacts
from pro_tracker.simulation.answers import answer
from pro_tracker.simulation.calendar import Calendar
from pro_tracker.simulation.figures import Figures
from pro_tracker.simulation.life import Life, intends, time_to_answer
from pro_tracker.simulation.mishaps import Mishaps
from pro_tracker.simulation.postbox import Letter
from pro_tracker.simulation.telling import Tell
from pro_tracker.simulation.treatment import STAFF
from pro_tracker.simulation.whims import Whims

LINK = re.compile(r"/v/([\w-]+)")


@dataclass
class Patients:
    """Everybody enrolled so far, and how to hand them their mail."""

    session: Session
    figures: Figures
    calendar: Calendar
    mishaps: Mishaps
    whims: Whims | None  # in a hard simulation
    counts: Counter[str]
    tell: Tell
    lives: dict[uuid.UUID, Life] = field(default_factory=dict)
    called: set[int] = field(default_factory=set)  # calls somebody has put on the calendar

    def enrolled(self, subject_id: uuid.UUID, life: Life) -> None:
        """From now on this life is the subject's."""
        self.lives[subject_id] = life

    def read(self, letter: Letter, *, now: datetime) -> None:
        """A message arrives; when its reader means to answer, they will."""
        self.counts["messages"] += 1
        message = self.session.scalars(select(Message).where(Message.key == uuid.UUID(letter.key))).one()
        life, visit = self.lives[message.subject_id], self.session.get_one(Visit, message.visit_id)
        if letter.to in life.dead:
            self.mishaps.bounce(letter)
            return
        received = life.messages[visit.id] = life.messages.get(visit.id, 0) + 1
        link = LINK.search(letter.text)
        if link is not None and self.whims is not None:
            self.whims.follow(life, letter, link[1])
        if link is not None and intends(life, visit.id, visit.event_code, self.figures) == received:
            self.calendar.add(now + time_to_answer(life, self.figures), partial(self._answer_by_link, life, link[1]))

    def expect_calls(self, *, now: datetime) -> None:
        """Put every new entry of the call list on a day in the near future."""
        days, figures = self.figures.answering.days_to_call, self.figures
        new = (
            select(Call.id, Call.subject_id)
            .where(Call.closed_at.is_(None), Call.id.not_in(self.called))
            .order_by(Call.id)
        )
        for call_id, subject_id in self.session.execute(new):
            life = self.lives.get(subject_id)
            if life is not None:
                self.called.add(call_id)
                wait = timedelta(days=life.random.randint(days.least, days.most), hours=life.random.randint(7, 15))
                reached = life.random.random() < figures.answering.reached_by_call
                self.calendar.add(now + wait, partial(self._call, call_id, life, reached))

    def _call(self, call_id: int, life: Life, reached: bool) -> None:
        call = self.session.get_one(Call, call_id)
        if call.closed_at is not None:
            return  # answered meanwhile
        now, visit_id = self.calendar.now, call.visit_id
        missed = self.whims.answers_the_telephone(life) if self.whims is not None else CallAttemptOutcome.NO_ANSWER
        outcome = CallAttemptOutcome.REACHED if reached else missed
        call_attempts.record(self.session, STAFF, call_id, CallAttemptFacts(outcome), now=now)
        self.counts["calls"] += 1
        if self.whims is not None:
            self.whims.after_call(call, outcome)
        if reached:
            self.calendar.add(now + timedelta(minutes=20), partial(self._answer_on_the_phone, visit_id))

    def _answer_by_link(self, life: Life, token: str) -> None:
        link_id = links.find(self.session, token)
        context = visit_context.by_link(self.session, link_id)
        links.check_birth_date(self.session, context, _given(life.facts.birth_date), now=self.calendar.now)
        self._answer(context.visit_id, Actor(ActorKind.PATIENT, str(link_id)), ResponseMode.SELF_WEB)

    def _answer_on_the_phone(self, visit_id: int) -> None:
        self._answer(visit_id, STAFF, ResponseMode.TELEPHONE)

    def _answer(self, visit_id: int, actor: Actor, mode: ResponseMode) -> None:
        if self.fill_in(visit_id):
            subject_id = self.send_in(visit_id, actor, mode)
            self.tell("answered", subject=subject_id, visit=visit_id)

    def fill_in(self, visit_id: int) -> bool:
        """Give every answer of the visit. Too late or sent before: nothing, as on the page."""
        now, context = self.calendar.now, visit_context.by_visit(self.session, visit_id)
        try:
            context.require_open(now)
        except (AlreadyAnswered, WindowClosed) as late:
            self.counts["too late" if isinstance(late, WindowClosed) else "answered before"] += 1
            return False
        life = self.lives[context.subject_id]
        for instrument, _pack in context.questionnaire.parts:
            given = answer(instrument, context.event_code, life.traits, self.figures, life.random)
            responses.save_answers(self.session, context, instrument.code, given, RequestContext(STAFF, now))
        return True

    def send_in(self, visit_id: int, actor: Actor, mode: ResponseMode) -> uuid.UUID:
        """Send what was filled in; returns whose it is."""
        filled = visit_context.by_visit(self.session, visit_id)
        responses.complete(self.session, filled, RequestContext(actor, self.calendar.now, mode))
        self.counts["answered"] += 1
        return filled.subject_id


def _given(day: date | None) -> date:
    if day is None:
        raise ValueError("a made-up person without a birth date")
    return day
