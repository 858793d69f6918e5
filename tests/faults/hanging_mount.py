"""Mounts a file system that never answers, then becomes the command that is given: python hanging_mount.py FOLDER WORDS

A FUSE mount whose server reads no request: whoever looks at it sleeps until he is killed, as with a network mount
whose server is gone. It lives as long as the command holds the descriptor. Needs a mount namespace of its own.
"""

from __future__ import annotations

import ctypes
import os
import sys


def main() -> None:
    """Mount and go on."""
    folder = sys.argv[1].encode()
    device = os.open("/dev/fuse", os.O_RDWR)
    os.set_inheritable(device, True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"hanging", folder, b"fuse", 0, options) != 0:
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
