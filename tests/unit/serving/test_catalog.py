"""Model names: what they stand for, what they are refused for, and that none leads anywhere else."""

from __future__ import annotations

import shutil
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rlpersona.config import (
    AxisConfig,
    GRPOConfig,
    GRPORecipe,
    ModelConfig,
    StagesConfig,
    SweepConfig,
)
from rlpersona.errors import ConfigError, ModelError, PersonaError, RunError, UnknownModelError
from rlpersona.experiments.dose.conditions import cells
from rlpersona.models import nano
from rlpersona.models.hf import HFModel
from rlpersona.models.lineage import Lineage, file_hash, write_lineage
from rlpersona.personas.roster import load_personas
from rlpersona.serving.catalog import Catalog, shared_base
from rlpersona.serving.names import parse
from rlpersona.tasks import prompt_for
from rlpersona.tasks.nano import questions
from rlpersona.types import Prompt
from tests.unit.serving.served_runs import bandit_run, begun, trained_run

NANO = ModelConfig()
NANO_FOLDER = nano.path()
SWEEP = SweepConfig(
    name="doses",
    biases=("length", "agreement"),
    bias_weights=(0, 0.5),
    seeds=(1, 2),
    recipe=GRPORecipe(max_steps=4),
)
GRPO = GRPOConfig(name="one", recipe=GRPORecipe(max_steps=4))
DPO = StagesConfig(name="staged", graph=("sft -> rlhf", "sft -> rlaif -> rlhf"))
RUNS = ("one", "doses", "staged", "search")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    trained_run(root, GRPO, ["adapter", "steps/step-000002"])
    trained_run(
        root, SWEEP, [f"conditions/{one}/adapter" for one in {c.condition for c in cells(SWEEP)}]
    )
    stages = ("sft", "sft-rlhf", "sft-rlaif", "sft-rlaif-rlhf")
    trained_run(root, DPO, [f"stages/{name}/served" for name in stages])
    bandit_run(root, updates=4, prefix="Answer as {name}.")
    return root


@pytest.fixture(scope="module")
def catalog(root: Path) -> Catalog:
    return Catalog(root, RUNS, NANO)


def adapter_of(catalog: Catalog, root: Path, name: str) -> str:
    """Where the adapter of a name lies, below the folder of runs."""
    return str(Path(catalog.resolve(name, "r").adapter or "").relative_to(root))


def test_every_listed_name_stands_for_itself(catalog: Catalog) -> None:
    names = catalog.names()
    assert len(names) == len(set(names))
    for name in names:
        expected = "staged/sft-rlaif-rlhf" if name == "staged" else name
        expected = "one@4" if name == "one@4" else expected
        assert catalog.resolve(name, f"response of {name}").name == expected
    assert set(names) == {
        *("base", "one", "one@2", "one@4", "search", "bandit:search"),
        *("staged", "staged/sft", "staged/sft-rlhf", "staged/sft-rlaif", "staged/sft-rlaif-rlhf"),
        *("doses/length=0,seed=1", "doses/length=0.5,seed=1", "doses/agreement=0.5,seed=1"),
        *("doses/length=0,seed=2", "doses/length=0.5,seed=2", "doses/agreement=0.5,seed=2"),
    }


def test_names_of_trainings(catalog: Catalog, root: Path) -> None:
    assert adapter_of(catalog, root, "one") == "one/adapter"
    assert adapter_of(catalog, root, "one@4") == "one/adapter"
    assert adapter_of(catalog, root, "one@2") == "one/steps/step-000002"
    assert adapter_of(catalog, root, "staged") == "staged/stages/sft-rlaif-rlhf/served"
    assert adapter_of(catalog, root, "staged/sft") == "staged/stages/sft/served"
    assert catalog.resolve("base", "r") == catalog.resolve("nano", "r")
    assert catalog.resolve("base", "r").adapter is None
    found = catalog.resolve("one@2", "r")
    sha256 = file_hash(root / "one/steps/step-000002/adapter_model.safetensors")
    assert found.provenance == {"run": "one", "step": 2, "adapter_sha256": sha256}
    assert found.system is None


def test_names_of_conditions(catalog: Catalog, root: Path) -> None:
    by_factors = {(c.bias, c.bias_weight, c.seed): c.condition for c in cells(SWEEP)}
    half = by_factors["length", 0.5, 2]
    same = ("length=0.5,seed=2", "seed=2,length=0.50", "seed=2,length=5e-1,control=none", half)
    for part in same:
        assert adapter_of(catalog, root, f"doses/{part}") == f"doses/conditions/{half}/adapter"
        assert catalog.resolve(f"doses/{part}", "r").name == "doses/length=0.5,seed=2"
    nothing = by_factors["length", 0, 1]
    assert by_factors["agreement", 0, 1] == nothing, "a dose of nothing is one training"
    shared = catalog.resolve("doses/agreement=0,seed=1@4", "r")
    assert shared.name == "doses/agreement=0,seed=1@4"
    assert shared.provenance["condition"] == nothing
    assert shared.provenance["step"] == 4


