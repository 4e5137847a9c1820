from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import ssl
import stat
import subprocess
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from taxiway.backends import Status, Tls
from taxiway.errors import BackendError, InputError
from taxiway.serving.admission import hash_token
from tests.backends.conftest import Endpoint
from tests.conftest import processes_of
from tests.load import ask

TOKEN = "a-token-that-is-shown-once-and-never-again"


def certified(folder: Path, name: str = "one") -> Tls:
    """Make a certificate for this machine, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    tls = Tls(folder / f"{name}.pem", folder / f"{name}.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-out", str(tls.certificate), "-keyout", str(tls.key)]
    subprocess.run(command, check=True, capture_output=True)
    return tls


def status_of(
    port: int, rows: object, token: str | None, tls: Path | None = None, path: str = "/predict"
) -> int:
    if tls is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    else:
        context = ssl.create_default_context(cafile=str(tls))
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    method, body = ("GET", None) if rows is None else ("POST", json.dumps(rows))
    with closing(connection):
        connection.request(method, path, body, headers)
        with connection.getresponse() as response:
            response.read()
            return response.status


def test_beyond_this_machine_it_listens_with_a_token_only_and_never_keeps_the_token(
    endpoint: Endpoint, taxiway_home: Path
) -> None:
    for host in ("0.0.0.0", "::"):
        with pytest.raises(BackendError, match="without a token"):
            endpoint.backend.apply(endpoint.spec(host=host), token="a")
    with pytest.raises(InputError, match="no address"):
        endpoint.backend.apply(endpoint.spec(host="no.such.host.invalid"), token="a")
    digest = hash_token(TOKEN)
    seen = endpoint.start(host="0.0.0.0", token_hash=digest, shadow=1)
    assert seen.url is not None
    assert socket.gethostname() in seen.url
    port, rows = endpoint.status()["port"], endpoint.models[0].rows(1)
    for given, status in ((None, 401), ("", 401), (TOKEN[:-1], 401), (digest, 401), (TOKEN, 200)):
        assert status_of(port, rows, given) == status
        assert status_of(port, {"records": rows, "ids": ["x"]}, given) == status, "the longer way, too"
    assert status_of(port, None, None, path="/healthz") == 200
    for entry in endpoint.folder.rglob("*"):
        if entry.is_file():
            assert stat.S_IMODE(entry.stat().st_mode) == 0o600
            assert TOKEN.encode() not in entry.read_bytes()
    for process in processes_of(taxiway_home):
        shown = " ".join(process.cmdline())
        assert TOKEN not in shown
        assert digest not in shown
    # Another token replaces it, by a switch.
    endpoint.start(host="0.0.0.0", token_hash=hash_token("another"), shadow=1)
    assert [status_of(port, rows, given) for given in (TOKEN, "another")] == [401, 200]


def test_a_hash_that_is_none_is_refused(endpoint: Endpoint) -> None:
    for digest in ("x" * 64, "ab", TOKEN):
        with pytest.raises(InputError, match="SHA-256"):
            endpoint.backend.apply(endpoint.spec(token_hash=digest), token="a")


def test_tls_is_served_and_a_renewed_certificate_is_taken_up(endpoint: Endpoint, tmp_path: Path) -> None:
    tls = certified(tmp_path)
    seen = endpoint.start(tls=tls)
    assert seen.url is not None
    assert seen.url.startswith("https://127.0.0.1:")
    port, rows = endpoint.status()["port"], endpoint.models[0].rows(1)
    assert status_of(port, rows, None, tls.certificate) == 200
    with pytest.raises((OSError, http.client.HTTPException)):
        status_of(port, rows, None)
    renewed = certified(tmp_path, "two")
    for old, new in ((tls.certificate, renewed.certificate), (tls.key, renewed.key)):
        os.utime(new, (time.time() + 5, time.time() + 5))
        new.replace(old)
    endpoint.until(lambda _: _answers(port, rows, tls.certificate))


def _answers(port: int, rows: object, certificate: Path) -> bool:
    try:
        return status_of(port, rows, None, certificate) == 200
    except ssl.SSLCertVerificationError:
        return False


def test_files_that_are_no_certificate_are_refused_with_the_reason(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    tls = certified(tmp_path)
    other = certified(tmp_path, "other")
    for wrong in (Tls(tmp_path / "missing.pem", tls.key), replace(tls, key=other.key)):
        with pytest.raises(InputError, match="cannot be used for TLS"):
            endpoint.backend.apply(endpoint.spec(tls=wrong), token="a")


def ask_privately(path: Path, rows: object) -> dict[str, object]:
    connection = http.client.HTTPConnection("localhost", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request("POST", "/predict", json.dumps(rows))
    with connection.getresponse() as response:
        answer: dict[str, object] = json.loads(response.read())
    connection.close()
    return answer


def test_a_unix_socket_is_listened_on_through_switches_and_crashes(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    path = tmp_path / "iris.sock"
    rows = endpoint.models[0].rows(1)
    seen = endpoint.start(uds=path)
    assert seen.url == f"unix://{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not any(
        one.status == psutil.CONN_LISTEN for one in endpoint.worker("live").net_connections(kind="tcp")
    )
    for live in (1, 0):
        endpoint.backend.route(endpoint.ref, endpoint.routing(live), token=f"{live}")
        endpoint.ready(live)
        assert ask_privately(path, rows)["model"] == endpoint.models[live].tag
    os.kill(endpoint.status()["pid"], 9)
    endpoint.until(lambda seen: seen.native == "orphaned")
    assert ask_privately(path, rows)["model"] == endpoint.models[0].tag
    endpoint.start(uds=path)
    assert ask_privately(path, rows)["model"] == endpoint.models[0].tag
    # All at once, as by a reboot: the file is left, and nobody listens.
    worker = endpoint.worker("live")
    os.kill(endpoint.status()["pid"], 9)
    worker.kill()
    endpoint.until(lambda seen: seen.status is Status.FAILED)
    endpoint.start(uds=path)
    assert ask_privately(path, rows)["model"] == endpoint.models[0].tag
    url = endpoint.start().url
    assert ask(url, "/predict", rows)[0] == 200
    assert not path.exists()


def test_a_unix_socket_that_cannot_be_is_refused(endpoint: Endpoint, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    for path, what in (
        (tmp_path / ("x" * 120), "too long"),
        (tmp_path / "no" / "folder", "no folder"),
        (tmp_path / "file", "no socket"),
    ):
        with pytest.raises(InputError, match=what):
            endpoint.backend.apply(endpoint.spec(uds=path), token="a")
    assert (tmp_path / "file").read_text() == "precious"
