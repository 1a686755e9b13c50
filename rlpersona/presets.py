"""Named experiments: functions that return configs, each with its expected metric, time and cost.

A preset is a starting point: `rlpersona bandit quickstart seed=3 model=Qwen/Qwen2.5-7B-Instruct`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from rlpersona.config import (
    BanditConfig,
    LabelConfig,
    ModelConfig,
    SourceConfig,
    TemporalConfig,
    ValidationConfig,
)
from rlpersona.errors import ConfigError, did_you_mean

ConfigT = TypeVar("ConfigT")


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


def truth() -> BanditConfig:
    """Truth-tellers against liars: does REINFORCE learn to ask the honest, and how fast?

    On nano, scholars against liars on questions of fact, with sums as the other benchmark. Expected: all
    of the policy with the scholars. Under a minute, free. With real questions:
    `rlpersona bandit truth benchmark=truthfulqa data=mc_task.json.gz domains=[] model=...`.
    """
    return BanditConfig(
        name="truth",
        domains=("fact",),
        persona_groups=("scholar", "liar"),
        transfer=(SourceConfig(benchmark="nano", domains=("math",)),),
        transfer_every=10,
        params={"lr": 0.15},
    )


def judged() -> BanditConfig:
    """Which persona argues best? A judge compares its answers with those of no persona.

    On nano the judge is a set of rules that know its world. Expected: teachers, who give more
    reasons and are polite. Under two minutes on two cores, free. With a judge behind an API:
    `rlpersona bandit judged judge.by=anthropic judge.model=MODEL judge.max_cost=5 model=...`.
    """
    return BanditConfig(
        name="judged",
        domains=("persuade", "advice"),
        reward="judged",
        max_tokens=64,
        temperature=1.0,
        params={"lr": 0.15},
        validation=ValidationConfig(questions=100),
    )


def tenthousand() -> BanditConfig:
    """Ten thousand notable people on the nano world's sums, 200,000 evaluations.

    Nano knows eleven of them, of whom the five scientists are planted best. Expected: they are found.
    Two and a half minutes on two cores, free.
    """
    return BanditConfig(
        name="tenthousand",
        personas="notable",
        persona_limit=10_000,
        domains=("math",),
        reward="probability",
        algorithm="halving",
        rounds=100,
        arms_per_round=2000,
        questions_per_round=1,
        in_flight=8,
        model=ModelConfig(replicas=2),
    )


def names() -> BanditConfig:
    """Does "You are NAME." change accuracy at all? Ten thousand notable people on MMLU.

    For a GPU: `rlpersona bandit names model=Qwen/Qwen2.5-7B-Instruct model.engine=vllm
    model.gpus_per_replica=1`. Not measured here: no such machine was at hand.
    """
    return BanditConfig(
        name="names",
        benchmark="mmlu",
        mode="letters",
        personas="notable",
        persona_limit=10_000,
        transfer=(
            SourceConfig(benchmark="arc"),
            SourceConfig(benchmark="hellaswag", normalise="characters"),
        ),
        transfer_every=25,
        transfer_questions=400,
        algorithm="hierarchical",
        rounds=200,
        arms_per_round=500,
        questions_per_round=10,
        in_flight=2,
        validation=ValidationConfig(questions=2000, winners=10, random=20),
    )


BANDIT: dict[str, Callable[[], BanditConfig]] = {
    "quickstart": quickstart,
    "facts": facts,
    "hellaswag": hellaswag,
    "truth": truth,
    "judged": judged,
    "tenthousand": tenthousand,
    "names": names,
}


def eras() -> TemporalConfig:
    """Do people of the past know less of modern things? Era x content on HellaSwag, fame held constant.

    `rlpersona bandit validate eras data=labelled.csv labels=[first.csv,second.csv] model=...`, with one
    file of labels per rater; without files the model rates the questions itself. Expected on nano:
    nothing, as it knows neither the people nor the world. 200 people on 100 questions take ten minutes
    on two cores.
    """
    return TemporalConfig(name="eras", normalise="characters")


TEMPORAL: dict[str, Callable[[], TemporalConfig]] = {"eras": eras}


def nano_persuasion() -> LabelConfig:
    """Which of two short posts persuades? Pairs from the embedded model, one per prompt of its world.

    Expected: under 10 s on one core, free.
    """
    return LabelConfig(name="nano-persuasion", domains=("persuade",), answers=4, pairs_per_prompt=2)


def nano_facts() -> LabelConfig:
    """A scholar against a liar on questions of fact: a judge that knows should prefer the scholar."""
    return LabelConfig(
        name="nano-facts", domains=("fact",), prompt_limit=100, writers=("Herodotus", "a liar")
    )


LABEL: dict[str, Callable[[], LabelConfig]] = {
    "nano-persuasion": nano_persuasion,
    "nano-facts": nano_facts,
}


def preset(name: str) -> BanditConfig:
    """The named bandit preset; an unknown name is a ConfigError that suggests the nearest."""
    return chosen(name, BANDIT)


def chosen(name: str, known: Mapping[str, Callable[[], ConfigT]]) -> ConfigT:
    """The preset of that name among `known`."""
    if name not in known:
        hint = "rlpersona bandit validate eras" if name in TEMPORAL else did_you_mean(name, known)
        raise ConfigError(f"There is no preset '{name}'.", hint)
    return known[name]()
