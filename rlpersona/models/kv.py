"""One forward pass over many prompts that share beginnings: padding, positions and KV caches.

Slots of a row, left to right: beginning (left-padded), suffix (left-padded), then whatever is
appended (right-padded). Padding is masked and positions count real tokens only, so where the
padding lies does not change a row's result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import Cache

    from rlpersona.models.sharing import Row


@dataclass(slots=True)
class State:
    """Rows under way: last-token logits `[rows, vocabulary]`, the cache, which of its slots are real
    `[rows, slots]`, and the position of each row's next token `[rows]`."""

    logits: Tensor
    cache: Cache
    mask: Tensor
    position: Tensor

    def select(self, rows: Tensor) -> State:
        """The same state for some rows, in the order given; a row may come several times."""
        cache = take(self.cache, rows)
        return State(self.logits[rows], cache, self.mask[rows], self.position[rows])


class Runner:
    """Forward passes of one causal language model on its device."""

    def __init__(self, net: Any, pad: int) -> None:
        self.net = net
        self.pad = pad

    def shared(self, prefixes: Sequence[Sequence[int]]) -> State | None:
        """The beginnings' caches, one row each; None without beginnings."""
        if not prefixes:
            return None
        from transformers import DynamicCache

        ids, mask = self._left_padded(prefixes)
        return self._forward(ids, mask, mask.sum(-1), DynamicCache(), mask)

    def start(self, rows: Sequence[Row], shared: State | None) -> State:
        """All rows up to the end of their prompts."""
        import torch
        from transformers import DynamicCache

        ids, mask = self._left_padded([row.suffix for row in rows])
        groups = [row.group for row in rows]
        if shared is None or max(groups) < 0:
            return self._forward(ids, mask, mask.sum(-1), DynamicCache(), mask)
        index = torch.tensor(groups, device=ids.device)
        has = (index >= 0).long()
        index = index.clamp(min=0)
        lengths = shared.position[index] * has
        width = int(lengths.max())
        before = shared.mask[index, -width:] * has[:, None]
        cache = take(shared.cache, index, width)
        return self._forward(ids, mask, lengths + mask.sum(-1), cache, torch.cat([before, mask], 1))

    def step(self, state: State, tokens: Tensor) -> State:
        """One more token for each row, `tokens` is `[rows]`."""
        import torch

        real = torch.cat([state.mask, state.mask.new_ones(len(tokens), 1)], 1)
        one = state.mask.new_ones(len(tokens), 1)
        return self._forward(tokens[:, None], one, state.position + 1, state.cache, real)

    def follow(self, state: State, continuations: Sequence[Sequence[int]]) -> Tensor:
        """Log-likelihoods (nats, `[rows]`) of `continuations[i][1:]` after row i and its first token.

        Uses up the state's cache.
        """
        import torch
        from torch.nn.utils.rnn import pad_sequence

        device = state.mask.device
        ids = pad_sequence([torch.tensor(c) for c in continuations], True, self.pad).to(device)
        lengths = torch.tensor([len(c) for c in continuations], device=device)
        steps = torch.arange(ids.shape[1] - 1, device=device)
        mask = (steps < lengths[:, None] - 1).long()
        logits = self.net(
            input_ids=ids[:, :-1],
            attention_mask=torch.cat([state.mask, mask], 1),
            position_ids=state.position[:, None] + steps * mask,
            past_key_values=state.cache,
            use_cache=True,
        ).logits.float()
        picked = logits.gather(-1, ids[:, 1:, None])[..., 0] - logits.logsumexp(-1)
        scores: Tensor = (picked * mask).sum(-1)
        return scores

    def _forward(self, ids: Tensor, mask: Tensor, end: Tensor, cache: Cache, real: Tensor) -> State:
        """`end` counts each row's real tokens so far; its new ones are those that `mask` marks."""
        positions = (end[:, None] - mask.sum(-1, keepdim=True) + mask.cumsum(-1) - 1).clamp(min=0)
        out = self.net(
            input_ids=ids,
            attention_mask=real,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return State(out.logits[:, -1], out.past_key_values, real, end)

    def _left_padded(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        import torch

        width = max(map(len, rows))
        ids = [[self.pad] * (width - len(row)) + list(row) for row in rows]
        mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
        device = self.net.device
        return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def take(cache: Cache, rows: Tensor, width: int | None = None) -> Cache:
    """A copy of some rows of a cache, of the last `width` slots only if that is given."""
    from transformers import DynamicCache

    start = 0 if width is None else -width
    return DynamicCache(
        [(layer.keys[rows, :, start:], layer.values[rows, :, start:]) for layer in cache.layers]
    )
