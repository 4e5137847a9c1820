"""Shipping to S3 as a container does it: with the credentials that its platform hands out."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from taxiway.serving.spool import SpoolWriter, list_segments, read_segment
from taxiway_backends.bentocloud.store import Store
from taxiway_backends.cloud.collecting import collect

pytest.importorskip("obstore", reason="what ships to S3 comes with taxiway[sagemaker]: make test-sagemaker")
pytest.importorskip("moto", reason="S3 is emulated by moto: make test-sagemaker")
pytest.importorskip("s3fs", reason="what reads S3 comes with taxiway[s3]: make test-sagemaker")

SHIP = """
import sys
from pathlib import Path
from taxiway.serving.shipping import Shipper, read_shipped
spool = Path(sys.argv[1])
print(Shipper(spool, sys.argv[2]).ship(), read_shipped(spool).error)
"""


class Role(http.server.BaseHTTPRequestHandler):
    """Hands out a role's credentials, as the platform of a container does."""

    asked = 0

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        type(self).asked += 1
        keys = {"AccessKeyId": "ASIAROLE", "SecretAccessKey": "secret", "Token": "session"}
        body = json.dumps({**keys, "Expiration": "2099-01-01T00:00:00Z"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def role() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Role) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/credentials"
        server.shutdown()


def test_a_container_ships_to_s3_with_the_credentials_of_its_role_and_all_is_collected_from_there_once(
    s3: str, role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    client = boto3.client("s3", endpoint_url=s3, region_name="eu-west-1", **keys)
    client.create_bucket(Bucket="log", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    spool = tmp_path / "spool"
    writer = SpoolWriter(spool, "live")
    for number in range(10):
        writer.append({"number": number})
    token = tmp_path / "token"
    token.write_text("of the platform")
    own = {"AWS_ENDPOINT_URL": s3, "AWS_REGION": "eu-west-1", "AWS_CONTAINER_CREDENTIALS_FULL_URI": role}
    own |= {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token)}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS")} | own

    def ship(bucket: str) -> str:
        command = [sys.executable, "-c", SHIP, str(spool), f"s3://{bucket}/taxiway/churn"]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return ran.stdout.strip()

    assert ship("nowhere").startswith("False ")
    assert ship("log") == "True"
    assert Role.asked
    (shipped,) = client.list_objects_v2(Bucket="log")["Contents"]
    assert shipped["Key"].startswith("taxiway/churn/live-")
    # As a back end does it that knows no more of the store than its address, with the user's credentials
    for name, value in (keys | {"aws_endpoint_url": s3, "aws_region": "eu-west-1"}).items():
        monkeypatch.setenv(name.upper(), value)
    collected = tmp_path / "collected"
    store = Store("s3://log/taxiway/churn")
    assert (collect(store, collected), collect(store, collected)) == (1, 0)
    assert "Contents" not in client.list_objects_v2(Bucket="log")
    found = [record["number"] for path in list_segments(collected) for record in read_segment(path)[0]]
    assert found == list(range(10))
    writer.close()
