"""The tables of the engine: rows hold ids, states, reason codes, counts and sealed bodies; nothing personal in clear.

One schema for SQLite and PostgreSQL; `migrations/` makes it. Instants are stored as naive UTC and read back aware.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC instant; naive datetimes are refused."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002 - the decorator's signature
        """Aware to naive UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored instant must know its time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002 - the decorator's signature
        """Naive UTC to aware."""
        return None if value is None else value.replace(tzinfo=UTC)


ACTIVE = "state IN ('ready', 'claimed', 'held', 'retry', 'unclear')"
IN_HAND = "state = 'claimed' AND stage IN ('encode', 'print', 'inspect')"

# --- intake -------------------------------------------------------------------------------------------------------
source_cursor = Table(
    "source_cursor",
    metadata,
    Column("source", String(20), primary_key=True),
    Column("records_after", String(200)),
    Column("cancellations_after", String(200)),
)

received_record = Table(
    "received_record",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("source", String(20), nullable=False),
    Column(
        "position",
        BigInteger().with_variant(Integer, "sqlite"),
        comment="place in the source's order, where the source tells it",
    ),
    Column("record_id", String(40)),
    Column("revision", Integer),
    Column("outcome", String(10), nullable=False),
    Column("failures", Text, nullable=False, server_default="[]", comment="JSON; never a value"),
    Column("received_at", UtcTime, nullable=False),
    UniqueConstraint("source", "position"),
    CheckConstraint("outcome IN ('accepted', 'rejected')", name="outcome"),
)
Index("ix_received_record_record_id_revision", received_record.c.record_id, received_record.c.revision)

source_message = Table(
    "source_message",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("source", String(20), nullable=False),
    Column("kind", String(10), nullable=False, comment="receipt or document"),
    Column("body", Text, nullable=False),
    Column("queued_at", UtcTime, nullable=False),
    Column("sent_at", UtcTime),
    Column("refused", String(40), comment="reason code where the source will never take it"),
)
Index(
    "ix_source_message_unsent",
    source_message.c.id,
    sqlite_where=text("sent_at IS NULL AND refused IS NULL"),
    postgresql_where=text("sent_at IS NULL AND refused IS NULL"),
)

