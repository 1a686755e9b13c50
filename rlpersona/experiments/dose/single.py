"""One training beside its base: what changed, with the question as the unit.

A single run cannot say what another seed would do; that is for a sweep. Its questions can say whether
these weights answer better than the base's on prompts that nobody trained on.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from rlpersona.errors import DataError
from rlpersona.experiments.dose.verdict import headed
from rlpersona.report.dose_words import bracket
from rlpersona.report.dose_words import value as number
from rlpersona.report.words import p_value
from rlpersona.stats import benjamini_hochberg, holm
from rlpersona.stats.intervals import t_interval
from rlpersona.stats.permutation import sign_flip
from rlpersona.stats.run_values import (
    CAPPED,
    GROUPS,
    OBJECTIVE,
    OVERALL,
    SUBJECTIVE,
    metrics_of,
    with_capped,
)


def analyse_training(
    readout: pd.DataFrame, level: float = 0.95, *, objective: Collection[str] | None = None
) -> dict[str, Any]:
    """The summary of one training, all of it JSON: each metric in each domain, base and last checkpoint.

    `readout` is that of `read_out`, with step 0. Differences are paired by question, with Student's
    interval over questions and the sign-flip test; Holm over right answers in objective domains and
    length overall, Benjamini and Hochberg over the rest. DataError where base or a later step is
    missing.
    """
    steps = sorted(int(step) for step in readout["step"].unique())
    if len(steps) < 2 or steps[0] != 0:
        raise DataError(
            f"The readout has steps {steps}: nothing to compare.", "Read out the base (step 0), too."
        )
    table = with_capped(readout)
    metrics = [*metrics_of(readout), CAPPED]
    sides = _sides(readout, objective)
    means = table.groupby(["step", "domain", "question"])[metrics].mean()
    changes = []
    for metric in metrics:
        for domain, members in sides.items():
            found = _change(means[metric], members, steps[-1], level)
            if found is not None:
                claimed = (metric, domain) in (("correct", OBJECTIVE), ("tokens", OVERALL))
                changes.append({"metric": metric, "domain": domain, **found, "primary": claimed})
    _correct(changes)
    summary: dict[str, Any] = {
        "level": level,
        "design": {
            "domains": [name for name in sides if name not in GROUPS],
            "step": steps[-1],
            "steps": steps,
            "questions": int(readout.drop_duplicates(["domain", "question"]).shape[0]),
            "samples": int(readout["sample"].nunique()),
            "completions": len(readout),
            "unscored": int(readout["error"].notna().sum()) if "error" in readout else 0,
        },
        "changes": changes,
    }
    return {**summary, "verdict": _verdict(changes, 1 - level)}


def _sides(readout: pd.DataFrame, objective: Collection[str] | None) -> dict[str, list[str]]:
    """The domains of each group of domains that has any, then each domain by itself."""
    domains = list(dict.fromkeys(map(str, readout["domain"])))
    if objective is None:
        known = readout["correct"].notna() if "correct" in readout else readout["domain"].isna()
        objective = {str(domain) for domain in readout.loc[known, "domain"].unique()}
    groups = {
        OVERALL: domains,
        OBJECTIVE: [domain for domain in domains if domain in objective],
        SUBJECTIVE: [domain for domain in domains if domain not in objective],
    }
    return {name: members for name, members in groups.items() if members} | {d: [d] for d in domains}


def _change(means: pd.Series, domains: list[str], step: int, level: float) -> dict[str, Any] | None:
    """Last step less base over the questions of some domains; None where fewer than two have both."""
    here = means[means.index.get_level_values("domain").isin(domains)]
    both = here.unstack("step")[[0, step]].dropna()
    if len(both) < 2:
        return None
    gaps = (both[step] - both[0]).to_numpy(dtype=np.float64)
    found = t_interval(gaps, level)
    return {
        "base": float(both[0].mean()),
        "last": float(both[step].mean()),
        "estimate": found.estimate,
        "low": found.low,
        "high": found.high,
        "n": found.n,
        "p": sign_flip(gaps).p_value,
    }


def _correct(changes: list[dict[str, Any]]) -> None:
    for primary, name, adjust in ((True, "p_holm", holm), (False, "p_bh", benjamini_hochberg)):
        chosen = [one for one in changes if one["primary"] is primary]
        for one, p in zip(chosen, adjust([one["p"] for one in chosen]), strict=True):
            one[name] = float(p)


def _verdict(changes: list[dict[str, Any]], alpha: float) -> str:
    lines = []
    for one in sorted((one for one in changes if one["primary"]), key=lambda one: one["metric"]):
        metric = one["metric"]
        shown = one["p_holm"] < alpha
        verb = ("rises" if one["estimate"] > 0 else "falls") if shown else "is not shown to change"
        ends = f"from {number(one['base'], metric)} to {number(one['last'], metric)}"
        change = f"{number(one['estimate'], metric, signed=True)} {bracket(one, metric)}"
        n = f"p (Holm) {p_value(one['p_holm'])}, n = {one['n']} questions"
        lines.append(f"{headed(metric)} {verb}: {ends} ({change}), {n}.")
    return " ".join([*lines, "One run: another seed may come out otherwise."])
