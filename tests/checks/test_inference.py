from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_doctor.api import SMOKE, Check, Failure, Inference, Intent, Reading
from autoglm_doctor.checks.inference import model_loads
from autoglm_doctor.checks.inference_output import answers_make_sense
from autoglm_doctor.checks.inference_speed import inference_speed
from autoglm_doctor.domain.signatures import TABLE, recognise
from autoglm_doctor.facts import Facts, known
from autoglm_doctor.finding import Finding
from autoglm_doctor.testing import judge
from autoglm_doctor.verdict import decide
from autoglm_doctor.wording import render

ALL = (model_loads, answers_make_sense, inference_speed)

SMOKE_RUN = Inference(
    model=SMOKE,
    device="cuda:0",
    device_name="NVIDIA GeForce RTX 4090",
    dtype="bfloat16",
    transformers_version="5.23.0",
    parameters=2_097_024,
    weight_bytes=8_394_456,
    load_seconds=0.03,
    load_bytes_per_s=280e6,
    prompt_tokens=66,
    image_tokens=32,
    new_tokens=32,
    first_token_cold_seconds=0.6,
    first_token_seconds=0.006,
    prefill_tokens_per_s=11_000.0,
    decode_tokens_per_s=300.0,
    peak_bytes=60 * 2**20,
    logits_finite=True,
    logits_std=0.75,
    distinct_tokens=1,  # a random model may repeat itself
    repeatable=True,
    image_logit_change=2.3,
    reference_error=0.016,
)
REAL_RUN = dataclasses.replace(
    SMOKE_RUN,
    model="/models/AutoGLM-Phone-9B",
    parameters=10_292_777_472,
    weight_bytes=20_585_554_944,
    load_seconds=12.0,
    load_bytes_per_s=1.7e9,
    prompt_tokens=3373,
    image_tokens=3354,
    first_token_seconds=0.9,
    prefill_tokens_per_s=3_748.0,
    decode_tokens_per_s=17.0,
    peak_bytes=23 * 2**30,
    distinct_tokens=25,
    reference_error=None,
    answer="<think>The screen shows six apps.",
)
SMALL_RUN = dataclasses.replace(REAL_RUN, model="/models/small", weight_bytes=500_000_000, image_tokens=0)

AUTOGLM = Intent(model="zai-org/AutoGLM-Phone-9B", profile="autoglm-phone-9b")
OTHER = Intent(model="someone/other-model", engine="vllm")
OTHER_TRANSFORMERS = dataclasses.replace(OTHER, engine="transformers")
CPU_INTENT = dataclasses.replace(AUTOGLM, device="cpu")


def run(base: Inference = REAL_RUN, **changes: Any) -> Inference:
    return dataclasses.replace(base, **changes)


def failed(stage: str, exception: str, message: str, model: str = "/models/x") -> Inference:
    return Inference(model=model, device="cuda:0", failure=Failure(stage=stage, exception=exception, message=message))


def one(check: Check, inference: Inference | Reading[Inference], intent: Intent = AUTOGLM) -> Finding:
    (finding,) = judge(check, inference=inference, intent=intent)
    return finding


@pytest.mark.parametrize("check", ALL, ids=lambda c: c.code)
@pytest.mark.parametrize(
    ("outcome", "status"),
    [("absent", "skipped"), ("failed", "unknown"), ("timeout", "unknown"), ("not_run", "unknown")],
)
def test_what_was_not_run_is_never_green(check: Check, outcome: Any, status: str) -> None:
    finding = one(check, Reading(outcome=outcome, why="transformers is not installed"))
    by_reading = {"timeout": "fail", "not_run": "skipped"}
    assert finding.status == (by_reading.get(outcome, status) if check is model_loads else status)


DEATHS = {
    "crashes": ("failed", "killed by SIGSEGV: Segmentation fault", "crashes", "pip check"),
    "is killed, as by the kernel": ("failed", "killed by SIGKILL", "crashes", "dmesg"),
    "meets an illegal instruction": ("failed", "killed by SIGILL", "crashes", "avx"),
    "leaves": ("failed", "ended with exit code 3 and no answer", "ends the interpreter", "pip check"),
    "hangs": ("timeout", "no answer within 900 s, while loading", "hangs", "--timeout 3"),
}


