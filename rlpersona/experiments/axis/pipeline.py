"""The Assistant Axis of a model: what sets the model as it is apart from the roles that it can play.

Roles x system prompts x questions are answered; the residual stream after each block is averaged over
each response; what a judge says is in role makes the role's vector; the axis of a layer is
mean(default) - mean(roles) (Lu et al. 2026). Every step is kept role by role, so a run that was killed
goes on at the role that it was in and ends in the same vectors, to the byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlpersona.axis.blocks import middle_layer, shape_of
from rlpersona.axis.roles import DEFAULT, Role, Trait, load_questions_of, load_roles, load_traits
from rlpersona.config import AxisConfig
from rlpersona.errors import ConfigError
from rlpersona.experiments.axis.adherence import rate, refuse_unratable
from rlpersona.experiments.axis.analysis import analyse
from rlpersona.experiments.axis.castings import Casting, Replicas, activate, castings_of, respond
from rlpersona.experiments.axis.data import AxisData, load_axis, save_axis
from rlpersona.experiments.axis.vectors import make_vectors
from rlpersona.experiments.judging import choice_of, opened_judge
from rlpersona.experiments.origin import record_origin
from rlpersona.models.lineage import base_hash
from rlpersona.models.locate import load_failure, locate, portable
from rlpersona.runtime.session import ray_session
from rlpersona.store import SUMMARY, Run, opened
from rlpersona.tasks import fingerprint
from rlpersona.tasks.identity import digest
from rlpersona.types import Question

__all__ = ["AxisData", "Inputs", "load_axis", "load_inputs", "run_axis"]


@dataclass(frozen=True)
class Inputs:
    """What an axis run reads before it starts anything."""

    default: Role
    roles: tuple[Role, ...]
    traits: tuple[Trait, ...]
    questions: tuple[Question, ...]
    layer: int

    @property
    def castings(self) -> list[Casting]:
        """All that is asked, the default first."""
        return castings_of(self.default, self.roles, self.traits, self.questions)

    @property
    def rated(self) -> list[Casting]:
        """The roles: the default and the traits count as they are."""
        return [one for one in self.castings if one.role in self.roles]

    def fingerprints(self) -> dict[str, str]:
        """A hash of the questions, the roles and the traits."""
        spoken = [(role.name, role.instructions) for role in (self.default, *self.roles)]
        contrasts = [(one.name, one.positive, one.negative, one.questions) for one in self.traits]
        return {
            "questions": fingerprint(self.questions),
            "roles": digest(spoken),
            "traits": digest(contrasts),
        }


def run_axis(config: AxisConfig, root: Path | str = "runs", *, resume: bool = False) -> dict[str, Any]:
    """Run or resume the whole pipeline and return its summary, which `summary.json` holds too.

    A mistake of the user is found before anything is started, where it can be (errors.py names them).
    """
    config = located(config)
    inputs = load_inputs(config)
    root = Path(root).absolute()
    with opened(root, config, resume=resume) as run:
        if not run.finished:
            record_origin(run, inputs)
            again = f"rlpersona axis name={run.name} --resume --runs {root}"
            with ray_session(), opened_judge(choice_of(config.judge), run, again) as judge:
                with closing(Replicas(config.model)) as replicas:
                    respond(config, run, inputs.castings, replicas)
                    activate(config, run, inputs.castings, replicas)
                rate(config, run, inputs.rated, judge)
            run.write_json(SUMMARY, summarise(config, run, inputs))
        summary: dict[str, Any] = run.read_json(SUMMARY)
    return summary


def summarise(config: AxisConfig, run: Run, inputs: Inputs) -> dict[str, Any]:
    """Write the vectors and what is drawn of them; the summary."""
    made = make_vectors(config, run, inputs.castings, inputs.layer, base_hash(config.model.name))
    summary, table = analyse(config, run, made)
    save_axis(run, made.data)
    run.write_table("pca.parquet", table)
    return {"experiment": "axis", "run": run.name, "model": config.model.name, **summary}


def load_inputs(config: AxisConfig) -> Inputs:
    """Roles, traits, questions and the layer of headlines, each checked.

    Raises:
        ConfigError: a role or layer that there is not, too few responses for any vector, rules that are
            to rate what they do not know, a judge without a model.
        DataError, ModelError: files or a model that cannot be read.
    """
    refuse_unratable(config)
    choice_of(config.judge)
    default, roles = load_roles(config)
    questions = load_questions_of(config)
    traits = load_traits(config)
    _refuse_too_few(config, roles, questions)
    return Inputs(default, tuple(roles), tuple(traits), tuple(questions), layer_of(config))


def layer_of(config: AxisConfig) -> int:
    """The layer of headlines: that of the config, the published one of the model, or the middle."""
    from transformers import AutoConfig

    try:
        settings = AutoConfig.from_pretrained(locate(config.model.name))
    except (OSError, ValueError) as error:
        raise load_failure(config.model.name, error) from error
    layers, _ = shape_of(settings)
    if config.layer is None:
        return middle_layer(settings)
    if config.layer >= layers:
        raise ConfigError(
            f"layer={config.layer}: the model has {layers} blocks.",
            f"Layers are counted from 0: the last one is {layers - 1}.",
        )
    return config.layer


def located(config: AxisConfig) -> AxisConfig:
    """The config with a model name that holds in processes that work elsewhere."""
    model = config.model.model_copy(update={"name": portable(config.model.name)})
    return config.model_copy(update={"model": model})


def _refuse_too_few(config: AxisConfig, roles: Sequence[Role], questions: Sequence[Question]) -> None:
    if len(roles) < 2:
        raise ConfigError(f"One role beside the {DEFAULT} spans no space.", "Name two or more: only=...")
    most = max(len(role.instructions) for role in roles) * len(questions)
    if most < config.least:
        raise ConfigError(
            f"No role can have {config.least} responses: at most {most} are asked of one.",
            f"Ask more questions or prompts of each, or take least={most}.",
        )
