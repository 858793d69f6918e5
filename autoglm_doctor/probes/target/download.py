"""Download a model with the target's own huggingface_hub, into the cache that the server will use.

Run only with --allow-download. Standard library and huggingface_hub; the deployment's HF_HOME, HF_ENDPOINT and token
are in the environment. Pickles are left out: nothing of ours would load them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, TextIO

PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.py"]


def emit(stream: TextIO, **entry: Any) -> None:
    """One line of the protocol."""
    stream.write(json.dumps(entry) + "\n")
    stream.flush()


def fetch(repository: str) -> dict[str, Any]:
    """The value of the fact: a path, or an error in the hub's own words."""
    value: dict[str, Any] = {"repository": repository}
    started = time.monotonic()
    try:
        from huggingface_hub import snapshot_download  # type: ignore[import-not-found, unused-ignore]

        value["path"] = snapshot_download(repository, allow_patterns=PATTERNS)
    except Exception as error:
        value["error"] = f"{type(error).__name__}: {str(error)[:500]}"
    value["seconds"] = round(time.monotonic() - started, 3)
    return value


def main() -> None:
    """Download, and say where it is or why not."""
    arguments = json.loads(sys.argv[2])
    repository = arguments["repository"]
    with open(sys.argv[1], "a", encoding="utf-8") as stream:
        if os.path.isdir(os.path.join(arguments.get("cwd", ""), os.path.expanduser(repository))):
            emit(stream, fact="download", outcome="absent", why="there is nothing to download: it is a folder here")
            return
        emit(stream, progress=f"downloading {repository}")
        emit(stream, fact="download", outcome="known", value=fetch(repository), source="huggingface_hub")


if __name__ == "__main__":
    main()
