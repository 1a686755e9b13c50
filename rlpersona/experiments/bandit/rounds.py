"""One round of a bandit: who is asked what, what came of it, and how it is written down."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rlpersona.bandits import Bandit
from rlpersona.bandits.contextual import PerQuestion
from rlpersona.config import BanditConfig
from rlpersona.experiments.bandit.inputs import CONTEXT
from rlpersona.stats import Interval, wilson
from rlpersona.tasks.features import question_features
from rlpersona.types import Persona, Question, Score

LEADERS = 5
Answers = dict[tuple[int, int], Score]
"""What each distinct pair of a draw, (arm, place of the question), earned."""


@dataclass(frozen=True)
class Selection:
    """What one `select` of the policy asks for: `pairs` of arm and place among the draw's questions.

    A repeated arm repeats its pairs. `chances` is how likely the policy was to select the arm of each
    pair; None where it does not matter.
    """

    block: int
    pairs: list[tuple[int, int]]
    chances: list[float] | None


@dataclass(frozen=True)
class Draw:
    """The selections of one round, which go to the model together, and the questions that they ask."""

    selections: list[Selection]
    questions: list[Question]

    @property
    def size(self) -> int:
        """Evaluations, repeated pairs included."""
        return sum(len(selection.pairs) for selection in self.selections)

    @property
    def distinct(self) -> list[tuple[int, int]]:
        """Each pair once, in order: what is asked."""
        return sorted({pair for selection in self.selections for pair in selection.pairs})

    def state(self) -> list[dict[str, Any]]:
        """As plain data; the questions follow from the blocks."""
        return [asdict(selection) for selection in self.selections]


def draw(policy: Bandit, questions: Sequence[Question], config: BanditConfig) -> Draw | None:
    """Let the policy select; None if it waits for rewards or is done.

    One that plans ahead may fill the round with several selections: its late stages go over few
    personas many times.
    """
    found: list[Selection] = []
    asked: dict[int, list[Question]] = {}
    room = config.arms_per_round
    while room > 0 and (policy.plans or not found):
        selection = select(policy, questions, asked, room, config)
        if selection is None:
            break
        found.append(selection)
        room -= len({arm for arm, _ in selection.pairs})
    return Draw(found, [question for block in asked.values() for question in block]) if found else None


def select(
    policy: Bandit,
    questions: Sequence[Question],
    asked: dict[int, list[Question]],
    k: int,
    config: BanditConfig,
) -> Selection | None:
    """One selection of at most k arms; the questions of its block join `asked`."""
    if isinstance(policy, PerQuestion):
        # Its selection is a number of its own, and the questions must be there before it.
        number = policy.selections
        block = asked[number] = questions_of_block(questions, number, config)
        contexts = question_features(block, CONTEXT)
        table = policy.select_for(contexts, k)
        chances = policy.chances_for(np.repeat(contexts, table.shape[1], axis=0), table.ravel())
        pairs = [(int(arm), j) for j, row in enumerate(table) for arm in row]
        return Selection(number, pairs, chances.tolist())
    arms = policy.select(k)
    if not len(arms):
        return None
    number = policy.block
    block = asked.setdefault(number, questions_of_block(questions, number, config))
    start = place_of(asked, number)
    pairs = [(arm, start + j) for arm in arms.tolist() for j in range(len(block))]
    drawn = policy.chances(arms)
    return Selection(number, pairs, None if drawn is None else np.repeat(drawn, len(block)).tolist())


def place_of(asked: dict[int, list[Question]], block: int) -> int:
    """Where the questions of a block begin among those of the draw."""
    before = itertools.takewhile(lambda number: number != block, asked)
    return sum(len(asked[number]) for number in before)


def restored(
    state: Sequence[dict[str, Any]], questions: Sequence[Question], config: BanditConfig
) -> Draw:
    """The draw whose `state()` was saved."""
    found = [
        Selection(part["block"], [(arm, j) for arm, j in part["pairs"]], part["chances"])
        for part in state
    ]
    blocks = dict.fromkeys(selection.block for selection in found)
    asked = [question for block in blocks for question in questions_of_block(questions, block, config)]
    return Draw(found, asked)


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
    """Give the policy what its selections earned, one by one, and return the rewards.

    Failures are left out, never zero. A pair that was drawn twice earns twice.
    """
    earned: list[float] = []
    for selection in asked.selections:
        kept = [k for k, pair in enumerate(selection.pairs) if answered[pair].reward is not None]
        arms = [selection.pairs[k][0] for k in kept]
        rewards = [float(answered[selection.pairs[k]].reward or 0) for k in kept]
        chances = None if selection.chances is None else [selection.chances[k] for k in kept]
        if isinstance(policy, PerQuestion):
            contexts = question_features(asked.questions, CONTEXT)
            places = [selection.pairs[k][1] for k in kept]
            policy.update_for(contexts[places], arms, rewards, chances)
        else:
            policy.update(arms, rewards, chances)
        earned += rewards
    return earned


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
