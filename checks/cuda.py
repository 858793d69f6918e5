"""CUDA at work: does libcuda start, and does every GPU compute."""

from __future__ import annotations

import math

from autoglm_doctor.api import (
    Cuda,
    DeviceRun,
    Driver,
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Judgement,
    Product,
    Reading,
    Text,
    Threshold,
    Torch,
    TorchRun,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
)
from autoglm_doctor.domain.deployment import runs_on_cpu, taken_gpus
from autoglm_doctor.domain.driver.cuda_errors import InitFault, init_fault, silent_cuda

#: Unit round-off of the data types (half the distance from 1 to the next number): 8, 11 and 24 bits of precision;
#: float32 products may be computed in TF32, which has 11.
UNIT_ROUNDOFF = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 2.0**-11}

#: Side of the probe's matrices: so many products are added up for one number.
TERMS = 256


@check(
    "CUD001",
    "cuda-initialises",
    cause="CUDA_INIT_FAILED",
    required=True,
    explained_by=("DRV001", "DRV002", "DRV004", "GPU002", "PYT001", "CTR002"),
)
def cuda_initialises(
    cuda: Reading[Cuda],
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    host: Host | None,
    environment: Environment | None,
    intent: Intent,
) -> Findings:
    """CUDA starts in the deployment's environment.

    nvidia-smi can be content while every CUDA program fails: a library of the toolkit or of a cuda-compat package is
    found first, a kernel module is missing, a fabric manager does not run, a variable hides the GPUs. So libcuda.so.1
    is really loaded and initialised (cuInit), in a child process with the deployment's variables.

    No threshold: the return code decides (cuda.h; 0 is success).

    ## Fix

    It depends on the code: 34 a stub library, 100 no device, 802 the fabric manager, 803 a wrong libcuda, 804
    cuda-compat on a GPU that it does not support, 999 the module nvidia_uvm. Where cuInit never returns: the kernel's
    log, nvidia_uvm, a reset of the GPU; where it crashes: the driver's libraries again.
    """
    facts = cuda.value
    silent = silent_cuda(cuda, driver, host)
    on_cpu = runs_on_cpu(intent, environment, driver, gpus, facts)
    if on_cpu:
        yield not_applicable(Text(on_cpu))
    elif cuda.outcome == "absent":
        yield _red(init_fault(Cuda(library=None, load_error=cuda.why), driver, host, environment), None)
    elif silent is not None:
        yield _red(silent, None, cuda.why)
    elif facts is None:
        yield unknown(Text("CUDA could not be tried: {why}", {"why": cuda.why or cuda.outcome}))
    elif facts.init_code == 0 and facts.devices and _stranger(facts, gpus):
        said = {"cuda": _stranger(facts, gpus), "nvml": ", ".join(sorted({g.compute_capability for g in gpus or ()}))}
        words = "CUDA shows a GPU of capability {cuda}, NVML has none of it ({nvml}): one of them is not this driver's"
        yield unknown(Text(words, said), evidence={"library": facts.library})
    elif facts.init_code == 0 and facts.devices:
        text = Text("CUDA {version} starts and shows {n} GPU(s)", _shown(facts))
        yield ok(text, observed=facts.init_code, evidence={"library": facts.library})
    elif facts.init_code is None and facts.load_error is None:
        yield unknown(Text("cuInit gave no answer"))
    else:
        yield _red(init_fault(facts, driver, host, environment, gpus), facts)


def _stranger(cuda: Cuda, gpus: tuple[Gpu, ...] | None) -> str:
    """The capability of a device that no GPU of NVML's has; "" where they agree. NVML sees all that CUDA may see."""
    known = {gpu.compute_capability for gpu in gpus or ()}
    return next((d.compute_capability for d in cuda.devices if known and d.compute_capability not in known), "")


def _shown(cuda: Cuda) -> dict[str, object]:
    return {"version": cuda.driver_cuda_version or "?", "n": len(cuda.devices)}


def _red(fault: InitFault, cuda: Cuda | None, end: str = "") -> Judgement:
    evidence = {"library": cuda.library, "error": cuda.init_error or cuda.load_error} if cuda else {"error": end}
    return fail(
        fault.text,
        fix=fault.fixes,
        cause=fault.cause,
        observed=cuda.init_code if cuda else None,
        expected=0,
        evidence=evidence if cuda or end else None,
    )


