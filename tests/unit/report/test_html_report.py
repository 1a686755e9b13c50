"""The page: what it says, that it is safe, self-contained and the same every time."""

from __future__ import annotations

import errno
import html
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlpersona.errors import RunError, StorageError
from rlpersona.report.data import read_run
from rlpersona.report.html import random_gains, write_report
from tests.unit.report.run_folders import interval, make_full_run, make_run

HOSTILE = [
    "<script>alert(1)</script>",
    "محمد بن موسى الخوارزمي",
    "👩‍🔬 Émilie du Châtelet $\\frac{1}{0",
    "A very long title of a most serene margravine, " * 6 + "X" * 120,
    '"><img src=x onerror=alert(1)>',
    "]]></svg><svg onload=alert(1)> {{ 7 * 7 }}",
    "\x1b[2J\u202eevil\x00",
    "https://example.org/x.js",
]
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; fails where a tag is closed that is not open."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.text += " "
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " "

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data.replace("\u00a0", " ")

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def assert_safe(page: Page, raw: str) -> None:
    """No script, no handler, nothing to load, and only ids that are unique."""
    assert not {tag for tag, _ in page.tags} & {
        "script", "iframe", "object", "embed", "link", "img", "image", "form", "base",
    }  # fmt: skip
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"href", "xlink:href", "src"}:
                assert (value or "").startswith("#")
            if not name.startswith("xmlns") and name not in {"aria-label"}:
                assert "http" not in (value or "")
    assert not re.search(r"url\((?!#)", raw)
    assert "@import" not in raw


def test_page_says_what_was_found(tmp_path: Path) -> None:
    path = write_report(make_run(tmp_path / "planted"))
    page = Page(path)
    assert path == tmp_path / "planted" / "report.html"
    assert_safe(page, path.read_text())
    assert "Isaac Newton answers better than no persona." in page.words
    assert "gain confirmed on fresh questions" in page.words
    assert "95 % interval [+12.5, +21.5], 400 questions; p (Holm) 0.001" in page.words
    assert "52.0 % [48.0, 56.0]" in page.words
    assert "90 / 30 / 280" in page.words
    assert "as if it drew from about 14 of 200 personas alike" in page.words
    assert "In training 6 of 7,680 answers were left out." in page.words
    assert "random personas (5) 500 20 4.0 %" in page.words
    assert "20 × no answer found in 'I <b>refuse</b>'" in page.words
    assert "git checkout 0123456789abcdef0123456789abcdef01234567" in page.words
    assert "rlpersona bandit runs/planted/config.yaml name=planted-again" in page.words
    assert "packages.torch 2.13.0" in page.words
    assert "lr: 0.1" in page.text
    assert len([tag for tag, _ in page.tags if tag == "svg"]) == 6


def test_verdict_comes_before_every_other_number(tmp_path: Path) -> None:
    words = Page(write_report(make_run(tmp_path / "run"))).words
    assert words.index("answers better than no persona") < words.index("%")


def test_null_world_confirms_nothing(tmp_path: Path) -> None:
    verdict = "No persona is shown to be better: the best gains +1.0 points."
    run = make_run(tmp_path / "null", gains=(-0.02, 0.01), verdict=verdict, significant=False)
    words = Page(write_report(run)).words
    assert "No persona is shown to be better the best gains +1.0 points." in words
    assert "no gain confirmed" in words
    assert "gain confirmed on fresh" not in words
    # The greatest gain is spoken of, although the policy preferred another persona.
    assert "Gain of the best winner +1.0 pp Marie Curie: 95 %" in words


def test_nothing_scored_is_not_measured_and_never_zero(tmp_path: Path) -> None:
    run = make_run(tmp_path / "silent", scored=False, verdict="Nothing could be measured.")
    words = Page(write_report(run)).words
    assert "Nothing could be measured." in words
    assert "? not measured" in words
    assert "No persona, same questions not measured" in words
    assert "0.0 pp" not in words
    assert "0 / 0 / 0" not in words
    for label in ("no persona control", "Isaac Newton scholar, physics", "random personas comparison"):
        assert f"{label} not measured" in words


