"""The root of every error that a codec of this package raises."""


class CodecError(ValueError):
    """Bytes or text are not of the form they should be. Messages name places and rules, never the values read."""
