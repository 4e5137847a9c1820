"""Images: the same lock gives the same digest; tried before, and looked at after, they are pushed."""

from __future__ import annotations

import dataclasses
import fcntl
import http.server
import json
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taxiway.errors import BackendError
from taxiway.serving import stores
from taxiway_backends.sagemaker import image
from taxiway_backends.sagemaker.design import Design
from taxiway_backends.sagemaker.image import debian, trying
from taxiway_backends.sagemaker.image import lock as locking
from taxiway_backends.sagemaker.image.context import Recipe, layers
from taxiway_backends.sagemaker.image.engine import Engine
from taxiway_backends.sagemaker.image.registry import MANIFEST
from taxiway_backends.sagemaker.images import MACHINES, REPOSITORY, Images
from taxiway_backends.sagemaker.session import Session
from tests import containers
from tests.emulators import registry as ecr
from tests.models import BuiltModel, build_model

ROOT = Path(__file__).parents[3]
#: Shared by all tests and kept between runs: a cold one takes most of a minute.
CACHE = Path(os.environ.get("TAXIWAY_IMAGE_CACHE") or ROOT / ".make" / "images")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> BuiltModel:
    return build_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def built(model: BuiltModel) -> image.LocalImage:
    try:
        return image.build(model.path, cache=CACHE)
    except BackendError as error:
        if "could not be had" not in str(error):
            raise
        pytest.skip(f"NOT TESTED: base.lock wants what Debian no longer has; resolve it afresh. {error}")


