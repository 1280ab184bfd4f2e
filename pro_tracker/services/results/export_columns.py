"""The columns of the export files: one list of (name, getter, label, unit) writes header, rows and codebook.

Names follow SDTM QS (CDISC SDTMIG 3.4, section 6.3.9) where it has one; docs/exports.md explains the choices.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Row

from pro_tracker.domain import unanswered
from pro_tracker.domain.change import Basis, Change, ScorePoint, change, is_responder
from pro_tracker.domain.instrument import Instrument, Scale
from pro_tracker.services.csv_columns import Column, ColumnGroup
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.results.export_rows import VisitRecord

NOT_DONE = "NOT DONE"
SKIPPED = "skipped"
NOT_ASKED = "not-asked"  # an adaptive test stores the items on its way only; those asked and put aside are among them
RAW_SCORE, T_SCORE = "raw_score", "t_score"
UNANSWERED = "; ".join(f"{code} = {meaning}" for code, meaning in unanswered.REASONS.items())


@dataclass(frozen=True, slots=True, eq=False)
class Test:
    """One item or one kind of score of an instrument version, as the long file names it.

    `code` is QSTESTCD: item code, scale_RAW, scale_T, or QSALL for the whole instrument not done.
    """

    instrument: Instrument
    code: str
    label: str
    category: str = ""
    scale: str = ""
    stored_as: str = ""  # column of the score row


class TextPackMark(NamedTuple):
    """The wording that was asked with."""

    language: str
    version: str
    validated: bool

    @classmethod
    def of(cls, response: Row[Any]) -> "TextPackMark":
        return cls(response.language, response.text_pack_version, response.text_pack_validated)


@dataclass(frozen=True, slots=True, eq=False)
class TestResult:
    """What came of a test, or why nothing did; `score` for a T-score or a raw score."""

    value: float | int | None = None
    reason: str = ""
    text_pack: TextPackMark | None = None
    score: Row[Any] | None = None
    is_t: bool = False


@dataclass(slots=True)
class LongRow:
    """One row of the long file: the result of one test at one visit."""

    visit: VisitRecord
    test: Test
    result: TestResult


def _yes_no(value: bool | None) -> str:
    return "" if value is None else "Y" if value else "N"


VISIT_COLUMNS: tuple[Column[VisitRecord], ...] = (
    Column("STUDYID", lambda v: v.study, "Study"),
    Column("USUBJID", lambda v: v.subject_code, "Subject: study code, no record number"),
    Column("SITEID", lambda v: v.site_code, "Site"),
    Column("AGE", lambda v: v.age_years, "Age at enrolment", "years; 90 stands for 90 and older"),
    Column("SEX", lambda v: v.sex, "Sex", "female, male, other, unknown"),
    Column("COURSE", lambda v: v.course_number, "Treatment course of the subject", "1 is the first"),
    Column("VISITNUM", lambda v: v.visit_number, "Study event, in the order of the protocol", "1 is the baseline"),
    Column("VISIT", lambda v: v.protocol.event(v.event_code).title, "Study event"),
    Column("VISITDY", lambda v: v.planned_day, "Study day the answers were asked for", "days; see QSDY"),
    Column("QSDY", lambda v: v.day, "Study day of the answers", "days; 1 is the course's first infusion, no day 0"),
    Column("MODE", lambda v: v.mode, "How the answers came", "self-web, telephone, clinic"),
)


TEST_COLUMNS: tuple[Column[Test], ...] = (
    Column("QSCAT", lambda t: t.instrument.code, "Instrument"),
    Column("INSTRVER", lambda t: t.instrument.version, "Version of the instrument"),
    Column("QSSCAT", lambda t: t.category, "What the row tells", "item, score, or empty: whole instrument not done"),
    Column("QSTESTCD", lambda t: t.code, "Item, or scale and kind of score", "see the codebook's rows of tests"),
    Column("QSTEST", lambda t: t.label, "Name of the test"),
    Column("QSDRVFL", lambda t: "Y" if t.scale else "", "Derived from items", "Y or empty"),
    Column("QSEVLINT", lambda t: t.instrument.recall_period, "Recall period", "ISO 8601 duration before the answers"),
)

RESULT_COLUMNS: tuple[Column[TestResult], ...] = (
    Column("QSORRES", lambda r: r.value, "Result as collected", "items: code of the option, before any reversal"),
    Column("QSSTRESN", lambda r: r.value, "Result as a number", "items: option code; scores: raw points or T points"),
    Column("QSSE", lambda r: r.score.standard_error if r.score and r.is_t else None, "Its standard error", "T"),
    Column("QSSTAT", lambda r: NOT_DONE if r.value is None else "", "Whether there is a result", "NOT DONE or empty"),
    Column("QSREASND", lambda r: r.reason, "Why there is no result", "of a whole instrument: a code", UNANSWERED),
    Column("NANSWERED", lambda r: r.score.n_answered if r.score else None, "Items answered of the scale", "count"),
    Column("NITEMS", lambda r: r.score.n_items if r.score else None, "Items of the scale", "count"),
    Column("PRORATED", lambda r: _yes_no(r.score.prorated) if r.score else "", "Pro-rated for missing items", "Y, N"),
    Column("SCOREVER", lambda r: r.score.scoring_version if r.score else "", "Version of the scoring rules"),
    Column("TEXTLANG", lambda r: r.text_pack.language if r.text_pack else "", "Language of the wording asked with"),
    Column("TEXTVER", lambda r: r.text_pack.version if r.text_pack else "", "Version of that text pack"),
    Column(
        "TEXTVALID",
        lambda r: _yes_no(r.text_pack.validated) if r.text_pack else "",
        "Whether that wording is validated",
        "Y, N: demonstration wording",
    ),
)

LONG: tuple[ColumnGroup[LongRow], ...] = (
    ColumnGroup(VISIT_COLUMNS, lambda f: f.visit),
    ColumnGroup(TEST_COLUMNS, lambda f: f.test),
    ColumnGroup(RESULT_COLUMNS, lambda f: f.result),
)


@dataclass(frozen=True, slots=True)
class Tests:
    """The tests of one instrument version: the whole of it not done, its items, its scores."""

    not_done: Test
    items: tuple[Test, ...]
    scores: tuple[Test, ...]


@cache
def named_tests(code: str, version: str | None = None) -> Tests:
    """The tests of this instrument, made once: an export has thousands of visits. Raises UnknownInstrument."""
    instrument = instrument_catalog.instrument(code, version)
    items = (Test(instrument, item.link_id, f"{instrument.title}: {item.link_id}", "item") for item in instrument.items)
    scores = (test for scale in instrument.scales for test in _score_tests(instrument, scale))
    return Tests(Test(instrument, "QSALL", instrument.title), tuple(items), tuple(scores))


def scale_title(instrument: Instrument, scale: Scale) -> str:
    """What the files call a scale, in English as all their labels."""
    title = instrument_catalog.scale_title(instrument.code, scale.code, instrument_catalog.FALLBACK_LANGUAGE)
    return f"{instrument.title}: {title}"


def _score_tests(instrument: Instrument, scale: Scale) -> Iterator[Test]:
    title, code = scale_title(instrument, scale), scale.code.upper()
    if scale.has_raw:
        yield Test(instrument, f"{code}_RAW", f"{title}, raw score", "score", scale.code, RAW_SCORE)
    if scale.has_t:
        yield Test(instrument, f"{code}_T", f"{title}, T-score", "score", scale.code, T_SCORE)


def findings(record: VisitRecord) -> Iterator[LongRow]:
    """The long rows of one visit: items and scores of each instrument of its battery, or one NOT DONE row for each."""
    for code in record.protocol.event(record.event_code).battery:
        response = record.responses.get(code)
        if response is None:
            yield LongRow(record, named_tests(code).not_done, TestResult(reason=record.reason or NOT_ASKED))
        else:
            yield from _answered(record, named_tests(code, response.instrument_version), response)


def _answered(record: VisitRecord, tests: Tests, response: Row[Any]) -> Iterator[LongRow]:
    answers, text_pack = response.answers, TextPackMark.of(response)
    for test in tests.items:
        reason = SKIPPED if test.code in answers else NOT_ASKED
        yield LongRow(record, test, _item_result(answers.get(test.code), reason, text_pack))
    for test in tests.scores:
        score = record.scores.get((test.instrument.code, test.scale))
        if score is not None:
            value, is_t = getattr(score, test.stored_as), test.stored_as == T_SCORE
            yield LongRow(record, test, TestResult(value, score.reason or "", text_pack, score, is_t))


@cache
def _item_result(value: int | None, reason: str, text_pack: TextPackMark) -> TestResult:
    """One for all equal answers: two thirds of the long file's rows end in one of a dozen results."""
    return TestResult(value, reason if value is None else "", text_pack)


