"""`pro-tracker migrate`, and how every command opens the database."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from config.settings import DATABASE, Settings, load_settings
from pro_tracker import clock, db
from pro_tracker.migrate import upgrade
from pro_tracker.services import definitions, sites


@contextmanager
def open_session() -> Iterator[Session]:
    """A session on the configured database. The command commits; without a commit nothing is changed."""
    connect(load_settings(*DATABASE))
    with db.Session() as session:
        yield session


def connect(settings: Settings) -> Engine:
    """Bind `db.Session` to the database and the field keys of `settings`."""
    return db.connect(settings.text("database_url"), settings.key_ring())


@click.command(
    epilog="""\b
Examples:
  pro-tracker migrate
  PRO_TRACKER_SITES_FILE=/etc/pro-tracker/sites.yaml pro-tracker migrate
"""
)
def migrate() -> None:
    """Bring the database to the newest version and create the sites of config/sites.yaml. Safe to repeat."""
    settings = load_settings(*DATABASE)
    listed = sites.read(settings.sites_file)
    upgrade(connect(settings))
    with db.Session() as session:
        now = clock.now()
        created = sites.sync(session, listed, now=now)
        definitions.release(session, now=now)
        session.commit()
    click.echo(
        f"The database is at its newest version; sites: {', '.join(site.code for site in listed)} ({created} new)."
    )
