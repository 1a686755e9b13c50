"""PersuasionForGood (Wang et al. 2019, ACL): one talks the other into a donation. For SFT alone.

`full_dialog.csv`: `Unit` (text), `Turn`, `B4` (0: persuader, 1: persuadee), `B2` (dialogue). Each turn
of the persuader is a completion, after all that was said before; the persuadee is the user. The
persuader speaks first, so every dialogue is opened by a request that is ours, as chat templates want.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rlpersona.preferences.drafts import BadRowError, Draft, Messages, joined, text
from rlpersona.preferences.reading import Rejected
from rlpersona.tasks.files import Located

OPENING = "Please talk to me about donating to the charity Save the Children."
SPEAKERS = {"0": "assistant", "1": "user"}


def drafts(rows: Iterable[Located], opening: str = OPENING) -> Iterator[Draft | Rejected]:
    """A draft for each turn of a persuader. A row that cannot be read ends its dialogue, since what
    follows would answer something else; its later rows are counted as rejected, too."""
    said: dict[str, Messages] = {}
    torn: dict[str, str] = {}
    for place, row in rows:
        try:
            name = text(row.get("B2"), "B2")
            if name in torn:
                raise BadRowError(f"follows {torn[name]}, which cannot be read")
            try:
                role, words = _turn(row)
            except BadRowError:
                torn[name] = place
                raise
        except BadRowError as error:
            yield Rejected(place, str(error))
            continue
        before = said.get(name, (("user", opening),))
        if role == "assistant":
            number = sum(speaker == "assistant" for speaker, _ in before) + 1
            yield Draft(place, joined(before), words, None, f"{name}-{number}")
        said[name] = (*before, (role, words))


def _turn(row: object) -> tuple[str, str]:
    """Who speaks, and what is said."""
    assert isinstance(row, dict)
    role = SPEAKERS.get(text(row.get("B4"), "B4").strip())
    if role is None:
        raise BadRowError(f"'B4' is {row['B4']!r}: neither 0 (persuader) nor 1 (persuadee)")
    words = text(row.get("Unit"), "Unit").strip()
    if not words:
        raise BadRowError("'Unit' is empty")
    return role, words