@pytest.fixture
def without_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without docker and podman."""
    monkeypatch.setattr(trying, "find_engine", lambda: None)


@pytest.fixture
def docker() -> Engine:
    if not containers.docker_answers():
        pytest.skip("NOT TESTED with Docker: no daemon answers here")
    return Engine("docker")


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """As on a machine with podman and without Docker."""
    if reason := containers.why_no_podman():
        pytest.skip(f"NOT TESTED: {reason}")
    monkeypatch.setenv("CONTAINERS_CONF", str(containers.podman_settings(tmp_path)))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'nobody'}")
    return Engine("podman")


def names(built: image.LocalImage) -> list[str]:
    found = []
    for layer in built.layers:
        with tarfile.open(layer.path) as archive:
            found += archive.getnames()
    return found


def test_an_image_has_what_serves_and_nothing_else(built: image.LocalImage) -> None:
    config = json.loads(built.config)["config"]
    assert config["Entrypoint"] == ["python3", "-m", "taxiway.serving.container"]
    assert config["Cmd"] == ["serve"]
    assert config["User"] == "root"
    assert config["ExposedPorts"] == {"8080/tcp": {}}
    assert built.size_bytes < 450e6
    found = names(built)
    programs = {Path(name).name for name in found if name.startswith("usr/bin/")}
    assert {"python3", "sh"} <= programs
    assert programs.isdisjoint({"gcc", "cc", "make", "apt-get", "dpkg", "pip"})
    packages = {name.split("/")[3] for name in found if name.startswith("opt/taxiway/packages/")}
    assert {"onnxruntime", "numpy", "obstore"} <= packages
    absent = ("jupyterlab", "whylogs", "papermill", "bentoml", "pandas", "boto3", "sagemaker", "pip")
    assert packages.isdisjoint(absent)
    own = {name.split("/")[4] for name in found if name.startswith("opt/taxiway/source/taxiway/")}
    assert own == {"__init__.py", "serving", "signature.py", "py.typed", "__pycache__"}


def test_the_dockerfile_says_what_a_put_together_image_is(built: image.LocalImage) -> None:
    text = image.context.__globals__["DOCKERFILE"].read_text()
    config = json.loads(built.config)["config"]
    assert f"ENTRYPOINT {json.dumps(config['Entrypoint'])}" in text
    assert f"CMD {json.dumps(config['Cmd'])}" in text
    assert all(setting in text for setting in config["Env"])
    assert all(line["created_by"] in text for line in json.loads(built.config)["history"])


def test_the_same_lock_gives_the_same_digest_and_another_lock_another(
    model: BuiltModel, tmp_path: Path, built: image.LocalImage
) -> None:
    other = build_model(tmp_path, c=0.01)
    assert other.version != model.version
    assert image.build(other.path, cache=CACHE).digest == built.digest
    (other.path / "requirements.txt").write_text("orjson==3.11.4\n")
    assert image.lock_digest(other.path, cache=CACHE) != image.lock_digest(model.path, cache=CACHE)


def test_layers_made_twice_are_the_same_byte_for_byte(tmp_path: Path, built: image.LocalImage) -> None:
    shutil.copytree(CACHE / "debian", tmp_path / "debian")
    # A small lock stands for the large one: all of its wheels would take long.
    (tmp_path / "requirements.txt").write_text("uvicorn==0.38.0\norjson==3.11.4\n")
    recipe = Recipe.of(tmp_path, tmp_path)
    first = layers(recipe, tmp_path)
    assert (first[0].diff_id, first[0].digest) == (built.layers[0].diff_id, built.layers[0].digest)
    for layer in first[1:]:
        layer.path.unlink()
    second = layers(recipe, tmp_path)
    assert [layer.digest for layer in first] == [layer.digest for layer in second]
    changed = dataclasses.replace(recipe, source=_changed_source(recipe.source, tmp_path))
    assert changed.digest != recipe.digest
    assert changed.packages_digest == recipe.packages_digest


def _changed_source(source: Path, folder: Path) -> Path:
    for name in ("serving", "signature.py", "py.typed"):
        if (source / name).is_dir():
            shutil.copytree(source / name, folder / "source" / name)
        else:
            shutil.copy(source / name, folder / "source" / name)
    with (folder / "source" / "serving" / "block.py").open("a") as file:
        file.write("# changed\n")
    return folder / "source"


def test_what_is_kept_waits_for_nobody_who_makes_another(
    model: BuiltModel, built: image.LocalImage, tmp_path: Path
) -> None:
    recipe = Recipe.of(model.path, CACHE)
    with (CACHE / ".lock").open("w") as making:
        fcntl.flock(making, fcntl.LOCK_EX)
        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(layers, recipe, CACHE)
            try:
                assert found.result(20) == built.layers
            finally:
                fcntl.flock(making, fcntl.LOCK_UN)


def test_an_image_for_gpus_has_onnxruntime_for_cuda_and_is_another(model: BuiltModel) -> None:
    one = Recipe.of(model.path, CACHE)
    gpu = Recipe.of(model.path, CACHE, gpu=True)
    assert gpu.digest != one.digest
    assert image.lock_digest(model.path, gpu=True, cache=CACHE) == gpu.digest
    pinned = {
        name: dict(line.split(" ")[0].split("==") for line in lock.splitlines() if "==" in line)
        for name, lock in (("cpu", one.lock), ("gpu", gpu.lock))
    }
    assert all(line.endswith("\\") for line in gpu.lock.splitlines() if "==" in line), "a hash follows"
    assert gpu.lock.count("--hash=sha256:") >= len(pinned["gpu"])
    assert "onnxruntime" not in pinned["gpu"]
    assert pinned["gpu"]["onnxruntime-gpu"] == pinned["cpu"]["onnxruntime"]
    others = pinned["cpu"].keys() - {"onnxruntime"}
    assert {name: pinned["gpu"][name] for name in others} == {name: pinned["cpu"][name] for name in others}
    cuda = image.cuda(model.path, cache=CACHE)
    assert f"nvidia-cudnn-cu{cuda}" in pinned["gpu"]
    assert not any(name.startswith("nvidia") for name in pinned["cpu"])
    assert cuda in MACHINES, "no machine of SageMaker's is known to have a driver for that CUDA"


def test_a_model_of_another_cuda_moves_to_a_machine_whose_driver_knows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = image.Registry("http://1.dkr.ecr.us-east-1.amazonaws.com")
    monkeypatch.setattr(Images, "_login", lambda _: where)
    monkeypatch.setattr(image, "lock_digest", lambda *_, **__: "f" * 64)
    monkeypatch.setattr(image, "cuda", lambda _: "13")
    images = Images(Session())
    old = Design("iris", "iris:1", None, f"{where.host}/{REPOSITORY}:0", "role", "bucket", gpu=True)
    for machine, then in ((MACHINES["12"], MACHINES["13"]), ("", MACHINES["13"]), ("mine", "mine")):
        new = images.refit(dataclasses.replace(old, machine=machine), tmp_path)
        assert (new.image, new.machine) == (f"{where.host}/{REPOSITORY}:{'f' * 16}", then)
    assert images.refit(dataclasses.replace(old, gpu=False), tmp_path).machine == ""
    own = dataclasses.replace(old, image="registry.example/own:1", machine=MACHINES["12"])
    assert images.refit(own, tmp_path) == own


def test_what_ships_the_log_is_of_our_version_whatever_the_model_was_made_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is pinned, and no other version of it is a constraint, which uv could not bring together."""
    (tmp_path / "requirements.txt").write_text("orjson==3.11.4\n")
    (tmp_path / "environment.json").write_text('{"imported": {"obstore": "0.8.0"}, "needed": {"six": "1"}}')

    def resolve(folder: Path, *_: str, failed: str) -> None:
        texts = [(folder / name).read_text() for name in ("pins.txt", "known.txt")]
        (folder / "lock.txt").write_text(" ".join(texts))

    monkeypatch.setattr(locking, "uv", resolve)
    assert Recipe.of(tmp_path, tmp_path).lock.split() == ["orjson==3.11.4", stores.REQUIREMENT, "six==1"]


