"""Formats of training data: what each row becomes, and the line of each that becomes none."""

from __future__ import annotations

import contextlib
import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.config.stages import DataConfig
from rlpersona.errors import ConfigError, DataError
from rlpersona.preferences.sources import Rows, read_rows
from rlpersona.preferences.sources.hh_rlhf import dialogue
from rlpersona.preferences.sources.persuasionforgood import OPENING

USER = {"role": "user", "content": "Why?"}
PLAIN = {"prompt": "Why?", "chosen": "So.", "rejected": "Thus."}


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


CHAT = {"prompt": [USER], "chosen": said("So."), "rejected": said("Thus.")}


def read(path: Path, rows: list[Any] | str, kind: str = "pairs", **settings: Any) -> Rows:
    """The rows of a JSONL file of `rows`."""
    text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    config = DataConfig(**{"source": "jsonl", "path": str(path), **settings})
    return read_rows(config, kind=kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "row",
    [
        PLAIN,
        CHAT,
        {"chosen": [USER, *said("So.")], "rejected": [USER, *said("Thus.")]},
        {"prompt": [USER], "chosen": "So.", "rejected": "Thus."},
        {"prompt": "Why?", "chosen": said("So."), "rejected": said("Thus.")},
        {"prompt": "Why?", "chosen": [USER, *said("So.")], "rejected": [USER, *said("Thus.")]},
    ],
)
def test_every_form_of_a_pair_is_the_same_pair(tmp_path: Path, row: dict[str, Any]) -> None:
    found = read(tmp_path / "p.jsonl", [row])
    (kept,) = found.rows
    assert {key: kept[key] for key in ("prompt", "chosen", "rejected")} == CHAT
    assert kept["id"] == read(tmp_path / "q.jsonl", [PLAIN]).rows[0]["id"]
    assert found.counts == {"read": 1, "kept": 1}
    learnt = read(tmp_path / "c.jsonl", [row], "completions").rows[0]
    assert learnt["completion"] == said("So.")
    assert "rejected" not in learnt


def test_completions(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Why?", "completion": "So.", "id": 7},
        {"prompt": [{"role": "system", "content": "Be short."}, USER], "completion": said("So.")},
    ]
    found = read(tmp_path / "c.jsonl", rows, "completions").rows
    assert found[0] == {"prompt": [USER], "completion": said("So."), "id": "7"}
    assert [turn["role"] for turn in found[1]["prompt"]] == ["system", "user"]


TWO = [USER, *said("So."), USER, *said("So.")]
BAD = [
    ({"prompt": "x", "chosen": "y"}, "'rejected' is missing"),
    ({"chosen": "y", "rejected": "z"}, "'prompt' is missing"),
    ({"prompt": 3, "chosen": "y", "rejected": "z"}, "'prompt' must be text or a list of messages"),
    ({"prompt": "x", "chosen": 1.5, "rejected": "z"}, "'chosen' must be text or a list of messages"),
    ({"prompt": "x", "chosen": ["y"], "rejected": "z"}, "'chosen' holds what is no message"),
    ({"prompt": "x", "chosen": [], "rejected": "z"}, "'chosen' does not end with a message of the ass"),
    ({"prompt": "x", "chosen": [USER], "rejected": "z"}, "'chosen' does not end with a message"),
    (
        {"prompt": [USER], "chosen": TWO, "rejected": "z"},
        "'chosen' must be one message of the assistant",
    ),
    ({"prompt": [{"role": "bot", "content": "x"}], "chosen": "y", "rejected": "z"}, "is no message of"),
    ({"prompt": [{"role": "user"}], "chosen": "y", "rejected": "z"}, "'prompt' is missing"),
    ({"chosen": TWO, "rejected": [USER, *said("So")]}, "answer different prompts"),
    ({"prompt": "x\0", "chosen": "y", "rejected": "z"}, "'prompt' holds a NUL or half a character"),
    ({"prompt": "x", "chosen": "\ud800", "rejected": "z"}, "'chosen' holds a NUL or half a character"),
]


