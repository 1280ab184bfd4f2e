"""Whether an instrument fits beside the others of the library: earlier versions of itself, and forms that share items.

Each fault is (key, reason) as in instrument_checks.py, which judges a file alone.
"""

from collections.abc import Iterable, Iterator

from pro_tracker.domain.instrument import Instrument, Item, Scale
from pro_tracker.services.instruments.instrument_checks import FormatError


def errors(
    instrument: Instrument, *, earlier: Iterable[Instrument], others: Iterable[Instrument]
) -> Iterator[FormatError]:
    """Yield where it contradicts `earlier` versions of itself or `others`, which are other instruments."""
    for version in earlier:
        yield from _version_errors(instrument, version)
    known = {item.link_id: (other, item) for other in others for item in other.items}
    for number, item in enumerate(instrument.items):
        other, same = known.get(item.link_id, (instrument, item))
        if item.response_set.values == same.response_set.values and _scored_values(item) != _scored_values(same):
            yield f"items.{number}", _contradiction(item, other, same)


def _version_errors(instrument: Instrument, earlier: Instrument) -> Iterator[FormatError]:
    """Scores of one scoring version are compared with each other, so the same answers must give the same score."""
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
    counts = {link_id: _scored_values(instrument.item(link_id)) for link_id in scale.items}
    table = scale.score_table.rows if scale.score_table else None
    return counts, scale.method, table, scale.bank, scale.missing.prorate_min_answered


def _scored_values(item: Item) -> dict[int, int]:
    return {value: item.scored_value(value) for value in item.response_set.values}


def _contradiction(item: Item, other: Instrument, same: Item) -> str:
    how = "is reversed" if same.reversed else "is recoded" if same.recode else "counts its code"
    return f"{item.link_id} {how} in {other.code}, and not here; give it another code if it is another question"
