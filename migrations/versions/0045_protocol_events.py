"""The events and scales of released protocols, as rows."""

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

KEY = ("protocol_code", "protocol_version", "event_code")
RELEASED = sa.text("SELECT kind, code, version, body FROM definition WHERE kind IN ('protocol', 'instrument')")
Row = dict[str, Any]


def upgrade() -> None:
    events = op.create_table(
        "protocol_event",
        *(sa.Column(name, sa.String(), nullable=False) for name in KEY),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("anchor", sa.String(), nullable=False),
        sa.Column("is_optional", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint(*KEY, name=op.f("pk_protocol_event")),
    )
    scale_key = (*KEY, "instrument_code", "scale_code")
    scales = op.create_table(
        "protocol_scale",
        *(sa.Column(name, sa.String(), nullable=False) for name in scale_key),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(*scale_key, name=op.f("pk_protocol_scale")),
        sa.ForeignKeyConstraint(
            KEY,
            [f"protocol_event.{name}" for name in KEY],
            name=op.f("fk_protocol_scale_protocol_code_protocol_version_event_code"),
        ),
    )
    protocols, instruments = _released()
    for protocol in protocols:
        for number, event in enumerate(protocol["events"], start=1):
            key = dict(zip(KEY, (protocol["code"], protocol["version"], event["code"]), strict=True))
            optional = event.get("optional", False)
            op.bulk_insert(events, [{**key, "number": number, "anchor": event["anchor"], "is_optional": optional}])
            op.bulk_insert(scales, list(_scale_rows(key, event["battery"], instruments)))


def downgrade() -> None:
    op.drop_table("protocol_scale")
    op.drop_table("protocol_event")


def _released() -> tuple[list[Row], dict[str, list[str]]]:
    """The bodies of all protocols, and instrument code -> its scales: those of the newest version, then older ones."""
    protocols: list[Row] = []
    instruments: dict[str, dict[str, None]] = {}
    found = list(op.get_bind().execute(RELEASED))
    for kind, code, _version, stored in sorted(found, key=_version_order, reverse=True):
        body = json.loads(stored) if isinstance(stored, str) else stored
        if kind == "protocol":
            protocols.append(body)
            continue
        instruments.setdefault(code, {}).update(dict.fromkeys(scale["code"] for scale in body["scales"]))
    return protocols, {code: list(scales) for code, scales in instruments.items()}


def _version_order(row: Any) -> tuple[int, ...]:
    return tuple(int(part) for part in row.version.split("."))


def _scale_rows(key: Row, battery: list[str], instruments: dict[str, list[str]]) -> Iterator[Row]:
    position = 0
    for instrument in battery:
        for scale in instruments.get(instrument, ()):
            position += 1
            yield {**key, "instrument_code": instrument, "scale_code": scale, "position": position}
