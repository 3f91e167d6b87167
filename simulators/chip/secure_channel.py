"""The chip's side of SCP03, S8 mode (GlobalPlatform Card Specification, Amendment D 1.1.2)."""

import hmac
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from simulators.chip.apdu import Command, Status

PROTOCOL = bytes((0x03, 0x70))
"""SCP03, i = 70: pseudo-random card challenge, R-MAC and R-ENC (Amendment D Table 5-1)."""

C_MAC, C_ENC, R_MAC, R_ENC = 0x01, 0x02, 0x10, 0x20
LEVELS = frozenset((0x01, 0x03, 0x11, 0x13, 0x33))
MAC_BYTES = 8
_BLOCK_BYTES = 16

# Data derivation constants, Amendment D Table 4-1
_CARD_CRYPTOGRAM, _HOST_CRYPTOGRAM, _CARD_CHALLENGE = 0x00, 0x01, 0x02
_S_ENC, _S_MAC, _S_RMAC = 0x04, 0x06, 0x07


class WrongCryptogram(Exception):
    """The host does not know the static keys."""


class WrongMac(Exception):
    """The command was not sent by the host of this channel, or not in this order, or its padding is wrong."""


@dataclass(frozen=True, slots=True, repr=False)
class StaticKeys:
    """The three AES keys of a key version."""

    enc: bytes
    mac: bytes
    dek: bytes


def derive(key: bytes, constant: int, length_bits: int, context: bytes) -> bytes:
    """NIST SP 800-108 counter mode over AES-CMAC with the label of Amendment D §4.1.5."""
    blocks = -(-length_bits // 128)
    label = bytes(11) + bytes((constant, 0)) + length_bits.to_bytes(2)
    return b"".join(_cmac(key, label + bytes((n + 1,)) + context) for n in range(blocks))[: length_bits // 8]


def card_challenge(keys: StaticKeys, sequence_counter: int, aid: bytes) -> bytes:
    """The pseudo-random challenge, 8 bytes (Amendment D §6.2.2.1)."""
    return derive(keys.enc, _CARD_CHALLENGE, 64, sequence_counter.to_bytes(3) + aid)


class SecureChannel:
    """One session: made by INITIALIZE UPDATE, open once EXTERNAL AUTHENTICATE succeeded."""

    def __init__(self, keys: StaticKeys, host_challenge: bytes, challenge: bytes) -> None:
        context = host_challenge + challenge
        bits = 8 * len(keys.enc)
        self._enc = derive(keys.enc, _S_ENC, bits, context)
        self._mac = derive(keys.mac, _S_MAC, bits, context)
        self._rmac = derive(keys.mac, _S_RMAC, bits, context)
        self._host_cryptogram = derive(self._mac, _HOST_CRYPTOGRAM, 64, context)
        self.card_cryptogram = derive(self._mac, _CARD_CRYPTOGRAM, 64, context)
        self._chaining = bytes(_BLOCK_BYTES)
        self._counter = 0
        self.level = 0

    def authenticate(self, command: Command) -> None:
        """EXTERNAL AUTHENTICATE (Amendment D §7.1.2). Raises `WrongCryptogram`, `WrongMac`."""
        if not hmac.compare_digest(command.data[:-MAC_BYTES], self._host_cryptogram):
            raise WrongCryptogram
        self._check_mac(command)
        self.level = command.p1

    def unwrap(self, command: Command) -> Command:
        """The plain command. Raises `WrongMac`: the channel is then of no further use."""
        self._check_mac(command)
        self._counter += 1  # Amendment D §6.2.6: for every command, also one without data
        data = command.data[:-MAC_BYTES]
        if self.level & C_ENC and data:
            if len(data) % _BLOCK_BYTES:
                raise WrongMac
            decryptor = self._cipher(0x00).decryptor()
            data = _without_padding(decryptor.update(data) + decryptor.finalize())
        return replace(command, cla=command.cla & ~0x04, data=data)

    def wrap(self, data: bytes) -> bytes:
        """Response data of a command that ended with 9000 (errors go without R-MAC, Amendment D §6.2.5)."""
        if self.level & R_ENC and data:
            encryptor = self._cipher(0x80).encryptor()
            padded = data + b"\x80" + bytes(-(len(data) + 1) % _BLOCK_BYTES)
            data = encryptor.update(padded) + encryptor.finalize()
        if self.level & R_MAC:
            data += _cmac(self._rmac, self._chaining + data + Status.OK.to_bytes(2))[:MAC_BYTES]
        return data

    def _check_mac(self, command: Command) -> None:
        covered, received = command.data[:-MAC_BYTES], command.data[-MAC_BYTES:]
        mac = _cmac(self._mac, self._chaining + command.header + command.lc_field + covered)
        if not hmac.compare_digest(mac[:MAC_BYTES], received):
            raise WrongMac
        self._chaining = mac

    def _cipher(self, direction: int) -> "Cipher[modes.CBC]":
        # The ICV is the encrypted counter; in responses its first byte is 80 (Amendment D §6.2.6, §6.2.7)
        encryptor = Cipher(algorithms.AES(self._enc), modes.ECB()).encryptor()  # noqa: S305  one block, an ICV
        icv = encryptor.update(bytes((direction,)) + self._counter.to_bytes(15)) + encryptor.finalize()
        return Cipher(algorithms.AES(self._enc), modes.CBC(icv))


def _cmac(key: bytes, message: bytes) -> bytes:
    mac = CMAC(algorithms.AES(key))
    mac.update(message)
    return mac.finalize()


def _without_padding(data: bytes) -> bytes:
    stripped = data.rstrip(b"\x00")
    if not stripped.endswith(b"\x80") or len(data) - len(stripped) >= _BLOCK_BYTES:
        raise WrongMac
    return stripped[:-1]
