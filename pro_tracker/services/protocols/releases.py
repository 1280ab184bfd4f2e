"""Releases data files: stores every version of a protocol, instrument or text pack as it was first used."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.domain.record_codes import DefinitionKind
from pro_tracker.models.definition import Definition
from pro_tracker.models.text_pack import LoadedTextPack
from pro_tracker.services import audit
from pro_tracker.services.instruments import instrument_catalog, item_parameters
from pro_tracker.services.instruments.data_files import canonical_text, digest, load_yaml
from pro_tracker.services.protocols import protocol_catalog


class DefinitionKey(NamedTuple):
    """The key of a released definition. The code of a text pack is "<instrument>.<language>"."""

    kind: DefinitionKind
    code: str
    version: str


def release(session: Session, *, now: datetime) -> int:
    """Stores every version that is not stored yet. Returns how many there were. The caller commits.

    Raises InvalidDataFile for a file whose content changed under a version in use, which would change the meaning of
    earlier answers.
    """
    known = _released_digests(session)
    loaded = {_key_of_loaded(each) for each in session.scalars(select(LoadedTextPack))}
    new = []
    for path, key, body in _bodies():
        found = digest(body)
        if known.get(key, found) != found:
            reason = f"changed under version {key.version}, which is in use. Undo it, or raise `version`."
            raise InvalidDataFile((path.name, reason))
        if key in loaded:
            raise InvalidDataFile((path.name, f"wording was loaded as version {key.version}. Raise `version`."))
        if key not in known:
            known[key] = found
            stored = json.loads(canonical_text(body))  # plain JSON: YAML dates become text
            new.append(Definition(**key._asdict(), sha256=found, body=stored, released_at=now))
    session.add_all(new)
    if new:
        session.flush()
        _record(session, new, now)
    return len(new)


def _released_digests(session: Session) -> dict[DefinitionKey, str]:
    rows = session.scalars(select(Definition))
    return {DefinitionKey(each.kind, each.code, each.version): each.sha256 for each in rows}


def _record(session: Session, new: list[Definition], now: datetime) -> None:
    released = [f"{each.kind}:{each.code}@{each.version}" for each in new]
    actor = audit.Actor(ActorKind.COMMAND, "migrate")
    audit.record(session, actor, "definitions.release", now=now, detail={"released": released})


def _bodies() -> Iterator[tuple[Path, DefinitionKey, dict[str, Any]]]:
    for path in (*instrument_catalog.all_files(), *protocol_catalog.all_files()):
        body = _content(path)
        yield path, _key(body), body


def _content(path: Path) -> dict[str, Any]:
    """Returns the file's content, with the item parameters of an adaptive test, on which its scores depend too."""
    body = load_yaml(path)
    if "adaptive" in body:
        body["item_parameters"] = item_parameters.read(path.with_name(body["adaptive"]["parameters"]))
    return body


def _key(body: dict[str, Any]) -> DefinitionKey:
    """Returns the key of a file; which kind of file it is follows from its keys."""
    version = body["version"]
    if "language" in body:
        code = f"{body['instrument']}.{body['language']}"
        return DefinitionKey(DefinitionKind.TEXT_PACK, code, version)
    kind = DefinitionKind.INSTRUMENT if "response_sets" in body else DefinitionKind.PROTOCOL
    return DefinitionKey(kind, body["code"], version)


def _key_of_loaded(pack: LoadedTextPack) -> DefinitionKey:
    return DefinitionKey(DefinitionKind.TEXT_PACK, f"{pack.instrument_code}.{pack.language}", pack.version)
