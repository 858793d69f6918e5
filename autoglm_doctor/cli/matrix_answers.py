"""The answers of `matrix show` as lines: a heading, then `name  value`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from autoglm_doctor.errors import DoctorError
from autoglm_doctor.matrix import EngineRelease, Matrix, TorchBuild
from autoglm_doctor.matrix.models import LIBRARIES
from autoglm_doctor.matrix.rows import OtherServer

Answer = Callable[[Matrix, str], Iterator[str]]


def answer(matrix: Matrix, what: str, which: str) -> list[str]:
    """What the matrix knows.

    Raises:
        DoctorError: it has no such table, or no such row; with what it has.
    """
    name = what.lower().replace("_", "-")
    kind = _ALIASES.get(name, name)
    if kind not in _ANSWERS:
        raise DoctorError(f"the matrix has no table {what!r}; it has {', '.join(_ANSWERS)}")
    if not which:
        which = matrix.newest_release(kind)
        if not which:
            raise DoctorError(f"which {kind}? For example: autoglm-doctor matrix show {kind} {_EXAMPLES[kind]}")
    return list(_ANSWERS[kind](matrix, which.removeprefix("v")))


def _pair(name: str, value: object) -> Iterator[str]:
    if value not in ("", None, ()):
        yield f"  {name:<20} {value}"


def _source(matrix: Matrix, *sections: str) -> Iterator[str]:
    for section in sections:
        origin = matrix.origin(section)
        kept = "kept by hand" if origin.hand else "read by a machine"
        yield f"  {'source':<20} {origin.source} ({origin.verified}, {kept})"


def _driver(matrix: Matrix, which: str) -> Iterator[str]:
    branch = matrix.branch_of(which)
    if branch is None:
        raise DoctorError(f"{which!r} is no driver version; for example 570 or 570.26")
    name = next(key for key, row in matrix.branches.items() if row is branch)
    yield f"NVIDIA driver {which}" + (
        "" if which.startswith(name) else f": judged as branch {name}, the next older one"
    )
    yield from _pair("branch", f"{name} {branch.designation}".strip())
    yield from _pair("maintained until", branch.end)
    yield from _pair("newest CUDA", f"{branch.cuda} (PTX and forward compatibility go by it)")
    bare = "." not in which
    for major, row in sorted(matrix.cuda_majors.items(), key=lambda item: int(item[0])):
        yield from _pair(f"CUDA {major}.x", _runs_major(which, bare, row.minimum_driver))
    isas = [isa for isa in matrix.ptx_isa if matrix.compiles_ptx(which, isa)]
    yield from _pair("PTX ISA", f"up to {isas[-1]}" if isas else "")
    yield from _pair("GPUs", f"from compute capability {branch.first_capability} on" if branch.first_capability else "")
    packages = [cuda for cuda in matrix.forward_compat if matrix.compat_package(cuda, which) == "runs"]
    yield from _pair("cuda-compat for", f"{', '.join(packages)} (data center cards only)" if packages else "")
    yield from _pair("note", branch.note)
    yield from _source(matrix, "driver_branches", "cuda_majors")


def _runs_major(which: str, bare: bool, minimum: str) -> str:
    from packaging.version import Version

    if bare and which == minimum.split(".")[0]:
        return f"runs from {minimum} on"
    return f"{'runs' if Version(which) >= Version(minimum) else 'does not run'} (needs {minimum})"


def _cuda(matrix: Matrix, which: str) -> Iterator[str]:
    row, came = matrix.minimum_driver(which), matrix.driver_of(which)
    if row is None:
        raise DoctorError(f"the matrix has no CUDA {which!r}; it has majors {', '.join(matrix.cuda_majors)}")
    yield f"CUDA {which}"
    yield from _pair("driver, at least", f"{row.minimum_driver} (compiled code; minor-version compatibility)")
    yield from _pair("on Windows", row.minimum_driver_windows)
    yield from _pair("came with driver", f"{came.linux} (information only)" if came else "")
    yield from _pair("PTX needs branch", matrix.branch_for_cuda(which))
    compiled = [gpu for gpu in matrix.capabilities if matrix.compiles_for(which, gpu)]
    yield from _pair("compiles for", " ".join(compiled))
    yield from _source(matrix, "cuda_majors", "cuda_releases")


def _gpu(matrix: Matrix, which: str) -> Iterator[str]:
    name, model = matrix.gpu_name(which), matrix.find_gpu(which)
    if name is None or model is None:
        near = matrix.near_gpus(which)
        raise DoctorError(f"the matrix has no GPU {which!r}, or several; {'near: ' + ', '.join(near) if near else ''}")
    yield name
    yield from _pair("compute capability", f"{model.capability} {_architecture(matrix, model.capability)}")
    yield from _pair("memory", f"{model.memory_gib:g} GiB, CUDA counts {model.total_bytes / 2**30:.2f} GiB")
    yield from _pair("memory bandwidth", f"{model.bandwidth_gb_s:g} GB/s" if model.bandwidth_gb_s else "")
    yield from _pair("bf16", f"{model.bf16_tflops:g} TFLOPS, dense" if model.bf16_tflops else "")
    yield from _pair("fp16", f"{model.fp16_tflops:g} TFLOPS, dense; no bf16" if model.fp16_tflops else "")
    yield from _pair("figures", model.figures)
    best = matrix.newest_torch_for(model.capability)
    yield from _pair("newest torch", f"{best[0]} ({best[1]})" if best else "none in the table has code for it")
    for engine, rows in matrix.engines.items():
        yield from _pair(engine, _engine_for(matrix, engine, model.capability, rows))
    yield from _pair("note", model.note)
    yield from _source(matrix, "gpus", "torch_builds")


def _architecture(matrix: Matrix, gpu: str) -> str:
    row = matrix.capabilities.get(gpu)
    return f"({row.architecture}; CUDA {row.first_cuda or 'before 10.0'} to {row.last_cuda or 'now'})" if row else ""


def _engine_for(matrix: Matrix, engine: str, gpu: str, rows: tuple[EngineRelease, ...]) -> str:
    fitting = [row for row in rows if float(row.minimum_capability) <= float(gpu)]
    fitting = [row for row in fitting if matrix.engine_has_code_for(engine, row.since, gpu) is not False]
    return f"{fitting[0].since} to {fitting[-1].since}" if fitting else "no release has code for it"


def _torch(matrix: Matrix, which: str) -> Iterator[str]:
    row = matrix.torch_release(which)
    if row is None:
        raise DoctorError(f"the matrix has no torch {which!r}; it has {', '.join(matrix.torch)}")
    yield f"torch {which}, released {row.released}"
    yield from _pair("Python", f"{row.python}; wheels for {row.wheels}")
    yield from _pair("default wheel", f"CUDA {matrix.torch_cuda(which)}")
    need = matrix.minimum_driver(matrix.torch_cuda(which))
    yield from _pair("driver, at least", need.minimum_driver if need else "")
    for name in ("torchvision", "torchaudio", "triton", "cudnn", "nccl"):
        yield from _pair(name, getattr(row, name))
    yield from _pair("NumPy 2", {True: "yes", False: "no: numpy<2", None: ""}[matrix.torch_takes_numpy2(which)])
    yield from _pair("glibc, at least", matrix.torch_glibc(which))
    for tag in matrix.torch_variants(which, sure=False):
        build = matrix.torch_build(which, tag)
        yield from _pair(tag, _build(build) if build else "")
    engines = {name: [r.since for r in rows if r.torch == row.version] for name, rows in matrix.engines.items()}
    for name, versions in engines.items():
        yield from _pair(f"pinned by {name}", ", ".join(versions))
    yield from _source(matrix, "torch", "torch_builds")


def _build(build: TorchBuild) -> str:
    ptx = {"none": "no PTX", "unknown": "PTX not looked for"}.get(build.ptx, f"PTX {build.ptx}")
    return f"code for {' '.join(build.sass)}, {ptx} ({build.evidence})"


def _engine(engine: str) -> Answer:
    def lines(matrix: Matrix, which: str) -> Iterator[str]:
        row = matrix.engine_release(engine, which)
        if row is None:
            first = matrix.all_engines[engine][0].since
            raise DoctorError(f"the matrix has no {engine} {which!r}; it begins with {first}")
        same = "" if row.since == which else f": judged as {row.since}, the next older one in the table"
        yield f"{engine} {which}{same}, released {row.released}"
        need = matrix.minimum_driver(str(row.cuda_major))
        yield from _pair("CUDA major", f"{row.cuda_major}, driver {need.minimum_driver if need else '?'} or newer")
        yield from _pair("Python", row.python)
        for name in ("torch", "torchvision", "torchaudio", "transformers", "tokenizers", "numpy", "xformers"):
            yield from _pair(name, getattr(row, name) or (row.torch_range if name == "torch" else ""))
        yield from _pair("flashinfer", row.flashinfer)
        yield from _pair("kernels", row.kernel)
        yield from _pair("glibc, at least", matrix.engine_glibc(engine, which))
        yield from _pair("GPU, at least", f"compute capability {row.minimum_capability}")
        yield from _pair(
            "code for", f"{row.sass} ({'read' if row.measured else 'as its neighbours'})" if row.sass else ""
        )
        yield from _pair("PTX from 9.0 on", _ptx(matrix, row.fa2_ptx))
        taken = [v for v in matrix.libraries("transformers") if matrix.engine_takes(engine, which, "transformers", v)]
        fitting = [v for v in taken if not matrix.bad_pairs({engine: which, "transformers": v})]
        tried = [v for v in fitting if not matrix.is_untried(row, "transformers", v)]
        newer = "" if tried == fitting else " (within a year; no upper bound is stated, and later ones nobody tried)"
        yield from _pair("newest transformers", f"{tried[-1]}{newer}" if tried else "")
        yield from _source(matrix, engine, "engine_binaries")

    return lines


def _ptx(matrix: Matrix, isa: str) -> str:
    cuda = matrix.ptx_cuda(isa)
    return f"ISA {isa} (FlashAttention-2): driver {matrix.branch_for_cuda(cuda)} or newer" if cuda else ""


def _library(package: str) -> Answer:
    def lines(matrix: Matrix, which: str) -> Iterator[str]:
        rows, other = matrix.libraries(package), matrix.other_server(package, which)
        row, bad = rows.get(which), [one for one in matrix.known_bad if matrix.is_known_bad(package, which) == one]
        if row is None and other is None and not bad:
            raise DoctorError(
                f"the matrix has no {package} {which!r}; it has {', '.join(list(rows)[-12:])} and older ones"
            )
        absent = f": not in the table of releases; what follows is as of {other.since}" if other else ""
        yield f"{package} {which}" + (f", released {row.released}" if row else absent)
        for name in _COLUMNS:
            yield from _pair(name.replace("_", "-"), getattr(row, name, ""))
        for one in matrix.known_bad:
            if one.package == package and matrix.is_known_bad(package, which, (*one.models, "")[0]) == one:
                yield from _pair(
                    "known defect", f"{', '.join(one.models) or 'all models'}: {one.what}; take {one.instead}"
                )
        if package == "transformers":
            for engine in matrix.engines:
                takers = [r.since for r in matrix.engines_for_transformers(engine, which)]
                yield from _pair(engine, ", ".join(takers) or "no release admits it")
        if other is not None:
            yield from _built_for(matrix, other)
        yield from _source(matrix, package.replace("-", "_"), *(("other_servers",) if other else ()))

    return lines


#: What is said of a release of a library, where its metadata says it.
_COLUMNS = (
    *("python", "wheels", "glibc", "torch", "transformers", "tokenizers", "huggingface_hub", "numpy"),
    *("tensorrt", "flashinfer", "cuda", "cudnn", "nccl_package"),
)


def _built_for(matrix: Matrix, server: OtherServer) -> Iterator[str]:
    """What is known of a server's wheels beside their metadata, with its own source."""
    need = matrix.minimum_driver(str(server.cuda_major)) if server.cuda_major else None
    yield from _pair("wheels for Python", server.pythons)
    yield from _pair("built for CUDA", server.cuda_major or "")
    yield from _pair("driver, at least", need.minimum_driver if need else "")
    yield from _pair("built for cuDNN", server.cudnn_major or "")
    at_least = server.minimum_capability
    yield from _pair("GPU, at least", f"compute capability {at_least}" if at_least else "")
    yield from _pair("note", server.note)
    yield from _pair("told by", server.source)


