"""A healthy machine to break: everything that the doctor looks at, in one temporary folder.

The driver is a stub (tests/stubs) that shows one RTX 4090; the deployment is a real venv with the metadata of vLLM 0.12
and a torch that computes nothing but answers as one; the model is a folder of Qwen2.5-0.5B whose weights are a sparse
file. Main memory, kernel and disk are those of this machine.
"""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
import sysconfig
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from autoglm_doctor.facts import Distribution
from tests.machines.build import packages
from tests.probes.gpu_code import elf, fatbin
from tests.stubs import fake_tool

#: Names, capability and MiB (total, free, reserved) as NVML tells them of an idle card.
GPU_4090 = "NVIDIA GeForce RTX 4090|8.9|24564|24114|430"
DRIVER = "570.124.06"
TORCH = "2.9.0+cu128"

#: Measuring the disk takes a second; the headers are those of the Python that runs the tests, which may have none.
SKIPPED = ",".join(
    ("DSK002", "DSK003", *(() if Path(sysconfig.get_path("include"), "Python.h").is_file() else ("PKG007",)))
)

#: What a child of the doctor cannot lose: by it we find what was left behind.
MARK = "AUTOGLM_DOCTOR_TEST_RUN"

#: nvidia-smi as driver 570 prints it.
SMI = f"""
case "$*" in
*--query-gpu=driver_version*) echo {DRIVER} ;;
*) echo '| NVIDIA-SMI {DRIVER}   Driver Version: {DRIVER}   CUDA Version: 12.8     |' ;;
esac
"""

CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 896,
    "intermediate_size": 4864,
    "max_position_embeddings": 32768,
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "vocab_size": 151936,
}
PARAMETERS = 494_032_768

#: A torch that answers as one with a working GPU. Its numbers are single numbers: only their agreement is looked at.
FAKE_TORCH = """
from . import cuda
from .version import __version__


class Tensor(float):
    def sum(self): return self
    def max(self): return self
    def abs(self): return Tensor(float.__abs__(self))
    def item(self): return float(self)
    def to(self, _): return self
    def double(self): return self
    def cpu(self): return self
    def __matmul__(self, other): return Tensor(self * other)
    def __sub__(self, other): return Tensor(float.__sub__(self, other))


class Generator:
    def manual_seed(self, _): return self


bfloat16 = float16 = None


def ones(*shape, device=None): return Tensor(1)
def randn(*shape, generator=None): return Tensor(2)
"""
FAKE_TORCH_CUDA = """
def is_available(): return True
def device_count(): return 1
def get_device_capability(_=0): return (8, 9)
def init(): pass
"""


