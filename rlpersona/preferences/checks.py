"""What may be wrong with a set of pairs and its labels, counted before anyone trains on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rlpersona.judges import base
from rlpersona.judges.agreement import Agreement, agreement
from rlpersona.judges.canaries import CanaryReport, count_canaries
from rlpersona.preferences.labels import Label
from rlpersona.preferences.pairs import Pair
from rlpersona.preferences.shares import share
from rlpersona.stats import Interval


@dataclass(frozen=True, slots=True)
class Marks:
    """One annotator's labels in figures; every interval counts prompts.

    `longer`: how often the longer answer was chosen, `first` the one shown first (or left), each
    of the choices that could show it; one half means no bias. `consistent`: how often both orders gave
    the same.
    """

    annotator: str
    labelled: int
    skipped: int
    failed: int
    ties: Interval | None
    longer: Interval | None
    first: Interval | None
    consistent: Interval | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Examination:
    """The whole report. `flaws` of the pairs themselves should all be zero.

    `canaries` tells for each annotator how answers that try to instruct the judge fared.
    """

    pairs: int
    prompts: int
    flaws: dict[str, int]
    marks: tuple[Marks, ...]
    agreement: Agreement | None
    canaries: dict[str, CanaryReport]

    @property
    def sound(self) -> bool:
        """Whether no pair is flawed."""
        return not any(self.flaws.values())

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        plain = asdict(self) | {"sound": self.sound}
        if self.agreement is not None:
            named = {f"{a} / {b}": value for (a, b), value in plain["agreement"]["kappa"].items()}
            plain["agreement"] = plain["agreement"] | {"kappa": named}
        return plain


def examine(pairs: Sequence[Pair], labels: Mapping[str, Mapping[str, Label]]) -> Examination:
    """Count flaws of the pairs, measure each annotator's habits, and how far annotators agree.

    Agreement is over a, b and tie; what was skipped or failed is missing, not a category.
    """
    names = sorted(labels)
    judged = {name: [_verdict(labels[name].get(pair.id)) for pair in pairs] for name in names}
    texts = [base.Pair(pair.prompt, pair.a, pair.b) for pair in pairs]
    return Examination(
        pairs=len(pairs),
        prompts=len({pair.prompt for pair in pairs}),
        flaws=flaws(pairs),
        marks=tuple(marks(pairs, labels[name], name) for name in names),
        agreement=agreement(texts, judged) if len(names) > 1 else None,
        canaries={name: count_canaries(texts, verdicts) for name, verdicts in judged.items()},
    )


def flaws(pairs: Sequence[Pair]) -> dict[str, int]:
    """How many pairs are beyond use: repeated ids, repeated content, an empty text, equal answers."""
    ids = Counter(pair.id for pair in pairs)
    contents = Counter(pair.content for pair in pairs)
    return {
        "repeated ids": sum(n - 1 for n in ids.values()),
        "repeated pairs": sum(n - 1 for n in contents.values()),
        "empty": sum(not (p.prompt.strip() and p.a.strip() and p.b.strip()) for p in pairs),
        "identical answers": sum(pair.a.split() == pair.b.split() for pair in pairs),
    }


def marks(pairs: Sequence[Pair], labels: Mapping[str, Label], annotator: str = "") -> Marks:
    """The habits of one annotator, over the pairs that have a label."""
    said = [(pair, labels[pair.id]) for pair in pairs if pair.id in labels]
    votes = [(pair, label) for pair, label in said if label.choice in ("a", "b", "tie")]
    lengths = [
        (pair.prompt, (label.choice == "a") == (len(pair.a) > len(pair.b)))
        for pair, label in votes
        if label.choice != "tie" and len(pair.a) != len(pair.b)
    ]
    firsts = [
        (pair.prompt, side[0].lower() == side[3:])
        for pair, label in votes
        for side in label.sides
        if side[3:] in ("a", "b")
    ]
    orders = [
        (pair.prompt, len({side[3:] for side in label.sides}) == 1)
        for pair, label in votes
        if len(label.sides) > 1
    ]
    times = sorted(label.seconds for _, label in said if label.seconds is not None)
    return Marks(
        annotator=annotator,
        labelled=len(votes),
        skipped=sum(label.choice == "skip" for _, label in said),
        failed=sum(label.choice is None for _, label in said),
        ties=_share([(pair.prompt, label.choice == "tie") for pair, label in votes]),
        longer=_share(lengths),
        first=_share(firsts),
        consistent=_share(orders),
        seconds=times[len(times) // 2] if times else None,
    )


def _verdict(label: Label | None) -> base.Verdict:
    if label is None or label.choice is None or label.choice == "skip":
        return base.Verdict(None, "no vote")
    return base.Verdict(label.choice)


def _share(found: Sequence[tuple[str, bool]]) -> Interval | None:
    return share([hit for _, hit in found], [prompt for prompt, _ in found])
