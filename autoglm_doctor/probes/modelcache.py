"""Where a model lies on this machine: a folder, the Hugging Face cache or ModelScope's. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from autoglm_doctor.domain.downloads import names_a_path


def find_model(model: str, environ: Mapping[str, str], download_dir: str | None = None) -> tuple[Path, str] | None:
    """(folder, how it was found), or None when it is not on this machine.

    `environ` is the deployment's: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, MODELSCOPE_CACHE and HOME count.
    `download_dir` is vLLM's flag: a cache folder that comes before all others.
    """
    folder = Path(expand(model, environ))
    if folder.is_dir():
        return folder, "path"
    if names_a_path(model):
        return None
    for cache in _hub_caches(environ, download_dir):
        snapshot = _snapshot(cache / f"models--{model.replace('/', '--')}")
        if snapshot is not None:
            return snapshot, "hugging face cache"
    for folder in _modelscope_folders(model, environ):
        if folder.is_dir():
            return folder, "modelscope cache"
    return None


def expand(path: str, environ: Mapping[str, str]) -> str:
    """A path with the deployment's home folder for "~"."""
    home = environ.get("HOME")
    return home + path[1:] if home and path.startswith("~/") else path


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def _hub_caches(environ: Mapping[str, str], download_dir: str | None) -> Iterator[Path]:
    """One after the other only where vLLM's flag is given: otherwise exactly the folder that the library uses."""
    if download_dir:
        yield Path(expand(download_dir, environ))
    named = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
    if named:
        yield Path(expand(named, environ))
        return
    cache = environ.get("XDG_CACHE_HOME") or str(_home(environ) / ".cache")
    yield Path(expand(environ.get("HF_HOME") or f"{cache}/huggingface", environ)) / "hub"


def _snapshot(repository: Path) -> Path | None:
    """The snapshot that `main` points to; without that reference the newest one that there is."""
    snapshots = repository / "snapshots"
    try:
        revision = (repository / "refs" / "main").read_text(encoding="ascii").strip()
        if revision and (snapshots / revision).is_dir():
            return snapshots / revision
    except (OSError, UnicodeDecodeError):
        pass
    try:
        return max((p for p in snapshots.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime, default=None)
    except OSError:
        return None


def _modelscope_folders(model: str, environ: Mapping[str, str]) -> Iterator[Path]:
    """Releases before 1.15 had no `models` level; a dot in a name is written as three underscores."""
    base = environ.get("MODELSCOPE_CACHE")
    roots = [Path(expand(base, environ))] if base else []
    roots = [root / part for root in roots for part in ("", "hub")] or [_home(environ) / ".cache/modelscope/hub"]
    for root in roots:
        for level in ("models", ""):
            for name in dict.fromkeys((model, model.replace(".", "___"))):
                yield root / level / name
