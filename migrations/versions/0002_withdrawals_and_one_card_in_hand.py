"""withdrawals known before their record; one card in hand at a station; positions as large as a source may count"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

IN_HAND = sa.text("state = 'claimed' AND stage IN ('encode', 'print', 'inspect')")


def upgrade() -> None:
    op.create_table(
        "withdrawal",
        sa.Column(
            "record_id", sa.String(length=40), nullable=False, comment="also of a record that has not come (yet)"
        ),
        sa.Column("withdrawn_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_withdrawal")),
    )
    op.execute(
        "INSERT INTO withdrawal (record_id, withdrawn_at)"
        " SELECT record_id, withdrawn_at FROM document_order WHERE withdrawn_at IS NOT NULL"
    )
    op.create_index(
        "ix_job_one_in_hand_per_station",
        "job",
        ["station"],
        unique=True,
        sqlite_where=IN_HAND,
        postgresql_where=IN_HAND,
    )
    if op.get_bind().dialect.name != "sqlite":  # SQLite's integers have 64 bits whatever they are called
        op.alter_column(
            "received_record",
            "position",
            existing_type=sa.Integer(),
            type_=sa.BigInteger(),
            existing_comment="place in the source's order, where the source tells it",
        )


def downgrade() -> None:
    raise NotImplementedError("a centre's history is not taken back: restore a backup")
