"""How far judges can be trusted: position, repetition, agreement with each other.

Every share comes with an interval over questions, since pairs of one question are not independent:
percentile bootstrap (Efron 1979), seeded, in which whole questions are drawn; Wilson's where all pairs
fall out alike and there is nothing to resample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from rlpersona.errors import DataError
from rlpersona.judges.base import Pair, Verdict
from rlpersona.judges.canaries import CanaryReport, count_canaries
from rlpersona.stats import Interval, wilson

RESAMPLES = 1000
WINNERS = ("a", "b", "tie")
Codes = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """What a judge made of a set of pairs.

    `winners` counts a, b and tie; `errors` the pairs without a verdict, by error. `consistent`: share
    of the pairs shown in both orders whose winner was the same. `first`: share of the decided sides in
    which the answer shown first won; one half for a judge who does not mind the place. Each is None
    where nothing bears on it.
    """

    pairs: int
    winners: dict[str, int]
    errors: dict[str, int]
    consistent: Interval | None
    first: Interval | None
    canaries: CanaryReport


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far judges, or repetitions of one, agree on the same pairs.

    `same`: share of the comparable pairs (scored by two or more) on which all who scored said the same.
    `kappa`: Cohen's, of each two judges. `alpha`: Krippendorff's, of all. The last two are over a, b,
    tie as names, and None where they are not defined, as when only one thing was ever said.
    """

    same: Interval | None
    kappa: dict[tuple[str, str], Interval | None]
    alpha: Interval | None


def report(pairs: Sequence[Pair], verdicts: Sequence[Verdict]) -> JudgeReport:
    """Counts, position consistency and canaries of a judge's verdicts on `pairs`."""
    judged = list(zip(pairs, verdicts, strict=True))
    both = [(p.question, v.consistent) for p, v in judged if v.consistent is not None]
    sides = [
        (p.question, (side.winner == "a") == (side.order == "AB"))
        for p, v in judged
        for side in v.sides
        if len(v.sides) == 2 and v.error is None and side.winner in ("a", "b")
    ]
    return JudgeReport(
        pairs=len(judged),
        winners={winner: sum(v.winner == winner for v in verdicts) for winner in WINNERS},
        errors=dict(sorted(Counter(v.error for v in verdicts if v.error is not None).items())),
        consistent=_share(both),
        first=_share(sides),
        canaries=count_canaries(pairs, verdicts),
    )


def agreement(pairs: Sequence[Pair], judged: Mapping[str, Sequence[Verdict]]) -> Agreement:
    """How far two or more judges agree, from `judged`: judge's name -> verdicts in the order of `pairs`.

    For the stability of one judge give its repetitions as judges. Missing verdicts are left out, not
    counted as a category. DataError for fewer than two judges or for verdicts that do not fit the pairs.
    """
    if len(judged) < 2 or any(len(verdicts) != len(pairs) for verdicts in judged.values()):
        counts = {name: len(verdicts) for name, verdicts in judged.items()}
        raise DataError(
            f"verdicts by judge {counts} on {len(pairs)} pairs: nothing to compare",
            "Give the verdicts of at least two judges, one for each pair.",
        )
    codes = np.array([[_code(verdict) for verdict in verdicts] for verdicts in judged.values()]).reshape(
        len(judged), len(pairs)
    )
    questions = [pair.question for pair in pairs]
    compared = [(q, said[~np.isnan(said)]) for q, said in zip(questions, codes.T, strict=True)]
    return Agreement(
        same=_share([(q, len(set(said)) == 1) for q, said in compared if len(said) > 1]),
        kappa={
            (first, second): _resampled(questions, codes[[i, j]], _kappa)
            for (i, first), (j, second) in combinations(enumerate(judged), 2)
        },
        alpha=_resampled(questions, codes, _alpha),
    )


def _code(verdict: Verdict) -> float:
    return float("nan") if verdict.winner is None else float(WINNERS.index(verdict.winner))


def _share(hits: Sequence[tuple[str, bool | None]]) -> Interval | None:
    """The share of hits among (question, hit), n counting the questions; None for none."""
    if not hits:
        return None
    values = np.array([[float(bool(hit)) for _, hit in hits]])
    n = len({question for question, _ in hits})
    share = float(values.mean())
    if n == len(hits) or share in (0.0, 1.0):
        alike = wilson(round(share * n), n)
        return Interval(share, alike.low, alike.high, n)
    return _resampled([question for question, _ in hits], values, lambda drawn: float(drawn.mean()))


def _kappa(codes: Codes) -> float:
    """Cohen's kappa of two rows of codes by statsmodels; nan where chance alone always agrees."""
    from statsmodels.stats.inter_rater import cohens_kappa

    both = codes[:, ~np.isnan(codes).any(axis=0)].astype(int)
    table = np.zeros((len(WINNERS), len(WINNERS)))
    np.add.at(table, (both[0], both[1]), 1)
    if table.sum() == 0 or table.sum(axis=0) @ table.sum(axis=1) == table.sum() ** 2:
        return float("nan")
    return float(cohens_kappa(table, return_results=False))


def _alpha(codes: Codes) -> float:
    """Krippendorff's nominal alpha of rows of codes; nan where fewer than two values are comparable."""
    import krippendorff

    comparable = codes[:, (~np.isnan(codes)).sum(axis=0) > 1]
    if len(np.unique(comparable[~np.isnan(comparable)])) < 2:
        return float("nan")
    counts = np.stack([(comparable == code).sum(axis=0) for code in range(len(WINNERS))], axis=1)
    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))


def _resampled(
    questions: Sequence[str], codes: Codes, statistic: Callable[[Codes], float], level: float = 0.95
) -> Interval | None:
    """The statistic of the columns, its percentile interval over redrawn questions; None if undefined.

    Draws in which it is undefined are left out. The interval always holds the estimate.
    """
    estimate = statistic(codes)
    if np.isnan(estimate):
        return None
    names, place = np.unique(np.asarray(questions), return_inverse=True)
    columns = [np.flatnonzero(place == k) for k in range(len(names))]
    draws = np.random.default_rng(0).integers(len(names), size=(RESAMPLES, len(names)))
    drawn = [statistic(codes[:, np.concatenate([columns[k] for k in draw])]) for draw in draws]
    low, high = np.nanquantile(drawn, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(estimate, min(float(low), estimate), max(float(high), estimate), len(names), level)
