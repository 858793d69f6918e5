"""The machine under the engine: kernel module, container, system libraries, disk, limits."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.row import NVIDIA, REPORTS, TORCH, VLLM, Signature

SHM_COMMANDS = ("df -h /dev/shm", "docker run --gpus all --ipc=host IMAGE")

#: Spoken of, and not as something that is off.
_SECURE_BOOT = (
    r"(?<!no )(?<!not )(?<!off )(?<!without )(?<!disabled )(?<!disabling )(?<!disable )"
    r"secure ?boot(?!\W{1,3}(?:\w+\W{1,3}){0,3}?(?:disabled|off|not|no|false)\b)|\bMOK\b"
)

_TOOLKIT_VERSION = (
    "nvidia-ctk --version",
    "sudo apt-get update && sudo apt-get install -y nvidia-container-toolkit libnvidia-container1",
    "sudo systemctl restart docker",
)

ROWS: tuple[Signature, ...] = (
    Signature(
        "CONTAINER_REQUIRES_NEWER_CUDA",
        r"unsatisfied condition: (cuda|driver|brand)|requirement error: unsatisfied",
        "the image asks for a newer CUDA than the host's driver offers",
        "Install a newer driver on the host, or take an older image.",
        ("nvidia-smi",),
        "reboot",
        NVIDIA,
    ),
    Signature(
        "NVML_DRIVER_LIBRARY_MISMATCH",
        r"driver/library version mismatch|NVML_ERROR_LIB_RM_VERSION_MISMATCH",
        "the driver was updated and its old kernel module still runs",
        "Load the new module, or reboot.",
        ("sudo reboot",),
        "reboot",
        NVIDIA,
        in_warnings=True,
    ),
    Signature(
        "CONTAINER_TOOLKIT_MISSING",
        r"could not select device driver|unknown or invalid runtime name: nvidia|unresolvable CDI devices"
        r"|nvidia-container-(cli|runtime).{0,40}not found",
        "Docker was not told of the NVIDIA container toolkit",
        "Install the toolkit, configure Docker with it and restart Docker.",
        ("sudo nvidia-ctk runtime configure --runtime=docker", "sudo systemctl restart docker"),
        "install",
        NVIDIA,
    ),
    # NVIDIA/nvidia-container-toolkit issue 520: CUDA_ERROR_NOT_FOUND as CUDA starts, not as it looks for a kernel.
    Signature(
        "CONTAINER_TOOLKIT_TOO_OLD",
        r"\bError 500: named symbol not found|driver library init failure: 500\b"
        r"|\b(cuInit|cudaGetDeviceCount|initiali[sz]ation|initializing CUDA)\b.{0,200}"
        r"(CUDA_ERROR_NOT_FOUND|named symbol not found)",
        "CUDA misses a part of the driver as it starts, as in a container under WSL2 by a container toolkit that is "
        "older than the driver",
        "Update Docker Desktop (from 4.31 on), or the container toolkit (from 1.14.4 on) inside of WSL.",
        _TOOLKIT_VERSION,
        "install",
        "NVIDIA/nvidia-container-toolkit issue 520",
        sure="likely",
        in_warnings=True,
    ),
    # NVIDIA/nvidia-docker issues 1447 and 1660, libnvidia-container 158, nvidia-container-toolkit 1200.
    Signature(
        "CONTAINER_TOOLKIT_TOO_OLD",
        r"cgroup subsystem devices not found|unable to create cgroupv\d interface"
        r"|unable to find any existing device filters attached to the cgroup"
        r"|\bnvidia-frontend\b.{0,60}(not found|no such|missing|fail)|(not find|fail).{0,60}\bnvidia-frontend\b",
        "the container toolkit is too old for the control groups or the driver of this host",
        "Install the newest container toolkit, with its libnvidia-container, and start Docker again.",
        _TOOLKIT_VERSION,
        "install",
        NVIDIA,
        sure="likely",
    ),
    Signature(
        "CONTAINER_WITHOUT_GPU",
        r"Failed to infer device type|libcuda\.so\.1.{0,60}(cannot|not found)"
        r"|no GPU was found in the container|NVIDIA Driver was not detected",
        "the engine finds neither a GPU nor its driver, as in a container that was started without GPUs",
        "Start the container with its GPUs; on a bare machine, install the driver.",
        ("nvidia-smi", "docker run --rm --gpus all IMAGE nvidia-smi"),
        "restart",
        VLLM,
        sure="likely",
        ends_start=True,
    ),
    Signature(
        "CONTAINER_GPU_CGROUP_LOST",
        r"Failed to initialize NVML: Unknown Error|NVMLError_Unknown|NVML.{0,20}Unknown Error",
        "the container lost its GPUs (a reload of systemd takes them away)",
        "Restart the container; for good, give it the device nodes or let Docker use cgroupfs.",
        ("docker restart CONTAINER",),
        "restart",
        NVIDIA,
        sure="likely",
        in_warnings=True,
    ),
    Signature(
        "SECURE_BOOT_BLOCKS_MODULE",
        r"Key was rejected by service|Required key not available|module verification failed.{0,40}nvidia"
        r"|Loading of unsigned module is rejected",
        "Secure Boot refuses the NVIDIA module, which is not signed with a known key",
        "Enrol the key of the module, or turn Secure Boot off.",
        ("mokutil --sb-state", "sudo mokutil --import /var/lib/shim-signed/mok/MOK.der"),
        "reboot",
        REPORTS,
    ),
    Signature(
        "NOUVEAU_OR_NOVA_HOLDS_GPU",
        r"\bnouveau\b|\bnova[_-]?core\b",
        "another driver (nouveau) holds the GPU",
        "Keep nouveau from loading, then reboot.",
        ("echo 'blacklist nouveau' | sudo tee /etc/modprobe.d/blacklist-nouveau.conf", "sudo update-initramfs -u"),
        "reboot",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "KERNEL_MODULE_NOT_BUILT",
        r"Module nvidia not found|nvidia.{0,30}not found in (directory )?/lib/modules"
        r"|Error! Bad return status for module|\bdkms\b.{0,60}(fail|error|bad exit)"
        r"|Your kernel headers for kernel .* cannot be found",
        "there is no NVIDIA module for the running kernel",
        "Install the kernel's headers and build the module again.",
        ("sudo apt install linux-headers-$(uname -r)", "sudo dkms autoinstall"),
        "reboot",
        REPORTS,
    ),
    Signature(
        "KERNEL_MODULE_FLAVOUR_WRONG",
        r"not supported by open nvidia|requires use of the NVIDIA open kernel modules|not supported by the NVIDIA open",
        "the NVIDIA module is of the flavour (open or proprietary) that does not drive this GPU",
        "Install the driver's other flavour.",
        ("sudo dmesg | grep NVRM | tail", "cat /proc/driver/nvidia/version"),
        "reboot",
        NVIDIA,
    ),
    Signature(
        "BIOS_BAR_SETTINGS",
        r"PCI I/O region assigned to your NVIDIA device is invalid|BAR \d.{0,40}(no space|failed to assign"
        r"|can't assign)",
        "the BIOS gave the GPU no room for its memory window",
        "Turn on Above 4G Decoding and Resizable BAR in the BIOS.",
        ("sudo dmesg | grep -i -E 'nvrm|BAR' | tail",),
        "reboot",
        NVIDIA,
    ),
    Signature(
        "DRIVER_DROPPED_GPU",
        r"supported through the NVIDIA \S+ Legacy|\d{3}\.xx Legacy driver|driver .{0,40}ignores .{0,20}GPU"
        r"|NVRM: .{0,80}not supported by this",
        "the installed driver no longer supports this GPU",
        "Install the legacy driver that the kernel's log names.",
        ("sudo dmesg | grep NVRM | tail",),
        "reboot",
        NVIDIA,
    ),
    Signature(
        "SECURE_BOOT_BLOCKS_MODULE",
        rf"({_SECURE_BOOT}).{{0,300}}couldn't communicate with the NVIDIA driver"
        rf"|couldn't communicate with the NVIDIA driver.{{0,300}}({_SECURE_BOOT})",
        "the NVIDIA module is not loaded, and Secure Boot is spoken of",
        "See what the kernel says of the module.",
        ("mokutil --sb-state", "sudo modprobe nvidia", "sudo dmesg | grep -i nvidia | tail"),
        "reboot",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "KERNEL_MODULE_NOT_BUILT",
        r"couldn't communicate with the NVIDIA driver",
        "the NVIDIA module is not loaded: not built for this kernel, as after an update, or refused by Secure Boot",
        "Install the headers of the running kernel and build the module again; then see what the kernel says of it.",
        (
            "sudo modprobe nvidia; sudo dmesg | grep -i nvidia | tail; mokutil --sb-state",
            "sudo apt install linux-headers-$(uname -r) && sudo dkms autoinstall",
        ),
        "reboot",
        REPORTS,
        sure="hint",
    ),
    # A shell that looks for ":/usr/local/cuda/bin/nvcc" shows a variable with a colon in it.
    Signature(
        "CUDA_HOME_INVALID",
        r"(^|[\s'\"])(/[^\s'\":]*(?<!sh))?:/\S*/bin/nvcc['\"]?: (not found|No such file)",
        "CUDA_HOME holds a colon: it names one folder, and is no list of them",
        "Set it to the folder of the toolkit, or unset it.",
        ("env | grep CUDA_HOME", "unset CUDA_HOME"),
        "setting",
        TORCH,
    ),
    Signature(
        "WSL_LIBCUDA_STUB",
        r"libcuda\.so: cannot open shared object|/usr/lib/wsl/lib.{0,80}(not a symbolic link|cannot|fail)",
        "there is no libcuda.so, only libcuda.so.1 (as under WSL)",
        "Make the link, or put WSL's folder into the loader's path.",
        ("export LD_LIBRARY_PATH=/usr/lib/wsl/lib:$LD_LIBRARY_PATH",),
        "setting",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "LIBCUDA_DEV_LINK_MISSING",
        r"cannot find -lcuda\b|ld: .*-lcuda\b",
        "the linker finds no libcuda.so",
        "Put the driver's library into the linker's path.",
        ("ldconfig -p | grep libcuda", "export LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:$LIBRARY_PATH"),
        "setting",
        REPORTS,
    ),
    Signature(
        "LIBSTDCXX_TOO_OLD",
        r"GLIBCXX_\S+.{0,3} not found|CXXABI_\S+.{0,3} not found",
        "the C++ library that is loaded first is too old",
        "Put a newer libstdc++ first in the loader's path (in conda: install libstdcxx-ng).",
        ("conda install --yes --channel conda-forge libstdcxx-ng",),
        source=REPORTS,
    ),
    Signature(
        "GLIBC_TOO_OLD",
        r"GLIBC_\S+.{0,3} not found",
        "a binary package needs a newer C library than this system has",
        "Use a newer system or the engine's container.",
        ("ldd --version",),
        "reboot",
        REPORTS,
    ),
    Signature(
        "OS_UNSUPPORTED_BY_ENGINE",
        r"No module named 'uvloop'|uvloop.{0,60}(Windows|missing)|(does not|doesn't"
        r"|not) support(ed)?( on)?( native)? Windows"
        r"|No CUDA runtime is found, using CUDA_HOME='[A-Z]:\\",
        "the engine does not run on Windows itself",
        "Run it in WSL2 or in the engine's container.",
        ("wsl --install",),
        "install",
        REPORTS,
        sure="likely",
        in_warnings=True,
    ),
    Signature(
        "SHM_TOO_SMALL",
        r"ncclShmOpen|extend /dev/shm|shm_open.{0,40}(fail|error)|/dev/shm.{0,60}(too small|insufficient|no space"
        r"|full|Error)"
        r"|\bSIGBUS\b"
        r"|\bBus error\b|insufficient shared memory|NCCL.{0,40}shared memory.{0,40}(fail|insufficient)"
        r"|Error while (creating|attaching to) shared memory segment"
        r"|unable to (mmap|allocate|open) shared memory(?!.*Too many open files)"
        # Python names its segments so (multiprocessing/shared_memory.py), torch its files (MapAllocator).
        r"|No space left on device: '/psm_\w+'|unable to (write to|resize) file </torch_\w+>",
        "the shared memory of this container (/dev/shm) is too small",
        "Start the container with more shared memory.",
        SHM_COMMANDS,
        "restart",
        TORCH,
        sure="likely",
        ends_start=True,
    ),
    # Locks and segments of processes lie in /dev/shm: Python's error names no file.
    Signature(
        "SHM_TOO_SMALL",
        r"OSError: \[Errno 28\] No space left on device$",
        "there is no room for what the processes share: the shared memory of this container (/dev/shm) is full",
        "Start the container with more shared memory.",
        SHM_COMMANDS,
        "restart",
        "Python's multiprocessing",
        sure="likely",
        ends_start=True,
        after=r"_multiprocessing\.SemLock\(|_posixshmem\.shm_open\(|storage\._share_(fd|filename)_",
    ),
    Signature(
        "DISK_FULL",
        r"No space left on device|Disk quota exceeded|\bENOSPC\b|\[Errno (28|122)\]|os error (28|122)\b"
        r"|not enough (free )?disk space|Not enough free disk"
        r"|\bquota\b.{0,20}\b(exceeded|used up|full|reached)",
        "the disk is full",
        "Free space where the temporary files and the weights go.",
        ('df -h "${TMPDIR:-/tmp}" "${HF_HOME:-$HOME}"',),
        "setting",
        REPORTS,
    ),
    Signature(
        "SLOW_MODEL_STORAGE",
        r"(load(ing|s)?|from_pretrained|read(ing|s)?)\b.{0,40}\btakes? (.{0,12}\bminutes|\d+ ?min|\d+ m\b|very long"
        r"|long)"
        r"|\btakes? (\d+ ?(min|m\b)|.{0,12}\bminutes|\d+ ?h\b|hours).{0,20} to load",
        "reading the weights takes very long, as from a network disk",
        "Copy the model to a local disk and start from there.",
        ("df -T {folder}",),
        "setting",
        REPORTS,
        sure="hint",
    ),
    Signature(
        "MEMLOCK_LIMIT_LOW",
        # ibv_reg_dmabuf_mr is not meant: it registers memory of the GPU, which this limit does not count.
        r"max locked memory|RLIMIT_MEMLOCK|ulimit -l\b|Cannot allocate memory.{0,40}(ibv_|mlock)|mlock.{0,40}fail"
        r"|ibv_reg_mr(_iova2?)?\b.{0,40}Cannot allocate memory",
        "the limit of locked memory is too low for RDMA or pinned memory",
        "Raise it for the service or the container.",
        ("ulimit -l unlimited", "docker run --ulimit memlock=-1 IMAGE"),
        "restart",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "NOFILE_LIMIT_LOW",
        r"Too many open files|can't start new thread|Resource temporarily unavailable|pthread_create failed",
        "the limit of open files or of processes is too low",
        "Raise it for the shell, the service or the container.",
        ("ulimit -n 65535", "ulimit -u"),
        "setting",
        REPORTS,
        sure="likely",
    ),
)
