"""Load a model and let it answer, with the libraries of the deployment.

A script for the deployment's own interpreter: only the standard library is imported at the top, and the files beside it
named load_*.py, which are copied with it. Started with a result file and a JSON object; it appends progress lines and
one fact (`inference`). Whatever raises becomes its `failure`.

Arguments: model ("smoke" or a folder; with random weights only a name for the report), device ("cuda", "cpu", "auto"),
dtype (name or null), new_tokens, scratch (a folder for files that are made, removed by the caller), seconds (budget of
the whole trial), image ([width, height] in pixels), allow_remote_code, seed. And for the full-size architecture with
random weights, of which no file is read: weights ("random"; else "checkpoint"), config (config.json as an object),
preprocessor (preprocessor_config.json, may be missing), prompt_tokens (length of the prompt; null: short). There an
`image` of [] means none.

The smoke model has AutoGLM-Phone-9B's architecture and head sizes in few, narrow layers of random weights.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # not so by itself where PYTHONSAFEPATH is set
from load_inputs import made_inputs, real_inputs, smoke_inputs, to_device  # type: ignore[import-not-found]
from load_model import choose_device, load, make_smoke, weight_bytes  # type: ignore[import-not-found]
from load_random import NotMadeError, bytes_of, make_random  # type: ignore[import-not-found]
from load_run import STARTED, answer, run_model  # type: ignore[import-not-found]

SMOKE = "smoke"


def prepare_environment(scratch: Any) -> None:
    """Nothing is asked of the network, no usage statistics, no byte code beside the deployment's packages."""
    sys.dont_write_bytecode = True
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS"):
        os.environ[name] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if scratch:
        os.environ["HF_MODULES_CACHE"] = os.path.join(scratch, "modules")


def peak_host_bytes() -> Any:
    """The largest resident size of this process so far."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def reference_error(torch: Any, transformers: Any, folder: str, prompt: Any, logits: Any) -> float:
    """How far the first logits are from the same smoke model's on the CPU in float32, over the largest of those."""
    model, _missing = load(torch, transformers, folder, torch.device("cpu"), "float32", False)
    right = answer(torch, model, to_device(prompt, model), 1, 60)["logits"]
    return float((logits - right).abs().max() / right.abs().max())


def measure(arguments: Any, value: Any, enter: Any) -> None:
    """The whole trial; raises whatever the libraries raise, `value` keeps what is known by then."""
    enter("import", "importing torch and transformers")
    import torch
    import transformers

    value.update(torch_version=torch.__version__, transformers_version=transformers.__version__)
    device = choose_device(torch, value["device"])
    on_gpu = device.type == "cuda"
    value.update(device=str(device), device_name=torch.cuda.get_device_name(device) if on_gpu else "")
    if arguments.get("weights") == "random" and arguments.get("config"):
        measure_random(torch, transformers, arguments, device, value, enter)
        return
    smoke, folder, seed = arguments["model"] == SMOKE, arguments["model"], arguments.get("seed", 0)
    remote = bool(arguments.get("allow_remote_code"))
    if smoke:
        enter("make", "making a small random model")
        folder = os.path.join(arguments["scratch"], "smoke-model")
        make_smoke(torch, transformers, folder, seed)
    enter("load", "loading the weights")
    value["weight_bytes"] = weight_bytes(folder)
    started = time.perf_counter()
    model, value["missing_tensors"] = load(torch, transformers, folder, device, arguments.get("dtype"), remote)
    value["load_seconds"] = time.perf_counter() - started
    value["load_bytes_per_s"] = value["weight_bytes"] / value["load_seconds"]
    enter("inputs", "preparing a prompt with a picture")
    size, source = arguments.get("image") or ([112, 224] if smoke else [1080, 2400]), None
    if smoke:
        prompts = smoke_inputs(torch, model, size, seed)
    else:
        prompts, source = real_inputs(transformers, folder, model.config, size, remote)
    note_model(value, model, prompts)
    cold = run_model(torch, model, prompts, arguments, value, enter)
    if source is not None:
        value["answer"] = source.decode(cold["tokens"], skip_special_tokens=True)[:200]
    if smoke and (on_gpu or value["dtype"] != "float32"):
        value["reference_error"] = reference_error(torch, transformers, folder, prompts[0], cold["logits"])


