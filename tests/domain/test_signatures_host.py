"""The words of the host and of its GPUs: over several lines, as warnings, and those of machines on which all is well."""

from __future__ import annotations

import pytest

from autoglm_doctor.domain.signatures import symptoms_of

SEVERAL = [
    pytest.param(
        "NVRM:  driver.  The 590.44.01 NVIDIA driver will ignore\nNVRM:  this GPU.  Continuing probe...",
        "DRIVER_DROPPED_GPU",
        id="driver dropped gpu: NVRM driver. The . .",
    ),
    pytest.param(
        "NVRM: The NVIDIA GPU 0000:01:00.0 (PCI ID: 10de:1b06)\nNVRM: installed in this system is not supported by the NVIDIA 590.48.01 driver release.",
        "DRIVER_DROPPED_GPU",
        id="driver dropped gpu: NVRM The NVIDIA GPU .",
    ),
    pytest.param(
        "NVRM: installed in this system is not supported by the\nNVRM: NVIDIA 590.48.01 driver release.",
        "DRIVER_DROPPED_GPU",
        id="driver dropped gpu: NVRM installed in this system",
    ),
    pytest.param(
        "WARNING: The NVIDIA GPU at PCI:1:0:0 is supported through the 470.xx legacy driver",
        "DRIVER_DROPPED_GPU",
        id="driver dropped gpu: WARNING The NVIDIA GPU at",
    ),
    pytest.param(
        "WARNING: You do not appear to have an NVIDIA GPU supported by the 590.48.01 NVIDIA Linux graphics driver installed in this system.",
        "DRIVER_DROPPED_GPU",
        id="driver dropped gpu: WARNING You do not appear",
    ),
    pytest.param(
        "dpkg: error processing package nvidia-dkms-580-open (--configure):\n installed nvidia-dkms-580-open package post-installation script subprocess returned error exit status 10",
        "KERNEL_MODULE_NOT_BUILT",
        id="kernel module not built: dpkg error processing package nvidia",
    ),
    pytest.param(
        "ERROR: Unable to load the kernel module 'nvidia.ko'.  This happens most frequently when this kernel module was built against the wrong or improperly configured kernel sources",
        "KERNEL_MODULE_NOT_BUILT",
        id="kernel module not built: ERROR Unable to load the",
    ),
    pytest.param(
        'ERROR: An error occurred while performing the step: "Building kernel modules". See /var/log/nvidia-installer.log for details.',
        "KERNEL_MODULE_NOT_BUILT",
        id="kernel module not built: ERROR An error occurred while",
    ),
    pytest.param(
        "ERROR: Unable to find the kernel source tree for the currently running kernel. Please make sure you have installed the kernel source files for your kernel",
        "KERNEL_MODULE_NOT_BUILT",
        id="kernel module not built: ERROR Unable to find the",
    ),
    pytest.param(
        "ERROR: The kernel module failed to build",
        "KERNEL_MODULE_NOT_BUILT",
        id="kernel module not built: ERROR The kernel module failed",
    ),
    pytest.param(
        "ERROR: (dkms apport): kernel package linux-headers-6.17.9-76061709-generic is not supported",
        "KERNEL_MODULE_NOT_BUILT",
        id="kernel module not built: ERROR dkms apport kernel package",
    ),
    pytest.param(
        "NVRM: installed in this system is not supported by open\nNVRM: nvidia.ko because it does not include the required GPU\nNVRM: System Processor (GSP).",
        "KERNEL_MODULE_FLAVOUR_WRONG",
        id="kernel module flavour wrong: NVRM installed in this system",
    ),
    pytest.param(
        "ERROR: The signed kernel module failed to load, because the kernel does not trust any key which is capable of verifying the module signature.",
        "SECURE_BOOT_BLOCKS_MODULE",
        id="secure boot blocks module: ERROR The signed kernel module",
    ),
    pytest.param(
        "ERROR: This container was built for NVIDIA Driver Release 560.35 or later, but\n       version 535.183.01 was detected and compatibility mode is UNAVAILABLE.",
        "CONTAINER_REQUIRES_NEWER_CUDA",
        id="container requires newer cuda: ERROR This container was built",
    ),
    pytest.param(
        "WARNING: The NVIDIA Driver was not detected.  GPU functionality will not be available.\n   Use the NVIDIA Container Toolkit to start this container with GPU support",
        "CONTAINER_WITHOUT_GPU",
        id="container without gpu: WARNING The NVIDIA Driver was",
    ),
    pytest.param(
        "WARNING: No supported GPU(s) detected to run this container",
        "CONTAINER_WITHOUT_GPU",
        id="container without gpu: WARNING No supported GPU s",
    ),
    pytest.param(
        "Possible solutions:\n1. set --mem-fraction-static to a smaller value (e.g., 0.8 or 0.7)",
        "KV_CACHE_TOO_SMALL",
        id="kv cache too small: Possible solutions . set mem",
    ),
    pytest.param(
        "ERROR:torch.distributed.elastic.multiprocessing.api:failed (exitcode: -9) local_rank: 0 (pid: 4242)",
        "RAM_TOO_SMALL",
        id="ram too small: ERROR torch.distributed.elastic.multiprocessing.api failed exitcode local",
    ),
    pytest.param(
        "ERROR : Arch conditional MMA instruction used without targeting appropriate compute capability. Aborting.",
        "GPU_ARCH_NOT_IN_WHEEL",
        id="gpu arch not in wheel: ERROR Arch conditional MMA instruction",
    ),
    pytest.param(
        "WARNING: Detected NVIDIA GeForce RTX 5090 GPU, which is not yet supported in this version of the container",
        "GPU_ARCH_NOT_IN_WHEEL",
        id="gpu arch not in wheel: WARNING Detected NVIDIA GeForce RTX",
    ),
    pytest.param(
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),global_oom,task_memcg=/user.slice/user-0.slice,task=python3",
        "RAM_TOO_SMALL",
        id="the machine's memory, although the process has a group",
    ),
    pytest.param(
        "WARNING 11-20 12:00:00 [x.py:1] No available shared memory broadcast block found in 60 seconds\n"
        "TimeoutError: RPC call to execute_model timed out.",
        "P2P_BROKEN_ACS_IOMMU",
        id="workers that wait",
    ),
    pytest.param(
        "RuntimeError: Data processing error: CAS service error : IO Error: No space left on device (os error 28)",
        "DISK_FULL",
        id="a full disk, told by the hub's client",
    ),
    pytest.param(
        "docker: nvidia-container-cli: device error: GPU-8d3c: unknown device: unknown.",
        "CUDA_VISIBLE_DEVICES_HIDES_GPUS",
        id="a GPU that is not there, asked for by a container",
    ),
    pytest.param(
        "  device_id_to_physical_device_id\nValueError: invalid literal for int() with base 10: ''",
        "CUDA_VISIBLE_DEVICES_HIDES_GPUS",
        id="an empty list of GPUs",
    ),
]