@pytest.mark.usefixtures("without_engine")
def test_without_any_daemon_an_image_is_tried_where_it_is_unpacked(
    model: BuiltModel, built: image.LocalImage, tmp_path: Path
) -> None:
    tried = image.try_out(built, model.path)
    assert tried.how == "unpacked"
    assert tried.rows == 10

    wrong = tmp_path / "wrong"
    shutil.copytree(model.path, wrong)
    (wrong / "model.onnx").write_bytes(b"no model")
    with pytest.raises(BackendError, match=r"ended before it answered\. Its log ends: .*model\.onnx"):
        image.try_out(built, wrong)


def test_docker_runs_the_very_image_and_builds_its_context(
    model: BuiltModel, built: image.LocalImage, docker: Engine, tmp_path: Path
) -> None:
    tried = image.try_out(built, model.path)
    assert tried.how == docker.name
    assert docker.identify(built.tag) == built.digest
    # Its files are the image's own: Debian's Python, not this machine's.
    said = subprocess.run(
        [
            docker.name,
            "run",
            "--rm",
            "--entrypoint",
            "python3",
            built.tag,
            "-c",
            "import sys; print(sys.version)",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.startswith("3.11.2 ")

    with_docker = image.build(model.path, cache=CACHE, how=docker.name)  # type: ignore[arg-type]
    assert with_docker.how == docker.name
    assert image.try_out(with_docker, model.path).rows == 10
    assert json.loads(with_docker.config)["config"]["Entrypoint"] == [
        "python3",
        "-m",
        "taxiway.serving.container",
    ]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ecr.Registry]:
    if not ecr.installed():
        pytest.skip("NOT TESTED: docker-registry is not installed here")
    running = ecr.Registry(tmp_path / "registry")
    running.start()
    yield running
    running.stop()


def test_a_push_arrives_with_docker_media_types_and_is_sent_once(
    built: image.LocalImage, registry: ecr.Registry
) -> None:
    target = image.Registry(f"http://{registry.host}", registry.user, registry.password)
    pushed = image.push(built, target, "taxiway")
    assert pushed.media_type == MANIFEST
    assert pushed.uri == f"{registry.host}/taxiway:{built.tag.partition(':')[2]}"
    found = registry.manifest("taxiway", built.tag.partition(":")[2])
    assert found is not None
    assert (found.digest, found.media_type) == (pushed.digest, MANIFEST)
    assert json.loads(found.text)["config"]["digest"] == built.digest
    blobs = registry.folder / "data"
    before = sorted((path, path.stat().st_mtime_ns) for path in blobs.rglob("data"))
    assert image.push(built, target, "taxiway") == pushed
    assert sorted((path, path.stat().st_mtime_ns) for path in blobs.rglob("data")) == before

    wrong = image.Registry(f"http://{registry.host}", "AWS", "expired")
    with pytest.raises(BackendError, match=f"{registry.host} refuses to let AWS push to taxiway") as told:
        image.push(built, wrong, "taxiway")
    assert "expired" in told.value.hint
    assert "expired" not in told.value.message


@pytest.mark.timeout(300)
def test_podman_runs_the_very_image_and_builds_one_on_a_base_of_ones_own(
    model: BuiltModel, built: image.LocalImage, podman: Engine, registry: ecr.Registry, tmp_path: Path
) -> None:
    tried = image.try_out(built, model.path)
    assert tried.how == "podman"
    assert podman.identify(built.tag) == built.digest

    # What it stands on has the packages already: all of them once more would take long
    (tmp_path / "requirements.txt").write_text("orjson==3.11.4\n")
    on_it = image.build(tmp_path, cache=CACHE, base=f"localhost/{built.tag}")
    try:
        assert (on_it.how, podman.identify(on_it.tag)) == ("podman", on_it.digest)
        assert [one.diff_id for one in on_it.layers[:3]] == [one.diff_id for one in built.layers]
        assert json.loads(on_it.config)["config"]["Cmd"] == ["serve"]
        assert image.try_out(on_it, model.path).rows == 10
        # What podman keeps as OCI's goes out as Docker's
        target = image.Registry(f"http://{registry.host}", registry.user, registry.password)
        pushed = image.push(on_it, target, "taxiway")
        found = registry.manifest("taxiway", on_it.tag.partition(":")[2])
        assert found is not None
        assert (found.digest, found.media_type, pushed.media_type) == (pushed.digest, MANIFEST, MANIFEST)
        assert json.loads(found.text)["config"]["digest"] == on_it.digest
    finally:
        podman.call("rmi", "--force", on_it.tag, built.tag, failed="clean")


def test_what_was_pushed_can_be_pulled(
    built: image.LocalImage, registry: ecr.Registry, docker: Engine
) -> None:
    target = image.Registry(f"http://{registry.host}", registry.user, registry.password)
    pushed = image.push(built, target, "taxiway")
    login = [docker.name, "login", "--username", registry.user, "--password-stdin", registry.host]
    subprocess.run(login, input=registry.password, text=True, check=True, capture_output=True)
    try:
        docker.call("pull", pushed.uri, failed="pull")
        assert docker.identify(pushed.uri) == built.digest
    finally:
        docker.call("rmi", pushed.uri, failed="clean")
        docker.call("logout", registry.host, failed="clean")


class Faulty(http.server.BaseHTTPRequestHandler):
    """A registry that fails in the midst of the first upload, and gives back OCI manifests."""

    failures = 1
    manifest = b""

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self._answer(404)

    def do_POST(self) -> None:
        self._answer(202, Location="/v2/taxiway/blobs/uploads/1?state=x")

    def do_PATCH(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if type(self).failures:
            type(self).failures -= 1
            self._answer(503)
        else:
            self._answer(202, Location="/v2/taxiway/blobs/uploads/1?state=y")

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "manifests" in self.path:
            type(self).manifest = body
        else:
            assert "state=y" in self.path
            assert "digest=sha256" in self.path
        self._answer(201)

    def do_GET(self) -> None:
        self._answer(200, type(self).manifest, Content_Type="application/vnd.oci.image.manifest.v1+json")


def test_an_upload_that_breaks_is_repeated_and_an_oci_manifest_is_noticed(built: image.LocalImage) -> None:
    small = dataclasses.replace(built, layers=built.layers[2:])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Faulty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        target = image.Registry(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(BackendError, match=r"oci\.image\.manifest\.v1\+json: SageMaker would refuse it"):
            image.push(small, target, "taxiway")
        server.shutdown()
    assert Faulty.failures == 0
    with pytest.raises(BackendError, match="could not be reached"):
        image.push(small, image.Registry("http://127.0.0.1:9"), "taxiway")


def test_a_package_that_is_not_what_was_pinned_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = debian.BaseLock.read()
    package = dataclasses.replace(lock.packages[0], sha256="0" * 64)
    monkeypatch.setenv(debian.SNAPSHOT, "http://127.0.0.1:9")
    with pytest.raises(BackendError, match=f"{package.name} .* could not be had"):
        debian.fetch(package, lock.time, tmp_path)
    assert not (tmp_path / package.sha256).exists()


def test_debian_comes_from_where_this_machine_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(debian.MIRROR, raising=False)
    monkeypatch.setattr(debian, "APT", tmp_path)
    with pytest.raises(BackendError, match="No mirror of Debian is known") as told:
        debian.mirrors()
    assert debian.MIRROR in told.value.hint
    (tmp_path / "sources.list").write_text(
        "# deb http://old/debian x main\ndeb http://one/debian bookworm main\n"
    )
    (tmp_path / "sources.list.d").mkdir()
    more = "Types: deb\nURIs: https://two:8080/at/debian-security\nSuites: x\n\nURIs: https://two:8080/at/debian/\n"
    (tmp_path / "sources.list.d" / "debian.sources").write_text(more)
    assert debian.mirrors() == ["http://one", "https://two:8080/at"]
    monkeypatch.setenv(debian.MIRROR, "http://mine")
    assert debian.mirrors() == ["http://mine"]


def test_a_pin_that_no_index_has_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("orjson==0.0.0.1\n")
    with pytest.raises(BackendError, match=r"could not be resolved: .*orjson") as told:
        image.lock_digest(tmp_path, cache=tmp_path)
    assert "requirements.txt" in told.value.hint


def test_a_base_of_ones_own_is_another_image(
    model: BuiltModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain = image.lock_digest(model.path, cache=CACHE)
    monkeypatch.setenv("TAXIWAY_IMAGE_BASE", "registry.example/python@sha256:00")
    assert image.lock_digest(model.path, cache=CACHE) != plain
    with pytest.raises(BackendError, match="is built by Docker or podman"):
        image.build(model.path, cache=CACHE, how="layers")
