"""Controls: what a bias would do if it were not that bias.

Each control replaces a bias's values within one group (the scored answers to one question), and never
looks beyond the group, so that what else is in a batch does not matter.

- `length-matched`: the bias is read off the text cut to the group's median length, so that a longer text
  has no more room for it. What a text below the median gains by growing stays.
- `reward-matched`: the group's bias values are dealt out at random among its answers. Their distribution
  in the group, and so mean, variance and whatever normalisation makes of them, is that of the bias; what
  they say about an answer is nothing.
- `random-reward`: a draw from [0, 1) for each answer, whatever the bias.
- `length-decorrelated`: the residual of the bias on length (least squares over the group's token counts)
  plus the group's mean: uncorrelated with length in every group. It may leave [0, 1]. A group of two, or
  a bias linear in length, is left without a difference.
- `overlong`: leaves the bias and adds `overlong_punishment`.

Draws come from (seed, step, question, text), and repeated texts in a group get draws of their own:
without the step a text would earn the same noise each time, which is something to learn.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from rlpersona.rewards.answer import Answer
from rlpersona.rewards.biases import Bias
from rlpersona.tasks.identity import unit

_SPREAD_FLOOR = 1e-12


def control(name: str, bias: Bias, group: Sequence[Answer], seed: int, step: int) -> list[float]:
    """The values of a bias for the scored answers to one question, under a control of that name."""
    if name == "length-matched":
        return length_matched(bias, group)
    if name == "random-reward":
        return _draws("random-reward", bias, group, seed, step)
    values = [bias.score(answer) for answer in group]
    if name == "reward-matched":
        return reward_matched(values, _draws("reward-matched", bias, group, seed, step))
    if name == "length-decorrelated":
        return length_decorrelated(values, [answer.tokens for answer in group])
    return values


def length_matched(bias: Bias, group: Sequence[Answer]) -> list[float]:
    """The bias of each text cut to the group's (lower) median of tokens."""
    if not group:
        return []
    median = statistics.median_low(answer.tokens for answer in group)
    return [bias.score(_cut(answer, median)) for answer in group]


def reward_matched(values: Sequence[float], draws: Sequence[float]) -> list[float]:
    """The same values, dealt out by the order of the draws."""
    dealt = [0.0] * len(values)
    order = sorted(range(len(values)), key=draws.__getitem__)
    for i, value in zip(order, sorted(values), strict=True):
        dealt[i] = value
    return dealt


def length_decorrelated(values: Sequence[float], tokens: Sequence[int]) -> list[float]:
    """Residuals of the values on the token counts by least squares, plus the mean of the values."""
    n = len(values)
    if not n:
        return []
    middle, centre = math.fsum(tokens) / n, math.fsum(values) / n
    spread = math.fsum((t - middle) ** 2 for t in tokens)
    if spread < _SPREAD_FLOOR:
        return list(values)
    slope = math.fsum((t - middle) * (v - centre) for t, v in zip(tokens, values, strict=True)) / spread
    return [v - slope * (t - middle) for t, v in zip(tokens, values, strict=True)]


def overlong_punishment(tokens: int, cap: int, begin: float) -> float:
    """DAPO's soft overlong punishment, in [-1, 0] (Yu et al. 2025, arXiv:2503.14476, eq. 13).

    0 up to `begin * cap` tokens, then falling linearly to -1 at the cap (L_max = cap and
    L_cache = (1 - begin) * cap).
    """
    cache = (1 - begin) * cap
    return -min(1.0, max(0.0, (tokens - (cap - cache)) / cache))


def _cut(answer: Answer, tokens: int) -> Answer:
    if answer.tokens <= tokens:
        return answer
    kept = answer.text.split()
    kept = kept[: len(kept) * tokens // answer.tokens]
    return replace(answer, text=" ".join(kept), tokens=tokens)


def _draws(name: str, bias: Bias, group: Sequence[Answer], seed: int, step: int) -> list[float]:
    seen: Counter[str] = Counter()
    draws = []
    for answer in group:
        question, text = answer.question, answer.text.encode(errors="backslashreplace").decode()
        draws.append(
            unit(name, bias.name, seed, step, question.source, question.id, text, seen[answer.text])
        )
        seen[answer.text] += 1
    return draws
