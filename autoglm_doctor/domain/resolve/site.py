"""The machine of a check as a place to install into, and the deployment's model as what it asks of the packages."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from autoglm_doctor.domain.conflicts import installed_version, version_of
from autoglm_doctor.domain.model import model_config
from autoglm_doctor.domain.resolve.releases import Model, Place
from autoglm_doctor.domain.resolve.shelf import model_of
from autoglm_doctor.facts import Driver, Gpu, Host, Interpreter, ModelFiles, Packages
from autoglm_doctor.intent import SMOKE, Intent
from autoglm_doctor.matrix import Matrix

#: The model that the doctor makes for its own final stage has this type.
SMOKE_TYPE = "glm4v"


@dataclass(frozen=True, slots=True)
class Site:
    """All that a fix may depend on; None where it is not known."""

    matrix: Matrix
    intent: Intent
    driver: Driver | None = None
    gpus: tuple[Gpu, ...] | None = None  # those that the deployment takes
    host: Host | None = None
    interpreter: Interpreter | None = None
    packages: Packages | None = None
    files: ModelFiles | None = None

    @property
    def python(self) -> str | None:
        """The interpreter that lines are for."""
        return self.interpreter.executable if self.interpreter else None

    def version(self, package: str) -> str | None:
        """What is installed."""
        return installed_version(self.packages, package) if self.packages else None

    def place(self) -> Place:
        """What is known of the machine."""
        gpus = self.gpus or ()
        version = self.interpreter.version if self.interpreter else ""
        return Place(
            driver=driver_text(self.driver, self.matrix),
            capabilities=tuple(dict.fromkeys(one.compute_capability for one in gpus if version_of_capability(one))),
            python=".".join(version.split(".")[:2]),
            glibc=(self.host.glibc or "") if self.host else "",
            machine=self.host.machine if self.host else "x86_64",
            gpu=", ".join(dict.fromkeys(one.name for one in gpus)),
        )

    def model(self, engine: str) -> Model:
        """What the model asks of an engine and of transformers."""
        config = {"model_type": SMOKE_TYPE} if self.intent.model == SMOKE else model_config(self.intent, self.files)
        found = model_of(self.matrix, engine, self.intent.model, config)
        own_code = self.files is not None and self.files.custom_code and found.model_type not in self.matrix.models
        return dataclasses.replace(found, transformers="") if own_code else found


def version_of_capability(gpu: Gpu) -> bool:
    """Whether a GPU says its compute capability."""
    return version_of(gpu.compute_capability) is not None


def driver_text(driver: Driver | None, matrix: Matrix) -> str:
    """A driver's version as rules compare it: raised to what its libcuda is known to run.

    A forward-compatibility package brings the libcuda of a newer driver, and only that counts for programs.
    """
    if driver is None:
        return ""
    said = [driver.version or ""]
    if driver.cuda_version:
        row = matrix.minimum_driver(driver.cuda_version)
        said += [matrix.branch_for_cuda(driver.cuda_version), row.minimum_driver if row else ""]
    return newest(said)


def newest(versions: Iterable[str]) -> str:
    """The greatest of those that are versions; "" of none."""
    known = [(parsed, one) for one in versions if (parsed := version_of(one)) is not None]
    return max(known)[1] if known else ""
