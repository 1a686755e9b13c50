"""The judge compares the answers of every two models, prompt by prompt; kept block by block.

Sample i of one model meets sample i of the other. A comparison on which the judge failed has no winner
and says why; it is asked again by the next evaluation and never counted as a tie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from typing import TYPE_CHECKING

from rlpersona.judges.base import Judge, Order, Pair, Verdict, Winner
from rlpersona.judges.listwise import Listing, ListJudge
from rlpersona.judges.pairwise import ApiJudge
from rlpersona.report.labelling import counter
from rlpersona.store import Run
from rlpersona.tasks.identity import digest, unit

if TYPE_CHECKING:
    import pandas as pd

COMPARISONS, RANKS = "comparisons.parquet", "ranks.parquet"
PARTS = "evaluation/verdicts"
BLOCK = 4096  # comparisons between two saves
WINNERS: tuple[Winner, ...] = ("a", "b", "tie")
SAID = ["winner", "error", "ab", "ba"]  # what a judge says of a pair


def compare_models(
    run: Run, responses: pd.DataFrame, names: Sequence[str], judge: Judge
) -> pd.DataFrame:
    """All comparisons: columns a, b (models, in the order of `names`), prompt, question, sample,
    text_a, text_b, tokens_a, tokens_b, winner ("a", "b", "tie", None), error, ab, ba.

    `ab` and `ba` hold who won when a, when b was shown first; None where order plays no part or the
    judge failed. A prompt that one of the two did not answer is not compared. A judge that is asked in
    one order only sees either model first in about half of the comparisons.
    """
    import pandas as pd

    place = ["prompt", "question", "sample"]
    answers = {name: responses[responses["model"] == name] for name in names}
    tables = []
    for a, b in combinations([name for name in names if len(answers[name])], 2):
        columns = [*place, "text", "tokens"]
        both = answers[a][columns].merge(answers[b][columns], on=place, suffixes=("_a", "_b"))
        tables.append(both.assign(a=a, b=b))
    table = pd.concat(tables, ignore_index=True)
    turned = _turned(table, judge)
    texts = zip(table["prompt"], table["text_a"], table["text_b"], strict=True)
    pairs = [
        Pair(prompt, b, a) if turn else Pair(prompt, a, b)
        for (prompt, a, b), turn in zip(texts, turned, strict=True)
    ]
    said = _turned_back(judge_pairs(run, judge, pairs), turned)
    return pd.concat([table[["a", "b", *place]], table.drop(columns=["a", "b", *place]), said], axis=1)


def _turned(table: pd.DataFrame, judge: Judge) -> list[bool]:
    """Which comparisons are shown with `b` first: about half, by hash, where a judge is asked in one
    order only, so that no model always has the first place; none where both orders are asked."""
    if not isinstance(judge, ApiJudge) or judge.both_orders:
        return [False] * len(table)
    columns = (table[name] for name in ("a", "b", "question", "sample"))
    return [unit("first", *map(str, row)) < 0.5 for row in zip(*columns, strict=True)]


def _turned_back(said: pd.DataFrame, turned: Sequence[bool]) -> pd.DataFrame:
    """The verdicts under the names that the two answers have in the table."""
    rows = [row for row, turn in enumerate(turned) if turn]
    if not rows:
        return said
    other = {"a": "b", "b": "a", "tie": "tie"}
    found = said.copy()
    for name, source in (("winner", "winner"), ("ab", "ba"), ("ba", "ab")):
        found.loc[rows, name] = said.loc[rows, source].map(other).astype("string")
    return found


def judge_pairs(
    run: Run, judge: Judge, pairs: Sequence[Pair], what: str = "comparisons judged"
) -> pd.DataFrame:
    """What the judge says of each pair: columns winner, error, ab, ba (see `compare_models`).

    Blocks that are on the disk are not judged again, but for the pairs on which the judge failed.
    """
    import pandas as pd

    key = digest(identity(judge), [asdict(pair) for pair in pairs])[:16]
    tables = []
    with counter(what) as done:
        for start in range(0, len(pairs), BLOCK):
            block = pairs[start : start + BLOCK]
            part = run.folder / PARTS / key / f"{start:07d}.parquet"
            known = pd.read_parquet(part) if part.exists() else None
            left = list(range(len(block))) if known is None else _failed(known)
            if left:
                fresh = _table(judge.compare([block[row] for row in left]))
                said = fresh if known is None else _replaced(known, left, fresh)
                run.write_table(str(part.relative_to(run.folder)), said)
                known = said
            if known is not None:
                tables.append(known)
            done(start + len(block), len(pairs))
    return pd.concat(tables, ignore_index=True) if tables else _table([])


def rank_models(
    run: Run, responses: pd.DataFrame, comparisons: pd.DataFrame, judge: Judge, rounds: int, seed: int
) -> pd.DataFrame:
    """The rank of each model's answer among all models': columns model, prompt, question, sample, rank,
    error; 1 is the best, equal answers share their mean rank.

    A judge behind an API ranks the answers at once, each set in `rounds` orders drawn from the seed.
    Without rounds, and for the rules, ranks follow from the comparisons won (a tie is half of one). A
    set of answers of which a comparison or a round failed has no ranks.
    """
    if isinstance(judge, ApiJudge) and rounds:
        return _listwise(run, responses, ListJudge(judge.model, judge.ask, rounds, seed))
    return _ranks_of_wins(responses, comparisons)


def identity(judge: Judge) -> list[object]:
    """All that decides what a judge says, as far as a name can tell it."""
    if isinstance(judge, ApiJudge):
        return [judge.name, judge.both_orders, judge.sample, asdict(judge.model)]
    return [judge.name]


def winner_of(cell: object) -> Winner | None:
    """A cell of a table of winners; None for pandas' missing value."""
    return next((winner for winner in WINNERS if isinstance(cell, str) and cell == winner), None)


