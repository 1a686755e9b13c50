"""TruthfulQA, MC1: the one true answer among common falsehoods (Lin et al. 2022, 2109.07958).

The right answer stands first in the released files, so the choices are shuffled, by question and seed.
"""

from __future__ import annotations

from collections.abc import Mapping

from rlpersona.tasks.benchmark import (
    Benchmark,
    MalformedRow,
    choice_question,
    clean_text,
    present,
    text_of,
    value_of,
)
from rlpersona.tasks.files import Row
from rlpersona.types import Question


def parse(row: Row, seed: int) -> Question:
    """`question` with `mc1_targets`, or the csv's `Question`, `Best Answer` and `Incorrect Answers`."""
    if "Best Answer" in row or "Question" in row:
        text, right = text_of(row, "Question"), text_of(row, "Best Answer")
        wrong = _parted(text_of(row, "Incorrect Answers"))
    else:
        text = text_of(row, "question")
        rights, wrong = split_targets(value_of(row, "mc1_targets"), "mc1_targets")
        if len(rights) != 1:
            raise MalformedRow(
                f"column 'mc1_targets' must mark one right answer, it marks {len(rights)}"
            )
        right = rights[0]
    if right in wrong:
        raise MalformedRow(f"the right answer '{right[:60]}' is also among the wrong ones")
    return choice_question(
        "truthfulqa",
        text,
        [right, *wrong],
        right,
        domain=str(row.get("Category") or ""),
        meta=present(row, "Type"),
        shuffle=seed,
    )


def sheet_answers(row: Row) -> tuple[list[str], list[str]]:
    """True answers (the best one first) and false ones of the csv's row; some may be on both sides."""
    best = text_of(row, "Best Answer")
    true, false = (_parted(text_of(row, column)) for column in ("Correct Answers", "Incorrect Answers"))
    return list(dict.fromkeys([best, *true])), false


def split_targets(value: object, column: str) -> tuple[list[str], list[str]]:
    """True and false answers of `{answer: 0 or 1}` or of the hub's `{"choices": [], "labels": []}`."""
    if not isinstance(value, Mapping):
        raise MalformedRow(f"column '{column}' must be an object, not {type(value).__name__}")
    if set(value) == {"choices", "labels"}:
        choices, labels = list(value["choices"]), list(value["labels"])
    else:  # an arrow table gives every row the keys of all rows, with None for those it has not
        choices = [key for key in value if value[key] is not None]
        labels = [value[key] for key in choices]
    if len(choices) != len(labels) or any(label not in (0, 1) for label in labels):
        raise MalformedRow(f"column '{column}' must give each answer a 0 or a 1")
    texts = [clean_text(choice, f"an answer of '{column}'") for choice in choices]
    marked = list(zip(texts, labels, strict=True))
    return [text for text, label in marked if label], [text for text, label in marked if not label]


def _parted(answers: str) -> list[str]:
    return [part.strip() for part in answers.split(";") if part.strip()]


BENCHMARK = Benchmark("truthfulqa", "truthfulqa/truthful_qa:multiple_choice:validation", parse)
