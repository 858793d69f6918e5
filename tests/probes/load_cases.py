"""Run as a child: makes a tiny text model, damages copies of it, and lets load.py try each.

Arguments: the folder of load.py, a scratch folder, the result file (a JSON object: case -> reading).
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, sys.argv[1])
import load

WORDS = ["name three fruits", "say what this shows"] * 3


def make(folder: Path) -> None:
    """A trained-looking text model: tied embeddings, two shards, a tokenizer and a chat template."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<pad>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(WORDS, trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>")
    fast.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    torch.manual_seed(2)  # with others, random weights say one token over and over
    config = transformers.Qwen2Config(
        vocab_size=320,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        initializer_range=0.2,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    transformers.Qwen2ForCausalLM(config).save_pretrained(folder, max_shard_size="150KB")
    fast.save_pretrained(folder)


def shard_with(folder: Path, name: str) -> Path:
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    return folder / index["weight_map"][name]


def change_tensor(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Replace one tensor; `change` gives None to leave it out."""

    def damage(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        path = shard_with(folder, name)
        tensors = load_file(path)
        changed = change(tensors.pop(name))
        if changed is not None:
            tensors[name] = changed
        save_file(tensors, path, metadata={"format": "pt"})

    return damage


def leave_out(name: str) -> Callable[[Path], None]:
    """A checkpoint that never had the tensor: neither the shard nor the index knows it."""

    def damage(folder: Path) -> None:
        change_tensor(name, lambda tensor: None)(folder)
        path = folder / "model.safetensors.index.json"
        index = json.loads(path.read_text())
        del index["weight_map"][name]
        path.write_text(json.dumps(index))

    return damage


def change_config(**changes: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return damage


def first_shard(change: Callable[[Path], object]) -> Callable[[Path], None]:
    return lambda folder: change(min(folder.glob("*.safetensors"))) and None  # type: ignore[func-returns-value]


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


EMBED, MLP = "model.embed_tokens.weight", "model.layers.0.mlp.down_proj.weight"
NORM = "model.norm.weight"

CASES: dict[str, Callable[[Path], None]] = {
    "sound": lambda folder: None,
    "nan weight": change_tensor(NORM, lambda t: t.fill_(float("nan"))),
    "zero output": change_tensor(NORM, lambda t: t.zero_()),
    "tensor left out": leave_out(MLP),
    "tensor promised by the index": change_tensor(MLP, lambda t: None),
    "shard cut in half": first_shard(half),
    "shard is an lfs pointer": first_shard(lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\n")),
    "shard deleted": first_shard(lambda p: p.unlink()),
    "other vocabulary": change_config(vocab_size=400),
    "unknown architecture": change_config(model_type="glm9z"),
    "unknown dtype": change_config(dtype="bfloat17", torch_dtype="bfloat17"),
    "own code": change_config(model_type="glm9z", auto_map={"AutoConfig": "own.Config"}),
    "tokenizer cut in half": lambda folder: half(folder / "tokenizer.json"),
}


def main() -> None:
    scratch = Path(sys.argv[2])
    load.prepare_environment(str(scratch))
    make(scratch / "made")
    readings = {}
    for case, damage in CASES.items():
        folder = scratch / case.replace(" ", "-")
        shutil.copytree(scratch / "made", folder)
        damage(folder)
        arguments = {"model": str(folder), "device": "cpu", "seconds": 10_000, "new_tokens": 12}
        readings[case] = load.plain(load.trial(arguments, lambda line: None))
    Path(sys.argv[3]).write_text(json.dumps(readings))


if __name__ == "__main__":
    main()
