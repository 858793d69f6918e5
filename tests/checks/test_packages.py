"""PKG: which disagreement is red, under which name, and what line settles it."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

import pytest

from autoglm_doctor.checks.numpy_abi import numpy_abi
from autoglm_doctor.checks.package_metadata import metadata_readable
from autoglm_doctor.checks.packages import dependency_conflicts
from autoglm_doctor.checks.torchvision import torchvision_matches
from autoglm_doctor.facts import (
    Distribution,
    Facts,
    Host,
    Interpreter,
    Packages,
    Torch,
    known,
    with_readings,
)
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent, Launch
from autoglm_doctor.launch import default_intent
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from autoglm_doctor.testing import judge
from autoglm_doctor.wording import render

LINUX = Host(system="Linux", machine="x86_64", kernel="6.1")
PYTHON = Interpreter(executable="/v/bin/python", version="3.11.7")
PIP = ("pip", "25.0")


def installed(*rows: tuple[Any, ...], **more: Any) -> Packages:
    return Packages(distributions=tuple(Distribution(name=r[0], version=r[1], requires=r[2:]) for r in rows), **more)


def conflicts(*rows: tuple[Any, ...]) -> list[Finding]:
    return judge(dependency_conflicts, packages=installed(PIP, *rows), interpreter=PYTHON, host=LINUX)


RED = {
    "transformers too new, the pair of Open-AutoGLM's README": (
        [("vllm", "0.12.0", "transformers<5,>=4.56.0"), ("transformers", "5.0.0rc0")],
        "TRANSFORMERS_TOO_NEW_FOR_ENGINE",
        "/v/bin/python -m pip install 'transformers<5,>=4.56.0'",
    ),
    "transformers too old": (
        [("vllm", "0.24.0", "transformers>=5.5.3"), ("transformers", "4.57.1")],
        "TRANSFORMERS_TOO_OLD_FOR_ENGINE",
        "/v/bin/python -m pip install 'transformers>=5.5.3'",
    ),
    "a release that the engine excludes": (
        [("vllm", "0.20.0", "transformers!=5.5.0,>=5"), ("transformers", "5.5.0")],
        "KNOWN_BAD_RELEASE",
        "/v/bin/python -m pip install 'transformers!=5.5.0,>=5'",
    ),
    "torch replaced after the engine": (
        [("vllm", "0.12.0", "torch==2.9.0"), ("torch", "2.11.0+cu130")],
        "VLLM_TORCH_MISMATCH",
        "/v/bin/python -m pip install vllm==0.12.0",
    ),
    "triton moved": (
        [("torch", "2.9.0", "triton==3.5.0"), ("triton", "3.6.0")],
        "TRITON_TORCH_MISMATCH",
        "/v/bin/python -m pip install torch==2.9.0",
    ),
    "numpy 2": (
        [("vllm", "0.8.0", "numpy<2.0.0"), ("numpy", "2.1.0")],
        "NUMPY2_ABI",
        "/v/bin/python -m pip install 'numpy<2.0.0'",
    ),
    "huggingface-hub": (
        [("transformers", "4.57.1", "huggingface-hub<1.0,>=0.34"), ("huggingface_hub", "1.3.0")],
        "HF_LIBS_CONFLICT",
        "/v/bin/python -m pip install 'huggingface-hub<1.0,>=0.34'",
    ),
    "tokenizers": (
        [("transformers", "4.57.1", "tokenizers<=0.23,>=0.22"), ("tokenizers", "0.21.0")],
        "HF_LIBS_CONFLICT",
        "/v/bin/python -m pip install 'tokenizers<=0.23,>=0.22'",
    ),
    "a dependency that is gone": (
        [("vllm", "0.12.0", "msgspec")],
        "DEPENDENCY_CONFLICT",
        "/v/bin/python -m pip install msgspec",
    ),
}


@pytest.mark.parametrize(("rows", "cause", "line"), RED.values(), ids=RED.keys())
def test_red(rows: list[Any], cause: str, line: str) -> None:
    (finding,) = conflicts(*rows)
    assert (finding.status, finding.cause) == ("fail", cause)
    assert finding.fixes[0].commands == (line,)


def test_one_finding_for_one_root_and_one_line_for_all_demands() -> None:
    (finding,) = conflicts(
        ("vllm", "0.12.0", "transformers<5,>=4.56.0"),
        ("compressed-tensors", "0.12", "transformers<4.60"),
        ("transformers", "5.1.0"),
    )
    assert finding.evidence == {"vllm": "<5,>=4.56.0", "compressed-tensors": "<4.60"}
    assert finding.fixes[0].commands == ("/v/bin/python -m pip install 'transformers<4.60,<5,>=4.56.0'",)


def test_demands_that_exclude_each_other_leave_it_to_the_engine() -> None:
    (finding,) = conflicts(
        ("vllm", "0.12.0", "transformers<5"), ("other", "1", "transformers>=5.2"), ("transformers", "5.3.0")
    )
    assert finding.status == "fail"
    assert finding.fixes[0].commands == ("/v/bin/python -m pip install vllm==0.12.0",)


def test_what_the_server_does_not_run_on_is_one_yellow_line() -> None:
    (finding,) = conflicts(
        ("notebook", "7", "jupyterlab<4"), ("jupyterlab", "5"), ("datasets", "2", "fsspec<2024"), ("fsspec", "2025")
    )
    assert (finding.status, finding.observed) == ("warn", 2)
    assert finding.fixes[0].commands == ("/v/bin/python -m pip install 'jupyterlab<4' 'fsspec<2024'",)


def test_where_no_version_pleases_all_what_nothing_asks_for_is_taken_out() -> None:
    numpy = ("numpy", "2.2.6")
    (alone,) = conflicts(("opencv", "4.12", "numpy>=2"), ("thinc", "8.2", "numpy<2"), numpy)
    assert alone.fixes[0].commands == ("/v/bin/python -m pip uninstall -y thinc",)
    (one,) = conflicts(("opencv", "4.12", "numpy<2.3"), ("thinc", "8.2", "numpy<2"), numpy)
    assert one.fixes[0].commands == ("/v/bin/python -m pip install 'numpy<2,<2.3'",)
    (held,) = conflicts(("opencv", "4.12", "numpy>=2"), ("thinc", "8.2", "numpy<2"), numpy, ("spacy", "3", "thinc<8"))
    assert held.fixes[0].commands == ("/v/bin/python -m pip install 'thinc<8'",)


NUMPY = ("numpy", "2.2.6")
VLLM = Intent(model="/m", engine="vllm")
CROSSED = [("aaa", "1", "numpy<2"), ("bbb", "1", "numpy>=2.3"), NUMPY]
BNB = Intent(model="/m", engine="vllm", launch=Launch(quantization="bitsandbytes"), command=("vllm", "serve", "m"))
OUT = "/v/bin/python -m pip uninstall -y "


@pytest.mark.parametrize(
    ("rows", "intent", "lines"),
    [
        pytest.param(CROSSED, VLLM, [OUT + "aaa", OUT + "bbb"], id="either one is enough"),
        pytest.param(
            [("bitsandbytes", "0.45", "numpy<2"), *CROSSED[1:]], BNB, [OUT + "bbb"], id="what the launch uses stays"
        ),
        pytest.param(
            [("open-autoglm", "1", "numpy<2"), *CROSSED[1:]], VLLM, [OUT + "bbb"], id="the project itself stays"
        ),
        pytest.param(
            [("phone-agent", "1", "numpy<2"), ("Open_AutoGLM", "1", "numpy>=2.3"), NUMPY],
            VLLM,
            ["/v/bin/python -m pip check"],
            id="nothing can go",
        ),
    ],
)
def test_what_can_go_is_a_choice(rows: list[tuple[Any, ...]], intent: Intent, lines: list[str]) -> None:
    (found,) = judge(
        dependency_conflicts, packages=installed(PIP, *rows), interpreter=PYTHON, host=LINUX, intent=intent
    )
    assert [fix.commands[0] for fix in found.fixes] == lines


def test_an_editable_project_stays() -> None:
    mine = Distribution(name="aaa", version="1", requires=("numpy<2",), editable=True)
    others = installed(PIP, *CROSSED[1:]).distributions
    packages = Packages(distributions=(mine, *others))
    (found,) = judge(dependency_conflicts, packages=packages, interpreter=PYTHON, host=LINUX)
    assert [fix.commands[0] for fix in found.fixes] == [OUT + "bbb"]


def test_another_engine_beside_ours_is_not_red() -> None:
    (finding,) = conflicts(("sglang", "0.5.9", "transformers==4.57.1"), ("transformers", "4.57.3"))
    assert finding.status == "warn"


def test_a_newer_cudnn_is_often_put_there_on_purpose() -> None:
    (finding,) = conflicts(("torch", "2.9.1", "nvidia-cudnn-cu12==9.10.2.21"), ("nvidia-cudnn-cu12", "9.16.0.29"))
    assert finding.status == "warn"


def test_what_other_checks_say_is_not_said_twice() -> None:
    (finding,) = conflicts(
        ("vllm", "0.12.0", "torchvision"), ("torchvision", "0.24.0", "torch==2.9.0"), ("torch", "2.8.0")
    )
    assert finding.status == "pass"
    (finding,) = conflicts(("vllm", "0.12.0", "torch==2.9.0"))
    assert finding.status == "not_applicable"  # TOR001 says that torch is missing


def test_python_that_the_engine_does_not_take() -> None:
    vllm = Distribution(name="vllm", version="0.12.0", requires_python="<3.14,>=3.10")
    packages = Packages(distributions=(vllm,))
    python = Interpreter(executable="/v/bin/python", version="3.14.0")
    (finding,) = judge(dependency_conflicts, packages=packages, interpreter=python, host=LINUX)
    assert (finding.status, finding.cause, finding.subject) == ("fail", "PYTHON_UNSUPPORTED", "python")


def test_healthy_and_unknown() -> None:
    (finding,) = conflicts(("vllm", "0.12.0", "torch==2.9.0", 'ray; extra == "ray"'), ("torch", "2.9.0+cu128"))
    assert finding.status == "pass"
    (finding,) = judge(dependency_conflicts, interpreter=PYTHON)
    assert finding.status == "unknown"


# --- PKG002 ----------------------------------------------------------------------------------------------------------


TORCH = Torch(version="2.9.1+cu128", cuda="12.8", location="/v/lib/torch")


def metadata(packages: Packages, torch: Torch | None = TORCH) -> list[Finding]:
    readings = {"torch": torch} if torch else {}
    return judge(metadata_readable, packages=packages, interpreter=PYTHON, **readings)


FAULTS = {
    "half of torch": ("/v/lib/~orch is left over from an interrupted pip run", "torch"),
    "half of torch's metadata": ("/v/lib/~orch-2.9.1.dist-info is left over from an interrupted pip run", "torch"),
    "the engine": ("/v/lib/vllm-0.12.0.dist-info has no METADATA", "vllm"),
    "an underscore": ("/v/lib/huggingface_hub-1.0.dist-info/METADATA is not valid UTF-8", "huggingface-hub"),
    "a package that does not matter": ("/v/lib/jupyter-1.0.dist-info has no METADATA", None),
    "a name that only looks alike": ("/v/lib/torchmetrics-1.0.dist-info has no METADATA", None),
    "another half-removed package": ("/v/lib/~andas is left over from an interrupted pip run", None),
}


@pytest.mark.parametrize(("fault", "name"), FAULTS.values(), ids=FAULTS.keys())
def test_damage_counts_where_it_hurts(fault: str, name: str | None) -> None:
    (finding,) = metadata(installed(PIP, ("torch", "2.9.1"), faults=(fault,)))
    assert (finding.status, finding.subject) == (("warn", name) if name else ("pass", ""))


def copy(name: str, version: str, location: str) -> Distribution:
    return Distribution(name=name, version=version, location=location)


COPIES = {
    "torch further down the path": (copy("torch", "2.8.0", "/home/u/.local"), "DUPLICATE_TORCH_INSTALL"),
    "another build of torch further down": (copy("torch", "2.9.1+cpu", "/usr/lib"), "DUPLICATE_TORCH_INSTALL"),
    "the same torch of the system": (copy("torch", "2.9.1", "/usr/lib/python3/dist-packages"), None),
    "the same version of numpy twice in one folder": (copy("numpy", "2.1", ""), None),
    "the same version, written otherwise": (copy("numpy", "2.1.0", ""), None),
    "numpy further down the path": (copy("numpy", "1.26", "/usr/lib/python3/dist-packages"), None),
    "numpy twice in one folder": (copy("numpy", "1.26", ""), "PACKAGE_METADATA_BROKEN"),
    "something else twice in one folder": (copy("rich", "13", ""), None),
}


@pytest.mark.parametrize(("other", "cause"), COPIES.values(), ids=COPIES.keys())
def test_copies(other: Distribution, cause: str | None) -> None:
    packages = installed(PIP, ("torch", "2.9.1"), ("numpy", "2.1"), ("rich", "14"), shadowed=(other,))
    (finding,) = metadata(packages)
    assert (finding.status, finding.cause) == (("warn", cause) if cause else ("pass", ""))


SITE, SOURCES = "/v/lib/python3.11/site-packages", "/home/me/pytorch"


def placed(location: str, version: str = "2.8.0", *, editable: bool | None = None) -> Packages:
    one = Distribution(name="torch", version=version, location=location, editable=editable)
    return Packages(distributions=(one,))


#: Where the installed torch is listed, which folder imports, sys.path; and whether direct_url.json says "editable".
PLACES = {
    "in the same folder: an upgrade that broke off": (SITE, SITE, (SITE,), None, "warn", "--force-reinstall"),
    "in another folder, where it hides the installed one": (SITE, "/x", ("/x", SITE), None, "fail", "unset PYTHONPATH"),
    "in another folder, and sys.path is not known": (SITE, "/x", (), None, "fail", "unset PYTHONPATH"),
    "in another environment's folder": (SITE, "/o/site-packages", (SITE,), True, "fail", "unset PYTHONPATH"),
    "in the sources, by direct_url.json": (SITE, SOURCES, (SOURCES, SITE), True, "warn", f"cd {SOURCES} && "),
    "in the sources, behind an import hook": (SITE, SOURCES, (SITE,), None, "warn", f"cd {SOURCES} && "),
    "in the sources, by a .pth file": (SITE, SOURCES, (SITE, SOURCES), None, "warn", f"cd {SOURCES} && "),
    "in the sources, by setup.py develop": (SOURCES, SOURCES, (SITE, SOURCES), None, "warn", f"cd {SOURCES} && "),
}


@pytest.mark.parametrize(
    ("listed", "folder", "path", "editable", "status", "command"), PLACES.values(), ids=PLACES.keys()
)
def test_where_the_other_torch_lies(
    listed: str, folder: str, path: tuple[str, ...], editable: bool | None, status: str, command: str
) -> None:
    torch = Torch(version="2.10.0a0+gitdef", location=f"{folder}/torch")
    python = dataclasses.replace(PYTHON, sys_path=path)
    packages = placed(listed, "2.9.0a0+gitabc", editable=editable)
    (finding,) = judge(metadata_readable, packages=packages, torch=torch, interpreter=python)
    assert (finding.status, finding.cause) == (status, "DUPLICATE_TORCH_INSTALL")
    assert command in " ".join(finding.fixes[0].commands)


SAME_RELEASE = {
    "conda's build number": ("2.4.1.post300", "2.4.1", "pass"),
    "a local part": ("2.4.1", "2.4.1+cu124", "pass"),
    "a rebuild": ("2.9.0a0+gitabc", "2.9.0a0+gitdef", "pass"),
    "a container's own build": ("2.9.0a0+145a3a7bda.nv25.10", "2.9.0", "pass"),
    "zeros at the end": ("2.9", "2.9.0", "pass"),
    "another patch release": ("2.4.0", "2.4.1", "warn"),
    "no version, and alike": ("our+x", "our+y", "warn"),  # PKG002 says so for another reason
    "no version": ("our", "2.4.1", "warn"),
}


@pytest.mark.parametrize(("listed", "imports", "status"), SAME_RELEASE.values(), ids=SAME_RELEASE.keys())
def test_what_was_only_built_again_is_no_other_torch(listed: str, imports: str, status: str) -> None:
    found = metadata(placed(SITE, listed), Torch(version=imports, location=f"{SITE}/torch"))
    assert {finding.status for finding in found} == {status}
    other = [finding for finding in found if finding.cause == "DUPLICATE_TORCH_INSTALL"]
    assert bool(other) == (status == "warn" and "+" not in listed)


def test_a_hidden_torch_explains_its_companions() -> None:
    packages = placed("/v/site")
    packages = dataclasses.replace(
        packages, distributions=(*packages.distributions, Distribution(name="torchvision", version="0.23.0"))
    )
    facts = with_readings(Facts(), {"packages": known(packages), "torch": known(TORCH), "interpreter": known(PYTHON)})
    found = run_checks([torchvision_matches, metadata_readable], facts, default_intent(), load_matrix())
    assert [finding.status for finding in found] == ["skipped", "fail"]


NOT_UNDERSTOOD = {
    "a version": (("vllm", "our-own"), "warn", "vllm"),
    "a requirement": (("vllm", "0.12.0", "torch (>=2,,"), "warn", "vllm"),
    "a version of something else": (("rich", "our-own"), "pass", ""),
    "a local version": (("vllm", "0.12.1.dev3+gabc"), "pass", ""),
}


@pytest.mark.parametrize(("row", "status", "name"), NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD.keys())
def test_what_no_tool_can_read_is_told(row: tuple[Any, ...], status: str, name: str) -> None:
    (finding,) = metadata(installed(PIP, row), torch=None)
    assert (finding.status, finding.subject) == (status, name)
    assert all("our-own" not in line for fix in finding.fixes for line in fix.commands)


def test_the_torch_that_imports_is_another_one() -> None:
    (finding,) = metadata(installed(PIP, ("torch", "2.8.0")))
    assert (finding.status, finding.cause) == ("warn", "DUPLICATE_TORCH_INSTALL")
    (finding,) = metadata(installed(PIP, ("torch", "2.8.0")), torch=None)
    assert finding.status == "pass"


# --- nothing compared is not green -----------------------------------------------------------------------------------


NOTHING = {
    "no package at all": ((), "not_applicable", ""),
    "packages that require nothing": ((PIP, ("rich", "14")), "not_applicable", ""),
    "only torch is required, and it is missing": ((("vllm", "0.12.0", "torch==2.9.0"),), "not_applicable", ""),
    "one more holds": ((("vllm", "0.12.0", "torch==2.9.0", "rich"), ("rich", "14")), "pass", "1 requirements of 2"),
    "both hold": ((("vllm", "0.12.0", "rich", "pip"), PIP, ("rich", "14")), "pass", "2 requirements of 3"),
}


@pytest.mark.parametrize(("rows", "status", "says"), NOTHING.values(), ids=NOTHING.keys())
def test_only_what_was_compared_and_holds_is_green(rows: Any, status: str, says: str) -> None:
    (finding,) = judge(dependency_conflicts, packages=installed(*rows), interpreter=PYTHON, host=LINUX)
    assert finding.status == status
    assert says in render(finding.text)


def test_no_metadata_is_not_green() -> None:
    assert [f.status for f in metadata(installed(), torch=None)] == ["not_applicable"]
    aside = installed(faults=("/v/lib/jupyter-1.0.dist-info has no METADATA",))
    assert [f.status for f in metadata(aside, torch=None)] == ["not_applicable"]


SCIPY = ("scipy", "1.12.0", "numpy<1.29.0,>=1.22.4")
SKLEARN = ("scikit-learn", "1.4.0", "numpy<2.0,>=1.19.5")
THINC = ("thinc", "8.2.0", "numpy<2.0.0")
NUMPY2, HUB = ("numpy", "2.2.6"), ("transformers", "4.53.2", "numpy>=1.17")

#: Packages; the findings that are red or yellow, and their lines.
NUMPY_CASES = {
    "one root": ([SCIPY, NUMPY2, HUB], {"PKG009 fail": ["scipy>=1.13"]}),
    "two of one root": ([SCIPY, SKLEARN, NUMPY2, HUB], {"PKG009 fail": ["scipy>=1.13", "scikit-learn>=1.4.2"]}),
    "another one that nothing imports": (
        [SCIPY, THINC, NUMPY2, HUB],
        {"PKG009 fail": ["scipy>=1.13"], "PKG001 warn": ["numpy<1.29.0,<2.0.0,>=1.17,>=1.22.4"]},
    ),
    "without transformers nothing imports it": (
        [SCIPY, NUMPY2],
        {"PKG001 warn": ["numpy<1.29.0,>=1.22.4"]},
    ),
    "the engine asks for NumPy 1 itself": (
        [SCIPY, NUMPY2, HUB, ("vllm", "0.8.0", "numpy<2.0.0")],
        {"PKG001 fail": ["numpy<1.29.0,<2.0.0,>=1.17,>=1.22.4"]},
    ),
    "transformers asks for NumPy 1 itself": (
        [SCIPY, NUMPY2, ("transformers", "4.53.2", "numpy<2")],
        {"PKG001 fail": ["numpy<1.29.0,<2,>=1.22.4"]},
    ),
    "NumPy 1": ([SCIPY, SKLEARN, THINC, ("numpy", "1.26.4"), HUB], {}),
    "a newer SciPy": ([("scipy", "1.13.0", "numpy<2.3,>=1.22.4"), NUMPY2, HUB], {}),
}


@pytest.mark.parametrize(("rows", "wanted"), [pytest.param(*row, id=name) for name, row in NUMPY_CASES.items()])
def test_numpy_has_one_red_and_one_way_out(rows: list[tuple[str, ...]], wanted: dict[str, list[str]]) -> None:
    facts = with_readings(
        Facts(), {"packages": known(installed(PIP, *rows)), "interpreter": known(PYTHON), "host": known(LINUX)}
    )
    found = run_checks([dependency_conflicts, numpy_abi], facts, default_intent(), load_matrix())
    said = {f"{one.code} {one.status}": one.fixes[0].commands[0] for one in found if one.fixes}
    assert set(said) == set(wanted)
    for name, parts in wanted.items():
        assert shlex.split(said[name])[4:] == parts


def test_what_another_check_judges_is_no_pass_here() -> None:
    (finding,) = conflicts(("scipy", "1.12.0", "numpy<1.29.0"), NUMPY2, ("transformers", "4.53.2"))
    assert finding.status == "not_applicable"
    (finding,) = conflicts(SCIPY, NUMPY2, HUB)
    assert finding.status == "pass"
    assert "1 more are left to TOR001, TOR004 and PKG009" in render(finding.text)
