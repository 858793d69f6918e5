"""Compilers and headers from the package manager of a distribution: its family, the names and the lines."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from autoglm_doctor.facts import Host, Interpreter
from autoglm_doctor.finding import Fix, Text

#: Families by ID and ID_LIKE of os-release.
_IDS = {
    "debian": "debian ubuntu linuxmint pop raspbian kali deepin",
    "azure": "azurelinux mariner",
    "suse": "suse opensuse opensuse-leap opensuse-tumbleweed sles sled",
    "arch": "arch manjaro endeavouros cachyos",
    "alpine": "alpine",
    "rhel": "rhel fedora centos rocky almalinux ol amzn alinux anolis openeuler euleros hce tencentos opencloudos",
}
_FAMILY = {name: family for family, names in _IDS.items() for name in names.split()}

#: Families by name, where no ID tells: Kylin and UnionTech sell servers made of RPMs and desktops made of Debian's.
_NAMES = (
    ("azure", r"azure ?linux|mariner"),
    ("suse", r"suse|\bsle[sd]\b"),
    ("alpine", r"alpine"),
    ("arch", r"\barch\b|manjaro|endeavouros"),
    (
        "rhel",
        r"red ?hat|rhel|centos|fedora|rocky|alma|amazon|oracle|alibaba|aliyun|anolis|open ?euler|euleros|tencentos"
        r"|opencloudos|kylin.*(?:server|advanced)|(?:uniontech|uos).*server",
    ),
    ("debian", r"ubuntu|debian|mint|pop!_os|raspbian|kali|deepin|kylin|uniontech|\buos\b"),
)

#: Releases from before dnf.
_YUM = re.compile(
    r"(?<![\d.])7(?:\.|\b)|amazon linux 2$|(?:alibaba cloud|aliyun) linux\D* 2|euleros|tencentos\D* 2\b", re.I
)


#: Releases whose driver packages are streams of a dnf module; later ones and Fedora have plain packages.
_STREAMS = re.compile(r"^(?!.*fedora).*(?<![\d.])(?:[89](?:\.\d+)?|2023)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manager:
    """How a family installs, and what it calls things."""

    install: str
    compiler: str
    headers: str  # of its own Python
    versioned: str = ""  # of another one of its Pythons, {line} "3.12", {digits} "312"
    refresh: str = ""  # an image comes without the lists of packages
    cuda: str = "cuda-nvcc-{cuda} cuda-cudart-devel-{cuda} libcurand-devel-{cuda}"  # {cuda}: "12-8"
    gcc: str = "gcc-{release} g++-{release}"  # of another release beside the distribution's own; {release}: "14"


_MANAGERS = {
    "debian": _Manager(
        install="apt-get install -y",
        refresh="apt-get update",
        compiler="gcc libc6-dev",
        headers="python3-dev",
        versioned="python{line}-dev",
        cuda="cuda-nvcc-{cuda} cuda-cudart-dev-{cuda} libcurand-dev-{cuda}",
    ),
    "rhel": _Manager(
        install="dnf install -y",
        compiler="gcc",
        headers="python3-devel",
        versioned="python{line}-devel",
        gcc="gcc-toolset-{release}-gcc-c++",
    ),
    "azure": _Manager(
        install="tdnf install -y", compiler="gcc glibc-devel kernel-headers binutils", headers="python3-devel"
    ),
    "suse": _Manager(
        install="zypper install -y",
        compiler="gcc",
        headers="python3-devel",
        versioned="python{digits}-devel",
        gcc="gcc{release} gcc{release}-c++",
    ),
    "arch": _Manager(
        install="pacman -S --noconfirm",
        refresh="pacman -Sy",
        compiler="gcc",
        headers="python",
        cuda="cuda",
        gcc="gcc{release}",
    ),
    "alpine": _Manager(install="apk add", compiler="gcc musl-dev", headers="python3-dev"),
}

#: From this minor on RPM families have packages by version (RHEL 8 and 9: python3.11-devel, python3.12-devel).
_VERSIONED_RPM = 11


def family_of(host: Host | None) -> str:
    """ "debian", "rhel", "suse", "azure", "arch", "alpine"; "" where nothing tells."""
    if host is None:
        return ""
    by_id = next((_FAMILY[one] for one in host.os_ids if one in _FAMILY), "")
    return by_id or next((name for name, words in _NAMES if re.search(words, host.distribution, re.IGNORECASE)), "")


def compiler_fixes(
    host: Host | None, interpreter: Interpreter | None, *, compiler: bool, headers: bool
) -> tuple[Fix, ...]:
    """What brings a C compiler, Python's headers, or both."""
    own = _own_python(interpreter) if headers else None
    manager = _manager(host)
    wanted = [manager.compiler] if compiler else []
    if headers and own is None:
        wanted.append(_headers(manager, family_of(host) or "debian", interpreter))
    fixes = (_install(host, " ".join(wanted), _words(host)),) if wanted else ()
    return (*fixes, *((own,) if own else ()))


