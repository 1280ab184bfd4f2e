"""`pro-tracker export`: writes the cohort as de-identified CSV files."""

import gc
from pathlib import Path
from typing import IO

import click

from config.settings import DATABASE_SETTINGS, load_settings
from pro_tracker import clock, db
from pro_tracker.cli.atomic_write import atomic_write
from pro_tracker.cli.connection import connect
from pro_tracker.cli.progress import progress
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.services.audit import Actor
from pro_tracker.services.results import export_rows, exports
from pro_tracker.services.results.exports import KINDS, Extent, Kind

COMMAND = Actor(ActorKind.COMMAND, "export")


@click.command(
    epilog="""\b
Examples:
  pro-tracker export long --out cohort-long.csv
  pro-tracker export wide --out - | gzip > cohort-wide.csv.gz
  pro-tracker export codebook --out codebook.csv
  pro-tracker export long --protocol ketamine-5day --out ket5d.csv
  pro-tracker export long --all-studies --out both.csv
""",
)
@click.argument("kind", type=click.Choice(KINDS))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="File to write, - for standard output.",
)
@click.option("--protocol", metavar="CODE", help="Only the study of this protocol.")
@click.option("--all-studies", is_flag=True, help="Several studies in one file; STUDYID tells them apart.")
def export(kind: Kind, out: Path, protocol: str | None, all_studies: bool) -> None:
    """Write the cohort as CSV, without identity: study codes and study days, no names, contacts, dates or time zones.

    KIND is long (one row for each item and score, SDTM QS names), wide (one row for each visit, a group of columns for
    each scale), adverse-events, symptoms, vitals, infusions, missed-infusions, medications, other-treatments or
    liver-tests (the treatment, SDTM names), snoozes ("not today"), or codebook (what the columns and tests of all files
    are). The file appears when it is complete: an export that fails leaves what was there before. docs/exports.md
    explains the columns.

    Where subjects follow several protocols, --protocol or --all-studies says which studies the file holds.
    """
    connect(load_settings(*DATABASE_SETTINGS))
    with db.Session() as session:
        code = None if all_studies else exports.chosen_protocol(session, protocol)
        extent = Extent(clock.now(), protocol_code=code)
        exports.audit_export(session, COMMAND, kind, extent)
        total, excluded = export_rows.count_subjects(session), export_rows.count_excluded(session)
        session.commit()
    if excluded:
        click.echo(f"Left out, since they withdrew their data or did not agree to their use: {excluded}", err=True)
    gc.freeze()  # the garbage collector skips the loaded program: scanning it costs an eighth of an export
    if str(out) == "-":
        _write(kind, click.open_file("-", "w", encoding="utf-8"), extent, total)
        return
    with atomic_write(out) as stream:
        rows = _write(kind, stream, extent, total)
    click.echo(f"Wrote {rows} rows to {out}.")


def _write(kind: Kind, stream: IO[str], extent: Extent, total: int) -> int:
    """Writes the export and shows its progress. Returns the number of rows; `total` is the number of subjects."""
    done = 0

    def count(subjects: int) -> None:
        nonlocal done
        done += subjects
        show(done, total)

    with db.Session() as session, progress("Exporting") as show:
        return exports.write(session, kind, stream, extent, on_subjects=count)
