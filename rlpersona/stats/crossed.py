"""Personas x questions, where both are samples: effects that hold for other personas *and* questions.

Answers of one persona hang together, and so do answers to one question. Treating answers as independent
makes a handful of personas look like thousands of observations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlpersona.errors import DataError
from rlpersona.stats.intervals import check_level

Floats = npt.NDArray[np.float64]
MISSING_AT_MOST = 0.2


@dataclass(frozen=True, slots=True)
class CrossedEffect:
    """An effect with its t interval and two-sided p-value; `df` are Satterthwaite's.

    `personas` and `questions` count the two units that it rests on.
    """

    estimate: float
    low: float
    high: float
    level: float
    p_value: float
    df: float
    personas: int
    questions: int

    @property
    def error(self) -> float:
        """Standard error, from the interval's reach."""
        from scipy import special

        return (self.high - self.low) / 2 / float(special.stdtrit(self.df, 0.5 + self.level / 2))


class Side(NamedTuple):
    """One design: orthonormal basis (n, r), estimator's weights (n,), 1 - leverages (n,), df."""

    basis: Floats
    weights: Floats
    slack: Floats
    df: float

    def residuals(self, values: Floats) -> Floats:
        """What the design leaves unexplained along the first axis of `values`."""
        left: Floats = values - self.basis @ (self.basis.T @ values)
        return left


def crossed_mean(table: npt.ArrayLike, level: float = 0.95) -> CrossedEffect:
    """Mean of a table (personas, questions), both taken as random: two-way analysis of variance.

    Variance (MS_persona + MS_question - MS_rest) / PQ; see `crossed_effect`, whose simplest case it is.
    """
    values = np.asarray(table, dtype=np.float64)
    if values.ndim != 2:
        raise DataError(f"a table of shape {values.shape}", "Pass personas x questions.")
    ones = [np.ones((size, 1)) for size in values.shape]
    return crossed_effect(values, ones[0], ones[1], [1.0], [1.0], level)


def crossed_effect(
    table: npt.ArrayLike,
    personas: npt.ArrayLike,
    questions: npt.ArrayLike,
    of_personas: npt.ArrayLike,
    of_questions: npt.ArrayLike,
    level: float = 0.95,
) -> CrossedEffect:
    """The effect `a' B c` of the linear model Y = X B Z' + U Z' + X V' + E, by least squares.

    Y is `table` (P, Q); X (P, r) and Z (Q, s) are the designs `personas` and `questions`, a and c the
    contrasts `of_personas` (r,) and `of_questions` (s,). U are random effects and slopes of the
    personas over Z (a persona may be better at one kind of question), V those of the questions over X,
    E the rest: with one-hot eras in X and kinds of content in Z this is `correct ~ era * content +
    (content | persona) + (era | question)` on the scale of probabilities. A covariate (fame) or
    dummies of matched pairs are further columns of X.

    The estimate is k' Y l, with k = X (X'X)^-1 a and l = Z (Z'Z)^-1 c. Its variance is
    V_p + V_q - V_e, the two-way clustered one (Cameron, Gelbach & Miller 2011) with leverage
    corrections (HC2: MacKinnon & White 1985), which make it unbiased here:
        V_p = sum_i k_i^2 r_i^2 / (1 - h_i),            r = (I - H_X) Y l, h = diag H_X
        V_q = sum_j l_j^2 s_j^2 / (1 - g_j),            s = (I - H_Z) Y' k, g = diag H_Z
        V_e = sum_ij k_i^2 l_j^2 e_ij^2 / ((1 - h_i)(1 - g_j)),  e = (I - H_X) Y (I - H_Z).
    On a balanced grid of groups it is the analysis of variance, cell by cell, and REML's where that
    finds no negative component; V_p - V_e and V_q - V_e are cut at zero. Degrees of freedom:
    Satterthwaite's (1946) over the three parts, each of which has Bell & McCaffrey's (2002).

    Cells that are nan are filled from the additive fit X A' + C Z' (Yates 1933), at most a fifth of all;
    personas and questions without any answer are left out. Without any spread the interval is the
    point itself, and the p-value 1 for no effect, else 0. Raises DataError for shapes that do not
    match, more missing cells, or designs that leave no degree of freedom or cannot tell the effect.
    """
    check_level(level)
    values, x, z = aligned(table, personas, questions)
    rows, columns = side(x, of_personas, "persona"), side(z, of_questions, "question")
    values = filled(values, rows, columns)

    by_persona, by_question = values @ columns.weights, values.T @ rows.weights
    left = columns.residuals(rows.residuals(values).T).T
    squares = rows.weights**2 / rows.slack, columns.weights**2 / columns.slack
    v_p = float(squares[0] @ rows.residuals(by_persona) ** 2)
    v_q = float(squares[1] @ columns.residuals(by_question) ** 2)
    v_e = float(squares[0] @ left**2 @ squares[1])

    # Below a rounding error the two are equal, and the degrees of freedom must not hang on its sign.
    kept_p, kept_q = v_p > v_e * (1 + 1e-6), v_q > v_e * (1 + 1e-6)
    variance = v_p * kept_p + v_q * kept_q + v_e * (1 - kept_p - kept_q)
    spread = (
        kept_p * v_p**2 / rows.df
        + kept_q * v_q**2 / columns.df
        + (1 - kept_p - kept_q) ** 2 * v_e**2 / (rows.df * columns.df)
    )
    estimate = float(rows.weights @ by_persona)
    return effect(estimate, variance, spread, level, values.shape)


