"""Which wording is in force, which a visit began with, and which a response was asked with.

A clinic's loaded packs stand before the shipped files. text_pack_loading.py adds them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.orm import Session

from pro_tracker.domain.errors import NotFound, UnknownInstrument
from pro_tracker.domain.instrument import TextPack
from pro_tracker.domain.record_codes import DefinitionKind
from pro_tracker.models.definition import Definition
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.text_pack import LoadedTextPack
from pro_tracker.services.instruments import instrument_catalog, text_pack_format
from pro_tracker.services.instruments.text_pack_format import TextPackFile


@dataclass(frozen=True, slots=True, eq=False)
class WordingSnapshot:
    """All wording as it was in force at one moment; equal only to itself, so that a cache may be kept for it."""

    loaded: Mapping[tuple[str, str], TextPack]  # by instrument and language

    def pack(self, instrument_code: str, language: str) -> TextPack:
        """In this language ("es-MX" may use "es"), else in English; loaded before shipped. Raises NotFound."""
        for each in instrument_catalog.language_fallbacks(language):
            if (instrument_code, each) in self.loaded:
                return self.loaded[instrument_code, each]
            shipped = instrument_catalog.text_pack_from_file(instrument_code, each)
            if shipped is not None:
                return shipped
        return instrument_catalog.text_pack(instrument_code, language)  # says what is missing


@dataclass(frozen=True, slots=True)
class ListedTextPack:
    """A shipped or loaded pack, and whether visits begun now are asked with it."""

    pack: TextPack
    in_force: bool
    loaded_at: datetime | None = None  # None: shipped


SHIPPED = WordingSnapshot({})
# Every process keeps what it has read, by database and generation: a new pack is a new generation, so nothing is stale.
_read: WeakKeyDictionary[Engine | Connection, dict[int, WordingSnapshot]] = WeakKeyDictionary()


def as_of(session: Session, generation: int) -> WordingSnapshot:
    """The wording when `generation` was the id of the newest loaded pack; 0: as shipped.

    A loaded pack that no longer fits its instrument (the instrument has a new version) is left out.
    """
    if generation == 0:
        return SHIPPED
    known = _read.setdefault(session.get_bind(), {})
    if generation not in known:
        rows = session.scalars(
            select(LoadedTextPack).where(LoadedTextPack.id <= generation).order_by(LoadedTextPack.id)
        )
        packs = filter(matches_instrument, map(build_pack, rows))
        known[generation] = WordingSnapshot({(pack.instrument_code, pack.language): pack for pack in packs})
    return known[generation]


def in_force(session: Session) -> WordingSnapshot:
    """The wording that a visit begun now is asked with."""
    return as_of(session, session.scalar(select(func.max(LoadedTextPack.id))) or 0)


def pack_of_response(session: Session, instrument_code: str, language: str, version: str) -> TextPack:
    """The text pack that a response was asked with, as it then was: a file, a loaded pack, or a released file of old.

    `language` and `version` are the response's `language` and `text_pack_version`. Raises NotFound.
    """
    shipped = instrument_catalog.text_pack_from_file(instrument_code, language)
    if shipped is not None and shipped.version == version:
        return shipped
    row = session.scalar(
        select(LoadedTextPack).filter_by(instrument_code=instrument_code, language=language, version=version)
    )
    if row is not None:
        return build_pack(row)
    released = session.get(Definition, (DefinitionKind.TEXT_PACK, f"{instrument_code}.{language}", version))
    if released is not None:
        return TextPackFile.model_validate(released.body, strict=False).build()
    raise NotFound(f"No wording of {instrument_code} in {language!r}, version {version[:20]}, is kept here.")


def packs_in_use(session: Session) -> list[TextPack]:
    """Every text pack that answers were given to, by instrument, language and version."""
    response = QuestionnaireResponse
    key = (response.instrument_code, response.language, response.text_pack_version)
    return [pack_of_response(session, *row) for row in session.execute(select(*key).distinct().order_by(*key))]


def all_packs(session: Session, instrument_code: str | None = None) -> list[ListedTextPack]:
    """Every pack of one instrument, or of all: by instrument and language, shipped before loaded, oldest first."""
    wording = in_force(session)
    rows = session.scalars(select(LoadedTextPack).order_by(LoadedTextPack.id)).all()
    known = [
        *((pack, None) for pack in instrument_catalog.text_packs()),
        *((build_pack(row), row.loaded_at) for row in rows),
    ]
    selected = [each for each in known if instrument_code in (None, each[0].instrument_code)]
    selected.sort(key=lambda each: (each[0].instrument_code, each[0].language))
    return [ListedTextPack(pack, _is_in_force(wording, pack), loaded_at) for pack, loaded_at in selected]


def _is_in_force(wording: WordingSnapshot, pack: TextPack) -> bool:
    now = wording.pack(pack.instrument_code, pack.language)
    return (now.language, now.version) == (pack.language, pack.version)


def build_pack(row: LoadedTextPack) -> TextPack:
    """The loaded pack. What charts call its scales is nothing a patient reads and comes from the shipped pack."""
    return TextPack(
        instrument_code=row.instrument_code,
        language=row.language,
        version=row.version,
        validated=row.validated,
        title=row.body["title"],
        instruction=row.body["instruction"],
        items=row.body["items"],
        options={
            code: {int(value): label for value, label in labels.items()} for code, labels in row.body["options"].items()
        },
        scales=instrument_catalog.text_pack(row.instrument_code, row.language).scales,
        licence=f"{row.licence_holder}. Permission: {row.permission_reference}",
    )


def matches_instrument(pack: TextPack) -> bool:
    """Whether the pack words exactly the items and options of its instrument as it is now."""
    try:
        return not text_pack_format.errors(pack, instrument_catalog.instrument(pack.instrument_code))
    except UnknownInstrument:
        return False
