"""Labels of questions from a rater's file, under the ids of the questions that the benchmark gives."""

from __future__ import annotations

from pathlib import Path

from rlpersona.errors import ConfigError, DataError, did_you_mean
from rlpersona.tasks import benchmarks
from rlpersona.tasks.benchmark import MalformedRow, text_of
from rlpersona.tasks.files import Located, read_rows
from rlpersona.tasks.load import NANO

_TEXTS = {"question", "Question", "text", "prompt", "ctx", "context"}


def load_labels(
    path: str | Path, benchmark: str = "hellaswag", *, column: str = "category", seed: int = 0
) -> dict[str, str]:
    """`{question id: label}` of one file, labels in small letters, in the file's order.

    A row names its question by its `id` (as `Question.id`; for questions without a file, such as nano),
    or repeats the question in the benchmark's own columns; then the id is that of
    `load_questions(benchmark, data=path)`. One file is one rater.

    Raises ConfigError for an unknown benchmark, DataError for a file that cannot be read, a row without
    a question or a label, and a question that has two different labels.
    """
    if benchmark not in benchmarks.names() and benchmark != "nano":
        raise ConfigError(
            f"unknown benchmark '{benchmark}'", did_you_mean(benchmark, benchmarks.names())
        )
    labels: dict[str, str] = {}
    for located in read_rows(Path(path).expanduser()):
        try:
            name, label = _named(located, benchmark, seed), text_of(located.row, column).lower()
        except MalformedRow as error:
            raise DataError(
                f"{located.place}: {error}",
                f"A row of labels has the column '{column}' and 'id', or {benchmark}'s own columns.",
            ) from error
        if labels.setdefault(name, label) != label:
            raise DataError(
                f"{located.place}: the question is labelled '{label}', above '{labels[name]}'",
                "Give each rater a file of its own, with one row for each question.",
            )
    if not labels:
        raise DataError(f"no labels in {path}", "Give a file that has rows.")
    return labels


def _named(located: Located, benchmark: str, seed: int) -> str:
    """The id of the question that a row names. A row with nothing but `id` and labels holds no question;
    in a row that does, an `id` is the benchmark's own."""
    if benchmark == NANO or not located.row.keys() & _TEXTS:
        return text_of(located.row, "id")
    return benchmarks.get(benchmark).parse(located.row, seed).id
