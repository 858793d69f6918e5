"""Model folders with every fault that downloads leave, judged by headers alone."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_doctor.facts import ModelFiles, Reading
from autoglm_doctor.probes.model import INDEX, probe, read_folder
from autoglm_doctor.probes.safetensors_header import MAX_HEADER_BYTES, read_header

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 4976698672\n"
VISION = {"model_type": "glm4v", "vision_config": {"depth": 2}}
SMALL = {
    "config.json": VISION,
    "tokenizer.json": {},
    "tokenizer_config.json": {"chat_template": "{{ messages }}"},
    "preprocessor_config.json": {"patch_size": 14},
}


def weights(tensors: Mapping[str, tuple[str, int]], extra: int = 0) -> bytes:
    """A safetensors file of zeros; `extra` bytes more or fewer than its header says."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": [size], "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end + extra)


GOOD = weights({"a": ("BF16", 100), "b": ("F32", 40)})


def folder(tmp_path: Path, files: Mapping[str, Any]) -> Path:
    tmp_path.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return tmp_path


def index(*names: str) -> dict[str, Any]:
    return {"metadata": {}, "weight_map": {f"tensor{i}": name for i, name in enumerate(names)}}


def look(model: str, **environ: str) -> Reading[ModelFiles]:
    ((name, reading),) = list(probe({"model": model, "environment": environ}))
    assert name == "model_files"
    return reading


# --- one file ---


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (GOOD, None),
        (weights({"a": ("BF16", 100)}, extra=-1), "truncated"),
        (weights({"a": ("BF16", 100)}, extra=1), "oversized"),
        (GOOD[:20], "truncated"),
        (GOOD[:5], "truncated"),
        (b"", "empty"),
        (bytes(4096), "empty"),
        (POINTER, "lfs_pointer"),
        (b"<!DOCTYPE html><html><body>504 Gateway Time-out</body></html>", "header"),
        (b"Repository not found, please log in and try again", "header"),
        (struct.pack("<Q", 20) + b"{this is not JSON...", "header"),
        (struct.pack("<Q", 17) + b'{"a": {"shape":1}', "header"),
        (struct.pack("<Q", 21) + b'{"a": {"dtype": "F3"}', "header"),
        (struct.pack("<Q", 22) + b'{"a": {"dtype": "F3"}}', "header"),
    ],
    ids=[
        "whole",
        "one byte short",
        "one byte long",
        "cut in the header",
        "cut in the length",
        "empty",
        "zeros",
        "LFS pointer",
        "web page",
        "error text",
        "no JSON",
        "cut JSON",
        "unbalanced JSON",
        "no offsets",
    ],
)
def test_faults_of_one_file(tmp_path: Path, content: bytes, fault: str | None) -> None:
    (tmp_path / "f").write_bytes(content)
    found = read_header(tmp_path / "f", "f").file
    assert found.fault == fault
    assert found.size_bytes == len(content)
    assert bool(found.detail) == (fault is not None)


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param('{"dtype": "BF16", "shape": [1], "data_offsets": [0, 2, 4]}', id="three offsets"),
        pytest.param('{"dtype": "BF16", "shape": [1], "data_offsets": [2]}', id="one offset"),
        pytest.param('{"dtype": "BF16", "shape": [1], "data_offsets": [4, 2]}', id="the wrong way round"),
        pytest.param('{"dtype": "BF16", "shape": [1], "data_offsets": [-2, 0]}', id="below 0"),
        pytest.param('{"dtype": "BF16", "shape": [1], "data_offsets": [0, 9223372036854775808]}', id="2^63"),
        pytest.param('{"dtype": "BF16", "shape": [1], "data_offsets": [false, true]}', id="booleans"),
        pytest.param('{"dtype": "BF16", "shape": [1], "data_offsets": [0.0, 2.0]}', id="fractions"),
        pytest.param('{"dtype": "BF16", "shape": [1], "data_offsets": "02"}', id="a word"),
        pytest.param('{"dtype": "BF16", "shape": [1], "data_offsets": {"0": 1, "2": 3}}', id="an object"),
        pytest.param('{"dtype": "BF16", "shape": [1], "data_offsets": 2}', id="a number"),
        pytest.param('{"dtype": 16, "shape": [1], "data_offsets": [0, 2]}', id="a dtype that is a number"),
        pytest.param('{"dtype": ["BF16"], "shape": [1], "data_offsets": [0, 2]}', id="a dtype that is a list"),
        pytest.param('{"shape": [1], "data_offsets": [0, 2]}', id="no dtype"),
        pytest.param("[]", id="a list"),
        pytest.param('"x"', id="a word instead of an entry"),
        pytest.param("null", id="null"),
    ],
)
def test_one_bad_entry_among_good_ones(tmp_path: Path, entry: str) -> None:
    good = '{"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}'
    text = f'{{"a": {good}, "b": {entry}, "c": {good}}}'.encode()
    (tmp_path / "f").write_bytes(struct.pack("<Q", len(text)) + text + bytes(2))
    found = read_header(tmp_path / "f", "f").file
    assert (found.fault, found.detail) == ("header", "an entry of its header has no offsets or no dtype")