# --- orders and jobs ----------------------------------------------------------------------------------------------
order = Table(
    "document_order",
    metadata,
    Column("record_id", String(40), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("document_type", String(40), nullable=False),
    Column("urgency", String(10), nullable=False),
    Column("withdrawn_at", UtcTime),
)

withdrawal = Table(
    "withdrawal",
    metadata,
    Column("record_id", String(40), primary_key=True, comment="also of a record that has not come (yet)"),
    Column("withdrawn_at", UtcTime, nullable=False),
)

job = Table(
    "job",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("record_id", ForeignKey("document_order.record_id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("profile_id", String(60)),
    Column("document_number", String(12), unique=True),
    Column("stage", String(10), nullable=False),
    Column("state", String(10), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("station", String(40)),
    Column("owner", String(80)),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("lease_until", UtcTime),
    Column("run_after", UtcTime, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0", comment="tries of the present stage"),
    Column("reason_code", String(60)),
    Column("created_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    UniqueConstraint("record_id", "revision", "attempt"),
    CheckConstraint(
        "state IN ('ready', 'claimed', 'held', 'retry', 'done', 'failed', 'cancelled', 'unclear')", name="state"
    ),
)
Index(
    "ix_job_one_active_per_order",
    job.c.record_id,
    unique=True,
    sqlite_where=text(ACTIVE),
    postgresql_where=text(ACTIVE),
)
Index(
    "ix_job_waiting",
    job.c.stage,
    job.c.priority,
    job.c.created_at,
    sqlite_where=text("state IN ('ready', 'retry', 'claimed')"),
    postgresql_where=text("state IN ('ready', 'retry', 'claimed')"),
)

Index(
    "ix_job_one_in_hand_per_station",
    job.c.station,
    unique=True,
    sqlite_where=text(IN_HAND),
    postgresql_where=text(IN_HAND),
)

job_step = Table(
    "job_step",
    metadata,
    Column("job_id", ForeignKey("job.id"), primary_key=True),
    Column("stage", String(10), primary_key=True),
    Column("result", Text, nullable=False, comment="JSON of ids, digests and counts"),
    Column("fence", Integer, nullable=False),
    Column("finished_at", UtcTime, nullable=False),
    Column("milliseconds", Integer, nullable=False),
)

intent = Table(
    "intent",
    metadata,
    Column("job_id", ForeignKey("job.id"), primary_key=True),
    Column("stage", String(10), primary_key=True),
    Column("effect_key", String(120), nullable=False),
    Column("fence", Integer, nullable=False),
    Column("stored_at", UtcTime, nullable=False),
)

fence_counter = Table(
    "fence_counter",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("last", Integer, nullable=False, comment="fences grow over all jobs, so that a terminal can compare them"),
)

number_range = Table(
    "number_range",
    metadata,
    Column("prefix", String(4), primary_key=True),
    Column("next_number", Integer, nullable=False),
)

# --- keys, certificates, sealed bodies ----------------------------------------------------------------------------
card_key = Table(
    "card_key",
    metadata,
    Column("job_id", ForeignKey("job.id"), primary_key=True),
    Column("slot", String(10), primary_key=True),
    Column("curve", String(20), nullable=False),
    Column("point", LargeBinary, nullable=False),
    Column("spki_sha256", String(64), nullable=False, unique=True, comment="never used again"),
    Column("wrapped", LargeBinary, comment="under the storage key; destroyed once the card is verified or spoiled"),
    Column("destroyed_at", UtcTime),
)

certificate = Table(
    "certificate",
    metadata,
    Column("serial", String(40), primary_key=True),
    Column("job_id", ForeignKey("job.id"), nullable=False),
    Column("slot", String(10), nullable=False),
    Column("profile_id", String(60), nullable=False),
    Column("issuer_label", String(80), nullable=False),
    Column("state", String(10), nullable=False),
    Column("state_since", UtcTime, nullable=False),
    Column("revocation_reason", String(40)),
    UniqueConstraint("job_id", "slot"),
    CheckConstraint("state IN ('intent', 'on-hold', 'good', 'revoked')", name="state"),
)

# owner_id: `record_id/revision` for the record itself, the job id for what a job made. (The comment that the database
# has is shorter; changing it would be a migration.)
sealed_body = Table(
    "sealed_body",
    metadata,
    Column("owner_id", String(60), primary_key=True, comment="record id or job id"),
    Column("kind", String(40), primary_key=True),
    Column("record_id", String(40), nullable=False, comment="whose data key opens it"),
    Column("revision", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False, comment="nonce 12 | AES-256-GCM ciphertext and tag"),
)

# --- blanks -------------------------------------------------------------------------------------------------------
blank = Table(
    "blank",
    metadata,
    Column("chip_serial", String(40), primary_key=True),
    Column("delivery", String(60), nullable=False),
    Column("stock_point", String(40), nullable=False),
    Column("state", String(10), nullable=False),
    Column("job_id", ForeignKey("job.id"), unique=True),
    Column("atr", String(80)),
    Column("cplc", String(120)),
    Column("lot", String(60)),
    Column("os_version", String(60)),
    Column("first_contact_at", UtcTime),
    CheckConstraint("state IN ('received', 'bound', 'good', 'spoiled')", name="state"),
)

posting = Table(
    "stock_posting",
    metadata,
    Column("movement", String(120), primary_key=True, comment="names the movement: the same one is never posted twice"),
    Column("account", String(60), primary_key=True),
    Column("quantity", Integer, nullable=False),
    Column("posted_at", UtcTime, nullable=False),
)

# --- audit --------------------------------------------------------------------------------------------------------
event_pending = Table(
    "event_pending",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("body", Text, nullable=False, comment="canonical JSON"),
)

audit_event = Table(
    "audit_event",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
)

audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    Column("seq", ForeignKey("audit_event.seq"), primary_key=True),
    Column("hash", String(64), nullable=False),
    Column("key_label", String(80), nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("signed_at", UtcTime, nullable=False),
)

# --- clients of the job API ----------------------------------------------------------------------------------------
client = Table(
    "client",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("role", String(20), nullable=False),
    Column("source", String(20), comment="whose records a document system hands over"),
    Column("created_at", UtcTime, nullable=False),
    Column("disabled_at", UtcTime),
    CheckConstraint("role IN ('document-system', 'operator', 'auditor')", name="role"),
    CheckConstraint("(role = 'document-system') = (source IS NOT NULL)", name="source"),
)

client_key = Table(
    "client_key",
    metadata,
    Column("kid", String(64), primary_key=True, comment="RFC 7638 thumbprint, or the certificate's SHA-256 in hex"),
    Column("client_id", ForeignKey("client.id"), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("public", LargeBinary, nullable=False, comment="DER: SubjectPublicKeyInfo or certificate"),
    Column("added_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
    CheckConstraint("kind IN ('jwt', 'certificate')", name="kind"),
)

client_assertion = Table(
    "client_assertion",
    metadata,
    Column("client_id", ForeignKey("client.id"), primary_key=True),
    Column("jti", String(64), primary_key=True, comment="SHA-256 in hex: an assertion is taken once"),
    Column("expires_at", UtcTime, nullable=False),
)

# --- the store that is never backed up ----------------------------------------------------------------------------
key_metadata = MetaData(naming_convention=metadata.naming_convention)

data_key = Table(
    "data_key",
    key_metadata,
    Column("record_id", String(40), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("wrapped", LargeBinary, comment="null once erased: with it goes every sealed body of the record"),
    Column("erased_at", UtcTime),
)
