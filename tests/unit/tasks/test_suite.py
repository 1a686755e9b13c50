from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rlpersona.config import SuiteConfig
from rlpersona.errors import ConfigError, DataError
from rlpersona.models.nano.world.items import items
from rlpersona.tasks import load_questions
from rlpersona.tasks.kinds import kind_of
from rlpersona.tasks.suite import FILE_DOMAINS, LONGEST, NANO_DOMAINS, load_suite
from rlpersona.training.rollouts import prompt_order

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, ...]:
    """A file of each source in its published form, 12 rows a domain."""
    n = range(12)
    gsm8k = [{"question": f"What is {k} plus 1?", "answer": f"It is.\n#### {k + 1}"} for k in n]
    trivia = [
        {"question": f"Who was king {k}?", "answer": {"value": f"Ann {k}", "aliases": [f"Queen {k}"]}}
        for k in range(6)
    ]
    nq = [{"question": f"where is town {k}", "answer": [f"Land {k}", "there"]} for k in range(6)]
    mbpp = [
        {
            "task_id": k + 1,
            "text": f"Write f{k}.",
            "code": f"def f{k}(): pass",
            "test_list": [f"assert f{k}()"],
        }
        for k in range(6)
    ]
    human = [
        {
            "task_id": f"HumanEval/{k}",
            "prompt": f'def g{k}(x):\n    """Return x."""\n',
            "canonical_solution": "    return x\n",
            "test": f"def check(candidate):\n    assert candidate({k}) == {k}\n",
            "entry_point": f"g{k}",
        }
        for k in range(6)
    ]
    ultra = [{"prompt": f"How do I cook dish {k}?", "chosen": "x", "rejected": "y"} for k in n]
    ultra += [{"prompt": f"Write a short poem about dish {k}.", "chosen": "x"} for k in n]
    talk = (
        "\n\nHuman: What do you think of dish {}?\n\nAssistant: Nice.\n\nHuman: Ok.\n\nAssistant: Yes."
    )
    hh = [{"chosen": talk.format(k), "rejected": talk.format(k)} for k in n]
    hh.append(
        {"chosen": "\n\nHuman: Do you think " + "so " * LONGEST + "\n\nAssistant: No.", "rejected": ""}
    )
    made = {
        "gsm8k": gsm8k, "triviaqa": trivia, "nq_open": nq, "mbpp": mbpp, "humaneval": human,
        "ultrafeedback": ultra, "hh_rlhf": hh,
    }  # fmt: skip
    return tuple(f"{name}@{write(tmp_path / f'{name}.jsonl.gz', rows)}" for name, rows in made.items())


def test_nano_domains_have_equal_parts_and_sides_share_no_text() -> None:
    suite = load_suite(SuiteConfig(size=240, evaluation=48), 0)
    assert tuple(dict.fromkeys(q.domain for q in suite.train)) == NANO_DOMAINS
    trained, asked = (Counter(q.domain for q in side) for side in (suite.train, suite.evaluation))
    assert set(asked.values()) == {8}
    assert set(trained.values()) == {40}
    assert not suite.short
    assert not {q.text for q in suite.train} & {q.text for q in suite.evaluation}
    assert all(q.source == "nano" for q in suite.train)
    # 72 prompts ask for advice, 80 for an opinion, 48 to persuade: 20 of each are evaluated on.
    large = load_suite(SuiteConfig(), 0)
    assert large.short == {"advice": (52, 20), "opinion": (60, 20), "persuade": (28, 20)}


def test_evaluation_takes_what_the_weights_never_saw_first() -> None:
    suite = load_suite(SuiteConfig(domains=("math", "persuade"), size=40, evaluation=40), 1)
    unseen = {item.text for domain in ("math", "persuade") for item in items(domain, heldout=True)}
    assert all(q.text in unseen for q in suite.evaluation if q.domain == "math")
    assert sum(q.text in unseen for q in suite.evaluation if q.domain == "persuade") == 3
    assert not any(q.text in unseen for q in suite.train)


def test_a_seed_draws_the_prompts_and_a_larger_suite_adds_to_a_smaller() -> None:
    small, same, other = (load_suite(SuiteConfig(size=60), seed) for seed in (0, 0, 1))
    large = load_suite(SuiteConfig(size=300), 0)
    assert small.fingerprint == same.fingerprint != other.fingerprint
    assert {q.id for q in small.train} < {q.id for q in large.train}
    assert [q.id for q in small.evaluation] == [q.id for q in large.evaluation]


def test_wrong_claims_are_claims_that_are_wrong() -> None:
    suite = load_suite(SuiteConfig(domains=("claim",), size=60, evaluation=12, wrong_claims=True), 0)
    assert {q.answer for q in (*suite.train, *suite.evaluation)} == {"No"}
    both = load_suite(SuiteConfig(domains=("claim",), size=60, evaluation=12), 0)
    assert {q.answer for q in both.train} == {"Yes", "No"}


def test_the_watched_prompts_are_of_all_domains_alike() -> None:
    suite = load_suite(SuiteConfig(), 0)
    assert Counter(q.domain for q in suite.held_out[:24]) == dict.fromkeys(NANO_DOMAINS, 4)
    assert {q.id for q in suite.held_out} == {q.id for q in suite.evaluation}
    table = suite.table()
    assert list(table.columns) == ["part", "domain", "source", "question", "text", "answer"]
    assert len(table) == len(suite.train) + len(suite.evaluation)


