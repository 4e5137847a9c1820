"""From what a user asks for to what the folder's spec says, and the refusals on that way."""

from __future__ import annotations

import ssl
from pathlib import Path

from taxiway.backends import Bake, EndpointSpec, ModelRef, Resources, Tls
from taxiway.errors import BackendError, InputError, NotFoundError
from taxiway.serving.admission import is_loopback
from taxiway_backends.local.confinement import can_limit
from taxiway_backends.local.gpu import GpuError
from taxiway_backends.local.listening import resolve
from taxiway_backends.local.placement import find_place
from taxiway_backends.local.spec import ModelEntry, Spec

#: What fits into a socket's address everywhere.
LONGEST_SOCKET = 103
LEAST_MEMORY = 64 * 2**20


def specify(spec: EndpointSpec, before: Spec | None, drain_seconds: float) -> Spec:
    """Say what should run.

    Raises
    ------
    InputError
        Something in it cannot be.
    BackendError
        It would listen beyond this machine without a token.
    """
    if spec.workers < 1:
        raise InputError("An endpoint needs at least one worker.", hint="Set workers to 1 or more.")
    if spec.device not in ("auto", "cpu", "gpu"):
        raise InputError(f"There is no device {spec.device!r}.", hint="Name auto, cpu or gpu.")
    if spec.settings:
        raise InputError(
            f"The local back end has no setting {next(iter(spec.settings))!r}.",
            hint="Leave it out, or deploy elsewhere.",
        )
    host = "127.0.0.1" if spec.host == "localhost" else spec.host
    _check_limits(spec.limits)
    _check_bake(spec.bake)
    _check_token(spec, host)
    certificate, key = _tls(spec.tls)
    uds = _socket(spec.uds)
    return Spec(
        live=entry(spec.routing.live),
        shadow=optional(spec.routing.shadow),
        workers=spec.workers,
        host=host,
        port=0 if uds else spec.port or (before.port if before else 0),
        policies=dict(spec.policies),
        drain_seconds=drain_seconds,
        limits=spec.limits,
        device=spec.device,
        bake=spec.bake,
        token_hash=spec.token_hash,
        certificate=certificate,
        key=key,
        uds=uds,
        revision=before.revision if before else 0,
        token=before.token if before else "",
    )


def entry(model: ModelRef) -> ModelEntry:
    """Name a Model in the spec; NotFoundError where it has no files."""
    if not (model.path / "model.json").is_file():
        raise NotFoundError(f"{model.tag} has no files in {model.path}.", hint="Package the model again.")
    return ModelEntry(model.name, model.version, str(model.path.absolute()))


def optional(model: ModelRef | None) -> ModelEntry | None:
    """Name a Model, if there is one."""
    return None if model is None else entry(model)


def find_lacks(spec: Spec) -> tuple[str, ...]:
    """Say what of a spec this machine cannot give."""
    lacks = []
    if spec.device == "gpu":
        try:
            find_place(spec.live, spec.device, {})
        except GpuError as error:
            lacks.append(f"device gpu: {error}")
    if spec.limits != Resources() and not can_limit():
        lacks.append("limits: this system has neither control groups nor resource limits for them")
    return tuple(lacks)


def need_gpu(spec: Spec) -> None:
    """Raise BackendError, with figures, where a GPU is demanded and none has room."""
    if spec.device != "gpu":
        return
    for model in filter(None, (spec.live, spec.shadow)):
        try:
            find_place(model, spec.device, {})
        except GpuError as error:
            raise BackendError(
                f"{model.tag} cannot run on a GPU: {error}.",
                hint="End what holds the memory, or deploy with device auto or cpu.",
            ) from error


def _check_limits(limits: Resources) -> None:
    if limits.cpus is not None and limits.cpus <= 0:
        raise InputError(f"A process cannot run on {limits.cpus:g} cores.", hint="Set cpus above 0.")
    if limits.memory_bytes is not None and limits.memory_bytes < LEAST_MEMORY:
        raise InputError(
            f"No serving process runs in {limits.memory_bytes} bytes of memory.",
            hint=f"Set memory to {LEAST_MEMORY // 2**20} MiB at least.",
        )


def _check_bake(bake: Bake | None) -> None:
    if bake is not None and not (bake.seconds > 0 and 0 <= bake.error_rate <= 1 and bake.latency_factor >= 1):
        raise InputError(
            "A bake needs seconds above 0, an error rate from 0 to 1, and a latency factor of 1 or more.",
            hint="Leave out what you do not need: the defaults are 60 s, 0.02 and 2.",
        )


def _check_token(spec: EndpointSpec, host: str) -> None:
    if spec.token_hash and (len(spec.token_hash) != 64 or set(spec.token_hash) - set("0123456789abcdef")):
        raise InputError("The token's hash is not a SHA-256 in hexadecimal.", hint="Deploy with a new token.")
    if spec.uds is not None or spec.token_hash:
        return
    addresses = resolve(host)
    if not addresses:
        raise InputError(f"{host} is no address of this machine.", hint="Name one, such as 127.0.0.1.")
    if not all(map(is_loopback, addresses)):
        raise BackendError(
            f"The local back end does not listen on {host} without a token.",
            hint="Deploy with a token, and best with TLS; or use 127.0.0.1.",
        )


def _tls(tls: Tls | None) -> tuple[str, str]:
    if tls is None:
        return "", ""
    certificate, key = str(tls.certificate.absolute()), str(tls.key.absolute())
    try:
        # Without the function, OpenSSL would ask for a passphrase at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        raise InputError(
            f"{certificate} and {key} cannot be used for TLS: {reason}.",
            hint="Give a PEM certificate with its chain, and its key without a passphrase.",
        ) from error
    return certificate, key


def _socket(path: Path | None) -> str:
    if path is None:
        return ""
    absolute = path.absolute()
    if len(bytes(absolute)) > LONGEST_SOCKET:
        raise InputError(
            f"{absolute} is too long for a Unix socket.", hint=f"Use up to {LONGEST_SOCKET} bytes."
        )
    if not absolute.parent.is_dir():
        raise InputError(f"There is no folder {absolute.parent}.", hint="Make it first.")
    if absolute.exists() and not absolute.is_socket():
        raise InputError(f"{absolute} is there, and is no socket.", hint="Name another path.")
    return str(absolute)
