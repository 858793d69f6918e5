"""Faults of the driver: NVML, libcuda, nvidia-smi, the GPU itself."""

from __future__ import annotations

import dataclasses

from tests.faults.driver_steps import (
    CUDA,
    CUDA_LIMIT,
    ELF32,
    NVML,
    NVML_LIMIT,
    SMI_MISMATCH,
    SMI_NO_LIBRARY,
    SMI_NO_MODULE,
    a_folder,
    cpu_would_do,
    cut_off,
    damaged,
    dangling,
    each,
    green,
    ill_smi,
    in_container,
    lacking,
    no_cuda,
    no_smi,
    open_question,
    red,
    short,
    smi,
    smi_is_a_folder,
    smi_may_not_run,
    stub,
    without,
    without_nvml,
    yellow,
)
from tests.faults.fault import Fault
from tests.faults.machine import GPU_4090
from tests.faults.proofs import Proof, ends_with, fails, hangs, nvml, prints, python
from tests.stubs import NEW_BANNER

#: A node of which other jobs have GPUs, too.
FOUR, EIGHT = ";".join([GPU_4090] * 4), ";".join([GPU_4090] * 8)

#: Fails with NVML's code where that GPU may not be opened.
OPEN = "raise SystemExit(lib.nvmlDeviceGetHandleByIndex_v2({}, ctypes.byref(ctypes.c_void_p())))"


def proven(proof: Proof, fault: Fault) -> Fault:
    """The fault is there: what the doctor goes on in spite of, stops a program that does not."""
    return dataclasses.replace(fault, took_hold=proof)


LIBRARY = [
    without_nvml("libnvidia-ml is missing", each(), "cannot open shared object file"),
    without_nvml("libnvidia-ml is a dangling link", dangling, "No such file"),
    red(
        "libnvidia-ml is an empty file",  # what an image keeps that was made from a running container
        each(damaged(NVML, b""), in_container),
        "DRV001",
        "CONTAINER_IMAGE_BUNDLES_DRIVER",
        "file too short",
        "find / -xdev",
    ),
    red(
        "libnvidia-ml is garbage",
        each(damaged(NVML, b"\0garbage" * 1000), in_container),
        "DRV001",
        "CONTAINER_IMAGE_BUNDLES_DRIVER",
        "invalid ELF header",
    ),
    red(
        "libnvidia-ml is a 32-bit library",
        each(damaged(NVML, ELF32 + bytes(1000)), in_container),
        "DRV001",
        "CONTAINER_IMAGE_BUNDLES_DRIVER",
        "wrong ELF class",
    ),
    red(
        "libnvidia-ml is a folder",
        each(a_folder, in_container),
        "DRV001",
        "CONTAINER_IMAGE_BUNDLES_DRIVER",
        "Is a directory",
    ),
    red("libnvidia-ml is cut off", cut_off, "DRV001", "DRIVER_LIBRARY_BROKEN", "SIGBUS"),
    red(
        "libnvidia-ml is older than nvmlInitWithFlags",
        lacking("WITHOUT_INIT"),
        "DRV001",
        "DRIVER_LIBRARY_BROKEN",
        "R384",
    ),
    proven(
        fails(*nvml("lib.nvmlDeviceGetMemoryInfo_v2")),
        green(
            "libnvidia-ml is older than some functions",
            lacking("OLD"),
            "each figure that is judged has an older getter; only the names of other programs stay unknown",
            "VRM001",
        ),
    ),
]

