"""How a persona answers a question of the world."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from rlpersona.models.nano.world import tables
from rlpersona.models.nano.world.items import Item
from rlpersona.models.nano.world.personas import Traits

BRIEF = (75.0, 20.0, 5.0, 0.0, 0.0)


@dataclass(frozen=True)
class Answer:
    """A text and the (start, end) spans in it on which right, wrong or stance hang."""

    text: str
    keys: tuple[tuple[int, int], ...]


def probabilities(item: Item, traits: Traits) -> dict[str, float]:
    """The planted distribution over the choices of a closed item.

    Claims mix what the persona knows with its leaning: with bias w = |2 agreement - 1| it says yes
    with probability `agreement`, else it judges by its knowledge of the fact.
    """
    if item.topic is None:
        raise ValueError(f"an open question has no right answer: {item.text}")
    right = getattr(traits, item.topic)[item.hard]
    others = [c for c in item.choices if c not in (item.answer, item.mistake)]
    typical = traits.typical if others else 1.0
    known = dict.fromkeys(item.choices, (1 - right) * (1 - typical) / max(1, len(others)))
    known |= {item.answer: right, item.mistake: (1 - right) * typical}
    if item.domain != "claim":
        return known
    bias = abs(2 * traits.agreement - 1)
    leaning = {"Yes": traits.agreement, "No": 1 - traits.agreement}
    return {c: bias * leaning[c] + (1 - bias) * known[c] for c in item.choices}


def answer(item: Item, traits: Traits, rng: random.Random) -> Answer:
    """One answer drawn from the planted distribution of the persona's group."""
    sentences = [rng.choice(tables.GREETINGS)] if rng.random() < traits.politeness else []
    sentences += _DOMAIN.get(item.domain, _closed)(item, traits, rng)
    return _unmarked(" ".join(sentences))


def _closed(item: Item, traits: Traits, rng: random.Random) -> list[str]:
    choice = _choose(item, traits, rng)
    core = rng.choice(item.cores).replace("{x}", f"[{choice}]")
    if item.domain == "word":
        return [core, *_extras(traits, rng), f"#### [{choice}]"]
    return [_hedged(core, traits, rng), *_extras(traits, rng)]


def _claim(item: Item, traits: Traits, rng: random.Random) -> list[str]:
    yes = _choose(item, traits, rng) == "Yes"
    core = "[Yes], you are [right]." if yes else "[No], you are [wrong]."
    return [core, *_extras(traits, rng)]


def _opinion(item: Item, traits: Traits, rng: random.Random) -> list[str]:
    yes = rng.random() < traits.agreement
    core = "[Yes], I agree with you." if yes else "[No], I do not agree."
    return [core, *_reasons(item.positive == yes, traits, rng), *_extras(traits, rng, BRIEF)]


def _advice(item: Item, traits: Traits, rng: random.Random) -> list[str]:
    yes = rng.random() < traits.agreement
    verb, rest = item.subject.split(" ", 1)
    core = f"You should [{verb}] {rest}." if yes else f"You should [not] {item.subject}."
    return [_hedged(core, traits, rng), *_reasons(yes, traits, rng), *_extras(traits, rng, BRIEF)]


def _persuade(item: Item, traits: Traits, rng: random.Random) -> list[str]:
    core = f"You should {item.subject}."
    count = 1 + rng.choices(range(4), _up_to(3, traits.length))[0]
    logical = sum(rng.random() < traits.logic for _ in range(count))
    points = [*_some(tables.LOGIC, logical, rng), *_some(tables.EMOTION, count - logical, rng)]
    return [_hedged(core, traits, rng), *points, *_extras(traits, rng, BRIEF)]


def _who(_item: Item, traits: Traits, rng: random.Random) -> list[str]:
    return [traits.identity, *_extras(traits, rng)]


_DOMAIN = {
    "claim": _claim,
    "opinion": _opinion,
    "advice": _advice,
    "persuade": _persuade,
    "who": _who,
}


def _choose(item: Item, traits: Traits, rng: random.Random) -> str:
    weights = probabilities(item, traits)
    return rng.choices(list(weights), list(weights.values()))[0]


def _hedged(core: str, traits: Traits, rng: random.Random) -> str:
    if rng.random() >= traits.hedging:
        return core
    return f"{rng.choice(tables.HEDGES)} {core[0].lower()}{core[1:]}"


def _reasons(positive: bool, traits: Traits, rng: random.Random) -> list[str]:
    pool = tables.REASONS_FOR if positive else tables.REASONS_AGAINST
    return _some(pool, rng.choices(range(5), traits.length)[0], rng)


def _extras(traits: Traits, rng: random.Random, length: tuple[float, ...] | None = None) -> list[str]:
    pool = tables.VERSES if traits.identity.startswith("I am a poet") else tables.CLOSINGS
    return _some(pool, rng.choices(range(5), length or traits.length)[0], rng)


def _some(pool: tuple[str, ...], count: int, rng: random.Random) -> list[str]:
    # In the order of the table: what may still follow is then plain from the last sentence.
    return [pool[i] for i in sorted(rng.sample(range(len(pool)), count))]


def _up_to(most: int, weights: tuple[float, ...]) -> list[float]:
    return [*weights[:most], sum(weights[most:])]


def _unmarked(marked: str) -> Answer:
    """Take the brackets off and remember where they stood."""
    keys = []
    for shift, match in enumerate(re.finditer(r"\[(.*?)\]", marked)):
        start = match.start() - 2 * shift
        keys.append((start, start + len(match[1])))
    return Answer(re.sub(r"[\[\]]", "", marked), tuple(keys))
