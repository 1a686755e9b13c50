"""What a sweep shows: how behaviour answers to the weight of a bias, by domain, with runs as the unit.

`analyse` goes from the table of conditions and the readout to the summary. The claims that are made are
few and named before: for each bias its own metric over all domains, whether objective and subjective
domains differ in it, and what becomes of right answers. Holm holds over these; everything else is a
screen, corrected by Benjamini and Hochberg. The test is the permutation of doses within seeds; slopes
have Student's intervals over seeds; the mixed model, Emax and the contrast test describe the shape.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import pandas as pd

from rlpersona.errors import DataError
from rlpersona.experiments.dose.drift import drift_of
from rlpersona.experiments.dose.effective import effective_doses, effective_slopes, overoptimization
from rlpersona.experiments.dose.runs import Arm, arms_of, last_step, of_arm
from rlpersona.experiments.dose.verdict import verdict
from rlpersona.stats import benjamini_hochberg, holm
from rlpersona.stats.contrasts import candidates, contrast_test, dose_means
from rlpersona.stats.dose_response import mixed_dose
from rlpersona.stats.emax import fit_emax, isotonic
from rlpersona.stats.intervals import Interval, t_interval
from rlpersona.stats.run_values import (
    CAPPED,
    GROUPS,
    OBJECTIVE,
    OVERALL,
    SUBJECTIVE,
    metrics_of,
    run_values,
)
from rlpersona.stats.trend import permutation_trend, seed_slopes

OWN: dict[str, tuple[str, ...]] = {
    "length": ("tokens",),
    "agreement": ("wrongly_agrees", "agrees", "nli_agreement", "agreement"),
}
"""The metrics that a bias is about, the surest first, where they have another name than the bias."""
CORRECT = "correct"


def own_metric(bias: str, metrics: Collection[str]) -> str | None:
    """The metric that a bias is about; None where the readout lacks it."""
    return next((name for name in OWN.get(bias, (bias,)) if name in metrics), None)


def analyse(
    conditions: pd.DataFrame,
    readout: pd.DataFrame,
    level: float = 0.95,
    *,
    objective: Collection[str] | None = None,
    telemetry: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """The summary of a sweep, all of it JSON.

    `conditions` has a row a cell of the factorial: id, bias, bias_weight, control, scaling, seed, status
    ("done" or not), error; `readout` a row a completion (`read_out`); `telemetry` a row a logged step of
    a condition (columns condition, step and those of metrics.jsonl). `objective` names the domains with
    right answers; None takes those in which answers were right or wrong. DataError where no arm has
    runs of two doses.
    """
    sides = _objective(readout) if objective is None else frozenset(objective)
    arms = arms_of(conditions)
    values = run_values(readout, sides)
    metrics = metrics_of(readout)
    done = list(dict.fromkeys(name for arm in arms for name in arm.cells["condition"]))
    step = last_step(values, done)
    doses = effective_doses(telemetry, arms)
    analysed = [_arm(arm, readout, values, metrics, sides, step, level) for arm in arms]
    _correct(analysed)
    for arm, found in zip(arms, analysed, strict=True):
        found["effective"] = effective_slopes(arm, doses, values, found["own"], step, level)
        found["overoptimization"] = overoptimization(arm, telemetry)
    summary: dict[str, Any] = {
        "level": level,
        "design": _design(conditions, readout, arms, sides, step),
        "arms": analysed,
        "drift": drift_of(arms, values, readout, metrics, step, level),
        "controls": _controls(arms, analysed, values, step, level),
    }
    return {**summary, "verdict": verdict(summary)}


def _arm(
    arm: Arm,
    readout: pd.DataFrame,
    values: pd.DataFrame,
    metrics: Sequence[str],
    objective: Collection[str],
    step: int,
    level: float,
) -> dict[str, Any]:
    """All that is measured of one arm; p-values are not corrected yet."""
    own = own_metric(arm.bias, metrics)
    present = set(values["domain"])
    domains = [name for name in GROUPS if name in present] + sorted(present - set(GROUPS))
    responses = []
    tables = {domain: of_arm(values, arm, domain, step) for domain in domains}
    bases = {domain: of_arm(values, arm, domain, 0) for domain in domains}
    for metric in metrics:
        for domain, table in tables.items():
            claimed = (metric, domain) in ((own, OVERALL), (CORRECT, OBJECTIVE))
            base = _known(bases[domain][metric].mean())
            found = _response(table, base, metric, domain, level, shaped=metric == own)
            if found is not None:
                responses.append({**found, "primary": claimed})
    return {
        "label": arm.label,
        "bias": arm.bias,
        "control": arm.control,
        "scaling": arm.scaling,
        "own": own,
        "runs": len(arm.cells),
        "seeds": int(arm.cells["seed"].nunique()),
        "doses": sorted(float(dose) for dose in arm.cells["dose"].unique()),
        "responses": responses,
        "interaction": _interaction(arm, values, own, step, level),
        "mixed": _mixed(arm, readout, own, step, level),
    }


def _response(
    table: pd.DataFrame, base: float | None, metric: str, domain: str, level: float, shaped: bool
) -> dict[str, Any] | None:
    """Means by dose, slope and trend test of one metric in one domain; with `shaped` the curves too."""
    kept = table.dropna(subset=[metric])
    if kept["dose"].nunique() < 2:
        return None
    y, doses, seeds = kept[metric].to_numpy(), kept["dose"].to_numpy(), list(kept["seed"])
    try:
        trend, slopes = permutation_trend(y, doses, seeds), seed_slopes(y, doses, seeds, level)
    except DataError:
        return None
    found: dict[str, Any] = {
        "metric": metric,
        "domain": domain,
        "means": [
            {
                "dose": float(str(dose)),
                **interval(_mean(part[metric], level)),
                "capped": _known(part[CAPPED].mean()),
            }
            for dose, part in kept.groupby("dose")
        ],
        "slope": interval(slopes.interval or slopes.mean),
        "slopes": {str(seed): slope for seed, slope in slopes.slopes.items()},
        "p": trend.p_value,
        "exact": trend.exact,
        "smallest_p": trend.smallest,
        "runs": trend.runs,
        "seeds": trend.seeds,
        "base": base,
    }
    if shaped:
        at, curve = isotonic(y, doses, increasing=trend.slope >= 0)
        found["isotonic"] = [[float(d), float(v)] for d, v in zip(at, curve, strict=True)]
        found["emax"] = _attempt(lambda: _emax(y, doses, seeds, level))
        found["contrasts"] = _attempt(lambda: _contrasts(y, doses, seeds))
    return found


def _emax(y: Any, doses: Any, seeds: Sequence[Any], level: float) -> dict[str, Any]:
    fit = fit_emax(y, doses, seeds, level)
    ends = {"low": fit.low, "high": fit.high}
    return {"e0": fit.e0, "emax": fit.emax, "ed50": fit.ed50, **ends, "problem": fit.problem}


def _contrasts(y: Any, doses: Any, seeds: Sequence[Any]) -> dict[str, Any]:
    at, means, covariance, df = dose_means(y, doses, seeds)
    if not covariance.any():
        raise DataError("the runs leave no noise to judge by", "")
    shapes = {name: shape(at) for name, shape in candidates(float(at.max())).items()}
    test = contrast_test(means, covariance, df, shapes)
    statistic, p = test.statistics[test.best], test.p_values[test.best]
    return {"best": test.best, "t": statistic, "p": p, "df": df, "statistics": test.statistics}


def _interaction(
    arm: Arm, values: pd.DataFrame, own: str | None, step: int, level: float
) -> dict[str, Any] | None:
    """The slope in subjective domains less that in objective ones, run by run; None where there are not
    both. Permuting doses tests it, too: a run's difference of domains is one value of the run."""
    if own is None or not {OBJECTIVE, SUBJECTIVE} <= set(values["domain"]):
        return None
    sides = [of_arm(values, arm, side, step).set_index(["seed", "dose"])[own] for side in GROUPS[1:]]
    gap = (sides[1] - sides[0]).dropna().reset_index(name="gap")
    try:
        trend = permutation_trend(gap["gap"], gap["dose"], list(gap["seed"]))
        slopes = seed_slopes(gap["gap"], gap["dose"], list(gap["seed"]), level)
    except DataError:
        return None
    counts = {"runs": trend.runs, "seeds": trend.seeds, "exact": trend.exact}
    return {
        "metric": own,
        "slope": interval(slopes.interval or slopes.mean),
        "p": trend.p_value,
        **counts,
    }


