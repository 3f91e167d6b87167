"""What must be true of every trial in which the worker came to its end: the accounts of one order."""

import traceback

from tests.chaos.failing_chip import BLANKS, Result


def check_accounts(result: Result) -> None:
    """A verified card; every other blank spoiled or left; one good pair; no number twice; no key blob left.

    Raises `AssertionError`.
    """
    assert result.error is None, result.error
    assert result.halt is None
    # 1. One document, and only it, is done; every one before it failed for a reason.
    *failed, made = result.jobs
    assert made["state"] == "done"
    assert all(job["state"] == "failed" and job["reason"] for job in failed)
    # 2. Its pair is on hold until it is handed over; every other pair is revoked.
    states = {(job_id, state) for job_id, _, state in result.pairs}
    assert states == {(made["id"], "on-hold"), *((job["id"], "revoked") for job in failed)}
    assert len(result.pairs) == 2 * len(result.jobs)
    # 3. No number twice; no private key left anywhere but on the card.
    assert len({job["number"] for job in result.jobs}) == len(result.jobs)
    assert set(result.key_blobs.values()) == {0}
    # 4. The ledger: received = good + spoiled + left; one card for each job that touched one.
    assert result.received == BLANKS == result.good + result.spoiled + result.left
    assert result.good == 1
    assert result.spoiled == sum(1 for state, _ in result.blanks.values() if state == "spoiled") <= len(failed)
    assert [job_id for state, job_id in result.blanks.values() if state == "good"] == [made["id"]]
    # 5. The trays hold what the ledger says.
    by_state = {state: sorted(s for s, (is_in, _) in result.blanks.items() if is_in == state)
                for state in ("good", "spoiled", "received", "bound")}  # fmt: skip
    assert result.places["good"] == by_state["good"]
    assert result.places["reject"] == by_state["spoiled"]
    assert result.places["hopper"] == by_state["received"]
    assert result.places["position"] == by_state["bound"] == []
    # 6. Nothing was printed twice.
    assert len(set(result.printed)) == len(result.printed)


def broken(results: list[Result]) -> dict[str, str]:
    """Trials whose accounts are wrong, and how."""
    found = {}
    for result in results:
        try:
            check_accounts(result)
            assert len(result.struck) == 1, "the fault did not strike"
        except AssertionError as error:
            line = traceback.extract_tb(error.__traceback__)[-1].line
            found[result.name] = f"{line}: {error or result}"
    return found
