"""rlpersona: a laboratory for persona reinforcement learning on Ray.

    from rlpersona import preset, run_bandit
    summary = run_bandit(preset("quickstart"), "runs")

The names below are the public ones; each is loaded when it is first used, so that importing the package
costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "AxisConfig": "rlpersona.config",
    "BanditConfig": "rlpersona.config",
    "DriftConfig": "rlpersona.config",
    "GRPOConfig": "rlpersona.config",
    "JudgeConfig": "rlpersona.config",
    "LabelConfig": "rlpersona.config",
    "ModelConfig": "rlpersona.config",
    "StagesConfig": "rlpersona.config",
    "SweepConfig": "rlpersona.config",
    "TemporalConfig": "rlpersona.config",
    "ValidationConfig": "rlpersona.config",
    "PersonaError": "rlpersona.errors",
    "run_axis": "rlpersona.experiments.axis.pipeline",
    "compare": "rlpersona.experiments.bandit.comparison",
    "run_bandit": "rlpersona.experiments.bandit.search",
    "run_grpo": "rlpersona.experiments.dose.grpo",
    "run_sweep": "rlpersona.experiments.dose.sweep",
    "run_drift": "rlpersona.experiments.drift.drift",
    "evaluate_stages": "rlpersona.experiments.ranking.ranking",
    "run_dpo": "rlpersona.experiments.stages.pipeline",
    "run_temporal": "rlpersona.experiments.temporal.validation",
    "Judge": "rlpersona.judges.base",
    "load_model": "rlpersona.models",
    "load_personas": "rlpersona.personas",
    "preset": "rlpersona.presets",
    "write_report": "rlpersona.report.html",
    "PooledModel": "rlpersona.runtime.model",
    "ReplicaPool": "rlpersona.runtime.pool",
    "ray_session": "rlpersona.runtime.session",
    "load_questions": "rlpersona.tasks",
    "ApiCall": "rlpersona.types",
    "ApiReply": "rlpersona.types",
    "ChoiceScores": "rlpersona.types",
    "Completion": "rlpersona.types",
    "Message": "rlpersona.types",
    "Model": "rlpersona.types",
    "Persona": "rlpersona.types",
    "Prompt": "rlpersona.types",
    "Question": "rlpersona.types",
    "Sampling": "rlpersona.types",
    "Score": "rlpersona.types",
}

__all__ = sorted(_HOME)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rlpersona' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
