"""Samples of a roster: balanced, nested, matched; refused where the roster does not say enough."""

from __future__ import annotations

import csv
import dataclasses
import random
from collections import Counter
from pathlib import Path
from statistics import mean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.errors import ConfigError, DataError
from rlpersona.personas import load_personas
from rlpersona.personas.notable import domain_of
from rlpersona.personas.sampling import RECENT, SAMPLES, Sample, drawn, matched_pairs
from rlpersona.types import Persona

PEOPLE = load_personas("notable")


def person(name: str, field: str, era: str, fame: float) -> Persona:
    return Persona(name, None, field, era, None, fame)


def stratum(someone: Persona) -> tuple[str | None, str]:
    return someone.era, domain_of(str(someone.field))


def test_strata_get_equal_numbers_until_they_are_used_up() -> None:
    whole = Counter(map(stratum, PEOPLE))
    for limit in (44, 500, 3000):
        part = Counter(map(stratum, load_personas("notable", sample="strata", limit=limit, seed=2)))
        assert sum(part.values()) == limit
        level = max(part.values())
        assert all(part[s] in (level, level - 1) or part[s] == whole[s] for s in whole)
    assert max(Counter(map(stratum, drawn(PEOPLE, "random", 500, 2))).values()) > 90


def test_the_nano_groups_are_strata() -> None:
    people = load_personas("nano", sample="strata", limit=18)
    assert set(Counter(someone.group for someone in people).values()) == {2}


@pytest.mark.parametrize("how", SAMPLES)
def test_a_larger_limit_adds_and_the_order_of_rows_does_not_matter(how: Sample) -> None:
    pool = random.Random(0).sample(PEOPLE, 600)
    small, large = (drawn(pool, how, limit, 5) for limit in (20, 60))
    assert (len(small), len(large)) == (20, 60)
    assert {someone.name for someone in small} < {someone.name for someone in large}
    assert {someone.name for someone in drawn(pool[::-1], how, 20, 5)} == {
        someone.name for someone in small
    }
    if how != "pairs":
        assert small == [someone for someone in pool if someone in small]
        assert drawn(pool, how, None, 5) == pool
    if how != "famous":
        assert drawn(pool, how, 20, 6) != small


def test_the_famous_are_the_most_famous() -> None:
    people = load_personas("notable", sample="famous", limit=50)
    assert people == PEOPLE[:50]
    assert {"Aristotle", "Isaac Newton", "Leonardo da Vinci"} <= {someone.name for someone in people}


def test_pairs_of_the_shipped_table_tell_era_and_fame_apart() -> None:
    earlier = [someone.fame or 0 for someone in PEOPLE if someone.era not in RECENT]
    recent = [someone.fame or 0 for someone in PEOPLE if someone.era in RECENT]
    assert mean(earlier) - mean(recent) > 3.5
    pairs, caliper = matched_pairs(PEOPLE)
    assert caliper == pytest.approx(0.2 * stdev(earlier + recent))
    assert len(pairs) > 1400
    for old, young in pairs:
        assert old.field == young.field
        assert old.era not in RECENT
        assert young.era in RECENT
        assert abs((old.fame or 0) - (young.fame or 0)) <= caliper
    names = [someone.name for pair in pairs for someone in pair]
    assert len(set(names)) == len(names)
    assert abs(mean((old.fame or 0) - (young.fame or 0) for old, young in pairs)) < 0.05


def test_a_sample_of_pairs_lies_side_by_side() -> None:
    people = load_personas("notable", sample="pairs", limit=101)
    assert len(people) == 100
    pairs = {(old.name, young.name) for old, young in matched_pairs(PEOPLE).pairs}
    assert {
        (old.name, young.name) for old, young in zip(people[::2], people[1::2], strict=True)
    } <= pairs


fames = st.lists(
    st.tuples(st.sampled_from("ab"), st.booleans(), st.integers(0, 40)), min_size=2, max_size=14
)


@given(rows=fames, caliper=st.sampled_from((0.1, 0.5, 2.0, 9.0)))
def test_matching_takes_the_nearest_pair_that_is_left(
    rows: list[tuple[str, bool, int]], caliper: float
) -> None:
    # The odd fractions make all gaps differ, so there is only one right answer.
    people = [
        person(f"P{i}", field, "Modern" if late else "Ancient", fame + 0.001 * 1.7**i)
        for i, (field, late, fame) in enumerate(rows)
    ]
    pairs, widest = matched_pairs(people, caliper)
    left, expected = list(people), set()
    while True:
        near = [
            (abs((a.fame or 0) - (b.fame or 0)), a.name, b.name, a, b)
            for a in left
            for b in left
            if a.field == b.field and a.era == "Ancient" and b.era == "Modern"
        ]
        if not near or min(near)[0] > widest:
            break
        *_, a, b = min(near, key=lambda entry: entry[:3])
        expected.add((a.name, b.name))
        left = [someone for someone in left if someone not in (a, b)]
    assert {(old.name, young.name) for old, young in pairs} == expected


def test_groups_are_fields_domains_or_nano_groups() -> None:
    physicists = load_personas("notable", groups=("physicist",))
    assert {someone.field for someone in physicists} == {"physicist"}
    both = load_personas("notable", groups=("exploration", "physicist"), sample="famous", limit=300)
    assert {someone.field for someone in both} == {"physicist", "astronaut", "explorer"}
    assert {someone.group for someone in load_personas("nano", groups=["liar", "poet"])} == {
        "liar",
        "poet",
    }
    with pytest.raises(ConfigError, match="'phisicist'") as caught:
        load_personas("notable", groups=("phisicist",))
    assert caught.value.hint == "Did you mean 'physicist'?"
    with pytest.raises(ConfigError, match="bystanders"):
        load_personas("notable", bystanders=2)


@pytest.mark.parametrize(
    ("text", "how", "message"),
    [
        ("name,era\nAda,Modern\n", "famous", "sample=famous needs the fame of everyone; 1 of 1"),
        ("name,fame\nAda,1\nBo,\n", "famous", "1 of 2 have none, the first is Bo"),
        ("name,field\nAda,poet\n", "strata", "sample=strata needs the era"),
        ("name,era\nAda,Modern\n", "strata", "sample=strata needs the field"),
        ("name,field,fame\nAda,poet,1\nBo,poet,2\n", "pairs", "sample=pairs needs the era"),
        (
            "name,field,era,fame\nAda,poet,Bronze Age,1\n",
            "pairs",
            "cannot place the era 'Bronze Age' of Ada",
        ),
        ("name,field,era,fame\nAda,poet,Modern,1\nBo,poet,Modern,1\n", "pairs", "no two people"),
    ],
)
def test_a_roster_that_does_not_say_enough(tmp_path: Path, text: str, how: Sample, message: str) -> None:
    source = tmp_path / "people.csv"
    source.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        load_personas(str(source), sample=how, limit=2)
    assert caught.value.hint


def test_samples_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="limit=1 holds no pair"):
        load_personas("notable", sample="pairs", limit=1)
    with pytest.raises(ConfigError, match="'stratum'") as caught:
        drawn(PEOPLE, "stratum", 5, 0)  # type: ignore[arg-type]
    assert caught.value.hint == "Did you mean 'strata'?"


def test_the_roster_comes_back_from_a_csv_of_its_columns(tmp_path: Path) -> None:
    columns = ["name", "field", "birth_year", "fame", "description"]
    source = tmp_path / "people.csv"
    with open(source, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(dataclasses.asdict(someone) for someone in PEOPLE)
    assert load_personas(str(source)) == PEOPLE
