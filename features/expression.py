"""Arithmetic on an event's fields, compiled to a small stack program that one kernel runs over a batch.

A program instead of generated code: a user's expression costs no compilation at start, and there is nothing to
cache or to trust.
"""

import ast
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from features.schema import FieldType, Schema

_MS_PER_HOUR, _MS_PER_DAY = 3_600_000, 86_400_000
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0


class Op(IntEnum):
    """The steps of a program; FIELD and CONSTANT push, the others take from the stack."""

    FIELD = 0
    CONSTANT = 1
    ADD = 2
    SUBTRACT = 3
    MULTIPLY = 4
    DIVIDE = 5
    LESS = 6
    LESS_EQUAL = 7
    GREATER = 8
    GREATER_EQUAL = 9
    EQUAL = 10
    NOT_EQUAL = 11
    AND = 12
    OR = 13
    NOT = 14
    NEGATE = 15
    MIN = 16
    MAX = 17
    ABS = 18
    LOG1P = 19
    SQRT = 20
    HOUR = 21
    WEEKDAY = 22


_BINARY = {ast.Add: Op.ADD, ast.Sub: Op.SUBTRACT, ast.Mult: Op.MULTIPLY, ast.Div: Op.DIVIDE}
_COMPARE = {
    ast.Lt: Op.LESS,
    ast.LtE: Op.LESS_EQUAL,
    ast.Gt: Op.GREATER,
    ast.GtE: Op.GREATER_EQUAL,
    ast.Eq: Op.EQUAL,
    ast.NotEq: Op.NOT_EQUAL,
}
_UNARY = {ast.USub: Op.NEGATE, ast.Not: Op.NOT}
_FUNCTIONS = {
    "min": (Op.MIN, 2),
    "max": (Op.MAX, 2),
    "abs": (Op.ABS, 1),
    "log1p": (Op.LOG1P, 1),
    "sqrt": (Op.SQRT, 1),
    "hour": (Op.HOUR, 1),
    "weekday": (Op.WEEKDAY, 1),
}
STACK_MAX = 16


