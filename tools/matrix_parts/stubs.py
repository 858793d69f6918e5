"""Packages whose entry on the index is a stub: an archive without sources, whose build fetches the wheel elsewhere.

The stub carries the wheel's metadata, and pip asks the build backend for it that the stub names. Here pip finds a
stand-in under that name, which hands the metadata over and builds nothing: nothing else is fetched, nothing is run.
"""

from __future__ import annotations

from pathlib import Path

#: Package -> the module that its stubs name as their build backend.
PACKAGES = {"tensorrt-llm": "wheel_stub.buildapi"}
#: In the place of a Python that has a wheel.
NO_WHEEL = ""

_STAND_IN = """
from email.parser import BytesHeaderParser
from pathlib import Path


def prepare_metadata_for_build_wheel(folder, config_settings=None):
    said = Path("PKG-INFO").read_bytes()
    heads = BytesHeaderParser().parsebytes(said)
    name = heads["Name"].replace("-", "_") + "-" + heads["Version"] + ".dist-info"
    Path(folder, name).mkdir()
    Path(folder, name, "METADATA").write_bytes(said)
    return name


def build_wheel(*_):
    raise RuntimeError("a stand-in for metadata only")
"""


def stand_in(folder: Path) -> dict[str, str]:
    """Write the stand-ins into a folder; the variables under which pip finds them."""
    for module in set(PACKAGES.values()):
        path = folder.joinpath(*module.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(_STAND_IN)
    return {"PYTHONPATH": str(folder)}
