"""Part of load.py: what a model is asked. Standard library only at the top."""

from __future__ import annotations

import inspect
import math
from typing import Any

QUESTION = "This is a picture of a phone's screen. Say what it shows."


def smoke_inputs(torch: Any, model: Any, size: Any, seed: int) -> Any:
    """Token ids and patches of two pictures, made without a processor (which would need torchvision)."""
    rows, columns = (max(2, round(pixels / 28) * 2) for pixels in (size[1], size[0]))
    config = model.config
    words = list(range(10, 26))
    image = [config.image_token_id] * (rows * columns // 4)
    ids = [*words, config.image_start_token_id, *image, config.image_end_token_id, *words[::-1]]
    width = 3 * 2 * 14 * 14  # colours, temporal copies, a patch
    source = torch.Generator().manual_seed(seed)
    pictures = [torch.randn(rows * columns, width, generator=source) for _ in range(2)]
    return with_pictures(torch, model, ids, config.image_token_id, (rows, columns), pictures)


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


#: Kinds of model whose pictures come as patches and a grid, and whether the processor's limits count both temporal
#: copies; with the limits of the processor's class (shortest_edge, longest_edge: pixel areas).
GRIDDED = {
    "glm4v": (True, 12_544, 9_633_792),
    "glm4v_moe": (True, 12_544, 9_633_792),
    "qwen2_vl": (False, 3_136, 1_003_520),
    "qwen2_5_vl": (False, 3_136, 1_003_520),
    "qwen3_vl": (False, 3_136, 1_003_520),
}

#: Tokens of a prompt without a picture, unless `prompt_tokens` says otherwise.
TEXT_TOKENS = 300


def made_inputs(torch: Any, model: Any, arguments: Any) -> Any:
    """Prompts for a model without tokenizer and processor: two with a picture each, or one of words alone.

    Two pictures as a light and a dark screen would be: noise around two different brightnesses.
    """
    config, seed = model.config, arguments.get("seed", 0)
    grid = image_grid(config, arguments.get("image") or [1080, 2400], arguments.get("preprocessor") or {})
    source = torch.Generator().manual_seed(seed)
    if grid is None or arguments.get("image") == []:
        words = random_words(torch, config, arguments.get("prompt_tokens") or TEXT_TOKENS, source)
        ids = torch.tensor([words])
        return [{"input_ids": ids, "attention_mask": torch.ones_like(ids)}]
    tower = config.vision_config
    merged = grid[0] * grid[1] // tower.spatial_merge_size**2
    words = random_words(torch, config, max(32, (arguments.get("prompt_tokens") or 0) - merged - 2), source)
    marks = [getattr(config, f"{kind}_{end}_token_id", None) for kind, end in _marks(config)]
    before, after = ([] if mark is None else [mark] for mark in marks)
    ids = [*words[:16], *before, *[config.image_token_id] * merged, *after, *words[16:]]
    width = _channels(tower) * tower.temporal_patch_size * tower.patch_size**2
    noise = [torch.randn(grid[0] * grid[1], width, generator=source) / 2 for _ in range(2)]
    return with_pictures(torch, model, ids, config.image_token_id, grid, [noise[0] + 1, noise[1] - 1])


def with_pictures(torch: Any, model: Any, ids: Any, image: int, grid: Any, pictures: Any) -> Any:
    """One prompt for each picture."""
    ids = torch.tensor([ids])
    base = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "image_grid_thw": torch.tensor([[1, *grid]]),
    }
    if "mm_token_type_ids" in inspect.signature(model.forward).parameters:  # transformers 5 places images by it
        base["mm_token_type_ids"] = (ids == image).long()
    return [{**base, "pixel_values": picture} for picture in pictures]


def _marks(config: Any) -> Any:
    """GLM: image_start_token_id; Qwen: vision_start_token_id."""
    kind = "image" if hasattr(config, "image_start_token_id") else "vision"
    return (kind, "start"), (kind, "end")


def _channels(tower: Any) -> int:
    return int(getattr(tower, "in_channels", None) or getattr(tower, "in_chans", None) or 3)


def random_words(torch: Any, config: Any, count: int, source: Any) -> Any:
    """Token ids that are no special ones: those stand at the vocabulary's ends."""
    special = [value for name, value in vars(config).items() if name.endswith("_token_id") and isinstance(value, int)]
    top = min([config.get_text_config().vocab_size, *[value for value in special if value > 20]])
    return torch.randint(min(10, top // 2), top, (count,), generator=source).tolist()


def image_grid(config: Any, size: Any, preprocessor: Any) -> Any:
    """Rows and columns of patches of a picture, as the model's own processor cuts it; None: we do not know how."""
    kind = getattr(config, "model_type", "")
    if kind not in GRIDDED or getattr(config, "image_token_id", None) is None:
        return None
    both_copies, least, most = GRIDDED[kind]
    limits = preprocessor.get("size") or {}
    least = limits.get("shortest_edge") or preprocessor.get("min_pixels") or least
    most = limits.get("longest_edge") or preprocessor.get("max_pixels") or most
    tower = config.vision_config
    copies = tower.temporal_patch_size if both_copies else 1
    side = tower.patch_size * tower.spatial_merge_size
    tall, wide = fitted(size[1], size[0], side, least / copies, most / copies)
    return tall // tower.patch_size, wide // tower.patch_size


def fitted(height: int, width: int, side: int, least: float, most: float) -> Any:
    """Both sides in multiples of `side` pixels, their area within the limits: the processors' `smart_resize`."""
    if height < side or width < side:
        scale = max(side / height, side / width)
        height, width = int(height * scale), int(width * scale)
    tall, wide = (round(pixels / side) * side for pixels in (height, width))
    if tall * wide > most:
        shrink = math.sqrt(height * width / most)
        return tuple(max(side, math.floor(pixels / shrink / side) * side) for pixels in (height, width))
    if tall * wide < least:
        grow = math.sqrt(least / (height * width))
        return tuple(math.ceil(pixels * grow / side) * side for pixels in (height, width))
    return tall, wide
