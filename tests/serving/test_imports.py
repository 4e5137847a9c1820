from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "pandas",
    "whylogs",
    "bentoml",
    "sklearn",
    "sqlalchemy",
    "pydantic",
    "onnx",
    "scipy",
    "jupyterlab",
    "pyarrow",
    "opentelemetry",
    "obstore",
)


def loaded_after(statement: str) -> set[str]:
    code = f"{statement}; import sys; print('\\n'.join(sys.modules))"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_a_serving_process_imports_nothing_heavy() -> None:
    loaded = loaded_after("import taxiway.serving.__main__, taxiway.serving.service")
    assert "uvicorn" in loaded
    assert loaded.isdisjoint(HEAVY)
    own = {name for name in loaded if name.startswith("taxiway.")}
    assert {name for name in own if not name.startswith("taxiway.serving")} == {"taxiway.signature"}


def test_the_spool_is_read_without_onnxruntime() -> None:
    assert loaded_after("import taxiway.serving.spool").isdisjoint(
        {*HEAVY, "onnxruntime", "numpy", "uvicorn"}
    )


def test_a_master_imports_neither_numpy_nor_a_server() -> None:
    loaded = loaded_after("import taxiway_backends.local.master")
    assert loaded.isdisjoint({*HEAVY, "onnxruntime", "numpy", "uvicorn", "asyncio"})
