"""Every config class: frozen, unknown keys refused, each field with its unit and meaning."""

from __future__ import annotations

from rlpersona.config.axis import AxisConfig, DriftConfig
from rlpersona.config.bandit import BanditConfig, TemporalConfig, ValidationConfig
from rlpersona.config.base import (
    Config,
    JudgeConfig,
    ModelConfig,
    Names,
    Prefix,
    RunConfig,
    SourceConfig,
)
from rlpersona.config.label import GUIDELINES, LabelConfig, SplitConfig
from rlpersona.config.serve import ServeConfig
from rlpersona.config.stages import (
    BASE,
    DataConfig,
    DPOStage,
    EvaluationConfig,
    SFTStage,
    Stage,
    StagesConfig,
)
from rlpersona.config.sweep import GRPOConfig, ReadoutConfig, RewardConfig, SuiteConfig, SweepConfig
from rlpersona.config.training import DPORecipe, GRPORecipe, LoraConfig, Recipe, SFTRecipe

__all__ = [
    "BASE",
    "GUIDELINES",
    "AxisConfig",
    "BanditConfig",
    "Config",
    "DPORecipe",
    "DPOStage",
    "DataConfig",
    "DriftConfig",
    "EvaluationConfig",
    "GRPOConfig",
    "GRPORecipe",
    "JudgeConfig",
    "LabelConfig",
    "LoraConfig",
    "ModelConfig",
    "Names",
    "Prefix",
    "ReadoutConfig",
    "Recipe",
    "RewardConfig",
    "RunConfig",
    "SFTRecipe",
    "SFTStage",
    "ServeConfig",
    "SourceConfig",
    "SplitConfig",
    "Stage",
    "StagesConfig",
    "SuiteConfig",
    "SweepConfig",
    "TemporalConfig",
    "ValidationConfig",
]
