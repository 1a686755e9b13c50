"""Verdicts, scores and rankings in plain words, for judges that give no JSON."""

from __future__ import annotations

import re
from typing import Literal

Choice = Literal["A", "B", "tie"]

_NAMES = r"(?:answer|response|option|choice|assistant|candidate)"
# What may follow a letter that is meant as one: "A better answer" begins with an article, and of
# "A, B" or "A or B" none is meant.
_LIST = r"(?![ \t]*(?:,|/|&|\bor\b|\band\b)[ \t]*(?:(?:or|and)[ \t]+)?[AB]\b)"
_END = r"(?=[ \t]*(?:$|[.,;:!?)\]\n(>-]|(?:because|since|as|for|by|over|rather{verbs})\b))" + _LIST
_NAMED = rf"(?:(?:the[ \t]+)?(?i:{_NAMES})[ \t]+)?"
_MARKED = r"[(\[\"']([ABab])[)\]\"']" + _LIST
_LETTER = rf"{_NAMED}(?:{_MARKED}|(?<![A-Za-z'])([AB])\b(?!'){_END.format(verbs='')})"
_SUBJECT = rf"{_NAMED}(?:{_MARKED}|(?<![A-Za-z'])([AB])\b(?!'))"
_TIE = r"(?i:an?[ \t]+)?((?i:tie|draw|equal|tied))\b"
_STATED = (
    r"\[\[[ ]*(A|B|C|tie)[ ]*\]\]",
    r"\\boxed\{[ ]*\(?([AB]|(?i:tie))\)?[ ]*\}",
    rf"\b(?i:(?:winner|verdict|decision|judge?ment|preference|choice|better(?:[ \t]+{_NAMES})?|best|"
    r"preferred|final[ \t]+answer|answer)"
    r"(?:[ \t]+(?:is|would[ \t]+be)|[ \t]*(?:[:=]|->|→))[ \t:]*(?:\n[ \t]*)?)"
    rf"(?:{_LETTER}|{_TIE})",
)
_ALONE = (
    rf"^[ \t]*{_NAMED}[(\[\"']?([AB])[)\]\"']?[ \t]*"
    r"(?:$|[.;!)](?![A-Za-z])|,?[ \t]+(?:because|since|as|it)\b)",
    rf"^[ \t]*{_NAMED}[(\[\"']([ab])[)\]\"'][ \t]*[.:]?[ \t]*$",
    r"^[ \t]*(?i:(?:answer|response|option)[ \t]+([ab]))[.!]?[ \t]*$",
    rf"^[ \t]*(?:it(?:'s|[ \t]+is)[ \t]+)?{_TIE}[.!]?[ \t]*$",
)
_MUCH = (
    r"(?:(?:is|was|seems|looks|does|did|reads|provides|gives|offers)[ \t]+)"
    r"(?:(?:clearly|much|far|slightly|a[ \t]+bit|somewhat|marginally|definitely|significantly|the|a|an|"
    r"overall|to[ \t]+be|also|therefore|thus|indeed)[ \t]+)*"
)
_PREFERRED = (
    r"\bI(?:'d| would| will|'ll| do)?[ \t]+(?:[a-z]+ly[ \t]+)?(?:choose|chose|pick|select|prefer|"
    rf"go with|say|vote for|favou?r)[ \t]+(?:{_LETTER}|{_TIE})",
    rf"{_SUBJECT}[ \t]+{_MUCH}(?:better|best|stronger|superior|winner|preferable|preferred)\b",
    rf"{_SUBJECT}[ \t]+wins\b",
    rf"{_SUBJECT}[ \t]*>[ \t]*{_NAMED}[AB]\b",
    r"\b(?:prefer|choose|favou?r)[ \t]+" + _SUBJECT + r"[ \t]+(?:over|to|rather)\b",
    rf"(?i:\b(?:it(?:'s|[ \t]+is)|this[ \t]+is|call[ \t]+it|they(?:'re|[ \t]+are)|declare))[ \t]+{_TIE}",
    r"(?i)\bboth\b[^.\n]{0,30}\b(?:are|were)[ \t]+((?:equal)(?:ly)?)\b",
    rf"(?i)\b(neither)(?:[ \t]+{_NAMES}|[ \t]+one|[ \t]+of[ \t]+them)?[ \t]+is[ \t]+"
    r"(?:clearly[ \t]+)?better\b",
)
_DENIED = re.compile(
    r"\b(?:not|never|nor|neither|hardly|unless|whether|cannot|without|might|could|may)\b|n't\b|"
    r"\bif\b(?![ \t]+I[ \t]+(?:had|have)[ \t]+to)",
    re.IGNORECASE,
)