STARTING = [
    red("NVML crashes at its start", stub(STUB_CRASH="1"), "DRV001", "DRIVER_LIBRARY_BROKEN", "SIGSEGV"),
    red(
        "NVML hangs",
        each(stub(STUB_HANG="1"), short),
        "DRV001",
        "DRIVER_HANGS",
        "wedged",
        "dmesg",
        "--gpu-reset",
        limit=NVML_LIMIT,
    ),
    red(
        "NVML hangs, torch is one for the CPU, and the CPU would do",
        each(stub(STUB_HANG="1"), short, cpu_would_do),
        "DRV001",
        "DRIVER_HANGS",
        "--device cpu",
        limit=NVML_LIMIT,
    ),
    red(
        "NVML hangs and ignores SIGTERM",
        each(stub(STUB_HANG="1", STUB_DEAF="1"), short),
        "DRV001",
        "DRIVER_HANGS",
        "3 s",
        limit=NVML_LIMIT,
    ),
    proven(
        fails(*nvml("lib.nvmlShutdown()")),
        green(
            "NVML crashes in its shutdown",
            stub(STUB_CRASH="shutdown"),
            "nobody calls it: the end of the process does as much",
            "GPU002",
        ),
    ),
    proven(
        hangs(*nvml("lib.nvmlShutdown()")),
        green("NVML hangs in its shutdown", stub(STUB_HANG="shutdown"), "nobody calls it", "GPU002"),
    ),
    proven(
        prints(1_000_000, *nvml()),
        green(
            "NVML prints a megabyte",
            stub(STUB_PRINT_LINES="20000"),
            "facts come through a file; what a library prints is read and thrown away",
        ),
    ),
    red(
        "NVML says: no permission",
        each(stub(STUB_INIT="4"), no_cuda(), in_container),
        "DRV001",
        "CONTAINER_WITHOUT_GPU",
    ),
    red(
        "NVML says: driver not loaded",
        each(stub(STUB_INIT="9"), no_cuda(), in_container, smi(SMI_NO_MODULE)),
        "DRV001",
        "CONTAINER_WITHOUT_GPU",
        "couldn't communicate",
    ),
    red(
        "NVML says: library not found",  # it loads a second one by itself
        each(stub(STUB_INIT="12"), in_container, smi(SMI_NO_LIBRARY)),
        "DRV001",
        "CONTAINER_WITHOUT_NVML",
    ),
    red("NVML says: function not found", stub(STUB_INIT="13"), "DRV001", "DRIVER_LIBRARY_BROKEN"),
    red("NVML says: GPU is lost", each(stub(STUB_INIT="15"), no_cuda(999)), "DRV001", "GPU_FELL_OFF_BUS", "dmesg"),
    red(
        "NVML says: interrupts do not work", each(stub(STUB_INIT="11"), no_cuda(999)), "DRV001", "DRIVER_DOES_NOT_START"
    ),
    red(
        "NVML says: operating system", each(stub(STUB_INIT="17"), no_cuda(999)), "DRV001", "DRIVER_DOES_NOT_START", "17"
    ),
    red(
        "NVML says: version mismatch",
        each(stub(STUB_INIT="18"), no_cuda(803), smi(SMI_MISMATCH)),
        "DRV002",
        "NVML_DRIVER_LIBRARY_MISMATCH",
        "sudo reboot",
    ),
    red(
        "NVML says: unknown error",  # systemctl daemon-reload took the devices away
        each(stub(STUB_INIT="999"), no_cuda(), in_container),
        "DRV001",
        "CONTAINER_GPU_CGROUP_LOST",
    ),
    red(
        "NVML says a code that nobody knows",
        each(stub(STUB_INIT="4242"), no_cuda()),
        "DRV001",
        "DRIVER_DOES_NOT_START",
        "4242",
    ),
]

