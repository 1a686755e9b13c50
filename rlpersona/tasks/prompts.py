"""What a persona is asked: the prompt's text is part of the task, so all of it stands here."""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import Literal

from rlpersona.errors import ConfigError
from rlpersona.tasks.answers import parse_number
from rlpersona.types import Persona, Prompt, Question

Mode = Literal["likelihood", "letters", "generate"]
"""How a question with choices is answered: by the likelihood of each choice's text, by the likelihood of
the letters of choices listed in the prompt, or by a written answer from which the letter is read."""

Gold = Literal["number", "text", "references", "program", "none"]
"""What an open question's answer is compared with."""

LETTERS = string.ascii_uppercase

_LETTER_CUE = "Answer:"
_PICK = "Reply with the letter of the right choice only."
_WRITE = "Begin your reply with 'Answer:' and the letter of the right choice."
_ENDINGS = {  # how an open answer is to end, by the kind of its gold
    "number": "Reason step by step. End with a line '#### NUMBER', the answer alone.",
    "text": "Reply with the answer only, in a few words.",
    "references": "Reply in one short sentence.",
}
_STEMS = {"hellaswag": "Which ending makes the most sense?"}  # a context asks nothing by itself


def prompt_for(question: Question, persona: Persona, mode: Mode = "likelihood") -> Prompt:
    """The question as the persona meets it.

    Choices whose texts are scored (`likelihood`) are not listed: the answer begins with the question's
    cue. `letters` and `generate` list them as "A. ..." lines; in `letters` the answer begins with
    "Answer:". An open question is followed by how to end its answer, whatever the mode. Raises
    ConfigError for a question that cannot be asked in that mode (see `check_mode`).
    """
    check_mode([question], mode)
    if not question.choices:
        ending = _ENDINGS.get(gold_of(question))
        text = f"{question.text}\n\n{ending}" if ending else question.text
        return Prompt.ask(text, persona.system, question.cue)
    if mode == "likelihood":
        return Prompt.ask(question.text, persona.system, question.cue)
    listed = "\n".join(
        f"{letter}. {choice}"
        for letter, choice in zip(letters_of(question), question.choices, strict=True)
    )
    parts = [
        question.text,
        _STEMS.get(question.source, ""),
        listed,
        _PICK if mode == "letters" else _WRITE,
    ]
    cue = _LETTER_CUE if mode == "letters" else ""
    return Prompt.ask("\n\n".join(filter(None, parts)), persona.system, cue)


def scored_choices(question: Question, mode: Mode = "likelihood") -> tuple[str, ...]:
    """The texts whose likelihood is asked after the prompt, aligned with `question.choices`.

    They are written without the blank that parts them from a cue; engines add it.
    """
    return question.choices if mode == "likelihood" else tuple(letters_of(question))


def letters_of(question: Question) -> str:
    """The letters of the choices in their order: `"ABCD"`."""
    return LETTERS[: len(question.choices)]


def gold_of(question: Question) -> Gold:
    """What an open question is scored against, from what its benchmark left in `meta`."""
    if "tests" in question.meta:
        return "program"
    if "correct_answers" in question.meta:
        return "references"
    if "aliases" in question.meta:
        return "text"
    return "number" if parse_number(question.answer) is not None else "none"


def check_mode(questions: Iterable[Question], mode: Mode) -> None:
    """Raise ConfigError where an answer to one of the questions could not be asked for or scored."""
    for question in questions:
        if mode != "likelihood" and len(question.choices) > len(LETTERS):
            raise ConfigError(
                f"question {question.id} has {len(question.choices)} choices, more than letters",
                "Set mode=likelihood.",
            )
        if mode != "likelihood" and "true_answers" in question.meta:
            raise ConfigError(
                f"a {question.source} question has several true answers, mode={mode} picks one",
                "Set mode=likelihood, or take the benchmark truthfulqa (one true answer).",
            )
