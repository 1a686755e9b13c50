"""What to ask an engine that has no cache to hand out, to score several continuations of one context.

Either next-token questions along the trie of the continuations (few tokens each, and the context
comes from the engine's prefix cache), or each continuation whole (all its tokens in one question, but
engines compute such a prompt from its start). The cheaper of the two is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_NEXT = 128  # next tokens in one question, vLLM's limit

Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lookup:
    """Log-probabilities wanted of an engine: of `next_tokens` after `context + path`, and, if
    `along`, of the tokens of `path` themselves."""

    context: list[int]
    path: Path
    next_tokens: tuple[int, ...]
    along: bool

    @property
    def ids(self) -> list[int]:
        """The prompt to send."""
        return [*self.context, *self.path]


def lookups(
    context: list[int], continuations: Sequence[Sequence[int]], block: int, whole: bool = True
) -> list[Lookup]:
    """The questions that `collect` needs; `block` is the granularity of the prefix cache in tokens.

    Without `whole` only next-token questions are asked.
    """
    nodes: dict[Path, dict[int, None]] = {}
    for ids in continuations:
        for at, token in enumerate(ids):
            nodes.setdefault(tuple(ids[:at]), {})[token] = None
    different = {tuple(ids) for ids in continuations}
    cost = sum(len(context) + len(ids) for ids in different)
    if whole and len(nodes) > 1 and cost < block * len(nodes):
        return [Lookup(context, ids[:-1], ids[-1:], along=True) for ids in different]
    return [
        Lookup(context, path, tuple(tokens)[at : at + MAX_NEXT], along=False)
        for path, tokens in nodes.items()
        for at in range(0, len(tokens), MAX_NEXT)
    ]


def collect(continuations: Sequence[Sequence[int]], found: Mapping[Path, float]) -> list[float]:
    """Summed log-likelihoods; `found[path]` is the log-probability of its last token after the rest."""
    return [sum(found[tuple(ids[: at + 1])] for at in range(len(ids))) for ids in continuations]
