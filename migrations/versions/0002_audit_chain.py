"""The audit trail chains itself and refuses changes: triggers, which no program can forget or pays a round trip for."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# The lock makes appenders take turns until they commit. The number is drawn again behind it, so that it follows the
# chain; the sequence by its plain name, since looking it up costs more than all the rest.
POSTGRESQL_UP = (
    """
    CREATE FUNCTION audit_event_chain() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock(hashtext('audit_event'));
        NEW.id := nextval('audit_event_id_seq');
        SELECT coalesce((SELECT hash FROM audit_event ORDER BY id DESC LIMIT 1), '') INTO NEW.previous_hash;
        NEW.hash := encode(sha256(convert_to(concat_ws('|', NEW.previous_hash, NEW.at, NEW.actor_kind, NEW.actor_id,
            NEW.action, coalesce(replace(NEW.subject_id::text, '-', ''), ''), NEW.detail), 'UTF8')), 'hex');
        RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER audit_event_chain BEFORE INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION audit_event_chain()",
    """
    CREATE FUNCTION audit_event_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the audit trail is append-only';
    END $$
    """,
    """
    CREATE TRIGGER audit_event_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_event
        EXECUTE FUNCTION audit_event_refuse()
    """,
)
POSTGRESQL_DOWN = (
    "DROP TRIGGER audit_event_refuse ON audit_event",
    "DROP TRIGGER audit_event_chain ON audit_event",
    "DROP FUNCTION audit_event_refuse()",
    "DROP FUNCTION audit_event_chain()",
)
# SQLite has one writer at a time, so no lock; sha256hex is registered by pro_tracker.db. A trigger there cannot change
# the new row before it is stored, so it completes it just after, and a row that has its hash is closed.
SQLITE_UP = (
    """
    CREATE TRIGGER audit_event_chain AFTER INSERT ON audit_event BEGIN
        UPDATE audit_event
            SET previous_hash = coalesce((SELECT hash FROM audit_event WHERE id < NEW.id ORDER BY id DESC LIMIT 1), '')
            WHERE id = NEW.id;
        UPDATE audit_event
            SET hash = sha256hex(previous_hash || '|' || at || '|' || actor_kind || '|' || actor_id || '|' || action
                || '|' || coalesce(subject_id, '') || '|' || detail)
            WHERE id = NEW.id;
    END
    """,
    """
    CREATE TRIGGER audit_event_refuse_update BEFORE UPDATE ON audit_event WHEN OLD.hash IS NOT NULL BEGIN
        SELECT RAISE(ABORT, 'the audit trail is append-only');
    END
    """,
    """
    CREATE TRIGGER audit_event_refuse_delete BEFORE DELETE ON audit_event BEGIN
        SELECT RAISE(ABORT, 'the audit trail is append-only');
    END
    """,
)
SQLITE_DOWN = (
    "DROP TRIGGER audit_event_refuse_delete",
    "DROP TRIGGER audit_event_refuse_update",
    "DROP TRIGGER audit_event_chain",
)


def _run(statements: tuple[str, ...]) -> None:
    for statement in statements:
        op.get_bind().exec_driver_sql(statement)


def upgrade() -> None:
    _run(POSTGRESQL_UP if op.get_bind().dialect.name == "postgresql" else SQLITE_UP)


def downgrade() -> None:
    _run(POSTGRESQL_DOWN if op.get_bind().dialect.name == "postgresql" else SQLITE_DOWN)
