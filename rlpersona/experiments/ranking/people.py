"""Does the judge decide as people do? Asked where people have labelled pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rlpersona.config import DPOStage, StagesConfig
from rlpersona.experiments.labelling.labelling import MACHINE, PEOPLE
from rlpersona.experiments.labelling.pairing import all_labels, open_pairs
from rlpersona.experiments.ranking.comparing import judge_pairs, winner_of
from rlpersona.judges.agreement import agreement
from rlpersona.judges.base import Judge, Verdict, Winner
from rlpersona.judges.base import Pair as JudgedPair
from rlpersona.preferences.export import majority
from rlpersona.preferences.labels import Label
from rlpersona.preferences.pairs import Pair
from rlpersona.store import Run


@dataclass(frozen=True, slots=True)
class Labelled:
    """The pairs of one run that people have labelled, and each person's labels."""

    run: str
    pairs: Sequence[Pair]
    people: Mapping[str, Mapping[str, Label]]


def labelled_by_people(config: StagesConfig, run: Run) -> list[Labelled]:
    """Pairs with people's labels: of the runs in `evaluation.labels`, and of those a stage trained on.

    RunError for a named run that is not there. A run that nobody but machines has labelled is left out.
    """
    trained = [
        stage.data.path.partition("/")[0]
        for stage in config.stages.values()
        if isinstance(stage, DPOStage) and stage.data.source == "label"
    ]
    root = run.folder.parent
    found = []
    for name in dict.fromkeys([*config.evaluation.labels, *trained]):
        if name not in config.evaluation.labels and not (root / name).is_dir():
            continue
        theirs, _, pairs = open_pairs(root, name)
        people = {who: given for who, given in all_labels(theirs).items() if not who.startswith(MACHINE)}
        if people:
            found.append(Labelled(name, pairs, people))
    return found


def agreement_with_people(run: Run, judge: Judge, labelled: Labelled) -> dict[str, Any]:
    """How far the judge and the people agree, plain data for the summary.

    `same`: share of the pairs on which judge and people said the same; `kappa`: Cohen's between the
    judge and the people's majority, and `among`: of each two people, the most that can be asked of it.
    The judge's own verdicts on these pairs are made here.
    """
    books = dict(labelled.people)
    most = next(iter(books.values())) if len(books) == 1 else majority(list(books.values()))
    pairs = [pair for pair in labelled.pairs if _choice(most.get(pair.id)) is not None]
    asked = [JudgedPair(pair.prompt, pair.a, pair.b) for pair in pairs]
    said = judge_pairs(run, judge, asked, "people's pairs judged")
    ours = [_verdict(winner_of(cell)) for cell in said["winner"]]
    theirs = [_verdict(_choice(most.get(pair.id))) for pair in pairs]
    found = agreement(asked, {judge.name: ours, PEOPLE: theirs})
    kappa = found.kappa[judge.name, PEOPLE]
    return {
        "run": labelled.run,
        "people": sorted(books),
        "pairs": len(pairs),
        "failed": sum(verdict.winner is None for verdict in ours),
        "same": asdict(found.same) if found.same else None,
        "kappa": asdict(kappa) if kappa else None,
        "among": _among(asked, pairs, books),
    }


def _among(
    asked: Sequence[JudgedPair], pairs: Sequence[Pair], books: Mapping[str, Mapping[str, Label]]
) -> dict[str, Any] | None:
    """Cohen's kappa of each two people; None for one person."""
    if len(books) < 2:
        return None
    said = {
        name: [_verdict(_choice(labels.get(pair.id))) for pair in pairs]
        for name, labels in books.items()
    }
    kappa = agreement(asked, said).kappa
    return {
        f"{first}, {second}": None if value is None else asdict(value)
        for (first, second), value in kappa.items()
    }


def _choice(label: Label | None) -> Winner | None:
    return None if label is None else winner_of(label.choice)


def _verdict(winner: Winner | None) -> Verdict:
    return Verdict(winner, None if winner else "no verdict")
