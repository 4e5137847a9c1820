"""What XGBoost, LightGBM and CatBoost have in common: trees over numbers, one tensor for all columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Answers, Export, Options, Precision
from taxiway.packaging.frameworks import answers as named
from taxiway.packaging.frameworks.graph import ModelProto, canonical
from taxiway.packaging.frameworks.graph_outputs import relabel, without_zipmaps
from taxiway.packaging.manifest import Scalar, Task
from taxiway.signature import Column

if TYPE_CHECKING:
    import pandas as pd

#: The graph's only input: float32, of shape (rows, columns).
INPUT = "columns"


class BoosterAdapter(ABC):
    """A fitted booster whose features are numbers; a missing one is NaN.

    Raises
    ------
    PackagingError
        It is not fitted, or does what has no ONNX form.
    """

    framework: str
    title: str
    task: Task
    classes: tuple[Scalar, ...] | None = None
    columns: tuple[str, ...] | None = None
    width: int | None = None
    precisions: tuple[Precision, ...] = ("float32",)
    #: Whether the original says how probable each class is.
    probabilities = True

    #: Whether the graph that it is converted to gives a class by its number.
    numbered = True

    def __init__(self, model: Any, options: Options) -> None:
        if options.format not in (None, "onnx"):
            raise PackagingError(
                f"{self.title} models are packaged as ONNX, not as {options.format}.",
                hint="Leave format out.",
            )
        self._model = model
        self._load(options)
        named.check_options(self.title, options, self.task, self.classes, "onnx")

    @abstractmethod
    def _load(self, options: Options) -> None:
        """Find out task, classes, columns and width."""

    @abstractmethod
    def _converted(self) -> ModelProto:
        """Convert to a graph of one input, ``INPUT``."""

    @abstractmethod
    def _ask(self, frame: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
        """Ask the original for ``prediction``, or for ``label`` and ``probabilities``."""

    @abstractmethod
    def seeds(self) -> dict[str, int | str | None]:
        """Give its seed, if one was given; see ``Adapter``."""

    def export(
        self, columns: Sequence[Column], reference: pd.DataFrame, precision: Precision, folder: Path
    ) -> Export:
        """Convert to ONNX; see ``Adapter``."""
        del reference
        names = self._names()
        named.check_inputs(columns, names)
        self._check_numbers(columns)
        proto = self._explained()
        without_zipmaps(proto)
        tensors = [output.name for output in proto.graph.output][: len(names)]
        data = canonical(proto, [INPUT], dict(zip(tensors, names, strict=True)), boolean=frozenset())
        return named.onnx_export(folder, data, names, precision)

    def answers(self, frame: pd.DataFrame) -> Answers:
        """Ask the original; see ``Adapter``."""
        return named.flat(self._names(), self._ask(frame))

    def modules(self) -> frozenset[str]:
        """Give where the code comes from; see ``Adapter``."""
        return frozenset({self.framework})

    def refuse(self, what: str, hint: str) -> PackagingError:
        """Give the error that says what about the model has no ONNX form."""
        return PackagingError(f"This {self.title} model {what}, which has no ONNX form.", hint=hint)

    def _names(self) -> dict[str, list[str]]:
        if self.task == "classification":
            return named.of_classes(self.classes, probabilities=self.probabilities)
        return named.of_numbers(1)

    def _explained(self) -> ModelProto:
        try:
            proto = self._converted()
        except PackagingError:
            raise
        except Exception as error:
            # converters raise many unrelated classes, each of which means the same here.
            reason = str(error).strip().partition("\n")[0][:300] or type(error).__name__
            raise PackagingError(
                f"This {self.title} model could not be converted to ONNX: {reason}",
                hint="Fit it with another objective or booster.",
            ) from error
        labels = list(self.classes or ())
        if self.numbered and repr(labels) != repr(list(range(len(labels)))):  # True is not 1 here
            relabel(proto, proto.graph.output[0].name, labels)
        return proto

    def _check_numbers(self, columns: Sequence[Column]) -> None:
        for column in columns:
            if column.dtype == "string":
                raise self.refuse(
                    f"takes the text or category {column.name!r}",
                    "Put the encoder into the model: make_pipeline(ColumnTransformer([('text', "
                    f"OneHotEncoder(handle_unknown='ignore'), [{column.name!r}])], remainder='passthrough'), "
                    "model).",
                )

    def _rename(self, options: Options) -> None:
        """Take the classes' names from the caller, for a booster knows only their numbers."""
        if options.classes is None or self.classes is None:
            return
        if len(options.classes) != len(self.classes):
            raise PackagingError(
                f"The model has {len(self.classes)} classes and classes= names {len(options.classes)}.",
                hint="Name each, in the order of their numbers.",
            )
        self.classes = options.classes


def numbers(frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Give the frame as an array of float64; missing is NaN."""
    return frame.to_numpy(dtype=np.float64, na_value=np.nan)
