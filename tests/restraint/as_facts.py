"""A drawn machine as a full reading, and as what somebody would write down of it."""

from __future__ import annotations

import random
import re
from typing import Any

from autoglm_doctor.facts import (
    Cuda,
    CudaDevice,
    DeviceRun,
    Distribution,
    Environment,
    Facts,
    Gpu,
    Interpreter,
    KernelLibrary,
    Packages,
    PciGpu,
    Product,
    Reading,
    Torch,
    TorchRun,
    known,
    with_readings,
)
from autoglm_doctor.intent import Intent
from autoglm_doctor.launch import parse_command
from tests.machines.build import GIB, MIB, SITE, driver, healthy
from tests.restraint.healthy import Machine
from tests.restraint.models import files
from tests.restraint.rows import capability, row, rows, since
from tests.restraint.surroundings import Around, around, host_of, rebuilt, told, toolchain_of, torch_of


def full(machine: Machine, rng: random.Random, *, ran: bool = True) -> tuple[Facts, Intent]:
    """Every reading of the machine; without `ran` torch was only read, not imported."""
    drawn = around(machine, rng)
    gpus = tuple(_gpu(machine, index) for index in range(machine.count))
    devices = tuple(
        CudaDevice(
            index=gpu.index,
            name=gpu.name,
            compute_capability=gpu.compute_capability,
            total_bytes=gpu.total_bytes - gpu.reserved_bytes,
        )
        for gpu in gpus
    )
    changes: dict[str, Reading[Any]] = {
        "host": known(host_of(machine, drawn)),
        "environment": known(Environment(variables=_variables(machine, drawn, rng))),
        "pci_gpus": known(
            ()  # WSL shows the GPU as a device of Microsoft's
            if drawn.wsl
            else tuple(PciGpu(address=f"0000:0{g.index + 1}:00.0", device_id="0x2684", driver="nvidia") for g in gpus)
        ),
        "driver": known(driver(machine.driver, machine.driver_cuda)),
        "gpus": known(gpus),
        "cuda": known(
            Cuda(
                library="/usr/lib/wsl/lib/libcuda.so.1"
                if drawn.wsl
                else f"/usr/lib/{machine.machine}-linux-gnu/libcuda.so.{machine.driver}",
                init_code=0,
                driver_cuda_version=machine.driver_cuda,
                devices=devices,
            )
        ),
        "interpreter": known(
            Interpreter(
                executable="/srv/env/bin/python",
                version=machine.python,
                prefix="/srv/env",
                sys_path=(SITE,),
                purelib=SITE,
                chosen_by="named by --python",
                missing_program="",
            )
        ),
        "packages": known(Packages(distributions=tuple(rebuilt(machine, drawn, distributions(machine))))),
        "torch": known(
            Torch(
                version=torch_of(machine, drawn),
                cuda=machine.cuda,
                architectures=tuple("sm_" + one.replace(".", "") for one in machine.sass),
                location=f"{SITE}/torch",
            )
        ),
        "kernels": known(kernels_of(machine)) if rng.random() < 0.5 else Reading(outcome="timeout", why="20 s"),
        "torch_run": known(_ran(machine, drawn)) if ran else Reading(outcome="not_run", why="not asked for"),
        "model_files": known(files(machine.model)),
        "toolchain": known(toolchain_of(machine, drawn)),
    }
    return with_readings(Facts(), {**healthy(), **changes}), intent_of(machine, drawn)


def kernels_of(machine: Machine) -> tuple[KernelLibrary, ...]:
    """The libraries of the engine's wheel, where they were read for the matrix."""
    binary = since(rows("engine_binaries").get(machine.engine, []), machine.version)
    listed = (binary or {}).get("sass_aarch64" if machine.machine == "aarch64" else "sass", "").split()
    if not binary or not listed:
        return ()
    common = tuple("sm_" + one.replace(".", "") for one in listed)
    if machine.engine == "sglang":
        names = [f"sgl_kernel/{one}/common_ops.abi3.so" for one in ("sm90", "sm100")]
        return tuple(KernelLibrary(package="sgl-kernel", name=name, common=common) for name in names)
    own = KernelLibrary(package="vllm", name="vllm/_C.abi3.so", common=common, others=("sm_90a", "compute_80"))
    isa = "8.8" if machine.tag == "cu129" else binary.get("fa2_ptx", "")
    attention = KernelLibrary(
        package="vllm",
        name="vllm/vllm_flash_attn/_vllm_fa2_C.abi3.so",
        common=("sm_80", *(("compute_80",) if isa else ())),
        ptx=isa,
    )
    return own, attention


