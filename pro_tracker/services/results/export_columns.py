"""The columns of the export files: one list of (name, getter, label, unit, values) writes header, rows and codebook.

Names follow SDTM QS (CDISC SDTMIG 3.4, section 6.3.9) where it has one; docs/exports.md explains the choices.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Row

from pro_tracker.domain import unanswered
from pro_tracker.domain.change import Change, ScorePoint, change, is_responder
from pro_tracker.domain.instrument import Instrument, Item, Scale
from pro_tracker.services.csv_columns import Column, ColumnGroup
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.results.export_rows import VisitRecord
from pro_tracker.services.stored_scores import ScaleKey, StoredScore

NOT_DONE = "NOT DONE"
SKIPPED = "skipped"
NOT_ASKED = "not-asked"  # an adaptive test stores only the items that it asked, skipped ones among them
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


class TextPackVersion(NamedTuple):
    """The wording that a response was given to."""

    language: str
    version: str
    validated: bool

    @classmethod
    def of(cls, response: Row[Any]) -> "TextPackVersion":
        return cls(response.language, response.text_pack_version, response.text_pack_validated)


@dataclass(frozen=True, slots=True, eq=False)
class TestResult:
    """The result of a test, or the reason why there is none; `score` for a T-score or a raw score."""

    value: float | int | None = None
    reason: str = ""
    text_pack: TextPackVersion | None = None
    score: StoredScore | None = None
    is_t: bool = False


@dataclass(slots=True)
class LongRow:
    """One row of the long file: the result of one test at one visit."""

    visit: VisitRecord
    test: Test
    result: TestResult


def _yes_no(value: bool | None) -> str:
    if value is None:
        return ""
    return "Y" if value else "N"


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
    """The tests of this instrument, cached: an export has thousands of visits. Raises UnknownInstrument."""
    instrument = instrument_catalog.instrument(code, version)
    not_done = Test(instrument, "QSALL", instrument.title)
    items = tuple(_item_test(instrument, item) for item in instrument.items)
    scores = chain.from_iterable(_score_tests(instrument, scale) for scale in instrument.scales)
    return Tests(not_done, items, tuple(scores))


def _item_test(instrument: Instrument, item: Item) -> Test:
    return Test(instrument, item.link_id, f"{instrument.title}: {item.link_id}", "item")


def scale_title(instrument: Instrument, scale: Scale) -> str:
    """The title of a scale in the files: in English, as all their labels."""
    title = instrument_catalog.scale_title(instrument.code, scale.code, instrument_catalog.FALLBACK_LANGUAGE)
    return f"{instrument.title}: {title}"


def _score_tests(instrument: Instrument, scale: Scale) -> Iterator[Test]:
    title = scale_title(instrument, scale)
    code = scale.code.upper()
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
    """The rows of one response: its items, then the scores that are stored of it."""
    text_pack = TextPackVersion.of(response)
    for test in tests.items:
        reason = SKIPPED if test.code in response.answers else NOT_ASKED
        yield LongRow(record, test, _item_result(response.answers.get(test.code), reason, text_pack))
    for test in tests.scores:
        score = record.scores.get((test.instrument.code, test.scale))
        if score is not None:
            yield LongRow(record, test, _score_result(test, score, text_pack))


@cache
def _item_result(value: int | None, reason: str, text_pack: TextPackVersion) -> TestResult:
    """The result of an item. One object for all equal answers: their CSV text is then made once (see exports.py)."""
    return TestResult(value, reason if value is None else "", text_pack)


def _score_result(test: Test, score: StoredScore, text_pack: TextPackVersion) -> TestResult:
    value = getattr(score, test.stored_as)
    return TestResult(value, score.reason or "", text_pack, score, is_t=test.stored_as == T_SCORE)


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
    columns = [*VISIT_COLUMNS, *TREATMENT_COLUMNS]
    for instrument in instruments:
        for scale in instrument.scales:
            columns += _scale_columns(instrument, scale)
    return (ColumnGroup(tuple(columns)),)


def _scale_columns(instrument: Instrument, scale: Scale) -> Iterator[Column[VisitRecord]]:
    """The columns of one scale. A column that the scale cannot fill (raw, T) is left out, not left empty."""
    name = _column_prefix(instrument, scale)
    title = scale_title(instrument, scale)
    key = (instrument.code, scale.code)
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


def _column_prefix(instrument: Instrument, scale: Scale) -> str:
    """The start of a scale's column names: "promis_pain", and with the scale where it is not the total."""
    code = instrument.code.replace("-", "_")
    return code if scale.code == "total" else f"{code}_{scale.code}"


def _change_columns(name: str, title: str, key: ScaleKey, scale: Scale) -> Iterator[Column[VisitRecord]]:
    """The columns about the change from baseline, each a field of domain.change.Change."""
    unit = "T points" if scale.has_t else "points"
    yield Column(
        f"{name}_change", lambda v: _change_field(v, key, scale, "difference"), f"{title}, minus baseline", unit
    )
    yield Column(
        f"{name}_meaningful",
        lambda v: _yes_no(_change_field(v, key, scale, "meaningful")),
        f"{title}, change is of a size that matters",
        "Y, N",
    )
    if scale.has_t:  # only T-scores have a standard error
        yield Column(
            f"{name}_reliable",
            lambda v: _yes_no(_change_field(v, key, scale, "reliable")),
            f"{title}, change exceeds measurement error (95 %)",
            "Y, N",
        )
    yield Column(
        f"{name}_verdict",
        lambda v: _change_field(v, key, scale, "verdict"),
        f"{title}, verdict of both",
        "improved, worsened, within-error, not-comparable; empty where no size is agreed",
    )
    yield Column(
        f"{name}_obstacle",
        lambda v: _change_field(v, key, scale, "obstacle"),
        f"{title}, why the change is not comparable",
        "different-form, different-wording",
    )


def _stored(visit: VisitRecord, key: ScaleKey, field: str) -> Any:
    """A field of the visit's score on this scale; None without a score row."""
    score = visit.scores.get(key)
    return None if score is None else getattr(score, field)


def _change_field(visit: VisitRecord, key: ScaleKey, scale: Scale, field: str) -> Any:
    """A field of the visit's change on this scale; None without a change."""
    changed = _change(visit, key, scale)
    return None if changed is None else getattr(changed, field)


def _change(visit: VisitRecord, key: ScaleKey, scale: Scale) -> Change | None:
    """The change from the baseline of the same course, None where one of the two scores is missing."""
    if key not in visit.changes:
        visit.changes[key] = _computed_change(visit, key, scale)
    return visit.changes[key]


def _computed_change(visit: VisitRecord, key: ScaleKey, scale: Scale) -> Change | None:
    baseline = _point(visit.baseline, key, scale)
    later = _point(visit, key, scale)
    if baseline is None or later is None:
        return None
    return change(visit.protocol.with_study_rule(key[0], scale), baseline, later)


def _responder(visit: VisitRecord, key: ScaleKey, scale: Scale) -> str:
    later = _point(visit, key, scale)
    return "" if later is None else _yes_no(is_responder(scale, None, later))


def _point(visit: VisitRecord | None, key: ScaleKey, scale: Scale) -> ScorePoint | None:
    score = visit.scores.get(key) if visit else None
    return score.point(scale) if score else None