def effect(
    estimate: float, variance: float, spread: float, level: float, shape: tuple[int, ...]
) -> CrossedEffect:
    """Student's interval for an estimate, its variance and the variance of that (`2 spread`)."""
    from scipy import special

    if variance <= 1e-24 * max(1.0, estimate**2):
        p_value = 1.0 if abs(estimate) < 1e-12 else 0.0
        return CrossedEffect(estimate, estimate, estimate, level, p_value, np.inf, shape[0], shape[1])
    df, error = variance**2 / spread, np.sqrt(variance)
    reach = float(special.stdtrit(df, 0.5 + level / 2)) * error
    p_value = 2 * float(special.stdtr(df, -abs(estimate) / error))
    return CrossedEffect(
        estimate, estimate - reach, estimate + reach, level, p_value, df, shape[0], shape[1]
    )


def aligned(
    table: npt.ArrayLike, personas: npt.ArrayLike, questions: npt.ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """The three arrays without the personas and questions that have no answer at all."""
    values, x, z = (np.asarray(part, dtype=np.float64) for part in (table, personas, questions))
    if values.ndim != 2 or x.ndim != 2 or z.ndim != 2 or values.shape != (len(x), len(z)):
        raise DataError(
            f"a table of shape {values.shape} with designs of {x.shape} and {z.shape}",
            "Pass personas x questions, and one row of each design per persona and per question.",
        )
    if not all(np.isfinite(part).all() for part in (x, z)) or np.isinf(values).any():
        raise DataError("a design or a table holds what is not a number", "Only answers may be nan.")
    answered = ~np.isnan(values)
    rows, columns = answered.any(axis=1), answered.any(axis=0)
    return values[rows][:, columns], x[rows], z[columns]


def side(design: Floats, contrast: npt.ArrayLike, unit: str) -> Side:
    """Weights of the least-squares estimator of `contrast`, and the degrees of freedom of its error.

    With D = diag(k^2 / (1 - h)) and M = I - H: df = tr(DM)^2 / tr(DMDM) (Bell & McCaffrey 2002). A unit
    that the design fits exactly (leverage 1) says nothing of the spread: its weight must be zero.
    """
    wanted = np.asarray(contrast, dtype=np.float64)
    if wanted.shape != design.shape[1:]:
        raise DataError(f"a contrast of shape {wanted.shape} for {design.shape[1]} columns", "")
    left, sizes, right = np.linalg.svd(design, full_matrices=False)
    rank = int((sizes > sizes.max(initial=0.0) * max(design.shape) * 1e-15).sum())
    basis, sizes, right = left[:, :rank], sizes[:rank], right[:rank]
    if not np.allclose(right.T @ (right @ wanted), wanted, atol=1e-9 * np.abs(wanted).max()):
        raise DataError(
            f"the {unit}s cannot tell this effect from the others",
            f"Vary it among the {unit}s independently of the other columns.",
        )
    weights = basis @ ((right @ wanted) / sizes)
    slack = 1 - (basis**2).sum(axis=1)
    alone = slack < 1e-9
    if (np.abs(weights[alone]) > 1e-12 * np.abs(weights).max(initial=1)).any() or len(design) <= rank:
        raise DataError(
            f"too few {unit}s: nothing is left to judge their spread by",
            f"Measure at least two {unit}s of each kind.",
        )
    weights = np.where(alone, 0.0, weights)
    slack = np.where(alone, 1.0, slack)
    d = weights**2 / slack
    scaled = basis * np.sqrt(d)[:, None]
    square = float(d**2 @ (1 - 2 * (basis**2).sum(axis=1)) + ((scaled.T @ scaled) ** 2).sum())
    return Side(basis, weights, slack, float((weights**2).sum()) ** 2 / square)


def filled(values: Floats, rows: Side, columns: Side) -> Floats:
    """Missing cells at the value that makes their residual zero, which is the additive fit's."""
    missing = np.isnan(values)
    if missing.mean() > MISSING_AT_MOST:
        raise DataError(
            f"{missing.mean():.0%} of the answers are missing", "Compare personas on common questions."
        )
    if not missing.any():
        return values
    full = np.where(missing, np.nanmean(values), values)
    for _ in range(1000):
        step = columns.residuals(rows.residuals(full).T).T[missing]
        full[missing] -= step
        if np.abs(step).max() < 1e-10:
            break
    return full
