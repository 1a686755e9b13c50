"""Looks at held-out prompts while a training goes on: task score, distance from the start, alarm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from rlpersona.rewards import Reward
from rlpersona.tasks.identity import unit
from rlpersona.training.alarm import Look, verdict
from rlpersona.types import Question

if TYPE_CHECKING:
    import torch

    from rlpersona.training.grpo_trainer import GRPO


class Watch:
    """Asks the same prompts every `every` steps, one completion each, and leaves the training as it was.

    The draws have a random stream of their own, so a training is the same with and without looks.
    `start` is a copy of the weights that a full training began with, or None where the adapter can be
    switched off to get them back (or where nobody wants to know the distance).
    """

    def __init__(
        self, questions: Sequence[Question], reward: Reward, every: int, seed: int, start: Any
    ) -> None:
        self._questions = questions
        self._reward = reward
        self._every = every
        self._seed = seed
        self._start = start
        self._looks: list[Look] = []

    def due(self, step: int, last: int) -> bool:
        """Whether there is a look after `step` updates."""
        return bool(self._questions) and (step % self._every == 0 or step == last)

    def look(self, trainer: GRPO) -> dict[str, float]:
        """Draw and measure; every process calls it, and all get the same.

        `held_out/task`, `held_out/length`, `held_out/stop_rate` and the task by domain
        (`DOMAIN/held_out/task`); `held_out/kl`, the distance from the start in nats a completion:
        KL(now, start), summed over the tokens (k3), mean over the completions; left out where the start
        is not at hand. After enough looks also `alarm` (1 or 0), `alarm/reward_p`, `alarm/held_out_p`.
        """
        from accelerate.utils import gather_object  # type: ignore[import-untyped]

        step = trainer.state.global_step
        mine = self._questions[trainer.accelerator.process_index :: trainer.accelerator.num_processes]
        with self._apart(trainer, step):
            prompts, completions = self._drawn(trainer, mine)
            distances = self._distances(trainer, prompts, completions)
        texts = trainer.processing_class.batch_decode(completions, skip_special_tokens=True)
        answers = [trainer.answer(*row) for row in zip(mine, texts, completions, strict=True)]
        parts = self._reward(answers, step)
        rows = gather_object(
            [
                (a.question.id, a.question.domain, parts.task[i], a.tokens, a.finished, distances[i])
                for i, a in enumerate(answers)
            ]
        )
        rows.sort(key=lambda row: row[0])  # the same order for any number of processes
        self._looks.append(Look(step, tuple(row[2] for row in rows)))
        return dict(means(rows)) | self._verdict(trainer)

    def state(self) -> list[dict[str, Any]]:
        """What a checkpoint keeps."""
        return [asdict(look) for look in self._looks]

    def load_state(self, looks: Sequence[dict[str, Any]]) -> None:
        """Go on from a checkpoint."""
        self._looks = [Look.of(look) for look in looks]

    @contextmanager
    def _apart(self, trainer: GRPO, step: int) -> Iterator[None]:
        """No gradient, no dropout, and random numbers that are given back afterwards."""
        import torch

        cuda = [trainer.accelerator.device] if trainer.accelerator.device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda), torch.no_grad():
            draw = unit("watch", self._seed, step, trainer.accelerator.process_index)
            torch.manual_seed(int(draw * 2**62))
            trainer.model.eval()
            try:
                yield
            finally:
                trainer.model.train()

    def _drawn(
        self, trainer: GRPO, questions: Sequence[Question]
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Token ids of the prompts and of one completion each, in batches as large as the trainer's."""
        size = trainer.args.per_device_train_batch_size
        prompts, completions = [], []
        for at in range(0, len(questions), size):
            asked = [[{"role": "user", "content": q.text}] for q in questions[at : at + size]]
            ids, _, _ = trainer._tokenize_prompts(asked)
            drawn, _ = trainer._generate_single_turn(ids, None, {}, 1)
            prompts += ids
            completions += drawn
        return prompts, completions

    def _distances(
        self, trainer: GRPO, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]]
    ) -> list[float | None]:
        """KL(now, start) of each completion, in nats."""
        from peft import PeftModel

        from rlpersona.training.kl import k3

        model = trainer.accelerator.unwrap_model(trainer.model)
        if self._start is None and not isinstance(model, PeftModel):
            return [None] * len(prompts)
        found: list[float | None] = []
        size = trainer.args.per_device_train_batch_size
        for at in range(0, len(prompts), size):
            ids, mask, width = _padded(trainer, prompts[at : at + size], completions[at : at + size])
            now = trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, width)[0]
            if self._start is None:
                with model.disable_adapter():
                    then = trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, width)[0]
            else:
                then = trainer._get_per_token_logps_and_entropies(self._start, ids, mask, width)[0]
            found += (k3(then - now) * mask[:, -width:]).sum(1).tolist()
        return found

    def _verdict(self, trainer: GRPO) -> dict[str, float]:
        rewards = [(row["step"], row["total"]) for row in trainer.state.log_history if "total" in row]
        for total in trainer._metrics["train"].get("total", ()):  # of the step that is being logged
            rewards.append((trainer.state.global_step, total))
        return verdict(self._looks, rewards)


def means(rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, float]]:
    """The measures of a look; a row has id, domain, task (or None), tokens, finished, KL (or None)."""
    for at, name in ((2, "task"), (3, "length"), (4, "stop_rate"), (5, "kl")):
        values = [row[at] for row in rows if row[at] is not None]
        if values:
            yield f"held_out/{name}", float(np.mean(values))
    for domain in sorted({row[1] for row in rows}):
        values = [row[2] for row in rows if row[1] == domain and row[2] is not None]
        if values:
            yield f"{domain}/held_out/task", float(np.mean(values))


def _padded(
    trainer: GRPO, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Prompts padded on the left, completions on the right: ids, mask, width of the completions."""
    import torch
    from trl.trainer.utils import pad

    def both(rows: Sequence[Sequence[int]], value: int, side: str) -> tuple[torch.Tensor, torch.Tensor]:
        tensors = [torch.tensor(row) for row in rows]
        ones = [torch.ones_like(row) for row in tensors]
        return pad(tensors, value, side), pad(ones, 0, side)

    filler = trainer._tokenizer.pad_token_id
    left, left_mask = both(prompts, filler, "left")
    right, right_mask = both(completions, filler, "right")
    device = trainer.accelerator.device
    ids = torch.cat([left, right], dim=1).to(device)
    return ids, torch.cat([left_mask, right_mask], dim=1).to(device), right.shape[1]
