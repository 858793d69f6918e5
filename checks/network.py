"""The network as far as it lies on this machine: the server's port, and proxies that catch local requests."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from autoglm_doctor.api import (
    SMOKE,
    Download,
    Environment,
    Findings,
    Fix,
    Intent,
    Judgement,
    Port,
    Reading,
    Text,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)

#: Variables that send requests to http://localhost through a proxy (HTTPS_PROXY does not).
PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
LOCAL = ("localhost", "127.0.0.1")


@check("NET001", "port-free", cause="PORT_IN_USE")
def port_free(port: Reading[Port], intent: Intent) -> Findings:
    """The server's port is free.

    An engine binds its port after minutes of loading, or (vLLM) at once and then dies. So it is tried now: a real bind
    on the same address, with SO_REUSEADDR as the servers set it, let go at once.

    ## Fix

    Another --port (from 1024 on: those below are root's), or stop the process that has it. For a redeploy that replaces
    this very process, nothing.
    """
    if intent.model == SMOKE or port.outcome == "absent":
        yield not_applicable(Text("this run needs no port"))
    elif port.value is None:
        yield unknown(Text("whether it is free is not known: {why}", {"why": port.why or port.outcome}))
    elif port.value.free:
        yield ok(Text("{host}:{port} is free", {"host": port.value.host, "port": port.value.port}))
    else:
        yield _taken(port.value, intent)


def _taken(port: Port, intent: Intent) -> Judgement:
    if not port.holder_pid and "permission denied" in (port.error or "").lower():
        return _not_permitted(port, intent)
    holder = f"{port.holder_name or 'process'} {port.holder_pid}" if port.holder_pid else ""
    said = {"host": port.host, "port": port.port, "holder": holder, "error": port.error or "in use"}
    other = port.port + 1 if port.port < 65535 else 8001
    fixes = [Fix(text=Text("see who has it"), commands=(f"sudo ss -ltnp 'sport = :{port.port}'",), needs_root=True)]
    if holder:
        stop = f"kill {port.holder_pid}"
        fixes = [Fix(text=Text("stop {holder}, if it is not needed", said), commands=(stop,), effort="restart")]
    moved = _with_port(intent.command, other)
    if moved:
        fixes.insert(0, Fix(text=Text("take another port"), commands=(moved,), effort="flag"))
    words = "{host}:{port} is taken by {holder}" if holder else "the server cannot listen on {host}:{port}: {error}"
    return fail(Text(words, said), fix=tuple(fixes), observed=port.error, evidence={"holder": port.holder_pid})


def _not_permitted(port: Port, intent: Intent) -> Judgement:
    """Nobody has it, the user may not take it: ports below 1024 are root's, so the next number is no way out."""
    said = {"host": port.host, "port": port.port}
    free = 8000 if port.port != 8000 else 8001
    moved = _with_port(intent.command, free)
    fixes = [Fix(text=Text("take a port that everybody may use"), commands=(moved,), effort="flag")] if moved else []
    if port.port < 1024:
        allow = f"sudo sysctl -w net.ipv4.ip_unprivileged_port_start={port.port}"
        text = Text("let everybody on this machine use ports from {port} on", said)
        fixes.append(Fix(text=text, commands=(allow,), needs_root=True))
    see = Fix(
        text=Text("see from where on ports are free for all"), commands=("sysctl net.ipv4.ip_unprivileged_port_start",)
    )
    return fail(
        Text("this user may not listen on {host}:{port}: permission denied", said),
        fix=tuple(fixes) or see,
        cause="PORT_NOT_PERMITTED",
        observed=port.error,
    )


def _with_port(command: tuple[str, ...], port: int) -> str:
    """The user's line with another port; "" when there is no line."""
    words = list(command)
    for at, word in enumerate(words):
        if word == "--port" and at + 1 < len(words):
            return shlex.join([*words[: at + 1], str(port), *words[at + 2 :]])
        if word.startswith("--port="):
            return shlex.join([*words[:at], f"--port={port}", *words[at + 1 :]])
    return shlex.join([*words, "--port", str(port)]) if words else ""


@check("NET002", "proxy-spares-localhost", cause="PROXY_INTERCEPTS_LOCALHOST")
def proxy_spares_localhost(environment: Environment) -> Findings:
    """Requests to this machine itself do not go through a proxy.

    With http_proxy (or all_proxy) set, Python's and most other clients send even http://localhost:8000 to the proxy,
    which answers 502 or 503: the server looks broken and is not. no_proxy names the exceptions.

    ## Fix

    Add localhost and 127.0.0.1 to no_proxy, in both spellings.
    """
    variables = environment.variables
    proxy = next((name for name in PROXIES if variables.get(name)), None)
    if proxy is None:
        yield ok(Text("no proxy is set for HTTP"))
        return
    missing = [name for name in LOCAL if not spared(name, variables)]
    if not missing:
        yield ok(Text("{proxy} is set, and no_proxy spares this machine", {"proxy": proxy}))
        return
    current = variables.get("no_proxy") or variables.get("NO_PROXY") or ""
    value = shlex.quote(",".join(filter(None, [current, *missing])))
    yield warn(
        Text("{proxy} is set and no_proxy lacks {missing}", {"proxy": proxy, "missing": " and ".join(missing)}),
        fix=Fix(
            text=Text("spare this machine"), commands=(f"export no_proxy={value} NO_PROXY={value}",), effort="setting"
        ),
        observed=current,
        expected=",".join(LOCAL),
    )


def spared(host: str, variables: Mapping[str, str]) -> bool:
    """Whether no_proxy names a host: "*", the name itself, with or without a leading dot."""
    value = variables.get("no_proxy") or variables.get("NO_PROXY") or ""
    names = [word.strip().lstrip(".").lower() for word in value.split(",")]
    return "*" in names or host in names


@check("NET003", "hub-delivers", cause="HUB_UNREACHABLE")
def hub_delivers(download: Reading[Download], environment: Environment | None) -> Findings:
    """The model can be downloaded.

    Judged only with `--allow-download`: the target's own huggingface_hub fetched the model into the cache that the
    server will use. A hub that is blocked or slow is the commonest reason why a deployment never starts.

    ## Fix

    Use a mirror (HF_ENDPOINT), a folder that was downloaded elsewhere, or ModelScope. A name or a licence that the hub
    refuses is said in its own words.
    """
    got = download.value
    if got is None:
        if download.outcome in ("absent", "not_run"):
            yield not_applicable(Text("nothing was to be downloaded"))
        else:
            yield unknown(Text("the download did not end: {why}", {"why": download.why}))
        return
    if got.path is not None:
        facts = {"model": got.repository, "path": got.path, "seconds": got.seconds}
        yield ok(Text("{model} is in {path} after {seconds:s}", facts))
        return
    endpoint = environment.variables.get("HF_ENDPOINT", "") if environment else ""
    yield fail(
        Text("{model} could not be downloaded: {error}", {"model": got.repository, "error": got.error}),
        fix=(
            Fix(
                text=Text("try a mirror of the hub" if not endpoint else "try the hub itself, or another mirror"),
                commands=("export HF_ENDPOINT=https://hf-mirror.com" if not endpoint else "unset HF_ENDPOINT",),
                effort="flag",
            ),
            Fix(
                text=Text("download it with ModelScope, and name the folder as the model"),
                commands=(
                    "pip install modelscope",
                    f"modelscope download --model {got.repository} --local_dir ./model",
                ),
                effort="install",
            ),
        ),
        evidence={"seconds": got.seconds},
    )
