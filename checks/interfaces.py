"""NET: the processes of a deployment find each other, and its model without a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from autoglm_doctor.api import (
    Environment,
    Findings,
    Fix,
    Gpu,
    Host,
    Intent,
    ModelFiles,
    Reading,
    Text,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.domain.deployment import variables_of
from autoglm_doctor.domain.downloads import wrong_path
from autoglm_doctor.domain.interfaces import fitting, is_loopback, is_virtual, machines_of, meant
from autoglm_doctor.intent import SMOKE, UNNAMED

#: Variables that name interfaces. NCCL takes the beginning of a name, Gloo the whole of it. TP_SOCKET_IFNAME is
#: TensorPipe's, which only torch's RPC uses, and no server here.
NCCL, WHOLE = "NCCL_SOCKET_IFNAME", ("GLOO_SOCKET_IFNAME",)
#: The address that a process tells the others.
ADDRESSES = ("VLLM_HOST_IP", "SGLANG_HOST_IP")
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
#: What huggingface_hub takes for yes (ENV_VARS_TRUE_VALUES in its constants.py).
_YES = ("1", "ON", "YES", "TRUE")
#: vLLM asks it instead of the hub.
_ELSEWHERE = ("VLLM_USE_MODELSCOPE", "SGLANG_USE_MODELSCOPE")
_SOURCE = "https://docs.vllm.ai/en/latest/usage/troubleshooting.html#incorrect-network-setup"


@check("NET004", "interface-reaches-others", cause="NETWORK_INTERFACE_WRONG", explained_by=("HST001",))
def interface_reaches_others(
    host: Host | None, environment: Environment | None, gpus: tuple[Gpu, ...] | None, intent: Intent
) -> Findings:
    """The processes of a model that is spread look for each other on an interface that leads there.

    NCCL and Gloo choose an interface by NCCL_SOCKET_IFNAME and GLOO_SOCKET_IFNAME. A name that this machine does not
    have ends the start with "no socket interface found" or "Unable to find address for". Over several machines, "lo"
    and an address such as 127.0.0.1 in VLLM_HOST_IP send each process to itself: "Gloo connectFullMesh failed",
    connection refused. Without a variable Gloo takes the address of the machine's own name, which Debian and Ubuntu
    set to 127.0.1.1 in /etc/hosts. On one machine all of that works.

    Measured by comparing the variables with the names of the interfaces (/sys/class/net) and with /etc/hosts. That
    there are several machines tells `--nnodes`; a name that is not there is also judged on one machine with several
    GPUs. Yellow, never red: only the start itself shows which way is taken.

    Source: NCCL's guide, Environment Variables; torch's ProcessGroupGloo.cpp; vLLM's guide, Troubleshooting.

    ## Fix

    Name the interface with the address by which the other machines know this one.
    """
    variables, machines = variables_of(environment, intent), machines_of(host, intent)
    there, own = (host.interfaces or (), host.own_address) if host else ((), "")
    said = [*_absent(there, variables, _several(machines, gpus, intent)), *_loopback(own, variables, machines)]
    if machines < 2 and not said:
        yield not_applicable(Text("the model stays on this machine"))
    elif not said and (open_ := _open(host, environment, variables)):
        yield unknown(Text(open_))
    elif not said:
        yield ok(Text("nothing sends the processes of {n} machines to this one alone", {"n": machines}))
    else:
        text, observed = said[0]
        yield warn(text, fix=_fixes(there, variables, machines), observed=observed)


def _open(host: Host | None, environment: Environment | None, variables: Mapping[str, str]) -> str:
    """What was not read and could send them astray; "" for nothing."""
    if environment is None and not variables:
        return "which variables are set is not known"
    if host is None:
        return "nothing is known of this machine's interfaces"
    named = any(meant(variables.get(one, "")) for one in (NCCL, *WHOLE))
    return "whether the interface that a variable names is there is not known" if named and not host.interfaces else ""


def _several(machines: int, gpus: tuple[Gpu, ...] | None, intent: Intent) -> bool:
    """Whether NCCL has anything to do, as far as it is known."""
    if machines > 1 or intent.gpus_needed > 1:
        return True
    return intent.split_open and (gpus is None or len(gpus) != 1)


def _absent(interfaces: Sequence[str], variables: Mapping[str, str], several: bool) -> Iterator[tuple[Text, str]]:
    for name in (NCCL, *WHOLE) if several and interfaces else ():
        value = variables.get(name, "")
        if meant(value) and not fitting(value, interfaces, beginnings=name == NCCL):
            words = {"name": name, "value": value[:60], "there": ", ".join(interfaces[:6])}
            yield Text('{name}="{value}" names no interface of this machine ({there})', words), value[:60]


def _loopback(own: str, variables: Mapping[str, str], machines: int) -> Iterator[tuple[Text, str]]:
    if machines < 2:
        return
    for name in (NCCL, *WHOLE):
        value = variables.get(name, "")
        if meant(value) and all(one == "lo" for one in meant(value)):
            words = {"name": name, "n": machines}
            yield Text('{name}="lo" sends each of {n} machines to itself', words), value
    for name in ADDRESSES:
        value = variables.get(name, "").strip()
        if is_loopback(value):
            words = {"name": name, "value": value, "n": machines}
            yield Text("{name}={value} sends each of {n} machines to itself", words), value
    if is_loopback(own) and not variables.get("GLOO_SOCKET_IFNAME"):
        words = {"address": own, "n": machines}
        yield (
            Text("this machine's own name means {address}, and Gloo tells it to {n} machines", words),
            own,
        )


def _fixes(interfaces: Sequence[str], variables: Mapping[str, str], machines: int) -> tuple[Fix, ...]:
    if machines < 2:
        named = [one for one in (NCCL, *WHOLE) if meant(variables.get(one, ""))]
        return (
            Fix(
                text=Text("unset it, also in the file that sets it: on one machine NCCL and Gloo find their own way"),
                commands=(f"unset {' '.join(named)}",),
                effort="setting",
                url=_SOURCE,
            ),
        )
    own = [one for one in interfaces if not is_virtual(one)]
    name = own[0] if own else "eth0"
    loops = [one for one in ADDRESSES if is_loopback(variables.get(one, "").strip())]
    away = (f"unset {' '.join(loops)}",) if loops else ()
    return (
        Fix(
            text=Text("name the interface by which the other machines reach this one, on each of them"),
            commands=("ip -brief addr", *away, f"export GLOO_SOCKET_IFNAME={name} NCCL_SOCKET_IFNAME={name}"),
            effort="setting",
            url=_SOURCE,
        ),
    )


@check("NET005", "offline-has-model", cause="HUB_UNREACHABLE", explained_by=("MDL001", "NET003"))
def offline_has_model(model_files: Reading[ModelFiles], environment: Environment | None, intent: Intent) -> Findings:
    """With the hub switched off, the model is on this machine.

    HF_HUB_OFFLINE=1 (or TRANSFORMERS_OFFLINE=1) keeps every library from asking the hub. A model by its name is then
    found in the cache or not at all: "Cannot find the requested files in the cached path". The variable is right on a
    machine without network and stays behind in images and profiles.

    ## Fix

    Unset it once for the download, or name the folder that holds the model.
    """
    variables = variables_of(environment, intent)
    switch = next((one for one in OFFLINE if variables.get(one, "").strip().upper() in _YES), "")
    elsewhere = any(variables.get(one, "").strip().upper() in _YES for one in _ELSEWHERE)
    if not switch or elsewhere:
        yield not_applicable(Text("no variable switches the hub off"))
    elif intent.model in (SMOKE, UNNAMED) or not _is_of_hub(intent.model) or wrong_path(model_files, intent):
        yield not_applicable(Text("no model of the hub is to run"))
    elif model_files.value is not None:
        yield ok(Text("the model is here, and {switch} keeps the hub from being asked", {"switch": switch}))
    elif model_files.outcome != "absent":
        yield unknown(Text("whether the model is here is not known: {why}", {"why": model_files.why or "not read"}))
    else:
        said = {"switch": switch, "value": variables[switch].strip(), "model": intent.model}
        yield fail(
            Text("{switch}={value} switches the hub off, and {model} is not on this machine", said),
            fix=Fix(
                text=Text("let the hub be asked, also in the file that sets the variable"),
                commands=(f"unset {' '.join(one for one in OFFLINE if variables.get(one))}",),
                effort="setting",
            ),
            observed=f"{switch}={said['value']}",
        )


def _is_of_hub(model: str) -> bool:
    """A name of a hub, and no address of a store ("s3://bucket/model")."""
    return "/" in model and "://" not in model
