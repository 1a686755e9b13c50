"""Completions of all conditions at once, written by the base with the stacked adapters.

Every row has uniform numbers of its own, one a token, drawn from the condition's seed and the step
alone: what a condition writes depends on its weights, not on who is packed with it. Conditions of one
seed write the same as long as their weights are the same. A prompt is read once for all its completions,
and rows that have ended leave the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlpersona.models.sampler import draw
from rlpersona.tasks.identity import unit
from rlpersona.training.packed import attention
from rlpersona.training.packed.layout import Block, Group, additive
from rlpersona.training.packed.network import Network
from rlpersona.training.packed.stack import Pass

LEAST = (
    8  # rows of a condition kept: with 1 to 3, matrix products go by other kernels and round otherwise
)
SHRINK = 0.8  # share of rows that are to be kept below which the others are dropped
GROW = 32  # slots added to the caches at a time


@dataclass(frozen=True)
class Asked:
    """A condition's prompts, the completions each gets, and the uniforms (rows, tokens) to draw by."""

    condition: int
    prompts: Sequence[Sequence[int]]
    each: int
    uniforms: Tensor


def streams(seed: int, step: int, rows: int, tokens: int, what: str = "rollout") -> Tensor:
    """Uniform numbers (rows, tokens) in float64 for a condition's completions at a step."""
    generator = np.random.default_rng(int(unit("packed", what, seed, step) * 2**53))
    return torch.from_numpy(generator.random((rows, tokens)))


def complete(
    network: Network, asked: Sequence[Asked], ends: frozenset[int], cap: int
) -> list[list[list[int]]]:
    """For each condition its completions, prompt by prompt; the token that ends one is part of it.

    Tokens are drawn at `network.temperature`; a completion of `cap` tokens is cut.
    """
    with torch.no_grad():
        return _Decoder(network, asked, ends).run(cap)


