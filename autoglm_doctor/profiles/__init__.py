"""Models that are known without their files: their shape, their pictures and the line their documentation launches.

Before a first deployment the weights are not on the machine yet; what they will need is known all the same. Adding a
model is adding one `Profile` to a maker's module here; a new maker goes into `_MAKERS`. Makers are read one after the
other until the model is found: a start that asks for AutoGLM reads no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from autoglm_doctor.profiles.profile import Profile as Profile

#: Modules of this folder, each with a tuple PROFILES; the default profile's is the first.
_MAKERS = ("glm", "qwen", "llama", "mistral", "google", "openai", "deepseek", "microsoft")


def _all() -> Iterator[Profile]:
    for maker in _MAKERS:
        yield from import_module(f"autoglm_doctor.profiles.{maker}").PROFILES


class _ByName(Mapping[str, Profile]):
    """A mapping that reads no more makers than an answer takes."""

    def __getitem__(self, name: str) -> Profile:
        for profile in _all():
            if profile.name == name:
                return profile
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (profile.name for profile in _all())

    def __len__(self) -> int:
        return sum(1 for _ in _all())


#: Every known model by its profile name.
PROFILES: Mapping[str, Profile] = _ByName()


def find_profile(model: str) -> Profile | None:
    """The profile for a profile name or a hub name, whatever its capitals; None for any other model or a folder."""
    wanted = model.strip().lower().rstrip("/")
    if not wanted or wanted[0] in "/.~":
        return None
    for profile in _all():
        if wanted == profile.name or wanted in (name.lower() for name in profile.hub_names):
            return profile
    return None
