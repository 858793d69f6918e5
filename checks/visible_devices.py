"""GPU: the engine reads the names in CUDA_VISIBLE_DEVICES."""

from __future__ import annotations

import re

from packaging.version import Version

from autoglm_doctor.api import (
    Cuda,
    Driver,
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Judgement,
    Packages,
    Text,
    Threshold,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.checks.gpu import VARIABLE
from autoglm_doctor.domain.builds import is_before, release_of
from autoglm_doctor.domain.deployment import engine_version, gpus_here, over_ray, runs_on_cpu, variables_of
from autoglm_doctor.domain.launch_line import changed, line

#: vLLM asks NVML for the number of a UUID from here on (device_control_id_to_physical_device_id in platforms/cuda.py of
#: the wheels: not in 0.23.0, in 0.24.0). Before, it takes int() of each entry.
TAKES_UUIDS = Version("0.24.0")

#: int() of the entry is there from this release on; no such code in the wheels of 0.3.3, 0.4.2 and 0.5.0.post1.
TAKES_NUMBERS = Version("0.5.2")


@check("GPU003", "engine-reads-device-names", cause="MIG_UNSUPPORTED_BY_ENGINE", explained_by=("DRV001", "GPU002"))
def engine_reads_device_names(
    environment: Environment | None,
    packages: Packages | None,
    gpus: tuple[Gpu, ...] | None,
    driver: Driver | None,
    cuda: Cuda | None,
    host: Host | None,
    intent: Intent,
) -> Findings:
    """vLLM can read what CUDA_VISIBLE_DEVICES names.

    CUDA takes numbers there, UUIDs of GPUs (GPU-...) and of slices (MIG-...). vLLM 0.5.2 to 0.23 takes numbers only,
    and ends at its start with "ValueError: invalid literal for int() with base 10: 'MIG-...'", sometimes under an error
    about the model's architecture (vLLM's issues 13815, 17047, 20939, 41848).

    No model is spread over slices: CUDA shows a process one of them, however many are named (NVIDIA's MIG User Guide,
    Device Enumeration), so that tensor parallelism over them fails in vLLM and SGLang alike (vLLM's issue 7211).

    Measured by the form of the first entry, which vLLM looks up in any case, and by the version of vLLM. Releases from
    0.24 on look up UUIDs of GPUs; whether one serves from the UUID of a slice we have not seen, and it is unknown, as
    are releases before 0.5.2. A Jetson, where vLLM asks torch, is not judged.

    ## Fix
    For a whole GPU: its number. For a slice: a container that is given only this slice, where it has the number 0.
    """
    why_not = runs_on_cpu(intent, environment, driver, gpus, cuda)
    entry = variables_of(environment, intent).get(VARIABLE, "").split(",")[0].strip()
    is_slice, found = entry.startswith("MIG-"), engine_version(packages, intent)
    if not why_not and _joins_slices(is_slice, gpus or (), environment, intent):
        yield _joined(entry if is_slice else "", found, intent)
        return
    release = release_of(found)
    if why_not or intent.engine != "vllm" or (host is not None and (host.tegra or host.system != "Linux")):
        yield not_applicable(Text(why_not or "no vLLM is run here that reads names of GPUs"))
    elif not is_slice and not entry.startswith("GPU-"):
        yield not_applicable(Text("CUDA_VISIBLE_DEVICES names no GPU by its UUID"))
    elif is_slice and found is None:
        yield warn(
            Text(
                'CUDA_VISIBLE_DEVICES="{entry}": vLLM before {first} takes numbers only',
                {"entry": entry, "first": str(TAKES_UUIDS)},
            ),
            fix=_slice(entry),
            observed=entry,
            expected="numbers",
        )
    elif (
        release is None
        or release < TAKES_NUMBERS
        or is_before(found, TAKES_UUIDS)
        or (is_slice and release >= TAKES_UUIDS)
    ):
        what = {"entry": entry, "version": found or "?"}
        yield unknown(Text('whether vLLM {version} finds "{entry}" of CUDA_VISIBLE_DEVICES is not known', what))
    elif release >= TAKES_UUIDS:
        yield ok(Text("vLLM {version} looks up UUIDs of GPUs", {"version": found}), observed=found)
    else:
        yield fail(
            Text(
                'CUDA_VISIBLE_DEVICES="{entry}": vLLM {version} takes numbers only', {"entry": entry, "version": found}
            ),
            fix=_slice(entry) if is_slice else _number(variables_of(environment, intent)[VARIABLE], gpus or (), intent),
            cause="" if is_slice else "CUDA_VISIBLE_DEVICES_HIDES_GPUS",
            observed=entry,
            expected="numbers",
            threshold=Threshold(value=str(TAKES_UUIDS), unit="version", source="vllm/platforms/cuda.py of the wheels"),
        )


def _joins_slices(is_slice: bool, gpus: tuple[Gpu, ...], environment: Environment | None, intent: Intent) -> bool:
    """Whether one model is to be spread over slices: those that are named, or all that there is."""
    every = VARIABLE not in variables_of(environment, intent) and bool(gpus) and all(gpu.mig for gpu in gpus)
    spread = intent.launch.tensor_parallel > 1 and gpus_here(intent) > 1 and not over_ray(intent)
    return intent.engine in ("vllm", "sglang") and spread and (is_slice or every)


def _on_one(entry: str, version: str | None, intent: Intent) -> Fix:
    """One process on one slice: for a vLLM that cannot read its name, in a container of its own."""
    release = release_of(version)
    if entry and intent.engine == "vllm" and (release is None or release < TAKES_UUIDS):
        return _slice(entry)
    alone = line(changed(intent, {"tensor_parallel": 1}))
    # What stands in front of the command wins over what is set; where it stands there already, it has to go.
    alone = re.sub(rf"\b{VARIABLE}=\S*\s+", "", alone)
    return Fix(
        text=Text("start the engine on one slice, where the model fits into it"),
        commands=("nvidia-smi -L", f"{VARIABLE}={entry} {alone}" if entry else alone),
        effort="flag",
    )


def _joined(entry: str, version: str | None, intent: Intent) -> Judgement:
    size = intent.launch.tensor_parallel
    fixes = (
        _on_one(entry, version, intent),
        Fix(
            text=Text("or turn MIG off, which ends all programs on the GPU"),
            commands=("sudo nvidia-smi -mig 0",),
            effort="setting",
            needs_root=True,
            url="https://github.com/vllm-project/vllm/issues/7211",
        ),
    )
    text = Text("the model is spread over {size} slices (MIG); CUDA shows a process no more than one", {"size": size})
    return fail(text, fix=fixes, observed=size, expected=1)


def _slice(entry: str) -> Fix:
    return Fix(
        text=Text("start the engine in a container that sees this slice only, without the variable"),
        commands=(f"docker run --rm --gpus '\"device={entry}\"' --ipc=host -p 8000:8000 vllm/vllm-openai MODEL",),
        effort="setting",
        url="https://github.com/vllm-project/vllm/issues/17047",
    )


def _number(value: str, gpus: tuple[Gpu, ...], intent: Intent) -> Fix:
    numbers = ",".join(_place(entry.strip(), gpus) for entry in value.split(","))
    return Fix(
        text=Text("name the GPU by its number, in the order of the PCI bus"),
        commands=("nvidia-smi -L", f"CUDA_DEVICE_ORDER=PCI_BUS_ID {VARIABLE}={numbers} {line(intent)}"),
        effort="setting",
    )


def _place(entry: str, gpus: tuple[Gpu, ...]) -> str:
    """The number of the GPU with this UUID, or with one that begins so; where it was not read, nvidia-smi tells it."""
    if not entry.startswith("GPU-"):
        return entry
    found = [str(place) for place, one in enumerate(gpus) if one.uuid.startswith(entry)]
    return found[0] if len(found) == 1 else f"$(nvidia-smi -i {entry} --query-gpu=index --format=csv,noheader)"