def choice(text: str) -> Choice | None:
    """The winner that a reply states in words, see `reading.read_choice`."""
    text = re.sub(r"\*\*|__|`|\\[()\[\]]|^#+[ \t]+|^>[ \t]", "", _straight(text), flags=re.MULTILINE)
    for patterns in (_STATED, _ALONE, _PREFERRED):
        found = {
            _name(name)
            for pattern in patterns
            for match in re.finditer(pattern, text, re.MULTILINE)
            if not _denied(text, match)
            for name in match.groups()
            if name
        }
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def score(text: str, highest: int) -> int | None:
    """The one whole number that a reply states as its score: labelled, or alone on a line."""
    label = r"(?:(?:final|overall|my)[ \t]+)?(?:score|rating|grade|label)"
    for number in (
        _numbers(text, rf"\b{label}[ \t]*(?:\([^)\n]*\))?[ \t]*(?:is|of|[:=])[ \t:]*", highest),
        _numbers(text, r"\bI(?:'d| would)?[ \t]+(?:give|rate)[^.\n\d]{0,30}?(?:an?[ \t]+)?", highest),
        _numbers(text, r"^[ \t(\[]*", highest, r"[ \t)\].]*$"),
        _numbers(text, r"^[ \t(\[]*", highest, r"[ \t]*(?::|[-–—][ \t])[ \t]*(?=[A-Z])"),
    ):
        if number:
            return number.pop() if len(number) == 1 else None
    return None


def labelled(text: str, label: str, highest: int) -> int | None:
    """The whole number after `label:` on a line of its own; None if there is none, or two differ."""
    name = re.escape(label).replace(r"\ ", r"[ _-]")
    numbers = _numbers(
        text, rf"^[ \t*-]*(?:\d+[.)][ \t]*)?{name}[ \t]*[:=][ \t]*", highest, r"(?![\d\w])"
    )
    return numbers.pop() if len(numbers) == 1 else None


def ranking(text: str, letters: str) -> list[str] | None:
    """The letters in the order in which a reply ranks them, None where it is not clear."""
    text = re.sub(r"[*`\"'\[\]]", "", _straight(text)).strip()
    one = rf"(?:{_NAMES}[ \t]+)?\(?([{letters}])\)?"
    lines = re.findall(rf"^[ \t]*\d+[.):][ \t]*{one}(?![\w'])", text, re.MULTILINE | re.IGNORECASE)
    rows = [
        re.findall(rf"\b([{letters}])\b", match[0])
        for match in re.finditer(
            rf"\b(?i:{_NAMES}[ \t]+)?[{letters}](?:[ \t]*(?:>+|,|≻|;)[ \t]*(?i:(?:and|then)[ \t]+)?"
            rf"(?:(?i:{_NAMES})[ \t]+)?[{letters}]\b)+",
            text,
        )
    ]
    if re.fullmatch(rf"[{letters}]{{{len(letters)}}}", text):
        rows.append(list(text))
    if lines:
        rows.append([line.upper() for line in lines])
    whole = [row for row in rows if len(row) == len(letters)]
    return whole[0] if whole and all(row == whole[0] for row in whole) else None


def _numbers(text: str, before: str, highest: int, after: str = "") -> set[int]:
    """Whole numbers after a mark; `4/5` and `4 out of 5` if 5 is the highest, never 1.5, -1, 2-3."""
    text = re.sub(r"\*\*|__|`", "", _straight(text))
    part = rf"(?:[ \t]*(?:/|out of)[ \t]*{highest}(?![\d.]*\d))?"
    stop = r"(?!\d|[.,]\d|[ \t]*(?:[-–—/%][ \t]*\d|%|\bor\b|\bto\b|\bout of\b))"
    pattern = rf"{before}(?<![-.\d])(\d{{1,3}}){part}{stop}{after}"
    return {int(found) for found in re.findall(pattern, text, re.IGNORECASE | re.MULTILINE)}


def _denied(text: str, match: re.Match[str]) -> bool:
    """Whether the sentence up to the match denies or supposes what it says, or the sentence asks."""
    start = max(text.rfind(mark, 0, match.start()) for mark in (". ", "! ", "? ", "\n", "; ", ": "))
    end = re.compile(r"[.!?\n]|$").search(text, match.end())
    asks = end is not None and end[0] == "?"
    return asks or bool(_DENIED.search(text, start + 1, match.start()))


def _name(said: str) -> Choice:
    if said.upper() == "A":
        return "A"
    return "B" if said.upper() == "B" else "tie"


def _straight(text: str) -> str:
    return text.translate({0x201C: '"', 0x201D: '"', 0x2018: "'", 0x2019: "'", 0xFEFF: None})
