"""A whole bandit run: wall time, evaluations a second, peak memory of all its processes.

    python benchmarks/bandit_job.py [PRESET] [key=value ...]

Runs `rlpersona bandit tenthousand` (10,000 personas, 200,000 evaluations) in a folder of its own, Ray's
start and the fresh measurement included. Beside it: the same model asked one prompt at a time in a
plain loop, as scripts do, on a sample of the same questions. Memory is the proportional set size summed
over the processes, sampled twice a second, so that shared pages count once.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import psutil

from rlpersona.commands.bandit import bandit_config
from rlpersona.experiments.bandit.inputs import load_inputs
from rlpersona.models import load_model
from rlpersona.store import SUMMARY, Run
from rlpersona.tasks import prompt_for

SAMPLE = 200


def memory(process: psutil.Process) -> int:
    """Bytes held by a process and all below it."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def run(words: list[str], root: Path) -> tuple[float, int]:
    """Wall seconds and peak bytes of a whole run."""
    began, peak = time.perf_counter(), 0
    command = [sys.executable, "-m", "rlpersona.cli", "bandit", *words, "--runs", str(root)]
    with (root / "log").open("w") as log:
        process = psutil.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        while process.poll() is None:
            peak = max(peak, memory(process))
            time.sleep(0.5)
    if process.returncode:
        raise SystemExit((root / "log").read_text())
    return time.perf_counter() - began, peak


def loop(words: list[str]) -> float:
    """Evaluations a second of one prompt at a time, on a sample."""
    config = bandit_config(tuple(words))
    inputs = load_inputs(config)
    model = load_model(inputs.model)
    people, asked = inputs.personas, inputs.search
    pairs = [(people[k % len(people)], asked[k % len(asked)]) for k in range(SAMPLE)]
    began = time.perf_counter()
    for persona, question in pairs:
        for choice in question.choices:
            model.score_choices([prompt_for(question, persona)], [(choice,)])
    return SAMPLE / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", default=["tenthousand"])
    words = parser.parse_args().what
    config = bandit_config(tuple(words))
    with tempfile.TemporaryDirectory() as folder:
        seconds, peak = run([*words, "name=job"], Path(folder))
        summary = Run(Path(folder) / "job").read_json(SUMMARY)
    naive = loop(words)
    rate = summary["evaluations"] / summary["seconds"]
    lines = [
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        f"{summary['personas']:,} personas, {summary['evaluations']:,} evaluations, {config.algorithm}",
        f"whole run            {seconds:8.0f} s, of which the search {summary['seconds']:.0f} s",
        f"peak memory          {peak / 2**30:8.2f} GB, all processes",
        f"search               {rate:8.0f} evaluations/s",
        f"one prompt at a time {naive:8.0f} evaluations/s: the search is {rate / naive:.1f} x as fast",
    ]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
