"""Pictures: what the server sets aside for one against what a phone's screenshot takes. CFG"""

from __future__ import annotations

from dataclasses import dataclass
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
from autoglm_doctor.domain.capacity.rescue import PICTURE_SIZE, SHORTEST_CONTEXT
from autoglm_doctor.domain.deployment import read_case
from autoglm_doctor.domain.launch_line import changed, line
from autoglm_doctor.domain.memory import engine_words
from autoglm_doctor.domain.memory.fits import Card, context_tokens
from autoglm_doctor.domain.memory.image_budget import BOTH_PLANS, LARGE_SCREEN, SCREEN, ImageBudget, image_budget
from autoglm_doctor.domain.memory.vllm import batch_of
from autoglm_doctor.domain.model import model_config, model_shape, preprocessor_config
from autoglm_doctor.domain.spans import GIB
from autoglm_doctor.finding import Scalar

#: Towers that vLLM's glm4_1v.py plans for.
_PLANNED_ALIKE = ("glm4v", "glm4v_moe", "glm_ocr")

#: Tokens that Open-AutoGLM's client asks for as the answer (max_tokens of phone_agent/model/client.py).
CLIENT_ANSWER = 3000

#: Batches that hold every picture of the processor's default limit (6,084 tokens).
LARGE_BATCH = 8192

_SOURCE = "vllm/v1/core/encoder_cache_manager.py; pull request 34483"

#: Without a known card: the default batch is that of the smallest, or that of the largest.
_CARDS = (Card(name="", total_bytes=0), Card(name="", total_bytes=180 * GIB))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """The deployment, with a budget for every version and card that it may have."""

    intent: Intent
    context: int
    budgets: tuple[tuple[str, ImageBudget], ...]  # version, budget

    @property
    def screenshot(self) -> int:
        return self.budgets[0][1].screenshot

    @property
    def tightest(self) -> tuple[str, ImageBudget]:
        return min(self.budgets, key=lambda found: found[1].tokens)


@check("CFG004", "screenshot-fits", cause="IMAGE_EXCEEDS_ENCODER_BUDGET", explained_by=("MDL001",))
def screenshot_fits(
    model_files: ModelFiles | None,
    gpus: tuple[Gpu, ...] | None,
    packages: Packages | None,
    environment: Environment | None,
    cuda: Cuda | None,
    intent: Intent,
) -> Findings:
    """A phone's screenshot fits in what the server sets aside for one picture, and in the context.

    vLLM starts, says that it is ready, and answers every request that carries a screenshot with HTTP 400: "image item
    with 3354 embedding tokens, which exceeds the pre-allocated encoder cache size 3136". The flag `max_pixels` in
    `--mm-processor-kwargs` makes vLLM plan for small pictures, but the processor of GLM-4.1V and AutoGLM does not know
    the word and makes large ones all the same. The documented line gets by, because room for a video is set aside as
    well; with `"video":0` or a short `--max-model-len` it no longer does.

    Compared are the tokens of a screenshot of 1080x2400 under the processor's own limit with the budget, the largest of
    `--max-num-batched-tokens`, the largest picture and the largest video of the plan; and with `--max-model-len`.
    vLLM before 0.17 plans 3,721 tokens for a picture whatever the flags say; with an unknown version both are judged.

    Red where such a screenshot is refused. Yellow where that depends on the version, where only the video saves it, and
    where the context has no room for the answer of 3,000 tokens that Open-AutoGLM's client asks for. Seen on vLLM 0.32
    with this processor: refused and served as judged here.

    ## Fix

    Say it in the processor's own word, in place of max_pixels; a screenshot then takes 3,108 tokens:

        --mm-processor-kwargs '{"size":{"shortest_edge":12544,"longest_edge":5000000}}'

    Or a larger `--max-num-batched-tokens`, which keeps the full resolution and takes more GPU memory.
    """
    obstacle = _not_asked(intent, model_files)
    if obstacle is not None:
        yield obstacle
        return
    seen = _look(model_files, gpus, packages, environment, cuda, intent)
    if seen is None:
        yield not_applicable(Text("the launch takes no pictures"))
        return
    yield _context(seen) or _budget(seen) or _trap(seen) or _fine(seen)


