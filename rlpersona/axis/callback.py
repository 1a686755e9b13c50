"""Where a model stands in persona space while it trains. Import it inside functions.

Two numbers a direction, in the probe's units, 0 for the base:

    drift/NAME/base_text   the base's answers to the probe's prompts, read by the model after the step
    drift/NAME/batch_text  the responses that the step was taken on, read by the model before it: own
                           completions (GRPO), chosen and rejected answers (DPO), the texts of an SFT

The first holds the text still, so it shows the model alone; the second shows model and text together.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from rlpersona.axis.blocks import decoder_of, visiting
from rlpersona.axis.probe import Probe

if TYPE_CHECKING:
    from torch import Tensor


class AxisWatch(TrainerCallback):  # type: ignore[misc]
    """Adds its numbers to what the trainer logs, every `every` steps and at the last.

    It draws nothing and changes nothing: a training is the same with and without it, to the bit. Add it
    before whatever reports the log. The pass over base texts stops after the probe's layer. The batch's
    numbers come from the training's own passes, by hooks, and cost next to nothing; a trainer that hands
    no `labels` to the model gives none. Weights must lie whole in every process (not tried with FSDP).
    """

    def __init__(self, probe: Probe, every: int = 5) -> None:
        self._probe = probe
        self._every = every
        self._hooks = ExitStack()
        self._labels: Tensor | None = None
        self._batch: list[Tensor] = []  # projections of responses (rows, k)
        self._values: dict[str, float] = {}

    def due(self, step: int, last: int) -> bool:
        """Whether there is a look after `step` updates."""
        return step % self._every == 0 or step == last

    def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Called by every process: from here on the training's own passes are watched."""
        self._hooks.close()
        self._batch.clear()
        if self.due(state.global_step + 1, state.max_steps):
            handle = model.register_forward_pre_hook(self._enter, with_kwargs=True)
            self._hooks.callback(handle.remove)
            self._hooks.enter_context(visiting(model, {self._probe.layer: self._see}))

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Called by every process after the update."""
        self._hooks.close()
        if not self.due(state.global_step, state.max_steps):
            return
        names, found = self._probe.names, {"base_text": base_text(model, self._probe)}
        own = self._batch_mean(next(model.parameters()).device)
        if own is not None:
            found["batch_text"] = own
        for kind, values in found.items():
            placed = self._placed(values)
            self._values |= {f"drift/{name}/{kind}": placed[at] for at, name in enumerate(names)}

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Put the numbers into the step's log."""
        if "loss" in logs:
            logs.update(self._values)
            self._values = {}

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Leave no hook behind."""
        self._hooks.close()

    def _enter(self, _module: Any, _inputs: Any, kwargs: dict[str, Any]) -> None:
        # Completions are drawn, and references computed, without a gradient.
        self._labels = kwargs.get("labels") if torch.is_grad_enabled() else None

    def _see(self, hidden: Tensor) -> None:
        if self._labels is None or self._labels.shape != hidden.shape[:2]:
            return
        ends = torch.tensor(self._probe.ends, device=hidden.device)
        mask = (self._labels >= 0) & ~torch.isin(self._labels, ends)
        along = hidden.detach().float() @ self._directions(hidden.device).T
        counts = mask.sum(1)
        sums = (along * mask[..., None]).sum(1)
        self._batch.append(sums[counts > 0] / counts[counts > 0, None])

    def _batch_mean(self, device: Any) -> Tensor | None:
        """Mean projection (k,) of the step's responses, in all processes; None without any."""
        rows = torch.cat(self._batch) if self._batch else torch.zeros(0, len(self._probe.names))
        total = torch.cat([rows.sum(0), rows.new_tensor([len(rows)])]).to(device)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(total)
        return total[:-1] / total[-1] if total[-1] > 0 else None

    def _directions(self, device: Any) -> Tensor:
        return torch.from_numpy(self._probe.directions).to(device)

    def _placed(self, projections: Tensor) -> list[float]:
        values = (projections.cpu().double().numpy() - self._probe.origins) / self._probe.units
        return [float(value) for value in values]


class _Done(Exception):
    """The layer was seen: what lies above it need not be computed."""


def base_text(net: Any, probe: Probe) -> Tensor:
    """Mean projection (k,) of the probe's responses under the model as it is; one pass, one batch."""
    device = next(net.parameters()).device
    width = max(len(context) + len(response) for context, response in probe.rows)
    ids = torch.zeros(len(probe.rows), width, dtype=torch.long)
    weights = torch.zeros(len(probe.rows), width)
    for at, (context, response) in enumerate(probe.rows):
        end = len(context) + len(response)
        ids[at, :end] = torch.tensor(context + response)
        weights[at, len(context) : end] = 1 / len(response)
    seen: list[Tensor] = []

    def stop(hidden: Tensor) -> None:
        mean = torch.bmm(weights.to(device)[:, None], hidden.float())[:, 0]
        seen.append((mean @ torch.from_numpy(probe.directions).to(device).T).mean(0))
        raise _Done

    training = net.training
    net.eval()
    try:
        with torch.no_grad(), visiting(net, {probe.layer: stop}):
            decoder_of(net)(input_ids=ids.to(device), use_cache=False)
    except _Done:
        pass
    finally:
        net.train(training)
    return seen[0]
