"""The machine under the engine: system libraries, disk, limits."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.row import REPORTS, TORCH, Signature

SHM_COMMANDS = ("df -h /dev/shm", "docker run --gpus all --ipc=host IMAGE")

ROWS: tuple[Signature, ...] = (
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
        r"(?<!cannot find )libcuda\.so: cannot open shared object|libcuda\.so(\.1)?\b.{0,40}/usr/lib/wsl/lib"
        r"|/usr/lib/wsl/lib.{0,80}(not a symbolic link|cannot|fail)",
        "there is no libcuda.so, only libcuda.so.1 (as under WSL)",
        "Make the link, or put WSL's folder into the loader's path.",
        ("export LD_LIBRARY_PATH=/usr/lib/wsl/lib:$LD_LIBRARY_PATH",),
        "setting",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "LIBCUDA_DEV_LINK_MISSING",
        r"cannot find -lcuda\b|ld: .*-lcuda\b|unable to find library -lcuda\b|library not found: cuda$"
        r"|set to NOTFOUND: CUDA_CUDA_LIBRARY|CUDA::cuda_driver but the target was not found",
        "the linker finds no libcuda.so",
        "Put the driver's library into the linker's path.",
        ("ldconfig -p | grep libcuda", "export LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:$LIBRARY_PATH"),
        "setting",
        REPORTS,
    ),
    Signature(
        "LIBSTDCXX_TOO_OLD",
        r"GLIBCXX_\S+.{0,3} not found|CXXABI_\S+.{0,3} not found|\bGCC_1\d\.\d\S*.{0,3} not found"
        r"|undefined symbol: _ZN?K?St(\d|7__cxx11)|undefined symbol: \w+, version (GLIBCXX|CXXABI)_"
        r"|libstdc\+\+\.so\.6: cannot open shared object",
        "the C++ library that is loaded first is too old",
        "Put a newer libstdc++ first in the loader's path (in conda: install libstdcxx-ng).",
        ("conda install --yes --channel conda-forge libstdcxx-ng",),
        source=REPORTS,
    ),
    Signature(
        "GLIBC_TOO_OLD",
        r"GLIBC_\d\S*.{0,3} not found|GLIBC_\d\S* not defined in file|\b__glibc ?>=|\b__glibc\["
        r"|undefined symbol: \w+, version GLIBC_"
        r"|\bglibc [\d.]+ is (older|too old)",
        "a binary package needs a newer C library than this system has",
        "Use a newer system or the engine's container.",
        ("ldd --version",),
        "reboot",
        REPORTS,
    ),
    Signature(
        "OS_UNSUPPORTED_BY_ENGINE",
        r"No module named 'uvloop'|uvloop.{0,60}(Windows|missing)|(does not|doesn't"
        r"|not) support(ed)?( on)?( native)? Windows|(vLLM"
        r"|SGLang)\b.{0,20} only supports Linux|Windows is not supported"
        r"|No module named '(fcntl|resource|pwd|termios)'|module 'signal' has no attribute 'SIG"
        r"|module 'os' has no attribute '(sched_\w+|fork|get[eu]+id)'|PyTorch was built without libuv"
        r"|makeDeviceFor\w+\(\): unsupported gloo device|\btriton\b.{0,40}not (available|supported) (on|for) Windows"
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
        r"|exit(_?code)?[: ]{1,2}-7\b|raise your shared memory limit"
        r"|Call to (posix_fallocate|ftruncate) failed.{0,3}: No space"
        r"|object store is using /tmp instead of /dev/shm"
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
        r"No space left on device(?!: failed to add inotify)|Disk quota exceeded|\bENOSPC\b|\[Errno (28|122)\]"
        r"|os error (28|122)\b"
        r"|not enough (free )?disk space|Not enough free disk|condition: \[DiskPressure\]"
        r"|low on resource: ephemeral-storage"
        r"|local storage usage exceeds the total limit|EmptyDir volume .{0,40}exceeds the limit|\bStorageFull\b"
        r"|(WinError|os error) 112\b|not enough space on the disk|database or disk is full|\bEDQUOT\b"
        r"|don't have enough free space in|(insufficient|out of) disk space"
        r"|PytorchStreamWriter failed writing|inline_container.{0,12}unexpected pos"
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
        r"|(load|read|shards)\w*\b.{0,60}\btook (\d{2,} minutes|\d{4,}(\.\d+)? ?s)"
        r"|\b(NFS|9p|lustre|gcsfuse|s3fs|/mnt/[a-z]/?|network (share|disk|drive))\b.{0,60}\b(slow|minutes|long)\b"
        r"|\b(slow|minutes|long)\b.{0,60}\b(NFS|9p|lustre|gcsfuse|s3fs|network (share|disk|drive))\b"
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
        r"(max locked memory|RLIMIT_MEMLOCK|ulimit -l\b)(?! *[ =:] *(\([^)]*\) *)?(unlimited|infinity|-1\b))"
        r"|Cannot allocate memory.{0,40}(ibv_|mlock)|mlock.{0,40}fail"
        r"|ibv_(reg_mr(_iova2?)?|create_(qp|cq))\b.{0,40}Cannot allocate memory"
        r"|Failed to register memory.{0,20}Cannot allocate"
        r"|(ibv_\w+|HostRegister)\b.{0,40}\bmemlock\b",
        "the limit of locked memory is too low for RDMA or pinned memory",
        "Raise it for the service or the container.",
        ("ulimit -l unlimited", "docker run --ulimit memlock=-1 IMAGE"),
        "restart",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "NOFILE_LIMIT_LOW",
        r"Too many open files|can't start new thread"
        r"|\b(v?fork|clone|pthread|thread)\w*\b.{0,60}Resource temporarily"
        r"|BlockingIOError: \[Errno 11\] Resource temporarily unavailable|pthread_create failed"
        r"|received \d+ items of ancdata|\bEMFILE\b|No file descriptors available|os error 24\b"
        r"|(spawn thread|ThreadPoolBuildError).{0,60}WouldBlock"
        r"|fork rejected by pids controller|failed to add inotify watch|\bulimit -n\b.{0,20}too low"
        r"|descriptor limit is too low",
        "the limit of open files or of processes is too low",
        "Raise it for the shell, the service or the container.",
        ("ulimit -n 65535", "ulimit -u"),
        "setting",
        REPORTS,
        sure="likely",
    ),
    # huggingface_hub warns of it before it starts to download.
    Signature(
        "DISK_FULL",
        r"Not enough free disk space to download",
        "the disk has no room for the file that is to be downloaded",
        "Free space where the weights go, or name another place in HF_HOME.",
        ('df -h "${HF_HOME:-$HOME}"',),
        "setting",
        REPORTS,
        sure="likely",
        in_warnings=True,
    ),
    Signature(
        "LIBCUDA_DEV_LINK_MISSING",
        r"undefined reference to .(?-i:cu[A-Z])\w+'|'-lcuda'.{0,300}returned non-zero exit status",
        "what triton compiles at its start did not link, as where the linker finds no libcuda.so",
        "See what the compiler says above; put the driver's library into the linker's path.",
        ("ldconfig -p | grep libcuda", "export LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:$LIBRARY_PATH"),
        "setting",
        REPORTS,
        sure="hint",
    ),
    # Ray's warning: what is left of a large disk may do.
    Signature(
        "DISK_FULL",
        r"is over 9\d% full",
        "the disk of Ray's temporary files is nearly full",
        "Free space there, or name another place.",
        ('df -h "${TMPDIR:-/tmp}"',),
        "setting",
        REPORTS,
        sure="hint",
    ),
)
