"""Loads a clinic's licensed wording from a file: all of it, matched to its instrument code by code, or nothing.

Formats: csv_source.py, fhir_source.py. Loaded wording is in force at once, for visits that have not begun.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from pro_tracker.db import is_postgresql
from pro_tracker.domain.errors import InvalidDataFile, InvalidInput
from pro_tracker.domain.instrument import Instrument
from pro_tracker.domain.languages import LANGUAGES
from pro_tracker.domain.record_codes import DefinitionKind
from pro_tracker.models.definition import Definition
from pro_tracker.models.text_pack import LoadedTextPack
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.instruments.data_files import digest, read_text
from pro_tracker.services.wording.csv_source import CsvSource
from pro_tracker.services.wording.fhir_source import FhirSource
from pro_tracker.services.wording.source_wording import SourceWording, WordingSource, missing_texts, normalise_text

MAX_BYTES = 4 * 1024 * 1024  # a form library's Questionnaire with its value sets takes some 100 KB
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,19}")


@dataclass(frozen=True, kw_only=True)
class TextPackFacts:
    """What the clinic states about a file. Instrument and language are needed if the file does not name them."""

    version: str
    validated: bool
    licence_holder: str
    permission_reference: str
    instrument: str = ""
    language: str = ""


@dataclass(frozen=True)
class LoadResult:
    """The outcome of loading a file. If not `is_new`, the same wording was loaded before and nothing was changed."""

    pack: LoadedTextPack
    is_new: bool
    notes: tuple[str, ...]


def load(session: Session, actor: Actor, path: Path, facts: TextPackFacts, *, now: datetime) -> LoadResult:
    """Adds the wording in this file as a new version. The caller commits.

    Raises InvalidDataFile with every mismatch, InvalidInput for unusable facts or a version that has other content,
    UnknownInstrument.
    """
    _check(facts)
    source = _source(path)
    instrument = _instrument(facts, source)
    language = _language(facts, source)
    given = source.wording(instrument, language)
    errors = [*given.errors, *missing_texts(given, instrument, source.how_to_add)]
    if errors:
        raise InvalidDataFile(*errors)
    pack = _pack(instrument, language, facts, given)
    kept = _store(session, actor, pack, now)
    return LoadResult(kept, kept is pack, (*given.notes, *_advice(instrument, given)))


def _store(session: Session, actor: Actor, pack: LoadedTextPack, now: datetime) -> LoadedTextPack:
    """Returns the stored row of this version: the existing one if its content is the same, else the new one."""
    if is_postgresql(session):
        # One load at a time, so that ids are committed in order: a reader of the newest id must see all before it.
        session.execute(text("LOCK TABLE text_pack IN SHARE ROW EXCLUSIVE MODE"))
    known = session.scalar(select(LoadedTextPack).filter_by(**_key(pack)))
    if known is None:
        _add(session, actor, pack, now)
        return pack
    if known.sha256 != pack.sha256:
        differences = _differences(known, pack)
        raise InvalidInput(
            f"Version {known.version} was loaded on {known.loaded_at:%Y-%m-%d} and differs in {differences}. "
            "A loaded version is never changed; load this one under another --version."
        )
    return known


def _check(facts: TextPackFacts) -> None:
    if not VERSION.fullmatch(facts.version):
        raise InvalidInput("A version has 1 to 20 letters, digits, dots or hyphens, such as 2.0 or 2026-11.")
    if not facts.licence_holder.strip():
        raise InvalidInput("Say who holds the rights to this wording: --holder.")
    if not facts.permission_reference.strip():
        raise InvalidInput("Say where the permission to use it is kept: --permission.")


def _source(path: Path) -> WordingSource:
    content = read_text(path, MAX_BYTES)
    is_json = content.lstrip().startswith(("{", "["))
    return FhirSource(content) if is_json else CsvSource(content)


def _instrument(facts: TextPackFacts, source: WordingSource) -> Instrument:
    code = facts.instrument or source.instrument
    if not code:
        raise InvalidInput("The file does not tell which instrument it words: give --instrument.")
    return instrument_catalog.instrument(code)


def _language(facts: TextPackFacts, source: WordingSource) -> str:
    language = facts.language or source.language
    if not language:
        raise InvalidInput("The file does not tell its language: give --language.")
    if language not in LANGUAGES:
        raise InvalidInput(f"Patients are asked in {' or '.join(LANGUAGES)}: give one of them as --language.")
    if not source.has_language(language):
        raise InvalidDataFile(("language", f"the file is in {source.language!r}, not in {language!r}"))
    return language


def _pack(instrument: Instrument, language: str, facts: TextPackFacts, given: SourceWording) -> LoadedTextPack:
    stated = {
        "validated": facts.validated,
        "licence_holder": normalise_text(facts.licence_holder),
        "permission_reference": normalise_text(facts.permission_reference),
        "body": {
            "title": given.title,
            "instruction": given.instruction,
            "items": given.items,
            "options": {code: _json_keys(labels) for code, labels in given.options.items()},
        },
    }
    return LoadedTextPack(
        instrument_code=instrument.code,
        instrument_version=instrument.version,
        language=language,
        version=facts.version,
        sha256=digest(stated),
        **stated,
    )


def _json_keys(labels: dict[int, str]) -> dict[str, str]:
    return {str(value): label for value, label in labels.items()}


def _key(pack: LoadedTextPack) -> dict[str, str]:
    return {"instrument_code": pack.instrument_code, "language": pack.language, "version": pack.version}


def _add(session: Session, actor: Actor, pack: LoadedTextPack, now: datetime) -> None:
    code, language, version = _key(pack).values()
    shipped = instrument_catalog.text_pack_from_file(code, language)
    is_shipped = shipped is not None and shipped.version == version
    released = session.get(Definition, (DefinitionKind.TEXT_PACK, f"{code}.{language}", version))
    if is_shipped or released is not None:
        raise InvalidInput(
            f"Version {version} is that of the wording shipped for {code} in {language!r}; give another."
        )
    pack.loaded_at = now
    session.add(pack)
    session.flush()
    detail: audit.Detail = {**_key(pack), "validated": pack.validated, "sha256": pack.sha256}
    audit.record(session, actor, "text_pack.load", now=now, detail=detail)


def _differences(known: LoadedTextPack, pack: LoadedTextPack) -> str:
    """Returns what differs between two packs, as words for an error message."""
    names = {
        "validated": "whether it is validated",
        "licence_holder": "the licence holder",
        "permission_reference": "the permission",
    }
    changed = [name for attribute, name in names.items() if getattr(known, attribute) != getattr(pack, attribute)]
    changed += [name for name in pack.body if known.body[name] != pack.body[name]]
    return ", ".join(changed)


def _advice(instrument: Instrument, given: SourceWording) -> list[str]:
    if given.instruction or instrument.recall_period is None:
        return []
    period = instrument.recall_period
    return [f"No instruction stands above the questions: each must name the recall period ({period}) itself."]
