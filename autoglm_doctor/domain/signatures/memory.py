"""Memory: of the GPU, of the machine, of the container."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.held import held_by_others
from autoglm_doctor.domain.signatures.row import LLAMACPP, REPORTS, SGLANG, TORCH, VLLM, Signature

_WHO_HOLDS = ("nvidia-smi --query-compute-apps=pid,process_name,used_memory --format=csv",)
_LOOK_AT_RAM = ("free -h", "ps aux --sort=-rss | head")
_LOOK_AT_LIMIT = ("cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory.peak /sys/fs/cgroup/memory.events",)

#: Torch asks for memory ("Tried to allocate"), CUDA, cuBLAS and llama.cpp have it refused. Not torch's autotuner, which
#: says "OutOfMemoryError: out of resource" of a kernel that it then does without.
_OOM = (
    r"CUDA out of memory|\bOutOfMemoryError(?!: out of resource)|CUDA error: out of memory|CUDA_ERROR_OUT_OF_MEMORY"
    r"|cudaErrorMemoryAllocation|CUBLAS_STATUS_ALLOC_FAILED|cudaMalloc failed: out of memory"
    r"|torch\.AcceleratorError: .*out of memory|CUDA driver error: out of memory|HIP out of memory"
    r"|CUDA runtime error\b.{0,20}: out of memory|Cuda failure\b.{0,9}\bout of memory|RESOURCE_EXHAUSTED: Out of memory"
)

#: Where an engine is once its weights lie on the GPU.
_WEIGHTS_ARE_IN = (
    r"Model loading took|Loading (model )?weights took|Load weight end|load_tensors: offloaded|KV buffer size"
    r"|(profile_run|determine_available_memory|determine_num_available_blocks|initialize_kv_caches?|capture_model"
    r"|profile run|while profiling|_dummy_run|_dummy_sampler_run|init_memory_pool|CudaGraphRunner|init_cuda_graphs)\b"
    r"|warming up|graph_reserve"
)

ROWS: tuple[Signature, ...] = (
    Signature(
        "CGROUP_MEMORY_LIMIT",
        r"Memory cgroup out of memory|oom-kill:.*CONSTRAINT_MEMCG|\bOOMKilled\b"
        r"|oom[-_]kill event|OOM Killed\b|cgroup (out-of-memory|OOM)|task \d+: Out Of Memory"
        r"|node was low on resource: memory"
        r"|Exceeded (job|step) memory limit|exceeded memory limit|memory: usage \d+kB, limit \d+kB"
        r"|running beyond (physical|virtual) memory"
        r"|(container|pod)\b.{0,40}\b(killed|evicted)\b.{0,60}\b(memory|OOM)|exceeded (its|the) memory limit",
        "the memory limit of the container was reached, and the kernel killed the process",
        "Give the container more memory.",
        (*_LOOK_AT_LIMIT, "docker update --memory=32g --memory-swap=32g CONTAINER"),
        "restart",
        REPORTS,
        ends_start=True,
    ),
    Signature(
        "RAM_TOO_SMALL",
        r"DefaultCPUAllocator: (can't|not enough)|enforce fail at (alloc_cpu|CPUAllocator)|\bMemoryError\b"
        r"|\bstd::bad_alloc|Out of memory: Killed process|oom-kill:|Unable to allocate .{1,40} for an array"
        r"|OSError: \[Errno 12\]|unable to mmap .{0,200}Cannot allocate memory"
        r"|failed to allocate buffer of size .*CPU|unable to allocate CPU(_\w+)? buffer"
        r"|cpu_buffer_type_alloc_buffer: failed"
        r"|invoked oom-killer|killed by the OOM killer|Failed with result 'oom-kill'|systemd-oomd\b.{0,20}[Kk]illed"
        r"|node running low on memory|exceeds the memory usage threshold|(WinError|os error) 1455"
        r"|paging file is too small"
        r"|requires more system memory|model request too large for system|ggml_aligned_malloc: insufficient memory"
        r"|not enough memory: you tried to allocate|memory allocation of \d{7,} bytes failed|Too large swap space"
        r"|(memory mapping|mmap failed|fork): Cannot allocate memory",
        "main memory ran out",
        "Free main memory, raise the limit of the container or add swap.",
        _LOOK_AT_RAM,
        "setting",
        ends_start=True,
    ),
    Signature(
        "RAM_TOO_SMALL",
        r"^Killed\b|: line \d+: +\d+ Killed|exit(ed)?( with)?( status| code| return code)?[ :=]+137\b"
        r"|returncode[ =:]+-9"
        r"|(?<!attribute ')\bSIGKILL\b|code=killed, status=9|Killed signal terminated program|exit(_?code)?: -9\b"
        r"|exit(ed)?( with)?( status| code)?[ :=]+-9\b|signal 9\b",
        "the process was killed from outside (SIGKILL), which the kernel does when memory runs out",
        "Free main memory, raise the limit of the container or add swap.",
        ("sudo dmesg | grep -i -E 'out of memory|oom' | tail", *_LOOK_AT_RAM, *_LOOK_AT_LIMIT),
        "setting",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "ENV_VAR_OVERRIDE_WRONG",
        r"Expandable segments are not compatible with memory pool"
        r"|TorchMemorySaver is disabled .{0,80}expandable_segments is not supported",
        "PYTORCH_CUDA_ALLOC_CONF asks for expandable segments, which a memory pool that can sleep cannot have",
        "Turn expandable segments off.",
        ("unset PYTORCH_CUDA_ALLOC_CONF",),
        "setting",
        VLLM,
        ends_start=True,
    ),
    Signature(
        "ENV_VAR_OVERRIDE_WRONG",
        r"Unrecognized CachingAllocator option|Expected a single True/False argument for expandable_segments"
        r"|Expected 'True' or 'False' at index \d+ in ConfigTokenizer"
        r"|garbage_collect(ion)?_threshold (is invalid|too (big|small))|c10/core/AllocatorConfig\.h",
        "torch does not read what PYTORCH_CUDA_ALLOC_CONF says",
        "Write its options as torch's documentation does, or unset it.",
        ("env | grep ALLOC_CONF", "unset PYTORCH_CUDA_ALLOC_CONF PYTORCH_ALLOC_CONF"),
        "setting",
        TORCH,
        ends_start=True,
    ),
    Signature(
        "WSL_EXPANDABLE_SEGMENTS",
        r"CUDA driver error: device not ready|expandable_segments.{0,80}(WSL|not supported|unsupported)",
        "expandable_segments of PYTORCH_CUDA_ALLOC_CONF does not work on this driver (WSL)",
        "Turn expandable segments off.",
        ("export PYTORCH_CUDA_ALLOC_CONF=expandable_segments:False",),
        "setting",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "GPU_MEMORY_TAKEN_BY_OTHERS",
        r"Free memory on device.{0,80} on startup is less than|less than desired GPU memory utilization"
        r"|Initial free memory .* current free memory|reduce GPU memory used by other processes"
        r"|GPU memory is occupied by other process|memory capacity is unbalanced",
        "other programs hold memory of the GPU that this server counts on",
        "End what else holds memory of the GPU, or give this server a smaller share.",
        (*_WHO_HOLDS, "{smaller_share}"),
        "restart",
        VLLM,
        ends_start=True,
    ),
    Signature(
        "GPU_MEMORY_TAKEN_BY_OTHERS",
        r"Process \d+ has [\d.]+ [MG]iB memory in use",
        "the memory of the GPU ran out, and other programs hold much of it",
        "End what else holds memory of the GPU, or give this server a smaller share.",
        (*_WHO_HOLDS, "{smaller_share}"),
        "restart",
        TORCH,
        when=held_by_others,
        ends_start=True,
    ),
    Signature(
        "KV_CACHE_TOO_SMALL",
        r"No available memory for the cache blocks|larger than the (available KV cache memory|maximum number of tokens"
        r" that can be stored)|KV cache is needed, which is larger|Cannot auto-fit max_model_len"
        r"|Available KV cache memory: -\d|# GPU blocks: 0\b|estimated maximum model length is"
        r"|Try (decreasing|lowering) .?max_model_len|(decreasing|reduce) .?max_model_len.? (when|or increas)",
        "the weights fit, but what is left of the GPU's memory holds too few tokens for one request of this length",
        "Take a shorter context, or give the engine a larger share of the GPU.",
        ("{shorter}", "{bigger_share}"),
        "flag",
        VLLM,
        ends_start=True,
    ),
    Signature(
        "KV_CACHE_TOO_SMALL",
        r"Not enough memory\. Please try to increase --mem-fraction-static|max_total_(num_)?tokens=(0|-\d+)\b"
        r"|Not enough memory for .*pool|Capture cuda graph failed|Capture \w+ CUDA graph failed"
        r"|(Prefill|Decode) out of memory\. Try to lower your batch size|alloc_req_slots runs out of memory",
        "the weights fit, but SGLang's share of the GPU's memory leaves too little beside them",
        "Give the engine another share of the GPU, or fewer requests at once.",
        ("{bigger_share}", "{smaller_share}", "{fewer}"),
        "flag",
        SGLANG,
        engines=("sglang",),
        ends_start=True,
    ),
    Signature(
        "KV_CACHE_TOO_SMALL",
        r"failed to allocate buffer for (kv|rs) cache|failed to allocate compute (pp|tg) buffers|not enough cells in kv"
        r"|llama_kv_cache_init\(?\)? failed|llama_kv_cache\w*: failed|n_ctx_seq == 0",
        "the weights fit, but the context of this length does not",
        "Take a shorter context, or keep fewer layers on the GPU.",
        ("{shorter}", "{fewer}"),
        "flag",
        LLAMACPP,
        engines=("llamacpp",),
        ends_start=True,
    ),
    # What only SGLang says, and TGI, TensorRT-LLM and LMDeploy, whatever engine is told.
    Signature(
        "KV_CACHE_TOO_SMALL",
        r"increas(e|ing) --mem-fraction-static|set --mem-fraction-static to a smaller|max_total_num_tokens ?(<=|=) ?0\b"
        r"|Not enough memory to handle \d+ .{0,40}tokens|decrease .?--max-batch-prefill-tokens"
        r"|(Prefill|Decode) out of memory\. Try to lower|ggml_gallocr_reserve_n\w*: failed to allocate"
        r"|No enough gpu memory for runtime|Insufficient memory for (the )?(KV )?cache|Capture (\w+ )?cuda graph failed"
        r"|llama_kv_cache_init\(\) failed|failed to allocate (buffer for (kv|rs) cache|compute (pp|tg) buffers)",
        "the weights fit, but what is left of the GPU's memory holds too few tokens",
        "Take a shorter context or fewer requests at once, or give the engine another share of the GPU.",
        ("{shorter}", "{fewer}", "{bigger_share}"),
        "flag",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "KV_CACHE_TOO_SMALL",
        rf"(?:{_OOM})",
        "the weights fit, but the memory of the GPU ran out in the work that follows (activations, pictures, graphs)",
        "Take a shorter context, fewer requests at once or smaller pictures, or go without CUDA graphs.",
        ("{shorter}", "{fewer}", "{eager}", *_WHO_HOLDS),
        "flag",
        TORCH,
        ends_start=True,
        sure="likely",
        after=_WEIGHTS_ARE_IN,
    ),
    Signature(
        "KV_CACHE_TOO_SMALL",
        r"(VRAM|OutOfMemory|out of memory|\bOOM\b).{0,60}\b(max[-_ ]model[-_ ]len|KV cache|context length|max[-_ ]num)"
        r"|\bKV cache\b.{0,30}\b(error|too small|insufficient)",
        "the weights fit, but the memory of the GPU does not hold a context of this length",
        "Take a shorter context, or give the engine a larger share of the GPU.",
        ("{shorter}", "{bigger_share}"),
        "flag",
        REPORTS,
        sure="hint",
    ),
    Signature(
        "VRAM_TOO_SMALL_FOR_WEIGHTS",
        rf"{_OOM}|unable to allocate (CUDA|ROCm|Vulkan|Metal)\w* buffer|cudaMalloc failed",
        "the memory of the GPU ran out",
        "End what else holds memory of the GPU; if nothing does, take a larger GPU or a quantised checkpoint.",
        _WHO_HOLDS,
        "restart",
        TORCH,
        sure="likely",
        ends_start=True,
    ),
    # torch's allocator asks NVML for what it prints when memory ran out, and may not ask on slices (MIG) and Jetson.
    Signature(
        "VRAM_TOO_SMALL_FOR_WEIGHTS",
        r"NVML_SUCCESS == .{0,160}INTERNAL ASSERT FAILED",
        "the memory of the GPU ran out, as a rule: torch fails as it asks the driver how much was left",
        "Take a shorter context or a smaller checkpoint; if memory is free, look at what the driver says.",
        ("nvidia-smi", "{shorter}"),
        "flag",
        TORCH,
        sure="hint",
    ),
    Signature(
        "VRAM_TOO_SMALL_FOR_WEIGHTS",
        r"Make sure you have enough GPU RAM|\b(not enough|insufficient|requires more|exceeds?( the)? available)"
        r" (free )?(VRAM|GPU memory)|weights? .{0,30}(do|does)(n't| not) fit (in|on)",
        "the weights do not fit into the memory of the GPU",
        "Take a larger GPU, several of them, or a quantised checkpoint.",
        _WHO_HOLDS,
        "hardware",
        REPORTS,
        sure="hint",
    ),
)
