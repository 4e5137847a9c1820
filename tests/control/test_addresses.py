"""Endpoints that listen elsewhere than on loopback, asked by the client that a notebook has."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from taxiway.control.api import deploy, endpoint
from taxiway.control.client import EndpointClient
from taxiway.demo import weather
from taxiway.errors import InputError, RequestError

DAYS = weather.days()[weather.FEATURES].head(20)


def certified(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for this machine's name, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    certificate, key = folder / "one.pem", folder / "one.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=one"]
    command += ["-addext", f"subjectAltName=DNS:{socket.gethostname()}"]
    command += ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def test_with_a_token_and_tls_and_then_on_a_unix_socket(
    tags: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = certified(tmp_path)
    monkeypatch.delenv("TAXIWAY_TOKEN", raising=False)
    rain = deploy(
        tags[0],
        endpoint="rain",
        window="month",
        host="0.0.0.0",
        tls_certificate=certificate,
        tls_key=key,
    )
    assert rain.url.startswith(f"https://{socket.gethostname()}:")
    answer = rain.predict(DAYS)
    assert rain.outcomes(dict.fromkeys(answer["id"], "rain")) == 20
    with pytest.raises(RequestError, match="401") as refused:
        endpoint("rain").predict(DAYS)
    assert refused.value.status == 401
    assert len(endpoint("rain", token=rain.token).predict(DAYS)) == 20
    with pytest.raises(RequestError, match="does not answer"):  # whom nobody vouches for
        EndpointClient(rain.url, token=rain.token).predict(DAYS)
    monkeypatch.setenv("TAXIWAY_TOKEN", rain.token)
    assert len(endpoint("rain").predict(DAYS)) == 20
    uds = tmp_path / "rain.sock"
    if len(str(uds)) > 100:
        uds = Path(f"/tmp/taxiway-{tmp_path.name[-20:]}.sock")
    moved = deploy(tags[0], endpoint="rain", uds=uds, tls_certificate="", tls_key="")
    assert moved.url == f"unix://{uds}"
    assert moved.predict(DAYS)["label"].tolist() == answer["label"].tolist()
    assert uds.stat().st_mode & 0o077 == 0


def test_times_that_cannot_be_read_are_refused_before_anything_is_sent() -> None:
    nowhere = EndpointClient("http://127.0.0.1:9")
    for wrong in ("soon", object(), "9" * 30):
        with pytest.raises(InputError, match="time cannot be read"):
            nowhere.predict(DAYS.head(1), times=[wrong])
