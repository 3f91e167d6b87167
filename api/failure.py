"""The one way in which a command gives up."""


class CommandFailed(Exception):
    """A sentence for the terminal: what happened and what to do."""


def sentence_of(error: OSError) -> str:
    """What the operating system said, and about which file."""
    named = [error.strerror or str(error) or type(error).__name__]
    named += [str(name) for name in (error.filename, error.filename2) if name is not None]
    return ": ".join(named)
