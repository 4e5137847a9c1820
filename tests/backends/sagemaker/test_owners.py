"""Two teams in one account: what one's ledger asks for, the other's leaves alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taxiway.backends import EndpointRef, EndpointSpec, Status
from taxiway.errors import ConflictError, RequestError
from taxiway_backends.sagemaker import SageMakerBackend
from taxiway_backends.sagemaker.account import OWNER_TAG, Account
from taxiway_backends.sagemaker.design import Design
from taxiway_backends.sagemaker.storage import Storage
from tests.backends.conformance import refused
from tests.backends.sagemaker.conftest import Cut, Endpoint

THEIRS = EndpointRef("iris", "theirs")


def _of(owner: str, spec: EndpointSpec) -> EndpointSpec:
    return replace(spec, owner=owner)


def _other_team(endpoint: Endpoint) -> SageMakerBackend:
    return SageMakerBackend(endpoint.backend.home.parent / "their-home")


def test_another_teams_endpoint_of_the_same_name_is_never_touched(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.backend.apply(_of("ours", endpoint.spec()), token="a")
    seen = endpoint.ready(0)
    before = sorted(endpoint.resources())
    theirs = _other_team(endpoint)
    for act in (
        lambda: theirs.plan(_of("theirs", endpoint.spec(1))),
        lambda: theirs.apply(_of("theirs", endpoint.spec(1)), token="b"),
        lambda: theirs.route(THEIRS, endpoint.routing(1), token="b"),
        lambda: theirs.logs(THEIRS),
        lambda: theirs.logs(THEIRS, follow=True),
        lambda: theirs.metrics(THEIRS),
    ):
        with refused(ConflictError, "another Taxiway made"):
            act()
    with pytest.raises(RequestError, match="no endpoint"):
        theirs.ask(THEIRS, b"{}", {})
    told = theirs.observe(THEIRS)
    assert (told.status, told.spool) == (Status.ABSENT, None)
    assert "of another Taxiway" in told.reason
    # Nor is its prediction log, where AWS does not tell whose it is
    with monkeypatch.context() as doubtful:
        doubtful.setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN")
        told = _other_team(endpoint).observe(THEIRS)
    assert (told.status, told.spool) == (Status.UNKNOWN, None)
    assert theirs.destroy(THEIRS, token="b").status is Status.ABSENT
    assert sorted(endpoint.resources()) == before
    assert endpoint.ask(seen) == endpoint.models[0].tag
    # Where the other's ledger is lost, a person takes the mark away, and the next deploy takes it over
    client = endpoint.account.client("sagemaker")
    arn = client.describe_endpoint(EndpointName="taxiway-iris")["EndpointArn"]
    client.delete_tags(ResourceArn=arn, TagKeys=[OWNER_TAG])
    theirs.apply(_of("theirs", endpoint.spec()), token="c")
    endpoint.until(lambda seen: seen.native == "InService")
    tags = {tag["Key"]: tag["Value"] for tag in client.list_tags(ResourceArn=arn)["Tags"]}
    assert tags[OWNER_TAG] == "theirs"


def test_whoever_creates_it_a_moment_later_leaves_nothing_behind(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both found no endpoint of that name, and made what it needs."""
    theirs, start = _other_team(endpoint), Account.start
    before: list[str] = []

    def first_the_others(account: Account, design: Design, token: str) -> bool:
        monkeypatch.setattr(Account, "start", start)
        monkeypatch.setattr(Storage, "designs", lambda *_: [])  # they see nothing of ours yet
        theirs.apply(_of("theirs", endpoint.spec(1)), token="b")
        monkeypatch.setattr(Storage, "designs", designs)
        before.extend(name for name in endpoint.resources() if design.digest not in name)
        return start(account, design, token)

    designs = Storage.designs
    monkeypatch.setattr(Account, "start", first_the_others)
    with refused(ConflictError, "another Taxiway made"):
        endpoint.backend.apply(_of("ours", endpoint.spec()), token="a")
    live = endpoint.models[0].tag.replace(":", "-")
    assert sorted(endpoint.resources()) == sorted(name for name in before if f"/models/{live}" not in name)
    assert len(before) == 6
    theirs.destroy(THEIRS, token="c")
    assert endpoint.resources() == []


def test_what_another_team_has_begun_is_left_alone_too(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object) -> None:
        raise Cut

    with monkeypatch.context() as killed:
        killed.setattr(Account, "start", cut)
        with pytest.raises(Cut):
            endpoint.backend.apply(_of("ours", endpoint.spec()), token="a")
    before = sorted(endpoint.resources())
    assert any(name.startswith("models ") for name in before)
    theirs = _other_team(endpoint)
    with refused(ConflictError, "another Taxiway made"):
        theirs.apply(_of("theirs", endpoint.spec()), token="b")
    assert theirs.destroy(THEIRS, token="b").status is Status.ABSENT
    assert sorted(endpoint.resources()) == before
    endpoint.backend.destroy(EndpointRef("iris", "ours"), token="c")
    assert endpoint.resources() == []