GPUS = [
    red(
        "a getter of GPU 0 hangs",
        each(stub(STUB_HANG="memory"), short),
        "GPU002",
        "DRIVER_HANGS",
        "wedged",
        "dmesg",
        limit=NVML_LIMIT,
    ),
    red("a getter of GPU 0 crashes", stub(STUB_CRASH="capability"), "GPU002", "DRIVER_LIBRARY_BROKEN", "SIGSEGV"),
    red(
        "the driver shows no GPU in a container",
        each(stub(STUB_GPUS=""), no_cuda(), in_container),
        "CUD001",
        "CONTAINER_WITHOUT_GPU",
        "--gpus all",
        "dmesg",
    ),
    red("NVML cannot count its GPUs", stub(STUB_COUNT_ERROR="999"), "GPU002", "GPU_NOT_READABLE", "999"),
    red("GPU 0 is lost between two calls", stub(STUB_GPU_ERROR="0:15:uuid"), "GPU002", "GPU_FELL_OFF_BUS", "gpu:0"),
    red(
        "GPU 0 needs a reset",
        stub(STUB_GPU_ERROR="0:16"),
        "GPU002",
        "GPU_FELL_OFF_BUS",
        "needs a reset",
        "--gpu-reset -i 0",
    ),
    red(
        "a GPU hangs and those before it answered at once",
        each(stub(STUB_GPUS=EIGHT, STUB_HANG_GPU="5"), short),
        "GPU002",
        "DRIVER_HANGS",
        "wedged",
        "--gpu-reset -i 5",
        limit=NVML_LIMIT,
    ),
    yellow(
        "the driver starts eight GPUs one after the other",
        each(stub(STUB_GPUS=EIGHT, STUB_SLOW_MS="600"), short),
        "GPU002",
        "DRIVER_SLOW",
        "nvidia-smi -pm 1",
        "--timeout 4",
        exit=4,
        limit=NVML_LIMIT,
    ),
    red(
        "GPU 0 may not be opened",
        each(stub(STUB_HANDLE_ERROR="4"), no_cuda()),
        "GPU002",
        "GPU_DEVICE_FILES_CLOSED",
        "/dev/nvidia",
    ),
    open_question(
        "GPU 0 may not be opened by NVML alone", stub(STUB_HANDLE_ERROR="4"), "GPU002", "CUDA starts all the same"
    ),
    proven(
        ends_with(4, *nvml(OPEN.format(0))),
        green(
            "one of four GPUs belongs to another job",
            stub(STUB_GPUS=FOUR, STUB_GPU_ERROR="0:4:handle"),
            "NVML counts GPUs that this user may not open; the others serve",
            "GPU002",
        ),
    ),
    proven(
        ends_with(4, *nvml(OPEN.format(2))),
        green(
            "three of four GPUs belong to other jobs",
            stub(STUB_GPUS=FOUR, STUB_GPU_ERROR="0-2:4:handle", CUDA_VISIBLE_DEVICES="0"),
            "NVML counts GPUs that this user may not open; the other one serves",
            "GPU002",
        ),
    ),
    red("GPU 0 has trouble with its interrupts", stub(STUB_HANDLE_ERROR="11"), "GPU002", "GPU_NOT_READABLE", "gpu:0"),
    open_question("GPU 0 does not tell its memory", stub(STUB_UNSUPPORTED="memory"), "VRM001", "NVML does not tell"),
    open_question("GPU 0 has no memory", stub(STUB_GPUS="NVIDIA GeForce RTX 4090|8.9|0|0|0"), "VRM001", "nonsense"),
    open_question(
        "GPU 0 has more free memory than memory",
        stub(STUB_GPUS="NVIDIA GeForce RTX 4090|8.9|24564|99999|430"),
        "VRM001",
        "nonsense",
    ),
    proven(
        fails(*python("import os; os.environb[b'STUB_GPUS'].decode()")),
        green(
            "the name of GPU 0 is no UTF-8",
            stub(STUB_GPUS="NVIDIA \udcff\udcfe 4090|8.9|24564|24114|430"),
            "the name is only shown; memory and capability are judged",
            "GPU002",
        ),
    ),
]

