"""`pro-tracker migrate`: migrates the database, releases the data files and updates the sites."""

import click

from config.settings import DATABASE_SETTINGS, load_settings
from pro_tracker import clock, db
from pro_tracker.cli.connection import connect
from pro_tracker.migrate import upgrade
from pro_tracker.services.clinic import sites
from pro_tracker.services.enrolment import identity_hashes
from pro_tracker.services.protocols import protocol_choice, releases


@click.command(
    epilog="""\b
Examples:
  pro-tracker migrate
  PRO_TRACKER_SITES_FILE=/etc/pro-tracker/sites.yaml pro-tracker migrate
"""
)
def migrate() -> None:
    """Bring the database to the newest version and create the sites of config/sites.yaml. Safe to repeat.

    Also releases the data files: stores every new version of a protocol, an instrument or a wording. What runs is read
    from there. A file that cannot be released, since it has a problem or was changed under its version, is named, and
    changes nothing.
    """
    settings = load_settings(*DATABASE_SETTINGS)
    listed = sites.read(settings.sites_file)
    upgrade(connect(settings))
    with db.Session() as session:
        now = clock.now()
        created = sites.sync(session, listed, now=now)
        identity_hashes.refresh(session)
        sharing = identity_hashes.sharing(session)
        released = releases.release(session, now=now)
        protocol_choice.reject_unknown(listed, settings.sites_file)
        protocol_choice.keep_only_protocol(session, listed, now=now)
        session.commit()
    for problem in released.problems:
        place = f"{problem.file}: {problem.key}" if problem.key else problem.file
        click.echo(f"Not released: {place}: {problem.reason}", err=True)
    codes = ", ".join(site.code for site in listed)
    for pair in sharing:
        click.echo(identity_hashes.advice(*pair))
    click.echo(f"The database is at its newest version; sites: {codes} ({created} new).")