def _not_asked(intent: Intent, files: ModelFiles | None) -> Judgement | None:
    if intent.model == SMOKE or intent.engine != "vllm":
        return not_applicable(Text("only vLLM sets room for one picture aside at start"))
    config = model_config(intent, files)
    if config is None:
        return unknown(Text("whether {model} takes pictures is not known", {"model": intent.model}))
    if not config.get("vision_config"):
        return not_applicable(Text("the model takes no pictures"))
    shape = model_shape(intent, files)
    if shape is None or shape.vision is None or shape.model_type not in _PLANNED_ALIKE:
        return not_applicable(Text("judged for GLM's vision towers alone, whose flag max_pixels is not obeyed"))
    return None


def _look(
    files: ModelFiles | None,
    gpus: tuple[Gpu, ...] | None,
    packages: Packages | None,
    environment: Environment | None,
    cuda: Cuda | None,
    intent: Intent,
) -> _Seen | None:
    shape = model_shape(intent, files)
    if shape is None or shape.vision is None:
        return None
    case = read_case(gpus or (), intent, files, packages, environment, cuda)
    context = context_tokens(intent, shape)
    found = []
    for version in (case.version,) if case.version else BOTH_PLANS:
        for card in (case.card,) if case.card else _CARDS:
            batch = batch_of(intent.launch, context, card.total_bytes, card.name).tokens
            limits = preprocessor_config(intent, files)
            budget = image_budget(shape.vision, intent.launch, limits, context, batch, version)
            if budget is not None:
                found.append((version, budget))
    return _Seen(intent=intent, context=context, budgets=tuple(found)) if found else None


def _context(seen: _Seen) -> Judgement | None:
    """Red where not even the picture fits in the context, yellow where the client's answer does not."""
    said: dict[str, object] = {"tokens": seen.screenshot, "context": seen.context, "answer": CLIENT_ANSWER}
    if seen.screenshot >= seen.context:
        words = "a screenshot of 1080x2400 takes {tokens:count} tokens, the context has {context:count}"
        quote = engine_words.prompt_too_long(seen.screenshot, seen.context)
        return fail(Text(words, said), **_rest(seen, _longer(seen), seen.context, quote), cause=_SHORT)
    client = seen.intent.profile.startswith("autoglm-") and seen.screenshot + CLIENT_ANSWER > seen.context
    if not client or any(seen.screenshot > budget.tokens for _, budget in seen.budgets):
        return None
    words = (
        "a screenshot of 1080x2400 takes {tokens:count} of the {context:count} tokens of context, and Open-AutoGLM's "
        "client asks for {answer:count} more as the answer"
    )
    return warn(Text(words, said), **_rest(seen, _longer(seen), seen.context, ""), cause=_SHORT)


_SHORT = "CONTEXT_TOO_SHORT_FOR_IMAGE"


def _budget(seen: _Seen) -> Judgement | None:
    """Red where every version refuses the screenshot, yellow where one does."""
    refusing = [version for version, budget in seen.budgets if seen.screenshot > budget.tokens]
    if not refusing:
        return None
    version, tightest = seen.tightest
    said = {"tokens": seen.screenshot, "budget": tightest.tokens}
    words = (
        "a screenshot of 1080x2400 takes {tokens:count} tokens, vLLM sets {budget:count} aside for one picture: it "
        "starts, and refuses every request with such a screenshot"
    )
    judge = fail
    if len(refusing) < len(seen.budgets):
        judge, words = warn, words + " (newer releases or smaller GPUs do, and which you have is not known)"
    quote = engine_words.picture_too_large(version, seen.screenshot, tightest.tokens)
    fixes = (*_smaller(seen), _larger_batch(seen))
    return judge(Text(words, said), **_rest(seen, fixes, tightest.tokens, quote))


