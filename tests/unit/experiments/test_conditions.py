"""A factorial becomes trainings: each distinct one once, none lost, blocked by seed."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.config import GRPOConfig, GRPORecipe, RewardConfig, SweepConfig
from rlpersona.errors import ConfigError
from rlpersona.experiments.dose.conditions import cells, conditions


def test_one_run_of_weight_zero_serves_every_bias_and_control() -> None:
    config = SweepConfig(
        biases=("length", "agreement"),
        bias_weights=(0, 0.5, 1),
        controls=("none", "length-matched"),
        seeds=(1, 2),
    )
    assert len(cells(config)) == 2 * 2 * 3 * 2
    # For each seed: one of weight 0, and two biases x two controls x two weights.
    assert len(conditions(config)) == 2 * (1 + 2 * 2 * 2)
    zero = {cell.condition for cell in cells(config) if cell.bias_weight == 0 and cell.seed == 1}
    assert len(zero) == 1


def test_a_control_that_acts_without_a_bias_has_a_run_of_its_own() -> None:
    config = SweepConfig(bias_weights=(0, 1), controls=("none", "overlong"), seeds=(1,))
    assert len(conditions(config)) == 4


def test_scaling_acts_without_a_bias() -> None:
    config = SweepConfig(bias_weights=(0, 1), scalings=("none", "group"), seeds=(1,))
    assert len(conditions(config)) == 4


def test_a_condition_is_the_training_that_its_cells_say() -> None:
    config = SweepConfig(
        biases=("length", "politeness"),
        bias_weights=(0, 0.3),
        controls=("none", "random-reward"),
        scalings=("none", "group"),
        seeds=(5, 6),
        recipe=GRPORecipe(max_steps=7),
        reward=RewardConfig(length_scale=40),
    )
    known = {one.id: one.config for one in conditions(config)}
    for cell in cells(config):
        made = known[cell.condition]
        assert type(made) is GRPOConfig
        assert made.seed == cell.seed
        assert made.recipe == config.recipe.model_copy(update={"scale_rewards": cell.scaling})
        assert made.suite == config.suite
        if cell.bias_weight:
            assert made.reward.biases == {cell.bias: cell.bias_weight}
            assert made.reward.control == cell.control
            if (cell.bias, cell.control) == ("length", "none"):
                assert made.reward.length_scale == 40
        else:
            assert made.reward == RewardConfig()
    assert set(known) == {cell.condition for cell in cells(config)}


def test_seeds_come_block_by_block() -> None:
    config = SweepConfig(seeds=(9, 1, 4), biases=("length", "hedging"))
    seeds = [one.config.seed for one in conditions(config)]
    assert seeds == sorted(seeds, key=(9, 1, 4).index)


def test_ids_come_from_content_alone() -> None:
    config = SweepConfig(seeds=(1, 2))
    ids = {one.id for one in conditions(config)}
    assert ids == {one.id for one in conditions(config.model_copy(update={"name": "other"}))}
    assert ids == {one.id for one in conditions(config.model_copy(update={"at_once": 1, "retries": 0}))}
    turned = config.model_copy(update={"seeds": (2, 1), "bias_weights": config.bias_weights[::-1]})
    assert ids == {one.id for one in conditions(turned)}
    longer = config.model_copy(update={"recipe": GRPORecipe(max_steps=9)})
    assert not ids & {one.id for one in conditions(longer)}
    for one in conditions(config):
        assert one.config.name == one.id


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from([0, 0.1, 0.5, 2.0]), min_size=1, unique=True),
    st.lists(st.sampled_from(["length", "agreement", "hedging"]), min_size=1, unique=True),
    st.lists(st.sampled_from(["none", "overlong", "random-reward"]), min_size=1, unique=True),
    st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True),
)
def test_equal_trainings_and_only_those_share_an_id(
    weights: list[float], biases: list[str], controls: list[str], seeds: list[int]
) -> None:
    config = SweepConfig(bias_weights=weights, biases=biases, controls=controls, seeds=seeds)
    there = cells(config)
    assert len(there) == len(weights) * len(biases) * len(controls) * len(seeds)
    made = conditions(config)
    assert len({one.id for one in made}) == len(made)
    content = [one.config.model_dump_json(exclude={"name"}) for one in made]
    assert len(set(content)) == len(made)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (SweepConfig(reward=RewardConfig(biases={"length": 1})), "biases="),
        (SweepConfig(reward=RewardConfig(control="overlong")), "controls="),
        (SweepConfig(recipe=GRPORecipe(scale_rewards="group")), "scalings="),
    ],
)
def test_what_a_factor_fills_must_be_left_open(config: SweepConfig, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        conditions(config)
    assert says in raised.value.hint


def test_levels_are_given_once() -> None:
    for twice in ({"seeds": (1, 1)}, {"bias_weights": (0.5, 0.5)}, {"biases": ("length", "length")}):
        with pytest.raises(ValueError, match="twice"):
            SweepConfig(**twice)
    assert SweepConfig(seeds=3).seeds == (3,)
    assert SweepConfig(bias_weights="0, 0.5").bias_weights == (0, 0.5)
    assert list(product(SweepConfig(biases="length,hedging").biases)) == [("length",), ("hedging",)]
