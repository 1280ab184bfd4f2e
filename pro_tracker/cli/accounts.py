"""`pro-tracker account add | list | password | change | close | reopen`: staff accounts, also the first one."""

from typing import TextIO

import click

from pro_tracker import clock
from pro_tracker.cli.connection import open_session
from pro_tracker.domain.account_codes import ActorKind, Role
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import accounts
from pro_tracker.services.clinic.accounts import AccountFacts, AccountRights

COMMAND = Actor(ActorKind.COMMAND, "account")
password_file = click.option(
    "--password-file",
    type=click.File(),
    help="File whose first line is the password, - for standard input. Default: ask.",
)


@click.group()
def account() -> None:
    """Create, list, change and close staff accounts, set passwords."""


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
        created = accounts.create(session, COMMAND, facts, now=clock.now())
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
        accounts.set_password(session, COMMAND, found, new, now=clock.now())
        session.commit()
    click.echo("The password is set.")


@account.command(
    epilog="""\b
Examples:
  pro-tracker account change ada@clinic.example --role clinician
  pro-tracker account change ada@clinic.example --site north --site south
"""
)
@click.argument("email")
@click.option("--role", type=click.Choice([role.value for role in Role]), help="Default: as it is.")
@click.option("--site", "sites", multiple=True, help="All sites of the account from now on. Default: as they are.")
def change(email: str, role: str | None, sites: tuple[str, ...]) -> None:
    """Change role or sites of EMAIL, from its next request on."""
    with open_session() as session:
        found = accounts.find(session, email)
        codes = sites or [site.code for site in found.sites]
        rights = AccountRights(role or found.role, codes)
        accounts.change(session, COMMAND, found, rights, now=clock.now())
        session.commit()
        click.echo(f"{found.email} is {found.role} at {', '.join(site.code for site in found.sites) or 'no site'} now.")


@account.command(epilog="\b\nExample:\n  pro-tracker account close ada@clinic.example\n")
@click.argument("email")
def close(email: str) -> None:
    """Close EMAIL: it cannot sign in any more, and its sessions end."""
    with open_session() as session:
        found = accounts.find(session, email)
        accounts.close(session, COMMAND, found, now=clock.now())
        session.commit()
        click.echo(f"{found.email} is closed.")


@account.command(epilog="\b\nExample:\n  pro-tracker account reopen ada@clinic.example\n")
@click.argument("email")
def reopen(email: str) -> None:
    """Open EMAIL again after it was closed."""
    with open_session() as session:
        found = accounts.find(session, email)
        accounts.reopen(session, COMMAND, found, now=clock.now())
        session.commit()
        click.echo(f"{found.email} is open again.")


def _read_password(file: TextIO | None) -> str:
    if file is not None:
        return file.readline().rstrip("\r\n")
    text: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return text
