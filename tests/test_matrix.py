"""The questions that rules ask the matrix, each answered by a table."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.errors import DecodeError, DoctorError
from autoglm_doctor.matrix import OLD_AFTER_DAYS, Matrix, find_matrix, load_matrix

M = load_matrix()
Ask = Callable[[Matrix], Any]


def known(row: Any, name: str) -> Any:
    """A field of a row that must be there."""
    assert row is not None
    return getattr(row, name)


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        pytest.param(
            lambda m: known(m.minimum_driver("12.8"), "minimum_driver"),
            "525.60.13",
            id="CUDA 12.8 runs on the driver of all of 12",
        ),
        pytest.param(lambda m: known(m.minimum_driver("13.2"), "minimum_driver"), "580.65.06", id="CUDA 13 needs 580"),
        pytest.param(lambda m: m.minimum_driver("9.2"), None, id="a CUDA major that is not in the table"),
        pytest.param(lambda m: known(m.driver_of("12.8"), "linux"), "570.26", id="the driver that 12.8 came with"),
        pytest.param(lambda m: known(m.driver_of("13.4"), "linux"), "615", id="from 13.4 a branch only"),
        pytest.param(lambda m: m.driver_of("13.5"), None, id="13.5: no driver number is known"),
        pytest.param(lambda m: m.newest_cuda("570.124.06"), "12.8", id="570 knows CUDA 12.8"),
        pytest.param(lambda m: m.newest_cuda("572.61"), "12.8", id="between two branches the older speaks"),
        pytest.param(lambda m: m.newest_cuda("nonsense"), "", id="no driver version"),
        pytest.param(lambda m: m.compiles_ptx("570.124.06", "8.7"), True, id="570 compiles PTX 8.7"),
        pytest.param(lambda m: m.compiles_ptx("570.124.06", "8.8"), False, id="570 does not compile PTX 8.8"),
        pytest.param(lambda m: m.compiles_ptx("575.51.03", "8.8"), True, id="575 compiles PTX 8.8"),
        pytest.param(lambda m: m.compiles_ptx("575.51.03", "9.9"), None, id="a PTX ISA that nobody knows"),
        pytest.param(lambda m: m.branch_for_cuda("12.9"), "575", id="PTX of 12.9 needs 575"),
        pytest.param(lambda m: m.drives("590.44.01", "7.0"), False, id="590 has dropped Volta"),
        pytest.param(lambda m: m.drives("580.95.05", "6.1"), True, id="580 still drives Pascal"),
        pytest.param(lambda m: m.drives("615.71.09", "12.0"), True, id="615 drives Blackwell"),
        pytest.param(lambda m: m.drives("535.54.03", "3.7"), False, id="after 470 no Kepler"),
        pytest.param(lambda m: m.compat_package("13.0", "535.104.05"), "runs", id="cuda-compat 13.0 over 535"),
        pytest.param(
            lambda m: m.compat_package("12.8", "575.51.03"),
            None,
            id="cuda-compat over a branch that is not in the table",
        ),
        pytest.param(lambda m: m.compat_package("12.8", "580.95.05"), "not", id="cuda-compat older than the driver"),
        pytest.param(lambda m: m.compat_package("12.8", "570.26"), "not needed", id="the driver has that CUDA itself"),
    ],
)
def test_drivers(ask: Ask, answer: object) -> None:
    assert ask(M) == answer


@pytest.mark.parametrize(
    ("gpu", "compiled", "runs"),
    [
        pytest.param("8.9", "8.0 8.6 9.0", "8.6", id="Ada runs the code of 8.6"),
        pytest.param("8.6", "8.9", "", id="8.6 does not run the code of 8.9"),
        pytest.param("9.0", "8.0 8.6", "", id="Hopper runs nothing of Ampere"),
        pytest.param("12.1", "12.0", "12.0", id="GB10 runs the code of 12.0"),
        pytest.param("6.1", "6.0 7.0", "6.0", id="P40 runs the code of P100"),
        pytest.param("8.7", "8.0 8.6", "", id="Orin runs its own code only"),
        pytest.param("8.9", "8.0 8.7", "8.0", id="nothing else runs Orin's"),
        pytest.param("10.3", "10.0 9.0", "10.0", id="B300 runs the code of B200, not the nearer number"),
        pytest.param("?", "8.0", "", id="no capability"),
    ],
)
def test_which_code_a_gpu_runs(gpu: str, compiled: str, runs: str) -> None:
    assert M.runs_compiled_for(gpu, compiled.split()) == runs


@pytest.mark.parametrize(
    ("cuda", "gpu", "answer"),
    [
        pytest.param("12.9", "7.0", True, id="12.9 is the last for Volta"),
        pytest.param("13.0", "7.0", False, id="13.0 has dropped Volta"),
        pytest.param("12.6", "12.0", False, id="12.6 is too old for RTX 50"),
        pytest.param("12.8.1", "12.0", True, id="12.8 knows RTX 50"),
        pytest.param("12.8", "12.3", None, id="a capability that is not in the table"),
    ],
)
def test_which_cuda_compiles_for_a_gpu(cuda: str, gpu: str, answer: bool | None) -> None:
    assert M.compiles_for(cuda, gpu) is answer


@pytest.mark.parametrize(
    ("name", "gib", "bandwidth", "tflops"),
    [
        pytest.param("NVIDIA GeForce RTX 4090", None, 1008, 165.2, id="as the driver writes it"),
        pytest.param("NVIDIA GeForce RTX 4090 D", None, 1008, 147.1, id="D is another card"),
        pytest.param("NVIDIA GeForce RTX 4090 Laptop GPU", None, None, None, id="a laptop's chip is not in the table"),
        pytest.param("NVIDIA H100 80GB HBM3", None, 3352, 989, id="H100 SXM is called by its memory"),
        pytest.param("NVIDIA H100 PCIe", None, 2039, 756, id="H100 PCIe"),
        pytest.param("NVIDIA H200", None, 4800, 989, id="H200 SXM is called H200"),
        pytest.param("NVIDIA A100-SXM4-80GB", None, 2039, 312, id="A100 with 80 GB"),
        pytest.param("NVIDIA A100-SXM4-40GB", None, 1555, 312, id="A100 with 40 GB"),
        pytest.param("NVIDIA A100 80GB PCIe", None, 1935, 312, id="A100 PCIe with 80 GB"),
        pytest.param("Tesla V100-SXM2-32GB", None, 900, None, id="V100: no bf16"),
        pytest.param(
            "NVIDIA GeForce RTX 3060", 11.9, 360, 25.5, id="the memory that was read tells two cards apart: 12 GB"
        ),
        pytest.param(
            "NVIDIA GeForce RTX 3060", 7.9, 240, 25.5, id="the memory that was read tells two cards apart: 8 GB"
        ),
        pytest.param("NVIDIA GeForce RTX 3060", None, None, None, id="two cards of one name, and no memory read"),
        pytest.param("NVIDIA GeForce RTX 4060 Ti", None, 288, 44.1, id="two memories of the same speed"),
        pytest.param("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", None, 1792, 503.8, id="RTX PRO"),
        pytest.param("NVIDIA RTX 6000 Ada Generation", None, 960, 364.2, id="RTX 6000 Ada, not Quadro RTX 6000"),
        pytest.param("AMD Instinct MI300X", None, None, None, id="not NVIDIA's"),
    ],
)
def test_data_sheets(name: str, gib: float | None, bandwidth: float | None, tflops: float | None) -> None:
    found = M.data_sheet(name, None if gib is None else int(gib * 2**30))
    assert (found.bandwidth_gb_s if found else None, found.bf16_tflops if found else None) == (bandwidth, tflops)


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        pytest.param(lambda m: m.torch_cuda("2.9.0"), "12.8", id="the default wheel of 2.9"),
        pytest.param(lambda m: m.torch_cuda("2.15.0"), "13.2", id="the default wheel of 2.15"),
        pytest.param(lambda m: m.torch_cuda("1.12.1"), "10.2", id="1.12: not in its metadata"),
        pytest.param(lambda m: m.torch_cuda("3.0.0"), "", id="a torch that is not in the table"),
        pytest.param(lambda m: m.torch_variants("2.9.1+cu128"), ("cu126", "cu128", "cu130"), id="builds of 2.9"),
        pytest.param(lambda m: m.torch_variants("2.15.0"), ("cu130", "cu132"), id="builds of 2.15 that surely exist"),
        pytest.param(
            lambda m: m.torch_variants("2.15.0", sure=False),
            ("cu126", "cu130", "cu132", "cu134"),
            id="and those in doubt",
        ),
        pytest.param(lambda m: m.torch_has_code_for("2.9.0", "8.9"), True, id="8.9 is not named and runs"),
        pytest.param(lambda m: m.torch_has_code_for("2.9.0", "6.1"), False, id="P40 and the default wheel"),
        pytest.param(lambda m: m.torch_has_code_for("2.9.0+cu126", "6.1"), True, id="P40 and the local version cu126"),
        pytest.param(lambda m: m.torch_has_code_for("2.9.0", "6.1", "cu126"), True, id="P40 and the build cu126"),
        pytest.param(lambda m: m.torch_has_code_for("2.6.0", "12.0"), False, id="RTX 50 and 2.6"),
        pytest.param(lambda m: m.torch_has_code_for("2.11.0", "7.0"), False, id="V100 and 2.11"),
        pytest.param(lambda m: m.torch_has_code_for("2.10.0", "7.0"), True, id="V100 and 2.10"),
        pytest.param(lambda m: m.torch_has_code_for("2.13.0", "13.0", "cu132"), None, id="PTX that nobody looked for"),
        pytest.param(
            lambda m: m.torch_has_code_for("2.13.0", "7.0", "cu132"), False, id="PTX for newer GPUs helps no old one"
        ),
        pytest.param(lambda m: m.torch_has_code_for("2.9.0", "13.0", "cu130"), True, id="PTX serves a newer GPU"),
        pytest.param(lambda m: m.torch_has_code_for("2.9.0+cpu", "8.9"), None, id="a CPU build is in no table"),
        pytest.param(lambda m: m.torch_takes_numpy2("2.2.2"), False, id="2.2 and NumPy 2"),
        pytest.param(lambda m: m.torch_takes_numpy2("2.3.0"), True, id="2.3 and NumPy 2"),
        pytest.param(lambda m: m.torch_glibc("2.6.0"), "2.17", id="glibc of 2.6"),
        pytest.param(lambda m: m.torch_glibc("2.9.0"), "2.28", id="glibc of 2.9"),
        pytest.param(lambda m: m.torch_cxx11_abi("2.6.0"), False, id="C++ ABI of 2.6"),
        pytest.param(lambda m: "cp38" in m.torch_pythons("2.5.0"), False, id="2.5 says >=3.8 and has no cp38 wheel"),
        pytest.param(
            lambda m: known(m.torchvision_for("2.9.1+cu128"), "torchvision"), "0.24", id="torchvision of 2.9.1"
        ),
        pytest.param(lambda m: known(m.torchvision_for("2.9.99"), "torchvision"), "0.24", id="torchvision of a line"),
        pytest.param(lambda m: known(m.torch_release("2.8.0"), "torchaudio"), "2.8.0", id="torchaudio of 2.8"),
        pytest.param(
            lambda m: known(m.torch_release("2.13.0"), "torchaudio"), "2.11.0", id="torchaudio ended with 2.11"
        ),
        pytest.param(lambda m: m.newest_torch_for("7.0"), ("2.14.1", "cu126"), id="newest for V100"),
        pytest.param(
            lambda m: m.newest_torch_for("8.9", 12), ("2.14.1", "cu126"), id="newest for RTX 4090 on a CUDA 12 driver"
        ),
        pytest.param(lambda m: m.newest_torch_for("3.7", 11), ("2.7.1", "cu118"), id="newest for K80"),
        pytest.param(lambda m: m.newest_torch_for("3.5"), None, id="nothing has code for K40"),
    ],
)
def test_torch(ask: Ask, answer: object) -> None:
    assert ask(M) == answer


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        pytest.param(lambda m: known(m.engine_release("vllm", "0.12.0"), "torch"), "2.9.0", id="torch of vLLM 0.12"),
        pytest.param(
            lambda m: known(m.engine_release("vllm", "0.19.1"), "cuda_major"), 12, id="vLLM 0.19 is built for CUDA 12"
        ),
        pytest.param(
            lambda m: known(m.engine_release("vllm", "0.20.0"), "cuda_major"), 13, id="vLLM 0.20 is built for CUDA 13"
        ),
        pytest.param(
            lambda m: known(m.engine_release("sglang", "0.5.11"), "cuda_major"),
            13,
            id="SGLang 0.5.11 is built for CUDA 13",
        ),
        pytest.param(
            lambda m: known(m.engine_release("vllm", "0.12.1.dev3"), "since"), "0.12.0", id="between rows the older one"
        ),
        pytest.param(
            lambda m: known(m.engine_release("vllm", None), "since"),
            known(M.engine_release("vllm", "99"), "since"),
            id="not known: the newest",
        ),
        pytest.param(lambda m: m.engine_release("vllm", "0.1.7"), None, id="before the table"),
        pytest.param(lambda m: m.engines["vllm"][0].since, "0.8.0", id="the oldest that anybody is sent to"),
        pytest.param(
            lambda m: known(m.engine_release("vllm", "0.2.1.post1"), "cuda_major"), 11, id="the last vLLM of CUDA 11"
        ),
        pytest.param(
            lambda m: known(m.engine_release("vllm", "0.2.2"), "cuda_major"), 12, id="the first vLLM of CUDA 12"
        ),
        pytest.param(lambda m: known(m.engine_release("vllm", "0.5.4"), "torch"), "2.4.0", id="an old vLLM's pin"),
        pytest.param(lambda m: known(m.engine_release("vllm", "0.2.2"), "torch"), "", id="a vLLM without a pin"),
        pytest.param(
            lambda m: known(m.engine_release("vllm", "0.2.2"), "torch_range"), ">=2.1.0", id="what it asks for instead"
        ),
        pytest.param(lambda m: m.engine_glibc("vllm", "0.2.2"), "", id="the glibc of a vLLM without a pin"),
        pytest.param(
            lambda m: [row.since for row in m.engines_for_transformers("sglang", "4.48.3")],
            ["0.4.3.post3", "0.4.3.post4", "0.4.4", "0.4.4.post1"],
            id="SGLang for an old transformers",
        ),
        pytest.param(lambda m: m.engine_release("vllm", "nonsense"), None, id="no version"),
        pytest.param(lambda m: m.engine_glibc("vllm", "0.12.0"), "2.31", id="glibc of vLLM 0.12"),
        pytest.param(lambda m: m.engine_glibc("vllm", "0.20.1"), "2.35", id="glibc of vLLM 0.20.1"),
        pytest.param(lambda m: m.engine_glibc("vllm", "0.11.0"), "2.28", id="an old tag says nothing: torch decides"),
        pytest.param(lambda m: m.engine_glibc("sglang", "0.5.23"), "2.34", id="glibc of SGLang"),
        pytest.param(
            lambda m: m.engine_needs_driver_for_ptx("vllm", "0.12.0", "12.0"), "8.8", id="RTX 50 and vLLM 0.12: PTX"
        ),
        pytest.param(lambda m: m.engine_needs_driver_for_ptx("vllm", "0.12.0", "8.9"), "", id="RTX 40: compiled code"),
        pytest.param(lambda m: m.engine_needs_driver_for_ptx("sglang", "0.5.9", "12.0"), "", id="SGLang: no PTX"),
        pytest.param(
            lambda m: m.engine_has_code_for("vllm", "0.8.5.post1", "12.0"), False, id="vLLM 0.8 has nothing for RTX 50"
        ),
        pytest.param(lambda m: m.engine_has_code_for("sglang", "0.5.9", "7.5"), False, id="SGLang has nothing for T4"),
        pytest.param(lambda m: m.engine_has_code_for("sglang", "0.4.1", "7.5"), None, id="not read"),
        pytest.param(
            lambda m: m.engine_takes("vllm", "0.12.0", "transformers", "5.0.0rc0"),
            False,
            id="what Open-AutoGLM asks for",
        ),
        pytest.param(
            lambda m: m.engine_takes("vllm", "0.19.1", "transformers", "5.5.3"), True, id="the pair that resolves"
        ),
        pytest.param(
            lambda m: m.engine_takes("vllm", "0.12.0", "torch", "2.9.0+cu128"), True, id="a local version is the pin"
        ),
        pytest.param(lambda m: m.engine_takes("vllm", "0.12.0", "torch", "2.9.1"), False, id="a patch is not the pin"),
        pytest.param(lambda m: m.engine_takes("vllm", "0.12.0", "numpy", "2.0"), None, id="metadata that says nothing"),
        pytest.param(lambda m: m.engine_takes("vllm", "0.8.1", "numpy", "2.0"), False, id="vLLM 0.8.1 and NumPy 2"),
        pytest.param(
            lambda m: [row.since for row in m.engines_for_transformers("sglang", "5.0.0rc0")],
            ["0.5.6.post1"],
            id="SGLang pins exactly",
        ),
        pytest.param(
            lambda m: known(m.other_server("onnxruntime-gpu", "1.18.1"), "cuda_major"), 11, id="ONNX Runtime 1.18"
        ),
        pytest.param(
            lambda m: known(m.other_server("onnxruntime-gpu", "1.20.0"), "cuda_major"), 12, id="ONNX Runtime 1.20"
        ),
    ],
)
def test_engines(ask: Ask, answer: object) -> None:
    assert ask(M) == answer


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        pytest.param(lambda m: m.first_transformers("glm4v"), "4.53.2", id="glm4v: the first that does not fail"),
        pytest.param(lambda m: m.first_transformers("glm4v_moe"), "4.56.0", id="glm4v_moe"),
        pytest.param(lambda m: m.first_transformers("qwen2_5_vl"), "4.49.0", id="qwen2_5_vl"),
        pytest.param(lambda m: m.first_transformers("qwen3"), "4.51.0", id="qwen3"),
        pytest.param(
            lambda m: m.first_engine("vllm", "Glm4vForConditionalGeneration"), "0.9.2", id="vLLM and GLM-4.1V"
        ),
        pytest.param(
            lambda m: m.first_engine("sglang", "Glm4vForConditionalGeneration"), "0.5.1", id="SGLang and GLM-4.1V"
        ),
        pytest.param(
            lambda m: m.engine_knows("vllm", "0.9.1", "Glm4vForConditionalGeneration"),
            False,
            id="vLLM 0.9.1 does not know it",
        ),
        pytest.param(lambda m: m.engine_knows("vllm", "0.9.1", "NobodysModel"), None, id="an architecture of nobody's"),
        pytest.param(
            lambda m: known(m.is_known_bad("transformers", "4.53.1", "glm4v"), "instead"),
            ">=4.53.2",
            id="4.53.1 with GLM-4.1V",
        ),
        pytest.param(lambda m: m.is_known_bad("transformers", "4.53.1", "llama"), None, id="4.53.1 with another model"),
        pytest.param(lambda m: m.is_known_bad("transformers", "4.53.2", "glm4v"), None, id="4.53.2 is mended"),
        pytest.param(
            lambda m: m.is_known_bad("transformers", "4.57.0") is None, False, id="4.57.0 was withdrawn, for all"
        ),
        pytest.param(
            lambda m: m.needs("transformers", "4.57.1", "huggingface-hub"),
            "<1.0,>=0.34.0",
            id="the hub of transformers 4",
        ),
        pytest.param(
            lambda m: m.needs("transformers", "5.18.0", "huggingface-hub"),
            "<3.0,>=1.31.0",
            id="the hub of transformers 5.18",
        ),
        pytest.param(lambda m: m.needs("bitsandbytes", "0.49.0", "torch"), "<3,>=2.3", id="torch of bitsandbytes"),
        pytest.param(lambda m: m.needs("nobody", "1.0", "torch"), "", id="a package without a table"),
        pytest.param(
            lambda m: [p.instead for p in m.bad_pairs({"torch": "2.2.2", "numpy": "2.1.0"})],
            ["numpy<2"],
            id="torch 2.2 with NumPy 2",
        ),
        pytest.param(
            lambda m: len(m.bad_pairs({"torch": "2.9.1+cu128", "nvidia-cudnn-cu12": "9.10.2.21"})), 1, id="Conv3d"
        ),
        pytest.param(
            lambda m: m.bad_pairs({"torch": "2.9.1", "nvidia-cudnn-cu12": "9.15.0.57"}),
            (),
            id="Conv3d with the newer cuDNN",
        ),
        pytest.param(
            lambda m: len(m.bad_pairs({"vllm": "0.12.0", "transformers": "5.0.0rc0"})),
            1,
            id="Open-AutoGLM's own requirements",
        ),
        pytest.param(
            lambda m: m.bad_pairs({"vllm": "0.24.0", "transformers": "5.5.3"}), (), id="the pair that resolves"
        ),
        pytest.param(
            lambda m: m.bad_pairs({"vllm": "0.7.2", "transformers": "4.49.0"}), (), id="a pair for some models only"
        ),
        pytest.param(
            lambda m: len(m.bad_pairs({"vllm": "0.7.2", "transformers": "4.49.0"}, "qwen2_5_vl")),
            1,
            id="the model of such a pair",
        ),
    ],
)
def test_models_and_known_trouble(ask: Ask, answer: object) -> None:
    assert ask(M) == answer


@pytest.mark.parametrize(
    ("days", "old"),
    [
        pytest.param(0, False, id="of today"),
        pytest.param(OLD_AFTER_DAYS, False, id="just young enough"),
        pytest.param(OLD_AFTER_DAYS + 1, True, id="too old"),
        pytest.param(-3, False, id="a clock that is behind"),
    ],
)
def test_age(days: int, old: bool) -> None:
    today = datetime.date.fromisoformat(M.generated) + datetime.timedelta(days=days)
    assert (M.age_days(today), M.is_old(today)) == (days, old)


@pytest.mark.parametrize(
    ("text", "ask", "error"),
    [
        pytest.param("generated: soon\n", lambda m: m.age_days(datetime.date(2026, 11, 21)), DoctorError, id="no date"),
        pytest.param('generated: "2026-11-21"\n', lambda m: m.gpus, DoctorError, id="a section is missing"),
        pytest.param(
            'gpus: {"rows": {"X": {"capability": 8.9, "memory_gib": 1}}}\n',
            lambda m: m.gpus,
            DecodeError,
            id="a version without quotes",
        ),
        pytest.param("gpus: {rows: [\n", lambda m: m.gpus, DoctorError, id="cut off"),
        pytest.param("gpus: 7\n", lambda m: m.gpus, DoctorError, id="no object"),
    ],
)
def test_a_broken_file_says_where(tmp_path: Path, text: str, ask: Ask, error: type[Exception]) -> None:
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(error, match=r"compat_matrix\.yaml|gpus"):
        ask(load_matrix(tmp_path / "m.yaml"))


def test_a_section_that_a_hand_wrote_as_yaml_is_read_too(tmp_path: Path) -> None:
    text = 'os_glibc:\n  rows: # by hand\n    "Debian 12": "2.36"\ngenerated: "2026-01-01"\n'
    (tmp_path / "m.yaml").write_text(text)
    assert load_matrix(tmp_path / "m.yaml").os_glibc == {"Debian 12": "2.36"}


def test_a_matrix_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DoctorError):
        load_matrix(tmp_path / "none.yaml")
    assert find_matrix().is_file()
