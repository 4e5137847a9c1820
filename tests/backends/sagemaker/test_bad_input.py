"""What AWS refuses, and what a user gets wrong: one sentence and a remedy, and nothing left behind."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from taxiway.backends import Status
from taxiway.errors import BackendError, ConflictError, InputError, RequestError, UnsupportedError
from taxiway_backends.sagemaker import SageMakerBackend, session
from taxiway_backends.sagemaker.images import LARGEST_BYTES, Images
from taxiway_backends.sagemaker.refusals import CredentialsError, told
from tests.backends.conformance import refused
from tests.backends.sagemaker.conftest import Endpoint

SSO = """
[profile mine]
sso_start_url = https://example.awsapps.com/start
sso_region = us-east-1
sso_account_id = 123456789012
sso_role_name = Developer
region = us-east-1
"""


def _problem() -> tuple[str, str]:
    diagnosis = SageMakerBackend().check()
    assert not diagnosis.ok
    return diagnosis.problems[0]


def test_every_failure_of_the_credentials_is_a_sentence_and_its_remedy(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    endpoint.account.expire_credentials()
    assert _problem() == (
        "The AWS credentials have expired.",
        "Run `aws sso login --profile default`, or set new ones.",
    )
    endpoint.account.renew_credentials()
    with monkeypatch.context() as other:
        other.setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN")
        assert _problem()[0] == "AWS does not know these credentials."
    with monkeypatch.context() as other:
        other.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        assert "secret key" in _problem()[0]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert _problem()[0] == "No AWS credentials were found."
    assert "aws configure" in _problem()[1]
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert _problem()[0] == "There is no AWS profile 'nobody'."
    config = tmp_path / "config"
    config.write_text(SSO)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    problem, remedy = _problem()
    assert "login of the profile 'mine'" in problem
    assert remedy == "Run `aws sso login --profile mine`."


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("TokenRetrievalError", {"provider": "sso", "error_msg": "gone"}),
        ("UnauthorizedSSOTokenError", {}),
        ("SSOTokenLoadError", {"error_msg": "gone"}),
    ],
)
def test_a_login_that_has_ended_in_any_way_is_one_sentence(
    name: str, given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exceptions = pytest.importorskip("botocore.exceptions", reason="botocore is in .venv-sagemaker")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    with pytest.raises(CredentialsError) as caught, told("look"):
        raise getattr(exceptions, name)(**given)
    assert caught.value.message == "The AWS login of the profile 'mine' has expired or was never made."
    assert caught.value.hint == "Run `aws sso login --profile mine`."


def test_s3_and_ecr_that_may_not_be_used_are_told_each_by_itself(endpoint: Endpoint) -> None:
    for action in ("s3:HeadBucket", "ecr:DescribeRepositories"):
        endpoint.account.deny(action)
    problems = [problem for problem, _ in SageMakerBackend().check().problems]
    assert len(problems) == 2
    assert any("use the bucket sagemaker-us-east-1-123456789012" in problem for problem in problems)
    assert any("look at the images in ECR" in problem for problem in problems)


def test_a_region_that_is_missing_or_wrong_is_named(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refused(InputError, "eu-west-9"):
        endpoint.backend.apply(endpoint.spec(settings={"region": "eu-west-9"}), token="a")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    assert _problem()[0] == "No AWS region is set."


def test_an_endpoint_does_not_move_to_where_what_runs_would_be_left_behind(endpoint: Endpoint) -> None:
    endpoint.start()
    before = sorted(endpoint.resources())
    for settings in ({"region": "eu-west-1"}, {"bucket": "another"}):
        spec = endpoint.spec(settings=settings)
        where = "is in us-east-1, with the bucket sagemaker-us-east-1-123456789012"
        with refused(ConflictError, where):
            endpoint.backend.plan(spec)
        with refused(ConflictError, where):
            endpoint.backend.apply(spec, token="b")
    assert sorted(endpoint.resources()) == before
    # The same region, named otherwise, is no move
    endpoint.backend.apply(endpoint.spec(settings={"region": "us-east-1"}), token="c")
    assert sorted(endpoint.resources()) == before


def test_a_role_without_trust_a_quota_and_pass_role_are_seen_before_anything_is_made(
    endpoint: Endpoint,
) -> None:
    role = endpoint.account.add_role("OfMachines", principal="ec2.amazonaws.com")
    with refused(BackendError, "trust policy does not name sagemaker.amazonaws.com"):
        endpoint.backend.apply(endpoint.spec(settings={"role": role}), token="a")
    with refused(BackendError, "no role 'Nobody'"):
        endpoint.backend.apply(endpoint.spec(settings={"role": "Nobody"}), token="a")
    endpoint.account.quota("ml.m5.large", 0)
    endpoint.account.deny("iam:PassRole")
    problems = dict(SageMakerBackend().check().problems)
    assert "This account may have no ml.m5.large for endpoints." in problems
    assert any("may not hand the role" in problem for problem in problems)
    with refused(BackendError, "may not hand the execution role"):
        endpoint.backend.apply(endpoint.spec(), token="a")
    endpoint.account.release()
    endpoint.account.quota("ml.m5.large", 0)
    with refused(BackendError, "quota"):
        endpoint.backend.apply(endpoint.spec(), token="a")
    endpoint.account.release()
    endpoint.backend.destroy(endpoint.ref, token="end")
    assert endpoint.resources() == []


def test_settings_that_cannot_be_are_refused_with_the_nearest_name(endpoint: Endpoint) -> None:
    for settings, words in (
        ({"instancetype": "ml.m5.large"}, "no setting 'instancetype'"),
        ({"mode": "batch"}, "mode cannot be 'batch'"),
        ({"memory_mb": 1000, "mode": "serverless"}, "cannot have 1000 MB"),
        ({"autoscale": [3, 1]}, "autoscale cannot be"),
        ({"autoscale": [0, 2]}, "Only an async endpoint"),
        ({"mode": "serverless", "instance_type": "ml.m5.large"}, "no instance_type"),
    ):
        with refused(InputError, words):
            endpoint.backend.plan(endpoint.spec(settings=settings))
    with pytest.raises(InputError) as caught:
        endpoint.backend.plan(endpoint.spec(settings={"instancetype": "x"}))
    assert caught.value.hint == "Did you mean 'instance_type'?"
    for more, word in (
        ({"device": "gpu", "settings": {"instance_type": "ml.m5.large"}}, "device gpu"),
        ({"settings": {"shadow": "native", "mode": "async"}}, "shadow native"),
        ({"host": "0.0.0.0"}, "host"),
    ):
        assert word in endpoint.backend.plan(endpoint.spec(**more)).unsupported[0]
        with refused(UnsupportedError):
            endpoint.backend.apply(endpoint.spec(**more), token="a")
    assert endpoint.resources() == []


def test_an_image_that_is_too_large_is_not_pushed(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    from taxiway_backends.sagemaker import image

    class Huge:
        tag, size_bytes = "taxiway:1", LARGEST_BYTES + 1

    monkeypatch.setattr(image, "build", lambda *_, **__: Huge())
    monkeypatch.setattr(image, "try_out", lambda *_, **__: pytest.fail("it was tried out"))
    images = Images(session.Session())
    with refused(BackendError, "too large"):
        images.provide(
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/taxiway-serving:1",
            endpoint.model(0).path,
            gpu=False,
            note=lambda: pytest.fail("it was to be pushed"),
        )


def test_a_strangers_endpoint_is_never_touched(endpoint: Endpoint) -> None:
    client = endpoint.account.client("sagemaker")
    endpoint.start()
    config = client.describe_endpoint(EndpointName="taxiway-iris")["EndpointConfigName"]
    client.create_endpoint(EndpointName="taxiway-theirs", EndpointConfigName=config)
    endpoint.name, ours = "theirs", endpoint.name
    try:
        with refused(ConflictError, "Taxiway did not make"):
            endpoint.backend.apply(endpoint.spec(), token="a")
        with refused(ConflictError, "Taxiway did not make"):
            endpoint.backend.plan(endpoint.spec())
        seen = endpoint.backend.observe(endpoint.ref)
        assert (seen.status, seen.native) == (Status.ABSENT, "not ours")
        endpoint.backend.destroy(endpoint.ref, token="a")
        assert client.describe_endpoint(EndpointName="taxiway-theirs")["EndpointStatus"] != "Deleting"
    finally:
        endpoint.name = ours
        client.get_waiter("endpoint_in_service").wait(
            EndpointName="taxiway-theirs", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        client.delete_endpoint(EndpointName="taxiway-theirs")


def test_failed_says_why_in_the_containers_own_words_and_is_tried_again_when_asked_again(
    endpoint: Endpoint,
) -> None:
    told, sent_back = endpoint.fail_twice(
        lambda: endpoint.account.container_fails(["loading", "onnxruntime: no such operator: Fancy"]),
        lambda: endpoint.account.container_fails(["out of memory"]),
        endpoint.account.release,
    )
    assert "ping health check" in told
    assert "no such operator: Fancy" in told
    assert "out of memory" in sent_back


def test_stuck_in_creating_is_told_and_can_be_deleted_while_it_is_updated(endpoint: Endpoint) -> None:
    endpoint.backend = SageMakerBackend(endpoint.backend.home, stuck_seconds=1.0)
    endpoint.account.stuck("Creating")
    endpoint.backend.apply(endpoint.spec(), token="a")
    seen = endpoint.until(lambda seen: seen.status is Status.FAILED)
    assert "has been Creating" in seen.reason
    assert "bills meanwhile" in seen.reason
    threading.Timer(1.0, endpoint.account.release).start()
    assert endpoint.backend.destroy(endpoint.ref, token="b").status is Status.ABSENT
    assert endpoint.resources() == []
    endpoint.start()
    endpoint.backend.route(endpoint.ref, endpoint.routing(1), token="c")
    assert endpoint.backend.destroy(endpoint.ref, token="d").status is Status.ABSENT
    assert endpoint.resources() == []


def test_two_deploys_at_once_end_with_one_of_them_and_the_other_can_follow(endpoint: Endpoint) -> None:
    endpoint.account.throttle("*", 2)
    endpoint.deploy_two_at_once()


def test_a_body_over_6_mb_is_refused_before_it_is_sent(endpoint: Endpoint) -> None:
    endpoint.start()
    before = len(endpoint.account.invocations())
    body = b" " * (6 * 2**20 + 1)
    with pytest.raises(RequestError) as caught:
        endpoint.backend.ask(endpoint.ref, body, {})
    assert caught.value.status == 413
    assert "6,291,457 bytes" in caught.value.message
    assert caught.value.hint
    assert len(endpoint.account.invocations()) == before
    status, _, answer = endpoint.backend.ask(endpoint.ref, b'{"records": [{}]}', {})
    assert status == 422
    assert b"findings" in answer
    with pytest.raises(RequestError, match="no endpoint"):
        SageMakerBackend(endpoint.backend.home).ask(type(endpoint.ref)("nothing"), b"{}", {})
