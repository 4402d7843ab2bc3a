"""urllib3: the ID goes along, to where it may, once, over real connections."""

from __future__ import annotations

import json

import urllib3
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from urllib3._collections import HTTPHeaderDict

from integrations.http_clients import CAME, ClientContract, sent_ids
from trackline import extract
from trackline.integrations import urllib3 as integration


class TestUrllib3(ClientContract):
    integration = integration

    def make(self):
        return urllib3.PoolManager()

    def get(self, client, url, headers=None):
        return json.loads(client.request("GET", url, headers=headers, timeout=5).data)

    def instrumentor(self):
        return URLLib3Instrumentor()

    def patched(self):
        return [urllib3.HTTPConnectionPool.urlopen]

    def test_a_pool_by_itself_and_its_own_headers(self, here):
        host, port = here.split(":")
        pool = urllib3.HTTPConnectionPool(host, int(port), headers={"X-Of-Pool": "1"})
        integration.instrument()
        with extract(CAME):
            for answer in (pool.request("GET", "/"), pool.urlopen("GET", "/"), pool.urlopen("GET", "/", None, None)):
                pairs = json.loads(answer.data)
                assert sent_ids(pairs) == CAME
                assert ["x-of-pool", "1"] in pairs
        assert pool.headers == {"X-Of-Pool": "1"}

    def test_a_proxy_is_not_the_target(self, here):
        integration.instrument()
        proxy = urllib3.ProxyManager(f"http://{here}")
        with extract(CAME):
            assert sent_ids(self.get(proxy, "http://api.example.com/")) == {}
            assert sent_ids(self.get(proxy, "http://orders/")) == CAME

    def test_a_pool_that_follows_a_redirect_by_itself_loses_the_headers(self, here):
        integration.instrument(targets=["orders"])
        host, port = here.split(":")
        pool = urllib3.HTTPConnectionPool(host, int(port))  # which is a proxy: the only way to other hosts in one pool
        with extract(CAME):
            answer = pool.urlopen("GET", "http://orders/to?http://api.example.com/", assert_same_host=False)

        assert sent_ids(json.loads(answer.data)) == {}

    def test_a_retry_has_them_once(self, here):
        integration.instrument()
        retries = urllib3.Retry(2, status_forcelist=[503])
        with extract(CAME):
            answer = urllib3.PoolManager().request("GET", f"http://{here}/flaky", retries=retries, timeout=5)

        assert sent_ids(json.loads(answer.data)) == CAME

    def test_headers_of_all_kinds(self, here):
        integration.instrument()
        several = HTTPHeaderDict([("a", "1"), ("a", "2")])
        with extract(CAME):
            pairs = self.get(self.make(), f"http://{here}/", several)
            assert sent_ids(self.get(self.make(), f"http://{here}/", {b"x-request-id": b"mine"}))["x-request-id"] == "mine"

        assert sent_ids(pairs) == CAME
        assert [pair for pair in pairs if pair[0] == "a"] == [["a", "1"], ["a", "2"]]
        assert list(several.items()) == [("a", "1"), ("a", "2")]
