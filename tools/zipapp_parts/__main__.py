"""The first thing that the zipapp runs.

Any Python must be able to read this file, so that an old one gives a sentence and no SyntaxError; what needs a newer
one is in bootstrap.py.
"""

import sys

if sys.version_info < (3, 10):  # noqa: UP036  that is the point
    sys.stderr.write(
        "autoglm-doctor: Python 3.10 or newer is needed, this is %d.%d (%s); run it as `python3.12 %s ...`\n"  # noqa: UP031
        % (sys.version_info[0], sys.version_info[1], sys.executable, sys.argv[0])
    )
    sys.exit(2)

if not sys.platform.startswith("linux"):
    sys.stderr.write("autoglm-doctor: this file runs on Linux only; on Windows use WSL2\n")
    sys.exit(2)

import bootstrap

bootstrap.main()
