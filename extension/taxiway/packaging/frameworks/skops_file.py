"""A scikit-learn estimator written with skops: which types it holds, and always the same bytes.

skops names arrays and objects by their addresses in memory; here each is named by its place, so that the
same estimator gives the same file.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Collection
from pathlib import PurePath
from typing import Any

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks.extras import need
from taxiway.serving.engines.skops import SCHEMA, refused

_DATE = (1980, 1, 1, 0, 0, 0)


def written(model: Any, trust: Collection[str]) -> tuple[bytes, list[str]]:
    """Give the file, and those of the types in ``trust`` that it holds.

    Raises
    ------
    PackagingError
        skops cannot write it, or it holds a type that is not, or cannot be, trusted.
    """
    data, types = _dumped(model)
    missing = [name for name in types if name not in trust]
    if missing:
        raise PackagingError(
            f"The file would hold types whose code runs when it is loaded: {', '.join(missing)}.",
            hint=f"Read their code, then say so: {call(types)}.",
        )
    return _canonical(data), types


def call(types: list[str]) -> str:
    """Give the call that packages a model with skops."""
    return f"taxiway.package(model, ..., format='skops'{f', trust={types}' if types else ''})"


def suggestion(model: Any) -> str:
    """Say how a model without an ONNX form can be packaged as it is."""
    try:
        _, types = _dumped(model)
    except PackagingError as error:
        return (
            f"{error.message} {error.hint}"
            if "installed" not in error.message
            else error.hint + (" and package it as it is with format='skops'.")
        )
    confirm = " once you have read the code of these types" if types else ""
    return f"Package it as it is, with skops: {call(types)}{confirm}."


def _dumped(model: Any) -> tuple[bytes, list[str]]:
    skops = need("skops.io")
    try:
        data: bytes = skops.dumps(model)
        types = sorted(skops.get_untrusted_types(data=data))
    except Exception as error:
        # skops raises many unrelated classes, each of which means the same here.
        raise PackagingError(
            f"skops cannot write this model: {str(error).strip().partition(chr(10))[0]}",
            hint="Do the work of that step before the model, or use another one in its place.",
        ) from error
    for name in types:
        _check_type(name)
    return data, types


def _check_type(name: str) -> None:
    if name.startswith("__main__."):
        raise PackagingError(
            f"{name.removeprefix('__main__.')} is defined in the notebook itself, where no other process "
            "can find it.",
            hint="Move it into a module file (a .py beside the notebook), import it from there, and fit "
            "the model again.",
        )
    if "<" in name:
        raise PackagingError(
            f"{name} has no name by which it could be found again.",
            hint="Write it as a function with a name, in a module file, and fit the model again.",
        )
    if refused(name):
        raise PackagingError(
            f"The model holds {name}, which cannot be trusted: it could run any program.",
            hint="Do the work of that step before the model.",
        )


def _canonical(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read(SCHEMA))
        arrays: dict[str, str] = {}
        _renumber(schema, {}, arrays)
        members = {new: archive.read(old) for old, new in arrays.items()}
    members[SCHEMA] = json.dumps(schema).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo(name, _DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, content)
    return out.getvalue()


def _renumber(node: Any, numbers: dict[int, int], arrays: dict[str, str]) -> None:
    if isinstance(node, dict):
        if isinstance(node.get("__id__"), int):
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
        file = node.get("file")
        if isinstance(file, str) and "__loader__" in node:
            node["file"] = arrays.setdefault(file, f"{len(arrays)}{PurePath(file).suffix}")
        children = list(node.values())
    else:
        children = node if isinstance(node, list) else []
    for child in children:
        _renumber(child, numbers, arrays)
