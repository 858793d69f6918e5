"""Build step: compat_matrix.yaml lives at the top of the checkout and goes into the package of a wheel."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools.command.build_py import build_py


class BuildPy(build_py):
    """Copy the matrix beside the code. In an editable install it is found one level up instead."""

    def run(self) -> None:
        """Build, then add the matrix."""
        if self.editable_mode:
            super().run()
            return
        package = Path(self.build_lib) / "autoglm_doctor"
        # `pip install .` builds in the checkout, and what an earlier one left there (a check that is gone since) would
        # go into the wheel again.
        shutil.rmtree(package, ignore_errors=True)
        super().run()
        package.mkdir(parents=True, exist_ok=True)
        shutil.copy2(Path(__file__).parent / "compat_matrix.yaml", package)
