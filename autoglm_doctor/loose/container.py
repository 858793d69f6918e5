"""`container` -> the kind of container, and the engine that its image holds."""

from __future__ import annotations

import re
from typing import Any

from autoglm_doctor.loose.values import table, text
from autoglm_doctor.matrix import Matrix

_KINDS = (
    ("kubernetes", r"kubernetes|\bk8s\b|\bpods?\b|kuberay"),
    ("podman", r"podman"),
    ("docker", r"docker|compose|[\w.-]+/[\w.-]+:[\w.-]+|\bNGC\b"),
)
_IMAGES = (
    ("vllm", r"vllm-openai:v(\d+(?:\.\d+)+\w*)(?:-(cu\d{3}))?"),
    ("sglang", r"sglang:v(\d+(?:\.\d+)+(?:\.post\d+)?)(?:-(cu\d{3}))?"),
)
#: The projects' own images by their full names, of whatever mirror, without a tag for another CUDA or kind of machine.
#: Those of SGLang up to cu126 hold one torch: github.com/sgl-project/sglang issue 4952, pull requests 5894 and 7045.
_OFFICIAL = (
    ("vllm", r"(?<![\w.-])vllm/vllm-openai:v(\d+(?:\.\d+)+(?:\.?post\d+)?)(?![\w.-]*[\w-])"),
    (
        "sglang",
        r"(?<![\w.-])lmsysorg/sglang:v(\d+(?:\.\d+)+(?:\.?post\d+)?)(?:-cu(?:118|12[0-6]))?(?:-srt)?(?![\w.-]*[\w-])",
    ),
)
#: Words of an image that was changed or that one built on.
_CHANGED = re.compile(
    r"\b(?:pip3?|uv|conda|custom|own|based|derived|built|build|patched|fork|upgraded?|inside|modified|replaced"
    r"|exchanged|changed|dockerfile)\b|\+ *[a-z]",
    re.IGNORECASE,
)
#: What may stand around the name of an image that nobody changed: who starts it, and its flags with their values.
_FLAG = re.compile(r"(?<!\S)-{1,2}[A-Za-z][\w-]*(?:[= ](?:'[^']*'|\"[^\"]*\"|[^\s-]\S*))?")
_AROUND = re.compile(
    r"(?:docker|podman|compose|run|exec|container|image|official|kubernetes|k8s|pods?|apptainer|singularity|latest|in|the"
    r"|on|host|project's|of|nvidia|runtime|with|using|stock|plain|unchanged|unmodified|tag|an?"
    r"|(?:pulled )?(?:straight |directly )?from (?:the )?(?:docker ?hub|docker\.io|registry|quay(?:\.io)?|project)"
    r"|pulled|today|yesterday|\W)*",
    re.IGNORECASE,
)
#: What is told of the machine around it, and not of the image.
_OF_HOST = re.compile(
    r"\b(?:nvidia )?driver(?: version)?\W{0,2}\d[\d.]*(?:\W{0,3}cuda \d+\.\d+)?"
    r"|\bhost(?:'s)?\W{1,2}(?:has |with )?(?:cuda|driver) ?\d[\d.]*|\bcuda \d+\.\d+ on (?:the )?host\b"
    r"|\bnvidia-smi (?:shows|says|reports) cuda \d+\.\d+"
    r"|\bon (?:an? |the |our |my )?(?:ubuntu|debian|fedora|rhel|rocky(?: linux)?|almalinux|centos)(?: \d[\d.]*)?"
    r"(?: lts)?(?: (?:host|server|machine|box)\b)?",
    re.IGNORECASE,
)
#: Images that hold builds for GPUs which the project has dropped, their tags the project's own versions:
#: github.com/sasha0552/pascal-pkgs-ci (its README; v0.5.5 to v0.10.0, for 6.0 and 6.1) and its issue 46. Others say so
#: in the name: revolver/vllm-pascal:0.9.1, vllm-v100:0.21.0.
_FOR_PASCAL = re.compile(r"(?:sasha0552|space192)/vllm:v(\d+(?:\.\d+)+(?:\.?post\d+)?)", re.IGNORECASE)
#: A GPU that is only named beside an engine says nothing of the engine.
_OF_OTHERS = re.compile(
    r"\b(?:sasha0552|space192)/|\bvllm[-_](?:pascal|p40|p100|volta|v100)|\b(?:pascal|volta)[-_]vllm"
    r"|\bfork(?:ed)?\b|\bpatch(?:ed|es)?\b",
    re.IGNORECASE,
)
#: Other things that are patched, and processes that fork.
_OTHER_THINGS = (
    r"(?:driver|kernel|toolkit|host|security|system|os|ubuntu|debian|bios|firmware|transformers|tokenizer|template|model"
    r"|nccl|torch|process|subprocess|worker|start|method|mode|server process)"
)
_PATCHED_ELSE = re.compile(
    rf"\b{_OTHER_THINGS}s?(?: is| was| are| has been| method)?[ =:]+(?:patch|fork)\w*"
    rf"|\b(?:patch|fork)\w* (?:the |an? |for the |of the |nvidia )*{_OTHER_THINGS}s?\b|\w+=fork\b",
    re.IGNORECASE,
)
_FOR_OLDER = re.compile(r"\bvllm[-_](pascal|p40|p100|volta|v100):v?(0\.\d+\.\d+(?:\.?post\d+)?)", re.IGNORECASE)
#: Makers who build torch and the engines themselves.
_VENDORS = re.compile(
    r"nvcr\.io|nvidia|\bngc\b|\bnim\b|jetson|l4t|dustynv|rocm|intel|ascend|\bnpu\b|conda|nightly|\bgb10\b|spark", re.I
)
#: NVIDIA's own, on which one builds.
_CUDA_IMAGE = re.compile(r"\bnvidia/cuda:(\d+\.\d+)", re.IGNORECASE)
_NAMES = (("vllm", r"\bvllm\b"), ("sglang", r"\bsglang\b"))


