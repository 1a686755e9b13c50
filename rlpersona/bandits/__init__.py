"""Bandit algorithms: which persona to try next, and what to believe about the best one.

A file in this folder whose class derives from `Bandit` and sets `name` is an algorithm; nothing else
has to know of it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

from rlpersona.bandits.base import REGISTRY as BANDITS
from rlpersona.bandits.base import Bandit
from rlpersona.errors import ConfigError, did_you_mean

__all__ = ["BANDITS", "Bandit", "make_bandit"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def make_bandit(name: str, arms: int, seed: int = 0, **params: Any) -> Bandit:
    """The algorithm called `name` over `arms` arms; `params` are those of its class.

    Raises ConfigError for an unknown name or parameter, a missing one, or a value out of range.
    """
    if name not in BANDITS:
        raise ConfigError(f"unknown bandit algorithm {name!r}", did_you_mean(name, BANDITS))
    known = inspect.signature(BANDITS[name]).parameters
    choices = known.keys() - {"arms", "seed"}
    for param in params:
        if param not in choices:
            raise ConfigError(f"{name} has no parameter {param!r}", did_you_mean(param, choices))
    for param in choices - params.keys():
        if known[param].default is inspect.Parameter.empty:
            raise ConfigError(f"{name} needs {param}", f"Give {param}=VALUE.")
    return BANDITS[name](arms, seed, **params)
