"""What the kernel, modprobe and DKMS said of the NVIDIA module, where their words are stated as facts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.loose.values import as_list, text

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
_NOT_BUILT = re.compile(
    r"module nvidia not found|nvidia.{0,30}not found in (?:directory )?/lib/modules|bad return status|bad exit status"
    r"|build (?:failed|error)|failed to build"
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


def spoken(facts: Mapping[str, Any], *keys: str) -> str:
    """Their values as one text: a sentence, or a list of them."""
    return "\n".join(text(one) for key in keys for one in as_list(facts.get(key)))


def key_refused(facts: Mapping[str, Any]) -> bool:
    """The kernel has refused the module for its key: Secure Boot is on, whoever says so."""
    return _REFUSED.search(spoken(facts, *_LOGS, *_DKMS)) is not None


def not_built(facts: Mapping[str, Any]) -> bool:
    """There is no module, by the words of modprobe or DKMS. DKMS that is not installed is no such word."""
    return _NOT_BUILT.search(spoken(facts, *_LOGS, *_DKMS)) is not None


def kernels_of_dkms(facts: Mapping[str, Any]) -> list[str]:
    """The kernels that `dkms status` names an NVIDIA module for."""
    return [status or sentence for status, sentence in _LINE.findall(spoken(facts, *_DKMS))]


def flavour_in_log(facts: Mapping[str, Any]) -> bool | None:
    """Which flavour is installed, open or not, as the kernel complains of it; None where it does not."""
    said = spoken(facts, *_LOGS)
    if _WANTS_OPEN.search(said):
        return False
    return True if _HAS_OPEN.search(said) else None


def machine_words(facts: Mapping[str, Any]) -> str:
    """What the machine itself is said to have said: lines of logs, Xids, errors of memory. "" when nothing is."""
    xids = re.findall(r"\b\d{1,3}\b", " ".join(str(one) for one in as_list(facts.get("xid"))))
    ecc = " ".join(str(one) for one in as_list(facts.get("ecc_errors") or facts.get("ecc_uncorrectable")))
    bad = re.search(r"\b[1-9]\d*\b", ecc) and not re.search(r"\bcorrected\b|\bcorrectable\b", ecc, re.IGNORECASE)
    lines = [f"Xid: {xid}" for xid in xids] + (["uncorrectable ECC errors"] if bad else [])
    return "\n".join([one for one in (spoken(facts, *_LOGS, *_DKMS),) if one] + lines)
