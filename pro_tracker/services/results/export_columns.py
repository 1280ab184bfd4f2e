"""The columns of the export files: one list of (name, getter, label, unit, values) writes header, rows and codebook.

Names follow SDTM QS (CDISC SDTMIG 3.4, section 6.3.9) where it has one; docs/exports.md explains the choices.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Row

from pro_tracker.domain import goal_attainment, unanswered
from pro_tracker.domain.change import Change, ScorePoint, change, is_responder
from pro_tracker.domain.instrument import Instrument, Item, Scale
from pro_tracker.domain.response_codes import MISSING_ITEMS, RESPONSE_STATUSES, ResponseStatus
from pro_tracker.models.response import EXPORTED_STATUSES
from pro_tracker.services.csv_columns import Column, ColumnGroup
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.results.export_rows import NOT_GIVEN, GivenAnswers, VisitRecord
from pro_tracker.services.stored_scores import ScaleKey, StoredScore

NOT_DONE = "NOT DONE"
# Of an item whose response was stored before the three reasons of MissingItem were known.
SKIPPED = "skipped"
NOT_ASKED = "not-asked"  # an adaptive test stores only the items that it asked, skipped ones among them
RAW_SCORE, T_SCORE = "raw_score", "t_score"
_REASONS = (*unanswered.REASONS.items(), *unanswered.UNCOUNTED.items(), *unanswered.SET_ASIDE.items())
UNANSWERED = "; ".join(f"{code} = {meaning}" for code, meaning in _REASONS)

NO_ANSWER: dict[str, str] = {
    **{code.value: text for code, text in MISSING_ITEMS.items()},
    SKIPPED: "Left without an answer, in answers to earlier releases",
}
ITEM_REASONS = "; ".join(f"{code} = {meaning}" for code, meaning in NO_ANSWER.items())
REASONS = f"of an item: {ITEM_REASONS} | of a whole instrument: {UNANSWERED}"
STATUSES = "; ".join(f"{code} = {meaning}" for code, meaning in RESPONSE_STATUSES.items() if code in EXPORTED_STATUSES)

# From the best step on: a cell that begins with a minus sign would be escaped.
GOAL_STEPS = "; ".join(
    f"{step:d} = {meaning}" for step, meaning in sorted(goal_attainment.MEANINGS.items(), reverse=True)
)

Getter = Callable[[VisitRecord], Any]  # what Column.get is for a visit


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
    """The wording that an item was asked in; of a score, that of most of its answers. `is_mixed`: the others differ."""

    language: str
    version: str
    validated: bool
    is_mixed: bool

    @classmethod
    def of(cls, response: Row[Any], link_id: str = "") -> "TextPackVersion":
        whole = (response.language, response.text_pack_version, response.text_pack_validated)
        if response.wordings is None:
            return cls(*whole, False)
        language, version, validated = response.wordings.get(link_id, whole)
        return cls(language, version, validated, True)


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
    given: GivenAnswers = NOT_GIVEN


def _yes_no(value: bool | None) -> str:
    if value is None:
        return ""
    return "Y" if value else "N"


def _visit_number(visit: VisitRecord) -> int | float:
    if visit.infusion_day:
        return round(visit.visit_number + visit.infusion_day / 100, 2)
    return visit.visit_number + 0.1 if visit.is_unscheduled else visit.visit_number


def _visit_title(visit: VisitRecord) -> str:
    if visit.is_unscheduled:
        return "Unscheduled"
    return visit.protocol.event(visit.event_code).name(visit.infusion_day)


def _may_be_shared(visit: VisitRecord) -> str:
    return "" if visit.consent.is_shared is None else _yes_no(visit.consent.is_shared)


VISIT_COLUMNS: tuple[Column[VisitRecord], ...] = (
    Column("STUDYID", lambda v: v.study, "Study"),
    Column("USUBJID", lambda v: v.subject_code, "Subject: study code, no record number"),
    Column("SITEID", lambda v: v.site_code, "Site where the course was begun"),
    Column("AGE", lambda v: v.age_years, "Age at enrolment", "years; 90 stands for 90 and older"),
    Column("SEX", lambda v: v.sex, "Sex", "female, male, other, unknown"),
    Column("COURSE", lambda v: v.course_number, "Treatment course of the subject", "1 is the first"),
    Column("VISITNUM", _visit_number, "Study event, in the order of the protocol", "1 is the baseline; 1.1: see VISIT"),
    Column("VISIT", _visit_title, "Study event", "a title; Unscheduled: asked before treatment, answered under it"),
    Column("VISITDY", lambda v: v.planned_day, "Study day the answers were due", "days; see QSDY"),
    Column("DTHFL", lambda v: "Y" if v.death.is_recorded else "", "Whether the subject died since", "Y or empty"),
    Column("DTHDY", lambda v: v.death.day, "Study day of the death", "days; see QSDY; empty with DTHFL: not known"),
    Column("DTHDTF", lambda v: "" if v.death.is_certain else "D", "Whether that day is uncertain", "D or empty"),
    Column(
        "ASKDY", lambda v: v.asked_day, "Study day on which the subject was first asked", "days; empty: nobody asked"
    ),
    Column("GOALNO", lambda v: v.goal.number if v.goal else None, "Own goal of the subject that was rated", "1: first"),
    Column(
        "GOALRAT",
        lambda v: v.goal.attainment if v.goal else None,
        "Rating of that goal (goal attainment scaling)",
        "from -2 to 2; empty: not rated",
        GOAL_STEPS,
    ),
    Column("CONSVER", lambda v: v.consent.version, "Version of the consent form", "empty: the study has no form here"),
    Column("CONSDY", lambda v: v.consent.day, "Study day of that consent", "days; see QSDY"),
    Column("CONSSHR", _may_be_shared, "Whether the data may be shared", "Y, N; empty: the form does not ask"),
)
GIVEN_COLUMNS: tuple[Column[GivenAnswers], ...] = (
    Column("QSDY", lambda g: g.day, "Study day of the answers", "days; 1 is the course's first infusion, no day 0"),
    Column("MODE", lambda g: g.mode, "How the answers came", "self-web, telephone, clinic"),
)
STATUS_COLUMNS: tuple[Column[GivenAnswers], ...] = (
    Column("RSPSTAT", lambda g: g.status, "Status of the answers, spelled as in FHIR", "a code", STATUSES),
    Column("RSPREAS", lambda g: g.reason, "Why the answers were never sent", "a code; empty: sent", UNANSWERED),
)

TEST_COLUMNS: tuple[Column[Test], ...] = (
    Column("QSCAT", lambda t: t.instrument.code, "Instrument"),
    Column("INSTRVER", lambda t: t.instrument.version, "Version of the instrument"),
    Column("QSSCAT", lambda t: t.category, "Kind of row", "item, score, or empty: whole instrument not done"),
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
    Column("QSREASND", lambda r: r.reason, "Why there is no result", "a code; of a score: a text", REASONS),
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
        "Y, N: demonstration wording; of a score: of all its answers",
    ),
    Column(
        "TEXTMIX",
        lambda r: _yes_no(r.text_pack.is_mixed) if r.text_pack else "",
        "Whether the instrument was asked in more than one wording",
        "Y, N; of a score of several, TEXTLANG and TEXTVER are those of most answers",
    ),
)

LONG: tuple[ColumnGroup[LongRow], ...] = (
    ColumnGroup(VISIT_COLUMNS, lambda f: f.visit),
    ColumnGroup(GIVEN_COLUMNS, lambda f: f.given),
    ColumnGroup(TEST_COLUMNS, lambda f: f.test),
    ColumnGroup(RESULT_COLUMNS, lambda f: f.result),
    ColumnGroup(STATUS_COLUMNS, lambda f: f.given),
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
    scores: list[Test] = []
    for scale in instrument.scales:
        scores += _score_tests(instrument, scale)
    return Tests(not_done, items, tuple(scores))


def _item_test(instrument: Instrument, item: Item) -> Test:
    label = f"{instrument.title}: {item.link_id}"
    return Test(instrument, item.link_id, label, "item")


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
    """The long rows of one visit: items and scores of each instrument of its battery, or one NOT DONE row for each.

    What is still to be answered has none.
    """
    battery = record.protocol.event(record.event_code).battery
    for code in record.protocol.asked_at(record.event_code):
        response = record.responses.get(code)
        if response is not None:
            yield from _answered(record, named_tests(code, response.instrument_version), response)
        elif code in battery and (record.is_finished or code in record.in_error):
            yield LongRow(record, named_tests(code).not_done, TestResult(reason=_no_response(record, code)))
    if record.under_treatment:
        yield from _unscheduled(replace(record, is_unscheduled=True, scores={}))


def _unscheduled(record: VisitRecord) -> Iterator[LongRow]:
    """The rows of answers that are none of the visit, as an unscheduled visit after it, without scores."""
    for code, response in record.under_treatment.items():
        yield from _answered(record, named_tests(code, response.instrument_version), response)


def _no_response(record: VisitRecord, code: str) -> str:
    """The reason why the visit has no response to the instrument."""
    if code in record.under_treatment:
        return unanswered.UncountedReason.UNDER_TREATMENT
    in_error = unanswered.UnansweredReason.ENTERED_IN_ERROR if code in record.in_error else ""
    return record.reason or in_error or NOT_ASKED


def _answered(record: VisitRecord, tests: Tests, response: Row[Any]) -> Iterator[LongRow]:
    """The rows of one response: its items, then the scores that count of it, which a stopped one does not have."""
    text_pack = TextPackVersion.of(response)
    given = record.given[response.instrument_code]
    answers = response.answers
    for test in tests.items:
        reason = response.missing.get(test.code, SKIPPED) if test.code in answers else NOT_ASKED
        asked = TextPackVersion.of(response, test.code) if text_pack.is_mixed else text_pack
        result = _item_result(answers.get(test.code), reason, asked)
        yield LongRow(record, test, result, given)
    for test in tests.scores:
        score = record.scores.get((test.instrument.code, test.scale))
        if score is not None:
            yield LongRow(record, test, _score_result(test, score, text_pack), given)


@cache
def _item_result(value: int | None, reason: str, text_pack: TextPackVersion) -> TestResult:
    """The result of an item. One object for all equal answers: their CSV text is then made once (see exports.py)."""
    if value is None:
        return TestResult(reason=reason, text_pack=text_pack)
    return TestResult(value, text_pack=text_pack)


def _score_result(test: Test, score: StoredScore, text_pack: TextPackVersion) -> TestResult:
    return TestResult(
        value=getattr(score, test.stored_as),
        reason=score.reason or "",
        text_pack=text_pack,
        score=score,
        is_t=test.stored_as == T_SCORE,
    )


TREATMENT_COLUMNS: tuple[Column[VisitRecord], ...] = (
    Column("QSSTAT", lambda v: "" if _counts(v) else NOT_DONE, "Whether the visit was answered", "NOT DONE or empty"),
    Column("QSREASND", lambda v: v.reason, "Why it was not answered, or not sent", "a code", UNANSWERED),
    Column("INFUSIONS", lambda v: v.treatment.infusions, "Infusions given in the course, so far", "count"),
    Column("STOPPED", lambda v: v.treatment.stopped, "Of them stopped early", "count"),
    Column("CUMDOSE", lambda v: v.treatment.cumulative_mg_per_kg, "Cumulative dose of the course, so far", "mg/kg"),
    Column("AEASKED", lambda v: v.treatment.asked, "Infusions at which it was asked about adverse effects", "count"),
    Column("AECOUNT", lambda v: v.treatment.adverse_events, "Adverse events of the course, so far", "count"),
    Column("AEWORST", lambda v: v.treatment.worst_grade, "Worst grade of them", "CTCAE grade, 1 to 5"),
    Column("AEEMERG", lambda v: v.treatment.emergencies, "Of them with an emergency response", "count"),
)


def _counts(visit: VisitRecord) -> bool:
    """Returns whether any instrument of the visit was completed, sent or not."""
    return any(visit.given[code].status != ResponseStatus.STOPPED for code in visit.responses)


def wide(instruments: Iterable[Instrument]) -> tuple[ColumnGroup[VisitRecord], ...]:
    """The columns of the wide file: visit and treatment, then those of every scale of these instruments."""
    columns = [*TREATMENT_COLUMNS]
    for instrument in instruments:
        for scale in instrument.scales:
            columns += _scale_columns(instrument, scale)
    return (
        ColumnGroup(VISIT_COLUMNS),
        ColumnGroup(GIVEN_COLUMNS, lambda v: v.whole),
        ColumnGroup(tuple(columns)),
        ColumnGroup(STATUS_COLUMNS, lambda v: v.whole),
    )


def _scale_columns(instrument: Instrument, scale: Scale) -> Iterator[Column[VisitRecord]]:
    """The columns of one scale. A column that the scale cannot fill (raw, T) is left out, not left empty."""
    name = _column_prefix(instrument, scale)
    title = scale_title(instrument, scale)
    key = (instrument.code, scale.code)
    if scale.has_raw:
        yield Column(f"{name}_raw", _stored(key, RAW_SCORE), f"{title}, raw score", "points")
    if scale.has_t:
        yield Column(f"{name}_t", _stored(key, T_SCORE), f"{title}, T-score", "T points")
        yield Column(f"{name}_se", _stored(key, "standard_error"), f"{title}, standard error", "T points")
    if scale.has_raw:
        yield Column(f"{name}_prorated", _yes_or_no(_stored(key, "prorated")), f"{title}, pro-rated", "Y, N")
    yield Column(f"{name}_reason", _stored(key, "reason"), f"{title}, why there is no score")
    if scale.responder_rule:
        yield Column(f"{name}_responder", _responder(key, scale), f"{title}, responder", "Y, N")
    else:
        yield from _change_columns(name, title, key, scale)


def _column_prefix(instrument: Instrument, scale: Scale) -> str:
    """The start of a scale's column names: "promis_pain", and with the scale where it is not the total."""
    prefix = instrument.code.replace("-", "_")
    if scale.code == "total":
        return prefix
    return f"{prefix}_{scale.code}"


