"""An overview of the installation's instruments: versions, wording in effect, and the protocols that use them.

It is for staff pages and holds no data of subjects.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.orm import Session

from pro_tracker.domain.instrument import Instrument, Scale, TextPack
from pro_tracker.domain.protocol import Protocol
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.wording import text_packs
from pro_tracker.services.wording.text_packs import WordingSnapshot

# The verification text of a score table that was not compared with a published copy starts with this
# (docs/instrument-format.md).
RECOMPUTED_ONLY = "Recomputed only"


@dataclass(frozen=True, slots=True)
class LibraryPack:
    """One text pack in effect: `loaded` by the clinic, else from a data file."""

    text: TextPack
    loaded: bool


@dataclass(frozen=True, slots=True)
class LibraryEntry:
    """One instrument version with the codes of all versions, its wording, and the newest protocols that use it."""

    instrument: Instrument
    versions: tuple[str, ...]
    packs: tuple[LibraryPack, ...]
    used_by: tuple[Protocol, ...]

    @property
    def title(self) -> str:
        return self.instrument.title

    @property
    def recomputed_only(self) -> bool:
        return any(map(recomputed_only, self.instrument.scales))


def recomputed_only(scale: Scale) -> bool:
    """Returns whether a clinic should compare the scale's table with the publisher's manual before it relies on it."""
    return scale.verification.startswith(RECOMPUTED_ONLY)


def entries(session: Session) -> tuple[LibraryEntry, ...]:
    """Returns every instrument in its newest version, by title."""
    wording = text_packs.in_effect(session)
    found = [_entry(instrument, wording) for instrument in instrument_catalog.instruments()]
    found.sort(key=lambda entry: entry.title.casefold())
    return tuple(found)


def entry(session: Session, code: str, version: str | None = None) -> LibraryEntry:
    """Returns this version of the instrument, by default the newest. Raises UnknownInstrument."""
    instrument = instrument_catalog.instrument(code, version)
    wording = text_packs.in_effect(session)
    return _entry(instrument, wording)


def _entry(instrument: Instrument, wording: WordingSnapshot) -> LibraryEntry:
    code = instrument.code
    newest_first = reversed(instrument_catalog.versions(code))
    return LibraryEntry(
        instrument,
        versions=tuple(each.version for each in newest_first),
        packs=tuple(_packs(code, wording)),
        used_by=tuple(each for each in protocol_catalog.protocols() if code in each.instruments),
    )


def _packs(code: str, wording: WordingSnapshot) -> Iterator[LibraryPack]:
    loaded = {language for instrument_code, language in wording.loaded if instrument_code == code}
    languages = loaded.union(instrument_catalog.available_languages(code))
    for language in sorted(languages):
        text = wording.pack(code, language)
        yield LibraryPack(text, loaded=language in loaded)
