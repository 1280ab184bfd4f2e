"""`pro-tracker demo`: prepares the demonstration on the first run, then runs the whole service until Ctrl-C."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import click

from pro_tracker import clock
from pro_tracker.cli.connection import open_session
from pro_tracker.demo import data, examples, ports
from pro_tracker.demo.data import DemoLink
from pro_tracker.demo.installation import PROTOCOL, SECOND_PROTOCOL, DemoInstallation, clear, lock
from pro_tracker.demo.processes import supervise

PORTS = {"web": 8000, "mail page": 8025, "mail": 1025}
PROGRAM = [sys.executable, "-c", "from pro_tracker.cli import main; main()"]


@click.command(
    epilog="""\b
Examples:
  pro-tracker demo
  pro-tracker demo --reset --subjects 50
"""
)
@click.option("--reset", is_flag=True, help="Delete the data of the earlier demonstration and start over.")
@click.option(
    "--subjects",
    type=click.IntRange(1, 100_000),
    default=200,
    show_default=True,
    help="Number of synthetic patients to create on the first run.",
)
@click.option("--seed", default=1, show_default=True, help="Equal seeds give equal patients.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path("var/demo"), show_default=True)
def demo(reset: bool, subjects: int, seed: int, folder: Path) -> None:
    """Run the whole service on this machine with synthetic patients: web, worker, beat, broker and a local mail sink.

    Needs no server, no root and no network. The folder keeps the data until --reset. Ctrl-C ends all processes.
    """
    signal.signal(signal.SIGTERM, _stop)
    with lock(folder.resolve()) as sockets:
        if reset:
            clear(folder)
        installation = _installation(folder.resolve(), sockets)
        installation.add_data_files(os.environ.get("PRO_TRACKER_DATA_FOLDER"))
        _use(installation)
        _prepare(installation, subjects, seed)
        announcement = _announcement(installation)
        status = supervise(installation, lambda: click.echo(announcement))
    sys.exit(status)


def _stop(_signal: int, _frame: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)  # unlike the signal itself, this also ends the current step


def _installation(folder: Path, sockets: Path) -> DemoInstallation:
    chosen: dict[str, int] = {}
    for name, preferred in PORTS.items():
        chosen[name] = ports.choose(preferred, taken=chosen.values())
        if chosen[name] != preferred:
            click.echo(f"Port {preferred} is in use; {name} uses {chosen[name]} instead.")
    return DemoInstallation(folder, sockets / "broker.sock", chosen["web"], chosen["mail page"], chosen["mail"])


def _use(installation: DemoInstallation) -> None:
    """Configures this process and its children for the demonstration, regardless of the shell's environment."""
    configured = [name for name in os.environ if name.startswith("PRO_TRACKER_")]
    for name in configured:
        del os.environ[name]
    os.environ.update(installation.environment())


def _prepare(installation: DemoInstallation, subjects: int, seed: int) -> None:
    if not installation.is_filled:
        installation.remove_database()
    with _step("Migrating the database"):
        _run("migrate", quiet=True)
    if installation.is_filled:
        return
    with _step("Creating one account for each role"):
        _add_accounts(installation.password)
    with _step(f"Simulating nine months with {subjects} synthetic patients"):
        studies = ("--protocol", PROTOCOL, "--protocol", SECOND_PROTOCOL)
        _run("simulate", *studies, "--subjects", str(subjects), "--seed", str(seed))
    installation.mark_filled()


@contextmanager
def _step(what: str) -> Iterator[None]:
    click.echo(f"{what} ...")
    started = clock.now()
    yield
    click.echo(f"  done in {(clock.now() - started).total_seconds():.1f} s")


def _run(*arguments: str, quiet: bool = False) -> None:
    output = subprocess.DEVNULL if quiet else None
    finished = subprocess.run([*PROGRAM, *arguments], stdout=output, check=False)
    if finished.returncode != 0:
        sys.exit(finished.returncode)


def _add_accounts(password: str) -> None:
    with open_session() as session:
        data.set_default_protocol(session)
        data.add_accounts(session, password, now=clock.now())
        session.commit()


def _announcement(installation: DemoInstallation) -> str:
    with open_session() as session:
        link = data.issue_link(session, now=clock.now())
        with_form = data.issue_consent_link(session, now=clock.now())
        session.commit()
        shown = examples.find(session)
    accounts: list[tuple[str, str]] = []
    for role, email in data.account_emails().items():
        accounts.append((f"  {role.value}", f"{email}  password {installation.password}"))
    rows = [
        ("Staff pages", installation.base_url),
        *accounts,
        ("A patient's link", f"{installation.base_url}/v/{link.token}"),
        ("  birth date", link.birth_date),
        *_consent_rows(installation, with_form),
        ("Mails sent", installation.mail_page_url),
    ]
    if shown:
        rows.append(("Where to look", "as coordinator; the call list has the open ones"))
    rows += [(f"  {each.title}", f"{each.study_code}  {installation.base_url}{each.path}") for each in shown]
    lines = [f"{name:24}{value}" for name, value in rows]
    end = "Ctrl-C ends all processes and keeps the data. make demo RESET=1 starts over."
    return "\n".join(["", "PRO Tracker is running.", "", *lines, "", end, ""])


def _consent_rows(installation: DemoInstallation, link: DemoLink | None) -> list[tuple[str, str]]:
    """Returns the lines about a patient who reads the consent form first."""
    if link is None:
        return []
    return [
        ("One who is asked first", f"{installation.base_url}/v/{link.token}"),
        ("  birth date", link.birth_date),
    ]
