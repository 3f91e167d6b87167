"""The host the chip's tests talk with: an SCP03 host and an issuer of their own, sharing no code with chip or centre.

`test_chip_secure_channel.py` holds this host's key derivation, MACs and encryption against published vectors.
"""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.x509.oid import NameOID

from simulators.chip.card import Chip
from simulators.chip.maker import DEFAULT_ATR, make_chip
from simulators.chip.personalization import Function

PERSO, PIN, KEY, CERT = 1, 2, 3, 4
MAIN = bytes.fromhex("A000000077010800070000FE00000100")
ADF1 = bytes.fromhex("E828BD080FF2504F5420415750")
ADF2 = bytes.fromhex("51534344204170706C69636174696F6E")
TRAVEL = bytes.fromhex("A0000002471001")
SERIAL = bytes.fromhex("534D6501B7C200000001")
MASTERS = {function: bytes((0xA0 + function,)) * 32 for function in Function}
HOST_CHALLENGE = bytes.fromhex("0102030405060708")
PIN1_VALUE, PIN2_VALUE, PUK_VALUE = b"1234", b"123456", b"12345678"


def blank(directory: Path, atr: bytes = DEFAULT_ATR) -> Chip:
    """A powered blank chip, fresh from the maker."""
    make_chip(directory, serial=SERIAL, lot="LOT-2026-0001", atr=atr, masters=MASTERS, today=date(2026, 1, 15))
    chip = Chip(directory)
    chip.power_on()
    return chip


def send(chip: Chip, command: str | bytes) -> tuple[bytes, int]:
    """Data and status word of a command written in hex."""
    response = chip.transmit(bytes.fromhex(command) if isinstance(command, str) else command)
    return response[:-2], int.from_bytes(response[-2:])


def expect(chip: Chip, command: str | bytes, status: int = 0x9000) -> bytes:
    """Response data of a command that must end with this status word."""
    data, answered = send(chip, command)
    assert f"{answered:04X}" == f"{status:04X}", command if isinstance(command, str) else command.hex()
    return data


def cmac(key: bytes, message: bytes) -> bytes:
    """AES-CMAC, 16 bytes."""
    mac = CMAC(algorithms.AES(key))
    mac.update(message)
    return mac.finalize()


def kdf(key: bytes, constant: int, context: bytes, length: int) -> bytes:
    """Amendment D §4.1.5: `length` bytes."""
    out = b""
    for counter in (1, 2):
        out += cmac(key, bytes(11) + bytes([constant, 0]) + (8 * length).to_bytes(2) + bytes([counter]) + context)
    return out[:length]


def chip_keys(master: bytes, kdd: bytes) -> tuple[bytes, bytes, bytes]:
    """ENC, MAC, DEK by CBC-DATA-1."""
    keys = []
    for k in (1, 2, 3):
        encryptor = Cipher(algorithms.AES(master), modes.CBC(bytes(16))).encryptor()
        first = encryptor.update(kdd + bytes([0, 0, 0, k, 0, 1]))
        keys.append(first + encryptor.update(kdd + bytes([0, 0, 0, k, 0, 2])))
    return keys[0], keys[1], keys[2]


def coded(cla: int, ins: int, p1: int, p2: int, data: bytes = b"", *, le: bool = False) -> bytes:
    """A command APDU, extended where the data asks for it."""
    header = bytes([cla, ins, p1, p2])
    if len(data) > 255:
        return header + b"\x00" + len(data).to_bytes(2) + data + (b"\x00\x00" if le else b"")
    return header + (bytes([len(data)]) + data if data else b"") + (b"\x00" if le else b"")


