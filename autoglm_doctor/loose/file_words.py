"""What a sentence says of a model's files: which of them are faulty, and how."""

from __future__ import annotations

import re

from autoglm_doctor.facts import WeightFile
from autoglm_doctor.loose.amounts import sizes

#: What safetensors takes; a rounded "100 MB" is not more than that.
_HEADER_BYTES = 105_000_000

_WEIGHTS = re.compile(r"[\w.-]{1,120}\.(?:safetensors|gguf|bin|pth?)\b", re.IGNORECASE)
_SHARDS = re.compile(
    r"(?P<there>\d+) \D{0,40}(?:present|exist|there|on disk|found)\D+(?P<named>\d+)"
    r"|index (?:names|lists|expects|has) (?P<wanted>\d+)\D+(?P<found>\d+)"
    r"|(?:only )?(?<![\w.-])(?P<some>\d{1,4}) ?(?:of|/|out of) ?(?P<all>\d{1,4})(?![\w.-])(?: \w+){0,3}? "
    r"(?:are |were |is )?(?:present|there|downloaded|on disk|found|shards?|safetensors)",
    re.IGNORECASE,
)
_HEADER = re.compile(r"header[^.;]{0,30}", re.IGNORECASE)

_POINTERS = (
    r"without git[- ]?lfs|lfs[- ]pointer|pointer files?\b|git[- ]?lfs (?:was |is )?(?:not installed|missing|absent)"
    r"|no git[- ]?lfs|(?<![\d.])13\d bytes"
)
_MISSING = (
    r"(?:shards?|weight files?|safetensors|\.bin|\.gguf)\b(?: \w+){0,2}"
    r" (?:missing|absent|not found|not there|not on disk)"
    r"|missing (?:\w+ )?(?:shards?|weight files?|safetensors|model-\d)"
)
_CUT = (
    r"truncated|shorter than (?:its|the|their) header|cut (?:off|short)"
    r"|(?:download|transfer|copy|upload)\w* (?:was |were |is |got |has been )?"
    r"(?:interrupted|aborted|broken off|stopped|cancell?ed|incomplete|cut|killed)"
    r"|interrupted download|\bincomplete\b|partial(?:ly)?[- ](?:downloaded|copied|file|shard)|half[- ]downloaded"
)
_EMPTY = r"(?<![\d.])0 bytes|zero bytes|\b(?:is|are) empty|empty (?:file|shard)"
_NO_INDEX = r"without \S*index\.json|\bno \S*index\.json|index\.json \S* ?missing|missing \S*index\.json"
_NO_TEMPLATE = (
    r"(?:without|no|lacks|missing)(?: an?| any)? [`'\"]?chat[_ ]template"
    r"|chat[_ ]template\S* (?:is |was )?(?:missing|absent|not (?:there|defined|set|found|present|included))"
)

_TEMPLATE_FILE = (
    r"chat_template\.(?:jinja|json)\S* (?:is |was |file |are )*(?:present|there|exists?|found|used|included|shipped)\b"
    r"|\b(?:in|from|as|has|have|with) (?:an? |the |its )?(?:own |separate )?chat_template\.(?:jinja|json)"
)
#: Read only where there are no safetensors.
_OTHER_FORMAT = re.compile(r"\.(?:bin|pth?)$", re.IGNORECASE)
_SAFETENSORS_THERE = r"safetensors\b(?: \w+){0,2} (?:present|there|exists?|complete|ok|fine|downloaded|loads?)\b"
_OTHER_THERE = r"\.(?:bin|pth?)\b(?: \w+){0,2} (?:present|there|exists?|complete|ok|fine|downloaded|loads?)\b"
_SINGLE = re.compile(r"\b(?:single|one|only)\b[^,;]{0,30}(?:safetensors|file)\b|one[- ]file", re.IGNORECASE)

_FAULTS = (("lfs_pointer", _POINTERS), ("missing", _MISSING), ("truncated", _CUT), ("empty", _EMPTY))

#: Said before the words, it turns them round.
_DENIED = re.compile(r"(?:\bnot|\bnone|\bnever|\bwithout|n't|\bno|\bnothing)(?: [\w.-]+){0,2} $", re.IGNORECASE)
#: The files were made whole since.
#: That it is well, of the clauses behind the one that tells the fault.
_WELL = re.compile(
    r"\bcomplete\b|all (?:files |shards )?(?:are )?(?:there|present)|verified"
    r"|(?:sha-?256|checksums?|hash(?:es)?) (?:ok|match)|after (?:git )?lfs pull",
    re.IGNORECASE,
)
#: That something was done about it, which the clause of the fault may tell as well.
_DONE = re.compile(
    r"re-?download(?:ed\b|(?=,? (?:ok|worked|helped|done|complete|fine)))|after (?:an? )?re-?download"
    r"|downloaded again|\bfixed\b",
    re.IGNORECASE,
)
#: Before such words: it is still to be done, or told of other files.
_YET = re.compile(
    r"(?:\b(?:not?|never|needs?|must|should|has to|have to|be|please|until|others?|rest|remaining)|n't)"
    r"(?: [\w.-]+){0,2} $",
    re.IGNORECASE,
)
#: What was so once.
_ONCE = re.compile(r"\b(?:was|were|had been)\b.*\b(?:once|before|first|earlier)\b", re.IGNORECASE)
_PARTS = re.compile(r"[,;:.]\s+|\n|\b(?:but|and|then|now)\b", re.IGNORECASE)