#: No container. What begins with the machine may still name one behind it: "bare metal Kubernetes".
_NONE = re.compile(
    r"(?:no|none|n/?a|false|-)(?=\W*$|\s*[,;.:(]|\s+[-\u2013]\s)"
    r"|(?:no|not|without|outside)(?: (?:in|of|inside|run|running|using|started|a|any|the))*"
    r" (?:docker|podman|container(?:i[sz]ed|s)?)\b(?![- ](?:toolkit|runtime|desktop|compose|memory|limit))",
    re.IGNORECASE,
)
_MACHINE = re.compile(
    r"(?:directly |runs? |running )*(?:on )?(?:the )?"
    r"(?:bare[- ]?metal|native(?:ly)?|host)\b(?![- ](?:network|ipc|mode))",
    re.IGNORECASE,
)
#: CUDA releases that an image names: "nvidia/cuda:12.4.1-devel", "CUDA 12.1 image", "...-cu124".
_NAMED_CUDA = re.compile(r"\bcuda[ :_-]?v?(\d{2}\.\d)|(?:\b|_)cu(1[1-9])(\d)(?!\d)", re.IGNORECASE)


def _said(container: Any) -> str:
    """The sentence; of an object, its values."""
    return text(container) or " ".join(text(value) for value in table(container).values())


def kind_of(container: Any) -> str:
    """ "docker", "podman", "kubernetes", "container" of another kind; "" when there is none."""
    said = _said(container)
    if not said or _NONE.match(said):
        return ""
    on_machine = _MACHINE.match(said)
    named = re.sub(rf"\b(?=no|without){_NONE.pattern}", "", said, flags=re.IGNORECASE) if on_machine else said
    kind = next((kind for kind, pattern in _KINDS if re.search(pattern, named, re.IGNORECASE)), "container")
    return "" if on_machine and kind == "container" else kind


def cuda_of_image(container: Any) -> frozenset[str]:
    """The CUDA releases that its name speaks of, "12.4"."""
    return frozenset(one[1] or f"{one[2]}.{one[3]}" for one in _NAMED_CUDA.finditer(_said(container)))


def image_engine(container: Any) -> tuple[str, str]:
    """The engine that the image is made for and its version by the tag, "0.15.1+cu130"; "" for what is not told."""
    said = _said(container)
    for_pascal = _FOR_PASCAL.search(said)
    if for_pascal:
        return "vllm", f"{for_pascal[1]}+pascal"
    for_older = _FOR_OLDER.search(said)
    if for_older:
        return "vllm", f"{for_older[2]}+{for_older[1].lower()}"
    for name, pattern in _IMAGES:
        match = re.search(pattern, said, re.IGNORECASE)
        if match:
            return name, match[1] + (f"+{match[2]}" if match[2] else "")
    return next(((name, "") for name, pattern in _NAMES if re.search(pattern, said, re.IGNORECASE)), ("", ""))


def of_image(container: Any) -> str:
    """What is said of the image, without what is said of its host and driver."""
    return _OF_HOST.sub(" ", _said(container))


def official_engine(container: Any) -> tuple[str, str]:
    """Engine and version of an image that its project published and nobody changed; "" for any other."""
    said = of_image(container)
    found = ((name, re.search(pattern, said, re.IGNORECASE)) for name, pattern in _OFFICIAL)
    name, match = next(((name, match) for name, match in found if match), ("", None))
    if match is None or _CHANGED.search(said):
        return "", ""
    around = re.sub(r"\S*$", "", said[: match.start()]) + said[match.end() :]
    return (name, match[1]) if _AROUND.fullmatch(_FLAG.sub(" ", around)) else ("", "")


def of_vendor(container: Any) -> bool:
    """Whether it names somebody who builds torch himself, or no release."""
    return bool(_VENDORS.search(of_image(container)))


def is_of_others(said: Any) -> bool:
    """Whether an engine, or an image, is told to be changed or made for GPUs that its project has dropped."""
    return bool(_OF_OTHERS.search(without_other_patches(_said(said))))


def without_other_patches(said: str) -> str:
    """A sentence without a driver or another thing that is told to be patched."""
    return _PATCHED_ELSE.sub(" ", said)


def is_cuda_image(container: Any) -> bool:
    """Whether it is NVIDIA's own, with nothing in it than CUDA."""
    return bool(_CUDA_IMAGE.search(_said(container)))


def demand_of(container: Any, matrix: Matrix) -> str:
    """NVIDIA_REQUIRE_CUDA of the image that is named, as far as it is known; "" when it is not."""
    cuda = _CUDA_IMAGE.search(_said(container))
    if cuda:
        return matrix.image_demand(cuda[1])
    engine, version = image_engine(container)
    tag = re.search(r"\+cu(\d+)(\d)$", version)
    if not version or ("+" in version and not tag):  # somebody else's build
        return ""
    return matrix.image_demand(f"{tag[1]}.{tag[2]}" if tag else matrix.image_cuda(engine, version))


def required_cuda(container: Any) -> str:
    """The oldest CUDA that the image says it needs, "12.8"; "" when it does not."""
    match = re.search(
        r"(?:requires?|needs?) cuda\W{0,4}(\d+\.\d+)|cuda ?>= ?(\d+\.\d+)", _said(container), re.IGNORECASE
    )
    return (match[1] or match[2]) if match else ""


def default_shared_memory(container: Any) -> bool:
    """Whether it says that shared memory was left at the runtime's default."""
    return bool(re.search(r"default (?:/dev/)?shm|without --shm-size|no --shm-size", _said(container), re.IGNORECASE))
