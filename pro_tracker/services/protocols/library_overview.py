"""The instruments that this installation has: their versions, wording in force, and the protocols that ask for them.

For staff to look up; nothing here is about a person.
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

# How the verification of a score table begins that was compared with no published copy (docs/instrument-format.md).
RECOMPUTED_ONLY = "Recomputed only"


@dataclass(frozen=True, slots=True)
class LibraryPack:
    """One text pack in force; `loaded` by the clinic, else a data file."""

    text: TextPack
    loaded: bool


@dataclass(frozen=True, slots=True)
class LibraryEntry:
    """One instrument version, what stands beside it, and the newest protocols that ask for it."""

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
    """Whether a clinic should compare the scale's table with the publisher's manual before it relies on it."""
    return scale.verification.startswith(RECOMPUTED_ONLY)


def entries(session: Session) -> tuple[LibraryEntry, ...]:
    """Every instrument in its newest version, by title."""
    wording = text_packs.in_force(session)
    found = (_entry(instrument, wording) for instrument in instrument_catalog.instruments())
    return tuple(sorted(found, key=lambda entry: entry.title.casefold()))


def entry(session: Session, code: str, version: str | None = None) -> LibraryEntry:
    """This version of the instrument, or its newest; raises UnknownInstrument."""
    return _entry(instrument_catalog.instrument(code, version), text_packs.in_force(session))


def _entry(instrument: Instrument, wording: WordingSnapshot) -> LibraryEntry:
    return LibraryEntry(
        instrument,
        versions=tuple(each.version for each in reversed(instrument_catalog.versions(instrument.code))),
        packs=tuple(_packs(instrument.code, wording)),
        used_by=tuple(each for each in protocol_catalog.protocols() if instrument.code in each.instruments),
    )


def _packs(code: str, wording: WordingSnapshot) -> Iterator[LibraryPack]:
    loaded = {language for instrument_code, language in wording.loaded if instrument_code == code}
    for language in sorted(loaded.union(instrument_catalog.available_languages(code))):
        yield LibraryPack(wording.pack(code, language), language in loaded)
