"""Every line that the product can log is in docs/logs.md, with its level and its logger."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOGS = (ROOT / "docs" / "logs.md").read_text()
LEVELS = ("debug", "info", "warning", "error", "critical", "exception")
PLACEHOLDER = re.compile(r"(%[.\d]*[sdrf])+")


def said() -> Iterator[tuple[str, str, str]]:
    """Level, logger and text of each call, what differs as three dots."""
    for path in sorted(ROOT.joinpath("pipeline").rglob("*.py")):
        logger = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from ((level, logger, text) for level, text in _of_function(function))


def _of_function(function: ast.AST) -> Iterator[tuple[str, str]]:
    texts: dict[str, str] = {}
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                texts[name] = text
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log" | "CONTENTS"), attr=level), args=[first, *_]):
                if level in LEVELS:
                    text = first.value if isinstance(first, ast.Constant) else texts[first.id]  # type: ignore[attr-defined]
                    yield level, PLACEHOLDER.sub("...", str(text))


def test_every_line_is_documented() -> None:
    found = list(said())
    assert len(found) > 30
    missing = []
    for level, logger, text in found:
        row = next((line for line in LOGS.splitlines() if f"`{text}`" in line or text in ("...", "...: ...")), "")
        logger = "pipeline.contents" if text.startswith("dead letter,") else logger
        named = [line for line in LOGS.splitlines() if line.startswith(f"| {level} |") and f"`{logger}`" in line]
        if not row or not named or (text not in ("...", "...: ...", "producer: ...") and row not in named):
            missing.append((level, logger, text))
    assert not missing


def test_nothing_is_documented_that_is_not_said() -> None:
    texts = {text for _, _, text in said()}
    rows = re.findall(r"^\| (?:info|warning|error) \| [^|]* \| `([^`]*)`", LOGS, re.MULTILINE)
    assert len(rows) > 30
    general = ("consumer: ...", "transactions[3]: ...")
    assert [row for row in rows if row not in texts and row not in general] == []
