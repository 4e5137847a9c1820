"""What an image is made of, as a folder: three layers, a Dockerfile that puts them together, and the lock."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import taxiway
from taxiway_backends.sagemaker.image.base import compile_sources, make_base
from taxiway_backends.sagemaker.image.debian import BaseLock
from taxiway_backends.sagemaker.image.layers import Layer, read_layer, write_layer
from taxiway_backends.sagemaker.image.lock import cuda_of, environment_lock, target, uv

#: In the image.
PACKAGES = "opt/taxiway/packages"
SOURCE = "opt/taxiway/source"
MODEL = "opt/ml/model"
#: Changed whenever an image of the same lock and source would be made otherwise.
RECIPE = "3"
#: Names an image to stand on instead of Taxiway's own base; it has Python 3.11, as ``python3``.
BASE_VARIABLE = "TAXIWAY_IMAGE_BASE"
#: Of the cache: some 60 MB each.
MOST_LAYERS = 24
DOCKERFILE = Path(__file__).with_name("Dockerfile")
_COPIED = ("signature.py", "py.typed")
_INIT = '"""Taxiway\'s serving runtime, as it was when the image was built."""\n'

Progress = Callable[[str], None]


def silent(_: str) -> None:
    """Tell nobody."""


def default_cache() -> Path:
    """Give the folder for what images are made of: downloads, layers and locks; safe to remove."""
    named = os.environ.get("TAXIWAY_IMAGE_CACHE")
    if named:
        return Path(named)
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "taxiway" / "images"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made of: its base, its packages and Taxiway's source, and nothing of the Model.

    Parameters
    ----------
    own_base
        An image to stand on instead of ``base``.
    """

    base: BaseLock
    lock: str
    source: Path
    own_base: str = ""

    @classmethod
    def of(cls, model: Path, cache: Path, own_base: str | None = None, *, gpu: bool = False) -> Recipe:
        """Read a Model's, resolving its lock where that was not done before."""
        lock, source = environment_lock(model, cache, gpu=gpu), Path(taxiway.__file__).resolve().parent
        own = os.environ.get(BASE_VARIABLE, "") if own_base is None else own_base
        return cls(BaseLock.read(), lock, source, own)

    @property
    def digest(self) -> str:
        """The SHA-256 of all, in hexadecimal."""
        base = self.own_base or self.base.digest
        parts = (RECIPE, base, self.lock, self.source_digest, DOCKERFILE.read_text("utf-8"))
        return _digest("\n".join(parts).encode())

    @property
    def packages_digest(self) -> str:
        """The SHA-256 of what the packages' layer follows from."""
        return _digest("\n".join((RECIPE, self.base.digest, self.lock)).encode())

    @property
    def source_digest(self) -> str:
        """The SHA-256 of what is copied of Taxiway's source."""
        lines = [f"{_digest(path.read_bytes())} {path.relative_to(self.source)}" for path in self._files()]
        return _digest("\n".join(lines).encode())

    def copy_source(self, folder: Path) -> None:
        """Copy what serves, and nothing else of Taxiway."""
        for path in self._files():
            copy = folder / path.relative_to(self.source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        (folder / "__init__.py").write_text(_INIT, encoding="utf-8")

    def _files(self) -> list[Path]:
        serving = sorted((self.source / "serving").rglob("*.py"))
        return [*serving, *(self.source / name for name in _COPIED)]


def lock_digest(model_path: Path, *, gpu: bool = False, cache: Path | None = None) -> str:
    """Give the SHA-256, in hexadecimal, of all that a Model's image follows from.

    Models of one environment have the same; another device, or another version of Taxiway's serving runtime,
    has another.
    """
    return Recipe.of(model_path, cache or default_cache(), gpu=gpu).digest


def cuda(model_path: Path, *, cache: Path | None = None) -> str:
    """Give the major version of CUDA in a Model's image for GPUs; empty where it has none."""
    return cuda_of(environment_lock(model_path, cache or default_cache(), gpu=True))


def layers(recipe: Recipe, cache: Path, progress: Progress = silent) -> tuple[Layer, Layer, Layer]:
    """Give the three layers of an image, made where they are not kept: base, packages, source.

    Raises
    ------
    BackendError
        Something of it could not be had, or compiled.
    """
    folder = cache / "layers"
    folder.mkdir(parents=True, exist_ok=True)
    one, two, three = map(_kept, _paths(recipe, folder))
    if one and two and three:  # what is there waits for nobody who makes another
        return one, two, three
    # Two deploys at once: the second finds what the first has made.
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = _make(recipe, cache, folder, progress)
        _forget(folder, keep={layer.path for layer in made})
    return made


def _paths(recipe: Recipe, folder: Path) -> tuple[Path, Path, Path]:
    """Say where the layers of a recipe lie: base, packages, source."""
    source = _digest((recipe.source_digest + recipe.packages_digest).encode())
    names = (
        f"base-{recipe.base.digest[:24]}-{RECIPE}",
        f"packages-{recipe.packages_digest[:24]}",
        f"source-{source[:24]}",
    )
    return folder / f"{names[0]}.tar.gz", folder / f"{names[1]}.tar.gz", folder / f"{names[2]}.tar.gz"


def _kept(path: Path) -> Layer | None:
    """Read a layer that was made before, and note that it was used."""
    with contextlib.suppress(FileNotFoundError):
        os.utime(path)
    return read_layer(path)


def _make(recipe: Recipe, cache: Path, folder: Path, progress: Progress) -> tuple[Layer, Layer, Layer]:
    root: list[Path] = []

    def base() -> Path:
        if not root:
            progress("Debian packages for the base of the image")
            root.append(make_base(cache, recipe.base))
        return root[0]

    def made(path: Path, tree: Callable[[Path], Path]) -> Callable[[], Layer]:
        if (kept := _kept(path)) is not None:
            return lambda: kept
        base()

        def make() -> Layer:
            with tempfile.TemporaryDirectory(prefix="taxiway-layer-", dir=cache) as scratch:
                return write_layer(tree(Path(scratch)), path)

        return make

    def packages(scratch: Path) -> Path:
        progress("Python packages of the Model's environment")
        place = scratch / PACKAGES
        _install(recipe.lock, place)
        compile_sources(base(), place, f"/{PACKAGES}")
        return scratch

    def source(scratch: Path) -> Path:
        place = scratch / SOURCE / "taxiway"
        recipe.copy_source(place)
        (scratch / MODEL).mkdir(parents=True)
        compile_sources(base(), place, f"/{SOURCE}/taxiway")
        return scratch

    trees: tuple[Callable[[Path], Path], ...] = (lambda _: base(), packages, source)
    wanted = [made(path, tree) for path, tree in zip(_paths(recipe, folder), trees, strict=True)]
    with ThreadPoolExecutor(len(wanted)) as pool:
        first, second, third = pool.map(lambda make: make(), wanted)
    return first, second, third


def context(
    model_path: Path,
    folder: Path,
    *,
    gpu: bool = False,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Path:
    """Lay a Model's image out as a folder for ``docker build`` or ``podman build``.

    It holds the Dockerfile, ``requirements.lock`` (pins with hashes) and ``base.lock`` that say what is in
    it, the layers that were made of these, and Taxiway's serving source for reading. No network is needed
    to build it.

    Parameters
    ----------
    model_path
        The Model's folder; nothing of it but its environment goes into the image.
    folder
        Where to write; made if it is not there.
    gpu
        Whether it is to compute on a GPU.

    Returns
    -------
    Path
        The folder.
    """
    cache = cache or default_cache()
    recipe = Recipe.of(model_path, cache, gpu=gpu)
    folder.mkdir(parents=True, exist_ok=True)
    for name, layer in zip(("base", "packages", "source"), layers(recipe, cache, progress), strict=True):
        shutil.copyfile(layer.path, folder / f"{name}.tar.gz")
    shutil.copyfile(DOCKERFILE, folder / "Dockerfile")
    shutil.copyfile(DOCKERFILE.with_name("base.lock"), folder / "base.lock")
    (folder / "requirements.lock").write_text(recipe.lock, encoding="utf-8")
    recipe.copy_source(folder / "taxiway")
    return folder


def _install(lock: str, folder: Path) -> None:
    """Install the lock's wheels, checked by their hashes, as they are for the image's platform."""
    with tempfile.TemporaryDirectory(prefix="taxiway-install-") as name:
        scratch = Path(name)
        (scratch / "requirements.lock").write_text(lock, encoding="utf-8")
        uv(
            scratch,
            *("pip", "install", "--require-hashes", "--no-deps", "--requirements", "requirements.lock"),
            *("--target", str(folder.resolve()), *target()),
            failed="The packages of the Model's image could not be installed",
        )
    # Commands of a machine that is not the image, and what tells where uv had the wheels from.
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for left in (folder / ".lock", *folder.glob("*.dist-info/uv_cache.json"), *folder.rglob("__pycache__")):
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def _forget(folder: Path, keep: set[Path]) -> None:
    """Remove the layers that were not used for longest, beyond ``MOST_LAYERS``."""
    kept = sorted(folder.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in kept[MOST_LAYERS:]:
        if path not in keep:
            path.unlink()
            path.with_name(f"{path.name}.json").unlink(missing_ok=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
