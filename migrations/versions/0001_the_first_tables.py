"""the first tables"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "audit_event",
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_event")),
        sa.UniqueConstraint("hash", name=op.f("uq_audit_event_hash")),
    )
    op.create_table(
        "document_order",
        sa.Column("record_id", sa.String(length=40), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("document_type", sa.String(length=40), nullable=False),
        sa.Column("urgency", sa.String(length=10), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_document_order")),
    )
    op.create_table(
        "event_pending",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("body", sa.Text(), nullable=False, comment="canonical JSON"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_pending")),
    )
    op.create_table(
        "fence_counter",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "last",
            sa.Integer(),
            nullable=False,
            comment="fences grow over all jobs, so that a terminal can compare them",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fence_counter")),
    )
    op.create_table(
        "number_range",
        sa.Column("prefix", sa.String(length=4), nullable=False),
        sa.Column("next_number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("prefix", name=op.f("pk_number_range")),
    )
    op.create_table(
        "received_record",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("source", sa.String(length=20), nullable=False),
        sa.Column(
            "position", sa.Integer(), nullable=True, comment="place in the source's order, where the source tells it"
        ),
        sa.Column("record_id", sa.String(length=40), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("failures", sa.Text(), server_default="[]", nullable=False, comment="JSON; never a value"),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint("outcome IN ('accepted', 'rejected')", name=op.f("ck_received_record_outcome")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_received_record")),
        sa.UniqueConstraint("source", "position", name=op.f("uq_received_record_source_position")),
    )
    with op.batch_alter_table("received_record", schema=None) as batch_op:
        batch_op.create_index("ix_received_record_record_id_revision", ["record_id", "revision"], unique=False)

    op.create_table(
        "sealed_body",
        sa.Column("owner_id", sa.String(length=60), nullable=False, comment="record id or job id"),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("record_id", sa.String(length=40), nullable=False, comment="whose data key opens it"),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="nonce 12 | AES-256-GCM ciphertext and tag"),
        sa.PrimaryKeyConstraint("owner_id", "kind", name=op.f("pk_sealed_body")),
    )
    op.create_table(
        "source_cursor",
        sa.Column("source", sa.String(length=20), nullable=False),
        sa.Column("records_after", sa.String(length=200), nullable=True),
        sa.Column("cancellations_after", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_source_cursor")),
    )
    op.create_table(
        "source_message",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("source", sa.String(length=20), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False, comment="receipt or document"),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("queued_at", sa.DateTime(), nullable=False),
        sa.Column("sent_at", sa.DateTime(), nullable=True),
        sa.Column(
            "refused", sa.String(length=40), nullable=True, comment="reason code where the source will never take it"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source_message")),
    )
    with op.batch_alter_table("source_message", schema=None) as batch_op:
        batch_op.create_index(
            "ix_source_message_unsent",
            ["id"],
            unique=False,
            sqlite_where=sa.text("sent_at IS NULL AND refused IS NULL"),
            postgresql_where=sa.text("sent_at IS NULL AND refused IS NULL"),
        )

    op.create_table(
        "stock_posting",
        sa.Column(
            "movement",
            sa.String(length=120),
            nullable=False,
            comment="names the movement: the same one is never posted twice",
        ),
        sa.Column("account", sa.String(length=60), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("posted_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("movement", "account", name=op.f("pk_stock_posting")),
    )
    op.create_table(
        "audit_checkpoint",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("key_label", sa.String(length=80), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("signed_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["seq"], ["audit_event.seq"], name=op.f("fk_audit_checkpoint_seq")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_checkpoint")),
    )
    op.create_table(
        "job",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("record_id", sa.String(length=40), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("profile_id", sa.String(length=60), nullable=True),
        sa.Column("document_number", sa.String(length=12), nullable=True),
        sa.Column("stage", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("station", sa.String(length=40), nullable=True),
        sa.Column("owner", sa.String(length=80), nullable=True),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.DateTime(), nullable=True),
        sa.Column("run_after", sa.DateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False, comment="tries of the present stage"),
        sa.Column("reason_code", sa.String(length=60), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.CheckConstraint(
            "state IN ('ready', 'claimed', 'held', 'retry', 'done', 'failed', 'cancelled', 'unclear')",
            name=op.f("ck_job_state"),
        ),
        sa.ForeignKeyConstraint(["record_id"], ["document_order.record_id"], name=op.f("fk_job_record_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("document_number", name=op.f("uq_job_document_number")),
        sa.UniqueConstraint("record_id", "revision", "attempt", name=op.f("uq_job_record_id_revision_attempt")),
    )
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.create_index(
            "ix_job_one_active_per_order",
            ["record_id"],
            unique=True,
            sqlite_where=sa.text("state IN ('ready', 'claimed', 'held', 'retry', 'unclear')"),
            postgresql_where=sa.text("state IN ('ready', 'claimed', 'held', 'retry', 'unclear')"),
        )
        batch_op.create_index(
            "ix_job_waiting",
            ["stage", "priority", "created_at"],
            unique=False,
            sqlite_where=sa.text("state IN ('ready', 'retry', 'claimed')"),
            postgresql_where=sa.text("state IN ('ready', 'retry', 'claimed')"),
        )

    op.create_table(
        "blank",
        sa.Column("chip_serial", sa.String(length=40), nullable=False),
        sa.Column("delivery", sa.String(length=60), nullable=False),
        sa.Column("stock_point", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("job_id", sa.String(length=40), nullable=True),
        sa.Column("atr", sa.String(length=80), nullable=True),
        sa.Column("cplc", sa.String(length=120), nullable=True),
        sa.Column("lot", sa.String(length=60), nullable=True),
        sa.Column("os_version", sa.String(length=60), nullable=True),
        sa.Column("first_contact_at", sa.DateTime(), nullable=True),
        sa.CheckConstraint("state IN ('received', 'bound', 'good', 'spoiled')", name=op.f("ck_blank_state")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_blank_job_id")),
        sa.PrimaryKeyConstraint("chip_serial", name=op.f("pk_blank")),
        sa.UniqueConstraint("job_id", name=op.f("uq_blank_job_id")),
    )
    op.create_table(
        "card_key",
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("slot", sa.String(length=10), nullable=False),
        sa.Column("curve", sa.String(length=20), nullable=False),
        sa.Column("point", sa.LargeBinary(), nullable=False),
        sa.Column("spki_sha256", sa.String(length=64), nullable=False, comment="never used again"),
        sa.Column(
            "wrapped",
            sa.LargeBinary(),
            nullable=True,
            comment="under the storage key; destroyed once the card is verified or spoiled",
        ),
        sa.Column("destroyed_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_card_key_job_id")),
        sa.PrimaryKeyConstraint("job_id", "slot", name=op.f("pk_card_key")),
        sa.UniqueConstraint("spki_sha256", name=op.f("uq_card_key_spki_sha256")),
    )
    op.create_table(
        "certificate",
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("slot", sa.String(length=10), nullable=False),
        sa.Column("profile_id", sa.String(length=60), nullable=False),
        sa.Column("issuer_label", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("state_since", sa.DateTime(), nullable=False),
        sa.Column("revocation_reason", sa.String(length=40), nullable=True),
        sa.CheckConstraint("state IN ('intent', 'on-hold', 'good', 'revoked')", name=op.f("ck_certificate_state")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_certificate_job_id")),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_certificate")),
        sa.UniqueConstraint("job_id", "slot", name=op.f("uq_certificate_job_id_slot")),
    )
    op.create_table(
        "intent",
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("stage", sa.String(length=10), nullable=False),
        sa.Column("effect_key", sa.String(length=120), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("stored_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_intent_job_id")),
        sa.PrimaryKeyConstraint("job_id", "stage", name=op.f("pk_intent")),
    )
    op.create_table(
        "job_step",
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("stage", sa.String(length=10), nullable=False),
        sa.Column("result", sa.Text(), nullable=False, comment="JSON of ids, digests and counts"),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_job_step_job_id")),
        sa.PrimaryKeyConstraint("job_id", "stage", name=op.f("pk_job_step")),
    )


def downgrade() -> None:
    raise NotImplementedError("a centre's history is not taken back: restore a backup")
