"""MDL: files all there and whole, with tokenizer, processor and template."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.checks.model import FAULTS, model_complete, tokenizer_and_processor
from autoglm_doctor.facts import ModelFiles, Reading, WeightFile
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import UNNAMED, Intent
from autoglm_doctor.launch import default_intent
from autoglm_doctor.testing import judge

ABSENT: Reading[Any] = Reading(outcome="absent", why="zai-org/AutoGLM-Phone-9B is not on this machine")
FAILED: Reading[Any] = Reading(outcome="failed", why="Permission denied")
HANGS: Reading[Any] = Reading(outcome="timeout", why="no answer within 30 s")
AUTOGLM = default_intent()
DEMANDED = dataclasses.replace(AUTOGLM, require_model=True)
TRANSFORMERS = dataclasses.replace(AUTOGLM, engine="transformers")
NO_INDEX = "model.safetensors.index.json is missing"


def file(fault: str | None = None, n: int = 1) -> WeightFile:
    return WeightFile(name=f"model-{n:05d}.safetensors", size_bytes=100, fault=fault, detail="detail" if fault else "")


def model(*weights: WeightFile, **rest: Any) -> ModelFiles:
    values: dict[str, Any] = {"path": "/data/my model", "found_by": "path"}
    values |= {"config": {"model_type": "glm4v"}, "has_chat_template": True}
    return ModelFiles(weights=weights, **{**values, **rest})


def pasteable(found: list[Finding]) -> list[Finding]:
    for finding in found:
        if finding.status in ("warn", "fail"):
            assert all(fix.commands for fix in finding.fixes)
    return found


HUB = {"found_by": "hugging face cache"}
COMPLETE = {
    "whole": (model(file(), file(n=2)), AUTOGLM, ["pass"]),
    "not here": (ABSENT, AUTOGLM, ["not_applicable"]),
    "not here and demanded": (ABSENT, DEMANDED, ["unknown"]),
    "not read": (FAILED, AUTOGLM, ["unknown"]),
    "storage that hangs": (HANGS, AUTOGLM, ["fail"]),
    "no config": (model(file(), config=None, config_error="config.json is missing"), AUTOGLM, ["fail"]),
    "no weights": (model(index_error="the folder holds no weights"), AUTOGLM, ["fail"]),
    "pickle": (
        model(index_error=".bin files (x.bin), which are not looked into"),
        AUTOGLM,
        ["unknown"],
    ),
    "cache with a config only": (model(index_error="the folder holds no weights", **HUB), AUTOGLM, ["not_applicable"]),
    "cache with a config only, demanded": (model(index_error="the folder holds no weights", **HUB), DEMANDED, ["fail"]),
    "cache without a shard": (model(file(), file("missing", 2), **HUB), AUTOGLM, ["warn"]),
    "cache without a shard, demanded": (model(file(), file("missing", 2), **HUB), DEMANDED, ["fail"]),
    "cache with a cut shard": (model(file(), file("truncated", 2), **HUB), AUTOGLM, ["fail"]),
    "no index for vLLM": (model(file(), file(n=2), index_error=NO_INDEX), AUTOGLM, ["warn"]),
    "no index for transformers": (model(file(), file(n=2), index_error=NO_INDEX), TRANSFORMERS, ["fail"]),
    "no index and a gap": (model(file(), file("missing", 2), index_error=NO_INDEX), AUTOGLM, ["fail", "fail"]),
    "a damaged index": (model(file(), index_error="index is no valid JSON"), AUTOGLM, ["fail"]),
    "two kinds of fault": (model(file("empty"), file("lfs_pointer", 2)), AUTOGLM, ["fail", "fail"]),
}


@pytest.mark.parametrize(("files", "intent", "statuses"), COMPLETE.values(), ids=COMPLETE)
def test_complete(files: Any, intent: Intent, statuses: list[str]) -> None:
    found = pasteable(judge(model_complete, intent=intent, model_files=files))
    assert [finding.status for finding in found] == statuses


@pytest.mark.parametrize(("fault", "cause"), [(fault, cause) for fault, (cause, _) in FAULTS.items()], ids=FAULTS)
def test_every_fault_has_its_cause_and_names_the_files(fault: str, cause: str) -> None:
    files = model(*(file(fault, n) for n in range(1, 6)), file(n=9))
    (found,) = pasteable(judge(model_complete, model_files=files))
    assert (found.status, found.cause) == ("fail", cause)
    assert "model-00001.safetensors" in found.text.params["names"]
    assert "and 2 more" in found.text.params["names"]
    assert found.evidence["files"] == ", ".join(f"model-{n:05d}.safetensors" for n in range(1, 6))


@pytest.mark.parametrize("fault", ["lfs_pointer", "unreadable", "header_limit", "missing", "truncated"])
@pytest.mark.parametrize("place", ["path", "config", "modelscope cache"])
def test_a_folder_that_nobody_named_is_a_gap_to_fill(fault: str, place: str) -> None:
    nameless = Intent(model=UNNAMED, engine="vllm")
    (found,) = judge(model_complete, model_files=model(file(fault), path=UNNAMED, found_by=place), intent=nameless)
    lines = [line for fix in found.fixes for line in fix.commands]
    assert lines
    assert not any(UNNAMED in line for line in lines), lines
    assert any("MODEL_FOLDER" in line or "ORG/MODEL" in line for line in lines)


def test_the_way_out_names_the_files_and_the_folder() -> None:
    (found,) = judge(model_complete, model_files=model(file("truncated")))
    assert found.fixes[0].commands == (
        "hf download zai-org/AutoGLM-Phone-9B model-00001.safetensors --local-dir '/data/my model' --force-download",
    )
    (found,) = judge(model_complete, model_files=model(file("truncated"), **HUB))
    assert found.fixes[0].commands[0].endswith("model-00001.safetensors --force-download")
    (found,) = judge(model_complete, model_files=model(file("lfs_pointer")))
    assert found.fixes[0].commands[-1] == "git -C '/data/my model' lfs pull"
    (found,) = judge(model_complete, model_files=model(file("truncated"), found_by="modelscope cache"))
    assert found.fixes[0].commands[0].startswith("modelscope download --model zai-org/AutoGLM-Phone-9B model-00001")


BESIDE = {
    "all there": (model(file()), AUTOGLM, [("pass", "")]),
    "not here": (ABSENT, AUTOGLM, [("not_applicable", "")]),
    "not read": (FAILED, AUTOGLM, [("unknown", "")]),
    "tokenizer": (model(missing_files=("tokenizer.json",)), AUTOGLM, [("fail", "MODEL_TOKENIZER_MISSING")]),
    "processor": (model(missing_files=("preprocessor_config.json",)), AUTOGLM, [("fail", "MODEL_PROCESSOR_MISSING")]),
    "template": (model(file(), has_chat_template=False), AUTOGLM, [("warn", "CHAT_TEMPLATE_MISSING")]),
    "template by flag": (
        model(file(), has_chat_template=False),
        dataclasses.replace(AUTOGLM, launch=dataclasses.replace(AUTOGLM.launch, chat_template="x.jinja")),
        [("pass", "")],
    ),
    "pointer": (model(broken_files=("t.json: a git-lfs pointer",)), AUTOGLM, [("fail", "MODEL_FILES_LFS_POINTER")]),
    "broken JSON": (model(broken_files=("t.json: no valid JSON",)), AUTOGLM, [("fail", "MODEL_CONFIG_BROKEN")]),
}


@pytest.mark.parametrize(("files", "intent", "expected"), BESIDE.values(), ids=BESIDE)
def test_beside_the_weights(files: Any, intent: Intent, expected: list[tuple[str, str]]) -> None:
    found = pasteable(judge(tokenizer_and_processor, intent=intent, model_files=files))
    assert [(finding.status, finding.cause) for finding in found] == expected


def missing(model: str, source: str = "path") -> Reading[Any]:
    return Reading(outcome="absent", why=f"there is no folder {model}", source=source)


@pytest.mark.parametrize(
    ("model", "source", "status"),
    [
        pytest.param("/no/such/dir", "path", "fail", id="an absolute path"),
        pytest.param("./nope", "path", "fail", id="a relative one"),
        pytest.param("~/nope", "path", "fail", id="the home folder"),
        pytest.param("models/a/b", "path", "fail", id="more than one slash"),
        pytest.param("/no/such/dir", "", "fail", id="an old reading, which does not say"),
        pytest.param("notes.txt", "file", "fail", id="a plain file"),
        pytest.param("model.gguf", "file", "not_applicable", id="a file that engines take"),
        pytest.param("org/name", "", "not_applicable", id="a name of the hub"),
        pytest.param("gpt2", "", "not_applicable", id="an old name of the hub"),
        pytest.param("s3://bucket/model", "", "not_applicable", id="an object store"),
    ],
)
def test_a_path_without_a_model_cannot_be_downloaded(model: str, source: str, status: str) -> None:
    (found,) = pasteable(judge(model_complete, intent=Intent(model=model), model_files=missing(model, source)))
    assert found.status == status
    assert found.cause == ("MODEL_PATH_WRONG" if status == "fail" else "")


def test_the_way_out_of_a_wrong_path() -> None:
    (found,) = judge(model_complete, intent=Intent(model="~/my models/a b"), model_files=missing("~/my models/a b"))
    assert [fix.commands[0] for fix in found.fixes] == [
        "ls -la ~/'my models'",
        "hf download ORG/MODEL --local-dir ~/'my models/a b'",
    ]
    (found,) = judge(model_complete, intent=Intent(model="/m/x.bin"), model_files=missing("/m/x.bin", "file"))
    assert [fix.commands[0] for fix in found.fixes] == ["ls -la /m"]


def test_a_damaged_gguf_file_is_one_red() -> None:
    """It holds its own config: that this cannot be read is no second fault."""
    damaged = ModelFiles(
        path="/m", found_by="gguf", config_error="no part tells the architecture", weights=(file("lfs_pointer"),)
    )
    found = judge(model_complete, model_files=damaged, intent=default_intent())
    assert [(f.status, f.cause) for f in found] == [("fail", "MODEL_FILES_LFS_POINTER")]
