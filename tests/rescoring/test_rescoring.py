"""Re-scoring adds scores of a new scoring version to stored answers and overwrites none, also after a crash."""

import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from pro_tracker import clock as service_clock, db
from pro_tracker.domain import scoring
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import UnknownInstrument
from pro_tracker.domain.response_codes import ResponseStatus
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.rescoring import Rescoring
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.record import trends
from pro_tracker.services.rescoring import jobs, portions
from pro_tracker.services.rescoring.report import RescoringReport
from pro_tracker.services.results import aggregates, export_rows
from tests.support import adaptive_instrument
from tests.support.course_builder import visits_of
from tests.support.history_builder import FATIGUE, NRS, PCS, PI, answer_visit, course_of, treated, visit_of
from tests.support.rescoring_fixtures import (
    FIRST_ON,
    LATER,
    NOW,
    STAFF,
    Release,
    all_scores,
    answered,
    changes,
    new_scoring,
    raise_t,
    run,
)


def test_a_new_scoring_version_adds_scores_and_leaves_the_earlier_ones_as_they_were(
    session: Session, release: Release
) -> None:
    answered(session)
    before = all_scores(session)
    release(PI, raise_t(1.5), version="1.1", scoring_version="1.1")
    run(session)
    added = [row for row in all_scores(session) if row not in before]
    assert [row for row in all_scores(session) if row in before] == before
    rows = session.scalars(select(Score).where(Score.scoring_version == "1.1").order_by(Score.id)).all()
    assert len(added) == len(rows) == 3
    assert [(row.raw_score, row.t_score, row.standard_error) for row in rows] == [
        (8, 42.2, 5.9),
        (16, 57.3, 1.4),
        (24, 63.0, 1.3),
    ]
    assert {(row.instrument_version, row.n_answered, row.n_items, row.scored_at) for row in rows} == {
        ("1.1", 8, 8, LATER)
    }


def test_the_report_gives_the_size_of_each_change(session: Session, release: Release) -> None:
    answered(session, 4)  # raw 8, 16, 24, 32
    release(PI, raise_t(1.5, above=10), version="1.1", scoring_version="1.1")
    job = run(session)
    found = changes(job, PI)
    assert (found.responses, found.unchanged, found.changed) == (4, 1, 3)
    assert found.mean_difference == pytest.approx(1.5)
    assert found.largest_difference == pytest.approx(1.5)
    assert (found.newly_scored, found.no_longer_scored) == (0, 0)
    assert [each.key for each in RescoringReport.from_json(job.report).scales.values()] == [(PI, "total", "1.1")]
    assert (job.n_done, job.n_responses) == (len(session.scalars(select(QuestionnaireResponse)).all()),) * 2


def test_the_report_counts_scores_gained_and_lost(session: Session, release: Release) -> None:
    subject = treated(session, FIRST_ON, NOW + timedelta(days=8))
    without_the_first = [None, *[2] * 12]
    answer_visit(session, visit_of(session, subject, "baseline"), NOW, {PCS: without_the_first})
    session.commit()

    def move_the_first(file: dict[str, Any]) -> None:
        scales = {scale["code"]: scale["items"] for scale in file["scales"]}
        scales["total"].remove("PCS1")
        scales["magnification"].append("PCS1")

    release(PCS, move_the_first, version="1.1", scoring_version="1.1")
    job = run(session, PCS)
    assert (changes(job, PCS).newly_scored, changes(job, PCS).no_longer_scored) == (1, 0)
    lost = changes(job, PCS, "magnification")
    assert (lost.newly_scored, lost.no_longer_scored, lost.mean_difference) == (0, 1, None)
    kept = changes(job, PCS, "rumination")
    assert (kept.unchanged, kept.changed, kept.newly_scored, kept.no_longer_scored) == (1, 0, 0, 0)
    now_without = select(Score.status, Score.raw_score, Score.reason).where(
        Score.scale_code == "magnification", Score.scoring_version == "1.1"
    )
    assert session.execute(now_without).one() == ("not-scored", None, "3 of 4 items answered, all 4 are needed")


def test_a_second_run_changes_nothing(session: Session, release: Release) -> None:
    answered(session)
    release(PI, raise_t(1.5), version="1.1", scoring_version="1.1")
    run(session)
    before = all_scores(session)
    again = run(session, now=LATER + timedelta(days=1))
    assert all_scores(session) == before
    assert RescoringReport.from_json(again.report).scales == {}


def test_without_a_new_scoring_version_there_is_nothing_to_do(session: Session) -> None:
    answered(session)
    before = all_scores(session)
    job = run(session)
    assert (all_scores(session), RescoringReport.from_json(job.report)) == (before, RescoringReport())


