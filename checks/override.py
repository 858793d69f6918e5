"""CFG: environment variables that override what would work."""

from __future__ import annotations

from packaging.version import Version

from autoglm_doctor.api import Environment, Findings, Fix, Intent, Judgement, Packages, Text, check, fail, ok, warn
from autoglm_doctor.domain.builds import release_of
from autoglm_doctor.domain.deployment import engine_version, variables_of
from autoglm_doctor.domain.overrides import RULES, Rule


@check("CFG006", "variables-make-sense", cause="ENV_VAR_OVERRIDE_WRONG")
def variables_make_sense(environment: Environment, packages: Packages | None, intent: Intent) -> Findings:
    """No environment variable of NCCL, CUDA, torch or vLLM has a value that cannot be right.

    Such variables outlive the trouble that they were set for: a value that was copied from somewhere, a switch for
    finding faults that stayed on, an address that Kubernetes puts in the place of a number. Some stop the engine at
    its start (red), most make it slow, are passed over, or mean another number than is thought (yellow).

    Judged is the form that each variable's own documentation takes, and for NCCL_BUFFSIZE a size of 256 MiB at most
    (ours; 4 MiB is the default). Variables that are not in the table are left alone.

    ## Fix

    Unset the variable.
    """
    variables = variables_of(environment, intent)
    version = release_of(engine_version(packages, intent))
    wrong = [rule for rule in RULES if rule.name in variables and _concerns(rule, intent, version)]
    wrong = [rule for rule in wrong if not rule.good(variables[rule.name])]
    for rule in wrong:
        yield _bad(rule, variables[rule.name])
    if not wrong:
        yield ok(Text("no variable of NCCL, CUDA, torch or vLLM has a value that cannot be right"))


def _concerns(rule: Rule, intent: Intent, version: Version | None) -> bool:
    if rule.engine:
        gone = rule.until and version is not None and version >= Version(rule.until)
        return rule.engine == intent.engine and not gone
    if intent.engine == "llamacpp":
        return rule.name.startswith("CUDA_")
    return not rule.several or intent.gpus_needed > 1


def _bad(rule: Rule, value: str) -> Judgement:
    said = {"name": rule.name, "value": value[:80], "form": rule.form, "effect": rule.effect}
    return (fail if rule.status == "fail" else warn)(
        Text('{name}="{value}": {effect}; it takes {form}', said),
        fix=Fix(
            text=Text("unset it, also in the file or service that sets it"),
            commands=(
                f"unset {rule.name}",
                f"grep -rn {rule.name} ~/.bashrc ~/.profile /etc/environment /etc/profile.d",
            ),
            url=rule.source,
        ),
        subject=rule.name,
        observed=value[:80],
        expected=rule.form,
    )
