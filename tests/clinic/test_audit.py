"""The audit trail: chained by the database, protected against changes, and checked by a command."""

import uuid
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from pro_tracker.cli.audit import audit as command
from pro_tracker.db import is_postgresql
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.models.audit import AuditEvent
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from tests.conftest import FIELD_KEYS

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


@pytest.fixture
def trail(session: Session) -> Session:
    for number in range(4):
        audit.record(
            session,
            Actor(ActorKind.COMMAND, "test"),
            "thing.do",
            now=NOW,
            subject_id=uuid.uuid4(),
            detail={"number": number},
        )
    session.commit()
    return session


def test_each_event_carries_the_hash_of_the_one_before(trail: Session) -> None:
    events = trail.scalars(select(AuditEvent).order_by(AuditEvent.id)).all()
    assert [event.previous_hash for event in events] == ["", *(event.hash for event in events[:-1])]
    assert audit.first_invalid_event(trail) is None


@pytest.mark.parametrize("change", ["UPDATE audit_event SET action = 'thing.hide'", "DELETE FROM audit_event"])
def test_the_database_refuses_to_change_or_remove_an_event(trail: Session, change: str) -> None:
    with pytest.raises(DBAPIError, match="append-only"):
        trail.execute(text(change))


def test_the_command_finds_a_change_made_without_the_triggers(
    trail: Session, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRO_TRACKER_DATABASE_URL", database)
    monkeypatch.setenv("PRO_TRACKER_FIELD_KEYS", FIELD_KEYS)
    whole = CliRunner().invoke(command)
    assert (whole.exit_code, whole.output) == (0, "The audit trail is whole.\n")
    third = trail.scalars(select(AuditEvent.id).order_by(AuditEvent.id)).all()[2]
    _without_triggers(trail)
    trail.execute(text("UPDATE audit_event SET detail = '{}' WHERE id = :id"), {"id": third})
    trail.commit()
    broken = CliRunner().invoke(command)
    assert broken.exit_code == 1
    assert f"breaks at event {third}" in broken.output


def _without_triggers(session: Session) -> None:
    """Disable the triggers as a database administrator could, for this transaction since tests share the server."""
    if is_postgresql(session):
        session.execute(text("SET LOCAL session_replication_role = replica"))
    else:
        session.execute(text("DROP TRIGGER audit_event_refuse_update"))
