"""What a real server said and did in the final stage. Part of `facts`, which re-exports these types.

Times are seconds of a monotonic clock, sizes bytes, tokens those that the server counted (`usage`), never chunks.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A part of a server's start, told apart by its log."""

    name: str  # "starting", "importing", "loading weights", "profiling", "KV cache", "graphs", "opening the port"
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFigures:
    """What the engine says of itself while it starts; None: it did not say."""

    version: str | None = None
    weights_bytes: int | None = None  # of one GPU, as all sizes here
    load_seconds: float | None = None
    activation_bytes: int | None = None
    non_torch_bytes: int | None = None
    graph_bytes: int | None = None
    kv_cache_bytes: int | None = None
    kv_cache_tokens: int | None = None
    max_concurrency: float | None = None  # requests of `concurrency_tokens` tokens each
    concurrency_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a server ended that nobody had stopped."""

    exit_code: int | None = None  # None: by a signal
    signal: str = ""  # "SIGKILL"
    oom_killed: bool = False  # the kernel's count of such kills in our cgroup grew meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingFailure:
    """Where the trial stopped."""

    stage: str  # "start", "ask", "measure"
    # "cannot_run", "died", "not_ready" (its time is up), "doomed" (its log says so), "refused" (HTTP status),
    # "no_answer", "cut_off", "endless" (a stream that does not end), "not_openai" (no such interface)
    kind: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question to the server and what came back, greedy (temperature 0) and streamed."""

    # "cold" (the first of all), "text", "text again" (the same words), "picture", "other picture" (the same words),
    # "no picture" (the same words alone), "agent" (Open-AutoGLM's kind of prompt, with a screenshot)
    name: str
    status: int | None = None  # HTTP; None: no answer
    error: str = ""  # the server's words (500 characters), or what went wrong on the way
    text: str = ""  # cut at 600 characters, of "agent" at 4,000
    reasoning: str = ""  # reasoning_content, where the server splits it off; cut at 300
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    chunks: int = 0  # that carried text
    first_token_seconds: float | None = None
    seconds: float | None = None  # until the last byte
    picture: tuple[int, int] | None = None  # width and height of what was shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """One request at a time, warm, every prompt different; the definitions are those of `vllm bench serve`."""

    requests: int
    prompt_tokens: int | None = None  # these two of the median request; None: the server counted none
    completion_tokens: int | None = None
    first_token_cold_seconds: float | None = None
    first_token_p50_seconds: float | None = None
    first_token_max_seconds: float | None = None
    first_token_picture_cold_seconds: float | None = None
    first_token_picture_seconds: float | None = None  # warm, a picture not seen before
    per_token_p50_seconds: float | None = None  # (end - first token) / (completion tokens - 1)
    per_token_p95_seconds: float | None = None
    prefill_tokens_per_s: float | None = None  # prompt tokens over time to first token, of a long prompt
    prefill_tokens: int | None = None  # how long that prompt was
    decode_tokens_per_s: float | None = None  # 1 / per_token_p50


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """Several requests at once."""

    concurrency: int
    requests: int
    failed: int
    seconds: float
    cut_short: int = 0  # by our own time, which is no failure
    output_tokens: int
    output_tokens_per_s: float | None = None
    first_token_p50_seconds: float | None = None
    first_token_p95_seconds: float | None = None
    per_token_p50_seconds: float | None = None
    per_token_p95_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUnderLoad:
    """One GPU, sampled through NVML while the server answered."""

    index: int
    samples: int
    used_peak_bytes: int | None = None  # of the whole GPU
    sm_clock_median_mhz: int | None = None
    sm_clock_max_mhz: int | None = None  # what the GPU can do
    power_median_w: float | None = None
    power_limit_w: float | None = None
    temperature_max_c: int | None = None
    throttle_reasons: tuple[str, ...] = ()  # seen in a tenth of the samples or more; idling is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A server that was started by the intended command, or was there already (`--endpoint`)."""

    engine: str
    url: str  # "http://127.0.0.1:41234"
    model: str = ""  # its name in the API
    command: tuple[str, ...] = ()  # as it was started; (): it was there
    random_weights: bool = False
    phases: tuple[Phase, ...] = ()
    start_seconds: float | None = None  # until it answered; None: it never did, or was there
    figures: EngineFigures = field(default_factory=EngineFigures)
    log: tuple[str, ...] = ()  # lines that look like errors, and the last ones, in their order
    ending: Ending | None = None  # it ended by itself
    failure: ServingFailure | None = None
    asks: tuple[Ask, ...] = ()
    speed: Speed | None = None
    bursts: tuple[Burst, ...] = ()
    gpus: tuple[GpuUnderLoad, ...] = ()
    stop_seconds: float | None = None  # from our signal to its end; None: not ours to stop, or it had to be killed
    leftovers: tuple[str, ...] = ()  # what stayed behind and could not be removed, as "process 123", "/dev/shm/x"
