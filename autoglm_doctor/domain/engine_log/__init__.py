"""The log of an engine that starts, followed line by line: where it is, what it says of itself, whether it has failed.

For vLLM from 0.8 on, SGLang, `transformers serve`, and llama.cpp's servers (its own and llama-cpp-python's).
"""

from autoglm_doctor.domain.engine_log.follower import Follower

__all__ = ["Follower"]