@pytest.mark.parametrize(("outcome", "why", "says", "command"), DEATHS.values(), ids=DEATHS.keys())
def test_a_run_that_dies_is_red(outcome: Any, why: str, says: str, command: str) -> None:
    finding = one(model_loads, Reading(outcome=outcome, why=why, source="/v/bin/python"))
    assert (finding.status, finding.cause) == ("fail", "MODEL_LOAD_FAILED")
    assert says in render(finding.text)
    assert why in render(finding.text)
    assert command in "\n".join(finding.fixes[0].commands)


NO_ANSWER = {
    "its answer has the wrong form": ("failed", "the probe's answer has the wrong form ($.inference)", "incomplete"),
    "somebody stopped it": ("failed", "killed by SIGTERM", "incomplete"),
    "the scratch disk is full": (
        "failed",
        "ended with exit code 1 and no answer: No space left on device",
        "incomplete",
    ),
    "it could not be started": ("failed", "[Errno 12] Cannot allocate memory", "incomplete"),
    "it died": ("failed", "killed by SIGSEGV", "not_ready"),
    "it was not asked for": ("not_run", "--final-stage none", "ready"),
    "somebody else uses the GPU": ("not_run", "GPU 0 is in use by python (1); --force runs the model", "ready"),
    "no transformers": ("absent", "transformers is not installed in /v/bin/python", "ready"),
    "an older reading": ("not_run", "no probe read this", "ready"),
}


@pytest.mark.parametrize(("outcome", "why", "verdict"), NO_ANSWER.values(), ids=NO_ANSWER.keys())
def test_only_what_was_tried_without_an_answer_keeps_a_machine_from_ready(outcome: Any, why: str, verdict: str) -> None:
    reading: Reading[Inference] = Reading(outcome=outcome, why=why)
    sound = one(answers_make_sense, REAL_RUN)
    said = decide([sound, one(model_loads, reading)], AUTOGLM, Facts(inference=reading))
    assert said.status == verdict
    tried = "the model that was tried gave no answer" in [text.template for text in said.not_covered]
    assert tried == (verdict != "ready")


def test_a_load_that_was_not_measured_is_an_open_question() -> None:
    finding = one(model_loads, Inference(model=SMOKE, device="cpu"))
    assert (
        decide([finding], AUTOGLM, Facts(inference=known(Inference(model=SMOKE, device="cpu")))).status == "incomplete"
    )


@pytest.mark.parametrize("check", ALL, ids=lambda c: c.code)
def test_a_red_of_cuda_or_torch_explains_ours(check: Check) -> None:
    assert {"CUD001", "CUD002", "TOR001", "TOR002", "TOR003"} <= set(check.explained_by)


@pytest.mark.parametrize("inference", [SMOKE_RUN, REAL_RUN, SMALL_RUN], ids=["smoke", "real", "small"])
def test_a_sound_run_is_green_and_every_text_renders(inference: Inference) -> None:
    for check in ALL:
        for finding in judge(check, inference=inference, intent=AUTOGLM):
            assert finding.status in ("pass", "not_applicable")
            assert not re.search(r"[{}]|None", render(finding.text))


@pytest.mark.parametrize(
    ("inference", "intent", "says"),
    [
        (SMOKE_RUN, AUTOGLM, ["weights of zai-org/AutoGLM-Phone-9B were not tested"]),
        (run(SMOKE_RUN, device="cpu"), AUTOGLM, ["were not tested", "no GPU was tested"]),
        (run(SMOKE_RUN, device="cpu"), CPU_INTENT, ["were not tested"]),
        (REAL_RUN, AUTOGLM, []),
        (SMOKE_RUN, Intent(model=SMOKE), []),
    ],
    ids=["smoke for real", "smoke on the CPU", "a CPU is meant", "the real weights", "smoke is meant"],
)
def test_says_what_was_not_tested(inference: Inference, intent: Intent, says: list[str]) -> None:
    for check in ALL:
        for finding in judge(check, inference=inference, intent=intent):
            sentence = render(finding.text).lower()
            assert all(words.lower() in sentence for words in says)
            assert ("tested" in sentence) == bool(says)


