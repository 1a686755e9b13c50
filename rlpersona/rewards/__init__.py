"""Rewards: a task, and what a misspecified reward pays for besides."""

from rlpersona.rewards.answer import Answer, Parts
from rlpersona.rewards.biases import BIASES, Bias
from rlpersona.rewards.composition import OBJECTIVE
from rlpersona.rewards.reward import Reward, canonical, make_reward
from rlpersona.rewards.tasks import TASKS, score_task

__all__ = [
    "BIASES",
    "OBJECTIVE",
    "TASKS",
    "Answer",
    "Bias",
    "Parts",
    "Reward",
    "canonical",
    "make_reward",
    "score_task",
]
