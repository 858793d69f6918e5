"""Each thread's cause comes first; what is missed is named here, with the reason, and leaves the list when it is mended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from autoglm_doctor.loose.judge import diagnose
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.report.diagnose_types import Diagnosis
from tests.restraint.judged import checks

SETS = tuple(f"{kind}_{number}" for number in range(1, 7) for kind in ("machines", "packages"))

#: By facts alone.
MISSED: Mapping[str, str] = {
    "002-vllm0271-transformers517-lightonocr": "a name that this release of transformers lost, and its metadata allows",
    "004-localai-v100-cuda13-image": "what is in another project's image is not known",
    "004-v100s-flash-attn26": "whether anything asks for FlashAttention is not stated",
    "005-deepseek-ocr-vllm085-transformers457": "whether the model's code is trusted is not stated",
    "007-chatglm3-tokenizer-transformers4452": "the model's repository is not named",
    "017-codellama-7b-4070-12gb": "another program, which may leave a part of the model to the processor",
    "020-llamafactory-win10-cpu-torch": "that there is a GPU is not stated",
    "004-xformers-cu121-torch-cpu": "neither GPUs nor an engine are stated, and torch works without xFormers",
    "005-internvl2-40b-one-80gb": "forty billion parameters in 16 bits fit in 80 GB: what they leave is not stated",
    "016-llamafactory094-transformers5rc0": "what a trainer asks for is in no table",
    "018-flash-attn263-torch260": "a wheel of somebody else, or one that was built here",
    "019-mono-internvl-transformers452": "LMDeploy, which is not judged as transformers",
    "913-vllm073-centos7": "that wheel asks for glibc 2.14 (read): something else on that machine asked for 2.25",
    "004-gb10-sgl-kernel-pypi-no-sm121": "kernels of another index bear the same version: only their file tells",
    "006-gb10-triton35-ptxas-sm121a": "a variable that many set there names another assembler, and not all are stated",
    "006-t4-sglang0212-flashinfer014": "SGLang 0.2 is before the table",
    "012-2080ti-nvfp4-weightonly-vllm014": "found, behind a transformers that the engine's metadata excludes",
    "015-rtx3090-ik-llama-cu131-image": "whether an image of that CUDA brings another libcuda is not stated",
    "020-ct-awq-turing-vllm0110": "compressed-tensors has many forms, and which one is not stated",
    "806-internlm2-generate-transformers452": "the model's repository is not named",
    "812-qwen3coder30b-fp8-48g-262144": "a variable makes the stages unequal, and what each holds is not worked out",
    "h6-015-expandable-segments-tp2-allreduce": "whether the two cards are linked is not stated",
    "011-p100-kaggle-cu128": "a vendor's image may hold a torch of its own",
    "013-v100-sglang0212-flashinfer": "SGLang 0.2 is before the table",
    "014-t4-sglang0210-flashinfer013": "SGLang 0.2 is before the table",
    "015-h100-driver550-vllm0112-ptx": "the model, whose pictures need the newer driver, is not stated",
    "040-spark-sgl-kernel-cu12": "kernels of another index bear the same version: only their file tells",
    "506-vllm073-tf4471": "found, as a transformers that the engine does not take",
    "528-sglkernel012-torch27": "neither the engine nor the GPU is stated, and kernels for newer GPUs bear that version",
    "550-qwen72b-4xa100-40g": "the first Qwen has no shape here",
    "604-rtx5090-torch222-cosmos": "a vendor's image may hold a torch of its own",
    "605-thor-vllm0190-cu130-image": "the project's image for CUDA 13 was not read",
    "606-thor-triton360-ptxas": "no engine is stated, and whether triton is used at all",
    "626-flashattn282-ubuntu20-torch28": "a wheel of somebody else",
    "718-flashattn257-torch230": "one thread is the only source",
}
#: With the error text.
MISSED_WITH_TEXT: Mapping[str, str] = {
    "004-localai-v100-cuda13-image": "what is in another project's image is not known",
    "020-llamafactory-win10-cpu-torch": "that there is a GPU is not stated",
    "016-llamafactory094-transformers5rc0": "found, as a conflict of two packages",
    "017-bnb-cuda-version-override": "the line is printed wherever the variable is set, and the number is right",
    "019-mono-internvl-transformers452": "LMDeploy, which is not judged as transformers",
    "025-vllm-windows-triton33-torch26": "found as vLLM on Windows, and as a torch that it does not pin",
    "028-qwen35-exported-by-transformers5": "the release of transformers is not stated",
    "922-libcublas-135-rtx50-laptop": "one thread is the only source",
    "822-flashattn-built-torch27-run-torch26": "the words describe the build, and no error",
    "h6-015-expandable-segments-tp2-allreduce": "whether the two cards are linked is not stated",
    "014-t4-sglang0210-flashinfer013": "the text names no error",
    "506-vllm073-tf4471": "found, as a transformers that the engine does not take",
    "545-acs-2x6000ada": "the text says that it hangs, no more",
    "554-glm4v9b-a30": "the card's memory is not stated",
    "637-rtx5090-rebar-off": "settings of the firmware are read nowhere",
}
#: Healthy, and yellow all the same.
YELLOW: Mapping[str, str] = {
    "067-neg-qwen3vl-fp8-a100": "8-bit weights run there by a slower kernel, which is worth a word",
    "643-neg-centos7-vllm085post1": "a flash-attn that was compiled here has the version of the wheels that do not load",
}


def cases(name: str) -> list[dict[str, Any]]:
    lines = (Path(__file__).parent / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def judged(case: dict[str, Any], *, text: bool) -> Diagnosis:
    data = {"facts": case["facts"]} | ({"symptom": case["symptom"]} if text else {})
    return diagnose("x.json", data, checks(), load_matrix())


def is_hit(case: dict[str, Any], found: Diagnosis) -> bool:
    wanted = {case["expect"]["cause"], *case["expect"].get("also_ok", ())}
    return bool(found.causes) and found.causes[0].cause in wanted


def positives(name: str) -> list[dict[str, Any]]:
    return [case for case in cases(name) if case["expect"]["status"] != "pass"]


@pytest.mark.parametrize("name", SETS)
def test_facts_alone(name: str) -> None:
    asked = [case for case in positives(name) if case["replay"] == "facts"]
    missed = {case["id"] for case in asked if not is_hit(case, judged(case, text=False))}
    assert missed == {case["id"] for case in asked} & set(MISSED)


@pytest.mark.parametrize("name", SETS)
def test_with_the_error_text(name: str) -> None:
    asked = positives(name)
    missed = {case["id"] for case in asked if not is_hit(case, judged(case, text=True))}
    assert missed == {case["id"] for case in asked} & set(MISSED_WITH_TEXT)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("text", [False, True], ids=["facts", "with the text"])
def test_healthy_ones_are_quiet(name: str, text: bool) -> None:
    for case in cases(name):
        if case["expect"]["status"] == "pass":
            found = judged(case, text=text)
            assert found.status == ("warn" if case["id"] in YELLOW else "pass"), case["id"]