def test_a_file_without_tensors_is_whole(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(weights({}))
    header = read_header(tmp_path / "f", "f")
    assert (header.file.fault, header.file.tensors, header.dtype_bytes, header.groups) == (None, 0, {}, {})


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("model.embed_tokens.weight", "embedding"),
        ("model.language_model.embed_tokens.weight", "embedding"),
        ("transformer.wte.weight", "embedding"),
        ("lm_head.weight", "head"),
        ("language_model.lm_head.weight", "head"),
        ("visual.blocks.0.attn.qkv.weight", "vision"),
        ("model.visual.merger.proj.weight", "vision"),
        ("vision_tower.encoder.layers.0.mlp.fc1.weight", "vision"),
        ("model.vision_embed_tokens.weight", "vision"),
        ("multi_modal_projector.linear_1.weight", "vision"),
        ("model.layers.3.mlp.experts.17.down_proj.weight", "experts"),
        ("model.layers.3.mlp.experts.gate_up_proj_blocks", "experts"),
        ("model.layers.3.block_sparse_moe.experts.0.w1.weight", "experts"),
        ("model.layers.3.mlp.shared_experts.down_proj.weight", "linear"),
        ("model.layers.3.mlp.shared_expert_gate.weight", "linear"),
        ("model.layers.3.mlp.gate.weight", "linear"),
        ("model.language_model.layers.3.self_attn.q_proj.weight", "linear"),
        ("model.norm.weight", "linear"),
    ],
)
def test_what_a_tensor_is(tmp_path: Path, name: str, group: str) -> None:
    files = read_folder(folder(tmp_path, {"model.safetensors": weights({name: ("U8", 6)})}), "path")
    assert files.groups == {group: 6}


def test_groups_of_all_files_together(tmp_path: Path) -> None:
    one = weights({"lm_head.weight": ("BF16", 10), "model.layers.0.mlp.experts.1.up_proj.weight": ("U8", 20)})
    two = weights({"visual.a": ("BF16", 30), "model.layers.0.mlp.experts.2.up_proj.weight": ("U8", 40)})
    files = read_folder(folder(tmp_path, {INDEX: index("a", "b"), "a": one, "b": two}), "path")
    assert files.groups == {"head": 10, "experts": 60, "vision": 30}
    assert sum(files.groups.values()) == sum(files.dtype_bytes.values()) == sum(w.tensor_bytes for w in files.weights)


