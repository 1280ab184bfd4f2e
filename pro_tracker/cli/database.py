"""`pro-tracker migrate`: migrates the database, releases the data files and updates the sites."""

import click

from config.settings import DATABASE_SETTINGS, load_settings
from pro_tracker import clock, db
from pro_tracker.cli.connection import connect
from pro_tracker.migrate import upgrade
from pro_tracker.services.clinic import sites
from pro_tracker.services.protocols import releases


@click.command(
    epilog="""\b
Examples:
  pro-tracker migrate
  PRO_TRACKER_SITES_FILE=/etc/pro-tracker/sites.yaml pro-tracker migrate
"""
)
def migrate() -> None:
    """Bring the database to the newest version and create the sites of config/sites.yaml. Safe to repeat."""
    settings = load_settings(*DATABASE_SETTINGS)
    listed = sites.read(settings.sites_file)
    upgrade(connect(settings))
    with db.Session() as session:
        now = clock.now()
        created = sites.sync(session, listed, now=now)
        releases.release(session, now=now)
        session.commit()
    codes = ", ".join(site.code for site in listed)
    click.echo(f"The database is at its newest version; sites: {codes} ({created} new).")
