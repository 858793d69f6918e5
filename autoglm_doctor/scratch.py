"""The folder for scratch files: results of probes pass through it. Gone at the end, however the run ends."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from autoglm_doctor.errors import DoctorError
from autoglm_doctor.interruption import within
from autoglm_doctor.limits import SCRATCH_SECONDS

#: What one run writes at most, seen with 1,000 installed packages; a folder without that much room is of no use.
ROOM_BYTES = 1 << 20


@contextmanager
def scratch_folder(environ: Mapping[str, str]) -> Iterator[Path]:
    """A new folder in the first place that takes one.

    Raises:
        DoctorError: nowhere can anything be written.
    """
    tried = []
    for place in _places(environ):
        try:
            folder = within(SCRATCH_SECONDS, functools.partial(_make, place))
        except TimeoutError:
            tried.append(f"{place} (does not answer)")
            continue
        except OSError as error:
            tried.append(f"{place} ({error.strerror})")
            continue
        with folder as name:
            yield Path(name)
        return
    raise DoctorError(
        f"no folder takes scratch files, tried {', '.join(tried)}; name one with room: TMPDIR=FOLDER autoglm-doctor ..."
    )


def _places(environ: Mapping[str, str]) -> list[str]:
    """The user's choice, the usual ones, and what is writable in a container with a read-only root."""
    named = [environ[name] for name in ("TMPDIR", "TEMP", "TMP") if environ.get(name)]
    usual = ["/tmp", "/var/tmp", "/dev/shm"]  # noqa: S108  only places to make a private folder in
    owned = [environ[name] for name in ("XDG_RUNTIME_DIR", "HOME") if environ.get(name)]
    places = [*named, *usual, *owned] if os.name == "posix" else [*named, tempfile.gettempdir(), *owned]
    return list(dict.fromkeys(os.path.abspath(place) for place in places))


def _make(place: str) -> tempfile.TemporaryDirectory[str]:
    """A folder in which there is room.

    Raises:
        OSError: there is none.
    """
    folder = tempfile.TemporaryDirectory(prefix="autoglm-doctor-", dir=place, ignore_cleanup_errors=True)
    try:
        room = Path(folder.name) / "room"
        room.write_bytes(b"\0" * ROOM_BYTES)
        room.unlink()
    except OSError:
        folder.cleanup()
        raise
    return folder