def toolkit_fix(host: Host | None, release: str) -> Fix:
    """nvcc with the headers that FlashInfer's and SGLang's kernels include, of a CUDA release ("12.8").

    flashinfer/sampling.cuh includes curand_kernel.h; what is built is linked with libcudart.
    """
    names = _manager(host).cuda.format(cuda=release.replace(".", "-"))
    words = "install the compiler of torch's CUDA release ({release}) from NVIDIA's repository for the distribution"
    if _inside(host):
        words = "put the compiler of torch's CUDA release ({release}), of NVIDIA's repository, into the image"
    fix = _install(host, names, Text(words, {"release": release}))
    folder = "/opt/cuda" if family_of(host) == "arch" else f"/usr/local/cuda-{release}"
    return Fix(
        text=fix.text,
        commands=(*fix.commands, f"export CUDA_HOME={folder}"),
        effort="install",
        needs_root=True,
        url="https://developer.nvidia.com/cuda-downloads",
    )


def module_lines(host: Host | None, *, is_open: bool, branch: str = "") -> tuple[tuple[str, ...], str]:
    """The lines that change the flavour of NVIDIA's kernel module, and the distributions that they are for.

    `branch`: "580", where it must be no later one. NVIDIA's driver installation guide, "Switching between Driver Module
    Flavors" and "Version locking". Of a container nobody knows the host.
    """
    name, family = "nvidia-open" if is_open else "cuda-drivers", family_of(host)
    if host is None or host.container or family not in ("rhel", "suse"):
        return (f"sudo apt install {name}{'-' + branch if branch else ''}",), "Debian and Ubuntu"
    if family == "suse":
        wanted = f"'{name}<{int(branch) + 1}'" if branch else name
        return (f"sudo zypper install --force-resolution {wanted}",), "SUSE"
    if _STREAMS.search(host.distribution):
        stream = f"{branch or ('open' if is_open else 'latest')}-{'open' if is_open and branch else 'dkms'}"
        return (f"sudo dnf -y module switch-to nvidia-driver:{stream} --allowerasing",), host.distribution
    lock = (f"sudo dnf versionlock add '*nvidia*{branch}*'",) if branch else ()
    return (*lock, f"sudo dnf install --allowerasing {name}"), host.distribution


def older_gcc(host: Host | None, release: int) -> tuple[tuple[str, ...], str]:
    """The lines that put another release of gcc, with C++, beside the distribution's own, and its program."""
    names, program = _manager(host).gcc, f"gcc-{release}"
    if host is not None and family_of(host) == "rhel":
        if "fedora" in (host.os_ids[:1] or (host.distribution.split(" ")[0].lower(),)):
            names = _MANAGERS["suse"].gcc  # Fedora calls them alike
        else:
            program = f"/opt/rh/gcc-toolset-{release}/root/usr/bin/gcc"
    return _install(host, names.format(release=release), Text("")).commands, program


def _manager(host: Host | None) -> _Manager:
    return _MANAGERS[family_of(host) or "debian"]


def _inside(host: Host | None) -> bool:
    return host is not None and bool(host.container)


def _words(host: Host | None) -> Text:
    words = "install it into the image" if _inside(host) else "install it"
    if host is not None and host.distribution and not family_of(host):
        words += " with the distribution's package manager; the names are those of Debian and Ubuntu"
    return Text(words)


def _install(host: Host | None, names: str, text: Text) -> Fix:
    """In a container without sudo, which images do not have, and with the lists that they do not have either."""
    manager = _manager(host)
    start = manager.install
    if family_of(host) == "rhel" and host is not None and _YUM.search(host.distribution):
        start = start.replace("dnf", "yum")
    if _inside(host):
        commands = [*([manager.refresh] if manager.refresh else []), f"{start} {names}"]
    else:
        commands = [f"sudo {start} {names}"]
    return Fix(text=text, commands=tuple(commands), effort="install", needs_root=True)


def _headers(manager: _Manager, family: str, interpreter: Interpreter | None) -> str:
    """By the version of the deployment's Python: python3-dev is that of the distribution's first."""
    parts = (interpreter.version if interpreter else "").split(".")[:2]
    if len(parts) < 2 or not manager.versioned or not all(one.isdigit() for one in parts):
        return manager.headers
    if family != "debian" and int(parts[1]) < _VERSIONED_RPM:
        return manager.headers
    return manager.versioned.format(line=".".join(parts), digits="".join(parts))


def _own_python(interpreter: Interpreter | None) -> Fix | None:
    """For a Python that is not the distribution's: its headers belong in its own folder."""
    base = interpreter.base_prefix if interpreter else ""
    if interpreter is None or base in ("", "/usr"):
        return None
    line = ".".join(interpreter.version.split(".")[:2])
    words, command = "make the environment with a Python that brings its headers", f"uv venv --python {line} serve"
    if re.search(r"conda|mamba|miniforge", base):
        words = "install conda's Python again, which holds its own headers"
        command = f"conda install -y --prefix {shlex.quote(base)} --force-reinstall python={line}"
    elif "/uv/python/" in base:
        words, command = (
            "let uv install that Python again, which holds its own headers",
            f"uv python install --reinstall {line}",
        )
    elif "/.pyenv/" in base or "/pyenv/" in base:
        name = base.rstrip("/").rpartition("/")[2]
        words, command = (
            "let pyenv build that Python again, which holds its own headers",
            f"pyenv install --force {name}",
        )
    return Fix(text=Text(words), commands=(command,), effort="install")
