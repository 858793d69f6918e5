"""Facts of a host that are ill, each beside a healthy one of restraint/quiet_host.jsonl that looks like it."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.loose.read import read_facts
from autoglm_doctor.matrix import load_matrix
from tests.restraint.judged import judged

MODEL = {"model": "Qwen/Qwen2.5-7B-Instruct"}
VLLM = {"engine": "vllm 0.11.0", **MODEL}
EIGHT = ["NVIDIA H100 80GB HBM3"] * 8
SIXTEEN = {"engine": "vllm 0.11.0", "engine_args": {"tensor_parallel_size": 8, "pipeline_parallel_size": 2}}
HUB, FULL, TAKEN = "HUB_UNREACHABLE", "DISK_FULL", "GPU_MEMORY_TAKEN_BY_OTHERS"
SHARD, TWICE, HOME = "MODEL_SHARD_MISSING", "DUPLICATE_TORCH_INSTALL", "CUDA_HOME_INVALID"


def card(**stated: Any) -> dict[str, Any]:
    return {**VLLM, "gpus": [{"name": "L40S", **stated}]}


ILL = [
    pytest.param({**MODEL, "network": "docker hub and huggingface not reachable"}, HUB, id="both hubs closed"),
    pytest.param({**MODEL, "network": "huggingface.co and hf-mirror.com are blocked"}, HUB, id="the mirror as well"),
    pytest.param(
        {**MODEL, "network": "huggingface.co is blocked, the proxy does not work"}, HUB, id="no way by the proxy"
    ),
    pytest.param({**MODEL, "network": "air-gapped, no hub access"}, HUB, id="air-gapped"),
    pytest.param({**MODEL, "network": "huggingface.co is blocked", "model_cached": False}, HUB, id="and not cached"),
    pytest.param(
        {**MODEL, "network": "no internet", "env": {"HF_ENDPOINT": "https://huggingface.co"}}, HUB, id="the hub itself"
    ),
    pytest.param({**MODEL, "env": {"HF_HUB_OFFLINE": "1"}, "hf_cache": "no cache"}, HUB, id="offline without a cache"),
    pytest.param({**SIXTEEN, "gpus": EIGHT}, "TOO_FEW_GPUS", id="16 GPUs on one machine of 8"),
    pytest.param({**SIXTEEN, "gpus": EIGHT[:4], "nodes": 2}, "TOO_FEW_GPUS", id="16 on two machines of 4"),
    pytest.param(
        {**SIXTEEN, "gpus": EIGHT, "nodes": 2, "ulimit_memlock_kib": 8192}, "MEMLOCK_LIMIT_LOW", id="two of 8"
    ),
    pytest.param(
        {**SIXTEEN, "gpus": EIGHT, "nodes": 2, "hostname_resolves_to": "127.0.1.1"},
        "NETWORK_INTERFACE_WRONG",
        id="spread, and a name that means this machine",
    ),
    pytest.param({**MODEL, "disk": "/home is 100% full"}, FULL, id="a full home"),
    pytest.param({**MODEL, "disk": "only 5 GB"}, FULL, id="only so much"),
    pytest.param({**MODEL, "disk": "only 5 GB left"}, FULL, id="only so much left"),
    pytest.param({**MODEL, "disk": {"fs_type": "ext4", "free_gb": 900, "inodes_free": 0}}, FULL, id="ext4, no inodes"),
    pytest.param({**MODEL, "disk": {"path": "/", "free_gb": 8}, "model_cached": False}, FULL, id="not cached yet"),
    pytest.param(
        {**MODEL, "disk": {"path": "/data", "use_percent": 100}, "engine_args": {"download_dir": "/data/models"}},
        FULL,
        id="the disk that downloads go to",
    ),
    pytest.param(
        {"model_files": "model-00001-of-00002.safetensors (5 GB), model-00002-of-00002.safetensors missing"},
        SHARD,
        id="a shard",
    ),
    pytest.param({"model_files": "model.safetensors missing, pytorch_model.bin missing"}, SHARD, id="both formats"),
    pytest.param(
        {"model_files": {"model-00001-of-00002.safetensors": "5 GB", "blobs/x.incomplete": "3 GB"}},
        "MODEL_FILE_TRUNCATED",
        id="a broken-off download, and a shard is missing",
    ),
    pytest.param({"model_files": {"pytorch_model.bin": "135 bytes"}}, "MODEL_FILES_LFS_POINTER", id="a pointer"),
    pytest.param({**VLLM, "chat_template": "none in tokenizer_config.json"}, "CHAT_TEMPLATE_MISSING", id="no template"),
    pytest.param(
        {
            "container": "docker",
            "libcuda_so": "missing inside the container",
            "gpus": ["L40S"],
            "engine": "vllm 0.10.0",
        },
        "LIBCUDA_DEV_LINK_MISSING",
        id="no link inside",
    ),
    pytest.param({"torch_installed": "conda 2.4.0 and pip 2.8.0"}, TWICE, id="two installers"),
    pytest.param({"torch_installed": "conda 2.4.0 and pip 2.8.0 in the same env"}, TWICE, id="one environment"),
    pytest.param(
        {"ulimit_nofile": "1024", "engine": "vllm 0.6.4", "engine_args": {"tp": 8}}, "NOFILE_LIMIT_LOW", id="as text"
    ),
    pytest.param(
        {"ulimit_nproc": 1024, "user": "vllm", "engine": "vllm 0.11.0", "engine_args": {"tp": 8}},
        "NOFILE_LIMIT_LOW",
        id="processes of a user",
    ),
    pytest.param({"env": {"CUDA_HOME": "/usr/local/cuda-12.8, which does not exist"}}, HOME, id="not there"),
    pytest.param({"cuda_home": "/usr/local/cuda-12.8 (folder was removed)"}, HOME, id="removed"),
    pytest.param({"packages": {"numpy": "2.1.3", "scikit-image": "0.22.0"}}, "NUMPY2_ABI", id="scikit-image too old"),
    pytest.param(
        {**VLLM, "engine_args": {"tp": 2}, "container": "vllm/vllm-openai:v0.11.0", "shm": "default"},
        "SHM_TOO_SMALL",
        id="docker's default",
    ),
    pytest.param(card(memory_gb=48, used=40), TAKEN, id="GiB beside GiB"),
    pytest.param(card(**{"memory.total": 46068, "memory.used": 40960}), TAKEN, id="MiB beside MiB"),
    pytest.param(card(**{"memory.total": 46068, "memory.free": 500}), TAKEN, id="few MiB are free"),
    pytest.param(card(memory_mib=46068, processes=[{"used_memory": "40 GB"}]), TAKEN, id="a process in GB"),
    pytest.param(card(memory_mib=46068, processes=[{"used_memory": 40960}]), TAKEN, id="a process in MiB"),
    pytest.param({**VLLM, "ram": "64 GB", "ram_available": "1.2 GB"}, "RAM_TOO_SMALL", id="memory in use"),
    pytest.param({**VLLM, "port_in_use": 8000}, "PORT_IN_USE", id="the default port"),
]


@pytest.mark.parametrize(("facts", "cause"), ILL)
def test_ill(facts: dict[str, Any], cause: str) -> None:
    assert [one.cause for one in judged(facts).causes] == [cause]


@pytest.mark.parametrize(
    ("said", "limits"),
    [
        pytest.param("65,535", (65535, 0), id="thousands with a comma"),
        pytest.param("65 535", (65535, 0), id="with a space"),
        pytest.param("1048576", (1048576, 0), id="as text"),
        pytest.param("1024:524288", (1024, 524288), id="two numbers"),
        pytest.param("1,024 / 1,048,576", (1024, 1048576), id="two with commas"),
        pytest.param("soft 1024 hard 4096", (1024, 4096), id="in words"),
        pytest.param("4096:1024", None, id="a hard limit below the soft one"),
    ],
)
def test_open_files(said: str, limits: tuple[int, int] | None) -> None:
    host = read_facts({"ulimit_nofile": said}, load_matrix())[0].host.value
    assert (host.open_files if host else None) == limits


@pytest.mark.parametrize(
    ("facts", "count"),
    [
        pytest.param({**SIXTEEN, "gpus": EIGHT, "nodes": 2}, 2, id="it takes both"),
        pytest.param({**SIXTEEN, "gpus": EIGHT * 2, "nodes": 2}, 2, id="those of both are listed"),
        pytest.param({"engine": "vllm", "engine_args": {"tp": 2}, "gpus": ["L40S"] * 2, "nodes": 4}, None, id="copies"),
        pytest.param({"engine": "vllm", "engine_args": {"tp": 2}, "nodes": 4}, None, id="fewer GPUs than machines"),
        pytest.param({"engine": "vllm", "nodes": 2}, 2, id="nothing else is told"),
        pytest.param({"engine": "vllm", "gpus": ["L40S"], "nnodes": 2}, 2, id="the engine's own word"),
    ],
)
def test_spread(facts: dict[str, Any], count: int | None) -> None:
    host = read_facts(facts, load_matrix())[0].host.value
    assert (host.machines if host else None) == count
