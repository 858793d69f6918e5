"""Build autoglm-doctor.pyz: the doctor and all that it needs in one file, for any Python from 3.10 on.

    python tools/make_zipapp.py [--out dist/autoglm-doctor.pyz] [--wheel WHEEL]

Inside: `__main__.py` and `bootstrap.py` (from zipapp_parts), `app/` (the doctor, unpacked at each start),
`native/MACHINE/` (psutil, likewise), `lib/` (pure Python, imported from the zip), `licenses/`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import zipapp
from pathlib import Path

from dist import CHECKOUT, build, quiet

#: The oldest Python that it runs on: what supports that one and is pure Python runs on newer ones as well.
PYTHON = "3.10"

#: A choice of this build, no bound of the package: later releases bring pydantic, which is compiled for each Python.
CHOICES = ("typer<0.29",)

#: Machines with a GPU; psutil's wheels hold for every Python from 3.6 on.
MACHINES = ("x86_64", "aarch64")
MANYLINUX = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")


def make(wheel: Path, out: Path) -> None:
    """Put the archive together from a wheel of the doctor."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        shutil.copytree(Path(__file__).parent / "zipapp_parts", tree, ignore=shutil.ignore_patterns("__pycache__"))
        install(tree / "lib", "--python-version", PYTHON, str(wheel), *CHOICES)
        for machine in MACHINES:
            tags = [f"--platform={tag}_{machine}" for tag in MANYLINUX]
            install(tree / "native" / machine, "--python-version", PYTHON, *tags, "--no-deps", "psutil")
        arrange(tree)
        out.parent.mkdir(parents=True, exist_ok=True)
        zipapp.create_archive(tree, out, interpreter="/usr/bin/env python3", compressed=True)


def install(target: Path, *words: str) -> None:
    """Unpack wheels into a folder; nothing is built or run."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--only-binary=:all:"]
    quiet([*pip, "--target", str(target), *words])


def arrange(tree: Path) -> None:
    """The doctor into app/, metadata out of the way of `importlib.metadata`, nothing compiled in lib/."""
    lib = tree / "lib"
    for info in list(tree.rglob("*.dist-info")):
        shutil.copytree(info, tree / "licenses" / info.name.removesuffix(".dist-info"), dirs_exist_ok=True)
        shutil.rmtree(info)
    (tree / "app").mkdir()
    (lib / "autoglm_doctor").rename(tree / "app" / "autoglm_doctor")
    shutil.rmtree(lib / "psutil")  # this machine's
    shutil.rmtree(lib / "bin")  # commands
    (lib / "example.py").unlink(missing_ok=True)  # an accident of nvidia-ml-py's wheel
    for compiled in (lib / "yaml").glob("_yaml*.so"):
        compiled.unlink()  # PyYAML does without
    if rest := [str(path.relative_to(lib)) for path in lib.rglob("*.so")]:
        sys.exit(f"compiled, and so of no use in a zip: {', '.join(rest)}")


def main() -> None:
    """Build, and say what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=CHECKOUT / "dist/autoglm-doctor.pyz", help="the file to write")
    parser.add_argument("--wheel", type=Path, help="a wheel that is already built")
    given = parser.parse_args()
    if given.wheel:
        make(given.wheel, given.out)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            make(build(Path(scratch)), given.out)
    print(f"{given.out} ({given.out.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