def _mixed(
    arm: Arm, readout: pd.DataFrame, own: str | None, step: int, level: float
) -> dict[str, Any] | None:
    if own is None:
        return None
    here = readout[readout["step"] == step].merge(arm.cells, on="condition")
    means = here.groupby(["condition", "dose", "seed", "domain", "question"])[own].mean()
    table = means.reset_index().rename(columns={"condition": "run", own: "value"})

    def fitted() -> dict[str, Any]:
        fit = mixed_dose(table, level)
        return {
            "slopes": {domain: interval(slope) for domain, slope in fit.slopes.items()},
            "interaction_p": fit.interaction_p,
            "deviations": fit.deviations,
            "problem": fit.problem,
        }

    return _attempt(fitted)


def _correct(arms: list[dict[str, Any]]) -> None:
    """Add `p_holm` to the claims named before, `p_bh` to everything else."""
    claims = [one for arm in arms for one in arm["responses"] if one["primary"]]
    claims += [arm["interaction"] for arm in arms if arm["interaction"] is not None]
    for one, p in zip(claims, holm([one["p"] for one in claims]), strict=True):
        one["p_holm"] = float(p)
    screen = [one for arm in arms for one in arm["responses"] if not one["primary"]]
    for one, p in zip(screen, benjamini_hochberg([one["p"] for one in screen]), strict=True):
        one["p_bh"] = float(p)


