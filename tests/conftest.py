"""What several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stubs import build_stubs


@pytest.fixture(scope="session")
def stub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stub driver, compiled once: a folder for LD_LIBRARY_PATH."""
    return build_stubs(tmp_path_factory.mktemp("stubs"))
