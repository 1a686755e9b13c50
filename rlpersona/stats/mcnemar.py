"""Yes-or-no outcomes of two models on the same prompts, such as whether an answer ends."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rlpersona.errors import DataError
from rlpersona.stats.intervals import Interval, bounded_interval
from rlpersona.stats.paired import pair_up, paired_difference
from rlpersona.stats.permutation import prompt_means, sign_flip


@dataclass(frozen=True, slots=True)
class McNemar:
    """The table of outcome pairs, the difference of the two shares (first minus second), its p-value.

    The four counts are of answers; `difference.n` counts prompts. `test` is `exact` with one answer a
    prompt, else `sign-flip`.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    difference: Interval
    p_value: float
    test: Literal["exact", "sign-flip"]


def mcnemar(
    first: npt.ArrayLike, second: npt.ArrayLike, prompts: Sequence[Hashable], level: float = 0.95
) -> McNemar:
    """Of outcomes 0 or 1 (answers,), nan where unknown, the same answer's place in both, and its prompt.

    One answer a prompt: McNemar's exact test (1947) and Tango's interval, see `paired_difference`.
    Several: their differences are averaged by prompt and tested by the sign-flip permutation, the exact
    form of Durkalski et al. (2003); answers to one prompt are not independent, and McNemar's test on
    answers would claim too much. DataError for other values, unequal lengths, fewer than two prompts.
    """
    ours, theirs = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    a, b = pair_up(ours, theirs)
    if not np.isin([a, b], (0.0, 1.0)).all():
        raise DataError("outcomes other than 0 and 1", "Pass yes-or-no outcomes, nan where unknown.")
    names, means = prompt_means(ours - theirs, prompts)
    counts = (int((a * b).sum()), int((a > b).sum()), int((a < b).sum()), int((a + b == 0).sum()))
    if len(names) == len(prompts):
        found = paired_difference(ours, theirs, level)
        return McNemar(*counts, found.difference, found.p_value, "exact")
    difference = bounded_interval(means, level, least=-1.0)
    return McNemar(*counts, difference, sign_flip(means).p_value, "sign-flip")
