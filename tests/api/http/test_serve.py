"""`perso serve` as a process: the HSM behind a door of its own, TLS with client certificates, known callers alone."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.cli import main
from api.client_keys import key_from_pem
from api.commands.serve import refuse_strangers
from api.failure import CommandFailed
from personalization.store.database import Database
from tests.api.http.certificates import self_signed
from tests.api.http.in_process import JSON, NDJSON, SigningKey, assertion, form, problem, public_pem, signing_key
from tests.api.http.test_api_page import PAGE
from tests.personalization.engine.made_up import sample

PERSO = Path(sys.executable).with_name("perso")
CEREMONY = Path(__file__).resolve().parents[3] / "pki" / "ceremonies" / "specimen.toml"
CHILD = "PADIS-2026-0000003"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - refused

pytestmark = [pytest.mark.services, pytest.mark.timeout(120)]


def perso(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(PERSO), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=100)


@dataclass
class Running:
    url: str
    state: Path
    process: "subprocess.Popen[str]"

    def acceptance(self) -> int:
        """The process id of the acceptance process."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        (found,) = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        return found


def make_state(directory: Path) -> Path:
    """A state with a token and its keys; no card was ever made in it."""
    done = perso("ceremony", CEREMONY, "--state", directory, "--json")
    assert done.returncode == 0, done.stderr
    return directory