TREATMENT_COLUMNS: tuple[Column[VisitRecord], ...] = (
    Column("QSSTAT", lambda v: "" if v.responses else NOT_DONE, "Whether the visit was answered", "NOT DONE or empty"),
    Column("QSREASND", lambda v: v.reason, "Why it was not answered", "a code", UNANSWERED),
    Column("INFUSIONS", lambda v: v.treatment.infusions, "Infusions given in the course, so far", "count"),
    Column("STOPPED", lambda v: v.treatment.stopped, "Of them stopped early", "count"),
    Column("CUMDOSE", lambda v: v.treatment.cumulative_mg_per_kg, "Cumulative dose of the course, so far", "mg/kg"),
    Column("AECOUNT", lambda v: v.treatment.adverse_events, "Adverse events at infusions of the course", "count"),
    Column("AEWORST", lambda v: v.treatment.worst_grade, "Worst grade of them", "CTCAE grade, 1 to 5"),
    Column("AEEMERG", lambda v: v.treatment.emergencies, "Of them with an emergency response", "count"),
)


def wide(instruments: Iterable[Instrument]) -> tuple[ColumnGroup[VisitRecord], ...]:
    """The columns of the wide file: visit and treatment, then those of every scale of these instruments."""
    scales = [column for each in instruments for scale in each.scales for column in _scale_columns(each, scale)]
    return (ColumnGroup((*VISIT_COLUMNS, *TREATMENT_COLUMNS, *scales)),)