def _failed(known: pd.DataFrame) -> list[int]:
    return [row for row, winner in enumerate(known["winner"]) if winner_of(winner) is None]


def _table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    import pandas as pd

    rows = [[v.winner, v.error, _side(v, "AB"), _side(v, "BA")] for v in verdicts]
    return pd.DataFrame(rows, columns=SAID).astype("string")


def _side(verdict: Verdict, order: Order) -> str | None:
    return next((side.winner for side in verdict.sides if side.order == order), None)


def _replaced(known: pd.DataFrame, rows: Sequence[int], fresh: pd.DataFrame) -> pd.DataFrame:
    merged = known.copy()
    merged.loc[list(rows), SAID] = fresh[SAID].to_numpy()
    return merged


def _listwise(run: Run, responses: pd.DataFrame, judge: ListJudge) -> pd.DataFrame:
    """Ranks by a judge that sees all answers to a prompt at once; its calls are in the ledger."""
    import pandas as pd

    sets = [rows for _, rows in responses.groupby(["question", "sample"], sort=False)]
    listings = [Listing(rows["prompt"].iloc[0], tuple(rows["text"])) for rows in sets]
    tables = []
    with counter("answers ranked") as done:
        for start in range(0, len(sets), BLOCK):
            rankings = judge.rank(listings[start : start + BLOCK])
            for rows, ranking in zip(sets[start : start + BLOCK], rankings, strict=True):
                ranks = ranking.ranks or [math.nan] * len(rows)
                tables.append(_ranked(rows, ranks, ranking.error))
            done(len(tables), len(sets))
    return pd.concat(tables, ignore_index=True)


def _ranks_of_wins(responses: pd.DataFrame, comparisons: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd
    from scipy.stats import rankdata

    wins = _wins(comparisons)
    tables = []
    for _, rows in responses.groupby(["question", "sample"], sort=False):
        places = zip(rows["model"], rows["question"], rows["sample"], strict=True)
        total = [wins.get(place, math.nan) for place in places]
        failed = any(math.isnan(won) for won in total)
        ranks = [math.nan] * len(rows) if failed else list(rankdata([-won for won in total]))
        tables.append(_ranked(rows, ranks, "a comparison has no winner" if failed else None))
    return pd.concat(tables, ignore_index=True)


def _wins(comparisons: pd.DataFrame) -> dict[tuple[str, str, int], float]:
    """Comparisons won by each (model, question, sample), ties half; nan where one has no winner."""
    earned: dict[Winner, float] = {"a": 1.0, "b": 0.0, "tie": 0.5}
    wins: dict[tuple[str, str, int], float] = {}
    columns = (comparisons[name] for name in ("a", "b", "question", "sample", "winner"))
    for a, b, question, sample, winner in zip(*columns, strict=True):
        said = winner_of(winner)
        share = math.nan if said is None else earned[said]
        for model, own in ((a, share), (b, 1 - share)):
            wins[model, question, sample] = wins.get((model, question, sample), 0.0) + own
    return wins


def _ranked(rows: pd.DataFrame, ranks: Sequence[float], error: str | None) -> pd.DataFrame:
    place = rows[["model", "prompt", "question", "sample"]]
    return place.assign(rank=list(ranks), error=error).astype({"error": "string"})
