"""The model dealt out to several GPUs: what can be split evenly, and whether copies would serve more. CFG"""

from __future__ import annotations

import dataclasses
from typing import Any

from autoglm_doctor.api import (
    SMOKE,
    Cuda,
    Environment,
    Findings,
    Fix,
    Gpu,
    Intent,
    Judgement,
    ModelFiles,
    Packages,
    Text,
    Threshold,
    check,
    fail,
    not_applicable,
    ok,
    unknown,
    warn,
)
from autoglm_doctor.checks.launch import OVERRIDES
from autoglm_doctor.domain.capacity.replicas import Replicas, more_with_replicas, servers
from autoglm_doctor.domain.deployment import read_case
from autoglm_doctor.domain.heads import Heads, heads_of
from autoglm_doctor.domain.launch_line import changed, line, plain_words, replace_flag, stated_flag

_WORDS = {
    "attention": "{heads} attention heads",
    "key_value": "{kv} key and value heads",
    "tower": "{tower} attention heads of the vision tower",
}

#: Copies must hold at least so many times the tokens before it is worth a word: below, the shorter time per token of
#: a split model is a fair trade, and our own error is nearer.
WORTH_A_WORD = 2.0


@check("CFG003", "parallelism-divides-heads", cause="TENSOR_PARALLEL_DOES_NOT_DIVIDE", explained_by=("MDL001",))
def parallelism_divides_heads(model_files: ModelFiles | None, intent: Intent) -> Findings:
    """The attention heads can be dealt out evenly to the GPUs.

    Tensor parallelism gives every GPU the same number of attention heads. vLLM refuses other numbers ("Total number of
    attention heads (32) must be divisible by tensor parallel size (3)"), SGLang stops with an assertion. vLLM splits
    the vision tower of GLM-4.1V and AutoGLM as well: its 12 heads do not go into 8, unless `--mm-encoder-tp-mode data`
    gives every GPU a whole tower. Key and value heads must divide too; where there are fewer of them than GPUs, every
    one is held by several GPUs, which works where the number of GPUs is a multiple of theirs.

    Compared are num_attention_heads, num_key_value_heads and the tower's num_heads of config.json (or of the known
    profile) with `--tensor-parallel-size`.

    ## Fix

    The largest size below that divides; what GPUs are left can serve a second copy.
    """
    size = intent.launch.tensor_parallel
    if intent.model == SMOKE or intent.engine == "transformers" or size == 1:
        yield not_applicable(Text("no layer is split between GPUs"))
        return
    heads = heads_of(intent, model_files)
    if heads is None or stated_flag(intent.command, *OVERRIDES, "enable-dp-attention") is not None:
        yield unknown(Text("how many attention heads are to be split is not known"))
        return
    kv, tower = heads.key_value, heads.tower
    said: dict[str, Any] = {"heads": heads.attention, "kv": kv, "tower": tower, "size": size, "times": size // kv}
    evidence = {
        "attention_heads": heads.attention,
        "key_value_heads": kv,
        "vision_heads": tower or None,
        "tensor_parallel": size,
    }
    uneven = heads.uneven(size)
    if not uneven:
        words = "{heads} attention heads on {size} GPUs"
        words += "; each of the {kv} key and value heads is held {times} times over" if size > kv else ""
        yield ok(Text(words, said), observed=size, evidence=evidence)
        return
    yield fail(
        Text(_WORDS[uneven] + " cannot be dealt out evenly to {size} GPUs", said),
        fix=_legal_sizes(intent, heads),
        observed=size,
        evidence=evidence,
    )


def _legal_sizes(intent: Intent, heads: Heads) -> tuple[Fix, ...]:
    size = intent.launch.tensor_parallel
    legal = [n for n in range(1, size) if not heads.uneven(n)]
    smaller = Fix(
        text=Text("split the model over {n} GPUs", {"n": legal[-1]}),
        commands=(line(changed(intent, {"tensor_parallel": legal[-1]})),),
        effort="flag",
    )
    if heads.uneven(size) != "tower":
        return (smaller,)
    copies = Fix(
        text=Text("give every GPU the whole vision tower (more memory on each)"),
        commands=(_with_flag(intent, "mm-encoder-tp-mode", "data"),),
        effort="flag",
    )
    return (copies, smaller)


def _with_flag(intent: Intent, name: str, value: str) -> str:
    """The user's own line with a flag set that is no field of Launch."""
    words = replace_flag(intent.command or plain_words(intent), [name], value)
    return line(dataclasses.replace(intent, command=tuple(words)))


@check(
    "CFG005",
    "split-serves-best",
    cause="REPLICAS_WOULD_SERVE_MORE",
    explained_by=("MDL001", "CFG003", "VRM002", "VRM003", "DRV001"),
)
def split_serves_best(
    gpus: tuple[Gpu, ...],
    model_files: ModelFiles | None,
    packages: Packages | None,
    environment: Environment | None,
    cuda: Cuda | None,
    intent: Intent,
) -> Findings:
    """Splitting the model over so many GPUs uses their memory well.

    A model that fits on one GPU is served to more people by a copy on each GPU (data parallel) than by one copy spread
    over all of them (tensor parallel): AutoGLM has two key and value heads, so on 8 GPUs each of them is held four
    times over, and every layer waits for all the GPUs twice. What a split buys is a shorter time per token for one
    request, and room where the weights are large.

    Compared are the tokens that fit in the KV caches of the GPUs together, split as asked and as copies. Yellow where
    copies hold at least twice as many and each of them has room for four whole requests; these two numbers are our
    own. Nothing is said about a split that holds about as much, or that the model needs.

    ## Fix

    `--data-parallel-size` in place of `--tensor-parallel-size` (one server, one port), or one server for each GPU on
    ports of their own behind a load balancer. If one user's time per token is what counts, leave it as it is:
    `--ignore CFG005`.
    """
    size = intent.launch.tensor_parallel
    if intent.model == SMOKE or intent.engine == "transformers" or size == 1 or intent.launch.pipeline_parallel > 1:
        yield not_applicable(Text("the layers are not split between GPUs"))
        return
    case = read_case(gpus, intent, model_files, packages, environment, cuda)
    if case.card is None or not case.estimates:
        yield unknown(Text("whether fewer GPUs would do is not known"))
        return
    found = more_with_replicas(intent, model_files, case.card, case.version)
    if found is None:
        yield not_applicable(Text("copies would not fit with room to spare, so the model is split for its size"))
        return
    yield _compared(found, size, model_files)


def _compared(found: Replicas, size: int, files: ModelFiles | None) -> Judgement:
    said = {
        "size": size,
        "copies": found.copies,
        "each": "one GPU" if found.each == 1 else f"{found.each} GPUs",
        "split": found.split_tokens,
        "together": found.tokens,
        "times": f"{found.times:.1f}",
    }
    rest: dict[str, Any] = {
        "observed": round(found.times, 2),
        "threshold": Threshold(value=WORTH_A_WORD, unit="times the tokens", source="our own number"),
        "evidence": {
            "tokens_split": found.split_tokens,
            "tokens_as_copies": found.tokens,
            "copies": found.copies,
            "gpus_of_a_copy": found.each,
        },
    }
    if found.times < WORTH_A_WORD:
        words = "split over {size} GPUs, {split:count} tokens fit in the KV caches; {together:count} in {copies} copies"
        return ok(Text(words, said), **rest)
    words = (
        "the model fits on {each} with room: {copies} copies hold {together:count} tokens, {times} times the "
        "{split:count} of one model split over {size} GPUs"
    )
    return warn(Text(words, said), fix=_copies(found, files), **rest)


def _copies(found: Replicas, files: ModelFiles | None) -> tuple[Fix, ...]:
    said: dict[str, Any] = {
        "copies": found.copies,
        "ram": found.ram_bytes(files),
        "load": found.load_bytes(files),
        "first": found.intent.port,
        "last": found.intent.port + found.copies - 1,
    }
    costs = "{ram:GiB} of main memory to load, {load:GiB} of weights moved to the GPUs"
    together = Text("{copies} copies behind one port; " + costs, said)
    alone = Text("or {copies} servers on ports {first} to {last} behind a load balancer; " + costs, said)
    return (
        Fix(text=together, commands=(line(found.intent),), effort="flag"),
        Fix(text=alone, commands=servers(found), effort="flag"),
    )
