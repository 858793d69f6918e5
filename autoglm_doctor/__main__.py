"""Entry point. `--version` answers before anything heavy is imported."""

from __future__ import annotations

import gc
import sys

if not __package__:  # started by the path of the folder: `python3 checkout/autoglm_doctor check`
    sys.path[0] = __file__.rpartition("/autoglm_doctor/")[0] or ".."


def main() -> None:
    """Run the command line."""
    _open_missing_streams()
    gc.disable()  # short-lived, and its graphs of types are not garbage: collecting them costs a tenth of the start
    if sys.argv[1:] in (["--version"], ["-V"]):
        from autoglm_doctor import __version__

        try:
            print(f"autoglm-doctor {__version__}", flush=True)
        except OSError:
            _leave(2)
        return
    _standard_library_first()
    from autoglm_doctor import interruption

    interruption.watch()
    try:
        from autoglm_doctor.cli.app import run

        code = run(sys.argv[1:])
    except ModuleNotFoundError as error:
        _without_dependencies(error)
        raise
    except KeyboardInterrupt:  # a second one, while everything is still being loaded or already said
        code = 130
    interruption.too_late()
    _leave(code)


def _standard_library_first() -> None:
    """PYTHONPATH and the working folder come last: they are the patient's, and a json.py there is not to be ours.

    The deployment's own Python still gets them as they are.
    """
    import contextlib
    import os

    foreign = {"", os.environ.get("PWD", "")} | set(os.environ.get("PYTHONPATH", "").split(os.pathsep))
    with contextlib.suppress(OSError):
        foreign.add(os.getcwd())
    sys.path.sort(key=lambda entry: entry in foreign)  # stable


def _open_missing_streams() -> None:
    """Descriptors 0 to 2 that were closed: else the next file that we open gets one, and receives what is printed."""
    import os

    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number


def _leave(code: int) -> None:
    """End with this exit code, also when nobody reads what is still to be flushed."""
    import contextlib
    import os

    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):  # the reader is gone, the disk is full, or the descriptor was closed
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _without_dependencies(error: ModuleNotFoundError) -> None:
    """In a bare checkout, go on with the environment that `make` built beside it, or say what is missing."""
    import os
    from pathlib import Path

    if (error.name or "").startswith("autoglm_doctor"):
        return
    checkout = Path(__file__).resolve().parent.parent
    python = checkout / ".venv" / "bin" / "python"
    if python.exists() and Path(sys.prefix) != checkout / ".venv":
        # By the folder's path: the environment must reach the deployment's Python as it is.
        os.execv(python, [str(python), str(checkout / "autoglm_doctor"), *sys.argv[1:]])  # noqa: S606
    print(
        f"autoglm-doctor: the package {error.name!r} is missing from {sys.executable}.\n"
        "Run `make check` in a checkout, or `pip install autoglm-doctor`.",
        file=sys.stderr,
    )
    sys.exit(2)


if __name__ == "__main__":
    main()
