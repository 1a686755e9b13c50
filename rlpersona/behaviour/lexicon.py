"""Lists of words and phrases from text files, found in sentences.

A file holds one entry a line; lines that begin with `#` are comments (source, licence), `[name]` begins
a group. `^` before an entry: at the beginning of a sentence alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.resources import files

_DENIED = re.compile(r"(?:\b(?:not|never|cannot|hardly|nor)|n't)(?: [\w']+){0,2} \Z")
_BLANKS = re.compile(r"\s+")


@cache
def groups(name: str) -> dict[str, re.Pattern[str]]:
    """One pattern for each group of `lexicons/<name>.txt`; entries before any `[group]` are group ""."""
    entries: dict[str, list[str]] = defaultdict(list)
    group = ""
    for line in files(__package__).joinpath("lexicons", f"{name}.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            group = line.strip("[]")
        elif line and not line.startswith("#"):
            entries[group].append(line)
    return {group: _pattern(listed) for group, listed in entries.items()}


@lru_cache(maxsize=8192)
def found(name: str, sentence: str, group: str = "", *, denied: bool = False) -> bool:
    """Whether a sentence has an entry of a list. An entry up to three words after a denial ("not sure")
    does not count, unless `denied`."""
    return any(True for _ in _hits(groups(name)[group], sentence, denied))


def count(name: str, sentence: str, group: str = "") -> int:
    """How many entries of a list a sentence has, without overlap, denied ones left out."""
    return sum(1 for _ in _hits(groups(name)[group], sentence, False))


def _hits(pattern: re.Pattern[str], sentence: str, denied: bool) -> Iterator[re.Match[str]]:
    plain = _plain(sentence)
    for match in pattern.finditer(plain):
        if denied or not _DENIED.search(plain, 0, match.start()):
            yield match


@lru_cache(maxsize=1024)
def _plain(sentence: str) -> str:
    return _BLANKS.sub(" ", sentence.lower()).strip(" \"'*_([")


def _pattern(entries: list[str]) -> re.Pattern[str]:
    inside = sorted((e for e in entries if not e.startswith("^")), key=len, reverse=True)
    leading = sorted((e[1:] for e in entries if e.startswith("^")), key=len, reverse=True)
    parts = [r"(?<!\w)(?:" + "|".join(map(re.escape, inside)) + r")(?!\w|'t\b)"] if inside else []
    parts += [r"\A(?:" + "|".join(map(re.escape, leading)) + r")(?!\w)"] if leading else []
    return re.compile("|".join(parts))
