"""`perso clients add|list|revoke`: the machine clients of the job API and their keys."""

import argparse
from dataclasses import asdict
from pathlib import Path

from api.client_keys import ClientKey, certificate_from_pem, key_from_pem
from api.clients import ClientEntry, Role, add_client, list_clients, revoke_client
from api.commands.opened_state import add_state_options, opened_state
from api.commands.terminal import PlainTable, console, plain, print_json
from personalization.assembly import now
from personalization.store.database import upgrade


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the commands."""
    group = commands.add_parser("clients", help="who may call the job API").add_subparsers(
        required=True, metavar="ACTION"
    )
    add = group.add_parser("add", help="register a client, or one more key of a client", allow_abbrev=False)
    add.add_argument("id", metavar="ID", help="the client's id (iss and sub of its assertions)")
    add.add_argument("--role", type=Role, choices=list(Role), required=True, help="what it may do")
    add.add_argument("--source", metavar="NAME", help="whose records it hands over (role document-system)")
    proof = add.add_mutually_exclusive_group(required=True)
    proof.add_argument("--key", type=Path, metavar="PUBLIC.pem", help="public key for private_key_jwt")
    proof.add_argument("--certificate", type=Path, metavar="CERT.pem", help="client certificate for mTLS")
    add_state_options(add)
    add.set_defaults(command=add_one)
    listed = group.add_parser("list", help="clients and keys", allow_abbrev=False)
    add_state_options(listed)
    listed.set_defaults(command=list_all)
    revoke = group.add_parser("revoke", help="a client for good, or one key of it", allow_abbrev=False)
    revoke.add_argument("id", metavar="ID")
    revoke.add_argument("--kid", metavar="K", help="only this key")
    add_state_options(revoke)
    revoke.set_defaults(command=revoke_one)


def add_one(options: argparse.Namespace) -> int:
    """Register; says the name of the key, which the client puts into the header of its assertions."""
    key = _key(options)
    with opened_state(options) as opened:
        upgrade(opened.database_url)
        add_client(opened.database, options.id, options.role, options.source, key, now=now())
    if options.json:
        print_json({"client": options.id, "role": options.role, "source": options.source, "kid": key.kid})
        return 0
    console().print(plain(f"{options.id} ({options.role}) is known by its {key.kind} key {key.kid}"), soft_wrap=True)
    return 0


def list_all(options: argparse.Namespace) -> int:
    """Every client with every key it ever had."""
    with opened_state(options) as opened:
        upgrade(opened.database_url)
        clients = list_clients(opened.database)
    if options.json:
        print_json({"clients": [_as_json(client) for client in clients]})
        return 0
    table = PlainTable("client", "role", "source", "kind", "key", "since", "revoked")
    for client in clients:
        for key in client.keys:
            ended = key.revoked_at or client.disabled_at
            table.row(
                client.id, client.role, client.source, key.kind, key.kid, f"{key.added_at:%Y-%m-%d}",
                f"{ended:%Y-%m-%d}" if ended else "",
            )  # fmt: skip
    table.print()
    return 0


def revoke_one(options: argparse.Namespace) -> int:
    """Revoke; tokens had by the key end at once."""
    with opened_state(options) as opened:
        upgrade(opened.database_url)
        count = revoke_client(opened.database, options.id, options.kid, now())
    if options.json:
        print_json({"client": options.id, "keys_revoked": count})
        return 0
    console().print(plain(f"{options.id}: {count} {'key' if count == 1 else 'keys'} revoked"))
    return 0


def _key(options: argparse.Namespace) -> ClientKey:
    if options.key is not None:
        return key_from_pem(options.key.read_bytes())
    return certificate_from_pem(options.certificate.read_bytes(), now())


def _as_json(client: ClientEntry) -> dict[str, object]:
    def times(entry: dict[str, object]) -> dict[str, object]:
        return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in entry.items()}

    members = times(asdict(client))
    members["keys"] = [times(asdict(key)) for key in client.keys]
    return members
