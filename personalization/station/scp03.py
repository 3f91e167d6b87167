"""The centre's half of SCP03 as a state machine without input or output.

GlobalPlatform Card Specification 2.3.1 with Amendment D 1.1.2, mode S8 (8-byte challenges, cryptograms and MACs).
A handshake turns the chip's answer to INITIALIZE UPDATE into a session; a session wraps commands ahead and checks
the answers afterwards, so that a whole script can go to a far reader in one message. The static keys stay behind
the `ChipKeys` port: only CMACs over derivation data are asked for.
"""

import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from hsm.ports import CardFunction, ChannelKey, ChipKeys
from personalization.station.apdu import CommandApdu
from personalization.station.errors import ChannelBroken

BLOCK_BYTES = 16
MAC_BYTES = 8
CHALLENGE_BYTES = 8
LEVELS = frozenset({0x01, 0x03, 0x11, 0x13, 0x33})
"""Security levels of EXTERNAL AUTHENTICATE P1 (Amendment D table 7-5)."""

# Derivation constants, Amendment D table 4-1.
_CARD_CRYPTOGRAM = 0x00
_HOST_CRYPTOGRAM = 0x01
_S_ENC = 0x04
_S_MAC = 0x06
_S_RMAC = 0x07

_C_DECRYPTION = 0x02
_R_MAC = 0x10
_R_ENCRYPTION = 0x20
_SCP03 = 0x03
_PSEUDO_RANDOM = 0x10
_RESPONSE_PROTECTION = 0x60


