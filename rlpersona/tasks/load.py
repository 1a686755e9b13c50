"""From the name of a benchmark to its questions."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from rlpersona.errors import ConfigError, DataError, did_you_mean
from rlpersona.tasks import benchmarks
from rlpersona.tasks.benchmark import Benchmark, MalformedRow
from rlpersona.tasks.files import Located, file_kind, read_rows
from rlpersona.tasks.hub import parse_spec, read_hub
from rlpersona.tasks.identity import unit
from rlpersona.types import Question

NANO = "nano"


def sources() -> list[str]:
    """Every name that `load_questions` takes, sorted."""
    return sorted([NANO, *benchmarks.names()])


def load_questions(
    source: str,
    *,
    data: str | None = None,
    seed: int = 0,
    limit: int | None = None,
    domains: Sequence[str] = (),
) -> list[Question]:
    """The questions of a benchmark, in the order of its rows, no two with one id.

    `data` is a local file in the original columns (json, jsonl, csv, parquet, each also .gz), a
    folder with one such file, `FILE.json:PART`, or `path[:config]:split` for `datasets`; without it
    the benchmark's place on the hub. `domains` keeps only those; `limit` then keeps a sample of at most
    that many, drawn by `seed` from the content (a larger limit adds to the sample of a smaller one).
    `seed` also orders the choices where the source lists the right one first.

    Rows that repeat a question are dropped with a warning. Raises ConfigError for an unknown source or
    domain, DataError for a missing file, a malformed row (with its place) or an empty set.
    """
    if source not in sources():
        raise ConfigError(f"unknown benchmark '{source}'", did_you_mean(source, sources()))
    if limit is not None and limit < 1:
        raise ConfigError(f"limit={limit}: at least one question is needed", "Give limit=1 or more.")
    if source == NANO:
        found = _nano(data, domains)
    else:
        benchmark = benchmarks.get(source)
        where = data or benchmark.hub
        found = _in_domains(_parse(benchmark, rows_at(where, benchmark.columns), seed), domains)
        if not found:
            raise DataError(f"no questions in {where}", "Give a file that has rows.")
    return sample_questions(_distinct(found), limit, seed)


def sample_questions(questions: list[Question], limit: int | None, seed: int) -> list[Question]:
    """A sample of at most `limit` in their order, drawn by `seed` from the content alone."""
    if limit is None or limit >= len(questions):
        return questions
    kept = set(sorted((q.id for q in questions), key=lambda name: unit("limit", seed, name))[:limit])
    return [question for question in questions if question.id in kept]


def _nano(data: str | None, domains: Sequence[str]) -> list[Question]:
    if data is not None:
        raise ConfigError(
            f"the nano world makes its own questions, data='{data}' has no use",
            f"Drop data=, or name the file's benchmark: {', '.join(benchmarks.names())}.",
        )
    from rlpersona.tasks.nano import questions

    return questions(tuple(domains)) if domains else questions()


def rows_at(where: str, columns: Sequence[str] = ()) -> Iterable[Located]:
    """Rows of a local file or folder where there is one, else of the hub."""
    path = os.path.expanduser(where)
    if os.path.isfile(path):
        return read_rows(Path(path), columns=columns)
    if os.path.isdir(path):
        return read_rows(_only_file(Path(path)), columns=columns)
    head, _, part = path.rpartition(":")
    if os.path.isfile(head):
        return read_rows(Path(head), part)
    spec = parse_spec(path)
    if spec is None or (file_kind(Path(spec.path)) and not os.path.isdir(spec.path)):
        raise DataError(
            f"no such file or folder: {where}",
            "Check the path; a dataset of the hub is written path[:config]:split.",
        )
    return read_hub(spec)


def _only_file(folder: Path) -> Path:
    files = sorted(path for path in folder.iterdir() if path.is_file() and file_kind(path))
    if len(files) != 1:
        names = ", ".join(path.name for path in files[:6]) or "no data file"
        raise DataError(
            f"{folder} does not say which file is meant: {names}",
            f"Name one file, or a split for `datasets` to find: {folder}:test.",
        )
    return files[0]


def _parse(benchmark: Benchmark, rows: Iterable[Located], seed: int) -> list[Question]:
    questions = []
    for place, row in rows:
        try:
            questions.append(benchmark.parse(row, seed))
        except MalformedRow as error:
            raise DataError(
                f"{place}: {error}", f"Mend or drop the row; it should have {benchmark.name}'s columns."
            ) from error
    return questions


def _in_domains(questions: list[Question], domains: Sequence[str]) -> list[Question]:
    known = {question.domain for question in questions}
    for domain in domains:
        if questions and domain not in known:
            raise ConfigError(
                f"{questions[0].source} has no domain '{domain}' here", did_you_mean(domain, known)
            )
    return [question for question in questions if not domains or question.domain in domains]


def _distinct(questions: list[Question]) -> list[Question]:
    distinct: dict[str, Question] = {}
    for question in questions:
        distinct.setdefault(question.id, question)
    repeats = len(questions) - len(distinct)
    if repeats:
        warnings.warn(
            f"{questions[0].source}: dropped {repeats} of {len(questions)} rows that repeat a question",
            stacklevel=3,
        )
    return list(distinct.values())