def _tree(where: str, expression: str) -> ast.expr:
    try:
        return ast.parse(expression, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{where}: {expression!r} is not an expression: {error.msg}") from None


def names_in(where: str, expression: str) -> list[str]:
    """The fields that an expression uses. Raises ValueError when it is not one."""
    functions = set(_FUNCTIONS)
    nodes = ast.walk(_tree(where, expression))
    return [node.id for node in nodes if isinstance(node, ast.Name) and node.id not in functions]


@dataclass(frozen=True)
class Program:
    """int64[steps, 2] of (op, column) and float64[steps] of constants."""

    steps: NDArray[np.int64]
    constants: NDArray[np.float64]


class Expressible(Protocol):
    """Where the names of an expression stand for columns; a Schema is one."""

    def index(self, name: str) -> int:
        """The column of a name. Raises ValueError for one that is not there."""
        ...


class _Compiler:
    def __init__(self, where: str, expression: str, schema: Expressible) -> None:
        self._where = f"{where}: {expression!r}"
        self._schema = schema
        self.steps: list[tuple[int, int]] = []
        self.constants: list[float] = []

    def emit(self, op: Op, column: int = 0, constant: float = 0.0) -> None:
        self.steps.append((op, column))
        self.constants.append(constant)

    def visit(self, node: ast.expr) -> None:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            self.emit(Op.CONSTANT, constant=float(node.value))
        elif isinstance(node, ast.Name):
            self.emit(Op.FIELD, column=self._schema.index(node.id))
        elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            self._pair(node.left, node.right, _BINARY[type(node.op)])
        elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARE:
            self._pair(node.left, node.comparators[0], _COMPARE[type(node.ops[0])])
        elif isinstance(node, ast.BoolOp):
            self.visit(node.values[0])
            for value in node.values[1:]:
                self.visit(value)
                self.emit(Op.AND if isinstance(node.op, ast.And) else Op.OR)
        elif isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
            self.visit(node.operand)
            self.emit(_UNARY[type(node.op)])
        elif isinstance(node, ast.Call):
            self._call(node)
        else:
            raise ValueError(f"{self._where}: {ast.unparse(node)!r} is not possible here")

    def _pair(self, left: ast.expr, right: ast.expr, op: Op) -> None:
        self.visit(left)
        self.visit(right)
        self.emit(op)

    def _call(self, node: ast.Call) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if name not in _FUNCTIONS or node.keywords:
            raise ValueError(f"{self._where}: no function {name!r}; there are {', '.join(_FUNCTIONS)}")
        op, arity = _FUNCTIONS[name]
        if len(node.args) != arity:
            raise ValueError(f"{self._where}: {name} takes {arity} arguments, found {len(node.args)}")
        for argument in node.args:
            self.visit(argument)
        self.emit(op)


def compile_expression(where: str, expression: str, schema: Expressible) -> Program:
    """A program over a schema's columns. Raises ValueError that says what is not possible.

    Fields are float64 (decimals in their unit: 12.34, not 1234); comparisons give 0.0 or 1.0; `hour` and
    `weekday` are of UTC, Monday 0. Where a field is absent it counts as 0.
    """
    compiler = _Compiler(where, expression, schema)
    compiler.visit(_tree(where, expression))
    if len(compiler.steps) > STACK_MAX * 8:
        raise ValueError(f"{where}: {expression!r} is too long")
    return Program(np.array(compiler.steps, np.int64), np.array(compiler.constants))


def column_scales(schema: Schema) -> NDArray[np.float64]:
    """float64[fields]: what a column's integer is divided by; 0 marks a column that holds float64 bits."""
    return np.array(
        [
            0.0 if field.code == FieldType.FLOAT else float(10 ** (field.decimals or 0))
            for field in schema.fields.values()
        ]
    )


@kernel()
def _apply(op: int, left: float, right: float) -> float:
    if op == 2:
        return left + right
    if op == 3:
        return left - right
    if op == 4:
        return left * right
    if op == 5:
        return left / right if right != 0.0 else 0.0
    if op == 6:
        return 1.0 if left < right else 0.0
    if op == 7:
        return 1.0 if left <= right else 0.0
    if op == 8:
        return 1.0 if left > right else 0.0
    if op == 9:
        return 1.0 if left >= right else 0.0
    if op == 10:
        return 1.0 if left == right else 0.0
    if op == 11:
        return 1.0 if left != right else 0.0
    if op == 12:
        return 1.0 if left != 0.0 and right != 0.0 else 0.0
    if op == 13:
        return 1.0 if left != 0.0 or right != 0.0 else 0.0
    if op == 16:
        return min(left, right)
    return max(left, right)


@kernel()
def _apply_one(op: int, operand: float) -> Any:
    if op == 14:
        return 1.0 if operand == 0.0 else 0.0
    if op == 15:
        return -operand
    if op == 18:
        return abs(operand)
    if op == 19:
        return np.log1p(max(operand, 0.0))
    if op == 20:
        return np.sqrt(max(operand, 0.0))
    ms = int(operand)
    if op == 21:
        return float(ms % _MS_PER_DAY // _MS_PER_HOUR)
    return float((ms // _MS_PER_DAY + _EPOCH_WEEKDAY) % 7)


@kernel("void(int64[:, ::1], float64[::1], int64[:, ::1], float64[::1], int32[::1], float64[:, ::1], int64)")
def run_program(steps: Any, constants: Any, value: Any, scale: Any, rows: Any, out: Any, column: int) -> None:
    """Evaluate a program for each row into out[row, column].

    Division by zero gives 0, logarithm and root of a negative number are those of 0: a feature is finite.
    """
    stack = np.empty(STACK_MAX * 8, np.float64)
    for index in range(len(rows)):
        row, top = rows[index], 0
        for step in range(len(steps)):
            op = steps[step, 0]
            if op == 0:
                field = steps[step, 1]
                if scale[field] == 0.0:
                    stack[top] = value.view(np.float64)[field, row]
                else:
                    stack[top] = value[field, row] / scale[field]
                top += 1
            elif op == 1:
                stack[top] = constants[step]
                top += 1
            elif op == 14 or op == 15 or op >= 18:
                stack[top - 1] = _apply_one(op, stack[top - 1])
            else:
                top -= 1
                stack[top - 1] = _apply(op, stack[top - 1], stack[top])
        out[row, column] = stack[0]
