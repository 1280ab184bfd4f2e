"""Reads the released data files from the database, for released_files.py, which keeps them."""

from collections import defaultdict

from sqlalchemy import inspect, select

from pro_tracker import db
from pro_tracker.models.definition import Definition
from pro_tracker.services.instruments.released_files import FileKey, ReleasedFile, Releases, version_order


def read() -> Releases | None:
    """Returns the stored definitions; None without their table. In its own session: callers may have none."""
    with db.Session() as session:
        db.read_only(session)
        if not inspect(session.connection()).has_table(Definition.__tablename__):
            return None
        rows = session.scalars(select(Definition)).all()
    files = (_released(row) for row in rows)
    found: dict[FileKey, list[ReleasedFile]] = defaultdict(list)
    for each in sorted(files, key=lambda file: version_order(file.version)):
        found[each.key].append(each)
    return dict(found)


def _released(row: Definition) -> ReleasedFile:
    return ReleasedFile(
        key=FileKey(row.kind, row.code),
        version=row.version,
        sha256=row.sha256,
        body=row.body,
        released_at=row.released_at,
    )
