"""GPU memory: the cache, what helps where it is too small, and what holds for all three checks."""

import dataclasses
import shlex

import pytest

from autoglm_doctor.checks.driver import driver_libraries_match
from autoglm_doctor.checks.kv_cache import kv_cache_fits
from autoglm_doctor.checks.model import model_complete
from autoglm_doctor.checks.vram import gpu_memory_free, weights_fit
from autoglm_doctor.domain.launch_line import changed
from autoglm_doctor.domain.memory.fits import Card, estimates
from autoglm_doctor.facts import (
    Cuda,
    CudaDevice,
    Driver,
    Environment,
    Facts,
    ModelFiles,
    Packages,
    Reading,
    known,
)
from autoglm_doctor.intent import SMOKE, Intent, Launch
from autoglm_doctor.launch import parse_command
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render
from tests.checks.vram_cases import CHECKS, GIB, NOTEBOOK, README, files_of, gpu, h100, one, vllm

# --- VRM003


@pytest.mark.parametrize("version", ["0.12.0", "0.16.0", "0.33.0", None])
@pytest.mark.parametrize(
    ("card", "status"),
    [
        pytest.param(gpu(24.0), "fail", id="24 GB"),
        pytest.param(gpu(32.0, reserved=0.6, name="NVIDIA GeForce RTX 5090", capability="12.0"), "pass", id="32 GB"),
        pytest.param(gpu(40.0, name="NVIDIA A100-PCIE-40GB", capability="8.0"), "pass", id="40 GB"),
        pytest.param(gpu(45.0, name="NVIDIA L40S"), "pass", id="48 GB"),
        pytest.param(h100(), "pass", id="80 GB"),
    ],
)
def test_autoglm_as_documented(card, status, version):
    finding = one(kv_cache_fits, gpus=(card,), packages=vllm(version) if version else Packages())
    assert finding.status == status
    assert finding.cause == ("KV_CACHE_TOO_SMALL" if status == "fail" else "")


@pytest.mark.parametrize("version", ["0.12.0", "0.16.0", "0.33.0", None])
def test_the_first_fix_on_a_24_gb_card_fits_when_pasted(version):
    packages = vllm(version) if version else Packages()
    finding = one(kv_cache_fits, gpus=(gpu(),), packages=packages)
    pasted = parse_command(shlex.split(finding.fixes[0].commands[0]))
    assert pasted.launch.max_model_len == 25_480
    for check in CHECKS:
        assert one(check, gpus=(gpu(),), packages=packages, intent=pasted).status == "pass"


def test_every_term_is_in_the_evidence():
    evidence = one(kv_cache_fits, gpus=(gpu(),)).evidence
    for term in ("weights_gib", "peak_activation_gib", "outside_of_torch_gib", "cuda_graphs_gib", "kv_needed_gib"):
        assert term in evidence
    assert evidence["kv_needed_gib"] == 0.97


def test_too_close_to_tell_is_unknown_and_names_a_line():
    total = int(23.55 * GIB)
    need = estimates(README, None, Card(name="x", total_bytes=total), "0.33.0")[-1].need
    intent = changed(README, {"gpu_memory_utilization": need.likely / total})
    finding = one(kv_cache_fits, gpus=(gpu(24.0),), intent=intent)
    assert finding.status == "unknown"
    pasted = parse_command(shlex.split(finding.evidence["line_that_fits"]))
    assert one(kv_cache_fits, gpus=(gpu(24.0),), intent=pasted).status == "pass"


def test_a_busy_gpu_is_one_red():
    statuses = [one(check, gpus=(h100(free=10.0, processes=NOTEBOOK),)).status for check in CHECKS]
    assert statuses == ["fail", "pass", "pass"]


def test_a_gpu_that_no_flag_helps_gets_hardware():
    finding = one(kv_cache_fits, gpus=(gpu(4.0, capability="7.0"),))
    assert finding.status == "fail"
    assert finding.fixes[0].effort == "hardware"
    assert finding.fixes[0].commands


def test_a_mig_slice_counts_with_its_own_memory():
    card = gpu(80.0, name="NVIDIA H100 80GB HBM3", mig=True)
    device = CudaDevice(
        index=0, name="NVIDIA H100 80GB HBM3 MIG 1g.10gb", compute_capability="9.0", total_bytes=9 * GIB
    )
    cuda = Cuda(library="libcuda.so.1", init_code=0, devices=(device,))
    assert one(weights_fit, gpus=(card,), cuda=cuda).status == "fail"
    assert one(weights_fit, gpus=(card,)).status == "unknown"
    assert one(gpu_memory_free, gpus=(card,), cuda=cuda).status == "unknown"


