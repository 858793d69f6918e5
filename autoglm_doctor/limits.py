"""Every time limit of the doctor, in seconds: the one table. `--timeout` multiplies those of probes and tools."""

from __future__ import annotations

#: How long each probe may take before it is killed. NVML is slow without persistence mode (seen: 20 s on eight GPUs),
#: `import torch` from a cold network disk as well, and even a bare Python may then take more than ten.
PROBE_SECONDS = {
    "machine": 10.0,
    "nvml": 60.0,
    "storage": 10.0,
    "interpreter": 30.0,
    "packages": 30.0,
    "kernels": 20.0,
    "toolchain": 20.0,
    "model": 30.0,
    "cuda": 60.0,
    "disk": 20.0,
    "load": 900.0,
    "serving": 2700.0,
    "download": 4 * 3600.0,
}

#: One call of nvidia-smi, within the limit of the probe `nvml`. Only made when NVML does not tell the version.
NVIDIA_SMI_SECONDS = 10.0

#: One `--version` of a compiler, within the limit of the probe `toolchain`, which asks two.
COMPILER_SECONDS = 5.0

#: How much of the final stage's limit its own measurements may use; the rest is for importing and loading.
FINAL_STAGE_SECONDS = 600.0

#: How long a server may take until it answers (70 GB from a network disk, compiling, graphs), and asking and measuring
#: it; both within the limit of the probe `serving`.
SERVER_START_SECONDS = 1800.0
SERVER_MEASURE_SECONDS = 240.0

#: A server that must end because we were told to gets so long before it is killed, within GRACE_SECONDS.
FAREWELL_SECONDS = 3.0

#: Making and removing the folder for scratch files, in each place that is tried.
SCRATCH_SECONDS = 3.0

#: Looking for the deployment's Python on PATH, which may lead through a mount whose server is gone.
SEARCH_SECONDS = 10.0

#: One check, in seconds of CPU time: checks only compare, so that more is an endless loop.
CHECK_CPU_SECONDS = 5.0

#: How long a killed process group may take to be gone before it is abandoned.
REAP_SECONDS = 2.0

#: How long the nursery may take to fork a child (its own start from a cold disk is part of the first time), and to
#: leave by itself before it is killed; it waits less for children that it kills.
FORK_SECONDS = 5.0
LEAVE_SECONDS = 0.6
NURSERY_REAP_SECONDS = 0.3

#: From Ctrl-C to the end of the report. What takes longer (a terminal that takes no output) is cut off.
GRACE_SECONDS = 5.0
