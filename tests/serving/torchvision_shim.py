"""Lets a torchvision built for CUDA import beside a torch without it. For tests only.

Its compiled operators do not load there: the two that its Python code registers shapes for are declared empty, and
pictures are decoded by Pillow. Loaded by a line in a `.pth` file, so that it also works where PYTHONPATH is ignored.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from typing import Any

_OPERATORS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_KEPT: list[Any] = []  # a torch Library takes its operators with it when it goes


def _declare_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    _KEPT.append(library)
    for name in _OPERATORS:
        try:
            library.define(name + _SIGNATURE)
        except RuntimeError:  # the compiled ones are there after all
            return


def _decode_image(input: Any, mode: Any = None, apply_exif_orientation: bool = False) -> Any:
    import io

    import numpy
    import torch
    from PIL import Image

    source = input if isinstance(input, str) else io.BytesIO(input.numpy().tobytes())
    return torch.from_numpy(numpy.array(Image.open(source).convert("RGB"))).permute(2, 0, 1).contiguous()


class _Patched(importlib.abc.Loader):
    """Loads torchvision.io.image and replaces its decoder."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def create_module(self, spec: Any) -> Any:
        return self.real.create_module(spec)

    def exec_module(self, module: Any) -> None:
        self.real.exec_module(module)
        module.decode_image = _decode_image


class _Finder(importlib.abc.MetaPathFinder):
    """Steps in before torchvision and its decoder are imported."""

    def __init__(self) -> None:
        self.looking = False

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if self.looking or fullname not in ("torchvision", "torchvision.io.image"):
            return None
        self.looking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self.looking = False
        if spec is None or spec.loader is None:
            return spec
        if fullname == "torchvision":
            _declare_operators()
        else:
            spec.loader = _Patched(spec.loader)
        return spec


sys.meta_path.insert(0, _Finder())
