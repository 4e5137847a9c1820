"""Build one Bento: ``python -m taxiway.packaging.bento_build FOLDER NAME:VERSION``.

The Bento holds the Model's files as a BentoML model under the same tag, a copy of ``taxiway.serving`` and
``taxiway.signature``, and exact pins of what these import. It is told from an installed Taxiway by its own
``taxiway/__init__.py``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import taxiway

_INIT = '''"""Taxiway's serving runtime, as it was when the Bento {tag} was built."""

BENTO = "{tag}"
'''
_COPIED = ("signature.py", "py.typed")


def main(folder: Path, tag: str) -> None:
    """Store the Model's files and build its Bento."""
    import bentoml

    if not _has(bentoml.models, tag):
        with bentoml.models.create(tag, labels={"taxiway": "model"}) as stored:
            shutil.copytree(folder, stored.path, dirs_exist_ok=True)
    if _has(bentoml.bentos, tag):
        return
    name, _, version = tag.partition(":")
    with tempfile.TemporaryDirectory(prefix="taxiway-bento-") as project:
        module = _lay_out(Path(project), tag)
        bentoml.bentos.build(
            f"{module}:Service",
            name=name,
            version=version,
            build_ctx=project,
            include=["*.py", "taxiway/**"],
            labels={"taxiway": "model"},
            models=[tag],
            python={"packages": _pins(folder), "lock_packages": False},
        )


def _lay_out(project: Path, tag: str) -> str:
    """Write the Bento's sources; give the name of its service module, which no other Bento has."""
    source = Path(taxiway.__file__).resolve().parent
    target = project / "taxiway"
    shutil.copytree(source / "serving", target / "serving", ignore=shutil.ignore_patterns("__pycache__"))
    for name in _COPIED:
        shutil.copy(source / name, target / name)
    (target / "__init__.py").write_text(_INIT.format(tag=tag), encoding="utf-8")
    identifier = "".join(sign if sign.isalnum() else "_" for sign in tag)
    text = (source / "packaging" / "bento_service.py").read_text(encoding="utf-8")
    text = text.replace("@TAG@", tag).replace("@NAME@", tag.partition(":")[0])
    (project / f"service_{identifier}.py").write_text(text, encoding="utf-8")
    return f"service_{identifier}"


def _pins(folder: Path) -> list[str]:
    pins = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [*pins, f"bentoml=={metadata.version('bentoml')}"]


def _has(store: object, tag: str) -> bool:
    import bentoml

    try:
        store.get(tag)  # type: ignore[attr-defined]
    except bentoml.exceptions.NotFound:
        return False
    return True


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
