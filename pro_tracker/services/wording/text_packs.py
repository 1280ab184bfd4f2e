"""Looks up wording: what is in effect, what a visit began with, and what a response was asked with.

A clinic's loaded packs take precedence over the shipped files. text_pack_loading.py adds them.
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
    """All wording that was in effect at one time. It is equal to itself only, so that it can be a cache key."""

    loaded: Mapping[tuple[str, str], TextPack]  # by instrument and language

    def pack(self, instrument_code: str, language: str) -> TextPack:
        """Returns the wording in this language ("es-MX" may use "es"), else in English. Raises NotFound.

        In each language a loaded pack takes precedence over a shipped one.
        """
        for each in instrument_catalog.language_fallbacks(language):
            if (instrument_code, each) in self.loaded:
                return self.loaded[instrument_code, each]
            shipped = instrument_catalog.text_pack_from_file(instrument_code, each)
            if shipped is not None:
                return shipped
        return instrument_catalog.text_pack(instrument_code, language)  # raises, and says what is missing


@dataclass(frozen=True, slots=True)
class ListedTextPack:
    """A shipped or loaded pack, and whether visits that begin now are asked with it."""

    pack: TextPack
    in_effect: bool
    loaded_at: datetime | None = None  # None: shipped


SHIPPED = WordingSnapshot({})
# A cache of each process, by database and generation. It is never stale: a new pack makes a new generation.
_read: WeakKeyDictionary[Engine | Connection, dict[int, WordingSnapshot]] = WeakKeyDictionary()


def as_of(session: Session, generation: int) -> WordingSnapshot:
    """Returns the wording in effect when `generation` was the id of the newest loaded pack; 0: as shipped.

    A loaded pack that does not match its instrument any more (a newer version has other items) is left out.
    """
    if generation == 0:
        return SHIPPED
    known = _read.setdefault(session.get_bind(), {})
    if generation not in known:
        up_to = select(LoadedTextPack).where(LoadedTextPack.id <= generation)
        rows = session.scalars(up_to.order_by(LoadedTextPack.id))
        packs = filter(matches_instrument, map(build_pack, rows))
        # In the order of their ids, so the newest pack of an instrument and language replaces the earlier ones.
        newest = {(pack.instrument_code, pack.language): pack for pack in packs}
        known[generation] = WordingSnapshot(newest)
    return known[generation]


def in_effect(session: Session) -> WordingSnapshot:
    """Returns the wording that a visit beginning now is asked with."""
    newest = select(func.max(LoadedTextPack.id))
    newest_id = session.scalar(newest)
    return as_of(session, newest_id or 0)


def pack_of_response(session: Session, instrument_code: str, language: str, version: str) -> TextPack:
    """Returns the text pack that a response was asked with: a shipped file, a loaded pack, or a former shipped file.

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
    """Returns every text pack that stored responses were asked with, by instrument, language and version."""
    response = QuestionnaireResponse
    key = (response.instrument_code, response.language, response.text_pack_version)
    used = {tuple(row) for row in session.execute(select(*key).distinct())}
    mixed = select(response.instrument_code, response.wordings).where(response.wordings.is_not(None))
    for instrument_code, wordings in session.execute(mixed):
        asked = (wordings or {}).values()
        used |= {(instrument_code, language, version) for language, version, _validated in asked}
    return [pack_of_response(session, *key) for key in sorted(used)]


def all_packs(session: Session, instrument_code: str | None = None) -> list[ListedTextPack]:
    """Returns every pack of one instrument, or of all.

    Sorted by instrument and language; within these the shipped pack first, then the loaded ones, oldest first.
    """
    wording = in_effect(session)
    shipped = instrument_catalog.text_packs()
    known = [ListedTextPack(pack, _is_in_effect(wording, pack)) for pack in shipped]
    oldest_first = select(LoadedTextPack).order_by(LoadedTextPack.id)
    for row in session.scalars(oldest_first):
        pack = build_pack(row)
        known.append(ListedTextPack(pack, _is_in_effect(wording, pack), row.loaded_at))
    selected = [each for each in known if instrument_code in (None, each.pack.instrument_code)]
    return sorted(selected, key=_instrument_and_language)


def _instrument_and_language(listed: ListedTextPack) -> tuple[str, str]:
    return listed.pack.instrument_code, listed.pack.language


def _is_in_effect(wording: WordingSnapshot, pack: TextPack) -> bool:
    now = wording.pack(pack.instrument_code, pack.language)
    return (now.language, now.version) == (pack.language, pack.version)


def build_pack(row: LoadedTextPack) -> TextPack:
    """Returns the text pack of a row. What it does not have comes from the shipped pack.

    That is the titles of scales, which patients never see, and the questions about emergencies.
    """
    options = {code: _int_keys(labels) for code, labels in row.body["options"].items()}
    shipped = instrument_catalog.text_pack(row.instrument_code, row.language)
    return TextPack(
        instrument_code=row.instrument_code,
        language=row.language,
        version=row.version,
        validated=row.validated,
        title=row.body["title"],
        instruction=row.body["instruction"],
        items=row.body["items"],
        options=options,
        scales=shipped.scales,
        emergencies=shipped.emergencies,
        licence=f"{row.licence_holder}. Permission: {row.permission_reference}",
    )


def _int_keys(labels: Mapping[str, str]) -> dict[int, str]:
    return {int(value): label for value, label in labels.items()}  # JSON has text keys only


def matches_instrument(pack: TextPack) -> bool:
    """Returns whether the pack has exactly the items and options of its instrument's newest version."""
    try:
        return not text_pack_format.errors(pack, instrument_catalog.instrument(pack.instrument_code))
    except UnknownInstrument:
        return False
