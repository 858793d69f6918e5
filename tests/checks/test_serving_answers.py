"""INF006: what the server says is not nonsense, and what is said about it names the cause."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from autoglm_doctor.api import Reading, ServingFailure
from autoglm_doctor.checks.serving_answers import server_answers
from autoglm_doctor.launch import parse_command
from tests.checks.serving_cases import (
    ASKS,
    HEALTHY,
    README,
    answering,
    ask,
    died,
    files_of,
    one,
    render,
    serving,
    without,
)

NAN = "!" * 24
RANDOM = "של bonjour которых 的中 نحو"
SIGNS = ",,. ;; ((( ,, -- )) ;; ,.,. !?!"
SAME = "once there was a king who had a horse"
NOTE = "- MISSING: those params were newly initialized because missing from the checkpoint. Consider training."
LOOP = "the the the the the the the the the the"
BROKEN = "The capital of France is the city of Paris, and"


def refused(name: str, status: int | None, error: str, kind: str = "refused") -> Any:
    """The trial ends at this question."""
    names = [one.name for one in ASKS]
    asks = [*ASKS[: names.index(name)], ask(name, "", status=status, error=error, finish_reason=None)]
    return serving(asks=tuple(asks), failure=ServingFailure(stage="ask", kind=kind, message=error), speed=None)


def test_sense_is_green() -> None:
    finding = one(server_answers, HEALTHY)
    assert finding.status == "pass"
    assert "Paris" in render(finding.text)


@pytest.mark.parametrize(
    ("value", "status", "cause"),
    [
        pytest.param(
            answering(cold=NAN, text=NAN, text_again=NAN, picture=NAN, other_picture=NAN, no_picture=NAN, agent=NAN),
            "fail",
            "MODEL_OUTPUT_WRONG",
            id="NaN says ! to everything",
        ),
        pytest.param(answering(text=NAN, text_again=NAN), "fail", "MODEL_OUTPUT_WRONG", id="NaN to one question"),
        pytest.param(answering(picture=NAN), "fail", "MODEL_OUTPUT_WRONG", id="NaN with a picture alone"),
        pytest.param(answering(cold=LOOP, text=LOOP), "fail", "MODEL_OUTPUT_WRONG", id="one word to two questions"),
        pytest.param(
            answering(text="!!! !!\n!!!! !!!!!!", text_again=NAN), "fail", "MODEL_OUTPUT_WRONG", id="! among blanks"
        ),
        pytest.param(
            answering(cold=RANDOM, text=RANDOM[::-1]), "fail", "MODEL_OUTPUT_WRONG", id="words of all writings"
        ),
        pytest.param(answering(text=RANDOM), "warn", "MODEL_OUTPUT_WRONG", id="words of all writings, once"),
        pytest.param(answering(cold=SIGNS, text=SIGNS[::-1]), "fail", "MODEL_OUTPUT_WRONG", id="signs without a word"),
        pytest.param(
            answering(cold="\ufffd" * 5 + "ab", text="a\ufffd"), "fail", "MODEL_OUTPUT_WRONG", id="no letters"
        ),
        pytest.param(
            answering(
                cold=SAME[:16],
                text=SAME,
                text_again=SAME,
                picture=SAME,
                other_picture=SAME,
                no_picture=SAME,
                agent=SAME,
            ),
            "fail",
            "MODEL_OUTPUT_WRONG",
            id="the same answer to everything",
        ),
        pytest.param(
            answering(cold=SAME[:16], text=SAME, text_again=SAME, picture=SAME, agent="do(action=..."),
            "pass",
            "",
            id="the same answer to some questions only",
        ),
        pytest.param(
            serving(log=("model.layers.0.mlp.down_proj.weight    | MISSING |  ", NOTE)),
            "fail",
            "MODEL_TENSORS_MISSING",
            id="tensors were filled with random numbers",
        ),
        pytest.param(serving(log=(NOTE,)), "fail", "MODEL_TENSORS_MISSING", id="the same, names not kept"),
        pytest.param(
            serving(
                log=(
                    "Some weights of M were not initialized from the model checkpoint at /m and are newly initialized: "
                    "['model.layers.0.mlp.up_proj.weight']",
                )
            ),
            "fail",
            "MODEL_TENSORS_MISSING",
            id="in the words of transformers 4",
        ),
        pytest.param(serving(log=("x.weight | UNEXPECTED |",)), "pass", "", id="tensors that nobody needs"),
        pytest.param(
            serving(log=("rotary_emb.inv_freq | MISSING |", NOTE)), "pass", "", id="what is made at each start"
        ),
        pytest.param(
            serving(log=("x.weight | MISSING |", NOTE), random_weights=True), "pass", "", id="random weights lack all"
        ),
        pytest.param(
            answering(text=LOOP, text_again=LOOP), "warn", "MODEL_OUTPUT_WRONG", id="one word to one question"
        ),
        pytest.param(answering(text="", text_again=""), "fail", "MODEL_OUTPUT_WRONG", id="nothing"),
        pytest.param(answering(text="\n \n\n", text_again=""), "fail", "MODEL_OUTPUT_WRONG", id="line breaks"),
        pytest.param(
            answering(
                text={"text": "", "reasoning": "Let me think"}, text_again={"text": "", "reasoning": "Let me think"}
            ),
            "pass",
            "",
            id="it was still thinking",
        ),
        pytest.param(answering(text_again="I don't know."), "warn", "MODEL_OUTPUT_UNSTEADY", id="another answer"),
        pytest.param(
            answering(text_again="Paris is the capital of France. Also, 2 + 2 = 4."),
            "pass",
            "",
            id="parts later: batching",
        ),
        pytest.param(
            answering(text="It is 5, I think.", text_again="It is 5, I think."),
            "pass",
            "",
            id="a weak model's wrong answer",
        ),
        pytest.param(
            answering(text="I am a bot. " * 12, text_again="I am a bot. " * 12),
            "warn",
            "MODEL_OUTPUT_WRONG",
            id="a loop",
        ),
        pytest.param(answering(text={"finish_reason": "abort"}), "fail", "SERVER_REFUSES_REQUESTS", id="aborted"),
        pytest.param(answering(text={"finish_reason": "length"}), "pass", "", id="tokens used up"),
        pytest.param(without("text again"), "unknown", "", id="asked once only"),
        pytest.param(without(*(a.name for a in ASKS)), "unknown", "", id="asked nothing"),
        pytest.param(
            refused("text", 400, "As of transformers v4.44, default chat template is no longer allowed"),
            "fail",
            "CHAT_TEMPLATE_MISSING",
            id="no chat template",
        ),
        pytest.param(
            refused("cold", 400, "As of transformers v4.44, default chat template is no longer allowed"),
            "fail",
            "CHAT_TEMPLATE_MISSING",
            id="no chat template at the first question",
        ),
        pytest.param(refused("text", 500, "Internal Server Error"), "fail", "SERVER_REFUSES_REQUESTS", id="HTTP 500"),
        pytest.param(
            refused("text", 200, "the stream ended without [DONE]", "cut_off"),
            "fail",
            "SERVER_REFUSES_REQUESTS",
            id="breaks off",
        ),
        pytest.param(
            refused("text", 200, "more than 900 pieces came", "endless"),
            "fail",
            "SERVER_REFUSES_REQUESTS",
            id="endless",
        ),
        pytest.param(died("no"), "unknown", "", id="no server"),
        pytest.param(
            serving(failure=ServingFailure(stage="measure", kind="refused", message="HTTP 500"), speed=None),
            "fail",
            "SERVER_REFUSES_REQUESTS",
            id="an error while it was measured",
        ),
        pytest.param(
            answering(text={"error": "not finished after 9 s", "text": BROKEN}),
            "unknown",
            "",
            id="slow and not finished",
        ),
    ],
)
def test_answers(value: Any, status: str, cause: str) -> None:
    finding = one(server_answers, value)
    assert (finding.status, finding.cause) == (status, cause), render(finding.text)


def test_an_error_in_the_log_tells_what_a_bare_500_does_not() -> None:
    log = ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",)
    finding = one(server_answers, dataclasses.replace(refused("text", 500, "Internal Server Error"), log=log))
    assert finding.cause == "VRAM_TOO_SMALL_FOR_WEIGHTS"
    assert "--max-num-seqs" in finding.fixes[0].commands[0]


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param({"cold": LOOP, "text": LOOP, "text_again": LOOP}, id="a loop"),
        pytest.param({"text": "", "text_again": ""}, id="nothing"),
        pytest.param({"text_again": "zzz"}, id="another answer"),
    ],
)
@pytest.mark.parametrize("how", ["by option", "by flag"])
def test_random_weights_may_talk_nonsense_and_the_text_says_so(texts: Any, how: str) -> None:
    value = dataclasses.replace(answering(**texts), random_weights=how == "by option")
    dummy = dataclasses.replace(README, launch=dataclasses.replace(README.launch, load_format="dummy"))
    finding = one(server_answers, value, intent=README if how == "by option" else dummy)
    assert finding.status == "pass"
    assert "weights are random" in render(finding.text)
    assert one(server_answers, dataclasses.replace(value, random_weights=False)).status in ("fail", "warn")


def test_the_smoke_model_may_talk_nonsense() -> None:
    smoke = dataclasses.replace(README, model="smoke")
    assert one(server_answers, answering(cold=LOOP, text=LOOP, text_again=LOOP), intent=smoke).status == "pass"


def test_random_weights_do_not_excuse_an_error() -> None:
    value = dataclasses.replace(refused("text", 500, "Internal Server Error"), random_weights=True)
    assert one(server_answers, value).status == "fail"


def test_an_output_layer_must_be_there_unless_it_is_tied() -> None:
    value = serving(log=("lm_head.weight | MISSING |", NOTE))
    untied, tied = (files_of(15.0, model_type="qwen2", tie_word_embeddings=one) for one in (False, True))
    assert one(server_answers, value, model_files=untied).cause == "MODEL_TENSORS_MISSING"
    assert one(server_answers, value, model_files=tied).status == "pass"


@pytest.mark.parametrize(
    ("command", "config", "status"),
    [
        pytest.param("/m/base", {"model_type": "llama"}, "warn", id="a model of text"),
        pytest.param("/m/sees", {"model_type": "x", "vision_config": {"depth": 2}}, "fail", id="a model that sees"),
        pytest.param("zai-org/AutoGLM-Phone-9B", {"model_type": "llama"}, "fail", id="an agent"),
    ],
)
def test_a_model_that_only_completes_may_refuse_to_chat(command: str, config: Any, status: str) -> None:
    value = refused("cold", 400, "As of transformers v4.44, default chat template is no longer allowed")
    intent = parse_command(["vllm", "serve", command])
    finding = one(server_answers, value, intent=intent, model_files=files_of(15.0, **config))
    assert (finding.status, finding.cause) == (status, "CHAT_TEMPLATE_MISSING")


def test_float16_is_the_first_suspect_of_nan() -> None:
    half = parse_command(["vllm", "serve", "zai-org/AutoGLM-Phone-9B", "--dtype", "half"])
    finding = one(server_answers, answering(text=NAN), intent=half)
    assert "--dtype bfloat16" in finding.fixes[0].commands[0]


def test_without_facts_about_the_machine_it_is_judged_all_the_same() -> None:
    nothing: Reading[Any] = Reading(outcome="not_run")
    there = dataclasses.replace(answering(text=NAN), command=())
    finding = one(server_answers, there, gpus=nothing, packages=nothing, model_files=nothing)
    assert finding.status == "fail"
