"""Cohort exports: their content, what they must never hold, and no partial file after a failure."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker import db
from pro_tracker.cli import group
from pro_tracker.domain.instrument import ChangeCriterion, ChangeRule
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.calling import call_attempts, unanswered
from pro_tracker.services.calling.call_attempts import CallAttemptFacts
from pro_tracker.services.csv_columns import escape_formula
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.results import exports
from pro_tracker.services.results.exports import Extent, Kind
from pro_tracker.services.treatment import courses
from pro_tracker.services.treatment.courses import AdverseEventFacts
from pro_tracker.services.wording.text_packs import WordingSnapshot
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR, add_subject, infusion
from tests.support.history_builder import (
    FATIGUE,
    NRS,
    PCS,
    PGIC,
    PI,
    ROLES,
    answer_before_and_after,
    course_of,
    treated,
    visit_of,
)
from tests.support.staff_browser import add_site

FIRST_ON = date(2026, 1, 12)
BASELINE_AT = datetime(2026, 1, 10, 15, 0, tzinfo=UTC)
TREATED_AT = datetime(2026, 1, 16, 23, 0, tzinfo=UTC)
LAST_AT = datetime(2026, 1, 17, 15, 0, tzinfo=UTC)
NOW = datetime(2026, 1, 25, tzinfo=UTC)  # baseline and last infusion have closed, 3 months has not opened
Rows = list[dict[str, str]]


@pytest.fixture(autouse=True)
def _site(session: Session, clock: Clock) -> None:
    clock.set(NOW)
    add_site(session, "north")
    session.commit()


def cohort(session: Session) -> tuple[Subject, Subject]:
    """Adds a subject who answered both due visits and one who answered none."""
    both = answering(session), treated_subject(session, record_number="MRN-silent")
    record_missed(session)
    return both


def record_missed(session: Session) -> None:
    """Stores missed reasons, as the worker does every few minutes and each export does first."""
    unanswered.record_missed(session, now=NOW)
    session.commit()


def answering(session: Session) -> Subject:
    subject = planned_subject(session, record_number="MRN-answering", given_name="Zoë", family_name="Geheim")
    answer_before_and_after(
        session, subject, before=BASELINE_AT, treat=lambda: give_all(session, subject), after=LAST_AT
    )
    return subject


def planned_subject(session: Session, **facts: Any) -> Subject:
    enrolled_on = FIRST_ON - timedelta(days=7)
    known = {"enrolled_on": enrolled_on, "consent_on": enrolled_on, "planned_start_on": FIRST_ON, **facts}
    return add_subject(session, datetime(2026, 1, 5, 12, 0, tzinfo=UTC), **known)


def give_all(session: Session, subject: Subject) -> None:
    event = AdverseEventFacts("nausea", 2, emergency_response=True)
    for day in range(5):
        facts = infusion(FIRST_ON + timedelta(days=day), adverse_events=(event,) if day == 1 else ())
        courses.record_infusion(session, COORDINATOR, course_of(session, subject), facts, now=TREATED_AT)


def treated_subject(session: Session, **facts: Any) -> Subject:
    subject = treated(session, FIRST_ON, TREATED_AT, **facts)
    session.commit()
    return subject


def exported(kind: Kind, *, now: datetime = NOW, site_ids: list[int] | None = None) -> Rows:
    out = io.StringIO(newline="")
    with db.Session() as fresh:
        exports.write(fresh, kind, out, Extent(now, site_ids))
    return list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))


def only(rows: Rows, **values: str) -> dict[str, str]:
    (found,) = chosen(rows, **values)
    return found


def chosen(rows: Rows, **values: str) -> Rows:
    return [row for row in rows if all(row[column] == value for column, value in values.items())]


def test_every_answer_is_a_row_with_the_code_that_was_stored(session: Session) -> None:
    subject, _ = cohort(session)
    rows = exported("long")
    stored = session.scalars(select(QuestionnaireResponse).where(QuestionnaireResponse.subject_id == subject.id))
    numbers = {row.id: row.visit_number for row in session.execute(select(Visit.id, Visit.visit_number))}
    for response in stored:
        for link_id, value in response.answers.items():
            place = {"VISITNUM": str(numbers[response.visit_id]), "QSCAT": response.instrument_code}
            row = only(rows, USUBJID=subject.study_code, QSTESTCD=link_id, **place)
            assert row["QSORRES"] == row["QSSTRESN"] == ("" if value is None else str(value))
            assert row["QSSTAT"] == ("NOT DONE" if value is None else "")
            assert row["QSREASND"] == ("declined" if value is None else "")
    assert len(chosen(rows, QSSCAT="item")) == 34 + 35


def test_each_score_is_a_row_with_error_and_version(session: Session) -> None:
    subject, _ = cohort(session)
    rows = exported("long")
    place = {"USUBJID": subject.study_code, "VISITNUM": "1", "QSCAT": PI}
    raw, t_score = only(rows, QSTESTCD="TOTAL_RAW", **place), only(rows, QSTESTCD="TOTAL_T", **place)
    stored = session.scalars(
        select(Score)
        .join(QuestionnaireResponse)
        .join(Visit)
        .where(Score.instrument_code == PI, Visit.visit_number == 1)
    ).one()
    assert float(raw["QSSTRESN"]) == 32
    assert raw["QSSE"] == ""
    assert (float(t_score["QSSTRESN"]), float(t_score["QSSE"])) == (stored.t_score, stored.standard_error)
    assert (t_score["QSDRVFL"], t_score["SCOREVER"], t_score["NANSWERED"], t_score["NITEMS"]) == ("Y", "1.0", "8", "8")
    assert (t_score["QSEVLINT"], t_score["MODE"], t_score["TEXTVALID"]) == ("P7D", "self-web", "N")
    assert chosen(rows, QSCAT=PCS, VISITNUM="1", QSTESTCD="RUMINATION_RAW")[0]["QSSTRESN"] == "12.0"


def test_a_scale_with_missing_items_has_a_reason_and_no_score(session: Session) -> None:
    subject, _ = cohort(session)
    row = only(exported("long"), USUBJID=subject.study_code, VISITNUM="2", QSCAT=FATIGUE, QSTESTCD="TOTAL_T")
    assert (row["QSSTRESN"], row["QSSTAT"], row["NANSWERED"]) == ("", "NOT DONE", "7")
    assert row["QSREASND"] == "7 of 8 items answered, all 8 are needed"


def test_the_first_infusion_is_day_one_and_the_day_before_it_minus_one(session: Session) -> None:
    subject, _ = cohort(session)
    rows = exported("wide")
    before, after = chosen(rows, USUBJID=subject.study_code)
    assert (before["VISITNUM"], before["QSDY"], before["VISITDY"]) == ("1", "-2", "-1")
    assert (after["VISITNUM"], after["QSDY"], after["VISITDY"]) == ("2", "6", "6")


def test_an_unanswered_visit_is_one_not_done_row_an_instrument(session: Session) -> None:
    _, silent = cohort(session)
    rows = chosen(exported("long"), USUBJID=silent.study_code)
    assert {row["QSTESTCD"] for row in rows} == {"QSALL"}
    assert [row["QSCAT"] for row in rows if row["VISITNUM"] == "2"] == [PI, FATIGUE, PCS, ROLES, NRS, PGIC]
    assert {(row["QSSTAT"], row["QSREASND"], row["QSDY"]) for row in rows} == {("NOT DONE", "no-reply", "")}


def test_the_outcome_of_a_call_is_the_missed_reason(session: Session) -> None:
    silent = treated_subject(session)
    visit = visit_of(session, silent, "last-infusion")
    call = Call(subject_id=silent.id, visit_id=visit.id, reason="all-reminders-sent", opened_at=LAST_AT)
    session.add(call)
    session.flush()
    call_attempts.record(session, COORDINATOR, call.id, CallAttemptFacts("too-ill"), now=LAST_AT)
    record_missed(session)
    row = only(exported("wide"), USUBJID=silent.study_code, VISITNUM="2")
    assert (row["QSSTAT"], row["QSREASND"]) == ("NOT DONE", "too-ill")


def test_withdrawal_is_the_reason_of_visits_it_ended(session: Session) -> None:
    _, silent = cohort(session)
    later = datetime(2026, 4, 10, tzinfo=UTC)
    enrolment.withdraw(session, COORDINATOR, silent, WithdrawalFacts("personal"), now=later)
    session.commit()
    rows = chosen(exported("wide", now=later), USUBJID=silent.study_code)
    assert [(row["VISIT"], row["QSREASND"]) for row in rows] == [
        ("Baseline", "no-reply"),
        ("Last infusion", "no-reply"),
        ("3 months", "withdrawn"),
        ("6 months", "withdrawn"),
    ]


def test_open_and_future_visits_are_in_no_file(session: Session) -> None:
    cohort(session)
    while_open = datetime(2026, 1, 18, 12, 0, tzinfo=UTC)
    _, silent = session.scalars(select(Subject).order_by(Subject.study_code)).all()
    assert [row["VISITNUM"] for row in chosen(exported("wide", now=while_open), USUBJID=silent.study_code)] == ["1"]
    assert {row["VISITNUM"] for row in exported("long")} == {"1", "2"}


def test_answers_entered_in_error_are_left_out(session: Session) -> None:
    subject, _ = cohort(session)
    session.execute(
        update(QuestionnaireResponse)
        .where(QuestionnaireResponse.instrument_code == PI)
        .values(status="entered-in-error")
    )
    session.commit()
    rows = chosen(exported("long"), USUBJID=subject.study_code, QSCAT=PI)
    assert {row["QSTESTCD"] for row in rows} == {"QSALL"}
    wide = exported("wide")
    assert {row["promis_pain_interference_8a_raw"] for row in wide} == {""}


def test_wide_holds_scores_change_and_treatment_of_each_visit(session: Session) -> None:
    subject, _ = cohort(session)
    row = only(exported("wide"), USUBJID=subject.study_code, VISITNUM="2")
    name = "promis_pain_interference_8a"
    mine = select(Visit.visit_number, Score).select_from(Visit).join(QuestionnaireResponse).join(Score)
    scored = session.execute(mine.where(Score.instrument_code == PI, Visit.subject_id == subject.id))
    stored = {scored_row.visit_number: scored_row.Score for scored_row in scored}
    assert float(row[f"{name}_raw"]) == 16
    assert float(row[f"{name}_t"]) == stored[2].t_score
    assert float(row[f"{name}_se"]) == stored[2].standard_error
    assert Decimal(row[f"{name}_change"]) == Decimal(str(stored[2].t_score)) - Decimal(str(stored[1].t_score))
    verdict = (row[f"{name}_meaningful"], row[f"{name}_reliable"], row[f"{name}_verdict"])
    assert verdict == ("Y", "Y", "improved")
    assert row["pgic_responder"] == "Y"
    assert row["promis_fatigue_8a_change"] == ""
    given = {name: row[name] for name in ("INFUSIONS", "STOPPED", "AECOUNT", "AEWORST", "AEEMERG")}
    assert given == {"INFUSIONS": "5", "STOPPED": "0", "AECOUNT": "1", "AEWORST": "2", "AEEMERG": "1"}
    assert Decimal(row["CUMDOSE"]) == Decimal("2.5")


def test_a_change_across_text_packs_is_not_comparable_and_has_a_reason(session: Session) -> None:
    subject, _ = cohort(session)
    mine = QuestionnaireResponse.visit_id == visit_of(session, subject, "last-infusion").id
    session.execute(update(QuestionnaireResponse).where(mine).values(language="es"))
    session.commit()
    row = only(exported("wide"), USUBJID=subject.study_code, VISITNUM="2")
    name = "promis_pain_interference_8a"
    assert (row[f"{name}_verdict"], row[f"{name}_obstacle"]) == ("not-comparable", "different-wording")
    assert (row[f"{name}_change"], row[f"{name}_meaningful"], row[f"{name}_reliable"]) == ("", "", "")
    assert row["pgic_responder"] == "Y"
    score = only(exported("long"), USUBJID=subject.study_code, VISITNUM="2", QSCAT=PI, QSTESTCD="TOTAL_T")
    assert (score["TEXTLANG"], score["TEXTVER"], score["TEXTVALID"]) == ("es", "1.1", "N")


def test_a_scale_without_a_score_has_a_reason_in_both_files(session: Session) -> None:
    subject, _ = cohort(session)
    why = "7 of 8 items answered, all 8 are needed"
    row = only(exported("wide"), USUBJID=subject.study_code, VISITNUM="2")
    assert (row["promis_fatigue_8a_t"], row["promis_fatigue_8a_reason"]) == ("", why)
    score = only(exported("long"), USUBJID=subject.study_code, VISITNUM="2", QSCAT=FATIGUE, QSTESTCD="TOTAL_T")
    assert (score["QSSTAT"], score["QSREASND"]) == ("NOT DONE", why)


def test_a_baseline_row_has_no_change(session: Session) -> None:
    subject, _ = cohort(session)
    row = only(exported("wide"), USUBJID=subject.study_code, VISITNUM="1")
    assert not [name for name, cell in row.items() if cell and name.endswith(("_change", "_verdict", "_meaningful"))]


def test_long_and_wide_files_hold_the_same_scores(session: Session) -> None:
    cohort(session)
    wide = {(row["USUBJID"], row["VISITNUM"]): row for row in exported("wide")}
    scores = chosen(exported("long"), QSSCAT="score")
    assert scores
    for row in scores:
        scale, _, kind = row["QSTESTCD"].lower().rpartition("_")
        name = row["QSCAT"].replace("-", "_") + ("" if scale == "total" else f"_{scale}")
        assert wide[row["USUBJID"], row["VISITNUM"]][f"{name}_{kind}"] == row["QSSTRESN"]


def test_no_identity_date_or_zone_is_in_any_file(session: Session) -> None:
    cohort(session)
    secrets = ["Geheim", "Zoë", "MRN-", "patients.example", "2165550123", "1975", "2026-", "New_York", "America"]
    for kind in ("long", "wide"):
        cells = {cell for row in exported(kind) for cell in row.values()}
        assert not [cell for cell in cells for secret in secrets if secret in cell]


def test_ages_over_ninety_are_exported_as_ninety(session: Session) -> None:
    subject, _ = cohort(session)
    subject.age_years = 97
    session.commit()
    assert {row["AGE"] for row in chosen(exported("wide"), USUBJID=subject.study_code)} == {"90"}


def test_an_export_can_be_limited_to_sites(session: Session) -> None:
    cohort(session)
    south = add_site(session, "south")
    treated_subject(session, record_number="MRN-south", site_code="south")
    record_missed(session)
    assert {row["SITEID"] for row in exported("wide")} == {"north", "south"}
    assert {row["SITEID"] for row in exported("wide", site_ids=[south.id])} == {"south"}
    assert exported("long", site_ids=[]) == []


def test_only_the_newest_scoring_is_exported(session: Session) -> None:
    subject, _ = cohort(session)
    old = session.scalars(select(Score).where(Score.instrument_code == NRS, Score.raw_score == 8)).one()
    kept = ("response_id", "instrument_code", "instrument_version", "scale_code", "status")
    values = {name: getattr(old, name) for name in (*kept, "n_answered", "n_items", "prorated")}
    session.add(Score(**values, scoring_version="2.0", raw_score=7.5, scored_at=NOW))
    session.commit()
    row = only(exported("long"), USUBJID=subject.study_code, QSCAT=NRS, QSTESTCD="TOTAL_RAW", VISITNUM="1")
    assert (row["QSSTRESN"], row["SCOREVER"]) == ("7.5", "2.0")


def test_the_codebook_describes_every_column_and_every_test(session: Session) -> None:
    cohort(session)
    book = exported("codebook")
    for kind in ("long", "wide", "codebook"):
        rows = exported(kind)
        described = {row["COLUMN"] for row in book if row["FILE"] == kind and not row["QSTESTCD"]}
        assert described == set(rows[0])
        assert all(row["LABEL"] for row in book)
    tests = {(row["QSCAT"], row["QSTESTCD"]) for row in exported("long")}
    assert (NRS, "QSALL") in tests
    assert tests - {(row["QSCAT"], row["QSTESTCD"]) for row in book} == set()


def test_the_codebook_says_what_a_row_of_a_whole_instrument_means(session: Session) -> None:
    cohort(session)
    row = only(exported("codebook"), QSCAT=NRS, QSTESTCD="QSALL")
    assert row["LABEL"].endswith(": the whole instrument was not answered")
    assert "QSREASND holds the reason" in row["RULES"]


def test_the_codebook_says_what_was_verified_and_that_wording_is_not_validated(session: Session) -> None:
    book = exported("codebook")
    score = only(book, QSCAT=FATIGUE, QSTESTCD="TOTAL_T")
    assert "recomput" in score["VERIFICATION"]
    assert score["TEXTVALID"] == "N"
    assert "Change that matters: 5 points; of a group mean: 3 points (" in score["RULES"]
    assert "Bands: none up to 55, mild from 55 up to 60, moderate from 60 up to 70, severe from 70 (" in score["RULES"]
    assert "detectable: 7.7 to 10.5 points" in only(book, QSCAT=PCS, QSTESTCD="TOTAL_RAW")["RULES"]
    item = only(book, QSCAT=PI, QSTESTCD="PAININ9")
    assert item["VALUES"].startswith("1 = ")


def test_a_label_with_a_semicolon_stands_in_quotes_in_the_codebook(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = instrument_catalog.text_pack(NRS, "en")
    (code,) = pack.options
    labels = {0: 'None; "nothing"', 10: "Worst"}
    changed = replace(pack, options={code: labels})
    monkeypatch.setattr(WordingSnapshot, "pack", lambda _self, _code, _language: changed)
    item = only(exported("codebook"), QSCAT=NRS, QSTESTCD=instrument_catalog.instrument(NRS).items[0].link_id)
    assert item["VALUES"] == '0 to 10 (0 = "None; ""nothing"""; 10 = Worst)'


