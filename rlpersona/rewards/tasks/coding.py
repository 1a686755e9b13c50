"""Programs while training: do they have the shape of an answer? (Tests are run by `execution`.)"""

from __future__ import annotations

import ast
import re
import warnings
from threading import Lock

from rlpersona.rewards.answer import Answer
from rlpersona.types import Question, Score

_FENCE = re.compile(r"```[ \t]*(?:[\w+-]*)[ \t]*\r?\n(.*?)(?:\r?\n[ \t]*```|\Z)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_]\w*")
_LONGEST = 20_000
_QUIET = Lock()  # filters of warnings belong to the whole process
_WRAPPERS = {
    *("set", "sorted", "list", "tuple", "dict", "len", "sum", "all", "any", "bool"),
    *("abs", "round", "isclose", "str", "int", "float"),
}
PARSES, DEFINES = 0.4, 0.3


def score(answer: Answer) -> Score:
    """0.4 if the program parses, 0.3 more if it defines the function that the tests call, 0.3 more if
    that function can be called as they call it and does something. 0 for a text without a program.

    Nothing is run. Does something: some statement besides `pass`, `...`, a docstring, `raise` and the
    return of a constant or of an argument as it is.
    """
    tree = parsed(code_of(answer))
    if tree is None or not tree.body:
        return Score(0.0)
    called = asked_function(answer.question)
    defined = _definition(tree, called[0] if called else None)
    if defined is None:
        return Score(PARSES)
    works = (called is None or _takes(defined, called[1])) and _does_something(defined)
    return Score(1.0 if works else PARSES + DEFINES)


def code_of(answer: Answer) -> str:
    """The program of an answer: its fenced blocks that parse, joined, or the whole text.

    A HumanEval answer may be only the body that continues `meta["prompt"]`.
    """
    text = answer.text.replace("\r\n", "\n")
    blocks = [block for block in _FENCE.findall(text) if parsed(block)]
    code = "\n\n".join(blocks) if blocks else _FENCE.sub(r"\1", text)
    prompt, name = answer.question.meta.get("prompt"), answer.question.meta.get("entry_point")
    if prompt and name and not re.search(rf"^\s*def\s+{re.escape(name)}\b", code, re.MULTILINE):
        return f"{prompt}{code}"
    return code


def parsed(code: str) -> ast.Module | None:
    """The syntax tree of a program, None if it has none."""
    if len(code) > _LONGEST:
        return None
    try:
        with _QUIET, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a model wrote: invalid escapes and the like
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def asked_function(question: Question) -> tuple[str, int] | None:
    """Name and number of arguments of the function that the tests call; None if they do not say.

    Of a HumanEval question the name is `meta["entry_point"]` and the arguments are those of the prompt;
    else it is the first call in the first assert that is not of a wrapper such as `set` or `sorted`.
    """
    name = question.meta.get("entry_point")
    if name:
        tree = parsed(f"{question.meta.get('prompt', '')}    pass\n")
        stub = _definition(tree, name) if tree else None
        return (name, len(stub.args.args)) if stub else (name, -1)
    for test in question.meta.get("tests", ()):
        tree = parsed(test)
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)] if tree else []
        for call in calls:
            if isinstance(call.func, ast.Name) and call.func.id not in _WRAPPERS:
                return call.func.id, len(call.args) + len(call.keywords)
    return None


def _definition(tree: ast.Module, name: str | None) -> ast.FunctionDef | None:
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef) and name in (None, n.name)]
    return found[-1] if found else None


def _takes(function: ast.FunctionDef, arguments: int) -> bool:
    spec = function.args
    most = len(spec.posonlyargs) + len(spec.args) + len(spec.kwonlyargs)
    fewest = len(spec.posonlyargs) + len(spec.args) - len(spec.defaults)
    return arguments < 0 or (fewest <= arguments and (arguments <= most or bool(spec.vararg)))


def _does_something(function: ast.FunctionDef) -> bool:
    arguments = {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}
    return any(not _idle(statement, arguments) for statement in function.body)


def _idle(statement: ast.stmt, arguments: set[str]) -> bool:
    if isinstance(statement, ast.Pass | ast.Raise):
        return True
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if not isinstance(statement, ast.Return):
        return False
    value = statement.value
    if isinstance(value, ast.Name):
        return value.id in arguments
    if isinstance(value, ast.UnaryOp):
        value = value.operand
    empty = isinstance(value, ast.List | ast.Tuple | ast.Set) and not value.elts
    empty = empty or (isinstance(value, ast.Dict) and not value.keys)
    return value is None or empty or isinstance(value, ast.Constant)
