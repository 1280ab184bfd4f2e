"""Writes the events, scales and consent forms of protocols as rows, which figures and files are read by.

Rows are added and never changed: a released version stays as it is. Where an instrument has a scale in a newer version
only, its rows are added when that version is released.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.db import Base, insert_into
from pro_tracker.domain.protocol import Protocol, StudyEvent
from pro_tracker.domain.record_codes import DefinitionKind
from pro_tracker.models.definition import Definition
from pro_tracker.models.protocol_event import ProtocolConsent, ProtocolEvent, ProtocolScale
from pro_tracker.services.instruments import instrument_catalog, released_files
from pro_tracker.services.protocols.protocol_format import ProtocolFile

ScaleCodes = Mapping[str, Sequence[str]]  # instrument code -> the codes of its scales, in order
Rows = Iterable[dict[str, Any]]


def write_released(session: Session) -> None:
    """Writes the rows of every released protocol that are not stored yet. Safe to repeat."""
    scale_codes = _released_scales(session)
    for body in _released_bodies(session, DefinitionKind.PROTOCOL):
        protocol = ProtocolFile.model_validate(body, strict=False).build()
        _write(session, protocol, scale_codes)


def write_unreleased(session: Session, protocol: Protocol) -> None:
    """Writes the rows of a protocol that a course follows while data files count, before anything is released."""
    if released_files.find(DefinitionKind.PROTOCOL, protocol.code, protocol.version) is not None:
        return
    instruments = map(instrument_catalog.instrument, protocol.instruments)
    scale_codes = {each.code: [scale.code for scale in each.scales] for each in instruments}
    _write(session, protocol, scale_codes)


def _released_bodies(session: Session, kind: DefinitionKind) -> list[dict[str, Any]]:
    """Returns the files of this kind, every version of them, the newest first."""
    found = session.scalars(select(Definition).where(Definition.kind == kind)).all()
    newest_first = sorted(found, key=_version_order, reverse=True)
    return [each.body for each in newest_first]


def _version_order(definition: Definition) -> tuple[int, ...]:
    return released_files.version_order(definition.version)


def _released_scales(session: Session) -> ScaleCodes:
    """Returns the scales of each instrument: those of its newest version, then others that older versions have."""
    found: dict[str, dict[str, None]] = {}
    for body in _released_bodies(session, DefinitionKind.INSTRUMENT):
        codes = [scale["code"] for scale in body["scales"]]
        found.setdefault(body["code"], {}).update(dict.fromkeys(codes))
    return {code: list(scales) for code, scales in found.items()}


def _write(session: Session, protocol: Protocol, scale_codes: ScaleCodes) -> None:
    _insert_missing(session, ProtocolEvent, (_event_row(protocol, event) for event in protocol.events))
    _insert_missing(session, ProtocolScale, chain.from_iterable(_scale_rows(protocol, scale_codes)))
    _insert_missing(session, ProtocolConsent, _consent_rows(protocol))


def _insert_missing(session: Session, table: type[Base], rows: Rows) -> None:
    values = list(rows)
    if values:
        insert = insert_into(session, table, values)
        session.execute(insert.on_conflict_do_nothing())


def _key(protocol: Protocol, event: StudyEvent) -> dict[str, Any]:
    return {"protocol_code": protocol.code, "protocol_version": protocol.version, "event_code": event.code}


def _consent_rows(protocol: Protocol) -> Iterator[dict[str, Any]]:
    if protocol.consent:
        yield {
            "protocol_code": protocol.code,
            "protocol_version": protocol.version,
            "form_code": protocol.consent,
        }


def _event_row(protocol: Protocol, event: StudyEvent) -> dict[str, Any]:
    key = _key(protocol, event)
    return {**key, "number": event.number, "anchor": event.anchor, "is_optional": event.optional}


def _scale_rows(protocol: Protocol, scale_codes: ScaleCodes) -> Iterator[list[dict[str, Any]]]:
    """Yields the rows of each event, in the order of its battery."""
    for event in protocol.events:
        key = _key(protocol, event)
        rows: list[dict[str, Any]] = []
        for instrument in event.battery:
            for scale in scale_codes.get(instrument, ()):
                rows.append({**key, "instrument_code": instrument, "scale_code": scale, "position": len(rows) + 1})
        yield rows