@pytest.mark.parametrize(
    ("exception", "message", "cause"),
    [
        ("OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB.", "VRAM_TOO_SMALL_FOR_WEIGHTS"),
        (
            "RuntimeError",
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: 12",
            "RAM_TOO_SMALL",
        ),
        ("RuntimeError", "CUDA error: no kernel image is available for execution", "GPU_ARCH_NOT_IN_WHEEL"),
        ("AssertionError", "Torch not compiled with CUDA enabled", "CPU_ONLY_TORCH"),
        ("RuntimeError", "No CUDA GPUs are available", "CUDA_VISIBLE_DEVICES_HIDES_GPUS"),
        (
            "SafetensorError",
            "Error while deserializing header: incomplete metadata, file not fully covered",
            "MODEL_FILE_TRUNCATED",
        ),
        ("SafetensorError", "Error while deserializing header: header too large", "MODEL_FILES_LFS_POINTER"),
        ("SafetensorError", "Error while deserializing header: header too small", "MODEL_FILE_TRUNCATED"),
        (
            "SafetensorError",
            "Error while deserializing header: invalid JSON in header: EOF while parsing",
            "MODEL_FILE_TRUNCATED",
        ),
        (
            "FileNotFoundError",
            "No such file or directory: /m/model-00002-of-00004.safetensors",
            "MODEL_SHARD_MISSING",
        ),
        (
            "OSError",
            "Error no file named model.safetensors, or pytorch_model.bin found in directory /m.",
            "MODEL_SHARD_MISSING",
        ),
        (
            "ValueError",
            "The checkpoint you are trying to load has model type `glm4v` but Transformers does not recognize this "
            "architecture.",
            "TRANSFORMERS_TOO_OLD_FOR_MODEL",
        ),
        (
            "ImportError",
            "cannot import name 'Glm4vForConditionalGeneration' from 'transformers'",
            "TRANSFORMERS_TOO_OLD_FOR_MODEL",
        ),
        (
            "AttributeError",
            "module transformers has no attribute Glm4vConfig",
            "TRANSFORMERS_TOO_OLD_FOR_MODEL",
        ),
        (
            "RuntimeError",
            "You set `ignore_mismatched_sizes` to `False`, thus raising an error.",
            "MODEL_CONFIG_WRONG",
        ),
        ("ValueError", "Couldn't instantiate the backend tokenizer from one of: ...", "MODEL_FILES_INCOMPLETE"),
        ("OSError", "Can't load image processor for '/m'.", "MODEL_FILES_INCOMPLETE"),
        ("ValueError", "Cannot use apply_chat_template because this processor does not have a chat template.",
         "CHAT_TEMPLATE_MISSING"),
        ("RuntimeError", "operator torchvision::nms does not exist", "TORCH_COMPANION_MISMATCH"),
        (
            "ImportError",
            "\nGlm4vVideoProcessor requires the Torchvision library but it was not found in your environment.",
            "TORCH_COMPANION_MISMATCH",
        ),
        ("ImportError", "/x/y.so: undefined symbol: _ZN3c104cuda9SetDeviceEi", "EXTENSION_ABI_MISMATCH"),
        ("ImportError", "libstdc++.so.6: version `GLIBCXX_3.4.30' not found", "LIBSTDCXX_TOO_OLD"),
        (
            "ImportError",
            "tokenizers>=0.21,<0.22 is required for a normal functioning of this module, but found 0.23.",
            "HF_LIBS_CONFLICT",
        ),
        ("OSError", "[Errno 28] No space left on device", "DISK_FULL"),
        ("ImportError", "Loading an AWQ quantized model requires gptqmodel", "QUANTIZATION_PACKAGE_MISSING"),
        ("NotImplementedError", "Cannot copy out of meta tensor; no data!", "MODEL_TENSORS_MISSING"),
        ("ImportError", " requires the protobuf library but it was not found", "MODEL_FILES_INCOMPLETE"),
        ("KeyError", "'surprise'", "MODEL_LOAD_FAILED"),
    ],
)  # fmt: skip
def test_the_cause_is_told_from_the_exception(exception: str, message: str, cause: str) -> None:
    finding = one(model_loads, failed("load", exception, message))
    assert (finding.status, finding.cause) == ("fail", cause)
    assert finding.fixes[0].commands
    assert not any(re.search(r"\{(download|folder)\}", c) for fix in finding.fixes for c in fix.commands)
    assert message.strip()[:30] in render(finding.text)


