"""Threads that wait for work which Ray does elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

T = TypeVar("T")


def in_thread(work: Callable[..., T], *given: object) -> Future[T]:
    """`work(*given)` in a thread that ends with the process: Ctrl-C need not wait for a training.

    An executor of the standard library joins its threads before the process may end.
    """
    end: Future[T] = Future()
    threading.Thread(target=_run, args=(end, partial(work, *given)), daemon=True).start()
    return end


def _run(end: Future[T], work: Callable[[], T]) -> None:
    try:
        end.set_result(work())
    except BaseException as error:  # raised again by whoever asks for the result
        end.set_exception(error)
