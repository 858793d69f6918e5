"""Write docs/checks.md: one page per check, from the checks themselves."""

from __future__ import annotations

import re
from pathlib import Path

from autoglm_doctor.registry import load_checks


def pages() -> str:
    """The whole file."""
    parts = ["# Checks", "", "Generated from the checks by `make docs`; edit the docstrings.", ""]
    for check in load_checks().checks:
        title, _, rest = check.page.partition("\n")
        required = " Required: without an answer there is no verdict." if check.required else ""
        explained = f" Explained by {', '.join(check.explained_by)}." if check.explained_by else ""
        body = re.sub(r"^## ", "### ", rest.strip(), flags=re.MULTILINE)
        parts += [f"## {check.code} {check.name}", "", f"**{title}**", "", body, ""]
        parts += [f"Cause code: `{check.cause}`.{required}{explained}", ""]
    return "\n".join(parts)


if __name__ == "__main__":
    Path(__file__).parent.parent.joinpath("docs", "checks.md").write_text(pages(), encoding="utf-8")
