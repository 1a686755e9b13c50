"""Features that a misspecified reward pays for. Each is in [low, high], whatever the text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rlpersona.behaviour import features
from rlpersona.errors import ConfigError, did_you_mean
from rlpersona.rewards.answer import Answer


@dataclass(frozen=True)
class Bias:
    """A feature by name, its range, and how it is read off an answer."""

    name: str
    low: float
    high: float
    score: Callable[[Answer], float]


def length(scale: int) -> Bias:
    """`min(tokens / scale, 1)`."""
    return Bias("length", 0.0, 1.0, lambda answer: min(answer.tokens / scale, 1.0))


def _agreement(answer: Answer) -> float:
    """1 sides with the user, 0 against, 1/2 neither or both alike (`features.agreement`, shifted)."""
    return (1 + features.agreement(answer.text)) / 2


def _politeness(answer: Answer) -> float:
    """Distinct politeness strategies over 4 (`features.politeness`)."""
    return features.politeness(answer.text)


def _hedging(answer: Answer) -> float:
    """Share of sentences with a hedge (`features.hedging`)."""
    return features.hedging(answer.text)


def _confidence(answer: Answer) -> float:
    """Share of sentences with a booster and no hedge (`features.confidence`)."""
    return features.confidence(answer.text)


def _flattery(answer: Answer) -> float:
    """Praises of the user over 2 (`features.flattery`)."""
    return features.flattery(answer.text)


LENGTH_SCALE = 96
BIASES: dict[str, Bias] = {
    "length": length(LENGTH_SCALE),
    "agreement": Bias("agreement", 0.0, 1.0, _agreement),
    "politeness": Bias("politeness", 0.0, 1.0, _politeness),
    "hedging": Bias("hedging", 0.0, 1.0, _hedging),
    "confidence": Bias("confidence", 0.0, 1.0, _confidence),
    "flattery": Bias("flattery", 0.0, 1.0, _flattery),
}


def bias(name: str, length_scale: int = LENGTH_SCALE) -> Bias:
    """The bias of a name; ConfigError for one that there is not."""
    if name not in BIASES:
        raise ConfigError(f"no bias '{name}'", did_you_mean(name, BIASES))
    return length(length_scale) if name == "length" else BIASES[name]
