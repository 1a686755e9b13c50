"""What is said of every two models: who wins, by how much, and what the run could have seen.

The later model of a pair is spoken of first, as the base is the first of all: "sft wins 83 % against
base". The unit is the prompt; p-values of one family (wins, stopping, likeness) are corrected over all
pairs by Holm's method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlpersona.experiments.ranking.comparing import winner_of
from rlpersona.experiments.ranking.models import plain
from rlpersona.judges.base import Winner
from rlpersona.stats import bounded_interval, holm
from rlpersona.stats.bradley_terry import BradleyTerry, Covariate, bradley_terry
from rlpersona.stats.comparisons import Comparison
from rlpersona.stats.mcnemar import mcnemar
from rlpersona.stats.permutation import prompt_means, sign_flip
from rlpersona.stats.win_rate import length_controlled, position_bias, win_rate
from rlpersona.stats.win_rate_power import detectable_difference

if TYPE_CHECKING:
    import pandas as pd

SCORE: dict[Winner | None, float] = {"a": 0.0, "b": 1.0, "tie": 0.5}  # of the later model, which is b
FAMILIES = ("win", "stop", "likeness")


def describe_pairs(
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    likeness: npt.NDArray[np.float64] | None,
    level: float,
    seed: int,
) -> list[dict[str, Any]]:
    """One record for each two models that were compared: `first` is the later of the two.

    `win`: rate with Student's interval over prompts, the bootstrap's ends, and the sign-flip test of one
    half; `controlled`: the rate that is left at equal length; `stop`: McNemar's table of answers that
    end; `likeness`: the difference in likeness to the oracle. None where fewer than two prompts bear on
    it. `detectable`: the win rate that would have been found with chance .8, at the spread seen here.
    """
    answers = responses if likeness is None else responses.assign(likeness=likeness)
    rows = []
    for (second, first), found in comparisons.groupby(["a", "b"], sort=False):
        beside = _beside(answers, str(first), str(second))
        rows.append(
            {
                "first": str(first),
                "second": str(second),
                "comparisons": len(found),
                **_wins(found, level, seed),
                "stop": _stopping(beside, level),
                "likeness": None if likeness is None else _likeness(beside, level, seed),
            }
        )
    _correct(rows)
    return rows


def strengths(
    comparisons: pd.DataFrame, covariates: Sequence[Covariate], level: float, seed: int
) -> BradleyTerry:
    """Bradley-Terry strengths of all models; with `order` each order's verdict counts for itself."""
    sided = "order" in covariates and bool(comparisons[["ab", "ba"]].notna().to_numpy().any())
    judged = [*(_sides(comparisons) if sided else _verdicts(comparisons))]
    usable = [name for name in covariates if sided or name != "order"]
    return bradley_terry(judged, covariates=usable, level=level, seed=seed)


def strength_record(found: BradleyTerry) -> dict[str, Any]:
    """Plain data of Bradley-Terry strengths for the summary."""
    return {
        "strengths": {name: plain(value) for name, value in found.strengths.items()},
        "covariates": {name: plain(value) for name, value in found.covariates.items()},
        "left_out": found.left_out,
        "notes": list(found.notes),
        "lost_draws": found.lost_draws,
    }


def judged_in_both_orders(comparisons: pd.DataFrame) -> bool:
    """Whether any verdict was given in both orders: only then can a place have won."""
    return bool((comparisons["ab"].notna() & comparisons["ba"].notna()).any())


def place_bias(comparisons: pd.DataFrame, level: float) -> dict[str, Any] | None:
    """The test of a place that wins (see `position_bias`); None where order played no part."""
    if not judged_in_both_orders(comparisons):
        return None
    sides = [
        (winner_of(ab), winner_of(ba))
        for ab, ba in zip(comparisons["ab"], comparisons["ba"], strict=True)
    ]
    found = position_bias(sides, list(comparisons["question"]), level)
    return asdict(found) | {"share": plain(found.share)}


