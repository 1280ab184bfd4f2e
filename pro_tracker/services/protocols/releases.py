"""Releases data files: stores every version of a protocol, instrument, text pack or consent form as first used."""

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.domain.record_codes import DefinitionKind
from pro_tracker.models.definition import Definition
from pro_tracker.models.text_pack import LoadedTextPack
from pro_tracker.services import audit
from pro_tracker.services.instruments import instrument_catalog, item_parameters, released_files, released_instruments
from pro_tracker.services.instruments.data_files import canonical_text, digest, load_yaml
from pro_tracker.services.instruments.instrument_catalog import Problem
from pro_tracker.services.protocols import protocol_catalog, released_events
from pro_tracker.services.wording import consent_forms

CHANGED = (
    "changed under version {version}, which was released and stays in use as it was. Undo the change, or raise "
    "`version` and run pro-tracker migrate."
)
MISSING = (
    "version {version} was released and has no file any more. It is read from the database and goes on; to have its "
    "file again, put {name} back from a backup."
)
NO_KEY = "lacks its code, its version or another key that says what it is; pro-tracker check names it"
READERS: dict[DefinitionKind, Callable[[Path], object]] = {
    DefinitionKind.INSTRUMENT: instrument_catalog.read_instrument,
    DefinitionKind.TEXT_PACK: instrument_catalog.read_text_pack,
    DefinitionKind.PROTOCOL: protocol_catalog.read_protocol,
    DefinitionKind.CONSENT: consent_forms.read_form,
}


class DefinitionKey(NamedTuple):
    """The key of a released definition. The code of a text pack is "<instrument>.<language>"."""

    kind: DefinitionKind
    code: str
    version: str


@dataclass(frozen=True, slots=True)
class ReleaseResult:
    """The number of versions that were stored, and the files that were not, with the reason."""

    stored: int
    problems: tuple[Problem, ...]


def release(session: Session, *, now: datetime) -> ReleaseResult:
    """Stores every version that is not stored yet, and leaves out files with problems. The caller commits.

    A file whose content changed under a released version changes nothing: what was released stays in use. The events
    and scales of protocols become rows.
    """
    known = _released_digests(session)
    loaded = {_key_of_loaded(each) for each in session.scalars(select(LoadedTextPack))}
    new: list[Definition] = []
    problems: list[Problem] = []
    for path in _all_files():
        try:
            definition = _new_definition(path, known, loaded, now)
        except InvalidDataFile as error:
            problems += [Problem(str(path), key, reason) for key, reason in error.errors]
            continue
        if definition is not None:
            new.append(definition)
    _store(session, new, now)
    released_events.write_released(session)
    return ReleaseResult(len(new), tuple(problems))


def _new_definition(
    path: Path, known: dict[DefinitionKey, str], loaded: Collection[DefinitionKey], now: datetime
) -> Definition | None:
    """Returns the version of this file, to be stored; None if it is. Raises InvalidDataFile for one that cannot be.

    Adds it to the `known` hashes: two files may not have one version.
    """
    key, body = _read_file(path)
    found = digest(body)
    if known.get(key, found) != found:
        raise InvalidDataFile(("", CHANGED.format(version=key.version)))
    if key in loaded:
        raise InvalidDataFile(("", f"wording was loaded as version {key.version}. Raise `version`."))
    if key in known:
        return None
    _read(path, key.kind)
    known[key] = found
    stored = json.loads(canonical_text(body))  # plain JSON: YAML dates become text
    return Definition(**key._asdict(), sha256=found, body=stored, released_at=now)


def _read(path: Path, kind: DefinitionKind) -> None:
    """Raises InvalidDataFile with every error of the file: what is released is never checked again."""
    READERS[kind](path)


def _store(session: Session, new: list[Definition], now: datetime) -> None:
    if not new:
        return
    session.add_all(new)
    session.flush()
    _record(session, new, now)
    event.listen(session, "after_commit", lambda _: released_files.forget(), once=True)


def differences(session: Session) -> list[Problem]:
    """Returns what the data files say otherwise than what was released, and what has no file any more."""
    known = _released_digests(session)
    found: list[Problem] = []
    files = list(_readable())
    for path, key, sha256 in files:
        if known.get(key, sha256) != sha256:
            reason = CHANGED.format(version=key.version)
            found.append(Problem(str(path), "version", reason))
    seen = {key for _path, key, _sha256 in files}
    found += _without_file(known, seen)
    return found


