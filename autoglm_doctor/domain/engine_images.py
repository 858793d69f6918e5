"""The line that starts an engine in the container image of its project."""

from __future__ import annotations


def image_line(engine: str) -> str:
    """`docker run` of the newest image, to be followed by the server's flags; vLLM's for an engine without one."""
    if engine == "sglang":
        start = "-p 30000:30000 lmsysorg/sglang:latest python3 -m sglang.launch_server --help"
    else:
        start = "-p 8000:8000 vllm/vllm-openai:latest --help"
    return f"docker run --gpus all --ipc=host {start}"
