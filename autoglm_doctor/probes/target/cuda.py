"""Is CUDA really usable from the deployment's Python: libcuda first, then torch with one small product on each GPU.

Run by the user's interpreter: standard library only, old syntax. What libcuda said is written before torch is
imported, so that it survives a torch that crashes or hangs. Standard output belongs to whatever torch prints; standard
error stays as it is, since the last words of a crash are all that is left of it.

Arguments: {"size": 256, "use_gpus": true, "leave_cuda": ""}. `use_gpus` false leaves the GPUs alone (no CUDA context of
about half a GiB on a GPU where somebody else works); `leave_cuda`, the reason for it, the whole driver (one that hangs
would hang us). torch is imported all the same.
"""

import ctypes
import importlib.util
import json
import os
import sys
import time
from typing import Any

LIBRARY = "libcuda.so.1"

#: Names for a libcuda that lacks cuGetErrorName; from cuda.h.
ERRORS = {
    1: "CUDA_ERROR_INVALID_VALUE",
    2: "CUDA_ERROR_OUT_OF_MEMORY",
    3: "CUDA_ERROR_NOT_INITIALIZED",
    34: "CUDA_ERROR_STUB_LIBRARY",
    46: "CUDA_ERROR_DEVICE_UNAVAILABLE",
    100: "CUDA_ERROR_NO_DEVICE",
    101: "CUDA_ERROR_INVALID_DEVICE",
    304: "CUDA_ERROR_OPERATING_SYSTEM",
    800: "CUDA_ERROR_NOT_PERMITTED",
    802: "CUDA_ERROR_SYSTEM_NOT_READY",
    803: "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
    804: "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
    999: "CUDA_ERROR_UNKNOWN",
}

#: CUdevice_attribute: compute capability, major and minor.
MAJOR, MINOR = 75, 76


#: Taken before torch is imported, which may put something else in their place.
_dumps, _open, _write, _close, _read_text = json.dumps, os.open, os.write, os.close, open
_clock, _process, _leave = time.time, os.getpid, os._exit


class Output:
    """The result file: one JSON object a line. It is open only while a line is written: nothing of torch gets at it."""

    def __init__(self, path: str) -> None:
        """Append to `path`."""
        self.path = os.path.abspath(path)
        self.owner = _process()
        self.started = _clock()

    def write(self, entry: Any) -> None:
        """One line. A child that torch has forked does not speak for its parent: it leaves."""
        if _process() != self.owner:
            _leave(0)
        line = (_dumps(entry) + "\n").encode("ascii")
        stream = _open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            _write(stream, line)
        finally:
            _close(stream)

    def fact(self, name: str, outcome: str, value: Any = None, why: str = "", source: str = "") -> None:
        """A reading, with the time since the one before."""
        seconds = round(_clock() - self.started, 6)
        self.write({"fact": name, "outcome": outcome, "value": value, "why": why, "source": source, "seconds": seconds})
        self.started = _clock()

    def progress(self, text: str) -> None:
        """What the time limit would interrupt."""
        self.write({"progress": text})


def short(error: BaseException) -> str:
    """An exception as "Type: text"."""
    try:
        text = str(error)
    except BaseException:
        text = "(its text cannot be shown)"
    return printable(type(error).__name__ + ": " + text)


def printable(text: str, limit: int = 2000) -> str:
    """The beginning of a text, half surrogate pairs escaped."""
    return text[:limit].encode("utf-8", "backslashreplace").decode("utf-8")


# --- libcuda ---------------------------------------------------------------------------------------------------------


