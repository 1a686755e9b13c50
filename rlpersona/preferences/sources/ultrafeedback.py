"""UltraFeedback, binarised (Cui et al. 2023, arXiv:2310.01377): answers with a score each.

    {"prompt": text, "chosen": text, "rejected": text, "metadata": {"score_chosen": 9, ...}}
    {"chosen": [user, assistant], "rejected": [user, assistant], "score_chosen": 9, "score_rejected": 8}

Rows whose two scores are equal name a chosen answer all the same: that is a coin flip, not a preference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rlpersona.preferences.drafts import BadRowError, Draft, Kind
from rlpersona.preferences.reading import Rejected
from rlpersona.preferences.sources import jsonl
from rlpersona.tasks.files import Located


def drafts(rows: Iterable[Located], kind: Kind) -> Iterator[Draft | Rejected]:
    """A draft for each row, or why there is none."""
    for place, row in rows:
        try:
            gap = lead(row)
            if gap is not None and gap < 0 and kind == "pairs":
                raise BadRowError("the rejected answer has the higher score")
            yield jsonl.read(place, row, kind, tied=gap == 0)
        except BadRowError as error:
            yield Rejected(place, str(error))


def lead(row: Mapping[str, Any]) -> float | None:
    """Score of the chosen answer minus that of the rejected one; None where either is not told."""
    metadata = row.get("metadata")
    told = metadata if isinstance(metadata, Mapping) else row
    scores = [told.get("score_chosen"), told.get("score_rejected")]
    known = [x for x in scores if isinstance(x, int | float) and not isinstance(x, bool)]
    return known[0] - known[1] if len(known) == 2 else None
