"""What the kernel, modprobe and DKMS said of the NVIDIA module, where their words are stated as facts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from autoglm_doctor.loose.counters import memory_errors, xids
from autoglm_doctor.loose.values import answer, as_list, text

#: Keys whose values are words of the kernel or of who builds and loads modules.
_LOGS = (
    *("dmesg", "kernel_log", "kernel_messages", "modprobe", "modprobe_error", "modprobe_nvidia", "module_error"),
    *("nvidia_module", "nvrm", "journal", "insmod"),
)
_DKMS = ("dkms", "dkms_status")
_REFUSED = re.compile(
    r"key was rejected|required key not available|unsigned module is rejected|module signature .{0,20}(?:fail|invalid)",
    re.IGNORECASE,
)
_BUILD = r"bad return status|bad exit status|build (?:failed|error)|failed to build"
_NOT_BUILT = re.compile(
    rf"module nvidia not found|nvidia.{{0,30}}not found in (?:directory )?/lib/modules|{_BUILD}"
    r"|kernel headers .{0,40}(?:cannot be found|missing|not found|not installed)",
    re.IGNORECASE,
)
_WANTS_OPEN = re.compile(r"requires use of the nvidia open|requires the open", re.IGNORECASE)
_HAS_OPEN = re.compile(r"not supported by (?:the )?(?:nvidia )?open", re.IGNORECASE)
#: "nvidia/550.54.14, 6.8.0-45-generic, x86_64: installed", and the same in a sentence: "... installed for 6.8.0-45".
_LINE = re.compile(
    r"\bnvidia[\w-]*[/, ]+[\d.]+(?:, *(\d[\w.+-]*)[^:\n]*: *(?:installed|built)"
    r"|,? *(?:is )?(?:installed|built) for (?:kernel )?(\d[\w.+-]*))",
    re.IGNORECASE,
)
_KERNEL = re.compile(r"\b\d\.\d{1,2}\.\d{1,3}-[\w.+-]*\w")
_OURS = re.compile(r"nvidia|nvrm|nouveau|\bnova", re.IGNORECASE)
#: The name of a module, as the kernel and DKMS write it: "(vboxdrv)", "'vboxdrv'", "vboxdrv: ...", "virtualbox/7.0".
_MODULE = re.compile(
    r"\((?!x86_64|aarch64)\w+\)|'[\w-]+'|(?<![/\w])[a-z][\w-]*/\d|^(?:\[[\d. ]+\] *)?([\w-]+): ", re.IGNORECASE
)
_SPEAKERS = re.compile(r"modprobe|insmod|kernel|error|fatal|lockdown|pkcs\w*|dkms|warning|module|build", re.IGNORECASE)
#: The driver runs: whatever was refused was another module, or at another time.
_RUNS = re.compile(r"NVRM: loading NVIDIA", re.IGNORECASE)
#: As it should be: the free driver is kept away. WSL has none of these modules.
_MEANT = re.compile(r"(?:nouveau|nova).{0,40}(?:blocked|blacklist|denylist)|microsoft-standard|\bwsl", re.IGNORECASE)
_OF_THE_GPU = re.compile(r"\bxid\b|\becc\b|fallen off the bus", re.IGNORECASE)


def spoken(facts: Mapping[str, Any], *keys: str) -> str:
    """Their values as one text: a sentence, or a list of them."""
    return "\n".join(text(one) for key in keys for one in as_list(facts.get(key)))


def has_module(facts: Mapping[str, Any]) -> bool:
    """Whether these words can be judged: Linux outside of WSL, and CUDA is not seen all the same."""
    said, kernel = text(facts.get("os")), text(facts.get("kernel"))
    is_linux = not re.search(r"windows|\bwsl", said, re.IGNORECASE) and "microsoft" not in kernel.lower()
    return is_linux and answer(facts.get("cuda_available")) is not True


def key_refused(facts: Mapping[str, Any]) -> bool:
    """The kernel has refused the module for its key: Secure Boot is on, whoever says so."""
    return any(_REFUSED.search(one) for one in _against(facts))


def not_built(facts: Mapping[str, Any]) -> bool:
    """There is no module, by the words of modprobe or DKMS. DKMS that is not installed is no such word."""
    return any(_NOT_BUILT.search(one) for one in _against(facts))


def kernels_of_dkms(facts: Mapping[str, Any]) -> list[str]:
    """The kernels that `dkms status` names an NVIDIA module for."""
    return [status or sentence for status, sentence in _LINE.findall(spoken(facts, *_DKMS))]


def same_kernel(one: str, other: str) -> bool:
    """ "6.8.0-50" is also called "6.8.0-50-generic"."""
    return one == other or one.startswith(other + "-") or other.startswith(one + "-")


def flavour_in_log(facts: Mapping[str, Any]) -> bool | None:
    """Which flavour is installed, open or not, as the kernel complains of it; None where it does not."""
    said = spoken(facts, *_LOGS)
    if _WANTS_OPEN.search(said):
        return False
    return True if _HAS_OPEN.search(said) else None


def machine_words(facts: Mapping[str, Any]) -> str:
    """What the machine itself is said to have said: lines of logs, Xids, errors of memory. "" when nothing is."""
    kept = _against(facts) if has_module(facts) else (one for one in _sentences(facts) if _OF_THE_GPU.search(one))
    return "\n".join([*kept, *(f"Xid: {one}" for one in xids(facts)), *memory_errors(facts)])


def _sentences(facts: Mapping[str, Any]) -> list[str]:
    said = re.split(r";|\n", spoken(facts, *_LOGS, *_DKMS))
    return [one.strip() for one in said if one.strip()]


def _against(facts: Mapping[str, Any]) -> Iterator[str]:
    """All that is not said of another module or kernel, nor refuted by a module that runs or is installed."""
    for one in _sentences(facts):
        refusal = _REFUSED.search(one) or _NOT_BUILT.search(one)
        if not _is_of_another_module(one) and not _MEANT.search(one) and not (refusal and _is_refuted(one, facts)):
            yield one


def _is_of_another_module(sentence: str) -> bool:
    if _OURS.search(sentence) or not (_REFUSED.search(sentence) or _NOT_BUILT.search(sentence)):
        return False
    return any(not (found[1] and _SPEAKERS.fullmatch(found[1])) for found in _MODULE.finditer(sentence))


def _is_refuted(sentence: str, facts: Mapping[str, Any]) -> bool:
    kernel, built = text(facts.get("kernel")), kernels_of_dkms(facts)
    named = _KERNEL.findall(sentence)
    if _RUNS.search(spoken(facts, *_LOGS)) or (kernel and any(same_kernel(one, kernel) for one in built)):
        return True
    if kernel and named:
        return not any(same_kernel(one, kernel) for one in named)
    return not kernel and bool(built) and re.search(_BUILD, sentence, re.IGNORECASE) is not None