def faults_in(said: str, name: str = "") -> tuple[WeightFile, ...]:
    """The faulty files that it speaks of; without a name of its own, `name` or "a weight file" stands for them."""
    counted = _of_numbers(said)
    if counted or _is_mended(said):
        return counted
    header = next((one for match in _HEADER.findall(said) for one in sizes(match)), 0)
    fault = "header_limit" if header > _HEADER_BYTES else _first(said)
    if not fault:
        return ()
    detail = f"a header of {header} bytes" if fault == "header_limit" else ""
    named = _named(said, fault)
    names = [one for one in named if not (_has_safetensors(said, fault) and _OTHER_FORMAT.search(one))]
    if (named and not names) or _is_the_other_there(said, fault, names):
        return ()
    every = tuple(dict.fromkeys(names or _WEIGHTS.findall(said))) or (name or "a weight file",)
    return tuple(WeightFile(name=one, size_bytes=0, fault=fault, detail=detail) for one in every)


def _is_mended(said: str) -> bool:
    """Whether it says so behind the fault, of the same files."""
    parts = _PARTS.split(said)
    at = next((at for at, one in enumerate(parts) if _first(one)), 0)
    later = [one for one in parts[at + 1 :] if not _is_of_others(one, parts[at])]
    was = parts[:at] if _ONCE.search(parts[at]) else []
    return any(_claims(_DONE, one) for one in (parts[at], *later)) or any(_claims(_WELL, one) for one in (*was, *later))


def _claims(pattern: re.Pattern[str], part: str) -> bool:
    return any(not _YET.search(part[max(0, match.start() - 80) : match.start()]) for match in pattern.finditer(part))


def _is_of_others(part: str, faulty: str) -> bool:
    here, there = set(_WEIGHTS.findall(part)), set(_WEIGHTS.findall(faulty))
    return bool(here and there) and not here & there


def _is_the_other_there(said: str, fault: str, names: list[str]) -> bool:
    """Whether safetensors are missing, and the files of the older format are not."""
    gone = fault == "missing" and bool(names) and all(one.endswith(".safetensors") for one in names)
    return gone and any(_says(_OTHER_THERE, one) for one in _clauses(said, fault)[1])


def _clauses(said: str, fault: str) -> tuple[list[str], list[str]]:
    """Those that speak of the fault, and the others."""
    pattern = dict(_FAULTS).get(fault, _HEADER.pattern)
    every = re.split(r"[,;]\s", said)
    return [one for one in every if _says(pattern, one)], [one for one in every if not _says(pattern, one)]


def _named(said: str, fault: str) -> list[str]:
    """The files of the clauses that speak of the fault."""
    return [name for one in _clauses(said, fault)[0] for name in _WEIGHTS.findall(one)]


def _has_safetensors(said: str, fault: str) -> bool:
    """Whether safetensors are there, beside which no other format is read."""
    rest = ", ".join(_clauses(said, fault)[1])
    return ".safetensors" in rest or _says(_SAFETENSORS_THERE, rest)


def says_no_index(said: str) -> bool:
    """Whether the index of the shards is said to be missing. A file alone has none."""
    return _says(_NO_INDEX, said) and not _SINGLE.search(said)


def says_no_template(said: str) -> bool:
    """Whether there is said to be no chat template."""
    return _says(_NO_TEMPLATE, said)


def says_template(said: str) -> bool:
    """Whether the chat template is said to lie in a file of its own."""
    return _says(_TEMPLATE_FILE, said)


def _first(said: str) -> str:
    return next((fault for fault, pattern in _FAULTS if _says(pattern, said)), "")


def _says(pattern: str, said: str) -> bool:
    matches = re.finditer(pattern, said, re.IGNORECASE)
    return any(not _DENIED.search(said[: match.start()]) for match in matches)


def _of_numbers(said: str) -> tuple[WeightFile, ...]:
    """Files of a sentence such as "15 present, index names 30" or "2 of 4 shards": those in between are missing."""
    match = _SHARDS.search(said)
    if match is None:
        return ()
    there = int(match["there"] or match["found"] or match["some"])
    return absent(there, int(match["named"] or match["wanted"] or match["all"]))


def absent(there: int, named: int) -> tuple[WeightFile, ...]:
    """The shards from one number to another, as save_pretrained names them; at most a thousand."""
    names = (f"model-{n:05}-of-{named:05}.safetensors" for n in range(there + 1, min(named, there + 1000) + 1))
    return tuple(WeightFile(name=name, size_bytes=0, fault="missing") for name in names)
