"""Image classifiers, on images of exactly the size that their model takes: a column of numbers per pixel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Answers, Export, Options, Precision
from taxiway.packaging.frameworks.arrays import shape_of
from taxiway.packaging.frameworks.huggingface.classification import head_of, labels_of, scored
from taxiway.packaging.frameworks.neural import write_onnx
from taxiway.packaging.manifest import Scalar, Task
from taxiway.signature import Column

if TYPE_CHECKING:
    import pandas as pd

_ROWS_AT_ONCE = 64
_HINT = "Pass images as an array of whole numbers of shape (rows, height, width, 3), each from 0 to 255."


class ImageAdapter:
    """A pipeline for ``image-classification``.

    Of what its image processor does, the graph rescales and normalises; images are served in the size that
    the model takes, so that there is nothing to resize or crop.

    Raises
    ------
    PackagingError
        Its labels are not those that were given, or there is only one.
    """

    framework = "transformers"
    columns: tuple[str, ...] | None = None
    precisions: tuple[Precision, ...] = ("float32",)

    def __init__(self, pipeline: Any, options: Options) -> None:
        self._pipeline = pipeline
        config = pipeline.model.config
        self._labels = labels_of(config)
        self._head = head_of(config, options)
        self.task: Task = "regression" if self._head.classes is None else "classification"
        self.classes: tuple[Scalar, ...] | None = self._head.classes
        size = getattr(config, "image_size", None)
        self._size = (size, size) if isinstance(size, int) else tuple(size or ())
        self.width: int | None = None

    def export(
        self, columns: Sequence[Column], reference: pd.DataFrame, precision: Precision, folder: Path
    ) -> Export:
        """Write the ONNX graph; see ``Adapter``."""
        del reference  # its names tell the shape
        import torch

        from taxiway.packaging.frameworks.torch import to_onnx

        shape = self._shape([column.name for column in columns])
        model = self._pipeline.model
        example = torch.zeros((3, *shape))
        place = model.device
        try:
            module = _prepared(model.to("cpu"), *self._scales(), channels=shape[-1])
            proto = to_onnx(module, (example,), ["pixels"], [{0: torch.export.Dim.DYNAMIC}])
        finally:
            model.to(place)
        weights = module.state_dict().keys()
        return write_onnx(proto, self._head, ["inputs"], folder, precision, shape=shape, weights=weights)

    def answers(self, frame: pd.DataFrame) -> Answers:
        """Ask the pipeline; see ``Adapter``."""
        from PIL import Image

        shape = self._shape([str(name) for name in frame.columns])
        values = frame.to_numpy()
        if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 255:
            raise PackagingError("The pixels are not all whole numbers from 0 to 255.", hint=_HINT)
        images = [Image.fromarray(one) for one in values.astype(np.uint8).reshape(-1, *shape)]
        found = self._pipeline(images, top_k=len(self._labels), batch_size=_ROWS_AT_ONCE)
        return scored(found, self._labels, self._head)

    def seeds(self) -> dict[str, int | str | None]:
        """Give the seed that torch's generator began with; see ``Adapter``."""
        import torch

        return {"torch": int(torch.initial_seed())}

    def modules(self) -> frozenset[str]:
        """Give where the code comes from; see ``Adapter``."""
        return frozenset({type(self._pipeline.model).__module__, "transformers", "torch", "PIL"})

    def _shape(self, columns: Sequence[str]) -> tuple[int, ...]:
        shape = shape_of(columns)
        if shape is None or len(shape) != 3 or shape[-1] != 3:
            raise PackagingError("The reference does not hold images with three channels.", hint=_HINT)
        if self._size and shape[:2] != self._size:
            height, width = self._size
            raise PackagingError(
                f"The images are of {shape[0]} × {shape[1]} pixels, but the model takes {height} × {width}: "
                "the resizing of a pipeline is not served.",
                hint="Resize them first, as with PIL's Image.resize, and package the resized ones.",
            )
        return shape

    def _scales(self) -> tuple[list[float], list[float]]:
        """Give factor and offset of each channel that rescaling and normalising come down to."""
        processor = self._pipeline.image_processor
        factor = float(processor.rescale_factor) if processor.do_rescale else 1.0
        normal = bool(processor.do_normalize)
        means, deviations = (
            [float(value) for value in given] if normal else [default] * 3
            for given, default in ((processor.image_mean, 0.0), (processor.image_std, 1.0))
        )
        return [factor / one for one in deviations], [
            -mean / one for mean, one in zip(means, deviations, strict=True)
        ]


def _prepared(model: Any, factors: list[float], offsets: list[float], *, channels: int) -> Any:
    """Wrap a model so that it takes pixels of shape (rows, height, width, channels), and gives its logits."""
    import torch

    class Prepared(torch.nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.register_buffer("factors", torch.tensor(factors).reshape(1, channels, 1, 1))
            self.register_buffer("offsets", torch.tensor(offsets).reshape(1, channels, 1, 1))

        def forward(self, pixels: Any) -> Any:
            scaled = pixels.permute(0, 3, 1, 2) * self.factors + self.offsets
            return self.model(pixel_values=scaled).logits

    return Prepared()
