"""The nouns of the laboratory: small frozen values that travel between the layers.

Nothing here imports anything heavy, so every other module may import this one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Persona:
    """One arm: a name, the system prompt that puts it on, and what is known about it.

    `system` is the whole system prompt (`"You are Marie Curie."`); `None` sends no system
    message at all, which is the no-persona control. `group` is the planted group of a nano
    persona and `None` elsewhere. `description` is a line about the person (`"physicist, Poland"`),
    which the model never sees.
    """

    name: str
    system: str | None
    field: str | None = None
    era: str | None = None
    birth_year: int | None = None
    fame: float | None = None
    group: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One row of a benchmark.

    Multiple choice: `choices` holds the answer texts and `answer` is the right one among them.
    Open: `choices` is empty and `answer` is the gold text. `cue` is the text with which an answer
    begins when choices are scored (`"It is"`), empty if an answer is the bare choice.
    `id` is unique within `source` and stable: it is made from the content, not the position.
    """

    id: str
    text: str
    answer: str
    choices: tuple[str, ...] = ()
    cue: str = ""
    source: str = ""
    domain: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def answer_index(self) -> int:
        """Position of the right answer among the choices (ValueError for an open question)."""
        return self.choices.index(self.answer)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A chat that the model continues. `cue` is the text with which its answer begins."""

    messages: tuple[Message, ...]
    cue: str = ""

    @classmethod
    def ask(cls, text: str, system: str | None = None, cue: str = "") -> Prompt:
        """A user's question, after a system prompt if there is one."""
        head = () if system is None else (Message("system", system),)
        return cls((*head, Message("user", text)), cue)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are drawn; `temperature=0` is greedy.

    The draw of prompt i depends only on the text, `seed` and `offset + i`, never on batching or on
    the replica that made it: whoever splits a call in parts gives each part its `offset`.
    """

    max_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's text. `logprobs[i]` is the natural-log probability of `token_ids[i]` under the
    model's own distribution (temperature 1); `finish` is `"length"` if the token cap cut it."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class ChoiceScores:
    """Log-likelihood (nats) of each choice after one prompt, summed over the choice's tokens."""

    loglikelihoods: tuple[float, ...]
    token_counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """What an answer earned. `reward` is None exactly when `error` says why there is none:
    a failure is data, never a zero."""

    reward: float | None
    correct: bool | None = None
    predicted: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request to a language model behind an API: all that decides its answer, and nothing else.

    `schema` is a JSON schema as text for structured output, empty for free text. `prompt_version` names
    the prompt's text file, `sample` tells repetitions apart, `order` the order in which answers are
    shown (`"AB"`, `"BA"`). Keys, timeouts and concurrency are no part of it.
    """

    provider: Literal["openai", "anthropic", "local"]
    model: str
    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    base_url: str = ""
    schema: str = ""
    prompt_version: str = ""
    sample: int = 0
    order: str = ""

    @property
    def key(self) -> str:
        """64 hex digits that stand for the request, the same in every process and version.

        Half of a surrogate pair, which no UTF-8 holds, is hashed as it is."""
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class ApiReply:
    """What came back: text, why it ended, and what it is billed for (tokens)."""

    text: str
    finish: Literal["stop", "length", "filter"]
    input_tokens: int
    output_tokens: int
    model: str = ""
    request_id: str = ""


@runtime_checkable
class Model(Protocol):
    """A language model, wherever it runs: this process, an actor, a pool of actors.

    `adapter` is the folder of a PEFT adapter, or None for the base weights.
    """

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, adapter: str | None = None
    ) -> list[Completion]:
        """One completion per prompt, in the order of the prompts."""
        ...

    def score_choices(
        self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]], adapter: str | None = None
    ) -> list[ChoiceScores]:
        """Log-likelihoods of `choices[i]` after `prompts[i]`, in the order of the prompts."""
        ...

    def close(self) -> None:
        """Free what the model holds. Safe to call twice."""
        ...
