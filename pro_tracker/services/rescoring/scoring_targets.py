"""Selects the version of an instrument that re-scores the answers to an earlier version. Reads data files only."""

from collections.abc import Sequence

from pro_tracker.domain.instrument import Instrument
from pro_tracker.services.instruments import instrument_catalog

AskedVersion = tuple[str, str]  # instrument code and version of a response
Targets = dict[AskedVersion, Instrument]


def targets(code: str | None = None) -> Targets:
    """The version that now scores the responses to each version of the instrument (None: of every instrument).

    Raises UnknownInstrument.
    """
    found: Targets = {}
    for each in _codes(code):
        for asked in instrument_catalog.versions(each):
            found[asked.code, asked.version] = _newest_compatible(asked)
    return found


def _codes(code: str | None) -> Sequence[str]:
    if code is None:
        return [instrument.code for instrument in instrument_catalog.instruments()]
    return [instrument_catalog.instrument(code).code]


def skip_reason(targets: Targets, code: str, version: str) -> str | None:
    """The reason why responses to this version do not get the instrument's newest scoring; None when they do."""
    if (code, version) not in targets:
        return f"there is no file of version {version}"
    newest = instrument_catalog.instrument(code)
    target = targets[code, version]
    if target.scoring_version == newest.scoring_version:
        return None
    return f"version {newest.version} asks other items or answer codes; scored with version {target.version}"


def _newest_compatible(asked: Instrument) -> Instrument:
    """The newest version with the same items and answer codes: only such a version can score these answers."""
    answer_codes = _answer_codes(asked)
    newest_first = reversed(instrument_catalog.versions(asked.code))
    return next(version for version in newest_first if _answer_codes(version) == answer_codes)


def _answer_codes(instrument: Instrument) -> dict[str, frozenset[int]]:
    """The answer codes of each item, by link_id."""
    codes: dict[str, frozenset[int]] = {}
    for item in instrument.items:
        codes[item.link_id] = frozenset(item.response_set.values)
    return codes
