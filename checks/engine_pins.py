"""PKG: what the release of an engine is known to demand, where its own metadata was not read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from autoglm_doctor.api import (
    Cuda,
    Driver,
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
    Text,
    Threshold,
    Torch,
    check,
    fail,
    not_applicable,
    ok,
)
from autoglm_doctor.checks.engine import NAMES, model_type
from autoglm_doctor.domain.builds import is_early, is_line, newest_of_line
from autoglm_doctor.domain.compiled import SKIPPABLE_FROM, least_kernels
from autoglm_doctor.domain.conflicts import excluded_by_name, install_line, installed_version, too_new
from autoglm_doctor.domain.deployment import gpus_of, variables_of
from autoglm_doctor.domain.model_names import type_of_name
from autoglm_doctor.domain.project_builds import is_of_the_project
from autoglm_doctor.domain.published import PUBLISHED
from autoglm_doctor.domain.published import published as published
from autoglm_doctor.domain.resolve.fixes import install_fixes
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.domain.wheels import line, number
from autoglm_doctor.matrix import EngineRelease, KnownPair
from autoglm_doctor.matrix.numbers import within

_SKIP = "SGLANG_SKIP_SGL_KERNEL_VERSION_CHECK"
#: What is the root of a wrong transformers, whatever is wrong with it.
_ROOTS = ("PYT001", "ENG001", "ENG003", "PKG001", "PKG002")


def requires(packages: Packages, parent: str, *names: str) -> bool:
    """Does the metadata of an installed package speak of one of these? Then PKG001 compares it."""
    lines = next((one.requires for one in packages.distributions if one.name.lower() == parent), ())
    wanted = tuple(re.compile(rf"{re.escape(name)}(?![\w.-])", re.IGNORECASE) for name in names)
    return any(pattern.match(text.strip()) for text in lines for pattern in wanted)


@check(
    "PKG003",
    "engine-pins",
    cause="TRANSFORMERS_TOO_NEW_FOR_ENGINE",
    explained_by=(*_ROOTS, "ENG002"),
)
def engine_pins(
    packages: Packages,
    interpreter: Interpreter | None,
    driver: Driver | None,
    gpus: tuple[Gpu, ...] | None,
    cuda: Cuda | None,
    environment: Environment | None,
    host: Host | None,
    model_files: ModelFiles | None,
    torch: Torch | None,
    intent: Intent,
    matrix: Matrix,
) -> Findings:
    """The engine takes this transformers, this torch and these kernels.

    vLLM is compiled against one release of torch and ends with "undefined symbol" on another. Both engines use the
    insides of transformers: a release that is too new ends with an ImportError, an AttributeError or a KeyError. Some
    releases do not say so in their metadata. SGLang asks at its start how old its kernels are ("sgl-kernel is installed
    with version 0.2.4, which is less than the minimum required version 0.2.5") and ends.

    Measured by comparing the installed versions with the table of the engine's releases (Requires-Dist of their
    wheels on PyPI) and with the pairs that are known to fail. Where the metadata of the installed engine was read,
    PKG001 compares that, and only the known pairs are left. A pin to one release admits its whole line (4.57.1 stands
    for 4.57.x). Beside a development version or a candidate a package counts as refused only where the releases before
    and after refuse it for the same reason, and a version that names a line ("4.57") only where all of it is;
    torch is judged for published wheels of vLLM alone, since other builds may be made for another one, and the known
    pairs for published ones. A bound from below alone says nothing of a release that came more than a year later.
    The oldest kernels were read in the wheels of SGLang 0.4.6.post1 to 0.5.23.

    ## Fix
    The one package that has to change where the engine runs here; else the newest set that does, by `resolve`.
    """
    name = NAMES.get(intent.engine, intent.engine)
    version = installed_version(packages, intent.engine) if intent.engine in matrix.engines else None
    if version is None:
        yield not_applicable(Text("no release of vLLM or SGLang is known to be installed for this deployment"))
        return
    taken = gpus_of(gpus, cuda, environment, intent)
    site = Site(matrix, intent, driver, taken, host, interpreter, packages, model_files)
    found = [judged for package in ("torch", "transformers") for judged in _judge(package, version, packages, site)]
    if intent.engine == "sglang" and intent.device == "cuda" and not (torch and torch.cuda is None):
        found += _kernels(version, variables_of(environment, intent).get(_SKIP, ""), packages, site)
    yield from found
    if not found:
        yield not_applicable(Text("{engine} {version}: nothing to compare here", {"engine": name, "version": version}))


def _judge(package: str, version: str, packages: Packages, site: Site) -> Iterator[Judgement]:
    installed = installed_version(packages, package)
    if installed is None or number(installed) is None:
        return
    pair = _known_pair(package, installed, version, site)
    if pair is not None:
        yield pair
        return
    rows = _rows(version, site)
    if (
        not rows
        or requires(packages, site.intent.engine, package)
        or (package == "torch" and not _bound(version, installed, site))
    ):
        return
    if package == "torch" and site.intent.engine != "vllm":  # its kernels are a package of their own, built for several
        return
    wanted = [_wanted(row, package) for row in rows]
    ends = _ends(installed, site.matrix.libraries(package))
    refused = [one for one in wanted if one and not any(takes(one, end) for end in ends)]
    if len({too_new(one, installed) for one in refused}) > 1:  # of a build in between no more is known
        return
    values = {
        "engine": NAMES[site.intent.engine],
        "version": version,
        "name": package,
        "wanted": f"{package}{' or '.join(dict.fromkeys(refused)) or wanted[0]}",
        "installed": installed,
    }
    if not wanted[0]:
        return
    if len(refused) < len(wanted) and site.matrix.is_untried(rows[0], package, installed):
        text = Text("{engine} {version} states no upper bound: {name} {installed} is more than a year newer", values)
        yield not_applicable(text, subject=package)
        return
    if len(refused) < len(wanted):
        text = Text("{engine} {version} takes {name} {installed}", values)
        yield ok(text, subject=package, observed=installed, expected=wanted[0])
        return
    cause = _cause(package, refused[0], installed)
    beside = "the releases beside {engine} {version} want {wanted}; {installed} is installed"
    yield fail(
        Text(beside if is_early(version) else "{engine} {version} wants {wanted}; {installed} is installed", values),
        cause=cause,
        explained_by=_explained(cause, package, installed, site),
        fix=install_fixes(site),
        subject=package,
        observed=installed,
        expected=refused[0],
        threshold=Threshold(value=refused[0], unit="version", source=rows[0].source),
    )


def _kernels(version: str, skip: str, packages: Packages, site: Site) -> Iterator[Judgement]:
    """SGLang's question of its start. Where its metadata was read, PKG001 compares what it pins."""
    row, found = site.matrix.engine_release("sglang", version), number(version)
    name, _, pinned = row.kernel.partition(" ") if row else ("", "", "")
    there = next((one for one in packages.distributions if one.name.lower().replace("_", "-") == name), None)
    if row is None or found is None or there is None or there.editable or number(row.since) != Version(found.public):
        return
    has, least = number(there.version), number(least_kernels(found.public, pinned))
    if has is None or least is None or has.is_prerelease or not published(there.version) or not published(version):
        return
    if requires(packages, "sglang", name) or (skip and found >= SKIPPABLE_FROM) or Version(has.public) >= least:
        return
    values = {"version": version, "name": name, "least": str(least), "there": there.version}
    yield fail(
        Text("SGLang {version} does not start with {name} {there}: it asks for {least}", values),
        cause="EXTENSION_ABI_MISMATCH",
        explained_by=_ROOTS,
        fix=Fix(
            text=Text("install the kernels that SGLang {version} pins", values),
            commands=(install_line(site.python, [f"sglang=={found.public}", f"{name}=={pinned}"], packages),),
            effort="install",
        ),
        subject=name,
        observed=there.version,
        expected=f">={least}",
        threshold=Threshold(value=str(least), unit="version", source=f"srt/entrypoints/engine.py of SGLang {version}"),
    )


