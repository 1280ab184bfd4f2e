"""Reads the answers of a visit in words: every response with its items and scores, in effect or corrected since."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.instrument import Instrument, TextPack
from pro_tracker.domain.response_codes import MissingItem, ResponseStatus
from pro_tracker.models.draft_answer import LateAnswer
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.services.answer_corrections import amendments
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.wording import text_packs


@dataclass(frozen=True, slots=True)
class LabelledOption:
    """An answer that an item allows: the stored code and its label in the wording that was asked."""

    value: int
    label: str


@dataclass(frozen=True, slots=True)
class ReadItem:
    """One item of a response with its wording. `value` None: it has no answer, for the reason `missing`."""

    link_id: str
    text: str
    language: str
    value: int | None
    missing: MissingItem | None
    options: tuple[LabelledOption, ...]

    @property
    def label(self) -> str:
        """Label of the answer; "" without one."""
        return next((option.label for option in self.options if option.value == self.value), "")


@dataclass(frozen=True, slots=True)
class ReadScore:
    """The newest score of one scale; `value` None: no score, for `reason`."""

    scale_code: str
    title: str
    has_t: bool
    value: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class ReadResponse:
    """One response in words."""

    row: QuestionnaireResponse
    title: str
    items: tuple[ReadItem, ...]
    scores: tuple[ReadScore, ...]

    @property
    def is_current(self) -> bool:
        return self.row.status != ResponseStatus.ENTERED_IN_ERROR

    @property
    def languages(self) -> list[str]:
        """The languages in which its items were asked."""
        return sorted({item.language for item in self.items})


@dataclass(frozen=True, slots=True)
class InstrumentAnswers:
    """The responses of one visit to one instrument, oldest first."""

    code: str
    title: str
    responses: tuple[ReadResponse, ...]

    @property
    def current(self) -> ReadResponse | None:
        """The response in effect; None where each was voided or moved."""
        return next((each for each in self.responses if each.is_current), None)

    @property
    def former(self) -> list[ReadResponse]:
        """The responses that were amended, voided or moved."""
        return [each for each in self.responses if not each.is_current]


def of_visit(session: Session, visit_id: int) -> Sequence[InstrumentAnswers]:
    """The answers of a visit by instrument, in the order in which these were first stored."""
    rows = select(QuestionnaireResponse)
    rows = rows.where(QuestionnaireResponse.visit_id == visit_id)
    by_code: dict[str, list[ReadResponse]] = defaultdict(list)
    for row in session.scalars(rows.order_by(QuestionnaireResponse.id)):
        response = read(session, row)
        by_code[row.instrument_code].append(response)
    return [InstrumentAnswers(code, found[-1].title, tuple(found)) for code, found in by_code.items()]


def read(session: Session, row: QuestionnaireResponse) -> ReadResponse:
    """A response in words, each item in the wording in which it was asked."""
    instrument = instrument_catalog.instrument(row.instrument_code, row.instrument_version)
    items = tuple(read_item(session, row, link_id) for link_id in _in_order(instrument, row))
    return ReadResponse(row, instrument.title, items, tuple(_scores(session, row)))


def read_item(session: Session, row: QuestionnaireResponse, link_id: str) -> ReadItem:
    """One item of a response."""
    whole = (row.language, row.text_pack_version, row.text_pack_validated)
    language, version, _validated = (row.wordings or {}).get(link_id, whole)
    pack = text_packs.pack_of_response(session, row.instrument_code, language, version)
    instrument = instrument_catalog.instrument(row.instrument_code, row.instrument_version)
    return ReadItem(
        link_id=link_id,
        text=pack.items[link_id],
        language=pack.language,
        value=row.answers[link_id],
        missing=amendments.missing_reason(row, link_id),
        options=_options(instrument, link_id, pack),
    )


def read_late(session: Session, row: LateAnswer, instrument_version: str | None) -> ReadItem:
    """A late answer; `instrument_version` is that of the response to it, None where there is none."""
    instrument = instrument_catalog.instrument(row.instrument_code, instrument_version)
    pack = text_packs.pack_of_response(session, row.instrument_code, row.language, row.text_pack_version)
    return ReadItem(
        link_id=row.link_id,
        text=pack.items[row.link_id],
        language=pack.language,
        value=row.value,
        missing=None if row.value is not None else MissingItem.DECLINED,
        options=_options(instrument, row.link_id, pack),
    )


def _in_order(instrument: Instrument, row: QuestionnaireResponse) -> list[str]:
    return [item.link_id for item in instrument.items if item.link_id in row.answers]


def _options(instrument: Instrument, link_id: str, pack: TextPack) -> tuple[LabelledOption, ...]:
    item = instrument.item(link_id)
    options = item.response_set
    labels = {} if options.kind == "numeric" else pack.options[options.code]
    found: list[LabelledOption] = []
    for value in options.values:
        label = labels.get(value, str(value))
        found.append(LabelledOption(value, label))
    return tuple(found)


def _scores(session: Session, row: QuestionnaireResponse) -> list[ReadScore]:
    """The newest score of each scale, in the order of the instrument."""
    rows = select(Score).where(Score.response_id == row.id)
    newest = {score.scale_code: score for score in session.scalars(rows.order_by(Score.id))}
    instrument = instrument_catalog.instrument(row.instrument_code, row.instrument_version)
    scales = instrument.scales
    return [_score(newest[scale.code]) for scale in scales if scale.code in newest]


def _score(score: Score) -> ReadScore:
    scale = instrument_catalog.instrument(score.instrument_code, score.instrument_version).scale(score.scale_code)
    title = instrument_catalog.scale_title(score.instrument_code, scale.code, instrument_catalog.FALLBACK_LANGUAGE)
    value = scale.shown_value(score.raw_score, score.t_score)
    return ReadScore(scale.code, title, scale.has_t, value, score.reason)
