"""Why a ``torch.export`` program is no format of Taxiway's: opening one runs what its author wrote into it.

Each file here is what ``torch.export.save`` wrote, with one member changed. Weights in safetensors would help
against the second alone: the first is the graph itself, whose shapes are Python expressions.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from taxiway.serving.engines import EngineError, open_engine  # noqa: E402

FORMAT = "torch.export"


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)

    def forward(self, rows: Any) -> Any:
        return self.layer(rows)


class Touching:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.path,)


def in_a_shape(name: str, content: bytes, mark: Path) -> bytes:
    if not name.endswith("models/model.json"):
        return content
    code = f"__import__('pathlib').Path('{mark}').touch() or \\1"
    changed, count = re.subn(r"(?<=\"expr_str\": \")([^\"]*)", code, content.decode())
    assert count
    return changed.encode()


def in_the_example(name: str, content: bytes, mark: Path) -> bytes:
    if "sample_inputs/" not in name:
        return content
    buffer = io.BytesIO()
    torch.save((Touching(mark),), buffer, pickle_module=pickle)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = {0: torch.export.Dim.DYNAMIC}
    path = tmp_path_factory.mktemp("program") / "model.pt2"
    torch.export.save(torch.export.export(Net(), (torch.rand(2, 3),), dynamic_shapes=(rows,)), path)
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("change", [in_a_shape, in_the_example])
def test_torch_export_load_runs_code_from_the_file(
    program: Path, tmp_path: Path, change: Callable[[str, bytes, Path], bytes]
) -> None:
    crafted, mark = tmp_path / "model.pt2", tmp_path / "it_ran"
    with zipfile.ZipFile(program) as archive, zipfile.ZipFile(crafted, "w") as other:
        for entry in archive.infolist():
            other.writestr(entry, change(entry.filename, archive.read(entry), mark))
    with contextlib.suppress(TypeError):  # torch's own warning that it ran a pickle is wrongly written
        torch.export.load(crafted)
    assert mark.exists(), "torch has become safe: see whether its programs can be served"


def test_such_a_program_is_refused_by_name(program: Path) -> None:
    with pytest.raises(EngineError, match=r"torch\.export\.load runs code .* ONNX .* --device cuda"):
        open_engine(program.parent, FORMAT)