def derivation_data(constant: int, bits: int, context: bytes) -> tuple[bytes, ...]:
    """The CMAC inputs whose outputs, joined and cut to `bits`, are the derived value (Amendment D §4.1.5)."""
    blocks = -(-bits // 128)
    head = bytes(11) + bytes((constant, 0)) + bits.to_bytes(2, "big")
    return tuple(head + bytes((counter,)) + context for counter in range(1, blocks + 1))


def largest_plain_bytes(level: int, maximum_command_data_bytes: int) -> int:
    """The longest plain data field whose wrapped form (padding and C-MAC included) fits the chip's buffer."""
    room = maximum_command_data_bytes - MAC_BYTES
    return room // BLOCK_BYTES * BLOCK_BYTES - 1 if level & _C_DECRYPTION else room


def answers_are_protected(level: int) -> bool:
    """Whether every good answer carries an R-MAC, so that commands must leave room for one."""
    return bool(level & _R_MAC)


class Scp03Handshake:
    """INITIALIZE UPDATE out, its answer in, a session out: the host is authenticated after the chip, never before.

    `kdd` and `host_challenge` have 10 and 8 bytes; `key_bits` is the length of static and session keys (128, 192 or
    256). The challenge must be fresh: it is what proves that the chip answers now.
    """

    def __init__(
        self,
        chip_keys: ChipKeys,
        *,
        function: CardFunction,
        key_version: int,
        kdd: bytes,
        level: int,
        host_challenge: bytes,
        key_bits: int = 256,
    ) -> None:
        if level not in LEVELS:
            raise ValueError("not a security level of SCP03")
        if len(host_challenge) != CHALLENGE_BYTES or len(kdd) != 10:
            raise ValueError("the host challenge has 8 bytes, the key diversification data 10")
        self._chip_keys = chip_keys
        self._function = function
        self._key_version = key_version
        self._kdd = kdd
        self._level = level
        self._host_challenge = host_challenge
        self._key_bits = key_bits

    def initialize_update(self) -> CommandApdu:
        """INITIALIZE UPDATE (Amendment D §7.1.1): key version in P1, key identifier 0."""
        return CommandApdu(0x80, 0x50, self._key_version, 0x00, self._host_challenge, 256)

    def open(self, answer: bytes) -> "Scp03Session":
        """The session that the chip's answer (29 or 32 bytes) begins. Raises `ChannelBroken`.

        1. The answer has the form of S8. 2. It is this chip. 3. It is this key version, SCP03, with the options
        that the level needs. 4. The card cryptogram is right: only then may the host's go out, for a wrong one
        costs the chip one of its tries.
        """
        # 1. KDD 10 | key information 3 | card challenge 8 | card cryptogram 8 | sequence counter 0 or 3
        if len(answer) < 13 or len(answer) != (32 if answer[12] & _PSEUDO_RANDOM else 29):
            raise ChannelBroken("the answer to INITIALIZE UPDATE has a wrong length")
        # 2.
        if answer[:10] != self._kdd:
            raise ChannelBroken("another chip answered: its diversification data differs")
        # 3. Amendment D §5.1: bits 6 and 7 of i announce R-MAC and R-ENC.
        if answer[10] != self._key_version or answer[11] != _SCP03:
            raise ChannelBroken("the chip answered with another key version or another protocol")
        needed = (0x20 if self._level & _R_MAC else 0) | (0x40 if self._level & _R_ENCRYPTION else 0)
        if answer[12] & ~(_RESPONSE_PROTECTION | _PSEUDO_RANDOM) or answer[12] & needed != needed:
            raise ChannelBroken("the chip's SCP03 options do not fit the security level")
        session = self._derive(self._host_challenge + answer[13:21])
        # 4.
        session.check_card_cryptogram(answer[21:29])
        return session

    def _derive(self, context: bytes) -> "Scp03Session":
        enc = self._cmac(ChannelKey.ENC, derivation_data(_S_ENC, self._key_bits, context))
        both = derivation_data(_S_MAC, self._key_bits, context) + derivation_data(_S_RMAC, self._key_bits, context)
        mac = self._cmac(ChannelKey.MAC, both)
        key_bytes, half = self._key_bits // 8, len(mac) // 2
        return Scp03Session(enc[:key_bytes], mac[:key_bytes], mac[half : half + key_bytes], context, self._level)

    def _cmac(self, key: ChannelKey, messages: tuple[bytes, ...]) -> bytes:
        return b"".join(self._chip_keys.cmac(self._function, key, self._kdd, messages))


class Scp03Session:
    """An open channel: commands are numbered from 0 in the order of `wrap`, answers are unwrapped by that number."""

    def __init__(self, s_enc: bytes, s_mac: bytes, s_rmac: bytes, context: bytes, level: int) -> None:
        self._s_enc = algorithms.AES(s_enc)
        self._s_mac = algorithms.AES(s_mac)
        self._s_rmac = algorithms.AES(s_rmac)
        self._context = context
        self._level = level
        # Amendment D §6.2.3: the chaining value starts as 16 zero bytes; EXTERNAL AUTHENTICATE's is the first after.
        self._chain = self._authenticate_chain(bytes(BLOCK_BYTES))
        self._chains: list[bytes] = []

    def check_card_cryptogram(self, cryptogram: bytes) -> None:
        """Amendment D §6.2.2.2. Raises `ChannelBroken`."""
        if not hmac.compare_digest(self._cryptogram(_CARD_CRYPTOGRAM), cryptogram):
            raise ChannelBroken("the card cryptogram is wrong: the chip does not hold these keys")

    def external_authenticate(self) -> bytes:
        """EXTERNAL AUTHENTICATE with the host cryptogram and C-MAC, never encrypted (Amendment D §7.1.2)."""
        plain = self._authenticate_command()
        return _with_mac(plain, plain.data, self._chain[:MAC_BYTES]).encode()

    def wrap(self, command: CommandApdu) -> bytes:
        """The next command of the channel, encrypted as the level says and with its C-MAC; encoded."""
        counter = len(self._chains) + 1
        data = command.data
        if self._level & _C_DECRYPTION and data:
            # Amendment D §6.2.6: the counter goes up with every command, also one without data.
            data = self._encrypt(_padded(data), counter.to_bytes(BLOCK_BYTES, "big"))
        self._chain = self._mac(self._s_mac, _mac_input(self._chain, command, data))
        self._chains.append(self._chain)
        return _with_mac(command, data, self._chain[:MAC_BYTES]).encode()

    def unwrap(self, index: int, answer: bytes, status: int) -> bytes:
        """The plain answer to command `index`. Raises `ChannelBroken` when MAC or padding is wrong.

        Answers with an error status carry no R-MAC and no data (Amendment D §6.2.5).
        """
        if not self._level & _R_MAC:
            return answer
        if status >> 8 not in (0x90, 0x62, 0x63):
            if answer:
                raise ChannelBroken("an error came with data that nothing protects")
            return b""
        data, mac = answer[:-MAC_BYTES], answer[-MAC_BYTES:]
        expected = self._mac(self._s_rmac, self._chains[index] + data + status.to_bytes(2, "big"))[:MAC_BYTES]
        if not hmac.compare_digest(expected, mac):
            raise ChannelBroken("the MAC of an answer is wrong")
        if not data or not self._level & _R_ENCRYPTION:
            return data
        # Amendment D §6.2.7: the command's counter with the highest bit of the block set.
        return self._decrypt(data, b"\x80" + (index + 1).to_bytes(BLOCK_BYTES - 1, "big"))

    def _authenticate_command(self) -> CommandApdu:
        return CommandApdu(0x84, 0x82, self._level, 0x00, self._cryptogram(_HOST_CRYPTOGRAM))

    def _authenticate_chain(self, chain: bytes) -> bytes:
        plain = self._authenticate_command()
        return self._mac(self._s_mac, _mac_input(chain, plain, plain.data))

    def _cryptogram(self, constant: int) -> bytes:
        (message,) = derivation_data(constant, 64, self._context)
        return self._mac(self._s_mac, message)[:8]

    @staticmethod
    def _mac(key: algorithms.AES, message: bytes) -> bytes:
        cmac = CMAC(key)
        cmac.update(message)
        return cmac.finalize()

    def _initial_vector(self, counter: bytes) -> modes.CBC:
        ecb = Cipher(self._s_enc, modes.ECB()).encryptor()  # noqa: S305 - one counter block, Amendment D §6.2.6
        return modes.CBC(ecb.update(counter) + ecb.finalize())

    def _encrypt(self, data: bytes, counter: bytes) -> bytes:
        encryptor = Cipher(self._s_enc, self._initial_vector(counter)).encryptor()
        return encryptor.update(data) + encryptor.finalize()

    def _decrypt(self, data: bytes, counter: bytes) -> bytes:
        if len(data) % BLOCK_BYTES:
            raise ChannelBroken("an encrypted answer is not a number of whole blocks")
        decryptor = Cipher(self._s_enc, self._initial_vector(counter)).decryptor()
        plain = (decryptor.update(data) + decryptor.finalize()).rstrip(b"\x00")
        if not plain.endswith(b"\x80"):
            raise ChannelBroken("the padding of an encrypted answer is wrong")
        return plain[:-1]


def _padded(data: bytes) -> bytes:
    # Amendment D §4.1.4: 80, then zeros up to the next block, always at least the 80.
    return data + b"\x80" + bytes(-(len(data) + 1) % BLOCK_BYTES)


def _with_mac(command: CommandApdu, data: bytes, mac: bytes) -> CommandApdu:
    return CommandApdu(command.cla | 0x04, command.ins, command.p1, command.p2, data + mac, command.answer_bytes)


def _mac_input(chain: bytes, command: CommandApdu, data: bytes) -> bytes:
    # Amendment D §6.2.4: chaining value, header with the secure messaging bit, Lc that counts the MAC, data field.
    # Lc is written as it goes over the line: one byte, or three in extended length; Le is not covered.
    whole = _with_mac(command, data, bytes(MAC_BYTES))
    length = len(whole.data)
    lc = b"\x00" + length.to_bytes(2, "big") if whole.extended else bytes((length,))
    return chain + whole.header() + lc + data
