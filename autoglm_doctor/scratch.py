"""The folder for scratch files: results of probes pass through it. Gone at the end, however the run ends."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from autoglm_doctor.errors import DoctorError

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
            folder = tempfile.TemporaryDirectory(prefix="autoglm-doctor-", dir=place, ignore_cleanup_errors=True)
        except OSError as error:
            tried.append(f"{place} ({error.strerror})")
            continue
        with folder as name:
            wrong = _room(Path(name))
            if not wrong:
                yield Path(name)
                return
            tried.append(f"{place} ({wrong})")
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


def _room(folder: Path) -> str:
    """Why the folder has no room; "" when it has."""
    probe = folder / "room"
    try:
        probe.write_bytes(b"\0" * ROOM_BYTES)
        probe.unlink()
    except OSError as error:
        return error.strerror or str(error)
    return ""
