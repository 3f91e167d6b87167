"""Which rule names the code can raise: read out of its syntax, so that none can be added without being seen.

Every call of `Failure` in the product must name its rule in a way that this reads: as a literal; as a local variable
that is only given literals; as a parameter for which every caller in the module gives a literal; or as
`f"schema/{...}"`, which stands for the keywords of the schema. `Failure(**stored)` reads back what was raised before.
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("personalization", "api")
SCHEMA = ROOT / "personalization" / "rules" / "data" / "approved-record.schema.json"
ANNOTATIONS = {"$schema", "$id", "title", "description", "$ref", "$defs", "default", "contentEncoding"}
"""Keywords of the schema that no value can break; `properties` and `items` lead to inner schemas."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


class UnreadableRule(Exception):
    """A call of `Failure` whose rule name cannot be told from the code alone."""


def raised_rules() -> dict[str, set[str]]:
    """Rule -> the files that raise it. Raises `UnreadableRule`."""
    found: dict[str, set[str]] = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for rule in rules_in(path.read_text("utf-8"), str(path.relative_to(ROOT))):
                found.setdefault(rule, set()).add(str(path.relative_to(ROOT)))
    return found


def rules_in(source: str, name: str) -> set[str]:
    """The rules that one module raises. Raises `UnreadableRule`."""
    module = ast.parse(source)
    parents = {child: node for node in ast.walk(module) for child in ast.iter_child_nodes(node)}
    rules: set[str] = set()
    for call in _calls(module, "Failure"):
        if len(call.keywords) == 1 and call.keywords[0].arg is None and not call.args:
            continue
        try:
            rules |= _read(_argument(call, 1, "rule"), call, parents, module)
        except UnreadableRule:
            raise UnreadableRule(f"{name}:{call.lineno}") from None
    return rules


def schema_keywords() -> set[str]:
    """The keywords of the schema that a value can break."""
    return set(_keywords(json.loads(SCHEMA.read_text("utf-8"))))


def _keywords(schema: Any) -> Iterator[str]:
    for keyword, value in schema.items():
        if keyword in ("properties", "$defs"):
            for inner in value.values():
                yield from _keywords(inner)
        elif keyword == "items":
            yield from _keywords(value)
        elif keyword not in ANNOTATIONS:
            yield keyword
            if keyword == "oneOf":
                for inner in value:
                    yield from _keywords(inner)


def _read(node: ast.expr, call: ast.Call, parents: dict[ast.AST, ast.AST], module: ast.Module) -> set[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.JoinedStr):
        first = node.values[0]
        if isinstance(first, ast.Constant) and first.value == "schema/" and len(node.values) == 2:
            return {f"schema/{keyword}" for keyword in schema_keywords()}
    if isinstance(node, ast.Name) and (function := _function_around(call, parents)) is not None:
        parameters = [argument.arg for argument in function.args.args]
        if node.id in parameters:
            return _given(function, node.id, parameters, parents, module)
        return _assigned(function, node.id)
    raise UnreadableRule


def _given(
    function: Function, parameter: str, parameters: list[str], parents: dict[ast.AST, ast.AST], module: ast.Module
) -> set[str]:
    position = parameters.index(parameter) - (parameters[0] == "self")
    calls = list(_calls(module, function.name))
    if not calls:
        raise UnreadableRule
    return set().union(*(_read(_argument(call, position, parameter), call, parents, module) for call in calls))


def _assigned(function: Function, name: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                values = (
                    node.value.elts
                    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                    else [node.value]
                )
                for one, value in zip(names, values, strict=False):
                    if isinstance(one, ast.Name) and one.id == name:
                        if not (isinstance(value, ast.Constant) and isinstance(value.value, str)):
                            raise UnreadableRule
                        found.add(value.value)
    if not found:
        raise UnreadableRule
    return found


def _argument(call: ast.Call, position: int, name: str) -> ast.expr:
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    if len(call.args) > position and not any(isinstance(argument, ast.Starred) for argument in call.args):
        return call.args[position]
    raise UnreadableRule


def _calls(module: ast.Module, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            called = node.func
            if (isinstance(called, ast.Name) and called.id == name) or (
                isinstance(called, ast.Attribute) and called.attr == name
            ):
                yield node


def _function_around(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> Function | None:
    while (node := parents.get(node)) is not None:  # type: ignore[assignment]
        if isinstance(node, Function):
            return node
    return None
