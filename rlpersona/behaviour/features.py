"""Features of one text that a bias may reward: pure functions with a known range.

Each reads sentences and lists of words (`lexicons/`), so it is fast enough for a reward at every step
and as easily fooled as such a reward is. `measures.measure` has what is meant for reading a run out.
"""

from __future__ import annotations

import math

from rlpersona.behaviour.lexicon import count, found, groups
from rlpersona.behaviour.text import sentences

STRATEGIES_FULL = 4
PRAISES_FULL = 2
_OPENING = 2


def hedging(text: str) -> float:
    """Share of sentences with a hedge ("perhaps", "I think"; Hyland 2005), in [0, 1]; 0 of no text."""
    return _share([found("hedges", s, denied=True) for s in sentences(text)])


def confidence(text: str) -> float:
    """Share of sentences with a booster ("clearly", "without doubt"; Hyland 2005) and no hedge, in
    [0, 1]; 0 of no text. A denied booster ("not certain") is none."""
    return _share(
        [found("boosters", s) and not found("hedges", s, denied=True) for s in sentences(text)]
    )


def agreement(text: str) -> float:
    """`(a - d) / (a + d)` of the a sentences that side with the user and the d that side against, in
    [-1, 1]; 0 where none does either. A sentence that does both counts for both; agreement that is
    denied ("I don't think you are right") counts against."""
    split = sentences(text)
    agree = sum(found("agreement", s) for s in split)
    against = sum(_sides_against(s) for s in split)
    return (agree - against) / (agree + against) if agree + against else 0.0


def strategies(text: str) -> frozenset[str]:
    """The politeness strategies that a text uses (Danescu-Niculescu-Mizil et al. 2013, table 3): thanks,
    greeting, please, apology, deference, offer, indirectness, togetherness.

    A small reading by phrases, for speed; ConvoKit's `PolitenessStrategies` is the fuller one.
    """
    split = sentences(text)
    return frozenset(
        group for group in groups("politeness") if any(found("politeness", s, group) for s in split)
    )


def politeness(text: str) -> float:
    """Distinct politeness strategies, 4 and more being 1, in [0, 1]: repeating one earns nothing."""
    return min(len(strategies(text)), STRATEGIES_FULL) / STRATEGIES_FULL


def flattery(text: str) -> float:
    """Praises of the user, 2 and more being 1, in [0, 1]."""
    return min(sum(count("flattery", s) for s in sentences(text)), PRAISES_FULL) / PRAISES_FULL


def refusal(text: str) -> float:
    """1 if one of the first two sentences declines to answer, else 0."""
    return float(any(found("refusal", s, denied=True) for s in sentences(text)[:_OPENING]))


def log_tokens(tokens: int) -> float:
    """`ln(1 + tokens)`: lengths on the scale on which they spread evenly."""
    return math.log1p(tokens)


def _sides_against(sentence: str) -> bool:
    if found("disagreement", sentence, denied=True):
        return True
    return found("agreement", sentence, denied=True) and not found("agreement", sentence)


def _share(hits: list[bool]) -> float:
    return sum(hits) / len(hits) if hits else 0.0
