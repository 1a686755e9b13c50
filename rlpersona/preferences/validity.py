"""Which rows may be trained on; each of the others is kept with its place and the reason."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from rlpersona.errors import ConfigError, DataError, ModelError
from rlpersona.preferences.drafts import Draft
from rlpersona.preferences.reading import Rejected
from rlpersona.preferences.splits import plain
from rlpersona.types import Message, Prompt

if TYPE_CHECKING:
    from rlpersona.models.encode import Encoder

Flaw = Literal[
    "malformed",  # no row at all: a torn line, a missing column, a chat that the model cannot take
    "empty",  # a prompt or an answer without text
    "chosen = rejected",
    "tied",  # the source scores both answers alike
    "in the evaluation",  # the prompt is one that models are compared on
    "too long",  # over the model's window
    "contradicted",  # another row prefers the other answer
    "repeated",  # an earlier row says the same, and would weigh double
]
SCREEN = 12  # rejected rows that an error lists


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was set aside: where it stands, what is wrong with it, and the particulars."""

    place: str
    flaw: Flaw
    reason: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to train on, those set aside, and how many: `read`, `kept` and each flaw that came up."""

    rows: list[dict[str, Any]]
    rejected: list[RejectedRow]
    counts: dict[str, int]

    def flaws(self) -> str:
        """`"4 chosen = rejected, 2 empty"`, empty where nothing was set aside."""
        found = Counter(row.flaw for row in self.rejected)
        return ", ".join(f"{number:,} {flaw}" for flaw, number in found.most_common())

    def summary(self) -> str:
        """One line for people: `"994 of 1,000 rows kept; set aside: 4 chosen = rejected, 2 empty"`."""
        text = f"{self.counts['kept']:,} of {self.counts['read']:,} rows kept"
        return f"{text}; set aside: {self.flaws()}" if self.rejected else text


def examine(
    drafts: Iterable[Draft | Rejected],
    unread: Sequence[Rejected] = (),
    *,
    held_out: Collection[str] = (),
    window: int | None = None,
    encoder: Encoder | None = None,
) -> Rows:
    """Part the drafts into rows and rejected ones, each rejected for the first flaw of `Flaw`'s list.

    A prompt is held out if its last turn or its whole text is one of `held_out`, case, width and white
    space aside. Rows that contradict each other are all rejected, since which is right cannot be known;
    of rows that repeat each other the first stays. Completions that the source names apart do not repeat
    each other: many people open a dialogue alike. A row's length is that of its prompt and its longer
    answer with the token that ends the turn. `unread` are lines that gave no draft.
    """
    if window is not None and encoder is None:
        raise ConfigError("a window without an encoder: tokens cannot be counted.", "Give both.")
    apart = frozenset(plain(text) for text in held_out)
    length = None if encoder is None else token_counter(encoder)
    limit = 0 if encoder is None else min(window or encoder.window, encoder.window)
    rejected = [RejectedRow(row.place, "malformed", row.reason) for row in unread]
    sound: list[Draft] = []
    read = len(unread)
    for draft in drafts:
        read += 1
        if isinstance(draft, Rejected):
            rejected.append(RejectedRow(draft.place, "malformed", draft.reason))
        elif flaw := _flaw(draft, apart) or _length_flaw(draft, limit, length):
            rejected.append(RejectedRow(draft.place, *flaw))
        else:
            sound.append(draft)
    kept = _consistent(sound, rejected)
    found: Counter[str] = Counter(row.flaw for row in rejected)
    return Rows([draft.row() for draft in kept], rejected, {"read": read, "kept": len(kept), **found})


def refuse(where: str, rows: Rows) -> NoReturn:
    """DataError that counts all rejected rows and lists a screenful, some of every flaw."""
    flaws = Counter(row.flaw for row in rows.rejected)
    each = max(1, SCREEN // len(flaws))
    listed = [row for flaw in flaws for row in [r for r in rows.rejected if r.flaw == flaw][:each]]
    lines = [f"  {row.place.removeprefix(f'{where}, ')}: {row.reason}" for row in listed]
    more = len(rows.rejected) - len(listed)
    raise DataError(
        f"{where}: {len(rows.rejected):,} of {rows.counts['read']:,} rows cannot be used"
        f" ({rows.flaws()}):\n" + "\n".join(lines) + (f"\n  and {more:,} more" if more else ""),
        "Correct the file, or set such rows aside: data.bad_rows=quarantine",
    )


def _flaw(draft: Draft, apart: frozenset[str]) -> tuple[Flaw, str] | None:
    """What is wrong with a row by itself."""
    prompt, chosen, rejected = draft.prompt, draft.chosen, draft.rejected
    role, last = prompt[-1] if prompt else ("user", "")
    blank = [not content.strip() for speaker, content in prompt if speaker != "system"]
    asked = {plain(last), plain("\n\n".join(content for _, content in prompt))}
    found: list[tuple[bool, Flaw, str]] = [
        (not blank or all(blank), "empty", "the prompt is empty"),
        (any(blank), "empty", "a turn of the prompt is empty"),
        (role != "user", "malformed", f"the prompt ends with a message of the {role}"),
        (
            not chosen.strip(),
            "empty",
            f"the {'answer' if rejected is None else 'chosen answer'} is empty",
        ),
    ]
    if rejected is not None:
        found += [
            (not rejected.strip(), "empty", "the rejected answer is empty"),
            (chosen.split() == rejected.split(), "chosen = rejected", "both answers are the same"),
            (draft.tied, "tied", "both answers have the same score"),
        ]
    found.append(
        (not apart.isdisjoint(asked), "in the evaluation", "the prompt is one of the evaluation's")
    )
    return next(((flaw, reason) for wrong, flaw, reason in found if wrong), None)


def _length_flaw(
    draft: Draft, limit: int, length: Callable[[Draft], int] | None
) -> tuple[Flaw, str] | None:
    if length is None:
        return None
    try:
        tokens = length(draft)
    except ModelError as error:
        return "malformed", error.message
    return ("too long", f"{tokens:,} tokens, the window is {limit:,}") if tokens > limit else None


def token_counter(encoder: Encoder) -> Callable[[Draft], int]:
    """Counts tokens of the prompt, as the model is asked, and of the longer answer with its end.

    The count raises ModelError where the model's chat template refuses the chat.
    """
    endless = type(encoder)(encoder.tokenizer, sys.maxsize)
    # transformers would warn of sequences that no model is ever given.
    encoder.tokenizer.deprecation_warnings["sequence-length-is-longer-than-the-specified-maximum"] = True

    def count(draft: Draft) -> int:
        chat = tuple(Message(role, content) for role, content in draft.prompt)  # type: ignore[arg-type]
        answers = [draft.chosen, *([] if draft.rejected is None else [draft.rejected])]
        ids = [encoder.tokenizer(text, add_special_tokens=False)["input_ids"] for text in answers]
        return len(endless.prompt(Prompt(chat))) + max(map(len, ids)) + 1

    return count


def _consistent(drafts: Sequence[Draft], rejected: list[RejectedRow]) -> list[Draft]:
    """The drafts that no other contradicts, each once."""
    first: dict[tuple[object, ...], Draft] = {}
    for draft in drafts:
        first.setdefault(_content(draft), draft)
    kept = []
    for draft in drafts:
        same = first[_content(draft)]
        other = None if draft.rejected is None else first.get(_content(draft, reverse=True))
        if other is not None:
            reason = f"prefers the answer that {other.place} rejects"
            rejected.append(RejectedRow(draft.place, "contradicted", reason))
        elif same is not draft:
            rejected.append(RejectedRow(draft.place, "repeated", f"repeats {same.place}"))
        else:
            kept.append(draft)
    return kept


def _content(draft: Draft, *, reverse: bool = False) -> tuple[object, ...]:
    """What makes two rows the same: prompt and answers, white space aside, and a completion's name."""
    answers: list[str | None] = [draft.chosen, draft.rejected]
    if reverse:
        answers.reverse()
    chat = tuple((role, *content.split()) for role, content in draft.prompt)
    name = draft.name if draft.rejected is None else ""
    return name, chat, *(None if text is None else tuple(text.split()) for text in answers)