def _variables(machine: Machine, drawn: Around, rng: random.Random) -> dict[str, str]:
    """What breaks nothing; not allocations in pieces where WSL or vLLM's all-reduce over NVLink cannot do with them."""
    found = {**harmless_environment(machine, rng), **drawn.variables}
    if not drawn.nvcc:
        found.pop("CUDA_HOME", None)
    if drawn.wsl or (machine.engine == "vllm" and machine.parallel > 1):
        found = {name: value for name, value in found.items() if "expandable" not in value}
    return found


def intent_of(machine: Machine, drawn: Around) -> Intent:
    """The command that a careful user would start: 16-bit floats and shares that suit the card."""
    where = files(machine.model).path
    if machine.engine == "sglang":
        words = ["python3", "-m", "sglang.launch_server", "--model-path", where, "--context-length", "8192"]
        words += ["--dtype", dtype(machine), "--tp", str(machine.parallel)]
    elif machine.engine == "vllm":
        words = ["vllm", "serve", where, "--max-model-len", "8192", "--dtype", dtype(machine)]
        words += ["--tensor-parallel-size", str(machine.parallel)]
        words += ["--gpu-memory-utilization", "0.8"] if machine.memory_gib <= 8 else []
    else:
        words = ["transformers", "serve", where, "--dtype", dtype(machine)]
    return parse_command([*words, *drawn.flags])


def dtype(machine: Machine) -> str:
    """Cards before Ampere have no bfloat16; AWQ and GPTQ were made for float16."""
    if machine.model.config.get("torch_dtype") == "float16":
        return "float16"
    return "bfloat16" if capability(machine.capability) >= (8, 0) else "float16"


def _ran(machine: Machine, drawn: Around) -> TorchRun:
    products = tuple(Product(dtype=one, relative_error=0.001) for one in ("bfloat16", "float16"))
    return TorchRun(
        version=torch_of(machine, drawn),
        file=f"{SITE}/torch/__init__.py",
        import_seconds=2.1,
        cuda_available=True,
        devices=tuple(DeviceRun(index=index, products=products) for index in range(machine.count)),
    )


def _gpu(machine: Machine, index: int) -> Gpu:
    total, usable = int(machine.memory_gib * GIB), int(machine.cuda_gib * GIB)
    return Gpu(
        index=index,
        name=f"NVIDIA {re.sub(r' [0-9]+GB$', '', machine.gpu)}",
        compute_capability=machine.capability,
        total_bytes=total,
        free_bytes=usable - 20 * MIB,
        reserved_bytes=total - usable,
        uuid=f"GPU-11111111-2222-3333-4444-55555555555{index}",
        pci_bus_id=f"00000000:0{index + 1}:00.0",
    )


def distributions(machine: Machine) -> list[Distribution]:
    """The packages with their Requires-Dist, as far as the matrix knows it."""
    requires = {
        "torch": _of_torch(machine),
        "torchvision": (f"torch=={machine.torch}", "numpy"),
        "transformers": _of_row(row("transformers", machine.packages["transformers"]), machine),
        machine.engine: _of_row(row(machine.engine, machine.version.split("+")[0]), machine),
    }
    return [
        Distribution(name=name, version=version, location=SITE, requires=requires.get(name, ()))
        for name, version in machine.packages.items()
    ]


def _of_torch(machine: Machine) -> tuple[str, ...]:
    only = 'platform_system == "Linux"'
    said = row("torch", machine.torch)
    cudnn = [name for name in machine.packages if name.startswith("nvidia-cudnn")]
    specifier = said["triton"] if said["triton"].startswith("~=") else f"=={said['triton']}"
    return (f"triton{specifier}; {only}", *(f"{name}=={machine.packages[name]}; {only}" for name in cudnn))


def _of_row(said: dict[str, Any], machine: Machine) -> tuple[str, ...]:
    names = {"huggingface_hub": "huggingface-hub", "flashinfer": "flashinfer-python"}
    found = []
    for key in ("torch", "torchvision", "torchaudio", "transformers", "tokenizers", "numpy", "xformers", "flashinfer"):
        if said.get(key) and not (key == "torch" and machine.engine == "transformers"):
            found.append(_demand(names.get(key, key), said[key]))
    if said.get("huggingface_hub"):
        found.append(_demand("huggingface-hub", said["huggingface_hub"]))
    return tuple(found)


def _demand(name: str, said: str) -> str:
    return f"{name}=={said}" if said[0].isdigit() else f"{name}{said}"


def _share(machine: Machine) -> dict[str, float]:
    return {"gpu_memory_utilization": 0.8} if machine.engine == "vllm" and machine.memory_gib <= 8 else {}


