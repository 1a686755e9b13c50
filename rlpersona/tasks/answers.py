"""Answers read from free text, strictly: what is ambiguous is None, never a guess.

`tests/unit/tasks/gold_answers.py` is the table of what is read how.
"""

from __future__ import annotations

import functools
import re

from rlpersona.tasks.numbers import NUMBER, plain, read

_HASHES = re.compile(r"####[ \t]*(?:[Aa]nswer[ \t]*:[ \t]*)?(?=[-+$€£¥₹\\.\d])")
_HEADING = re.compile(r"[ \t]*[.):][ \t]*[^\W\d]")  # "#### 3. Add them up" is a heading, not an answer
_FILLER = r"(?:about|approximately|around|roughly|exactly|simply|just|equal to|therefore|[a-z][ \t]*=)"
_STATED = re.compile(
    r"\banswer(?:[ \t]+is|[ \t]+would[ \t]+be|[ \t]*[:=])[ \t:=*(]*+(?:\n[ \t]*+)?"
    rf"(?:{_FILLER}[ \t:=*(]*+)*+"
    r"(?=[-+$€£¥₹\\.\d])",
    re.IGNORECASE,
)
_OPERATOR = re.compile(r"[ \t]*([-+*/×÷·^=]|\\times|\\div|\\cdot|x(?=[ \t]*[\d$]))[ \t]*")


def extract_number(text: str, *, explicit: bool = False) -> str | None:
    """The final number of a worked answer in canonical form (`"-1080"`, `"0.75"`, `"1/3"`), or None.

    In this order: the first `#### x` (a base model that runs on writes further problems after it), the
    last `\\boxed{x}`, the last "answer is x" / "answer: x", and, unless `explicit`, the last number of
    the text. A mark decides even where what it marks cannot be read; a heading such as `#### 2. Add`
    is no mark. Where a calculation is marked (`12 - 5 = 7`) its result counts; one without a result,
    or a range (`5-10`), is None.

    Read: minus signs of any glyph, thousands commas in groups of three, decimals, `1.5e3`, currency
    (dropped), a unit or a percent sign after the number (dropped, `50%` is 50). Fractions of whole
    numbers (`3/4`, `2 1/2`, `\\frac{3}{4}`, `½`) become a decimal if that ends, else `a/b` in lowest
    terms. Not read: number words, `1,2`, `1.234,56`, `1 234`, `3:30`, `1.2.3`, powers, more than
    60 characters.
    """
    text = plain(text)
    for mark in _HASHES.finditer(text):
        number = NUMBER.match(text, mark.end())
        if number and not _HEADING.match(text, number.end()):
            return _calculation(text, mark.end())
    box = text.rfind("\\boxed{")
    if box >= 0:
        return _boxed(text[box + len("\\boxed{") :])
    stated = [mark for mark in _STATED.finditer(text) if NUMBER.match(text, mark.end())]
    if stated:
        return _calculation(text, stated[-1].end())
    if explicit:
        return None
    numbers = list(NUMBER.finditer(text))
    return read(numbers[-1]) if numbers else None


def parse_number(text: str) -> str | None:
    """The canonical form of a text that is one number and nothing else (currency and `%` aside)."""
    match = NUMBER.match(plain(text).strip())
    return read(match) if match and match.string[match.end() :].strip() in ("", "%", ".") else None


def same_number(a: str, b: str) -> bool:
    """Whether both texts are one number each and exactly equal: `"1,080"` and `"1080.0"` are."""
    left = parse_number(a)
    return left is not None and left == parse_number(b)


def _calculation(text: str, start: int) -> str | None:
    """The number at `start`, or the result of the calculation that begins there."""
    number = NUMBER.match(text, start)
    pending = False
    while number:
        step = _OPERATOR.match(text, number.end())
        following = NUMBER.match(text, step.end()) if step else None
        if not step or not following:
            break
        pending = step[1] != "="
        number = following
    return read(number) if number and not pending else None


