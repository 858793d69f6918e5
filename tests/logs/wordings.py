"""What engines and libraries print when something is wrong, in their own words, by cause; at least one a signature."""

from __future__ import annotations

WORDINGS: dict[str, tuple[str, ...]] = {
    "CGROUP_MEMORY_LIMIT": (
        "Memory cgroup out of memory: Killed process 4242 (python3) total-vm:91234567kB, anon-rss:33554432kB",
        "Last State: Terminated  Reason: OOMKilled  Exit Code: 137",
    ),
    "RAM_TOO_SMALL": (
        "RuntimeError: [enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 4362076160 bytes.",
        "MemoryError",
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "Out of memory: Killed process 911 (VLLM::EngineCor) total-vm:61234567kB",
        "./start.sh: line 3:  4242 Killed                  vllm serve m",
        "Killed",
        "worker exited with status 137",
    ),
    "WSL_EXPANDABLE_SEGMENTS": ("RuntimeError: CUDA driver error: device not ready",),
    "GPU_MEMORY_TAKEN_BY_OTHERS": (
        "ValueError: Free memory on device (3.10/23.52 GiB) on startup is less than desired GPU memory utilization (0.9, 21.17 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
        "ValueError: Free memory on device cuda:0 (3.1/23.52 GiB) on startup is less than the engine's budget after excluding external process's weights (0.9, 21.17 GiB).",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.52 GiB of which 1.10 GiB is free. Process 812 has 12.31 GiB memory in use. Including non-PyTorch memory, this process has 10.00 GiB memory in use.",
    ),
    "KV_CACHE_TOO_SMALL": (
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.",
        "ValueError: The model's max seq len (25480) is larger than the maximum number of tokens that can be stored in KV cache (9328). Try increasing `gpu_memory_utilization` or decreasing `max_model_len` when initializing the engine.",
        "ValueError: To serve at least one request with the models's max seq len (25480), (0.97 GiB KV cache is needed, which is larger than the available KV cache memory (0.50 GiB). Try increasing `gpu_memory_utilization` (which also controls CPU memory on the CPU backend)",
        "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static. Current value: mem_fraction_static=0.5",
        "Exception: Capture cuda graph failed: CUDA error",
        "llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache",
        "llama_init_from_model: failed to initialize the context: failed to allocate compute pp buffers",
        "RuntimeError: CUDA out of memory occurred when warming up sampler with 256 dummy requests. Please try lowering `max_num_seqs` or `gpu_memory_utilization` when initializing the engine.",
        "an OOM at this max_model_len",
    ),
    "VRAM_TOO_SMALL_FOR_WEIGHTS": (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 214.00 MiB. GPU 0 has a total capacity of 15.77 GiB of which 101.06 MiB is free.",
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 23.69 GiB total capacity; 21.1 GiB already allocated)",
        "torch.AcceleratorError: CUDA error: out of memory",
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 17560.12 MiB on device 0: cudaMalloc failed: out of memory",
    ),
    "CONTAINER_REQUIRES_NEWER_CUDA": (
        "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.9, please update your driver to a newer version",
    ),
    "NVML_DRIVER_LIBRARY_MISMATCH": ("Failed to initialize NVML: Driver/library version mismatch",),
    "CONTAINER_TOOLKIT_MISSING": (
        "docker: Error response from daemon: unknown or invalid runtime name: nvidia.",
        'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].',
    ),
    "CONTAINER_WITHOUT_GPU": (
        "RuntimeError: Failed to infer device type, please set the environment variable `VLLM_LOGGING_LEVEL=DEBUG` to turn on verbose logging",
        "ImportError: libcuda.so.1: cannot open shared object file: No such file or directory",
    ),
    "CONTAINER_GPU_CGROUP_LOST": ("Failed to initialize NVML: Unknown Error",),
    "SECURE_BOOT_BLOCKS_MODULE": (
        "modprobe: ERROR: could not insert 'nvidia': Required key not available",
        "modprobe: ERROR: could not insert 'nvidia': Key was rejected by service",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.",
    ),
    "NOUVEAU_OR_NOVA_HOLDS_GPU": ("NVRM: GPU 0000:01:00.0 is already bound to nouveau.",),
    "KERNEL_MODULE_NOT_BUILT": ("modprobe: FATAL: Module nvidia not found in directory /lib/modules/6.8.0-45-generic",),
    "KERNEL_MODULE_FLAVOUR_WRONG": (
        "NVRM: installed in this system requires use of the NVIDIA open kernel modules.",
        "NVRM: nvidia.ko because it does not include the required GPU System Processor: not supported by open nvidia.ko",
    ),
    "BIOS_BAR_SETTINGS": ("NVRM: This PCI I/O region assigned to your NVIDIA device is invalid:",),
    "DRIVER_DROPPED_GPU": (
        "NVRM: The NVIDIA Tesla V100 GPU installed in this system is supported through the NVIDIA 580.xx Legacy drivers.",
    ),
    "WSL_LIBCUDA_STUB": ("OSError: libcuda.so: cannot open shared object file: No such file or directory",),
    "LIBCUDA_DEV_LINK_MISSING": ("/usr/bin/ld: cannot find -lcuda: No such file or directory",),
    "LIBSTDCXX_TOO_OLD": ("ImportError: /lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.32' not found",),
    "GLIBC_TOO_OLD": ("ImportError: /lib64/libm.so.6: version `GLIBC_2.35' not found (required by vllm/_C.abi3.so)",),
    "OS_UNSUPPORTED_BY_ENGINE": (
        "ModuleNotFoundError: No module named 'uvloop'",
        "RuntimeError: uvloop does not support Windows at the moment",
    ),
    "DISK_FULL": (
        "OSError: [Errno 28] No space left on device",
        "RuntimeError: Data processing error: CAS service error : IO Error: Disk quota exceeded (os error 122)",
    ),
    "SLOW_MODEL_STORAGE": ("loading takes 25 min",),
    "SHM_TOO_SMALL": (
        "misc/shmutils.cc:72 NCCL WARN Error: failed to extend /dev/shm/nccl-AbCdEf to 9637892 bytes, error: No space left on device (28)",
        "RuntimeError: DataLoader worker (pid 42) is killed by signal: Bus error. It is possible that dataloader's workers are out of shared memory.",
        "NCCL WARN Error while creating shared memory segment /dev/shm/nccl-PSHpBr (size 9637888)",
    ),
    "MEMLOCK_LIMIT_LOW": ("NCCL WARN Please set max locked memory (ulimit -l) to 'unlimited' (current: 64 kbytes)",),
    "NOFILE_LIMIT_LOW": ("OSError: [Errno 24] Too many open files", "RuntimeError: can't start new thread"),
    "FABRIC_MANAGER_MISSING": ("RuntimeError: CUDA error 802: system not yet initialized",),
    "CUDA_COMPAT_LIB_SHADOWS_DRIVER": (
        "RuntimeError: Unexpected error from cudaGetDeviceCount(). Error 803: system has unsupported display driver / cuda driver combination",
    ),
    "CUDA_FORWARD_COMPAT_UNSUPPORTED_GPU": (
        "UserWarning: CUDA initialization: Unexpected error from cudaGetDeviceCount(). Error 804: forward compatibility was attempted on non supported HW",
    ),
    "TRITON_PTXAS_NEWER_THAN_DRIVER": (
        "torch.AcceleratorError: CUDA error: the provided PTX was compiled with an unsupported toolchain.",
        "RuntimeError: Triton Error [CUDA]: device kernel image is invalid",
        "ptxas /tmp/x.ptx, line 5; fatal   : Unsupported .version 8.7; current version is '8.4'",
    ),
    "BF16_UNSUPPORTED_GPU": (
        "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 GPU has compute capability 7.5. You can use float16 instead by explicitly setting the `dtype` flag in CLI, for example: --dtype=half.",
    ),
    "GPU_TOO_OLD_FOR_ENGINE": (
        "RuntimeError: FlashAttention only supports Ampere GPUs or newer.",
        "RuntimeError: GPUs with compute capability below 7.0 are not supported.",
        "RuntimeError: SGLang only supports sm75 and above, this GPU is older",
    ),
    "GPU_ARCH_NOT_IN_WHEEL": (
        "RuntimeError: CUDA error: no kernel image is available for execution on the device",
        "NVIDIA GeForce RTX 5090 with CUDA capability sm_120 is not compatible with the current PyTorch installation.",
        "ptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'",
    ),
    "CPU_ONLY_TORCH": ("AssertionError: Torch not compiled with CUDA enabled", "torch.cuda.is_available() -> False"),
    "DRIVER_TOO_OLD": (
        "RuntimeError: The NVIDIA driver on your system is too old (found version 12040). Please update your GPU driver",
        "RuntimeError: CUDA error: CUDA driver version is insufficient for CUDA runtime version",
        "ImportError: /opt/v/sgl_kernel/common_ops.abi3.so: undefined symbol: cuTensorMapEncodeTiled",
    ),
    "UVM_MODULE_BROKEN": (
        "RuntimeError: CUDA unknown error - this may be due to an incorrectly set up environment, e.g. changing env variable CUDA_VISIBLE_DEVICES after program start.",
    ),
    "MIG_UNSUPPORTED_BY_ENGINE": (
        "ValueError: invalid literal for int() with base 10: 'MIG-3d0b7d2c-0000-5000-8000-000000000000'",
    ),
    "CUDA_VISIBLE_DEVICES_HIDES_GPUS": (
        "RuntimeError: No CUDA GPUs are available",
        "torch.AcceleratorError: CUDA error: invalid device ordinal",
        "torch.AcceleratorError: CUDA error: no CUDA-capable device is detected",
    ),
    "TOO_FEW_GPUS": (
        "ValueError: World size (4) is larger than the number of available GPUs (2) in this node. If this is intentional and you are using: - ray",
    ),
    "GPU_FELL_OFF_BUS": ("NVRM: Xid (PCI:0000:01:00): 79, pid=1, GPU has fallen off the bus.",),
    "GPU_HARDWARE_ERROR": (
        "torch.AcceleratorError: CUDA error: an illegal memory access was encountered",
        "RuntimeError: CUDA error: uncorrectable ECC error encountered",
    ),
    "QUANT_UNSUPPORTED_GPU": (
        "ValueError: The quantization method fp8 is not supported for the current GPU. Minimum capability: 89. Current capability: 80.",
        "ValueError: type fp8e4nv not supported in this architecture. The supported fp8 dtypes are ('fp8e4b15', 'fp8e5')",
        "RuntimeError: Quantization scheme is not supported for the current GPU. Min capability: 89. Current capability: 75.",
        "ValueError: Failed to find a kernel that can implement the WNA16 linear layer. Reasons:",
    ),
    "CUDNN_CONV3D_REGRESSION": ("RuntimeError: CRITICAL WARNING: PyTorch 2.9.1 & CuDNN Compatibility Issue Detected",),
    "CUDA_LIBS_SHADOWED": (
        "RuntimeError: cuDNN version incompatibility: PyTorch was compiled against (9, 10, 2) but found runtime version (8, 9, 7).",
        "ImportError: /opt/v/torch/lib/../../nvidia/cusparse/lib/libcusparse.so.12: undefined symbol: __nvJitLinkComplete_12_4, version libnvJitLink.so.12",
    ),
    "TORCH_COMPANION_MISMATCH": (
        "RuntimeError: operator torchvision::nms does not exist",
        "RuntimeError: Detected that PyTorch and torchvision were compiled with different CUDA major versions.",
        "OSError: /opt/v/torchaudio/lib/libtorchaudio.so: undefined symbol: _ZNK3c1010TensorImpl4sizeEl",
        "ImportError: Glm4vVideoProcessor requires the Torchvision library but it was not found in your environment.",
    ),
    "VLLM_CUDA_VARIANT_MISMATCH": (
        "ImportError: libcudart.so.12: cannot open shared object file: No such file or directory",
        "ImportError: libcublasLt.so.13: cannot open shared object file: No such file or directory",
    ),
    "EXTENSION_ABI_MISMATCH": (
        "ImportError: /opt/v/flash_attn_2_cuda.cpython-312-x86_64-linux-gnu.so: undefined symbol: _ZN3c104cuda9SetDeviceEa",
        "AttributeError: '_OpNamespace' '_C' object has no attribute 'silu_and_mul'",
        "ModuleNotFoundError: No module named 'vllm._C'",
    ),
    "TRITON_TORCH_MISMATCH": ("ImportError: cannot import name 'AttrsDescriptor' from 'triton.backends.compiler'",),
    "NUMPY2_ABI": (
        "AttributeError: _ARRAY_API not found",
        "A module that was compiled using NumPy 1.x cannot be run in NumPy 2.2.6 as it may crash.",
        "ValueError: numpy.dtype size changed, may indicate binary incompatibility. Expected 96 from C header, got 88 from PyObject",
    ),
    "NVCC_MISSING_FOR_JIT": (
        "RuntimeError: Could not find nvcc and default cuda_home='/usr/local/cuda' doesn't exist",
        "FileNotFoundError: [Errno 2] No such file or directory: '/usr/local/cuda/bin/nvcc'",
        "OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.",
        "/bin/sh: 1: /usr/local/cuda/bin/nvcc: not found",
    ),
    "CUDA_HOME_INVALID": (
        "FileNotFoundError: [Errno 2] No such file or directory: ':/usr/local/cuda/bin/nvcc'",
        "RuntimeError: the folder of CUDA_HOME='/usr/local/cuda:' does not exist",
    ),
    "COMPILER_OR_HEADERS_MISSING": (
        "RuntimeError: Failed to find C compiler. Please specify via CC environment variable or set triton.knobs.build.impl.",
        "/tmp/tmpx/main.c:5:10: fatal error: Python.h: No such file or directory",
        "FileNotFoundError: [Errno 2] No such file or directory: 'ninja'",
        "torch._inductor.exc.InductorError: InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config.cpp.cxx",
    ),
    "CUDA_MAJOR_MIXED_PACKAGES": (
        "RuntimeError: The detected CUDA version (12.4) mismatches the version that was used to compile PyTorch (13.0).",
    ),
    "ENV_VAR_OVERRIDE_WRONG": (
        "The CUDA version for the compile is set by BNB_CUDA_VERSION=118, no such library",
        "RuntimeError: NCCL_ERROR_SYSTEM_ERROR: Cannot allocate memory",
    ),
    "QUANTIZATION_PACKAGE_MISSING": (
        "ImportError: Using `bitsandbytes` 4-bit quantization requires bitsandbytes: `pip install -U bitsandbytes>=0.46.1`",
        "ImportError: Loading an AWQ quantized model requires gptqmodel. Please install it with `pip install gptqmodel`",
    ),
    "HF_LIBS_CONFLICT": (
        "ImportError: huggingface-hub>=0.34.0,<1.0 is required for a normal functioning of this module, but found huggingface-hub==1.1.0.",
        "ImportError: cannot import name 'split_torch_state_dict_into_shards' from 'huggingface_hub'",
    ),
    "VLLM_TORCH_MISMATCH": ("vllm 0.11.0 requires torch==2.8.0, but you have torch 2.9.1 which is incompatible.",),
    "TRANSFORMERS_TOO_OLD_FOR_MODEL": (
        "ValueError: The checkpoint you are trying to load has model type `glm4v` but Transformers does not recognize this architecture.",
        "ImportError: cannot import name 'Glm4vForConditionalGeneration' from 'transformers' (/opt/v/transformers/__init__.py)",
        "KeyError: 'glm4v'",
        "ValueError: Tokenizer class TokenizersBackend does not exist or is not currently imported.",
        "ValueError: Unrecognized processing class in /models/m. Can't instantiate a processor, a tokenizer, an image processor",
        "ModuleNotFoundError: Could not import module 'Glm4vForConditionalGeneration'. Are this object's requirements defined correctly?",
    ),
    "TRANSFORMERS_TOO_NEW_FOR_ENGINE": (
        "AttributeError: TokenizersBackend has no attribute all_special_tokens_extended. Did you mean: 'num_special_tokens_to_add'?",
        "ValueError: 'aimv2' is already used by a Transformers config, pick another name.",
        "TypeError: Glm4vProcessor.__init__() got multiple values for argument 'video_processor'",
        "ImportError: cannot import name 'AutoModelForVision2Seq' from 'transformers'",
    ),
    "TRANSFORMERS_TOO_NEW_FOR_MODEL": (
        "ValueError: size must contain 'shortest_edge' and 'longest_edge' keys.",
        "TypeError: ChatGLM4Tokenizer._pad() got an unexpected keyword argument 'padding_side'",
    ),
    "ENGINE_TOO_OLD_FOR_MODEL": (
        "ValueError: Model architectures ['Glm9vForConditionalGeneration'] are not supported for now. Supported architectures: dict_keys(['AquilaModel'])",
        "ValueError: Model architectures ['X'] failed to be inspected. Please check the logs for more details.",
        "ValueError: Glm9vForConditionalGeneration has no SGLang implementation and the Transformers implementation is not compatible with SGLang.",
        "llama_model_load: error loading model: unknown model architecture: 'glm9v'",
        "llama_model_load: error loading model: error loading model hyperparameters: key not found in model: glm4.block_count",
        "clip_init: failed to load model '/m.gguf': load_hparams: unknown projector type: glm9v",
    ),
    "KNOWN_BAD_RELEASE": ("AttributeError: 'list' object has no attribute 'prod'",),
    "PYTHON_UNSUPPORTED": (
        "ERROR: Package 'vllm' requires a different Python: 3.14.0 not in '<3.14,>=3.10'",
        "ERROR: No matching distribution found for vllm",
    ),
    "ENGINE_NOT_INSTALLED": (
        "/usr/bin/python3: No module named vllm",
        "bash: line 1: sglang: command not found",
        "ImportError: Missing dependencies for serving. Install with `pip install transformers[serving]`",
    ),
    "DEPENDENCY_CONFLICT": (
        "ModuleNotFoundError: No module named 'msgspec'",
        "compressed-tensors 0.11 requires pydantic>=2, but you have pydantic 1.10 which is incompatible.",
    ),
    "MODEL_FILES_LFS_POINTER": (
        "_pickle.UnpicklingError: invalid load key, 'v'.",
        "RuntimeError: Internal: src/sentencepiece_processor.cc(1101) [model_proto->ParseFromArray(serialized.data(), serialized.size())]",
        "safetensors_rust.SafetensorError: Error while deserializing header: header too large",
    ),
    "MODEL_FILE_TRUNCATED": (
        "safetensors_rust.SafetensorError: Error while deserializing header: incomplete metadata, file not fully covered",
        "safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer",
        "RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory",
        "llama_model_load: error loading model: tensor 'blk.3.ffn_up.weight' data is not within the file bounds, model is corrupted or incomplete",
        "gguf_init_from_file_impl: failed to read magic",
    ),
    "SAFETENSORS_HEADER_LIMIT": ("SafetensorError: the header is larger than the 100 MB that are read",),
    "MODEL_SHARD_MISSING": (
        'FileNotFoundError: No such file or directory: "/models/m/model-00002-of-00005.safetensors"',
        "RuntimeError: Weight files referenced in index but missing: {'model-00002-of-00005.safetensors'}",
        "RuntimeError: Cannot find any model weights with `/models/m`",
        "OSError: Error no file named model.safetensors, or pytorch_model.bin, found in directory /models/m.",
    ),
    "MODEL_TENSORS_MISSING": (
        "ValueError: Following weights were not initialized from checkpoint: {'model.layers.40.input_layernorm.weight'}",
        "ValueError: There is no module or parameter named 'visual' in Qwen2ForCausalLM",
        "llama_model_load: error loading model: missing tensor 'blk.40.attn_norm.weight'",
        "NotImplementedError: Cannot copy out of meta tensor; no data!",
        "model.language_model.layers.0.self_attn.q_proj.weight | MISSING | ",
    ),
    "MODEL_NEEDS_REMOTE_CODE": (
        "ValueError: The repository m contains custom code which must be executed to correctly load the model. You can inspect the repository content at https://hf.co/m. Please pass the argument `trust_remote_code=True` to allow custom code to be run.",
    ),
    "MODEL_CONFIG_WRONG": (
        "RuntimeError: You set `ignore_mismatched_sizes` to `False`, thus raising an error.",
        "assert param_data.shape == loaded_weight.shape",
        "lm_head.weight | MISMATCH | Reinit due to size mismatch - ckpt: torch.Size([512, 64]) vs model:torch.Size([1024, 64])",
        "ValueError: Unknown quantization method: exl9. Must be one of ['awq', 'fp8'].",
        "OSError: It looks like the config file at '/models/m/config.json' is not a valid JSON file.",
        "ValueError: Unrecognized model in /models/m. Should have a `model_type` key in its config.json.",
        "llama_model_load: error loading model: check_tensor_dims: tensor 'token_embd.weight' has wrong shape; expected 4096, 151552, got 4096, 151000",
    ),
    "MODEL_OUTPUT_WRONG": (
        "RuntimeError: probability tensor contains either `inf`, `nan` or element < 0",
        "Detected errors during sampling! NaN in the logits.",
    ),
    "MODEL_PATH_WRONG": (
        "OSError: zai-org/AutoGLM is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'",
        "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/models/m'.",
        "ValueError: Invalid repository ID or local directory specified: '/models/m'.",
        "gguf_init_from_file: failed to open GGUF file '/models/m.gguf' (No such file or directory)",
    ),
    "CHAT_TEMPLATE_MISSING": (
        "ValueError: As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template if the tokenizer does not define one.",
        "ValueError: Cannot use chat template functions because tokenizer.chat_template is not set and no template argument was passed!",
        "ValueError: Cannot use apply_chat_template because this processor does not have a chat template.",
    ),
    "CHAT_TEMPLATE_WRONG": (
        "ValueError: The total number of <|image|> tokens in the prompts should be the same as the number of images passed. Found 0 <|image|> tokens and 1 images.",
        "srv    load_model: chat template parsing error: Expected '%}'",
        "jinja2.exceptions.UndefinedError: 'messages' is undefined",
    ),
    "MODEL_REFUSES_PICTURES": (
        "ValueError: At most 0 image(s) may be provided in one prompt.",
        "ValueError: /models/m is not a multimodal model",
        "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj",
        "ValueError: This model does not support multi-modal inputs",
    ),
    "IMAGE_LIMIT_TOO_LOW": (
        "ValueError: At most 1 image(s) may be provided in one request. You can set `--limit-mm-per-prompt` to increase this limit if the model supports it.",
    ),
    "IMAGE_EXCEEDS_ENCODER_BUDGET": (
        "ValueError: The image item with length 6120 exceeds the pre-allocated encoder cache size 2048. Please reduce the input size or increase the encoder cache size",
    ),
    "CONTEXT_TOO_SHORT_FOR_IMAGE": (
        "ValueError: This model's maximum context length is 4096 tokens. However, you requested 5210 tokens",
        "the request exceeds the available context size, try increasing it",
    ),
    "MODEL_FILES_INCOMPLETE": (
        "OSError: Can't load image processor for '/models/m'. If you were trying to load it from 'https://huggingface.co/models', make sure you don't have a local directory with the same name.",
        "ValueError: Couldn't instantiate the backend tokenizer from one of: ",
        "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
        "OSError: /models/m does not appear to have a file named preprocessor_config.json.",
        "srv    load_model: failed to load multimodal model, '/models/mmproj.gguf'",
        "ValueError: Unrecognized image processor in /models/m. Should have a `image_processor_type` key",
    ),
    "UNKNOWN_FLAG": (
        "vllm: error: unrecognized arguments: --max-model-length 4096",
        "launch_server.py: error: unrecognized arguments: --gpu-memory-utilization 0.9",
        "error: invalid argument: --ctx-sizes",
        "vllm: error: argument --max-model-len: invalid human_readable_int value: 'many'",
        "Error: No such option: --gpu",
    ),
    "CONTEXT_TOO_LONG_FOR_MODEL": (
        "Value error, User-specified max_model_len (99999) is greater than the derived max_model_len (max_position_embeddings=65536 or model_max_length=None in model's config.json).",
        "ValueError: User-specified context_length (99999) is greater than the derived context_length (65536).",
    ),
    "TENSOR_PARALLEL_DOES_NOT_DIVIDE": (
        "ValueError: Total number of attention heads (32) must be divisible by tensor parallel size (3).",
        "AssertionError: 151552 is not divisible by 3",
    ),
    "QUANTIZATION_CONFLICT": (
        "ValueError: Quantization method specified in the model config (gptq) does not match the quantization method specified in the `quantization` argument (awq).",
        "ValueError: Cannot find the config file for awq",
    ),
    "BATCH_SMALLER_THAN_CONTEXT": (
        "ValueError: max_num_batched_tokens (2048) is smaller than max_model_len (25480). This effectively limits the maximum sequence length to max_num_batched_tokens",
    ),
    "EXECUTION_NOT_PERMITTED": ("PermissionError: [Errno 13] Permission denied: '/data/hub'",),
    "COMPILATION_FAILED": ("torch._inductor.exc.InductorError: LoweringException: AssertionError",),
    "PORT_IN_USE": (
        "OSError: [Errno 98] Address already in use",
        "ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use",
        "start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080",
    ),
    "PORT_NOT_PERMITTED": (
        "ERROR:    [Errno 13] error while attempting to bind on address ('0.0.0.0', 80): permission denied",
    ),
    "HUB_GATED": (
        "OSError: You are trying to access a gated repo.",
        "huggingface_hub.errors.GatedRepoError: 401 Client Error. Cannot access gated repo for url https://huggingface.co/m/resolve/main/config.json.",
    ),
    "HUB_UNREACHABLE": (
        "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the cached files.",
        "huggingface_hub.errors.LocalEntryNotFoundError: Cannot find the requested files in the disk cache and outgoing traffic has been disabled.",
        "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='huggingface.co', port=443): Max retries exceeded with url: /m",
        "socket.gaierror: [Errno -3] Temporary failure in name resolution",
    ),
    "PROXY_INTERCEPTS_LOCALHOST": (
        "openai.InternalServerError: POST http://127.0.0.1:8000/v1/chat/completions 502 Bad Gateway",
        "requests.exceptions.ProxyError: Cannot connect to proxy.",
    ),
    "P2P_UNRELIABLE_GPU_OR_DRIVER": (
        "it hangs at NCCL init",
        "Failed: Cuda error /src/csrc/custom_all_reduce.cuh:455 'invalid argument'",
        "RuntimeError: peer access is not supported between these two devices",
    ),
    "P2P_BROKEN_ACS_IOMMU": (
        "it hangs in all_reduce with two GPUs",
        "Watchdog caught collective operation timeout: WorkNCCL(SeqNum=5, OpType=ALLREDUCE, Timeout(ms)=600000) ran for 600086 milliseconds before timing out.",
    ),
    "NETWORK_INTERFACE_WRONG": (
        "RuntimeError: Gloo connectFullMesh failed with [../third_party/gloo/gloo/transport/tcp/pair.cc:144] no error",
        "torch.distributed.DistNetworkError: The client socket has timed out after 600000ms while trying to connect to (10.0.0.1, 29500).",
    ),
    "NCCL_FAILED": (
        "RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO for details)",
        "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3356, invalid usage",
    ),
    "ENGINE_DIED": (
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
        "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.",
        "Received sigquit from a child process. It usually means the child failed.",
        "srv          main: exiting due to model loading error",
        "ERROR:    Application startup failed. Exiting.",
        "Fatal Python error: Segmentation fault",
    ),
}