def _change_columns(name: str, title: str, key: ScaleKey, scale: Scale) -> Iterator[Column[VisitRecord]]:
    """The columns about the change from baseline, each a field of domain.change.Change."""
    unit = "T points" if scale.has_t else "points"
    yield Column(f"{name}_change", _change_field(key, scale, "difference"), f"{title}, minus baseline", unit)
    yield Column(
        f"{name}_meaningful",
        _yes_or_no(_change_field(key, scale, "meaningful")),
        f"{title}, change is of a size that matters",
        "Y, N",
    )
    if scale.has_t:  # only T-scores have a standard error
        yield Column(
            f"{name}_reliable",
            _yes_or_no(_change_field(key, scale, "reliable")),
            f"{title}, change exceeds measurement error (95 %)",
            "Y, N",
        )
    yield Column(
        f"{name}_verdict",
        _change_field(key, scale, "verdict"),
        f"{title}, verdict of both",
        "improved, worsened, within-error, not-comparable; empty where no size is agreed",
    )
    yield Column(
        f"{name}_obstacle",
        _change_field(key, scale, "obstacle"),
        f"{title}, why the change is not comparable",
        "different-form, different-wording",
    )


def _stored(key: ScaleKey, field: str) -> Getter:
    """Getter of a field of a visit's score on this scale; None without a score row."""

    def get(visit: VisitRecord) -> Any:
        score = visit.scores.get(key)
        if score is None:
            return None
        return getattr(score, field)

    return get


