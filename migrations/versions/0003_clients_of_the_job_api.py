"""clients of the job API, their keys, and the assertions that were taken"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "client",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("source", sa.String(length=20), nullable=True, comment="whose records a document system hands over"),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("disabled_at", sa.DateTime(), nullable=True),
        sa.CheckConstraint("role IN ('document-system', 'operator', 'auditor')", name=op.f("ck_client_role")),
        sa.CheckConstraint("(role = 'document-system') = (source IS NOT NULL)", name=op.f("ck_client_source")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client")),
    )
    op.create_table(
        "client_key",
        sa.Column(
            "kid",
            sa.String(length=64),
            nullable=False,
            comment="RFC 7638 thumbprint, or the certificate's SHA-256 in hex",
        ),
        sa.Column("client_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=False, comment="DER: SubjectPublicKeyInfo or certificate"),
        sa.Column("added_at", sa.DateTime(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(), nullable=True),
        sa.CheckConstraint("kind IN ('jwt', 'certificate')", name=op.f("ck_client_key_kind")),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name=op.f("fk_client_key_client_id")),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_client_key")),
    )
    op.create_table(
        "client_assertion",
        sa.Column("client_id", sa.String(length=40), nullable=False),
        sa.Column("jti", sa.String(length=64), nullable=False, comment="SHA-256 in hex: an assertion is taken once"),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name=op.f("fk_client_assertion_client_id")),
        sa.PrimaryKeyConstraint("client_id", "jti", name=op.f("pk_client_assertion")),
    )


def downgrade() -> None:
    raise NotImplementedError("a centre's history is not taken back: restore a backup")
