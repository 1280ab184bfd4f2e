"""Takes the answers that a device kept while it had no connection: many at once, each with the moment it was given.

To send the same ones again changes nothing, so that a device may repeat them until it gets a reply.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from pro_tracker.domain.errors import AlreadyAnswered, AnswerOutOfRange, WindowClosed
from pro_tracker.domain.kept_answer_codes import KeptAnswerOutcome as Outcome
from pro_tracker.services.answering import free_texts, late_answers, saving
from pro_tracker.services.answering.questionnaires import Answers, AskedItem
from pro_tracker.services.answering.request_context import Given, RequestContext
from pro_tracker.services.answering.saving import AlsoSaved
from pro_tracker.services.answering.visit_context import VisitContext


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer as a device kept it: the name of the item, the option code (None: declined), and when it was given.

    `free_text`: what was written in the line below the item; None where there was no such line.
    """

    item: str
    value: int | None
    given: Given
    free_text: str | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """A kept answer to an item that the visit may ask."""

    number: int  # its place among those that were sent
    item: AskedItem
    answers: Answers
    texts: free_texts.Texts
    context: RequestContext


def take(
    session: Session, visit: VisitContext, kept: Sequence[KeptAnswer], context: RequestContext, *, seen: str = ""
) -> Sequence[Outcome]:
    """Saves the answers, or keeps those that are late; returns the outcome of each. The caller commits.

    `seen`: the name of the item that the device shows. An answer to an item that the visit does not ask, or with an
    option that does not exist, is refused and holds up no other. Raises WindowClosed before the visit opens,
    NoLongerAsked after a death, ConsentNeeded without consent: the device goes on keeping them then.
    """
    visit.require_consent(any_version=True)
    outcomes = [Outcome.REFUSED] * len(kept)
    known = list(_known(visit, kept, context))
    in_time = [each for each in known if not late_answers.is_late(visit, each.item.instrument_code, context.now)]
    if in_time and not _save(session, visit, in_time, context, seen):
        in_time = []  # the visit was sent or ended since it was read
    saved = {each.number for each in in_time}
    for each in known:
        outcomes[each.number] = Outcome.SAVED if each.number in saved else _keep(session, visit, each)
    return outcomes


def _known(visit: VisitContext, kept: Sequence[KeptAnswer], context: RequestContext) -> Iterator[_Known]:
    for number, each in enumerate(kept):
        item = visit.late_item(each.item)
        if item is None or not _is_option(item, each.value):
            continue
        answers = {item.instrument_code: {item.link_id: each.value}}
        texts = {}
        if item.has_free_text and each.free_text is not None:
            # The field of the page takes no more.
            texts = {item.instrument_code: each.free_text[: free_texts.MAX_LENGTH]}
        yield _Known(number, item, answers, texts, replace(context, given=each.given))


def _is_option(item: AskedItem, value: int | None) -> bool:
    try:
        return value is None or item.value(str(value)) == value
    except AnswerOutOfRange:
        return False


def _save(session: Session, visit: VisitContext, known: Sequence[_Known], context: RequestContext, seen: str) -> bool:
    given = [(each.answers, each.context) for each in known]
    newest = max(known, key=lambda each: (each.context.given_at, each.context.sequence))
    texts: dict[str, str] = {}
    for each in known:
        texts |= each.texts
    latest = replace(context, given=newest.context.given)
    return saving.save_given(session, visit, given, latest, also=AlsoSaved(visit.late_item(seen), texts))


def _keep(session: Session, visit: VisitContext, each: _Known) -> Outcome:
    try:
        differs = late_answers.keep(session, visit, each.answers, each.context)
    except (AlreadyAnswered, WindowClosed):
        return Outcome.REFUSED
    if each.texts:
        free_texts.keep_late(session, visit, each.texts, each.context)
    return Outcome.LATE if differs else Outcome.SAVED
