"""Which prompts share a beginning, and which are computed together: plain lists of token ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

MIN_PREFIX = 8  # tokens; below it a shared beginning costs more to hand around than to compute
SORT_SPAN = 256  # prompts looked at together; bounds the depth of the search
MIN_SAVING = 0.15  # share of all tokens that sharing must save to be worth a pass of its own


@dataclass(frozen=True, slots=True)
class Row:
    """Prompt `index`, as the beginning `group` of its block (-1: none) and the ids after it."""

    index: int
    group: int
    suffix: Sequence[int]


@dataclass(frozen=True, slots=True)
class Block:
    """Prompts that are computed from the same few shared beginnings."""

    prefixes: list[Sequence[int]]
    rows: list[Row]


def plan(prompts: Sequence[Sequence[int]], budget: int, share: bool = True) -> list[Block]:
    """Every prompt once, in blocks whose beginnings, padded, hold at most `budget` tokens.

    A suffix is never empty: the last token of a prompt is always computed by its own row.
    """
    order = sorted(range(len(prompts)), key=lambda i: tuple(prompts[i]))
    spans = [order[at : at + SORT_SPAN] for at in range(0, len(order), SORT_SPAN)]
    found = [_groups(prompts, span) for span in spans] if share else []
    saved = sum(saving for saving, _ in found)
    if saved < MIN_SAVING * sum(map(len, prompts)):
        return [Block([], [Row(i, -1, prompts[i]) for i in order])]
    blocks: list[Block] = []
    prefixes: list[Sequence[int]] = []
    rows: list[Row] = []
    for members, length in (group for _, groups in found for group in groups):
        prefix = prompts[members[0]][:length]
        if length and max(length, *map(len, prefixes), 0) * (len(prefixes) + 1) > budget and prefixes:
            blocks.append(Block(prefixes, rows))
            prefixes, rows = [], []
        if length:
            prefixes.append(prefix)
        group = len(prefixes) - 1 if length else -1
        rows += [Row(i, group, prompts[i][length:]) for i in members]
    return [*blocks, Block(prefixes, rows)]


def batches(sizes: Sequence[int], extra: int, budget: int) -> Iterator[list[int]]:
    """Positions 0..n-1 in batches of like size: rows x (longest + `extra`) stays within `budget`.

    A single row may exceed the budget; it then has a batch of its own.
    """
    batch: list[int] = []
    for position in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        widest = sizes[batch[0]] if batch else sizes[position]
        if batch and (len(batch) + 1) * (widest + extra) > budget:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


def _groups(
    prompts: Sequence[Sequence[int]], span: list[int]
) -> tuple[int, list[tuple[list[int], int]]]:
    """Tokens saved, and the groups (prompt indices, length of their shared beginning) that save them."""
    near = [_shared(prompts[a], prompts[b]) for a, b in pairwise(span)]

    def best(low: int, high: int) -> tuple[int, list[tuple[int, int, int]]]:
        # Sorted rows low..high-1: one group, or apart wherever neighbours share least.
        if high - low == 1:
            return 0, [(low, high, 0)]
        least = min(near[low : high - 1])
        together = (high - low - 1) * least if least >= MIN_PREFIX else 0
        cuts = [low, *(i + 1 for i in range(low, high - 1) if near[i] == least), high]
        parts = [best(a, b) for a, b in pairwise(cuts)]
        apart = sum(saving for saving, _ in parts)
        if together >= apart and together:
            return together, [(low, high, least)]
        return apart, [group for _, groups in parts for group in groups]

    if not span:
        return 0, []
    saving, groups = best(0, len(span))
    return saving, [(span[low:high], length) for low, high, length in groups]


def _shared(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common beginning, one token less if that is a whole prompt."""
    limit = min(len(a), len(b)) - 1
    return next((i for i in range(limit) if a[i] != b[i]), limit)
