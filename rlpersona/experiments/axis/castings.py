"""What every role says, and what happens inside the model then: asked once, kept role by role.

    roles/ROLE/                 `default` among them; traits/TRAIT/{positive,negative}/ are alike
      responses.parquet         every response: prompt, question, text, token ids
      activations.safetensors   `activations` (responses, layers, d) float32, in the same order
      ratings.parquet           how far each response plays the role

A file that is there is whole and is not made again, so a killed run goes on at the role that it was in.
Draws hang on the seed and the role alone: not on other roles, replicas, or what was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlpersona.axis.activations import Chat, Extractor
from rlpersona.axis.roles import Role, Trait
from rlpersona.config import AxisConfig, ModelConfig
from rlpersona.models import load_model
from rlpersona.report.labelling import counter
from rlpersona.runtime.pool import ReplicaPool
from rlpersona.store import Run, atomic
from rlpersona.tasks.identity import unit
from rlpersona.types import Completion, Prompt, Question, Sampling

if TYPE_CHECKING:
    import pandas as pd

RESPONSES, ACTIVATIONS, RATINGS = "responses.parquet", "activations.safetensors", "ratings.parquet"
TENSOR = "activations"
Floats32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Casting:
    """A role, or one side of a trait, and the questions that it answers under each of its prompts."""

    folder: str
    role: Role
    questions: tuple[Question, ...]
    trait: str = ""

    @property
    def asked(self) -> list[tuple[int, Question]]:
        """Every (place of the system prompt, question), prompt by prompt."""
        return [(at, one) for at in range(len(self.role.instructions)) for one in self.questions]

    @property
    def prompts(self) -> list[Prompt]:
        """The chats, in the order of `asked`."""
        return [Prompt.ask(one.text, self.role.instructions[at]) for at, one in self.asked]


class Replicas:
    """Pools of a model, started when they are first asked for, one at a time; needs a running Ray.

    The transformers engine answers and is read in the same replicas; another engine shows nothing of
    what happens inside, so it makes room for replicas that do.
    """

    def __init__(self, model: ModelConfig) -> None:
        self._model = model
        self._factory: Callable[[ModelConfig], Any] | None = None
        self._pool: ReplicaPool[Any] | None = None

    @property
    def writers(self) -> ReplicaPool[Any]:
        """Replicas that answer."""
        return self._of(Extractor if self._model.engine == "hf" else load_model)

    @property
    def readers(self) -> ReplicaPool[Any]:
        """Replicas that show their activations."""
        return self._of(Extractor)

    def close(self) -> None:
        """Stop the replicas. Safe to call twice."""
        if self._pool is not None:
            self._pool.close()
        self._pool = self._factory = None

    def _of(self, factory: Callable[[ModelConfig], Any]) -> ReplicaPool[Any]:
        if self._pool is None or self._factory is not factory:
            self.close()
            model = self._model
            self._pool = ReplicaPool(
                partial(factory, model),
                replicas=model.replicas,
                cpus=model.cpus_per_replica,
                gpus=model.gpus_per_replica,
                max_restarts=model.max_restarts,
            )
            self._factory = factory
        return self._pool


def castings_of(
    default: Role, roles: Sequence[Role], traits: Sequence[Trait], questions: Sequence[Question]
) -> list[Casting]:
    """All that is asked: the default, the roles, and both sides of every trait."""
    from rlpersona.axis.roles import as_questions

    found = [Casting(f"roles/{one.slug}", one, tuple(questions)) for one in (default, *roles)]
    for trait in traits:
        own = tuple(as_questions(trait.questions, trait.name)) or tuple(questions)
        for side, prompts in (("positive", trait.positive), ("negative", trait.negative)):
            role = Role(f"{trait.name}, {side}", prompts)
            found.append(Casting(f"traits/{trait.slug}/{side}", role, own, trait.name))
    return found


def respond(config: AxisConfig, run: Run, castings: Sequence[Casting], replicas: Replicas) -> None:
    """Write the responses that are not there yet; replicas start only if some are missing."""
    import pandas as pd

    left = [one for one in castings if not (run.folder / one.folder / RESPONSES).exists()]
    if not left:
        return

    def parts(casting: Casting) -> Iterator[tuple[list[Prompt], Sampling]]:
        prompts, seed = casting.prompts, int(unit("axis", config.seed, casting.folder) * 2**31)
        for at in range(0, len(prompts), config.model.chunk):
            sampling = Sampling(config.max_tokens, config.temperature, 1.0, seed, at)
            yield prompts[at : at + config.model.chunk], sampling

    for casting, drawn in _by_casting(replicas.writers, "generate", left, parts, "responses drawn"):
        completions: list[Completion] = [one for part in drawn for one in part]
        rows = zip(casting.asked, completions, strict=True)
        table = pd.DataFrame([_row(casting, at, question, one) for (at, question), one in rows])
        run.write_table(f"{casting.folder}/{RESPONSES}", table)
        run.keep()


def activate(config: AxisConfig, run: Run, castings: Sequence[Casting], replicas: Replicas) -> None:
    """Write the activations that are not there yet: means over each response's tokens, all layers."""
    from safetensors.numpy import save_file

    left = [one for one in castings if not (run.folder / one.folder / ACTIVATIONS).exists()]
    if not left:
        return

    def parts(casting: Casting) -> Iterator[tuple[list[Chat]]]:
        said = responses_of(run, casting)["ids"]
        chats: list[Chat] = [
            (prompt, ids.tolist()) for prompt, ids in zip(casting.prompts, said, strict=True)
        ]
        for at in range(0, len(chats), config.model.chunk):
            yield (chats[at : at + config.model.chunk],)

    for casting, found in _by_casting(replicas.readers, "extract", left, parts, "responses read"):
        with atomic(run.folder / casting.folder / ACTIVATIONS) as temporary:
            save_file({TENSOR: np.concatenate(found)}, temporary)


