"""Models whose repository brings its own code, and the releases of transformers that this code breaks with."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from autoglm_doctor.matrix.models import Models
from autoglm_doctor.matrix.numbers import within


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteCode:
    """Code of one family that breaks with some releases of transformers."""

    name: str  # pattern of the whole name on the hub without its owner, without regard to case
    owners: tuple[str, ...]  # who publishes it; what others publish under the name may have been mended
    versions: str  # of transformers, that it breaks with
    what: str
    takes: str  # the newest transformers that runs it, or that its makers name; a later one where that was mended
    source: str
    # Of config.json, by which a folder with another name is known; "InternVLChatModel/InternLM2ForCausalLM" names the
    # language model in it as well.
    architectures: tuple[str, ...] = ()
    updated: bool = False  # a newer copy takes these releases, or nobody could tell that none does
    # transformers has code of its own for it as well: that of the repository runs only with trust_remote_code.
    only_trusted: bool = False
    # Its configuration lies in the file of the model, so that an engine imports that file too, until it has a
    # configuration of its own: engine -> the first release that is known to do without; {}: engines do without.
    engines: Mapping[str, str] = field(default_factory=dict)

    def is_called(self, name: str) -> bool:
        """A name without its owner is one of this family."""
        return re.fullmatch(self.name, name, re.IGNORECASE) is not None

    def breaks_with(self, version: str) -> bool:
        """A release of transformers is one of those."""
        return within(version, self.versions)


class RemoteCodes(Models):
    """The part of the matrix that is about models with code of their own."""

    @cached_property
    def remote_code(self) -> tuple[RemoteCode, ...]:
        """All rows; of one family the surer first."""
        return self.rows(tuple[RemoteCode, ...], "remote_code")

    def remote_code_of(self, name: str, architectures: Collection[str] = ()) -> tuple[RemoteCode, ...]:
        """The rows of a model, by its name without the owner; of one with another name by its architectures."""
        by_name = tuple(row for row in self.remote_code if row.is_called(name))
        return by_name or tuple(row for row in self.remote_code if set(row.architectures) & set(architectures))
