"""GPU memory: what is free, and whether the weights fit."""

import dataclasses
import shlex

import pytest

from autoglm_doctor.checks.kv_cache import kv_cache_fits
from autoglm_doctor.checks.vram import gpu_memory_free, weights_fit
from autoglm_doctor.domain.memory.fits import Card, estimates
from autoglm_doctor.facts import (
    Cuda,
    CudaDevice,
    Environment,
    GpuProcess,
    Packages,
)
from autoglm_doctor.intent import Intent
from autoglm_doctor.launch import parse_command
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render
from tests.checks.vram_cases import GIB, NOTEBOOK, README, files_of, gpu, h100, one, vllm, with_launch

# --- VRM001


@pytest.mark.parametrize(
    ("card", "status"),
    [
        pytest.param(gpu(), "pass", id="idle 4090"),
        pytest.param(gpu(free=22.6), "pass", id="a desktop on it"),
        pytest.param(gpu(free=21.9), "warn", id="only the server's own context is missing"),
        pytest.param(gpu(free=21.6), "fail", id="just below the claim"),
        pytest.param(gpu(free=10.0, processes=NOTEBOOK), "fail", id="a notebook holds half"),
        pytest.param(h100(free=79.0), "pass", id="idle H100"),
        pytest.param(h100(free=40.0), "fail", id="half an H100"),
    ],
)
def test_free_memory(card, status):
    finding = one(gpu_memory_free, gpus=(card,))
    assert finding.status == status
    assert finding.subject == "gpu:0"
    assert finding.cause == ("GPU_MEMORY_TAKEN_BY_OTHERS" if status != "pass" else "")
    assert bool(finding.fixes) == (status != "pass")


def spark(total=121.0, free=115.0):
    """GB10, whose figures are those of main memory; 0: nothing was read."""
    one = gpu(total, reserved=0, free=free, name="NVIDIA GB10", capability="12.1")
    return dataclasses.replace(one, unified=bool(total))


def shows(gib, name="NVIDIA GB10", capability="12.1"):
    device = CudaDevice(index=0, name=name, compute_capability=capability, total_bytes=int(gib * GIB))
    return Cuda(library="/x", init_code=0, devices=(device,))


SHARED = [
    pytest.param(spark(), shows(121.0), "vllm", "pass", id="idle"),
    pytest.param(spark(), shows(120.0), "vllm", "pass", id="CUDA counts a little less"),
    pytest.param(spark(), None, "vllm", "pass", id="CUDA was not asked"),
    pytest.param(spark(free=60.0), shows(121.0), "vllm", "fail", id="another program has half of it"),
    pytest.param(spark(24.0, 20.0), shows(121.0), "vllm", "unknown", id="a container that shows less main memory"),
    pytest.param(spark(0, 0), shows(121.0), "vllm", "unknown", id="only CUDA tells how much there is"),
    pytest.param(spark(24.0, 20.0), shows(121.0, "GB10 (gpu)"), "vllm", "unknown", id="the same, by another name"),
    pytest.param(spark(), shows(24.0, "T4", "7.5"), "vllm", "pass", id="CUDA showed another GPU"),
    pytest.param(spark(0, 0), None, "vllm", "unknown", id="nothing was read"),
    pytest.param(spark(0, 0), None, "sglang", "unknown", id="nothing was read, under SGLang"),
    pytest.param(spark(0, 0), None, "transformers", "unknown", id="nothing was read, under transformers"),
]


@pytest.mark.parametrize(("card", "cuda", "engine", "status"), SHARED)
def test_a_gpu_that_works_in_main_memory(card, cuda, engine, status):
    intent = dataclasses.replace(README, engine=engine)
    finding = one(gpu_memory_free, gpus=(card,), cuda=cuda, intent=intent)
    assert finding.status == status
    if status == "fail":
        assert "works in main memory" in render(finding.text)
        assert any("ps aux" in command for fix in finding.fixes for command in fix.commands)
    if status == "unknown":
        assert "MIG" not in render(finding.text)
    for check in (weights_fit, kv_cache_fits):
        weights = one(check, gpus=(card,), cuda=cuda, intent=intent, packages=vllm())
        assert (weights.status == "unknown") == (cuda is None and not card.total_bytes)


