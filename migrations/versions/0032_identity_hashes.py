"""Look-up hashes of the normal form of record numbers and of birth dates, and each site's rules of record numbers.

Hashes need the field keys, which no migration knows: `pro-tracker migrate` computes them after this step
(services/enrolment/identity_hashes.py). Rows that turn out to have one number keep it, marked by `shares_number`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

UNIQUE = "uq_identity_record_number_hash"
NUMBER_OF_ONE = sa.text("NOT shares_number")


def upgrade() -> None:
    with op.batch_alter_table("site") as site:
        site.add_column(sa.Column("number_pattern", sa.String(), nullable=False, server_default=""))
        site.add_column(sa.Column("number_example", sa.String(), nullable=False, server_default=""))
        site.add_column(sa.Column("number_width", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("identity") as identity:
        identity.drop_constraint(op.f(UNIQUE), type_="unique")
        identity.add_column(sa.Column("bare_number_hash", sa.LargeBinary(), nullable=True))
        identity.add_column(sa.Column("birth_date_hash", sa.LargeBinary(), nullable=True))
        identity.add_column(sa.Column("shares_number", sa.Boolean(), nullable=False, server_default=sa.false()))
    for column in ("record_number_hash", "bare_number_hash", "birth_date_hash"):
        op.create_index(op.f(f"ix_identity_{column}"), "identity", [column])
    op.create_index(
        "uq_identity_number_of_one",
        "identity",
        ["record_number_hash"],
        unique=True,
        postgresql_where=NUMBER_OF_ONE,
        sqlite_where=NUMBER_OF_ONE,
    )


def downgrade() -> None:
    # Earlier releases look numbers up as they were typed, and know no shared ones: a hash that nothing finds keeps
    # these rows apart until `migrate` of a newer release computes it again.
    shared = "UPDATE identity SET record_number_hash = {} WHERE shares_number"
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    own = "decode(replace(CAST(subject_id AS text), '-', ''), 'hex')" if is_postgresql else "CAST(subject_id AS BLOB)"
    op.execute(shared.format(own))
    op.drop_index("uq_identity_number_of_one", "identity")
    for column in ("birth_date_hash", "bare_number_hash", "record_number_hash"):
        op.drop_index(op.f(f"ix_identity_{column}"), "identity")
    with op.batch_alter_table("identity") as identity:
        identity.drop_column("shares_number")
        identity.drop_column("birth_date_hash")
        identity.drop_column("bare_number_hash")
        identity.create_unique_constraint(op.f(UNIQUE), ["record_number_hash"])
    with op.batch_alter_table("site") as site:
        site.drop_column("number_width")
        site.drop_column("number_example")
        site.drop_column("number_pattern")
