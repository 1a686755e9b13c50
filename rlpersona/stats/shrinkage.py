"""Shrinkage: what to believe of an arm that was measured with little, given all the others."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlpersona.errors import DataError
from rlpersona.stats.intervals import check_level
from rlpersona.stats.mixed import Floats, fit_mixed

Labels = Sequence[Hashable | None]


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What is believed of each arm.

    `estimates`, `sd` and `prior` have shape (arms,): posterior mean and standard deviation, and the
    mean of the arm's group, towards which it was shrunk. `mean` is the overall mean, `group_sds` the
    estimated standard deviation of each labelling's group effects, `arm_sd` that of the arms about
    their groups: 0 says that the data show no difference.
    """

    estimates: Floats
    sd: Floats
    prior: Floats
    mean: float
    group_sds: tuple[float, ...]
    arm_sd: float

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Ends of the normal credible intervals, each of shape (arms,)."""
        check_level(level)
        from scipy import special

        reach = float(special.ndtri((1 + level) / 2)) * self.sd
        return self.estimates - reach, self.estimates + reach


def shrink(
    means: npt.ArrayLike,
    counts: npt.ArrayLike,
    groups: Sequence[Labels] = (),
    variance: float | None = None,
) -> Shrunk:
    r"""Empirical Bayes estimates of arms from mean rewards and numbers of evaluations, both (arms,).

    The normal model of James & Stein (1961) and Efron & Morris (1975), with group effects:

        mean_i ~ N(mu_i, s_i^2 / n_i),   mu_i ~ N(mean + sum_g effect_g[label_g of i], arm_sd^2),
        effect_g[.] ~ N(0, group_sd_g^2)

    `groups` holds one or more labellings of the arms, such as `[fields, eras]`, whose effects add up;
    None is an unknown label, which has no effect. Standard deviations come from restricted maximum
    likelihood (Patterson & Thompson 1971; without groups the model of DerSimonian & Laird 1986), so an
    estimate is mean + weight (own mean - mean of its groups), and the groups' own means are shrunk, too.
    An arm without evaluations (count 0, mean of any value, nan included) gets its groups' mean.

    `variance` is that of one evaluation; without it rewards count as 0 or 1, s_i^2 = p_i (1 - p_i) with
    p_i the shrunken estimate of a first pass, whose own p is the pooled mean. `sd` takes the standard
    deviations as known: with few arms it is a little too small.

    Raises DataError for shapes that differ, negative counts, an evaluated arm without a finite mean (in
    [0, 1] if there is no `variance`), or no evaluation at all.
    """
    values, numbers = np.asarray(means, np.float64), np.asarray(counts, np.float64)
    _check(values, numbers, groups, variance)
    seen = numbers > 0
    design, blocks = _one_hot(groups, len(values))
    pooled = float(np.average(values[seen], weights=numbers[seen]))
    spread = np.full(len(values), variance or _bernoulli(np.array(pooled), numbers.sum()))
    for last in (False, True):
        noise = np.divide(spread, numbers, out=np.full(len(values), np.inf), where=seen)
        model = fit_mixed(values[seen], noise[seen], design[seen], blocks)
        estimates, squares, prior = model.posterior(design, values, noise)
        if last or variance:
            break
        spread = _bernoulli(estimates, numbers)
    return Shrunk(
        estimates=estimates,
        sd=np.sqrt(squares),
        prior=prior,
        mean=float(model.coefficients[0]),
        group_sds=tuple(float(sd) for sd in np.sqrt(model.variances)),
        arm_sd=float(np.sqrt(model.residual)),
    )


def _bernoulli(p: Floats, counts: Floats) -> Floats:
    """p (1 - p), with p kept half a success from 0 and 1: no finite sample shows certainty."""
    edge = 0.5 / (counts + 1)
    kept = np.clip(p, edge, 1 - edge)
    return np.asarray(kept * (1 - kept))


def _one_hot(groups: Sequence[Labels], arms: int) -> tuple[Floats, list[int]]:
    """Indicator columns (arms, levels of all labellings), and the number of levels of each."""
    parts = [np.zeros((arms, 0))]
    for labels in groups:
        levels = {label: k for k, label in enumerate(dict.fromkeys(x for x in labels if x is not None))}
        part = np.zeros((arms, len(levels)))
        for row, label in enumerate(labels):
            if label is not None:
                part[row, levels[label]] = 1.0
        parts.append(part)
    return np.hstack(parts), [part.shape[1] for part in parts[1:]]


def _check(values: Floats, counts: Floats, groups: Sequence[Labels], variance: float | None) -> None:
    if values.ndim != 1 or values.shape != counts.shape:
        raise DataError(
            f"means have shape {values.shape}, counts {counts.shape}", "Pass one of each per arm."
        )
    for labels in groups:
        if isinstance(labels, str) or len(labels) != len(values):
            raise DataError(
                f"a labelling names {len(labels)} of {len(values)} arms",
                "Pass a list of labellings, each with one label per arm (None if unknown).",
            )
    if not (np.isfinite(counts).all() and (counts >= 0).all() and counts.any()):
        raise DataError("counts must be numbers of evaluations, not all zero", "Count evaluations.")
    measured = values[counts > 0]
    if not np.isfinite(measured).all() or (
        variance is None and not ((measured >= 0) & (measured <= 1)).all()
    ):
        raise DataError(
            "an arm with evaluations has a mean that is not a number in [0, 1]",
            "Leave failed evaluations out of mean and count; give variance= for other scales.",
        )
    if variance is not None and not (variance > 0 and np.isfinite(variance)):
        raise DataError(f"variance={variance!r} is no variance", "Give that of one evaluation, above 0.")