def test_a_header_over_the_librarys_limit_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "f"
    length = MAX_HEADER_BYTES + 1
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", length) + b"{")
        stream.truncate(length + 1000)  # sparse
    started = time.perf_counter()
    assert read_header(path, "f").file.fault == "header_limit"
    assert time.perf_counter() - started < 0.5


def test_a_dangling_link_is_missing(tmp_path: Path) -> None:
    (tmp_path / "f").symlink_to(tmp_path / "blob")
    found = read_header(tmp_path / "f", "f").file
    assert (found.fault, found.detail) == ("missing", "the link points to a file that is not there")


def test_a_folder_in_place_of_a_file_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    assert read_header(tmp_path / "f", "f").file.fault == "unreadable"


@given(st.integers(0, len(GOOD) - 1))
def test_no_prefix_of_a_whole_file_is_whole(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "f"
    path.write_bytes(GOOD[:size])
    assert read_header(path, "f").file.fault is not None


@given(st.binary(max_size=200))
def test_garbage_never_raises(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("garbage") / "f"
    path.write_bytes(content)
    read_header(path, "f")


def test_the_real_library_agrees(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("safetensors.torch")
    path = tmp_path / "f"
    tensors = {"a": torch.zeros(3, 5, dtype=torch.bfloat16), "b": torch.ones(7), "c": torch.zeros(2, dtype=torch.int8)}
    library.save_file(tensors, path)
    found = read_header(path, "f")
    assert found.file.fault is None
    assert found.dtype_bytes == {"BF16": 30, "F32": 28, "I8": 2}
    assert (found.file.tensors, found.file.tensor_bytes) == (3, 60)


# --- a folder ---


def test_a_whole_vision_model(tmp_path: Path) -> None:
    names = ("m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors")
    files = read_folder(folder(tmp_path, {**SMALL, INDEX: index(*names), names[0]: GOOD, names[1]: GOOD}), "path")
    assert [file.fault for file in files.weights] == [None, None]
    assert files.dtype_bytes == {"BF16": 200, "F32": 80}
    assert (files.index_error, files.config_error) == (None, None)
    assert (files.missing_files, files.broken_files) == ((), ())
    assert files.config == VISION
    assert files.preprocessor == {"patch_size": 14}
    assert (files.has_chat_template, files.custom_code) == (True, False)


def test_shards_that_the_index_names_and_that_are_not_there(tmp_path: Path) -> None:
    files = read_folder(folder(tmp_path, {**SMALL, INDEX: index("a.safetensors", "b"), "a.safetensors": GOOD}), "path")
    assert [(file.name, file.fault) for file in files.weights] == [("a.safetensors", None), ("b", "missing")]


@pytest.mark.parametrize(
    ("files", "error", "faults"),
    [
        ({"model.safetensors": GOOD}, None, [None]),
        ({"other.safetensors": GOOD}, None, [None]),
        ({"a.safetensors": GOOD, "b.safetensors": GOOD}, f"{INDEX} is missing", [None, None]),
        (
            {"m-00001-of-00003.safetensors": GOOD, "m-00003-of-00003.safetensors": GOOD},
            f"{INDEX} is missing",
            [None, "missing", None],
        ),
        ({INDEX: POINTER}, f"{INDEX} is a git-lfs pointer", []),
        ({INDEX: b"{", "a.safetensors": GOOD}, f"{INDEX} is no valid JSON", [None]),
        ({INDEX: {"weight_map": {}}}, f"{INDEX} has no weight_map", []),
        ({INDEX: index("../../etc/passwd")}, f"{INDEX} names files outside of the folder", []),
        ({"q4.gguf": b"GGUF"}, "the weights are .gguf files (q4.gguf), which are not looked into", []),
        ({"pytorch_model.bin": b"x"}, "the weights are .bin files (pytorch_model.bin), which are not looked into", []),
        ({"training_args.bin": b"x"}, "the folder holds no weights", []),
    ],
    ids=[
        "single file",
        "single file of another name",
        "no index",
        "no index and a gap",
        "index is a pointer",
        "index is cut",
        "index is empty",
        "index climbs out",
        "GGUF",
        "pickle",
        "nothing",
    ],
)
def test_lists_of_weights(tmp_path: Path, files: dict[str, Any], error: str | None, faults: list[str | None]) -> None:
    found = read_folder(folder(tmp_path, files), "path")
    assert found.index_error == error
    assert [file.fault for file in found.weights] == faults


@pytest.mark.parametrize(
    ("without", "extra", "missing"),
    [
        ((), {}, ()),
        (("tokenizer.json",), {}, ("tokenizer.json",)),
        (("tokenizer.json",), {"tokenizer.model": b"x"}, ()),
        (("tokenizer_config.json",), {}, ("tokenizer_config.json",)),
        (("preprocessor_config.json",), {}, ("preprocessor_config.json",)),
        (("preprocessor_config.json",), {"processor_config.json": {"image_processor": {"patch_size": 14}}}, ()),
        (("preprocessor_config.json",), {"config.json": {"model_type": "llama"}}, ()),
    ],
    ids=["all", "tokenizer", "sentencepiece", "tokenizer config", "processor", "processor of transformers 5", "text"],
)
def test_files_beside_the_weights(
    tmp_path: Path, without: tuple[str, ...], extra: dict[str, Any], missing: tuple[str, ...]
) -> None:
    files = {name: content for name, content in SMALL.items() if name not in without} | extra
    assert read_folder(folder(tmp_path, files), "path").missing_files == missing


def test_small_files_that_are_broken_are_named(tmp_path: Path) -> None:
    broken = {"tokenizer.json": POINTER, "generation_config.json": b"{", "added_tokens.json": b""}
    found = read_folder(folder(tmp_path, {**SMALL, **broken}), "path")
    assert found.broken_files == (
        "added_tokens.json: empty",
        "generation_config.json: no valid JSON",
        "tokenizer.json: a git-lfs pointer",
    )


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, "config.json is missing"),
        (b"{", "config.json is no valid JSON"),
        (b"[]", "config.json is no JSON object"),
        (POINTER, "config.json is a git-lfs pointer"),
    ],
    ids=["missing", "cut", "array", "pointer"],
)
def test_a_config_that_cannot_be_used(tmp_path: Path, content: bytes | None, error: str) -> None:
    found = read_folder(folder(tmp_path, {} if content is None else {"config.json": content}), "path")
    assert (found.config, found.config_error) == (None, error)


@pytest.mark.parametrize(
    ("files", "has"),
    [
        ({}, False),
        ({"tokenizer_config.json": {"chat_template": None}}, False),
        ({"tokenizer_config.json": {"chat_template": "x"}}, True),
        ({"chat_template.jinja": b"x"}, True),
        ({"chat_template.json": {"chat_template": "x"}}, True),
    ],
)
def test_chat_templates(tmp_path: Path, files: dict[str, Any], has: bool) -> None:
    assert read_folder(folder(tmp_path, files), "path").has_chat_template is has


POOL = {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
WHOLE = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}


@pytest.mark.parametrize(
    ("files", "pools"),
    [
        pytest.param({}, False, id="no such file"),
        pytest.param({"modules.json": [WHOLE, POOL]}, True, id="a pooling layer"),
        pytest.param({"modules.json": [WHOLE]}, False, id="none"),
        pytest.param({"modules.json": {"type": "x.Pooling"}}, False, id="no list"),
        pytest.param({"modules.json": ["x.Pooling", {"idx": 1}]}, False, id="a list of other things"),
        pytest.param({"modules.json": b"["}, False, id="cut off"),
        pytest.param({"modules.json": b"version https://git-lfs.github.com/spec/v1"}, False, id="a pointer"),
    ],
)
def test_a_model_that_pools(tmp_path: Path, files: dict[str, Any], pools: bool) -> None:
    assert read_folder(folder(tmp_path, files), "path").pooling is pools


def test_code_of_the_repository_shows(tmp_path: Path) -> None:
    assert read_folder(folder(tmp_path, {"config.json": {"auto_map": {"AutoModel": "m.M"}}}), "path").custom_code


def test_a_thousand_shards_take_no_time(tmp_path: Path) -> None:
    names = [f"m-{i:05d}-of-01000.safetensors" for i in range(1, 1001)]
    path = folder(tmp_path, {**SMALL, INDEX: index(*names), **dict.fromkeys(names, GOOD)})
    started = time.perf_counter()
    assert len(read_folder(path, "path").weights) == 1000
    assert time.perf_counter() - started < 2


# --- finding it ---


def snapshot(cache: Path, revision: str, main: str | None) -> Path:
    repository = cache / "models--org--name"
    if main:
        (repository / "refs").mkdir(parents=True, exist_ok=True)
        (repository / "refs/main").write_text(main)
    return folder(repository / "snapshots" / revision, {**SMALL, "model.safetensors": GOOD})


def test_the_smoke_model_needs_no_files() -> None:
    assert look("smoke").outcome == "absent"


@pytest.mark.parametrize(
    ("model", "words"),
    [("org/name", "org/name is not on this machine"), ("/no/such/folder", "there is no folder /no/such/folder")],
    ids=["hub name", "folder"],
)
def test_what_is_not_here_is_absent(tmp_path: Path, model: str, words: str) -> None:
    found = look(model, HOME=str(tmp_path))
    assert (found.outcome, found.why) == ("absent", words)


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    folder(tmp_path / "m", {**SMALL, "model.safetensors": GOOD})
    for model in (str(tmp_path / "m"), "~/m"):
        found = look(model, HOME=str(tmp_path)).value
        assert found is not None
        assert (found.path, found.found_by) == (str(tmp_path / "m"), "path")


@pytest.mark.parametrize(
    ("place", "variables"),
    [
        (".cache/huggingface/hub", {}),
        ("elsewhere/hub", {"HF_HOME": "{}/elsewhere"}),
        ("deep", {"HF_HUB_CACHE": "{}/deep", "HF_HOME": "{}/elsewhere"}),
        ("xdg/huggingface/hub", {"XDG_CACHE_HOME": "{}/xdg"}),
    ],
    ids=["default", "HF_HOME", "HF_HUB_CACHE", "XDG"],
)
def test_the_hubs_cache(tmp_path: Path, place: str, variables: dict[str, str]) -> None:
    wanted = snapshot(tmp_path / place, "bbb", main="bbb")
    snapshot(tmp_path / place, "aaa", main=None)
    environ = {name: value.format(tmp_path) for name, value in variables.items()}
    found = look("org/name", HOME=str(tmp_path), **environ).value
    assert found is not None
    assert (found.path, found.found_by) == (str(wanted), "hugging face cache")


def test_a_cache_without_a_reference_gives_the_newest_snapshot(tmp_path: Path) -> None:
    old = snapshot(tmp_path / ".cache/huggingface/hub", "new-name", main=None)
    new = snapshot(tmp_path / ".cache/huggingface/hub", "a-name", main="gone")
    os.utime(old, (1, 1))
    found = look("org/name", HOME=str(tmp_path)).value
    assert found is not None
    assert found.path == str(new)


@pytest.mark.parametrize(
    ("place", "variables"),
    [
        (".cache/modelscope/hub/models/org/name-2___5", {}),
        (".cache/modelscope/hub/org/name-2___5", {}),
        ("ms/models/org/name-2.5", {"MODELSCOPE_CACHE": "{}/ms"}),
    ],
    ids=["default", "before 1.15", "MODELSCOPE_CACHE"],
)
def test_the_cache_of_modelscope(tmp_path: Path, place: str, variables: dict[str, str]) -> None:
    folder(tmp_path / place, {**SMALL, "model.safetensors": GOOD})
    environ = {name: value.format(tmp_path) for name, value in variables.items()}
    found = look("org/name-2.5", HOME=str(tmp_path), **environ).value
    assert found is not None
    assert (found.path, found.found_by) == (str(tmp_path / place), "modelscope cache")


def test_vllms_download_dir_comes_first(tmp_path: Path) -> None:
    snapshot(tmp_path / ".cache/huggingface/hub", "aaa", main="aaa")
    wanted = snapshot(tmp_path / "dl", "bbb", main="bbb")
    arguments = {"model": "org/name", "environment": {"HOME": str(tmp_path)}, "download_dir": str(tmp_path / "dl")}
    ((_, reading),) = list(probe(arguments))
    assert reading.value.path == str(wanted)


@pytest.mark.parametrize(
    ("model", "source"),
    [("{0}/file", "file"), ("{0}/none", "path"), ("./none", "path"), ("org/none", ""), ("none", "")],
    ids=["a file", "an absolute path", "a relative path", "a hub name", "an old hub name"],
)
def test_what_was_looked_for_is_said(tmp_path: Path, model: str, source: str) -> None:
    (tmp_path / "file").write_text("x")
    found = look(model.format(tmp_path), HOME=str(tmp_path))
    assert (found.outcome, found.source) == ("absent", source)


def test_a_name_without_an_owner_is_found_in_the_cache(tmp_path: Path) -> None:
    """gpt2 and its like."""
    folder(tmp_path / "models--gpt2" / "snapshots" / "r", {**SMALL, "model.safetensors": GOOD})
    found = look("gpt2", HF_HUB_CACHE=str(tmp_path)).value
    assert found is not None
    assert found.found_by == "hugging face cache"