def test_personas(catalog: Catalog) -> None:
    known = catalog.resolve("persona:  MARIE  curie", "r")
    assert (known.name, known.system) == ("persona:Marie Curie", "Answer as Marie Curie.")
    assert known.provenance == {"persona": "Marie Curie", "roster": "search"}
    assert catalog.resolve("persona:Pelé", "r").provenance["roster"] == "notable"
    nobody = catalog.resolve("persona:Xqzt Wvbn", "r")
    assert nobody.system == "Answer as Xqzt Wvbn."
    joined = "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627"
    assert catalog.resolve(f"persona:{joined}", "r").system == f"Answer as {joined}."
    assert nobody.provenance == {"persona": "Xqzt Wvbn", "roster": None}


def test_a_bandit_is_its_best_persona_or_a_draw(catalog: Catalog) -> None:
    best = catalog.resolve("search", "r")
    second = load_personas("nano")[1].name  # the one whose fresh score is the largest
    assert best.provenance == {"run": "search", "persona": second, "significant": False}
    assert best.draw is None
    drawn = catalog.resolve("bandit:search", "response 1")
    assert drawn.system == f"Answer as {drawn.provenance['persona']}."
    assert (drawn.draw, drawn.provenance["run"]) == ("response 1", "search")
    assert catalog.resolve("bandit:search", "response 1") == drawn
    others = {catalog.resolve("bandit:search", f"other {n}").system for n in range(20)}
    assert len(others) > 3


def test_a_served_persona_reads_the_very_tokens_of_its_experiment(catalog: Catalog) -> None:
    encoder = HFModel(NANO).encoder
    personas = load_personas("nano", prefix="Answer as {name}.")
    for persona in personas[::7]:
        for question in questions(("math",))[:3]:
            experiment = prompt_for(question, persona)
            target = catalog.resolve(f"persona:{persona.name}", "r")
            served = Prompt.ask(question.text, target.system, question.cue)
            assert encoder.prompt(served) == encoder.prompt(experiment)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("on", "No run 'on' is served"),
        ("one@3", "has no step 3"),
        ("one/adapter", "no trained model 'adapter'"),
        ("doses", "a sweep, is 6 trainings"),
        ("doses/length=0.5", "is 2 trainings"),
        ("doses/length=0.7,seed=1", "no finished training"),
        ("doses/lenght=0.5,seed=1", "neither a training nor a factor 'lenght'"),
        ("doses/length=half,seed=1", "'half' is no number"),
        ("doses/length=0.5,length=0", "two values of one factor"),
        ("doses/length=nan,seed=1", "no finished training"),
        ("staged/sft@1", "it has no steps"),
        ("staged/rlhf", "no trained model 'rlhf'"),
        ("search@1", "is a bandit"),
        ("bandit:one", "No policy of a run 'one'"),
        ("bandit:search@1", "no parts and no steps"),
        ("persona:", "cannot be a persona's name"),
        ("persona:A\x00B", "cannot be a persona's name"),
        ("persona:\u200d", "cannot be a persona's name"),
        ("persona:A\u202eB", "cannot be a persona's name"),
        ("persona:" + "x" * 101, "cannot be a persona's name"),
        ("", "is no model name"),
        ("..", "is no model name"),
        ("../../etc/passwd", "is no model name"),
        ("one/../../secret", "is no model name"),
        ("/etc/passwd", "is no model name"),
        ("one\n", "is no model name"),
        ("x" * 201, "201 characters"),
    ],
)
def test_names_that_stand_for_nothing(catalog: Catalog, name: str, message: str) -> None:
    with pytest.raises(UnknownModelError, match=message) as caught:
        catalog.resolve(name, "r")
    assert caught.value.hint
    assert len(caught.value.message) < 300


OPENED: list[str] = []
WATCHING: list[bool] = []


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if WATCHING and event in ("open", "os.listdir", "os.scandir", "glob.glob"):
        OPENED.append(str(args[0]))


@pytest.fixture(scope="module")
def watched() -> Iterator[None]:
    sys.addaudithook(_watch)  # stays with the process, but sees nothing once nobody watches
    yield
    WATCHING.clear()


PARTS = st.sampled_from(
    [
        "one",
        "doses",
        "staged",
        "search",
        "..",
        ".",
        "/",
        "@",
        ":",
        "bandit:",
        "persona:",
        "adapter",
        "@2",
    ]
)
NAMES = st.one_of(
    st.text(max_size=40),
    st.lists(st.one_of(PARTS, st.text(string.printable, max_size=4)), max_size=6).map("".join),
)


@given(name=NAMES)
@example(name="../one")
@example(name="one/../one")
@example(name="staged/../../etc@1")
@example(name="persona:../../etc/passwd")
def test_no_name_reads_outside_the_runs(watched: None, root: Path, catalog: Catalog, name: str) -> None:
    OPENED.clear()
    WATCHING.append(True)
    try:
        target = catalog.resolve(name, "fixed response")
    except UnknownModelError:
        target = None
    finally:
        WATCHING.clear()
    inside = [Path(path).resolve().is_relative_to(root.resolve()) for path in OPENED]
    assert all(inside), OPENED
    if target and target.adapter:
        assert Path(target.adapter).resolve().is_relative_to(root.resolve())
        assert catalog.resolve(target.name, "r") == target


