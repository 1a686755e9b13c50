"""How far the axis itself turned, once the noise of its estimates is taken out."""

from __future__ import annotations

import numpy as np

from rlpersona.axis.noise import Grid
from rlpersona.axis.vectors import Floats, cosine

SPLITS = 100


def corrected_cosine(before: Floats, after: Floats, seed: int = 0) -> float | None:
    """Cosine between the true axes of two models, of cells (roles, questions, 1, d) of both.

    The default comes first. The questions are halved at random; the axis of one model from one half is
    compared with the other's from the other half, so their noise is independent, which it is not where
    both answer the same questions. With r the mean of these cosines and h1, h2 the means between the
    halves of one model, r / sqrt(h1 h2) corrects for attenuation (Spearman 1904): 1 where nothing has
    turned, exactly so for equal cells. It may lie above 1. None below four questions, or where a
    model's halves do not agree at all.
    """
    questions = before.shape[1]
    if questions < 4:
        return None
    grids = Grid(before[0], before[1:]), Grid(after[0], after[1:])
    everyone = np.ones(grids[0].roles)
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(SPLITS):
        half = np.zeros(questions)
        half[generator.permutation(questions)[: questions // 2]] = 1
        (base, base2), (now, now2) = (
            [grid.axis(everyone, part)[0] for part in (half, 1 - half)] for grid in grids
        )
        pairs = (base, base2), (now, now2), (base, now2), (now, base2)
        found.append([float(cosine(*pair)) for pair in pairs])
    own, other, first, second = np.nanmean(found, axis=0)
    if not min(own, other) > 0:
        return None
    return float((first + second) / 2 / np.sqrt(own * other))
