"""GGUF files, whole and damaged, judged by their headers alone."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_doctor.domain.shape.read import read_shape
from autoglm_doctor.facts import ModelFiles, Reading
from autoglm_doctor.probes.gguf import files_of_gguf
from autoglm_doctor.probes.gguf_config import config_of
from autoglm_doctor.probes.model import probe
from tests.probes.gguf_cases import BF16, F32, SMALL, TENSORS, gguf, pair, size_of, text

SIZES = {name: size_of(*tensor) for name, tensor in TENSORS.items()}


def read(tmp_path: Path, data: bytes, name: str = "m.gguf") -> ModelFiles:
    (tmp_path / name).write_bytes(data)
    return files_of_gguf(tmp_path / name)


def test_a_whole_file(tmp_path: Path) -> None:
    files = read(tmp_path, gguf())
    [weight] = files.weights
    assert (weight.fault, weight.tensors, weight.tensor_bytes) == (None, 5, sum(SIZES.values()))
    assert (files.found_by, files.config_error, files.index_error, files.has_chat_template) == (
        "gguf",
        None,
        None,
        True,
    )
    assert files.dtype_bytes == {
        "Q4_K": SIZES["token_embd.weight"],
        "Q8_0": SIZES["output.weight"],
        "Q4_0": SIZES["blk.0.attn_q.weight"],
        "BF16": SIZES["blk.0.ffn_gate_exps.weight"],
        "F32": 1024,
    }
    assert files.groups == {
        "embedding": 1000 * 144,
        "head": 1000 * 8 * 34,
        "experts": 256 * 32 * 4 * 2,
        "linear": 256 * 8 * 18 + 1024,
    }


def test_its_config_gives_a_shape(tmp_path: Path) -> None:
    config = read(tmp_path, gguf()).config
    shape = read_shape(config or {})
    assert shape is not None
    assert (shape.layers, shape.hidden, shape.heads, shape.kv_heads, shape.head_dim) == (2, 256, 4, 2, 64)
    assert (shape.intermediate, shape.vocab, shape.max_positions) == (512, 1000, 4096)
    assert config is not None
    assert config["quantization_config"] == {"quant_method": "gguf", "file_type": 15}


def header_of(name: str, length: int) -> bytes:
    """A file whose first name is said to be so long."""
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", length) + name.encode()


@pytest.mark.parametrize(
    ("data", "fault", "says"),
    [
        pytest.param(b"", "empty", "0 bytes", id="empty"),
        pytest.param(bytes(4096), "empty", "zeros", id="zeros only"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\n", "lfs_pointer", "git-lfs", id="an LFS pointer"),
        pytest.param(b"<!DOCTYPE html><html>" + b" " * 99, "header", "web page", id="a web page"),
        pytest.param(b"PK\x03\x04" + bytes(99), "header", "does not begin", id="another format"),
        pytest.param(b"GGUF", "truncated", "only 4 bytes", id="the magic alone"),
        pytest.param(b"GG", "truncated", "only 2 bytes", id="half of the magic"),
        pytest.param(gguf(version=1), "version", "version 1", id="version 1"),
        pytest.param(gguf(version=99), "version", "version 99", id="version 99"),
        pytest.param(gguf(version=3 << 24), "version", "big-endian", id="big-endian"),
        pytest.param(gguf()[:60], "truncated", "its header is longer", id="cut in the metadata"),
        pytest.param(gguf(data=False), "truncated", "bytes instead of", id="no data"),
        pytest.param(gguf()[:-2000], "truncated", "bytes instead of", id="cut in the data"),
        pytest.param(gguf(counts=(2**63, 2)), "header", "speaks of", id="a count of tensors without end"),
        pytest.param(gguf(counts=(2, 2**63)), "header", "speaks of", id="a count of values without end"),
        pytest.param(gguf({}, {}, counts=(0, 90_000), more=pair("a", 1)), "truncated", "longer", id="too few values"),
        pytest.param(header_of("a", 2**60), "header", "a name of", id="a name without end"),
        pytest.param(
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IQ", 8, 2**62),
            "truncated",
            "longer",
            id="a value without end",
        ),
        pytest.param(
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 4, 2**62),
            "truncated",
            "longer",
            id="an array without end",
        ),
        pytest.param(
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQQ", 9, 8, 2**40, 2**62),
            "truncated",
            "longer",
            id="strings without end",
        ),
        pytest.param(
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 9, 1) + bytes(99),
            "header",
            "array of the type 9",
            id="an array of arrays",
        ),
        pytest.param(
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<I", 77) + bytes(99),
            "header",
            "unknown type 77",
            id="an unknown type of value",
        ),
        pytest.param(gguf(tensors={"x": ((32,), 9999)}), "header", "unknown type 9999", id="an unknown type of tensor"),
        pytest.param(gguf(tensors={"x": ((33,), 2)}), "header", "do not fill", id="a row that fills no block"),
        pytest.param(gguf(tensors={"x": ((1,) * 5, F32)}), "header", "5 dimensions", id="five dimensions"),
        pytest.param(
            gguf({**SMALL, "general.alignment": "x"}), "header", "alignment", id="an alignment that is a word"
        ),
        pytest.param(gguf({**SMALL, "general.alignment": 0}), "header", "alignment", id="an alignment of 0"),
    ],
)
def test_damaged_files(tmp_path: Path, data: bytes, fault: str, says: str) -> None:
    started = time.perf_counter()
    [weight] = read(tmp_path, data).weights
    assert weight.fault == fault
    assert says in weight.detail
    assert weight.size_bytes == len(data)
    assert time.perf_counter() - started < 5


@given(st.integers(0, len(gguf(data=False))), st.binary(max_size=12))
def test_no_damage_raises(tmp_path_factory: pytest.TempPathFactory, at: int, noise: bytes) -> None:
    whole = gguf(data=False)
    path = tmp_path_factory.mktemp("gguf") / "m.gguf"
    path.write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    assert len(files_of_gguf(path).weights) == 1


def test_padding_behind_the_data_is_no_fault(tmp_path: Path) -> None:
    assert read(tmp_path, gguf() + bytes(4096)).weights[0].fault is None


def test_a_header_longer_than_the_first_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoglm_doctor.probes.gguf_header.FIRST_READ_BYTES", 64)
    assert read(tmp_path, gguf()).weights[0].fault is None


def test_a_header_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoglm_doctor.probes.gguf_header.FIRST_READ_BYTES", 64)
    monkeypatch.setattr("autoglm_doctor.probes.gguf_header.MAX_HEADER_BYTES", 128)
    assert read(tmp_path, gguf()).weights[0].fault == "header_limit"


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        pytest.param(lambda path: path.mkdir(), "unreadable", id="a folder"),
        pytest.param(os.mkfifo, "unreadable", id="a FIFO"),
        pytest.param(lambda path: path.symlink_to("/nowhere/x"), "missing", id="a link to nowhere"),
        pytest.param(lambda path: path.symlink_to(path), "unreadable", id="a link to itself"),
        pytest.param(lambda path: path.symlink_to("/dev/zero"), "unreadable", id="a device"),
        pytest.param(lambda path: None, "missing", id="nothing"),
    ],
)
def test_what_is_no_file(tmp_path: Path, make, fault: str) -> None:
    make(tmp_path / "m.gguf")
    assert files_of_gguf(tmp_path / "m.gguf").weights[0].fault == fault


# --- split files ---

PARTS = [f"m-{i:05d}-of-00003.gguf" for i in (1, 2, 3)]


def split(tmp_path: Path) -> None:
    names = list(TENSORS)
    share = ({names[0]}, {names[1], names[2]}, {names[3], names[4]})
    for part, held in zip(PARTS, share, strict=True):
        metadata = SMALL if part == PARTS[0] else {"split.no": 1}
        (tmp_path / part).write_bytes(gguf(metadata, {name: TENSORS[name] for name in TENSORS if name in held}))


@pytest.mark.parametrize("named", PARTS)
def test_a_split_file_is_one_model(tmp_path: Path, named: str) -> None:
    split(tmp_path)
    files = files_of_gguf(tmp_path / named)
    whole = read(tmp_path, gguf())
    assert [w.name for w in files.weights] == PARTS
    assert sum(w.tensor_bytes for w in files.weights) == sum(SIZES.values())
    assert (files.path, files.config, files.groups) == (str(tmp_path), whole.config, whole.groups)


def test_a_part_that_is_missing(tmp_path: Path) -> None:
    split(tmp_path)
    (tmp_path / PARTS[1]).unlink()
    files = files_of_gguf(tmp_path / PARTS[0])
    assert [w.fault for w in files.weights] == [None, "missing", None]
    assert files.config is not None
    assert "tie_word_embeddings" not in files.config  # output.weight may have been in it


def test_the_first_part_is_missing(tmp_path: Path) -> None:
    split(tmp_path)
    (tmp_path / PARTS[0]).unlink()
    files = files_of_gguf(tmp_path / PARTS[2])
    assert (files.config, files.config_error) == (None, "no part tells the architecture")


# --- the config ---


@pytest.mark.parametrize(
    ("metadata", "shapes", "expected"),
    [
        pytest.param({"general.architecture": "llama"}, {}, {"model_type": "llama"}, id="llama"),
        pytest.param(
            {"general.architecture": "llama", "llama.expert_count": 8, "llama.expert_used_count": 2},
            {},
            {"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2},
            id="llama with experts is Mixtral",
        ),
        pytest.param(
            {
                "general.architecture": "deepseek2",
                "deepseek2.attention.kv_lora_rank": 512,
                "deepseek2.attention.key_length": 192,
                "deepseek2.attention.value_length": 128,
                "deepseek2.rope.dimension_count": 64,
                "deepseek2.leading_dense_block_count": 1,
            },
            {},
            {"model_type": "deepseek_v2", "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128},
            id="a latent of DeepSeek",
        ),
        pytest.param(
            {
                "general.architecture": "deepseek2",
                "deepseek2.attention.kv_lora_rank": 512,
                "deepseek2.attention.key_length": 576,
                "deepseek2.attention.key_length_mla": 192,
                "deepseek2.attention.value_length_mla": 128,
                "deepseek2.rope.dimension_count": 64,
            },
            {},
            {"qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128},
            id="a latent of DeepSeek, newer keys",
        ),
        pytest.param(
            {"general.architecture": "glm4", "glm4.attention.key_length": 128, "glm4.rope.dimension_count": 64},
            {},
            {"model_type": "glm4", "head_dim": 128, "partial_rotary_factor": 0.5},
            id="half of a head turns",
        ),
        pytest.param(
            {"general.architecture": "x", "x.embedding_length": 4096, "x.attention.head_count": 32},
            {},
            {"model_type": "x", "head_dim": 128},
            id="the size of a head follows",
        ),
        pytest.param(
            {"general.architecture": "x", "x.attention.head_count_kv": (8, 4, 8), "x.feed_forward_length": (1, 2)},
            {},
            {"num_key_value_heads": 8, "intermediate_size": 2},
            id="lists by layers",
        ),
        pytest.param(
            {"general.architecture": "x", "x.block_count": "many", "x.context_length": -4},
            {"token_embd.weight": (64, 500), "blk.0.attn_q.bias": (64,)},
            {"vocab_size": 500, "attention_bias": True, "tie_word_embeddings": True},
            id="nonsense is left out",
        ),
    ],
)
def test_configs(metadata: dict, shapes: dict, expected: dict) -> None:
    config, error = config_of(metadata, shapes, complete=True)
    assert error is None
    assert config is not None
    assert {name: config.get(name) for name in expected} == expected
    assert "num_hidden_layers" not in config


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        pytest.param({}, "no word", id="no architecture"),
        pytest.param({"general.architecture": 5}, "no word", id="a number"),
        pytest.param({"general.architecture": "clip"}, "a part of a model", id="a vision projector"),
    ],
)
def test_no_config(metadata: dict, says: str) -> None:
    config, error = config_of(metadata, {}, complete=True)
    assert config is None
    assert says in (error or "")


# --- the probe ---


def look(model: str) -> Reading[ModelFiles]:
    ((_, reading),) = list(probe({"model": model, "environment": {"HOME": "/nowhere"}}))
    return reading


def test_the_probe_reads_a_gguf_file(tmp_path: Path) -> None:
    (tmp_path / "m.GGUF").write_bytes(gguf())
    reading = look(str(tmp_path / "m.GGUF"))
    assert (reading.outcome, reading.source) == ("known", "gguf")
    assert reading.value is not None
    assert reading.value.weights[0].fault is None


def test_a_gguf_file_that_is_not_there(tmp_path: Path) -> None:
    assert look(str(tmp_path / "none.gguf")).outcome == "absent"


def test_long_lists_are_counted_only(tmp_path: Path) -> None:
    words = struct.pack("<IIQ", 9, 8, 70_000) + text("ab") * 70_000
    scores = text("s") + struct.pack("<IIQ", 9, 6, 70_000) + bytes(4 * 70_000)
    more = text("t") + words + scores
    files = read(tmp_path, gguf(SMALL, {"a": ((32,), BF16)}, counts=(1, len(SMALL) + 2), more=more))
    assert files.weights[0].fault is None
