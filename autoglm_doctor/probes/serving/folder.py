"""The server's temporary folder: on the file system that it would have used, with a short name, and gone at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping

#: Of the 107 characters that the path of a socket may have (unix(7)), engines add about 45.
LONGEST_FOLDER = 60


class Temporary:
    """A folder for what the engine writes to its temporary folder.

    It lies in our own, which is new and goes with us, whatever happens; unless the command or the user names a
    TMPDIR that ours is not in: there may be more room there, and it is what the server would use.
    """

    def __init__(self, environ: Mapping[str, str], cwd: str) -> None:
        """Make it.

        Raises:
            OSError: not even our own folder takes it.
        """
        self._wished = _inside(environ.get("TMPDIR", ""), cwd)
        self._folder = self._wished or _own()
        self.path = self._folder
        if len(self._folder) > LONGEST_FOLDER:
            self.path = _short(self._folder)

    def remove(self) -> None:
        """What lies in our own folder goes with that."""
        if self._wished:
            shutil.rmtree(self._wished, ignore_errors=True)


def _inside(wished: str, cwd: str) -> str:
    """A new folder in the one that is wished for; "" where ours lies there already, or there can be none."""
    place = os.path.join(cwd, wished)
    if not wished or _own().startswith(os.path.join(os.path.realpath(place), "")):
        return ""
    with contextlib.suppress(OSError):
        return tempfile.mkdtemp(prefix="agd-", dir=place)
    return ""


def _own() -> str:
    path = os.path.join(os.path.realpath(os.getcwd()), "t")
    os.makedirs(path, mode=0o700, exist_ok=True)
    return path


def _short(folder: str) -> str:
    """A name by which others reach it for as long as we live: the kernel looks at the length of the name alone."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # stays open
        path = f"/proc/{os.getpid()}/fd/{number}"
        if os.path.isdir(path):
            return path
    return folder
