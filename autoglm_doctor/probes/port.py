"""May the server listen there? A real bind, let go at once; nothing ever listens."""

from __future__ import annotations

import errno
import os
import socket
import sys

from autoglm_doctor.facts import Port


def read_port(host: str, port: int) -> Port:
    """Bind like the server will (asyncio and uvicorn set SO_REUSEADDR on POSIX), and name who is in the way.

    Raises:
        OSError: the host name cannot be resolved.
    """
    addresses = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = addresses[0]
    try:
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix" and sys.platform != "cygwin":
                # Past a TIME_WAIT of an earlier server, which would be a false alarm; never past a listener.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        pid, name = _holder(port) if error.errno == errno.EADDRINUSE else (None, "")
        words = error.strerror or str(error)
        return Port(host=host, port=port, free=False, error=words, holder_pid=pid, holder_name=name)
    return Port(host=host, port=port, free=True)


def _holder(port: int) -> tuple[int | None, str]:
    """The listening process, where the system tells us (often only about our own processes)."""
    try:
        import psutil
    except ImportError:  # its C library does not load here: only the name is lost
        return None, ""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            address = connection.laddr  # (host, port); () on a socket without one
            if connection.status == psutil.CONN_LISTEN and address and address[1] == port and connection.pid:
                return connection.pid, psutil.Process(connection.pid).name()
    except (psutil.Error, OSError):
        pass
    return None, ""
