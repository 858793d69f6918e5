"""llmfit, hf-mem and accelerate, asked about a row of a start-up log: their answers in GiB, as each can be read.

Each lives in an environment of its own. hf-mem and accelerate ask a hub, whose address is given.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoglm_doctor.domain.spans import GIB
from tools import dist

Row = dict[str, Any]
Values = dict[str, float | None]

PACKAGES = {"llmfit": ["llmfit"], "hf-mem": ["hf-mem"], "accelerate": ["accelerate", "transformers", "torch"]}

#: What is compared, and of which rows.
QUANTITIES = {
    "weights": "weights alone",
    "weights+kv": "weights and the KV cache of one request",
    "need": "all but graphs: weights, KV, activations, outside torch",
    "need+graphs": "the same with graphs, rows whose log tells them; ours is our own prediction (middle of its range)",
    "need, graphs told": "graphs as the log says, none where it is silent; we are told them, as the others are not",
}

#: Our rows' names in llmfit's database.
LLMFIT_NAMES = {
    "DeepSeek-V2-Lite": "deepseek-ai/DeepSeek-V2-Lite",
    "Llama-3-8B": "meta-llama/Meta-Llama-3-8B",
    "Llama-3.1-8B": "meta-llama/Llama-3.1-8B",
    "Mistral-Small-24B": "mistralai/Mistral-Small-24B-Instruct-2501",
    "Qwen2.5-VL-7B": "Qwen/Qwen2.5-VL-7B-Instruct",
    "gpt-oss-20b": "openai/gpt-oss-20b",
    **{name: f"Qwen/{name}" for name in ("Qwen2.5-0.5B", "Qwen2.5-1.5B", "Qwen2.5-3B", "Qwen2.5-7B", "Qwen2.5-14B")},
    **{name: f"Qwen/{name}" for name in ("Qwen2.5-32B", "Qwen2.5-72B", "Qwen3-0.6B", "Qwen3-1.7B", "Qwen3-4B")},
    **{name: f"Qwen/{name}" for name in ("Qwen3-8B", "Qwen3-14B", "Qwen3-32B")},
}

#: 4 bits of bitsandbytes are no choice in llmfit; of its 4-bit formats this one is nearest to the log.
LLMFIT_QUANTS = {"bf16": "BF16", "fp16": "F16", "f32": "F32", "bnb4": "Q4_K_M"}

REDIRECT = '''"""hf-mem has the hub's address in its source: send those requests to HF_ENDPOINT."""
import os
import httpx2

_get = httpx2.AsyncClient.get


async def get(self, url, **rest):
    return await _get(self, str(url).replace("https://huggingface.co", os.environ["HF_ENDPOINT"]), **rest)


httpx2.AsyncClient.get = get
'''


@dataclass(frozen=True)
class Place:
    """Where the tools run: their environments, a scratch folder that is their home, the hub's address."""

    work: Path
    scratch: Path
    address: str

    def output(self, tool: str, words: list[str]) -> str:
        """What the tool prints on standard output; ends the program when it fails."""
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.scratch),
            "HF_HOME": str(self.scratch / "hf"),
            "HF_ENDPOINT": self.address,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "PYTHONWARNINGS": "ignore",
        }
        if tool == "hf-mem":
            environ["PYTHONPATH"] = str(self.scratch / "redirect")
        program = self.work / "environments" / tool / "bin" / tool
        done = subprocess.run([program, *words], env=environ, capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise SystemExit(f"{tool} {' '.join(words)}: exit {done.returncode}\n{done.stderr[-2000:]}")
        return done.stdout


def hf_mem(place: Place, row: Row) -> dict[str, Values]:
    """Bytes from the header and, as an experiment, the KV cache."""
    words = ["--model-id", f"rows/{row['id']}", "--json-output"]
    whole = [*words, "--experimental", "--max-model-len", str(length(row))]
    said = json.loads(place.output("hf-mem", whole))
    weights, both = said["memory"] / GIB, said["total_memory"] / GIB
    plain = json.loads(place.output("hf-mem", words))["total_memory"] / GIB
    return {"--experimental": values(weights, both, both), "plain": values(plain, plain, plain)}


def accelerate(place: Place, row: Row) -> dict[str, Values]:
    """The table's "Total Size", whose GB are 2^30 bytes; int4 stands for any 4 bits."""
    dtype = "int4" if form(row) == "bnb4" else "float32" if form(row) == "f32" else "float16"
    said = place.output("accelerate", ["estimate-memory", f"rows/{row['id']}", "--dtypes", dtype])
    [line] = [text for text in said.splitlines() if dtype in text]
    number, unit = line.strip("│ ").split("│")[2].split()
    size = float(number) * {"KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}[unit] / GIB
    return {"Total Size": values(size, size, size), "x 1.2": values(size, 1.2 * size, 1.2 * size)}


def llmfit(place: Place, row: Row) -> dict[str, Values]:
    """`plan` from its own database."""
    name, quant = LLMFIT_NAMES[row["config"]["model"]], LLMFIT_QUANTS[form(row)]
    words = ["plan", name, "--context", str(length(row)), "--quant", quant, "--json", "--no-dashboard"]
    said = json.loads(place.output("llmfit", words))
    kv = next(a["kv_cache_gb"] for a in said["kv_alternatives"] if a["kv_quant"] == "fp16")
    found = {}
    for unit, size in (("GB = 2^30", 1.0), ("GB = 10^9", 1e9 / GIB)):
        for level in ("minimum", "recommended"):
            weights, both = said["disk_size_gb"] * size, said["disk_size_gb"] * size + kv
            found[f"{level}, {unit}"] = values(weights, both, said[level]["vram_gb"] * size)
    return found


def values(weights: float, both: float, need: float) -> Values:
    """A tool's one answer stands for the need with graphs and without."""
    return {"weights": weights, "weights+kv": both, **dict.fromkeys(list(QUANTITIES)[2:], need)}


def length(row: Row) -> int:
    """Tokens of the longest request; vLLM takes the model's own where no flag says it."""
    return int(row["flags"].get("max_model_len") or row["config"]["max_position_embeddings"])


def form(row: Row) -> str:
    """The number format of the weights."""
    return "bnb4" if "bnb4" in str(row["flags"].get("quantization") or "") else str(row["flags"]["dtype"])


def environment(tool: str, work: Path) -> Path:
    """The tool's environment, made once."""
    folder = work / "environments" / tool
    if not (folder / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        dist.quiet([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *PACKAGES[tool]])
        (folder / "made").touch()
    return folder


def version(tool: str, folder: Path) -> str:
    """Of the package in its environment."""
    about = next(folder.glob(f"lib/python3.*/site-packages/{tool.replace('-', '_')}-*.dist-info"))
    return about.name.removesuffix(".dist-info").split("-")[1]


PEERS: dict[str, Callable[[Place, Row], dict[str, Values]]] = {
    "llmfit": llmfit,
    "hf-mem": hf_mem,
    "accelerate": accelerate,
}
