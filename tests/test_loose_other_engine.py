"""Servers that are none of ours, and words that mean transformers all the same."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.loose.engine import read_intent

OTHERS: dict[str, dict[str, Any]] = {
    "ollama 0.12.7": {"engine": "ollama 0.12.7"},
    "llama-cpp-python": {"engine": "llama-cpp-python"},
    "ik_llama.cpp": {"engine": "ik_llama.cpp"},
    "ktransformers": {"engine": "ktransformers"},
    "transformers.js": {"engine": "transformers.js"},
    "huggingface text-generation-inference 3.0": {"engine": "huggingface text-generation-inference 3.0"},
    "TensorRT-LLM (PyTorch backend)": {"engine": "TensorRT-LLM (PyTorch backend)"},
    "lmdeploy": {"packages": {"transformers": "4.46.0", "lmdeploy": "0.9.2"}},
    "mlx_vlm": {"packages": ["transformers==4.46.0", "mlx_vlm==0.24"]},
    "koboldcpp": {"engine": "koboldcpp"},
    "ctranslate2": {"packages": {"transformers": "4.46.0", "ctranslate2": "4.4.0"}},
    "ollama": {"model": "qwen3-vl", "command": "ollama run qwen3-vl"},
    "mlx_lm": {"command": "mlx_lm.server --model x"},
}
OURS: dict[str, dict[str, Any]] = {
    "nothing is stated": {},
    "transformers": {"engine": "transformers 4.57.1"},
    "by another name": {"engine": "Hugging Face pipeline"},
    "a program around it": {"engine": "LLaMA-Factory"},
    "a server that may use it": {"engine": "xinference"},
    "a script": {"engine": "python script"},
    "vLLM": {"engine": "vllm 0.12.0", "packages": {"lmdeploy": "0.9.2"}},
    "vLLM within something": {"engine": "Ray Serve with vLLM"},
    "vLLM by its command": {"command": "vllm serve m"},
    "llama.cpp, which is ours": {"engine": "llama.cpp"},
    "other packages": {"packages": {"transformers": "4.46.0", "onnxruntime": "1.20"}},
    "vLLM among the packages": {"packages": {"vllm": "0.12.0", "onnxruntime-genai": "0.5"}},
    "the product itself": {"engine": "Open-AutoGLM"},
    "a script by its name": {"engine": "openai_api_server.py"},
    "a tool beside torch": {"packages": {"torch": "2.4.0", "transformers": "4.46.0", "ctranslate2": "4.4.0"}},
    "a client beside torch": {"torch": "2.4.0", "packages": {"transformers": "4.46.0", "ollama": "0.4.0"}},
    "values of no form": {"engine": 3, "packages": [None, {}], "command": ["x"]},
}


@pytest.mark.parametrize(("name", "facts"), OTHERS.items(), ids=[f"{i} {n}" for i, n in enumerate(OTHERS)])
def test_another_server(name: str, facts: dict[str, Any]) -> None:
    assert (read_intent(facts).engine, read_intent(facts).other_engine) == ("transformers", name)


@pytest.mark.parametrize("facts", OURS.values(), ids=OURS.keys())
def test_ours(facts: dict[str, Any]) -> None:
    assert read_intent(facts).other_engine == ""
