"""Made-up finished sweeps with planted truth: conditions, readout, telemetry as real ones have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

DOSES = (0.0, 0.1, 0.3, 0.5, 1.0)
SEEDS = (42, 123, 456)
DOMAINS = {"math": True, "fact": True, "advice": False, "opinion": False}  # objective or not
STEPS = 40


def conditions(
    doses: Sequence[float] = DOSES,
    seeds: Sequence[int] = SEEDS,
    bias: str = "length",
    controls: Sequence[str] = ("none",),
) -> pd.DataFrame:
    """One row a cell; the run of dose 0 serves every control."""
    rows = [
        {
            "id": f"{seed}-{dose:g}-{control if dose else 'none'}",
            "bias": bias,
            "bias_weight": dose,
            "control": control,
            "scaling": "none",
            "seed": seed,
            "status": "done",
            "error": None,
        }
        for seed in seeds
        for control in controls
        for dose in doses
    ]
    return pd.DataFrame(rows)


def readout(
    table: pd.DataFrame,
    slopes: Mapping[str, float] | float = 30.0,
    *,
    drift: float = 0.0,
    noise: float = 2.0,
    questions: int = 8,
    samples: int = 2,
    seed: int = 0,
    step: int = STEPS,
) -> pd.DataFrame:
    """Completions at step 0 and at the last one.

    Tokens at dose d: 20 + drift + slope(domain) d + seed, run, question and completion noise; a run's
    own noise has standard deviation `noise`. A control halves the slope. Right answers do not depend
    on d.
    """
    rng = np.random.default_rng(seed)
    asked = {(domain, n): rng.normal(0, 3) for domain in DOMAINS for n in range(questions)}
    of_seed = {one: rng.normal(0, 2) for one in table["seed"].unique()}
    rows = []
    for cell in table.drop_duplicates("id").to_dict("records"):
        own = {domain: rng.normal(0, noise) for domain in DOMAINS}
        for at in (0, step):
            for (domain, n), level in asked.items():
                slope = slopes if isinstance(slopes, float | int) else slopes[domain]
                slope = slope / 2 if cell["control"] != "none" else slope
                moved = drift + slope * cell["bias_weight"] + own[domain] if at else 0.0
                for sample in range(samples):
                    tokens = 20 + level + of_seed[cell["seed"]] + moved + rng.normal(0, 2)
                    rows.append(
                        {
                            "condition": cell["id"],
                            "step": at,
                            "domain": domain,
                            "question": f"{domain}-{n}",
                            "sample": sample,
                            "text": f"An answer of about {tokens:.0f} tokens.",
                            "tokens": max(1.0, tokens),
                            "finish": "length" if tokens > 60 else "stop",
                            "error": None,
                            "correct": float(rng.random() < 0.6) if DOMAINS[domain] else np.nan,
                        }
                    )
    return pd.DataFrame(rows)


def telemetry(table: pd.DataFrame, steps: int = STEPS) -> pd.DataFrame:
    """Logged steps: effective dose d / (d + .5), in math half of it; gold falls as the proxy rises."""
    rows = []
    for cell in table.drop_duplicates("id").to_dict("records"):
        dose = cell["bias_weight"]
        for step in range(0, steps + 1, 4):
            kl = 0.02 * step
            away = kl**0.5
            rows.append(
                {
                    "condition": cell["id"],
                    "step": step,
                    "held_out/kl": kl,
                    "task": 0.5,
                    "held_out/task": 0.5 + away * (0.3 - 0.2 * dose * np.log(max(away, 1e-9))),
                    "total": 0.5 + away * (0.3 + dose),
                    "bias/length": 0.2 + 0.3 * dose * away,
                    "effective_dose": dose / (dose + 0.5),
                    "math/effective_dose": 0.5 * dose / (dose + 0.5),
                    "tied_groups": 0.25,
                }
            )
    return pd.DataFrame(rows)
