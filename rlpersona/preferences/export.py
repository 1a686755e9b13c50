"""Labels as training data: only a choice becomes a chosen and a rejected answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rlpersona.preferences.labels import Choice, Label
from rlpersona.preferences.pairs import Pair


def preference_rows(pairs: Sequence[Pair], labels: Mapping[str, Label]) -> list[dict[str, Any]]:
    """Rows in TRL's conversational form: prompt, chosen, rejected (lists of messages), and `id`.

    Ties, skips, failures and pairs without a label give no row: none of them says which is better.
    """
    rows = []
    for pair in pairs:
        label = labels.get(pair.id)
        if label is None or label.choice not in ("a", "b"):
            continue
        chosen, rejected = (pair.a, pair.b) if label.choice == "a" else (pair.b, pair.a)
        rows.append(
            {
                "prompt": [{"role": "user", "content": pair.prompt}],
                "chosen": [{"role": "assistant", "content": chosen}],
                "rejected": [{"role": "assistant", "content": rejected}],
                "id": pair.id,
            }
        )
    return rows


def majority(books: Sequence[Mapping[str, Label]]) -> dict[str, Label]:
    """What most annotators say of each pair: more than half of the votes, else a tie.

    Votes are a, b and tie; a pair that nobody voted on has no label.
    """
    votes: dict[str, Counter[Choice]] = {}
    for book in books:
        for pair, label in book.items():
            if label.choice is not None and label.choice != "skip":
                votes.setdefault(pair, Counter())[label.choice] += 1
    decided = {}
    for pair, counts in votes.items():
        choice, most = counts.most_common(1)[0]
        decided[pair] = Label(pair, choice if 2 * most > counts.total() else "tie")
    return decided
