"""The follower of a start: phases, figures, what dooms it, and what is kept of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoglm_doctor.domain.engine_log import Follower
from autoglm_doctor.facts_serving import EngineFigures

GIB = 1 << 30
HEALTHY = Path(__file__).parents[1] / "logs" / "healthy"
ENGINES = ("vllm", "sglang", "transformers", "llamacpp")


def follow(engine: str, *lines: str, began: float | None = None) -> Follower:
    """Each line comes a second after the one before it."""
    follower = Follower(engine, began)
    for at, line in enumerate(lines):
        follower.feed(line, float(at))
    return follower


def recorded(name: str) -> Follower:
    engine = next(e for e in ENGINES if name.startswith(e))
    return follow(engine, *(HEALTHY / f"{name}.log").read_text().splitlines())


def gib(value: float) -> int:
    return round(value * GIB)


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        pytest.param(
            "vllm_0_8_5_v0",
            EngineFigures(
                version="0.8.5.post1",
                weights_bytes=gib(7.56),
                load_seconds=30.643008,
                activation_bytes=gib(0.74),
                non_torch_bytes=gib(0.04),
                graph_bytes=gib(0.02),
                kv_cache_bytes=gib(3.06),
                kv_cache_tokens=22300,
                max_concurrency=2.23,
                concurrency_tokens=10000,
            ),
            id="vLLM 0.8, V0: tokens from the concurrency",
        ),
        pytest.param(
            "vllm_0_11_two_gpus",
            EngineFigures(
                version="0.11.0",
                weights_bytes=gib(9.9412),
                load_seconds=5.702311,
                activation_bytes=gib(2.97),
                non_torch_bytes=gib(0.21),
                graph_bytes=gib(0.95),
                kv_cache_bytes=gib(8.05),
                kv_cache_tokens=420976,
                max_concurrency=16.52,
                concurrency_tokens=25480,
            ),
            id="vLLM 0.11 on two GPUs: the larger one, no sum",
        ),
        pytest.param(
            "vllm_0_33",
            EngineFigures(
                version="0.33.0",
                weights_bytes=gib(19.26),
                load_seconds=8.207316,
                activation_bytes=gib(2.65),
                graph_bytes=gib(0.38),
                kv_cache_bytes=gib(49.98),
                kv_cache_tokens=1310128,
                max_concurrency=51.42,
                concurrency_tokens=25480,
            ),
            id="vLLM 0.33: tokens and concurrency in one line",
        ),
        pytest.param(
            "sglang_0_4_two_gpus",
            EngineFigures(
                weights_bytes=gib(9.88),
                graph_bytes=gib(0.52),
                kv_cache_bytes=2 * gib(4.92),
                kv_cache_tokens=257913,
                max_concurrency=257913 / 65536,
                concurrency_tokens=65536,
            ),
            id="SGLang 0.4",
        ),
        pytest.param(
            "sglang_0_5",
            EngineFigures(
                weights_bytes=gib(19.34),
                load_seconds=6.12,
                graph_bytes=gib(0.41),
                kv_cache_bytes=2 * gib(23.03),
                kv_cache_tokens=1207552,
                max_concurrency=1207552 / 25480,
                concurrency_tokens=25480,
            ),
            id="SGLang 0.5",
        ),
        pytest.param(
            "llamacpp_2025",
            EngineFigures(
                version="b5890",
                weights_bytes=round(5509.86 * (1 << 20)),
                activation_bytes=312 << 20,
                kv_cache_bytes=320 << 20,
                kv_cache_tokens=8192,
                max_concurrency=1.0,
                concurrency_tokens=8192,
            ),
            id="llama.cpp: the weights on the GPU, not those beside it",
        ),
        pytest.param(
            "llamacpp_2026_no_gpu",
            EngineFigures(
                version="b8889",
                weights_bytes=round(0.45 * (1 << 20)),
                activation_bytes=round(6.01 * (1 << 20)),
                kv_cache_bytes=8 << 20,
                kv_cache_tokens=16384,
                max_concurrency=4.0,
                concurrency_tokens=4096,
            ),
            id="llama.cpp without a GPU",
        ),
        pytest.param("transformers_serve", EngineFigures(), id="transformers says nothing"),
    ],
)
def test_figures_of_a_recorded_start(name: str, figures: EngineFigures) -> None:
    assert recorded(name).figures == figures


@pytest.mark.parametrize(
    ("line", "weights"),
    [
        pytest.param("Model loading took 19.2600 GiB and 8.2 seconds", 19.26, id="0.8 to 0.19"),
        pytest.param("Model loading took 19.26 GiB memory and 8.2 seconds", 19.26, id="from 0.20"),
        pytest.param("Model loading took 15.6269 GB and 4.7 seconds", 15.6269, id="GB that are GiB"),
        pytest.param("Loading model weights took 14.9888 GB", 14.9888, id="before 0.8"),
    ],
)
def test_the_weights_in_every_wording_of_vllm(line: str, weights: float) -> None:
    assert follow("vllm", f"INFO 11-20 12:00:00 [x.py:1] {line}").figures.weights_bytes == gib(weights)


def test_weights_that_stay_beside_the_gpu_do_not_count_as_its_own() -> None:
    lines = (
        "load_tensors:   CPU_Mapped model buffer size =  9000.00 MiB",
        "load_tensors: CUDA0 model buffer size = 500.00 MiB",
    )
    assert follow("llamacpp", *lines).figures.weights_bytes == 500 << 20
    assert follow("llamacpp", lines[0]).figures.weights_bytes == 9000 << 20


def test_the_order_of_equal_workers_does_not_matter() -> None:
    small, large = "Model loading took 9.1 GiB and 5 seconds", "Model loading took 9.9 GiB and 4 seconds"
    for lines in ((small, large), (large, small)):
        figures = follow("vllm", *lines).figures
        assert (figures.weights_bytes, figures.load_seconds) == (gib(9.9), 5.0)


@pytest.mark.parametrize(
    ("name", "phases"),
    [
        pytest.param("vllm_0_33", "starting importing loading profiling KV graphs opening", id="vLLM"),
        pytest.param("vllm_on_cpu", "starting importing loading KV opening", id="vLLM on a CPU"),
        pytest.param("sglang_0_5", "starting importing loading profiling KV graphs opening", id="SGLang"),
        pytest.param("transformers_serve", "starting importing loading opening", id="transformers"),
        pytest.param("llamacpp_2025", "starting importing loading KV graphs opening", id="llama.cpp"),
        pytest.param("llama_cpp_python", "starting loading KV opening", id="llama-cpp-python"),
    ],
)
def test_the_phases_of_a_recorded_start(name: str, phases: str) -> None:
    engine = "llamacpp" if name.startswith("llama") else name.partition("_")[0]
    follower = follow(engine, *(HEALTHY / f"{name}.log").read_text().splitlines())
    assert [p.name.split()[0] for p in follower.phases(until=1000.0)] == phases.split()
    assert follower.phase == "opening the port"
    assert follower.ready


def test_the_seconds_of_the_phases_are_those_of_the_start() -> None:
    lines = (
        "Automatically detected platform cuda.",
        "Starting to load model m...",
        "x",
        "Model loading took 1 GiB and 2 s",
    )
    follower = follow("vllm", *lines, began=-5.0)
    seconds = {p.name: p.seconds for p in follower.phases(until=10.0)}
    assert seconds == {"starting": 5.0, "importing": 1.0, "loading weights": 2.0, "profiling": 7.0}
    follower.feed("Application startup complete.", 12.0)
    assert sum(p.seconds for p in follower.phases(until=99.0)) == 17.0


def test_a_phase_never_comes_back() -> None:
    follower = follow("vllm", "Model loading took 1 GiB and 2 s", "Starting to load model draft...")
    assert follower.phase == "profiling"


def test_before_the_first_line_nothing_is_known() -> None:
    follower = Follower("vllm")
    assert (follower.phase, follower.phases(9.0), follower.kept) == ("starting", (), ())
    assert (follower.doomed, follower.ready, follower.figures) == ("", False, EngineFigures())
    follower.feed("   \x1b[0m\n", 1.0)
    assert follower.kept == ()


def test_uvicorn_is_not_ready_before_it_has_the_port() -> None:
    follower = follow("transformers", "INFO:     Application startup complete.")
    assert not follower.ready
    follower.feed("INFO:     Uvicorn running on http://127.0.0.1:1 (Press CTRL+C to quit)", 1.0)
    assert follower.ready


def test_llamacpp_of_2025_listens_long_before_it_answers() -> None:
    assert not follow("llamacpp", "main: HTTP server is listening, hostname: 127.0.0.1, port: 1, http threads: 3").ready


DOOM = [
    pytest.param("vllm", "ValueError: No available memory for the cache blocks.", id="no room for the cache"),
    pytest.param(
        "vllm", "RuntimeError: Engine core initialization failed. See root cause above.", id="the engine died"
    ),
    pytest.param("sglang", "[2025-07-27 21:33:30] Received sigquit from a child process.", id="SGLang's child died"),
    pytest.param("llamacpp", "0.00.1 E srv  main: exiting due to model loading error", id="llama.cpp gives up"),
    pytest.param("", "OSError: [Errno 98] Address already in use", id="port taken, engine not known"),
]


@pytest.mark.parametrize(("engine", "line"), DOOM)
def test_a_start_is_doomed_by_its_log(engine: str, line: str) -> None:
    follower = follow(engine, "hello", f"\x1b[31m{line}\x1b[0m", "ValueError: another")
    assert follower.doomed == line


@pytest.mark.parametrize(("engine", "line"), DOOM)
def test_a_server_that_is_ready_is_not_doomed_any_more(engine: str, line: str) -> None:
    ready = ("INFO:     Application startup complete.", "Uvicorn running on http://x", "fired up and ready to roll")
    started = follow(
        engine, *ready, "The server is fired up and ready to roll!", "srv  update_slots: all slots are idle"
    )
    assert started.ready
    started.feed(line, 9.0)
    assert started.doomed == ""
    assert line in started.kept, "but its words are kept"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(
            "WARNING 11-20 12:00:00 [x.py:1] ValueError: No available memory for the cache blocks.", id="warning"
        ),
        pytest.param(
            "OutOfMemoryError: out of resource: triton_mm Required: 147456 Hardware limit:101376", id="autotuner"
        ),
        pytest.param("Address already in use. Retrying with a new port.", id="retried"),
        pytest.param("[x] Ignore import error when loading m: No module named 'torchaudio'", id="ignored"),
        pytest.param("EngineCore failed to start.", id="the headline, its traceback is still to come"),
    ],
)
def test_a_start_is_not_doomed_by_what_it_survives(line: str) -> None:
    assert follow("vllm", line).doomed == ""


def test_what_is_kept_is_short_clean_and_in_order() -> None:
    lines = [f"\x1b[1mstep {i}\x1b[0m\r" for i in range(500)]
    lines[100] = "ValueError: " + "x" * 5000
    lines[3] = "RuntimeError: the first"
    kept = follow("vllm", *lines).kept
    assert len(kept) <= 100
    assert kept[0] == "RuntimeError: the first"
    assert kept[1].startswith("ValueError: xxx")
    assert max(map(len, kept)) == 500
    assert kept[2:] == tuple(f"step {i}" for i in range(460, 500))


def test_a_flood_of_errors_leaves_first_and_last_ones_and_the_known_one() -> None:
    lines = [f"ERROR 11-20 12:00:00 [x.py:1] error {'a' * (i % 97)} {i}" for i in range(5000)]
    lines[2500] = "OSError: [Errno 28] No space left on device"
    kept = follow("vllm", *lines).kept
    assert len(kept) <= 100
    assert kept[0].endswith(" 0")
    assert kept[-1].endswith(" 4999")
    assert "OSError: [Errno 28] No space left on device" in kept


def test_of_a_progress_bar_only_its_last_state_is_kept() -> None:
    bar = [f"Loading safetensors checkpoint shards: {i}% Completed | {i}/100" for i in range(100)]
    assert follow("vllm", "hello", *bar, "done").kept == ("hello", bar[0], bar[-1], "done")


def test_a_line_written_over_itself_counts_with_its_last_state() -> None:
    follower = follow("vllm", "Capturing CUDA graphs:  10%| 1/10\rCapturing CUDA graphs: 100%| 10/10")
    assert follower.kept == ("Capturing CUDA graphs: 100%| 10/10",)
    assert follower.phase == "graphs"
