"""Ports, proxies, the hub, and what several GPUs say to each other."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.row import LLAMACPP, NVIDIA, REPORTS, TRANSFORMERS, Signature

_WHO_LISTENS = ("ss -ltnp", "{other_port}")
_P2P = ("{no_p2p}", "nvidia-smi topo -m")

ROWS: tuple[Signature, ...] = (
    Signature(
        "PORT_IN_USE",
        r"Address already in use(?!\. Retrying)|\[Errno 98\]|\[Errno 10048\]|couldn't bind HTTP server socket"
        r"|EADDRINUSE"
        r"|only one usage of each socket address|port \d+ is (already )?(in use|not available|occupied)"
        r"|Port is already (in use|allocated)|failed to bind to .{0,60}port",
        "another program listens on this port already",
        "End that program, or take another port.",
        _WHO_LISTENS,
        "flag",
        LLAMACPP,
        ends_start=True,
    ),
    Signature(
        "PORT_NOT_PERMITTED",
        r"\[Errno 13\].{0,60}(bind|address|permission denied)|Permission denied.{0,40}\bport\b",
        "this user may not listen on this port",
        "Take a port from 1024 on.",
        ("{other_port}",),
        "flag",
        REPORTS,
        ends_start=True,
    ),
    Signature(
        "HUB_GATED",
        r"gated repo|GatedRepoError|Access to model .{1,80} is restricted|awaiting a review from the repo authors"
        r"|401 Client Error.{0,120}/resolve/|Invalid (user )?token|must have access to it and be authenticated",
        "the hub gives this model only to accounts that were granted access",
        "Ask for access on the model's page, then log in.",
        ("hf auth login",),
        "setting",
        TRANSFORMERS,
        ends_start=True,
    ),
    Signature(
        "HUB_UNREACHABLE",
        r"We couldn't connect to '|HTTPSConnectionPool\(host='[^']*(hf\.co|hf-mirror|huggingface|modelscope)"
        r"|outgoing traffic has been disabled|LocalEntryNotFoundError|OfflineModeIsEnabled"
        r"|Cannot reach http\S*: offline mode|(huggingface\.co|hf-mirror\.com|hf\.co|modelscope).{0,200}(Max retries"
        r"|timed out"
        r"|Name or service not known|resolve|Connection (refused|reset|aborted)|unreachable|SSLError)"
        r"|Temporary failure in name resolution|MaxRetryError|ConnectTimeout|Network is unreachable"
        r"|cas-bridge\S+ .*error"
        r"|not available in cache \(offline mode\)|download failed after \d+ attempts",
        "the model is not on this machine, and the hub cannot be reached",
        "Copy the model to this machine, or let the engine reach a mirror.",
        ("export HF_ENDPOINT=https://hf-mirror.com", "{download}"),
        "setting",
        TRANSFORMERS,
        ends_start=True,
    ),
    Signature(
        "PROXY_INTERCEPTS_LOCALHOST",
        r"(localhost|127\.0\.0\.1|0\.0\.0\.0)\S*.{0,60}\b(502|503|504) (Bad Gateway|Service Unavailable|Gateway Time)"
        r"|\b(error|status|code|HTTP)\W{0,8}50[24]\b.{0,40}https?://(localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])"
        r"|ProxyError|Tunnel connection failed",
        "a proxy stands between the client and this machine's own server",
        "Leave this machine out of the proxy.",
        ("export no_proxy=localhost,127.0.0.1 NO_PROXY=localhost,127.0.0.1",),
        "setting",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "ENV_VAR_OVERRIDE_WRONG",
        r"NCCL_ERROR_SYSTEM_ERROR.{0,80}Cannot allocate",
        "NCCL asks for more locked memory than it gets, as with an oversized NCCL_BUFFSIZE",
        "Unset the variables of NCCL that you need not.",
        ("env | grep NCCL", "ulimit -l"),
        "setting",
        NVIDIA,
        sure="likely",
    ),
    Signature(
        "ENV_VAR_OVERRIDE_WRONG",
        r"custom_all_reduce\.cuh.{0,60}invalid argument",
        "the engine's own all-reduce cannot share expandable segments, which PYTORCH_CUDA_ALLOC_CONF asks for",
        "Turn expandable segments off, or leave the all-reduce to NCCL (--disable-custom-all-reduce).",
        ("unset PYTORCH_CUDA_ALLOC_CONF",),
        "setting",
        REPORTS,
        sure="likely",
        ends_start=True,
        after=r"expandable_segments\W{0,3}True",
    ),
    Signature(
        "P2P_UNRELIABLE_GPU_OR_DRIVER",
        r"custom_all_reduce\.cuh|peer access is not supported between these"
        r"|P2P.{0,60}(not supported"
        r"|unsupported)"
        r".{0,40}(RTX|driver)|RTX 40\d\d.{0,60}P2P|peer-to-peer.{0,60}(corrupt|wrong data)",
        "the GPUs or their driver offer direct copies between them (P2P) that do not work",
        "Let NCCL go without direct copies.",
        _P2P,
        "setting",
        NVIDIA,
        sure="likely",
    ),
    Signature(
        "P2P_BROKEN_ACS_IOMMU",
        r"Watchdog caught collective operation timeout|Timeout\(ms\)=\d+\) ran for \d+ milliseconds"
        r"|Timed out waiting for .{0,40}(workers?|ranks?)|NCCL.{0,20}\btimed out\b",
        "the GPUs wait for each other without end: direct copies between them (P2P) get lost",
        "Let NCCL go without direct copies; for good, turn off ACS and the IOMMU in the BIOS.",
        _P2P,
        "setting",
        NVIDIA,
        sure="likely",
        ends_start=True,
    ),
    # What people say of it, not what engines print.
    Signature(
        "P2P_UNRELIABLE_GPU_OR_DRIVER",
        r"\bhang.{0,30}NCCL (collective|init)",
        "the GPUs wait for each other without end: direct copies between them (P2P) may not work",
        "Let NCCL go without direct copies.",
        _P2P,
        "setting",
        REPORTS,
        sure="hint",
    ),
    Signature(
        "P2P_BROKEN_ACS_IOMMU",
        r"nccl\w*.{0,60}deadlock|(hang|stuck|deadlock).{0,60}(NCCL|tensor parallel|all_?reduce)"
        r"|NCCL.{0,60}(hang|timed? ?out|stuck)|(custom|all)[_ -]?all_?reduce.{0,60}(hang|timeout|fail)",
        "the GPUs wait for each other without end: direct copies between them (P2P) may get lost",
        "Let NCCL go without direct copies; for good, turn off ACS and the IOMMU in the BIOS.",
        _P2P,
        "setting",
        REPORTS,
        sure="hint",
    ),
    Signature(
        "NETWORK_INTERFACE_WRONG",
        r"Gloo connectFullMesh failed|connect\(\) timed out\. Original timeout|no route to host"
        r"|Unable to find (address|interface) for|DistNetworkError"
        r"|The client socket has (failed to connect|timed out)|NCCL WARN .{0,40}(Bootstrap|no socket interface) ?: no"
        r"|Connect to .{0,60} failed : (Connection refused|No route|Software caused)|\bDistStoreError\b",
        "the processes of the engine look for each other on the wrong network interface",
        "Name the interface that they shall use.",
        ("ip -brief addr", "export GLOO_SOCKET_IFNAME=eth0 NCCL_SOCKET_IFNAME=eth0"),
        "setting",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "NCCL_FAILED",
        r"NCCL error|ncclUnhandledCudaError|ncclSystemError|ncclInternalError|ncclInvalidUsage|unhandled (cuda"
        r"|system) error"
        r"|DistBackendError|RuntimeError: NCCL",
        "the GPUs could not be joined (NCCL failed)",
        "Start once more with NCCL's own words, and go without direct copies between the GPUs.",
        ("export NCCL_DEBUG=INFO", "{no_p2p}"),
        "setting",
        NVIDIA,
        sure="likely",
        ends_start=True,
    ),
)
