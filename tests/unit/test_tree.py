"""The tree keeps itself tidy: one direction of imports, short files and functions, nothing left over."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "features": {"features"},
    "models": {"features", "models"},
    "pipeline": {"features", "models", "pipeline"},
}
"""What each package may import of ours: pipeline -> models -> features -> nothing."""
FILE_LINES_MAX = 300
FUNCTION_LINES_MAX = 60
NAMELESS = re.compile(r"(^|_)(utils?|helpers?|managers?|misc|common)(_|$)")
LEFT_OVER = re.compile(
    # Put together from parts, so that this file does not find itself.
    "|".join(
        [r"\bTO" + "DO\\b", r"\bFIX" + "ME\\b", r"\bX" + "XX\\b", "/wo" + "rk/", "/ro" + "ot/", r"/ho" + r"me/\w"]
    )
)
PACKAGE_HOSTS = re.compile(r"\b(pythonhosted|pypi|mvnrepository|repo1?\.maven|anaconda|docker)\.(org|io|com)\b")
NOT_OURS = {"LICENSE", ".git"}
"""A work tree beside the first has a file of this name, with git's own path to it."""
TEXT = {".py", ".toml", ".md", ".txt", ".h", ".xml", ".yml", ".yaml", ".sh", ""}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


CODE = sources("features", "models", "pipeline", "bench", "tests")
TEXTS = sorted(
    path
    for folder in ("features", "models", "pipeline", "bench", "tests", "docs", "deploy", ".ci")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and path.suffix in TEXT and "__pycache__" not in path.parts
) + sorted(path for path in ROOT.iterdir() if path.is_file() and path.suffix in TEXT and path.name not in NOT_OURS)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports_of_ours(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        for name in names:
            top = name.partition(".")[0]
            if top in PACKAGES:
                yield node.lineno, top


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    wrong = [
        f"{named(path)}:{line} imports {top}"
        for path in sources(package)
        for line, top in imports_of_ours(ast.parse(path.read_text()))
        if top not in PACKAGES[package]
    ]
    assert not wrong


def test_nothing_on_the_way_of_the_data_knows_the_slo_app() -> None:
    imported = re.compile(r"^\s*(from|import) pipeline\.slo\b", re.MULTILINE)
    apart = {ROOT / "pipeline" / "slo", ROOT / "pipeline" / "cli"}
    wrong = [
        named(path)
        for path in sources("pipeline")
        if not apart & set(path.parents) and imported.search(path.read_text())
    ]
    assert not wrong


def test_files_are_short() -> None:
    long = {named(path): len(path.read_text().splitlines()) for path in CODE}
    assert not {name: lines for name, lines in long.items() if lines >= FILE_LINES_MAX}


def test_functions_are_short() -> None:
    long = [
        f"{named(path)}:{node.lineno} {node.name}"
        for path in CODE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 >= FUNCTION_LINES_MAX
    ]
    assert not long


def test_names_say_what_is_inside() -> None:
    assert not [named(path) for path in CODE if NAMELESS.search(path.stem)]


def test_every_module_says_what_it_is_for() -> None:
    mute = [named(path) for path in sources(*PACKAGES) if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not mute


def test_nothing_is_left_over() -> None:
    assert TEXTS
    found = [
        f"{named(path)}:{number} {line.strip()[:80]}"
        for path in TEXTS
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if LEFT_OVER.search(line) or PACKAGE_HOSTS.search(line)
    ]
    assert not found
