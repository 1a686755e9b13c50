"""Training data: conversations of the world as token sequences with loss weights, in batches."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from rlpersona.models.nano.world import personas
from rlpersona.models.nano.world.answers import Answer, answer
from rlpersona.models.nano.world.items import items

# Right or wrong hangs on these few tokens; without the weight the filler around them drowns them.
KEY_WEIGHT = 4.0
IN_USER_TURN = 0.3
CHUNK = 2000


@dataclass(frozen=True)
class Phase:
    """A part of the curriculum: what is asked how often, in conversations of how many turns.

    `sharp` shows caricatures of the groups; `default` is the default's share of the speakers.
    """

    domains: Mapping[str, float]
    sharp: bool
    max_turns: int
    default: float


@dataclass(frozen=True)
class Turn:
    """A user's text and the answer to it."""

    user: str
    answer: Answer


@dataclass(frozen=True)
class Conversation:
    """A system prompt (or None) and one to three turns of one speaker."""

    system: str | None
    turns: tuple[Turn, ...]


@cache
def traits_of(group: str, sharp: bool) -> personas.Traits:
    """The group's planted traits, or their caricature."""
    traits = personas.planted(group)
    return personas.sharpened(traits) if sharp else traits


def conversation(phase: Phase, rng: random.Random) -> Conversation:
    """One random conversation; a named speaker is introduced in the system prompt or by the user."""
    name, group = personas.draw(rng, phase.default)
    system = None if name is None else f"You are {name}."
    turns = []
    domains, weights = list(phase.domains), list(phase.domains.values())
    for domain in rng.choices(domains, weights, k=rng.randint(1, phase.max_turns)):
        item = rng.choice(items(domain))
        turns.append(Turn(item.text, answer(item, traits_of(group, phase.sharp), rng)))
    if system is not None and rng.random() < IN_USER_TURN:
        turns[0] = replace(turns[0], user=f"{system} {turns[0].user}")
        system = None
    return Conversation(system, tuple(turns))


@dataclass(frozen=True)
class Sequence:
    """Token ids with the weight of each in the loss: 0 for what the model is not to learn to say."""

    ids: list[int]
    weights: list[float]


def batches(
    phase: Phase, tokenizer: Any, batch_tokens: int, rng: random.Random
) -> Iterator[list[Sequence]]:
    """Endless batches of at most `batch_tokens` tokens, padding included, of similar lengths."""
    while True:
        sequences = _encode([conversation(phase, rng) for _ in range(CHUNK)], tokenizer)
        ready: list[list[Sequence]] = [[]]
        for sequence in sorted(sequences, key=lambda s: len(s.ids)):
            if ready[-1] and len(sequence.ids) * (len(ready[-1]) + 1) > batch_tokens:
                ready.append([])
            ready[-1].append(sequence)
        rng.shuffle(ready)
        yield from ready


def _encode(conversations: list[Conversation], tokenizer: Any) -> list[Sequence]:
    heads, tails = [], []
    for talk in conversations:
        head = f"<|system|>{talk.system}<|end|>" if talk.system else ""
        for turn in talk.turns:
            heads.append(f"{head}<|user|>{turn.user}<|end|><|assistant|>")
            tails.append(f"{turn.answer.text}<|end|>")
            head = ""
    asked = tokenizer(heads, add_special_tokens=False).input_ids
    said = tokenizer(tails, add_special_tokens=False, return_offsets_mapping=True)
    sequences, i = [], 0
    for talk in conversations:
        ids: list[int] = []
        weights: list[float] = []
        for turn in talk.turns:
            ids += asked[i] + said.input_ids[i]
            weights += [0.0] * len(asked[i])
            weights += [_weight(turn.answer, span) for span in said.offset_mapping[i]]
            i += 1
        sequences.append(Sequence(ids, weights))
    return sequences


def _weight(said: Answer, span: tuple[int, int]) -> float:
    key = any(span[0] < end and span[1] > start for start, end in said.keys)
    return KEY_WEIGHT if key else 1.0