def test_braces_in_a_message_are_only_words() -> None:
    text = render(one(model_loads, failed("load", "KeyError", "{oops} {0:x}")).text)
    assert "{oops} {0:x}" in text


@pytest.mark.parametrize(
    ("intent", "status"),
    [(AUTOGLM, "fail"), (OTHER, "skipped"), (OTHER_TRANSFORMERS, "fail")],
    ids=["a known model", "another model on vLLM", "another model on transformers"],
)
def test_an_engine_with_code_of_its_own_may_cope(intent: Intent, status: str) -> None:
    old = failed("load", "ValueError", "Transformers does not recognize this architecture")
    assert one(model_loads, old, intent).status == status


def test_a_smoke_model_that_cannot_be_made_says_nothing_about_another_model() -> None:
    old = failed("make", "ImportError", "cannot import name 'Glm4vConfig' from 'transformers'", model=SMOKE)
    assert one(model_loads, old, OTHER_TRANSFORMERS).status == "skipped"
    assert one(model_loads, old, AUTOGLM).status == "fail"


def test_code_that_the_doctor_did_not_run_is_no_fault() -> None:
    asks = failed("load", "ValueError", "... requires you to execute ... set `trust_remote_code=True`")
    assert one(model_loads, asks, OTHER_TRANSFORMERS).status == "skipped"


def test_a_failure_before_the_run_is_one_red_only() -> None:
    broken = failed("load", "SafetensorError", "header too large")
    assert one(model_loads, broken).status == "fail"
    assert one(answers_make_sense, broken).status == "unknown"  # explained by INF001 in a whole run
    assert one(inference_speed, broken).status == "unknown"


def test_a_failure_after_the_load_belongs_to_the_answers() -> None:
    late = run(failure=Failure(stage="warm-up", exception="OutOfMemoryError", message="CUDA out of memory."))
    assert one(model_loads, late).status == "pass"
    finding = one(answers_make_sense, late)
    assert (finding.status, finding.cause) == ("fail", "VRAM_TOO_SMALL_FOR_WEIGHTS")


