"""What a batch is made of: how calls are split, how a download is read, what the book keeps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rlpersona.judges.batch import split
from rlpersona.judges.batch_book import call_from
from rlpersona.judges.batch_wire import lines
from rlpersona.types import ApiCall, Message


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 40)), max_size=30),
    st.integers(1, 6),
    st.integers(1, 60),
)
def test_a_split_keeps_every_call_and_both_limits(
    sizes: list[tuple[str, int]], max_rows: int, max_bytes: int
) -> None:
    calls = [
        ApiCall("openai", model, (Message("user", "x" * size),), sample=n)
        for n, (model, size) in enumerate(sizes)
    ]

    def size(call: ApiCall) -> int:
        return len(call.messages[0].content)

    groups = list(split(calls, size, max_rows, max_bytes))
    assert sorted(c.sample for g in groups for c in g) == list(range(len(calls)))
    for group in groups:
        assert len({call.model for call in group}) == 1
        assert len(group) <= max_rows
        assert len(group) == 1 or sum(size(call) + 1 for call in group) <= max_bytes


@given(
    st.lists(st.text(st.characters(blacklist_categories=["Cs"]))),
    st.lists(st.integers(0, 50)),
    st.booleans(),
)
def test_lines_of_a_download_end_at_line_feeds_only(
    texts: list[str], cuts: list[int], closed: bool
) -> None:
    rows = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    data = ("\n".join(rows) + ("\n" if closed else "")).encode()

    async def chunks() -> AsyncIterator[bytes]:
        rest = data
        for cut in cuts:
            yield rest[:cut]
            rest = rest[cut:]
        yield rest

    async def read() -> list[Any]:
        return [json.loads(line)["text"] async for line in lines(chunks())]

    assert asyncio.run(read()) == texts


def test_a_call_comes_back_from_the_book_as_it_was() -> None:
    call = ApiCall("openai", "m", (Message("user", "a\u2028"),), schema="{}", order="BA")
    assert call_from(json.loads(json.dumps(asdict(call)))) == call
