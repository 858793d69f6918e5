"""Containers and the toolkit that gives them their GPUs."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.row import NVIDIA, REPORTS, VLLM, Signature

_TOOLKIT_VERSION = (
    "nvidia-ctk --version",
    "sudo apt-get update && sudo apt-get install -y nvidia-container-toolkit libnvidia-container1",
    "sudo systemctl restart docker",
)

ROWS: tuple[Signature, ...] = (
    Signature(
        "CONTAINER_REQUIRES_NEWER_CUDA",
        r"unsatisfied condition: (cuda|driver|brand)|requirement error: (unsatisfied|invalid)"
        r"|please update your driver to a newer version, or use an earlier cuda container",
        "the image asks for a newer CUDA than the host's driver offers",
        "Install a newer driver on the host, or take an older image.",
        ("nvidia-smi",),
        "reboot",
        NVIDIA,
    ),
    Signature(
        "CONTAINER_TOOLKIT_MISSING",
        r"could not select device driver|unknown (or invalid )?runtime (name: |specified )\W?nvidia"
        r"|unresolvable CDI devices"
        r"|nvidia-container-(cli|runtime|toolkit).{0,40}not found|nvidia-ctk: (command )?not found"
        r"|fork/exec \S*nvidia-container-\S+: no such file|stat nvidia\.com/gpu=\w+: no such file"
        r"|no runtime for .?nvidia.? is configured|RuntimeHandler .?nvidia.? not supported"
        r"|did you configure the NVIDIA Container Toolkit|discover GPU vendor from CDI"
        r"|unknown flag: --gpus",
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
        r"|unable to find any existing device filters attached to the cgroup|failed to add device rules"
        r"|failed to get device cgroup mount path|no cgroup filesystem mounted for the devices"
        r"|nvidia-container-\w+: unrecognized option"
        r"|\bnvidia-frontend\b.{0,60}(not found|no such|missing|fail)|(not find|fail).{0,60}\bnvidia-frontend\b",
        "the container toolkit is too old for the control groups or the driver of this host",
        "Install the newest container toolkit, with its libnvidia-container, and start Docker again.",
        _TOOLKIT_VERSION,
        "install",
        NVIDIA,
        sure="likely",
    ),
    # NVIDIA/nvidia-docker issue 1551: the files were there when the image was committed or built.
    Signature(
        "CONTAINER_IMAGE_BUNDLES_DRIVER",
        r"file creation failed: \S*(lib(nvidia|cuda)\S*|/nvidia-\w+): file exists"
        r"|\blib(cuda|nvidia-ml)\.so\S*: (file exists|file too short)",
        "the image brings files of a driver where the toolkit puts those of the host",
        "Take them out of the image, or build it anew without a driver.",
        ("docker run --rm IMAGE sh -c 'ls -l /usr/lib/*/libcuda.so* /usr/lib/*/libnvidia-*'",),
        "install",
        "NVIDIA/nvidia-docker issue 1551",
    ),
    # LIBCUDA: triton's driver.py, where libcuda.so.1 lies beside it.
    Signature(
        "LIBCUDA_DEV_LINK_MISSING",
        r"Please create a symlink of libcuda\.so|libcuda.so cannot found.{0,9}Possible files",
        "triton finds libcuda.so.1 and not in the loader's list",
        "Let the loader know its folder.",
        ("ldconfig -p | grep libcuda; sudo ldconfig", "export TRITON_LIBCUDA_PATH=/usr/lib/x86_64-linux-gnu"),
        "setting",
        "triton's source",
    ),
    Signature(
        "CONTAINER_WITHOUT_GPU",
        r"Failed to infer device type|Found no NVIDIA driver|libcuda\.so\.1.{0,60}(cannot|not found)"
        r"|no GPU was found in the container|libnvidia-ml\.so\.1.{0,40}(cannot open|not found)"
        r"|libcuda\.so cannot found|WSL environment detected but no adapters were found",
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
        r"Failed to initialize NVML: Unknown Error|NVMLError_Unknown|NVML.{0,20}Unknown Error|NVML_ERROR_UNKNOWN"
        r"|/dev/nvidia(ctl|\d|-uvm)\b.{0,40}(operation not permitted|\bEPERM\b)"
        r"|operation not permitted\W{1,3}/dev/nvidia",
        "the container lost its GPUs (a reload of systemd takes them away)",
        "Restart the container; for good, give it the device nodes or let Docker use cgroupfs.",
        ("docker restart CONTAINER",),
        "restart",
        NVIDIA,
        sure="likely",
        in_warnings=True,
    ),
    Signature(
        "CONTAINER_REQUIRES_NEWER_CUDA",
        r"\b(image|container)\b.{0,20}\b(requires?|needs?|asks for|wants) (at least )?(a )?CUDA ?"
        r"(version )?(>= ?)?1\d(\.\d)?( ?\+| or (newer|later|higher|above|greater)|.{0,20}\b(but|while)\b)",
        "the image asks for a newer CUDA than the host's driver offers",
        "Install a newer driver on the host, or take an older image.",
        ("nvidia-smi",),
        "reboot",
        REPORTS,
        sure="likely",
    ),
    # The start script of NVIDIA's images; it goes on and says so as an error. Some of them run all the same.
    Signature(
        "CONTAINER_REQUIRES_NEWER_CUDA",
        r"container was built for NVIDIA Driver Release \d|was detected and compatibility mode is UNAVAILABLE",
        "the image was built for a newer driver than the host's",
        "Install a newer driver on the host, or take an older image.",
        ("nvidia-smi",),
        "reboot",
        NVIDIA,
        sure="likely",
    ),
    Signature(
        "CONTAINER_WITHOUT_GPU",
        r"NVIDIA Driver was not detected|No supported GPU\(s\) detected to run this container",
        "the image's start script sees no driver: the container was started without GPUs",
        "Start the container with its GPUs; on a bare machine, install the driver.",
        ("nvidia-smi", "docker run --rm --gpus all IMAGE nvidia-smi"),
        "restart",
        NVIDIA,
        sure="likely",
        in_warnings=True,
    ),
    Signature(
        "CONTAINER_WITHOUT_GPU",
        r"NVML Shared Library Not Found|NVMLError_LibraryNotFound|NVML_ERROR_LIBRARY_NOT_FOUND"
        r"|nvidia-smi['\"]?: (command not found|not found|executable file not found)"
        r"|couldn't find libnvidia-ml\.so library|No supported device detected"
        r"|GPU access blocked by the operating system"
        r"|Unable to detect a GPU in the container"
        r"|no (compatible|usable) (NVIDIA )?GPUs? (were|was) (discovered|found)",
        "the driver's own library or tool is not there, as in a container that was started without GPUs",
        "Start the container with its GPUs; on a bare machine, install the driver; under WSL restart it.",
        ("nvidia-smi", "docker run --rm --gpus all IMAGE nvidia-smi"),
        "restart",
        REPORTS,
        sure="hint",
    ),
    # Kubernetes: the scheduler, and the kubelet's admission.
    Signature(
        "CONTAINER_WITHOUT_GPU",
        r"\bInsufficient nvidia\.com/(gpu|mig)|devices unavailable for nvidia\.com/"
        r"|allocate unhealthy devices nvidia\.com/"
        r"|no healthy devices present.{0,60}nvidia\.com/",
        "no node offers the GPUs that this pod asks for: they are taken, or the device plugin offers none",
        "See what the nodes offer, and whether the device plugin runs.",
        ("kubectl describe nodes | grep -A9 Allocatable", "kubectl get pods -A | grep nvidia-device-plugin"),
        "setting",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "CONTAINER_GPU_CGROUP_LOST",
        r"initialize NVML: Insufficient Permissions|NVMLError_NoPermission(?!.*MIG)",
        "the container may not open the GPU's device nodes",
        "Give it the device nodes, or start it anew with its GPUs.",
        ("ls -l /dev/nvidia*", "docker restart CONTAINER"),
        "restart",
        NVIDIA,
        sure="hint",
    ),
    Signature(
        "CUDA_VISIBLE_DEVICES_HIDES_GPUS",
        r"nvidia-container-cli: device error: .{0,80}unknown device",
        "the container asks for a GPU that this machine does not have",
        "Name GPUs that nvidia-smi -L shows in --gpus and NVIDIA_VISIBLE_DEVICES.",
        ("nvidia-smi -L", "docker run --rm --gpus all IMAGE nvidia-smi -L"),
        "restart",
        NVIDIA,
        sure="likely",
    ),
)
