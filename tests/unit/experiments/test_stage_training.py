"""Chains of stages as trainings and engines take them; trained for real, without Ray."""

from __future__ import annotations

import json

import pytest

from rlpersona.config import (
    DPORecipe,
    DPOStage,
    LoraConfig,
    ModelConfig,
    SFTRecipe,
    SFTStage,
    StagesConfig,
)
from rlpersona.experiments.stages.graph import nodes
from rlpersona.experiments.stages.inputs import Inputs
from rlpersona.experiments.stages.training import (
    is_trained,
    served,
    stage_folder,
    start_of,
    train_in_worker,
)
from rlpersona.models import load_model
from rlpersona.store import Run
from rlpersona.tasks.nano import questions
from rlpersona.training import LocalCheckpoints, TrainingJob
from rlpersona.types import Prompt, Sampling

SMALL = {"batch": 2, "max_steps": 2, "learning_rate": 1e-2, "lora": LoraConfig(rank=2)}
CONFIG = StagesConfig(
    graph=("sft -> dpo", "whole -> dpo"),
    stages={
        "sft": SFTStage(recipe=SFTRecipe(**SMALL)),
        "whole": SFTStage(recipe=SFTRecipe(**SMALL, full=True)),
        "dpo": DPOStage(recipe=DPORecipe(**SMALL)),
    },
)
PROMPTS = [question.text for question in questions(("persuade",), per_domain=4)]


def message(role: str, content: str) -> list[dict[str, str]]:
    return [{"role": role, "content": content}]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Inputs, Run]:
    """All four stages, two steps each, on rows that have no sense."""
    run = Run(tmp_path_factory.mktemp("run"))
    inputs = Inputs(ModelConfig(), "", nodes(CONFIG), [], [])
    sides = {
        "prompt": "",
        "completion": "yes yes yes",
        "chosen": "yes yes",
        "rejected": "no, never",
    }
    rows = [
        {"id": prompt}
        | {key: message("assistant", text) for key, text in sides.items()}
        | {"prompt": message("user", prompt)}
        for prompt in PROMPTS
    ]
    path = run.write_text("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    for node in inputs.nodes:
        job = TrainingJob(
            node.stage,
            start_of(inputs, run, node.parent),
            node.settings.recipe,
            path,
            stage_folder(run, node.name),
            0,
            start_of(inputs, run, node.reference) if node.reference else None,
        )
        train_in_worker(job, inputs.model.name, LocalCheckpoints(run.checkpoints / node.name))
    return inputs, run


def test_a_chain_of_adapters_stands_on_the_raw_base(trained: tuple[Inputs, Run]) -> None:
    inputs, run = trained
    start = start_of(inputs, run, "sft-dpo")
    assert start.model == inputs.model
    assert [stage for stage, _ in start.adapters] == ["sft", "dpo"]
    assert served(inputs, run, "sft-dpo") == (
        inputs.model,
        str(run.folder / "stages" / "sft-dpo" / "served"),
    )
    assert served(inputs, run, "base") == (inputs.model, None)


def test_what_follows_a_full_training_stands_on_its_model(trained: tuple[Inputs, Run]) -> None:
    inputs, run = trained
    start = start_of(inputs, run, "whole-dpo")
    assert start.model.name == str(run.folder / "stages" / "whole" / "model")
    assert [stage for stage, _ in start.adapters] == ["dpo"]
    model, adapter = served(inputs, run, "whole-dpo")
    assert model.name == str(run.folder / "stages" / "whole-dpo" / "model")
    assert adapter is None


def test_every_stage_answers_with_weights_of_its_own(trained: tuple[Inputs, Run]) -> None:
    inputs, run = trained
    asked = [Prompt.ask(prompt) for prompt in PROMPTS]
    found = set()
    for name in ("base", *(node.name for node in inputs.nodes)):
        settings, adapter = served(inputs, run, name)
        model = load_model(settings)
        drawn = model.generate(asked, Sampling(max_tokens=4), adapter)
        found.add(tuple(logprob for one in drawn for logprob in one.logprobs))
        model.close()
    assert len(found) == 5


def test_each_step_is_logged_with_how_many_there_will_be(trained: tuple[Inputs, Run]) -> None:
    run = trained[1]
    lines = (stage_folder(run, "sft-dpo") / "metrics.jsonl").read_text().splitlines()
    assert [(json.loads(line)["step"], json.loads(line)["steps"]) for line in lines] == [(1, 2), (2, 2)]
    assert not is_trained(run, "sft-dpo"), "the driver says so, once everything is written"