def test_no_winners_no_rounds_no_random(tmp_path: Path) -> None:
    run = make_run(tmp_path / "bare", gains=(), random=None, random_gain=None, null_maximum=None)
    (run / "metrics.jsonl").write_text("")
    words = Page(write_report(run)).words
    assert "No persona was measured again" in words
    assert "Best by luck alone" not in words


def test_one_persona(tmp_path: Path) -> None:
    words = Page(write_report(make_run(tmp_path / "one", names=["Solo"], gains=(0.1,)))).words
    assert "1 persona on nano world" in words
    assert "carry no group, field or era" in words


def test_ten_thousand_personas_stay_a_small_page(tmp_path: Path) -> None:
    run = make_run(tmp_path / "many", names=[f"Person {i}" for i in range(10_000)])
    path = write_report(run)
    assert path.stat().st_size < 300_000
    assert "The first 20 of 10,000" in Page(path).words
    full = make_full_run(tmp_path / "full", names=[f"Person {i}" for i in range(10_000)])
    assert write_report(full).stat().st_size < 400_000


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    names = [*HOSTILE, *(f"P{i}" for i in range(12))]
    gains = tuple(0.02 * i for i in range(len(HOSTILE)))
    path = write_report(make_run(tmp_path / "hostile", names=names, gains=gains, model=HOSTILE[4]))
    raw, page = path.read_text(encoding="utf-8"), Page(path)
    assert_safe(page, raw)
    assert "<script" not in raw
    assert "\x1b" not in raw
    assert "\u202e" not in raw
    assert "{{ 7 * 7 }}" in page.text  # a template is not run inside a name
    for name in HOSTILE[:6]:
        assert page.words.count(" ".join(name.split())) >= 1, name


def test_everything_that_was_measured_is_on_the_page(tmp_path: Path) -> None:
    path = write_report(make_full_run(tmp_path / "full"))
    page = Page(path)
    assert_safe(page, path.read_text())
    # winners beside prefixes that name nobody
    assert (
        "Its gain over nonsense names +15.0 pp 95 % interval [+11.0, +19.0], 400 questions" in page.words
    )
    assert "empty name control 52.5 % [48.5, 56.5] +0.5 pp [-3.5, +4.5] 0.600" in page.words
    assert "nonsense names control 53.0 % +1.0 pp [-3.0, +5.0] 0.410" in page.words
    assert "Shown to lie within 3 pp of no persona (two one-sided tests): Ada Lovelace" in page.words
    assert "+6.0 pp [+1.5, +10.5] equivalent" in page.words
    # other benchmarks
    assert "hellaswag , 100 questions persona accuracy" in page.words
    assert "Isaac Newton 47.0 % [43.0, 51.0] +7.0 pp [-1.0, +15.0] 0.090 0.030" in page.words
    assert "scholar 20.0 % 90.0 % 26 60" in page.words
    assert "layman 80.0 % 10.0 % never never" in page.words
    # training, and what could not be scored where
    assert "12 / 8 / 20" in page.words
    assert "best of equal personas by luck alone" in page.words
    assert "nonsense names (2) 200 0 0.0 %" in page.words
    assert "transfer to hellaswag (1) 100 100 100.0 %" in page.words
    assert "100 × too long" in page.words
    assert "The null maximum is +7.5 pp." in page.words
    assert len([tag for tag, _ in page.tags if tag == "svg"]) == 8


def test_the_answers_on_other_benchmarks_are_kept_apart(tmp_path: Path) -> None:
    plain, full = read_run(make_run(tmp_path / "a")), read_run(make_full_run(tmp_path / "b"))
    assert set(full.validation["benchmark"]) == {"nano world"}
    assert list(full.elsewhere["benchmark"].unique()) == ["hellaswag", "gsm8k"]
    assert plain.elsewhere.empty
    assert random_gains(full.validation) == random_gains(plain.validation)


