"""Makes the environment that the real servers of the tests run in: `python -m tests.serving.environment FOLDER`.

A deployment's environment, apart from the doctor's own: `transformers serve` needs torchvision, whose registry build
is for CUDA and breaks `import transformers.models.glm4v` beside a CPU torch without the shim. torch and transformers,
a gigabyte, are those of the interpreter that runs this, seen through a `.pth` file.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("transformers[serving]", "torchvision")

#: What an installation of transformers puts into bin/.
_PROGRAM = """#!{python}
import sys
from transformers.cli.transformers import main
sys.exit(main())
"""


def make(folder: Path) -> None:
    """Write the environment; an existing one is brought up to date."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    site = _site_packages(folder)
    (site / "base.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    constraints = ["-c", str(REPOSITORY / "tests" / "constraints.txt")]
    subprocess.run([*command, *constraints, *PACKAGES], check=True)
    shutil.copy(Path(__file__).with_name("torchvision_shim.py"), site / "torchvision_shim.py")
    (site / "torchvision_shim.pth").write_text("import torchvision_shim\n")
    _call_it_a_build_for_the_cpu(site)
    program = folder / "bin" / "transformers"
    program.write_text(_PROGRAM.format(python=python.absolute()))
    program.chmod(0o755)


def _call_it_a_build_for_the_cpu(site: Path) -> None:
    """With the shim it is one; by its own version the doctor tells, rightly, that it does not load."""
    for metadata in site.glob("torchvision-*.dist-info/METADATA"):
        said = metadata.read_text(encoding="utf-8")
        metadata.write_text(re.sub(r"(?m)^(Version: [\d.]+)$", r"\1+cpu", said, count=1), encoding="utf-8")


def _site_packages(folder: Path) -> Path:
    return folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


if __name__ == "__main__":
    make(Path(sys.argv[1]))
