"""CFG: environment variables that override what would work."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from packaging.version import Version

from autoglm_doctor.api import (
    Cuda,
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    Interpreter,
    Judgement,
    Matrix,
    ModelFiles,
    Packages,
    Reading,
    Text,
    Torch,
    check,
    fail,
    ok,
    warn,
)
from autoglm_doctor.checks.override_allocator import segments
from autoglm_doctor.checks.override_values import other_values
from autoglm_doctor.domain.allocator import NEW, READS_NEW, torch_of
from autoglm_doctor.domain.builds import release_of
from autoglm_doctor.domain.conflicts import install_line, installed_version
from autoglm_doctor.domain.deployment import engine_version, taken_gpus, variables_of
from autoglm_doctor.domain.downloads import names_a_path
from autoglm_doctor.domain.gone_variables import GONE, Gone, is_gone, said_today
from autoglm_doctor.domain.launch_line import line, plain_words, replace_flag
from autoglm_doctor.domain.overrides import RULES, V1_FROM, V1_LEAST, V1_NEEDS, V1_UNTIL, Rule, asks_for_v1
from autoglm_doctor.domain.wheels import capability, number

#: huggingface_hub reads it between these releases (constants.py of its wheels: there in 0.12.0 and 0.36.0, in 1.0.0 no
#: more than a warning is left), and takes these values for true.
_TRANSFER = "HF_HUB_ENABLE_HF_TRANSFER"
_TRANSFER_FROM, _TRANSFER_UNTIL = Version("0.12.0"), Version("1.0.0.dev0")
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})
_HUB = "https://huggingface.co/docs/huggingface_hub/v0.36.0/en/package_reference/environment_variables"
_USE_V1 = "VLLM_USE_V1"
#: Of what is not there on a CPU: torch's allocator for GPUs, NCCL, CUDA.
_OF_GPUS = ("PYTORCH_", "NCCL_", "CUDA_", "BNB_")
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_USE_MODELSCOPE", "SGLANG_USE_MODELSCOPE")


@check("CFG006", "variables-make-sense", cause="ENV_VAR_OVERRIDE_WRONG")
def variables_make_sense(
    environment: Environment,
    packages: Packages | None,
    interpreter: Interpreter | None,
    model_files: Reading[ModelFiles],
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    host: Host | None,
    torch: Torch | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """No environment variable of NCCL, CUDA, torch or vLLM has a value that cannot be right, or is read no more.

    Such variables outlive the trouble that they were set for: a value that was copied from somewhere, a switch for
    finding faults that stayed on, an address that Kubernetes puts in the place of a number. Some stop the engine at
    its start (red), most make it slow, are passed over, or mean another number than is thought (yellow). vLLM reads
    some no longer and says nothing: VLLM_ATTENTION_BACKEND from 0.15 on, VLLM_USE_V1=0 from 0.11.1 on. Before 0.10.2 it
    refuses VLLM_USE_V1=1 on GPUs below compute capability 8.0, and takes its old engine there where nobody asks. With
    HF_HUB_ENABLE_HF_TRANSFER=1 and without hf_transfer huggingface_hub before 1.0 refuses every download. Releases from
    0.11.1 to 0.14.1 end at once on a VLLM_ATTENTION_BACKEND that they do not know (XFORMERS from 0.12 on), or that the
    GPUs cannot run (FLASH_ATTN below 8.0).

    Expandable segments (PYTORCH_CUDA_ALLOC_CONF) are refused by vLLM's --enable-sleep-mode from 0.8.0 to 0.20.0, and by
    SGLang's --enable-memory-saver (red). With tensor parallelism and CUDA graphs vLLM's own all-reduce may end on them,
    where the GPUs read each other's memory (yellow; only where NVLink joins them, by their names or as it is stated.
    Two cards on PCIe that the driver lets read each other may fail alike, which is not judged).

    Judged is the form that each variable's own documentation takes, and for NCCL_BUFFSIZE a size of 256 MiB at most
    (ours; 4 MiB is the default). Variables that are not in the table are left alone, and so are those that ask for what
    vLLM does anyway, or that the command says anew.

    ## Fix

    Unset the variable; say what it asked for by the flag that took its place.
    """
    variables = variables_of(environment, intent)
    version = release_of(engine_version(packages, intent))
    of_torch = torch_of(torch, packages, matrix)
    wrong = [rule for rule in RULES if rule.name in variables and _concerns(rule, intent, version)]
    wrong = [
        rule for rule in wrong if not rule.good(variables[rule.name]) and not _is_unread(rule, variables, of_torch)
    ]
    for rule in wrong:
        yield _bad(rule, variables[rule.name])
    seen = [one.gpu for one in taken_gpus(gpus or (), cuda, environment, intent)]
    gone = [*_gone(variables, packages, intent), *_v1(variables, version, seen, intent)]
    gone += _transfer(variables, packages, interpreter, model_files, intent)
    gone += segments(variables, intent, packages, of_torch, host, seen)
    gone += other_values(variables, packages, seen, intent)
    yield from gone
    if not wrong and not gone:
        yield ok(Text("no variable of NCCL, CUDA, torch or vLLM has a value that cannot be right"))


def _concerns(rule: Rule, intent: Intent, version: Version | None) -> bool:
    if rule.engine:
        gone = rule.until and version is not None and version >= Version(rule.until)
        return rule.engine == intent.engine and not gone
    if intent.engine == "llamacpp":
        return rule.name.startswith("CUDA_")
    if intent.device == "cpu" and rule.name.startswith(_OF_GPUS):
        return False
    return not rule.several or intent.gpus_needed > 1


def _is_unread(rule: Rule, variables: Mapping[str, str], torch: Version | None) -> bool:
    """Something else that is stated keeps it from being read."""
    is_later = rule.name == NEW and torch is not None and Version(torch.base_version) < READS_NEW
    return is_later or (rule.moot is not None and rule.moot(variables))


def _bad(rule: Rule, value: str) -> Judgement:
    said = {"name": rule.name, "value": value[:80], "form": rule.form, "effect": rule.effect}
    return (fail if rule.status == "fail" else warn)(
        Text('{name}="{value}": {effect}; it takes {form}', said),
        fix=Fix(
            text=Text("unset it, also in the file or service that sets it"),
            commands=(
                f"unset {rule.name}",
                f"grep -rn {rule.name} ~/.bashrc ~/.profile /etc/environment /etc/profile.d",
            ),
            url=rule.source,
        ),
        subject=rule.name,
        observed=value[:80],
        expected=rule.form,
    )


def _gone(variables: Mapping[str, str], packages: Packages | None, intent: Intent) -> Iterator[Judgement]:
    version = engine_version(packages, intent)
    for one in GONE if intent.engine == "vllm" else ():
        value = variables.get(one.name, "")
        if not is_gone(one, value, version, intent.command):
            continue
        said = {"name": one.name, "value": value[:80], "since": one.since, "version": version, "effect": one.effect}
        yield warn(
            Text('{name}="{value}": vLLM {version} reads it no more (from {since} on); {effect}', said),
            fix=_anew(one, value, intent),
            subject=one.name,
            observed=value[:80],
            expected=one.flag or "not set",
        )


def _v1(variables: Mapping[str, str], version: Version | None, seen: list[Gpu], intent: Intent) -> Iterator[Judgement]:
    """V1 where every GPU that is taken is a Volta or a Turing and the release refuses it on those."""
    value = variables.get(_USE_V1, "")
    numbers = [capability(gpu.compute_capability) for gpu in seen]
    is_older = bool(numbers) and all(one is not None and V1_LEAST <= one < V1_NEEDS for one in numbers)
    is_refused = version is not None and V1_FROM <= version < V1_UNTIL
    if intent.engine != "vllm" or not (is_older and is_refused and asks_for_v1(value)):
        return
    said = {"name": _USE_V1, "value": value[:80], "version": str(version), "cc": seen[0].compute_capability}
    yield fail(
        Text("{name}={value}: the V1 engine of vLLM {version} refuses a GPU of compute capability {cc}", said),
        fix=Fix(
            text=Text("unset it: vLLM {version} then takes its V0 engine on this GPU", said),
            commands=(f"unset {_USE_V1}", f"grep -rn {_USE_V1} ~/.bashrc ~/.profile /etc/environment /etc/profile.d"),
            url="https://github.com/vllm-project/vllm/issues/13398",
        ),
        subject=_USE_V1,
        observed=value[:80],
        expected="not set, or a GPU of 8.0",
    )


def _anew(gone: Gone, value: str, intent: Intent) -> Fix:
    today = said_today(gone, value)
    if today is None:
        return Fix(text=Text("unset it: it does nothing"), commands=(f"unset {gone.name}",))
    flag, name = today
    words = replace_flag(list(intent.command) or plain_words(intent), [flag.removeprefix("--")], name)
    # An assignment in front of the command is the variable itself.
    words = [word for word in words if not word.startswith(f"{gone.name}=")]
    return Fix(
        text=Text("unset it, and say it by the flag {flag}", {"flag": flag}),
        commands=(f"unset {gone.name}", line(dataclasses.replace(intent, command=tuple(words)))),
        effort="flag",
    )


def _transfer(
    variables: Mapping[str, str],
    packages: Packages | None,
    interpreter: Interpreter | None,
    files: Reading[ModelFiles],
    intent: Intent,
) -> Iterator[Judgement]:
    """huggingface_hub is to download with a package that is not there: it ends with a ValueError at the first file."""
    value = variables.get(_TRANSFER, "")
    hub = number(installed_version(packages, "huggingface-hub")) if packages else None
    is_read = hub is not None and _TRANSFER_FROM <= hub < _TRANSFER_UNTIL
    if packages is None or not is_read or value.strip().upper() not in _TRUE or intent.engine == "llamacpp":
        return
    nothing_to_fetch = files.outcome == "known" or names_a_path(intent.model) or any(variables.get(n) for n in _OFFLINE)
    if nothing_to_fetch or installed_version(packages, "hf-transfer"):
        return
    is_sure = files.outcome == "absent"
    yield (fail if is_sure else warn)(
        Text(
            "{name}={value}, without the package hf_transfer: huggingface_hub {hub} refuses to download the model",
            {"name": _TRANSFER, "value": value, "hub": str(hub)},
        ),
        fix=(
            Fix(text=Text("unset it"), commands=(f"unset {_TRANSFER}",), url=_HUB),
            Fix(
                text=Text("or install the package"),
                commands=(install_line(interpreter.executable if interpreter else None, ["hf_transfer"], packages),),
                effort="install",
            ),
        ),
        subject=_TRANSFER,
        observed="not installed",
        expected="hf_transfer",
    )