@pytest.mark.parametrize("n_portions", [0, 1, 3])
def test_a_run_resumes_where_a_killed_one_stopped(session: Session, release: Release, n_portions: int) -> None:
    answered(session, 4)
    release(PI, raise_t(1.5), version="1.1", scoring_version="1.1")
    with db.Session() as killed:
        job_id = jobs.begin(killed, None, actor=STAFF, now=LATER).id
        killed.commit()
        for _ in range(n_portions):
            jobs.step(killed, job_id, actor=STAFF, now=LATER, size=5)
            killed.commit()
        jobs.step(killed, job_id, actor=STAFF, now=LATER, size=5)
        killed.rollback()  # killed in the middle of a portion
    resumed = run(session, now=LATER + timedelta(hours=1))
    assert resumed.id == job_id
    assert (changes(resumed, PI).responses, resumed.n_done) == (4, resumed.n_responses)
    rescored = session.scalars(select(Score.response_id).where(Score.scoring_version == "1.1"))
    assert len(set(rescored)) == 4


# The steps of the command, in portions of one response.
RUN = """
import sys
from pro_tracker import clock, db
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.services.rescoring import jobs
from pro_tracker.services.audit import Actor
db.connect(sys.argv[1])
with db.Session() as session:
    job = jobs.begin(session, None, actor=Actor(ActorKind.COMMAND, "test"), now=clock.now())
    session.commit()
    while job.finished_at is None:
        jobs.step(session, job.id, actor=Actor(ActorKind.COMMAND, "test"), now=clock.now(), size=1)
        session.commit()
        print(job.n_done, flush=True)
"""