def responses_of(run: Run, casting: Casting) -> pd.DataFrame:
    """The responses of a role, in the order of `Casting.asked`."""
    import pandas as pd

    return pd.read_parquet(run.folder / casting.folder / RESPONSES)


def activations_of(run: Run, casting: Casting) -> Floats32:
    """The activations (responses, layers, d) of a role; rows of nan where a response has no token."""
    from safetensors.numpy import load_file

    found: Floats32 = load_file(run.folder / casting.folder / ACTIVATIONS)[TENSOR]
    return found


def _row(casting: Casting, at: int, question: Question, one: Completion) -> dict[str, Any]:
    return {
        "role": casting.role.name,
        "prompt": at,
        "system": casting.role.instructions[at],
        "question": question.id,
        "domain": question.domain,
        "asked": question.text,
        "text": one.text.strip(),
        "tokens": len(one.token_ids) - (one.finish == "stop"),
        "finish": one.finish,
        "ids": list(one.token_ids),
    }


def _by_casting(
    pool: ReplicaPool[Any], method: str, castings: Sequence[Casting], parts: Any, what: str
) -> Iterator[tuple[Casting, list[Any]]]:
    """Each casting with the results of its parts in their order, as soon as the last of them is done.

    Parts of several castings are under way together, so that no replica waits at the end of one; what
    they are does not hang on that.
    """
    places: list[tuple[int, int]] = []
    sizes: dict[int, int] = {}

    def all_parts() -> Iterator[Any]:
        for number, casting in enumerate(castings):
            own = list(parts(casting))
            sizes[number] = len(own)
            for at, part in enumerate(own):
                places.append((number, at))
                yield part

    found: dict[int, dict[int, Any]] = {}
    total, answered = sum(len(one.asked) for one in castings), 0
    with counter(what) as done:
        for index, result in pool.stream(method, all_parts()):
            number, at = places[index]
            found.setdefault(number, {})[at] = result
            answered += len(result)
            done(answered, total)
            if len(found[number]) == sizes[number]:
                ready = found.pop(number)
                yield castings[number], [ready[place] for place in sorted(ready)]
