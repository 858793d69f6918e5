"""The trial of a server: whether the intended command is really started, and what its probe is told."""

from __future__ import annotations

import math
import os.path
from collections.abc import Mapping, Sequence
from typing import Any

from autoglm_doctor.domain.deployment import Case, Taken, read_case, runs_on_cpu
from autoglm_doctor.domain.launch_line import replace_flag, set_flag, stated_flag
from autoglm_doctor.domain.model import folder_complete, model_shape
from autoglm_doctor.domain.native import is_native
from autoglm_doctor.domain.spans import GIB
from autoglm_doctor.engines import SYNTAXES
from autoglm_doctor.facts import Facts, Reading
from autoglm_doctor.intent import SMOKE, UNNAMED, Intent
from autoglm_doctor.limits import SERVER_MEASURE_SECONDS, SERVER_START_SECONDS
from autoglm_doctor.options import Options
from autoglm_doctor.safety import SPARE_BYTES, computing

#: Programs that start the server somewhere else, or as somebody else, where it could not be ended.
_ELSEWHERE = (
    *("docker", "docker-compose", "nvidia-docker", "podman", "nerdctl", "ctr", "crictl", "kubectl", "oc", "helm"),
    *("srun", "sbatch", "salloc", "qsub", "bsub", "ssh", "systemctl", "systemd-run", "tmux", "screen", "dtach"),
    *("zellij", "at", "batch", "daemonize", "start-stop-daemon", "supervisorctl", "pm2", "nsenter", "lxc"),
    *("lxc-attach", "incus", "machinectl", "sudo", "su", "doas", "pkexec", "runuser"),
)

#: Options of `conda run`, `uv run` and their like behind which a name stands, and no program.
_NAME_FOLLOWS = ("-n", "--name", "-p", "--prefix", "--with", "--extra", "--group", "--package", "--project", "--python")

#: Requests at once where the command does not say how many are intended.
CONCURRENCY = 4

#: At least as many tokens for a picture and its question: else only words are asked.
PICTURE_CONTEXT = 1024

#: Engines that claim a share of the GPU at their start, and refuse by themselves when it is not free.
_CLAIM = ("vllm", "sglang")


def serving_arguments(facts: Facts, intent: Intent, options: Options) -> Mapping[str, Any] | Reading[Any]:
    """The arguments of the probe `serving`, without the folders; or the reason why no server is tried."""
    if options.final_stage == "none":
        return _left("--final-stage none")
    if options.endpoint:
        return {**_wishes(facts, intent, options), "command": None, "endpoint": options.endpoint}
    why = _not_asked_for(intent, options) or _cannot(facts, intent, options)
    if why:
        return _left(why)
    words = list(intent.command)
    if options.weights == "random":
        # Settings of the loader that would read the files: the one that reads none refuses them.
        words = replace_flag(words, ("model-loader-extra-config",), None)
        words = set_flag(words, intent.engine, "load_format", "dummy")
    return {**_wishes(facts, intent, options), "command": words, "endpoint": None}


def _left(why: str) -> Reading[Any]:
    return Reading(outcome="not_run", why=why)


def _not_asked_for(intent: Intent, options: Options) -> str:
    """`auto` runs the command that somebody gave, when all that it takes is here."""
    if options.final_stage in ("transformers", "smoke"):
        return f"--final-stage {options.final_stage}"
    if not intent.command or intent.model == SMOKE:
        return "there is no command to run"
    if options.final_stage == "auto" and intent.stated_by != "command":
        return "the command is the profile's, not yours: --final-stage command runs it"
    return ""


def _cannot(facts: Facts, intent: Intent, options: Options) -> str:
    """Why starting it would prove nothing, or be unkind; "" when nothing speaks against it."""
    elsewhere = _elsewhere(intent.command)
    if elsewhere:
        return f"{elsewhere} would start the server where the doctor cannot end it: --endpoint URL measures it there"
    if options.missing_program is None and not intent.command:
        return "the command was not looked for"
    if options.missing_program:
        return f"{options.missing_program} is not there"
    part = _only_a_part(intent)
    return (
        part or _without_model(facts, intent, options) or _without_gpu(facts, intent) or _unkind(facts, intent, options)
    )


def _elsewhere(command: Sequence[str]) -> str:
    """The program that would; of what stands before the engine's own, a model or a folder may have any name."""
    for before, word in zip(("", *command), command, strict=False):
        name = os.path.basename(word)
        if word == "-m" or any(name in syntax.programs for syntax in SYNTAXES.values()):
            return ""
        if name in _ELSEWHERE and before not in _NAME_FOLLOWS:
            return name
    return ""


