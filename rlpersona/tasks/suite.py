"""The prompts of a GRPO training: balanced over domains, training and evaluation disjoint by text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rlpersona.config.sweep import SuiteConfig
from rlpersona.errors import ConfigError, DataError, did_you_mean
from rlpersona.tasks import nano
from rlpersona.tasks.identity import digest, unit
from rlpersona.tasks.load import load_questions
from rlpersona.types import Question

if TYPE_CHECKING:
    import pandas as pd

NANO_DOMAINS = ("math", "word", "fact", "advice", "opinion", "persuade")
FILE_DOMAINS = ("math", "factual", "coding", "advice", "opinion", "creative")
KINDS = ("advice", "opinion", "creative")  # of benchmarks whose domains are those already
DOMAIN_OF = {
    "gsm8k": "math",
    "triviaqa": "factual",
    "nq_open": "factual",
    "mbpp": "coding",
    "humaneval": "coding",
}
LONGEST = 2000  # characters of a prompt; the few longer ones hold whole documents


@dataclass(frozen=True)
class Suite:
    """Prompts by side, domain by domain; `question.domain` is the suite's.

    `fingerprint` stands for both sides and which is which. `short` names the domains that had fewer
    prompts than an equal part, and how many they gave (training, evaluation).
    """

    train: list[Question]
    evaluation: list[Question]
    fingerprint: str
    short: dict[str, tuple[int, int]] = field(default_factory=dict)

    def fingerprints(self) -> dict[str, str]:
        """For the provenance of a run."""
        return {"suite": self.fingerprint}

    @property
    def held_out(self) -> list[Question]:
        """The evaluation prompts, domains in turn: however many are taken, domains have equal parts."""
        seen: Counter[str] = Counter()
        turns = []
        for question in self.evaluation:
            turns.append((seen[question.domain], question))
            seen[question.domain] += 1
        return [question for _, question in sorted(turns, key=lambda turn: turn[0])]

    def table(self) -> pd.DataFrame:
        """One row a prompt: part (train, evaluation), domain, source, question (id), text, answer."""
        import pandas as pd

        return pd.DataFrame(
            {
                "part": part,
                "domain": q.domain,
                "source": q.source,
                "question": q.id,
                "text": q.text,
                "answer": q.answer,
            }
            for part, side in (("train", self.train), ("evaluation", self.evaluation))
            for q in side
        )


def load_suite(config: SuiteConfig, seed: int) -> Suite:
    """The prompts of a config, drawn by `seed` from their content alone.

    Each domain gives `size` / domains prompts to train on and `evaluation` / domains to be evaluated on;
    a larger suite adds to the prompts of a smaller one of the same `evaluation`. In the nano world the
    evaluation takes prompts that the model's weights never saw (held-out sums and wordings) and, where
    those do not suffice, others; of a small domain it takes at most half of what is left.

    Raises:
        ConfigError: an unknown domain, a source that belongs to none.
        DataError: a domain without prompts for both sides; files as `load_questions`.
    """
    pools = _nano(config) if not config.sources else _files(config, seed)
    train_each, evaluation_each = (
        max(1, total // len(pools)) for total in (config.size, config.evaluation)
    )
    train: list[Question] = []
    evaluation: list[Question] = []
    short: dict[str, tuple[int, int]] = {}
    for domain, (unseen, rest) in pools.items():
        ours, theirs = _split(_ranked(unseen, seed), _ranked(rest, seed), train_each, evaluation_each)
        if not ours or not theirs:
            raise DataError(
                f"domain '{domain}' has {len(unseen) + len(rest)} prompts: too few for both sides",
                "Give a source with more of them, or leave the domain out: suite.domains=...",
            )
        if len(ours) < train_each or len(theirs) < evaluation_each:
            short[domain] = (len(ours), len(theirs))
        train += ours
        evaluation += theirs
    return Suite(train, evaluation, _fingerprint(train, evaluation), short)


def _split(
    unseen: list[Question], rest: list[Question], train: int, evaluation: int
) -> tuple[list[Question], list[Question]]:
    """(to train on, to evaluate on) of one domain; both lists are in the order of the draw."""
    theirs = unseen[:evaluation]
    more = min(evaluation - len(theirs), len(rest) // 2)
    theirs += rest[:more]
    texts = {question.text for question in theirs}
    return [question for question in rest if question.text not in texts][:train], theirs


def _ranked(questions: Iterable[Question], seed: int) -> list[Question]:
    """In an order drawn by `seed`, one question a text."""
    distinct = {question.text: question for question in questions}
    return sorted(distinct.values(), key=lambda q: unit("suite", seed, q.source, q.id))


def _nano(config: SuiteConfig) -> dict[str, tuple[list[Question], list[Question]]]:
    pools = {}
    for domain in config.domains or NANO_DOMAINS:
        sides = []
        for side in ("heldout", "train"):
            found = nano.questions((domain,), side)
            if config.wrong_claims and domain == "claim":
                found = [question for question in found if question.answer == "No"]
            sides.append(found)
        pools[domain] = (sides[0], sides[1])
    return pools


def _files(config: SuiteConfig, seed: int) -> dict[str, tuple[list[Question], list[Question]]]:
    wanted = config.domains or FILE_DOMAINS
    for domain in wanted:
        if domain not in FILE_DOMAINS:
            raise ConfigError(f"files have no domain '{domain}'", did_you_mean(domain, FILE_DOMAINS))
    found: dict[str, list[Question]] = {domain: [] for domain in wanted}
    for source in config.sources:
        kinds = source.domains if source.benchmark not in DOMAIN_OF else ()
        if source.benchmark not in DOMAIN_OF and source.benchmark not in ("ultrafeedback", "hh_rlhf"):
            known = [*DOMAIN_OF, "ultrafeedback", "hh_rlhf"]
            raise ConfigError(
                f"suite.sources: '{source.benchmark}' belongs to no domain of the suite",
                did_you_mean(source.benchmark, known),
            )
        parts = () if kinds else source.domains
        for question in load_questions(
            source.benchmark, data=source.data, seed=seed, limit=source.question_limit, domains=parts
        ):
            domain = DOMAIN_OF.get(question.source, question.domain)
            if domain in found and (not kinds or domain in kinds) and len(question.text) <= LONGEST:
                found[domain].append(replace(question, text=_asked(question), domain=domain))
    return {domain: ([], questions) for domain, questions in found.items()}


def _asked(question: Question) -> str:
    """The prompt; a program's with the first test, which alone says what the function is called."""
    if question.source != "mbpp":
        return question.text
    return f"{question.text}\nYour code should pass this test:\n{question.meta['tests'][0]}"


def _fingerprint(train: Sequence[Question], evaluation: Sequence[Question]) -> str:
    return digest(
        *(sorted((q.source, q.domain, q.id, q.text) for q in side) for side in (train, evaluation))
    )


def counts(questions: Iterable[Question]) -> dict[str, int]:
    """How many questions each domain has, in the order in which domains first appear."""
    return dict(Counter(question.domain for question in questions))