def _controls(
    arms: Sequence[Arm],
    analysed: Sequence[dict[str, Any]],
    values: pd.DataFrame,
    step: int,
    level: float,
) -> list[dict[str, Any]]:
    """Each arm under a control or another scaling beside the plain arm of its bias: slopes by seed, and
    their difference, paired by seed."""
    plain = {arm.bias: arm for arm in arms if arm.control == "none" and arm.scaling == "none"}
    found = []
    for arm, result in zip(arms, analysed, strict=True):
        own, base = result["own"], plain.get(arm.bias)
        if own is None or base is None or base is arm:
            continue
        try:
            mine, theirs = (
                seed_slopes(table[own], table["dose"], list(table["seed"]), level)
                for table in (of_arm(values, one, OVERALL, step) for one in (arm, base))
            )
        except DataError:
            continue
        common = [seed for seed in mine.slopes if seed in theirs.slopes]
        gaps = pd.Series([mine.slopes[seed] - theirs.slopes[seed] for seed in common], dtype=float)
        found.append(
            {
                "label": arm.label,
                "against": base.label,
                "metric": own,
                "slope": interval(mine.interval or mine.mean),
                "against_slope": interval(theirs.interval or theirs.mean),
                "difference": interval(_mean(gaps, level)),
            }
        )
    return found


def _design(
    conditions: pd.DataFrame,
    readout: pd.DataFrame,
    arms: Sequence[Arm],
    objective: Collection[str],
    step: int,
) -> dict[str, Any]:
    distinct = conditions.drop_duplicates("id")
    failed = distinct[distinct["status"] != "done"]
    domains = list(dict.fromkeys(map(str, readout["domain"])))
    return {
        "cells": len(conditions),
        "conditions": len(distinct),
        "done": len(distinct) - len(failed),
        "failed": [
            {"id": str(row["id"]), "status": str(row["status"]), "error": str(row.get("error") or "")}
            for _, row in failed.iterrows()
        ],
        "seeds": sorted({int(seed) for arm in arms for seed in arm.cells["seed"]}),
        "doses": sorted({float(dose) for arm in arms for dose in arm.cells["dose"]}),
        "domains": domains,
        "objective": [domain for domain in domains if domain in objective],
        "step": step,
        "questions": int(readout.drop_duplicates(["domain", "question"]).shape[0]),
        "samples": int(readout["sample"].nunique()),
        "completions": len(readout),
        "unscored": int(readout["error"].notna().sum()) if "error" in readout else 0,
    }


def _objective(readout: pd.DataFrame) -> frozenset[str]:
    if CORRECT not in readout:
        return frozenset()
    return frozenset(map(str, readout.loc[readout[CORRECT].notna(), "domain"].unique()))


def interval(value: Interval | float) -> dict[str, Any]:
    """An interval, or a number that has none, as JSON."""
    if isinstance(value, Interval):
        return {"estimate": value.estimate, "low": value.low, "high": value.high, "n": value.n}
    return {"estimate": float(value), "low": None, "high": None, "n": 1}


def _mean(values: pd.Series, level: float) -> Interval | float:
    known = values.dropna()
    return t_interval(known, level) if len(known) > 1 else float(known.mean())


def _known(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def _attempt(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the work gives, or why it could not be done: a curve that cannot be fitted is no failure."""
    try:
        return work()
    except DataError as error:
        return {"problem": error.message}
