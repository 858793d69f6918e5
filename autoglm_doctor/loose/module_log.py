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
#: The name of a module, as the kernel and DKMS write it: "(vboxdrv)", "'vboxdrv'", "vboxdrv.ko", "virtualbox/7.0". What
#: stands before a colon is mostly who speaks; in "zfs: module signature is invalid" it is the module.
_MODULE = re.compile(
    r"\((\w+)\)|'([\w-]+)'|\b([\w-]+)\.ko\b|(?<![/\w])([a-z][\w-]*)/\d|^(?:\[[\d. ]+\] *)?([\w-]+): module ",
    re.IGNORECASE,
)
_SPEAKERS = re.compile(
    r"modprobe|insmod|kernel|linux|error|fatal|lockdown|pkcs\w*|dkms|warning|modules?|build|x86_64|aarch64|audit|mok\w*"
    r"|secure_?boot|integrity|uefi|dead|\d+",
    re.IGNORECASE,
)
#: The driver runs: whatever was refused was another module, or at another time.
_RUNS = re.compile(r"NVRM: loading NVIDIA", re.IGNORECASE)
_LOADED = ("nvidia_module_loaded", "kernel_module_loaded", "nvidia_module")
_SMI = ("nvidia_smi", "nvidia_smi_works", "nvidia_smi_lists_gpu")
_WORKS = re.compile(
    r"(?:works?|working|ok|fine|lists|shows|sees|loaded|running)\b(?!\W+(?:no|not|nothing)\b)", re.IGNORECASE
)
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
    return [one for key in (*_LOGS, *_DKMS) for one in _of_key(facts, key)]


def _of_key(facts: Mapping[str, Any], key: str) -> list[str]:
    return [one.strip() for one in re.split(r";|\n", spoken(facts, key)) if one.strip()]


def _against(facts: Mapping[str, Any]) -> Iterator[str]:
    """All that is not said of another module or kernel, nor refuted by a module that runs or is installed."""
    for key in (*_LOGS, *_DKMS):
        sentences = _of_key(facts, key)
        for at, one in enumerate(sentences):
            is_over = _refusal(one) and (_is_refuted(one, facts) or _ran_since(facts, key, sentences[at:]))
            if not is_over and not _is_of_another_module(one) and not _MEANT.search(one):
                yield one


def _refusal(sentence: str) -> re.Match[str] | None:
    return _REFUSED.search(sentence) or _NOT_BUILT.search(sentence)


def _ran_since(facts: Mapping[str, Any], key: str, sentences: list[str]) -> bool:
    """The module was loaded behind the refusal, or another log of this start tells it: a journal has older ones."""
    refusal = _refusal(sentences[0])
    behind = [sentences[0][refusal.end() if refusal else 0 :], *sentences[1:]]
    others = (one for one in _LOGS if one not in (key, "journal"))
    return _RUNS.search("\n".join([*behind, spoken(facts, *others)])) is not None


def _is_of_another_module(sentence: str) -> bool:
    if _OURS.search(sentence) or not _refusal(sentence):
        return False
    names = (found[found.lastindex or 0] for found in _MODULE.finditer(sentence))
    return any(not _SPEAKERS.fullmatch(one) for one in names)


def _is_refuted(sentence: str, facts: Mapping[str, Any]) -> bool:
    """By a driver that works, or as it is of another kernel; of a module that was not built, also by DKMS.

    A module that DKMS has built can still be refused for its key.
    """
    kernel, named = text(facts.get("kernel")), _KERNEL.findall(sentence)
    of_another = bool(kernel and named) and not any(same_kernel(one, kernel) for one in named)
    return _works(facts) or of_another or (not _REFUSED.search(sentence) and _is_built(sentence, facts))


def _works(facts: Mapping[str, Any]) -> bool:
    """A module or nvidia-smi that is only installed does not."""
    said = [(answer(facts.get(key)), text(facts.get(key))) for key in (*_LOADED, *_SMI)]
    return any((is_so and words not in ("installed", "present")) or _WORKS.match(words) for is_so, words in said)


def _is_built(sentence: str, facts: Mapping[str, Any]) -> bool:
    """DKMS names one for this kernel: that counts against modprobe as long as nothing else tells of a fault."""
    kernel, built = text(facts.get("kernel")), kernels_of_dkms(facts)
    of_a_build = re.search(_BUILD, sentence, re.IGNORECASE) is not None
    if not of_a_build and any(answer(facts.get(key)) is False for key in ("cuda_available", *_LOADED, *_SMI)):
        return False
    return any(same_kernel(one, kernel) for one in built) if kernel else bool(built) and of_a_build
