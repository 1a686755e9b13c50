"""Labelling: a judge or people say of each pair which answer is better; then checks and training data.

Every labeller writes a file of its own beside the same pairs, so that a judge, a colleague and another
judge can label one set, one after another or at the same time, and be compared.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import pandas as pd

from rlpersona.config import LabelConfig
from rlpersona.errors import ConfigError
from rlpersona.experiments.labelling.pairing import LABELS, all_labels
from rlpersona.judges import base
from rlpersona.preferences.checks import Examination, examine
from rlpersona.preferences.desk import Desk
from rlpersona.preferences.export import majority, preference_rows
from rlpersona.preferences.labels import Label, LabelBook, label_file, now
from rlpersona.preferences.page import serve_desk
from rlpersona.preferences.pairs import Pair, fingerprint
from rlpersona.preferences.splits import split
from rlpersona.report.desk import label_in_terminal
from rlpersona.report.labelling import counter
from rlpersona.report.words import clean_block
from rlpersona.store import SUMMARY, Run, copying
from rlpersona.tasks.identity import digest

EXAMINATION, SPLITS = "examination.json", "splits.json"
MACHINE = "ai-"  # begins the name of every annotator that is none of us
PEOPLE = "people"  # the majority of the others


def label_by_judge(
    run: Run, pairs: Sequence[Pair], judge: base.Judge, annotator: str, block: int = 256
) -> dict[str, Label]:
    """Have the judge label what it has not labelled; on the disk block by block. Returns all its labels.

    A pair on which the judge failed has a label without choice and with its error; it is asked again
    the next time. What a judge behind an API was paid for is in the ledger of calls, so a block that
    was lost costs nothing twice.
    """
    with (
        copying(run),
        LabelBook(label_file(run.folder / LABELS, annotator)) as book,
        counter("pairs judged") as done,
    ):
        left = [pair for pair in pairs if getattr(book.labels.get(pair.id), "choice", None) is None]
        for start in range(0, len(left), block):
            part = left[start : start + block]
            verdicts = judge.compare([base.Pair(pair.prompt, pair.a, pair.b) for pair in part])
            book.add(*(as_label(pair, v) for pair, v in zip(part, verdicts, strict=True)))
            done(len(pairs) - len(left) + start + len(part), len(pairs))
        return dict(book.labels)


def as_label(pair: Pair, verdict: base.Verdict) -> Label:
    """A judge's verdict as a label: no winner stays none, with the error that says why."""
    sides = tuple(f"{side.order}:{side.winner}" for side in verdict.sides if side.winner is not None)
    error = None if verdict.winner else verdict.error or "no verdict"
    return Label(pair.id, verdict.winner, sides, now(), None, error)


def label_by_person(
    run: Run,
    config: LabelConfig,
    pairs: Sequence[Pair],
    annotator: str,
    page: Callable[[str], None] | None = None,
    port: int = 0,
    streams: tuple[TextIO, TextIO] | None = None,
) -> tuple[int, int]:
    """Lay the pairs before a person, in the terminal, or in a page whose address `page` is given.

    Returns how many of how many pairs are labelled. Raises RunLockedError if the same annotator labels
    in another window.
    """
    if annotator.startswith(MACHINE) or annotator == PEOPLE:
        raise ConfigError(
            f"'{annotator}' is kept for machines and majorities.", "Take your own name: --annotator NAME"
        )
    with copying(run), LabelBook(label_file(run.folder / LABELS, annotator)) as book:
        desk = Desk(pairs, book, config.seed, clean_block)
        if page is not None:
            serve_desk(desk, f"{run.name}, {annotator}", config.guidelines, port, page)
        else:
            source, file = streams or (sys.stdin, sys.stdout)
            label_in_terminal(desk, config.guidelines, source, file)
        return desk.done, desk.total


def check(run: Run, pairs: Sequence[Pair]) -> Examination:
    """Examine pairs and labels; write `examination.json` and the run's summary."""
    report = examine(pairs, all_labels(run))
    run.write_json(EXAMINATION, report.as_dict())
    summarise(run, pairs)
    return report


def summarise(run: Run, pairs: Sequence[Pair]) -> None:
    """Write `summary.json`: who has labelled how many pairs."""
    votes = {
        name: sum(label.choice in ("a", "b", "tie") for label in given.values())
        for name, given in all_labels(run).items()
    }
    counts = ", ".join(f"{name} {n:,}" for name, n in votes.items()) or "none"
    prompts = len({pair.prompt for pair in pairs})
    verdict = f"{len(pairs):,} pairs of {prompts:,} prompts; labelled: {counts}."
    run.write_json(
        SUMMARY, {"experiment": "label", "run": run.name, "verdict": verdict, "labelled": votes}
    )


def write_splits(run: Run, config: LabelConfig, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Write each annotator's choices as preference rows, by part; several people also as their majority.

    `dpo/ANNOTATOR/{train,validation,test}.{jsonl,parquet}` in TRL's conversational form, and
    `splits.json` with the prompts' fingerprints and counts, which is also returned. A part without a
    row gets no parquet file, since it would have no columns.
    """
    labels = all_labels(run)
    people = [given for name, given in labels.items() if not name.startswith(MACHINE)]
    if len(people) > 1:
        labels[PEOPLE] = majority(people)
    parts = split(pairs, config.split, config.seed)
    rows: dict[str, dict[str, int]] = {}
    for name, given in labels.items():
        rows[name] = {}
        for part, members in parts.items():
            found = preference_rows(members, given)
            table = pd.DataFrame(found)
            text = table.to_json(orient="records", lines=True, force_ascii=False) if found else ""
            run.write_text(f"dpo/{name}/{part}.jsonl", text)
            if found:
                run.write_table(f"dpo/{name}/{part}.parquet", table)
            rows[name][part] = len(found)
    summary = {
        "seed": config.seed,
        "shares": config.split.model_dump(),
        "parts": {
            part: {
                "prompts": len({pair.prompt for pair in members}),
                "pairs": len(members),
                "prompts_fingerprint": digest(sorted({pair.prompt for pair in members})),
                "pairs_fingerprint": fingerprint(members),
            }
            for part, members in parts.items()
        },
        "preferences": rows,
    }
    run.write_json(SPLITS, summary)
    return summary
