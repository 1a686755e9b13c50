"""Numbers as they are written in answers, read exactly."""

from __future__ import annotations

import re
from fractions import Fraction

# A run of digits with whatever binds digits to each other; `_value` decides if it is one number.
# A digit right after a letter is part of a name (H2O, GPT4), not a number.
_RUN = r"(?>(?<![^\W\d_])(?<!\d)(?:\d|\.\d)(?:[\d,.:](?=\d)|(?<=\d)[eE][+-]?(?=\d)|\d)*)"
_DIGITS = rf"(?>{_RUN}(?:[ ]\d+/\d+(?![\d/])|(?:[ ]?/[ ]?{_RUN})+)?)"
_CURRENCY = r"\\?[$€£¥₹][ ]?"
# A minus is a sign only where nothing stands before it that it could be taken from.
NUMBER = re.compile(
    rf"(?P<sign>(?<![\w)\]}}%])[-+])?(?:{_CURRENCY}(?P<inner>[-+])?)?(?P<digits>{_DIGITS})"
)
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_PLAIN = re.compile(r"(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,2})?")
_POWERS = ("^", "²", "³")
_LONGEST = 60

_GLYPHS = str.maketrans({"−": "-", "–": "-", "‑": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " "})
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4"}
_PLAINLY = [
    (re.compile(r"<<[^<>]*>>"), ""),  # GSM8K's calculator marks
    (re.compile(r"(?<=\d)\s*(?=\\[dt]?frac\b)"), " "),
    (re.compile(r"\\[dt]?frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}"), r"\1/\2"),
    (re.compile(r"(?<=\d)(?:\{,\}|\\,|\\!|,\\!)(?=\d{3})"), ","),
    (re.compile(r"\\(?:text|mathrm|mathbf|textbf)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\*\*|__|`|\\[()\[\]]"), ""),
    (re.compile(r"\b(?:USD|EUR|GBP)[ ]?(?=\d)"), "$"),
    (re.compile(r"(?<=\d)x(?=\d)"), " x "),
    (re.compile(r"(####|[=:]|\bis)([ \t]*)-[ \t]+(?=\\?[$€£¥₹]?[\d.])"), r"\1\2-"),
]


def plain(text: str) -> str:
    """The text with minus signs, currencies, LaTeX and markdown written plainly, for `NUMBER`."""
    text = text.translate(_GLYPHS)
    for glyph, written in _VULGAR.items():
        text = re.sub(rf"(?<=\d)[ ]?{glyph}", f" {written}", text).replace(glyph, written)
    for pattern, replacement in _PLAINLY:
        text = pattern.sub(replacement, text)
    return text


def read(match: re.Match[str]) -> str | None:
    """The canonical form of a match of `NUMBER`; None where it is not clear which number it is."""
    before, after = match.string[: match.start()], match.string[match.end() : match.end() + 1]
    value = _value(match["digits"])
    if value is None or after in _POWERS or before.endswith(("^", "^{")):
        return None
    if re.match(r"\d{3}(?!\d)", match["digits"]) and re.search(r"\d \Z", before[-2:]):
        return None  # "1 234": one number in some countries, two in others
    signs = (match["sign"] or "") + (match["inner"] or "")
    written = canonical(-value if signs == "-" else value)
    return written if len(signs) < 2 and len(written) <= _LONGEST else None


def canonical(value: Fraction) -> str:
    """`"-1080"`, `"0.75"`, `"1/3"`: a decimal without needless zeros where it ends, else a fraction."""
    twos = fives = 0
    rest = value.denominator
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).zfill(places + 1)
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else f"{sign}{digits}"


def _value(digits: str) -> Fraction | None:
    if len(digits) > _LONGEST:
        return None
    mixed = re.fullmatch(r"(\d+) (\d+)/(\d+)", digits)
    if mixed:
        whole, over, under = (int(part) for part in mixed.groups())
        return whole + Fraction(over, under) if under else None
    parts = [_simple(part.strip()) for part in digits.split("/")]
    if len(parts) == 1:
        return parts[0]
    top, bottom = parts[0], parts[1]
    if len(parts) > 2 or top is None or not bottom or top.denominator * bottom.denominator != 1:
        return None
    return top / bottom


def _simple(token: str) -> Fraction | None:
    if _GROUPED.fullmatch(token):
        return Fraction(token.replace(",", ""))
    return Fraction(token) if _PLAIN.fullmatch(token) else None