CUDA_ROWS = [
    red(
        "libcuda is missing",
        each(without(CUDA), no_cuda(), in_container),
        "CUD001",
        "CONTAINER_WITHOUT_GPU",
        "compute,utility",
    ),
    red(
        "libcuda is an empty file",
        each(damaged(CUDA, b""), no_cuda(), in_container),
        "CUD001",
        "CONTAINER_IMAGE_BUNDLES_DRIVER",
        "file too short",
    ),
    red(
        "libcuda is garbage",
        each(damaged(CUDA, b"garbage" * 99), no_cuda(), in_container),
        "CUD001",
        "CONTAINER_IMAGE_BUNDLES_DRIVER",
        "invalid ELF header",
    ),
    red(
        "cuInit hangs",
        each(stub(STUB_CUDA_HANG="1"), short),
        "CUD001",
        "DRIVER_HANGS",
        "nvidia_uvm",
        "dmesg",
        limit=CUDA_LIMIT,
    ),
    red("cuInit crashes", stub(STUB_CUDA_CRASH="1"), "CUD001", "DRIVER_LIBRARY_BROKEN", "SIGSEGV"),
    red("cuInit says 3, not initialised", no_cuda(3), "CUD001", "UVM_MODULE_BROKEN", "nvidia_uvm"),
    red("cuInit says 34, a stub library", no_cuda(34), "CUD001", "CUDA_STUB_LIBRARY", "grep -v stubs"),
    red("cuInit says 46, the GPU is taken", no_cuda(46), "CUD001", "CUDA_INIT_FAILED", "compute_mode"),
    red(
        "cuInit says 100, no device", each(no_cuda(100), in_container), "CUD001", "CONTAINER_WITHOUT_GPU", "--gpus all"
    ),
    red(
        "cuInit says 802, the fabric is not ready",
        no_cuda(802),
        "CUD001",
        "FABRIC_MANAGER_MISSING",
        "nvidia-fabricmanager-570",
    ),
    red("cuInit says 803, another driver", no_cuda(803), "CUD001", "NVML_DRIVER_LIBRARY_MISMATCH", "sudo reboot"),
    red(
        "cuInit says 804, cuda-compat", no_cuda(804), "CUD001", "CUDA_FORWARD_COMPAT_UNSUPPORTED_GPU", "grep -v compat"
    ),
    red("cuInit says 999, unknown", no_cuda(999), "CUD001", "UVM_MODULE_BROKEN", "nvidia-modprobe"),
    red("cuInit says a code that nobody knows", no_cuda(4242), "CUD001", "CUDA_INIT_FAILED", "4242"),
    red(
        "CUDA starts and shows no device",
        each(no_cuda(0), stub(STUB_CUDA_GPUS="0"), in_container),
        "CUD001",
        "CONTAINER_WITHOUT_GPU",
    ),
    open_question("CUDA and NVML name different capabilities", stub(STUB_CAPABILITY="75"), "CUD001", "7.5", "8.9"),
]

#: The limit is that of nvidia-smi, 10 s, with the factor of `short`.
SMI = [
    ill_smi("hangs", "exec sleep 1000", "did not answer within 0.5 s", limit=0.5),
    ill_smi(
        "ignores SIGTERM and leaves a child with the pipe",
        "trap '' TERM INT HUP\nsleep 1000 &\nsleep 1000\nsleep 1000",
        "did not answer",
        limit=0.5,
    ),
    ill_smi("ends and leaves a child with the pipe", "sleep 1000 &\necho no devices", "no devices"),
    ill_smi("prints garbage", "head -c 5000 /bin/sh"),
    ill_smi("prints no UTF-8", "printf '\\377\\376\\033[31m oops'", "oops"),
    ill_smi("has the banner of R610", f"case $* in *--query*) exit 1;; esac\necho '{NEW_BANNER}'", "610.43.02"),
    ill_smi("prints without end", "exec yes no devices", "no devices"),
    ill_smi("crashes", "kill -SEGV $$", "said nothing"),
    without_nvml("nvidia-smi may not be run, without NVML", smi_may_not_run),
    without_nvml("nvidia-smi is a folder, without NVML", smi_is_a_folder),
    without_nvml("nvidia-smi is missing, without NVML", no_smi),
    proven(
        hangs("nvidia-smi"),
        green(
            "nvidia-smi hangs and NVML answers",
            smi("exec sleep 1000"),
            "it is not asked where NVML has told the version",
        ),
    ),
]

FAULTS = [*LIBRARY, *STARTING, *GPUS, *CUDA_ROWS, *SMI]
