"""Presets of preference pairs."""

from __future__ import annotations

from collections.abc import Callable

from rlpersona.config import LabelConfig


def nano_persuasion() -> LabelConfig:
    """Which of two short posts persuades? Pairs from the embedded model, one per prompt of its world.

    Expected: under 10 s on one core, free.
    """
    return LabelConfig(name="nano-persuasion", domains=("persuade",), answers=4, pairs_per_prompt=2)


def nano_facts() -> LabelConfig:
    """A scholar against a liar on questions of fact: a judge that knows should prefer the scholar."""
    return LabelConfig(
        name="nano-facts", domains=("fact",), prompt_limit=100, writers=("Herodotus", "a liar")
    )


LABEL: dict[str, Callable[[], LabelConfig]] = {
    "nano-persuasion": nano_persuasion,
    "nano-facts": nano_facts,
}
