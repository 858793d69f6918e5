"""compat_matrix.yaml, cut into its sections; each is read when somebody asks for it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from autoglm_doctor.errors import DoctorError
from autoglm_doctor.jsonio import decode

T = TypeVar("T")
#: A key at the beginning of a line, and all until the next.
SECTION = re.compile(r"^([a-z][a-z0-9_]*):(.*?)(?=^[^\s]|\Z)", re.MULTILINE | re.DOTALL)


class Sections:
    """The file's text by section. A section is JSON (a millisecond) or, where a hand wrote it otherwise, YAML."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """`texts`: name of a section -> what stands behind its colon."""
        self._texts = texts

    def names(self) -> tuple[str, ...]:
        """All sections, in the file's order."""
        return tuple(self._texts)

    def raw(self, name: str) -> Any:
        """A section as plain data.

        Raises:
            DoctorError: it is not there, or neither JSON nor YAML.
        """
        if name not in self._texts:
            raise DoctorError(f"compat_matrix.yaml has no section {name!r}; reinstall autoglm-doctor")
        try:
            return json.loads(self._texts[name])
        except ValueError:
            return _yaml(name, self._texts[name])

    def rows(self, kind: type[T], name: str) -> T:
        """The rows of a section as `kind`.

        Raises:
            DoctorError: no such section; DecodeError names the place of a wrong value.
        """
        data = self.raw(name)
        if not isinstance(data, dict) or "rows" not in data:
            raise DoctorError(f"compat_matrix.yaml: {name}: an object with rows expected")
        return decode(kind, data["rows"], name)

    def about(self, kind: type[T], name: str) -> T:
        """What a section says beside its rows, as `kind`."""
        return decode(kind, self.raw(name), name)


def _yaml(name: str, text: str) -> Any:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(f"{name}:{text}", Loader=loader)[name]  # noqa: S506  one of the two safe ones
    except yaml.YAMLError as error:
        raise DoctorError(f"compat_matrix.yaml: {name}: {error}") from error