def register_padis(state: Path, key: SigningKey) -> None:
    (state.parent / "padis.pem").write_bytes(public_pem(key))
    done = perso(
        "clients", "add", "padis", "--role", "document-system", "--source", "padis",
        "--key", state.parent / "padis.pem", "--state", state, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def key() -> SigningKey:
    """The key of padis, registered by command wherever something is served."""
    return signing_key()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Path:
    """For tests that start a service of their own."""
    made = make_state(tmp_path_factory.mktemp("serve") / "state")
    register_padis(made, key)
    return made


@pytest.fixture(scope="module")
def client_certificate(state: Path) -> tuple[Path, Path]:
    """The certificate of an auditor, registered by command."""
    files = self_signed(state.parent, "auditor")
    done = perso(
        "clients", "add", "auditor", "--role", "auditor", "--certificate", files[0], "--state", state
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return files


@contextmanager
def serving(state: Path, *more: object) -> Iterator[Running]:
    process = subprocess.Popen(
        [str(PERSO), "serve", "--state", str(state), "--port", "0", "--json", *map(str, more)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield Running(json.loads(line)["url"], state, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, process.stderr.read()
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def bearer(client: httpx.Client, key: SigningKey, jti: str) -> dict[str, str]:
    signed = assertion(
        key, key_from_pem(public_pem(key)).kid, "padis", at=datetime.now(UTC),
        aud=f"{str(client.base_url).rstrip('/')}/v1/token", jti=jti,
    )  # fmt: skip
    answer = client.post("/v1/token", data=form(signed))
    assert answer.status_code == 200, answer.text
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


def until(seconds: float, ask: Any) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := ask()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Iterator[Running]:
    """One service on loopback, with a state of its own, for several tests."""
    made = make_state(tmp_path_factory.mktemp("served") / "state")
    register_padis(made, key)
    with serving(made) as running:
        yield running


# --- on loopback --------------------------------------------------------------------------------------------------
def test_records_are_pushed_and_followed_and_the_door_is_opened_again(served: Running, key: SigningKey) -> None:
    with httpx.Client(base_url=served.url, timeout=30) as client:
        problem(client.get("/v1/jobs"), "unauthorized")
        caller = bearer(client, key, "loopback")
        first = client.post("/v1/records", content=json.dumps(sample()), headers=caller | JSON)
        assert first.status_code == 201, first.text
        assert "server" not in first.headers

        # Events get their numbers though no clerk runs.
        def accepted() -> bool:
            events = client.get("/v1/events?wait=2", headers=caller).json()["events"]
            return "record.accepted" in {event["kind"] for event in events}

        assert until(5, accepted)

        # The process with the HSM is killed: 503 until there is another, and nothing is lost or made twice.
        os.kill(served.acceptance(), signal.SIGKILL)
        second = json.dumps(sample(revision=2))
        answer = client.post("/v1/records", content=second, headers=caller | JSON)
        if answer.status_code != 201:
            problem(answer, "acceptance-away")

        def taken() -> bool:
            return client.post("/v1/records", content=second, headers=caller | JSON).status_code in (200, 201)

        assert until(20, taken)
        jobs = client.get(f"/v1/jobs?record_id={CHILD}", headers=caller).json()["jobs"]
        assert [(job["id"], job["state"]) for job in jobs] == [
            (f"{CHILD}-r1-a1", "cancelled"), (f"{CHILD}-r2-a1", "ready"),
        ]  # fmt: skip
    log = (served.state / "perso.log").read_text()
    assert "padis POST /v1/records 201" in log
    holder = sample()["holder"]
    for value in (holder["surname"], holder["personal_code"], CHILD, caller["authorization"][7:]):
        assert value not in log


def test_a_bulk_is_answered_while_it_still_comes_in(served: Running, key: SigningKey) -> None:
    """The answers to the first batch are there before the last lines are sent."""
    with httpx.Client(base_url=served.url, timeout=30) as client:
        caller = bearer(client, key, "bulk")
        host, port = served.url.removeprefix("http://").split(":")
        with (
            socket.create_connection((host, int(port)), timeout=20) as connection,
            connection.makefile("rb") as answers,
        ):
            head = "".join(f"{name}: {value}\r\n" for name, value in (caller | NDJSON).items())
            connection.sendall(
                f"POST /v1/records HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n{head}\r\n".encode()
            )
            connection.sendall(_chunk(b"[]\n" * 50))
            assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
            while answers.readline() != b"\r\n":
                continue
            assert len(answers.read(int(answers.readline(), 16)).splitlines()) == 50
            answers.readline()
            connection.sendall(_chunk(b"[]\n") + b"0\r\n\r\n")
            (line,) = answers.read(int(answers.readline(), 16)).splitlines()
            assert json.loads(line)["line"] == 51


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_the_shell_of_the_page_works(served: Running, tmp_path: Path) -> None:
    """docs/api.md, from the key pair to the events, as it stands there."""
    make_keys, register, get_token, hand_over, follow = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "record.json").write_text(json.dumps(sample("PADIS-2026-0000002")))
    (tmp_path / "records.ndjson").write_text(json.dumps(sample("PADIS-2026-0000002")) + "\n[]\n")
    registered = register.strip().replace("--state DIR", f"--state {served.state} --json")
    script = f"""set -eu
perso() {{ {PERSO} "$@"; }}
{make_keys}
KID=$({registered} | sed -n 's/.*"kid": "\\(.*\\)".*/\\1/p')
URL={served.url}
{get_token}
{hand_over}
{follow}
"""
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"outcome":"accepted"' in done.stdout
    assert '"line": 1, "outcome": "accepted"' in done.stdout
    assert '"line": 2, "outcome": "rejected"' in done.stdout
    assert '"kind":"record.accepted"' in done.stdout


def test_what_is_not_http_is_a_problem(served: Running) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    for text in (b"HELLO\r\n\r\n", b"GET /v1/jobs HTTP/1.1\r\nx: " + b"y" * 20_000 + b"\r\n\r\n"):
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(text)
            answer = connection.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 400")
            assert b"urn:eid-perso:problem:malformed-request" in answer


def test_a_second_service_on_one_state_is_refused(served: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--state", str(served.state), "--port", "0"]) == 1
    assert "another `perso serve`" in capsys.readouterr().err


def test_a_waiting_call_ends_with_the_service(state: Path, key: SigningKey) -> None:
    with serving(state) as running, httpx.Client(base_url=running.url, timeout=30) as client:
        host, port = running.url.removeprefix("http://").split(":")
        authorization = bearer(client, key, "waiting")["authorization"]
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(
                f"GET /v1/events?after=999999&wait=30 HTTP/1.1\r\nhost: {host}\r\n"
                f"authorization: {authorization}\r\n\r\n".encode()
            )
            time.sleep(0.5)
            running.process.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            assert b'{"events":[]' in connection.makefile("rb").read()
            assert time.monotonic() - begun < 15


# --- over TLS -----------------------------------------------------------------------------------------------------
def test_a_registered_certificate_is_a_caller_and_no_other_is(
    state: Path, key: SigningKey, client_certificate: tuple[Path, Path]
) -> None:
    server = self_signed(state.parent, "server", usage=None)
    with serving(state, "--tls-certificate", server[0], "--tls-key", server[1]) as running:
        assert running.url.startswith("https://")

        def calls(certificate: tuple[Path, Path] | None = None) -> httpx.Client:
            context = ssl.create_default_context(cafile=str(server[0]))
            if certificate is not None:
                context.load_cert_chain(certificate[0], certificate[1])
            return httpx.Client(base_url=running.url, verify=context, timeout=30)

        with calls(client_certificate) as auditor:
            assert auditor.get("/v1/jobs").status_code == 200
            problem(auditor.post(f"/v1/jobs/{CHILD}-r1-a1/hold"), "forbidden")
            problem(auditor.get("/v1/jobs", headers={"authorization": "Bearer x"}), "unauthorized")
        with calls() as nobody:
            problem(nobody.get("/v1/jobs"), "unauthorized")
            caller = bearer(nobody, key, "tls")
            assert nobody.get("/v1/jobs", headers=caller).status_code == 200
        with calls(self_signed(state.parent, "stranger")) as stranger, pytest.raises(httpx.TransportError):
            stranger.get("/v1/jobs")

        # Registered while the server runs, and revoked while it runs.
        late = self_signed(state.parent, "late")
        done = perso("clients", "add", "late", "--role", "operator", "--certificate", late[0], "--state", state)
        assert done.returncode == 0, done.stderr

        def known() -> bool:
            with calls(late) as newcomer:
                try:
                    return newcomer.get("/v1/jobs").status_code == 200
                except httpx.TransportError:
                    return False

        assert until(15, known)
        with calls(late) as newcomer:
            assert newcomer.get("/v1/jobs").status_code == 200
            assert perso("clients", "revoke", "late", "--state", state).returncode == 0
            problem(newcomer.get("/v1/jobs"), "unauthorized")


# --- who may listen where -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--host", EVERYWHERE), "--tls-certificate"),
        (("--host", "::"), "--tls-certificate"),
        (("--host", "192.0.2.1"), "--tls-certificate"),
        (("--host", "no.such.name.invalid"), "no address"),
        (("--tls-certificate", "x.pem"), "go together"),
        (("--tls-certificate", "/dev/null", "--tls-key", "/dev/null"), "not a PEM certificate"),
    ],
)
def test_where_it_does_not_listen(
    state: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], sentence: str
) -> None:
    assert main(["serve", "--state", str(state), *more]) == 1
    assert sentence in capsys.readouterr().err


def test_a_port_that_is_taken_is_a_sentence(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert main(["serve", "--state", str(state), "--port", str(other.getsockname()[1])]) == 1
    assert "cannot listen" in capsys.readouterr().err


def test_off_this_machine_it_takes_tls_and_a_registered_client(database: Database) -> None:
    with pytest.raises(CommandFailed, match="no client is registered"):
        refuse_strangers(EVERYWHERE, tls=True, database=database)
    refuse_strangers("127.0.0.1", tls=False, database=database)
    refuse_strangers("localhost", tls=False, database=database)


def test_beside_every_address_it_needs_a_name(state: Path, key: SigningKey, capsys: pytest.CaptureFixture[str]) -> None:
    certificate, private = map(str, self_signed(state.parent, "wildcard", usage=None))
    tls = ["--tls-certificate", certificate, "--tls-key", private]
    assert main(["serve", "--state", str(state), "--host", EVERYWHERE, "--port", "0", *tls]) == 1
    assert "--url" in capsys.readouterr().err
