"""The chip of the demo line, "SIM-eID 1": written from the chip data sheet and the standards it names, alone."""