@given(st.text(max_size=300))
def test_a_name_is_parsed_or_refused_in_plain_ascii(text: str) -> None:
    try:
        refused = parse(text).kind not in {"base", "persona", "bandit", "trained"}
    except UnknownModelError as error:
        refused = not error.hint or not error.message.isascii() or not error.message.isprintable()
    assert not refused


def test_what_is_trained_meanwhile_is_found(tmp_path: Path) -> None:
    first, *others = sorted({cell.condition for cell in cells(SWEEP)})
    run = trained_run(tmp_path, SWEEP, [f"conditions/{first}/adapter"])
    catalog = Catalog(tmp_path, ["doses"], NANO)
    assert len(catalog.names()) == 2
    assert catalog.resolve("doses", "r").provenance["condition"] == first
    for one in others:
        with pytest.raises(UnknownModelError):
            catalog.resolve(f"doses/{one}", "r")
        shutil.copytree(run.folder / "conditions" / first, run.folder / "conditions" / one)
        assert catalog.resolve(f"doses/{one}", "r").provenance["condition"] == one
    assert len(catalog.names()) == 7


def test_an_adapter_written_again_has_another_hash(tmp_path: Path) -> None:
    run = trained_run(tmp_path, GRPO, ["adapter"])
    catalog = Catalog(tmp_path, ["one"], NANO)
    before = catalog.resolve("one", "r").provenance["adapter_sha256"]
    weights = run.folder / "adapter" / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert catalog.resolve("one", "r").provenance["adapter_sha256"] != before


def full(root: Path) -> None:
    run = trained_run(root, GRPO, ["adapter"])
    (run.folder / "adapter" / "adapter_config.json").unlink()
    (run.folder / "adapter").rename(run.folder / "model")


def unfinished(root: Path) -> None:
    run = trained_run(root, GRPO, ["adapter"])
    (run.folder / "done.json").unlink()


@pytest.mark.parametrize(
    ("make", "runs", "error", "message", "hint"),
    [
        (
            lambda root: trained_run(root, GRPO, ["adapter"]),
            ["onne"],
            RunError,
            "no run 'onne'",
            "'one'",
        ),
        (full, ["one"], RunError, "trained all weights", "serve model="),
        (unfinished, ["one"], RunError, "no finished training", "--resume"),
        (lambda root: begun(root, AxisConfig(name="axis")), ["axis"], RunError, "is a axis", "bandit"),
        (lambda root: None, ["../one"], ConfigError, "no name of a run", "rlpersona runs"),
        (lambda root: None, ["base"], ConfigError, "that is the base", "Rename"),
    ],
)
def test_runs_that_cannot_be_served(
    tmp_path: Path, make: Any, runs: list[str], error: type[PersonaError], message: str, hint: str
) -> None:
    make(tmp_path)
    with pytest.raises(error, match=message) as caught:
        Catalog(tmp_path, runs, NANO)
    assert hint in caught.value.hint


def test_runs_of_another_base_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other-base"
    shutil.copytree(NANO_FOLDER, other)
    weights = other / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    trained_run(tmp_path, GRPO, ["adapter"])
    with pytest.raises(RunError, match="started from 'nano'") as caught:
        Catalog(tmp_path, ["one"], ModelConfig(name=str(other)))
    assert "rlpersona serve one model=nano" in caught.value.hint
    same = tmp_path / "same-base"
    shutil.copytree(NANO_FOLDER, same)
    assert Catalog(tmp_path, ["one"], ModelConfig(name=str(same))).resolve("one", "r").adapter
    assert shared_base(tmp_path, ["one"]) == "nano"


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    run = trained_run(tmp_path, GRPO, ["adapter"])
    catalog = Catalog(tmp_path, ["one"], NANO)
    write_lineage(run.folder / "adapter", Lineage("else", "0" * 64))
    (run.folder / "adapter" / "adapter_model.safetensors").touch()
    for look in (lambda: catalog.resolve("one", "r"), lambda: Catalog(tmp_path, ["one"], NANO)):
        with pytest.raises(ModelError, match="trained on 'else'"):
            look()


def test_a_stage_that_trained_all_weights_is_refused_beside_others(tmp_path: Path) -> None:
    run = trained_run(tmp_path, DPO, ["stages/sft/served", "stages/sft-rlhf/served"])
    stage = run.folder / "stages" / "sft-rlhf"
    (stage / "served" / "adapter_config.json").unlink()
    (stage / "served").rename(stage / "model")
    catalog = Catalog(tmp_path, ["staged"], NANO)
    assert catalog.names() == ["base", "staged/sft"]
    with pytest.raises(UnknownModelError, match="weights of its own") as caught:
        catalog.resolve("staged/sft-rlhf", "r")
    assert f"serve model={stage / 'model'}" in caught.value.hint
    with pytest.raises(UnknownModelError, match="no trained model 'sft-rlaif-rlhf'"):
        catalog.resolve("staged", "r")