def unreleased(session: Session) -> int:
    """Returns the number of files whose version is not released yet."""
    known = _released_digests(session)
    return sum(key not in known for _, key, _ in _readable())


def _readable() -> Iterator[tuple[Path, DefinitionKey, str]]:
    """Yields path, key and hash of each data file that can be read; the checks of the files report the others."""
    for path in _all_files():
        if path.is_file():
            with suppress(InvalidDataFile):
                yield path, *_key_and_digest(path, _stamp(path))


def _stamp(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Returns what changes when the file does, or a file of item parameters in its folder."""
    stamps: list[tuple[str, int, int]] = []
    parameters = path.parent.glob("*.csv")
    for file in (path, *sorted(parameters)):
        state = file.stat()
        stamps.append((file.name, state.st_mtime_ns, state.st_size))
    return tuple(stamps)


@lru_cache(maxsize=2000)
def _key_and_digest(path: Path, _stamp: object) -> tuple[DefinitionKey, str]:
    """Returns key and hash of the file, read again when its stamp changes: readiness asks every few seconds."""
    key, body = _read_file(path)
    return key, digest(body)


def _without_file(known: Collection[DefinitionKey], seen: Collection[DefinitionKey]) -> Iterator[Problem]:
    """Yields the released versions without a file. Of a text pack only the newest has one."""
    packs = {key.code for key in seen if key.kind == DefinitionKind.TEXT_PACK}
    missing = set(known).difference(seen)
    for key in sorted(missing):
        if key.kind == DefinitionKind.TEXT_PACK and key.code in packs:
            continue
        name = _file_name(key)
        reason = MISSING.format(version=key.version, name=name)
        yield Problem(f"{key.kind} {key.code}", "version", reason)


def _file_name(key: DefinitionKey) -> str:
    """Returns the names that a file of this version may have."""
    newest = f"{key.code}.yaml"
    if key.kind == DefinitionKind.TEXT_PACK:
        return newest
    return f"{newest} or {key.code}@{key.version}.yaml"


def _released_digests(session: Session) -> dict[DefinitionKey, str]:
    rows = session.scalars(select(Definition))
    digests: dict[DefinitionKey, str] = {}
    for each in rows:
        key = DefinitionKey(each.kind, each.code, each.version)
        digests[key] = each.sha256
    return digests


def _record(session: Session, new: list[Definition], now: datetime) -> None:
    released = [f"{each.kind}:{each.code}@{each.version}" for each in new]
    detail: audit.Detail = {"released": released}
    actor = audit.Actor(ActorKind.COMMAND, "migrate")
    audit.record(session, actor, "definitions.release", now=now, detail=detail)


def _all_files() -> list[Path]:
    return [*instrument_catalog.all_files(), *protocol_catalog.all_files(), *consent_forms.all_files()]


def _read_file(path: Path) -> tuple[DefinitionKey, dict[str, Any]]:
    """Returns key and content of a data file. Raises InvalidDataFile."""
    try:
        body = _content(path)
        return _key(body), body
    except (KeyError, TypeError):
        raise InvalidDataFile(("", NO_KEY)) from None


def _content(path: Path) -> dict[str, Any]:
    """Returns the file's content, with the item parameters of an adaptive test, on which its scores depend too."""
    body = load_yaml(path)
    if "adaptive" in body:
        name = body["adaptive"]["parameters"]
        body[released_instruments.PARAMETERS] = item_parameters.read(path.with_name(name))
    return body


def _key(body: dict[str, Any]) -> DefinitionKey:
    """Returns the key of a file; which kind of file it is follows from its keys."""
    version = body["version"]
    if "language" in body:
        code = f"{body['instrument']}.{body['language']}"
        return DefinitionKey(DefinitionKind.TEXT_PACK, code, version)
    return DefinitionKey(_kind(body), body["code"], version)


def _kind(body: dict[str, Any]) -> DefinitionKind:
    if "response_sets" in body:
        return DefinitionKind.INSTRUMENT
    return DefinitionKind.CONSENT if "purposes" in body else DefinitionKind.PROTOCOL


def _key_of_loaded(pack: LoadedTextPack) -> DefinitionKey:
    code = f"{pack.instrument_code}.{pack.language}"
    return DefinitionKey(DefinitionKind.TEXT_PACK, code, pack.version)
