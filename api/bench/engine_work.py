"""What a preparing worker of a benchmark does: whole batches, single stages, and the raw loops beside them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert

from api.bench.workbench import Bench, Spent, spend
from card_profiles.profile import profile_for
from hsm.ports import Hsm
from personalization.acceptance import open_job
from personalization.flow import AcceptedJob, JobState, KeyedJob, Stage
from personalization.preparing import BATCH_JOBS, Preparation
from personalization.processes import collect_seldom
from personalization.stages.certify import Certification
from personalization.stages.keys import make_keys
from personalization.store.jobs import claim
from personalization.store.tables import job, order, sealed_body
from pki.authorities import Authorities, load_authorities

WAITING_BODY_BYTES = 200
"""Stands for a sealed record: whoever looks one up walks the index, however large the bodies are."""
INSERT_ROWS = 5000


def prepare(bench: Bench, cards: int) -> Spent:
    """Accepted jobs to signed images, and their events numbered, chained and signed, all in this process."""
    from personalization.assembly import now, preparation
    from personalization.audit import number_and_sign

    def started() -> Preparation:
        made = preparation(bench.parts, bench.name)
        collect_seldom()  # as `preparing_process` does
        return made

    worker: Preparation = bench.keep("preparation", started)

    def work() -> int:
        made = 0
        while made < cards and (more := worker.run_once()):
            made += more
        number_and_sign(bench.parts.database, bench.parts.hsm, now())
        return made

    return spend(work)


def raw_loop(bench: Bench, cards: int) -> Spent:
    """The PKCS#11 calls of that many cards, in this process and session."""
    from hsm.raw_loop import raw_cards

    authorities = authorities_of(bench)
    wrapped: bytes = bench.keep("wrapped data key", lambda: bench.parts.hsm.new_data_key()[1])

    def work() -> int:
        raw_cards(
            bench.parts.hsm,
            cards,
            issuing=authorities.issuing.label,
            document_signer=authorities.document_signer.label,
            wrapped_data_key=wrapped,
        )
        return cards

    return spend(work)


def raw_signatures(bench: Bench, count: int) -> Spent:
    """Signatures with the issuing CA's key and nothing else."""
    from hsm.raw_loop import raw_signatures as sign

    label = authorities_of(bench).issuing.label

    def work() -> int:
        sign(bench.parts.hsm, label, count)
        return count

    return spend(work)


def issue(bench: Bench, cards: int) -> Spent:
    """Certificates for jobs whose keys are there: intent with own lint, signature, verification, storing; a count."""
    keyed = _keyed(bench, cards)
    certification: Certification = bench.keep("certification", lambda: _certification(bench))

    def work() -> int:
        certified = certification.certify(keyed, datetime.now(UTC))
        return sum(len(each.certificates) for each in certified)

    try:
        return spend(work)
    finally:
        bench.parts.vault.forget()


def add_waiting(bench: Bench, first: int, count: int) -> None:
    """`count` more jobs ready at stage `keys`, behind every one that is measured, by bulk insert."""
    profile = profile_for("eid-citizen", specimen=False)
    assert profile is not None  # noqa: S101 - published with the product
    later = datetime.now(UTC) + timedelta(days=1)
    for begin in range(first, first + count, INSERT_ROWS):
        numbers = range(begin, min(begin + INSERT_ROWS, first + count))
        ids = {number: f"VMIS-2026-{number:07d}" for number in numbers}
        with bench.parts.database.begin() as connection:
            connection.execute(
                insert(order),
                [
                    {"record_id": each, "revision": 1, "document_type": "eid-citizen", "urgency": "standard"}
                    for each in ids.values()
                ],
            )
            connection.execute(
                insert(job),
                [
                    {
                        "id": f"{each}-r1-a1",
                        "record_id": each,
                        "revision": 1,
                        "attempt": 1,
                        "profile_id": profile.id,
                        "document_number": f"W{number:07d}",
                        "stage": Stage.KEYS,
                        "state": JobState.READY,
                        "priority": 3,
                        "run_after": datetime.now(UTC),
                        "created_at": later,
                    }
                    for number, each in ids.items()
                ],
            )
            connection.execute(
                insert(sealed_body),
                [
                    {
                        "owner_id": f"{each}/1",
                        "kind": "record",
                        "record_id": each,
                        "revision": 1,
                        "body": bytes(WAITING_BODY_BYTES),
                    }
                    for each in ids.values()
                ],
            )


def _keyed(bench: Bench, cards: int) -> Sequence[KeyedJob]:
    hsm: Hsm = bench.parts.hsm
    made: list[KeyedJob] = []
    while len(made) < cards:
        accepted = claim_and_open(bench, Stage.KEYS, min(BATCH_JOBS, cards - len(made)))
        if not accepted:
            break
        made += make_keys(bench.parts.database, hsm, accepted, datetime.now(UTC))
    return made


def claim_and_open(bench: Bench, stage: Stage, limit: int) -> Sequence[AcceptedJob]:
    """The next ready jobs of a stage with their records; a job that was claimed before is not taken again."""
    database = bench.parts.database
    # A name of its own for every claim: a worker is given back what it has claimed itself.
    owner = f"{bench.name}-{bench.count('claims')}"
    with database.begin() as connection:
        refs = claim(connection, stage=stage, owner=owner, limit=limit, now=database.now(connection))
    with database.reading() as connection:
        return tuple(open_job(connection, bench.parts.vault, ref) for ref in refs)


def _certification(bench: Bench) -> Certification:
    return Certification(
        database=bench.parts.database,
        vault=bench.parts.vault,
        signer=bench.parts.hsm,
        randomness=bench.parts.hsm,
        authorities=authorities_of(bench),
    )


def authorities_of(bench: Bench) -> Authorities:
    """The line's authorities, loaded once."""
    loaded: Authorities = bench.keep("authorities", lambda: load_authorities(bench.settings.authorities))
    return loaded
