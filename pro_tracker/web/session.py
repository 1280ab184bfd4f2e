"""The database session of the request. A view commits it once, at its end; uncommitted changes are discarded."""

import logging

from flask import Flask, current_app, g
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from pro_tracker import db

log = logging.getLogger(__name__)


def db_session() -> Session:
    """Returns the session of this request, which the first call opens."""
    if "db_session" not in g:
        g.db_session = db.Session()
    session: Session = g.db_session
    return session


def commit_each_statement() -> None:
    """Lets PostgreSQL commit each statement of this request by itself, which saves the round trips BEGIN and COMMIT.

    For views that only read, or that change data by a single statement. Call it before the first statement; such a
    view still calls `commit`.
    """
    db.commit_each_statement(db_session())


def commit() -> None:
    """Commits the changes of the request; the last step of a view before it returns."""
    db_session().commit()


def init_app(app: Flask) -> None:
    """Closes the session at the end of each request."""
    app.teardown_appcontext(_close)


def _close(error: BaseException | None) -> None:
    session: Session | None = g.pop("db_session", None)
    if session is None:
        return
    unsaved = bool(session.new or session.dirty or session.deleted)
    _release(session)
    # A view that changes rows without a commit would lose them silently, so that tests fail on it.
    if unsaved and error is None and current_app.testing:
        raise RuntimeError("this request left unsaved changes: commit them, or do not make them")


def _release(session: Session) -> None:
    """Closes the session. A connection that is lost by now is thrown away: the response was made before."""
    try:
        session.close()
    except DBAPIError as error:
        log.error("database.unavailable kind=%s", type(error.orig).__name__)
        session.invalidate()
