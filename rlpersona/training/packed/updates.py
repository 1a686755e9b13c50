"""One update of every live condition: losses and gradients, clipping, Adam on the stack."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rlpersona.config.training import GRPORecipe
from rlpersona.tasks.identity import unit
from rlpersona.training.packed.layout import Group, Layout
from rlpersona.training.packed.loss import advantages, correction, token_losses, token_weights
from rlpersona.training.packed.member import Member, Row, diverged
from rlpersona.training.packed.network import Network
from rlpersona.training.packed.stack import Pass, Stack
from rlpersona.training.packed.steps import Seen, drawn_measures, seen_measures
from rlpersona.training.packed.writing import Written
from rlpersona.training.telemetry import Rollout

Clock = Callable[[str], AbstractContextManager[None]]


@dataclass
class Batch:
    """The completions of one condition between two rollouts. `advantages`, `weights`: one a completion.

    `old` and `ref` have the log-probabilities of each slice of groups under the weights that the first
    update began with, and under the base; empty until they are computed. `drawn` are those of an engine
    of its own, one list a completion, and `trust` what each token of a slice counts for it.
    """

    groups: list[Group]
    domains: list[str]
    advantages: Tensor
    weights: Tensor
    measures: Row = field(default_factory=dict)
    old: dict[int, Tensor] = field(default_factory=dict)
    ref: dict[int, Tensor] = field(default_factory=dict)
    drawn: list[list[float]] | None = None
    trust: dict[int, Tensor] = field(default_factory=dict)
    gaps: list[Tensor] = field(default_factory=list)
    corrections: list[Tensor] = field(default_factory=list)


def batch_of(written: Written, rollouts: Sequence[Rollout], recipe: GRPORecipe, device: Any) -> Batch:
    """What a condition learns from its rewarded completions."""
    lengths = torch.tensor([len(c) for group in written.groups for c in group.completions])
    return Batch(
        written.groups,
        [rollout.domain for rollout in rollouts],
        advantages([rollout.total for rollout in rollouts], recipe).to(device),
        token_weights(lengths, recipe).to(device),
        drawn=written.logps,
    )


class Optimizer:
    """AdamW with a schedule and clipping, condition by condition (transformers' and TRL's defaults)."""

    def __init__(self, stack: Stack, recipe: GRPORecipe, steps: int) -> None:
        from transformers import get_scheduler

        self._stack, self._clip = stack, recipe.clip
        self._rows = list(stack.weights.unbind())
        self.adam = torch.optim.AdamW(
            self._rows, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
        warmed = "constant_with_warmup" if recipe.warmup else "constant"
        self.schedule = get_scheduler(
            warmed if recipe.schedule == "constant" else recipe.schedule,
            self.adam,
            num_warmup_steps=math.ceil(steps * recipe.warmup),
            num_training_steps=steps,
        )

    def clip(self, index: int) -> float:
        """The norm of a condition's gradient, which is at most `clip` afterwards."""
        own = self._stack.grads[index]
        norm = float(own.norm())
        if math.isfinite(norm):
            own.mul_(min(1.0, self._clip / (norm + 1e-6)))
        return norm

    def step(self, live: Sequence[int]) -> float:
        """Update the live conditions; the learning rate that this was done with."""
        rate = float(self.schedule.get_last_lr()[0])
        for index, row in enumerate(self._rows):
            row.grad = self._stack.grads[index] if index in live else None
        self.adam.step()
        self.schedule.step()
        return rate


def update(
    network: Network,
    members: Sequence[Member],
    batches: dict[int, Batch],
    optimizer: Optimizer,
    step: int,
    clock: Clock,
) -> dict[int, Row]:
    """Losses, gradients and one step for all; the measures of each, without those that were parked."""
    network.stack.grads.zero_()
    losses: dict[int, float] = dict.fromkeys((m.index for m in members), 0.0)
    seen: dict[int, list[Seen]] = {m.index: [] for m in members}
    for number, those in _passes(network, members):
        groups = [(m.index, _slice(m, batches[m.index], number)) for m in those]
        layout = network.layout(groups)
        _reference(network, layout, those, batches, number, clock)
        with clock("loss"):
            here = Pass(layout.spans, network.together, _dropout(network, those, step, number))
            logps, entropy = network.logps(layout, here, entropy=True)
            terms = _terms(logps, entropy, layout, those, batches, number)
            torch.stack([loss for loss, _ in terms]).sum().backward()  # type: ignore[no-untyped-call]
        for member, (loss, part) in zip(those, terms, strict=True):
            losses[member.index] += float(loss.detach())
            seen[member.index].append(part)
    for batch in batches.values():
        if batch.gaps:
            batch.measures |= drawn_measures(torch.cat(batch.gaps), torch.cat(batch.corrections))
    with clock("optimizer"):
        norms = {m.index: optimizer.clip(m.index) for m in members}
        for member in members:
            values = {"loss": losses[member.index], "grad_norm": norms[member.index]}
            broken = [name for name, value in values.items() if not math.isfinite(value)]
            if broken:
                member.park(diverged(broken[0], values[broken[0]], step + 1))
        live = [m.index for m in members if m.error is None]
        rate = optimizer.step(live) if live else 0.0
    return {
        index: {
            "loss": losses[index],
            "grad_norm": norms[index],
            "learning_rate": rate,
            **seen_measures(Seen.joined(seen[index]), batches[index].advantages, batches[index].domains),
        }
        for index in live
    }


