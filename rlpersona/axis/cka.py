"""Centred kernel alignment without the bias of few inputs and many dimensions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlpersona.axis.vectors import Floats
from rlpersona.errors import DataError


def debiased_cka(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Likeness of two representations (n, p) and (n, q) of the same n inputs.

    Centred kernel alignment HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with linear kernels K = XX',
    L = YY' (Kornblith et al. 2019, arXiv:1905.00414), in which HSIC is the unbiased estimator of Song
    et al. 2012 (JMLR 13:1393, equation 5): with zeroed diagonals,

        [tr(KL) + 1'K1 1'L1 / ((n - 1)(n - 2)) - 2 / (n - 2) 1'KL1] / (n (n - 3)).

    Rotation, scale and shift do not change it. Independent representations give about 0 whatever p and
    q (the biased estimate tends to 1 where p, q > n); it may lie below 0. nan where one of them does not
    vary.

    Raises:
        DataError: fewer than four inputs, or not the same number.
    """
    left, right = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if left.ndim != 2 or right.ndim != 2 or len(left) != len(right) or len(left) < 4:
        raise DataError(
            f"representations of shape {left.shape} and {right.shape}",
            "Pass (n, p) and (n, q) of the same inputs, at least four.",
        )
    k, l = _kernel(left), _kernel(right)  # noqa: E741
    own = _hsic(k, k) * _hsic(l, l)
    return _hsic(k, l) / float(np.sqrt(own)) if own > 0 else float("nan")


def _kernel(values: Floats) -> Floats:
    """Linear kernel with a zero diagonal. Unbiased HSIC does not see shifts; centring keeps digits."""
    centred = values - values.mean(axis=0)
    kernel: Floats = centred @ centred.T
    np.fill_diagonal(kernel, 0.0)
    return kernel


def _hsic(k: Floats, l: Floats) -> float:  # noqa: E741
    n = len(k)
    rows, columns = k.sum(axis=0), l.sum(axis=0)
    whole = (k * l).sum() + rows.sum() * columns.sum() / ((n - 1) * (n - 2))
    return float((whole - 2 / (n - 2) * (rows @ columns)) / (n * (n - 3)))
