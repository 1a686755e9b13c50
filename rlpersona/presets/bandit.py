"""Presets of the bandits."""

from __future__ import annotations

from collections.abc import Callable

from rlpersona.config import BanditConfig, ModelConfig, SourceConfig, TemporalConfig, ValidationConfig


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
