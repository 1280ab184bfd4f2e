"""Opens the database for commands."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from config.settings import DATABASE_SETTINGS, Settings, load_settings
from pro_tracker import db
from pro_tracker.services.clinic import channels_in_service
from pro_tracker.services.instruments import data_files


@contextmanager
def open_session() -> Iterator[Session]:
    """Yields a session on the configured database. The command commits; without a commit nothing is changed."""
    connect(load_settings(*DATABASE_SETTINGS))
    with db.Session() as session:
        yield session


def connect(settings: Settings) -> Engine:
    """Binds `db.Session` to the database and field keys of `settings` and sets the data folder. Returns the engine."""
    data_files.set_data_folder(settings.data_folder)
    channels_in_service.set_channels_in_service(settings.channels_in_service)
    return db.connect(settings.text("database_url"), settings.key_ring())
