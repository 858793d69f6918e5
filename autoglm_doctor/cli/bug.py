"""An internal error: one line for the user, and a log that can be pasted into a report."""

from __future__ import annotations

import platform
import sys
import tempfile
import traceback

from autoglm_doctor import __version__
from autoglm_doctor.redact import Redactor


def write_log(error: BaseException) -> str:
    """Write the log and return the line that says where it is."""
    trace = "".join(traceback.format_exception(error))
    redactor = Redactor()
    redactor.learn(sys.argv[1:])
    log = "\n".join(
        [
            f"autoglm-doctor {__version__}, Python {platform.python_version()}, {platform.platform()}",
            "command: " + " ".join(map(str, redactor.data(sys.argv[1:]))),
            "",
            redactor.text(trace),
        ]
    )
    line = f"internal error ({redactor.text(f'{type(error).__name__}: {error}')})"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="autoglm-doctor-bug-", suffix=".log", delete=False) as stream:
            stream.write(log)
    except OSError:
        return f"{line}; no log could be written:\n{log}"
    return f"{line}; please report it with {stream.name}"
