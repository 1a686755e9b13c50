"""What an answer may be held against: one oracle answer to each prompt, which no compared model wrote.

An oracle chosen among the answers that are compared would favour the model that wrote it. So it comes
from a file, or, in the nano world, from the world's own tables: the side that was to be taken, and all
that the rules reward. Elsewhere there is none, and no likeness is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from rlpersona.errors import ConfigError, DataError
from rlpersona.judges.similarity import Embed, similarity
from rlpersona.store import Run
from rlpersona.tasks.identity import digest
from rlpersona.types import Question

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

PARTS = "evaluation/likeness"
FIX = "Give one: evaluation.oracle=FILE, a JSONL of prompt and answer."


@dataclass(frozen=True, slots=True)
class Oracle:
    """Oracle answers by prompt, and where they come from; `missing` counts prompts without one."""

    answers: Mapping[str, str]
    source: str
    missing: int = 0


def oracle_of(path: str, prompts: Sequence[Question]) -> Oracle | None:
    """The oracle answers to the prompts: of the file `path`, or built for prompts of the nano world.

    None where there is neither. DataError for a file whose rows have no prompt and answer, that answers
    one prompt in two ways, or that answers none of the prompts.
    """
    if path:
        found = _read(Path(path).expanduser())
        answers = {one.text: found[one.text.strip()] for one in prompts if one.text.strip() in found}
        if not answers:
            raise DataError(
                f"{path} answers none of the {len(prompts)} evaluation prompts.",
                "Its prompts must be the evaluation's, word for word: prompts.parquet lists them.",
            )
        return Oracle(answers, Path(path).name, len(prompts) - len(answers))
    built = {one.text: text for one in prompts if (text := _built(one.text)) is not None}
    if not built:
        return None
    return Oracle(built, "built from the tables of the nano world", len(prompts) - len(built))


def likeness(
    run: Run, responses: pd.DataFrame, oracle: Oracle, embed: Embed | None = None
) -> npt.NDArray[np.float64] | str:
    """Cosine of each response and the oracle's answer, in the order of the rows; nan where the response
    is empty or the prompt has no oracle. A text that says why, where no embedding is installed.

    `embed` is MiniLM if None. What was embedded once is kept in the run.
    """
    import pandas as pd

    references = [oracle.answers.get(prompt, "") for prompt in responses["prompt"]]
    texts = list(responses["text"])
    name = "minilm" if embed is None else embed.__name__
    part = f"{PARTS}/{digest(name, texts, references)[:16]}.parquet"
    if not (run.folder / part).exists():
        given = {} if embed is None else {"embed": embed}
        try:
            found = similarity(texts, references, **given)
        except ConfigError as error:
            return f"{error.message} ({error.hint.partition(', or')[0]})"
        run.write_table(part, pd.DataFrame({"likeness": found}))
    return pd.read_parquet(run.folder / part)["likeness"].to_numpy(dtype="float64")


def _read(path: Path) -> dict[str, str]:
    from rlpersona.tasks.files import read_rows

    answers: dict[str, str] = {}
    for place, row in read_rows(path):
        prompt, answer = row.get("prompt"), row.get("answer")
        if not isinstance(prompt, str) or not isinstance(answer, str) or not answer.strip():
            raise DataError(
                f"{place}: a row of an oracle has a prompt and an answer, both texts.", "Mend the row."
            )
        if answers.setdefault(prompt.strip(), answer.strip()) != answer.strip():
            raise DataError(f"{place}: its prompt has another answer above.", "Keep one of the two.")
    return answers


def _built(prompt: str) -> str | None:
    """The answer to a prompt of the nano world that earns the most; None for other prompts."""
    from rlpersona.models.nano.world import tables

    subject = _subjects().get(prompt.strip())
    if subject is None:
        return None
    stance = f"You should {subject}."
    return " ".join([tables.GREETINGS[0], stance, *tables.LOGIC[:4], *tables.CLOSINGS[:2]])


@cache
def _subjects() -> dict[str, str]:
    """What each persuasion prompt of the nano world is about."""
    from rlpersona.models.nano.world.items import items

    return {item.text: item.subject for held in (False, True) for item in items("persuade", held)}