class _Decoder:
    """Rows under way: `alive` says which of the call they are, `owner` of which condition."""

    def __init__(self, network: Network, asked: Sequence[Asked], ends: frozenset[int]) -> None:
        self.network, self.asked = network, asked
        device = network.device
        layout = network.layout([(one.condition, [Group(p) for p in one.prompts]) for one in asked])
        self.caches: dict[int, _Cache] = {}
        each = [one.each for one in asked for _ in one.prompts]
        prompt = torch.arange(len(each)).repeat_interleave(torch.tensor(each)).to(device)
        width = max(block.prompts[1] for block in layout.blocks)

        def keep(layer: int, block: Block, k: Tensor, v: Tensor) -> None:
            self.caches.setdefault(layer, _Cache(width)).add(k, v)

        here = Pass(layout.spans, network.together)
        hidden = network.hidden(layout.ids, layout.positions, here, attention.Pass(layout, keep))
        for cache in self.caches.values():
            cache.start(prompt)
        self.logits = network.logits(hidden[layout.ends])[prompt]
        self.position = (layout.positions[layout.ends] + 1)[prompt]
        slots = torch.arange(width, device=device)
        self.unseen = additive(slots[None] < self.position[:, None], hidden.dtype)
        self._masks: dict[int | None, Tensor] = {}  # of this step, by window
        self.uniforms = torch.cat([one.uniforms for one in asked]).to(device)
        self.counts = [len(one.prompts) * one.each for one in asked]  # rows in the batch
        self.owner = torch.arange(len(asked)).repeat_interleave(torch.tensor(self.counts)).to(device)
        self.alive = torch.arange(len(self.owner), device=device)
        self.ends = torch.tensor(sorted(ends), device=device)
        self.width, self.step = width, 0
        self._here = self._rows()

    def run(self, cap: int) -> list[list[list[int]]]:
        written: list[tuple[Tensor, Tensor]] = []
        live = torch.ones(len(self.alive), dtype=torch.bool, device=self.alive.device)
        for step in range(cap):
            at = self.uniforms[self.alive, step]
            tokens, _ = draw(self.logits, self.network.temperature, 1.0, at)
            written.append((self.alive[live], tokens[live]))
            live = live & ~torch.isin(tokens, self.ends)
            working = torch.bincount(self.owner[live], minlength=len(self.asked)).tolist()
            if not any(working) or step + 1 == cap:
                break
            wanted = [
                min(max(some, LEAST), count) if some else 0
                for some, count in zip(working, self.counts, strict=True)
            ]
            if sum(wanted) < SHRINK * len(live):
                tokens, live = self._drop(live, tokens, wanted)
            self._advance(tokens)
        return self._collected(written)

    def _drop(self, live: Tensor, tokens: Tensor, wanted: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Keep so many rows of each condition, in their order: the live, and some that have ended."""
        kept = live.clone()
        for at, count in enumerate(wanted):
            own = self.owner == at
            spare = count - int((live & own).sum())
            kept[(own & ~live).nonzero()[:spare, 0]] = True
        rows = kept.nonzero()[:, 0]
        self.counts = list(wanted)
        self.alive, self.owner, self.position = self.alive[rows], self.owner[rows], self.position[rows]
        self.unseen = self.unseen[rows]
        for cache in self.caches.values():
            cache.select(rows)
        self._here = self._rows()
        return tokens[rows], live[rows]

    def _rows(self) -> Pass:
        """Whose rows lie where in the batch."""
        spans, begin = [], 0
        for one, count in zip(self.asked, self.counts, strict=True):
            if count:
                spans.append((one.condition, begin, begin + count))
            begin += count
        return Pass(spans, self.network.together)

    def _advance(self, tokens: Tensor) -> None:
        """Read one token of each row."""
        self._masks.clear()
        hidden = self.network.hidden(tokens, self.position, self._here, self._attend)
        self.logits = self.network.logits(hidden)
        self.position = self.position + 1
        self.step += 1

    def _attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, look: attention.Look) -> Tensor:
        keys, values = self.caches[layer].append(k, v, self.step)
        # Queries that share a head's keys stand beside each other as slots: the keys are not repeated.
        slots = q.reshape(len(q), keys.shape[2], -1, q.shape[2]).transpose(1, 2)
        return look(slots, keys, values, self._mask(look.window)).transpose(1, 2).flatten(1, 2)

    def _mask(self, window: int | None) -> Tensor:
        """What the token under way may look at, `(rows, 1, 1, slots)`, additive."""
        if window not in self._masks:
            unseen, steps = self.unseen, self.step + 1
            mask = torch.cat([unseen, unseen.new_zeros(len(unseen), steps)], 1)
            if window is not None:
                slots = torch.arange(self.width, device=mask.device).expand(len(mask), -1)
                start = self.position[:, None] - self.step
                own = start + torch.arange(steps, device=mask.device)
                behind = self.position[:, None] - torch.cat([slots, own], 1)
                mask = mask.masked_fill(behind >= window, -torch.inf)
            self._masks[window] = mask[:, None, None]
        return self._masks[window]

    def _collected(self, written: Sequence[tuple[Tensor, Tensor]]) -> list[list[list[int]]]:
        sizes = [len(one.prompts) * one.each for one in self.asked]
        texts: list[list[int]] = [[] for _ in range(sum(sizes))]
        for rows, tokens in written:
            for row, token in zip(rows.tolist(), tokens.tolist(), strict=True):
                texts[row].append(token)
        rest = iter(texts)
        return [list(islice(rest, size)) for size in sizes]


class _Cache:
    """Keys and values of one layer, `(rows, slots, heads, D)`: the prompt's, then what is written."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._prompts: list[tuple[Tensor, Tensor]] = []
        self._kept: tuple[Tensor, Tensor] = (torch.empty(0), torch.empty(0))

    def add(self, k: Tensor, v: Tensor) -> None:
        """The prompts of one more block."""
        room = (0, 0, 0, 0, 0, self._width - k.shape[1])
        pad = torch.nn.functional.pad
        self._prompts.append((pad(k, room), pad(v, room)))

    def start(self, owner: Tensor) -> None:
        """A row for each completion, from its prompt's."""
        self._kept = tuple(torch.cat(one)[owner] for one in zip(*self._prompts, strict=True))  # type: ignore[assignment]
        self._prompts.clear()

    def append(self, k: Tensor, v: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """One more slot; keys and values up to it."""
        at = self._width + step
        if at >= self._kept[0].shape[1]:
            room = (0, 0, 0, 0, 0, GROW)
            self._kept = tuple(torch.nn.functional.pad(x, room) for x in self._kept)  # type: ignore[assignment]
        for kept, new in zip(self._kept, (k, v), strict=True):
            kept[:, at] = new
        return self._kept[0][:, : at + 1], self._kept[1][:, : at + 1]

    def select(self, rows: Tensor) -> None:
        """Some rows, in the order given."""
        self._kept = tuple(x.index_select(0, rows) for x in self._kept)  # type: ignore[assignment]


def end_ids(net: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a completion."""
    from rlpersona.models.encode import end_tokens

    return end_tokens(net.generation_config.eos_token_id, tokenizer.eos_token_id)
