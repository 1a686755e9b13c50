"""The graph of stages: order, names, references, writers, shared rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.config import DataConfig, DPOStage, SFTStage, StagesConfig
from rlpersona.errors import ConfigError
from rlpersona.experiments.stages.graph import Node, nodes
from rlpersona.resolve import resolve

TWO_BRANCHES = ("sft -> rlhf", "sft -> rlaif -> rlhf")


def graph(*paths: str, **stages: Any) -> dict[str, Node]:
    plain = {"sft": SFTStage(), "rlaif": DPOStage(), "rlhf": DPOStage()} | stages
    used = {name for path in paths for name in path.split(" -> ")}
    config = StagesConfig(graph=paths, stages={k: v for k, v in plain.items() if k in used})
    return {node.name: node for node in nodes(config)}


def test_paths_that_begin_alike_share_their_beginning_and_parents_come_first() -> None:
    found = graph(*TWO_BRANCHES)
    assert list(found) == ["sft", "sft-rlhf", "sft-rlaif", "sft-rlaif-rlhf"]
    assert [node.parent for node in found.values()] == ["base", "sft", "sft", "sft-rlaif"]
    assert found["sft-rlaif-rlhf"].path == ("sft", "rlaif", "rlhf")
    assert found["sft"].needs == set()


def test_the_reference_is_the_sft_model_unless_another_is_named() -> None:
    found = graph(*TWO_BRANCHES)
    assert found["sft"].reference == ""
    assert found["sft-rlaif-rlhf"].reference == "sft"
    assert found["sft-rlaif-rlhf"].needs == {"sft", "sft-rlaif"}
    for named, reference in {"parent": "sft-rlaif", "base": "base", "rlaif": "sft-rlaif"}.items():
        found = graph("sft -> rlaif -> rlhf", rlhf=DPOStage(reference=named))
        assert found["sft-rlaif-rlhf"].reference == reference
    assert graph("rlaif -> rlhf")["rlaif-rlhf"].reference == "rlaif", "no sft above: the parent"


def test_a_stage_in_two_branches_has_the_same_rows_where_they_do_not_depend_on_the_branch() -> None:
    by_sft = graph(*TWO_BRANCHES, rlhf=DPOStage(data=DataConfig(by="sft")))
    assert by_sft["sft-rlhf"].data == by_sft["sft-rlaif-rlhf"].data == "sft-rlhf"
    assert by_sft["sft-rlaif-rlhf"].writer == "sft"
    files = graph(*TWO_BRANCHES, rlhf=DPOStage(data=DataConfig(source="jsonl", path="x.jsonl")))
    assert files["sft-rlhf"].data == files["sft-rlaif-rlhf"].data
    assert files["sft-rlaif-rlhf"].writer == ""
    by_parent = graph(*TWO_BRANCHES)
    assert by_parent["sft-rlhf"].data != by_parent["sft-rlaif-rlhf"].data
    assert by_parent["sft-rlhf"].data != by_parent["sft-rlaif"].data, "two stages, two draws"


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (DPOStage(reference="rlaif"), r"stages\.rlhf\.reference=rlaif: no such stage .*base -> sft"),
        (DPOStage(data=DataConfig(by="rlhf")), r"stages\.rlhf\.data\.by=rlhf: no such stage"),
    ],
)
def test_a_stage_that_does_not_stand_above_is_refused(stage: DPOStage, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        graph("sft -> rlhf", rlhf=stage)
    assert "sft" in caught.value.hint


def test_a_stage_that_no_path_uses_is_refused_if_somebody_has_set_it() -> None:
    with pytest.raises(ConfigError, match="No path of the graph uses rlaif"):
        nodes(StagesConfig(graph=("sft",), stages={"rlaif": DPOStage(reference="parent")}))


def test_a_stage_without_settings_has_those_of_its_name() -> None:
    config = StagesConfig(graph=("sft -> best",), stages={"best": {"data": {"answers": 3}}})
    assert config.stages == {"sft": SFTStage(), "best": DPOStage(data=DataConfig(answers=3))}
    assert list(StagesConfig().stages) == ["sft", "dpo"]


def test_a_saved_config_laid_over_the_defaults_is_itself_again(tmp_path: Path) -> None:
    saved = StagesConfig(graph=("sft -> rlhf",), stages={"rlhf": DPOStage(reference="base")})
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(saved.model_dump(mode="json")))
    assert resolve(StagesConfig(), [file]) == saved


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), min_size=1, max_size=5))
def test_any_graph_is_a_tree_in_which_needs_come_first(paths: list[list[str]]) -> None:
    used = {name: DPOStage() for path in paths for name in path}
    config = StagesConfig(graph=tuple(" -> ".join(path) for path in paths), stages=used)
    seen: set[str] = set()
    for node in nodes(config):
        assert node.needs <= seen
        assert node.name not in seen
        seen.add(node.name)
    assert seen == {"-".join(path[:depth]) for path in paths for depth in range(1, len(path) + 1)}
