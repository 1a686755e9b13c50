"""Which people of a roster take part: equal parts, the best known, or pairs matched in fame.

In rosters of notable people era, field and fame hang together: most are politicians, actors and soccer
players born after 1900, and those still known after 2,000 years are the famous ones. A plain random
sample inherits all of that. Draws depend on names and the seed alone, so a larger limit adds to the
sample of a smaller one and the order of the rows does not matter.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from rlpersona.errors import ConfigError, DataError, did_you_mean
from rlpersona.personas.notable import ERAS, domain_of
from rlpersona.tasks.identity import unit
from rlpersona.types import Persona

Sample = Literal["random", "strata", "famous", "pairs"]
SAMPLES: tuple[Sample, ...] = ("random", "strata", "famous", "pairs")
RECENT = ("Modern", "Contemporary")
# Within a fifth of a standard deviation, matching removes nearly all of a difference in means
# (Cochran and Rubin 1973, Sankhya A 35:417; Austin 2011, Pharmaceutical Statistics 10:150).
CALIPER = 0.2


class MatchedPairs(NamedTuple):
    """Pairs (earlier, recent) of one field; their fames differ by `caliper` at most."""

    pairs: list[tuple[Persona, Persona]]
    caliper: float


def drawn(people: Sequence[Persona], how: Sample, limit: int | None, seed: int) -> list[Persona]:
    """At most `limit` of `people` (None: all that `how` allows), in their order.

    `random`: all are equally likely. `strata`: equal numbers from each era and domain (each group, in a
    roster of groups) until the small ones are used up. `famous`: the highest `fame`. `pairs`: both
    members of pairs from `matched_pairs`, side by side, the earlier first; an odd limit leaves one place
    empty. Raises DataError if what `how` needs is not known of everyone, ConfigError for an unknown
    `how` or a limit below one pair.
    """
    if how not in SAMPLES:
        raise ConfigError(f"no way to sample is called '{how}'", did_you_mean(how, SAMPLES))
    if how == "pairs":
        return _sample_pairs(people, limit, seed)
    rank = {"random": _by_chance, "strata": _by_strata, "famous": _by_fame}[how]
    kept = {person.name for person in rank(people, seed)[:limit]}
    return [person for person in people if person.name in kept]


def in_groups(people: Sequence[Persona], groups: Sequence[str]) -> list[Persona]:
    """Those whose group, field or domain is one of `groups` (all if there are none), in their order.

    Raises ConfigError for a group that nobody belongs to.
    """
    if not groups:
        return list(people)
    known = {label for person in people for label in _labels(person)}
    for group in groups:
        if group not in known:
            raise ConfigError(f"no persona of the roster is a '{group}'", did_you_mean(group, known))
    return [person for person in people if not _labels(person).isdisjoint(groups)]


def matched_pairs(people: Sequence[Persona], caliper: float = CALIPER) -> MatchedPairs:
    """Pairs of someone born before 1800 (by era) and someone born later, of one field and near in fame.

    Without replacement, the nearest first; no pair is further apart than `caliper` standard deviations
    of the fame in `people`. Matching on fame alone would compare ancient kings with living singers.
    Raises DataError where field, era or fame is not known of everyone or an era is none of `ERAS`.
    """
    fames = _fames(people)
    _require(people, "field", "era")
    odd = next((person for person in people if person.era not in ERAS), None)
    if odd is not None:
        raise DataError(
            f"sample=pairs cannot place the era '{odd.era}' of {odd.name}",
            f"Eras: {', '.join(ERAS)}; left empty, an era follows from birth_year.",
        )
    mean = math.fsum(fames) / max(len(fames), 1)
    spread = math.sqrt(math.fsum((fame - mean) ** 2 for fame in fames) / max(len(fames) - 1, 1))
    fields: dict[str, list[Persona]] = defaultdict(list)
    for person in people:
        fields[str(person.field)].append(person)
    pairs = [pair for field in sorted(fields) for pair in _nearest(fields[field], caliper * spread)]
    return MatchedPairs(pairs, caliper * spread)


def _nearest(people: Iterable[Persona], widest: float) -> list[tuple[Persona, Persona]]:
    """Closest pairs first. In the order of fame the closest two of opposite kind are always neighbours,
    so a heap of neighbours is enough; a pair that leaves makes its own neighbours neighbours."""
    line = sorted(people, key=lambda person: (person.fame, person.name))
    fames = [float(person.fame or 0.0) for person in line]
    recent = [person.era in RECENT for person in line]
    before, after = list(range(-1, len(line) - 1)), list(range(1, len(line) + 1))
    free = [True] * len(line)
    near = [(fames[i + 1] - fames[i], i, i + 1) for i in range(len(line) - 1)]
    heapq.heapify(near)
    pairs = []
    while near:
        gap, i, j = heapq.heappop(near)
        if gap > widest:
            break
        if not (free[i] and free[j]) or recent[i] == recent[j]:
            continue
        pairs.append((line[j], line[i]) if recent[i] else (line[i], line[j]))
        free[i] = free[j] = False
        left, right = before[i], after[j]
        if right < len(line):
            before[right] = left
        if left >= 0:
            after[left] = right
            if right < len(line):
                heapq.heappush(near, (fames[right] - fames[left], left, right))
    return pairs


def _sample_pairs(people: Sequence[Persona], limit: int | None, seed: int) -> list[Persona]:
    if limit is not None and limit < 2:
        raise ConfigError(f"limit={limit} holds no pair", "Give limit=2 or more: it counts people.")
    pairs = matched_pairs(people).pairs
    if not pairs:
        raise DataError(
            "no two people of one field, born before and after 1800, are near in fame",
            "Take another sample, or a larger roster.",
        )
    pairs.sort(key=lambda pair: unit("pairs", seed, pair[0].name, pair[1].name))
    return [person for pair in pairs[: None if limit is None else limit // 2] for person in pair]


def _by_chance(people: Sequence[Persona], seed: int) -> list[Persona]:
    return sorted(people, key=lambda person: unit("roster", seed, person.name))


def _by_strata(people: Sequence[Persona], seed: int) -> list[Persona]:
    """Everyone's turn: the first of each stratum, then the second of each, and so on."""
    if not all(person.group for person in people):
        _require(people, "era", "field", sample="strata")
    turns: dict[tuple[str, ...], int] = defaultdict(int)
    ranked = []
    for person in _by_chance(people, seed):
        stratum = (person.group,) if person.group else (str(person.era), domain_of(str(person.field)))
        ranked.append((turns[stratum], unit("stratum", seed, *stratum), person.name, person))
        turns[stratum] += 1
    return [person for *_, person in sorted(ranked, key=lambda entry: entry[:3])]


def _by_fame(people: Sequence[Persona], _: int) -> list[Persona]:
    fames = _fames(people, sample="famous")
    order = sorted(range(len(people)), key=lambda i: (-fames[i], people[i].name))
    return [people[i] for i in order]


def _fames(people: Sequence[Persona], sample: Sample = "pairs") -> list[float]:
    _require(people, "fame", sample=sample)
    return [person.fame for person in people if person.fame is not None]


def _require(people: Sequence[Persona], *columns: str, sample: Sample = "pairs") -> None:
    for column in columns:
        without = [person.name for person in people if getattr(person, column) is None]
        if without:
            raise DataError(
                f"sample={sample} needs the {column} of everyone; "
                f"{len(without)} of {len(people)} have none, the first is {without[0]}",
                f"Fill in the column '{column}', or give sample=random.",
            )


def _labels(person: Persona) -> set[str]:
    labels = {person.group, person.field, domain_of(person.field) if person.field else None}
    return {label for label in labels if label}