def _only_a_part(intent: Intent) -> str:
    """A part of a server: it opens no API, or waits for the others."""
    if stated_flag(intent.command, "headless") is not None:
        return "with --headless it opens no API: --endpoint URL measures the node that does"
    if (stated_flag(intent.command, "nnodes") or "1") != "1":
        return "it waits for other nodes: start them all, --endpoint URL measures the server"
    return ""


def _without_model(facts: Facts, intent: Intent, options: Options) -> str:
    files = facts.model_files.value
    if options.weights == "random":
        if intent.engine not in _CLAIM:
            return f"{intent.engine} cannot make random weights: --final-stage transformers --weights random can"
        if files is None or not files.config:
            small = f"hf download {intent.model} --exclude '*.safetensors'"
            return f"{intent.engine} needs the small files of the model: {small}"
        return ""
    if files is None:
        return "the weights are not on this machine"
    return "" if folder_complete(files) else "the weights on this machine are not whole"


def _without_gpu(facts: Facts, intent: Intent) -> str:
    """Nothing is proved on a CPU for a deployment on GPUs."""
    gpus = facts.gpus.value
    if on_cpu(facts, intent):
        return ""
    run = facts.torch_run.value
    if is_native(intent):
        return "" if gpus else "there is no GPU to run it on"
    return "" if run is not None and run.cuda_available else "torch cannot use a GPU here"


def on_cpu(facts: Facts, intent: Intent) -> bool:
    """Whether the server is to run without a GPU."""
    if is_native(intent) and intent.launch.gpu_layers == 0:
        return True
    environment, driver, cuda = facts.environment.value, facts.driver.value, facts.cuda.value
    return bool(runs_on_cpu(intent, environment, driver, facts.gpus.value, cuda))


def _case(facts: Facts, intent: Intent) -> Case:
    return read_case(
        facts.gpus.value or (),
        intent,
        facts.model_files.value,
        facts.packages.value,
        facts.environment.value,
        facts.cuda.value,
    )


def _unkind(facts: Facts, intent: Intent, options: Options) -> str:
    """Somebody computes on a GPU that the server would take, or there is no room for it."""
    if options.force or on_cpu(facts, intent):
        return ""
    case = _case(facts, intent)
    if not case.taken:
        return "the memory of the GPU is not known; --force runs the command all the same"
    return next(filter(None, (_unkind_on(one, case, intent) for one in case.taken)), "")


def _unkind_on(one: Taken, case: Case, intent: Intent) -> str:
    others = computing(one.gpu)
    if others:
        names = ", ".join(f"{p.name or 'process'} ({p.pid})" for p in others[:3])
        return f"GPU {one.gpu.index} is in use by {names}; --force runs the command all the same"
    if one.free_bytes is None:
        return f"the free memory of GPU {one.gpu.index} is not known; --force runs the command all the same"
    if intent.engine in _CLAIM:  # what it claims may be all but the rest: it looks for itself whether that is free
        return ""
    if not case.estimates:
        return "what the model would take is not known; --force runs the command all the same"
    need = max(e.need.likely for e in case.estimates)
    if need > one.free_bytes - SPARE_BYTES:
        free = one.free_bytes / GIB
        return f"the run would take {need / GIB:.1f} GiB of {free:.1f} GiB free on GPU {one.gpu.index}"
    return ""


def _wishes(facts: Facts, intent: Intent, options: Options) -> dict[str, Any]:
    context = intent.launch.max_model_len
    scale = options.timeout_scale
    taken = () if on_cpu(facts, intent) or options.endpoint else _case(facts, intent).taken
    return {
        "engine": intent.engine,
        "names": _names(intent, facts),
        "programs": options.programs,
        "random_weights": options.weights == "random",
        "start_seconds": math.ceil(SERVER_START_SECONDS * scale),
        "measure_seconds": math.ceil(SERVER_MEASURE_SECONDS * scale),
        "pictures": _takes_pictures(facts, intent) and (context is None or context >= PICTURE_CONTEXT),
        "agent": intent.profile.startswith("autoglm") and options.weights != "random",
        "concurrency": intent.launch.max_num_seqs or CONCURRENCY,
        "context": context,
        "gpus": [one.gpu.index for one in taken],
        "seed": 0,
    }


def _names(intent: Intent, facts: Facts) -> list[str]:
    """What the server may call the model, the likeliest first."""
    files = facts.model_files.value
    said = stated_flag(intent.command, "served-model-name", "alias", "a")
    found = [said, intent.model, files.path if files else None]
    return list(dict.fromkeys(name for name in found if name and name != UNNAMED))


def _takes_pictures(facts: Facts, intent: Intent) -> bool:
    if intent.launch.limit_mm_per_prompt.get("image") == 0:
        return False
    if is_native(intent):
        return bool(intent.launch.mmproj)
    shape = model_shape(intent, facts.model_files.value)
    config = facts.model_files.value.config if facts.model_files.value else None
    return bool(shape.vision) if shape else "vision_config" in (config or {})
