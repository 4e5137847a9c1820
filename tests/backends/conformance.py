"""What every back end promises; each back end's tests inherit from ``Conformance``."""

from __future__ import annotations

from taxiway.backends import Backend, EndpointRef, Status
from tests.backends.conftest import Endpoint


class Conformance:
    """A subclass may override the fixture ``endpoint``."""

    def test_it_is_a_backend_that_knows_its_health(self, endpoint: Endpoint) -> None:
        assert isinstance(endpoint.backend, Backend)
        diagnosis = endpoint.backend.check()
        assert diagnosis.ok, diagnosis.problems
        assert {"python", "cpu", "memory"} <= diagnosis.facts.keys()

    def test_what_is_not_there_is_absent_and_can_be_destroyed(self, endpoint: Endpoint) -> None:
        nothing = EndpointRef("nothing")
        assert endpoint.backend.observe(nothing).status is Status.ABSENT
        assert endpoint.backend.destroy(nothing, token="a").status is Status.ABSENT
        assert list(endpoint.backend.logs(nothing)) == []

    def test_a_plan_changes_nothing(self, endpoint: Endpoint) -> None:
        assert endpoint.backend.plan(endpoint.spec()).changes
        assert endpoint.backend.observe(endpoint.ref).status is Status.ABSENT
        endpoint.start()
        assert endpoint.backend.plan(endpoint.spec()).changes == ()
        (change,) = endpoint.backend.plan(endpoint.spec(live=1)).changes
        assert endpoint.models[1].tag in change

    def test_applying_again_starts_nothing_and_keeps_the_url(self, endpoint: Endpoint) -> None:
        first = endpoint.start()
        before = endpoint.status()["workers"]
        for token in ("start", "another"):
            again = endpoint.backend.apply(endpoint.spec(), token=token)
            assert (again.status, again.url, again.live) == (Status.READY, first.url, first.live)
        assert endpoint.status()["workers"] == before

    def test_route_changes_the_live_model_and_back_at_the_same_url(self, endpoint: Endpoint) -> None:
        first = endpoint.start()
        for live in (1, 0, 1):
            answer = endpoint.backend.route(endpoint.ref, endpoint.routing(live), token=f"to {live}")
            assert answer.status is Status.PENDING
            assert endpoint.ready(live).url == first.url

    def test_destroyed_twice_it_is_absent_and_can_be_made_again(self, endpoint: Endpoint) -> None:
        endpoint.start()
        assert endpoint.backend.destroy(endpoint.ref, token="a").status is Status.ABSENT
        assert endpoint.backend.destroy(endpoint.ref, token="a").status is Status.ABSENT
        endpoint.start(live=1)

    def test_the_log_is_readable(self, endpoint: Endpoint) -> None:
        endpoint.start()
        lines = list(endpoint.backend.logs(endpoint.ref))
        assert any(endpoint.models[0].tag in line.text for line in lines)
        times = [line.time for line in lines if line.time is not None]
        assert times == sorted(times)
        latest = [line for line in lines if line.time == times[-1]]
        assert list(endpoint.backend.logs(endpoint.ref, since=times[-1])) == latest
