"""Expandable segments where the engine hands GPU memory on that torch must not have allocated so. For CFG006."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from packaging.version import Version

from autoglm_doctor.api import Fix, Gpu, Host, Intent, Judgement, Packages, Text, fail, warn
from autoglm_doctor.domain.allocator import NEW, OLD, asked, asks, without_segments
from autoglm_doctor.domain.builds import is_before, release_of
from autoglm_doctor.domain.conflicts import installed_version
from autoglm_doctor.domain.deployment import engine_version, gpus_here
from autoglm_doctor.domain.launch_line import line, plain_words, stated_flag, with_flags
from autoglm_doctor.domain.links import are_apart, are_linked

#: What vLLM's CuMemAllocator and torch_memory_saver look for: this very spelling, in the older name alone.
_LITERAL = "expandable_segments:True"
#: CuMemAllocator.__init__ (vllm/device_allocator/cumem.py) refuses it in the wheels from 0.8.0 (pull request 14189) to
#: 0.20.0; that of 0.20.1 switches it off around its pool (40812).
_REFUSES, _COPES = Version("0.8.0"), Version("0.20.1")
_SLEEP = "https://github.com/vllm-project/vllm/pull/14189"
#: torch_memory_saver/entrypoint.py: not in 0.0.8, in 0.0.9, 0.0.9.post1 and 0.0.10. SGLang pins 0.0.9 from 0.5.4 on.
_SAVER_REFUSES, _SGLANG_PINS = Version("0.0.9"), Version("0.5.4")
_SAVER = "https://github.com/fzyzcjy/torch_memory_saver/pull/25"
#: CUDA graphs have expandable segments since torch 2.5 (pytorch pull request 128068), which came with vLLM 0.6.4. The
#: wheels of vLLM up to 0.33.0 do nothing about it but on ROCm (vllm/distributed/parallel_state.py, graph_capture).
_GRAPHS_TORCH, _GRAPHS_VLLM = Version("2.5"), Version("0.6.4")
_REDUCE = "https://github.com/vllm-project/vllm/issues/42609"
#: CustomAllreduce._SUPPORTED_WORLD_SIZES.
_SIZES = (2, 4, 6, 8)
_OFF = ("0", "false", "no")


def segments(
    variables: Mapping[str, str],
    intent: Intent,
    packages: Packages | None,
    torch: Version | None,
    host: Host | None,
    gpus: Sequence[Gpu],
) -> Iterator[Judgement]:
    """At most one finding; none inside WSL, where they are a fault of their own (HST003)."""
    if (host is not None and host.wsl) or intent.device == "cpu" or not any(asked(variables, torch)):
        return
    version = engine_version(packages, intent)
    if intent.engine == "vllm" and _says(intent, "enable-sleep-mode"):
        found = _sleep(variables, version)
    elif intent.engine == "sglang" and _says(intent, "enable-memory-saver"):
        found = _saver(variables, version, packages)
    else:
        found = None
    if found is None and _reduces(intent, version, host, gpus) and all(asked(variables, torch)) and _graphs(torch):
        found = _all_reduce(variables, intent)
    if found is not None:
        yield found


def _says(intent: Intent, flag: str) -> bool:
    said = stated_flag(intent.command, flag)
    return said is not None and said.strip().lower() not in _OFF


def _sleep(variables: Mapping[str, str], version: str | None) -> Judgement | None:
    release = release_of(version)
    if _LITERAL not in variables.get(OLD, "") or (release is not None and release >= _COPES):
        return None
    sure = release is not None and release >= _REFUSES and not is_before(version, _REFUSES)
    words = "vLLM {version} refuses it with --enable-sleep-mode, whose memory pool cannot have expandable segments"
    doubt = "vLLM's --enable-sleep-mode cannot have expandable segments before 0.20.1: it ends, or frees nothing"
    said = {"version": version}
    return _found(
        "fail" if sure else "warn", Text("{name}={value}: " + (words if sure else doubt), said), variables, _SLEEP
    )


def _saver(variables: Mapping[str, str], version: str | None, packages: Packages | None) -> Judgement | None:
    if _LITERAL not in variables.get(OLD, ""):
        return None
    saver = release_of(installed_version(packages, "torch-memory-saver") if packages else None)
    release = release_of(version)
    sure = saver >= _SAVER_REFUSES if saver else release is not None and release >= _SGLANG_PINS
    words = "torch_memory_saver, which --enable-memory-saver takes, refuses expandable segments"
    doubt = "with expandable segments --enable-memory-saver frees nothing, or ends the start"
    return _found("fail" if sure else "warn", Text("{name}={value}: " + (words if sure else doubt)), variables, _SAVER)


def _graphs(torch: Version | None) -> bool:
    return torch is None or torch >= _GRAPHS_TORCH


def _reduces(intent: Intent, version: str | None, host: Host | None, gpus: Sequence[Gpu]) -> bool:
    """Whether vLLM's own all-reduce runs, within CUDA graphs, on the GPUs that are stated."""
    ranks, release = intent.launch.tensor_parallel, release_of(version)
    without = ("disable-custom-all-reduce", "compilation-config", "cc", "O", "O0", "O.mode")
    off = intent.launch.enforce_eager or any(stated_flag(intent.command, flag) is not None for flag in without)
    is_older = release is not None and release < _GRAPHS_VLLM
    if intent.engine != "vllm" or off or is_older or ranks not in _SIZES or gpus_here(intent) != intent.gpus_needed:
        return False
    return len(gpus) >= ranks and not are_apart(host, gpus) and are_linked(host, gpus)


def _all_reduce(variables: Mapping[str, str], intent: Intent) -> Judgement:
    words = list(intent.command) or plain_words(intent)
    slower = dataclasses.replace(intent, command=tuple(with_flags(words, ["--disable-custom-all-reduce"], "vllm")))
    other = Fix(text=Text("or leave the all-reduce to NCCL"), commands=(line(slower),), effort="flag", url=_REDUCE)
    text = "{name}={value}: where the GPUs read each other's memory, vLLM's all-reduce cannot share expandable segments"
    return _found("warn", Text(text + ", and may end while it captures CUDA graphs"), variables, _REDUCE, other)


def _found(
    status: Literal["fail", "warn"], text: Text, variables: Mapping[str, str], url: str, *others: Fix
) -> Judgement:
    names = [name for name in (OLD, NEW) if asks(variables.get(name, ""))]
    said = {"name": names[0], "value": variables[names[0]][:80], **text.params}
    off = Fix(
        text=Text("switch them off, also in the file or service that sets the variable"),
        commands=tuple(f"export {name}={without_segments(variables[name])}" for name in names),
        url=url,
    )
    return (fail if status == "fail" else warn)(
        Text(text.template, said),
        fix=(off, *others),
        subject=names[0],
        observed=variables[names[0]][:80],
        expected="expandable_segments:False",
    )
