"""Releases data files: every version of a protocol, instrument or text pack is kept as it first came into use."""

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
    """What a released body is known by; a text pack's code is "<instrument>.<language>"."""

    kind: DefinitionKind
    code: str
    version: str


def release(session: Session, *, now: datetime) -> int:
    """Keep every version that is not kept yet; returns how many.

    Raises InvalidDataFile for a file whose content changed under a version in use: earlier answers would change their
    meaning.
    """
    known = {
        DefinitionKey(each.kind, each.code, each.version): each.sha256 for each in session.scalars(select(Definition))
    }
    loaded = {_key_of_loaded(each) for each in session.scalars(select(LoadedTextPack))}
    new = []
    for path, key, body in _bodies():
        found = digest(body)
        if known.get(key, found) != found:
            raise InvalidDataFile(
                (path.name, f"changed under version {key.version}, which is in use. Undo it, or raise `version`.")
            )
        if key in loaded:
            raise InvalidDataFile((path.name, f"wording was loaded as version {key.version}. Raise `version`."))
        if key not in known:
            known[key] = found
            new.append(
                Definition(**key._asdict(), sha256=found, body=json.loads(canonical_text(body)), released_at=now)
            )
    session.add_all(new)
    if new:
        session.flush()
        released = [f"{each.kind}:{each.code}@{each.version}" for each in new]
        audit.record(
            session,
            audit.Actor(ActorKind.COMMAND, "migrate"),
            "definitions.release",
            now=now,
            detail={"released": released},
        )
    return len(new)


def _bodies() -> Iterator[tuple[Path, DefinitionKey, dict[str, Any]]]:
    for path in (*instrument_catalog.all_files(), *protocol_catalog.all_files()):
        body = _content(path)
        yield path, _key(body), body


def _content(path: Path) -> dict[str, Any]:
    """The file; with the item parameters of an adaptive test, since its scores depend on them as on a score table."""
    body = load_yaml(path)
    if "adaptive" in body:
        body["item_parameters"] = item_parameters.read(path.with_name(body["adaptive"]["parameters"]))
    return body


def _key(body: dict[str, Any]) -> DefinitionKey:
    if "language" in body:
        return DefinitionKey(DefinitionKind.TEXT_PACK, f"{body['instrument']}.{body['language']}", body["version"])
    kind = DefinitionKind.INSTRUMENT if "response_sets" in body else DefinitionKind.PROTOCOL
    return DefinitionKey(kind, body["code"], body["version"])


def _key_of_loaded(pack: LoadedTextPack) -> DefinitionKey:
    return DefinitionKey(DefinitionKind.TEXT_PACK, f"{pack.instrument_code}.{pack.language}", pack.version)
