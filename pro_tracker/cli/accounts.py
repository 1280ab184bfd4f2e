"""`pro-tracker account add | list | password`: staff accounts, also the first one of an installation."""

from typing import TextIO

import click

from pro_tracker import clock
from pro_tracker.cli.connection import open_session
from pro_tracker.domain.account_codes import ActorKind, Role
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import accounts
from pro_tracker.services.clinic.accounts import AccountFacts

password_file = click.option(
    "--password-file",
    type=click.File(),
    help="File whose first line is the password, - for standard input. Default: ask.",
)


@click.group()
def account() -> None:
    """Create and list staff accounts, set passwords."""


@account.command(
    epilog="""\b
Examples:
  pro-tracker account add ada@clinic.example --name "Ada Moss" --role coordinator --site north
  pro-tracker account add it@clinic.example --name "IT desk" --role administrator --password-file - < secret.txt
"""
)
@click.argument("email")
@click.option("--name", required=True, help="The person's name, as colleagues see it.")
@click.option("--role", required=True, type=click.Choice([role.value for role in Role]))
@click.option(
    "--site", "sites", multiple=True, help="Code of a site whose patients the account may see; repeat for more."
)
@password_file
def add(email: str, name: str, role: str, sites: tuple[str, ...], password_file: TextIO | None) -> None:
    """Create the account EMAIL."""
    facts = AccountFacts(
        email=email, display_name=name, role=role, site_codes=sites, password=_read_password(password_file)
    )
    with open_session() as session:
        created = accounts.create(session, Actor(ActorKind.COMMAND, "account"), facts, now=clock.now())
        session.commit()
        click.echo(f"Created {created.email} ({created.role}).")


@account.command(name="list", epilog="\b\nExample:\n  pro-tracker account list\n")
def list_accounts() -> None:
    """Show every account: address, role, sites, name."""
    with open_session() as session:
        for row in accounts.list_all(session):
            sites = ",".join(site.code for site in row.sites) or "-"
            cells = (row.email, row.role, sites, row.display_name, "" if row.active else "closed")
            click.echo("\t".join(cells).rstrip())


@account.command(epilog="\b\nExample:\n  pro-tracker account password ada@clinic.example\n")
@click.argument("email")
@password_file
def password(email: str, password_file: TextIO | None) -> None:
    """Set a new password for EMAIL and end every session of the account."""
    new = _read_password(password_file)
    with open_session() as session:
        found = accounts.find(session, email)
        accounts.set_password(session, Actor(ActorKind.COMMAND, "account"), found, new, now=clock.now())
        session.commit()
    click.echo("The password is set.")


def _read_password(file: TextIO | None) -> str:
    if file is not None:
        return file.readline().rstrip("\r\n")
    text: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return text
