"""What the deployment's Python says about itself: version, prefixes and sys.path.

Run by the user's interpreter: standard library only, and syntax that a Python 2.7 reads too, so that an old one can
still tell us its age. Packages are not looked at here: the doctor reads them from this sys.path itself, which is faster
and cannot crash. The last line on standard error says what went wrong.
"""

import sys

MYPY = False
if MYPY:
    from typing import Any  # noqa: F401  used in comments

try:
    import json
    import os
    import platform
    import sysconfig
except BaseException as error:  # a file of that name comes first on sys.path, or the installation is not whole
    trace = sys.exc_info()[2]  # type: Any
    while trace.tb_next:
        trace = trace.tb_next
    place = getattr(error, "filename", None) or trace.tb_frame.f_code.co_filename
    sys.exit("its standard library does not import, see {}: {}: {}".format(place, type(error).__name__, error))  # noqa: UP032


def sys_path():
    # type: () -> Any
    """sys.path as the deployment will see it: without the folder of this script, which Python put first."""
    own = os.path.realpath(os.path.dirname(os.path.abspath(__file__)))
    # An empty entry of PYTHONPATH means the working folder, and that is ours as well.
    return [entry for entry in sys.path if entry and os.path.realpath(entry) != own]


def torch_folder():
    # type: () -> Any
    """The folder that `import torch` would take, without importing it; "" for none, None where nobody can say."""
    kept = sys.path[:]
    try:
        from importlib.util import find_spec

        sys.path[:] = sys_path()
        spec = find_spec("torch")  # type: Any
        origin = spec.origin if spec is not None else ""
        is_file = bool(origin) and os.path.basename(origin) == "__init__.py"
        return os.path.dirname(os.path.abspath(origin)) if is_file else ""
    except BaseException:  # a Python 2.7 has no find_spec; a hook of somebody else can fail in any way
        return None
    finally:
        sys.path[:] = kept


def externally_managed():
    # type: () -> Any
    """Whether pip and uv refuse to install into it (PEP 668), as into Debian's own; None where nobody can say."""
    try:
        if sys.prefix != getattr(sys, "base_prefix", sys.prefix) or hasattr(sys, "real_prefix"):
            return False  # of a virtual environment
        if os.environ.get("PIP_BREAK_SYSTEM_PACKAGES", "").lower() in ("1", "true", "yes", "on", "t", "y"):
            return False  # as images set it; then it was decided
        return os.path.isfile(os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED"))
    except BaseException:  # an installation without its own description
        return None


def answer(arguments):
    # type: (Any) -> Any
    """The fields of facts.Interpreter."""
    return {
        "executable": sys.executable or arguments.get("executable", ""),
        "version": platform.python_version(),
        "implementation": platform.python_implementation().lower(),
        "prefix": sys.prefix,
        "base_prefix": getattr(sys, "base_prefix", sys.prefix),
        "sys_path": sys_path(),
        "purelib": sysconfig.get_paths().get("purelib", ""),
        "chosen_by": arguments.get("chosen_by", ""),
        "missing_program": arguments.get("missing_program"),
        "torch_folder": torch_folder(),
        "externally_managed": externally_managed(),
    }


def main():
    # type: () -> None
    """Write one line with the fact `interpreter` to the result file."""
    value = answer(json.loads(sys.argv[2]))
    line = {"fact": "interpreter", "outcome": "known", "value": value, "source": "the interpreter itself"}
    try:
        with open(sys.argv[1], "a") as stream:
            stream.write(json.dumps(line) + "\n")
    except EnvironmentError as error:  # noqa: UP024  an OSError is something else to a Python 2.7
        sys.exit("the doctor's scratch folder cannot be written: " + str(error))


if __name__ == "__main__":
    main()
