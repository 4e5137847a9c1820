"""Build one Bento: ``python -m taxiway.packaging.bento_build``, told ``[FOLDER, TAG]`` on standard input.

All that takes long to import is imported before it is told; an end of input without a word ends it.

The Bento holds the Model's files as a BentoML model under the same tag, a copy of ``taxiway.serving`` and
``taxiway.signature``, and exact pins of what these import and of what ships to a store. It is told from an
installed Taxiway by its own ``taxiway/__init__.py``.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from importlib import import_module, metadata
from pathlib import Path

import taxiway
from taxiway.serving import stores

_INIT = '''"""Taxiway's serving runtime, as it was when the Bento {tag} was built."""

BENTO = "{tag}"
'''
#: What a build imports, slowly.
_SLOW = (
    "bentoml.bentos",
    "bentoml.models",
    "_bentoml_impl.docker",
    "_bentoml_sdk.images",
    "taxiway.serving.service",
)
_COPIED = ("signature.py", "py.typed")


def main() -> None:
    """Wait to be told, then store the Model's files and build its Bento."""
    for name in _SLOW:
        import_module(name)
    told = sys.stdin.read()
    if told:
        folder, tag = json.loads(told)
        build(Path(folder), tag)


def build(folder: Path, tag: str) -> None:
    """Build the Bento of the Model in ``folder`` in BentoML's store, where there is none of that tag."""
    import bentoml

    with bentoml.models.create(tag, labels={"taxiway": "model"}) as stored:
        shutil.copytree(folder, stored.path, dirs_exist_ok=True)
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
    # Where a Bento will run is not known when it is built, so what ships its log is always there.
    return [*pins, f"bentoml=={metadata.version('bentoml')}", stores.REQUIREMENT]


if __name__ == "__main__":
    main()
