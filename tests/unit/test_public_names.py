"""The public names: all there, all documented, none of them loaded before it is used."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import rlpersona

PUBLIC = [
    "ApiCall",
    "ApiReply",
    "AxisConfig",
    "BanditConfig",
    "ChoiceScores",
    "Completion",
    "DriftConfig",
    "GRPOConfig",
    "Judge",
    "JudgeConfig",
    "LabelConfig",
    "Message",
    "Model",
    "ModelConfig",
    "Persona",
    "PersonaError",
    "PooledModel",
    "Prompt",
    "Question",
    "ReplicaPool",
    "Sampling",
    "Score",
    "StagesConfig",
    "SweepConfig",
    "TemporalConfig",
    "ValidationConfig",
    "compare",
    "evaluate_stages",
    "load_model",
    "load_personas",
    "load_questions",
    "preset",
    "ray_session",
    "run_axis",
    "run_bandit",
    "run_dpo",
    "run_drift",
    "run_grpo",
    "run_sweep",
    "run_temporal",
    "write_report",
]


def test_the_public_names_are_these() -> None:
    assert rlpersona.__all__ == PUBLIC
    assert dir(rlpersona) == rlpersona.__all__
    with pytest.raises(AttributeError, match="run_bandits"):
        _ = rlpersona.run_bandits


@pytest.mark.parametrize("name", PUBLIC)
def test_each_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(rlpersona, name))


def test_importing_the_package_loads_nothing_else() -> None:
    script = "import sys, rlpersona; print(*[m for m in sys.modules if m.split('.')[0] == 'rlpersona'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["rlpersona"]


MODULES = [
    module.name
    for module in pkgutil.walk_packages(rlpersona.__path__, "rlpersona.")
    if not module.name.split(".")[-1].startswith("_")
]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_imports_alone_and_says_what_it_is(name: str) -> None:
    assert inspect.getdoc(importlib.import_module(name))


@pytest.mark.parametrize("name", MODULES)
def test_dunder_all_holds_real_names(name: str) -> None:
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", []):
        assert hasattr(module, public)
