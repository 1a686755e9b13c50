"""HellaSwag: which of four endings follows (Zellers et al. 2019, 1905.07830).

Scored by the log-likelihood of each ending after the context. Texts are prepared as in
lm-evaluation-harness (`lm_eval/tasks/hellaswag/utils.py`): wikiHow's tags go, and where the file has
`activity_label`, `ctx_a` and `ctx_b` the context reads `LABEL: ctx_a Ctx_b`. Three forms of rows are
told apart by their columns: the official one; `question` with choices A-D and a letter; `question`
with choices as a JSON list and the index of the right one.
"""

from __future__ import annotations

import json
import re

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

_INSTRUCTION = "Which ending makes the most sense?"


def parse(row: Row, seed: int) -> Question:
    """A row in any of the three forms. The endings keep their order: it is random at the source."""
    if "ctx" in row or "endings" in row:
        context, endings, index = _official(row)
    elif isinstance(row.get("choices"), dict):
        context, endings, index = _lettered(row)
    else:
        context, endings, index = _listed(row)
    if not 0 <= index < len(endings):
        raise MalformedRow(f"the right ending is number {index} of {len(endings)} (counted from 0)")
    choices = [_without_tags(clean_text(text, f"ending {i}")) for i, text in enumerate(endings)]
    return choice_question(
        "hellaswag",
        _without_tags(context),
        choices,
        choices[index],
        domain=_domain(row, context),
        meta=present(row, "ind", "activity_label", "split_type", "category", "split"),
    )


def _official(row: Row) -> tuple[str, list[object], int]:
    context = text_of(row, "ctx")
    if row.get("ctx_a"):
        context = f"{text_of(row, 'ctx_a')} {str(row.get('ctx_b') or '').capitalize()}".strip()
    if row.get("activity_label"):
        context = f"{text_of(row, 'activity_label')}: {context}"
    return context, _list(value_of(row, "endings"), "endings"), _index(value_of(row, "label"), "label")


def _lettered(row: Row) -> tuple[str, list[object], int]:
    choices, letter = value_of(row, "choices"), text_of(row, "answer")
    if letter not in choices:
        raise MalformedRow(f"the answer '{letter}' is none of the choices {', '.join(choices)}")
    return text_of(row, "question"), list(choices.values()), list(choices).index(letter)


def _listed(row: Row) -> tuple[str, list[object], int]:
    context = text_of(row, "question").removesuffix(_INSTRUCTION)
    choices = _list(value_of(row, "choices"), "choices")
    return context, choices, _index(value_of(row, "correct_answer"), "correct_answer")


def _list(value: object, column: str) -> list[object]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise MalformedRow(f"column '{column}' is not a JSON list") from error
    if not isinstance(value, list):
        raise MalformedRow(f"column '{column}' must be a list, not {type(value).__name__}")
    return value


def _index(value: object, column: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,3}", value.strip()):
        return int(value)
    hint = " (the official test split has no labels)" if value == "" else ""
    raise MalformedRow(f"column '{column}' must be the number of the right ending, not {value!r}{hint}")


def _without_tags(text: str) -> str:
    plain = re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". ")).replace("  ", " ").strip()
    return plain or text  # an ending made of tags alone has nothing else to score


def _domain(row: Row, context: str) -> str:
    source = row.get("source_id")
    if isinstance(source, str) and "~" in source:
        return source.partition("~")[0]
    return "wikihow" if "[header]" in context else "activitynet"


BENCHMARK = Benchmark("hellaswag", "Rowan/hellaswag:validation", parse)
