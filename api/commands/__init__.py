"""One module per command of `perso`."""
