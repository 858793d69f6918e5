"""The figures and names in a line that says what went wrong: how much, where, which."""

from __future__ import annotations

import re

_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"Tried to allocate (?P<wanted>[\d.]+ [KMG]iB)",
        r"\bGPU (?P<gpu>\d+) has a total capacity of (?P<total>[\d.]+) GiB of which (?P<left>[\d.]+ [KMG]iB) is free",
        r"GPU (?P<gpu>\d+); (?P<total>[\d.]+) GiB total capacity",
        r"allocating (?P<wanted>[\d.]+ MiB) on device (?P<gpu>\d+)",
        r"Free memory on device[^(]*\((?P<free>[\d.]+)/(?P<total>[\d.]+) GiB\)",
        r"GPU memory utilization \((?P<share>[\d.]+), (?P<asked>[\d.]+) GiB\)",
        rf"estimated maximum model length is (?P<fits>{_NUMBER})",
        rf"can be stored in KV cache \((?P<stored>{_NUMBER})\)",
        rf"max seq len \((?P<length>{_NUMBER})\)",
        r"\((?P<needed>[\d.]+) GiB KV cache is needed",
        r"available KV cache memory \((?P<available>[\d.]+) GiB\)",
        rf"max_model_len \((?P<length>{_NUMBER})\) is greater \w+ the derived \w+ \(\w+=(?P<derived>{_NUMBER})",
        r"attention heads \((?P<heads>\d+)\)",
        r"tensor parallel size \((?P<parallel>\d+)\)",
        r"(?:unrecognized arguments|invalid argument|unknown argument|No such option):? *(?P<flags>-\S.*)",
        r"gcc versions later than (?P<gcc>\d+)",
        r"undefined symbol:? *(?P<symbol>\w+)",
        r"(?P<library>lib\w+\.so(?:\.\d+)*): cannot open shared object",
        r"model type `(?P<model_type>[\w-]+)`",
        r"Model architectures \['(?P<architecture>\w+)'",
        r"unknown model architecture: '(?P<architecture>[\w-]+)'",
        r"(?:bind on address \('[^']*', |port:? *)(?P<port>\d+)",
        r"Your (?P<gpu_name>.+?) GPU has compute capability (?P<capability>[\d.]+)",
        r"Current capability: (?P<capability>\d+)",
        r"Minimum capability: (?P<minimum>\d+)",
    )
)


def details(line: str) -> dict[str, str]:
    """What the line holds of them, as words: "wanted" 2.00 GiB, "fits" 12,345, "symbol" ...; {} when nothing."""
    found: dict[str, str] = {}
    for pattern in _PATTERNS:
        match = pattern.search(line)
        if match:
            found |= {name: value for name, value in match.groupdict().items() if value and name not in found}
    return found
