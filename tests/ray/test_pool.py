"""Replicas in real Ray actors, some of them killed with SIGKILL."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest

from rlpersona.config import ModelConfig
from rlpersona.errors import ModelError, ReplicaError
from rlpersona.models import load_model
from rlpersona.runtime.model import PooledModel
from rlpersona.runtime.pool import ReplicaPool
from rlpersona.runtime.session import ray_session
from rlpersona.types import Prompt, Sampling


class Worker:
    """What a replica holds."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    def square(self, x: int, seconds: float = 0) -> int:
        time.sleep(seconds)
        return x * x

    def where(self, seconds: float) -> int:
        time.sleep(seconds)
        return os.getpid()

    def refuse(self, x: int) -> int:
        if x == 3:
            raise ModelError(f"no {x}", "take another")
        return x

    def die_once(self, x: int) -> int:
        assert self.folder is not None
        mark = self.folder / "died"
        if x == 5 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    def die(self, x: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return x

    def odd_error(self) -> None:
        class Odd(Exception):
            def __reduce__(self) -> str:
                raise TypeError("not to be sent")

        raise Odd("odd")


@pytest.fixture(scope="module")
def pool() -> Iterator[ReplicaPool[Worker]]:
    with ReplicaPool(Worker, replicas=2, cpus=0.25, in_flight=2) as pool:
        yield pool


def test_results_come_in_the_order_of_the_parts(pool: ReplicaPool[Worker]) -> None:
    parts = [(x, 0.02 if x % 7 == 0 else 0) for x in range(60)]
    seen: list[int] = []
    results = pool.map("square", parts, lambda index, result: seen.append(index))
    assert results == [x * x for x in range(60)]
    assert sorted(seen) == list(range(60))
    assert pool.map("square", []) == []


def test_parts_are_taken_only_as_replicas_get_free(pool: ReplicaPool[Worker]) -> None:
    taken = done = most = 0

    def parts() -> Iterator[tuple[int, float]]:
        nonlocal taken, most
        for x in range(30):
            taken += 1
            most = max(most, taken - done)
            yield x, 0.005

    for _ in pool.stream("square", parts()):
        done += 1
    assert (taken, done) == (30, 30)
    assert most <= 2 * 2 + 1  # two replicas, two parts each, and the one just taken


def test_both_replicas_work_and_are_processes_of_their_own(pool: ReplicaPool[Worker]) -> None:
    assert len(set(pool.pids())) == 2
    assert os.getpid() not in pool.pids()
    assert set(pool.map("where", [(0.2,)] * 10)) == set(pool.pids())


def test_an_error_in_the_method_travels_as_itself(pool: ReplicaPool[Worker]) -> None:
    with pytest.raises(ModelError, match="no 3") as caught:
        pool.map("refuse", [(x,) for x in range(50)])
    assert type(caught.value) is ModelError
    assert caught.value.hint == "take another"
    assert "in refuse" in "".join(caught.value.__notes__)
    with pytest.raises(RuntimeError, match="Odd: odd"):
        pool.map("odd_error", [()])
    assert pool.map("square", [(4,)]) == [16]


def test_a_caller_may_stop_early_and_no_replica_is_lost_over_it(pool: ReplicaPool[Worker]) -> None:
    before = pool.pids()
    for _ in range(60):
        for index, _ in pool.stream("square", ((x,) for x in range(10**9))):
            if index > 20:
                break
        assert pool.map("square", [(x,) for x in range(5)]) == [0, 1, 4, 9, 16]
    assert pool.pids() == before


def test_threads_share_the_replicas_and_none_gets_anothers_results(pool: ReplicaPool[Worker]) -> None:
    def work(start: int) -> list[int]:
        return pool.map("square", ((x, 0.02) for x in range(start, start + 5)))

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(work, range(0, 40, 5)))
    assert results == [[x * x for x in range(start, start + 5)] for start in range(0, 40, 5)]


def test_single_parts_of_several_threads_go_to_different_replicas(pool: ReplicaPool[Worker]) -> None:
    together = Barrier(2)

    def work(seconds: float) -> list[int]:
        together.wait()
        return pool.map("where", [(seconds,)])

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(work, (3.0, 3.0))
    assert first != second