#: What healthy machines have set, each for good reasons.
HARMLESS = (
    ("HF_HOME", "/srv/cache"),
    ("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
    ("CUDA_HOME", "/usr/local/cuda"),
    ("LD_LIBRARY_PATH", "/usr/local/nvidia/lib:/usr/local/nvidia/lib64"),
    ("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"),
    ("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:512"),
    ("NCCL_P2P_DISABLE", "1"),
    ("NCCL_DEBUG", "INFO"),
    ("NCCL_BUFFSIZE", "8388608"),
    ("TORCH_CUDA_ARCH_LIST", "8.0 8.6 8.9 9.0+PTX"),
    ("NVIDIA_VISIBLE_DEVICES", "all"),
    ("NVIDIA_DRIVER_CAPABILITIES", "compute,utility"),
    ("VLLM_WORKER_MULTIPROC_METHOD", "spawn"),
    ("VLLM_ENABLE_CUDA_COMPATIBILITY", "0"),
    ("TOKENIZERS_PARALLELISM", "false"),
    ("OMP_NUM_THREADS", "8"),
    ("no_proxy", "localhost,127.0.0.1"),
)


def harmless_environment(machine: Machine, rng: random.Random) -> dict[str, str]:
    """Some variables that break nothing; what an image demands of CUDA is at most what the driver knows."""
    found = dict(rng.sample(HARMLESS, k=rng.randint(0, 6)))
    if rng.random() < 0.3:
        found["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, range(machine.count)))
    if rng.random() < 0.2:
        found["NVIDIA_REQUIRE_CUDA"] = f"cuda>={machine.driver_cuda}"
    if rng.random() < 0.2:
        found |= {"http_proxy": "http://proxy:3128", "no_proxy": "localhost,127.0.0.1"}
    return found


def _container(machine: Machine, rng: random.Random) -> dict[str, str]:
    """vLLM's own image, for one in five of those who serve with it."""
    if machine.engine != "vllm" or "+" in machine.version or rng.random() < 0.8:
        return {}
    return {"container": f"docker vllm/vllm-openai:v{machine.version}"}


def loose(machine: Machine, rng: random.Random, *, all_of_it: bool = False) -> dict[str, Any]:
    """What is written down of a machine: some of the keys, in one of their forms."""
    engine = {"engine": f"{machine.engine} {machine.version}"} if machine.engine != "transformers" else {}
    facts: dict[str, Any] = {
        "gpus": rng.choice(
            [
                [{"name": f"NVIDIA {machine.gpu}", "compute_capability": machine.capability}] * machine.count,
                [{"name": machine.gpu, "count": machine.count, "memory_gb": machine.memory_gib}],
                [machine.gpu] * machine.count,
            ]
        ),
        "torch": machine.packages["torch"] if machine.machine == "x86_64" else f"{machine.torch}+{machine.tag}",
        "torch_cuda": machine.cuda,
        "torch_arch_list": ["sm_" + one.replace(".", "") for one in machine.sass],
        "python": machine.python,
        "os": machine.os,
        "libc": f"glibc-{machine.glibc}",
        "arch": machine.machine,
        **rng.choice([{"driver_version": machine.driver}, {"driver_branch": machine.driver[:3]}]),
        "cuda_driver_version": machine.driver_cuda,
        "cuda_available": True,
        "packages": {n: v for n, v in machine.packages.items() if all_of_it or rng.random() < 0.8},
        **engine,
        **_container(machine, rng),
        "model": machine.model.name,
        "model_type": machine.model.kind,
        "model_dtype": str(machine.model.config.get("torch_dtype", "bfloat16")),
        "engine_args": {"dtype": dtype(machine), "max_model_len": 8192, **_share(machine)},
        "ram_gib": 256,
        "shm": "16G",
        "env": harmless_environment(machine, rng),
        "cuda_toolkit": machine.cuda,
        "nvcc": machine.cuda,
        "gcc": "13.3.0",
        "cudnn": "9.8.0",
    }
    _put_around(facts, told(machine, around(machine, rng)))
    if all_of_it:
        return facts
    always = ("engine_args",)
    return {key: value for key, value in facts.items() if key in always or rng.random() < 0.7}


def _put_around(facts: dict[str, Any], said: dict[str, Any]) -> None:
    """In the place of what is told of every machine."""
    facts["packages"] |= {name: v for name, v in said.pop("packages", {}).items() if name in facts["packages"]}
    flags = said.pop("flags", ())
    names = (one.removeprefix("--").replace("-", "_") for one in flags[::2])
    facts["engine_args"] |= dict(zip(names, flags[1::2], strict=True))
    if str(said.get("os", "")).startswith("WSL2"):
        facts["env"] = {name: value for name, value in facts["env"].items() if "expandable" not in value}
    if said.get("nvcc"):
        facts["env"].pop("CUDA_HOME", None)
    if said.get("engine") and "engine" not in facts:
        said.pop("engine")
    facts |= said
    for name in [name for name, value in facts.items() if value is None]:
        del facts[name]
