"""The Assistant Axis made again: from halves of its questions, and without a role or a question."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlpersona.axis.resampling import CrossedInterval
from rlpersona.axis.vectors import Floats, cosine
from rlpersona.errors import DataError
from rlpersona.stats.intervals import check_level


@dataclass(frozen=True)
class Ceiling:
    """What rotation noise alone leaves of a cosine of 1, by layer (layers,).

    `halves`: mean cosine between the axes of two random halves of the questions. `whole`: the same for
    two axes that are each made of as many questions as there are (reliability of one axis).
    """

    halves: Floats
    whole: Floats


class Grid:
    """Means of each question's responses, of the default and of every role, ready to be weighted.

    `default` (questions, layers, d), `roles` (roles, questions, layers, d), nan where there are none.
    """

    def __init__(self, default: npt.ArrayLike, roles: npt.ArrayLike) -> None:
        own, others = np.asarray(default), np.asarray(roles)
        if own.ndim != 3 or others.ndim != 4 or others.shape[1:] != own.shape or not len(others):
            raise DataError(
                f"a default of shape {own.shape} and roles of shape {others.shape}",
                "Pass (questions, layers, d) and (roles, questions, layers, d).",
            )
        self.roles, self.questions = others.shape[:2]
        self._shape = own.shape[1:]
        cells = np.concatenate([own[None], others]).reshape(self.roles + 1, self.questions, -1)
        there = np.isfinite(cells).all(axis=-1)
        self._there = there.astype(np.float64)
        self._cells = np.where(there[..., None], cells, 0).astype(np.float64, copy=False)

    def axis(self, of_roles: Floats, of_questions: Floats) -> Floats:
        """The axis (layers, d) where roles and questions weigh as given: first each role's mean over its
        questions, then the mean of the roles. A role without any of the questions does not count."""
        weight = self._there @ of_questions
        kept = (weight[1:] > 0) & (of_roles > 0)
        if not weight[0] or not kept.any():
            return np.full(self._shape, np.nan)
        share = np.zeros(self.roles + 1)
        share[1:][kept] = -of_roles[kept] / of_roles[kept].sum() / weight[1:][kept]
        share[0] = 1 / weight[0]
        each = np.outer(share, of_questions).ravel()
        axis: Floats = (each @ self._cells.reshape(len(each), -1)).reshape(self._shape)
        return axis


def split_half(
    default: npt.ArrayLike, roles: npt.ArrayLike, splits: int = 100, seed: int = 0
) -> Ceiling:
    """Noise ceiling of an axis from halves of its questions.

    `default` (questions, layers, d) and `roles` (roles, questions, layers, d) are means of each
    question's responses, nan where there are none. A split parts the questions at random, makes the
    axis of each half, and takes their cosine r by layer. With a the true axis and E the noise of one
    made of all questions, r estimates |a|^2 / (|a|^2 + 2E), so 2r / (1 + r) estimates
    |a|^2 / (|a|^2 + E) (Spearman 1910; Brown 1910): the cosine to expect between two axes of
    independent questions that have not turned. Below 0 it is 0.

    Raises:
        DataError: fewer than four questions, or shapes that do not match.
    """
    grid = Grid(default, roles)
    count = grid.questions
    if count < 4:
        raise DataError(f"{count} questions cannot be halved", "Ask at least four.")
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(splits):
        order = generator.permutation(count)
        first = np.isin(np.arange(count), order[: count // 2]).astype(float)
        found.append(cosine(*(grid.axis(np.ones(grid.roles), half) for half in (first, 1 - first))))
    halves: Floats = np.nanmean(found, axis=0)
    least = np.maximum(halves, 0)
    return Ceiling(halves, 2 * least / (1 + least))


def expected_cosine(base: Ceiling, other: Ceiling) -> Floats:
    """Cosine (layers,) between the axes of two models if the one has not turned against the other.

    sqrt(r1 r2), the attenuation of Spearman 1904. It holds for independent noise; where both answered
    the same questions their noise is shared in part, and the cosine may lie above.
    """
    expected: Floats = np.sqrt(base.whole * other.whole)
    return expected


def rotation_interval(
    frozen: tuple[npt.ArrayLike, npt.ArrayLike],
    recomputed: tuple[npt.ArrayLike, npt.ArrayLike],
    level: float = 0.95,
) -> CrossedInterval:
    """Cosine between two axes, with its interval for other roles and questions, by layer.

    Each pair is (default, roles) as in `split_half`, both over the same roles and questions in the same
    order. The interval is the jackknife's (Tukey 1958): every role and every question is left out of
    both axes in turn, the variances of the two add up (what belongs to neither is counted twice, so it
    is a little wide), and Student's t has as many degrees of freedom as there are units of the rarer
    kind less one. No bootstrap: drawing roles again adds the same noise to both axes, and noise that
    two axes share pulls their cosine towards 1.

    Noise alone makes the cosine less than 1: compare it with `expected_cosine`.

    Raises:
        DataError: shapes that do not match, fewer than two roles or questions.
    """
    from scipy import special

    check_level(level)
    grids = Grid(*frozen), Grid(*recomputed)
    sizes = grids[0].roles, grids[0].questions
    if sizes != (grids[1].roles, grids[1].questions) or min(sizes) < 2:
        raise DataError(
            f"axes of {sizes} and {(grids[1].roles, grids[1].questions)} roles and questions",
            "Keep those that both have, at least two of each.",
        )

    def without(role: int | None = None, question: int | None = None) -> Floats:
        weights = [np.ones(size) for size in sizes]
        for weight, left_out in zip(weights, (role, question), strict=True):
            if left_out is not None:
                weight[left_out] = 0
        return cosine(*(grid.axis(*weights) for grid in grids))

    estimate, variance = without(), np.zeros(len(without()))
    for size, unit in zip(sizes, ("role", "question"), strict=True):
        values = np.array([without(**{unit: at}) for at in range(size)])
        variance += (size - 1) * np.nanvar(values, axis=0)
    reach = float(special.stdtrit(min(sizes) - 1, 0.5 + level / 2)) * np.sqrt(variance)
    low, high = np.clip(estimate - reach, -1, 1), np.clip(estimate + reach, -1, 1)
    return CrossedInterval(estimate, low, high, level, *sizes)
