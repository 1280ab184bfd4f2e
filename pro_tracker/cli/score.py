"""`pro-tracker score`: JSON Lines in, JSON Lines out. Needs no settings, no database and no broker."""

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import click

from config.settings import load_settings
from pro_tracker.domain.errors import ProTrackerError
from pro_tracker.domain.scoring import ScaleScore, score as score_answers
from pro_tracker.services.instruments import data_files, instrument_catalog

# One response is less than a kilobyte; a longer line is another kind of file and is not read into memory.
MAX_LINE_BYTES = 64 * 1024


class UnusableLine(ProTrackerError):
    """A line of the input cannot be scored."""


@click.command()
def score() -> None:
    """Score responses: JSON Lines on standard input, one line of scores for each on standard output.

    A line that cannot be used gives {"error": "..."}, the rest goes on, and the exit status is 1. Items that were not
    answered are left out; a scale without all its items says "not-scored" and why.

    \b
    Examples:
      echo '{"instrument": "pain-intensity-nrs", "answers": {"NRS": 6}}' | pro-tracker score
      pro-tracker score < responses.jsonl > scores.jsonl
    """
    data_files.set_data_folder(load_settings().data_folder)
    failed = False
    for number, line in enumerate(_lines(sys.stdin.buffer), start=1):
        if not line.strip():
            continue
        try:
            result = _score_line(line)
        except ProTrackerError as error:
            failed = True
            result = {"error": f"line {number}: {error}"}
        click.echo(json.dumps(result))
    sys.exit(1 if failed else 0)


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yields line by line. A line longer than the limit is cut to one byte more, which `_read` rejects."""
    while line := stream.readline(MAX_LINE_BYTES + 1):
        rest = line  # read to the end of the line and drop what is beyond the limit
        while not rest.endswith(b"\n") and (rest := stream.readline(MAX_LINE_BYTES)):
            pass
        yield line


def _score_line(line: bytes) -> dict[str, Any]:
    response = _read(line)
    code, answers = response.get("instrument"), response.get("answers")
    if not isinstance(code, str):
        raise UnusableLine('"instrument" must be the id of an instrument, such as "pcs".')
    if not isinstance(answers, dict):
        raise UnusableLine('"answers" must be an object of item codes and whole numbers.')
    scores = score_answers(instrument_catalog.instrument(code), answers)
    return {"instrument": code, "scores": [_as_json(each) for each in scores]}


def _read(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise UnusableLine(f"longer than {MAX_LINE_BYTES // 1024} KB.")
    try:
        response = json.loads(line, object_pairs_hook=_without_repeats)
    # ValueError: not JSON, not UTF-8, or a number of thousands of digits. RecursionError: a thousand nested levels.
    except (ValueError, RecursionError) as error:
        raise UnusableLine("not valid JSON.") from error
    if not isinstance(response, dict):
        raise UnusableLine('not an object such as {"instrument": "...", "answers": {...}}.')
    return response


def _without_repeats(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Returns the object. Raises UnusableLine for a repeated key, of which JSON would silently keep the last value."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise UnusableLine(f"{key[:40]!r} is given twice.")
        found[key] = value
    return found


def _as_json(scored: ScaleScore) -> dict[str, Any]:
    return {
        "scale": scored.scale,
        "raw_score": scored.raw_score,
        "t_score": scored.t_score,
        "standard_error": scored.standard_error,
        "n_answered": scored.n_answered,
        "status": scored.status,
        "reason": scored.reason,
    }
