"""Which version of an instrument re-scores the answers that an earlier version asked for. Reads data files only."""

from pro_tracker.domain.instrument import Instrument
from pro_tracker.services.instruments import instrument_catalog

Asked = tuple[str, str]  # instrument code and version that a response was asked with
Targets = dict[Asked, Instrument]


def targets(code: str | None = None) -> Targets:
    """What each version of the instrument (None: of every one) is scored with now; raises UnknownInstrument."""
    codes = (
        [each.code for each in instrument_catalog.instruments()]
        if code is None
        else [instrument_catalog.instrument(code).code]
    )
    return {
        (asked.code, asked.version): _newest(asked) for each in codes for asked in instrument_catalog.versions(each)
    }


def why_not(targets: Targets, code: str, version: str) -> str | None:
    """Why responses to this version do not get the instrument's newest scoring; None when they do."""
    if (code, version) not in targets:
        return f"there is no file of version {version}"
    newest, target = instrument_catalog.instrument(code), targets[code, version]
    if target.scoring_version == newest.scoring_version:
        return None
    return f"version {newest.version} asks other items or answer codes; scored with version {target.version}"


def _newest(asked: Instrument) -> Instrument:
    """The newest version that asks the same items with the same answer codes: only it can read these answers."""
    return [each for each in instrument_catalog.versions(asked.code) if _codes(each) == _codes(asked)][-1]


def _codes(instrument: Instrument) -> dict[str, frozenset[int]]:
    return {item.link_id: frozenset(item.response_set.values) for item in instrument.items}
