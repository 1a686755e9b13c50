"""Stored choices: durable, one a pair and annotator, and readable as labels and as training rows."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.config import DataConfig
from rlpersona.errors import DataError
from rlpersona.preferences.reading import read_pairs
from rlpersona.preferences.sources import read_rows
from rlpersona.serving.choices import CHOICES, PREFERENCES, ChoiceBook, Seen, Side
from rlpersona.serving.playground import read_choice
from rlpersona.serving.wire import BadRequestError

ASKED = (("user", "What is 2 + 2?"),)
NESTED = json.loads("[" * 900 + "]" * 900)
SEEN = Seen(
    ASKED,
    Side("Four.", "persona:Marie Curie", "chatcmpl-1", "stop", {"persona": "Marie Curie"}),
    Side("Five.", "dose@40", "chatcmpl-2", "length", {"run": "dose", "step": 40}),
    "left",
    "ann",
    seconds=1.5,
)
WRITER = """
import sys
from pathlib import Path
from rlpersona.serving.choices import ChoiceBook, Seen, Side
book = ChoiceBook(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    asked = (("user", f"{sys.argv[2]} {number}"),)
    book.store(Seen(asked, Side("yes", "one"), Side("no" * 2000, "two"), "left", "ann"))
    print(asked[0][1], flush=True)
"""


def body(**changes: Any) -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "content": "Why?"}],
        "left": {"text": "So.", "model": "base", "id": "chatcmpl-1", "rlpersona": {"model": "nano"}},
        "right": {"text": "Thus.", "model": "persona:Marie Curie", "finish_reason": "stop"},
        "choice": "right",
    } | changes


def labels(folder: Path) -> dict[str, list[tuple[str, str | None]]]:
    found = read_pairs(folder / CHOICES)
    texts = {pair.id: {"a": pair.a, "b": pair.b} for pair in found.pairs}
    return {
        who: [(texts[label.pair].get(str(label.choice), ""), label.choice) for label in given]
        for who, given in found.labels.items()
    }


def training(folder: Path) -> list[dict[str, Any]]:
    return read_rows(DataConfig(source="jsonl", path=str(folder / PREFERENCES)), kind="pairs").rows


def test_a_choice_comes_back_as_a_label_and_as_a_training_row(tmp_path: Path) -> None:
    book = ChoiceBook(tmp_path)
    book.store(SEEN)
    second = replace(SEEN, messages=(("user", "And 3 + 3?"),), verdict="right")
    book.store(second)
    book.store(replace(SEEN, messages=(("user", "A tie?"),), verdict="tie"))
    book.store(replace(SEEN, messages=(("user", "Skipped?"),), verdict="skip"))
    assert [text for text, _ in labels(tmp_path)["ann"]] == ["Four.", "Five.", "", ""]
    assert [choice for _, choice in labels(tmp_path)["ann"]][2:] == ["tie", "skip"], "ties stay ties"
    pairs = {pair.prompt: pair for pair in read_pairs(tmp_path / CHOICES).pairs}
    pair = pairs["What is 2 + 2?"]
    assert {pair.a: pair.writer_a, pair.b: pair.writer_b} == {
        "Four.": "persona:Marie Curie",
        "Five.": "dose@40",
    }
    rows = [
        (row["prompt"][0]["content"], row["chosen"][0]["content"], row["rejected"][0]["content"])
        for row in training(tmp_path)
    ]
    assert rows == [("What is 2 + 2?", "Four.", "Five."), ("And 3 + 3?", "Five.", "Four.")]
    first = json.loads((tmp_path / CHOICES).read_text().splitlines()[0])
    side = "from_a" if first["a"] == "Five." else "from_b"
    assert first[side]["provenance"] == {"run": "dose", "step": 40}
    assert (first[side]["response"], first[side]["finish"]) == ("chatcmpl-2", "length")
    assert (first["seconds"], first["blind"]) == (1.5, False)
    assert first[first["left"]] == "Four."


def test_a_conversation_is_one_prompt_with_all_its_turns(tmp_path: Path) -> None:
    turns = (("user", "Hello"), ("assistant", "Hi"), ("user", "And now?"))
    ChoiceBook(tmp_path).store(replace(SEEN, messages=turns))
    assert (
        read_pairs(tmp_path / CHOICES).pairs[0].prompt
        == "User: Hello\n\nAssistant: Hi\n\nUser: And now?"
    )
    prompt = training(tmp_path)[0]["prompt"]
    assert [(turn["role"], turn["content"]) for turn in prompt] == list(turns)


@given(st.sampled_from(["left", "right"]), st.booleans(), st.text(min_size=1), st.text(min_size=1))
def test_which_side_stood_where_says_nothing_of_the_pair(
    verdict: Any, swapped: bool, one: str, two: str
) -> None:
    from rlpersona.serving.choices import _row

    sides = [Side(one, "one"), Side(two, "two")]
    if one == two:
        return
    seen = replace(SEEN, left=sides[0], right=sides[1], verdict=verdict)
    other = {"left": "right", "right": "left"}[verdict]
    turned = replace(SEEN, left=sides[1], right=sides[0], verdict=other)
    first, second = _row(seen, []), _row(turned, [])
    for column in ("id", "a", "b", "choice", "writer_a", "writer_b", "from_a"):
        assert first[column] == second[column]
    assert first[first["choice"]] == (one if verdict == "left" else two)
    assert {first["left"], second["left"]} == {"a", "b"}


def test_the_same_said_again_counts_once_and_the_last_word_stands(tmp_path: Path) -> None:
    book = ChoiceBook(tmp_path)
    for verdict in ("left", "left", "right", "tie", "right"):
        book.store(replace(SEEN, verdict=verdict))  # type: ignore[arg-type]
    assert labels(tmp_path) == {"ann": [("Five.", "ab"[_is_b(tmp_path, "Five.")])]}
    assert [row["chosen"][0]["content"] for row in training(tmp_path)] == ["Five."]
    book.store(replace(SEEN, annotator="bob"))
    assert {who: [text for text, _ in said] for who, said in labels(tmp_path).items()} == {
        "ann": ["Five."],
        "bob": ["Four."],
    }
    assert (tmp_path / PREFERENCES).read_text() == "", "two who disagree decide nothing"
    book.store(replace(SEEN, annotator="cyd"))
    assert [row["chosen"][0]["content"] for row in training(tmp_path)] == ["Four."], "the majority"
    assert sum(book.counts().values()) == 3


def test_steps_that_answer_alike_are_one_pair_whose_origins_are_told(tmp_path: Path) -> None:
    book = ChoiceBook(tmp_path)
    book.store(SEEN)
    later = replace(SEEN, right=replace(SEEN.right, model="dose@80"), annotator="bob")
    book.store(later)
    assert len(read_pairs(tmp_path / CHOICES).pairs) == 1
    origins = {row[side]["model"] for row in book.rows() for side in ("from_a", "from_b")}
    assert origins == {"persona:Marie Curie", "dose@40", "dose@80"}


def test_many_processes_and_threads_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: ChoiceBook(tmp_path).store(_numbered(n)), range(20)))
    writers = [_writer(tmp_path, name, 10) for name in ("x", "y")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert len(ChoiceBook(tmp_path).rows()) == 40
    assert len(training(tmp_path)) == 40


def test_a_killed_writer_loses_nothing_that_it_had_acknowledged(tmp_path: Path) -> None:
    told: set[str] = set()
    for turn, after in enumerate((2, 5, 9)):
        writer = _writer(tmp_path, f"turn{turn}", 10_000)
        assert writer.stdout is not None
        told |= {writer.stdout.readline().strip() for _ in range(after)}
        writer.send_signal(signal.SIGKILL)
        told |= {line for line in writer.stdout.read().split("\n") if line}
        writer.communicate()
    with (tmp_path / CHOICES).open("ab") as file:
        file.write(b'{"id": "torn')
    book = ChoiceBook(tmp_path)
    book.store(_numbered(1))
    asked = [row["prompt"] for row in book.rows()]
    assert len(asked) == len(set(asked))
    assert told <= set(asked)
    assert len(asked) <= len(told) + 4, "at most one for each kill that nobody was told of"
    assert len(training(tmp_path)) == len(asked)


def test_a_full_disk_is_said_and_leaves_what_was_there(tmp_path: Path) -> None:
    writer = _writer(tmp_path, "full", 10_000)
    assert writer.stdout is not None
    writer.stdout.readline()
    # The limit on the size of that process's files stands in for the disk's.
    resource.prlimit(writer.pid, resource.RLIMIT_FSIZE, (60_000, 60_000))
    told, _ = writer.communicate(timeout=60)
    assert writer.returncode != 0
    rows = ChoiceBook(tmp_path).rows()
    assert len(rows) >= len(told.split("\n"))
    assert (tmp_path / CHOICES).stat().st_size <= 60_000
    assert (tmp_path / CHOICES).read_bytes().endswith(b"\n")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / CHOICES).write_text('{"id": "x", "annotator": "y"}\n')
    with pytest.raises(DataError, match="line 1: not a choice"):
        ChoiceBook(tmp_path).store(SEEN)


def test_what_a_page_posts() -> None:
    seen = read_choice(body(annotator="ann", blind=True, seconds=2))
    assert seen == Seen(
        (("user", "Why?"),),
        Side("So.", "base", "chatcmpl-1", "", {"model": "nano"}),
        Side("Thus.", "persona:Marie Curie", "", "stop", {}),
        "right",
        "ann",
        True,
        2,
    )
    assert read_choice(body()).annotator == "playground"


def _turn(role: Any, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"messages": None}, "messages is missing"),
        ({"messages": "Why?"}, "messages is missing"),
        ({"messages": []}, "messages is missing"),
        ({"messages": [1]}, "no message of"),
        ({"messages": [_turn("user", 3)]}, "must be text"),
        ({"messages": [_turn("user", " ")]}, "does not end with a question"),
        ({"messages": [_turn("user", "x"), _turn("assistant", "y")]}, "does not end with a question"),
        ({"messages": [_turn("user", "\ud800")]}, "half a character"),
        ({"left": None}, "left is missing"),
        ({"left": {"text": "x"}}, "left.model' is missing"),
        ({"left": {"text": "", "model": "base"}}, "left has no text"),
        ({"left": {"text": "x\0", "model": "base"}}, "holds a NUL"),
        ({"left": {"text": "x", "model": "base", "rlpersona": [1]}}, "no small object"),
        ({"left": {"text": "x", "model": "base", "rlpersona": {"x": "y" * 9999}}}, "no small object"),
        ({"left": {"text": "x", "model": "base", "rlpersona": {"x": NESTED}}}, "no small object"),
        (
            {"left": {"text": "x", "model": "base", "rlpersona": {"x": float("nan")}}},
            "not JSON compliant",
        ),
        ({"left": {"text": "x", "model": "m" * 9999}}, "no small object"),
        ({"left": {"text": "Thus. ", "model": "base"}}, "Both answers are the same"),
        ({"choice": "both"}, "choice is none of"),
        ({"choice": ["left"]}, "choice is none of"),
        ({"annotator": "../ann"}, "annotator is no name"),
        ({"annotator": 7}, "annotator is no name"),
        ({"blind": "yes"}, "blind is neither"),
        ({"seconds": float("nan")}, "seconds is no number"),
        ({"seconds": True}, "seconds is no number"),
    ],
)
def test_what_is_no_choice_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        read_choice(body(**changes))
    assert reason in str(caught.value)


def _numbered(number: int) -> Seen:
    return replace(SEEN, messages=(("user", f"question {number}"),))


def _writer(folder: Path, name: str, number: int) -> subprocess.Popen[str]:
    command: Sequence[str] = [sys.executable, "-c", WRITER, str(folder), name, str(number)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _is_b(folder: Path, text: str) -> bool:
    return read_pairs(folder / CHOICES).pairs[0].b == text
