"""Errors that a user can cause, apart from bugs."""

from __future__ import annotations

#: Exit codes of a run without a verdict; those with one stand in verdict.py. Here, since help needs nothing of that.
USAGE = 2
BUG = 70
INTERRUPTED = 130


class DoctorError(Exception):
    """Something the user can mend: wrong usage, an unreadable file, an unknown code. Ends with exit code 2."""


class DecodeError(DoctorError):
    """A saved reading does not have the expected form; the message names the place ("$.gpus[0].index")."""
