"""What a run of staged training would do and could show, said before it is paid for."""

from __future__ import annotations

from rlpersona.config import DPOStage, StagesConfig
from rlpersona.experiments.ranking.responses import samples_of
from rlpersona.experiments.ranking.verdict import model_names, power_lines
from rlpersona.experiments.stages.graph import Node, nodes
from rlpersona.experiments.stages.inputs import check_judge, split_prompts
from rlpersona.report import words


def plan_lines(config: StagesConfig) -> list[str]:
    """Each stage with its rows, the comparisons that the judge is asked for, and the power statement.

    Numbers of rows and comparisons are the most that there can be: equal answers are not compared.
    Raises what `nodes` and `split_prompts` raise; no model is loaded.
    """
    graph = nodes(config)
    check_judge(config)
    train, evaluation = split_prompts(config)
    lines = [f"{node.name}: {_stage(node, len(train))}" for node in graph]
    made = {node.data: node for node in graph if node.writer}
    training = sum(_comparisons(node, len(train)) for node in made.values())
    models = len(model_names(config))
    final = len(evaluation) * samples_of(config.evaluation) * models * (models - 1) // 2
    orders = 2 if config.judge.both_orders and config.judge.by != "rules" else 1
    calls = f", {words.count(orders * (training + final))} calls" if config.judge.by != "rules" else ""
    lines.append(
        f"The judge ({config.judge.model or config.judge.by}) compares at most {words.count(training)}"
        f" pairs for the stages and {words.count(final)} of the evaluation{calls}."
    )
    return [*lines, *power_lines(config, len(evaluation))]


def _stage(node: Node, prompts: int) -> str:
    data, recipe = node.settings.data, node.settings.recipe
    kind = "all weights" if recipe.full else f"LoRA of rank {recipe.lora.rank}"
    head = f"{node.settings.method} on {node.parent}, {kind}"
    head += f", stays near {node.reference}" if node.reference else ""
    if not node.writer:
        return f"{head}; rows of {data.source} {data.path}".rstrip()
    used = min(prompts, data.prompts or prompts)
    rows = used * (data.pairs_per_prompt if isinstance(node.settings, DPOStage) else data.groups)
    text = f"{head}; at most {words.count(rows)} rows of {data.answers} answers by {node.writer}"
    text += f" to each of {words.count(used)} prompts"
    text += f", {words.percent(data.flips)} of labels turned round" if data.flips else ""
    return text + (f" (the rows of {node.data})" if node.data != node.name else "")


def _comparisons(node: Node, prompts: int) -> int:
    data = node.settings.data
    used = min(prompts, data.prompts or prompts)
    if isinstance(node.settings, DPOStage):
        return used * data.pairs_per_prompt
    return used * data.groups * (data.answers // data.groups - 1)
