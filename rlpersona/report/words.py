"""How numbers and foreign text are written, the same in figures, page and terminal."""

from __future__ import annotations

import unicodedata

from rich.cells import cell_len

from rlpersona.report.records import Measured, Summary

MISSING = "not measured"

_SIGNS = str.maketrans({"±": "+-", "–": "-", "’": "'", "×": "x", "→": "->"})
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean(text: str) -> str:
    """Foreign text made safe to show: one line, no terminal escapes, no direction overrides.

    White space becomes a single space; control characters, lone surrogates and bidirectional
    controls become U+FFFD, since a terminal or an XML parser would act on them.
    """
    return _inert(" ".join(text.split()))


def clean_block(text: str) -> str:
    """As `clean`, for a text of several lines: line ends and indentation stay."""
    return "\n".join(_inert(line.expandtabs()) for line in text.replace("\r\n", "\n").split("\n"))


def ascii_text(text: str) -> str:
    """The text in ASCII: accents dropped (`José` to `Jose`), the signs of our own sentences written out
    (`±` as `+-`), the rest as backslash escapes."""
    plain = unicodedata.normalize("NFKD", text.translate(_SIGNS))
    bare = (char for char in plain if not unicodedata.combining(char))
    return "".join(bare).encode("ascii", "backslashreplace").decode("ascii")


def shorten(text: str, cells: int) -> str:
    """The text cut to `cells` terminal cells, an ellipsis of three dots at the end if it was."""
    return text if cell_len(text) <= cells else _chop(text, cells - 3)[0].rstrip() + "..."


def wrap(text: str, cells: int) -> list[str]:
    """Lines of at most `cells` terminal cells that together hold the whole text.

    Breaks at spaces, inside a word only where the word alone is too long. Wide characters (CJK,
    emoji) count as two cells.
    """
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and cell_len(f"{lines[-1]} {word}") <= cells:
            lines[-1] += f" {word}"
            continue
        lines.extend(_chop(word, cells))
    return [line for line in lines if line] or [""]


def count(number: float | None) -> str:
    """`1536` as `1,536`."""
    return MISSING if number is None else f"{number:,.0f}"


def several(number: int, noun: str) -> str:
    """`1 persona`, `2,174 personas`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def percent(share: float | None) -> str:
    """A share as `61.3 %`; small ones keep two significant digits (`0.0087` as `0.87 %`)."""
    if share is None:
        return MISSING
    value = 100 * share
    if value == 0 or abs(value) >= 1:
        return f"{value:.1f} %"
    return f"{value:#.2g} %" if abs(value) >= 1e-3 else f"{value:.1e} %"


def points(difference: float | None) -> str:
    """A difference of shares in percentage points, always signed: `+12.3 pp`."""
    return MISSING if difference is None else f"{_signed(difference)} pp"


def p_value(p: float | None) -> str:
    """`0.013`, or `< 0.001` where more digits would only pretend precision."""
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def share_interval(measured: Measured) -> str:
    """`61.3 % [58.1, 64.2]`."""
    text = percent(measured.estimate)
    if measured.estimate is None or measured.low is None or measured.high is None:
        return text
    return f"{text} [{100 * measured.low:.1f}, {100 * measured.high:.1f}]"


def gain_interval(measured: Measured) -> str:
    """`+12.3 pp [+8.1, +16.5]`."""
    text = points(measured.estimate)
    if measured.estimate is None or measured.low is None or measured.high is None:
        return text
    return f"{text} [{_signed(measured.low)}, {_signed(measured.high)}]"


def equivalence(summary: Summary) -> str | None:
    """A sentence on who is shown to make no difference that matters; None where that was not tested, or
    where a gain is confirmed and nobody is."""
    tested = [
        one for one in summary.winners if one.equivalence and one.equivalence.equivalent is not None
    ]
    if summary.margin is None or not tested:
        return None
    alike = [clean(one.persona) for one in tested if one.equivalence and one.equivalence.equivalent]
    within = f"within {100 * summary.margin:.3g} pp of no persona (two one-sided tests)"
    if len(alike) == len(tested):
        return f"Every winner is shown to lie {within}."
    if alike:
        return f"Shown to lie {within}: {', '.join(alike)} ({len(alike)} of {len(tested)} winners)."
    if summary.significant:
        return None
    return f"No winner is shown to lie {within}; a gain of that size is neither shown nor ruled out."


def at_chance(summary: Summary) -> str | None:
    """A sentence for where not one accuracy is shown to exceed that of guessing; None elsewhere, and
    where guessing has none (`summary.chance`)."""
    shown = [one.accuracy for one in summary.winners]
    shown += [one.accuracy for one in summary.references]
    lows = [one.low for one in shown if one.low is not None]
    if summary.chance is None or not lows or max(lows) > summary.chance:
        return None
    return (
        f"Nobody is shown to answer better than by guessing ({percent(summary.chance)}): perhaps the "
        "model cannot answer questions asked this way (mode, prefix)."
    )


def duration(seconds: float | None) -> str:
    """`14 s`, `2 min 05 s`, `3 h 07 min`."""
    if seconds is None:
        return MISSING
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _chop(word: str, cells: int) -> list[str]:
    """Pieces of at most `cells` cells; unlike rich's `chop_cells` it drops no character."""
    pieces = [""]
    for char in word:
        if cell_len(pieces[-1] + char) <= cells:
            pieces[-1] += char
        else:
            pieces.append(char)
    return pieces


def _inert(line: str) -> str:
    return "".join(
        "\ufffd" if unicodedata.category(char) in {"Cc", "Cs"} or char in _BIDI_CONTROLS else char
        for char in line
    )


def _signed(difference: float) -> str:
    rounded = round(100 * difference, 1)
    return f"{rounded:+.1f}" if rounded else "0.0"
