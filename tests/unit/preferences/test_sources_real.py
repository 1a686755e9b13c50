"""The real files, where they are: every count beside one that is made without the code under test."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rlpersona.config.stages import DataConfig
from rlpersona.errors import DataError
from rlpersona.preferences.sources import Rows, read_rows


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().split("\n") if line]


def read(source: str, path: Path, kind: str = "pairs", **settings: Any) -> Rows:
    config = DataConfig(source=source, path=str(path), bad_rows="quarantine")  # type: ignore[arg-type]
    return read_rows(config, kind=kind, **settings)  # type: ignore[arg-type]


def lines(rows: Rows, flaw: str) -> list[int]:
    """The lines that were set aside for a flaw, by number."""
    return sorted(int(r.place.rpartition(" ")[2]) for r in rows.rejected if r.flaw == flaw)


def test_real_hh_rlhf(shared_data: Path) -> None:
    path = shared_data / "hh_rlhf" / "harmless-base_test.jsonl.gz"
    found, raw = read("hh_rlhf", path), lines_of(path)
    assert len(raw) == 2312

    def last(text: str) -> str:
        return text[text.rfind("\n\nAssistant:") + len("\n\nAssistant:") :].strip()

    def before(text: str) -> str:
        return text[: text.rfind("\n\nAssistant:")]

    empty = [k for k, row in enumerate(raw, 1) if not last(row["chosen"])]
    parted = [k for k, row in enumerate(raw, 1) if before(row["chosen"]) != before(row["rejected"])]
    assert empty == lines(found, "empty") == [87, 517, 926, 1104]
    assert parted == lines(found, "malformed") == [1255, 1689, 1951, 1953, 2037]
    assert found.counts == {"read": 2312, "kept": 2303, "empty": 4, "malformed": 5}

    sound = [row for k, row in enumerate(raw, 1) if k not in {*empty, *parted}]
    for row, kept in zip(sound, found.rows, strict=True):
        assert kept["chosen"] == [{"role": "assistant", "content": last(row["chosen"])}]
        assert kept["rejected"] == [{"role": "assistant", "content": last(row["rejected"])}]
        roles = [turn["role"] for turn in kept["prompt"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        # Nothing of the dialogue is lost or made up.
        text = re.sub(r"\n\n(Human|Assistant):", " ", before(row["chosen"])).split()
        assert [word for turn in kept["prompt"] for word in turn["content"].split()] == text


def test_the_evaluations_prompts_are_kept_out_of_hh_rlhf(shared_data: Path) -> None:
    """200 prompts drawn from the same data by others: the last human turn of a dialogue."""
    folder = shared_data / "hh_rlhf"
    drawn = json.loads(gzip.decompress((folder / "eval_prompts.json.gz").read_bytes()))
    prompts = [row["prompt"] for row in drawn]
    path = folder / "harmless-base_test.jsonl.gz"
    found = read("hh_rlhf", path, held_out=prompts)
    known = {" ".join(prompt.lower().split()) for prompt in prompts}

    def asked(row: dict[str, Any]) -> str:
        human = row["chosen"][: row["chosen"].rfind("\n\nAssistant:")]
        return " ".join(human[human.rfind("\n\nHuman:") + len("\n\nHuman:") :].lower().split())

    expected = {k for k, row in enumerate(lines_of(path), 1) if asked(row) in known}
    assert expected
    others = set(lines(found, "empty")) | set(lines(found, "malformed"))
    assert set(lines(found, "in the evaluation")) == expected - others
    assert not {" ".join(r["prompt"][-1]["content"].lower().split()) for r in found.rows} & known


@pytest.mark.parametrize(
    ("name", "same", "empty", "tied"),
    [("train", [307, 656, 911, 998], [479, 834], 110), ("eval", [44], [], 24)],
)
def test_real_ultrafeedback(
    shared_data: Path, name: str, same: list[int], empty: list[int], tied: int
) -> None:
    path = shared_data / "ultrafeedback" / f"{name}_clean.jsonl.gz"
    found, raw = read("ultrafeedback", path), lines_of(path)
    counted: dict[str, list[int]] = {"empty": [], "chosen = rejected": [], "tied": []}
    for k, row in enumerate(raw, 1):
        if not (row["chosen"].strip() and row["rejected"].strip()):
            counted["empty"].append(k)
        elif row["chosen"] == row["rejected"]:
            counted["chosen = rejected"].append(k)
        elif row["metadata"]["score_chosen"] == row["metadata"]["score_rejected"]:
            counted["tied"].append(k)
    assert (counted["chosen = rejected"], counted["empty"], len(counted["tied"])) == (same, empty, tied)
    assert {flaw: lines(found, flaw) for flaw in counted} == counted
    aside = {k for places in counted.values() for k in places}
    kept = [row for k, row in enumerate(raw, 1) if k not in aside]
    assert found.counts["kept"] == len(kept) == len(raw) - len(aside)
    for row, made in zip(kept, found.rows, strict=True):
        assert made["prompt"] == [{"role": "user", "content": row["prompt"]}]
        answers = made["chosen"][0]["content"], made["rejected"][0]["content"]
        assert answers == (row["chosen"], row["rejected"])
    refused = DataConfig(source="ultrafeedback", path=str(path))
    with pytest.raises(DataError, match=rf"{len(aside)} of [\d,]+ rows cannot be used"):
        read_rows(refused, kind="pairs")


def test_the_messages_of_the_hub_are_the_same_rows(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "ultrafeedback" / "eval_clean.jsonl.gz"
    hub = []
    for row in lines_of(path):
        user = {"role": "user", "content": row["prompt"]}
        sides = {
            side: [user, {"role": "assistant", "content": row[side]}] for side in ("chosen", "rejected")
        }
        hub.append({"prompt": row["prompt"], **sides, **row["metadata"]})
    (tmp_path / "hub.jsonl").write_text("".join(json.dumps(row) + "\n" for row in hub))
    assert read("ultrafeedback", tmp_path / "hub.jsonl").rows == read("ultrafeedback", path).rows


def test_real_persuasionforgood(shared_data: Path) -> None:
    path = shared_data / "persuasionforgood" / "full_dialog.csv.gz"
    found = read("persuasionforgood", path, "completions")
    text = gzip.decompress(path.read_bytes()).decode()
    raw = list(csv.DictReader(io.StringIO(text, newline="")))
    assert (len(raw), len({row["B2"] for row in raw})) == (20932, 1017)
    persuaders = [row for row in raw if row["B4"] == "0"]
    assert (
        found.counts
        == {"read": len(persuaders), "kept": len(persuaders)}
        == {
            "read": 10600,
            "kept": 10600,
        }
    )
    for row, kept in zip(persuaders, found.rows, strict=True):
        assert kept["completion"][0]["content"] == row["Unit"].strip()
        assert kept["id"].startswith(row["B2"])
    turns = Counter(len(kept["prompt"]) for kept in found.rows)
    assert turns[1] == 1017, "each dialogue has one first turn"
    assert all(number % 2 for number in turns), "prompts end with the other's turn"
    third = found.rows[2]["prompt"]
    assert [turn["content"] for turn in third[1:]] == [row["Unit"].strip() for row in raw[:4]]