def test_it_says_who_holds_the_memory():
    finding = one(gpu_memory_free, gpus=(gpu(free=10.0, processes=NOTEBOOK),))
    words = render(finding.text)
    assert "jupyter (pid 4711, 13.00 GiB)" in words
    assert "also on the GPU: a process (pid 815)" in words
    assert any("kill 4711" in fix.commands for fix in finding.fixes)
    assert finding.evidence["what_vllm_says"].startswith("Free memory on device cuda:0 (10.0/23.55 GiB)")


@pytest.mark.parametrize(
    ("processes", "killed", "looked_at"),
    [
        pytest.param([(0, 4), (345, 4)], "kill 345", "345", id="pid 0 is our own process group"),
        pytest.param([(-1, 4), (345, 4)], "kill 345", "345", id="pid -1 is everybody"),
        pytest.param([(345, None), (346, 4)], "kill 346", "346", id="one whose memory is not known"),
        pytest.param([(345, None)], "", "345", id="nobody's memory is known"),
        pytest.param([(0, None)], "", "", id="only pid 0"),
    ],
)
def test_only_a_known_holder_is_offered_to_kill(processes, killed, looked_at):
    seen = tuple(GpuProcess(pid=pid, used_bytes=gib and gib * GIB) for pid, gib in processes)
    finding = one(gpu_memory_free, gpus=(gpu(free=10.0, processes=seen),))
    commands = [command for fix in finding.fixes for command in fix.commands]
    assert [c for c in commands if c.startswith("kill")] == ([killed] if killed else [])
    assert [c.split()[-1] for c in commands if c.startswith("ps ")] == ([looked_at] if looked_at else [])
    assert ("held by" in render(finding.text)) is any(gib for _, gib in processes)
    assert "pid 0" not in render(finding.text)
    assert "nobody" not in render(finding.text)


def test_memory_without_a_process_is_another_containers():
    finding = one(gpu_memory_free, gpus=(gpu(free=10.0),))
    assert "no visible process" in render(finding.text)
    assert not any("kill" in command for fix in finding.fixes for command in fix.commands)


def test_a_claim_above_what_an_idle_gpu_has_blames_nobody():
    finding = one(gpu_memory_free, gpus=(gpu(40.0, free=38.9),), intent=with_launch(gpu_memory_utilization=0.99))
    assert finding.status == "fail"
    assert "nobody computes on it" in render(finding.text)
    assert not any("kill" in command for fix in finding.fixes for command in fix.commands)


def test_a_smaller_share_is_offered_first_where_the_model_fits_in_it():
    finding = one(gpu_memory_free, gpus=(h100(free=40.0, processes=NOTEBOOK),))
    intent = parse_command(shlex.split(finding.fixes[0].commands[0]))
    again = one(gpu_memory_free, gpus=(h100(free=40.0, processes=NOTEBOOK),), intent=intent)
    assert intent.launch.gpu_memory_utilization == 0.49
    assert again.status == "pass"
    assert one(kv_cache_fits, gpus=(h100(),), intent=intent).status == "pass"


def test_no_smaller_share_is_offered_where_the_model_does_not_fit_in_it():
    finding = one(gpu_memory_free, gpus=(h100(free=15.0, processes=NOTEBOOK),))
    assert not any("claim only" in fix.text.template for fix in finding.fixes)
    assert finding.fixes


@pytest.mark.parametrize(
    ("version", "free", "status"),
    [
        pytest.param("0.12.0", 21.75, "pass", id="0.12 claims 90 %"),
        pytest.param("0.33.0", 21.5, "fail", id="0.33 claims 92 %"),
        pytest.param(None, 21.5, "warn", id="version not known: between the two"),
        pytest.param(None, 21.0, "fail", id="version not known: below both"),
        pytest.param(None, 22.3, "pass", id="version not known: above both"),
    ],
)
def test_the_default_share_follows_the_version(version, free, status):
    packages = vllm(version) if version else Packages()
    assert one(gpu_memory_free, gpus=(gpu(free=free),), packages=packages).status == status


