"""PKG: the installed packages agree with each other."""

from __future__ import annotations

from autoglm_doctor.api import (
    Findings,
    Fix,
    Host,
    Intent,
    Interpreter,
    Judgement,
    Matrix,
    Packages,
    Text,
    check,
    fail,
    not_applicable,
    ok,
    warn,
)
from autoglm_doctor.domain.conflicts import (
    NO_VERSION,
    Conflict,
    Survey,
    excluded_by_name,
    install_line,
    installed_version,
    remove_line,
    satisfiable,
    survey,
    too_new,
)
from autoglm_doctor.domain.in_use import is_in_use

#: Conflicts shown one by one in the finding that gathers the harmless ones.
SHOWN = 5


@check("PKG001", "dependency-conflicts", cause="DEPENDENCY_CONFLICT", explained_by=("PYT001", "ENG002"))
def dependency_conflicts(
    packages: Packages, interpreter: Interpreter, host: Host | None, intent: Intent, matrix: Matrix
) -> Findings:
    """The installed packages agree about each other's versions.

    pip lets a later install break an earlier one with a warning that scrolls away. The engine then fails at start
    with an import error, or worse, runs with a kernel that was built for another torch.

    Measured like `pip check`, on the metadata of everything installed, with markers evaluated for the deployment's
    Python and platform, and extras only where somebody asks for them. What the engine, torch or transformers demand
    is red; other conflicts are gathered in one yellow finding, and so are the CUDA libraries that torch pins, since
    a newer one is often put there on purpose. A missing torch is left to TOR001, torchvision's demand
    on torch to TOR004, and the demand on NumPy of a package that is known not to work with the one here to PKG009.

    ## Fix
    One line per conflict, with all demands on the package joined, so that settling one does not open the next. Where no
    version pleases them all, one of those that nothing else here asks for can be taken out: never what the launch uses,
    nor a project that is installed from its own folder.
    """
    found = survey(packages, interpreter.version, host)
    conflicts = [c for c in found.conflicts if not _belongs_elsewhere(c)]
    roots = {c.name for c in conflicts if _is_grave(c, intent)}
    if "numpy" not in roots:  # where it is, this red explains PKG009's
        old = _built_for_another_numpy(packages, matrix)
        conflicts = [c for c in conflicts if c.name != "numpy" or c.parent not in old]
    for name in sorted(roots):
        edges = [c for c in conflicts if c.name == name and (name != "python" or _is_grave(c, intent))]
        edges.sort(key=lambda c: (not _is_grave(c, intent), c.parent != intent.engine))
        yield _red(name, edges, found, interpreter, packages, intent)
    rest = [c for c in conflicts if c.name not in roots]
    if rest:
        yield _yellow(rest, found, interpreter, packages, intent)
    if not conflicts:
        yield _agreement(found, packages)


def _built_for_another_numpy(packages: Packages, matrix: Matrix) -> set[str]:
    """What PKG009 is red for: its way out is a newer release of these, and not another NumPy."""
    rows = [row for row in matrix.known_pairs if "numpy" in row.packages]
    names = {name for row in rows for name in row.packages}
    there = {name: version for name in names if (version := installed_version(packages, name))}
    return {name for row in matrix.bad_pairs(there) if "numpy" in row.packages for name in row.packages} - {"numpy"}


def _agreement(found: Survey, packages: Packages) -> Judgement:
    """Nothing here is in conflict: green for what was compared and holds, for nothing else."""
    left_out = len(found.conflicts)
    held = found.requirements - left_out
    values = {"held": held, "packages": len(packages.distributions), "left_out": left_out}
    if held > 0:
        more = "; {left_out:count} more are left to TOR001, TOR004 and PKG009" if left_out else ""
        text = Text("{held:count} requirements of {packages:count} packages hold" + more, values)
        return ok(text, evidence={"unreadable_requirements": found.invalid_lines})
    if left_out:
        return not_applicable(Text("all that is required here is judged by TOR001, TOR004 and PKG009"))
    if packages.distributions:
        return not_applicable(Text("none of the {packages:count} packages here requires another one", values))
    return not_applicable(Text("no package is installed for this Python: there is nothing to compare"))


def _belongs_elsewhere(conflict: Conflict) -> bool:
    """One root cause, one red: TOR001 says that torch is missing, TOR004 that torchvision has another torch."""
    is_missing_torch = conflict.name == "torch" and conflict.kind == "missing"
    return is_missing_torch or (conflict.parent, conflict.name) == ("torchvision", "torch")


def _is_grave(conflict: Conflict, intent: Intent) -> bool:
    """Does it start at something that the server cannot run without?"""
    if conflict.parent == "torch" and conflict.name.startswith("nvidia-"):
        return False
    return conflict.parent in (intent.engine, "torch", "transformers")


def _cause(conflict: Conflict) -> str:
    installed = conflict.installed or ""
    if conflict.kind == "python":
        return "PYTHON_UNSUPPORTED"
    if conflict.kind == "missing":
        return "DEPENDENCY_CONFLICT"
    if conflict.name == "transformers":
        if excluded_by_name(conflict.specifier, installed):
            return "KNOWN_BAD_RELEASE"
        new = too_new(conflict.specifier, installed)
        return "TRANSFORMERS_TOO_NEW_FOR_ENGINE" if new else "TRANSFORMERS_TOO_OLD_FOR_ENGINE"
    if conflict.name == "numpy" and too_new(conflict.specifier, installed) and not installed.startswith("1."):
        return "NUMPY2_ABI"
    return {
        "torch": "VLLM_TORCH_MISMATCH" if conflict.parent in ("vllm", "sglang") else "TORCH_COMPANION_MISMATCH",
        "triton": "TRITON_TORCH_MISMATCH",
        "huggingface-hub": "HF_LIBS_CONFLICT",
        "tokenizers": "HF_LIBS_CONFLICT",
    }.get(conflict.name, "DEPENDENCY_CONFLICT")


