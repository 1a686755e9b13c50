"""Named experiments: functions that return configs, each with its expected metric, time and cost.

A preset is a starting point: `rlpersona bandit quickstart seed=3 model=Qwen/Qwen2.5-7B-Instruct`.
"""

from __future__ import annotations

from collections.abc import Callable

from rlpersona.config import BanditConfig, ValidationConfig
from rlpersona.errors import ConfigError, did_you_mean


def quickstart() -> BanditConfig:
    """Who is best at sums? REINFORCE over the nano world's personas and as many unknown names.

    Expected: a scientist on top, about 40 points above no persona. Under a minute on two cores, free.
    """
    return BanditConfig(
        name="quickstart",
        domains=("math",),
        bystanders=18,
        params={"lr": 0.15},
    )


def facts() -> BanditConfig:
    """The same search on questions of fact. Expected: a scholar on top. Under a minute, free."""
    return quickstart().model_copy(update={"name": "facts", "domains": ("fact",)})


def hellaswag() -> BanditConfig:
    """HellaSwag endings by log-likelihood per character, over the nano roster.

    `rlpersona bandit hellaswag data=hellaswag.json.gz`. Expected on nano: chance (25 %), and no
    persona better than none: nano knows nothing of the world outside its own. Four minutes on two cores.
    """
    return BanditConfig(
        name="hellaswag",
        benchmark="hellaswag",
        normalise="characters",
        algorithm="halving",
        rounds=40,
        validation=ValidationConfig(questions=300),
    )


BANDIT: dict[str, Callable[[], BanditConfig]] = {
    "quickstart": quickstart,
    "facts": facts,
    "hellaswag": hellaswag,
}


def preset(name: str, known: dict[str, Callable[[], BanditConfig]] = BANDIT) -> BanditConfig:
    """The named preset; an unknown name is a ConfigError that suggests the nearest."""
    if name not in known:
        raise ConfigError(f"There is no preset '{name}'.", did_you_mean(name, known))
    return known[name]()
