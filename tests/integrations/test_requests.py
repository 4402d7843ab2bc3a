"""requests: the ID goes along, to where it may, once, over real connections."""

from __future__ import annotations

import pytest
import requests
from opentelemetry.instrumentation.requests import RequestsInstrumentor

from integrations.http_clients import CAME, ClientContract, sent_ids
from trackline import extract, use_tracking_id
from trackline.integrations import requests as integration
from trackline.integrations import urllib3 as beneath


class TestRequests(ClientContract):
    integration = integration

    def make(self):
        return requests.Session()

    def get(self, client, url, headers=None):
        return client.get(url, headers=headers, timeout=5).json()

    def instrumentor(self):
        return RequestsInstrumentor()

    def patched(self):
        return [requests.Session.send]

    def test_the_functions_of_the_module_too(self, here):
        integration.instrument()
        with extract(CAME):
            assert sent_ids(requests.get(f"http://{here}/", timeout=5).json()) == CAME

    def test_a_proxy_is_not_the_target(self, here):
        integration.instrument()
        session = requests.Session()
        session.proxies = {"http": f"http://{here}"}
        with extract(CAME):
            assert sent_ids(self.get(session, "http://api.example.com/")) == {}
            assert sent_ids(self.get(session, "http://orders/")) == CAME

    def test_a_prepared_request_that_is_sent_again_has_the_id_of_its_moment(self, here):
        integration.instrument()
        session = requests.Session()
        prepared = session.prepare_request(requests.Request("GET", f"http://{here}/"))
        with use_tracking_id("one"):
            session.send(prepared, timeout=5)
        with use_tracking_id("two"):
            assert sent_ids(session.send(prepared, timeout=5).json()) == {"x-request-id": "two"}

    def test_a_header_of_the_session_stays(self, here):
        integration.instrument()
        session = requests.Session()
        session.headers["x-request-id"] = "mine"
        with extract(CAME):
            assert sent_ids(self.get(session, f"http://{here}/"))["x-request-id"] == "mine"

    def test_a_session_of_a_subclass_too(self, here):
        class Client(requests.Session):
            def send(self, request, **kwargs):
                return super().send(request, **kwargs)

        integration.instrument()
        with extract(CAME):
            assert sent_ids(self.get(Client(), f"http://{here}/")) == CAME

    def test_with_urllib3_instrumented_too_nothing_is_sent_twice_and_a_redirect_loses_it(self, here, third_party):
        integration.instrument(targets=[here])
        beneath.instrument(targets=[here])
        try:
            with extract(CAME):
                assert sent_ids(self.get(self.make(), f"http://{here}/")) == CAME
                assert sent_ids(self.get(self.make(), f"http://{here}/to?http://{third_party}/")) == {}
        finally:
            beneath.uninstrument()

    def test_what_is_no_request_fails_as_it_did(self):
        integration.instrument()
        with pytest.raises(ValueError, match="PreparedRequest"):
            requests.Session().send(requests.Request("GET", "http://orders/"))
