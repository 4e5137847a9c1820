"""No product code pickles, or loads a pickle: a model file never runs code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("extension", "backends") for path in (ROOT / folder).rglob("*.py"))
FORBIDDEN = {"pickle", "cPickle", "_pickle", "joblib", "cloudpickle", "dill", "marshal", "shelve"}
CALLS = {"read_pickle", "to_pickle", "save_model", "allow_pickle"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_product_code_imports_or_calls_a_pickle(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Attribute):
            names = [node.attr] if node.attr in CALLS else []
            assert not names, f"line {node.lineno}: {node.attr}"
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant), f"line {node.value.lineno}"
            assert node.value.value is False, f"line {node.value.lineno}"
        for name in names:
            assert name.partition(".")[0] not in FORBIDDEN, f"line {node.lineno}: {name}"


def test_there_is_product_code_to_look_at() -> None:
    assert len(SOURCES) > 20
