"""Build the sdist, and the wheel from that sdist.

    python tools/dist.py [--out dist]

From a copy of the sources: setuptools leaves `build/` and `*.egg-info` where it builds, and takes what an earlier build
left in `build/` into the next wheel.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent

#: What a build reads, and a bare checkout runs from.
SOURCES = (
    "autoglm_doctor",
    "checks",
    "compat_matrix.yaml",
    "pyproject.toml",
    "packaging_hooks.py",
    "MANIFEST.in",
    "README.md",
)


def copy_sources(target: Path) -> Path:
    """Copy the sources into a new folder `target`, without anything compiled. Returns it."""
    target.mkdir(parents=True)
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in SOURCES:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, target / name, symlinks=True, ignore=ignore)
        else:
            shutil.copy2(source, target)
    return target


def build(out: Path) -> Path:
    """Build both into `out`, in place of those of earlier builds. Returns the wheel."""
    out.mkdir(parents=True, exist_ok=True)
    for old in (*out.glob("autoglm_doctor-*.whl"), *out.glob("autoglm_doctor-*.tar.gz")):
        old.unlink()
    with tempfile.TemporaryDirectory() as scratch:
        sources = copy_sources(Path(scratch) / "autoglm-doctor")
        quiet([sys.executable, "-m", "build", "--outdir", str(out.resolve()), str(sources)])
    return next(out.glob("autoglm_doctor-*.whl"))


def quiet(command: list[str]) -> None:
    """Run a command; its output is shown only when it fails, which ends the program."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}\nfailed: {' '.join(command)}")


def main() -> None:
    """Build, and say what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=CHECKOUT / "dist", help="folder for both files")
    out = parser.parse_args().out
    build(out)
    print(*sorted(map(str, out.glob("autoglm_doctor-*"))), sep="\n")


if __name__ == "__main__":
    main()
