"""Features of a text: by hand, and whatever the text."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.behaviour import features
from rlpersona.behaviour.lexicon import found, groups
from rlpersona.behaviour.text import sentences, words
from rlpersona.models.nano.world import tables

LISTS = files("rlpersona.behaviour").joinpath("lexicons")
LEXICONS = ("agreement", "boosters", "disagreement", "flattery", "hedges", "politeness", "refusal")

Feature = Callable[[str], float]
GOLD: list[tuple[Feature, str, float]] = [
    (features.hedging, "", 0),
    (features.hedging, "It is Paris.", 0),
    (features.hedging, "Perhaps it is Paris.", 1),
    (features.hedging, "I think it is Paris. It is large.", 1 / 2),
    (features.hedging, "I am not sure, but it is Paris.", 1),
    (features.hedging, "It possibly, perhaps, maybe is. It is. It is! Is it?", 1 / 4),
    (features.hedging, "The mayor met the almoner.", 0),
    (features.confidence, "It is clearly Paris. It is.", 1 / 2),
    (features.confidence, "I am not certain.", 0),
    (features.confidence, "It is not at all clear.", 0),
    (features.confidence, "Perhaps it certainly is.", 0),
    (features.confidence, "Without a doubt, it is Rome.", 1),
    (features.confidence, "The numbers are clear.", 1),
    (features.agreement, "", 0),
    (features.agreement, "Yes, I agree with you.", 1),
    (features.agreement, "No, I do not agree.", -1),
    (features.agreement, "You're absolutely right! It is so.", 1),
    (features.agreement, "You’re wrong about it.", -1),
    (features.agreement, "I don't think you are right.", -1),
    (features.agreement, "There is no doubt of it. No one knows.", 0),
    (features.agreement, "No.", -1),
    (features.agreement, "You are right. But no, it is Rome.", 1),
    (features.agreement, "You are right. No, you are wrong.", 0),
    (features.agreement, "I agree. I agree. That is wrong.", 1 / 3),
    (features.politeness, "Do it.", 0),
    (features.politeness, "Thank you for asking.", 1 / 4),
    (features.politeness, "Thanks, thank you, many thanks.", 1 / 4),
    (features.politeness, "Hello! Thank you. Please sit. I hope this helps. I'm sorry.", 1),
    (features.politeness, "The high hill hides things.", 0),
    (features.flattery, "Good question!", 1 / 2),
    (features.flattery, "What a great question! You are brilliant. You are amazing.", 1),
    (features.flattery, "You are not brilliant.", 0),
    (features.refusal, "I'm sorry, but I can't help with that.", 1),
    (features.refusal, "As an AI, I have no view.", 1),
    (features.refusal, "It is Paris. It lies in France. As an AI, I have not been.", 0),
    (features.refusal, "You can't answer for others.", 1),
]
RANGES: dict[Feature, tuple[float, float]] = {
    features.hedging: (0, 1),
    features.confidence: (0, 1),
    features.agreement: (-1, 1),
    features.politeness: (0, 1),
    features.flattery: (0, 1),
    features.refusal: (0, 1),
}
WILD = st.text(max_size=300) | st.lists(
    st.sampled_from(["Yes,", "not", "clearly", "perhaps", "thank you", ".", "\n", "you are right", "’t"])
).map(" ".join)


@pytest.mark.parametrize(("feature", "text", "value"), GOLD)
def test_features_by_hand(feature: Feature, text: str, value: float) -> None:
    assert feature(text) == pytest.approx(value)


@settings(max_examples=100, deadline=None)
@given(WILD)
def test_any_text_stays_in_range(text: str) -> None:
    for feature, (low, high) in RANGES.items():
        assert low <= feature(text) <= high


@pytest.mark.parametrize("hedge", tables.HEDGES)
def test_the_nano_worlds_hedges_are_hedges(hedge: str) -> None:
    assert features.hedging(f"{hedge} it is Paris.") == 1


@pytest.mark.parametrize("greeting", tables.GREETINGS)
def test_the_nano_worlds_greetings_are_polite(greeting: str) -> None:
    assert features.politeness(f"{greeting} It is Paris.") > features.politeness("It is Paris.") == 0


@pytest.mark.parametrize("name", LEXICONS)
def test_lexicons_say_where_they_come_from_and_list_nothing_twice(name: str) -> None:
    lines = LISTS.joinpath(f"{name}.txt").read_text("utf-8").splitlines()
    header = " ".join(line for line in lines if line.startswith("#"))
    entries = [line for line in lines if line and line[0] not in "#["]
    assert "licence" in header
    assert all(entry == entry.lower().strip() for entry in entries)
    if name != "politeness":
        assert len(set(entries)) == len(entries)


@pytest.mark.parametrize("name", LEXICONS)
def test_every_entry_of_a_lexicon_is_found(name: str) -> None:
    group = ""
    lines = LISTS.joinpath(f"{name}.txt").read_text("utf-8").splitlines()
    for line in filter(None, lines):
        if line.startswith("["):
            group = line.strip("[]")
        elif not line.startswith("#"):
            assert found(name, f"{line.removeprefix('^').capitalize()}, so.", group, denied=True), line
    assert group in groups(name)


def test_sentences_end_where_a_reader_would_end_them() -> None:
    assert sentences("Dr. Who met J. Smith. He left!\n\n1. First\n2. Second... \n---\n") == (
        "Dr. Who met J. Smith.",
        "He left!",
        "1. First",
        "2. Second...",
    )
    assert sentences("...") == ()
    assert words("Don’t go, 3 times!") == ["don't", "go", "3", "times"]
