"""The table of signatures, against what engines and libraries print."""

from __future__ import annotations

import re
from typing import Any

import pytest

from autoglm_doctor.domain.signatures import SUBJECTS, TABLE, Matcher, details, symptoms_of
from tests.logs.wordings import WORDINGS
from tests.logs.wordings_gpu import GPU
from tests.logs.wordings_host import HOST
from tests.logs.wordings_packages import PACKAGES

SAID = [(text, cause) for table in (WORDINGS, PACKAGES, HOST, GPU) for cause, texts in table.items() for text in texts]
PREFIXES = {
    "bare": "",
    "vLLM V0": "ERROR 05-21 18:16:40 [core.py:396] ",
    "vLLM V1": "(EngineCore_DP0 pid=93) ERROR 10-21 09:11:57 [core.py:708] ",
    "vLLM worker in a container": "2026-11-20T12:00:00.108632509Z (Worker_TP1 pid=12) ERROR 11-20 12:00:00 [multiproc_executor.py:949] ",
    "SGLang": "[2025-07-27 21:33:30 TP0] ",
    "colours": "\x1b[31;20m",
}


@pytest.mark.parametrize(("text", "cause"), [pytest.param(t, c, id=f"{c}: {t[:60]}") for t, c in SAID])
def test_an_engines_words_are_recognised(text: str, cause: str) -> None:
    assert [s.signature.cause for s in symptoms_of([text])][:1] == [cause]


@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES.keys())
def test_the_prefix_of_a_log_changes_nothing(prefix: str) -> None:
    anchored = ("Killed", "MemoryError")
    for text, cause in SAID:
        if text not in anchored and not text.startswith("ERROR"):
            assert [s.signature.cause for s in symptoms_of([prefix + text])][:1] == [cause], text


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_what_an_engine_only_informs_of_is_no_symptom(level: str) -> None:
    for text, _ in SAID:
        if not text.startswith("ERROR"):
            assert symptoms_of([f"(APIServer pid=1) {level} 10-21 09:11:57 [x.py:1] {text}"]) == (), text


def test_every_row_is_reached_by_some_words() -> None:
    reached = set()
    for text, _ in SAID:
        for engine in ("", "llamacpp", "sglang", "transformers", "vllm"):
            traces = ("_multiprocessing.SemLock(", 'File "triton/runtime/driver.py", line 3', "BNB_CUDA_VERSION=124")
            for before in ("", "Model loading took 19.26 GiB and 5 seconds", *traces):
                matcher = Matcher(engine)
                matcher.notice(before)
                reached.add(matcher.read(text))
    assert [(row.cause, row.pattern[:60]) for row in TABLE if row not in reached] == []


@pytest.mark.parametrize("row", TABLE, ids=lambda r: f"{r.cause} {r.pattern[:30]}")
def test_a_row_is_complete(row: Any) -> None:
    assert re.compile(row.pattern)
    assert not re.compile(row.pattern).search("")
    assert row.commands
    assert row.source
    assert not row.meaning.endswith(".")
    assert row.way_out.endswith(".")
    assert row.sure in ("certain", "likely", "hint")
    assert not (row.sure == "hint" and row.ends_start), "a hint ends no start"


def test_the_subjects_are_the_table() -> None:
    assert sum(len(rows) for rows in SUBJECTS.values()) == len(TABLE)


OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.93 GiB."
DIED = "RuntimeError: Engine core initialization failed. See root cause above."
NCCL = "RuntimeError: NCCL error: unhandled cuda error"
CUBLAS = "RuntimeError: CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasGemmEx( handle, opa, opb, m, n, k)`"
LFS = "SafetensorError: Error while deserializing header: header too large"


@pytest.mark.parametrize(
    ("lines", "causes"),
    [
        pytest.param([DIED], ["ENGINE_DIED"], id="a consequence alone is named"),
        pytest.param([DIED, LFS], ["MODEL_FILES_LFS_POINTER", "ENGINE_DIED"], id="a consequence comes last"),
        pytest.param([NCCL, LFS], ["MODEL_FILES_LFS_POINTER", "NCCL_FAILED"], id="certain before likely"),
        pytest.param([OOM, NCCL], ["VRAM_TOO_SMALL_FOR_WEIGHTS", "NCCL_FAILED"], id="the earlier of two likely ones"),
        pytest.param([NCCL, OOM], ["NCCL_FAILED", "VRAM_TOO_SMALL_FOR_WEIGHTS"], id="and the other way round"),
        pytest.param([LFS, LFS], ["MODEL_FILES_LFS_POINTER"], id="each cause once"),
        pytest.param([f"{LFS}\n{DIED}"], ["MODEL_FILES_LFS_POINTER", "ENGINE_DIED"], id="several lines in one text"),
        pytest.param(["Model loading took 9 GiB", OOM], ["KV_CACHE_TOO_SMALL"], id="no room once the weights are in"),
        pytest.param(
            ['  File "w.py", line 1, in profile_run', OOM], ["KV_CACHE_TOO_SMALL"], id="no room while profiling"
        ),
        pytest.param(['  File "w.py", line 1, in load_model', OOM], ["VRAM_TOO_SMALL_FOR_WEIGHTS"], id="while loading"),
        pytest.param(["memory usage while profiling", OOM], ["KV_CACHE_TOO_SMALL"], id="no room for the profile run"),
        pytest.param([CUBLAS], ["CUDA_LIBS_SHADOWED"], id="a plain product that cuBLAS refuses"),
        pytest.param(
            ['  File "bitsandbytes/autograd/_functions.py", line 390', CUBLAS], [], id="bitsandbytes on an older GPU"
        ),
        pytest.param([CUBLAS, "CUDA error: device-side assert triggered"], [], id="an index out of its bounds"),
        pytest.param([CUBLAS.replace("GemmEx", "Sgemv")], [], id="a matrix times a vector that is too long"),
        pytest.param(["Triton Error [CUDA]: named symbol not found"], [], id="a kernel that is not in its module"),
        pytest.param(["HTTP error 500: symbol not found"], [], id="a server's error 500"),
        pytest.param([], [], id="nothing"),
        pytest.param(["", "all is well", "error_count=0", "--disable-log-errors"], [], id="no fault"),
        pytest.param([f"WARNING 10-21 09:11:57 [x.py:1] {LFS}"], [], id="a warning"),
        pytest.param([f"{OOM} Falling back to the CPU."], [], id="a fault that its speaker survives"),
        pytest.param(["tokenizer.json: 100%|███| 20.0M/20.0M [00:00<00:00, 51.2MB/s]"], [], id="a download"),
    ],
)
def test_the_root_is_named_first(lines: list[str], causes: list[str]) -> None:
    assert [s.signature.cause for s in symptoms_of(lines)] == causes


