"""How far two leaderboards agree, beside what chance and noise leave to agree on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

Record = dict[str, Any]

SPLITS = 20
"""Random halvings of the questions behind a reliability."""


def overlap(first: pd.Index[Any], second: pd.Index[Any], top: int) -> Record | None:
    """Personas among the first `top` of both orders of the same n personas.

    By chance their number is hypergeometric with mean k^2/n, k = min(top, n), and `p` is the chance of
    at least as many. None where k is everyone.
    """
    n = len(first)
    if top >= n:
        return None
    from scipy import stats

    shared = [str(name) for name in first[:top] if name in set(second[:top])]
    chance = float(stats.hypergeom.sf(len(shared) - 1, n, top, top))
    return {"top": top, "shared": shared, "expected": top**2 / n, "p": chance}


def correlation(
    first: pd.Series[float], second: pd.Series[float], ceiling: float | None, level: float
) -> Record | None:
    """Spearman's rho with an interval and Kendall's tau-b, of two measures of the same personas.

    The interval is Fisher's, atanh(rho) +- z sqrt((1 + rho^2/2)/(n - 3)) (Bonett & Wright 2000).
    `ceiling` is passed on, with rho / ceiling (at most 1) as `disattenuated` where it is at least 0.5:
    below that the quotient is mostly noise. None below four personas or where a measure is constant.
    """
    kept = pd.DataFrame({"a": first.to_numpy(), "b": second.to_numpy()}, dtype=float).dropna()
    if len(kept) < 4 or kept.nunique().min() < 2:
        return None
    from scipy import special, stats

    rho = float(stats.spearmanr(kept["a"], kept["b"]).statistic)
    reach = float(special.ndtri(0.5 + level / 2)) * math.sqrt((1 + rho**2 / 2) / (len(kept) - 3))
    middle = math.atanh(min(max(rho, -1 + 1e-12), 1 - 1e-12))
    corrected = None if ceiling is None or ceiling < 0.5 else max(-1.0, min(1.0, rho / ceiling))
    return {
        "spearman": {
            "estimate": rho,
            "low": math.tanh(middle - reach),
            "high": math.tanh(middle + reach),
            "n": len(kept),
            "level": level,
        },
        "kendall": float(stats.kendalltau(kept["a"], kept["b"]).statistic),
        "ceiling": ceiling,
        "disattenuated": corrected,
    }


def split_half(events: pd.DataFrame) -> float | None:
    """Reliability of the personas' mean rewards: how well the order of one half of the *questions*
    repeats in the other.

    Spearman's rho between the means over two random halves, stepped up to the full length by
    2 rho / (1 + rho) (Spearman 1910; Brown 1910) after averaging rho over 20 halvings. Personas without
    an answer in both halves are left out. None below four of them.
    """
    from scipy import stats

    scored = events.dropna(subset=["reward"])
    people, persona = np.unique(scored["persona"].to_numpy(dtype=str), return_inverse=True)
    ids, question = np.unique(scored["question"].to_numpy(dtype=str), return_inverse=True)
    reward, found = scored["reward"].to_numpy(dtype=float), []
    rng = np.random.default_rng(0)
    for _ in range(SPLITS):
        half = rng.permutation(len(ids)) % 2
        cell = persona * 2 + half[question]
        counts = np.bincount(cell, minlength=2 * len(people)).reshape(-1, 2)
        sums = np.bincount(cell, weights=reward, minlength=2 * len(people)).reshape(-1, 2)
        kept = counts.min(axis=1) > 0
        means = sums[kept] / counts[kept]
        if len(means) >= 4 and np.ptp(means, axis=0).min() > 0:
            found.append(float(stats.spearmanr(means[:, 0], means[:, 1]).statistic))
    if not found:
        return None
    rho = float(np.mean(found))
    return 2 * rho / (1 + rho) if rho > -1 else -1.0


def distance(first: pd.Series[float], second: pd.Series[float]) -> Record | None:
    """How far two policies over the same personas are apart, each made to sum to 1 over them.

    `total_variation` is half the sum of |p - q|, `jensen_shannon` the divergence in bits (Lin 1991),
    both from 0 (the same) to 1 (nothing shared). `from_uniform` is each policy's total variation from
    uniform: two policies that never left it agree without having learned. `mass` is the share of each
    that lies on these personas. None where that is zero.
    """
    p, q = first.to_numpy(dtype=float), second.to_numpy(dtype=float)
    mass = [float(p.sum()), float(q.sum())]
    if not len(p) or not min(mass) > 0:
        return None
    from scipy.spatial.distance import jensenshannon

    p, q = p / p.sum(), q / q.sum()
    return {
        "total_variation": float(np.abs(p - q).sum() / 2),
        "jensen_shannon": float(np.nan_to_num(jensenshannon(p, q, base=2)) ** 2),
        "from_uniform": [float(np.abs(policy - 1 / len(policy)).sum() / 2) for policy in (p, q)],
        "mass": mass,
    }
