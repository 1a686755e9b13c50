"""Questions of the nano world as a benchmark."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from rlpersona.errors import ConfigError, did_you_mean
from rlpersona.models.nano.world.items import DOMAINS, Item, items
from rlpersona.types import Question

SOURCE = "nano"


def questions(
    domains: Sequence[str] = ("math", "fact"),
    split: Literal["train", "heldout"] = "train",
    per_domain: int | None = None,
) -> list[Question]:
    """Distinct questions, domain by domain, each in a fixed order that depends on the texts alone.

    `heldout` gives those that the shipped weights never saw in training. Closed domains (math,
    word, fact: four choices; claim, compare: two) score a choice as `(" " if cue else "") + choice`
    right after the cue; the open ones (advice, opinion, persuade, who) have no choices and no gold
    text. `per_domain` keeps the first so many of each. `meta` holds `hard`, `mistake` (the typical
    wrong choice), `topic` (the planted skill that decides) and `subject`. ConfigError for an unknown
    domain or split.
    """
    for domain in domains:
        if domain not in DOMAINS:
            raise ConfigError(f"no domain '{domain}' in the nano world", did_you_mean(domain, DOMAINS))
    if split not in ("train", "heldout"):
        raise ConfigError(
            f"no split '{split}' in the nano world", did_you_mean(split, ("train", "heldout"))
        )
    if per_domain is not None and per_domain < 1:
        raise ConfigError(f"per_domain is {per_domain}", "ask for at least one question a domain")
    return [
        _question(item)
        for domain in dict.fromkeys(domains)
        for item in items(domain, split == "heldout")[:per_domain]
    ]


def _question(item: Item) -> Question:
    return Question(
        id=hashlib.blake2b(f"{item.domain}\n{item.text}".encode(), digest_size=8).hexdigest(),
        text=item.text,
        answer=item.answer,
        choices=item.choices,
        cue=item.cue,
        source=SOURCE,
        domain=item.domain,
        meta={
            "hard": item.hard,
            "mistake": item.mistake,
            "topic": item.topic,
            "subject": item.subject,
        },
    )
