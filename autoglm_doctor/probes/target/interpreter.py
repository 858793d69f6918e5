"""What the deployment's Python says about itself: version, prefixes and sys.path.

Run by the user's interpreter: standard library only, and old syntax, so that a Python 3.6 can still tell us its age.
Packages are not looked at here: the doctor reads them from this sys.path itself, which is faster and cannot crash.
"""

import json
import os
import platform
import sys
import sysconfig
from typing import Any


def sys_path() -> Any:
    """sys.path as the deployment will see it: without the folder of this script, which Python put first."""
    own = os.path.realpath(os.path.dirname(os.path.abspath(__file__)))
    # An empty entry of PYTHONPATH means the working folder, and that is ours as well.
    return [entry for entry in sys.path if entry and os.path.realpath(entry) != own]


def main() -> None:
    """Write one line with the fact `interpreter` to the result file."""
    arguments = json.loads(sys.argv[2])
    value = {
        "executable": sys.executable or arguments.get("executable", ""),
        "version": platform.python_version(),
        "implementation": sys.implementation.name,
        "prefix": sys.prefix,
        "base_prefix": getattr(sys, "base_prefix", sys.prefix),
        "sys_path": sys_path(),
        "purelib": sysconfig.get_paths().get("purelib", ""),
        "chosen_by": arguments.get("chosen_by", ""),
        "missing_program": arguments.get("missing_program"),
    }
    line = {"fact": "interpreter", "outcome": "known", "value": value, "source": "the interpreter itself"}
    with open(sys.argv[1], "a") as stream:
        stream.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