def test_a_killed_process_loses_and_skips_no_score(session: Session, database: str) -> None:
    answered(session, 4)
    before = [row[:-1] for row in all_scores(session)]
    session.execute(delete(Score))
    session.commit()
    with subprocess.Popen([sys.executable, "-c", RUN, database], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert [int(process.stdout.readline()) for _ in range(3)] == [1, 2, 3]
        process.kill()
    done = session.scalars(select(Rescoring)).one().n_done
    assert done >= 3
    session.commit()
    resumed = run(session, now=service_clock.now())
    assert [row[:-1] for row in all_scores(session)] == before
    assert (resumed.n_done, RescoringReport.from_json(resumed.report).n_scores) == (resumed.n_responses, len(before))


def test_two_jobs_at_once_add_each_score_once_and_count_it_once(session: Session, release: Release) -> None:
    answered(session, 4)
    release(PI, raise_t(1.5), version="1.1", scoring_version="1.1")
    job_ids = [jobs.begin(session, code, actor=STAFF, now=LATER).id for code in (None, PI)]
    session.commit()
    for _ in range(20):
        for job_id in job_ids:
            with db.Session() as worker:
                jobs.step(worker, job_id, actor=STAFF, now=LATER, size=2)
                worker.commit()
    finished = session.scalars(select(Rescoring).order_by(Rescoring.id)).all()
    assert all(job.finished_at for job in finished)
    assert sum(RescoringReport.from_json(job.report).n_scores for job in finished) == 4
    assert len(session.scalars(select(Score).where(Score.scoring_version == "1.1")).all()) == 4


@pytest.mark.dialects("postgresql")
def test_a_worker_skips_a_portion_that_another_worker_has_locked(session: Session) -> None:
    answered(session)
    job = jobs.begin(session, None, actor=STAFF, now=LATER)
    session.commit()
    with db.Session() as other:
        assert jobs.step(session, job.id, actor=STAFF, now=LATER)
        assert jobs.step(other, job.id, actor=STAFF, now=LATER) is None


def test_answers_to_other_items_stay_with_the_newest_version_that_asked_the_same(
    session: Session, release: Release
) -> None:
    answered(session)

    def ask_more(file: dict[str, Any]) -> None:
        file["items"].append(file["items"][0] | {"link_id": "ONE-MORE"})

    release(PI, raise_t(1.5), version="1.1", scoring_version="1.1")
    release(PI, ask_more, version="2.0", scoring_version="2.0")
    job = run(session, PI)
    reason = "version 2.0 asks other items or answer codes; scored with version 1.1"
    assert RescoringReport.from_json(job.report).skipped == {(PI, "1.0", reason): 3}
    assert changes(job, PI).scoring_version == "1.1"


def test_answers_to_other_options_are_left_out_and_counted(session: Session, release: Release) -> None:
    answered(session)
    before = all_scores(session)

    def ask_otherwise(file: dict[str, Any]) -> None:
        file["response_sets"]["pain-0-10"]["range"] = [0, 100]

    release(NRS, ask_otherwise, version="2.0", scoring_version="2.0")
    job = run(session)
    reason = "version 2.0 asks other items or answer codes; scored with version 1.0"
    assert RescoringReport.from_json(job.report).skipped == {(NRS, "1.0", reason): 3}
    assert all_scores(session) == before


def test_answers_whose_version_has_no_file_are_left_out_and_counted(session: Session, release: Release) -> None:
    answered(session)
    session.execute(
        update(QuestionnaireResponse)
        .where(QuestionnaireResponse.instrument_code == PI)
        .values(instrument_version="0.9")
    )
    session.commit()
    release(PI, raise_t(1.5), version="1.1", scoring_version="1.1")
    job = run(session)
    assert RescoringReport.from_json(job.report).skipped == {(PI, "0.9", "there is no file of version 0.9"): 3}
    assert RescoringReport.from_json(job.report).scales == {}


@pytest.mark.parametrize("answer", [9, "3", True, 3.5])
def test_a_stored_answer_that_is_no_option_code_does_not_stop_other_scores(
    session: Session, release: Release, answer: Any
) -> None:
    answered(session)
    response = session.scalars(select(QuestionnaireResponse).where(QuestionnaireResponse.instrument_code == PI)).first()
    assert response
    # By a statement, since the unit of work sees no change from 1 to True.
    answers = {**response.answers, "PAININ9": answer}
    session.execute(update(QuestionnaireResponse).filter_by(id=response.id).values(answers=answers))
    session.commit()
    release(PI, raise_t(1.5), version="1.1", scoring_version="1.1")
    job = run(session)
    assert RescoringReport.from_json(job.report).skipped == {(PI, "1.0", portions.UNUSABLE): 1}
    rescored = set(session.scalars(select(Score.response_id).where(Score.scoring_version == "1.1")))
    assert len(rescored) == 2
    assert response.id not in rescored


def test_amended_answers_are_scored_and_answers_entered_in_error_are_not(session: Session, release: Release) -> None:
    answered(session)
    amended, withdrawn, _ = session.scalars(
        select(QuestionnaireResponse)
        .where(QuestionnaireResponse.instrument_code == PI)
        .order_by(QuestionnaireResponse.id)
    )
    amended.status, amended.answers = ResponseStatus.AMENDED, dict.fromkeys(amended.answers, 5)
    withdrawn.status = ResponseStatus.ENTERED_IN_ERROR
    session.commit()
    release(PI, raise_t(1.5), version="1.1", scoring_version="1.1")
    run(session)
    found = dict(session.execute(select(Score.response_id, Score.t_score).where(Score.scoring_version == "1.1")).all())
    assert found[amended.id] == 78.5
    assert withdrawn.id not in found


@pytest.mark.parametrize("prorate", [True, False])
def test_pro_rating_follows_the_protocol_of_the_visit(
    session: Session, release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prorate: bool
) -> None:
    subject = treated(session, FIRST_ON, NOW + timedelta(days=8))
    answer_visit(session, visit_of(session, subject, "baseline"), NOW, {PI: [3, 3, 3, 3, 3, 3, 3, None]})
    shutil.copytree(protocol_catalog.PROTOCOLS, tmp_path / "protocols")
    monkeypatch.setattr(protocol_catalog, "PROTOCOLS", tmp_path / "protocols")
    file = yaml.safe_load((tmp_path / "protocols" / "ketamine-5day.yaml").read_text(encoding="utf-8"))
    version = "0.8" if prorate else "0.9"
    file |= {"version": version, "scoring": {"prorate": prorate}}
    (tmp_path / "protocols" / f"ketamine-5day@{version}.yaml").write_text(yaml.safe_dump(file), encoding="utf-8")
    session.execute(update(Visit).values(protocol_version=version))
    session.commit()
    release(PI, new_scoring, version="1.1", scoring_version="1.1")
    job = run(session)
    new = session.scalars(select(Score).where(Score.instrument_code == PI, Score.scoring_version == "1.1")).one()
    assert (new.status, new.raw_score, new.prorated) == (
        ("scored", 24, True) if prorate else ("not-scored", None, False)
    )
    assert changes(job, PI).newly_scored == int(prorate)


def test_every_score_equals_that_of_the_response_scored_alone(session: Session, release: Release) -> None:
    answered(session, 5)
    for code in (PI, PCS, FATIGUE):
        release(code, new_scoring, version="1.1", scoring_version="1.1")
    run(session)
    rows = session.execute(select(QuestionnaireResponse, Score).join(Score).where(Score.scoring_version == "1.1")).all()
    assert len(rows) == 5 * (1 + 4 + 1)
    for row in rows:
        response, stored = row.QuestionnaireResponse, row.Score
        (alone,) = [
            each
            for each in scoring.score(instrument_catalog.instrument(response.instrument_code), response.answers)
            if each.scale == stored.scale_code
        ]
        names = ("raw_score", "t_score", "standard_error", "n_answered", "n_items", "status", "reason", "prorated")
        assert [getattr(stored, name) for name in names] == [getattr(alone, name) for name in names]


def test_trends_exports_and_cohort_figures_take_the_newest_scoring(session: Session, release: Release) -> None:
    (subject,) = answered(session, 1)  # raw 8: T 40.7
    aggregates.rebuild(session, now=LATER)
    session.commit()
    release(PI, raise_t(1.5), version="1.1", scoring_version="1.1")
    run(session)
    course = course_of(session, subject)
    trend = trends.subject_trend(session, subject, [course], list(visits_of(session, course).values()))
    assert trend
    (scale,) = [each for each in trend.scales if each.instrument.code == PI]
    assert scale.current.points[0].value == 42.2
    first = next(export_rows.records(session, now=LATER))
    assert (first.scores[PI, "total"].t_score, first.scores[PI, "total"].scoring_version) == (42.2, "1.1")
    figures = select(Aggregate.mean).where(Aggregate.instrument_code == PI, Aggregate.event_code == "baseline")
    assert set(session.scalars(figures)) == {42.2}


def test_the_audit_trail_records_who_began_and_who_finished(session: Session, release: Release) -> None:
    answered(session)
    release(PI, raise_t(1.5), version="1.1", scoring_version="1.1")
    job = jobs.begin(session, PI, actor=Actor(ActorKind.ACCOUNT, "7"), now=LATER)
    while job.finished_at is None:
        jobs.step(session, job.id, actor=STAFF, now=LATER)
    session.commit()
    events = session.execute(
        select(AuditEvent.action, AuditEvent.actor_id, AuditEvent.detail)
        .where(AuditEvent.action.startswith("rescoring."))
        .order_by(AuditEvent.id)
    ).all()
    assert events == [
        ("rescoring.start", "7", f'{{"instrument":"{PI}","rescoring":{job.id},"responses":3}}'),
        ("rescoring.finish", "test", f'{{"rescoring":{job.id},"responses":3,"scores":3}}'),
    ]
    assert audit.first_invalid_event(session) is None


def test_a_worker_claims_queued_and_abandoned_jobs(session: Session) -> None:
    answered(session)
    queued = jobs.begin(session, None, actor=STAFF, now=LATER, queue=True)
    mine = jobs.begin(session, PI, actor=STAFF, now=LATER)
    session.commit()
    assert jobs.claim_abandoned(session, now=LATER) == [queued.id]
    assert jobs.claim_abandoned(session, now=LATER) == []
    assert set(jobs.claim_abandoned(session, now=LATER + jobs.LEASE)) == {queued.id, mine.id}
    run(session)
    run(session, PI)
    assert jobs.claim_abandoned(session, now=LATER + timedelta(days=1)) == []


def test_an_unknown_instrument_is_named(session: Session) -> None:
    with pytest.raises(UnknownInstrument, match="nope"):
        jobs.begin(session, "nope", actor=STAFF, now=LATER)


def test_an_adaptive_test_is_rescored(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answered(session, 1)
    response = session.scalars(select(QuestionnaireResponse)).first()
    assert response
    response.instrument_code, response.instrument_version = adaptive_instrument.CODE, "1.0"
    response.answers = dict.fromkeys(adaptive_instrument.LINK_IDS[:4], 2) | {"TIRED5": None}
    session.execute(delete(Score))
    session.commit()
    folder = shutil.copytree(
        instrument_catalog.INSTRUMENTS, tmp_path / "instruments", ignore=shutil.ignore_patterns("text_packs")
    )
    adaptive_instrument.write(folder)
    monkeypatch.setattr(instrument_catalog, "INSTRUMENTS", folder)
    job = run(session, adaptive_instrument.CODE)
    stored = session.scalars(select(Score)).one()
    (alone,) = scoring.score(
        instrument_catalog.instrument(adaptive_instrument.CODE), dict.fromkeys(adaptive_instrument.LINK_IDS[:4], 2)
    )
    assert (stored.raw_score, stored.t_score, stored.standard_error) == (None, alone.t_score, alone.standard_error)
    assert changes(job, adaptive_instrument.CODE).newly_scored == 1
