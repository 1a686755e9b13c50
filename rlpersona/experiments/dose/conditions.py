"""The factorial of a sweep as trainings: each distinct one once, under the hash of what it is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from rlpersona.config import GRPOConfig, RewardConfig, SweepConfig
from rlpersona.errors import ConfigError
from rlpersona.rewards.reward import canonical
from rlpersona.tasks.identity import digest

ID_LENGTH = 12


@dataclass(frozen=True)
class Condition:
    """One training; `id` is a hash of its config without the name."""

    id: str
    config: GRPOConfig


@dataclass(frozen=True)
class Cell:
    """One cell of the factorial, and the condition that serves it."""

    bias: str
    bias_weight: float
    control: str
    scaling: str
    seed: int
    condition: str


def conditions(config: SweepConfig) -> list[Condition]:
    """The distinct trainings, seed by seed, so that an unfinished sweep has whole blocks."""
    found = {one.id: one for _, one in _factorial(config)}
    return list(found.values())


def cells(config: SweepConfig) -> list[Cell]:
    """Every cell of the factorial, in the order of `conditions`; some share one."""
    return [cell for cell, _ in _factorial(config)]


def refuse_filled(config: SweepConfig) -> None:
    """ConfigError where a factor would overwrite a setting: whoever gave it expects that it counts."""
    set_by = {
        "reward.biases": (config.reward.biases, {}, "biases= and bias_weights="),
        "reward.control": (config.reward.control, "none", "controls="),
        "recipe.scale_rewards": (config.recipe.scale_rewards, "none", "scalings="),
    }
    for name, (value, unset, factor) in set_by.items():
        if value != unset:
            raise ConfigError(f"{name}={value} is a factor of the sweep.", f"Give {factor} instead.")


def _factorial(config: SweepConfig) -> list[tuple[Cell, Condition]]:
    refuse_filled(config)
    factors = product(config.seeds, config.scalings, config.controls, config.biases, config.bias_weights)
    found = []
    for seed, scaling, control, bias, weight in factors:
        condition = _condition(config, seed, scaling, _reward(config.reward, bias, weight, control))
        found.append((Cell(bias, weight, control, scaling, seed, condition.id), condition))
    return found


def _condition(config: SweepConfig, seed: int, scaling: str, reward: RewardConfig) -> Condition:
    shared = {name: getattr(config, name) for name in GRPOConfig.model_fields}
    recipe = config.recipe.model_copy(update={"scale_rewards": scaling})
    chosen = {
        "experiment": "grpo",
        "name": "condition",
        "seed": seed,
        "recipe": recipe,
        "reward": reward,
    }
    unnamed = GRPOConfig(**{**shared, **chosen})
    name = digest(unnamed.model_dump(mode="json"))[:ID_LENGTH]
    return Condition(name, unnamed.model_copy(update={"name": name}))


def _reward(shared: RewardConfig, bias: str, weight: float, control: str) -> RewardConfig:
    """The reward of a cell, in the one form that equal rewards share."""
    return canonical(shared.model_copy(update={"biases": {bias: weight}, "control": control}))
