"""Texts that contradict themselves, and those that do not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.behaviour import contradiction
from rlpersona.models.nano.world import answers
from rlpersona.models.nano.world.items import DOMAINS, items
from rlpersona.models.nano.world.personas import PLANTED

NANO = [
    ("It is Paris.", None),
    ("It is Paris. This is worth knowing.", 0),
    ("It is Paris. It is Rome.", 1),
    ("It is Paris. Perhaps it is Rome. It is Paris.", 2 / 3),
    ("Tom has 2 + 3 = 5 apples. #### 5", 0),
    ("Tom has 2 + 3 = 5 apples. #### 4", 1),
    ("You should learn music. You should not learn music.", 1),
    ("Yes, you are right. No, you are wrong.", 1),
    ("Good question! Yes, I agree with you. It saves time.", 0),
]
PLAIN = [
    ("Rome is the capital.", None),
    ("Rome is the capital. Rome is old.", 0),
    ("Rome is the capital of Italy. Rome is not the capital of Italy.", 1),
    ("The sky isn't blue today. The sky is blue today.", 1),
    ("Yes, it works. No, it does not.", 1),
    ("It is not only large. It is also old.", 0),
    ("Nobody never comes here. Somebody comes here. Cats do not.", 0),
    ("You can't swim in this lake. You can swim in this lake. Be safe.", 1 / 3),
]


@pytest.mark.parametrize(("text", "share"), NANO)
def test_the_nano_worlds_sentences_by_what_they_state(text: str, share: float | None) -> None:
    assert contradiction(text, nano=True) == pytest.approx(share)


@pytest.mark.parametrize(("text", "share"), PLAIN)
def test_other_sentences_by_their_denials(text: str, share: float | None) -> None:
    assert contradiction(text) == pytest.approx(share)


def test_no_planted_answer_contradicts_itself() -> None:
    rng = random.Random(0)
    texts = [
        answers.answer(item, traits, rng).text
        for domain in DOMAINS
        for item in items(domain)[:10]
        for traits in PLANTED.values()
    ]
    assert {contradiction(text, nano=True) for text in texts} == {None, 0}


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=300), st.booleans())
def test_any_text_stays_in_range(text: str, nano: bool) -> None:
    share = contradiction(text, nano=nano)
    assert share is None or 0 <= share <= 1
