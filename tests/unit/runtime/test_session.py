"""What a start of Ray does where Ray itself fails, which cannot be brought about at will."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import ray

from rlpersona.runtime.session import STARTS, ray_session

SLOW = "The current node timed out during startup. This could happen because ..."


def failing(problems: Iterator[Exception | None], calls: list[int]) -> Any:
    def init(**_: object) -> None:
        calls.append(1)
        if problem := next(problems):
            raise problem

    return init


@pytest.mark.parametrize(
    ("problems", "calls", "raised"),
    [
        ([Exception(SLOW), None], 2, None),
        ([Exception(SLOW)] * STARTS, STARTS, SLOW),
        ([RuntimeError("no such thing")], 1, "no such thing"),
    ],
)
def test_a_start_that_took_too_long_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
    problems: list[Exception | None],
    calls: int,
    raised: str | None,
) -> None:
    made: list[int] = []
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "x" * 32)
    monkeypatch.setattr(ray, "init", failing(iter(problems), made))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    if raised is None:
        with ray_session():
            pass
    else:
        with pytest.raises(Exception, match=raised), ray_session():
            pass
    assert len(made) == calls