@pytest.mark.parametrize(
    ("variables", "assigned", "subjects"),
    [
        pytest.param({}, {}, ["gpu:0"], id="the first by default"),
        pytest.param({"CUDA_VISIBLE_DEVICES": "1"}, {}, ["gpu:1"], id="the environment chooses"),
        pytest.param({"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}, ["gpu:1"], id="the command wins"),
        pytest.param({"CUDA_VISIBLE_DEVICES": "GPU-11"}, {}, ["gpu:1"], id="by UUID"),
        pytest.param({"CUDA_VISIBLE_DEVICES": "7,1"}, {}, [""], id="ends at the first that does not exist"),
        pytest.param({"CUDA_VISIBLE_DEVICES": ""}, {}, [""], id="empty hides all"),
    ],
)
def test_only_the_gpus_of_the_deployment_count(variables, assigned, subjects):
    gpus = (gpu(), gpu(index=1, free=1.0))
    intent = dataclasses.replace(README, environment=assigned)
    findings = judge(
        gpu_memory_free, gpus=gpus, intent=intent, packages=vllm(), environment=Environment(variables=variables)
    )
    assert [f.subject for f in findings] == subjects
    expected = {"gpu:0": "pass", "gpu:1": "fail", "": "unknown"}
    assert [f.status for f in findings] == [expected[s] for s in subjects]


def test_every_gpu_of_a_split_model_is_judged():
    findings = judge(
        gpu_memory_free, gpus=(gpu(), gpu(index=1, free=1.0)), intent=with_launch(tensor_parallel=2), packages=vllm()
    )
    assert [f.status for f in findings] == ["pass", "fail"]


def test_cuda_counts_the_fastest_first():
    gpus = (gpu(8.0, name="NVIDIA T400", index=0, free=7.0), h100(index=1))
    devices = tuple(
        CudaDevice(index=i, name=g.name, compute_capability="9.0", total_bytes=g.total_bytes - g.reserved_bytes)
        for i, g in enumerate(reversed(gpus))
    )
    cuda = Cuda(library="libcuda.so.1", init_code=0, devices=devices)
    assert one(gpu_memory_free, gpus=gpus, cuda=cuda).subject == "gpu:1"
    assert one(weights_fit, gpus=gpus, cuda=cuda).status == "pass"


def test_engines_without_a_share_need_what_the_model_needs():
    intent = dataclasses.replace(README, engine="transformers")
    assert one(gpu_memory_free, gpus=(h100(free=30.0),), intent=intent).status == "pass"
    assert one(gpu_memory_free, gpus=(h100(free=10.0),), intent=intent).status == "fail"
    assert one(gpu_memory_free, gpus=(gpu(12.0),), intent=intent).status == "not_applicable"


# --- VRM002


def just_about():
    """A card on which the weights and what CUDA takes most probably fill the claim to the byte."""
    found = estimates(README, None, Card(name="x", total_bytes=24 * GIB), "0.33.0")[-1]
    wanted = (found.weights.likely + found.non_torch.likely) / found.utilization / GIB
    return gpu(wanted + 0.45, reserved=0.45)


@pytest.mark.parametrize(
    ("card", "status"),
    [
        pytest.param(gpu(16.0, name="Tesla T4", capability="7.5"), "fail", id="16 GB"),
        pytest.param(just_about(), "unknown", id="just about"),
        pytest.param(gpu(24.0), "pass", id="24 GB holds the weights"),
        pytest.param(h100(), "pass", id="80 GB"),
    ],
)
def test_weights(card, status):
    finding = one(weights_fit, gpus=(card,))
    assert finding.status == status
    assert finding.cause == ("VRAM_TOO_SMALL_FOR_WEIGHTS" if status == "fail" else "")


def test_the_smallest_gpu_decides():
    finding = one(weights_fit, gpus=(h100(), gpu(8.0, index=1)), intent=with_launch(tensor_parallel=2))
    assert finding.status == "fail"


@pytest.mark.parametrize(
    ("gib", "status"),
    [
        pytest.param(60, "fail", id="larger than the whole GPU"),
        pytest.param(8, "unknown", id="no model of the rest of it"),
    ],
)
def test_an_unknown_architecture_is_only_judged_by_what_is_certain(gib, status):
    finding = one(
        weights_fit, gpus=(gpu(),), intent=Intent(model="/models/x"), model_files=files_of(gib, model_type="brand_new")
    )
    assert finding.status == status


def test_a_model_of_which_nothing_is_known():
    for check in (weights_fit, kv_cache_fits):
        assert one(check, gpus=(gpu(),), intent=Intent(model="somebody/something")).status == "unknown"