def _model(matrix: Matrix, which: str) -> Iterator[str]:
    first = matrix.first_transformers(which)
    engines = {name: matrix.first_engine(name, which) for name in matrix.engines}
    if not first and not any(engines.values()):
        raise DoctorError(
            f"the matrix knows neither a model type nor an architecture {which!r} (config.json names both)"
        )
    yield which
    yield from _pair("transformers", f"{first} or newer" if first else "")
    support = matrix.models.get(which)
    for name in matrix.engines:
        version = engines[name] or (getattr(support, name) if support else "")
        yield from _pair(name, f"{version} or newer" if version else "")
    yield from _pair("but not transformers", ", ".join(support.bad_transformers) if support else "")
    yield from _source(matrix, "model_types", "vllm_architectures")


_ANSWERS: Mapping[str, Answer] = {
    "driver": _driver,
    "cuda": _cuda,
    "gpu": _gpu,
    "torch": _torch,
    "vllm": _engine("vllm"),
    "sglang": _engine("sglang"),
    **{name: _library(name) for name in LIBRARIES},
    "model": _model,
}
_ALIASES = {"pytorch": "torch", "nvidia": "driver", "card": "gpu"}
_ALIASES |= {"onnxruntime": "onnxruntime-gpu", "trtllm": "tensorrt-llm", "trt-llm": "tensorrt-llm"}
_EXAMPLES = dict.fromkeys(_ANSWERS, "1.0") | {"driver": "570", "cuda": "12.8", "gpu": '"RTX 4090"', "model": "glm4v"}
