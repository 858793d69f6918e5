"""Entry point. `--version` answers before anything heavy is imported."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line."""
    gc.disable()  # short-lived, and its graphs of types are not garbage: collecting them costs a tenth of the start
    if sys.argv[1:] in (["--version"], ["-V"]):
        from autoglm_doctor import __version__

        print(f"autoglm-doctor {__version__}")
        return
    try:
        from autoglm_doctor.cli.app import run
    except ModuleNotFoundError as error:
        _without_dependencies(error)
        raise
    sys.exit(run(sys.argv[1:]))


def _without_dependencies(error: ModuleNotFoundError) -> None:
    """In a bare checkout, go on with the environment that `make` built beside it, or say what is missing."""
    import os
    from pathlib import Path

    if (error.name or "").startswith("autoglm_doctor"):
        return
    checkout = Path(__file__).resolve().parent.parent
    python = checkout / ".venv" / "bin" / "python"
    if python.exists() and Path(sys.prefix) != checkout / ".venv":
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(checkout), os.getenv("PYTHONPATH")]))}
        os.execve(python, [str(python), "-m", "autoglm_doctor", *sys.argv[1:]], environ)  # noqa: S606
    print(
        f"autoglm-doctor: the package {error.name!r} is missing from {sys.executable}.\n"
        "Run `make check` in a checkout, or `pip install autoglm-doctor`.",
        file=sys.stderr,
    )
    sys.exit(2)


if __name__ == "__main__":
    main()
