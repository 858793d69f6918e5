"""The commands, and how every way to end becomes an exit code."""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from autoglm_doctor import interruption
from autoglm_doctor.cli.check import check
from autoglm_doctor.cli.diagnose import diagnose
from autoglm_doctor.cli.explain import explain
from autoglm_doctor.cli.list_checks import list_checks
from autoglm_doctor.cli.matrix import matrix
from autoglm_doctor.cli.plan import SplitAtDashes, plan
from autoglm_doctor.cli.resolve import resolve
from autoglm_doctor.console import printable
from autoglm_doctor.errors import BUG, INTERRUPTED, USAGE, DoctorError

app = typer.Typer(
    name="autoglm-doctor",
    help="Preflight doctor for machines that serve Open-AutoGLM and other models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("check")(check)
app.command("diagnose")(diagnose)
app.command("explain")(explain)
app.command("list")(list_checks)
app.command("plan", cls=SplitAtDashes)(plan)
app.add_typer(matrix, name="matrix")
app.command("resolve")(resolve)


def _help(context: typer.Context, wanted: bool) -> None:
    if wanted:
        typer.echo(context.get_help())
        raise typer.Exit


# typer from 0.29 on imports pydantic, 40 ms, for a help option of its own that is not given; ours is a plain flag.
@app.callback(add_help_option=False)
def _main(
    help_: Annotated[
        bool, typer.Option("--help", "-h", is_eager=True, callback=_help, help="Show this message and exit.")
    ] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Preflight doctor for machines that serve Open-AutoGLM and other models."""  # `--version`: see __main__


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; nothing escapes as a traceback."""
    code = _run(arguments)
    return INTERRUPTED if interruption.requested() else code


def _run(arguments: Sequence[str]) -> int:
    try:
        code = app(args=list(arguments), standalone_mode=False)
        return code if isinstance(code, int) else 0
    except DoctorError as error:
        return _say(_redacted(str(error), arguments), USAGE)
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader of a list or of help went away (`| head`): nothing is left to be said
        return 0
    except SystemExit as leaving:  # typer's way to say the same
        return 0 if isinstance(leaving.__context__, BrokenPipeError) else BUG
    except OSError as error:
        if error.errno in _UNWRITABLE:
            return _say(f"the output cannot be written: {error.strerror}", USAGE)
        return _click_or_bug(error)
    except Exception as error:
        return _click_or_bug(error)


#: A full disk, a used-up quota, a terminal that was closed.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def _redacted(text: str, arguments: Sequence[str]) -> str:
    """A message may quote the command that it could not read."""
    from autoglm_doctor.redact import Redactor

    redactor = Redactor()
    redactor.learn(arguments)
    return text if "--no-redact" in arguments else redactor.text(text)


def _click_or_bug(error: Exception) -> int:
    """click's own errors are usage errors; older and newer typer bring different clicks, so go by what they offer."""
    if type(error).__name__ == "Abort":
        return INTERRUPTED
    show, code = getattr(error, "show", None), getattr(error, "exit_code", None)
    if isinstance(code, int):
        if callable(show):
            with contextlib.suppress(OSError, ValueError):  # the exit code still says it
                show()
            return USAGE
        return code
    from autoglm_doctor.cli.bug import write_log

    return _say(write_log(error), BUG)


def _say(text: str, code: int) -> int:
    with contextlib.suppress(OSError, ValueError):  # the exit code still says it
        stream = sys.stderr or sys.stdout
        print(printable(f"autoglm-doctor: {text}", stream), file=stream)
    return code
