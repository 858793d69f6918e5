"""What an engine says when one of its parts is gone: consequences, their cause stands above them in the log."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.row import LLAMACPP, SGLANG, TRANSFORMERS, VLLM, Signature

ROWS: tuple[Signature, ...] = (
    Signature(
        "ENGINE_DIED",
        r"Engine core initialization failed|WorkerProc initialization failed|Engine process failed to start"
        r"|Engine process \(pid \d+\) died|EngineDeadError|EngineCore encountered an issue|(Engine core"
        r"|Worker) proc .* died"
        r"|WorkerProc failed to start|MQEngineDeadError|AsyncEngineDeadError|Background loop has errored already",
        "a process of vLLM died",
        "Its cause stands further up in the log, after the first Traceback.",
        ("{launch}",),
        "flag",
        VLLM,
        ends_start=True,
        consequence=True,
    ),
    Signature(
        "ENGINE_DIED",
        r"Received sigquit from a child process|Rank \d+ scheduler is dead|Scheduler process \S+ .{0,20}(died|is dead)"
        r"|Initialization failed\. warmup|Subprocess \w+ \(pid=\d+\) (crashed|exited)",
        "a process of SGLang died",
        "Its cause stands further up in the log, after the first Traceback.",
        ("{launch}",),
        "flag",
        SGLANG,
        ends_start=True,
        consequence=True,
    ),
    Signature(
        "ENGINE_DIED",
        r"exiting due to (model loading|HTTP server) error|failed to load model|error loading model(?! (hyper|vocab))"
        r"|failed to create_?context|failed to initialize the context",
        "llama.cpp could not load the model",
        "Its cause stands further up in the log.",
        ("{launch}",),
        "flag",
        LLAMACPP,
        engines=("llamacpp",),
        ends_start=True,
        consequence=True,
    ),
    Signature(
        "ENGINE_DIED",
        r"Application startup failed\. Exiting|EngineCore failed to start|EngineCore encountered a fatal error"
        r"|(Scheduler|DetokenizerManager|TokenizerManager|WorkerProc|DataParallelController) hit an exception"
        r"|Failed to load \S+: |CBWorkerDeadError|Fatal Python error|Segmentation fault|core dumped|\bSIG(SEGV|ABRT"
        r"|ILL)\b",
        "the server failed while it started",
        "Its cause stands beside this line in the log.",
        ("{launch}",),
        "flag",
        f"{VLLM}; {TRANSFORMERS}",
        consequence=True,
    ),
)
