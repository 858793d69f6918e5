"""Loose facts become Facts and an Intent: each key alone, with what it must not claim."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_doctor.facts import Facts, fact_names
from autoglm_doctor.intent import UNNAMED, Intent
from autoglm_doctor.loose.container import default_shared_memory, image_engine, kind_of
from autoglm_doctor.loose.read import read_facts
from autoglm_doctor.matrix import load_matrix

GIB = 1 << 30


def read(**stated: Any) -> Facts:
    return read_facts(stated, load_matrix())[0]


def intent(**stated: Any) -> Intent:
    return read_facts(stated, load_matrix())[1]


def known_facts(facts: Facts) -> set[str]:
    return {name for name in fact_names() if getattr(facts, name).outcome == "known"}


def test_nothing_stated_is_nothing_known() -> None:
    facts = read()
    assert known_facts(facts) == set()
    assert {getattr(facts, name).outcome for name in fact_names()} == {"not_run"}


def test_unknown_keys_and_their_order_change_nothing() -> None:
    one = {"python": "3.11", "driver_version": "560.28.03", "packages": {"torch": "2.5.0+cu124", "vllm": "0.6.4"}}
    other = {"weather": "dull", **dict(reversed(one.items())), "packages": dict(reversed(one["packages"].items()))}  # type: ignore[attr-defined]
    assert read_facts(one, load_matrix()) == read_facts(other, load_matrix())


@pytest.mark.parametrize(
    ("stated", "facts"),
    [
        pytest.param({"os": "Ubuntu 24.04"}, {"host"}, id="an operating system"),
        pytest.param({"libc": "glibc-2.39"}, {"host"}, id="a C library"),
        pytest.param({"python": "3.11.9"}, {"interpreter"}, id="a Python"),
        pytest.param({"gpus": [{"name": "L4"}]}, {"gpus"}, id="a GPU"),
        pytest.param({"driver_version": "565.57.01"}, {"driver"}, id="a driver"),
        pytest.param({"driver_branch": "550"}, {"driver"}, id="a driver's branch"),
        pytest.param({"cuda_driver_version": "12.2"}, {"driver"}, id="the driver's CUDA"),
        pytest.param({"packages": {"peft": "0.13.0"}}, {"packages"}, id="a package"),
        pytest.param({"torch_cuda": "12.4"}, {"torch"}, id="torch's CUDA"),
        pytest.param({"cuda_available": True}, {"torch_run"}, id="torch sees CUDA"),
        pytest.param({"cuda_available": False}, set(), id="torch sees no CUDA: a symptom"),
        pytest.param({"env": {"HF_HOME": "/data"}}, {"environment"}, id="variables"),
        pytest.param({"ram_gib": 62}, {"memory"}, id="main memory"),
        pytest.param({"shm": "2G"}, {"shared_memory"}, id="shared memory"),
        pytest.param({"disk": {"free_gib": 7}}, {"storage"}, id="room on a disk"),
        pytest.param({"disk": {"sequential_mb_s": 90}}, {"disk_speed"}, id="a measured disk"),
        pytest.param({"disk": "an NVMe"}, set(), id="a disk of which nothing is wrong"),
        pytest.param({"network": "the Hugging Face hub is blocked here"}, {"download"}, id="no way to the hub"),
        pytest.param({"network": "10 GbE"}, set(), id="a network of which nothing is wrong"),
        pytest.param({"model_type": "mistral"}, {"model_files"}, id="a model's type"),
        pytest.param({"fabric_state": "in progress"}, {"cuda"}, id="a fabric that is not up"),
        pytest.param({"fabric_state": "Completed"}, set(), id="a fabric that is up"),
        pytest.param({"model": "somebody/a-model"}, set(), id="a model that nobody knows"),
    ],
)
def test_each_key_makes_its_own_fact_alone(stated: dict[str, Any], facts: set[str]) -> None:
    assert known_facts(read(**stated)) == facts


@pytest.mark.parametrize(
    ("gpu", "capability", "total"),
    [
        pytest.param({"name": "NVIDIA L40S"}, "8.9", 0, id="a name tells the generation and never the memory"),
        pytest.param({"name": "a card of tomorrow"}, "", 0, id="an unknown name tells nothing"),
        pytest.param({"name": "L4", "compute_capability": 8.9}, "8.9", 0, id="a capability as a number"),
        pytest.param({"compute_capability": "sm_120"}, "12.0", 0, id="a capability as an architecture"),
        pytest.param({"name": "x", "memory_mib": 15360}, "", 15360 << 20, id="MiB are exact"),
        pytest.param(
            {"name": "x", "total_gpu_memory_gib": 21.95}, "", int(21.95 * GIB), id="what torch counts is exact"
        ),
        pytest.param({"name": "x", "memory_gb": 16}, "", int(16 * GIB * 0.98), id="a round size is nominal"),
    ],
)
def test_gpu(gpu: dict[str, Any], capability: str, total: int) -> None:
    [one] = read(gpus=[gpu]).gpus.value or ()
    assert (one.compute_capability, one.total_bytes) == (capability, total)


def test_a_nominal_size_is_what_cuda_counts_of_that_card() -> None:
    [one] = read(gpus=[{"name": "RTX 4090", "memory_gb": 24}]).gpus.value or ()
    [other] = read(gpus=[{"name": "RTX 4090", "memory_gb": 48}]).gpus.value or ()
    assert 23 * GIB < one.total_bytes < 24 * GIB
    assert 46 * GIB < other.total_bytes < 48 * GIB


@pytest.mark.parametrize(
    ("stated", "count"),
    [
        pytest.param({"gpus": "8 GPUs"}, 8, id="a number alone"),
        pytest.param({"gpus": "2 x RTX 3090"}, 2, id="a number before the name"),
        pytest.param({"gpus": "RTX 3090"}, 1, id="a name alone"),
        pytest.param({"gpus": ["L4", "L4"]}, 2, id="names in a list"),
        pytest.param({"gpus": {"name": "L4", "count": 4}}, 4, id="a count beside the name"),
        pytest.param({"gpu": "L4", "gpu_count": 3}, 3, id="a count of its own"),
        pytest.param({"gpus": [{"name": "H100"}], "engine_args": {"tp": 8}, "engine": "vllm"}, 8, id="the kind of GPU"),
        pytest.param({"gpus": ["L4", "L4"], "engine_args": {"tp": 4}, "engine": "vllm"}, 2, id="a list is a list"),
    ],
)
def test_number_of_gpus(stated: dict[str, Any], count: int) -> None:
    gpus = read(**stated).gpus.value or ()
    assert [gpu.index for gpu in gpus] == list(range(count))


@pytest.mark.parametrize(
    ("stated", "cuda"),
    [
        pytest.param({"cuda_version_shown_in_container": "12.9"}, "12.9", id="what nvidia-smi shows in a container"),
        pytest.param({"nvidia_smi_cuda_version": "12.4"}, "12.4", id="what nvidia-smi shows"),
        pytest.param(
            {"cuda_version_shown_in_container": "13.0", "cuda_driver_version": "12.8"},
            "13.0",
            id="a container has its own libcuda",
        ),
        pytest.param(
            {"container_cuda_version": "13.0", "cuda_driver_version": "12.8"},
            "12.8",
            id="what may be an image's toolkit",
        ),
    ],
)
def test_cuda_of_the_driver(stated: dict[str, Any], cuda: str) -> None:
    driver = read(**stated).driver.value
    assert driver is not None
    assert driver.cuda_version == cuda


def test_a_branch_is_not_its_oldest_release() -> None:
    driver = read(driver_branch="580").driver.value
    assert driver is not None
    assert driver.cuda_version == "13.0"


@pytest.mark.parametrize(
    ("stated", "cuda"),
    [
        pytest.param({"torch": "2.5.0+cu118"}, "11.8", id="by the local part"),
        pytest.param({"torch": "2.5.0+cpu"}, None, id="a build for the CPU"),
        pytest.param({"torch": "2.9.0", "torch_cuda": "13.0"}, "13.0", id="stated beside it"),
        pytest.param({"torch": "2.9.0"}, "12.8", id="the default wheel of Linux"),
        pytest.param({"torch": "2.9.0", "arch": "aarch64"}, None, id="the default wheel of Arm was for the CPU"),
        pytest.param({"torch": "2.9.0", "arch": "aarch64", "cuda_available": True}, "open", id="Arm, and CUDA is seen"),
        pytest.param({"torch": "2.9.0", "os": "Windows 11"}, "open", id="Windows: pip or torch's index"),
        pytest.param({"torch": "2.9.0", "container": "NGC PyTorch 25.09"}, "open", id="a vendor's image"),
        pytest.param({"torch": "2.9.0", "python_distribution": "conda"}, "open", id="conda"),
        pytest.param({"torch": "2.9"}, "open", id="a line, not a version"),
        pytest.param({"torch": "2.9.0", "torch_cuda": None}, "12.8", id="nobody looked for its CUDA"),
        pytest.param(
            {"torch": "2.9.0", "torch_cuda": None, "cuda_available": False}, None, id="looked at: it has none"
        ),
        pytest.param({"torch_cuda": None, "cuda_available": False}, "open", id="no torch is named at all"),
        pytest.param({"torch_arch_list": ["sm_70", "sm_90"]}, "11.8", id="the oldest that knows the chips"),
    ],
)
def test_cuda_of_torch(stated: dict[str, Any], cuda: str | None) -> None:
    torch = read(**stated).torch
    assert ("open" if torch.value is None else torch.value.cuda) == cuda


@pytest.mark.parametrize(
    ("stated", "has", "lacks"),
    [
        pytest.param({"torch_arch_list": ["sm_75", "sm_80"]}, "sm_80", "sm_90", id="a list"),
        pytest.param({"torch_arch_list": "sm_75 sm_80"}, "sm_80", "sm_90", id="a list in words"),
        pytest.param({"torch_arch_list_starts_with": ["sm_75", "sm_80"]}, "sm_120", "sm_70", id="its beginning"),
        pytest.param({"torch_min_max_capability": "7.5 - 9.0"}, "sm_86", "sm_100", id="its ends"),
    ],
)
def test_architectures(stated: dict[str, Any], has: str, lacks: str) -> None:
    torch = read(torch_cuda="12.8", **stated).torch.value
    assert torch is not None
    assert torch.architectures is not None
    assert has in torch.architectures
    assert lacks not in torch.architectures


@pytest.mark.parametrize(
    ("stated", "engine", "version"),
    [
        pytest.param({"engine": "vllm 0.10.2"}, "vllm", "0.10.2", id="name and version"),
        pytest.param({"engine": "sglang==0.5.3"}, "sglang", "0.5.3", id="as pip writes it"),
        pytest.param({"engine": "vllm (2024)"}, "vllm", None, id="a year is no version"),
        pytest.param({"packages": {"sglang": "0.4.1", "vllm": "0.6.4"}}, "sglang", "0.4.1", id="sglang brought vllm"),
        pytest.param({"packages": {"vllm": "0.6.4+cu118"}}, "vllm", "0.6.4+cu118", id="a package"),
        pytest.param({"container": "vllm/vllm-openai:v0.10.2"}, "vllm", "0.10.2", id="an image"),
        pytest.param({"container": "vllm/vllm-openai:latest"}, "vllm", None, id="an image without a version"),
        pytest.param({"os": "Windows"}, "transformers", None, id="nothing: what demands the least"),
    ],
)
def test_engine(stated: dict[str, Any], engine: str, version: str | None) -> None:
    facts, one = read_facts(stated, load_matrix())
    found = facts.packages.value.distributions if facts.packages.value else ()
    assert one.engine == engine
    assert next((d.version for d in found if d.name == engine), None) == version


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        pytest.param({"max_model_len": 9000}, "max_model_len", 9000, id="an object"),
        pytest.param("--max-model-len 9000 --enforce-eager", "enforce_eager", True, id="a line"),
        pytest.param(["--tp", "2"], "tensor_parallel", 2, id="words"),
        pytest.param({"tensor-parallel-size": "4"}, "tensor_parallel", 4, id="another spelling"),
        pytest.param({"limit_mm_per_prompt": {"image": 3}}, "limit_mm_per_prompt", {"image": 3}, id="an object inside"),
        pytest.param({"max_model_len": "whatever is best", "tp": 2}, "max_model_len", None, id="no value: not given"),
        pytest.param({"max_model_len": "lots", "tp": 2}, "tensor_parallel", 2, id="the others stay"),
        pytest.param("'", "max_model_len", None, id="a line that no shell reads"),
    ],
)
def test_engine_arguments(arguments: Any, field: str, value: object) -> None:
    assert getattr(intent(engine="vllm", model="m", engine_args=arguments).launch, field) == value


@pytest.mark.parametrize(
    ("stated", "field", "value"),
    [
        pytest.param({"trust_remote_code": True}, "trust_remote_code", True, id="code of the model's own"),
        pytest.param({"trust_remote_code": False}, "trust_remote_code", False, id="none of it"),
        pytest.param({"max_model_len": 9000}, "max_model_len", 9000, id="a number"),
        pytest.param(
            {"max_model_len": 1, "engine_args": {"max_model_len": 9000}}, "max_model_len", 9000, id="the flags win"
        ),
        pytest.param({"max_model_len": "as much as fits"}, "max_model_len", None, id="words"),
        pytest.param({"tensor_parallel_size": 2}, "tensor_parallel", 2, id="how many GPUs share it"),
    ],
)
def test_a_flag_may_be_a_fact_of_its_own(stated: dict[str, Any], field: str, value: object) -> None:
    assert getattr(intent(engine="vllm", model="m", **stated).launch, field) == value


def test_a_command_says_it_all() -> None:
    one = intent(command="vllm serve a/b --max-model-len 4k --port 9001", engine="sglang")
    assert (one.engine, one.model, one.launch.max_model_len, one.port) == ("vllm", "a/b", 4000, 9001)


@pytest.mark.parametrize(
    ("model", "name", "kind"),
    [
        pytest.param(
            "Qwen2.5-VL-7B", "Qwen/Qwen2.5-VL-7B-Instruct", "qwen2_5_vl", id="a known model by its short name"
        ),
        pytest.param("AutoGLM-Phone-9B", "zai-org/AutoGLM-Phone-9B", "glm4v", id="the default model"),
        pytest.param("me/my-qwen2-vl-tuned", "me/my-qwen2-vl-tuned", "qwen2_vl", id="a family by its name"),
        pytest.param("zai-org/GLM-5.3-Flash", "zai-org/GLM-5.3-Flash", "glm5_next", id="a small one of a large family"),
        pytest.param("zai-org/GLM-5.1", "zai-org/GLM-5.1", "glm_moe_dsa", id="a large one"),
        pytest.param("zai-org/GLM-5.3", "zai-org/GLM-5.3", None, id="a large one that we have not seen"),
        pytest.param("zai-org/GLM-5V", "zai-org/GLM-5V", None, id="one with eyes is another type"),
        pytest.param("zai-org/GLM-4.6", "zai-org/GLM-4.6", "glm4_moe", id="without eyes"),
        pytest.param("zai-org/GLM-4.6V-Flash", "zai-org/GLM-4.6V-Flash", "glm4v", id="with eyes, small"),
        pytest.param("zai-org/GLM-4.7-Flash", "zai-org/GLM-4.7-Flash", "glm4_moe_lite", id="without eyes, small"),
        pytest.param("THUDM/GLM-4-9B-0414", "THUDM/GLM-4-9B-0414", "glm4", id="the second GLM-4-9B"),
        pytest.param("Qwen/Qwen3-235B-A22B", "Qwen/Qwen3-235B-A22B", "qwen3_moe", id="experts by the name"),
        pytest.param("google/gemma-3n-E4B-it", "google/gemma-3n-E4B-it", "gemma3n", id="not its namesake"),
        pytest.param("me/unheard-of", "me/unheard-of", None, id="an unknown one"),
        pytest.param("", UNNAMED, None, id="none"),
    ],
)
def test_model(model: str, name: str, kind: str | None) -> None:
    facts, one = read_facts({"model": model}, load_matrix())
    config = facts.model_files.value.config if facts.model_files.value else None
    assert one.model == name
    assert (config or {}).get("model_type") == kind


@pytest.mark.parametrize(
    ("model", "said", "layers"),
    [
        pytest.param(
            "Qwen1.5-7B-Chat-GPTQ-Int4", {"quant_method": "gptq", "bits": 4}, 32, id="the bits behind the format"
        ),
        pytest.param("Qwen/Qwen2.5-72B-Instruct-AWQ", {"quant_method": "awq"}, 80, id="a known model in another form"),
        pytest.param("me/tuned-7B-GPTQ-Int8", {"quant_method": "gptq", "bits": 8}, None, id="an unknown one"),
        pytest.param("Qwen3-8B-FP8", {"quant_method": "fp8"}, 36, id="8 bits of their own format"),
        pytest.param("Qwen3-8B", None, 36, id="as published"),
    ],
)
def test_quantised_model(model: str, said: dict[str, Any] | None, layers: int | None) -> None:
    facts, one = read_facts({"model": model}, load_matrix())
    config = (facts.model_files.value.config if facts.model_files.value else None) or {}
    assert config.get("quantization_config") == said
    assert config.get("num_hidden_layers") == layers
    assert one.model.endswith(model)


@pytest.mark.parametrize(
    ("files", "faults"),
    [
        pytest.param({"a.safetensors": "4.9G", "b.safetensors": 134}, [None, "lfs_pointer"], id="sizes"),
        pytest.param({"a.safetensors": "missing", "config.json": "1K"}, ["missing"], id="a file that is not there"),
        pytest.param("3 shards present, the index lists 5", ["missing", "missing"], id="numbers in a sentence"),
        pytest.param("cloned without git lfs", ["lfs_pointer"], id="a clone of pointers"),
        pytest.param("all there", None, id="nothing wrong"),
    ],
)
def test_model_files(files: Any, faults: list[str | None] | None) -> None:
    value = read(model_files=files).model_files.value
    assert ([one.fault for one in value.weights] if value else None) == faults


@pytest.mark.parametrize(
    ("said", "system", "wsl"),
    [
        pytest.param({"os": "Windows 11"}, "Windows", False, id="Windows"),
        pytest.param({"os": "Windows 11 with WSL2"}, "Linux", True, id="WSL on Windows"),
        pytest.param({"os": "Windows", "container": "vllm/vllm-openai:v0.9.2"}, "Linux", False, id="a container"),
        pytest.param({"os": "Arch Linux"}, "Linux", False, id="Arch"),
        pytest.param({"os": "macOS 15"}, "Darwin", False, id="a Mac"),
        pytest.param({"kernel": "6.6.36.3-microsoft-standard-WSL2"}, "Linux", True, id="the kernel of WSL"),
    ],
)
def test_system(said: dict[str, Any], system: str, wsl: bool) -> None:
    host = read(**said).host.value
    assert host is not None
    assert (host.system, host.wsl) == (system, wsl)


def test_variables() -> None:
    environment = read(env={"A": "", "B": "unset", "C": None, "D": 1}).environment.value
    assert environment is not None
    assert environment.variables == {"A": "", "D": "1"}


@pytest.mark.parametrize(
    ("disk", "kind"),
    [
        pytest.param("models lie on an NFS share", "nfs", id="a type by its name"),
        pytest.param("a network volume", "network", id="no more than that"),
        pytest.param({"fs_type": "lustre"}, "lustre", id="stated"),
        pytest.param("a local NVMe", None, id="none"),
    ],
)
def test_file_system(disk: Any, kind: str | None) -> None:
    speed = read(disk=disk).disk_speed.value
    assert (speed.fs_type if speed else None) == kind


def test_container() -> None:
    assert kind_of("a pod on Kubernetes") == "kubernetes"
    assert kind_of("some/image:tag") == "docker"
    assert kind_of("none") == ""
    assert image_engine("lmsysorg/sglang:v0.5.2-cu126") == ("sglang", "0.5.2+cu126")
    assert default_shared_memory("docker run without --shm-size")
    assert not default_shared_memory("docker run --shm-size=8g")


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(["4.9G", "2.9", "-1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_KEYS = [
    "gpus",
    "gpu",
    "gpu_count",
    "xid",
    "driver_version",
    "driver_branch",
    "driver",
    "cuda_driver_version",
    "cuda_init_code",
    "fabric_state",
    "torch",
    "torch_cuda",
    "torch_wheel",
    "torch_arch_list",
    "torch_arch_list_starts_with",
    "torch_min_max_capability",
    "cuda_available",
    "packages",
    "requires",
    "wants_numpy_lt_2",
    "engine",
    "engine_args",
    "trust_remote_code",
    "max_model_len",
    "tensor_parallel_size",
    "command",
    "container",
    "os",
    "kernel",
    "libc",
    "arch",
    "python",
    "env",
    "model",
    "model_type",
    "model_dtype",
    "config",
    "model_files",
    "chat_template",
    "disk",
    "network",
    "ram_gib",
    "ram_available_gib",
    "shm",
]


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=6))
def test_no_value_of_any_form_breaks_the_reading(stated: dict[str, Any]) -> None:
    read_facts(stated, load_matrix())
