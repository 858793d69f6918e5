"""Frozen dataclasses <-> JSON, with the place of what is wrong.

Our own, because a validation library's version would be a stake in the environment we examine, and it is small:
dataclasses, tuples, mappings with string keys, scalars, literals and unions with None.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from autoglm_doctor.errors import DecodeError

T = TypeVar("T")


def encode(value: Any) -> Any:
    """Plain JSON types for a dataclass tree. Fields that hold their default are written too: readers need no defaults.

    Non-finite floats become strings, since JSON has none.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): encode(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(v) for v in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value


def decode(kind: type[T], data: Any, where: str = "$") -> T:
    """Build `kind` from JSON data; unknown keys are ignored, so that newer readings load.

    Raises:
        DecodeError: with the path, "$.gpus[0].index: int expected, got '0'".
    """
    return typing.cast(T, _decode(kind, data, where))


def _decode(kind: Any, data: Any, where: str) -> Any:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind is object:
        return data
    if origin in (typing.Union, types.UnionType):
        return _union(args, data, where)
    if origin is typing.Literal:
        if data not in args:
            raise DecodeError(f"{where}: one of {', '.join(map(repr, args))} expected, got {data!r:.80}")
        return data
    if origin is tuple:
        return _sequence(args, data, where)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        _expect(isinstance(data, dict), "object", data, where)
        return {k: _decode(args[1], v, f"{where}.{k}") for k, v in data.items()}
    cls = origin or kind
    if dataclasses.is_dataclass(cls):
        return _dataclass(cls, args, data, where)
    return _scalar(kind, data, where)


def _union(args: tuple[Any, ...], data: Any, where: str) -> Any:
    if data is None and type(None) in args:
        return None
    errors = []
    for arg in args:
        if arg is type(None):
            continue
        try:
            return _decode(arg, data, where)
        except DecodeError as error:
            errors.append(error)
    raise errors[0]


def _sequence(args: tuple[Any, ...], data: Any, where: str) -> tuple[Any, ...]:
    _expect(isinstance(data, list), "array", data, where)
    return tuple(_decode(args[0], item, f"{where}[{i}]") for i, item in enumerate(data))


def _scalar(kind: Any, data: Any, where: str) -> Any:
    if kind is float and isinstance(data, str) and data in ("nan", "inf", "-inf"):
        return float(data)
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    good = isinstance(data, kind) and not (kind is int and isinstance(data, bool))
    _expect(good, kind.__name__, data, where)
    return data


def _dataclass(cls: Any, args: tuple[Any, ...], data: Any, where: str) -> Any:
    _expect(isinstance(data, dict), "object", data, where)
    variables = dict(zip(getattr(cls, "__parameters__", ()), args, strict=False))
    values = {}
    for name, (hint, needed) in _fields(cls).items():
        if name in data:
            values[name] = _decode(_substitute(hint, variables), data[name], f"{where}.{name}")
        elif needed:
            raise DecodeError(f"{where}.{name}: missing")
    return cls(**values)


@functools.cache
def _fields(cls: Any) -> dict[str, tuple[Any, bool]]:
    hints = typing.get_type_hints(cls)
    missing = dataclasses.MISSING
    return {
        f.name: (hints[f.name], f.default is missing and f.default_factory is missing) for f in dataclasses.fields(cls)
    }


def _substitute(hint: Any, variables: dict[Any, Any]) -> Any:
    if isinstance(hint, TypeVar):
        return variables.get(hint, Any)
    args = typing.get_args(hint)
    if variables and any(isinstance(a, TypeVar) for a in args):
        return typing.Union[tuple(variables.get(a, a) for a in args)]  # noqa: UP007  only `T | None` occurs
    return hint


def _expect(good: bool, what: str, data: Any, where: str) -> None:
    if not good:
        raise DecodeError(f"{where}: {what} expected, got {data!r:.80}")
