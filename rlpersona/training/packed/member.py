"""One condition of a pack: its job, what it has seen, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rlpersona.errors import PersonaError, RunError
from rlpersona.rewards import Answer, Reward, make_reward
from rlpersona.training.alarm import Look
from rlpersona.training.grpo import GRPOJob
from rlpersona.training.job import OnStep
from rlpersona.training.rollouts import prompt_order
from rlpersona.training.telemetry import Rollout, rewarded
from rlpersona.types import Question

Row = dict[str, float]


@dataclass
class Member:
    """`index` is its place in the stack; `order` has positions in `job.train`, one a group of a step."""

    index: int
    job: GRPOJob
    reward: Reward
    order: Sequence[int]
    on_step: OnStep | None
    error: PersonaError | None = None
    looks: list[Look] = field(default_factory=list)
    totals: list[tuple[int, float]] = field(default_factory=list)
    last: Row = field(default_factory=dict)

    @classmethod
    def of(cls, index: int, job: GRPOJob, batches: int, on_step: OnStep | None) -> Member:
        """The condition of a job that asks `batches` batches of prompts."""
        recipe = job.config.recipe
        order = prompt_order(
            job.train, batches * recipe.batch // recipe.num_generations, job.config.seed
        )
        reward = make_reward(job.config.reward, job.config.seed, recipe.max_completion)
        return cls(index, job, reward, order, on_step)

    def questions(self, batch: int) -> list[Question]:
        """The prompts of a batch of completions, one a group."""
        recipe = self.job.config.recipe
        groups = recipe.batch // recipe.num_generations
        return [self.job.train[at] for at in self.order[batch * groups : (batch + 1) * groups]]

    @property
    def watched(self) -> Sequence[Question]:
        """The held-out prompts that are looked at."""
        return self.job.held_out[: self.job.config.readout.held_out]

    def rewarded(self, answers: Sequence[Answer], step: int) -> list[Rollout]:
        """What each answer earns, group by group; whatever the reward raises."""
        size = self.job.config.recipe.num_generations
        found: list[Rollout] = []
        for at in range(0, len(answers), size):
            group = answers[at : at + size]
            found += rewarded(group, self.reward(group, step))
        return found

    def report(self, row: Row) -> None:
        """Hand over a row of the log."""
        if "loss" in row:
            self.last = row
            if "total" in row:
                self.totals.append((int(row["step"]), row["total"]))
        if self.on_step is not None:
            self.on_step(row)

    def park(self, error: Exception) -> None:
        """End this condition; the others go on."""
        if not isinstance(error, PersonaError):
            error = RunError(
                f"{type(error).__name__}: {error}", "Mend the reward or the data; --resume."
            )
        self.error = error

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as JSON."""
        error = self.error
        return {
            "error": None if error is None else [error.message, error.hint],
            "looks": [asdict(look) for look in self.looks],
            "totals": self.totals,
            "last": self.last,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        if state["error"] is not None:
            self.error = RunError(*state["error"])
        self.looks = [Look.of(look) for look in state["looks"]]
        self.totals = [(int(step), float(total)) for step, total in state["totals"]]
        self.last = state["last"]


def diverged(name: str, value: float, step: int) -> RunError:
    """The end of a condition whose loss or gradient is no number."""
    return RunError(f"{name} is {value} at step {step}", "Lower learning_rate, or raise warmup.")
