"""What a sweep costs and what it can show, before it is started."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rlpersona.config import SweepConfig
from rlpersona.errors import ConfigError
from rlpersona.experiments.dose.conditions import cells
from rlpersona.experiments.dose.grpo import located
from rlpersona.experiments.dose.sweep import load_sweep
from rlpersona.report.words import duration, p_value, several
from rlpersona.stats.slope_power import Test, detectable_slope, smallest_p
from rlpersona.training.checkpoints import LocalCheckpoints
from rlpersona.training.grpo import GRPOJob, total_steps, train_grpo
from rlpersona.training.start import Start

MEASURED_STEPS = 4  # of which the first, which warms up, does not count


@dataclass(frozen=True)
class SweepPlan:
    """The size of a sweep and its power. Slopes are in units of the metric per unit of bias_weight.

    `hours` is the wall time of the trainings alone with `at_once` at a time, `work_hours` that of all of
    them one after the other; `dollars` what `work_hours` cost; None where nothing is known to compute
    them from. `slope_blocks` and `slope_seeds` are the smallest slopes that are found with a chance of
    80 % by the t test over all runs with seeds as blocks, and by the t test over the seeds' slopes;
    infinite where there is no degree of freedom, None for a single dose. `noise` is the run-to-run
    standard deviation that they assume. `smallest_p` is the least that permuting doses within seeds
    can give.
    """

    cells: int
    conditions: int
    doses: tuple[float, ...]
    seeds: int
    steps: int
    prompts: int
    at_once: int
    seconds_per_step: float | None
    work_hours: float | None
    hours: float | None
    dollars: float | None
    noise: float
    slope_blocks: float | None
    slope_seeds: float | None
    smallest_p: float


def plan_sweep(
    config: SweepConfig,
    *,
    seconds_per_step: float | None = None,
    dollars_per_hour: float | None = None,
    noise: float = 1.0,
) -> SweepPlan:
    """The plan of a sweep whose updates take `seconds_per_step` each, on machines of `dollars_per_hour`
    a training. ConfigError for figures that cannot be."""
    for name, value in {
        "seconds per step": seconds_per_step,
        "dollars per hour": dollars_per_hour,
    }.items():
        if value is not None and not (value >= 0 and math.isfinite(value)):
            raise ConfigError(f"{name}: {value!r}", "Give a number that is not negative.")
    inputs = load_sweep(config)
    prompts = len(inputs.suite.train)
    steps = total_steps(config, prompts)
    trainings, doses, seeds = len(inputs.conditions), config.bias_weights, len(config.seeds)
    work = None if seconds_per_step is None else trainings * steps * seconds_per_step / 3600
    rounds = math.ceil(trainings / config.at_once)
    return SweepPlan(
        cells=len(cells(config)),
        conditions=trainings,
        doses=tuple(sorted(doses)),
        seeds=seeds,
        steps=steps,
        prompts=prompts,
        at_once=config.at_once,
        seconds_per_step=seconds_per_step,
        work_hours=work,
        hours=None if work is None else work / trainings * rounds,
        dollars=None if work is None or dollars_per_hour is None else work * dollars_per_hour,
        noise=noise,
        slope_blocks=_slope(doses, seeds, noise, "blocks", config.level),
        slope_seeds=_slope(doses, seeds, noise, "slopes", config.level),
        smallest_p=smallest_p(len(doses), seeds),
    )


def measured_step(config: SweepConfig) -> float:
    """Seconds of one update of the largest dose, timed over the first few in this process.

    An update gets slower where completions get longer, as under a length bias, and faster where
    trainings do not share the machine.
    """
    inputs = load_sweep(config)
    heaviest = max(inputs.conditions, key=lambda one: sum(one.config.reward.biases.values()))
    recipe = heaviest.config.recipe.model_copy(
        update={"max_steps": MEASURED_STEPS, "checkpoint_every": MEASURED_STEPS}
    )
    short = located(heaviest.config.model_copy(update={"recipe": recipe}))
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        job = GRPOJob(short, Start(short.model), inputs.suite.train, (), Path(folder) / "out")
        train_grpo(
            job, LocalCheckpoints(Path(folder) / "kept"), lambda _: ends.append(time.perf_counter())
        )
    return (ends[-1] - ends[0]) / (len(ends) - 1)


def plan_lines(plan: SweepPlan) -> list[str]:
    """The plan in plain words."""
    lines = [
        f"{several(plan.cells, 'cell')}, {several(plan.conditions, 'distinct training')}"
        f" of {several(plan.steps, 'step')} each; {several(plan.prompts, 'training prompt')}"
    ]
    if plan.hours is None or plan.work_hours is None:
        lines.append("Time: unknown; give --seconds-per-step, or time a few steps here with --measure")
    else:
        lines.append(
            f"Time: {duration(3600 * plan.hours)} of training with {plan.at_once} at a time"
            f" ({duration(3600 * plan.work_hours)} in all, {plan.seconds_per_step:.2g} s a step);"
            " the readout comes on top"
        )
    if plan.dollars is not None:
        lines.append(f"Cost of the trainings: ${plan.dollars:,.2f}")
    if plan.slope_blocks is None or plan.slope_seeds is None:
        return [*lines, "One dose has no slope: give at least two bias_weights"]
    unit = "run-to-run standard deviations" if plan.noise == 1 else "units of the metric"
    span = plan.doses[-1] - plan.doses[0]
    for name, slope in (
        ("over all runs, seeds as blocks", plan.slope_blocks),
        ("over the slopes of the seeds", plan.slope_seeds),
    ):
        found = (
            f"{slope:.3g} {unit} per unit of bias_weight ({slope * span:.3g} over the doses)"
            if math.isfinite(slope)
            else "none: too few runs"
        )
        lines.append(f"Smallest slope found with a chance of 80 %, t test {name}: {found}")
    least = p_value(plan.smallest_p)
    note = "" if plan.smallest_p < 0.05 else ": no trend can be shown this way; add doses or seeds"
    return [*lines, f"Smallest p of permuting doses within {several(plan.seeds, 'seed')}: {least}{note}"]


def _slope(doses: Sequence[float], seeds: int, noise: float, test: Test, level: float) -> float | None:
    return detectable_slope(doses, seeds, noise, test=test, level=level) if len(doses) > 1 else None
