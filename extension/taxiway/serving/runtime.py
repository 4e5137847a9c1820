"""A Model's files, checked, opened with the engine of their format, and asked column by column."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from taxiway.serving.agreement import agree
from taxiway.serving.block import Tensor, float_columns
from taxiway.serving.engines import Engine, EngineError, open_engine
from taxiway.signature import Signature

_CHECK_REPEATS = 5


#: Column → one value a row.
Columns = Mapping[str, Sequence[Any]] | Mapping[str, Tensor]


class ModelError(Exception):
    """A Model's files cannot be loaded, or do not answer as they did when it was packaged."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Where one output column lies: a tensor, and one of its columns unless it has only one."""

    name: str
    tensor: str
    index: int | None


@dataclass(frozen=True, slots=True)
class Feed:
    """One input tensor and the columns, in order, that fill it; where they are in the block, if all are."""

    tensor: str
    dtype: np.dtype[Any]
    columns: tuple[str, ...]
    rows_of_block: tuple[int, ...] | None = None


class Runtime:
    """One Model, ready to predict.

    Parameters
    ----------
    directory
        The Model's folder: ``model.json``, ``signature.json``, ``sample.json`` and the model file itself.
    threads
        Threads within one prediction; more than one costs a small model more than it gives.
    device
        What it runs on: see ``engines.hardware.DEVICES``.

    Raises
    ------
    ModelError
        The device cannot run it, or a file is missing, is not what it was, or does not fit the signature.
    """

    def __init__(self, directory: Path, *, threads: int = 1, device: str = "cpu") -> None:
        self.directory = directory
        self.threads = threads
        self.manifest: dict[str, Any] = _read(directory / "model.json")
        self.tag = f"{self.manifest['name']}:{self.manifest['version']}"
        self.signature = Signature.from_dict(_read(directory / "signature.json"))
        self.sample: dict[str, Any] = _read(directory / "sample.json")
        _check_files(directory, self.manifest)
        self._engine = _open(directory, self.manifest, threads, device)
        self.feeds = feeds(self._engine, self.signature, self.tag)
        self._bindings = [
            Binding(one["name"], one["tensor"], one.get("index")) for one in self.manifest["outputs"]
        ]
        self._wanted = list(dict.fromkeys(binding.tensor for binding in self._bindings))
        self._places = [(one.name, self._wanted.index(one.tensor), one.index or 0) for one in self._bindings]
        #: What it really runs on.
        self.device: str = getattr(self._engine, "device", "cpu")
        self.milliseconds_a_row = math.inf
        #: How many rows of several requests may be run together, and the seconds that a run waits for them.
        self.batch_rows, self.batch_wait = 0, 0.0

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """The least and the greatest number that each numeric column's tensor and dtype can hold."""
        bounds: dict[str, tuple[float, float]] = {}
        declared = {column.name: column.dtype for column in self.signature.inputs}
        for feed in self.feeds:
            for name in feed.columns:
                if declared[name] in ("bool", "string") or feed.dtype.kind not in "fi":
                    continue
                own, held = _limits(np.dtype(declared[name])), _limits(feed.dtype)
                bounds[name] = (max(own[0], held[0]), min(own[1], held[1]))
        return bounds

    @property
    def holds_null(self) -> frozenset[str]:
        """The columns whose tensor can hold a missing value: NaN in a float, empty in a text."""
        return frozenset(name for feed in self.feeds if feed.dtype.kind in "fO" for name in feed.columns)

    def predict(self, columns: Columns, block: Tensor | None = None) -> dict[str, list[Any]]:
        """Run the model.

        Parameters
        ----------
        columns
            Checked values by column: lists, where None is a missing value, or arrays of shape (rows,).
        block
            The float columns as one array, if there is one.

        Returns
        -------
        dict
            Output name → one value a row.
        """
        return self.run(self.tensors_of(columns, block))

    def predict_arrays(self, columns: Columns, block: Tensor | None = None) -> dict[str, Tensor]:
        """Do what ``predict`` does, and give arrays of shape (rows,)."""
        return self._run(self.tensors_of(columns, block))

    def run_row(self, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        """Run the model on the tensors of a single row; give one value for each output."""
        return self._row_of(self._engine.run(tensors, self._wanted))

    def bind_row(self, tensors: Mapping[str, Tensor]) -> Callable[[], dict[str, Any]] | None:
        """Give what does the same with tensors that stay where they are; None where the engine cannot.

        Parameters
        ----------
        tensors
            Those of a single row, filled with values that the model can take.
        """
        bind = getattr(self._engine, "bind", None)
        run = None if bind is None else bind(tensors, self._wanted)
        if run is None:
            return None
        row_of = self._row_of
        return lambda: row_of(run())

    def _row_of(self, results: Sequence[Tensor]) -> dict[str, Any]:
        return {name: results[place].item(index) for name, place, index in self._places}

    def run(self, tensors: Mapping[str, Tensor]) -> dict[str, list[Any]]:
        """Run the model on tensors that are ready; give one value a row for each output."""
        return {name: values.tolist() for name, values in self._run(tensors).items()}

    def _run(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        results = dict(zip(self._wanted, self._engine.run(tensors, self._wanted), strict=True))
        outputs = {}
        for binding in self._bindings:
            values = results[binding.tensor]
            outputs[binding.name] = values.reshape(-1) if binding.index is None else values[:, binding.index]
        return outputs

    def tensors_of(self, columns: Columns, block: Tensor | None = None) -> dict[str, Tensor]:
        """Give the engine's tensors for checked values; see ``predict``."""
        if block is None:
            return {feed.tensor: _tensor(feed, columns) for feed in self.feeds}
        casts: dict[np.dtype[Any], Tensor] = {}
        tensors = {}
        for feed in self.feeds:
            rows = feed.rows_of_block
            if rows is None:
                tensors[feed.tensor] = _tensor(feed, columns)
                continue
            if (cast := casts.get(feed.dtype)) is None:
                cast = casts[feed.dtype] = block.astype(feed.dtype)
            tensors[feed.tensor] = cast[rows[0], :, None] if len(rows) == 1 else np.ascontiguousarray(cast.T)
        return tensors

    def self_check(self) -> None:
        """Answer the Model's own sample and compare; also warms up and times one row.

        Raises
        ------
        ModelError
            An answer differs from what was recorded at packaging.
        """
        records = self.sample["records"]
        if not records:
            return
        columns = self.sample_columns(len(records))
        try:
            given = self.predict(columns)
        except Exception as error:
            # engines raise many unrelated classes, each of which means the same here.
            raise ModelError(f"{self.tag} cannot answer its own sample: {error}") from error
        for name, expected in self.sample["outputs"].items():
            for row, (one, other) in enumerate(
                zip(expected, given.get(name, [None] * len(expected)), strict=True)
            ):
                if not agree(one, other):
                    raise ModelError(
                        f"{self.tag} does not answer its own sample rightly: "
                        f"row {row}, output {name!r}: expected {one!r}, got {other!r}"
                    )
        self.milliseconds_a_row = self.time(1)

    def time(self, rows: int, repeats: int = _CHECK_REPEATS) -> float:
        """Give the least milliseconds that a number of the sample's rows took, tensors and outputs included.

        Rows are repeated where the sample has fewer.
        """
        columns = self.sample_columns(rows)
        timings = []
        for _ in range(repeats):
            start = time.perf_counter()
            self.predict(columns)
            timings.append(time.perf_counter() - start)
        return 1e3 * min(timings)

    def sample_columns(self, rows: int) -> dict[str, list[Any]]:
        """Give a number of the sample's rows by column, over and over where it has fewer."""
        records = [*islice(cycle(self.sample["records"]), rows)]
        return {name: [record.get(name) for record in records] for name in self.signature.names}

    def rethread(self, threads: int) -> None:
        """Open the model file anew with another number of threads; the device stays.

        Raises
        ------
        ModelError
            It cannot be opened any more.
        """
        del self._engine  # two at once may not fit into memory
        self._engine = _open(self.directory, self.manifest, threads, self.device)
        self.threads = threads
        if self.sample["records"]:
            self.milliseconds_a_row = self.time(1)


def _read(path: Path) -> Any:
    try:
        return orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path.name} of the Model in {path.parent} cannot be read: {error}") from error


def _check_files(directory: Path, manifest: dict[str, Any]) -> None:
    for name, digest in manifest.get("files", {}).items():
        path = directory / name
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ModelError(f"{name} of the Model in {directory} cannot be read: {error}") from error
        if found != digest:
            raise ModelError(f"{name} of the Model in {directory} is not what it was when it was packaged")


def _open(directory: Path, manifest: dict[str, Any], threads: int, device: str) -> Engine:
    try:
        return open_engine(
            directory,
            manifest.get("runtime", "onnx"),
            manifest.get("engine"),
            threads=threads,
            device=device,
        )
    except EngineError as error:
        raise ModelError(f"The Model in {directory} cannot be opened: {error}") from error


def feeds(engine: Engine, signature: Signature, tag: str) -> list[Feed]:
    """Say which columns fill which of the engine's tensors.

    Raises
    ------
    ModelError
        The tensors are not the columns.
    """
    inputs = engine.inputs
    names, floats = signature.names, float_columns(signature)
    if inputs.keys() == set(names):
        return [_feed(name, inputs[name], (name,), floats) for name in names]
    if len(inputs) == 1:
        [(tensor, dtype)] = inputs.items()
        return [_feed(tensor, dtype, names, floats)]
    raise ModelError(
        f"{tag} has the inputs {sorted(inputs)}, but its signature has the columns {sorted(names)}"
    )


def _feed(tensor: str, dtype: np.dtype[Any], columns: tuple[str, ...], floats: tuple[str, ...]) -> Feed:
    blockwise = dtype.kind == "f" and (columns == floats or (len(columns) == 1 and columns[0] in floats))
    return Feed(tensor, dtype, columns, tuple(map(floats.index, columns)) if blockwise else None)


def _limits(dtype: np.dtype[Any]) -> tuple[float, float]:
    if dtype.kind == "f":
        info = np.finfo(dtype)
        return float(info.min), float(info.max)
    whole = np.iinfo(dtype)
    return int(whole.min), int(whole.max)


def _tensor(feed: Feed, columns: Columns) -> Tensor:
    if len(feed.columns) > 1:
        arrays = [_array(columns[name], feed.dtype) for name in feed.columns]
        return np.stack(arrays, axis=1)
    return _array(columns[feed.columns[0]], feed.dtype).reshape(-1, 1)


def _array(values: Sequence[Any] | Tensor, dtype: np.dtype[Any]) -> Tensor:
    if dtype.kind == "O" and None in values:
        values = ["" if value is None else value for value in values]
    return np.array(values, dtype=dtype)