def _scale_columns(instrument: Instrument, scale: Scale) -> Iterator[Column[VisitRecord]]:
    name = instrument.code.replace("-", "_") + ("" if scale.code == "total" else f"_{scale.code}")
    title, key = scale_title(instrument, scale), (instrument.code, scale.code)
    if scale.has_raw:
        yield Column(f"{name}_raw", lambda v: _stored(v, key, "raw_score"), f"{title}, raw score", "points")
    if scale.has_t:
        yield Column(f"{name}_t", lambda v: _stored(v, key, "t_score"), f"{title}, T-score", "T points")
        yield Column(f"{name}_se", lambda v: _stored(v, key, "standard_error"), f"{title}, standard error", "T points")
    if scale.has_raw:
        yield Column(f"{name}_prorated", lambda v: _yes_no(_stored(v, key, "prorated")), f"{title}, pro-rated", "Y, N")
    yield Column(f"{name}_reason", lambda v: _stored(v, key, "reason"), f"{title}, why there is no score")
    if scale.responder_rule:
        yield Column(f"{name}_responder", lambda v: _responder(v, key, scale), f"{title}, responder", "Y, N")
    else:
        yield from _change_columns(name, title, key, scale)


def _change_columns(name: str, title: str, key: tuple[str, str], scale: Scale) -> Iterator[Column[VisitRecord]]:
    unit = "T points" if scale.has_t else "points"
    yield Column(f"{name}_change", lambda v: _judged(v, key, scale, "difference"), f"{title}, minus baseline", unit)
    label = f"{title}, change is of a size that matters"
    yield Column(f"{name}_meaningful", lambda v: _yes_no(_judged(v, key, scale, "meaningful")), label, "Y, N")
    if scale.has_t:
        label = f"{title}, change exceeds measurement error (95 %)"
        yield Column(f"{name}_reliable", lambda v: _yes_no(_judged(v, key, scale, "reliable")), label, "Y, N")
    words = "improved, worsened, within-error, not-comparable; empty where no size is agreed"
    yield Column(f"{name}_verdict", lambda v: _judged(v, key, scale, "verdict"), f"{title}, verdict of both", words)
    label, words = f"{title}, why the change is not comparable", "different-form, different-wording"
    yield Column(f"{name}_obstacle", lambda v: _judged(v, key, scale, "obstacle"), label, words)


def _stored(visit: VisitRecord, key: tuple[str, str], attribute: str) -> Any:
    score = visit.scores.get(key)
    return None if score is None else getattr(score, attribute)


def _judged(visit: VisitRecord, key: tuple[str, str], scale: Scale, attribute: str) -> Any:
    judged = _change(visit, key, scale)
    return None if judged is None else getattr(judged, attribute)


def _change(visit: VisitRecord, key: tuple[str, str], scale: Scale) -> Change | None:
    """The change from the baseline of the same course, None where one of the two scores is missing."""
    if key not in visit.changes:
        visit.changes[key] = _changed(visit, key, scale)
    return visit.changes[key]


def _changed(visit: VisitRecord, key: tuple[str, str], scale: Scale) -> Change | None:
    baseline = point(visit.baseline.scores.get(key), scale) if visit.baseline else None
    later = point(visit.scores.get(key), scale)
    if baseline is None or later is None:
        return None
    return change(visit.protocol.with_study_rule(key[0], scale), baseline, later)


def _responder(visit: VisitRecord, key: tuple[str, str], scale: Scale) -> str:
    later = point(visit.scores.get(key), scale)
    return "" if later is None else _yes_no(is_responder(scale, None, later))


def point(score: Row[Any] | None, scale: Scale) -> ScorePoint | None:
    """A stored score as change is judged by it: T with its error where the scale has T, else raw."""
    value = None if score is None else score.t_score if scale.has_t else score.raw_score
    if score is None or value is None:
        return None
    basis = Basis(score.scoring_version, score.language, score.text_pack_version, score.text_pack_validated)
    return ScorePoint(value, score.standard_error if scale.has_t else None, basis)
