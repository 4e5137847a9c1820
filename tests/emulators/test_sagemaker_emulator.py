"""The SageMaker emulator, driven by boto3 alone: what the back end's tests rely on of endpoints."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("boto3", reason="boto3 and moto are in .venv-sagemaker: make test-sagemaker")
pytest.importorskip("moto", reason="boto3 and moto are in .venv-sagemaker: make test-sagemaker")


from botocore.exceptions import ClientError

from tests.emulators.sagemaker import SageMakerEmulator
from tests.emulators.sagemaker.user import Account, impatient, refused
from tests.models import build_model
from tests.waiting import wait_until

CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://left/capture",
    "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """One account with one endpoint: two variants of one model, of which the first takes all."""
    folder = tmp_path_factory.mktemp("sagemaker")
    with SageMakerEmulator(folder / "aws", runner="process") as aws:
        account = Account(aws, build_model(folder / "model"))
        account.s3.create_bucket(Bucket="left")
        account.model("iris", TAXIWAY_SHIP_TO="s3://left/spool", TAXIWAY_SHIP_SECONDS="0.5")
        idle = account.variant("idle", InitialVariantWeight=0.0)
        account.config("plain", account.variant(), idle, DataCaptureConfig=CAPTURE)
        account.endpoint("plain", "plain", Tags=[{"Key": "whose", "Value": "mine"}])
        yield account


@pytest.fixture(autouse=True)
def nothing_planted(account: Account) -> Iterator[None]:
    yield
    account.aws.release()
    account.aws.renew_credentials()


def test_an_endpoint_answers_what_its_model_answers(account: Account) -> None:
    answer = account.ask("plain", InferenceId="one")
    assert answer["InvokedProductionVariant"] == "live"
    want = account.built.pipeline.predict(account.built.frame.iloc[:2]).tolist()
    assert [row["label"] for row in answer["Body"]["predictions"]] == want
    seen = account.aws.invocations()[-1]
    assert (seen.variant, seen.inference_id, seen.status) == ("live", "one", 200)
    assert set(seen.headers) <= {"Content-Type", "Accept", "X-Amzn-Sagemaker-Inference-Id"}


def test_variants_are_chosen_by_weight_or_by_name(account: Account) -> None:
    assert account.ask("plain", TargetVariant="idle")["InvokedProductionVariant"] == "idle"
    with refused("ValidationError", "Variant nobody not found"):
        account.ask("plain", TargetVariant="nobody")
    weights = [("live", 0.0), ("idle", 1.0)]
    for chosen in (weights, [("live", 1.0), ("idle", 0.0)]):
        account.sm.update_endpoint_weights_and_capacities(
            EndpointName="plain",
            DesiredWeightsAndCapacities=[{"VariantName": name, "DesiredWeight": w} for name, w in chosen],
        )
        assert account.status("plain") == "Updating"
        told = account.settled("plain")["ProductionVariants"]
        assert [(one["VariantName"], one["CurrentWeight"]) for one in told] == chosen
        asked = {account.ask("plain")["InvokedProductionVariant"] for _ in range(5)}
        assert asked == {name for name, weight in chosen if weight}


def test_a_containers_refusal_is_a_model_error_with_its_status(account: Account) -> None:
    with refused("ModelError", "Received client error") as told:
        account.ask("plain", b"no json")
    answer = told.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] in (400, 422)
    assert json.loads(answer["OriginalMessage"])
    assert answer["LogStreamArn"].endswith("log-group:/aws/sagemaker/Endpoints/plain")


def test_six_megabytes_pass_and_one_byte_more_does_not(account: Account) -> None:
    most = 6 * 1024 * 1024
    before = len(account.aws.invocations())
    with refused("413", "exceeded 6291456 bytes"):
        account.ask("plain", b" " * (most + 1))
    assert len(account.aws.invocations()) == before
    with pytest.raises(ClientError, match="ModelError"):
        account.ask("plain", b" " * most)
    assert len(account.aws.invocations()[-1].body) == most


def test_what_is_not_there_is_not_found(account: Account) -> None:
    with refused("ValidationError", "Endpoint nobody of account 123456789012 not found"):
        account.ask("nobody")
    elsewhere = account.aws.client("sagemaker", "eu-central-1")
    with refused("ValidationException", "Could not find endpoint"):
        elsewhere.describe_endpoint(EndpointName="plain")
    with refused("ValidationException", "Could not find model"):
        account.config("of-nothing", account.variant(model="nothing"))
    with refused("ValidationException", "Cannot create already existing endpoint"):
        account.sm.create_endpoint(EndpointName="plain", EndpointConfigName="plain")


def test_an_endpoint_leaves_captured_data_metrics_and_logs(account: Account) -> None:
    account.ask("plain", InferenceId="captured")

    def rows() -> list[dict[str, Any]]:
        account.aws.flush()
        found = account.s3.list_objects_v2(Bucket="left", Prefix="capture/plain/live/").get("Contents", ())
        texts = [account.s3.get_object(Bucket="left", Key=one["Key"])["Body"].read() for one in found]
        lines = [json.loads(line) for text in texts for line in text.splitlines()]
        return [line for line in lines if line["eventMetadata"].get("inferenceId") == "captured"]

    (row,) = wait_until(rows, "captured data")
    sides = row["captureData"]
    assert sides["endpointInput"]["data"] == account.body.decode()
    assert sides["endpointInput"]["encoding"] == "JSON"
    assert len(json.loads(sides["endpointOutput"]["data"])["predictions"]) == 2

    now = datetime.now(UTC)
    figures = account.aws.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="ModelLatency",
        Dimensions=[{"Name": "EndpointName", "Value": "plain"}, {"Name": "VariantName", "Value": "live"}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=["Average", "SampleCount"],
    )["Datapoints"]
    assert sum(one["SampleCount"] for one in figures) >= 1
    assert all(100 < one["Average"] < 60e6 for one in figures)

    logs = account.aws.client("logs")
    group = "/aws/sagemaker/Endpoints/plain"
    streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert {one["logStreamName"].split("/i-")[0] for one in streams} == {"live", "idle"}
    assert logs.filter_log_events(logGroupName=group)["events"]


def test_a_container_writes_to_s3_as_its_role(account: Account) -> None:
    account.ask("plain")

    def shipped() -> list[str]:
        found = account.s3.list_objects_v2(Bucket="left", Prefix="spool/").get("Contents", ())
        return [one["Key"] for one in found]

    assert wait_until(shipped, "a shipped segment")


def check_copies(account: Account) -> None:
    """A native shadow gets a copy of each call and answers nobody."""
    told = account.sm.describe_endpoint(EndpointName="moving")
    assert [one["VariantName"] for one in told["ShadowProductionVariants"]] == ["shadow"]

    def copies() -> int:
        return [one.shadow for one in account.aws.invocations() if one.endpoint == "moving"].count(True)

    wait_until(lambda: copies() == 1, "the first copy")
    assert {account.ask("moving")["InvokedProductionVariant"] for _ in range(3)} == {"second"}
    wait_until(lambda: copies() == 4, "four copies")


def test_an_update_moves_over_and_a_bad_one_rolls_back(account: Account) -> None:
    account.config("first")
    account.config("second", account.variant("second"), ShadowProductionVariants=[account.variant("shadow")])
    account.endpoint("moving", "first")
    account.sm.update_endpoint(EndpointName="moving", EndpointConfigName="second")
    assert account.status("moving") == "Updating"
    assert account.ask("moving")["InvokedProductionVariant"] == "live", "the old fleet answers meanwhile"
    with refused("ValidationException", "Cannot update in-progress endpoint"):
        account.sm.delete_endpoint(EndpointName="moving")
    with refused("ValidationException", "Cannot update in-progress endpoint"):
        account.sm.update_endpoint(EndpointName="moving", EndpointConfigName="first")
    assert account.settled("moving")["EndpointConfigName"] == "second"
    assert account.ask("moving")["InvokedProductionVariant"] == "second"
    check_copies(account)

    account.aws.container_fails(["loading the model", "ValueError: no such file"])
    account.sm.update_endpoint(EndpointName="moving", EndpointConfigName="first")
    told = account.settled("moving")
    assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("InService", "second")
    assert "did not pass the ping health check" in told["FailureReason"]
    account.aws.release()

    cloudwatch = account.aws.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="errors",
        MetricName="Invocation5XXErrors",
        Namespace="AWS/SageMaker",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="planted")
    routing = {"Type": "CANARY", "WaitIntervalInSeconds": 60}
    routing["CanarySize"] = {"Type": "CAPACITY_PERCENT", "Value": 10}
    account.sm.update_endpoint(
        EndpointName="moving",
        EndpointConfigName="first",
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
        },
    )
    told = account.settled("moving")
    assert told["EndpointConfigName"] == "second"
    assert "errors" in told["FailureReason"]
    cloudwatch.delete_alarms(AlarmNames=["errors"])
    account.gone("moving")
    with refused("ValidationError", "not found"):
        account.ask("moving")


def test_an_endpoint_whose_container_dies_fails_and_its_log_says_why(account: Account) -> None:
    account.aws.container_fails(["loading the model", "ValueError: no such file"])
    account.endpoint("failing", "plain")
    told = account.settled("failing")
    assert told["EndpointStatus"] == "Failed"
    assert "production variant live did not pass the ping" in told["FailureReason"]
    events = account.aws.client("logs").filter_log_events(logGroupName="/aws/sagemaker/Endpoints/failing")
    assert [one["message"] for one in events["events"]] == ["loading the model", "ValueError: no such file"]
    with refused("ValidationException", "in status Failed"):
        account.sm.update_endpoint(EndpointName="failing", EndpointConfigName="plain")
    account.gone("failing")


def test_a_stuck_endpoint_stays_until_it_is_released(account: Account) -> None:
    account.aws.stuck("Creating")
    account.aws.container_fails([])
    account.sm.create_endpoint(EndpointName="stuck", EndpointConfigName="plain")
    time.sleep(1)
    assert account.status("stuck") == "Creating"
    with refused("ValidationException", "in-progress"):
        account.sm.delete_endpoint(EndpointName="stuck")
    account.aws.release()
    assert account.settled("stuck")["EndpointStatus"] == "Failed"
    account.gone("stuck")


def test_serverless_sleeps_and_wakes(account: Account) -> None:
    memory = {"MemorySizeInMB": 2048, "MaxConcurrency": 1}
    with refused("ValidationException", "MemorySizeInMB"):
        account.config("odd", account.variant(ServerlessConfig={**memory, "MemorySizeInMB": 1500}))
    with refused("ValidationException", "Shadow variants are supported for real-time"):
        account.config(
            "dark", account.variant(ServerlessConfig=memory), ShadowProductionVariants=[account.variant("s")]
        )
    account.config("serverless", account.variant(ServerlessConfig=memory))
    account.endpoint("serverless", "serverless")
    (told,) = account.settled("serverless")["ProductionVariants"]
    assert told["CurrentServerlessConfig"] == memory
    assert "CurrentInstanceCount" not in told
    account.aws.sleep("serverless")
    assert account.ask("serverless")["Body"]["predictions"]
    with refused("413", "4194304"):
        account.ask("serverless", b" " * (4 * 1024 * 1024 + 1))
    account.gone("serverless")


def test_asynchronous_calls_go_through_s3(account: Account) -> None:
    output = {"S3OutputPath": "s3://left/out", "S3FailurePath": "s3://left/failed"}
    account.config("later", AsyncInferenceConfig={"OutputConfig": output})
    account.endpoint("later", "later")
    for body, place in ((account.body, "OutputLocation"), (b"no json", "FailureLocation")):
        account.s3.put_object(Bucket="left", Key="in", Body=body)
        told = account.runtime.invoke_endpoint_async(
            EndpointName="later",
            InputLocation="s3://left/in",
            ContentType="application/json",
            InferenceId="mine",
        )
        assert told["InferenceId"] == "mine"
        key = told[place].removeprefix("s3://left/")
        look = functools.partial(account.s3.list_objects_v2, Bucket="left", Prefix=key)
        found = wait_until(lambda look=look: look().get("Contents"), place)  # type: ignore[misc]
        answer = json.loads(account.s3.get_object(Bucket="left", Key=found[0]["Key"])["Body"].read())
        assert ("predictions" in answer) == (place == "OutputLocation")
    with refused("ValidationError", "asynchronous"):
        account.ask("later")
    account.gone("later")


def test_a_lost_instance_is_replaced(account: Account) -> None:
    account.aws.lose_instance("plain")
    assert account.ask("plain")["Body"]["predictions"]


def test_planted_faults_are_what_a_client_sees(account: Account) -> None:
    aws = account.aws
    describe = functools.partial(account.sm.describe_endpoint, EndpointName="plain")
    aws.throttle("DescribeEndpoint", 2)
    assert describe()["EndpointStatus"] == "InService", "boto3 tries again by itself"
    aws.throttle("DescribeEndpoint")
    with refused("ThrottlingException", "Rate exceeded"):
        impatient(account).describe_endpoint(EndpointName="plain")
    aws.release()
    aws.fail_next("DescribeEndpoint", "AccessDeniedException")
    with refused("AccessDeniedException", "Planted"):
        describe()
    describe()
    aws.fail_next("s3:PutObject", "AccessDenied", status=403)
    with refused("AccessDenied", "Planted"):
        account.s3.put_object(Bucket="left", Key="x", Body=b"")
    aws.deny("iam:PassRole")
    with refused("AccessDeniedException", "not authorized to perform: iam:PassRole"):
        account.model("never")
    simulated = aws.client("iam").simulate_principal_policy(
        PolicySourceArn="arn:aws:iam::123456789012:user/x", ActionNames=["iam:PassRole", "s3:PutObject"]
    )["EvaluationResults"]
    assert [one["EvalDecision"] for one in simulated] == ["implicitDeny", "allowed"]


def test_lists_come_ten_at_a_time_and_tags_stay(account: Account) -> None:
    for number in range(12):
        account.config(f"many-{number}")
    assert len(account.sm.list_endpoint_configs(NameContains="many")["EndpointConfigs"]) == 10
    pages = account.sm.get_paginator("list_endpoint_configs").paginate(NameContains="many")
    assert len([one for page in pages for one in page["EndpointConfigs"]]) == 12
    arn = account.sm.describe_endpoint(EndpointName="plain")["EndpointArn"]
    account.sm.add_tags(ResourceArn=arn, Tags=[{"Key": "more", "Value": "1"}])
    tags = account.sm.list_tags(ResourceArn=arn)["Tags"]
    assert tags == [{"Key": "whose", "Value": "mine"}, {"Key": "more", "Value": "1"}]
    assert set(account.aws.account()) >= {"models", "configs", "endpoints", "images", "objects"}
    assert account.aws.account()["endpoints"] == ["plain"]