class HostChannel:
    """The host's side of one SCP03 session."""

    def __init__(self, keys: tuple[bytes, bytes, bytes], level: int, host_challenge: bytes, answer: bytes) -> None:
        context = host_challenge + answer[13:21]
        size = len(keys[0])
        self.level = level
        self.enc, self.mac_key = kdf(keys[0], 4, context, size), kdf(keys[1], 6, context, size)
        self.rmac_key = kdf(keys[1], 7, context, size)
        self.card_cryptogram = answer[21:29]
        self.expected_card_cryptogram = kdf(self.mac_key, 0, context, 8)
        self.host_cryptogram = kdf(self.mac_key, 1, context, 8)
        self.chaining = bytes(16)
        self.counter = 0

    def external_authenticate(self) -> bytes:
        return self._signed(0x84, 0x82, self.level, 0, self.host_cryptogram, le=False)

    def wrap(self, ins: int, p1: int, p2: int, data: bytes = b"", *, le: bool = False) -> bytes:
        self.counter += 1
        if self.level & 2 and data:
            encryptor = self._cipher(0).encryptor()
            padded = data + b"\x80"
            data = encryptor.update(padded + bytes(-len(padded) % 16)) + encryptor.finalize()
        return self._signed(0x84, ins, p1, p2, data, le=le)

    def unwrap(self, data: bytes) -> bytes:
        if self.level & 0x10:
            data, mac = data[:-8], data[-8:]
            assert mac == cmac(self.rmac_key, self.chaining + data + b"\x90\x00")[:8]
        if self.level & 0x20 and data:
            decryptor = self._cipher(0x80).decryptor()
            data = (decryptor.update(data) + decryptor.finalize()).rstrip(b"\x00")
            assert data[-1] == 0x80
            data = data[:-1]
        return data

    def _signed(self, cla: int, ins: int, p1: int, p2: int, data: bytes, *, le: bool) -> bytes:
        unsigned = coded(cla, ins, p1, p2, data + bytes(8))[:-8]
        self.chaining = cmac(self.mac_key, self.chaining + unsigned)
        return coded(cla, ins, p1, p2, data + self.chaining[:8], le=le)

    def _cipher(self, direction: int) -> Cipher[modes.CBC]:
        block = bytes([direction]) + bytes(11) + self.counter.to_bytes(4)
        icv = Cipher(algorithms.AES(self.enc), modes.ECB()).encryptor().update(block)  # noqa: S305  an ICV
        return Cipher(algorithms.AES(self.enc), modes.CBC(icv))


@dataclass
class Session:
    """A chip with a channel open to one of its functions."""

    chip: Chip
    channel: HostChannel

    def run(self, ins: int, p1: int, p2: int, data: bytes = b"", status: int = 0x9000, *, le: bool = False) -> bytes:
        answered = expect(self.chip, self.channel.wrap(ins, p1, p2, data, le=le), status)
        return self.channel.unwrap(answered) if status == 0x9000 else b""

    def install(self, aid: bytes, status: int = 0x9000) -> None:
        answer = self.run(0xE6, 0x20, 0x00, bytes([0, 0, len(aid)]) + aid + bytes(3), status)
        assert answer == (b"\x00" if status == 0x9000 else b"")

    def store(self, aid: bytes, *groupings: bytes, block_bytes: int = 2000, status: int = 0x9000) -> None:
        """INSTALL, then the DGIs in blocks; `status` is what the last block must be answered with."""
        self.install(aid)
        stream = b"".join(groupings)
        blocks = [stream[at : at + block_bytes] for at in range(0, len(stream), block_bytes)]
        for number, block in enumerate(blocks):
            last = number == len(blocks) - 1
            self.run(0xE2, 0x88 if last else 0x08, number & 0xFF, block, status if last else 0x9000)

    def lock(self, aid: bytes, status: int = 0x9000) -> None:
        self.run(0xF0, 0x40, 0x0F, aid, status)

    def secure_card(self, status: int = 0x9000) -> None:
        self.run(0xF0, 0x80, 0x0F, b"", status)


def open_channel(chip: Chip, function: int, level: int = 0x33) -> Session:
    """Select the card manager and open a channel; checks the card cryptogram first."""
    expect(chip, "00A4040008A000000151000000")
    answer = expect(chip, coded(0x80, 0x50, function, 0, HOST_CHALLENGE, le=True))
    channel = HostChannel(chip_keys(MASTERS[Function(function)], answer[:10]), level, HOST_CHALLENGE, answer)
    assert channel.card_cryptogram == channel.expected_card_cryptogram
    expect(chip, channel.external_authenticate())
    return Session(chip, channel)


def dgi(identifier: int, value: bytes) -> bytes:
    """A data grouping: identifier 2, length 1 or FF and 2, value."""
    length = bytes([len(value)]) if len(value) < 0xFF else b"\xff" + len(value).to_bytes(2)
    return identifier.to_bytes(2) + length + value


def padded(digits: bytes) -> bytes:
    """12 bytes, filled with FF."""
    return digits.ljust(12, b"\xff")


def pin_object(reference: int, digits: bytes | None, *, minimum: int, tries: int = 3, state: int = 0) -> bytes:
    """DGI C1rr."""
    value = b"" if digits is None else b"\x83\x0c" + padded(digits)
    return dgi(0xC100 | reference, bytes([0x81, 1, tries, 0x82, 1, minimum]) + value + bytes([0x84, 1, state]))