def later_scores(comparisons: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Scores (comparisons,) of the pair's later model: 1, .5 or 0, nan where there is no verdict."""
    return np.array([SCORE.get(winner_of(winner), np.nan) for winner in comparisons["winner"]])


def _wins(found: pd.DataFrame, level: float, seed: int) -> dict[str, Any]:
    scores, prompts = later_scores(found), list(found["question"])
    names, means = prompt_means(scores, prompts)
    counts = {
        "unscored": int(np.isnan(scores).sum()),
        "without": int(np.isnan(means).sum()),
        "prompts": len(names),
    }
    if (~np.isnan(means)).sum() < 2:
        return counts | dict.fromkeys(("win", "controlled", "detectable"), None)
    won = win_rate(scores, prompts, level=level, seed=seed)
    longer = (found["tokens_b"] - found["tokens_a"]).to_numpy(dtype=np.float64)
    even = length_controlled(scores, longer, prompts, level=level, seed=seed)
    rate = plain(won.rate) or {}
    return {
        **counts,
        "wins": won.wins,
        "losses": won.losses,
        "ties": won.ties,
        "win": rate
        | {"bootstrap": [won.bootstrap.low, won.bootstrap.high]}
        | {"p": won.test.p_value, "exact": won.test.exact},
        "controlled": {
            "rate": plain(even.rate),
            "length": plain(even.length),
            "reason": even.reason,
        },
        "detectable": min(1.0, 0.5 + detectable_difference(means - 0.5, level=level)),
    }


def _beside(answers: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """The answers of two models side by side, columns of the first with _1, of the second with _2."""
    place = ["question", "sample"]
    sides = [
        answers[answers["model"] == name].drop(columns=["model", "prompt"]) for name in (first, second)
    ]
    return sides[0].merge(sides[1], on=place, suffixes=("_1", "_2"))


def _stopping(beside: pd.DataFrame, level: float) -> dict[str, Any] | None:
    if beside["question"].nunique() < 2:
        return None
    ours, theirs = beside["finish_1"] == "stop", beside["finish_2"] == "stop"
    found = mcnemar(ours, theirs, list(beside["question"]), level)
    values = asdict(found) | (plain(found.difference) or {}) | {"p": found.p_value}
    return {name: value for name, value in values.items() if name not in ("difference", "p_value")}


def _likeness(beside: pd.DataFrame, level: float, seed: int) -> dict[str, Any] | None:
    difference = (beside["likeness_1"] - beside["likeness_2"]).to_numpy(dtype=np.float64)
    _, means = prompt_means(difference, list(beside["question"]))
    if (~np.isnan(means)).sum() < 2:
        return None
    test = sign_flip(means, seed)
    return (plain(bounded_interval(means, level, least=-2.0, most=2.0)) or {}) | {"p": test.p_value}


def _correct(rows: Sequence[dict[str, Any]]) -> None:
    """Put `p_holm` beside each p of a family, corrected over the pairs that were tested."""
    for family in FAMILIES:
        tested: list[Mapping[str, Any]] = [row[family] for row in rows if row[family] is not None]
        for record, p in zip(tested, holm([record["p"] for record in tested]), strict=True):
            record |= {"p_holm": float(p)}  # type: ignore[operator]


def _verdicts(comparisons: pd.DataFrame) -> list[Comparison]:
    scores = later_scores(comparisons)
    longer = (comparisons["tokens_b"] - comparisons["tokens_a"]).to_numpy(dtype=np.float64)
    return [
        Comparison(b, a, prompt, None if np.isnan(score) else float(score), float(more))
        for a, b, prompt, score, more in zip(
            comparisons["a"], comparisons["b"], comparisons["question"], scores, longer, strict=True
        )
    ]


def _sides(comparisons: pd.DataFrame) -> list[Comparison]:
    """Each order's verdict as a comparison; the later model, b, is shown first in order BA.

    A tie of two answers of the same text was shown in no order: it counts as often as other verdicts,
    with no place. A comparison without a verdict has none in either order.
    """
    often = 2 if judged_in_both_orders(comparisons) else 1
    found = []
    columns = zip(_verdicts(comparisons), comparisons["ab"], comparisons["ba"], strict=True)
    for whole, ab, ba in columns:
        shown = [(SCORE.get(winner_of(said)), first) for said, first in ((ab, -1), (ba, 1))]
        sides = [replace(whole, score=score, first=first) for score, first in shown if score is not None]
        found += sides if sides and whole.score is not None else [whole] * often
    return found