def _known_pair(package: str, installed: str, version: str, site: Site) -> Judgement | None:
    """A pair of this engine and this package that is known to fail, whatever the metadata says."""
    both, kind = {site.intent.engine: version, package: installed}, _kind(site)
    if any(_is_own_build(one) for one in both.values()):
        return None
    # A development version between two releases is judged by both of them, see `_rows`.
    dev = (number(version) or Version("0")).is_devrelease
    row = next((row for row in site.matrix.bad_pairs(both, kind) if set(row.packages) == set(both) and not dev), None)
    if row is None or not _holds_for_all(row, both, site):
        return None
    wanted = _wanted(site.matrix.engine_release(site.intent.engine, version), package)
    if not wanted or takes(wanted, installed):
        wanted = below(row.packages[package])
    values = {"engine": NAMES[site.intent.engine], "version": version, "name": package, "installed": installed}
    cause = _cause(package, wanted, installed)
    return fail(
        Text("{engine} {version} does not go with {name} {installed}: {what}", {**values, "what": row.what}),
        cause=cause,
        explained_by=_explained(cause, package, installed, site),
        fix=install_fixes(site),
        subject=package,
        observed=installed,
        expected=row.instead,
        threshold=Threshold(value=row.packages[package], unit="version", source=row.source),
    )


