"""One session with a chip: opened, played in two scripts, every answer checked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from card_profiles.model import ChipSpec, Function
from hsm.ports import CardFunction, ChipKeys
from personalization.station.apdu import CommandApdu
from personalization.station.errors import CardLost, ChannelBroken, ChipRefused
from personalization.station.personalize import PlainCommand
from personalization.station.ports import Command, Lost, Outcome, Response, Script, ScriptId, Stopped, Terminal
from personalization.station.scp03 import CHALLENGE_BYTES, Scp03Handshake, answers_are_protected

HostChallenge = Callable[[int], bytes]
"""Draws that many random bytes; the HSM's generator in production."""

_AUTHENTICATE = "EXTERNAL AUTHENTICATE"
_BROKEN_STATUS = frozenset({0x6987, 0x6988})


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a session cost: bytes of content stored, bytes of all commands and answers, number of exchanges."""

    content_bytes: int
    line_bytes: int
    exchanges: int

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(
            self.content_bytes + other.content_bytes,
            self.line_bytes + other.line_bytes,
            self.exchanges + other.exchanges,
        )


def completed(outcome: Outcome) -> tuple[Response, ...]:
    """The responses of a script that was played whole.

    Raises `CardLost` for a lost answer, `ChannelBroken` where the chip refused the channel (EXTERNAL AUTHENTICATE,
    6987, 6988), `ChipRefused` for any other status that was not allowed.
    """
    if isinstance(outcome, Lost):
        raise CardLost(f"{outcome.purpose}: {outcome.reason}")
    if isinstance(outcome, Stopped):
        if outcome.purpose == _AUTHENTICATE or outcome.status in _BROKEN_STATUS:
            raise ChannelBroken(f"{outcome.purpose}: the chip answered {outcome.status:04X}")
        raise ChipRefused(outcome.purpose, outcome.status)
    return outcome.responses


def select_card_manager(spec: ChipSpec) -> Command:
    """SELECT of the issuer security domain by AID (data sheet §1)."""
    return Command(CommandApdu(0x00, 0xA4, 0x04, 0x00, spec.card_manager_aid, 256).encode(), "SELECT card manager")


def traffic_of(commands: Sequence[Command], responses: Sequence[Response], content_bytes: int) -> Traffic:
    """Bytes on the line for commands and their answers with status word, GET RESPONSE of T=0 not counted."""
    line = sum(len(command.apdu) for command in commands) + sum(len(response.data) + 2 for response in responses)
    return Traffic(content_bytes, line, len(commands))


@dataclass(frozen=True, slots=True)
class ChipSessions:
    """Sessions with one chip: how it is talked to, whose keys, under which script ids and fence.

    `script_prefix` names this attempt, for example job, step and attempt: a later attempt needs another one.
    """

    terminal: Terminal
    chip_keys: ChipKeys
    spec: ChipSpec
    kdd: bytes
    host_challenge: HostChallenge
    script_prefix: str
    fence: int

    def run(self, function: Function, commands: Sequence[PlainCommand], *, select: bool = True) -> Traffic:
        """Opens a session of this function, plays all commands in it and checks every answer.

        The first script selects the card manager and starts the handshake; the second holds EXTERNAL AUTHENTICATE and
        all commands, wrapped ahead. A session leaves the card manager selected and ends when the next begins (GP
        §10.2.3), so a session that follows another in one go may do without `select`.

        Raises what `completed` raises, `ChannelBroken` for a wrong cryptogram or MAC, and the errors of
        `Terminal.play` and of the HSM.
        """
        handshake = Scp03Handshake(
            self.chip_keys,
            function=CardFunction(function),
            key_version=self.spec.key_versions[function],
            kdd=self.kdd,
            level=self.spec.security_level,
            host_challenge=self.host_challenge(CHALLENGE_BYTES),
        )
        update = Command(handshake.initialize_update().encode(), f"INITIALIZE UPDATE {function}")
        hello = (select_card_manager(self.spec), update) if select else (update,)
        greeting = self._play(f"{function}/1", hello)
        session = handshake.open(greeting[-1].data)
        wrapped = [Command(session.external_authenticate(), _AUTHENTICATE)]
        wrapped += [Command(session.wrap(self._with_room(plain.apdu)), plain.purpose) for plain in commands]
        answers = self._play(f"{function}/2", wrapped)
        for index, answer in enumerate(answers[1:]):
            session.unwrap(index, answer.data, answer.status)
        content = sum(plain.content_bytes for plain in commands)
        return traffic_of((*hello, *wrapped), (*greeting, *answers), content)

    def _play(self, part: str, commands: Sequence[Command]) -> tuple[Response, ...]:
        script = Script(ScriptId(f"{self.script_prefix}/{part}"), self.fence, tuple(commands))
        return completed(self.terminal.play(script))

    def _with_room(self, apdu: CommandApdu) -> CommandApdu:
        # With R-MAC every answer has data, so every command says that data is expected (ISO/IEC 7816-4 §5.1, case 4).
        if apdu.answer_bytes is not None or not answers_are_protected(self.spec.security_level):
            return apdu
        return CommandApdu(apdu.cla, apdu.ins, apdu.p1, apdu.p2, apdu.data, 256)
