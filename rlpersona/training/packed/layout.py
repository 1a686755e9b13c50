"""Where the tokens of several conditions lie in one flat sequence without padding.

A prompt is there once, however many completions it has. The tokens of a condition are contiguous: its
prompts, then its completions. Attention alone needs rows: a `Block` says how to get from the flat
sequence to rows and back. Every other layer of a transformer works on single tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

Span = tuple[int, int, int]  # a condition, its first token, the one after its last
Piece = tuple[int, int]  # the first token of a text, and how many it has


@dataclass(frozen=True)
class Group:
    """A prompt and the completions that are to be scored after it, none of them empty."""

    prompt: Sequence[int]
    completions: Sequence[Sequence[int]] = ()


@dataclass(frozen=True)
class Block:
    """The stretch `begin:end` of a sequence as rows: G prompts of P slots, R completions of C slots.

    Rows are padded at the right. `take` (G P + R C) has the token of each slot, counted from `begin`;
    where it is padding (`real` is 0 there) the first of the row's prompt, as a mask cannot keep out
    what another condition's overflow left behind (0 * inf). `back` has the slot of each token, and the
    one after the last for idle tokens. `group` (R) is the prompt of each completion.
    """

    begin: int
    end: int
    prompts: tuple[int, int]
    completions: tuple[int, int]
    take: Tensor
    real: Tensor
    back: Tensor
    idle: bool  # whether there are idle tokens
    each: int | None  # the completions of every prompt, where they are as many
    lengths: Tensor  # of the prompts (G)
    group: Tensor
    _masks: dict[tuple[int | None, torch.dtype], tuple[Tensor | None, Tensor | None]] = field(
        default_factory=dict
    )

    def masks(self, window: int | None, dtype: torch.dtype) -> tuple[Tensor | None, Tensor | None]:
        """What prompts and completions may look at, `(1, 1, P, P)` and `(R, 1, C, P + C)`, additive.

        None stands for plainly causal. `window`: how many tokens a layer looks back, itself included.
        """
        key = (window, dtype)
        if key not in self._masks:
            self._masks[key] = (self._among_prompts(*key), self._of_completions(*key))
        return self._masks[key]

    def _among_prompts(self, window: int | None, dtype: torch.dtype) -> Tensor | None:
        if window is None or window >= self.prompts[1]:
            return None
        at = torch.arange(self.prompts[1], device=self.take.device)
        behind = at[:, None] - at
        return additive((behind >= 0) & (behind < window), dtype)[None, None]

    def _of_completions(self, window: int | None, dtype: torch.dtype) -> Tensor | None:
        rows, width = self.completions
        if not rows:
            return None
        device = self.take.device
        slots = torch.arange(self.prompts[1], device=device).expand(rows, -1)
        steps = torch.arange(width, device=device)
        start = self.lengths[self.group][:, None]
        keys = torch.cat([slots, start + steps], 1)  # their positions (R, P + C)
        behind = (start + steps)[:, :, None] - keys[:, None]
        seen = behind >= 0
        seen[:, :, : self.prompts[1]] &= (slots < start)[:, None]
        return additive(seen if window is None else seen & (behind < window), dtype)[:, None]


@dataclass(frozen=True)
class Layout:
    """A flat sequence of N tokens, and the M tokens in it whose log-probabilities are wanted.

    `ends` has the last token of each prompt. `at` (M) is where a wanted token is predicted, `labels`
    what it is, `row` the completion that it is of: in the order of conditions, groups, completions.
    """

    ids: Tensor
    positions: Tensor
    spans: tuple[Span, ...]
    blocks: tuple[Block, ...]
    ends: Tensor
    at: Tensor
    labels: Tensor
    row: Tensor


def lay_out(
    conditions: Sequence[tuple[int, Sequence[Group]]], device: Any = "cpu", together: bool = False
) -> Layout:
    """The tokens of some conditions, each with its groups, as one sequence.

    The last token of a completion is predicted, never read. `together`: one block for all, and as many
    tokens for each condition (idle ones fill up), for devices that like few large operations. Otherwise
    each condition has its own shapes: its numbers are then the same whoever is beside it.
    """
    ids: list[int] = []
    positions: list[int] = []
    spans: list[Span] = []
    placed: list[tuple[list[Piece], list[Piece], list[int]]] = []
    targets: list[tuple[int, int, int]] = []
    size = max(map(_tokens, (groups for _, groups in conditions))) if together else 0
    row = 0
    for condition, groups in conditions:
        begin = len(ids)
        prompts = list(_pieces(begin, [len(group.prompt) for group in groups]))
        for group in groups:
            ids += group.prompt
            positions += range(len(group.prompt))
        texts, owners = [], []
        for owner, group in enumerate(groups):
            first = sum(prompts[owner]) - 1
            for completion in group.completions:
                read, start = completion[:-1], len(ids)
                texts.append((start, len(read)))
                owners.append(owner)
                ids += read
                positions += range(len(group.prompt), len(group.prompt) + len(read))
                places = [first, *range(start, len(ids))]
                targets += [(at, token, row) for at, token in zip(places, completion, strict=True)]
                row += 1
        idle = max(0, begin + size - len(ids))
        ids += [0] * idle
        positions += [0] * idle
        spans.append((condition, begin, len(ids)))
        placed.append((prompts, texts, owners))
    if together:
        blocks = [_block(0, len(ids), *_joined(placed), device)]
    else:
        blocks = [
            _block(span[1], span[2], *parts, device) for span, parts in zip(spans, placed, strict=True)
        ]
    ends = [sum(piece) - 1 for prompts, _, _ in placed for piece in prompts]
    at, labels, rows = (
        torch.tensor(column, dtype=torch.long, device=device) for column in _columns(targets)
    )
    return Layout(
        torch.tensor(ids, device=device),
        torch.tensor(positions, device=device),
        tuple(spans),
        tuple(blocks),
        torch.tensor(ends, device=device),
        at,
        labels,
        rows,
    )


def additive(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where there is something to see, -inf elsewhere."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, -torch.inf)


def _block(
    begin: int, end: int, prompts: list[Piece], texts: list[Piece], owners: list[int], device: Any
) -> Block:
    width, room = (max((size for _, size in pieces), default=0) for pieces in (prompts, texts))
    room = max(room, 1)
    slots = len(prompts) * width + len(texts) * room
    take = torch.zeros(slots, dtype=torch.long)
    real = torch.zeros(slots, 1)
    back = torch.full((end - begin,), slots, dtype=torch.long)
    first = 0
    for pieces, step, rows in ((prompts, width, range(len(prompts))), (texts, room, owners)):
        for (start, size), row in zip(pieces, rows, strict=True):
            at = torch.arange(start - begin, start - begin + size)
            take[first : first + step] = prompts[row][0] - begin
            take[first : first + size] = at
            real[first : first + size] = 1
            back[at] = torch.arange(first, first + size)
            first += step
    return Block(
        begin,
        end,
        (len(prompts), width),
        (len(texts), room),
        take.to(device),
        real.to(device),
        back.to(device),
        bool((back == slots).any()),
        _even(owners, len(prompts)),
        torch.tensor([size for _, size in prompts], device=device),
        torch.tensor(owners, dtype=torch.long, device=device),
    )


def _even(owners: Sequence[int], prompts: int) -> int | None:
    each, rest = divmod(len(owners), prompts)
    even = not rest and all(owner == at // each for at, owner in enumerate(owners))
    return each if even else None


def _joined(
    placed: Sequence[tuple[list[Piece], list[Piece], list[int]]],
) -> tuple[list[Piece], list[Piece], list[int]]:
    before = accumulate((len(prompts) for prompts, _, _ in placed), initial=0)
    return (
        [piece for prompts, _, _ in placed for piece in prompts],
        [piece for _, texts, _ in placed for piece in texts],
        [
            start + owner
            for start, (_, _, owners) in zip(before, placed, strict=False)
            for owner in owners
        ],
    )


def _pieces(begin: int, sizes: Sequence[int]) -> Iterator[Piece]:
    for size in sizes:
        yield begin, size
        begin += size


def _tokens(groups: Sequence[Group]) -> int:
    return sum(len(group.prompt) + sum(len(c) - 1 for c in group.completions) for group in groups)


def _columns(rows: Sequence[tuple[int, int, int]]) -> list[tuple[int, ...]]:
    return list(zip(*rows, strict=True)) if rows else [(), (), ()]
