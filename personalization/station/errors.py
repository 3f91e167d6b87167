"""What can go wrong at a station."""


class StationError(Exception):
    """Base of this room's errors; messages hold no card data."""


class StationUnavailable(StationError):
    """Reader, feeder or printer does not answer: try again later."""


class ReaderGone(StationUnavailable):
    """The PC/SC service or the reader is gone."""


class CardAbsent(StationError):
    """No card stands in the reader."""


class HopperEmpty(StationError):
    """No blank is left: the station waits for an operator."""


class StationJammed(StationError):
    """A card is stuck: the station waits for an operator."""


class StaleFence(StationError):
    """A script with an older fence than the terminal has seen: its owner lost the job."""


class ChannelBroken(StationError):
    """The secure channel failed: wrong cryptogram, MAC or status; the card's state must be read before going on."""


class PrinterBusy(StationError):
    """The printer has another job: hold ours and ask again."""


class PrinterRefused(StationError):
    """The printer will never take this document as it is."""


class PrintGivenUp(StationError):
    """The printer ended the job without a finished card (canceled or aborted): the card in it is spoiled."""


class AnswerLost(StationError):
    """A request was sent and no answer came: ask what became of it before sending another."""


class ChipRefused(StationError):
    """The chip answered with a status word that was not allowed: `purpose` of the command and `status`."""

    def __init__(self, purpose: str, status: int) -> None:
        super().__init__(purpose, status)
        self.purpose = purpose
        self.status = status

    def __str__(self) -> str:
        return f"{self.purpose}: the chip answered {self.status:04X}"


class AnswerUnreadable(StationError):
    """The chip answered in a form that the data sheet does not know."""


class WrongChip(StationError):
    """The chip in the reader is not the one, or not of the kind, that was to be encoded."""


class CardLost(StationUnavailable):
    """The answer to a command never came: read the chip's state, then run the same step again."""


class ScriptIdTaken(StationError):
    """A script with this id but with other commands has been played: ids name one play."""
