"""Wording that a clinic loads, and which wording a visit under way began with."""

import sqlalchemy as sa
from alembic import op

from pro_tracker.db import BigInt, Json, UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "text_pack",
        sa.Column("id", BigInt, nullable=False),
        sa.Column("instrument_code", sa.String(), nullable=False),
        sa.Column("instrument_version", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("validated", sa.Boolean(), nullable=False),
        sa.Column("licence_holder", sa.String(), nullable=False),
        sa.Column("permission_reference", sa.String(), nullable=False),
        sa.Column("body", Json, nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("loaded_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_text_pack")),
        sa.UniqueConstraint(
            "instrument_code", "language", "version", name=op.f("uq_text_pack_instrument_code_language_version")
        ),
    )
    op.add_column("visit_draft", sa.Column("text_generation", BigInt, server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("visit_draft", "text_generation")
    op.drop_table("text_pack")
