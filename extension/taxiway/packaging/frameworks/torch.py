"""PyTorch: modules of numbers, exported through ``torch.onnx`` with any number of rows.

The graph is ONNX, the weights are safetensors: a ``torch.export`` program, which PyTorch itself would run on
a GPU, runs code from its file when it is loaded (tests/frameworks/test_torch_export.py shows it).

``forward`` takes all columns as one tensor of shape (rows, columns), or one tensor of shape (rows, 1) per
column if it has an argument of each column's name. It gives one tensor of shape (rows,) or (rows, n).

For ``task="classification"`` the original's answers are what it gives, through the same softmax or sigmoid
that the exported file ends with. The module is asked in evaluation mode, without dropout.
"""

from __future__ import annotations

import copy
import inspect
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Answers, Export, Options, Precision
from taxiway.packaging.frameworks.arrays import shape_of
from taxiway.packaging.frameworks.extras import missing
from taxiway.packaging.frameworks.graph import ModelProto
from taxiway.packaging.frameworks.neural import Head, Purpose, write_onnx
from taxiway.packaging.manifest import Scalar, Task
from taxiway.signature import Column

if TYPE_CHECKING:
    import pandas as pd

_DTYPES: dict[Precision, torch.dtype] = {"float32": torch.float32, "float64": torch.float64}
_ROWS_AT_ONCE = 1_000
#: Steps of autograd that move numbers without changing them, and that a linear layer consists of.
_MOVES = ("View", "UnsafeView", "ReshapeAlias", "Alias", "Squeeze", "Unsqueeze", "Select", "Slice", "T")
_LINEAR = ("Addmm", "Mm", "Mv", "Linear", "Add", "Matmul", "Dot", "Bmm")


