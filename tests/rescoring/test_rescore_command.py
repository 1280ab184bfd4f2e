"""The rescore command, its dry run, and the worker that runs queued jobs."""

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker import clock as service_clock, db
from pro_tracker.cli.rescore import rescore as command
from pro_tracker.models.rescoring import Rescoring
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.services.rescoring import jobs
from pro_tracker.services.results import aggregates
from tests.faults.installation import smtp_installation
from tests.servers.process import wait_until
from tests.servers.redis import RedisServer
from tests.support.history_builder import PI
from tests.support.rescoring_fixtures import LATER, STAFF, Release, all_scores, answered, raise_t
from worker.celery_app import HOUSEKEEPING


@pytest.fixture
def rescore(settings: Settings, session: Session) -> Callable[..., str]:
    """`rescore("--dry-run")` runs the command and returns what it prints."""

    def invoke(*arguments: str) -> str:
        session.commit()
        result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
        session.expire_all()
        assert result.exit_code == 0
        return result.output

    return invoke


def test_the_command_adds_the_scores_and_prints_what_changed(
    session: Session, release: Release, rescore: Callable[..., str]
) -> None:
    answered(session)
    release(PI, raise_t(1.5, above=10), version="1.1", scoring_version="1.1")
    printed = rescore().splitlines()
    total = session.scalar(select(func.count()).select_from(QuestionnaireResponse))
    assert printed[0].endswith(f"of all instruments is finished: {total} of {total} responses looked at.")
    assert printed[1].split() == [
        "scale",
        "scoring",
        "responses",
        "unchanged",
        "changed",
        "mean",
        "largest",
        "new",
        "lost",
    ]
    assert printed[2].split() == [PI, "total", "1.1", "3", "1", "2", "+1.50", "1.50", "0", "0"]
    assert len(session.scalars(select(Score).where(Score.scoring_version == "1.1")).all()) == 3
    assert rescore("--status").splitlines() == printed
    assert rescore().splitlines()[1:] == ["Every response has the scores of its instrument's newest scoring version."]


def test_a_dry_run_prints_the_same_and_stores_nothing(
    session: Session, release: Release, rescore: Callable[..., str]
) -> None:
    answered(session)
    release(PI, raise_t(1.5, above=10), version="1.1", scoring_version="1.1")
    before = all_scores(session)
    reported = rescore("--dry-run", "--instrument", PI).splitlines()
    assert reported[-1] == "Nothing was stored."
    assert all_scores(session) == before
    assert session.scalars(select(Rescoring)).all() == []
    assert rescore("--instrument", PI).splitlines()[1:] == reported[:-1]


def test_a_queued_re_scoring_waits_for_a_worker(session: Session, rescore: Callable[..., str]) -> None:
    assert rescore("--status") == "Nothing was re-scored yet.\n"
    answered(session)
    assert "is queued" in rescore("--queue")
    assert "is under way: 0 of " in rescore("--status")
    assert len(jobs.claim_abandoned(session, now=service_clock.now())) == 1


@pytest.mark.slow
@pytest.mark.dialects("postgresql")
def test_a_worker_carries_out_a_queued_re_scoring(session: Session, database: str, broker: RedisServer) -> None:
    answered(session)
    aggregates.rebuild(session, now=LATER)
    before = [row[:-1] for row in all_scores(session)]
    session.execute(delete(Score))
    jobs.begin(session, None, actor=STAFF, now=LATER, queue=True)
    session.commit()
    with smtp_installation(database, broker.url) as running:
        running.queue.send_task("scores.resume", queue=HOUSEKEEPING)
        running.start_worker()
        finished = select(Rescoring.finished_at).where(Rescoring.finished_at.is_not(None))
        wait_until(lambda: found(finished), what="the re-scoring's end", seconds=60)
    assert [row[:-1] for row in all_scores(session)] == before


def found(statement: Any) -> bool:
    with db.Session() as session:
        return session.scalar(statement) is not None