def test_baselines_alone_make_a_page(tmp_path: Path) -> None:
    verdict = "Baselines only: without a persona 52.0 % of 400 fresh questions are answered right."
    run = make_full_run(
        tmp_path / "base", winners=[], rounds=0, evaluations=0, significant=False, equivalent=False,
        null_maximum=None, transfer=[], verdict=verdict,
    )  # fmt: skip
    (run / "metrics.jsonl").unlink()
    personas = pd.read_parquet(run / "personas.parquet").assign(evaluations=0, reward=None)
    personas.to_parquet(run / "personas.parquet")
    answers = pd.read_parquet(run / "validation.parquet")
    answers[answers["role"] != "winner"].to_parquet(run / "validation.parquet")
    page = Page(write_report(run))
    assert "baselines only: nothing was searched" in page.words
    assert "nonsense names, together" in page.words
    for heading in ("How did it learn?", "Who led in training?", "Where did the policy go?"):
        assert heading not in page.words


def test_a_skipped_baseline_shows_accuracies_and_no_gain(tmp_path: Path) -> None:
    newton = {"persona": "Isaac Newton", "accuracy": interval(0.69), "training_reward": 0.8}
    winners = [newton | dict.fromkeys(("gain", "p", "p_holm"))]
    run = make_run(
        tmp_path / "skip", gains=(0.1,), winners=winners, control=None, random_gain=None,
        significant=False, verdict="No baseline was measured: Isaac Newton answers 69.0 %.",
    )  # fmt: skip
    answers = pd.read_parquet(run / "validation.parquet")
    answers[answers["role"] != "control"].to_parquet(run / "validation.parquet")
    page = Page(write_report(run))
    assert "no baseline, so no gain to confirm" in page.words
    assert "no gain confirmed" not in page.words
    assert "accuracy on fresh questions" in page.words
    assert "69.0 % [65.0, 73.0]" in page.words
    assert "was not measured, so there is no gain over it" in page.words
    assert page.words.count("not measured") == 1
    assert "No persona, same questions" not in page.words


def test_equivalence_is_the_badge_where_it_is_shown(tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "same", verdict="No persona matters here: all alike.", significant=False,
        equivalent=True, margin=0.03,
    )  # fmt: skip
    words = Page(write_report(run)).words
    assert "shown to be no different from no persona" in words
    assert words.startswith(
        "same: nano world Persona bandit · run same No persona matters here all alike."
    )


def test_hostile_text_in_every_field_stays_text(tmp_path: Path) -> None:
    run = make_full_run(tmp_path / "run", plan=HOSTILE)
    for name in ("metrics.jsonl", "summary.json"):
        content = (run / name).read_text()
        for word, hostile in zip(
            ("hellaswag", "scholar", "gsm8k"), HOSTILE[:1] * 2 + HOSTILE[4:5], strict=True
        ):
            content = content.replace(word, json.dumps(hostile)[1:-1])
        (run / name).write_text(content)
    path = write_report(run)
    assert_safe(Page(path), path.read_text(encoding="utf-8"))
    assert "<script" not in path.read_text(encoding="utf-8")


