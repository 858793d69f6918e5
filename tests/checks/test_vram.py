"""GPU memory: free, weights, cache."""

import dataclasses
import shlex

import pytest

from autoglm_doctor.checks.driver import driver_libraries_match
from autoglm_doctor.checks.model import model_complete
from autoglm_doctor.checks.vram import gpu_memory_free, kv_cache_fits, weights_fit
from autoglm_doctor.facts import (
    Cuda,
    CudaDevice,
    Distribution,
    Driver,
    Environment,
    Facts,
    Gpu,
    GpuProcess,
    ModelFiles,
    Packages,
    Reading,
    WeightFile,
    known,
)
from autoglm_doctor.intent import SMOKE, Intent, Launch
from autoglm_doctor.launch import default_intent, parse_command
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render

GIB = 2**30
README = default_intent()
CHECKS = (gpu_memory_free, weights_fit, kv_cache_fits)


def gpu(
    total=24.0,
    *,
    reserved=0.45,
    free=None,
    name="NVIDIA GeForce RTX 4090",
    capability="8.9",
    index=0,
    processes=(),
    mig=False,
):
    left = total - reserved - 0.05 if free is None else free
    return Gpu(
        index=index,
        name=name,
        compute_capability=capability,
        total_bytes=int(total * GIB),
        reserved_bytes=int(reserved * GIB),
        free_bytes=int(left * GIB),
        uuid=f"GPU-{index}{index}",
        processes=processes,
        mig=mig,
    )


def vllm(version="0.33.0"):
    return Packages(distributions=(Distribution(name="vllm", version=version),))


def h100(**rest):
    return gpu(80.0, name="NVIDIA H100 80GB HBM3", capability="9.0", **rest)


def with_launch(**values):
    return dataclasses.replace(README, launch=dataclasses.replace(README.launch, **values))


def one(check, **given):
    findings = judge(check, **{"packages": vllm(), **given})
    assert len(findings) == 1, findings
    return findings[0]


NOTEBOOK = (GpuProcess(pid=4711, name="jupyter", used_bytes=13 * GIB), GpuProcess(pid=815, name="", used_bytes=None))


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


@pytest.mark.parametrize(
    ("card", "status"),
    [
        pytest.param(gpu(16.0, name="Tesla T4", capability="7.5"), "fail", id="16 GB"),
        pytest.param(gpu(21.8), "unknown", id="just about"),
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


def files_of(gib, **config):
    size = int(gib * GIB)
    return ModelFiles(
        path="/models/x",
        config=config,
        weights=(WeightFile(name="model.safetensors", size_bytes=size, tensor_bytes=size),),
        dtype_bytes={"BF16": size},
    )


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
    finding = one(kv_cache_fits, gpus=(gpu(24.0),), intent=with_launch(gpu_memory_utilization=0.95))
    assert finding.status == "unknown"
    assert "--max-num-seqs 8" in finding.evidence["line_that_fits"]


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
    finding = one(kv_cache_fits, gpus=(gpu(),), packages=vllm("0.12.0"))
    assert finding.status == "fail"
    assert "weights and peak leave nothing of the" in render(finding.text)
    assert "0.00" not in render(finding.text)


def test_a_broken_library_explains_what_is_not_known_and_a_broken_config_does_not_hide_it():
    broken = ModelFiles(path="/m", config_error="config.json is no JSON")
    facts = Facts(driver=known(Driver(version="570.26", nvml_code=0)), gpus=known((gpu(),)), model_files=known(broken))
    intent = dataclasses.replace(README, model="/m", profile="")
    found = run_checks([weights_fit, kv_cache_fits, model_complete], facts, intent, load_matrix())
    assert [f.status for f in found[:2]] == ["unknown"] * 2
    mismatch = Driver(version="570.26", kernel_version="570.26", library_version="575.1", nvml_code=18)
    facts = Facts(driver=known(mismatch), gpus=Reading(outcome="failed", why="NVML does not start"))
    found = run_checks([*CHECKS, driver_libraries_match], facts, README, load_matrix())
    assert [(f.status, f.because) for f in found[:3]] == [("skipped", "DRV002")] * 3
