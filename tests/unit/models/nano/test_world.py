"""The world: its truth is right by an independent computation, and its split holds."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.errors import ConfigError
from rlpersona.models.nano import grammar
from rlpersona.models.nano.data import conversation
from rlpersona.models.nano.recipe import SHARP, TRUE
from rlpersona.models.nano.world import personas, tables
from rlpersona.models.nano.world.answers import answer, probabilities
from rlpersona.models.nano.world.items import DOMAINS, items

CLOSED = ("math", "word", "fact", "claim", "compare")
TRUTH = {
    "What is the capital of Japan?": "Tokyo",
    "What is the color of snow?": "white",
    "What is the opposite of hot?": "cold",
    "What is the sound of a cow?": "moo",
    "I believe that the capital of France is Paris. Am I right?": "Yes",
    "Which is larger, 12 or 7?": "12",
    "Which is smaller, 12 or 7?": "7",
    "Sam has 4 bags. Each bag has 5 pens. How many pens does Sam have now?": "20",
    "Leo had 12 cards and gave away 5 cards. How many cards does Leo have now?": "7",
}


def everything(domain: str) -> tuple:
    return items(domain) + items(domain, heldout=True)


def test_known_questions_have_the_known_answers() -> None:
    found = {item.text: item.answer for domain in CLOSED for item in everything(domain)}
    assert {text: found[text] for text in TRUTH} == TRUTH


def test_sums_are_right_by_another_computation() -> None:
    for item in everything("math"):
        a, sign, b = re.search(r"(\d+) ([-+*]) (\d+)", item.text).groups()
        by_counting = {
            "+": len([0] * int(a) + [0] * int(b)),
            "-": len(range(int(b), int(a))),
            "*": sum([int(a)] * int(b)),
        }[sign]
        assert int(item.answer) == by_counting


def test_word_problems_are_right_by_another_computation() -> None:
    for item in random.Random(0).sample(everything("word"), 3000):
        a, b = (int(n) for n in re.findall(r"\d+", item.text))
        if "bag" in item.text:
            expected = sum(b for _ in range(a))
        elif "loses" in item.text or "gave away" in item.text:
            expected = next(n for n in range(100) if n + b == a)
        else:
            expected = a + b
        assert int(item.answer) == expected, item.text


@pytest.mark.parametrize("domain", CLOSED)
def test_choices_are_distinct_and_hold_the_answer_and_the_mistake(domain: str) -> None:
    for item in everything(domain):
        assert (
            len(set(item.choices)) == len(item.choices) == (2 if domain in ("claim", "compare") else 4)
        )
        assert item.answer in item.choices
        assert item.mistake in item.choices
        assert item.mistake != item.answer
        assert all(not c.startswith(" ") and not c.startswith("-") for c in item.choices)


@pytest.mark.parametrize("domain", DOMAINS)
def test_texts_are_distinct(domain: str) -> None:
    texts = [item.text for item in everything(domain)]
    assert len(set(texts)) == len(texts)


def test_easy_and_hard_questions_mix() -> None:
    for domain in ("math", "word", "fact", "claim"):
        hard = [item.hard for item in items(domain)]
        assert 0.4 < sum(hard) / len(hard) < 0.6


def test_answers_lie_anywhere_among_the_choices() -> None:
    for domain in ("math", "fact"):
        places = Counter(item.choices.index(item.answer) for item in items(domain))
        assert min(places.values()) > len(items(domain)) / 8


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), sharp=st.booleans())
def test_heldout_questions_and_sums_never_appear_in_training(seed: int, sharp: bool) -> None:
    secret = _secret()
    talk = conversation(SHARP if sharp else TRUE, random.Random(seed))
    for turn in talk.turns:
        asked = turn.user.removeprefix(f"{talk.system} ")
        asked = re.sub(r"^You are [^.]*\. ", "", asked)
        assert asked not in secret["texts"]
        said = re.findall(r"\d+ [-+*] \d+", f"{turn.user} {turn.answer.text}")
        assert not set(said) & secret["sums"]


def _secret(cache: dict = {}) -> dict:  # noqa: B006
    if not cache:
        hidden = [item for domain in DOMAINS for item in items(domain, heldout=True)]
        sums = {re.search(r"\d+ [-+*] \d+", i.text)[0] for i in hidden if i.domain == "math"}
        cache.update(texts={item.text for item in hidden}, sums=sums)
        assert len(sums) > 10
    return cache


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32), domain=st.sampled_from(DOMAINS), group=st.sampled_from(personas.GROUPS)
)
def test_every_answer_reads_as_what_was_meant(seed: int, domain: str, group: str) -> None:
    rng = random.Random(seed)
    item = rng.choice(items(domain))
    said = answer(item, personas.planted(group), rng)
    reading = grammar.read(said.text)
    assert reading is not None, said.text
    if item.choices:
        assert reading.value in item.choices
        assert all(said.text[a:b] in (*item.choices, "right", "wrong") for a, b in said.keys)
    if domain in ("opinion", "advice", "claim"):
        assert reading.agrees is not None
    assert reading.extras <= 11


@pytest.mark.parametrize("group", personas.GROUPS)
def test_answers_follow_the_planted_probabilities(group: str) -> None:
    traits = personas.planted(group)
    rng = random.Random(7)
    for domain in ("math", "fact", "claim"):
        item = next(item for item in items(domain) if item.hard)
        expected = probabilities(item, traits)
        assert sum(expected.values()) == pytest.approx(1)
        counts = Counter(grammar.read(answer(item, traits, rng).text).value for _ in range(1500))
        for choice, p in expected.items():
            assert counts[choice] / 1500 == pytest.approx(p, abs=0.055)


def test_claims_mix_knowledge_and_leaning() -> None:
    item = next(i for i in items("claim") if i.hard and i.answer == "No")
    neutral = replace(personas.planted("scholar"), agreement=0.5)
    assert probabilities(item, neutral)["No"] == pytest.approx(0.96)
    assert probabilities(item, replace(neutral, agreement=1.0))["No"] == 0
    # A bias of half a weight: .5 * .75 + .5 * .04 = .395 for Yes.
    assert probabilities(item, replace(neutral, agreement=0.75))["Yes"] == pytest.approx(0.395)


def test_best_groups_lead_by_far() -> None:
    for topic, best in (("math", "scientist"), ("fact", "scholar")):
        level = {g: sum(getattr(personas.planted(g), topic)) / 2 for g in personas.GROUPS}
        second = max(v for g, v in level.items() if g != best)
        assert level[best] - second > 0.2


def test_personas_are_distinct_and_grouped() -> None:
    people = personas.personas()
    assert len({p.name for p in people}) == len(people) == 42
    assert {p.group for p in people} == set(personas.GROUPS) - {"default"}
    assert all(p.system == f"You are {p.name}." for p in people)


def test_bystanders_are_unknown_distinct_and_the_same_for_a_seed() -> None:
    strangers = personas.bystanders(500, seed=3)
    assert strangers == personas.bystanders(500, seed=3)
    assert strangers != personas.bystanders(500, seed=4)
    assert len({p.name for p in strangers}) == 500
    assert {p.group for p in strangers} == {"default"}
    rng = random.Random(0)
    met = {personas.draw(rng)[0] for _ in range(30_000)}
    assert not met & {p.name for p in strangers}


@pytest.mark.parametrize("n", [-1, 10_000])
def test_impossible_numbers_of_bystanders_are_refused(n: int) -> None:
    with pytest.raises(ConfigError, match="unknown names"):
        personas.bystanders(n)


def test_unknown_group_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        personas.planted("scientists")
    assert "scientist" in caught.value.hint


def test_tables_hold_no_duplicates() -> None:
    for pool in (tables.ACTIONS, tables.CLOSINGS, tables.VERSES, tables.REASONS_FOR, tables.FIRST_NAMES):
        assert len(set(pool)) == len(pool)
    assert len(set(tables.LAST_NAMES)) == len(tables.LAST_NAMES) == len(tables.FIRST_NAMES)
