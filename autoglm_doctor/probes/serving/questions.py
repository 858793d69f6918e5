"""What the server is asked: short, greedy, and of the kind that it will get.

The agent's question has the form of Open-AutoGLM's (phone_agent/config/prompts_zh.py, agent.py and model/client.py of
that project) in words of our own: the date, the form <think>/<answer>, the actions, then the screenshot, the task and
the screen's description as JSON. It is in Chinese, as the prompt that AutoGLM-Phone-9B was trained with; the
multilingual model reads it too.
"""

from __future__ import annotations

import datetime
import json
import random
from dataclasses import dataclass
from typing import Any

from autoglm_doctor.probes.serving.screenshot import data_uri, picture, screenshot

Message = dict[str, Any]

COLD_TOKENS = 16
TEXT_TOKENS = 48
#: An answer of the agent has one to two hundred tokens; the client itself allows 3000.
AGENT_TOKENS = 512
TEXT = "Which city is the capital of France, and what is 2 + 2? Answer in one sentence."
LOOK = "Describe the screen of the phone: which words can be read on it?"
TASK = "打开 Settings，查看手机的存储空间"


@dataclass(frozen=True, slots=True)
class Question:
    """`name` is that of `Ask`; `picture` width and height of what is shown. `fixed`: all tokens are wanted."""

    name: str
    messages: tuple[Message, ...]
    max_tokens: int
    picture: tuple[int, int] | None = None
    fixed: bool = False


def _user(text: str, png: bytes | None = None) -> Message:
    if png is None:
        return {"role": "user", "content": text}
    shown = {"type": "image_url", "image_url": {"url": data_uri(png)}}
    return {"role": "user", "content": [shown, {"type": "text", "text": text}]}


def cold() -> Question:
    """The first question of all, which pays for everything that the server still puts off."""
    return Question("cold", (_user("Hello! Please say hello back."),), COLD_TOKENS)


def text(name: str = "text") -> Question:
    """A short question of which everybody knows the answer."""
    return Question(name, (_user(TEXT),), TEXT_TOKENS)


def look(name: str, theme: str, size: tuple[int, int]) -> Question:
    """The same words about one of two pictures ("light", "dark")."""
    return Question(name, (_user(LOOK, screenshot(size, theme)),), TEXT_TOKENS, size)


def no_look() -> Question:
    """The same words without a picture."""
    return Question("no picture", (_user(LOOK),), TEXT_TOKENS)


def agent(size: tuple[int, int], context: int | None, today: datetime.date | None = None) -> Question:
    """Open-AutoGLM's kind of question. `context`: the tokens that fit, of which the answer takes a quarter at most."""
    day = today or datetime.date.today()
    shown = f"{TASK}\n\n{json.dumps({'current_app': 'System Home'})}"
    messages = ({"role": "system", "content": _system(day)}, _user(shown, screenshot(size, "light")))
    limit = AGENT_TOKENS if context is None else max(16, min(AGENT_TOKENS, context // 4))
    return Question("agent", messages, limit, size)


def _system(day: datetime.date) -> str:
    return f"""今天是 {day.isoformat()}，{day:%A}。
你是手机操作助手。根据任务、历史和当前屏幕截图，决定下一步要做的一个操作。
只按下面的格式输出：
<think>简短说明为什么这样做</think>
<answer>一个操作</answer>

可以使用的操作：
- do(action="Launch", app="应用名")：启动应用，比在桌面上寻找更快
- do(action="Tap", element=[x,y])：点击，左上角为 (0,0)，右下角为 (999,999)
- do(action="Type", text="内容")：在已聚焦的输入框中输入
- do(action="Swipe", start=[x1,y1], end=[x2,y2])：滑动
- do(action="Back")：返回
- do(action="Home")：回到桌面
- do(action="Wait", duration="x seconds")：等待页面加载
- finish(message="说明")：任务已完成，结束

先看当前应用是不是任务需要的应用，如果不是，先用 Launch。每次只输出一个操作。
"""


_SYLLABLES = ("ba", "ko", "mi", "ren", "tal", "su", "vor", "ne", "pli", "da", "gra", "lo")


def story(seed: int, words: int, max_tokens: int) -> Question:
    """A prompt of so many words that no cache has seen: the salt leads, since caches go by the beginning."""
    source = random.Random(seed)  # noqa: S311  no secret
    filler = ["".join(source.choice(_SYLLABLES) for _ in range(2)) for _ in range(words)]
    asked = f"{seed:x} {' '.join(filler)}\nTell a long story in which these words are names."
    return Question("story", (_user(asked),), max_tokens, fixed=True)


def new_picture(seed: int, size: tuple[int, int], max_tokens: int) -> Question:
    """A picture that no cache has seen."""
    return Question("new picture", (_user(f"{seed:x} {LOOK}", picture(size, seed)),), max_tokens, size, fixed=True)