# --- all of them


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.code)
@pytest.mark.parametrize(
    "intent",
    [
        pytest.param(Intent(model=SMOKE), id="smoke model"),
        pytest.param(dataclasses.replace(README, device="cpu"), id="on the CPU"),
    ],
)
def test_not_asked(check, intent):
    assert one(check, gpus=(gpu(1.0),), intent=intent).status == "not_applicable"


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.code)
@pytest.mark.parametrize(
    ("outcome", "status"),
    [("absent", "skipped"), ("failed", "unknown"), ("timeout", "unknown"), ("not_run", "unknown")],
)
def test_without_a_reading_nothing_is_green(check, outcome, status):
    assert one(check, gpus=Reading(outcome=outcome, why="no driver")).status == status


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.code)
def test_gpus_that_are_not_there(check):
    assert one(check, gpus=()).status == "unknown"


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.code)
def test_the_page_has_a_title_and_a_fix(check):
    assert check.title.endswith(".")
    assert "## Fix" in check.page


@pytest.mark.parametrize(
    "card", [gpu(), gpu(free=3.0), gpu(8.0), h100(free=10.0)], ids=["24", "24 busy", "8", "80 busy"]
)
@pytest.mark.parametrize("engine", ["vllm", "sglang", "transformers"])
def test_every_red_has_a_command_and_every_sentence_renders(card, engine):
    intent = dataclasses.replace(README, engine=engine, command=() if engine != "vllm" else README.command)
    for check in CHECKS:
        for finding in judge(check, gpus=(card,), intent=intent, packages=Packages()):
            assert "{" not in render(finding.text)
            for fix in finding.fixes:
                assert fix.commands
                assert "{" not in render(fix.text)


def test_another_decoder_with_its_files():
    config = {
        "model_type": "qwen2",
        "hidden_size": 3584,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "intermediate_size": 18944,
        "vocab_size": 152064,
        "max_position_embeddings": 32768,
    }
    files = files_of(14.19, **config)
    intent = Intent(model="/models/x", launch=Launch(max_model_len=8192))
    assert one(kv_cache_fits, gpus=(gpu(),), intent=intent, model_files=files).status == "pass"
    assert one(kv_cache_fits, gpus=(gpu(16.0),), intent=intent, model_files=files).status == "fail"


@pytest.mark.parametrize("value", ["", "-1"], ids=["empty", "-1"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.code)
def test_hidden_gpus_mean_the_cpu_where_the_cpu_will_do(check, value):
    intent = dataclasses.replace(README, device="auto")
    environment = Environment(variables={"CUDA_VISIBLE_DEVICES": value})
    assert one(check, gpus=(gpu(),), intent=intent, environment=environment).status == "not_applicable"
    assert one(check, gpus=(gpu(),), environment=environment).status == "unknown"


def test_no_room_at_all_is_said_in_words():
    finding = one(kv_cache_fits, gpus=(gpu(22.5),), packages=vllm("0.12.0"))
    assert finding.status == "fail"
    assert "weights and peak leave nothing of the" in render(finding.text)
    assert "0.00" not in render(finding.text)


def test_a_broken_library_explains_what_is_not_known_and_so_does_a_broken_config():
    broken = ModelFiles(path="/m", config_error="config.json is no JSON")
    facts = Facts(driver=known(Driver(version="570.26", nvml_code=0)), gpus=known((gpu(),)), model_files=known(broken))
    intent = dataclasses.replace(README, model="/m", profile="")
    found = run_checks([weights_fit, kv_cache_fits, model_complete], facts, intent, load_matrix())
    assert [(f.status, f.because) for f in found[:2]] == [("skipped", "MDL001")] * 2
    mismatch = Driver(version="570.26", kernel_version="570.26", library_version="575.1", nvml_code=18)
    facts = Facts(driver=known(mismatch), gpus=Reading(outcome="failed", why="NVML does not start"))
    found = run_checks([*CHECKS, driver_libraries_match], facts, README, load_matrix())
    assert [(f.status, f.because) for f in found[:3]] == [("skipped", "DRV002")] * 3