def test_long_names_are_whole_in_the_figures(tmp_path: Path) -> None:
    name = "Her Serene Highness " + "the Margravine of Brandenburg-Bayreuth " * 4 + "Z" * 70
    path = write_report(make_run(tmp_path / "long", names=[name, "B"], gains=(0.1,)))
    picture = re.search(r'<svg[^>]*aria-label="Gain of.*?</svg>', path.read_text(), re.DOTALL)
    assert picture
    drawn = "".join(html.unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", picture[0]))
    assert "".join(name.split()) in "".join(drawn.split())


def test_probability_rewards_are_not_held_against_accuracy(tmp_path: Path) -> None:
    words = Page(write_report(make_run(tmp_path / "soft", reward="probability"))).words
    assert "How much of the training result was luck?" not in words
    assert "in training (probability)" in words
    assert "probability of the right answer, which cannot be held against the accuracy" in words


def test_guessing_is_said_on_the_page(tmp_path: Path) -> None:
    known = write_report(make_run(tmp_path / "known", chance=0.25))
    guessed = write_report(make_run(tmp_path / "guessed", chance=0.9))
    assert "better than by guessing (90.0 %)" in Page(guessed).words
    assert "by guessing" not in Page(known).words


def test_narrow_screens_hide_the_kind_and_show_where_a_table_goes_on(tmp_path: Path) -> None:
    path = write_report(make_run(tmp_path / "run"))
    raw = path.read_text(encoding="utf-8")
    narrow = raw[raw.index("@media (max-width: 40rem)") :].partition("@media print")[0]
    assert ".kind { display: none; }" in narrow
    assert "var(--shade), transparent) right / 1rem 100% no-repeat scroll" in raw
    hidden = [attributes for tag, attributes in Page(path).tags if attributes.get("class") == "kind"]
    assert len(hidden) == 1 + 3 + 2  # the heading, the winners, what they are held against


def test_same_folder_same_bytes(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first


def test_random_gains_are_paired_by_question() -> None:
    rows = [
        (None, "control", "q1", 1.0), (None, "control", "q2", 0.0), (None, "control", "q3", None),
        ("A", "random", "q1", 1.0), ("A", "random", "q2", 1.0), ("A", "random", "q3", 1.0),
        ("B", "random", "q1", 0.0), ("B", "random", "q2", None), ("C", "random", "q3", 1.0),
        ("W", "winner", "q1", 1.0),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["persona", "role", "question", "reward"])
    assert random_gains(table) == [("A", 0.5), ("B", -1.0)]


@pytest.mark.parametrize(
    "name",
    [
        "config.yaml",
        "provenance.json",
        "metrics.jsonl",
        "personas.parquet",
        "validation.parquet",
        "summary.json",
    ],
)
def test_missing_and_torn_files_are_named(tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path / "run")
    content = (run / name).read_bytes()
    (run / name).unlink()
    with pytest.raises(RunError, match=re.escape(name)) as missing:
        write_report(run)
    assert "--resume" in missing.value.hint
    if name != "config.yaml":
        (run / name).write_bytes(content[: len(content) // 2 + 3])
        with pytest.raises(RunError, match=re.escape(name)):
            write_report(run)
    assert not (run / "report.html").exists()


def test_wrong_fields_are_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | {"winners": [{"gain": None}]}))
    with pytest.raises(RunError, match=r"winners\.0\.persona"):
        write_report(run)
    (run / "summary.json").write_text(json.dumps(summary))
    pd.DataFrame({"name": ["A"]}).to_parquet(run / "personas.parquet")
    with pytest.raises(RunError, match="lacks the column group"):
        write_report(run)
    with pytest.raises(RunError, match="no run folder"):
        write_report(tmp_path / "elsewhere")


def test_a_full_disk_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = make_run(tmp_path / "run")
    before = write_report(run).read_bytes()
    (run / "config.yaml").write_text("changed: true\n")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_report(run)
    assert (run / "report.html").read_bytes() == before
    assert not list(run.glob(".report*"))


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(min_size=1, max_size=80), error=st.text(max_size=40))
def test_any_name_gives_a_safe_page(
    tmp_path_factory: pytest.TempPathFactory, name: str, error: str
) -> None:
    run = make_run(tmp_path_factory.mktemp("any") / "run", names=[name, f"{name}2"], gains=(0.1,))
    provenance = {"note": error, name: [name, None], "nested": {name: {}}}
    (run / "provenance.json").write_text(json.dumps(provenance))
    path = write_report(run)
    assert_safe(Page(path), path.read_text(encoding="utf-8"))
