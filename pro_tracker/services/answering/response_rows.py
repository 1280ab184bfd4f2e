"""Builds the rows of responses and their scores from the draft of a visit: one response for each instrument."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pro_tracker.domain import scoring
from pro_tracker.domain.instrument import Instrument, TextPack
from pro_tracker.domain.response_codes import ResponseMode, ResponseStatus
from pro_tracker.domain.scoring import ScaleScore
from pro_tracker.domain.unanswered import StopReason
from pro_tracker.services.answering import questionnaires
from pro_tracker.services.answering.questionnaires import AnswersByItem, Part, Questionnaire
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.answering.visit_context import VisitContext

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unsent:
    """Mode of answers that were never sent, or do not count, and the reason why."""

    reason: StopReason
    mode: ResponseMode
    taken_by_id: int | None


def completed(visit: VisitContext, part: Part, context: RequestContext) -> Row:
    """The row of a response that the person sends now."""
    instrument, _pack = part
    answers = questionnaires.answers_to_store(visit.answers, instrument)
    return {
        **_answered(visit, part, answers),
        "status": ResponseStatus.COMPLETED,
        "stop_reason": None,
        "mode": context.mode,
        "taken_by_id": context.taken_by_id,
        "authored_at": context.now,
    }


def unsent(visit: VisitContext, part: Part, unsent: Unsent) -> Row:
    """The row of a response that was begun and is not sent any more, authored when its newest answer was given.

    Of an adaptive test, the item that was shown last and left is part of it.
    """
    instrument, _pack = part
    answers = dict(questionnaires.answers_to_store(visit.answers, instrument))
    if instrument.bank is not None:
        left = [link_id for code, link_id in visit.draft.seen if code == instrument.code]
        answers |= dict.fromkeys(left)
    return {
        **_answered(visit, part, answers),
        "status": ResponseStatus.STOPPED,
        "stop_reason": unsent.reason,
        "mode": unsent.mode,
        "taken_by_id": unsent.taken_by_id,
        "authored_at": visit.draft.given_at.get(instrument.code, visit.saved_at),
    }


def set_aside(visit: VisitContext, counted: Collection[str], given: Unsent) -> Iterator[Row]:
    """The rows of what does not count, since these instruments do: of an adaptive test and its offline form, the other.

    A test has a row, even if it was not begun: that says why its answers are missing. They are not scored.
    """
    for code, part in visit.questionnaire.set_aside.items():
        instrument, _pack = part
        is_recorded = instrument.bank is not None or instrument.code in visit.draft.given_at
        if code in counted and is_recorded:
            yield unsent(visit, part, given)


def _answered(visit: VisitContext, part: Part, answers: AnswersByItem) -> Row:
    """The columns of a response that follow from its answers."""
    instrument, _pack = part
    return {
        "visit_id": visit.visit_id,
        "subject_id": visit.subject_id,
        "instrument_code": instrument.code,
        "instrument_version": instrument.version,
        **_wording(visit, part),
        "answers": answers,
        "missing": _missing(visit, instrument, answers),
        **NOT_EDITED,
    }


NOT_EDITED = dict.fromkeys(("replaces_id", "edited_at", "edited_by_id", "edit_reason", "edit_source"))


def scores(questionnaire: Questionnaire, responses: Sequence[Row], now: datetime) -> Iterator[Row]:
    """A row for each scale of each response. A missing answer is left out, and never scored as a zero."""
    answers = {row["instrument_code"]: row["answers"] for row in responses}
    for instrument, _pack in questionnaire.parts:
        if instrument.code in answers:
            given = {link_id: value for link_id, value in answers[instrument.code].items() if value is not None}
            for score in scoring.score(instrument, given, prorate=questionnaire.prorate):
                yield score_row(instrument, score, now)


def score_row(instrument: Instrument, score: ScaleScore, now: datetime) -> Row:
    """The row of the score of one scale, without its response."""
    return {
        "instrument_code": instrument.code,
        "instrument_version": instrument.version,
        "scale_code": score.scale,
        "scoring_version": instrument.scoring_version,
        "status": score.status,
        "raw_score": score.raw_score,
        "t_score": score.t_score,
        "standard_error": score.standard_error,
        "n_answered": score.n_answered,
        "n_items": score.n_items,
        "prorated": score.prorated,
        "reason": score.reason,
        "scored_at": now,
    }


def _wording(visit: VisitContext, part: Part) -> Row:
    """The wording of an instrument's answers: that of most of them, and that of each where there is more than one.

    Answers in several wordings are validated only if each of these is.
    """
    instrument, pack_now = part
    languages = visit.draft.languages.get(instrument.code, {})
    packs = {language: visit.wording.pack(instrument.code, language) for language in set(languages.values())}
    n_asked = Counter(languages.values())
    main = max(n_asked, key=lambda language: (n_asked[language], language == pack_now.language), default="")
    pack = packs.get(main, pack_now)
    return {
        "language": pack.language,
        "text_pack_version": pack.version,
        "text_pack_validated": all(each.validated for each in packs.values() or (pack_now,)),
        "wordings": _by_item(languages, packs) if len(packs) > 1 else None,
    }


def _by_item(languages: Mapping[str, str], packs: Mapping[str, TextPack]) -> dict[str, tuple[str, str, bool]]:
    found: dict[str, tuple[str, str, bool]] = {}
    for link_id, language in languages.items():
        pack = packs[language]
        found[link_id] = pack.language, pack.version, pack.validated
    return found


def _missing(visit: VisitContext, instrument: Instrument, answers: AnswersByItem) -> dict[str, str]:
    """link_id -> reason, of each item that has no answer."""
    missing: dict[str, str] = {}
    for link_id, value in answers.items():
        if value is None:
            missing[link_id] = visit.draft.missing_reason(instrument.code, link_id)
    return missing
