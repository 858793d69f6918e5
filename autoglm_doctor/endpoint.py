"""A server that is there already: what it says it serves, and with which engine."""

from __future__ import annotations

import json
from typing import Any

from autoglm_doctor.errors import DoctorError
from autoglm_doctor.intent import UNNAMED, Engine, Intent, Launch
from autoglm_doctor.interruption import within
from autoglm_doctor.profiles import find_profile

#: For the list of models: a server that works has it at hand.
LIST_SECONDS = 10.0

#: `owned_by` in the list of models.
_OWNERS: dict[str, Engine] = {
    "vllm": "vllm",
    "sglang": "sglang",
    "llamacpp": "llamacpp",
    "transformers": "transformers",
}


def check_url(url: str) -> None:
    """Raise a DoctorError for what is no URL of a server."""
    if not url.startswith(("http://", "https://")) or not url.split("://", 1)[1].strip("/"):
        raise DoctorError("--endpoint: a URL expected, as http://127.0.0.1:8000")


def served_intent(url: str, model: str | None, engine: Engine | None, launch: Launch) -> Intent:
    """What a running server stands for: what it says, unless somebody says otherwise."""
    name, owner = identify(url) if model is None or engine is None else ("", None)
    known = find_profile(model or name)
    return Intent(
        model=model or name,
        engine=engine or owner or "vllm",
        profile=known.name if known else "",
        launch=launch,
        stated_by="options",
    )


def identify(url: str) -> tuple[str, Engine | None]:
    """The name of the model, UNNAMED when the server does not tell, and the engine, None when it cannot be told."""
    from autoglm_doctor.probes.serving.http import Endpoint, endpoint_key, get

    try:
        status, body = within(
            LIST_SECONDS + 1, lambda: get(Endpoint(url=url, key=endpoint_key()), "/v1/models", LIST_SECONDS)
        )
        first: Any = json.loads(body)["data"][0] if status == 200 else {}
        name, owner = first.get("root") or first["id"], first.get("owned_by")
    except (TimeoutError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return UNNAMED, None
    return (name if isinstance(name, str) and name else UNNAMED), _OWNERS.get(str(owner).lower())