def measure_random(torch: Any, transformers: Any, arguments: Any, device: Any, value: Any, enter: Any) -> None:
    """The same with weights that no file holds: nothing is said of a disk, and nothing that only training teaches."""
    value["random_weights"] = True
    enter("make", "making the full-size model with random weights")
    started = time.perf_counter()
    model = make_random(torch, transformers, arguments, device)
    value.update(load_seconds=time.perf_counter() - started, weight_bytes=bytes_of(model))
    enter("inputs", "preparing a prompt")
    prompts = made_inputs(torch, model, arguments)
    if len(prompts) == 1 and getattr(model.config, "vision_config", None) is not None:
        value["aside"] = ", text only: pictures for this kind of model are not made here"
    note_model(value, model, prompts)
    run_model(torch, model, prompts, arguments, value, enter)
    del value["distinct_tokens"]  # such a model may say one word for ever


def note_model(value: Any, model: Any, prompts: Any) -> None:
    """What was loaded, and what it is asked."""
    ids = prompts[0]["input_ids"]
    image = getattr(model.config, "image_token_id", getattr(model.config, "image_token_index", None))
    value.update(dtype=str(model.dtype).replace("torch.", ""), parameters=sum(p.numel() for p in model.parameters()))
    value.update(prompt_tokens=ids.shape[1], image_tokens=int((ids == image).sum()) if image is not None else 0)


def note_peaks(value: Any) -> None:
    """The most memory that was held, also when the trial failed."""
    value["peak_host_bytes"] = value["peak_bytes"] = peak_host_bytes()
    if value["device"].startswith("cuda:"):
        value["peak_bytes"] = sys.modules["torch"].cuda.max_memory_allocated(value["device"])


def trial(arguments: Any, say: Any) -> Any:
    """One reading of `inference`."""
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            return {"outcome": "absent", "value": None, "why": f"{package} is not installed", "source": sys.executable}
    value, stage = {"model": arguments["model"], "device": arguments.get("device", "auto")}, []

    def enter(name: str, progress: str) -> None:
        stage.append(name)
        say({"progress": progress})

    try:
        measure(arguments, value, enter)
    except NotMadeError as reason:
        return {"outcome": "not_run", "value": None, "why": str(reason), "source": "transformers"}
    except (Exception, SystemExit) as error:
        value["failure"] = {"stage": stage[-1], "exception": type(error).__name__, "message": str(error)[:2000]}
    note_peaks(value)
    source = f"transformers {value.get('transformers_version', '')} on {value['device']}{value.pop('aside', '')}"
    return {"outcome": "known", "value": value, "why": "", "source": source}


def plain(data: Any) -> Any:
    """JSON has no NaN and no infinity: they travel as strings."""
    if isinstance(data, dict):
        return {key: plain(item) for key, item in data.items()}
    if isinstance(data, float) and (data != data or data in (float("inf"), float("-inf"))):
        return str(data)
    return data


def main() -> None:
    """Append what is found to the result file, a line at a time."""
    result, arguments = sys.argv[1], json.loads(sys.argv[2])
    with open(result, "a", encoding="utf-8") as stream:

        def say(line: Any) -> None:
            stream.write(json.dumps(plain(line)) + "\n")
            stream.flush()

        prepare_environment(arguments.get("scratch"))
        reading = trial(arguments, say)
        say({"fact": "inference", **reading, "seconds": round(time.perf_counter() - STARTED, 6)})


if __name__ == "__main__":
    main()
