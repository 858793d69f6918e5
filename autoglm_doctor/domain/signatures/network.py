"""Ports, proxies, the hub, and what several GPUs say to each other."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.row import LLAMACPP, NVIDIA, REPORTS, TRANSFORMERS, Signature

_WHO_LISTENS = ("ss -ltnp", "{other_port}")
#: The hosts from which engines fetch weights.
_HUB = r"(?:huggingface\.co|\bhf\.co|hf-mirror\.com|xethub|modelscope\.cn|registry\.ollama\.ai)"
#: Who serves models for others.
_API = r"(?:bigmodel\.cn|api\.z\.ai|api-inference\.\w+|novita\.ai|dashscope\S*|openrouter\.ai|siliconflow\.\w+)"
_P2P = ("{no_p2p}", "nvidia-smi topo -m")

ROWS: tuple[Signature, ...] = (
    Signature(
        "PORT_IN_USE",
        r"Address already in use(?!\. Retrying)|\[Errno 98\]|\[Errno 10048\]|couldn't bind HTTP server socket"
        r"|EADDRINUSE"
        r"|only one usage of each socket address|port \d+ is (already )?(in use|not available|occupied)(?!, trying)"
        r"|Port is already (in use|allocated)|failed to bind to .{0,60}port|couldn't bind to server socket|AddrInUse"
        r"|didn't have free ports for the requested pod ports|Cannot find empty port in range",
        "another program listens on this port already",
        "End that program, or take another port.",
        _WHO_LISTENS,
        "flag",
        LLAMACPP,
        ends_start=True,
    ),
    Signature(
        "PORT_NOT_PERMITTED",
        r"\[(Errno|WinError) 10013\]|cannot expose privileged port|\[Errno 13\].{0,60}(bind|address|permission denied)"
        r"|Permission denied.{0,40}\bport\b",
        "this user may not listen on this port",
        "Take a port from 1024 on.",
        ("{other_port}",),
        "flag",
        REPORTS,
        ends_start=True,
    ),
    Signature(
        "REMOTE_BACKEND_DOWN",
        rf"{_API}\S*.{{0,160}}\b(5\d\d|overloaded|unavailable|timed out|Bad Gateway)\b"
        rf"|\b(Error code: 5\d\d|5\d\d (Server Error|Bad Gateway|Service Unavailable)|timed out|overloaded)"
        rf".{{0,200}}{_API}",
        "the hosted service does not answer as it should: nothing is wrong with this machine",
        "Ask it again later, or take another provider or a server of your own.",
        ("env | grep -i -E 'base_url|api_base'",),
        "setting",
        REPORTS,
        sure="likely",
    ),
    # Kubernetes sets one variable for each service, and VLLM_PORT is what it makes of a service named vllm.
    Signature(
        "ENV_VAR_OVERRIDE_WRONG",
        r"\bVLLM_PORT\b.{0,60}appears to be a URI|invalid literal for int\(\) with base 10: 'tcp://",
        "VLLM_PORT holds the address of a Kubernetes service named vllm, and not a port",
        "Give the service another name, or the pod enableServiceLinks: false.",
        ("env | grep VLLM_PORT", "unset VLLM_PORT"),
        "setting",
        "vLLM's source (envs.py)",
        ends_start=True,
    ),
    Signature(
        "ENV_VAR_OVERRIDE_WRONG",
        r"no algorithm/protocol available|NCCL WARN .{0,20}(invalid|unknown) .{0,30}NCCL_"
        r"|NCCL WARN NCCL_\w+.{0,20}(invalid|unknown)"
        r"|Invalid value .{0,60} for (VLLM|SGLANG|NCCL|HF|TORCH)_\w+"
        r"|Unknown scheme for proxy URL|Using SOCKS proxy, but the 'socksio'|Missing dependencies for SOCKS support",
        "an environment variable asks for something that is not there",
        "Look at the variables of the engine, of NCCL and of the proxy, and unset what you need not.",
        ("env | grep -i -E '^(NCCL|VLLM|SGLANG|HF|TORCH)_|_proxy='", "unset NCCL_ALGO NCCL_PROTO ALL_PROXY all_proxy"),
        "setting",
        NVIDIA,
        sure="likely",
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
    # huggingface_hub says so of each try and goes on, with what was downloaded before; where it does not, it says more.
    Signature(
        "HUB_UNREACHABLE",
        r"thrown while requesting (HEAD|GET|POST)\b|Error while downloading from http",
        "the hub did not answer one request",
        "If the start ends there: copy the model to this machine, or let the engine reach a mirror.",
        ("export HF_ENDPOINT=https://hf-mirror.com", "{download}"),
        "setting",
        TRANSFORMERS,
        sure="likely",
        warns=True,
    ),
    Signature(
        "HUB_UNREACHABLE",
        r"We couldn't connect to '|HTTPSConnectionPool\(host='[^']*(hf\.co|hf-mirror|huggingface|modelscope)"
        r"|outgoing traffic has been disabled|LocalEntryNotFoundError|OfflineModeIsEnabled"
        r"|Cannot reach http\S*: offline mode|(huggingface\.co|hf-mirror\.com|hf\.co|modelscope).{0,200}(Max retries"
        r"|timed out"
        r"|Name or service not known|resolve|Connection (refused|reset|aborted)|unreachable|SSLError)"
        r"|Temporary failure in name resolution|MaxRetryError|ConnectTimeout|Network is unreachable"
        r"|cas-bridge\S+ .*error|CAS service error|Distant resource does not seem to be on"
        r"|Couldn't reach (https?:|server at)|SSL server verification failed"
        rf"|{_HUB}\S*.{{0,160}}(Too Many Requests|50[0-4] |Failed to connect|Could(n't| not)|GnuTLS|SSL_?ERROR"
        r"|SSL_connect|\bEOF\b)"
        r"|(Could not resolve|resolve host|lookup|Failed to connect to|Cannot connect to|error sending request for url"
        r"|dial tcp"
        rf"|Connection (re(set|fused)|timed out)|Too Many Requests|(429|50[0-4]) (Client|Server) Error"
        rf"|NAME_NOT_RESOLVED"
        rf"|TLS handshake timeout|UNEXPECTED_EOF\w*).{{0,120}}{_HUB}"
        rf"|{_HUB}\S*.{{0,60}}(no such host|server misbehaving|TLS handshake timeout|i/o timeout|connection refused)"
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
        r"|ProxyError|Tunnel connection failed|from proxy after CONNECT|Could not resolve proxy|X-Squid-Error"
        r"|\b50[234] (Bad Gateway|Service Unavailable|Gateway Time).{0,60}(localhost|127\.0\.0\.1)"
        r"|warmup error.{0,200}\b50[234]\b|localhost is not accessible, a shareable link must be created"
        r"|\bsquid\b.{0,60}(localhost|127\.0\.0\.1)"
        r"|requested URL could not be retrieved.{0,40}(localhost|127\.0\.0\.1)",
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
    # Before what says that NCCL waited: here it tells for whom.
    Signature(
        "NETWORK_INTERFACE_WRONG",
        r"NCCL WARN .{0,20}(socket\w*Connect|Call to connect)\b.{0,80}(timed out|No route|refused|abort)"
        r"|Bootstrap ?: no socket interface|\bifa != nullptr|errno: 11[03] - |Every node should have a unique IP"
        r"|(ZMQError|bind\w*|tcp://\S+|Errno 99\]).{0,40}Cannot assign requested address"
        r"|RendezvousConnectionError|connection to the C10d store has failed|RendezvousTimeoutError"
        r"|(GCS cannot be reached|Failed to connect to GCS)"
        r"|NET/(Socket|IB) ?: .{0,30}(has closed connection|Unable to open device)"
        r"|NET/IB ?: Got completion .{0,40}(status=12|error 12|vendor err)|\bncclRemoteError\b|GLOO: Connect timeout",
        "the processes of the engine look for each other on the wrong network interface",
        "Name the interface that they shall use.",
        ("ip -brief addr", "export GLOO_SOCKET_IFNAME=eth0 NCCL_SOCKET_IFNAME=eth0"),
        "setting",
        REPORTS,
        sure="likely",
        in_warnings=True,
    ),
    # The sample of NVIDIA that copies between two GPUs, and the kernel's log of what the IOMMU refused.
    Signature(
        "P2P_BROKEN_ACS_IOMMU",
        r"\bnvidia\b.{0,40}\bIO_PAGE_FAULT\b|\bsimpleP2P\b.{0,60}(fail|error|hang)|Verification error @ element"
        r"|\bp2pBandwidthLatencyTest\b.{0,20}\bhang"
        r"|\bACS\b.{0,30}(?<!workaround )(?<!quirk )(?<!not )\benabled\b"
        r"|\bACS\b.{0,30}\bredirect(s|ed\b|\w* .{0,9}\b(on|enabled)\b)",
        "direct copies between the GPUs (P2P) do not arrive: the IOMMU or ACS redirects them",
        "Let NCCL go without direct copies; for good, turn off ACS and the IOMMU in the BIOS.",
        _P2P,
        "setting",
        NVIDIA,
        sure="likely",
    ),
    Signature(
        "P2P_UNRELIABLE_GPU_OR_DRIVER",
        r"custom_all_reduce\.cuh|peer access is not supported between these|PEER_?ACCESS_?UNSUPPORTED"
        r"|mapping of buffer object failed|cudaErrorMapBufferObjectFailed"
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
        r"nccl.{0,90}deadlock|(hang|stuck|deadlock).{0,60}(NCCL|tensor parallel|all_?reduce)"
        r"|^No available shared memory broadcast block found|RPC call to \w+ timed out"
        r"|\b(works?|fine|fixed|solved|helps?)\b.{0,30}NCCL_P2P_DISABLE"
        r"|NCCL_P2P_DISABLE=1.{0,20}(works|fixes|solves|helps)"
        r"|(hangs?|stuck)\b.{0,40}all[_ -]?reduce|Timed out waiting \d+ms for recv operation"
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
    # No engine answers so by itself: what stands before it does.
    Signature(
        "PROXY_INTERCEPTS_LOCALHOST",
        r"\bError code: 50[24]\b",
        "a gateway answers in place of the engine: on one machine a proxy that localhost is not spared from",
        "Leave this machine out of the proxy.",
        ("env | grep -i proxy", "export no_proxy=localhost,127.0.0.1 NO_PROXY=localhost,127.0.0.1"),
        "setting",
        REPORTS,
        sure="hint",
    ),
    # They name no host: as an engine starts it is the hub, and what stands before it.
    Signature(
        "HUB_UNREACHABLE",
        r"CERTIFICATE_VERIFY_FAILED|HEAD failed for https|HTTPLIB failed: Could not establish",
        "the hub cannot be reached, or something between answers in its place with a certificate of its own",
        "Let Python know the certificate of the company's proxy, or copy the model to this machine.",
        ("env | grep -i -E 'proxy|CA_BUNDLE|SSL_CERT'", "{download}"),
        "setting",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "HUB_UNREACHABLE",
        r"\bReadTimeout\b|\[Errno 110\] Connection timed out|Remote end closed connection without response"
        r"|(?<!import )\bgaierror\b.{0,30}Name or service not known",
        "a download or another request over the network got no answer",
        "Copy the model to this machine, or let the engine reach a mirror.",
        ("export HF_ENDPOINT=https://hf-mirror.com", "{download}"),
        "setting",
        REPORTS,
        sure="hint",
    ),
    # It names a bus number, which may be that of any device.
    Signature(
        "P2P_BROKEN_ACS_IOMMU",
        r"\bIO_PAGE_FAULT\b|DMAR: .{0,80}(fault (addr|status)|PTE (Read|Write) access is not set)",
        "the IOMMU refused what a device copied: where it is a GPU, direct copies (P2P) do not arrive",
        "See whether the bus number is that of a GPU; then let NCCL go without direct copies.",
        ("nvidia-smi --query-gpu=index,pci.bus_id --format=csv", *_P2P),
        "setting",
        NVIDIA,
        sure="hint",
    ),
)
