"""What several test files share."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.stubs import build_stubs

# A shell's background job and nohup ignore these, and children would inherit it: the tests send them for real.
for _name in ("SIGINT", "SIGHUP"):
    if signal.getsignal(getattr(signal, _name)) is signal.SIG_IGN:
        signal.signal(getattr(signal, _name), signal.default_int_handler if _name == "SIGINT" else signal.SIG_DFL)


@pytest.fixture(scope="session")
def stub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stub driver, compiled once: a folder for LD_LIBRARY_PATH."""
    return build_stubs(tmp_path_factory.mktemp("stubs"))
