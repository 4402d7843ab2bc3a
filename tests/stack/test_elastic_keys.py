"""Security on: keys that can only append or only read, and errors that say what to do."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys

import httpx
import pytest

from trackline.elastic.connection import Connection, ElasticError
from trackline.elastic.install import carry_out, plan
from trackline.elastic.keys import create_key
from trackline.elastic.options import Options

TIME = "2026-11-22T14:40:01.123456Z"


@pytest.fixture(scope="module")
def operator(secured_elasticsearch):
    """Install templates and roles as who may; give that connection."""
    node = secured_elasticsearch
    with Connection(node.url, username=node.user, password=node.password, ca=str(node.ca)) as connection:
        carry_out(connection, plan(connection, Options()))
        yield connection


@pytest.fixture
def as_key(secured_elasticsearch):
    """Give a client that asks with a key."""
    clients = []

    def client(key):
        import ssl

        headers = {"authorization": f"ApiKey {key.encoded}"}
        verify = ssl.create_default_context(cafile=str(secured_elasticsearch.ca))
        clients.append(httpx.Client(base_url=secured_elasticsearch.url, headers=headers, verify=verify, trust_env=False, timeout=60))
        return clients[-1]

    yield client
    for one in clients:
        one.close()


@pytest.fixture
def command(secured_elasticsearch):
    """Run the command with what is set in the environment."""

    def run(*arguments, **environment):
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "NO_COLOR": "1",
            "ELASTICSEARCH_URL": secured_elasticsearch.url,
            **environment,
        }
        line = [sys.executable, "-m", "trackline", "elastic", *arguments]
        return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, check=False)

    return run


@pytest.fixture
def operators(secured_elasticsearch):
    """Give the environment of who may do everything."""
    node = secured_elasticsearch
    return {"ELASTICSEARCH_USERNAME": node.user, "ELASTICSEARCH_PASSWORD": node.password, "ELASTICSEARCH_CA": str(node.ca)}


def document(**fields):
    return {"@timestamp": TIME, "tracking_id": "order-1742", **fields}


def test_the_key_of_a_shipper_can_append_and_nothing_else(operator, as_key):
    client = as_key(create_key(operator, "web-1", Options()))
    stream = f"logs-orders-{secrets.token_hex(4)}"
    bulk = "\n".join((json.dumps({"create": {"_index": stream, "_id": "b-1"}}), json.dumps(document()), ""))

    assert client.get("/").status_code == 200  # which shippers ask first
    assert client.put(f"/{stream}/_create/a-1", json=document()).status_code == 201  # and so the stream is there
    answer = client.post("/_bulk", content=bulk, headers={"content-type": "application/x-ndjson"})
    assert answer.json()["errors"] is False, answer.text
    assert client.put("/logs-trackline.deadletter-default/_create/" + secrets.token_hex(8), json=document()).status_code == 201

    assert client.put(f"/{stream}/_create/a-1", json=document(message="another")).status_code == 409
    for method, path, body in (
        ("GET", f"/{stream}/_doc/a-1", None),
        ("POST", f"/{stream}/_search", {}),
        ("POST", "/logs-*-*/_count", None),
        ("POST", f"/{stream}/_update/a-1", {"doc": {}}),
        ("DELETE", f"/{stream}/_doc/a-1", None),
        ("POST", f"/{stream}/_rollover", None),
        ("PUT", f"/{stream}/_mapping", {"properties": {"x": {"type": "long"}}}),
        ("PUT", "/other/_create/1", document()),
        ("PUT", "/metrics-orders-default/_create/1", document()),
        ("PUT", "/other", {}),
        ("PUT", "/_index_template/other", {"index_patterns": ["other"]}),
        ("POST", "/_security/api_key", {"name": "child"}),
    ):
        refused = client.request(method, path, json=body)
        assert refused.status_code == 403, (method, path, refused.status_code, refused.text)
    # The operation `index` would overwrite. A data stream refuses it to everybody; to what is none this key may not write.
    assert client.put(f"/{stream}/_doc/a-1", json=document()).status_code == 400
    answer = client.post("/_bulk", content=bulk.replace("create", "index"), headers={"content-type": "application/x-ndjson"})
    assert [item["index"]["status"] for item in answer.json()["items"]] == [400]
    operator.request("POST", f"/{stream}/_refresh")
    stored = operator.request("POST", f"/{stream}/_search", {})["hits"]["hits"]
    assert {hit["_id"]: hit["_source"].get("message") for hit in stored} == {"a-1": None, "b-1": None}


def test_the_key_of_a_reader_can_read_and_nothing_else(operator, as_key):
    stream = f"logs-orders-{secrets.token_hex(4)}"
    operator.request("PUT", f"/{stream}/_create/a-1?refresh=true", document())
    client = as_key(create_key(operator, "support", Options(), reads=True))

    assert client.get(f"/{stream}/_search", params={"q": "labels.tracking_id:order\\-1742"}).json()["hits"]["total"]["value"] == 1
    assert client.post(f"/{stream}/_pit", params={"keep_alive": "1m"}).status_code == 200
    for method, path, body in (
        ("PUT", f"/{stream}/_create/a-2", document()),
        ("DELETE", f"/{stream}/_doc/a-1", None),
        ("PUT", "/other/_create/1", document()),
        ("GET", "/.security/_search", None),
    ):
        refused = client.request(method, path, json=body)
        assert refused.status_code == 403, (method, path, refused.status_code, refused.text)


def test_a_key_for_one_service_cannot_append_to_anothers_stream(operator, as_key):
    namespace = secrets.token_hex(4)
    client = as_key(create_key(operator, "web-1", Options(services=("Order-API",), namespace=namespace)))

    assert client.put(f"/logs-order_api-{namespace}/_create/1", json=document()).status_code == 201
    assert client.put(f"/logs-trackline.deadletter-{namespace}/_create/1", json=document()).status_code == 201
    assert client.put(f"/logs-billing-{namespace}/_create/1", json=document()).status_code == 403
    assert client.put("/logs-order_api-other/_create/1", json=document()).status_code == 403


def test_the_roles_give_users_the_same_rights_as_the_keys(operator, secured_elasticsearch):
    roles = {name: operator.get(f"/_security/role/{name}")[name] for name in ("trackline-writer", "trackline-reader")}

    assert roles["trackline-writer"]["indices"][0]["names"] == ["logs-*-*"]
    assert sorted(roles["trackline-writer"]["indices"][0]["privileges"]) == ["auto_configure", "create_doc"]
    assert sorted(roles["trackline-reader"]["indices"][0]["privileges"]) == ["read", "view_index_metadata"]


def test_the_command_makes_a_key_in_the_forms_that_shippers_take(command, operators, operator, as_key):
    plain = command("key", "web-1", "--service", "orders", **operators)
    made = json.loads(command("key", "web-2", "--json", "--expires", "1d", **operators).stdout)

    assert plain.returncode == 0, plain.stderr
    assert "which can only append to logs-orders-*, logs-trackline-*, logs-trackline.deadletter-*" in plain.stdout
    assert "  encoded   " in plain.stdout
    assert "  id:key    " in plain.stdout
    assert made["id_key"].startswith(made["id"] + ":")
    for form in (made["id_key"], made["encoded"]):
        with Connection(operator.url, api_key=form, ca=operators["ELASTICSEARCH_CA"]) as connection:
            assert connection.get("/")["version"]["number"].startswith("8.")
    listed = operator.get(f"/_security/api_key?id={made['id']}")["api_keys"][0]
    assert listed["expiration"] - listed["creation"] == 86_400_000
    assert listed["metadata"] == {"managed_by": "trackline"}


def test_with_security_on_apply_is_done_once_and_nothing_is_said_of_it(command, operators, operator):
    again = command("apply", "--yes", "--take-over", **operators)

    assert again.returncode == 0, again.stderr
    assert "nothing to change" in again.stdout
    assert "security" not in again.stdout


def test_who_does_not_say_who_he_is_is_told_how(command, operators):
    refused = command("apply", "--yes", ELASTICSEARCH_CA=operators["ELASTICSEARCH_CA"])

    assert refused.returncode == 2
    assert "set ELASTICSEARCH_API_KEY, or ELASTICSEARCH_USERNAME and ELASTICSEARCH_PASSWORD" in refused.stderr


@pytest.mark.parametrize("key", ["wrong:wrong", "d3Jvbmc6d3Jvbmc=", "%%%"])
def test_a_wrong_key_is_said_to_be_wrong_and_not_shown(command, operators, key):
    refused = command("apply", "--yes", ELASTICSEARCH_CA=operators["ELASTICSEARCH_CA"], ELASTICSEARCH_API_KEY=key)

    assert refused.returncode == 2
    assert "does not accept the API key" in refused.stderr
    assert key not in refused.stdout + refused.stderr


def test_a_wrong_password_is_said_to_be_wrong_and_not_shown(command, operators):
    refused = command("apply", "--yes", **operators | {"ELASTICSEARCH_PASSWORD": "opensesame"})

    assert refused.returncode == 2
    assert "does not accept the user operator" in refused.stderr
    assert "opensesame" not in refused.stdout + refused.stderr


def test_a_certificate_that_nobody_trusts_names_the_option(command, operators, tmp_path):
    other = tmp_path / "other.crt"
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=other"]
    subprocess.run([*new, "-keyout", tmp_path / "other.key", "-out", other], check=True, capture_output=True)
    known = {name: operators[name] for name in ("ELASTICSEARCH_USERNAME", "ELASTICSEARCH_PASSWORD")}

    for refused in (command("apply", "--yes", **known), command("apply", "--yes", "--ca", str(other), **known)):
        assert refused.returncode == 2
        assert "its certificate is not trusted here" in refused.stderr
        assert "--ca or ELASTICSEARCH_CA" in refused.stderr


def test_a_ca_that_is_not_there_is_named(command, operators):
    refused = command("apply", "--ca", "/nowhere/ca.crt", **operators)
    from_environment = command("apply", **operators | {"ELASTICSEARCH_CA": __file__})

    assert (refused.returncode, from_environment.returncode) == (2, 2)
    assert "--ca='/nowhere/ca.crt': expected the path of a file of certificates, in PEM" in refused.stderr
    assert f"ELASTICSEARCH_CA='{__file__}': expected the path of a file of certificates, in PEM" in from_environment.stderr


def test_http_where_https_is_spoken_is_said(command, secured_elasticsearch):
    refused = command("apply", "--url", secured_elasticsearch.url.replace("https", "http"))

    assert refused.returncode == 2
    assert "does it speak https:// rather than http://?" in refused.stderr


def test_a_missing_privilege_is_named(secured_elasticsearch, command, operators):
    key = secured_elasticsearch.api_key("few rights", {"few": {"cluster": ["monitor"], "indices": []}})
    environment = {"ELASTICSEARCH_CA": operators["ELASTICSEARCH_CA"], "ELASTICSEARCH_API_KEY": key["encoded"]}

    refused = command("apply", "--yes", **environment)

    assert refused.returncode == 2
    assert "the API key may not" in refused.stderr
    assert "the cluster privilege manage_index_templates is missing" in refused.stderr


def test_who_looks_after_templates_alone_can_install_them(secured_elasticsearch, command, operators):
    rights = {
        "cluster": ["monitor", "manage_index_templates"],
        "indices": [{"names": ["logs-*"], "privileges": ["view_index_metadata"]}],
    }
    key = secured_elasticsearch.api_key("templates", {"templates": rights})
    environment = {"ELASTICSEARCH_CA": operators["ELASTICSEARCH_CA"], "ELASTICSEARCH_API_KEY": key["encoded"]}

    done = command("apply", "--yes", "--take-over", **environment)

    assert done.returncode == 0, done.stderr
    assert "role trackline-writer is left out: the API key may not GET /_security/role/trackline-writer" in done.stdout


def test_one_key_cannot_make_another_and_it_is_said_why(secured_elasticsearch, operator):
    key = secured_elasticsearch.api_key("all rights", {})
    with (
        Connection(operator.url, api_key=key["encoded"], ca=str(secured_elasticsearch.ca)) as connection,
        pytest.raises(ElasticError, match="one API key cannot make another that has rights"),
    ):
        create_key(connection, "child", Options())
