"""The models of a graph of stages, compared: all of them answer the same prompts, a judge decides.

    answers -> comparisons of every two models -> ranks, win rates, strengths, likeness -> summary

The prompt is the unit throughout. Answers and verdicts are kept as they come, so a killed evaluation
goes on where it was; what follows from them takes seconds and is computed anew. A model that was not
trained and a comparison without a verdict are counted and named, never filled in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlpersona.config import StagesConfig
from rlpersona.errors import DataError
from rlpersona.experiments.ranking.comparing import (
    COMPARISONS,
    RANKS,
    compare_models,
    identity,
    rank_models,
    winner_of,
)
from rlpersona.experiments.ranking.examples import examples_of
from rlpersona.experiments.ranking.models import describe_model, mean_of, plain
from rlpersona.experiments.ranking.oracles import FIX, likeness, oracle_of
from rlpersona.experiments.ranking.pairs import (
    describe_pairs,
    place_bias,
    strength_record,
    strengths,
)
from rlpersona.experiments.ranking.people import agreement_with_people, labelled_by_people
from rlpersona.experiments.ranking.responses import RESPONSES, Load, collect_responses, samples_of
from rlpersona.experiments.ranking.verdict import model_names, power_lines, verdict_of
from rlpersona.judges.base import Judge, Pair, Verdict
from rlpersona.judges.canaries import count_canaries
from rlpersona.store import SUMMARY, Run
from rlpersona.types import Model, Question

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from rlpersona.judges.similarity import Embed

PARTIAL = "evaluation/summary.json"  # of a run that is not finished


def evaluate_stages(
    config: StagesConfig,
    run: Run,
    models: Mapping[str, str | None],
    prompts: Sequence[Question],
    judge: Judge,
    model: Model,
    *,
    load: Load | None = None,
    embed: Embed | None = None,
) -> dict[str, Any]:
    """Compare the models of a run and return the summary, which `summary.json` holds too.

    `models` gives each model's name the folder of its adapter, None for the base; names that the graph
    has and `models` lacks are reported as missing. `model` is the base and answers with each adapter in
    turn; a folder with a whole model is loaded by `load`. `embed` is MiniLM if None.

    Writes responses.parquet, comparisons.parquet, ranks.parquet and summary.json; blocks of answers
    and verdicts lie in evaluation/. Where a model of the graph is missing the summary goes to
    evaluation/ as well, since `summary.json` says that a run is finished. DataError for fewer than two
    models or prompts, and what the judge raises.
    """
    prompts = list({question.text: question for question in prompts}.values())
    names = [name for name in model_names(config) if name in models]
    names += [name for name in models if name not in names]
    if len(names) < 2 or len(prompts) < 2:
        raise DataError(
            f"{len(names)} models and {len(prompts)} prompts: there is nothing to compare.",
            "Train a stage first, or set more prompts apart: evaluation.share=0.5",
        )
    oracle = oracle_of(config.evaluation.oracle, prompts)
    people = labelled_by_people(config, run)

    responses = collect_responses(
        config, run, {name: models[name] for name in names}, prompts, model, load
    )
    comparisons = compare_models(run, responses, names, judge)
    ranks = rank_models(run, responses, comparisons, judge, config.evaluation.listwise, config.seed)
    alike = likeness(run, responses, oracle, embed) if oracle else f"There is no oracle. {FIX}"
    measured = None if isinstance(alike, str) else alike

    run.write_table(RESPONSES, responses if measured is None else responses.assign(likeness=measured))
    run.write_table(COMPARISONS, comparisons)
    run.write_table(RANKS, ranks)
    summary = summarise(config, run, prompts, judge, responses, comparisons, ranks, measured)
    summary["likeness"] = {
        "oracle": oracle.source if oracle and measured is not None else None,
        "missing": oracle.missing if oracle else len(prompts),
        "note": alike if isinstance(alike, str) else None,
    }
    summary["people"] = [agreement_with_people(run, judge, labelled) for labelled in people]
    run.write_json(PARTIAL if summary["missing"] else SUMMARY, summary)
    return summary


def summarise(
    config: StagesConfig,
    run: Run,
    prompts: Sequence[Question],
    judge: Judge,
    responses: pd.DataFrame,
    comparisons: pd.DataFrame,
    ranks: pd.DataFrame,
    alike: npt.NDArray[np.float64] | None,
) -> dict[str, Any]:
    """All that follows from answers and verdicts, as plain data."""
    level, seed = config.evaluation.level, config.seed
    answers = responses if alike is None else responses.assign(likeness=alike)
    models = [
        describe_model(str(name), rows, ranks, prompts, level)
        for name, rows in answers.groupby("model", sort=False)
    ]
    if alike is not None:
        for record in models:
            rows = answers[answers["model"] == record["name"]]
            record["likeness"] = mean_of(rows["likeness"], list(rows["question"]), level)
    pairs = describe_pairs(responses, comparisons, alike, level, seed)
    names = [record["name"] for record in models]
    return {
        "experiment": "dpo",
        "run": run.name,
        "verdict": verdict_of(config, models, pairs, len(prompts)),
        "model": config.model.name,
        "judge": judge.name,
        "judged_as": identity(judge),
        "seed": seed,
        "level": level,
        "prompts": len(prompts),
        "samples": samples_of(config.evaluation),
        "evaluation": config.evaluation.model_dump(mode="json"),
        "missing": [name for name in model_names(config) if name not in names],
        "unscored": int(comparisons["winner"].isna().sum()),
        "errors": _errors(comparisons),
        "comparisons": len(comparisons),
        "models": models,
        "pairs": pairs,
        "strengths": strength_record(strengths(comparisons, (), level, seed)),
        "adjusted": strength_record(strengths(comparisons, ("order", "length"), level, seed)),
        "place": place_bias(comparisons, level),
        "canaries": _canaries(comparisons),
        "plan": power_lines(config, len(prompts)),
        "examples": examples_of(comparisons),
    }


def _errors(comparisons: pd.DataFrame) -> dict[str, int]:
    """The most frequent reasons for missing verdicts."""
    counts = comparisons["error"].dropna().value_counts().head(5)
    return {str(reason): int(count) for reason, count in counts.items()}


def _canaries(comparisons: pd.DataFrame) -> dict[str, Any]:
    """Answers that try to instruct the judge, and how they fared."""
    texts = zip(comparisons["prompt"], comparisons["text_a"], comparisons["text_b"], strict=True)
    pairs = [Pair(prompt, a, b) for prompt, a, b in texts]
    winners = [winner_of(cell) for cell in comparisons["winner"]]
    verdicts = [Verdict(one, None if one else "no verdict") for one in winners]
    found = count_canaries(pairs, verdicts)
    return {"found": found.found, "answers": found.answers, "won": plain(found.won)}