def _holds_for_all(row: KnownPair, both: dict[str, str], site: Site) -> bool:
    """Of a version that names a line, for its first release and its last."""
    engines = [one.since for one in site.matrix.all_engines[site.intent.engine]]
    known = {name: engines if name == site.intent.engine else site.matrix.libraries(name) for name in both}
    return all(within(end, row.packages[name]) for name, one in both.items() for end in _ends(one, known[name]))


def _ends(version: str, releases: Iterable[str]) -> tuple[str, ...]:
    """The first and the last release of the line that "4.57" names; any other version as it is."""
    return (version, str(newest_of_line(version, releases) or version)) if is_line(version) else (version,)


def _explained(cause: str, package: str, installed: str, site: Site) -> tuple[str, ...]:
    """Where the model wants a transformers that is newer still, that is the root: both go with a newer engine."""
    first = site.matrix.first_transformers(model_type(site.files, site.intent) or type_of_name(site.intent.model))
    found = number(installed)
    if package == "transformers" and first and found is not None and found < Version(first):
        return (*_ROOTS, "ENG002")
    return explained(cause)


def _kind(site: Site) -> str:
    """The model's type; where no configuration tells, the one of the known pairs that its name begins with."""
    kinds = (kind for row in site.matrix.known_pairs for kind in row.models.split())
    return model_type(site.files, site.intent) or next((one for one in kinds if named(one, site.intent.model)), "")


def named(kind: str, model: str) -> bool:
    """Does a model's name begin with its type? "Qwen/Qwen2.5-VL-7B-Instruct-AWQ" does with qwen2_5_vl."""
    parts = re.findall(r"[a-z]+|\d+", kind)
    return re.match("[-._ ]?".join(parts) + r"(?![a-z0-9])", model.lower().rpartition("/")[2]) is not None


def _rows(version: str, site: Site) -> tuple[EngineRelease, ...]:
    """The release itself; of a development version those around it; () for a build whose number says nothing."""
    found, rows = number(version), site.matrix.all_engines[site.intent.engine]
    row = site.matrix.engine_release(site.intent.engine, version)
    if found is None or row is None or _is_own_build(version):
        return ()
    if is_line(version):
        line_of = tuple(one for one in rows if Version(one.since).release[: len(found.release)] == found.release)
        return line_of or (row,)
    if not found.is_prerelease:
        return (row,)
    return (row, *rows[rows.index(row) + 1 :][:1])


def _is_own_build(version: str) -> bool:
    """A build of one's own or of a vendor, with changes that its number does not tell."""
    local = (number(version) or Version("0")).local
    return local is not None and PUBLISHED.fullmatch(local) is None


def _bound(version: str, torch: str, site: Site) -> bool:
    """Were both published, so that the one was compiled for the table's release of the other?"""
    own = is_of_the_project(site.intent.engine, version, site.matrix)
    return own and published(version) and published(torch)


def _wanted(row: EngineRelease | None, package: str) -> str:
    return as_specifier(str(getattr(row, package)) or (row.torch_range if package == "torch" else "")) if row else ""


def below(said: str) -> str:
    """What lies before a range: "<4.54" of ">=4.54"; "" where the range has no beginning."""
    return next((f"<{one[2:]}" for one in said.split(",") if one.startswith(">=")), "")


def as_specifier(said: str) -> str:
    """A range as it is; a pin to one release as "==4.57.1"."""
    return f"=={said}" if said[:1].isdigit() else said


def takes(wanted: str, installed: str) -> bool:
    """Within the specifier, or of the very line that a pin names."""
    found = number(installed)
    if wanted.startswith("==") and "," not in wanted and line(wanted[2:]) == line(installed):
        return True
    return found is None or SpecifierSet(wanted).contains(Version(found.public), prereleases=True)


def explained(cause: str, roots: tuple[str, ...] = _ROOTS) -> tuple[str, ...]:
    """ENG002 is the root where the model asks for a newer transformers, too: not where this one is too new."""
    return (*roots, "ENG002") if cause in ("TRANSFORMERS_TOO_OLD_FOR_ENGINE", "KNOWN_BAD_RELEASE") else roots


def _cause(package: str, wanted: str, installed: str) -> str:
    """As PKG001 names it."""
    if package == "torch":
        return "VLLM_TORCH_MISMATCH"
    if excluded_by_name(wanted, installed):
        return "KNOWN_BAD_RELEASE"
    return "TRANSFORMERS_TOO_NEW_FOR_ENGINE" if too_new(wanted, installed) else "TRANSFORMERS_TOO_OLD_FOR_ENGINE"
