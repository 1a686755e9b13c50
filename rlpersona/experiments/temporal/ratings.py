"""Which questions take modern knowledge, by raters who see neither personas nor answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

from rlpersona.config import TemporalConfig
from rlpersona.errors import DataError
from rlpersona.stats import agreement
from rlpersona.tasks.labels import load_labels
from rlpersona.types import Model, Prompt, Question

Ratings = dict[str, dict[str, str]]
"""By rater: question id -> label."""

MODEL = "model"
CUE, YES_NO = "Answer:", ("Yes", "No")
# The second way turns the answer round: a model that says yes to everything agrees with itself by
# chance alone.
PHRASINGS = {
    "model, asked for modern knowledge": (
        "{text}\n\nDoes it take knowledge of the world after the year {boundary} to get this right? "
        "Reply with Yes or No.",
        ("modern", "timeless"),
    ),
    "model, asked for people of the past": (
        "Somebody who died before the year {boundary} reads the following.\n\n{text}\n\n"
        "Could an educated person of that time get this right? Reply with Yes or No.",
        ("timeless", "modern"),
    ),
}


def written_ratings(config: TemporalConfig, questions: Sequence[Question]) -> Ratings:
    """The labels that stand in files or with the questions. DataError for a rater without any."""
    ratings: Ratings = {}
    for rater in config.labels:
        if rater == MODEL:
            continue
        if rater == "category":
            found = {q.id: str(q.meta["category"]) for q in questions if q.meta.get("category")}
        elif rater == "domain":
            found = {q.id: q.domain for q in questions if q.domain}
        else:
            found = load_labels(rater, config.benchmark, seed=config.seed)
        asked = {q.id for q in questions}
        name = Path(rater).name if Path(rater).name not in ratings else rater
        ratings[name] = {key: label.lower() for key, label in found.items() if key in asked}
        if not ratings[name]:
            raise DataError(
                f"labels={rater}: no question of {config.benchmark} is labelled there",
                "Give a file of labels of these questions, or labels=model.",
            )
    return ratings


def model_ratings(config: TemporalConfig, questions: Sequence[Question], model: Model) -> Ratings:
    """What the model says of each question's text, asked in two ways, by the likelier of yes and no.

    It sees no persona, no choices and no answer. A draw between yes and no leaves out the label.
    """
    meaning = {"modern": config.modern.lower(), "timeless": config.timeless.lower()}
    ratings: Ratings = {}
    for rater, (phrasing, sides) in PHRASINGS.items():
        prompts = [
            Prompt.ask(phrasing.format(text=question.text, boundary=config.boundary), None, CUE)
            for question in questions
        ]
        scores = model.score_choices(prompts, [YES_NO] * len(prompts))
        ratings[rater] = {}
        for question, score in zip(questions, scores, strict=True):
            yes, no = score.loglikelihoods
            if yes != no:
                ratings[rater][question.id] = meaning[sides[0] if yes > no else sides[1]]
    return ratings


def kinds_of(ratings: Ratings, config: TemporalConfig) -> dict[str, str]:
    """`{question id: "modern" or "timeless"}` of the questions on which all raters agree.

    Raises DataError unless there are two of either kind, without which nothing can be compared.
    """
    meaning = {config.modern.lower(): "modern", config.timeless.lower(): "timeless"}
    first, *others = ratings.values()
    agreed = {key: label for key, label in first.items() if all(r.get(key) == label for r in others)}
    kinds = {key: meaning[label] for key, label in agreed.items() if label in meaning}
    counts = {kind: sum(found == kind for found in kinds.values()) for kind in meaning.values()}
    if min(counts.values()) < 2:
        found = sorted({label for labels in ratings.values() for label in labels.values()})
        raise DataError(
            f"agreed: {counts['modern']} modern and {counts['timeless']} timeless questions, "
            f"where two of each are needed (labels: {', '.join(found[:6]) or 'none'})",
            "Name the labels with modern= and timeless=, or give others with labels=.",
        )
    return kinds


def disputed(ratings: Ratings) -> int:
    """How many of the questions that all raters labelled they do not agree on."""
    first, *others = ratings.values()
    common = [key for key in first if all(key in labels for labels in others)]
    return sum(any(labels[key] != first[key] for labels in others) for key in common)


def agreements(ratings: Mapping[str, Mapping[str, str]], level: float) -> list[dict[str, Any]]:
    """Agreement of each two raters on the questions that both labelled; empty for a single rater."""
    records = []
    for (one, first), (other, second) in combinations(ratings.items(), 2):
        common = [key for key in first if key in second]
        record: dict[str, Any] = {"raters": [one, other], "share": None, "kappa": None}
        if common:
            found = agreement([first[k] for k in common], [second[k] for k in common], level)
            record["share"] = asdict(found.share)
            record["kappa"] = found.kappa and asdict(found.kappa)
        records.append(record)
    return records
