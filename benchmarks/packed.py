"""A sweep in packs, beside the same trainings one at a time in our sweep, and by bare TRL.

    python benchmarks/packed.py [--steps 24] [--packs 1,2,4,8,15]

Nano, two CPUs, one thread a training, whole trainings of the `nano-length` sweep: its doses, more seeds.

- Packs: the training part of `rlpersona sweep packed=K`, two packs at a time, for each K.
- Sweep: the same with packed=false: two trials at a time in processes that are used again.
- Bare TRL: GRPOTrainer in a process of its own for each condition, one after another, as a shell script
  would start it. It logs nothing and keeps no checkpoint.

Ray's start is in the time of the first two. Prints conditions an hour, and their ratio. Then one pack of
each size alone in a process, a few steps: its peak memory, and where its time goes. Bars: at K = 8 at
least 3 times as many conditions an hour as the sweep and 5 times as bare TRL, and at most twice the
memory of K = 1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import sweep

from rlpersona.config import SweepConfig
from rlpersona.experiments.dose.conditions import conditions
from rlpersona.experiments.dose.sweep import Inputs, load_sweep, train
from rlpersona.presets.sweep import nano_length
from rlpersona.runtime.session import ray_session
from rlpersona.store import opened

SEEDS = (1, 2, 3, 4, 5, 6)
DOSES = (0.3, 0.5, 0.1, 1.0, 0.0)  # so that the first few have about the mean dose of all
SWEEP, BARE, PACKS = 10, 3, 2  # conditions of each way; packs of each size
PROFILED = 4  # steps of the pack whose memory and time are looked at
FASTER = {"sweep": 3.0, "bare TRL": 5.0}
LARGER = 2.0
AT = 8  # conditions of the pack that the bars are about


def config_of(steps: int, packed: int | bool = False) -> SweepConfig:
    """The preset with more seeds, `steps` updates each."""
    plain = nano_length()
    recipe = plain.recipe.model_copy(update={"max_steps": steps, "checkpoint_every": 12})
    return plain.model_copy(
        update={
            "name": "packs",
            "recipe": recipe,
            "bias_weights": DOSES,
            "seeds": SEEDS,
            "at_once": 2,
            "packed": packed,
        }
    )


def conditions_of(config: SweepConfig, count: int) -> Inputs:
    """The first conditions of the sweep: all doses of one seed, then of the next."""
    inputs = load_sweep(config)
    return Inputs(inputs.conditions[:count], inputs.suite)


def as_sweep(config: SweepConfig, count: int) -> float:
    """Conditions an hour of the sweep's training part, Ray's start included."""
    inputs = conditions_of(config, count)

    def work() -> None:
        with (
            tempfile.TemporaryDirectory() as folder,
            opened(Path(folder), config) as run,
            ray_session(cpus=2),
        ):
            train(config, inputs, run)

    return per_hour(count, work)


def in_processes(steps: int) -> float:
    """Conditions an hour of bare TRL, a process each, one after another."""
    script = Path(__file__).with_name("sweep.py")
    chosen = conditions(sweep.config_of(steps))[:BARE]

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            for one in chosen:
                command = [sys.executable, str(script), "--steps", str(steps), "--bare", one.id]
                run_process([*command, "--out", str(Path(folder) / one.id)])

    return per_hour(len(chosen), work)


def per_hour(count: int, work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return 3600 * count / (time.perf_counter() - began)


def run_process(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def alone(count: int) -> None:
    """One pack in this process: prints its peak memory and the seconds of its parts as JSON."""
    import torch

    from rlpersona.experiments.dose.grpo import located
    from rlpersona.training.checkpoints import LocalCheckpoints
    from rlpersona.training.grpo import GRPOJob
    from rlpersona.training.packed import rollouts, stack
    from rlpersona.training.packed.train import train_packed
    from rlpersona.training.start import Start

    torch.set_num_threads(1)
    config = config_of(PROFILED)
    inputs = conditions_of(config, count)
    inner: dict[str, float] = {}
    for module, name, part in (
        (stack, "add_adapters", "adapters"),
        (stack, "add_gradients", "adapters"),
        (rollouts, "draw", "drawing"),
    ):
        setattr(module, name, timed(getattr(module, name), inner, part))
    times: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        jobs = [
            GRPOJob(
                located(one.config),
                Start(one.config.model),
                inputs.suite.train,
                (),
                Path(folder) / one.id,
            )
            for one in inputs.conditions
        ]
        train_packed(jobs, LocalCheckpoints(Path(folder) / "kept"), times=times)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak": peak, "times": times, "inner": inner}))


def timed(work: Callable[..., Any], into: dict[str, float], name: str) -> Callable[..., Any]:
    """The same function, its seconds added up."""

    def measured(*given: Any) -> Any:
        began = time.perf_counter()
        try:
            return work(*given)
        finally:
            into[name] = into.get(name, 0.0) + time.perf_counter() - began

    return measured


def ways(steps: int, sizes: Sequence[int]) -> Iterator[tuple[str, int, Callable[[], float]]]:
    """What is compared: a name, how many conditions, and what measures their rate."""
    yield "bare TRL", BARE, partial(in_processes, steps)
    yield "sweep", SWEEP, partial(as_sweep, config_of(steps), SWEEP)
    for size in sizes:
        yield f"packs of {size}", PACKS * size, partial(as_sweep, config_of(steps, size), PACKS * size)


def look_inside(sizes: Sequence[int]) -> dict[int, float]:
    """Print memory and shares of time of a pack of each size; the peaks."""
    print(f"\n{PROFILED} steps of one pack in a process of its own; shares of its time in %")
    parts = ("completions", "reference", "loss", "rewards", "optimizer")
    print(f"{'K':<5}{'peak MB':>8}" + "".join(f"{name:>13}" for name in (*parts, "adapters", "drawing")))
    peaks = {}
    for size in sizes:
        found = json.loads(
            run_process([sys.executable, __file__, "--alone", str(size)]).splitlines()[-1]
        )
        whole = sum(found["times"].values())
        values = [found["times"].get(name, 0.0) for name in parts]
        values += [found["inner"].get(name, 0.0) for name in ("adapters", "drawing")]
        shares = "".join(f"{100 * value / whole:>13.1f}" for value in values)
        print(f"{size:<5}{found['peak'] / 1e6:>8.0f}{shares}", flush=True)
        peaks[size] = found["peak"]
    print(
        "adapters and drawing are parts of the first three; what is left of those is the base's passes"
    )
    return peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--packs", default="1,2,4,8,15")
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        alone(options.alone)
        return
    sizes = [int(size) for size in options.packs.split(",")]
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    print(f"conditions of {options.steps} steps")
    print(f"{'':<16}{'conditions':>11}{'an hour':>9}{'of sweep':>10}{'of bare':>9}", flush=True)
    rates: dict[str, float] = {}
    for name, count, work in ways(options.steps, sizes):
        rates[name] = work()
        ratios = [f"{rates[name] / rates[other]:.2f}" if other in rates else "" for other in FASTER]
        print(f"{name:<16}{count:>11}{rates[name]:>9.0f}{ratios[0]:>10}{ratios[1]:>9}", flush=True)
    peaks = look_inside(sizes)
    if {1, AT} <= peaks.keys():
        packs = f"packs of {AT}"
        for other, bar in FASTER.items():
            ratio = rates[packs] / rates[other]
            print(f"{packs} / {other}: {ratio:.1f} (bar: {bar:g}): {said(ratio >= bar)}")
        ratio = peaks[AT] / peaks[1]
        print(f"memory of {packs} / of 1: {ratio:.2f} (bar: {LARGER:g}): {said(ratio <= LARGER)}")


def said(ok: bool) -> str:
    return "ok" if ok else "NO"


if __name__ == "__main__":
    main()