@pytest.mark.parametrize(("row", "reason"), BAD)
def test_rows_that_are_none_are_refused_by_line(
    tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "p.jsonl"
    with pytest.raises(DataError, match=r"(?s)1 of 3 rows .*line 2: .*") as caught:
        read(path, [PLAIN, row, {**PLAIN, "prompt": "Last?"}])
    assert reason in caught.value.message
    found = read(path, [PLAIN, row, {**PLAIN, "prompt": "Last?"}], bad_rows="quarantine")
    assert len(found.rows) == 2
    assert [(r.place, r.flaw) for r in found.rejected] == [(f"{path}, line 2", "malformed")]
    assert reason in found.rejected[0].reason


def test_broken_lines_and_other_kinds_of_file(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    torn = json.dumps(PLAIN) + "\n\n" + '{"prompt": "x", "chos'
    with pytest.raises(DataError, match="line 3"):
        read(path, torn)
    found = read(path, torn, bad_rows="quarantine")
    assert found.counts == {"read": 2, "kept": 1, "malformed": 1}
    assert found.rejected[0].place == f"{path}, line 3"

    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress(json.dumps(PLAIN).encode()))
    (tmp_path / "p.json").write_text(json.dumps({"train": [PLAIN], "test": [PLAIN, PLAIN]}))
    pd.DataFrame([CHAT]).to_parquet(tmp_path / "p.parquet")
    (tmp_path / "p.csv").write_text("prompt,chosen,rejected\nWhy?,So.,Thus.\n")
    for name in ("p.jsonl.gz", "p.json:train", "p.parquet", "p.csv"):
        config = DataConfig(source="jsonl", path=str(tmp_path / name))
        kept = read_rows(config, kind="pairs").rows[0]
        assert {key: kept[key] for key in ("prompt", "chosen", "rejected")} == CHAT, name
    with pytest.raises(DataError, match="no such file"):
        read_rows(DataConfig(source="jsonl", path=str(tmp_path / "none.jsonl")), kind="pairs")


def test_a_file_without_a_usable_row_is_refused_in_either_way(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it is empty"):
        read(tmp_path / "p.jsonl", "\n")
    same = {**PLAIN, "rejected": "So."}
    with pytest.raises(DataError, match=r"no usable row of 2 \(2 chosen = rejected\)"):
        read(tmp_path / "p.jsonl", [same, same], bad_rows="quarantine")


def test_a_limit_is_a_sample_that_grows(tmp_path: Path) -> None:
    rows = [{**PLAIN, "prompt": f"Question {k}?"} for k in range(60)]
    ids = {}
    for limit in (10, 30):
        found = read(tmp_path / "p.jsonl", rows, limit=limit)
        ids[limit] = [row["id"] for row in found.rows]
        assert found.counts == {"read": 60, "kept": limit, "over the limit": 60 - limit}
    whole = [row["id"] for row in read(tmp_path / "p.jsonl", rows).rows]
    assert set(ids[10]) < set(ids[30])
    assert ids[30] == [name for name in whole if name in set(ids[30])]
    assert ids[30] != whole[:30]
    turned = read(tmp_path / "p.jsonl", rows[::-1], limit=30)
    assert {row["id"] for row in turned.rows} == set(ids[30]), "the sample hangs on content, not place"


def test_a_dialogue_of_hh_rlhf(tmp_path: Path) -> None:
    begin = "\n\nHuman: Hi\n\nAssistant: Hello. \n\n1. a list\n\nHuman:  Bad\n\nAssistant:"
    rows = [
        {"chosen": f"{begin} Sorry.", "rejected": f"{begin} Good!"},
        {"chosen": f"{begin} A.", "rejected": f"{begin}"},
        {"chosen": f"{begin} A.\n\nAssistant: B.", "rejected": f"{begin} C."},
        {"chosen": "Hi", "rejected": "Hi"},
        {"chosen": f"{begin} A.\n\nHuman: B", "rejected": f"{begin} A.\n\nHuman: B"},
        {"chosen": "\n\nAssistant: Hi", "rejected": "\n\nAssistant: No"},
    ]
    found = read(tmp_path / "hh.jsonl", rows, source="hh_rlhf", bad_rows="quarantine")
    (kept,) = found.rows
    assert kept["prompt"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello. \n\n1. a list"},
        {"role": "user", "content": "Bad"},
    ]
    assert (kept["chosen"], kept["rejected"]) == (said("Sorry."), said("Good!"))
    told = {row.place.rpartition(" ")[2]: row.reason for row in found.rejected}
    assert told == {
        "2": "the rejected answer is empty",
        "3": "the dialogues part before the last answer",
        "4": "'chosen' does not begin with '\\n\\nHuman:'",
        "5": "'chosen' does not end with a turn of the assistant",
        "6": "'chosen' does not begin with '\\n\\nHuman:'",
    }


def test_one_speakers_adjacent_turns_in_a_prompt_are_joined(tmp_path: Path) -> None:
    begin = "\n\nHuman: Hi\n\nAssistant: One.\n\nAssistant: Two.\n\nHuman: Go\n\nAssistant:"
    row = {"chosen": f"{begin} A", "rejected": f"{begin} B"}
    (kept,) = read(tmp_path / "hh.jsonl", [row], source="hh_rlhf").rows
    assert [turn["content"] for turn in kept["prompt"]] == ["Hi", "One.\n\nTwo.", "Go"]


turn = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20).filter(
    lambda text: "\n\nHuman:" not in text and "\n\nAssistant:" not in text and text.strip()
)


@given(st.lists(turn, min_size=2, max_size=6).filter(lambda turns: len(turns) % 2 == 0))
def test_a_dialogue_is_read_as_it_was_written(turns: list[str]) -> None:
    marks = ("\n\nHuman: ", "\n\nAssistant: ")
    text = "".join(marks[k % 2] + part for k, part in enumerate(turns))
    assert dialogue(text) == tuple(
        (("user", "assistant")[k % 2], part.strip()) for k, part in enumerate(turns)
    )


def test_scores_of_ultrafeedback(tmp_path: Path) -> None:
    def scored(k: int, chosen: object, rejected: object) -> dict[str, object]:
        return {
            "prompt": f"Question {k}?",
            "chosen": [{"role": "user", "content": f"Question {k}?"}, *said("So.")],
            "rejected": [{"role": "user", "content": f"Question {k}?"}, *said("Thus.")],
            "score_chosen": chosen,
            "score_rejected": rejected,
        }

    rows = [
        scored(1, 9.0, 8),
        scored(2, 8.0, 8),
        scored(3, 7, 8),
        scored(4, None, 8),
        {**PLAIN, "metadata": {"score_chosen": 5, "score_rejected": 5.0}},
    ]
    path = tmp_path / "u.jsonl"
    found = read(path, rows, source="ultrafeedback", bad_rows="quarantine")
    assert [row["prompt"][0]["content"] for row in found.rows] == ["Question 1?", "Question 4?"]
    assert {row.place.rpartition(" ")[2]: row.flaw for row in found.rejected} == {
        "2": "tied",
        "3": "malformed",
        "5": "tied",
    }
    assert len(read(path, rows, "completions", source="ultrafeedback").rows) == 5


def table(path: Path, *rows: tuple[str, str, str]) -> Path:
    frame = pd.DataFrame([(r[0], 0, r[1], r[2]) for r in rows], columns=["Unit", "Turn", "B4", "B2"])
    frame.to_csv(path)
    return path


def test_turns_of_a_persuader(tmp_path: Path) -> None:
    path = table(
        tmp_path / "d.csv",
        *[("Hi!", "0", "x"), ("Hello", "1", "x"), ("Give.", "0", "x"), ("No", "1", "x")],
        *[("Hi!", "0", "y"), ("You, hi", "1", "y"), ("", "0", "y"), ("?", "1", "y"), ("So", "0", "y")],
        *[("Well", "1", "z"), ("Hm", "0", "z"), ("x", "2", "w")],
    )
    config = DataConfig(source="persuasionforgood", path=str(path), bad_rows="quarantine")
    found = read_rows(config, kind="completions")
    chats = {row["id"]: [turn["content"] for turn in row["prompt"]] for row in found.rows}
    assert chats == {
        "x-1": [OPENING],
        "x-2": [OPENING, "Hi!", "Hello"],
        "y-1": [OPENING],
        "z-1": [f"{OPENING}\n\nWell"],
    }
    assert [row["completion"][0]["content"] for row in found.rows] == ["Hi!", "Give.", "Hi!", "Hm"]
    told = {row.place.rpartition(" ")[2]: row.reason for row in found.rejected}
    assert told == {
        "8": "'Unit' is empty",
        "9": f"follows {path}, line 8, which cannot be read",
        "10": f"follows {path}, line 8, which cannot be read",
        "13": "'B4' is '2': neither 0 (persuader) nor 1 (persuadee)",
    }
    with pytest.raises(ConfigError, match="no pairs"):
        read_rows(config, kind="pairs")


def test_labels_of_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "first" / "dpo" / "ann"
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_text(json.dumps(CHAT | {"id": "7"}) + "\n")
    config = DataConfig(source="label", path="first/ann")
    assert read_rows(config, kind="pairs", runs=tmp_path).rows == [CHAT | {"id": "7"}]
    with pytest.raises(DataError, match="'bob'") as caught:
        read_rows(DataConfig(source="label", path="first/bob"), kind="pairs", runs=tmp_path)
    assert caught.value.hint == "Known: ann."
    with pytest.raises(DataError) as caught:
        read_rows(DataConfig(source="label", path="second/bob"), kind="pairs", runs=tmp_path)
    assert "label split second" in caught.value.hint
    with pytest.raises(ConfigError, match="names no labels"):
        read_rows(DataConfig(source="label", path="first"), kind="pairs", runs=tmp_path)


def test_sources_that_cannot_be_read() -> None:
    with pytest.raises(ConfigError, match="made by a model"):
        read_rows(DataConfig(), kind="pairs")
    with pytest.raises(ConfigError, match=r"needs data\.path"):
        read_rows(DataConfig(source="jsonl"), kind="pairs")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from(["user", "So."]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
columns = ["prompt", "chosen", "rejected", "completion", "id", "metadata", "B2", "B4", "Unit"]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from(columns), values, max_size=5), max_size=4),
    st.sampled_from(["jsonl", "hh_rlhf", "ultrafeedback", "persuasionforgood"]),
)
def test_any_rows_are_read_or_set_aside(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], source: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "p.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = DataConfig(source=source, path=str(path), bad_rows="quarantine")  # type: ignore[arg-type]
    kind = "completions" if source == "persuasionforgood" else "pairs"
    with contextlib.suppress(DataError):
        found = read_rows(config, kind=kind)  # type: ignore[arg-type]
        assert found.counts["kept"] == len(found.rows)
        for row in found.rows:
            json.dumps(row, ensure_ascii=False).encode()
