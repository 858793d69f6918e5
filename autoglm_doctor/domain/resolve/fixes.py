"""Ways out of packages that do not go together or do not run here, the least invasive first.

One package; then the engine's set; then a build from the project's own page; then another Python; then transformers in
the engine's place; a driver last. All of them come from the same walk as `autoglm-doctor resolve`, and only when
something is red.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator

from autoglm_doctor.domain.conflicts import demand, install_line, remove_line, satisfiable, version_of
from autoglm_doctor.domain.driver.ways import NEWER_GPU, WITH_TRANSFORMERS, driver_for
from autoglm_doctor.domain.resolve.choose import Answer, library_for, suits
from autoglm_doctor.domain.resolve.lines import then_lines
from autoglm_doctor.domain.resolve.obstacles import allows, obstacle
from autoglm_doctor.domain.resolve.plan import Plan, plan_for
from autoglm_doctor.domain.resolve.releases import Library, Model, Place, Release, Shelf
from autoglm_doctor.domain.resolve.shelf import ENGINES, release_of, shelf_of
from autoglm_doctor.domain.resolve.site import Site
from autoglm_doctor.domain.wheels import arm_build, companion, default_build, index_of, line, torch_line
from autoglm_doctor.finding import Fix, Text

#: What a new environment gets: the middle of what all releases take.
GOOD_PYTHON = "3.12"


def install_fixes(site: Site, engine: str = "", *, with_driver: bool = False) -> tuple[Fix, ...]:
    """What makes an engine (that of the intent) run the model here, ranked; () for one that is no Python package.

    A newer driver is offered where nothing runs without one, and with `with_driver` where it makes more possible.
    """
    name = engine or site.intent.engine
    if name not in ENGINES:
        return ()
    place, model = site.place(), site.model(name)
    plan = plan_for(site.matrix, name, place, model)
    found = [
        *_one_package(site, name, place, model),
        *_with_its_torch(site, name, place, model),
        *(_other_python(site, name, place, model) if not _on_default_index(plan) else ()),
        *_whole_set(site, plan),
        *_own_page(site, plan),
    ]
    if plan.answer.release is None:
        found += [WITH_TRANSFORMERS] if name != "transformers" else []
    found += [*_driver(site, plan, wanted=with_driver or plan.answer.release is None)]
    if plan.answer.release is None and plan.better is None and _rule(plan.answer) == "capability":
        found.append(NEWER_GPU)
    return _without_doubles(found) or (_newest(site, name),)


def _on_default_index(plan: Plan) -> bool:
    return plan.answer.release is not None and not plan.answer.release.wheel


def _newest(site: Site, engine: str) -> Fix:
    """Nothing in the table suits: what came after it may."""
    command = install_line(site.python, [engine], site.packages, ["--upgrade"])
    text = Text("the newest {engine}: none of those that we know of suits", {"engine": engine})
    return Fix(text=text, commands=(command,), effort="install")


def _without_doubles(fixes: list[Fix]) -> tuple[Fix, ...]:
    return tuple({one.commands: one for one in reversed(fixes)}.values())[::-1]


def _rule(answer: Answer) -> str:
    return answer.refused[0].rule if answer.refused else ""


# --- one package ------------------------------------------------------------------------------------------------------


def _one_package(site: Site, engine: str, place: Place, model: Model) -> Iterator[Fix]:
    """The engine may stay, and something beside it has to change."""
    shelf = shelf_of(site.matrix, engine)
    release = _installed(site, engine, shelf)
    if release is None or engine == "transformers" or obstacle(release, place, model) is not None:
        return
    library = _other_library(site, shelf, release, place, model)
    wrong_torch = _is_other_torch(site, release)
    if library is None or not (library or wrong_torch):
        return
    bringing, options = _bringing(site, release) if wrong_torch else ((), ())
    wanted = [*bringing, *([f"transformers=={library}"] if library else [])]
    tag = _index_tag(site, release)
    torch = f"{release.torch}+{tag}" if tag else release.torch
    values = {"engine": f"{engine} {release.full_version}", "torch": torch, "library": library}
    words = "install transformers {library}, which {engine} and the model take"
    if wrong_torch:
        words = "let pip bring torch {torch}, which {engine} was built for" + (
            ", with transformers {library}" if library else ""
        )
    first = _remove_torch(site, release) if wrong_torch and not options else ()
    yield _fix(site, Text(words, values), wanted, first, options)


def _bringing(site: Site, release: Release) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What brings the engine's torch: the engine's own metadata; for another CUDA than the default, torch's index."""
    tag = _index_tag(site, release)
    if not tag:
        return (f"{release.engine}=={release.version}",), ()
    options = index_of(tag)
    return (f"torch=={release.torch}+{tag}", companion(release.torch, options, site.matrix, _machine(site))), options