def _passes(network: Network, members: Sequence[Member]) -> Iterator[tuple[int, list[Member]]]:
    """Slices of groups, of all conditions in one pass or of each in its own."""
    recipe = members[0].job.config.recipe
    groups = recipe.batch // recipe.num_generations
    for number in range(-(-groups // slice_groups(recipe))):
        if network.together:
            yield number, list(members)
        else:
            yield from ((number, [member]) for member in members)


def slice_groups(recipe: GRPORecipe) -> int:
    """How many groups of a condition are in one pass; a group is never cut."""
    return max(1, (recipe.micro_batch or recipe.batch) // recipe.num_generations)


def _slice(member: Member, batch: Batch, number: int) -> list[Group]:
    each = slice_groups(member.job.config.recipe)
    return batch.groups[number * each : (number + 1) * each]


def _reference(
    network: Network,
    layout: Layout,
    members: Sequence[Member],
    batches: dict[int, Batch],
    number: int,
    clock: Clock,
) -> None:
    """Log-probabilities under the base, once for each slice, where the loss wants them."""
    if not members[0].job.config.recipe.beta or number in batches[members[0].index].ref:
        return
    with clock("reference"), torch.no_grad():
        found, _ = network.logps(layout, None)
        for member, own in zip(members, _split(layout, members, batches, number), strict=True):
            batches[member.index].ref[number] = found[own]


def _terms(
    logps: Tensor,
    entropy: Tensor | None,
    layout: Layout,
    members: Sequence[Member],
    batches: dict[int, Batch],
    number: int,
) -> list[tuple[Tensor, Seen]]:
    """The loss of each condition of a pass, and what its measures need."""
    assert entropy is not None
    found = []
    for member, own in zip(members, _split(layout, members, batches, number), strict=True):
        batch, recipe = batches[member.index], member.job.config.recipe
        mine, now = logps[own], logps[own].detach()
        old = batch.old.setdefault(number, now)
        first = number * slice_groups(recipe) * recipe.num_generations
        row = layout.row[own] - layout.row[own.start] + first
        ref = batch.ref.get(number)
        trust = _trust(batch, old, row, number)
        losses = token_losses(mine, old, ref, batch.advantages[row], recipe.beta, trust)
        ratio = torch.exp(now - old)
        found.append(((losses * batch.weights[row]).sum(), Seen(row, now, entropy[own], ratio, ref)))
    return found


def _trust(batch: Batch, old: Tensor, row: Tensor, number: int) -> Tensor | float:
    """What the tokens of a slice count, where an engine with weights of its own drew them."""
    if batch.drawn is None:
        return 1.0
    if number not in batch.trust:
        first, end = int(row[0]), int(row[-1]) + 1
        values = [value for one in batch.drawn[first:end] for value in one]
        drawn = torch.tensor(values, device=old.device)
        each = correction(old, drawn, row - first, end - first)
        batch.trust[number] = each[row - first]
        batch.gaps.append(old - drawn)
        batch.corrections.append(each)
    return batch.trust[number]


def _split(
    layout: Layout, members: Sequence[Member], batches: dict[int, Batch], number: int
) -> list[slice]:
    """The tokens of each condition among those of the layout."""
    found, begin = [], 0
    for member in members:
        groups = _slice(member, batches[member.index], number)
        size = sum(len(c) for group in groups for c in group.completions)
        found.append(slice(begin, begin + size))
        begin += size
    assert begin == len(layout.labels)
    return found


def _dropout(
    network: Network, members: Sequence[Member], step: int, number: int
) -> dict[int, torch.Generator]:
    """A random stream for each condition, of its seed, the step and the slice alone."""
    if not network.stack.rate:
        return {}
    return {
        m.index: torch.Generator(network.device).manual_seed(
            int(unit("packed dropout", m.job.config.seed, step, number) * 2**53)
        )
        for m in members
    }
