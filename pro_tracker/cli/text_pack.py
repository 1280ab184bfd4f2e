"""`pro-tracker text-pack load | list | template`: wording that a clinic is licensed to use."""

import csv
import sys
from pathlib import Path
from typing import Any

import click

from config.settings import load_settings
from pro_tracker import clock
from pro_tracker.cli.atomic_write import atomic_write
from pro_tracker.cli.connection import open_session
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import InvalidDataFile, InvalidInput
from pro_tracker.services.audit import Actor
from pro_tracker.services.instruments import data_files, instrument_catalog
from pro_tracker.services.wording import csv_source, text_pack_loading, text_packs
from pro_tracker.services.wording.text_pack_loading import LoadResult, TextPackFacts
from pro_tracker.services.wording.text_packs import ListedTextPack

COMMAND = Actor(ActorKind.COMMAND, "text-pack")


@click.group(name="text-pack")
def text_pack() -> None:
    """Load and list the wording of questionnaires. Formats: docs/text-packs.md."""


@text_pack.command(
    epilog="""\b
Examples:
  pro-tracker text-pack load fatigue-es.csv --version 2.0 --validated \\
    --holder "The publisher" --permission "Letter of 3 March 2026, folder 12"
  pro-tracker text-pack load Questionnaire.json --instrument phq-9 --language en \\
    --version 2026-11 --not-validated --holder "Our clinic" --permission "own wording"
  pro-tracker text-pack load PHQ-9.json PEG.json ValueSet-frequency.json --language en \\
    --version 2026-11 --not-validated --holder "The library" --permission "free to use"
"""
)
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--instrument", default="", help="Code of the instrument, where the file does not name it.")
@click.option("--language", default="", help="Code of the language, where the file does not name it.")
@click.option("--version", required=True, help="Version of this wording, as it is stored with every answer.")
@click.option(
    "--validated/--not-validated",
    required=True,
    default=None,
    help="Whether the rights holder released this very wording as validated.",
)
@click.option("--holder", required=True, help="Who holds the rights to the wording.")
@click.option("--permission", required=True, help="Where the permission to use it is found.")
def load(files: tuple[Path, ...], holder: str, permission: str, **facts: str | bool) -> None:
    """Load the wording in FILES: CSV (see `text-pack template`) or FHIR R4 Questionnaires in JSON.

    Each file words one instrument; value sets that a Questionnaire refers to may be in files of their own. All files
    are loaded or none. Every item and option must match the instrument by its code. Each mismatch is named, and with
    one nothing is loaded and the exit status is 1. From then on visits are begun with the new wording; a visit under
    way keeps the wording it began with, and answers given keep theirs. A version is never changed: loading it again
    changes nothing.
    """
    # `facts` has the options whose names are those of the fields; click passes them with their types.
    stated: dict[str, Any] = {**facts, "licence_holder": holder, "permission_reference": permission}
    pack_facts = TextPackFacts(**stated)
    try:
        with open_session() as session:
            loaded = text_pack_loading.load(session, COMMAND, files, pack_facts, now=clock.now())
            session.commit()
    except InvalidDataFile as error:
        for place, reason in error.errors:
            click.echo(f"{place}: {reason}")
        click.echo(f"Nothing was loaded: {_count(len(error.errors), 'problem')}.")
        sys.exit(1)
    for each in loaded:
        _report(each)


@text_pack.command(
    name="list", epilog="\b\nExamples:\n  pro-tracker text-pack list\n  pro-tracker text-pack list pcs\n"
)
@click.argument("instrument", default="")
def list_packs(instrument: str) -> None:
    """Show the wording of every instrument, or of one INSTRUMENT: language, version, validated or not, in effect."""
    with open_session() as session:
        if instrument:
            instrument_catalog.instrument(instrument)  # raises if there is none
        for each in text_packs.all_packs(session, instrument or None):
            click.echo("\t".join(_line(each)))


@text_pack.command(
    epilog="\b\nExample:\n  pro-tracker text-pack template promis-fatigue-8a es --out fatigue-es.csv\n",
)
@click.argument("instrument")
@click.argument("language")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The new CSV file.")
def template(instrument: str, language: str, out: Path) -> None:
    """Write a CSV file with every code of INSTRUMENT, its texts left to be filled in."""
    data_files.set_data_folder(load_settings().data_folder)
    text_pack_loading.require_language(language)
    if out.exists():
        raise InvalidInput(f"{out} is there already. Choose another name.")
    rows = csv_source.template(instrument_catalog.instrument(instrument), language)
    with atomic_write(out, encoding="utf-8-sig") as stream:  # spreadsheets recognise UTF-8 by the byte-order mark
        csv.writer(stream).writerows(rows)
    click.echo(f"Fill in the texts of {out}, then run: pro-tracker text-pack load {out} --help")


def _report(loaded: LoadResult) -> None:
    pack = loaded.pack
    named = f"{pack.instrument_code} in {pack.language}, version {pack.version}"
    for each in loaded.notes:
        click.echo(each)
    if loaded.is_new:
        validated = "validated" if pack.validated else "not validated"
        items = _count(len(pack.body["items"]), "item")
        click.echo(f"Loaded {named} ({validated}): {items}. Visits begun now use it.")
    else:
        click.echo(f"Nothing new: {named}, was loaded on {pack.loaded_at:%Y-%m-%d} with the same content.")


def _line(known: ListedTextPack) -> tuple[str, ...]:
    pack = known.pack
    return (
        *(pack.instrument_code, pack.language, pack.version),
        "validated" if pack.validated else "not validated",
        "in effect" if known.in_effect else "-",
        "shipped" if known.loaded_at is None else f"loaded {known.loaded_at:%Y-%m-%d}",
        " ".join(pack.licence.split()),
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
