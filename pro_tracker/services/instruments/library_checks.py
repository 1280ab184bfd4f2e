"""Checks an instrument against the other files: earlier versions of itself, and forms that share items with it.

Each error is (key, reason), as in instrument_checks.py, which checks a file by itself.
"""

from collections.abc import Iterable, Iterator

from pro_tracker.domain.instrument import Instrument, Item, Scale
from pro_tracker.services.instruments.instrument_checks import FormatError


def errors(
    instrument: Instrument, *, earlier: Iterable[Instrument], others: Iterable[Instrument]
) -> Iterator[FormatError]:
    """Yields the contradictions to `earlier` versions of the instrument and to `others`, the other instruments."""
    for version in earlier:
        yield from _version_errors(instrument, version)
    known: dict[str, tuple[Instrument, Item]] = {}
    for other in others:
        known.update({item.link_id: (other, item) for item in other.items})
    for number, item in enumerate(instrument.items):
        if item.link_id not in known:
            continue
        other, same = known[item.link_id]
        same_options = item.response_set.values == same.response_set.values
        if same_options and _scored_values(item) != _scored_values(same):
            yield f"items.{number}", _contradiction(item, other, same)


def _version_errors(instrument: Instrument, earlier: Instrument) -> Iterator[FormatError]:
    """Yields the scales that are scored differently under the same scoring version.

    Scores of one scoring version are compared with each other, so the same answers must give the same score.
    """
    if instrument.scoring_version != earlier.scoring_version:
        return
    before = {scale.code: _scoring(earlier, scale) for scale in earlier.scales}
    for scale in instrument.scales:
        if before.get(scale.code) != _scoring(instrument, scale):
            yield (
                "scoring_version",
                f"raise it: the scale {scale.code} is not scored as in version {earlier.version}, "
                f"which has scoring version {earlier.scoring_version} too",
            )


def _scoring(instrument: Instrument, scale: Scale) -> tuple[object, ...]:
    """Returns everything that the scale's scores depend on, for comparison."""
    scored = {link_id: _scored_values(instrument.item(link_id)) for link_id in scale.items}
    table = scale.score_table.rows if scale.score_table else None
    prorate_min_answered = scale.missing.prorate_min_answered
    return scored, scale.method, table, scale.bank, prorate_min_answered


def _scored_values(item: Item) -> dict[int, int]:
    return {value: item.scored_value(value) for value in item.response_set.values}


def _contradiction(item: Item, other: Instrument, same: Item) -> str:
    how = _how_scored(same)
    return f"{item.link_id} {how} in {other.code}, and not here; give it another code if it is another question"


def _how_scored(item: Item) -> str:
    if item.reversed:
        return "is reversed"
    return "is recoded" if item.recode else "counts its code"
