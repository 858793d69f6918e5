"""Checks are found; what is broken about a plug-in costs a sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from autoglm_doctor.errors import DoctorError
from autoglm_doctor.registry import choose, load_checks
from autoglm_doctor.runner import needs

GOOD = '''
from autoglm_doctor.api import Findings, Host, Text, check, ok

@check("SIT001", "rack-is-known", cause="SITE")
def rack(host: Host) -> Findings:
    """The rack is known."""
    yield ok(Text("kernel {k}", {"k": host.kernel}))
'''


def test_every_built_in_check_asks_for_facts_that_exist() -> None:
    checks = load_checks().checks
    assert len(checks) >= 25
    for check in checks:
        needs(check)


def test_every_built_in_check_has_a_page_with_a_fix() -> None:
    for check in load_checks().checks:
        assert "## Fix" in check.page, check.code
        assert check.title.endswith("."), check.code


def test_explanations_name_checks_that_exist() -> None:
    checks = load_checks().checks
    codes = {check.code for check in checks}
    for check in checks:
        assert set(check.explained_by) <= codes, check.code


def test_a_folder_of_checks(tmp_path: Path) -> None:
    (tmp_path / "site.py").write_text(GOOD)
    registry = load_checks(tmp_path)
    assert "SIT001" in [check.code for check in registry.checks]
    assert registry.troubles == ()


@pytest.mark.parametrize("setting", [False, True])
def test_a_folder_of_checks_is_left_as_it_is(tmp_path: Path, setting: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the user's: not even compiled files are written there. Our own setting is as it was before."""
    monkeypatch.setattr(sys, "dont_write_bytecode", setting)
    (tmp_path / "site.py").write_text(GOOD)
    assert load_checks(tmp_path).troubles == ()
    assert [path.name for path in tmp_path.rglob("*")] == ["site.py"]
    assert sys.dont_write_bytecode is setting


@pytest.mark.parametrize(
    ("source", "trouble"),
    [
        pytest.param("import nowhere_to_be_found", "ModuleNotFoundError", id="does not import"),
        pytest.param("def f(:", "SyntaxError", id="is no Python"),
        pytest.param(GOOD.replace("SIT001", "DRV001"), "DRV001 is taken", id="takes a used code"),
        pytest.param(GOOD.replace("host: Host", "weather: Host").replace("host.", "weather."), "weather", id="asks for nonsense"),
        pytest.param(GOOD.replace("SIT001", "site1"), "three capitals", id="has a bad code"),
    ],
)  # fmt: skip
def test_a_broken_plug_in_costs_a_sentence(tmp_path: Path, source: str, trouble: str) -> None:
    (tmp_path / "site.py").write_text(source)
    registry = load_checks(tmp_path)
    assert len(registry.checks) == len(load_checks().checks)
    assert len(registry.troubles) == 1
    assert trouble in registry.troubles[0]


def test_a_folder_that_is_none() -> None:
    with pytest.raises(DoctorError, match="no folder"):
        load_checks(Path("/nowhere/at/all"))


@pytest.mark.parametrize(
    ("select", "skip", "expected"),
    [
        pytest.param(["VRM"], [], ["VRM001", "VRM002", "VRM003"], id="a prefix"),
        pytest.param(["vrm002"], [], ["VRM002"], id="a code in small letters"),
        pytest.param(["kv-cache-fits"], [], ["VRM003"], id="a name"),
        pytest.param(["VRM"], ["VRM003"], ["VRM001", "VRM002"], id="one of them not"),
    ],
)
def test_choosing(select: list[str], skip: list[str], expected: list[str]) -> None:
    assert [check.code for check in choose(load_checks().checks, select, skip)] == expected


@pytest.mark.parametrize("pattern", ["VRN", "", "no-such-check"])
def test_a_misspelt_code_is_refused(pattern: str) -> None:
    with pytest.raises(DoctorError, match="no check matches"):
        choose(load_checks().checks, [], [pattern])


def test_the_pages_are_up_to_date() -> None:
    import runpy

    root = Path(__file__).parent.parent
    pages = runpy.run_path(str(root / "tools" / "check_pages.py"))["pages"]()
    assert (root / "docs" / "checks.md").read_text() == pages, "run `make docs`"


def test_every_probe_gives_facts_that_exist() -> None:
    from autoglm_doctor.facts import fact_names
    from autoglm_doctor.steps import STEPS

    given = [name for step in STEPS for name in step.probe.gives]
    assert sorted(given) == sorted(fact_names()), "each fact has exactly one probe"
