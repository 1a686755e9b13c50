"""The mixed model over doses and the curves of overoptimisation: hand-computed and planted truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rlpersona.errors import DataError
from rlpersona.stats.dose_response import mixed_dose
from rlpersona.stats.overoptimization import fit_overoptimization

DOSES = (0.0, 0.5, 1.0)


def world(
    rng: np.random.Generator, slopes: dict[str, float], run: float, cell: float = 0.0
) -> pd.DataFrame:
    """Three seeds, three doses, eight questions a domain; sd of a run and of a run within a domain."""
    asked = {(domain, n): rng.normal(0, 2) for domain in slopes for n in range(8)}
    rows = []
    for seed in (1, 2, 3):
        level = rng.normal()
        for dose in DOSES:
            own = rng.normal(0, run)
            inner = {domain: rng.normal(0, cell) for domain in slopes}
            for (domain, n), of_question in asked.items():
                value = level + own + inner[domain] + of_question + slopes[domain] * dose + rng.normal()
                rows.append((value, dose, domain, seed, f"{seed}-{dose}", f"{domain}{n}"))
    return pd.DataFrame(rows, columns=["value", "dose", "domain", "seed", "run", "question"])


def test_a_balanced_design_has_the_slopes_of_least_squares() -> None:
    table = world(np.random.default_rng(0), {"math": 2.0, "advice": 6.0}, run=0.5)
    found = mixed_dose(table)
    for domain, part in table.groupby("domain"):
        assert found.slopes[str(domain)].estimate == pytest.approx(
            np.polyfit(part["dose"], part["value"], 1)[0], rel=1e-3
        )
    assert found.interaction_p is not None
    assert found.interaction_p < 0.01
    assert (found.runs, found.seeds, found.rows) == (9, 3, len(table))


def test_the_run_is_the_unit_of_the_dose() -> None:
    """Runs that differ much by themselves make the slope unsure, however many questions were asked."""
    rng = np.random.default_rng(1)
    quiet, loud = (mixed_dose(world(rng, {"math": 2.0}, run=run)) for run in (0.05, 3.0))
    widths = [one.slopes["math"].high - one.slopes["math"].low for one in (quiet, loud)]
    # By hand: the error of the slope is sd of a run / sqrt(sum of squared doses about their mean).
    squares = 9 * np.var(DOSES)
    reach = 2.570582  # t[5], 9 runs - 3 seeds - 1
    spread = (loud.deviations["run"] ** 2 + loud.deviations["noise"] ** 2 / 8) ** 0.5
    assert widths[1] == pytest.approx(2 * reach * spread / squares**0.5, rel=0.02)
    assert widths[0] < widths[1] / 3


def test_equal_slopes_are_seldom_called_different() -> None:
    rng = np.random.default_rng(2)
    found = [mixed_dose(world(rng, {"a": 3.0, "b": 3.0}, 0.5, 0.5)).interaction_p for _ in range(20)]
    assert np.mean([p is not None and p < 0.05 for p in found]) <= 0.2


def test_too_little_is_refused() -> None:
    table = world(np.random.default_rng(3), {"math": 1.0}, 0.1)
    with pytest.raises(DataError, match="no slope"):
        mixed_dose(table[table["dose"] == 0])
    with pytest.raises(DataError, match="no slope"):
        mixed_dose(table[(table["seed"] == 1) & (table["dose"] < 1)])


@pytest.mark.parametrize("form", ["rl", "bon"])
def test_the_planted_curve_is_found_with_its_peak(form: str) -> None:
    kl = np.linspace(0, 40, 60)
    d = np.sqrt(kl)
    alpha, beta = 1.2, 0.4
    if form == "rl":
        gain, peak = d * (alpha - beta * np.log(np.maximum(d, 1e-12))), np.exp(alpha / beta - 1)
    else:
        gain, peak = d * (alpha - beta * d), alpha / (2 * beta)
    found = fit_overoptimization(kl, gain, form)  # type: ignore[arg-type]
    assert (found.alpha, found.beta) == pytest.approx((alpha, beta))
    assert found.peak == pytest.approx(peak)
    assert found.at(d) == pytest.approx(gain, abs=1e-9)
    assert found.r_squared == pytest.approx(1)
    around = found.at([found.peak * 0.99, found.peak, found.peak * 1.01])  # type: ignore[operator]
    assert around.argmax() == 1


def test_a_gain_that_goes_on_growing_has_no_peak() -> None:
    kl = np.linspace(0, 4, 20)
    assert fit_overoptimization(kl, 2 * np.sqrt(kl) + 0.1 * kl, "bon").peak is None
    with pytest.raises(DataError, match="no curve"):
        fit_overoptimization([1.0, np.nan], [1.0, 2.0])