def key_object(reference: int, key: ec.EllipticCurvePrivateKey, algorithm: int = 0x0D, filler: bytes = b"") -> bytes:
    """DGI C2rr: the key wrapped for this chip, with what a token may add before it wraps."""
    information = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    dek = chip_keys(MASTERS[Function.KEY], SERIAL)[2]
    wrapped = aes_key_wrap_with_padding(dek, information + filler)
    return dgi(0xC200 | reference, bytes([0x81, 1, algorithm, 0x82, 0x81, len(wrapped)]) + wrapped)


def certificate(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """A self-signed certificate, DER."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime(2026, 1, 15, tzinfo=UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, now, now.replace(year=2031))
    return builder.sign(key, hashes.SHA384()).public_bytes(serialization.Encoding.DER)


def object_directory(private_keys: int, certificates: int) -> bytes:
    """EF.OD: A0 names the private key directory, A4 the certificate directory."""
    return bytes.fromhex(f"A006 3004 0402{private_keys:04X} A406 3004 0402{certificates:04X}")


def private_key_directory(reference: int) -> bytes:
    """EF.PrKD of one EC key: the second inner sequence holds the reference as an INTEGER of two bytes."""
    return bytes.fromhex(f"A011 3000 300D 040101 03020204 0101FF 0202{reference:04X}")


def certificate_directory(fid: int) -> bytes:
    """EF.CD: 30 { 30, 30, A1 { 30 { 30 { 04 fid } } } }."""
    return bytes.fromhex(f"3010 3000 3002 0400 A108 3006 3004 0402{fid:04X}")


@dataclass(frozen=True)
class Holder:
    """The keys and certificates of a specimen card."""

    authentication: ec.EllipticCurvePrivateKey
    signature: ec.EllipticCurvePrivateKey
    authentication_certificate: bytes
    signature_certificate: bytes


def personalize(chip: Chip, level: int = 0x33, filler: Callable[[int], bytes] = bytes) -> Holder:
    """Everything a centre does: files, certificates, keys, PINs, locks."""
    first, second = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
    holder = Holder(
        first, second, certificate(first, "AUTHENTICATION SPECIMEN"), certificate(second, "SIGNATURE SPECIMEN")
    )
    perso = open_channel(chip, PERSO, level)
    perso.store(MAIN, dgi(0xD003, b"\x04\x09PA1234567"))
    perso.store(
        ADF1,
        dgi(0x5031, object_directory(0x7001, 0x7005)),
        dgi(0x7001, private_key_directory(0x81)),
        dgi(0x7005, certificate_directory(0x3401)),
    )
    perso.store(
        ADF2,
        dgi(0x5031, object_directory(0x7002, 0x7006)),
        dgi(0x7002, private_key_directory(0x9F)),
        dgi(0x7006, certificate_directory(0x341F)),
    )
    perso.store(
        TRAVEL,
        dgi(0x011E, bytes.fromhex("60145F0104303130375F36063034303030305C026175")),
        dgi(0x0101, b"\x61\x5d\x5f\x1f\x5a" + b"I<LVA".ljust(90, b"<")),
        dgi(0x0102, b"\x75\x82\x3a\x98" + filler(15_000)),
        dgi(0x0103, b"\x63\x82\x9c\x40" + filler(40_000)),
        dgi(0x011D, b"\x77\x82\x07\xd0" + filler(2_000)),
    )
    cert = open_channel(chip, CERT, level)
    cert.store(ADF1, dgi(0x3401, holder.authentication_certificate))
    cert.store(ADF2, dgi(0x341F, holder.signature_certificate))
    key = open_channel(chip, KEY, level)
    key.store(MAIN, key_object(0x81, holder.authentication), key_object(0x9F, holder.signature))
    pin = open_channel(chip, PIN, level)
    pin.store(
        MAIN,
        pin_object(0x01, PIN1_VALUE, minimum=4),
        pin_object(0x85, PIN2_VALUE, minimum=6),
        pin_object(0x02, PUK_VALUE, minimum=8),
    )
    perso = open_channel(chip, PERSO, level)
    for aid in (MAIN, ADF1, ADF2, TRAVEL):
        perso.lock(aid)
    perso.secure_card()
    return holder


def openssl(*arguments: str | Path) -> bytes:
    """What OpenSSL says; it must be content."""
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True).stdout
