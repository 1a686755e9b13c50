"""TRL's GRPOTrainer with our rewards, measures by domain, and looks at held-out prompts.

Imports TRL: import it inside functions. The gradient is TRL's own, to the bit: everything here reads.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object  # type: ignore[import-untyped]
from trl import GRPOTrainer

from rlpersona.rewards import Answer, Reward
from rlpersona.training.kl import k3
from rlpersona.training.telemetry import Rollout, rewarded, step_measures
from rlpersona.training.trainers import Quiet
from rlpersona.training.watch import Watch
from rlpersona.types import Question

WATCHED = "watched.json"
# What TRL logs and our measures say again, or nobody reads.
DROPPED = ("completions/", "rewards/", "reward", "frac_reward_zero_std", "num_tokens")


class GRPO(Quiet, GRPOTrainer):  # type: ignore[misc]
    """Rows have `prompt` (messages) and `question`, a position in `questions`."""

    def __init__(
        self, *, questions: Sequence[Question], reward: Reward, watch: Watch, **rest: Any
    ) -> None:
        self._questions = questions
        self._reward = reward
        self.watch = watch
        self._rollouts: list[Rollout] = []
        self._domains = sorted({question.domain for question in questions})
        self._seen: tuple[torch.Tensor, torch.Tensor] | None = None
        super().__init__(reward_funcs=self._rewarded, **rest)

    def _rewarded(
        self,
        completions: list[Any],
        completion_ids: list[list[int]],
        question: list[int],
        trainer_state: Any,
        **_: Any,
    ) -> list[float | None]:
        """TRL's reward function: the totals; their parts are kept for the measures."""
        answers = [
            self.answer(self._questions[at], turns[0]["content"], ids)
            for at, turns, ids in zip(question, completions, completion_ids, strict=True)
        ]
        self._rollouts = []
        # A step may ask a prompt twice: each of its groups is rewarded by itself.
        for at in range(0, len(answers), self.num_generations):
            group = answers[at : at + self.num_generations]
            self._rollouts += rewarded(group, self._reward(group, trainer_state.global_step))
        return [rollout.total for rollout in self._rollouts]

    def answer(self, question: Question, text: str, ids: Sequence[int]) -> Answer:
        """A completion as rewards see it; the token that ends it is not counted."""
        finished = bool(ids) and ids[-1] in self.eos_token_ids
        return Answer(question, text.strip(), len(ids) - finished, finished)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        rollouts = gather_object(self._rollouts)
        # The advantages of all processes, in the order of their completions, before TRL shuffles them.
        measures = step_measures(rollouts, list(self._logs["advantages"]), self.num_generations)
        for name, value in measures.items():
            self._metrics["train"][name].append(value)
        here = [self._domains.index(rollout.domain) for rollout in self._rollouts]
        output["domain"] = torch.tensor(here, device=self.accelerator.device)
        return output

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if kwargs.get("compute_entropy"):  # the pass whose gradient is taken
            self._seen = (found[0].detach(), found[1].detach())
        return found

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        loss = super()._compute_loss(model, inputs)
        assert self._seen is not None
        logps, entropies = self._seen
        mask, domain = inputs["completion_mask"], inputs["domain"]
        columns = {"entropy": entropies}
        if "ref_per_token_logps" in inputs:
            columns["kl"] = k3(inputs["ref_per_token_logps"] - logps)
        sums = torch.zeros(len(self._domains), len(columns) + 1, device=mask.device)
        rows = torch.stack([*((value * mask).sum(1) for value in columns.values()), mask.sum(1)], dim=1)
        sums.index_add_(0, domain, rows.float())
        for name, values in zip(self._domains, self.accelerator.reduce(sums).tolist(), strict=True):
            if values[-1]:
                for key, value in zip(columns, values, strict=False):
                    self._metrics["train"][f"{name}/{key}"].append(value / values[-1])
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """TRL's log with our measures; a look at the held-out prompts where one is due."""
        metrics = self._metrics["train"]
        for name in list(metrics):
            if name.startswith(DROPPED) or all(map(math.isnan, metrics[name])):
                del metrics[name]
        if "loss" in logs and self.watch.due(self.state.global_step, self.state.max_steps):
            for name, value in self.watch.look(self).items():
                metrics[name].append(value)
        super().log(logs, start_time)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            (folder / WATCHED).write_text(json.dumps(self.watch.state()))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.watch.load_state(json.loads((Path(checkpoint) / WATCHED).read_text()))