def _index_tag(site: Site, release: Release) -> str:
    """The build of the engine's torch that only torch's own index has; "" where the default index has the right one."""
    if release.tag or not release.torch or default_build(release.torch, _machine(site), site.matrix) != "cpu":
        return release.tag
    return arm_build(release.torch, site.matrix)


def _machine(site: Site) -> str:
    return site.host.machine if site.host else ""


def _with_its_torch(site: Site, engine: str, place: Place, model: Model) -> Iterator[Fix]:
    """Without a server: another transformers beside the torch that is there."""
    torch = version_of(site.version("torch") or "")
    if engine != "transformers" or torch is None:
        return
    plan = plan_for(site.matrix, engine, dataclasses.replace(place, torch=torch.public), model)
    if plan.answer.release and plan.answer.release.version != site.version(engine):
        yield _fix(site, Text("the newest transformers that goes with this torch"), plan.requirements)


def _installed(site: Site, engine: str, shelf: Shelf) -> Release | None:
    """The installed release, as the table has it; one with a tag was built for that CUDA instead."""
    found = version_of(site.version(engine) or "")
    row = next((one for one in shelf.releases if found and one.version == found.public), None)
    row = row or (release_of(site.matrix, engine, found.public) if found else None)
    tag = re.fullmatch(r"cu(\d{2})(\d)", found.local or "") if found else None
    if row is None or found is None or (found.local and tag is None):
        return None
    if tag is None:
        return row
    minimum = site.matrix.minimum_driver(tag[1])
    driver, cuda = minimum.minimum_driver if minimum else "", f"{tag[1]}.{tag[2]}"
    ptx = site.matrix.branch_for_cuda(cuda) if row.ptx_driver else ""
    return dataclasses.replace(row, cuda=cuda, minimum_driver=driver, ptx_driver=ptx, tag=found.local or "")


def _other_library(site: Site, shelf: Shelf, release: Release, place: Place, model: Model) -> str | None:
    """The transformers to install instead; "" where the one that is there will do, None where none does."""
    there = site.version("transformers")
    if there is not None and _good(site, there, release, place, model):
        return ""
    limit = _limit(site)
    fitting = tuple(one for one in shelf.transformers if allows(limit, one.version)) if limit else shelf.transformers
    narrowed = Shelf(releases=(release,), transformers=fitting)
    return (library_for(narrowed, release, place, model) or None) if fitting else None


def _limit(site: Site) -> str:
    """What the other packages ask of transformers."""
    if site.packages is None:
        return ""
    version = site.interpreter.version if site.interpreter else GOOD_PYTHON
    said = demand(site.packages, "transformers", version or GOOD_PYTHON, site.host)
    return said if said and satisfiable(said) else ""


def _good(site: Site, there: str, release: Release, place: Place, model: Model) -> bool:
    both = {release.engine: release.version, "transformers": there}
    if any(set(row.packages) == set(both) for row in site.matrix.bad_pairs(both, model.model_type)):
        return False
    return suits(Library(version=there), release, place, model, prereleases=True)


def _is_other_torch(site: Site, release: Release) -> bool:
    """A published torch of another line, or for another CUDA than the engine's libraries."""
    there = site.version("torch")
    if there is None or not release.torch:
        return False
    return line(there) != line(release.torch) or _other_cuda(site, there, release)


def _other_cuda(site: Site, torch: str, release: Release) -> bool:
    """By its tag; of an engine that has one also by what the default index has of that torch."""
    tag = re.fullmatch(r"cu(\d{2})\d|cpu", torch.partition("+")[2])
    if tag is None:
        default = site.matrix.torch_cuda(torch).split(".")[0] if release.tag and "+" not in torch else ""
        return default not in ("", release.cuda.split(".")[0])
    return tag[1] != release.cuda.split(".")[0]


