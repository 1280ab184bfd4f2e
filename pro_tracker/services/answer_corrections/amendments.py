"""Amends single answers of a response: what the patient really said, with the source and the reason."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from pro_tracker.domain import scoring
from pro_tracker.domain.errors import InvalidInput, UnknownItem
from pro_tracker.domain.response_codes import EditSource, MissingItem
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.services import audit, corrections
from pro_tracker.services.answer_corrections import alerts, replacements
from pro_tracker.services.answer_corrections.replacements import Edit
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import person
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.planning import subject_lock
from pro_tracker.services.wording import text_packs

REASON_ADVICE = "Say why the answers are corrected."
NOT_MISSED = (None, MissingItem.DECLINED)  # of an item that was answered or declined, in a wording that is known
Wording = tuple[str, str]  # language and version of a text pack


@dataclass(frozen=True, slots=True)
class AmendmentFacts:
    """The corrected answers, link_id -> option code (None: would rather not answer), their source, and the reason.

    `wording`: language and version in which these answers were asked, where it may differ from the response's.
    """

    answers: Mapping[str, int | None]
    source: EditSource
    reason: str
    wording: Wording | None = None


def amend(
    session: Session, actor: Actor, response: QuestionnaireResponse, facts: AmendmentFacts, *, now: datetime
) -> QuestionnaireResponse:
    """Replaces the response by one with the corrected answers and new scores; returns it. An alert opens a call.

    Raises ChangedSince if the response is not in effect any more, InvalidInput for a missing reason and when nothing
    differs, UnknownItem and AnswerOutOfRange.
    """
    reason = corrections.require_reason(facts.reason, REASON_ADVICE)
    subject_lock.lock(session, person.kept(session, response.subject_id))
    replacements.require_current(session, [response])
    _check(response, facts.answers)
    changed = {link_id: value for link_id, value in facts.answers.items() if _differs(response, link_id, value)}
    if not changed:
        raise InvalidInput("Nothing differs from what is recorded.")
    edit = Edit(actor, now, facts.source, reason)
    columns = {
        "answers": {**response.answers, **changed},
        "missing": _missing(response, changed),
        **_wording(session, response, changed, facts.wording),
    }
    amended = replacements.replace(session, response, edit, **columns)
    alerts.raise_for(session, amended, changed, now=now)
    _audit(session, edit, amended, list(changed))
    return amended


def _check(response: QuestionnaireResponse, answers: Mapping[str, int | None]) -> None:
    """Raises UnknownItem for an item that was not asked, and AnswerOutOfRange."""
    instrument = instrument_catalog.instrument(response.instrument_code, response.instrument_version)
    for link_id in answers:
        if link_id not in response.answers:
            raise UnknownItem("This item was not asked.", field=link_id)
    given = {link_id: value for link_id, value in answers.items() if value is not None}
    scoring.validate_answers(instrument, given)


def missing_reason(response: QuestionnaireResponse, link_id: str) -> MissingItem | None:
    """The reason why an item has no answer; None for one that has. Earlier releases stored only items declined."""
    if response.answers[link_id] is not None:
        return None
    return MissingItem(response.missing.get(link_id, MissingItem.DECLINED))


def _differs(response: QuestionnaireResponse, link_id: str, value: int | None) -> bool:
    if value is None:
        return missing_reason(response, link_id) != MissingItem.DECLINED
    return response.answers[link_id] != value


def _missing(response: QuestionnaireResponse, changed: Mapping[str, int | None]) -> dict[str, str]:
    missing = dict(response.missing)
    for link_id, value in changed.items():
        missing.pop(link_id, None)
        if value is None:
            missing[link_id] = MissingItem.DECLINED
    return missing


def _wording(
    session: Session, response: QuestionnaireResponse, changed: Mapping[str, int | None], wording: Wording | None
) -> dict[str, object]:
    """The columns of the wording, if these items were asked in another wording than the response's; else none."""
    own = (response.language, response.text_pack_version)
    if wording is None or (wording == own and response.wordings is None):
        return {}
    whole = (*own, response.text_pack_validated)
    given = [link_id for link_id in response.answers if missing_reason(response, link_id) in NOT_MISSED]
    before = response.wordings or dict.fromkeys(given, whole)
    pack = text_packs.pack_of_response(session, response.instrument_code, *wording)
    late = (pack.language, pack.version, pack.validated)
    by_item = {**before, **dict.fromkeys(changed, late)}
    return _wording_columns({link_id: (each[0], each[1], each[2]) for link_id, each in by_item.items()}, own)


def _wording_columns(by_item: Mapping[str, tuple[str, str, bool]], own: Wording) -> dict[str, object]:
    """The columns for the wording of each item; `own` is that of most answers where two are equally frequent."""
    used = Counter(by_item.values())
    language, version, _validated = max(used, key=lambda each: (used[each], each[:2] == own))
    return {
        "language": language,
        "text_pack_version": version,
        "wordings": dict(by_item) if len(used) > 1 else None,
        "text_pack_validated": all(validated for _language, _version, validated in used),
    }


def _audit(session: Session, edit: Edit, amended: QuestionnaireResponse, items: list[str]) -> None:
    detail: audit.Detail = {
        "visit": amended.visit_id,
        "instrument": amended.instrument_code,
        "response": amended.id,
        "response_before": amended.replaces_id,
        "items": items,
        "source": edit.source,
    }
    audit.record(session, edit.actor, "response.amend", now=edit.now, subject_id=amended.subject_id, detail=detail)
