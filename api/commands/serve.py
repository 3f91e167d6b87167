"""`perso serve`: the job API over HTTP."""

import argparse
import fcntl
import functools
import ipaddress
import json
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from api.clients import list_clients
from api.commands.opened_state import add_state_options, opened_state
from api.commands.terminal import console, plain
from api.failure import CommandFailed
from personalization.store.database import Database, create_key_store, upgrade

if TYPE_CHECKING:
    from api.http.server import ClientCertificates

DEFAULT_PORT = 8440
BACKLOG = 128


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = commands.add_parser("serve", help="the job API for document systems and operators", allow_abbrev=False)
    add_state_options(parser)
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (default 127.0.0.1)")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, metavar="N", help=f"default {DEFAULT_PORT}; 0: any")
    parser.add_argument("--tls-certificate", type=Path, metavar="FILE", help="PEM chain; with it, mTLS is possible")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key, PEM")
    parser.add_argument("--url", metavar="URL", help="how clients know this server, where not by address and port")
    parser.set_defaults(command=command)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError("a number from 0 to 65535")
    return int(text)


def command(options: argparse.Namespace) -> int:
    """Serve until asked to end."""
    from api.http.running import serve  # with it FastAPI, which no other command waits for

    if (options.tls_certificate is None) != (options.tls_key is None):
        raise CommandFailed("--tls-certificate and --tls-key go together")
    with opened_state(options) as opened:
        upgrade(opened.database_url)
        create_key_store(opened.directory.key_store_url)
        refuse_strangers(options.host, tls=options.tls_certificate is not None, database=opened.database)
        tls = _tls(options)
        with alone(opened.directory.locks), listening(options.host, options.port) as bound:
            url = options.url or own_url(bound, options.host, tls=tls is not None)
            served = serve(opened, tls, bound, url, functools.partial(_say_ready, url, as_json=options.json))
    return 0 if served else 1


def _say_ready(url: str, *, as_json: bool) -> None:
    if as_json:
        json.dump({"url": url}, sys.stdout)
        sys.stdout.write("\n")
    else:
        console().print(plain(f"serving {url}/v1 (Ctrl-C ends it)"), soft_wrap=True)
    sys.stdout.flush()


@contextmanager
def alone(locks: Path) -> Iterator[None]:
    """One service for a state: a second one would wait for the acceptance process's name. Raises `CommandFailed`."""
    with (locks / "serve.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandFailed("another `perso serve` works on this state") from None
        yield


def refuse_strangers(host: str, *, tls: bool, database: Database) -> None:
    """Off this machine only with TLS and known callers. Raises `CommandFailed`."""
    if is_loopback(host):
        return
    if not tls:
        raise CommandFailed(
            f"--host {host} can be reached from other machines: give --tls-certificate and --tls-key, or listen on "
            "127.0.0.1 behind a proxy of your own"
        )
    if not any(key.revoked_at is None for client in list_clients(database) for key in client.keys):
        raise CommandFailed(
            f"--host {host} can be reached from other machines, and no client is registered: "
            "`perso clients add ID --role ROLE --key PUBLIC.pem` registers one"
        )


def is_loopback(host: str) -> bool:
    """Whether an address is reachable from this machine alone; a name is only where every address of it is."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        raise CommandFailed(f"--host: {host} is no address of this machine") from None
    return all(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_loopback for entry in found)


def listening(host: str, port: int) -> socket.socket:
    """A socket bound to the address. Raises `CommandFailed`."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CommandFailed(f"cannot listen on {host} port {port}: {error.strerror}") from None


def own_url(bound: socket.socket, host: str, *, tls: bool) -> str:
    """How clients reach this server. Raises `CommandFailed` where it listens on every address."""
    if ipaddress.ip_address(bound.getsockname()[0]).is_unspecified:
        raise CommandFailed("--host names every address: say with --url how clients know this server")
    name = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{name}:{bound.getsockname()[1]}"


def _tls(options: argparse.Namespace) -> "ClientCertificates | None":
    if options.tls_certificate is None:
        return None
    from api.http.server import ClientCertificates

    try:
        return ClientCertificates(options.tls_certificate, options.tls_key)
    except ssl.SSLError:
        raise CommandFailed("--tls-certificate and --tls-key: not a PEM certificate and its private key") from None
