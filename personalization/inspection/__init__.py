"""The judgement over a finished card: our own numbered inspection, two judges nobody here wrote, and their report."""
