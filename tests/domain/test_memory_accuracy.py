"""The benchmark reads rows forgivingly: what they do not say is None, never an exception."""

import copy
import json

import pytest

from benchmarks.memory_accuracy import NOTHING, compare, main, predict, summary

ROW = {
    "id": "llama",
    "engine": "vllm 0.19.0",
    "gpu": "H100-80GB",
    "gpu_total_gib": 79.19,
    "config": {
        "model": "Llama-3.1-8B",
        "parameters": 8030261248,
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "tie_word_embeddings": False,
        "max_position_embeddings": 131072,
    },
    "flags": {
        "gpu_memory_utilization": 0.95,
        "tensor_parallel_size": 1,
        "pipeline_parallel_size": 1,
        "dtype": "bf16",
        "quantization": None,
        "kv_cache_dtype": "auto",
        "max_num_batched_tokens": 8192,
        "max_num_seqs": 1024,
        "max_model_len": 8192,
        "enforce_eager": False,
    },
    "measured": {"weights_gib": 14.99, "peak_activation_gib": 1.89, "kv_cache_gib": 58.11, "kv_cache_tokens": 476016},
    "note": "",
}


def row(**changes):
    made = copy.deepcopy(ROW)
    for path, value in changes.items():
        part, _, name = path.partition("__")
        if name:
            made[part][name] = value
        else:
            made[part] = value
    return made


def test_a_log_is_met():
    figures = summary(compare([ROW]))
    assert all(abs(figures[name]["worst"]) < 0.02 for name in figures)


def test_without_anything_measured_the_prediction_is_whole():
    bare = row()
    del bare["measured"], bare["note"]
    said = predict(bare)
    assert None not in said.values()
    assert said["fits"] == "yes"
    assert said["kv_cache_tokens"] == pytest.approx(476016, rel=0.005)
    low, high = said["cuda_graph_gib"]  # those that are built, although this version's budget does not know of them
    assert 0 < low < 0.91 < high


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(row(config=None), id="no config"),
        pytest.param(row(flags=None), id="no flags"),
        pytest.param(row(engine=None), id="no engine"),
        pytest.param(row(gpu=None, gpu_total_gib=None), id="no card"),
        pytest.param(row(measured={}), id="nothing measured"),
        pytest.param(row(flags__dtype="float8_odd"), id="another dtype"),
        pytest.param(row(flags__quantization="brand_new"), id="another quantization"),
        pytest.param(row(flags__max_num_seqs="many"), id="no number"),
        pytest.param(row(config__hidden_size=0), id="nothing wide"),
        pytest.param(row(config__parameters=None), id="parameters not said"),
        pytest.param(row(engine="sglang 0.5.23"), id="sglang"),
        pytest.param(row(engine="transformers 5.0"), id="transformers"),
        pytest.param(row(flags__enforce_eager=True, engine="vllm 0.33.0"), id="eager"),
        pytest.param(row(flags__tensor_parallel_size=8, flags__pipeline_parallel_size=2), id="sixteen GPUs"),
        pytest.param({"id": "x"}, id="only a name"),
    ],
)
def test_rows_of_other_forms(changed):
    said = predict(changed)
    assert set(said) == {"id", *NOTHING}
    assert said["fits"] in ("yes", "no", "unknown")
    compare([changed])


@pytest.mark.parametrize("text", ["vllm 0.33.0", "vllm V1", "vllm 0.11-0.16 (not stated)", "vllm 0.8.2", "vllm V0"])
def test_engines_as_rows_name_them(text):
    assert predict(row(engine=text))["peak_activation_gib"] > 0


def test_exit_code_and_json(tmp_path, capsys):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps([ROW]))
    bad.write_text(json.dumps([row(measured={"weights_gib": 20.0})]))
    assert main([str(good), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["id"] == "llama"
    assert main([str(bad)]) == 1
    assert main([]) == 2
