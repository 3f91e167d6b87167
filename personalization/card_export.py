"""What is known of one card, opened for QA: faces, certificates, data groups, report. Every export is an event."""

from datetime import datetime

from sqlalchemy import select

from card_profiles.image import image_from_bytes
from personalization.audit import Event, record_events
from personalization.store.database import Database
from personalization.store.sealing import Vault
from personalization.store.tables import job

KINDS = {
    "face": "face.pdf",
    "certificate.auth": "auth.cer",
    "certificate.sign": "sign.cer",
    "report": "inspection.json",
    "report-page": "inspection.html",
}


def export_files(
    database: Database, vault: Vault, job_id: str, chip_serial: str, *, actor: str, now: datetime
) -> dict[str, bytes]:
    """File name -> content. The event is committed before anything is opened. Raises `DataErased`, `SealBroken`."""
    with database.begin() as connection:
        record_id = connection.execute(select(job.c.record_id).where(job.c.id == job_id)).scalar_one()
        record_events(connection, Event("card.exported", now, actor, record_id, job_id, chip_serial))
    with database.reading() as connection:
        bodies = vault.open(connection, job_id, (*KINDS, "image"))
    files = {name: bodies[kind] for kind, name in KINDS.items() if kind in bodies}
    if "image" in bodies:
        for application in image_from_bytes(bodies["image"]).applications:
            for file in application.files:
                files[f"{application.name}-{file.fid:04X}-{file.name}.bin"] = file.content
    return files
