"""Named experiments: functions that return configs, each with its expected metric, time and cost.

A preset is a starting point: `rlpersona bandit quickstart seed=3 model=Qwen/Qwen2.5-7B-Instruct`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from rlpersona.config import BanditConfig
from rlpersona.errors import ConfigError, did_you_mean
from rlpersona.presets.axis import AXIS
from rlpersona.presets.bandit import BANDIT, TEMPORAL
from rlpersona.presets.grpo import GRPO, SUITES
from rlpersona.presets.label import LABEL
from rlpersona.presets.stages import STAGES
from rlpersona.presets.sweep import SWEEP

__all__ = [
    "AXIS",
    "BANDIT",
    "GRPO",
    "LABEL",
    "STAGES",
    "SUITES",
    "SWEEP",
    "TEMPORAL",
    "chosen",
    "preset",
]

ConfigT = TypeVar("ConfigT")


def preset(name: str) -> BanditConfig:
    """The named bandit preset; an unknown name is a ConfigError that suggests the nearest."""
    return chosen(name, BANDIT)


def chosen(name: str, known: Mapping[str, Callable[[], ConfigT]]) -> ConfigT:
    """The preset of that name among `known`."""
    if name not in known:
        hint = "rlpersona bandit validate eras" if name in TEMPORAL else did_you_mean(name, known)
        raise ConfigError(f"There is no preset '{name}'.", hint)
    return known[name]()