def _remove_torch(site: Site, release: Release) -> tuple[str, ...]:
    """The line that makes room: an installer takes 2.10.0+cpu for 2.10.0 and leaves it there."""
    there = site.version("torch") or ""
    if there.partition("+")[0] != release.torch or not _other_cuda(site, there, release):
        return ()
    return (remove_line(site.python, ["torch"], site.packages),)


# --- the engine's set -------------------------------------------------------------------------------------------------


def _whole_set(site: Site, plan: Plan) -> Iterator[Fix]:
    release = plan.answer.release
    if release is None:
        return
    values = {"engine": release.engine, "version": release.version, "torch": release.torch, "cuda": release.cuda}
    words = "the newest {engine} that runs here, {version}, with its torch {torch} for CUDA {cuda}"
    if release.wheel:
        words = "{engine} {version} for CUDA {cuda} from its project's own release page: on the default index none runs"
    elif release.engine == "transformers":
        words = "the newest transformers and torch that run here"
    elif not release.torch or not release.cuda:
        words = "the newest {engine} that runs here, {version}"
    first = _remove_torch(site, release) if release.engine != "transformers" and not release.wheel else ()
    fix = _fix(site, Text(words, values), plan.requirements, first, plan.options)
    then = (install_line(site.python, plan.then, site.packages, ["--no-deps"]),) if plan.then else ()
    yield dataclasses.replace(fix, commands=(*fix.commands, *then))


def _own_page(site: Site, plan: Plan) -> Iterator[Fix]:
    """A newer release for this driver, which no index but the project's own page has."""
    release = plan.own_page.answer.release if plan.own_page else None
    if plan.own_page is None or release is None:
        return
    values = {"engine": release.engine, "version": release.version, "cuda": release.cuda}
    words = "a newer {engine}, {version}, built for CUDA {cuda}: from its project's own release page"
    yield _fix(site, Text(words, values), plan.own_page.requirements, (), plan.own_page.options)


def _fix(
    site: Site,
    text: Text,
    wanted: list[str] | tuple[str, ...],
    first: tuple[str, ...] = (),
    options: tuple[str, ...] = (),
) -> Fix:
    said = torch_line(site.python, wanted, site.packages, options)
    return Fix(text=text, commands=(*first, said), effort="install")


# --- more than packages -----------------------------------------------------------------------------------------------


def _other_python(site: Site, engine: str, place: Place, model: Model) -> Iterator[Fix]:
    """A new environment, where this Python is what no release has a wheel for."""
    other = plan_for(site.matrix, engine, dataclasses.replace(place, python=GOOD_PYTHON), model)
    if not _on_default_index(other) or place.python in ("", GOOD_PYTHON):
        return
    yield new_environment(other, Text("make an environment with Python {version}", {"version": GOOD_PYTHON}))


def new_environment(plan: Plan, text: Text) -> Fix:
    """The set of a plan in an environment of its own."""
    backend = ["--torch-backend", plan.options[-1].rpartition("/")[2]] if plan.options else []
    install = shlex.join(["uv", "pip", "install", "--python", "serve/bin/python", *backend, *plan.requirements])
    commands = [f"uv venv --python {GOOD_PYTHON} serve", install, *then_lines(plan, "serve/bin/python")[1:]]
    return Fix(text=text, commands=tuple(commands), effort="install")


def fresh_fix(site: Site, engine: str, text: Text) -> Fix | None:
    """The newest set for this machine in a new environment with a Python that suits; None where none runs."""
    place = dataclasses.replace(site.place(), python=GOOD_PYTHON)
    plan = plan_for(site.matrix, engine, place, site.model(engine))
    return new_environment(plan, text) if plan.answer.release else None


def _driver(site: Site, plan: Plan, *, wanted: bool) -> Iterator[Fix]:
    better = plan.better
    if better is None or better.answer.release is None or not wanted:
        return
    release = better.answer.release
    words = ": then {engine} {version} runs here"
    said = {"engine": release.engine, "version": release.version}
    yield driver_for(better.driver, site.gpus, site.host, site.matrix, words, **said)
