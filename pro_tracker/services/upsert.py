"""INSERT ... ON CONFLICT, which PostgreSQL and SQLite spell alike and SQLAlchemy keeps in two dialects."""

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from pro_tracker.db import Base, is_postgresql

Insert = postgresql.Insert | sqlite.Insert


def insert_into(session: Session, model: type[Base], rows: Any = None) -> Any:
    """An insert into the model's table with `on_conflict_do_update` and `on_conflict_do_nothing`."""
    statement: Any = postgresql.insert(model) if is_postgresql(session) else sqlite.insert(model)
    return statement if rows is None else statement.values(rows)
