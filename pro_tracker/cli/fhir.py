"""`pro-tracker fhir`: writes questionnaires, or one subject's answers and scores, as FHIR R4 JSON."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import DATABASE_SETTINGS, load_settings
from pro_tracker import clock, db
from pro_tracker.cli.atomic_write import atomic_write
from pro_tracker.cli.connection import connect
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import NotFound
from pro_tracker.models.subject import Subject
from pro_tracker.services.audit import Actor
from pro_tracker.services.fhir import bundle, resources
from pro_tracker.services.fhir.datatypes import Json
from pro_tracker.services.fhir.questionnaire import questionnaire as as_questionnaire

COMMAND = Actor(ActorKind.COMMAND, "fhir")
out_option = click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="File to write, - for standard output.",
)


@click.group()
def fhir() -> None:
    """Write questionnaires, answers and scores as FHIR R4 JSON. docs/fhir.md says what maps to what."""


@fhir.command(epilog="\b\nExample:\n  pro-tracker fhir questionnaire pcs --language es --out pcs-es.json\n")
@click.argument("instrument")
@click.option("--language", default="en", show_default=True, help="Language of the wording.")
@out_option
def questionnaire(instrument: str, language: str, out: Path) -> None:
    """Write the Questionnaire of INSTRUMENT, in the wording in effect."""
    with _session() as (session, base):
        _write(as_questionnaire(resources.current_form(session, instrument, language, base)), out)


@fhir.command(epilog="\b\nExample:\n  pro-tracker fhir subject north-0001 --out north-0001.json\n")
@click.argument("study_id")
@out_option
def subject(study_id: str, out: Path) -> None:
    """Write all answers and scores of the subject STUDY_ID in one Bundle, with the Questionnaires that were asked.

    The Bundle names the subject by study id only. That it was written is recorded in the audit trail.
    """
    with _session() as (session, base):
        found = session.scalar(select(Subject).where(Subject.study_code == study_id))
        if found is None:
            raise NotFound(f"There is no subject {study_id[:60]!r}.")
        now = clock.now()
        collected = bundle.collection(resources.everything(session, found, base), base, now=now)
        resources.audit_view(session, COMMAND, found, now=now)
        session.commit()
    _write(collected, out)


@contextmanager
def _session() -> Iterator[tuple[Session, str]]:
    """Yields a session and the base URL of this installation's FHIR resources."""
    settings = load_settings(*DATABASE_SETTINGS, "base_url")
    connect(settings)
    with db.Session() as session:
        yield session, f"{settings.text('base_url')}/fhir"


def _write(resource: Json, out: Path) -> None:
    text = json.dumps(resource, ensure_ascii=False, indent=2) + "\n"
    if str(out) == "-":
        click.echo(text, nl=False)
        return
    with atomic_write(out) as stream:
        stream.write(text)
    click.echo(f"Wrote {out}.")