def test_the_codebook_names_a_protocols_own_size_of_change(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = ChangeRule((ChangeCriterion(points=3),), "Analysis plan")
    changed = replace(protocol_catalog.protocol("ketamine-5day"), change_rules={f"{FATIGUE}.total": rule})
    monkeypatch.setattr(protocol_catalog, "protocols", lambda: (changed,))
    rules = only(exported("codebook"), QSCAT=FATIGUE, QSTESTCD="TOTAL_T")["RULES"]
    assert rules.endswith("In ketamine-5day version 1 instead: Change that matters: 3 points (Analysis plan)")


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@SUM(A1)", "\t=1", "\r=1", "\0=1", "＝1", "＋1", "－1", "＠x"])
def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert escape_formula(text) == f"'{text}"


@pytest.mark.parametrize(
    "cell", [-5, -0.5, None, "", "-5", "+12165550123", "-0.5", "P7D", "north-0001", Decimal("-1.5")]
)
def test_numbers_and_plain_text_are_left_alone(cell: Any) -> None:
    assert escape_formula(cell) == cell


def test_a_formula_in_the_database_is_harmless_in_the_file(session: Session) -> None:
    _, silent = cohort(session)
    session.execute(update(Subject).where(Subject.id == silent.id).values(study_code="=HYPERLINK(1)"))
    session.commit()
    assert "'=HYPERLINK(1)" in {row["USUBJID"] for row in exported("wide")}
    assert "'=HYPERLINK(1)" in {row["USUBJID"] for row in exported("long")}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["export", *map(str, arguments)])


