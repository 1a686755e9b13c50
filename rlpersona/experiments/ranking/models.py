"""What is said of each model alone: how it answers, how long, and whether it comes to an end."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from rlpersona.behaviour import measure
from rlpersona.preferences.shares import share
from rlpersona.stats import Interval, bounded_interval, t_interval
from rlpersona.stats.permutation import prompt_means
from rlpersona.types import Question

if TYPE_CHECKING:
    import pandas as pd

ELSEWHERE = {"tokens", "log_tokens", "stopped"}  # behaviour measures that a model's record has already


def describe_model(
    name: str, answers: pd.DataFrame, ranks: pd.DataFrame, prompts: Sequence[Question], level: float
) -> dict[str, Any]:
    """One model's answers and ranks in figures, plain data for the summary.

    Every interval counts prompts: samples of one prompt are averaged first. `stop`: share of the answers
    that end by themselves; `tokens`: mean length; `distinct`: share of a prompt's answers that differ,
    None with one sample; `rank`: mean rank among all models, 1 the best.
    """
    questions = list(answers["question"])
    ours = ranks[ranks["model"] == name]
    samples = int(answers.groupby("question").size().max())
    return {
        "name": name,
        "answers": len(answers),
        "empty": int((answers["text"] == "").sum()),
        "stop": plain(share(list(answers["finish"] == "stop"), questions, level)),
        "tokens": mean_of(answers["tokens"], questions, level),
        "distinct": plain(_distinct(answers, level)) if samples > 1 else None,
        "rank": mean_of(ours["rank"], list(ours["question"]), level),
        "unranked": int(ours["rank"].isna().sum()),
        "behaviour": behaviour_of(answers, prompts, level),
    }


def behaviour_of(
    answers: pd.DataFrame, prompts: Sequence[Question], level: float
) -> dict[str, dict[str, Any]]:
    """The mean of each behaviour measure; `unknown` counts answers to which it does not apply.

    Length and stopping stand elsewhere. Measures within [-1, 1] have the interval of shares, which is
    never a point where none of the answers differ.
    """
    by_id = {question.id: question for question in prompts}
    measured = [
        measure(text, by_id[question], tokens, finish)
        for text, question, tokens, finish in zip(
            answers["text"], answers["question"], answers["tokens"], answers["finish"], strict=True
        )
    ]
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(name for one in measured for name in one if name not in ELSEWHERE):
        values = [math.nan if (value := one.get(name)) is None else value for one in measured]
        bound = np.nanmax(np.abs(values), initial=0.0) <= 1
        mean = mean_of(values, list(answers["question"]), level, bounded=bool(bound))
        if mean is not None:
            found[name] = mean | {"unknown": int(np.isnan(values).sum())}
    return found


def mean_of(
    values: Any, questions: Sequence[str], level: float, *, bounded: bool = False
) -> dict[str, Any] | None:
    """The mean over prompts with Student's interval, that of `bounded_interval` for values within
    [-1, 1]; without one where a single prompt is known, and None where none is."""
    _, means = prompt_means(np.asarray(values, dtype=np.float64), questions)
    known = means[~np.isnan(means)]
    if not len(known):
        return None
    if len(known) == 1:
        return {"estimate": float(known[0]), "low": None, "high": None, "n": 1, "level": level}
    if bounded:
        return plain(bounded_interval(known, level, least=min(0.0, np.floor(known.min()))))
    return plain(t_interval(known, level))


def plain(interval: Interval | None) -> dict[str, Any] | None:
    """An interval for JSON, which knows no infinity: an end that is open becomes None."""
    if interval is None:
        return None
    values = asdict(interval)
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }


def _distinct(answers: pd.DataFrame, level: float) -> Interval | None:
    texts = [rows["text"] for _, rows in answers.groupby("question", sort=False)]
    shares = [len(Counter(rows)) / len(rows) for rows in texts]
    return bounded_interval(shares, level) if len(shares) > 1 else None