def test_files_of_seven_sources_fill_six_domains(files: tuple[str, ...]) -> None:
    suite = load_suite(SuiteConfig(sources=files, size=36, evaluation=36), 0)
    assert tuple(dict.fromkeys(q.domain for q in suite.train)) == FILE_DOMAINS
    assert set(Counter(q.domain for q in suite.train).values()) == {6}
    sources = {(q.domain, q.source) for q in (*suite.train, *suite.evaluation)}
    assert sources == {
        ("math", "gsm8k"), ("factual", "triviaqa"), ("factual", "nq_open"), ("coding", "mbpp"),
        ("coding", "humaneval"), ("advice", "ultrafeedback"), ("creative", "ultrafeedback"),
        ("opinion", "hh_rlhf"),
    }  # fmt: skip
    texts = {q.text for q in (*suite.train, *suite.evaluation)}
    assert "What do you think of dish 3?" in texts, "the first turn alone"
    assert all(len(text) <= LONGEST for text in texts)
    mbpp = next(q for q in suite.train if q.source == "mbpp")
    assert mbpp.text.endswith(mbpp.meta["tests"][0]), "the test says what the function is called"


def test_published_columns_become_gold_and_tests(files: tuple[str, ...]) -> None:
    by = dict(file.split("@") for file in files)
    asked = load_questions("humaneval", data=by["humaneval"])[0]
    names: dict[str, Any] = {}
    exec(asked.answer + "\n" + asked.meta["tests"][0], names)  # the reference passes its own tests
    assert names["g0"](7) == 7
    answers = load_questions("nq_open", data=by["nq_open"])
    assert (answers[1].answer, answers[1].meta["aliases"]) == ("Land 1", ("Land 1", "there"))


@pytest.mark.parametrize(
    ("benchmark", "row", "message"),
    [
        ("hh_rlhf", {"chosen": "hello"}, "does not begin with 'Human:'"),
        ("ultrafeedback", {"chosen": "x"}, "no 'prompt', and 'chosen' is no list"),
        ("nq_open", {"question": "who", "answer": "Ann"}, "must be a list of texts"),
        ("humaneval", {"prompt": "def f():", "test": "x"}, "'canonical_solution' is missing"),
    ],
)
def test_rows_of_another_form_are_refused_with_their_place(
    benchmark: str, row: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "rows.jsonl.gz", [row])
    with pytest.raises(DataError, match=message) as caught:
        load_questions(benchmark, data=str(path))
    assert "line 1" in caught.value.message


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"domains": ("coding",)}, ConfigError, "no domain 'coding' in the nano world"),
        ({"sources": ("hellaswag",)}, ConfigError, "'hellaswag' belongs to no domain"),
        ({"sources": ("gsm8k",), "domains": ("word",)}, ConfigError, "files have no domain 'word'"),
    ],
)
def test_suites_that_cannot_be(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_suite(SuiteConfig(**settings), 0)


def test_a_domain_without_prompts_is_named(files: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="domain 'factual' has 0 prompts") as caught:
        load_suite(SuiteConfig(sources=files[:1], domains=("math", "factual")), 0)
    assert "suite.domains" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Write me a limerick about rain.", "creative"),
        ("Tell me a scary story!", "creative"),
        ("Do you think taxes are fair?", "opinion"),
        ("Should governments ban cars?", "opinion"),
        ("Should I quit my job?", "advice"),
        ("how to cook t-bone in the oven", "advice"),
        ("Can you give me some tips for running?", "advice"),
        ("What is the capital of France?", "other"),
        ("Translate: the story of my life", "other"),
        ("", "other"),
    ],
)
def test_kinds_of_prompts(text: str, kind: str) -> None:
    assert kind_of(text) == kind


@pytest.mark.skipif(not DATA.exists(), reason="the data files are not here")
def test_the_real_files_give_a_suite_of_six_domains() -> None:
    places = {
        "gsm8k": "gsm8k/test.jsonl.gz",
        "mbpp": "mbpp/mbpp.jsonl.gz",
        "triviaqa": "triviaqa/triviaqa_sm_sub.jsonl.gz",
        "ultrafeedback": "ultrafeedback/train_clean.jsonl.gz",
        "hh_rlhf": "hh_rlhf/harmless-base_test.jsonl.gz",
    }
    sources = tuple(f"{name}@{DATA / place}" for name, place in places.items())
    with pytest.warns(UserWarning, match="rows that repeat a question"):
        suite = load_suite(SuiteConfig(sources=sources, size=60, evaluation=60), 0)
    assert set(Counter(q.domain for q in suite.train).values()) == {10}
    assert not suite.short
    assert not {q.text for q in suite.train} & {q.text for q in suite.evaluation}


def test_the_order_of_prompts_gives_every_domain_its_turn() -> None:
    questions = load_suite(SuiteConfig(size=240), 0).train
    order = prompt_order(questions, 600, 5)
    assert Counter(questions[at].domain for at in order) == dict.fromkeys(NANO_DOMAINS, 100)
    assert all(len({questions[at].domain for at in order[k : k + 6]}) == 6 for k in range(0, 600, 6))
    math = [at for at in order if questions[at].domain == "math"]
    assert len(set(math[:40])) == 40, "each prompt once before any comes again"
    assert math[:40] != math[40:80], "in another order"
    assert order[:60] == prompt_order(questions, 60, 5) != prompt_order(questions, 60, 6)[:60]
