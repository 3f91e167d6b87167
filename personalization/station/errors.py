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


class AnswerLost(StationError):
    """A request was sent and no answer came: ask what became of it before sending another."""
