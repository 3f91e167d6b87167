"""The one way in which a command gives up."""


class CommandFailed(Exception):
    """A sentence for the terminal: what happened and what to do."""
