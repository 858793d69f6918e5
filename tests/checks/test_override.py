"""CFG006: variables whose value cannot be right."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.override import variables_make_sense
from autoglm_doctor.domain.gone_variables import GONE
from autoglm_doctor.domain.overrides import RULES
from autoglm_doctor.facts import Distribution, Environment, Gpu, ModelFiles, Packages, Reading, known
from autoglm_doctor.intent import Intent, Launch
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render
from tests.checks.package_cases import installed
from tests.restraint.judged import judged

CASES = [
    pytest.param("NCCL_BUFFSIZE", "4294967296", "warn", id="a buffer of 4 GiB"),
    pytest.param("NCCL_BUFFSIZE", "too large", "warn", id="no number"),
    pytest.param("NCCL_BUFFSIZE", "4M", "warn", id="a unit that NCCL does not read"),
    pytest.param("NCCL_BUFFSIZE", "8388608", "pass", id="twice the default"),
    pytest.param("NCCL_NTHREADS", "100", "warn", id="threads that NCCL does not offer"),
    pytest.param("NCCL_NTHREADS", "256", "pass", id="threads that it does"),
    pytest.param("NCCL_NTHREADS", "96", "pass", id="whole warps"),
    pytest.param("NCCL_NTHREADS", "1024", "warn", id="more threads than NCCL has"),
    pytest.param("NCCL_BUFFSIZE", "0x800000", "pass", id="hexadecimal, as strtoll reads it"),
    pytest.param("NCCL_BUFFSIZE", "0x100000000", "warn", id="4 GiB in hexadecimal"),
    pytest.param("NCCL_BUFFSIZE", "", "pass", id="an empty buffer size"),
    pytest.param("NCCL_BUFFSIZE", "-2", "pass", id="the default, said"),
    pytest.param("NCCL_P2P_DISABLE", "", "pass", id="an empty switch of NCCL"),
    pytest.param("NCCL_IB_DISABLE", "", "pass", id="an empty switch for InfiniBand"),
    pytest.param("NCCL_CUMEM_ENABLE", "0x0", "pass", id="nought in hexadecimal"),
    pytest.param("NCCL_SHM_DISABLE", "1M", "warn", id="a number with a unit"),
    pytest.param("NCCL_P2P_LEVEL", "", "pass", id="an empty level"),
    pytest.param("NCCL_P2P_LEVEL", "3", "pass", id="a level of old"),
    pytest.param("NCCL_P2P_LEVEL", "sys", "warn", id="a level in small letters, which strcmp() does not find"),
    pytest.param("NCCL_MAX_NCHANNELS", "128", "pass", id="more channels than NCCL's limit, to which it cuts down"),
    pytest.param("NCCL_MIN_NCHANNELS", "many", "warn", id="no number of channels"),
    pytest.param("CUDA_DEVICE_ORDER", "", "pass", id="an empty order"),
    pytest.param("CUDA_DEVICE_MAX_CONNECTIONS", "", "pass", id="empty connections"),
    pytest.param("CUDA_DEVICE_MAX_CONNECTIONS", "64", "warn", id="more connections than there are"),
    pytest.param("CUDA_LAUNCH_BLOCKING", "", "pass", id="empty"),
    pytest.param("PYTORCH_NO_CUDA_MEMORY_CACHING", "0", "warn", id="torch asks whether it is set, not for what"),
    pytest.param("PYTORCH_NO_CUDA_MEMORY_CACHING", "", "warn", id="empty, and set all the same"),
    pytest.param("BNB_CUDA_VERSION", "", "pass", id="no override"),
    pytest.param("OMP_NUM_THREADS", "", "pass", id="empty threads"),
    pytest.param("OMP_NUM_THREADS", "8, 4", "pass", id="threads by level, with a blank"),
    pytest.param("OMP_NUM_THREADS", "0", "warn", id="no threads at all"),
    pytest.param("VLLM_PORT", "", "fail", id="an empty port, of which int() makes nothing"),
    pytest.param("VLLM_WORKER_MULTIPROC_METHOD", "SPAWN", "fail", id="in capitals, which vLLM compares"),
    pytest.param("VLLM_RPC_TIMEOUT", "10_000", "pass", id="as int() takes it"),
    pytest.param("VLLM_IMAGE_FETCH_TIMEOUT", "5s", "warn", id="only where a picture is fetched"),
    pytest.param("NCCL_P2P_DISABLE", "true", "warn", id="a word for a number"),
    pytest.param("NCCL_P2P_DISABLE", "1", "pass", id="a usual workaround"),
    pytest.param("NCCL_P2P_LEVEL", "NVL", "pass", id="a level"),
    pytest.param("NCCL_P2P_LEVEL", "NVLINK", "warn", id="no level"),
    pytest.param("NCCL_SOCKET_IFNAME", "eth9", "pass", id="an interface is not judged"),
    pytest.param("NCCL_DEBUG", "whatever", "pass", id="not in the table"),
    pytest.param("CUDA_LAUNCH_BLOCKING", "1", "warn", id="left on"),
    pytest.param("CUDA_LAUNCH_BLOCKING", "0", "pass", id="off"),
    pytest.param("CUDA_DEVICE_ORDER", "PCI_BUS_ID", "pass", id="the usual order"),
    pytest.param("CUDA_DEVICE_ORDER", "PCI_BUS", "warn", id="misspelt"),
    pytest.param("CUDA_DEVICE_MAX_CONNECTIONS", "1", "pass", id="as Megatron wants it"),
    pytest.param("BNB_CUDA_VERSION", "12.4", "warn", id="with a dot"),
    pytest.param("BNB_CUDA_VERSION", "124", "pass", id="without"),
    pytest.param("OMP_NUM_THREADS", "8", "pass", id="a number of threads"),
    pytest.param("OMP_NUM_THREADS", "auto", "warn", id="no number of threads"),
    pytest.param("VLLM_PORT", "tcp://10.96.12.7:8000", "fail", id="Kubernetes' address"),
    pytest.param("VLLM_PORT", "6379", "pass", id="a port"),
    pytest.param("VLLM_WORKER_MULTIPROC_METHOD", "spawn", "pass", id="a way to start processes"),
    pytest.param("VLLM_WORKER_MULTIPROC_METHOD", "thread", "fail", id="no way to start processes"),
    pytest.param("VLLM_RPC_TIMEOUT", "10s", "fail", id="a time with its unit"),
    pytest.param("VLLM_ATTENTION_BACKEND", "FLASH_ATTN", "pass", id="changes with every release"),
    pytest.param("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:128", "pass", id="an option of torch's allocator"),
    pytest.param(
        "PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:False, max_split_size_mb:64", "pass", id="two, with a blank"
    ),
    pytest.param("PYTORCH_CUDA_ALLOC_CONF", "roundup_power2_divisions:[256:1,>:4]", "pass", id="a list in an option"),
    pytest.param("PYTORCH_CUDA_ALLOC_CONF", "garbage_collection_threshold:0.8", "pass", id="a threshold"),
    pytest.param("PYTORCH_CUDA_ALLOC_CONF", "backend:cudaMallocAsync", "pass", id="another allocator"),
    pytest.param("PYTORCH_CUDA_ALLOC_CONF", "a_new_option:True", "pass", id="an option that is not known here"),
    pytest.param("PYTORCH_CUDA_ALLOC_CONF", "", "pass", id="no options"),
    pytest.param("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb=512", "warn", id="an equals sign, which torch refuses"),
    pytest.param("PYTORCH_ALLOC_CONF", "expandable_segments:false", "warn", id="in small letters"),
    pytest.param("PYTORCH_CUDA_ALLOC_CONF", "garbage_collection_threshold:80", "warn", id="percent for a share"),
    pytest.param("VLLM_USE_DEEP_GEMM", "0", "pass", id="a switch in digits"),
    pytest.param("VLLM_USE_DEEP_GEMM", "false", "warn", id="a word for a switch of vLLM"),
    pytest.param("VLLM_USE_MODELSCOPE", "true", "pass", id="a switch that takes words"),
    pytest.param("VLLM_LOGGING_LEVEL", "debug", "pass", id="a level in small letters"),
    pytest.param("VLLM_LOGGING_LEVEL", "verbose", "warn", id="no level"),
    pytest.param("VLLM_LOGGING_LEVEL", "", "warn", id="an empty level"),
]
TWO = Intent(model="/m", engine="vllm", launch=Launch(tensor_parallel=2))


@pytest.mark.parametrize(("name", "value", "status"), CASES)
def test_values(name: str, value: str, status: str) -> None:
    (found,) = judge(variables_make_sense, intent=TWO, environment=Environment(variables={name: value}))
    assert found.status == status
    assert (found.cause, bool(found.fixes)) == (("ENV_VAR_OVERRIDE_WRONG", True) if status != "pass" else ("", False))


@pytest.mark.parametrize(
    ("name", "value", "intent"),
    [
        pytest.param(
            "VLLM_PORT", "tcp://10.96.12.7:8000", Intent(model="/m", engine="sglang"), id="vLLM's, and SGLang"
        ),
        pytest.param("NCCL_P2P_DISABLE", "true", Intent(model="/m", engine="vllm"), id="NCCL on one GPU"),
        pytest.param("OMP_NUM_THREADS", "auto", Intent(model="/m", engine="llamacpp"), id="torch's, and llama.cpp"),
    ],
)
def test_it_does_not_concern(name: str, value: str, intent: Intent) -> None:
    (found,) = judge(variables_make_sense, intent=intent, environment=Environment(variables={name: value}))
    assert found.status == "pass"


LOUD = {"VLLM_LOGGING_LEVEL": "TRACE"}
SEGMENTS = {"PYTORCH_ALLOC_CONF": "expandable_segments:true"}
CPU = dataclasses.replace(TWO, device="cpu")


@pytest.mark.parametrize(
    ("variables", "intent", "packages", "status"),
    [
        pytest.param({**LOUD, "VLLM_CONFIGURE_LOGGING": "0"}, TWO, {}, "pass", id="vLLM sets up no log"),
        pytest.param({**LOUD, "VLLM_LOGGING_CONFIG_PATH": "/x.json"}, TWO, {}, "pass", id="a log of one's own"),
        pytest.param({**LOUD, "VLLM_CONFIGURE_LOGGING": "1"}, TWO, {}, "warn", id="vLLM's own log"),
        pytest.param(SEGMENTS, TWO, {"torch": "2.8.0"}, "pass", id="a torch that does not know the name"),
        pytest.param(SEGMENTS, TWO, {"torch": "2.10.0"}, "warn", id="one that does"),
        pytest.param({"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:1"}, CPU, {}, "pass", id="torch on the CPU"),
        pytest.param({"NCCL_P2P_DISABLE": "true"}, CPU, {}, "pass", id="NCCL beside the CPU"),
        pytest.param({"OMP_NUM_THREADS": "all"}, CPU, {}, "warn", id="threads of the CPU"),
    ],
)
def test_what_is_not_read(variables: dict[str, str], intent: Intent, packages: dict[str, str], status: str) -> None:
    given: dict[str, Any] = {"packages": installed(**packages)} if packages else {}
    (found,) = judge(variables_make_sense, intent=intent, environment=Environment(variables=variables), **given)
    assert found.status == status


@pytest.mark.parametrize(
    ("version", "status"),
    [
        pytest.param("0.22.0", "fail", id="a release that reads it"),
        pytest.param("0.33.0", "pass", id="one that does not"),
        pytest.param("0.1.dev9752+g1a2b3c4", "fail", id="a build that does not tell"),
    ],
)
def test_a_variable_of_old_releases(version: str, status: str) -> None:
    (found,) = judge(
        variables_make_sense,
        intent=TWO,
        environment=Environment(variables={"VLLM_RPC_TIMEOUT": "10s"}),
        packages=Packages(distributions=(Distribution(name="vllm", version=version),)),
    )
    assert found.status == status


def test_what_nccl_does_with_a_word_is_told_as_it_is() -> None:
    """It reads digits from the start, without a warning."""
    (found,) = judge(variables_make_sense, intent=TWO, environment=Environment(variables={"NCCL_IB_DISABLE": "true"}))
    assert "without a word" in render(found.text)
    assert "warning" not in render(found.text)


def test_one_finding_each_and_those_in_front_of_the_command() -> None:
    intent = dataclasses.replace(TWO, environment={"CUDA_LAUNCH_BLOCKING": "1"})
    given: dict[str, Any] = {"environment": Environment(variables={"VLLM_PORT": "x"})}
    found = judge(variables_make_sense, intent=intent, **given)
    assert {one.subject for one in found} == {"CUDA_LAUNCH_BLOCKING", "VLLM_PORT"}


_SIZE = {"total_bytes": 1 << 34, "free_bytes": 1 << 34}
#: Value, vLLM, capabilities, status.
V1 = [
    pytest.param("1", "0.8.0", ["7.0"], "fail", id="V1 on Volta, the first release that says so"),
    pytest.param("1", "0.10.1.1", ["7.5", "7.5"], "fail", id="V1 on Turing, the last release that says so"),
    pytest.param("1", "0.7.2", ["7.0"], "fail", id="V1 when it knew FlashAttention alone"),
    pytest.param(" 01 ", "0.9.2", ["7.5"], "fail", id="as int() reads it"),
    pytest.param("1", "0.10.2", ["7.5"], "pass", id="a release whose V1 runs on Turing"),
    pytest.param("1", "0.6.6", ["7.5"], "pass", id="before any of it was read"),
    pytest.param("0", "0.9.2", ["7.0"], "pass", id="V0 on Volta"),
    pytest.param("", "0.9.2", ["7.0"], "pass", id="empty"),
    pytest.param("1", "0.9.2", ["8.0"], "pass", id="V1 on Ampere"),
    pytest.param("1", "0.9.2", ["8.6", "7.5"], "pass", id="which of the two is asked is not known"),
    pytest.param("1", "0.9.2", [""], "pass", id="a GPU that is not known"),
    pytest.param("1", "0.9.2", [], "pass", id="no GPU stated"),
    pytest.param("1", "0.9.2", ["6.1"], "pass", id="a GPU that has no code at all: told by the engine's check"),
    pytest.param("1", "0.1.dev9752+g1a2b3c4", ["7.0"], "pass", id="a build that does not tell"),
]


@pytest.mark.parametrize(("value", "version", "has", "status"), V1)
def test_v1_on_old_gpus(value: str, version: str, has: list[str], status: str) -> None:
    gpus = tuple(Gpu(index=n, name="a GPU", compute_capability=one, **_SIZE) for n, one in enumerate(has))
    (found,) = judge(
        variables_make_sense,
        intent=dataclasses.replace(TWO, launch=Launch(tensor_parallel=max(1, len(has)))),
        environment=Environment(variables={"VLLM_USE_V1": value}),
        packages=installed(vllm=version),
        **({"gpus": gpus} if has else {}),
    )
    assert (found.status, bool(found.fixes)) == (status, status == "fail")


def test_nothing_set() -> None:
    (found,) = judge(variables_make_sense, environment=Environment())
    assert found.status == "pass"


def test_every_rule_refuses_something_and_has_a_source() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        # Words are no list of torch's options: they are passed over.
        bad = "expandable_segments:true" if rule.name.endswith("_ALLOC_CONF") else "no such value"
        assert not rule.good(bad), rule.name
        assert rule.source.startswith("https://"), rule.name


#: Variable, value, vLLM, status.
READ_NO_MORE = [
    pytest.param("VLLM_ATTENTION_BACKEND", "TRITON_ATTN", "0.26.0", "warn", id="attention kernels"),
    pytest.param("VLLM_ATTENTION_BACKEND", "FLASHINFER", "0.15.0", "warn", id="the first release without"),
    pytest.param("VLLM_ATTENTION_BACKEND", "FLASHINFER", "0.14.1", "pass", id="the last release with it"),
    pytest.param("VLLM_ATTENTION_BACKEND", "FLASHINFER", "0.15.0rc1.dev7+g1a2b3c4", "pass", id="a build on the way"),
    pytest.param("VLLM_ATTENTION_BACKEND", "FLASHINFER", "0.1.dev9752+g1a2b3c4", "pass", id="one that does not tell"),
    pytest.param("VLLM_ATTENTION_BACKEND", "FLASH_ATTN", "0.26.0", "pass", id="what vLLM takes anyway"),
    pytest.param("VLLM_ATTENTION_BACKEND", "FLASH_ATTN_VLLM_V1", "0.26.0", "pass", id="the same by its old name"),
    pytest.param("VLLM_ATTENTION_BACKEND", "", "0.26.0", "pass", id="empty"),
    pytest.param("VLLM_USE_V1", "0", "0.11.1", "warn", id="the old engine"),
    pytest.param("VLLM_USE_V1", "1", "0.20.0", "pass", id="the only engine"),
    pytest.param("VLLM_USE_V1", "0", "0.10.2", "pass", id="the old engine while there was one"),
    pytest.param("VLLM_FLASH_ATTN_VERSION", "2", "0.20.0", "warn", id="a FlashAttention"),
    pytest.param("VLLM_USE_TRTLLM_ATTENTION", "0", "0.20.0", "warn", id="not TensorRT-LLM's attention"),
    pytest.param("VLLM_MM_INPUT_CACHE_GIB", "1", "0.13.0", "warn", id="a smaller cache"),
    pytest.param("VLLM_MM_INPUT_CACHE_GIB", "4", "0.13.0", "pass", id="the default size"),
    pytest.param("VLLM_ALL2ALL_BACKEND", "pplx", "0.16.0", "warn", id="a way between experts"),
    pytest.param("VLLM_USE_FLASHINFER_MOE_FP8", "1", "0.24.0", "warn", id="kernels of the experts"),
    pytest.param("VLLM_USE_FLASHINFER_MOE_FP8", "0", "0.24.0", "pass", id="not those kernels"),
    pytest.param("VLLM_LOGGING_LEVEL", "DEBUG", "0.33.0", "pass", id="one that is still read"),
]
ONE = Intent(model="/m", engine="vllm", command=("vllm", "serve", "/m"))


@pytest.mark.parametrize(("name", "value", "version", "status"), READ_NO_MORE)
def test_variables_that_are_read_no_more(name: str, value: str, version: str, status: str) -> None:
    given: dict[str, Any] = {"environment": Environment(variables={name: value}), "packages": installed(vllm=version)}
    (found,) = judge(variables_make_sense, intent=ONE, **given)
    assert found.status == status


@pytest.mark.parametrize(
    ("intent", "packages"),
    [
        pytest.param(
            dataclasses.replace(ONE, command=("vllm", "serve", "/m", "--attention-backend=TRITON_ATTN")),
            installed(vllm="0.26.0"),
            id="the command says it anew",
        ),
        pytest.param(
            dataclasses.replace(ONE, command=("vllm", "serve", "/m", "--attention-backend", "FLASHINFER")),
            installed(vllm="0.26.0"),
            id="the command says something else",
        ),
        pytest.param(
            Intent(model="/m", engine="sglang"), installed(sglang="0.5.9", vllm="0.26.0"), id="another engine"
        ),
        pytest.param(ONE, None, id="which release is not known"),
    ],
)
def test_nothing_relies_on_it(intent: Intent, packages: Packages | None) -> None:
    given: dict[str, Any] = {"packages": packages} if packages else {}
    environment = Environment(variables={"VLLM_ATTENTION_BACKEND": "TRITON_ATTN"})
    (found,) = judge(variables_make_sense, intent=intent, environment=environment, **given)
    assert found.status == "pass"


@pytest.mark.parametrize(
    ("name", "value", "commands"),
    [
        pytest.param(
            "VLLM_ATTENTION_BACKEND",
            "TRITON_ATTN_VLLM_V1",
            ("unset VLLM_ATTENTION_BACKEND", "vllm serve /m --attention-backend TRITON_ATTN"),
            id="by its name today",
        ),
        pytest.param("VLLM_ATTENTION_BACKEND", "XFORMERS", ("unset VLLM_ATTENTION_BACKEND",), id="gone altogether"),
        pytest.param(
            "VLLM_USE_TRTLLM_ATTENTION",
            "1",
            ("unset VLLM_USE_TRTLLM_ATTENTION", "vllm serve /m --attention-config.use_trtllm_attention true"),
            id="a switch",
        ),
    ],
)
def test_what_says_it_today(name: str, value: str, commands: tuple[str, ...]) -> None:
    given: dict[str, Any] = {"environment": Environment(variables={name: value}), "packages": installed(vllm="0.26.0")}
    (found,) = judge(variables_make_sense, intent=ONE, **given)
    assert found.fixes[0].commands == commands


def test_an_assignment_in_front_of_the_command_goes() -> None:
    words = ("VLLM_ATTENTION_BACKEND=TRITON_ATTN", "vllm", "serve", "/m")
    intent = dataclasses.replace(ONE, command=words, environment={"VLLM_ATTENTION_BACKEND": "TRITON_ATTN"})
    (found,) = judge(variables_make_sense, intent=intent, environment=Environment(), packages=installed(vllm="0.26.0"))
    assert found.fixes[0].commands[1] == "vllm serve /m --attention-backend TRITON_ATTN"


def test_no_variable_is_in_both_tables() -> None:
    names = [one.name for one in GONE]
    assert len({*names}) == len(names)
    assert not {*names} & {rule.name for rule in RULES}


ABSENT: Reading[ModelFiles] = Reading(outcome="absent", why="not downloaded")
HERE = known(ModelFiles(path="/m"))
HUB = Intent(model="org/model", engine="vllm")
#: What is installed, the variable, the model, status.
TRANSFER: dict[str, tuple[dict[str, str], str, dict[str, Any], str]] = {
    "a download without the package": ({"huggingface_hub": "0.36.0"}, "1", {"model_files": ABSENT}, "fail"),
    "nobody looked for the model": ({"huggingface_hub": "0.36.0"}, "true", {}, "warn"),
    "with the package": ({"huggingface_hub": "0.36.0", "hf_transfer": "0.1.9"}, "1", {"model_files": ABSENT}, "pass"),
    "huggingface-hub 1 reads it no more": ({"huggingface_hub": "1.0.0"}, "1", {"model_files": ABSENT}, "pass"),
    "a release candidate of 1": ({"huggingface_hub": "1.0.0rc2"}, "1", {"model_files": ABSENT}, "pass"),
    "huggingface-hub is not in the list": ({"vllm": "0.10.0"}, "1", {"model_files": ABSENT}, "pass"),
    "off": ({"huggingface_hub": "0.36.0"}, "0", {"model_files": ABSENT}, "pass"),
    "empty": ({"huggingface_hub": "0.36.0"}, "", {"model_files": ABSENT}, "pass"),
    "the model is here": ({"huggingface_hub": "0.36.0"}, "1", {"model_files": HERE}, "pass"),
    "a folder is served": (
        {"huggingface_hub": "0.36.0"},
        "1",
        {"model_files": ABSENT, "intent": Intent(model="/m", engine="vllm")},
        "pass",
    ),
    "llama.cpp": (
        {"huggingface_hub": "0.36.0"},
        "1",
        {"model_files": ABSENT, "intent": dataclasses.replace(HUB, engine="llamacpp")},
        "pass",
    ),
    "from ModelScope": (
        {"huggingface_hub": "0.36.0"},
        "1",
        {"model_files": ABSENT, "intent": dataclasses.replace(HUB, environment={"VLLM_USE_MODELSCOPE": "True"})},
        "pass",
    ),
}


@pytest.mark.parametrize(
    ("there", "value", "more", "status"), [pytest.param(*row, id=name) for name, row in TRANSFER.items()]
)
def test_downloads_by_a_package_that_is_not_here(
    there: dict[str, str], value: str, more: dict[str, Any], status: str
) -> None:
    environment = Environment(variables={"HF_HUB_ENABLE_HF_TRANSFER": value})
    given: dict[str, Any] = {"intent": HUB, "packages": installed(**there), **more}
    (found,) = judge(variables_make_sense, environment=environment, **given)
    assert found.status == status


def test_a_list_of_stated_packages_is_never_the_whole_one() -> None:
    facts = {"env": {"HF_HUB_ENABLE_HF_TRANSFER": "1"}, "packages": {"vllm": "0.10.0", "huggingface-hub": "0.35.0"}}
    assert not judged({**facts, "model": "org/model"}).causes