@dataclass
class Machine:
    """The folders of a simulated machine, and how the doctor is started on it."""

    root: Path
    stubs: Path  # holds libnvidia-ml.so.1 and libcuda.so.1
    options: list[str] = field(default_factory=lambda: ["--skip", SKIPPED])
    environ: dict[str, str] = field(default_factory=dict)
    wrap: list[str] = field(default_factory=list)  # words in front of the doctor's command
    mounts: list[str] = field(default_factory=list)  # shell lines, run in a mount namespace of the doctor's own
    command: list[str] = field(default_factory=list)  # the intended command, after `--`

    def __post_init__(self) -> None:
        """Build it."""
        for folder in (self.home, self.tmp, self.tools, self.cwd):
            folder.mkdir(parents=True)
        fake_tool(self.tools, "nvidia-smi", SMI)
        fake_tool(self.tools, "gcc", "echo 'gcc (GCC) 11.4.0'")
        self._deployment()
        self._model()
        self.command = ["vllm", "serve", str(self.model), "--max-model-len", "8192", "--port", "18231"]
        self.environ = {
            "PATH": f"{self.venv}/bin:{self.tools}:/usr/bin:/bin",
            "HOME": str(self.home),
            "TMPDIR": str(self.tmp),
            "LANG": "C.UTF-8",
            "LD_LIBRARY_PATH": str(self.stubs),
            "VIRTUAL_ENV": str(self.venv),
            "STUB_GPUS": GPU_4090,
            "STUB_CUDA_MIB": "24134",
            MARK: uuid.uuid4().hex,
        }

    @property
    def home(self) -> Path:
        """HOME, empty."""
        return self.root / "home"

    @property
    def tmp(self) -> Path:
        """TMPDIR, empty."""
        return self.root / "tmp"

    @property
    def tools(self) -> Path:
        """First on PATH after the venv."""
        return self.root / "tools"

    @property
    def cwd(self) -> Path:
        """Where the doctor is started."""
        return self.root / "work"

    @property
    def witness(self) -> Path:
        """Written by a broken part when it is met; it lies outside, since nothing in the machine's folder may change."""
        return self.root.with_name("witness")

    @property
    def venv(self) -> Path:
        """The environment of the deployment."""
        return self.root / "env"

    @property
    def site(self) -> Path:
        """Its packages."""
        return self.venv / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"

    @property
    def torch(self) -> Path:
        """The folder of its torch."""
        return self.site / "torch"

    @property
    def kernels(self) -> Path:
        """The library with vLLM's own kernels."""
        return self.site / "vllm" / "_C.abi3.so"

    @property
    def model(self) -> Path:
        """The model folder."""
        return self.root / "models" / "Qwen2.5-0.5B-Instruct"

    def _deployment(self) -> None:
        base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}"
        subprocess.run([base, "-m", "venv", "--without-pip", self.venv], check=True, timeout=60)
        for distribution in packages().distributions:
            write_distribution(self.site, distribution)
        (self.torch / "lib").mkdir(parents=True)
        (self.torch / "__init__.py").write_text(FAKE_TORCH)
        (self.torch / "cuda.py").write_text(FAKE_TORCH_CUDA)
        (self.torch / "version.py").write_text(f"__version__ = '{TORCH}'\ncuda: 'str | None' = '12.8'\nhip = None\n")
        architectures = b"\0sm_70 sm_75 sm_80 sm_86 sm_90 sm_100 sm_120\0"
        (self.torch / "lib" / "libtorch_python.so").write_bytes(architectures)
        self.kernels.parent.mkdir()
        self.kernels.write_bytes(elf(fatbin("sm_70 sm_75 sm_80 sm_89 sm_90 sm_100 sm_120") * 9))
        script = self.venv / "bin" / "vllm"
        script.write_text(f"#!{self.venv}/bin/python\nraise SystemExit('the doctor must not start this')\n")
        script.chmod(0o755)

    def _model(self) -> None:
        self.model.mkdir(parents=True)
        (self.model / "config.json").write_text(json.dumps(CONFIG))
        (self.model / "tokenizer.json").write_text("{}")
        (self.model / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
        write_weights(self.model / "model.safetensors", PARAMETERS)


def picture(machine: Machine) -> frozenset[str]:
    """Everything that a fault can change. How long things may take is none of it."""
    words = [*machine.options]
    if "--timeout" in words:
        at = words.index("--timeout")
        del words[at : at + 2]
    files = (f"{path}: {_content(path)}" for path in machine.root.rglob("*"))
    started = (machine.wrap, machine.mounts, machine.command, words, sorted(machine.environ.items()))
    return frozenset([*files, *map(str, started)])


def _content(path: Path) -> str:
    """What a file is; of a large one (the weights are a hole) its size and its beginning."""
    status = path.lstat()
    kind = f"{status.st_mode:o}"
    if path.is_symlink():
        return f"{kind} to {path.readlink()}"
    if not path.is_file():
        return kind
    with path.open("rb") as stream:
        return f"{kind} {status.st_size} {hash(stream.read(1 << 20))}"


def write_distribution(site: Path, distribution: Distribution) -> Path:
    """The metadata of one installed distribution; its folder."""
    info = site / f"{distribution.name.replace('-', '_')}-{distribution.version}.dist-info"
    info.mkdir(parents=True)
    lines = [f"Name: {distribution.name}", f"Version: {distribution.version}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in distribution.requires]
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines, "", ""]))
    return info


def write_weights(path: Path, parameters: int) -> None:
    """A whole safetensors file with one bfloat16 tensor, its numbers a hole in the file."""
    header = json.dumps(
        {"model.weight": {"dtype": "BF16", "shape": [parameters], "data_offsets": [0, 2 * parameters]}}
    ).encode()
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        stream.truncate(8 + len(header) + 2 * parameters)


def can_mount() -> bool:
    """May this user have a mount namespace of its own?"""
    if shutil.which("unshare") is None:
        return False
    done = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return done.returncode == 0