def _words(conflict: Conflict) -> str:
    """ "vllm 0.12.0 wants transformers<5,>=4.56; 5.0.0rc0 is installed"."""
    state = f"{conflict.installed} is installed" if conflict.installed else "it is not installed"
    if conflict.kind == "python":
        state = f"this is {conflict.installed}"
    wanted = f"{conflict.name}{'' if conflict.kind != 'python' else ' '}{conflict.specifier}"
    parent = f"{conflict.parent} {conflict.parent_version}".removesuffix(f" {NO_VERSION}")
    return f"{parent} wants {wanted}; {state}"


def _red(
    name: str,
    edges: list[Conflict],
    found: Survey,
    interpreter: Interpreter,
    packages: Packages,
    intent: Intent,
) -> Judgement:
    root = edges[0]
    more = f" (and {len(edges) - 1} more want another one)" if len(edges) > 1 else ""
    cause = _cause(root)
    # The model asks for a newer transformers as well: that is the one fault. Not so where this one is too new.
    of_model = cause in ("TRANSFORMERS_TOO_OLD_FOR_ENGINE", "KNOWN_BAD_RELEASE")
    return fail(
        Text("{conflict}{more}", {"conflict": _words(root), "more": more}),
        cause=cause,
        explained_by=("PYT001", "ENG002") if of_model else ("PYT001",),
        fix=_fixes(root, found, interpreter, packages, intent),
        subject=name,
        observed=root.installed or "not installed",
        expected=found.wanted.get(name) or root.specifier,
        evidence={edge.parent: edge.specifier for edge in edges},
    )


def _fixes(
    root: Conflict, found: Survey, interpreter: Interpreter, packages: Packages, intent: Intent
) -> tuple[Fix, ...]:
    python = interpreter.executable
    if root.kind == "python":
        text = Text("an environment with a Python that {parent} supports", {"parent": root.parent})
        install = f"uv pip install --python serve/bin/python '{root.parent}=={root.parent_version}'"
        return (Fix(text=text, commands=("uv venv --python 3.12 serve", install), effort="install"),)
    wanted = found.wanted.get(root.name, root.specifier)
    again = Fix(
        text=Text(
            "let pip bring what {parent} {version} needs", {"parent": root.parent, "version": root.parent_version}
        ),
        commands=(install_line(python, [f"{root.parent}=={root.parent_version}"], packages),),
        effort="install",
    )
    upgrade = Fix(
        text=Text("a release of {parent} that goes with what is installed", {"parent": root.parent}),
        commands=(install_line(python, [root.parent], packages, ["--upgrade"]),),
        effort="install",
    )
    if not satisfiable(wanted) or root.name in ("torch", "torchvision", "triton"):
        # Nothing pleases all of them, or companions move along with it: the engine's own pins decide.
        return (again, upgrade) if root.parent == intent.engine else (again,)
    direct = Fix(
        text=Text("install a {name} that everything here can live with", {"name": root.name}),
        commands=(install_line(python, [f"{root.name}{wanted}"], packages),),
        effort="install",
    )
    return (direct, upgrade) if root.parent == intent.engine else (direct, again)


def _yellow(
    rest: list[Conflict], found: Survey, interpreter: Interpreter, packages: Packages, intent: Intent
) -> Judgement:
    lines = [_words(conflict) for conflict in rest[:SHOWN]]
    more = f"; and {len(rest) - SHOWN} more" if len(rest) > SHOWN else ""
    causes = {_cause(conflict) for conflict in rest}
    return warn(
        Text(
            "{count} packages besides the engine disagree: {list}{more}",
            {
                "count": len(rest),
                "list": "; ".join(lines),
                "more": more,
            },
        ),
        cause=causes.pop() if len(causes) == 1 else "DEPENDENCY_CONFLICT",
        fix=_settled(rest, found, interpreter, packages, intent),
        observed=len(rest),
        expected=0,
    )


def _settled(
    rest: list[Conflict], found: Survey, interpreter: Interpreter, packages: Packages, intent: Intent
) -> tuple[Fix, ...]:
    """Versions that please all; where there are none, one that nothing else here asks for, as a choice."""
    python = interpreter.executable
    names = dict.fromkeys(c.name for c in rest if c.kind != "python" and satisfiable(found.wanted.get(c.name, "")))
    wanted = [f"{name}{found.wanted.get(name, '')}" for name in names]
    if wanted:
        text = Text("settle them, if you use these packages")
        return (Fix(text=text, commands=(install_line(python, wanted, packages),), effort="install"),)
    alone = sorted({c.parent for c in rest if c.kind != "python"} - set(found.wanted))
    spare = [name for name in alone if not is_in_use(name, packages, intent)]
    if not spare:
        text = Text("settle them, if you use these packages")  # each asks for another: look at the list
        return (Fix(text=text, commands=(f"{python} -m pip check",), effort="install"),)
    words = "no version pleases them all: take out {name} if you do not serve with it, or give it its own environment"
    return tuple(
        Fix(
            text=Text(words if name == spare[0] else "or take out {name} instead", {"name": name}),
            commands=(remove_line(python, [name], packages),),
            effort="install",
        )
        for name in spare[:SHOWN]
    )