def test_the_command_writes_a_file_and_an_audit_row(session: Session, settings: Settings, tmp_path: Path) -> None:
    cohort(session)
    result = run("long", "--out", tmp_path / "long.csv")
    assert (result.exit_code, result.output) == (0, f"Wrote {len(exported('long'))} rows to {tmp_path / 'long.csv'}.\n")
    with (tmp_path / "long.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == exported("long")
    assert [path.name for path in tmp_path.iterdir() if "long" in path.name] == ["long.csv"]
    details = session.scalars(select(AuditEvent.detail).where(AuditEvent.action == "cohort.export")).all()
    assert details == ['{"kind":"long","sites":null}']


def test_a_dash_writes_to_standard_output(session: Session, settings: Settings) -> None:
    cohort(session)
    result = run("wide", "--out", "-")
    assert list(csv.DictReader(io.StringIO(result.stdout_bytes.decode(), newline=""))) == exported("wide")


def test_a_failing_export_leaves_the_file_as_it_was(
    session: Session, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort(session)
    earlier = tmp_path / "long.csv"
    earlier.write_text("what was there")

    def breaks(*_arguments: Any, **_options: Any) -> Iterator[Any]:
        yield from ()
        raise RuntimeError("the database went away")

    monkeypatch.setattr("pro_tracker.services.results.export_rows.records", breaks)
    assert isinstance(run("long", "--out", earlier).exception, RuntimeError)
    assert earlier.read_text() == "what was there"
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".long")] == []


@pytest.mark.dialects("sqlite")
def test_a_path_that_cannot_be_written_is_reported(settings: Settings, tmp_path: Path) -> None:
    result = run("long", "--out", tmp_path / "nowhere" / "long.csv")
    assert "cannot be written" in str(result.exception)
