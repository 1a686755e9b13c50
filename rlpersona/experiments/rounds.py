"""One round of a bandit: who is asked what, what came of it, and how it is written down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlpersona.bandits import Bandit
from rlpersona.bandits.contextual import PerQuestion
from rlpersona.config import BanditConfig
from rlpersona.experiments.inputs import CONTEXT
from rlpersona.stats import Interval, wilson
from rlpersona.tasks.features import question_features
from rlpersona.types import Persona, Question, Score

LEADERS = 5
Answers = dict[tuple[int, int], Score]
"""What each distinct pair of a draw, (arm, place of the question), earned."""


@dataclass(frozen=True)
class Draw:
    """A selection on its way: `pairs` of arm and place in `questions`; a repeated arm repeats its pairs.

    `chances` is how likely the policy was to draw the arm of each pair; None where it does not matter.
    """

    block: int
    questions: list[Question]
    pairs: list[tuple[int, int]]
    chances: list[float] | None

    @property
    def distinct(self) -> list[tuple[int, int]]:
        """Each pair once, in order: what is asked."""
        return sorted(set(self.pairs))

    def state(self) -> dict[str, Any]:
        """As plain data; the questions follow from the block."""
        return {"block": self.block, "pairs": self.pairs, "chances": self.chances}


def draw(policy: Bandit, questions: Sequence[Question], config: BanditConfig) -> Draw | None:
    """Let the policy select; None if it waits for rewards or is done."""
    if isinstance(policy, PerQuestion):
        block = policy.block
        asked = questions_of_block(questions, block, config)
        contexts = question_features(asked, CONTEXT)
        table = policy.select_for(contexts, config.arms_per_round)
        chances = policy.chances_for(np.repeat(contexts, table.shape[1], axis=0), table.ravel())
        pairs = [(int(arm), j) for j, row in enumerate(table) for arm in row]
        return Draw(block, asked, pairs, chances.tolist())
    arms = policy.select(config.arms_per_round)
    if not len(arms):
        return None
    asked = questions_of_block(questions, policy.block, config)
    pairs = [(arm, j) for arm in arms.tolist() for j in range(len(asked))]
    drawn = policy.chances(arms)
    return Draw(
        policy.block, asked, pairs, None if drawn is None else np.repeat(drawn, len(asked)).tolist()
    )


def restored(state: dict[str, Any], questions: Sequence[Question], config: BanditConfig) -> Draw:
    """The draw whose `state()` was saved."""
    pairs = [(arm, j) for arm, j in state["pairs"]]
    asked = questions_of_block(questions, state["block"], config)
    return Draw(state["block"], asked, pairs, state["chances"])


def questions_of_block(
    questions: Sequence[Question], block: int, config: BanditConfig
) -> list[Question]:
    """The questions of a block: consecutive parts of one seeded shuffle after another.

    A function of the block's number alone, so that a resumed search asks the same questions.
    """
    size = min(config.questions_per_round, len(questions))
    per_epoch = len(questions) // size
    epoch, part = divmod(block, per_epoch)
    order = np.random.default_rng([config.seed, epoch]).permutation(len(questions))
    return [questions[k] for k in order[part * size : (part + 1) * size]]


def learn(policy: Bandit, asked: Draw, answered: Answers) -> list[float]:
    """Give the policy what its selection earned, and return the rewards.

    Failures are left out, never zero. A pair that was drawn twice earns twice.
    """
    kept = [k for k, pair in enumerate(asked.pairs) if answered[pair].reward is not None]
    arms = [asked.pairs[k][0] for k in kept]
    rewards = [float(answered[asked.pairs[k]].reward or 0) for k in kept]
    chances = None if asked.chances is None else [asked.chances[k] for k in kept]
    if isinstance(policy, PerQuestion):
        contexts = question_features(asked.questions, CONTEXT)[[asked.pairs[k][1] for k in kept]]
        policy.update_for(contexts, arms, rewards, chances)
    else:
        policy.update(arms, rewards, chances)
    return rewards


def events(
    round_number: int,
    personas: Sequence[Persona],
    asked: Draw,
    answered: Answers,
) -> list[dict[str, Any]]:
    """Each evaluation of a round as a row of the events table."""
    return [
        {
            "round": round_number,
            "persona": personas[arm].name,
            "question": asked.questions[j].id,
            "reward": score.reward,
            "correct": score.correct,
            "predicted": score.predicted,
            "error": score.error,
        }
        for (arm, j), score in answered.items()
    ]


def metrics(
    config: BanditConfig,
    personas: Sequence[Persona],
    policy: Bandit,
    state: dict[str, Any],
    earned: Sequence[float],
) -> dict[str, Any]:
    """One line of `metrics.jsonl`."""
    chances = policy.probabilities()
    ranked = policy.ranking(LEADERS).tolist()
    positive = chances[chances > 0]
    left = max(0, config.budget - state["draws"])
    groups = masses(personas, chances)
    return {
        "round": state["round"],
        "rounds": state["round"]
        + math.ceil(left / (config.arms_per_round * config.questions_per_round)),
        "evaluations": state["evaluations"],
        "draws": state["draws"],
        "budget": config.budget,
        "unscored": state["unscored"],
        "reward": float(np.mean(earned)) if len(earned) else None,
        "entropy": max(0.0, float(-(positive * np.log(positive)).sum())),
        "top": personas[ranked[0]].name,
        "top_probability": float(chances[ranked[0]]),
        "leaders": [
            {
                "persona": personas[arm].name,
                "probability": float(chances[arm]),
                **training_mean(policy, arm, config),
            }
            for arm in ranked
        ],
        **({"groups": groups} if groups else {}),
        "seconds": round(state["seconds"], 3),
    }


def masses(personas: Sequence[Persona], chances: np.ndarray[Any, Any]) -> dict[str, float]:
    """The policy's probability by planted group; empty where personas have none."""
    totals: dict[str, float] = {}
    for persona, chance in zip(personas, chances.tolist(), strict=True):
        if persona.group is not None:
            totals[persona.group] = totals.get(persona.group, 0.0) + chance
    return totals


def training_mean(policy: Bandit, arm: int, config: BanditConfig) -> dict[str, Any]:
    """Mean reward of an arm in the search so far, with its 95 % interval where it has one.

    While an arm is being chosen its mean flatters it: a view of the work, not a result.
    """
    count, total = int(policy.counts[arm]), float(policy.sums[arm])
    if not count:
        return {"mean": None, "low": None, "high": None, "evaluations": 0}
    found: Interval | None = None
    if config.reward == "accuracy" and total.is_integer():
        found = wilson(int(total), count)
    return {
        "mean": total / count,
        "low": found and found.low,
        "high": found and found.high,
        "evaluations": count,
    }