def test_threads_that_see_one_replica_die_replace_it_once(tmp_path: Path) -> None:
    with ReplicaPool(partial(Worker, tmp_path), replicas=1, cpus=0.25, max_restarts=1) as pool:

        def work(start: int) -> list[int]:
            return pool.map("die_once", [(x,) for x in range(start, start + 4)])

        with ThreadPoolExecutor(2) as threads:
            assert list(threads.map(work, (4, 8))) == [[4, 5, 6, 7], [8, 9, 10, 11]]


def test_a_replica_killed_in_mid_work_is_replaced_and_its_work_redone() -> None:
    with ReplicaPool(Worker, replicas=2, cpus=0.25) as pool:
        first = pool.pids()

        def kill(index: int, _: object) -> None:
            if index == 10:
                os.kill(first[0], signal.SIGKILL)

        results = pool.map("square", [(x, 0.02) for x in range(100)], kill)
        assert results == [x * x for x in range(100)]
        assert first[0] not in pool.pids()
        assert first[1] in pool.pids()


def test_a_part_that_kills_its_replica_is_done_again(tmp_path: Path) -> None:
    with ReplicaPool(lambda: Worker(tmp_path), replicas=1, cpus=0.25) as pool:
        assert pool.map("die_once", [(x,) for x in range(10)]) == list(range(10))


def test_too_many_deaths_end_in_an_error() -> None:
    with (
        ReplicaPool(Worker, replicas=1, cpus=0.25, max_restarts=1) as pool,
        pytest.raises(ReplicaError, match="2 replicas died, 1 may"),
    ):
        pool.map("die", [(1,)])


def test_an_error_while_a_replica_is_made_travels_as_itself() -> None:
    config = ModelConfig(name="./no/such/model", cpus_per_replica=0.25)
    with pytest.raises(ModelError, match="no such folder"):
        PooledModel(config)


def test_more_replicas_than_the_machine_has_room_for() -> None:
    with pytest.raises(ReplicaError, match=r"do not fit|did not come up"):
        ReplicaPool(Worker, replicas=50, cpus=1, start_timeout=3)


NAMES = ("Marie Curie", "William Shakespeare", "John Smith", "a pirate")
TEXTS = ("What is the capital of France?", "What is 3 + 4?", "Who are you?", "Name a colour.", "Hello?")
PROMPTS = [Prompt.ask(text, f"You are {name}.") for name in NAMES for text in TEXTS]
CHOICES = [("red", "Paris", "7 of them")] * len(PROMPTS)
SAMPLED = Sampling(max_tokens=16, temperature=1.0, seed=2, offset=3)


@pytest.fixture(scope="module")
def model() -> Iterator[PooledModel]:
    model = PooledModel(ModelConfig(chunk=3, replicas=2, cpus_per_replica=0.25))
    yield model
    model.close()


def test_a_pooled_model_gives_the_same_however_many_replicas_it_has(model: PooledModel) -> None:
    done: list[int] = []
    alone = PooledModel(ModelConfig(chunk=3, replicas=1, cpus_per_replica=0.25), on_done=done.append)
    drawn = alone.generate(PROMPTS, SAMPLED)
    assert drawn == model.generate(PROMPTS, SAMPLED)
    assert alone.score_choices(PROMPTS, CHOICES) == model.score_choices(PROMPTS, CHOICES)
    assert sum(done) == 2 * len(PROMPTS)
    alone.close()
    here = load_model(ModelConfig())
    assert [c.token_ids for c in here.generate(PROMPTS, SAMPLED)] == [c.token_ids for c in drawn]


def test_a_model_replica_killed_in_mid_work_changes_no_result(model: PooledModel) -> None:
    undisturbed = model.generate(PROMPTS * 3, SAMPLED)
    victim, done = model.pool.pids()[0], 0

    def kill(count: int) -> None:
        nonlocal done
        if done == 0:
            os.kill(victim, signal.SIGKILL)
        done += count

    model.on_done = kill
    assert model.generate(PROMPTS * 3, SAMPLED) == undisturbed
    assert victim not in model.pool.pids()
    assert done == len(undisturbed)


def test_a_session_inside_another_joins_it_and_leaves_it_running() -> None:
    import ray

    with ray_session(address="nowhere:1"):
        nodes = ray.nodes()
    assert ray.is_initialized()
    assert ray.nodes() == nodes
