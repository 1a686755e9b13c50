"""Runs of staged training whose models are planted: each answers as one group of the nano world does."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rlpersona.config import StagesConfig
from rlpersona.experiments.ranking.ranking import evaluate_stages
from rlpersona.judges.base import Judge, Pair, Verdict
from rlpersona.judges.rules import RuleJudge
from rlpersona.models.nano.world.answers import answer
from rlpersona.models.nano.world.items import items
from rlpersona.models.nano.world.personas import PLANTED, Traits
from rlpersona.store import Run
from rlpersona.tasks.nano import questions
from rlpersona.types import ChoiceScores, Completion, Prompt, Question, Sampling

PROMPTS = questions(("persuade",))[:24]
GRAPH = ("sft -> rlhf", "sft -> rlaif -> rlhf")
TRAITS: dict[str, Traits] = {
    "base": PLANTED["default"],
    "sft": replace(PLANTED["default"], logic=0.9, hedging=0.1, length=(10, 20, 30, 25, 15)),
    "sft-rlhf": PLANTED["scientist"],
    "sft-rlaif": replace(PLANTED["default"], logic=1.0, hedging=0.0, length=(0, 0, 20, 40, 40)),
    "sft-rlaif-rlhf": replace(PLANTED["default"], logic=1.0, hedging=0.0, length=(0, 0, 10, 40, 50)),
}


@dataclass
class PlantedModel:
    """Answers from the world's own distribution of the group that an adapter's folder is named after.

    `cut`: shares of answers that the token cap cuts, by model; `calls` counts the prompts asked.
    """

    traits: Mapping[str, Traits] = field(default_factory=lambda: TRAITS)
    cut: Mapping[str, float] = field(default_factory=dict)
    calls: int = 0

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, adapter: str | None = None
    ) -> list[Completion]:
        name = Path(adapter).name if adapter else "base"
        by_text = {item.text: item for held in (False, True) for item in items("persuade", held)}
        found = []
        for place, prompt in enumerate(prompts, sampling.offset):
            rng = random.Random(f"{sampling.seed} {place}")
            text = answer(by_text[prompt.messages[-1].content], self.traits[name], rng).text
            cut = rng.random() < self.cut.get(name, 0.0)
            tokens = tuple(range(len(text.split()) + (not cut)))
            found.append(
                Completion(
                    text.rsplit(" ", 1)[0] if cut else text, tokens, (), "length" if cut else "stop"
                )
            )
        self.calls += len(prompts)
        return found

    def score_choices(self, *_: Any) -> list[ChoiceScores]:
        raise NotImplementedError

    def close(self) -> None:
        pass


@dataclass
class FailingJudge:
    """The rules, but for the pairs whose places in the call are in `fails`."""

    fails: Sequence[int]
    name: str = "failing"
    asked: int = 0

    def compare(self, pairs: Sequence[Pair]) -> list[Verdict]:
        said = RuleJudge().compare(pairs)
        failed = {place - self.asked for place in self.fails}
        self.asked += len(pairs)
        return [Verdict(None, "cut off") if k in failed else one for k, one in enumerate(said)]


def planted_run(folder: Path, names: Sequence[str] = tuple(TRAITS)) -> tuple[Run, dict[str, str | None]]:
    """A run folder with adapters of these names; the files hold no weights that anything reads."""
    models: dict[str, str | None] = {}
    for name in names:
        if name == "base":
            models[name] = None
            continue
        served = folder / "served" / name
        served.mkdir(parents=True, exist_ok=True)
        (served / "adapter_config.json").write_text("{}")
        (served / "adapter_model.safetensors").write_bytes(name.encode())
        models[name] = str(served)
    folder.mkdir(parents=True, exist_ok=True)
    return Run(folder), models


def config_of(**changes: Any) -> StagesConfig:
    """The graph of two branches, with four samples a prompt."""
    stages = {
        "sft": {"method": "sft"},
        "rlhf": {"method": "dpo"},
        "rlaif": {"method": "dpo"},
    }
    evaluation = {"samples": 4, **changes.pop("evaluation", {})}
    values = {"name": "planted", "graph": GRAPH, "stages": stages, "evaluation": evaluation, **changes}
    return StagesConfig.model_validate(values)


def evaluated(
    folder: Path,
    model: PlantedModel | None = None,
    judge: Judge | None = None,
    names: Sequence[str] = tuple(TRAITS),
    prompts: Sequence[Question] = PROMPTS,
    **changes: Any,
) -> dict[str, Any]:
    """The summary of a planted run, without embeddings unless `embed` is among the changes."""
    run, models = planted_run(folder, names)
    embed = changes.pop("embed", no_meaning)
    return evaluate_stages(
        config_of(**changes),
        run,
        models,
        prompts,
        judge or RuleJudge(),
        model or PlantedModel(),
        embed=embed,
    )


def no_meaning(texts: Sequence[str]) -> Any:
    """An embedding of counts of letters: enough to tell texts apart, and instant."""
    import numpy as np

    return np.array([[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts])
