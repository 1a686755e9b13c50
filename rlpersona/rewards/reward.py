"""`task + bias_weight * bias`: the reward of a batch of answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlpersona.config.sweep import RewardConfig
from rlpersona.rewards.answer import Answer, Parts, groups
from rlpersona.rewards.biases import Bias, bias
from rlpersona.rewards.composition import added
from rlpersona.rewards.controls import control, overlong_punishment
from rlpersona.rewards.tasks import score_task


@dataclass(frozen=True)
class Reward:
    """A reward function. The same answers, seed and step give the same values, in any order and
    whatever other questions are in the call; equal answers to one question are interchangeable."""

    config: RewardConfig
    seed: int
    cap: int
    biases: tuple[Bias, ...]

    def __call__(self, answers: Sequence[Answer], step: int = 0) -> Parts:
        """The parts of the rewards of a batch.

        Controls work within a group: hand over all answers to a question in one call. `step` (the
        trainer's) makes the draws of random controls new at each step. An answer whose task cannot be
        scored has no reward, no error is raised, and it takes no part in its group's control.
        """
        scores = [score_task(answer) for answer in answers]
        task = [score.reward for score in scores]
        features = {b.name: [b.score(answer) for answer in answers] for b in self.biases}
        values = {name: list(raw) for name, raw in features.items()}
        if self.config.control not in ("none", "overlong"):
            for group in groups(answers):
                self._control(answers, [i for i in group if task[i] is not None], values, step)
        extra = [self._added(answers[i], {n: v[i] for n, v in values.items()}) for i in range(len(task))]
        return Parts(
            task=task,
            biases=values,
            total=[None if t is None else t + e if e else t for t, e in zip(task, extra, strict=True)],
            errors=[score.error for score in scores],
            features=features,
            added=[0.0 if t is None else e for t, e in zip(task, extra, strict=True)],
        )

    def _control(
        self, answers: Sequence[Answer], group: list[int], values: dict[str, list[float]], step: int
    ) -> None:
        for b in self.biases:
            controlled = control(self.config.control, b, [answers[i] for i in group], self.seed, step)
            for i, value in zip(group, controlled, strict=True):
                values[b.name][i] = value

    def _added(self, answer: Answer, values: dict[str, float]) -> float:
        config = self.config
        extra = added(
            values,
            config.biases,  # type: ignore[arg-type]
            composition=config.composition,
            cap=config.cap,
            domain=answer.question.domain,
        )
        if config.control == "overlong":
            extra += overlong_punishment(answer.tokens, self.cap, config.overlong_from)
        return extra


def make_reward(config: RewardConfig, seed: int, cap: int) -> Reward:
    """The reward that a config describes. `cap`: most tokens of a completion, for the overlong control.

    With every bias_weight 0 the total is the task score to the bit, save for answers that the overlong
    control punishes. ConfigError for an unknown bias.
    """
    return Reward(config, seed, cap, tuple(bias(name, config.length_scale) for name in config.biases))


def canonical(config: RewardConfig) -> RewardConfig:
    """The same reward, written in one way: conditions that reward alike have equal canonical configs.

    Biases of weight 0 go; without a bias so do composition and every control but `overlong`, which
    punishes whatever the weights are. Settings that then play no part return to their defaults.
    """
    plain = RewardConfig()
    biases = {name: float(weight) for name, weight in sorted(config.biases.items()) if weight}
    composition = config.composition if biases else "sum"
    keep = config.control if biases or config.control == "overlong" else "none"
    scale = config.length_scale if "length" in biases and keep != "random-reward" else plain.length_scale
    return RewardConfig(
        biases=biases,
        composition=composition,
        cap=config.cap if composition == "capped" else plain.cap,
        length_scale=scale,
        control=keep,
        overlong_from=config.overlong_from if keep == "overlong" else plain.overlong_from,
    )