def _trap(seen: _Seen) -> Judgement | None:
    """Yellow where max_pixels has made the plan too small and only the room for a video saves the screenshot."""
    version, budget = min(seen.budgets, key=lambda found: found[1].without_video)
    if "max_pixels" not in seen.intent.launch.mm_processor_kwargs or seen.screenshot <= budget.without_video:
        return None
    said = {"tokens": seen.screenshot, "planned": budget.without_video}
    words = (
        "max_pixels is not obeyed by the processor, only by vLLM's plan: a screenshot of 1080x2400 takes "
        '{tokens:count} tokens, {planned:count} are planned for a picture; with "video":0 every one would be refused'
    )
    quote = "with videos off: " + engine_words.picture_too_large(version, seen.screenshot, budget.without_video)
    return warn(Text(words, said), **_rest(seen, _smaller(seen), budget.tokens, quote))


def _fine(seen: _Seen) -> Judgement:
    _, budget = seen.tightest
    words = "a screenshot of 1080x2400 takes {tokens:count} of the {budget:count} tokens set aside for one picture"
    said = {"tokens": seen.screenshot, "budget": budget.tokens, "large": budget.large_screenshot}
    if budget.large_screenshot > budget.tokens:
        words += "; one of 1440x3200 ({large:count}) would be refused"
    elif "max_pixels" in seen.intent.launch.mm_processor_kwargs:
        words += "; max_pixels changes nothing about it, the processor does not know the word (size is the one)"
    rest = _rest(seen, (), budget.tokens, "")
    return ok(Text(words, said), **{name: value for name, value in rest.items() if name != "fix"})


def _rest(seen: _Seen, fixes: tuple[Fix, ...], limit: int, quote: str) -> dict[str, Any]:
    version, budget = seen.tightest
    evidence: dict[str, Scalar] = {
        "screen": f"{SCREEN[0]}x{SCREEN[1]}",
        "screenshot_tokens": seen.screenshot,
        "planned_image_tokens": budget.image,
        "planned_video_tokens": budget.video,
        "batch_tokens": budget.batch,
        "context_tokens": seen.context,
        f"tokens_of_{LARGE_SCREEN[0]}x{LARGE_SCREEN[1]}": budget.large_screenshot,
        "engine_version_assumed": version,
    }
    evidence |= {"what_vllm_says": quote} if quote else {}
    return {
        "fix": fixes,
        "observed": seen.screenshot,
        "expected": limit,
        "threshold": Threshold(value=limit, unit="tokens", source=_SOURCE),
        "evidence": evidence,
    }


def _kwargs(intent: Intent) -> dict[str, object]:
    """The processor's arguments with the size that it obeys."""
    said = intent.launch.mm_processor_kwargs
    kept = {name: value for name, value in said.items() if name not in ("max_pixels", "min_pixels", "size")}
    return {**kept, **PICTURE_SIZE}


def _smaller(seen: _Seen) -> tuple[Fix, ...]:
    """Smaller pictures, in the processor's own word; a longer context with them where the answer needs it."""
    changes: dict[str, object] = {"mm_processor_kwargs": _kwargs(seen.intent)}
    if seen.context < SHORTEST_CONTEXT and seen.intent.profile.startswith("autoglm-"):
        changes["max_model_len"] = SHORTEST_CONTEXT
    text = Text("say the size of pictures in the word that the processor obeys, not in max_pixels")
    return (Fix(text=text, commands=(line(changed(seen.intent, changes)),), effort="flag"),)


def _longer(seen: _Seen) -> tuple[Fix, ...]:
    changes = {"mm_processor_kwargs": _kwargs(seen.intent), "max_model_len": SHORTEST_CONTEXT}
    text = Text("give the context {tokens:count} tokens, and say the size of pictures", {"tokens": SHORTEST_CONTEXT})
    return (Fix(text=text, commands=(line(changed(seen.intent, changes)),), effort="flag"),)


def _larger_batch(seen: _Seen) -> Fix:
    text = Text("keep the full resolution and set more aside; that takes more GPU memory")
    intent = changed(seen.intent, {"max_num_batched_tokens": LARGE_BATCH})
    return Fix(text=text, commands=(line(intent),), effort="flag")
