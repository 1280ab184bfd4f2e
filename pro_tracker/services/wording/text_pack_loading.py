"""Loads a clinic's licensed wording from files: all of it, matched to its instrument code by code, or nothing.

How files are read: wording_files.py. Loaded wording is in effect at once, for visits that have not begun.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from pro_tracker.db import is_postgresql
from pro_tracker.domain.errors import InvalidDataFile, InvalidInput
from pro_tracker.domain.instrument import Instrument
from pro_tracker.domain.record_codes import DefinitionKind
from pro_tracker.languages import patient_languages
from pro_tracker.models.definition import Definition
from pro_tracker.models.text_pack import LoadedTextPack
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.instruments.data_files import digest
from pro_tracker.services.instruments.instrument_checks import FormatError
from pro_tracker.services.wording import wording_files
from pro_tracker.services.wording.source_wording import SourceWording, WordingSource, missing_texts, normalise_text

VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,19}")


@dataclass(frozen=True, kw_only=True)
class TextPackFacts:
    """Facts that the clinic states about a file. Instrument and language are needed if the file does not name them."""

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


def load(
    session: Session, actor: Actor, paths: Sequence[Path], facts: TextPackFacts, *, now: datetime
) -> tuple[LoadResult, ...]:
    """Adds the wording in these files as new versions, one for each file but those that hold value sets alone.

    All or nothing, which the caller commits. Raises InvalidDataFile with every mismatch, its place beginning with the
    file; InvalidInput for unusable facts or a version that has other content; UnknownInstrument.
    """
    _check(facts)
    sources = wording_files.read(paths)
    if len(sources) > 1 and facts.instrument:
        raise InvalidInput("--instrument is for one file. Load files that do not tell their instrument one by one.")
    files = [_read_file(path, source, facts) for path, source in sources.items()]
    errors = [*chain.from_iterable(each.errors for each in files), *_repeated(files)]
    if errors:
        raise InvalidDataFile(*errors)
    return tuple(_load_file(session, actor, each, facts, now=now) for each in files)


@dataclass(frozen=True, slots=True)
class _ReadFile:
    """A file with the instrument and language that it words, and its errors, their places beginning with the file."""

    path: Path
    instrument: Instrument
    language: str
    given: SourceWording
    errors: tuple[FormatError, ...]


def _read_file(path: Path, source: WordingSource, facts: TextPackFacts) -> _ReadFile:
    instrument = _instrument(facts, path, source)
    language = _language(facts, path, source)
    given = source.wording(instrument, language)
    found = (*given.errors, *missing_texts(given, instrument, source.how_to_add))
    return _ReadFile(path, instrument, language, given, tuple(wording_files.in_file(path, found)))


def _repeated(files: Sequence[_ReadFile]) -> Iterator[FormatError]:
    """Yields an error for each file that words the same instrument in the same language as one before it."""
    first: dict[tuple[str, str], Path] = {}
    for each in files:
        known = first.setdefault((each.instrument.code, each.language), each.path)
        if known != each.path:
            reason = f"words {each.instrument.code} in {each.language!r}, as {known} does. Leave out one of them"
            yield str(each.path), reason


def _load_file(session: Session, actor: Actor, file: _ReadFile, facts: TextPackFacts, *, now: datetime) -> LoadResult:
    pack = _pack(file.instrument, file.language, facts, file.given)
    kept = _store(session, actor, pack, now)
    return LoadResult(kept, kept is pack, (*file.given.notes, *_advice(file.instrument, file.given)))


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


def _instrument(facts: TextPackFacts, path: Path, source: WordingSource) -> Instrument:
    code = facts.instrument or source.instrument
    if not code:
        raise InvalidInput(f"{path.name} does not name the instrument that it words: load it alone, with --instrument.")
    return instrument_catalog.instrument(code)


def _language(facts: TextPackFacts, path: Path, source: WordingSource) -> str:
    language = facts.language or source.language
    if not language:
        raise InvalidInput(f"{path.name} does not name its language: give --language.")
    require_language(language)
    if not source.has_language(language):
        reason = f"the file is in {source.language!r}, not in {language!r}"
        raise InvalidDataFile(*wording_files.in_file(path, [("language", reason)]))
    return language


def require_language(language: str) -> None:
    """Raises InvalidInput, which names the languages of patients, for any other."""
    known = patient_languages()
    if language not in known:
        raise InvalidInput(f"Patients are asked in {' or '.join(known)}: give one of them as the language.")


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
    return {
        "instrument_code": pack.instrument_code,
        "language": pack.language,
        "version": pack.version,
    }


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
    return [f"There is no instruction above the questions: each must name the recall period ({period}) itself."]
