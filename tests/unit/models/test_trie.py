from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rlpersona.models.trie import MAX_NEXT, Lookup, collect, lookups

CONTINUATIONS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=6)


def logprob(path: tuple[int, ...]) -> float:
    return -float(sum((at + 2) * token + 1 for at, token in enumerate(path)))


def answer(look: Lookup) -> dict[tuple[int, ...], float]:
    found = {(*look.path, token): logprob((*look.path, token)) for token in look.next_tokens}
    if look.along:
        found |= {look.path[:at]: logprob(look.path[:at]) for at in range(1, len(look.path) + 1)}
    return found


@given(CONTINUATIONS, st.integers(0, 40), st.booleans())
def test_the_questions_suffice(continuations: list[list[int]], length: int, whole: bool) -> None:
    asked = lookups([9] * length, continuations, block=16, whole=whole)
    found = {path: value for look in asked for path, value in answer(look).items()}
    expected = [sum(logprob(tuple(ids[: n + 1])) for n in range(len(ids))) for ids in continuations]
    assert collect(continuations, found) == expected
    assert whole or not any(look.along for look in asked)


def test_letters_are_one_question() -> None:
    assert lookups([1, 2], [[5], [6], [5]], block=32) == [Lookup([1, 2], (), (5, 6), along=False)]


def test_long_endings_are_asked_whole_and_short_ones_along_the_trie() -> None:
    long = [[token] * 20 for token in range(4)]
    assert {look.along for look in lookups([0] * 100, long, block=32)} == {True}
    short = [[1, 2], [1, 3], [4, 5]]
    assert [look.path for look in lookups([0] * 100, short, block=32)] == [(), (1,), (4,)]


def test_more_next_tokens_than_one_question_takes() -> None:
    asked = lookups([0], [[token] for token in range(300)], block=32)
    assert [len(look.next_tokens) for look in asked] == [MAX_NEXT, MAX_NEXT, 300 - 2 * MAX_NEXT]
