"""The rows of a stage: answers of a model, judged, or rows that were read; one file for each.

data/NAME.jsonl            rows in TRL's conversational form
data/NAME.json             where they come from and what was left out
checkpoints/answers.NAME/  sampled answers, a parquet part per block of prompts
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlpersona.config import DataConfig, SFTStage
from rlpersona.errors import DataError
from rlpersona.experiments.labelling.labelling import as_label
from rlpersona.experiments.stages.graph import Node
from rlpersona.judges.base import Judge, Verdict
from rlpersona.judges.base import Pair as JudgedPair
from rlpersona.preferences.export import preference_rows
from rlpersona.preferences.pairs import Answer, Pair, make_pairs, pair_id
from rlpersona.preferences.sources import Rows
from rlpersona.store import Run
from rlpersona.tasks.identity import digest, unit
from rlpersona.types import Completion, Prompt, Question, Sampling

BLOCK = 64  # prompts between two saves
Row = dict[str, Any]
Ask = Callable[[Sequence[Prompt], Sampling], list[Completion]]
Count = Callable[[int, int], None]


@dataclass(frozen=True)
class Made:
    """Rows and what was counted on the way: `kept`, and each reason for which something was not."""

    rows: list[Row]
    counts: dict[str, int]
    errors: dict[str, int]


def data_file(run: Run, node: Node) -> Path:
    """Where the rows of a node lie."""
    return run.folder / "data" / f"{node.data}.jsonl"


def keep_rows(run: Run, node: Node, made: Made) -> None:
    """Write rows and their record, the rows last: their presence means that both are there.

    DataError where there are none.
    """
    if not made.rows:
        reasons = [f"{n:,} {what}" for what, n in (made.counts | made.errors).items() if n]
        raise DataError(
            f"Stage {node.name} has no rows to train on ({', '.join(reasons) or 'nothing was drawn'}).",
            f"Draw more answers: stages.{node.stage}.data.answers=16, or pairs_per_prompt=8.",
        )
    record = {
        "source": node.settings.data.model_dump(mode="json"),
        "writer": node.writer or None,
        "fingerprint": digest(made.rows),
        "counts": made.counts,
        "errors": made.errors,
    }
    run.write_json(f"data/{node.data}.json", record)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made.rows)
    run.write_text(f"data/{node.data}.jsonl", lines)


def rows_read(run: Run, node: Node, read: Rows) -> Made:
    """Rows that were read from a file; those set aside are kept beside them with place and reason."""
    if read.rejected:
        lines = [json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in read.rejected]
        run.write_text(f"data/{node.data}.rejected.jsonl", "".join(lines))
    return Made(read.rows, dict(read.counts), {})


def prompts_of(config: DataConfig, train: Sequence[Question], seed: int) -> list[Question]:
    """The training prompts that a stage uses; more of them add to fewer."""
    drawn = sorted(train, key=lambda question: unit("prompts", seed, question.text))
    kept = {question.text for question in drawn[: config.prompts]}
    return [question for question in train if question.text in kept]


def sample_answers(
    run: Run, node: Node, prompts: Sequence[Question], prefix: str, seed: int, ask: Ask, done: Count
) -> list[list[Answer]]:
    """The answers to each prompt, in order; blocks that are on the disk are not drawn again.

    The draw of answer j to prompt i depends on seed, stage and place i * answers + j, never on the
    block. An answer that the token cap cut is left empty: half a text is no fair opponent.
    """
    import pandas as pd

    config = node.settings.data
    writers = config.writers or ("",)
    turns = [writers[j % len(writers)] for j in range(config.answers)]
    systems = {name: prefix.format(name=name) if name else None for name in writers}
    own = int(unit("answers", seed, node.stage) * 2**31)
    texts: list[str] = []
    for start in range(0, len(prompts), BLOCK):
        block = prompts[start : start + BLOCK]
        part = run.checkpoints / f"answers.{node.data}" / f"{start:07d}.parquet"
        if not part.exists():
            asked = [Prompt.ask(q.text, systems[turn]) for q in block for turn in turns]
            offset = start * config.answers
            drawn = ask(asked, Sampling(config.max_tokens, config.temperature, 1.0, own, offset))
            whole = [one.text.strip() if one.finish == "stop" else "" for one in drawn]
            run.write_table(str(part.relative_to(run.folder)), pd.DataFrame({"text": whole}))
        texts += pd.read_parquet(part)["text"].tolist()
        done(min(start + BLOCK, len(prompts)) * config.answers, len(prompts) * config.answers)
    answers = iter(texts)
    return [[Answer(next(answers), turn) for turn in turns] for _ in prompts]


def rows_made(
    node: Node, prompts: Sequence[Question], answers: Sequence[list[Answer]], judge: Judge, seed: int
) -> Made:
    """Rows of sampled answers: the best ones for SFT, judged pairs for DPO."""
    config = node.settings.data
    if isinstance(node.settings, SFTStage):
        made = best_answers(config, prompts, answers, judge, seed)
    else:
        made = judged_pairs(config, prompts, answers, judge, seed)
    empty = sum(not answer.text for drawn in answers for answer in drawn)
    return Made(made.rows, made.counts | {"answers empty or cut": empty}, made.errors)


def judged_pairs(
    config: DataConfig,
    prompts: Sequence[Question],
    answers: Sequence[list[Answer]],
    judge: Judge,
    seed: int,
) -> Made:
    """Pairs with a winner. Ties and failures are counted and give no row; `flips` turns labels round."""
    pairs = [
        pair
        for question, drawn in zip(prompts, answers, strict=True)
        for pair in make_pairs(question.text, drawn, config.pairs_per_prompt, seed, question.id)
    ]
    verdicts = judge.compare([JudgedPair(pair.prompt, pair.a, pair.b) for pair in pairs])
    turned = {pair.id for pair in pairs if unit("flip", seed, pair.content) < config.flips}
    labels = {
        pair.id: as_label(pair, flipped(verdict) if pair.id in turned else verdict)
        for pair, verdict in zip(pairs, verdicts, strict=True)
    }
    rows = preference_rows(pairs, labels)
    counts = {
        "pairs": len(pairs),
        "kept": len(rows),
        "ties": sum(verdict.winner == "tie" for verdict in verdicts),
        "failed": sum(verdict.winner is None for verdict in verdicts),
        "flipped": sum(row["id"] in turned for row in rows),
    }
    return Made(rows, counts, reasons(verdicts))


def best_answers(
    config: DataConfig,
    prompts: Sequence[Question],
    answers: Sequence[list[Answer]],
    judge: Judge,
    seed: int,
) -> Made:
    """The best of each of `groups` groups of a prompt's distinct answers, by knock-out.

    In each round the answers left meet in pairs in an order drawn by hash, the winners go on: n - 1
    comparisons find the best of n, for a judge whose preferences form an order. Of a tie the first in
    that order goes on. A group in which a comparison failed has no best answer, and gives no row.
    """
    fields: list[tuple[Question, list[str]]] = []
    for question, drawn in zip(prompts, answers, strict=True):
        size = len(drawn) // config.groups
        for start in range(0, size * config.groups, size):
            texts = {answer.text for answer in drawn[start : start + size]} - {""}
            order = sorted(texts, key=lambda text: unit("knock-out", seed, question.text, text))
            if order:
                fields.append((question, order))
    judged, failed = [], 0
    while any(len(left) > 1 for _, left in fields):
        matches = [Pair("", q.text, *two) for q, left in fields for two in _pairs(left)]
        verdicts = judge.compare([JudgedPair(match.prompt, match.a, match.b) for match in matches])
        judged += verdicts
        told = iter(verdicts)
        played = [(question, _next_round(left, told)) for question, left in fields]
        failed += sum(left is None for _, left in played)
        fields = [(question, left) for question, left in played if left is not None]
    rows = {
        (question.text, left[0]): {
            "prompt": [{"role": "user", "content": question.text}],
            "completion": [{"role": "assistant", "content": left[0]}],
            "id": pair_id(question.text, left[0], ""),
        }
        for question, left in fields
    }
    counts = {
        "comparisons": len(judged),
        "kept": len(rows),
        "repeated": len(fields) - len(rows),
        "failed": failed,
    }
    return Made(list(rows.values()), counts, reasons(judged))


def flipped(verdict: Verdict) -> Verdict:
    """The verdict of somebody who errs: the other answer wins; ties and failures stay."""
    if verdict.winner not in ("a", "b"):
        return verdict
    return Verdict("b" if verdict.winner == "a" else "a")


def reasons(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """The most frequent reasons for missing verdicts."""
    found = Counter(str(verdict.error) for verdict in verdicts if verdict.winner is None)
    return dict(found.most_common(5))


def _pairs(left: list[str]) -> list[tuple[str, str]]:
    return list(zip(left[::2], left[1::2], strict=False))


def _next_round(left: list[str], told: Any) -> list[str] | None:
    """Who goes on, an odd one without a match; None where a verdict is missing."""
    verdicts = [next(told) for _ in _pairs(left)]
    if any(verdict.winner is None for verdict in verdicts):
        return None
    winners = [two[verdict.winner == "b"] for two, verdict in zip(_pairs(left), verdicts, strict=True)]
    return [*winners, *left[2 * len(winners) :]]
