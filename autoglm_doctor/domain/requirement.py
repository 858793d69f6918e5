"""NVIDIA_REQUIRE_CUDA and its kind: what a container image asks of the host, held against driver and GPUs.

The language is that of NVIDIA's container toolkit ("cuda>=12.8 brand=tesla,driver>=535,driver<536"): a space is "or",
a comma is "and", several variables are "and". `brand` is the product family as NVML names it, `arch` the compute
capability. Source: docs of the NVIDIA container toolkit ("Specialized Configurations with Docker", Constraints).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.version import Version

from autoglm_doctor.domain.wheels import number

_ONE = re.compile(r"(\w+)(>=|<=|!=|==|=|>|<)([\w.]+)")
_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "==": operator.eq,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
#: What NVML may call the family of a product, by its name. Which of them, changed with the driver.
_FAMILIES = (
    (r"geforce|\bgtx\b|\brtx\s?[2-9]0[5-9]0", ("geforce", "geforcertx")),
    (r"\btitan\b", ("titan", "titanrtx")),
    (r"quadro|\brtx\s?(pro\b|a\d{3,4}\b|\d{4}\b)", ("quadro", "quadrortx", "nvidiartx", "nvidia")),
    (r"tesla|\b(?:[ABHGVPTLK]\d{1,3}[A-Z]?|GH200|GB\d{3})\b", ("tesla", "nvidia")),
)
#: A family that no image names.
_OTHER = "another"


@dataclass(frozen=True, slots=True)
class Offer:
    """What the host has; None and () where it is not known."""

    cuda: str | None  # the newest CUDA that the driver knows, "12.4"
    driver: str | None
    capabilities: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def requirements(variables: Mapping[str, str]) -> tuple[str, ...]:
    """What the image asks for; () where nothing is asked, or where the user has switched the question off."""
    if variables.get("NVIDIA_DISABLE_REQUIRE", "").strip().lower() in ("1", "true", "t"):
        return ()
    # The toolkit passes over those of Jetson (its changelog, 1.10.0), which ask for files and not for a driver.
    named = sorted(name for name in variables if re.fullmatch(r"NVIDIA_REQUIRE_(?!JETPACK)\w+", name))
    return tuple(variables[name] for name in named if _ONE.search(variables[name]))


def holds(wanted: str, offer: Offer) -> bool | None:
    """Does the host meet it? None where that depends on something that is not known."""
    answers = {_with_brand(wanted, offer, brand) for brand in _brands(wanted, offer.names)}
    return answers.pop() if len(answers) == 1 else None


def cuda_wanted(wanted: str) -> str:
    """The oldest CUDA that it names without a further condition, "12.8"; "" when it names none."""
    found = [m[3] for part in wanted.split() if (m := _ONE.fullmatch(part)) and (m[1], m[2]) == ("cuda", ">=")]
    return min((one for one in found if number(one)), key=Version, default="")


def _brands(wanted: str, names: Iterable[str]) -> set[str]:
    """All that the GPUs may be called."""
    mentioned = {m[3].lower() for m in _ONE.finditer(wanted) if m[1] == "brand"}
    found: set[str] = set()
    for name in names:
        family = next((brands for pattern, brands in _FAMILIES if re.search(pattern, name, re.IGNORECASE)), None)
        found |= set(family) if family else {*mentioned, _OTHER}
    return found or {*mentioned, _OTHER}


def _with_brand(wanted: str, offer: Offer, brand: str) -> bool | None:
    groups = [[m for one in part.split(",") if (m := _ONE.fullmatch(one))] for part in wanted.split()]
    answers = [_all(_one(m[1].lower(), m[2], m[3], offer, brand) for m in group) for group in groups if group]
    if not answers:
        return None
    return True if True in answers else None if None in answers else False


def _all(answers: Iterable[bool | None]) -> bool | None:
    said = list(answers)
    return False if False in said else None if None in said else True


def _one(name: str, sign: str, value: str, offer: Offer, brand: str) -> bool | None:
    if name == "brand":
        return _SIGNS[sign](brand, value.lower()) if sign in ("=", "==", "!=") else None
    if name == "arch":
        return _all(_compare(one, sign, value) for one in offer.capabilities) if offer.capabilities else None
    if name == "cuda":  # the driver tells "12.4", also to an image that asks for 12.4.1
        return _compare(offer.cuda, sign, ".".join(value.split(".")[:2]))
    return _compare(offer.driver, sign, value) if name == "driver" else None


def _compare(has: str | None, sign: str, value: str) -> bool | None:
    left, right = number(has), number(value)
    return None if left is None or right is None else _SIGNS[sign](left, right)
