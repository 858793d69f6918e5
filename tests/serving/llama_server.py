"""Builds llama.cpp's server: `python -m tests.serving.llama_server TARGET`. Three minutes on two cores.

The source is the one that comes with the sdist of llama-cpp-python. Needs cmake, ninja or make, and a C++ compiler;
without them nothing is built, and the tests that need the server say so and are skipped.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

#: Little optimisation: the model is tiny, and compiling takes the time.
_SETTINGS = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_CXX_FLAGS_RELEASE=-O1",
    "-DCMAKE_C_FLAGS_RELEASE=-O2",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DGGML_LLAMAFILE=OFF",
    "-DGGML_OPENMP=OFF",
]


def build(target: Path) -> None:
    """Fetch, build, and keep the program alone."""
    missing = [tool for tool in ("cmake", "c++") if not shutil.which(tool)]
    if missing:
        print(f"no llama-server: {' and '.join(missing)} not found; its tests are skipped", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, made = _fetch(folder), folder / "build"
        subprocess.run(["cmake", "-S", str(source), "-B", str(made), *_SETTINGS], check=True, stdout=subprocess.DEVNULL)
        words = ["cmake", "--build", str(made), "--target", "llama-server", "-j", "2"]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made / "bin" / "llama-server", target)


def _fetch(folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*pip, "--dest", str(folder), "llama-cpp-python"], check=True)
    [archive] = folder.glob("llama_cpp_python-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    [source] = folder.glob("llama_cpp_python-*/vendor/llama.cpp")
    return source


if __name__ == "__main__":
    build(Path(sys.argv[1]))