@check(
    "CUD002",
    "gpus-compute",
    cause="GPU_COMPUTE_FAILED",
    explained_by=("DRV003", "GPU002", "CUD001", "CUD003", "GPU001", "VRM001", "TOR001", "TOR002", "TOR003", "TOR005"),
)
def gpus_compute(
    torch_run: TorchRun,
    torch: Torch | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    environment: Environment | None,
    intent: Intent,
) -> Findings:
    """torch computes correctly on every GPU that the deployment takes.

    torch allocates a little memory on each GPU and multiplies two 256 x 256 matrices, in bfloat16 (from
    capability 8.0 on) and float16. The same numbers multiplied in float64 on the CPU tell whether the result is right:
    a GPU without code in the wheel, a full or failing memory and a broken library all show here, before a model is
    loaded for minutes.

    Threshold: largest deviation over largest value at most u x sqrt(256), u the unit round-off of the data type (2^-8
    for bfloat16, 2^-11 for float16): rounding errors add up like a random walk even if every partial sum were kept in
    the data type itself. That is 0.0625 and 0.0078; a right product, added in float32, measures 0.0024 and 0.0004.

    ## Fix

    Install the torch build for this GPU; free its memory; if numbers are wrong, test the hardware.
    """
    on_cpu = (
        "" if torch_run.devices and intent.device != "cpu" else runs_on_cpu(intent, environment, driver, gpus, cuda)
    )
    if on_cpu or (torch is not None and torch.cuda is None):
        yield not_applicable(Text(on_cpu or "this torch does not use CUDA"))
    elif torch_run.import_error is not None:
        yield unknown(Text("torch could not be imported: {error}", {"error": torch_run.import_error}))
    elif not torch_run.cuda_tried:
        yield unknown(Text("the driver hangs, so that torch was not let near it"))
    elif not torch_run.devices:
        yield _no_cuda(torch_run)
    else:
        # torch counts like CUDA: its first devices are the ones that the deployment takes.
        taken = taken_gpus(gpus or (), cuda, environment, intent)
        for place, device in enumerate(torch_run.devices[: intent.gpus_needed]):
            yield _judge(device, taken[place].subject if place < len(taken) else f"gpu:{device.index}")


def _no_cuda(run: TorchRun) -> Judgement:
    if run.cuda_available:
        return unknown(Text("torch sees CUDA; the GPUs were not used"))
    error = run.cuda_error or "torch gives no reason"
    fixes = (
        Fix(
            text=Text("see what torch says in the environment of the deployment"),
            commands=('python -c "import torch; torch.cuda.init()"', "env | grep -E 'CUDA|NVIDIA|LD_'"),
        ),
    )
    return fail(Text("torch cannot use CUDA: {error}", {"error": error}), fix=fixes, cause="CUDA_INIT_FAILED")


def _judge(device: DeviceRun, subject: str) -> Judgement:
    broken = next((p for p in device.products if p.error), None)
    error = device.allocation_error or (broken.error if broken else None)
    if error:
        return _failed(subject, error)
    judged = [p for p in device.products if p.dtype in UNIT_ROUNDOFF and p.relative_error is not None]
    if not judged:
        return unknown(Text("no product was computed on it"), subject=subject)
    wrong = next((p for p in judged if not _is_right(p)), None)
    if wrong is not None:
        return _wrong(subject, wrong)
    evidence = {p.dtype: p.relative_error for p in judged}
    worst = max(judged, key=lambda p: (p.relative_error or 0.0) / limit(p.dtype))
    return ok(
        Text("computes right in {dtypes}", {"dtypes": " and ".join(p.dtype for p in judged)}),
        subject=subject,
        observed=worst.relative_error,
        threshold=_threshold(worst.dtype),
        evidence=evidence,
    )


def limit(dtype: str) -> float:
    """Largest relative error of a right product: u x sqrt(k)."""
    return UNIT_ROUNDOFF[dtype] * math.sqrt(TERMS)


def _is_right(product: Product) -> bool:
    error = product.relative_error
    return error is not None and error <= limit(product.dtype)  # false for NaN


def _threshold(dtype: str) -> Threshold:
    return Threshold(value=limit(dtype), unit="relative error", source="unit round-off x sqrt(256)")


def _wrong(subject: str, product: Product) -> Judgement:
    return fail(
        Text(
            "its {dtype} product is wrong by {error} of the largest value, right is at most {limit}",
            {"dtype": product.dtype, "error": f"{product.relative_error:.2g}", "limit": f"{limit(product.dtype):.2g}"},
        ),
        subject=subject,
        cause="GPU_HARDWARE_ERROR",
        observed=product.relative_error,
        threshold=_threshold(product.dtype),
        fix=Fix(
            text=Text("look for hardware errors; stop its programs and reset it; replace it if they come back"),
            commands=(
                "nvidia-smi -q -d ECC,ROW_REMAPPER,PERFORMANCE",
                "sudo dmesg | grep -i xid",
                f"sudo nvidia-smi --gpu-reset -i {subject.partition(':')[2]}",
            ),
            effort="hardware",
            needs_root=True,
        ),
    )


def _failed(subject: str, error: str) -> Judgement:
    """What torch's words mean: they are CUDA's own and old."""
    words = error.lower()
    if "no kernel image" in words or "no kernel" in words:
        cause, text = "GPU_ARCH_NOT_IN_WHEEL", "this torch has no code for the GPU: {error}"
        fix = Fix(
            text=Text("install a torch that has code for this GPU; `autoglm-doctor resolve` names one"),
            commands=("autoglm-doctor resolve",),
            effort="install",
        )
    elif "out of memory" in words:
        cause, text = "GPU_MEMORY_TAKEN_BY_OTHERS", "not even a few MB could be allocated: {error}"
        fix = Fix(text=Text("see who holds the memory, and stop them"), commands=("nvidia-smi",), effort="restart")
    else:
        cause, text = "", "torch cannot compute on it: {error}"
        fix = Fix(
            text=Text("see what the kernel says and who else is on the GPU"),
            commands=("sudo dmesg | grep -i -E 'nvrm|xid' | tail", "nvidia-smi"),
            needs_root=True,
        )
    return fail(Text(text, {"error": error}), subject=subject, cause=cause, fix=fix)
