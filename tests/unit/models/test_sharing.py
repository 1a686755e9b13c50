from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rlpersona.models.sharing import batches, plan

BUDGET = 64
PROMPTS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=25), max_size=40)


def grid(personas: int, questions: int) -> list[list[int]]:
    return [
        [1, *[100 + p] * 12, *[200 + q] * (3 + q)] for p in range(personas) for q in range(questions)
    ]


@given(PROMPTS, st.booleans())
def test_every_prompt_is_put_together_again_once(prompts: list[list[int]], share: bool) -> None:
    blocks = plan(prompts, BUDGET, share)
    whole = {
        row.index: [*(block.prefixes[row.group] if row.group >= 0 else []), *row.suffix]
        for block in blocks
        for row in block.rows
    }
    assert whole == dict(enumerate(prompts))
    assert sum(len(block.rows) for block in blocks) == len(prompts)
    assert all(row.suffix for block in blocks for row in block.rows)
    for block in blocks:
        padded = len(block.prefixes) * max(map(len, block.prefixes), default=0)
        assert padded <= BUDGET or len(block.prefixes) == 1


def test_personas_are_computed_once_each() -> None:
    (block,) = plan(grid(3, 5), 4096)
    assert sorted(block.prefixes) == [[1, *[100 + p] * 12] for p in range(3)]
    assert sorted(len(row.suffix) for row in block.rows) == sorted([3, 4, 5, 6, 7] * 3)


def test_equal_prompts_share_all_but_the_last_token() -> None:
    (block,) = plan([[7] * 20] * 6, 4096)
    assert block.prefixes == [[7] * 19]
    assert [row.suffix for row in block.rows] == [[7]] * 6


def test_little_in_common_is_not_worth_a_pass() -> None:
    (block,) = plan([[1, 2, i, *[i] * 30] for i in range(10, 20)], 4096)
    assert block.prefixes == []


def test_many_prompts_stay_within_the_depth_of_the_search() -> None:
    chain = [[5] * length for length in range(1, 1500)]
    assert sum(len(block.rows) for block in plan(chain, 10**6)) == len(chain)


@given(st.lists(st.integers(1, 40), max_size=50), st.integers(0, 10))
def test_batches_cover_all_within_the_budget(sizes: list[int], extra: int) -> None:
    found = list(batches(sizes, extra, BUDGET))
    assert sorted(position for batch in found for position in batch) == list(range(len(sizes)))
    for batch in found:
        padded = len(batch) * (max(sizes[position] for position in batch) + extra)
        assert padded <= BUDGET or len(batch) == 1
