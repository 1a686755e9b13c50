"""What an open prompt asks for: advice, an opinion, or a text to be made up."""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["advice", "opinion", "creative", "other"]

_TEXTS = (
    r"(?:story|stories|poem|poems|poetry|haiku|limerick|sonnet|song|lyrics|rap|script|screenplay|scene"
    r"|dialogue|monologue|novel|fairy ?tale|fable|joke|jokes|riddle|slogan|tagline|caption|letter|speech"
    r"|blog post|diary|character|plot)"
)
_RULES: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        "creative",
        re.compile(
            r"\b(?:write|compose|create|invent|make up|imagine|craft|tell me|come up with|generate)\b"
            rf"[^.?!\n]{{0,60}}\b{_TEXTS}\b",
            re.IGNORECASE,
        ),
    ),
    (
        "opinion",
        re.compile(
            r"\b(?:do you (?:think|believe|agree|prefer|like)|what do you think|(?:your|an?) opinion"
            r"|your (?:view|thoughts|stance)"
            r"|is it (?:ever )?(?:right|wrong|ok|okay|moral|immoral|ethical|fair|bad|good)\b"
            r"|should (?:we|people|the|there|governments?|society|children|parents)\b"
            r"|pros and cons|argue (?:for|against)|convince me)",
            re.IGNORECASE,
        ),
    ),
    (
        "advice",
        re.compile(
            r"\b(?:should i\b|how (?:do|can|could) i\b|how to\b"
            r"|(?:give|any|some|need|want|offer|your)\b[^.?!\n]{0,20}"
            r"\b(?:advice|tips?|suggestions?|recommendations?)\b"
            r"|recommend\b|best way to\b|help me\b|what can i do\b)",
            re.IGNORECASE,
        ),
    ),
)


def kind_of(text: str) -> Kind:
    """The kind of a prompt by its wording, the first rule that holds; `"other"` where none does.

    The rules look for a phrase and nothing more: prompts of a kind are found, not all of them.
    """
    return next((kind for kind, rule in _RULES if rule.search(text)), "other")