def answer_cuda(out: Output) -> None:
    """The fact `cuda`."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        text = str(error)
        if text.startswith(LIBRARY) and "No such file" in text:
            out.fact("cuda", "absent", why="there is no libcuda.so.1 here, the library of the NVIDIA driver")
        else:
            out.fact("cuda", "known", {"library": None, "load_error": text[:2000]}, source="dlopen")
        return
    out.fact("cuda", "known", read_cuda(library), source="libcuda")


def read_cuda(library: Any) -> Any:
    """The fields of facts.Cuda from a loaded libcuda."""
    value: Any = {"library": mapped_path("libcuda.so") or LIBRARY, "driver_cuda_version": driver_version(library)}
    try:
        code = library.cuInit(0)
    except AttributeError as error:
        value["load_error"] = short(error)
        return value
    value["init_code"] = code
    if code != 0:
        value["init_error"] = error_name(library, code)
    else:
        value["devices"] = devices(library)
    return value


def mapped_path(name: str) -> Any:
    """The file of a library that was really loaded, from /proc/self/maps; None where that cannot be read."""
    try:
        with _read_text("/proc/self/maps") as stream:
            for line in stream:
                path = line.split(None, 5)[-1].strip()
                if "/" + name in path:
                    return path
    except (OSError, UnicodeDecodeError):
        pass
    return None


def driver_version(library: Any) -> Any:
    """cuDriverGetVersion as "12.8"; it answers without cuInit. None when it does not."""
    number = ctypes.c_int(0)
    try:
        if library.cuDriverGetVersion(ctypes.byref(number)) != 0 or number.value <= 0:
            return None
    except AttributeError:
        return None
    return f"{number.value // 1000}.{number.value % 1000 // 10}"


def error_name(library: Any, code: int) -> str:
    """The name of a return code, by the library itself or by our table."""
    text = ctypes.c_char_p()
    try:
        if library.cuGetErrorName(code, ctypes.byref(text)) == 0 and text.value:
            return text.value.decode("ascii", "replace")
    except AttributeError:
        pass
    return ERRORS.get(code, f"CUDA error {code}")


def devices(library: Any) -> Any:
    """Fields of facts.CudaDevice for each device that CUDA shows."""
    count = ctypes.c_int(0)
    if library.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return []
    return [device(library, index) for index in range(count.value)]


def device(library: Any, index: int) -> Any:
    """One device: handle, name, capability, memory."""
    handle, name, total = ctypes.c_int(0), ctypes.create_string_buffer(256), ctypes.c_size_t(0)
    major, minor = ctypes.c_int(0), ctypes.c_int(0)
    library.cuDeviceGet(ctypes.byref(handle), index)
    library.cuDeviceGetName(name, 256, handle)
    library.cuDeviceGetAttribute(ctypes.byref(major), MAJOR, handle)
    library.cuDeviceGetAttribute(ctypes.byref(minor), MINOR, handle)
    library.cuDeviceTotalMem_v2(ctypes.byref(total), handle)
    return {
        "index": index,
        "name": name.value.decode("utf-8", "replace"),
        "compute_capability": f"{major.value}.{minor.value}",
        "total_bytes": total.value,
    }


# --- torch -----------------------------------------------------------------------------------------------------------


def answer_torch(out: Output, arguments: Any) -> None:
    """The fact `torch_run`."""
    started = _clock()
    if not is_there("torch"):
        out.fact("torch_run", "absent", why="torch is not installed for this Python")
        return
    out.progress("importing torch")
    value: Any = {"import_error": None}
    try:
        import torch

        value["version"] = printable(str(torch.__version__), 200)
        value["file"] = printable(str(torch.__file__ or ""))
    except BaseException as error:  # sys.exit() while importing is one more way to fail
        value["import_error"] = short(error)
        value["import_seconds"] = round(_clock() - started, 3)
        out.fact("torch_run", "known", value, source="import torch")
        return
    value["import_seconds"] = round(_clock() - started, 3)
    value["libstdcxx"] = printable(mapped_path("libstdc++.so") or "")
    if not arguments.get("leave_cuda"):
        out.progress("starting CUDA in torch")
        value.update(use_cuda(torch, out, arguments))
    else:
        value["cuda_tried"] = False
    out.fact("torch_run", "known", value, source="torch itself")


def is_there(name: str) -> bool:
    """Would `import name` find something?"""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return True  # something odd is there: let the import say what


def use_cuda(torch: Any, out: Output, arguments: Any) -> Any:
    """cuda_available, cuda_error and what happened on each visible GPU."""
    try:
        if torch.cuda.is_available():
            count = torch.cuda.device_count() if arguments.get("use_gpus", True) else 0
            size = int(arguments.get("size", 256))
            return {"cuda_available": True, "devices": [run_device(torch, i, size, out) for i in range(count)]}
        torch.cuda.init()
        error = "torch.cuda.is_available() is False and gives no reason"
    except BaseException as problem:
        error = short(problem)
    return {"cuda_available": False, "cuda_error": error}


def run_device(torch: Any, index: int, size: int, out: Output) -> Any:
    """A small allocation and one product per data type on one GPU."""
    out.progress(f"using GPU {index}")
    place = f"cuda:{index}"
    try:
        torch.ones(1 << 20, device=place).sum().item()
        modern = torch.cuda.get_device_capability(index)[0] >= 8  # no bfloat16 units before Ampere
    except BaseException as error:
        return {"index": index, "allocation_error": short(error)}
    kinds = ["bfloat16", "float16"] if modern else ["float16"]
    return {"index": index, "allocation_error": None, "products": [product(torch, k, place, size) for k in kinds]}


def product(torch: Any, kind: str, place: str, size: int) -> Any:
    """One matrix product, held against the same product of the same numbers in float64 on the CPU."""
    started = time.time()
    value: Any = {"dtype": kind, "error": None, "relative_error": None}
    try:
        generator = torch.Generator().manual_seed(0)
        left, right = (torch.randn(size, size, generator=generator).to(getattr(torch, kind)) for _ in range(2))
        here = left.double() @ right.double()
        there = (left.to(place) @ right.to(place)).double().cpu()
        off = float((there - here).abs().max() / here.abs().max())
        value["relative_error"] = off if off == off and off != float("inf") else "nan"  # JSON has no NaN
    except BaseException as error:
        value["error"] = short(error)
    value["seconds"] = round(time.time() - started, 6)
    return value


def main() -> None:
    """Answer both facts; leave at once, since a torch may hang or crash while it is taken down."""
    out, arguments = Output(sys.argv[1]), json.loads(sys.argv[2])
    own = os.path.realpath(os.path.dirname(os.path.abspath(__file__)))
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != own]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    leave = arguments.get("leave_cuda")
    if leave:
        out.fact("cuda", "not_run", why=leave)
    else:
        answer_cuda(out)
    answer_torch(out, arguments)
    _leave(0)


if __name__ == "__main__":
    main()