@pytest.mark.parametrize(
    ("engine", "cause"),
    [
        pytest.param("transformers", "TRANSFORMERS_TOO_NEW_FOR_MODEL", id="without a server: the model's code asks"),
        pytest.param("vllm", "TRANSFORMERS_TOO_NEW_FOR_ENGINE", id="under vLLM"),
        pytest.param("sglang", "TRANSFORMERS_TOO_NEW_FOR_ENGINE", id="under SGLang"),
        pytest.param("", "TRANSFORMERS_TOO_NEW_FOR_ENGINE", id="by nobody knows whom"),
    ],
)
def test_who_imports_tells_what_transformers_is_too_new_for(engine: str, cause: str) -> None:
    line = "ImportError: cannot import name 'is_list' from 'transformers.models.mllama.image_processing_mllama'"
    assert [s.signature.cause for s in symptoms_of([line], engine)] == [cause]


def test_a_failed_import_explains_a_model_that_could_not_be_inspected() -> None:
    lines = [
        "ImportError: /opt/v/vllm/_C.abi3.so: undefined symbol: _ZN3c10x",
        "ValueError: Model architectures ['Qwen2ForCausalLM'] failed to be inspected. Please check the logs for more",
    ]
    assert next(s.signature.cause for s in symptoms_of(lines)) == "VLLM_TORCH_MISMATCH"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("'generate' is not a method that this model has no attribute for", id="a sentence"),
        pytest.param("Fast download using 'hf_transfer' is enabled.", id="a setting that works"),
        pytest.param("attention_ops.cpython-310-x86_64-linux-gnu.so loaded", id="a library that is loaded"),
        pytest.param("flashinfer-cubin version 0.6.8 matches flashinfer version 0.6.8", id="FlashInfer that fits"),
        pytest.param(
            "Ignoring incompatible flashinfer-cubin package (cubins will be downloaded on demand to /c): "
            "flashinfer-cubin version (0.6.13) does not match flashinfer version (0.7.2).",
            id="FlashInfer goes on without a package",
        ),
        pytest.param("ibv_reg_mr registered 16 MiB", id="registered memory"),
        pytest.param("transformers 5.1 (revision main) was specified", id="a revision"),
    ],
)
def test_healthy_neighbours_are_no_symptom(line: str) -> None:
    assert symptoms_of([line], "transformers") == ()


def test_the_words_of_another_engine_are_not_taken_for_this_ones() -> None:
    words = "n_ctx_seq == 0"
    assert symptoms_of([words], "llamacpp")
    assert symptoms_of([words], "vllm") == ()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        pytest.param(
            "CUDA out of memory. Tried to allocate 214.00 MiB. GPU 1 has a total capacity of 15.77 GiB of which 101.06 MiB is free.",
            {"wanted": "214.00 MiB", "gpu": "1", "total": "15.77", "left": "101.06 MiB"},
            id="out of memory: where and how much",
        ),
        pytest.param(
            "(0.97 GiB KV cache is needed, which is larger than the available KV cache memory (0.50 GiB). Based on the available memory, the estimated maximum model length is 13104. ",
            {"needed": "0.97", "available": "0.50", "fits": "13104"},
            id="KV cache: needed, there, what fits",
        ),
        pytest.param("undefined symbol: _ZN3c10", {"symbol": "_ZN3c10"}, id="symbol"),
        pytest.param("libcudart.so.13: cannot open shared object file", {"library": "libcudart.so.13"}, id="library"),
        pytest.param("attempting to bind on address ('0.0.0.0', 8000): x", {"port": "8000"}, id="port"),
        pytest.param("all is well", {}, id="nothing"),
    ],
)
def test_figures_are_read_from_the_line(line: str, found: dict[str, str]) -> None:
    assert details(line) == found
