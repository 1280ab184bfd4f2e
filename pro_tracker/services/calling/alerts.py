"""Reads answer alerts for staff: the answer that raised each, and the one that stands now, in the words of the item.

Only for pages about one subject whom the account may see. Nothing of it is written to logs or the audit trail.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.alert_codes import AlertKind
from pro_tracker.domain.errors import ProTrackerError
from pro_tracker.domain.instrument import Item, TextPack
from pro_tracker.domain.response_codes import AnswerState, ResponseStatus
from pro_tracker.models.answer_alert import AnswerAlert, FreeText
from pro_tracker.models.draft_answer import DraftAnswer
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.wording import text_packs
from pro_tracker.services.wording.text_packs import WordingSnapshot

Place = tuple[int, str, str]  # visit id, instrument code, link_id


@dataclass(frozen=True, slots=True)
class ShownAlert:
    """One alert in words. `current`: the answer that stands now, "" if there is none any more.

    `question` is empty for a text of the free line. `reasons`: why it needs a person, as the instrument says.
    """

    visit_id: int
    kind: AlertKind
    instrument_code: str
    opened_at: datetime
    title: str
    question: str
    raised_by: str
    current: str
    is_changed: bool
    reasons: Sequence[str]


def of_visits(session: Session, visit_ids: Collection[int]) -> Mapping[int, Sequence[ShownAlert]]:
    """Returns visit id -> its alerts, oldest first. In a fixed number of statements; one where there are no alerts."""
    found: dict[int, list[ShownAlert]] = defaultdict(list)
    in_order = select(AnswerAlert).where(AnswerAlert.visit_id.in_(visit_ids)).order_by(AnswerAlert.id)
    alerts = session.scalars(in_order).all()
    if not alerts:
        return found
    alerted = {alert.visit_id for alert in alerts}
    wording = text_packs.in_effect(session)
    answers = _current_answers(session, alerted)
    texts = _texts(session, alerted)
    for alert in alerts:
        place = (alert.visit_id, alert.instrument_code)
        match alert.kind:
            case AlertKind.FREE_TEXT:
                entry = _of_text(alert, wording, texts[place])
            case AlertKind.ANSWER:
                entry = _of_answer(alert, wording, answers.get((*place, alert.link_id)))
            case _:
                assert_never(alert.kind)
        found[alert.visit_id].append(entry)
    return found


def _current_answers(session: Session, visit_ids: Collection[int]) -> Mapping[Place, int | None]:
    """The answers that stand now: of the response in effect, or of a visit in progress; None for a declined item."""
    found: dict[Place, int | None] = {}
    counted = QuestionnaireResponse.status != ResponseStatus.ENTERED_IN_ERROR
    responses = select(QuestionnaireResponse).where(QuestionnaireResponse.visit_id.in_(visit_ids), counted)
    for response in session.scalars(responses, execution_options={"populate_existing": True}):
        for link_id, value in response.answers.items():
            found[response.visit_id, response.instrument_code, link_id] = value
    given = DraftAnswer.state != AnswerState.SEEN
    drafts = select(DraftAnswer).where(DraftAnswer.visit_id.in_(visit_ids), given)
    for row in session.scalars(drafts, execution_options={"populate_existing": True}):
        found[row.visit_id, row.instrument_code, row.link_id] = row.value
    return found


def _texts(session: Session, visit_ids: Collection[int]) -> Mapping[tuple[int, str], Sequence[FreeText]]:
    """(Visit id, instrument code) -> the texts of its free line, the current one last."""
    found: dict[tuple[int, str], list[FreeText]] = defaultdict(list)
    texts = select(FreeText).where(FreeText.visit_id.in_(visit_ids))
    in_order = texts.order_by(FreeText.given_at, FreeText.device, FreeText.sequence)
    for row in session.scalars(in_order, execution_options={"populate_existing": True}):
        found[row.visit_id, row.instrument_code].append(row)
    return found


def _of_text(alert: AnswerAlert, wording: WordingSnapshot, texts: Sequence[FreeText]) -> ShownAlert:
    written = {row.number: row.text for row in texts}
    is_changed = bool(texts) and texts[-1].number != alert.value
    return ShownAlert(
        visit_id=alert.visit_id,
        kind=alert.kind,
        instrument_code=alert.instrument_code,
        opened_at=alert.opened_at,
        title=_pack(wording, alert.instrument_code).title,
        question="",
        raised_by=written.get(alert.value, ""),
        current=texts[-1].text if texts else "",
        is_changed=is_changed,
        reasons=(),
    )


def _of_answer(alert: AnswerAlert, wording: WordingSnapshot, current: int | None) -> ShownAlert:
    pack = _pack(wording, alert.instrument_code)
    item = _item(alert.instrument_code, alert.link_id)
    raised = instrument_catalog.instrument(alert.instrument_code).alert_of(alert.link_id, alert.value)
    return ShownAlert(
        visit_id=alert.visit_id,
        kind=alert.kind,
        instrument_code=alert.instrument_code,
        opened_at=alert.opened_at,
        title=pack.title,
        question=pack.items.get(alert.link_id, alert.link_id),
        raised_by=_label(pack, item, alert.value),
        current="" if current is None else _label(pack, item, current),
        is_changed=current != alert.value,
        reasons=[rule.reason for rule in raised.rules] if raised else [],
    )


def _pack(wording: WordingSnapshot, instrument_code: str) -> TextPack:
    """Staff read every answer in one language, whatever language it was given in."""
    return wording.pack(instrument_code, instrument_catalog.FALLBACK_LANGUAGE)


def _item(instrument_code: str, link_id: str) -> Item | None:
    """The item; None if the newest version of the instrument has none of this name."""
    try:
        return instrument_catalog.instrument(instrument_code).item(link_id)
    except ProTrackerError:
        return None


def _label(pack: TextPack, item: Item | None, value: int) -> str:
    """The label of an option; a numeric scale shows its number."""
    if item is None or item.response_set.kind == "numeric":
        return str(value)
    return pack.options[item.response_set.code].get(value, str(value))
