"""The benchmarks, one file each: a module here that defines `BENCHMARK` is one, under its file name."""

from __future__ import annotations

import importlib
import pkgutil

from rlpersona.tasks.benchmark import Benchmark


def names() -> list[str]:
    """Every benchmark that has a file here, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def get(name: str) -> Benchmark:
    """The benchmark of that name, which must be among `names()`."""
    benchmark = importlib.import_module(f"{__name__}.{name}").BENCHMARK
    assert isinstance(benchmark, Benchmark)
    return benchmark
