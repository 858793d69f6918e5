"""Ways in which a torch can be ill, as the source of its __init__.py. What it prints or leaves is part of the illness.

Each stands alone and needs nothing of this harness. Write it with `encoding="utf-8", errors="surrogateescape"`: one of
them is no UTF-8. Those of `SURVIVABLE` are only a nuisance: behind them may stand a whole torch.
"""

from __future__ import annotations

#: Two children; they end some time after a tool that misses them.
_CHILDREN = """
import subprocess
for _ in range(2):
    subprocess.Popen(["sleep", "60"]{more})
__version__ = "2.9.0"
"""

_IGNORING = """
import signal, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
while True:
    time.sleep(3600)
"""

_MEMORY = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))  # of its own, so that the machine stays unharmed
hoard = []
while True:
    hoard.append(bytes(64 << 20))  # asked for, never touched
"""

_FLOOD = """
import sys
line = b"x" * 99 + b"\\n"
for _ in range(100):
    sys.{stream}.buffer.write(line * 10_000)
sys.{stream}.buffer.flush()
__version__ = "2.9.0"
"""

_GARBAGE = """
import os
for fd in range(256):
    try:
        os.write(fd, b'\\xff{"fact": "torch_run", [[[[\\n\\0')
    except OSError:
        pass
__version__ = "2.9.0"
"""

_SIGNAL = "import os, signal; os.kill(os.getpid(), signal.{name})"

#: They never come back from `import torch`.
FATAL: dict[str, str] = {
    "segfaults": "import ctypes; ctypes.string_at(0)",
    "aborts": "import os; os.abort()",
    "is killed": _SIGNAL.format(name="SIGKILL"),  # as the kernel does when memory is short
    "meets an illegal instruction": _SIGNAL.format(name="SIGILL"),  # as on a CPU without AVX
    "hangs": "import time; time.sleep(3600)",
    "hangs and ignores signals": _IGNORING,
    "hangs in a busy loop": "while True: pass",
    "leaves with 0": "import os; os._exit(0)",
    "forks and the parent leaves": "import os\nif os.fork(): os._exit(0)\n__version__ = '2.9.0'",
}

#: `import torch` raises.
RAISING: dict[str, str] = {
    "lacks a library": "raise ImportError('libcudart.so.12: cannot open shared object file: No such file or directory')",
    "lacks a symbol": "raise OSError('/x/libtorch_cuda.so: undefined symbol: ncclCommWindowRegister')",
    "raises no Exception": "class Odd(BaseException): pass\nraise Odd('odd')",
    "calls sys.exit(0)": "import sys; sys.exit(0)",
    "calls sys.exit(3)": "import sys; sys.exit(3)",
    "recurses without end": "def again(): return again()\nagain()",
    "exhausts memory": _MEMORY,
    "raises a megabyte of text": "raise RuntimeError('long ' * 200_000)",
    "raises broken text": "raise RuntimeError('half a pair: \\ud800, a bell: \\a, an escape: \\x1b[31m')",
    "raises what cannot be printed": "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute",
    "has a syntax error": "def broken(:\n    pass",
    "is no UTF-8": "name = '\udcff\udcfe'",
    "lacks its C library": "from torch._C import _initExtension",
}

#: A nuisance: `import torch` succeeds, and what is behind it may be healthy.
SURVIVABLE: dict[str, str] = {
    "prints": "print('Welcome to this torch!', flush=True)\n__version__ = '2.9.0'",
    "floods standard output": _FLOOD.format(stream="stdout"),
    "floods standard error": _FLOOD.format(stream="stderr"),
    "closes every descriptor": "import os; os.closerange(0, 4096)\n__version__ = '2.9.0'",
    "leaves children": _CHILDREN.format(more=""),
    "leaves children in sessions of their own": _CHILDREN.format(more=", start_new_session=True"),
    "replaces the standard streams": "import sys; sys.stdout = sys.stderr = None\n__version__ = '2.9.0'",
    "writes garbage to every descriptor": _GARBAGE,
    "changes the folder": "import os; os.chdir('/')\n__version__ = '2.9.0'",
    "replaces json.dumps": "import json; json.dumps = json.loads = lambda *_, **__: 'nonsense'\n__version__ = '2.9.0'",
    "replaces open": "import builtins, os; builtins.open = os.open = None\n__version__ = '2.9.0'",
    "starts an endless thread": (
        "import threading, time\nthreading.Thread(target=lambda: time.sleep(3600)).start()\n__version__ = '2.9.0'"
    ),
    "hangs at exit": "import atexit, time; atexit.register(time.sleep, 3600)\n__version__ = '2.9.0'",
    "forks and the child goes on": "import os; os.fork()\n__version__ = '2.9.0'",
}

#: All of them by name.
TORCHES: dict[str, str] = {**FATAL, **RAISING, **SURVIVABLE}
