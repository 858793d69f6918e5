"""The tokenizer and the chat templates of the tiny models, written by hand: no library is imported to make them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VOCABULARY = 512
SPECIAL = (
    "<|endoftext|>",
    "[gMASK]",
    "<sop>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
    "<|begin_of_image|>",
    "<|end_of_image|>",
    "<|begin_of_video|>",
    "<|end_of_video|>",
    "<|image|>",
    "<|video|>",
)
_COMMON = "the and is a of to in it what this picture shows phone screen number word you answer with one not on"

WITH_PICTURES = """[gMASK]<sop>
{%- for message in messages -%}
<|{{ message.role }}|>
{% if message.content is string %}{{ message.content }}
{%- else -%}
{%- for part in message.content -%}
{%- if part.type in ('image', 'image_url') %}<|begin_of_image|><|image|><|end_of_image|>
{%- elif part.type == 'text' %}{{ part.text }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}<|assistant|>
{% endif -%}"""
ONLY_TEXT = WITH_PICTURES.replace("<|begin_of_image|><|image|><|end_of_image|>", "")


def alphabet() -> list[str]:
    """The 256 letters of byte-level BPE: printable bytes stand for themselves, the others for letters from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(code) for code in printable] + [chr(256 + i) for i in range(len(others))]


def merges() -> list[tuple[str, str]]:
    """Joins letters to common words, each with a space before it ("Ġ")."""
    found: list[tuple[str, str]] = []
    for word in _COMMON.split():
        for end in range(len(word)):
            pair = ("Ġ" + word[:end], word[end])
            found += [] if pair in found else [pair]
    return found


def vocabulary() -> dict[str, int]:
    """Word -> number; the special ones are the last, and the numbers between are used by none."""
    plain = alphabet() + ["".join(pair) for pair in merges()]
    first = VOCABULARY - len(SPECIAL)
    fill = [f"<|unused_{i}|>" for i in range(first - len(plain))]
    return {word: number for number, word in enumerate([*plain, *fill, *SPECIAL])}


def number_of(word: str) -> int:
    return vocabulary()[word]


def _tokenizer() -> dict[str, Any]:
    words = vocabulary()
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": words[word], "content": word, **flags} for word in SPECIAL],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {word: number for word, number in words.items() if word not in SPECIAL},
            "merges": [list(pair) for pair in merges()],
        },
    }


def write_tokenizer(folder: Path, template: str) -> None:
    """tokenizer.json, tokenizer_config.json and chat_template.jinja."""
    (folder / "tokenizer.json").write_text(json.dumps(_tokenizer()))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": 8192,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "chat_template.jinja").write_text(template)