@pytest.mark.parametrize(("text", "cause"), SEVERAL)
def test_words_over_several_lines_and_warnings(text: str, cause: str) -> None:
    assert next(s.signature.cause for s in symptoms_of([text])) == cause


QUIET = {
    "a module that was signed by nobody, and loaded": "nvidia: module verification failed: signature and/or required key missing - tainting kernel",
    "a module that was loaded": "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:16:36 UTC 2025",
    "a module that was built": "nvidia/580.65.06, 6.8.0-45-generic, x86_64: installed",
    "another module that is not there": "modprobe: FATAL: Module nvidia-fs not found in directory /usr/lib/firmware",
    "Secure Boot, no more": "SecureBoot enabled",
    "the driver in its place": "Kernel driver in use: nvidia",
    "an IPv6 address that is not there": "[W1021 09:11:19.101 socket.cpp:752] [c10d] The client socket has failed to connect to [localhost]:51633 (errno: 97 - Address family not supported by protocol).",
    "a fabric manager without NVSwitches": "request to query NVSwitch device information from NVSwitch driver failed with error:WARNING Nothing to do [NV_WARN_NOTHING_TO_DO]\nnvidia-fabricmanager.service: Control process exited, code=exited, status=1/FAILURE",
    "a program's own fault on bus 79": "NVRM: Xid (PCI:0000:79:00): 31, pid=4242, name=python3, Ch 00000010, MMU Fault",
    "a program's own fault on bus 61": "NVRM: Xid (PCI:0000:61:00): 13, pid=4242, Graphics SM Warp Exception",
    "a node with room": "  DiskPressure     False   KubeletHasNoDiskPressure   kubelet has no disk pressure",
    "compatibility that works": "NOTE: CUDA Forward Compatibility mode ENABLED.",
    "an image that is older than the GPU, and runs": "WARNING: Detected NVIDIA GB10 GPU, which may not yet be supported in this version of the container",
    "a bridge without input and output ports": "pci 0000:00:1c.0: BAR 13: no space for [io  size 0x1000]",
    "a slot without input and output ports": "pci 0000:05:00.0: BAR 5: [io  size 0x0080]: can't assign; no space",
    "a disk that sleeps": "nvme 0000:01:00.0: Unable to change power state from D3cold to D0, device inaccessible",
    "a variable that is set": "export NCCL_P2P_DISABLE=1",
    "a number of GPUs": "cudaGetDeviceCount() = 3",
    "GPUs that are counted": "cudaGetDeviceCount: 3",
    "a C library": "ldd (Ubuntu GLIBC 2.35-0ubuntu3.8) 2.35",
    "slices that are listed": "  MIG 1g.10gb     Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)",
    "the hub answers": 'HTTP Request: GET https://huggingface.co/api/models/x "HTTP/1.1 200 OK"',
    "the hub is asked again": "huggingface.co: 429 Too Many Requests. Retrying in 1s",
    "weights within a minute": "Loading weights took 58.31 seconds",
    "weights within three minutes": "Loading weights took 178.31 seconds",
    "blocks of V0": "# GPU blocks: 4012, # CPU blocks: 2048",
    "room for a context": "Available KV cache memory: 12.31 GiB",
    "a toolkit that is there": "nvidia-container-toolkit is already the newest version (1.17.8-1).",
    "no copies between GPUs, which the engine knows": "Custom allreduce is disabled because your platform lacks GPU P2P capability or P2P test failed. To silence this warning, specify disable_custom_all_reduce=True explicitly.",
    "segments that are not there": "UserWarning: expandable_segments not supported on this platform (Triggered internally at CUDAAllocatorConfig.h:28.)",
    "a server that still loads": "GET /health HTTP/1.1 503 Service Unavailable",
    "processes that ended well": "all workers exited with exit code: 0",
    "a torch with CUDA": "PyTorch version: 2.8.0+cu128",
    "peers of Gloo": "[Gloo] Rank 0 is connected to 0 peer ranks. Expected number of connected peer ranks is : 0",
    "an autotuner's attempt": "Runtime error during autotuning: No valid triton configs. OutOfMemoryError: out of resource: triton_mm Required: 131072 Hardware limit:101376",
    "a fork that was refused": "RuntimeError: Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you must use the 'spawn' start method",
    "float16 by itself": "Compute capability below sm80. Use float16 due to lack of bfloat16 support. Falling back to float16.",
    "locked memory that llama.cpp does without": "warning: failed to mlock 1048576-byte buffer (after previously locking 0 bytes): Cannot allocate memory",
    "a port": "Uvicorn running on http://0.0.0.0:8000",
    "pages of a process": "memory: usage of 33 GiB",
    "Ray with shared memory": "Started a local Ray instance with 64 GiB of /dev/shm",
    "a list of capabilities": "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120",
}


@pytest.mark.parametrize("text", QUIET.values(), ids=QUIET.keys())
def test_healthy_hosts_are_no_symptom(text: str) -> None:
    assert [(s.signature.cause, s.line) for s in symptoms_of([text])] == []
