"""Where each model did best and worst against the base: texts to read beside the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rlpersona.config import BASE
from rlpersona.experiments.ranking.pairs import later_scores
from rlpersona.tasks.identity import unit

if TYPE_CHECKING:
    import pandas as pd


def examples_of(comparisons: pd.DataFrame, each: int = 1) -> list[dict[str, Any]]:
    """For every model the `each` best and the `each` worst prompts against the base, by the share of
    samples that won, with one pair of answers of that outcome.

    Prompts of the same share are drawn by hash, so that nobody chose them. A prompt is never both best
    and worst, and a worst one that was won without exception, or a best one that was lost so, is none.
    """
    found = []
    against = comparisons[comparisons["a"] == BASE]
    for model, rows in against.assign(score=later_scores(against)).groupby("b", sort=False):
        shares = rows.groupby("question")["score"].mean().dropna()
        order = sorted(shares.index, key=lambda q: (-shares[q], unit("example", str(model), str(q))))
        best = [question for question in order if shares[question] > 0][:each]
        worst = [q for q in reversed(order) if shares[q] < 1 and q not in best][:each]
        for kind, questions in (("best", best), ("worst", worst)):
            for question in questions:
                here = rows[rows["question"] == question].dropna(subset=["score"])
                found.append(_example(str(model), kind, float(shares[question]), here))
    return found


def _example(model: str, kind: str, share: float, rows: pd.DataFrame) -> dict[str, Any]:
    """The first sample that shows what is meant: the most clearly won, or lost."""
    scores = rows["score"].to_numpy()
    row = rows.iloc[int(np.argmax(scores) if kind == "best" else np.argmin(scores))]
    return {
        "model": model,
        "kind": kind,
        "share": share,
        "won": float(row["score"]),
        "prompt": str(row["prompt"]),
        "sample": int(row["sample"]),
        "answer": str(row["text_b"]),
        "base": str(row["text_a"]),
    }
