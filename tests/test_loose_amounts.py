"""Memory, disks, files and packages in the ways that people state them; what is not understood says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.loose.read import read_facts
from autoglm_doctor.matrix import load_matrix
from tests.restraint.judged import judged

GIB = 1 << 30
V = "vllm 0.8.5"
Q7, Q32, Q72 = "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-32B-Instruct", "Qwen/Qwen2.5-72B-Instruct"
PHONE = {"model": "zai-org/AutoGLM-Phone-9B", "engine": "vllm 0.12.0"}
WEIGHTS, TAKEN, SHARED = "VRAM_TOO_SMALL_FOR_WEIGHTS", "GPU_MEMORY_TAKEN_BY_OTHERS", "SHM_TOO_SMALL"
CUT, MISSING, POINTER = "MODEL_FILE_TRUNCATED", "MODEL_SHARD_MISSING", "MODEL_FILES_LFS_POINTER"
LIMIT, TEMPLATE = "SAFETENSORS_HEADER_LIMIT", "CHAT_TEMPLATE_MISSING"
OF_4090 = {"name": "RTX 4090", "memory_gb": 24}


def serve(model: str = Q7, **rest: Any) -> dict[str, Any]:
    return {"model": model, "engine": V, **rest}


ILL = {
    "NVIDIA's name tells the memory": (serve(Q32, gpus="NVIDIA A100-PCIE-40GB"), WEIGHTS),
    "a name with the memory behind it": (serve(Q32, gpus=["RTX 3090 (24 GB)"]), WEIGHTS),
    "several of a kind, on one": (serve(Q72, gpus="2 x A100 80GB", engine_args={"tp": 1}), WEIGHTS),
    "a line of nvidia-smi -L": (PHONE | {"gpus": ["GPU 0: NVIDIA GeForce RTX 3060 12GB (UUID: GPU-1)"]}, WEIGHTS),
    "GB with a space": (PHONE | {"gpus": [{"name": "RTX 4070", "vram": "12 GB"}]}, WEIGHTS),
    "memory beside the GPU": (PHONE | {"gpus": ["RTX 4070"], "vram_gb": 12}, WEIGHTS),
    "a bare number of MiB": (serve(Q32, gpus=[{"name": "x", "memory": 24564}]), WEIGHTS),
    "free GB": (serve(gpus=[{"name": "A100", "memory_gb": 40, "free_gb": 10}]), TAKEN),
    "used, with its unit": (serve(gpus=[OF_4090 | {"used": "20 GB"}]), TAKEN),
    "used of all, as nvidia-smi": (serve(gpus=[{"name": "x", "memory_usage": "12510MiB / 24564MiB"}]), TAKEN),
    "what programs hold": (serve(gpus=[OF_4090 | {"processes": [{"used_mib": 9000}]}]), TAKEN),
    "free beside a name that tells the memory": (serve(gpus=[{"name": "A100-SXM4-80GB", "free": "30 GiB"}]), TAKEN),
    "--shm-size": (serve(container="docker run --shm-size=64m x/y:z", engine_args={"tp": 2}), SHARED),
    "shm by default": (serve(container="docker", shm="default", engine_args={"tp": 2}), SHARED),
    "shm with a remark": (serve(shm="64M (docker's default)", engine_args={"tp": 4}), SHARED),
    "shm of an object": (serve(container={"shm_size": "64m"}, engine_args={"tp": 4}), SHARED),
    "shm in bytes": (serve(shm_bytes=67108864, engine_args={"tp": 2}), SHARED),
    "main memory with its unit": (serve(ram="8 GB"), "RAM_TOO_SMALL"),
    "main memory in MB": (serve(ram_mb=6144), "RAM_TOO_SMALL"),
    "what WSL is given": (serve(os="WSL2", wslconfig_memory="6GB"), "RAM_TOO_SMALL"),
    "--memory": (serve(container="docker run --memory=4g x/y:z"), "CGROUP_MEMORY_LIMIT"),
    "the limit of a pod": (serve(container="kubernetes", memory_limit="6Gi"), "CGROUP_MEMORY_LIMIT"),
    "room in words": (serve(Q72, disk="only 12 GB free"), "DISK_FULL"),
    "room as the rest": (PHONE | {"disk": {"total_gb": 100, "used_gb": 99}}, "DISK_FULL"),
    "room of its own key": (serve(disk_available_gb=4), "DISK_FULL"),
    "room as df prints it": (serve(disk={"avail": "3.2G", "mount": "/"}), "DISK_FULL"),
    "a share of a hundred": ({"disk": "/dev/sda1 100% used"}, "DISK_FULL"),
    "a quota below the model": (serve(Q72, disk="quota of 10 GB in the home directory"), "DISK_FULL"),
    "a drive of Windows": (serve("/mnt/d/models/q", os="WSL2"), "SLOW_MODEL_STORAGE"),
    "a cache on one": (serve(os="WSL2", env={"HF_HOME": "/mnt/c/hf"}), "SLOW_MODEL_STORAGE"),
    "a type in capitals": (serve(disk={"type": "NFS"}), "SLOW_MODEL_STORAGE"),
    "some of all shards": ({"model_files": "only 2 of 4 shards present"}, MISSING),
    "shards as numbers": ({"shards_present": 3, "shards_expected": 9}, MISSING),
    "a shard by its name": ({"model_files": "model-00003-of-00004.safetensors is missing"}, MISSING),
    "more in the index": ({"model_files": {"x.index.json": "names 2 shards", "a.safetensors": "4G"}}, MISSING),
    "size and expected size": ({"model_files": {"a.safetensors": {"size": "3.1G", "expected": "4.9G"}}}, CUT),
    "so much of so much": ({"model_files": {"a.safetensors": "3.1 GB of 4.9 GB"}}, CUT),
    "a list with sizes": ({"model_files": ["a.safetensors (4.9G)", "b.safetensors (0 bytes)"]}, CUT),
    "a word": ({"model_files": {"a.safetensors": "truncated"}}, CUT),
    "a download that broke off": ({"model_download": "the transfer was aborted half way"}, CUT),
    "what a hub client leaves": ({"model_files": {"3f2a.incomplete": "1.2G"}}, CUT),
    "no git-lfs": ({"model_source": "git clone of the repository", "git_lfs": False}, POINTER),
    "pointers in a word": ({"model_files": {"a.safetensors": "LFS pointer"}}, POINTER),
    "a header in bytes": ({"safetensors_header_bytes": 104857700}, LIMIT),
    "a header in words": ({"model_files": "one file whose header is 150 MB"}, LIMIT),
    "no template": ({"chat_template": "none in tokenizer_config.json", "engine": V}, TEMPLATE),
    "no template in the tokenizer's file": ({"model_files": "tokenizer_config.json without chat_template"}, TEMPLATE),
    "pip freeze in a text": ({"packages": "torch==2.1.2\nnumpy==2.0.1"}, "NUMPY2_ABI"),
    "pip freeze in a list": ({"packages": ["transformers==4.57.1", "huggingface_hub==1.0.1"]}, "HF_LIBS_CONFLICT"),
    "packages by their own keys": ({"transformers": "4.40.0", "tokenizers": "0.21.0"}, "HF_LIBS_CONFLICT"),
    "remarks": ({"packages": {"transformers": "v4.57.1 (pip)", "huggingface_hub": "==1.0.1"}}, "HF_LIBS_CONFLICT"),
}

WELL = {
    "a name that does not tell the memory": serve(Q32, gpus=["NVIDIA GeForce RTX 4090"]),
    "cards that are modified": serve("Qwen/Qwen2.5-14B-Instruct", gpus=["RTX 4090 48GB"]),
    "each or together": serve("Qwen/Qwen2.5-14B-Instruct", gpus="2x RTX 3090 48GB"),
    "enough together": serve(Q72, gpus="4x NVIDIA H100 80GB HBM3", engine_args={"tp": 4}),
    "how many share it is not said": serve(Q32, gpus="2 x A100 80GB"),
    "a slice bears the name of the whole": serve(gpus=["NVIDIA A100-SXM4-80GB MIG 1g.10gb"]),
    "a desktop takes a little": serve(gpus=[OF_4090 | {"used_mib": 400}]),
    "all but a little is free": serve(gpus=[{"name": "NVIDIA H100 80GB HBM3", "free_gib": 78.5}]),
    "the host's shm": serve(container="docker run --ipc=host", shm="default", engine_args={"tp": 2}),
    "a number of something": serve(shm=64, engine_args={"tp": 2}),
    "one GPU needs little shm": serve(container="docker", shm="64M"),
    "a small model in little memory": serve("Qwen/Qwen2.5-0.5B-Instruct", ram_gib=8),
    "memory without a model": {"ram_gb": 8, "engine": V},
    "files are mapped": serve(Q32, ram_gib=16),
    "the page cache makes room": serve(Q32, container_memory_gib=16, ram_gib=256),
    "no limit": serve(container="kubernetes", memory_limit="unlimited"),
    "another disk than that of the cache": serve(Q72, disk={"path": "/", "free_gb": 3}, env={"HF_HOME": "/data/hf"}),
    "a quota elsewhere": serve(Q72, disk="home quota of 20 GB", env={"HF_HOME": "/scratch/hf"}),
    "the model is there": serve(Q72, disk={"free_gb": 5}, model_path="/models/q72"),
    "it is said to be there": serve(Q72, disk="5 GB free", model_files="all there"),
    "not full": serve(disk="disk is not full"),
    "a size of the whole": serve(Q72, disk="2 TB NVMe"),
    "a rate": serve(Q72, disk="reads 200 MB/s"),
    "a small /tmp": {"disk": "/tmp is a 4 GB tmpfs", "env": {"TMPDIR": "/tmp"}},
    "a share for others": serve(disk="NFS home, models on a local NVMe"),
    "a mount of Linux": serve("/mnt/d/models/q", os="Ubuntu 22.04"),
    "WSL's own disk": serve(os="WSL2", model_path="/home/me/models"),
    "all shards": {"model_files": "4 of 4 shards present"},
    "a list that is not whole": {"model_files": {"model-00001-of-00003.safetensors": "4.9G"}},
    "denied": {"model_files": "not truncated, sha256 ok"},
    "mended": {"model_files": "was truncated, downloaded again"},
    "numbers of GB": {"model_files": {"a.safetensors": 4.9, "b.safetensors": 4.9}},
    "GB and GiB": {"model_files": {"a.safetensors": "4.6 GiB of 4.98 GB"}},
    "a usual header": {"model_files": {"a.safetensors": "header of 2 MB"}},
    "a template of transformers": {
        "chat_template": False,
        "packages": {"transformers": "4.40.0"},
        "engine": "vllm 0.4.0",
    },
    "a template by the flag": {"chat_template": False, "engine": V, "engine_args": {"chat_template": "/x.jinja"}},
    "no chat": {"chat_template": False, "engine": V, "engine_args": {"task": "embed"}},
    "a template": {"chat_template": "chatml", "engine": V},
    "a bound is no version": {"packages": {"torch": "2.2.0", "numpy": "below 2.0"}},
}


@pytest.mark.parametrize(("facts", "cause"), [pytest.param(*row, id=name) for name, row in ILL.items()])
def test_the_cause_is_read(facts: dict[str, Any], cause: str) -> None:
    assert [one.cause for one in judged(facts).causes][:1] == [cause]


@pytest.mark.parametrize("facts", [pytest.param(row, id=name) for name, row in WELL.items()])
def test_nothing_is_said(facts: dict[str, Any]) -> None:
    assert judged(facts).causes == ()


@pytest.mark.parametrize(
    ("gpu", "gib"),
    [
        pytest.param("Tesla V100-SXM2-32GB", 32, id="the whole of a card is the most that it has"),
        pytest.param("NVIDIA RTX A6000", 0, id="no number"),
        pytest.param("NVIDIA A100-SXM4-80GB MIG 3g.40gb", 0, id="a slice"),
        pytest.param("GRID V100D-32Q", 0, id="a share of a card"),
        pytest.param({"name": "x", "memory": "24564MiB"}, 24564 / 1024, id="MiB in a text"),
        pytest.param({"Memory (GiB)": 23.5}, 23.5, id="another spelling of a key"),
        pytest.param({"name": "x", "memory": "plenty"}, 0, id="words"),
    ],
)
def test_memory_of_a_gpu(gpu: Any, gib: float) -> None:
    [one] = read_facts({"gpus": [gpu]}, load_matrix())[0].gpus.value or ()
    assert one.total_bytes == int(gib * GIB)


def test_what_is_said_of_mig_beside_the_gpus_is_said_of_all() -> None:
    gpus = read_facts({"gpus": "2 x A100", "mig": True}, load_matrix())[0].gpus.value or ()
    assert [(gpu.name, gpu.mig) for gpu in gpus] == [("A100", True)] * 2
