"""Load a model and let it answer, with the libraries of the deployment.

A script for the deployment's own interpreter: only the standard library is imported at the top. Started with a result
file and a JSON object; it appends progress lines and one fact (`inference`). Whatever raises becomes its `failure`.

Arguments: model ("smoke" or a folder), device ("cuda", "cpu", "auto"), dtype (name or null), new_tokens, scratch (a
folder for the smoke model's files, removed by the caller), seconds (budget of the whole trial), image ([width, height]
in pixels), allow_remote_code, seed.

The smoke model has AutoGLM-Phone-9B's architecture and head sizes in few, narrow layers of random weights.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import sys
import time
from typing import Any

STARTED = time.perf_counter()
SMOKE = "smoke"
QUESTION = "This is a picture of a phone's screen. Say what it shows."
WARM_RUNS = 3  # at most; the median counts
WARM_SHARE = 0.5  # of the whole budget, after which no further warm run starts

#: Written as the published checkpoint writes it (rope_theta, partial_rotary_factor, rope_scaling): transformers 5
#: reads that form too. The sections must add up to half of the rotary width: 128 * 0.5 / 2.
SMOKE_CONFIG: dict[str, Any] = {
    "text_config": {
        "vocab_size": 1024,
        "hidden_size": 256,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 4096,
        "initializer_range": 0.05,
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.5,
        "rope_scaling": {"rope_type": "default", "mrope_section": [8, 12, 12]},
        "pad_token_id": 0,
    },
    "vision_config": {
        "depth": 2,
        "hidden_size": 128,
        "num_heads": 1,
        "intermediate_size": 128,
        "out_hidden_size": 256,
        "image_size": 112,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "initializer_range": 0.05,
    },
    "image_start_token_id": 1000,
    "image_end_token_id": 1001,
    "video_start_token_id": 1002,
    "video_end_token_id": 1003,
    "image_token_id": 1004,
    "video_token_id": 1005,
    "tie_word_embeddings": False,
}


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


def choose_device(torch: Any, wanted: str) -> Any:
    """The torch device, proved by an allocation: the exception says more than `is_available`."""
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    device = torch.device("cuda:0")
    torch.zeros(1, device=device)
    torch.cuda.reset_peak_memory_stats(device)
    return device


def choose_dtype(torch: Any, device: Any, wanted: Any, config: Any) -> Any:
    """What the deployment would choose: bfloat16 from compute capability 8.0 on, else float16; on a CPU the config's.

    A quantised checkpoint decides for itself ("auto").
    """
    if wanted:
        return getattr(torch, wanted)
    if getattr(config, "quantization_config", None):
        return "auto"
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    inner = config.get_text_config()
    said = {str(getattr(c, name, None)) for c in (config, inner) for name in ("dtype", "torch_dtype")}
    return torch.bfloat16 if "torch.bfloat16" in said else torch.float32


def weight_bytes(folder: str) -> int:
    """Bytes of the safetensors files in the folder."""
    names = [n for n in os.listdir(folder) if n.endswith(".safetensors")]
    return sum(os.path.getsize(os.path.join(folder, n)) for n in names if os.path.exists(os.path.join(folder, n)))


def make_smoke(torch: Any, transformers: Any, folder: str, seed: int) -> None:
    """Write the smoke model into `folder`, as a checkpoint like any other."""
    torch.manual_seed(seed)
    config = transformers.Glm4vConfig(**json.loads(json.dumps(SMOKE_CONFIG)))
    transformers.Glm4vForConditionalGeneration(config).save_pretrained(folder, safe_serialization=True)


def load(torch: Any, transformers: Any, folder: str, device: Any, wanted_dtype: Any, remote: bool) -> Any:
    """The model on its device, and how many tensors the checkpoint lacks (the library fills them at random).

    Straight to the device where accelerate is there to do it; else through main memory, a whole model's worth of it.
    """
    common: dict[str, Any] = {"local_files_only": True, "trust_remote_code": remote}
    config = transformers.AutoConfig.from_pretrained(folder, **common)
    auto = transformers.AutoModelForCausalLM
    if getattr(config, "vision_config", None) is not None:
        auto = transformers.AutoModelForImageTextToText
    version = tuple(int("".join(filter(str.isdigit, p)) or 0) for p in transformers.__version__.split(".")[:2])
    common["dtype" if version >= (4, 56) else "torch_dtype"] = choose_dtype(torch, device, wanted_dtype, config)
    if device.type == "cuda" and importlib.util.find_spec("accelerate"):
        common["device_map"] = {"": device}
    # use_safetensors: a pickle is never opened, whatever lies in the folder.
    model, info = auto.from_pretrained(folder, use_safetensors=True, output_loading_info=True, **common)
    model = model.eval() if "device_map" in common else model.to(device).eval()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return model, len(info.get("missing_keys", ()))


def smoke_inputs(torch: Any, model: Any, size: Any, seed: int) -> Any:
    """Token ids and patches of two pictures, made without a processor (which would need torchvision)."""
    rows, columns = (max(2, round(pixels / 28) * 2) for pixels in (size[1], size[0]))
    image = SMOKE_CONFIG["image_token_id"]
    words = list(range(10, 26))
    marks = SMOKE_CONFIG["image_start_token_id"], SMOKE_CONFIG["image_end_token_id"]
    ids = torch.tensor([[*words, marks[0], *[image] * (rows * columns // 4), marks[1], *words[::-1]]])
    base = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "image_grid_thw": torch.tensor([[1, rows, columns]]),
    }
    if "mm_token_type_ids" in inspect.signature(model.forward).parameters:  # transformers 5 places images by it
        base["mm_token_type_ids"] = (ids == image).long()
    width = 3 * 2 * 14 * 14  # colours, temporal copies, a patch
    source = torch.Generator().manual_seed(seed)
    pictures = [torch.randn(rows * columns, width, generator=source) for _ in range(2)]
    return [{**base, "pixel_values": picture} for picture in pictures]


def draw_screen(size: Any, dark: bool) -> Any:
    """A phone's screen with a few apps, drawn by us: two of them differ in colours, words and places."""
    from PIL import Image, ImageDraw

    width, height = size
    back, front = ((20, 20, 30), (230, 230, 230)) if dark else ((245, 245, 245), (30, 30, 30))
    picture = Image.new("RGB", (width, height), back)
    pen = ImageDraw.Draw(picture)
    names = ("Music", "Camera", "Notes", "Bank") if dark else ("Settings", "Mail", "Maps", "Clock", "Photos", "Weather")
    step = height // (len(names) + 2)
    for row, name in enumerate(names, start=1):
        top, colour = row * step, (40 * row % 256, 90, 255 - 35 * row)
        pen.rectangle((width // 10, top, width // 10 + step // 2, top + step // 2), fill=colour)
        pen.text((width // 3, top + step // 6), name, fill=front)
    return picture


def real_inputs(transformers: Any, folder: str, config: Any, size: Any, remote: bool) -> Any:
    """Prompts with the model's own processor or tokenizer: two with a picture each, or one of some hundred tokens."""
    common: dict[str, Any] = {"local_files_only": True, "trust_remote_code": remote}
    if getattr(config, "vision_config", None) is None:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **common)
        room = getattr(config.get_text_config(), "max_position_embeddings", None) or 4096
        question = "".join(f"Line {n} is empty. " for n in range(min(40, room // 64))) + "Name three fruits."
        if tokenizer.chat_template:  # a base model has none: it only continues
            return [_template(tokenizer, [{"role": "user", "content": question}])], tokenizer
        return [dict(tokenizer(question, return_tensors="pt"))], tokenizer
    processor = transformers.AutoProcessor.from_pretrained(folder, **common)
    prompts = []
    for dark in (False, True):
        content = [{"type": "image", "image": draw_screen(size, dark)}, {"type": "text", "text": QUESTION}]
        prompts.append(_template(processor, [{"role": "user", "content": content}]))
    return prompts, processor


def _template(source: Any, turns: Any) -> Any:
    options = {"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt"}
    return dict(source.apply_chat_template(turns, **options))


def to_device(inputs: Any, model: Any) -> Any:
    """Tensors on the model's device; numbers with a fraction in its dtype.

    Some tokenizers give token_type_ids that `generate` of their own model refuses: those are left out.
    """
    refused = {"token_type_ids"} - set(inspect.signature(model.forward).parameters)
    placed = {k: v.to(model.device) for k, v in inputs.items() if hasattr(v, "to") and k not in refused}
    return {k: v.to(model.dtype) if v.is_floating_point() else v for k, v in placed.items()}


class Clock:
    """A streamer that only notes when each token came; the first call brings the prompt."""

    def __init__(self) -> None:
        """No call yet."""
        self.times: list[float] = []

    def put(self, _value: Any) -> None:
        """Note the time: `generate` has just copied the token off the device, so the work is done."""
        self.times.append(time.perf_counter())

    def end(self) -> None:
        """Nothing is held back."""


def answer(torch: Any, model: Any, inputs: Any, new_tokens: int, limit_seconds: float) -> Any:
    """One greedy answer: its tokens, its times and its raw logits."""
    clock = Clock()
    started = time.perf_counter()
    with torch.inference_mode():
        out = model.generate(
            **inputs,
            max_new_tokens=new_tokens,
            max_time=max(1.0, limit_seconds),
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            return_dict_in_generate=True,
            output_logits=True,
            streamer=clock,
        )
        logits = torch.cat(out.logits).float()
        finite = bool(torch.isfinite(logits).all())
        spread = float(logits.std(dim=-1).min()) if finite else float("nan")
    times = clock.times[1:]
    return {
        "tokens": out.sequences[0, inputs["input_ids"].shape[1] :].tolist(),
        "first": times[0] - started,
        "rate": (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else None,
        "seconds": time.perf_counter() - started,
        "logits": logits[0].cpu(),
        "finite": finite,
        "std": spread,
    }


def run_model(torch: Any, model: Any, prompts: Any, arguments: Any, value: Any, enter: Any) -> Any:
    """The cold run, the warm ones, the other picture; fills `value` as it goes and returns the cold run."""
    budget, new_tokens = arguments.get("seconds", 300), arguments.get("new_tokens", 32)

    def left() -> float:
        return float(budget - (time.perf_counter() - STARTED))

    enter("warm-up", "running the model for the first time")
    first = to_device(prompts[0], model)
    cold = answer(torch, model, first, new_tokens, left() / 3)
    tokens = cold["tokens"]
    value.update(first_token_cold_seconds=cold["first"], logits_finite=cold["finite"], logits_std=cold["std"])
    value.update(new_tokens=len(tokens), distinct_tokens=len(set(tokens)))
    enter("generate", "measuring the warm model")
    if len(prompts) > 1 and left() > cold["seconds"]:
        other = answer(torch, model, to_device(prompts[1], model), 1, left() / 2)
        value["image_logit_change"] = float((cold["logits"] - other["logits"]).abs().max())
    warm: list[Any] = []
    while len(warm) < WARM_RUNS and left() > max(2 * cold["seconds"], budget * (1 - WARM_SHARE) if warm else 0):
        warm.append(answer(torch, model, first, new_tokens, left() / 2))
    if warm:
        note_warm(value, cold, warm)
    return cold


def note_warm(value: Any, cold: Any, warm: Any) -> None:
    """Speeds of the median warm run, and whether every run said the same (as far as the shortest got)."""
    middle = sorted(warm, key=lambda run: run["first"])[len(warm) // 2]
    rates = sorted(run["rate"] for run in warm if run["rate"])
    value["first_token_seconds"] = middle["first"]
    value["prefill_tokens_per_s"] = value["prompt_tokens"] / middle["first"]
    value["decode_tokens_per_s"] = rates[len(rates) // 2] if rates else None
    length = min(len(run["tokens"]) for run in (cold, *warm))
    value["repeatable"] = all(run["tokens"][:length] == cold["tokens"][:length] for run in warm)


def reference_error(torch: Any, transformers: Any, folder: str, prompt: Any, logits: Any) -> float:
    """How far the first logits are from the same smoke model's on the CPU in float32, over the largest of those."""
    model, _missing = load(torch, transformers, folder, torch.device("cpu"), "float32", False)
    right = answer(torch, model, to_device(prompt, model), 1, 60)["logits"]
    return float((logits - right).abs().max() / right.abs().max())


def measure(arguments: Any, value: Any, enter: Any) -> None:
    """The whole trial; raises whatever the libraries raise, `value` keeps what is known by then."""
    smoke, folder, seed = arguments["model"] == SMOKE, arguments["model"], arguments.get("seed", 0)
    remote = bool(arguments.get("allow_remote_code"))
    enter("import", "importing torch and transformers")
    import torch
    import transformers

    value.update(torch_version=torch.__version__, transformers_version=transformers.__version__)
    value["device"] = arguments.get("device", "auto")
    device = choose_device(torch, value["device"])
    on_gpu = device.type == "cuda"
    value.update(device=str(device), device_name=torch.cuda.get_device_name(device) if on_gpu else "")
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
    value.update(dtype=str(model.dtype).replace("torch.", ""), parameters=sum(p.numel() for p in model.parameters()))
    enter("inputs", "preparing a prompt with a picture")
    size, source = arguments.get("image") or ([112, 224] if smoke else [1080, 2400]), None
    if smoke:
        prompts = smoke_inputs(torch, model, size, seed)
    else:
        prompts, source = real_inputs(transformers, folder, model.config, size, remote)
    ids = prompts[0]["input_ids"]
    image = getattr(model.config, "image_token_id", getattr(model.config, "image_token_index", None))
    value.update(prompt_tokens=ids.shape[1], image_tokens=int((ids == image).sum()) if image is not None else 0)
    cold = run_model(torch, model, prompts, arguments, value, enter)
    if source is not None:
        value["answer"] = source.decode(cold["tokens"], skip_special_tokens=True)[:200]
    if smoke and (on_gpu or value["dtype"] != "float32"):
        value["reference_error"] = reference_error(torch, transformers, folder, prompts[0], cold["logits"])


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
    except (Exception, SystemExit) as error:
        value["failure"] = {"stage": stage[-1], "exception": type(error).__name__, "message": str(error)[:2000]}
    note_peaks(value)
    source = f"transformers {value.get('transformers_version', '')} on {value['device']}"
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