@pytest.mark.parametrize(
    ("inference", "status", "cause"),
    [
        (run(logits_finite=False, logits_std=math.nan, distinct_tokens=1), "fail", "MODEL_OUTPUT_WRONG"),
        (run(SMOKE_RUN, logits_finite=False, logits_std=math.nan), "fail", "MODEL_OUTPUT_WRONG"),
        (run(logits_std=0.0, image_logit_change=0.0, distinct_tokens=1), "fail", "MODEL_OUTPUT_WRONG"),
        (run(distinct_tokens=1), "fail", "MODEL_OUTPUT_WRONG"),
        (run(distinct_tokens=1, new_tokens=1), "pass", ""),
        (run(missing_tensors=2), "fail", "MODEL_TENSORS_MISSING"),
        (run(image_logit_change=0.0), "fail", "MODEL_IGNORES_IMAGE"),
        (run(SMOKE_RUN, image_logit_change=0.001), "fail", "MODEL_IGNORES_IMAGE"),
        (run(SMOKE_RUN, reference_error=0.4), "fail", "MODEL_OUTPUT_WRONG"),
        (run(repeatable=False), "warn", "MODEL_OUTPUT_UNSTEADY"),
        (run(repeatable=None), "unknown", ""),
        (run(image_logit_change=None), "unknown", ""),
        (run(SMOKE_RUN, reference_error=None), "unknown", ""),
        (run(SMOKE_RUN, device="cpu", dtype="float32", reference_error=None), "pass", ""),
        (run(image_logit_change=None, image_tokens=0), "pass", ""),
        (run(logits_finite=None), "unknown", ""),
    ],
    ids=[
        "not a number", "not a number in smoke", "all words alike", "one token over and over", "one token is short",
        "tensors missing", "picture ignored", "picture ignored by smoke", "GPU computes wrongly", "unsteady",
        "no second run", "no second picture", "no comparison with the CPU", "smoke in float32 on the CPU",
        "text model", "no logits",
    ],
)  # fmt: skip
def test_answers(inference: Inference, status: str, cause: str) -> None:
    finding = one(answers_make_sense, inference)
    assert (finding.status, finding.cause) == (status, cause)
    assert not re.search(r"[{}]", render(finding.text))


def test_nan_is_called_what_it_is() -> None:
    finding = one(answers_make_sense, run(logits_finite=False, logits_std=math.nan, distinct_tokens=1))
    assert "not finite" in render(finding.text)


@pytest.mark.parametrize(
    ("inference", "found"),
    [
        (REAL_RUN, [("loading", "pass"), ("decoding", "pass")]),
        (run(load_bytes_per_s=0.1e9), [("loading", "warn"), ("decoding", "pass")]),
        (run(decode_tokens_per_s=1.2), [("loading", "pass"), ("decoding", "warn")]),
        (run(decode_tokens_per_s=None), [("loading", "pass")]),
        (run(device="cpu", decode_tokens_per_s=0.5), [("loading", "pass")]),
        (SMALL_RUN, [("", "not_applicable")]),
        (run(SMALL_RUN, decode_tokens_per_s=5.0, load_bytes_per_s=1e6), [("", "not_applicable")]),
        (SMOKE_RUN, [("", "not_applicable")]),
        (run(first_token_seconds=None), [("", "unknown")]),
    ],
    ids=["as it should be", "slow disk", "weights over the bus", "one token only", "on the CPU", "small model",
         "small and slow", "smoke", "no warm run"],
)  # fmt: skip
def test_speed(inference: Inference, found: list[tuple[str, str]]) -> None:
    findings = judge(inference_speed, inference=inference, intent=AUTOGLM)
    assert [(f.subject, f.status) for f in findings] == found


@given(speed=st.floats(0.01, 1e4), faster=st.floats(1, 100))
def test_a_faster_run_is_never_judged_worse(speed: float, faster: float) -> None:
    order = ["warn", "pass"]
    slow, fast = (
        judge(inference_speed, inference=run(decode_tokens_per_s=s), intent=AUTOGLM)[1].status
        for s in (speed, speed * faster)
    )
    assert order.index(slow) <= order.index(fast)


def test_a_hub_model_is_downloaded_again_by_name_and_a_folder_is_looked_at() -> None:
    broken = failed("load", "SafetensorError", "header too large", model="/data/my model")
    commands = one(model_loads, broken).fixes[0].commands
    assert commands == ("hf download zai-org/AutoGLM-Phone-9B --force-download",)
    folder = dataclasses.replace(AUTOGLM, model="/data/my model")
    assert one(model_loads, broken, folder).fixes[0].commands == ("ls -l '/data/my model'",)


@pytest.mark.parametrize("row", TABLE, ids=lambda r: r.cause)
def test_every_row_can_be_reached_and_pasted(row: Any) -> None:
    assert re.compile(row.pattern)
    assert row.commands
    assert not row.meaning.endswith(".")
    assert row.way_out.endswith(".")


def test_unknown_words_are_not_recognised() -> None:
    assert recognise(Failure(stage="load", exception="KeyError", message="'x'")) is None