class TorchAdapter:
    """A trained ``torch.nn.Module``.

    Raises
    ------
    PackagingError
        It cannot be exported, or its weights are not at hand.
    """

    framework = "torch"
    precisions: tuple[Precision, ...] = ("float32", "float64")
    width: int | None = None

    def __init__(self, model: Any, options: Options) -> None:
        if options.format not in (None, "onnx"):
            raise PackagingError(
                f"PyTorch models are packaged as ONNX, not as {options.format}.", hint="Leave format out."
            )
        self._model = _module(model)
        purpose = Purpose.of(options)
        self.task: Task = purpose.task
        self.classes: tuple[Scalar, ...] | None = purpose.classes
        self._purpose = purpose
        self._arguments = _arguments(self._model)
        self.columns = self._arguments if len(self._arguments) > 1 else None
        self._head: Head | None = None
        self._whole = False

    def export(
        self, columns: Sequence[Column], reference: pd.DataFrame, precision: Precision, folder: Path
    ) -> Export:
        """Convert to ONNX; see ``Adapter``."""
        if self._head is None:
            self.answers(reference.head(_ROWS_AT_ONCE))
        assert self._head is not None
        model = self._copied(_DTYPES[precision])
        few = reference.iloc[[0, len(reference) // 2, len(reference) - 1]]
        example = self._tensors(few, torch.device("cpu"), _DTYPES[precision])
        names = [f"input_{index}" for index in range(len(example))]
        proto = to_onnx(model, example, names, [{0: torch.export.Dim.DYNAMIC} for _ in example])
        inputs = ["inputs"] if self.columns is None else self.columns
        shape = shape_of([column.name for column in columns]) if self.columns is None else None
        return write_onnx(
            proto, self._head, inputs, folder, precision, shape=shape, weights=model.state_dict().keys()
        )

    def answers(self, frame: pd.DataFrame) -> Answers:
        """Ask the original; see ``Adapter``."""
        device, dtype = _place(self._model)
        with evaluating(self._model), torch.no_grad():
            raw = self._asked(frame, device, dtype)
        if self._head is None:
            with evaluating(self._model), torch.enable_grad():
                linear = self._ends_linearly(frame.head(2), device, dtype)
            self._head = Head.of(raw, len(frame), self._purpose, linear=linear)
        return self._head.answers(raw)

    def seeds(self) -> dict[str, int | str | None]:
        """Give the seed that torch's generator began with; see ``Adapter``."""
        return {"torch": int(torch.initial_seed())}

    def modules(self) -> frozenset[str]:
        """Give where the code comes from; see ``Adapter``."""
        return frozenset(type(part).__module__ for part in self._model.modules())

    def _asked(self, frame: pd.DataFrame, device: torch.device, dtype: torch.dtype) -> Any:
        try:
            return self._raw(frame, device, dtype)
        except RuntimeError as error:
            # an embedding takes whole numbers only, and says so in many ways
            if self._whole or not any(kind.kind in "iu" for kind in frame.dtypes):
                raise
            self._whole = True
            try:
                return self._raw(frame, device, dtype)
            except RuntimeError:
                self._whole = False
                raise error from None

    def _raw(self, frame: pd.DataFrame, device: torch.device, dtype: torch.dtype) -> Any:
        parts = []
        for start in range(0, len(frame), _ROWS_AT_ONCE):
            rows = frame.iloc[start : start + _ROWS_AT_ONCE]
            result = self._model(*self._tensors(rows, device, dtype))
            if not isinstance(result, torch.Tensor):
                raise PackagingError(
                    f"forward() of the {type(self._model).__name__} gives a {type(result).__name__}.",
                    hint="Package a module whose forward() gives one tensor.",
                )
            wide = result.detach().cpu()
            parts.append((wide.float() if wide.dtype in (torch.float16, torch.bfloat16) else wide).numpy())
        return np.concatenate(parts)

    def _tensors(
        self, frame: pd.DataFrame, device: torch.device, dtype: torch.dtype
    ) -> tuple[torch.Tensor, ...]:
        for name in frame.columns:
            if frame[name].dtype.kind not in "fiub":
                raise PackagingError(
                    f"Column {name!r} is {frame[name].dtype}, but a PyTorch module takes numbers.",
                    hint="Encode it before the module, and pass the encoded frame as reference.",
                )
        groups = [list(frame.columns)] if self.columns is None else [[name] for name in self.columns]
        tensors = []
        for names in groups:
            part = frame[names]
            whole = self._whole and all(kind.kind in "iu" for kind in part.dtypes)
            values = part.to_numpy(dtype=np.int64 if whole else np.float64)
            tensor = torch.tensor(np.array(values, order="C"), dtype=torch.int64 if whole else dtype)
            tensors.append(tensor.reshape(-1, *(shape_of(names) or tensor.shape[1:])).to(device))
        return tuple(tensors)

    def _ends_linearly(self, frame: pd.DataFrame, device: torch.device, dtype: torch.dtype) -> bool:
        """Look in autograd's record for what the module ends with."""
        tensors = self._tensors(frame, device, dtype)
        result = self._model(*(one.requires_grad_() if one.is_floating_point() else one for one in tensors))
        step: Any = result.grad_fn
        while step is not None and _named(step, _MOVES) and step.next_functions:
            step = step.next_functions[0][0]
        return step is not None and _named(step, _LINEAR)

    def _copied(self, dtype: torch.dtype) -> torch.nn.Module:
        """Give the module itself if it is on the CPU in this precision, else a copy that is."""
        place = _place(self._model)
        if place == (torch.device("cpu"), dtype):
            return self._model
        return copy.deepcopy(self._model).to("cpu", dtype)


def to_onnx(
    model: torch.nn.Module,
    example: tuple[torch.Tensor, ...],
    names: Sequence[str],
    dynamic: Sequence[dict[int, Any]],
) -> ModelProto:
    """Export a module with one output, its weights still inside.

    Parameters
    ----------
    names
        Of the inputs.
    dynamic
        For each input, which dimensions may have any size.

    Raises
    ------
    PackagingError
        The exporter cannot follow the module.
    """
    variadic = inspect.Parameter.VAR_POSITIONAL in {
        one.kind for one in inspect.signature(model.forward).parameters.values()
    }
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)  # it tells of torchvision, which is not needed
    try:
        with evaluating(model), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model,
                example,
                dynamo=True,
                dynamic_shapes=(tuple(dynamic),) if variadic else tuple(dynamic),
                input_names=list(names),
                output_names=["raw"],
                external_data=False,
                verbose=False,
            )
        assert program is not None
        return program.model_proto
    except ImportError as error:
        raise missing(error) from error
    except Exception as error:
        # the exporter raises many unrelated classes, each of which means the same here
        cause: BaseException = error.__cause__ or error
        reason = next((line.strip() for line in str(cause).splitlines() if line.strip()), repr(cause))
        raise PackagingError(
            f"The {type(model).__name__} could not be exported to ONNX: {reason[:300]}",
            hint="Let forward() do without branches on the values of its inputs and without fixed "
            "numbers of rows.",
        ) from error
    finally:
        log.setLevel(before)


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Put every part of a module into evaluation mode, and back into what it was in."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _module(model: Any) -> torch.nn.Module:
    while isinstance(model, torch.nn.DataParallel) or hasattr(model, "_orig_mod"):
        model = model.module if isinstance(model, torch.nn.DataParallel) else model._orig_mod
    if not isinstance(model, torch.nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise PackagingError(
            f"A {type(model).__name__} of PyTorch cannot be packaged.",
            hint="Pass the torch.nn.Module itself, not its weights, a tensor or a TorchScript of it.",
        )
    kind = type(model).__name__
    parts = [*model.parameters(), *model.buffers()]
    if any(torch.nn.parameter.is_lazy(part) for part in parts):
        raise PackagingError(
            f"The {kind} is not fitted yet: it has layers whose size is not known.",
            hint="Train it, or call it once on a batch.",
        )
    for device in {part.device for part in parts}:
        absent = device.type == "cuda" and not torch.cuda.is_available()
        if absent or device.type == "meta":
            where = "a GPU, and there is none here" if absent else "the meta device, which holds no values"
            raise PackagingError(
                f"The weights of the {kind} are on {where}.",
                hint="Load them with torch.load(..., map_location='cpu', weights_only=True).",
            )
    return model


def _arguments(model: torch.nn.Module) -> tuple[str, ...]:
    """Give the names of what ``forward`` must be given."""
    parameters = inspect.signature(model.forward).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(
        one.name for one in parameters if one.kind in positional and one.default is inspect.Parameter.empty
    )


def _place(model: torch.nn.Module) -> tuple[torch.device, torch.dtype]:
    """Give the device of a module, and the dtype of its numbers."""
    parts = [*model.parameters(), *model.buffers()]
    reals = [part for part in parts if part.is_floating_point()]
    device = parts[0].device if parts else torch.device("cpu")
    return device, reals[0].dtype if reals else torch.float32


def _named(step: Any, names: Sequence[str]) -> bool:
    return step.name().partition("Backward")[0] in names
