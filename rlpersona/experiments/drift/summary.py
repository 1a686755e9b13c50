"""Checkpoints together: what moved with the reward, what the trainings of a sweep have in common."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rlpersona.experiments.drift.checkpoints import Training
from rlpersona.experiments.drift.measures import FROZEN
from rlpersona.report.drift_records import RANDOM, TEXTS, label_of
from rlpersona.stats.intervals import t_interval
from rlpersona.store import Run

Json = dict[str, Any]
REWARDS = ("total", "task")


def correlations(trainings: Sequence[Training], checkpoints: Sequence[Json]) -> list[Json]:
    """Rank correlation of the default's movement with the reward, over the checkpoints of a training.

    The reward at a checkpoint is its mean over the updates since the checkpoint before. Both follow the
    step, so a training that does nothing but go on shows a correlation, too; there is no test. None
    below four checkpoints, or where one of the two does not vary.
    """
    from scipy.stats import spearmanr

    found = []
    for training, text in itertools.product(trainings, TEXTS):
        mine = sorted(of_training(checkpoints, training, text), key=lambda one: one["step"])
        rows = Run(training.folder).metrics()
        steps = [one["step"] for one in mine]
        for reward in REWARDS:
            values = _between(rows, reward, steps)
            moved = [one["default"][FROZEN]["estimate"] for one in mine]
            pairs = [(v, m) for v, m in zip(values, moved, strict=True) if v is not None]
            if not pairs:
                continue
            rho = None
            if len(pairs) > 3 and all(np.ptp(column) > 0 for column in zip(*pairs, strict=True)):
                rho = float(spearmanr(*zip(*pairs, strict=True)).statistic)
            found.append(
                {
                    "run": training.run,
                    "condition": training.condition,
                    "text": text,
                    "reward": reward,
                    "rho": rho,
                    "checkpoints": len(pairs),
                    "points": [
                        {"step": step, "reward": value}
                        for step, value in zip(steps, values, strict=True)
                        if value is not None
                    ],
                }
            )
    return found


def groups(trainings: Sequence[Training], checkpoints: Sequence[Json], level: float) -> list[Json]:
    """Trainings that differ by seed alone: their mean movement at the last step, and its t interval.

    The unit is the training. `beyond_random`: the same less the trainings under random reward, paired
    by seed. Empty where the runs are no sweeps.
    """
    cells: dict[tuple[Any, ...], dict[int, Training]] = {}
    for training in trainings:
        for factors in training.checkpoints[-1].factors if training.checkpoints else ():
            kind = tuple(factors[name] for name in ("bias", "bias_weight", "control", "scaling"))
            cells.setdefault((training.run, *kind), {})[factors["seed"]] = training
    found = []
    for (run, bias, weight, control, scaling), seeds in cells.items():
        for text in TEXTS:
            moved = {seed: _last(checkpoints, one, text) for seed, one in seeds.items()}
            told: Json = {
                "run": run,
                "bias": bias,
                "bias_weight": weight,
                "control": control,
                "scaling": scaling,
                "text": text,
                **_interval(moved.values(), level),
                "beyond_random": None,
            }
            other = cells.get((run, bias, weight, RANDOM, scaling))
            if control != RANDOM and other:
                random = {seed: _last(checkpoints, one, text) for seed, one in other.items()}
                both = moved.keys() & random.keys()
                pairs = [(moved[s], random[s]) for s in sorted(both)]
                gaps = [a - b for a, b in pairs if a is not None and b is not None]
                told["beyond_random"] = _interval(gaps, level)
            found.append(told)
    return sorted(found, key=lambda one: tuple(map(str, (one["run"], one["bias"], one["control"]))))


def verdict(summary: Json) -> str:
    """The headline in one sentence: the last checkpoint of the run's training that moved furthest."""
    checkpoints, of = summary["checkpoints"], summary["of"]
    own = [one for one in checkpoints if one["text"] == "own" and one["step"] and one["run"] == of]
    last = {one["condition"]: one for one in sorted(own, key=lambda one: int(one["step"]))}
    if not last:
        return f"No checkpoint of {of} was measured"
    most = max(last.values(), key=lambda one: abs(one["default"][FROZEN]["estimate"] or 0))
    taught = _beside(checkpoints, most)
    moved, control = most["default"][FROZEN], most["control"]["personas"]
    if beyond(most):
        told = "towards the assistant" if moved["estimate"] > 0 else "away from the assistant"
        head = f"The model moved {told}"
    else:
        head = "No movement along the Assistant Axis beyond that along random directions"
    where = f"{label_of(summary, (of, most['condition']))} at step {most['step']}"
    several = f", the furthest of {len(last)} trainings" if len(last) > 1 else ""
    found = f"{_said(moved)} SD of roles on its own answers"
    if taught is not None:
        found += f", {_said(taught['default'][FROZEN])} on the base's"
    band = f"random directions [{control['low']:+.2f}, {control['high']:+.2f}]"
    return f"{head}: {found} ({where}{several}; {band})"


def beyond(checkpoint: Json) -> bool:
    """Whether the interval of the default's movement lies outside that of random directions."""
    moved, control = checkpoint["default"][FROZEN], checkpoint["control"]["personas"]
    if None in (moved["low"], moved["high"], control["low"], control["high"]):
        return False
    return bool(moved["low"] > control["high"] or moved["high"] < control["low"])


def of_training(checkpoints: Iterable[Json], training: Training, text: str) -> list[Json]:
    """The measured checkpoints of a training on one kind of text."""
    mine = (training.run, training.condition, text)
    return [one for one in checkpoints if (one["run"], one["condition"], one["text"]) == mine]


def _beside(checkpoints: Sequence[Json], one: Json) -> Json | None:
    """The same checkpoint on the base's text."""
    for other in checkpoints:
        if other["text"] == "base" and all(other[k] == one[k] for k in ("run", "condition", "step")):
            return other
    return None


def _last(checkpoints: Sequence[Json], training: Training, text: str) -> float | None:
    mine = of_training(checkpoints, training, text)
    if not mine:
        return None
    value: float | None = max(mine, key=lambda one: one["step"])["default"][FROZEN]["estimate"]
    return value


def _interval(values: Iterable[float | None], level: float) -> Json:
    """Mean of trainings with Student's interval; no ends for a single one."""
    kept = [value for value in values if value is not None]
    ends: Json = {"low": None, "high": None}
    if len(kept) > 1:
        found = t_interval(kept, level)
        ends = {"low": found.low, "high": found.high}
    return {"estimate": float(np.mean(kept)) if kept else None, **ends, "trainings": len(kept)}


def _between(rows: Sequence[Json], name: str, steps: Sequence[int]) -> list[float | None]:
    """Mean of what was logged after the step before and up to each step."""
    found: list[float | None] = []
    for before, step in itertools.pairwise([0, *steps]):
        values = [row.get(name) for row in rows if before < row["step"] <= step]
        kept = [value for value in values if value is not None]
        found.append(float(np.mean(kept)) if kept else None)
    return found


def _said(value: Json) -> str:
    if value["low"] is None:
        return f"{value['estimate']:+.2f}"
    return f"{value['estimate']:+.2f} [{value['low']:+.2f}, {value['high']:+.2f}]"