def _change_field(key: ScaleKey, scale: Scale, field: str) -> Getter:
    """Getter of a field of a visit's change on this scale; None without a change."""

    def get(visit: VisitRecord) -> Any:
        changed = _change(visit, key, scale)
        if changed is None:
            return None
        return getattr(changed, field)

    return get


def _yes_or_no(get: Getter) -> Getter:
    """Getter of Y or N for what `get` reads; empty for None."""
    return lambda visit: _yes_no(get(visit))


def _change(visit: VisitRecord, key: ScaleKey, scale: Scale) -> Change | None:
    """The change from the baseline of the same course, None where one of the two scores is missing."""
    if key not in visit.changes:
        visit.changes[key] = _computed_change(visit, key, scale)
    return visit.changes[key]


def _computed_change(visit: VisitRecord, key: ScaleKey, scale: Scale) -> Change | None:
    if visit.protocol.event(visit.event_code).before_treatment:
        return None  # an earlier baseline is no change from a later one
    baseline = _point(visit.baseline, key, scale)
    later = _point(visit, key, scale)
    if baseline is None or later is None:
        return None
    judged = visit.protocol.with_study_rule(key[0], scale)
    return change(judged, baseline, later)


def _responder(key: ScaleKey, scale: Scale) -> Getter:
    """Getter of whether a visit's score makes the subject a responder: Y or N, empty without a score."""

    def get(visit: VisitRecord) -> str:
        later = _point(visit, key, scale)
        if later is None:
            return ""
        return _yes_no(is_responder(scale, None, later))

    return get


def _point(visit: VisitRecord | None, key: ScaleKey, scale: Scale) -> ScorePoint | None:
    if visit is None:
        return None
    score = visit.scores.get(key)
    return score.point(scale) if score else None
