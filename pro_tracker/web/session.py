"""The request's one database session. A view commits it once, last; what is not committed ends with the request."""

from flask import Flask, current_app, g
from sqlalchemy.orm import Session

from pro_tracker import db


def db_session() -> Session:
    """The session of this request, opened when first asked for."""
    if "db_session" not in g:
        g.db_session = db.Session()
    session: Session = g.db_session
    return session


def commit_each_statement() -> None:
    """Have PostgreSQL commit every statement of this request by itself, which spares waiting for BEGIN and COMMIT.

    For views that only read, or whose whole change is one statement; called before any. They still call `commit`.
    """
    db.commit_each_statement(db_session())


def commit() -> None:
    """Commit the request's work: the last thing a view does before it answers."""
    db_session().commit()


def init_app(app: Flask) -> None:
    app.teardown_appcontext(_close)


def _close(error: BaseException | None) -> None:
    session: Session | None = g.pop("db_session", None)
    if session is None:
        return
    unsaved = bool(session.new or session.dirty or session.deleted)
    session.close()
    # A view that changes rows and forgets to commit would lose them without a word: make it loud where it is developed.
    if unsaved and error is None and current_app.testing:
        raise RuntimeError("this request left unsaved changes: commit them, or do not make them")