def _boxed(tail: str) -> str | None:
    depth = 1
    end = -1
    while depth:
        end += 1
        if end == len(tail):
            return None
        depth += (tail[end] == "{") - (tail[end] == "}")
    content = re.sub(r"^[ \t]*[a-zA-Z][ \t]*=(?=[ \t]*\S)", "", tail[:end]).strip()
    first = NUMBER.search(content)
    if not first:
        return None
    numbers = list(NUMBER.finditer(content))
    return _calculation(content, first.start()) if len(numbers) == 1 or "=" in content else None


_CHOICE_WORDS = r"(?:answer|option|choice)"


def extract_letter(text: str, letters: str = "ABCD") -> str | None:
    """The letter that a reply to a lettered question picks, or None where it is not clear.

    Three kinds of evidence, the first that is there decides and must name one letter only:
    a statement ("The answer is B", "Answer: (B)", "\\boxed{B}", "option B is correct", "I choose B");
    a letter that begins a line, as "B.", "B)", "B:", "(B)" or all alone on it; "(B)" anywhere.
    Replies that repeat the options, or weigh two of them, name several and are None.

    The English article is never a letter: "A" before a word counts only as "A is", "A because" and
    the like, and a small letter only with its delimiter, "(b)", "b)" or "b." (all small letters
    alike, since a reply cut after "a" may have been an article). `letters` are capitals.
    """
    if not re.fullmatch("[A-Z]+", letters) or len(set(letters)) != len(letters):
        raise ValueError(f"letters must be different capitals A-Z, got {letters!r}")
    text = re.sub(r"\*\*|__|`|\\[()\[\]]", "", text).strip()
    text = re.sub(r"\\(?:text|mathrm|mathbf|textbf)\s*\{\s*([^{}]*?)\s*\}", r"\1", text)
    for patterns in _letter_patterns(letters):
        found = {
            name.upper()
            for pattern in patterns
            for match in pattern.finditer(text)
            for name in match.groups()
            if name
        }
        if found:
            return found.pop() if len(found) == 1 else None
    return None


@functools.cache
def _letter_patterns(letters: str) -> list[list[re.Pattern[str]]]:
    either = f"[{letters}{letters.lower()}]"
    capital = f"[{letters}]"
    after = r"(?=[ \t]*(?:$|[.,;:!?)\n]|(?:is|because|since|as|for)\b))"
    # B, C, D before a word are letters; A and I before a word are an article and a pronoun.
    others = re.sub("[AI]", "", letters)
    loose = f"[{others}]" if others else "(?!)"
    marked = rf"(?:\(({either})\)|({either})(?:\)|\.(?=\s|$))|({capital}){after}|({loose})(?=[ \t]))"
    second = rf"(?:[ \t]*(?:,|/|&|\bor\b|\band\b)[ \t]*(?:{_CHOICE_WORDS}[ \t]+)?\(?({capital})\b(?!'))?"
    stated = [
        rf"(?i:\b{_CHOICE_WORDS}(?:[ \t]+is|[ \t]+would[ \t]+be|[ \t]*[:=]))[ \t:]*+(?:\n[ \t]*+)?"
        rf"(?i:{_CHOICE_WORDS}[ \t]+)?{marked}{second}",
        rf"\\boxed\{{[ \t]*\(?({either})\)?[ \t]*\}}",
        rf"(?i:\b(?:option|choice|answer))[ \t]+\(?({capital})\)?[ \t]+(?i:is[ \t]+(?:the[ \t]+)?"
        rf"(?:correct|right|best))\b",
        rf"(?i:\bI(?:'d| would| will|'ll)?[ \t]+(?:choose|pick|select|go with|say))[ \t]+"
        rf"(?i:{_CHOICE_WORDS}[ \t]+)?{marked}{second}",
    ]
    leading = [
        rf"^[ \t]*(?:\(({either})\)|({either})[).:](?=\s|$)|"
        rf"({capital})[ \t]*+(?:[,;!?][ \t]*+)?$){second}"
    ]
    return [
        [re.compile(pattern, re.MULTILINE) for pattern in group]
        for group in (stated, leading, [rf"(?<!\w)\(({either})\)"])
    ]
