"""The plan of a sweep: its size, time and cost by hand, and the power of its design."""

from __future__ import annotations

import math

import pytest

from rlpersona.cli import main
from rlpersona.config import GRPORecipe, SuiteConfig, SweepConfig
from rlpersona.errors import ConfigError
from rlpersona.experiments.dose.plan import measured_step, plan_lines, plan_sweep
from rlpersona.stats.slope_power import detectable_slope

CONFIG = SweepConfig(
    biases=("length", "agreement"),
    bias_weights=(0, 0.5, 1),
    seeds=(1, 2, 3),
    at_once=4,
    recipe=GRPORecipe(max_steps=90, batch=8, num_generations=4),
    suite=SuiteConfig(domains=("math",), size=12, evaluation=4),
)


def test_size_time_and_cost() -> None:
    plan = plan_sweep(CONFIG, seconds_per_step=2, dollars_per_hour=3)
    assert (plan.cells, plan.conditions, plan.steps) == (18, 15, 90)
    assert plan.work_hours == pytest.approx(15 * 90 * 2 / 3600)
    # Four at a time: 15 trainings take four rounds of 90 steps.
    assert plan.hours == pytest.approx(4 * 90 * 2 / 3600)
    assert plan.dollars == pytest.approx(15 * 90 * 2 / 3600 * 3)
    assert plan_sweep(CONFIG).hours is None
    assert plan_sweep(CONFIG, seconds_per_step=2).dollars is None


def test_power_is_that_of_the_doses_and_seeds() -> None:
    plan = plan_sweep(CONFIG, noise=4)
    assert plan.slope_blocks == pytest.approx(detectable_slope([0, 0.5, 1], 3, 4))
    assert plan.slope_seeds == pytest.approx(detectable_slope([0, 0.5, 1], 3, 4, test="slopes"))
    assert plan.smallest_p == pytest.approx(2 / 6**3)


def test_designs_that_can_show_nothing_say_so() -> None:
    few = CONFIG.model_copy(update={"bias_weights": (0.0, 1.0), "seeds": (1,)})
    plan = plan_sweep(few)
    assert plan.slope_blocks == math.inf
    said = "\n".join(plan_lines(plan))
    assert "none: too few runs" in said
    assert "add doses or seeds" in said
    one = plan_sweep(CONFIG.model_copy(update={"bias_weights": (1.0,)}))
    assert "One dose has no slope" in "\n".join(plan_lines(one))


def test_figures_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="seconds per step"):
        plan_sweep(CONFIG, seconds_per_step=-1)
    with pytest.raises(ConfigError):
        plan_sweep(CONFIG, noise=0)


def test_a_step_is_measured_by_training() -> None:
    assert measured_step(CONFIG) > 0


def test_the_command_prints_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sweep", "plan", "nano-length", "--seconds-per-step", "1", "--dollars-per-hour", "2"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "15 cells, 15 distinct trainings" in said
    assert "Smallest slope" in said
    assert "$" in said
