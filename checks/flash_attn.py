"""PKG: the wheels of flash-attn 2.8 suit this torch and this system."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.version import Version

from autoglm_doctor.api import (
    Distribution,
    Findings,
    Fix,
    Host,
    Interpreter,
    Judgement,
    Packages,
    Text,
    Threshold,
    Torch,
    check,
    fail,
    not_applicable,
    ok,
    warn,
)
from autoglm_doctor.checks.extensions import is_wheel_of_torch
from autoglm_doctor.domain.conflicts import install_line, installed_version
from autoglm_doctor.domain.wheels import line, number

#: Releases whose wheels were seen to fail; of later ones nobody wrote.
_FIRST, _LAST = Version("2.8.0"), Version("2.8.3")
#: The newest release before them, which the reports go back to.
_BEFORE = "2.7.4.post1"
_GLIBC = "2.32"
_OWN_WHEEL = re.compile(r"cu1[23]torch\d\.\d+cxx11abi(?:true|false)", re.IGNORECASE)


@check(
    "PKG016",
    "flash-attn-wheels",
    cause="EXTENSION_ABI_MISMATCH",
    explained_by=("PYT001", "TOR001", "TOR003", "PKG001", "PKG002", "PKG005"),
)
def flash_attn_wheels(
    packages: Packages, torch: Torch | None, interpreter: Interpreter | None, host: Host | None
) -> Findings:
    """The wheels of flash-attn 2.8 suit this torch and this system.

    `pip install flash-attn` takes a wheel from the project's page of releases where there is one, and compiles where
    there is none. Those of 2.8.0 to 2.8.3 ask for glibc 2.32 ("version `GLIBC_2.32' not found" on Ubuntu 20.04 and
    RHEL 8). Those for torch 2.6 have the new C++ ABI whatever their names say, and PyPI's torch 2.6 has the old one:
    "undefined symbol: _ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx11".

    Measured by the version. Yellow: one that was compiled here has the same version and works; red where the local
    version is that of the project's wheel. Wheels of others, editable ones and torch's cu126 build are not judged.

    Sources: github.com/Dao-AILab/flash-attention issues 1708, 1762, 2225 and pull request 1780 (glibc), issues 1717,
    1724 and 1783 (torch 2.6).

    ## Fix
    The release before, or a build of one's own.
    """
    one = next((d for d in packages.distributions if d.name.lower().replace("_", "-") == "flash-attn"), None)
    found = number(one.version) if one else None
    if one is None or found is None or not _FIRST <= Version(found.public) <= _LAST or not _may_be_wheel(one, host):
        yield not_applicable(Text("no wheel of flash-attn 2.8.0 to 2.8.3 is here"))
        return
    judged = [*_abi(one, torch, interpreter, packages), *_glibc(one, host, interpreter, packages)]
    yield from judged
    if not judged and not _was_compared(torch, host, packages):
        yield not_applicable(Text("neither the torch nor the C library beside flash-attn is known"))
    elif not judged:
        yield ok(Text("nothing speaks against the wheel of flash-attn {version}", {"version": one.version}))


def _may_be_wheel(one: Distribution, host: Host | None) -> bool:
    if one.editable or (host is not None and (host.system != "Linux" or host.machine == "aarch64")):
        return False
    local = one.version.partition("+")[2]
    return not local or _OWN_WHEEL.fullmatch(local) is not None


def _was_compared(torch: Torch | None, host: Host | None, packages: Packages) -> bool:
    """The C library was read, or a torch whose ABI is known."""
    version = torch.version if torch else installed_version(packages, "torch") or ""
    is_known = number(version) is not None and (line(version) != "2.6" or is_wheel_of_torch(version, packages))
    return is_known or (host is not None and number(host.glibc) is not None)


def _abi(one: Distribution, torch: Torch | None, python: Interpreter | None, packages: Packages) -> Iterator[Judgement]:
    version = torch.version if torch else installed_version(packages, "torch") or ""
    if line(version) != "2.6" or not is_wheel_of_torch(version, packages) or version.endswith("+cu126"):
        return
    is_sure = "torch2.6cxx11abifalse" in one.version.lower()
    if "+" in one.version and not is_sure:  # for another torch, or for the other ABI: PKG005 knows
        return
    values = {"version": one.version, "torch": version}
    yield (fail if is_sure else warn)(
        Text("flash-attn {version}: its wheel for torch 2.6 has the new C++ ABI, torch {torch} the old one", values),
        fix=_fixes(one, python, packages),
        subject="torch",
        observed=one.version,
        expected=_BEFORE,
    )


def _glibc(one: Distribution, host: Host | None, python: Interpreter | None, packages: Packages) -> Iterator[Judgement]:
    has = number(host.glibc) if host and host.glibc else None
    if has is None or has >= Version(_GLIBC):
        return
    yield (fail if "+" in one.version else warn)(
        Text(
            "flash-attn {version}: the wheel of its project needs glibc {needed}; {glibc} is here",
            {"version": one.version, "needed": _GLIBC, "glibc": str(has)},
        ),
        cause="GLIBC_TOO_OLD",
        fix=_fixes(one, python, packages),
        subject="flash-attn",
        observed=str(has),
        expected=_GLIBC,
        threshold=Threshold(value=_GLIBC, unit="glibc", source="github.com/Dao-AILab/flash-attention/issues/1708"),
        explained_by=("PYT001", "HST002", "HST004"),
    )


def _fixes(one: Distribution, python: Interpreter | None, packages: Packages) -> tuple[Fix, ...]:
    executable, public = python.executable if python else None, one.version.partition("+")[0]
    before = install_line(executable, [f"flash-attn=={_BEFORE}"], packages, ["--no-build-isolation"])
    options = ["--force-reinstall", "--no-deps", "--no-cache-dir", "--no-build-isolation"]
    own = install_line(executable, [f"flash-attn=={public}"], packages, options)
    return (
        Fix(text=Text("install the release before"), commands=(before,), effort="install"),
        Fix(
            text=Text("or compile it here, which needs nvcc and takes long"),
            commands=(f"FLASH_ATTENTION_FORCE_BUILD=TRUE {own}",),
            effort="install",
        ),
    )
