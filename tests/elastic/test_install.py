"""What is asked of a server that has everything, as far as its documentation says how it answers; and of those that lack something."""

from __future__ import annotations

import copy

import pytest

from elastic.full_server import FullServer, running
from trackline.cli import main
from trackline.elastic.connection import Connection, ElasticError
from trackline.elastic.install import carry_out, plan
from trackline.elastic.options import Options

FULL = [
    "ILM policy trackline-logs",
    "ingest pipeline trackline-logs",
    "component template trackline-logs-mappings",
    "component template trackline-logs-settings",
    "component template trackline-logs-lifecycle",
    "index template trackline-logs",
    "index template trackline-deadletter",
    "role trackline-writer",
    "role trackline-reader",
]


@pytest.fixture
def server():
    with running(FullServer()) as server:
        yield server


@pytest.fixture
def connection(server):
    with Connection(server.url) as connection:
        yield connection


def install(connection, **options):
    planned = plan(connection, Options(**options))
    carry_out(connection, planned)
    return planned


def names(planned):
    return [str(change.part) for change in planned.changes]


def test_everything_is_installed_in_an_order_in_which_each_finds_what_it_needs(server, connection):
    planned = install(connection)

    assert names(planned) == FULL
    assert planned.notes == []
    assert [path for method, path in server.requests if method == "PUT"] == [part.path for part in planned.parts]
    assert (
        server.objects["/_component_template/trackline-logs-settings"]["template"]["settings"]["index.default_pipeline"]
        == "trackline-logs"
    )


def test_what_comes_back_with_defaults_and_in_other_spellings_is_no_change(connection):
    install(connection)

    assert plan(connection, Options()).changes == []


@pytest.mark.parametrize("retention", ["30d", "12h", None])
@pytest.mark.parametrize("lifecycle", ["ilm", "data-stream", "none"])
def test_nor_is_it_with_any_lifecycle(connection, retention, lifecycle):
    install(connection, retention=retention, lifecycle=lifecycle)

    assert plan(connection, Options(retention=retention, lifecycle=lifecycle)).changes == []


@pytest.mark.parametrize(
    ("retention", "age"), [("24h", "1h"), ("7d", "1d"), ("14d", "1d"), ("15d", "7d"), ("90d", "7d"), ("91d", "30d"), (None, "30d")]
)
def test_the_policy_deletes_after_the_retention_and_rolls_over_in_time_for_it(server, connection, retention, age):
    install(connection, retention=retention)

    phases = server.objects["/_ilm/policy/trackline-logs"]["policy"]["phases"]
    assert phases["hot"]["actions"]["rollover"]["max_age"] == age
    assert phases.get("delete") == (None if retention is None else {"min_age": retention, "actions": {"delete": {}}})
    lifecycle = server.objects["/_component_template/trackline-logs-lifecycle"]["template"]
    assert lifecycle == {"settings": {"index.lifecycle.name": "trackline-logs"}}


@pytest.mark.parametrize(("retention", "lifecycle"), [("7d", {"data_retention": "7d"}), (None, {})])
def test_the_data_stream_lifecycle_is_the_alternative(server, connection, retention, lifecycle):
    install(connection, retention=retention, lifecycle="data-stream")

    assert "/_ilm/policy/trackline-logs" not in server.objects
    assert server.objects["/_component_template/trackline-logs-lifecycle"]["template"] == {"lifecycle": lifecycle}


def test_without_ilm_the_data_stream_lifecycle_is_used_and_it_is_said(server, connection):
    server.answers["/_ilm/status"] = 410, {"error": "not available in this project", "status": 410}

    planned = install(connection)

    assert planned.notes == ["this server has no ILM: the data stream lifecycle is used instead"]
    assert "lifecycle" in server.objects["/_component_template/trackline-logs-lifecycle"]["template"]


def test_of_a_data_streams_own_lifecycle_it_is_said_that_it_stays(server, capsys):
    apply = ["elastic", "apply", "--yes", "--url", server.url, "--lifecycle", "data-stream"]
    assert main(apply) == 0
    assert "keep their retention" not in capsys.readouterr().out

    assert main([*apply, "--retention", "7d"]) == 0
    assert "data streams that are there keep their retention" in capsys.readouterr().out


def test_who_may_not_see_roles_gets_everything_else(server, connection):
    reason = "action [cluster:admin/xpack/security/role/get] is unauthorized, this action is granted by the cluster privileges [a,b]"
    for role in ("writer", "reader"):
        server.answers[f"/_security/role/trackline-{role}"] = 403, {"error": {"type": "security_exception", "reason": reason}}

    planned = install(connection)

    assert names(planned) == FULL[:-2]
    path = "/_security/role/trackline-writer"
    assert (
        planned.notes[0] == f"role trackline-writer is left out: who asks may not GET {path}: the cluster privilege a is missing (or b)"
    )
    assert len(planned.notes) == 2


def test_ilm_that_is_stopped_is_said(server, connection):
    server.answers["/_ilm/status"] = {"operation_mode": "STOPPED"}

    assert "ILM is stopped" in plan(connection, Options()).notes[0]


@pytest.mark.parametrize(("lifecycle", "path"), [("ilm", "/_ilm/status"), ("data-stream", "/_data_stream/trackline-none*/_lifecycle")])
def test_a_lifecycle_that_the_server_has_not_is_an_error_if_it_is_asked_for(server, connection, lifecycle, path):
    server.answers[path] = 400, {"error": f"no handler found for uri [{path}] and method [GET]"}

    with pytest.raises(ElasticError, match=f"lifecycle='{lifecycle}': this server"):
        plan(connection, Options(lifecycle=lifecycle))


def test_without_the_failure_store_nothing_is_said_of_it_in_templates_and_roles(server, connection):
    server.answers["/_data_stream/trackline-none*/_options"] = 400, {"error": "no handler found"}

    planned = install(connection)

    assert planned.notes == ["no failure store: what is refused is for the shipper to keep"]
    assert "data_stream_options" not in server.objects["/_component_template/trackline-logs-settings"]["template"]
    assert server.objects["/_security/role/trackline-reader"]["indices"][0]["privileges"] == ["read", "view_index_metadata"]


@pytest.mark.parametrize("wanted", [True, False])
def test_the_failure_store_is_on_unless_somebody_wants_it_off(server, connection, wanted):
    install(connection, failure_store=wanted)

    options = server.objects["/_component_template/trackline-logs-settings"]["template"]["data_stream_options"]
    assert options == {"failure_store": {"enabled": wanted}}
    assert plan(connection, Options(failure_store=wanted)).changes == []


@pytest.mark.parametrize(
    ("asked", "has", "of"), [("auto", "date_nanos", "date_nanos"), ("auto", "date", "date"), ("date", "date_nanos", "date")]
)
def test_timestamps_are_as_the_servers_own_logs_have_them_unless_it_is_said_otherwise(server, connection, asked, has, of):
    template = {"template": {"mappings": {"properties": {"@timestamp": {"type": has}}}}}
    server.answers["/_component_template/logs@mappings"] = {
        "component_templates": [{"name": "logs@mappings", "component_template": template}]
    }

    install(connection, timestamp=asked)

    mappings = server.objects["/_component_template/trackline-logs-mappings"]["template"]["mappings"]
    assert mappings["properties"]["@timestamp"] == {"type": of, "ignore_malformed": False}


def test_a_pipeline_for_which_a_processor_is_missing_is_left_out_and_not_referred_to(server, connection):
    server.answers["/_nodes/ingest"]["nodes"]["m"] = {"roles": ["ingest"], "ingest": {"processors": [{"type": "set"}]}}
    server.answers["/_nodes/ingest"]["nodes"]["other"] = {"roles": ["master"], "ingest": {"processors": []}}

    planned = install(connection)

    assert planned.notes == [
        "no ingest processor dot_expander, rename: the ingest pipeline is left out; lines of Trackline's do not need it"
    ]
    assert "index.default_pipeline" not in server.objects["/_component_template/trackline-logs-settings"]["template"]["settings"]


def test_each_service_and_namespace_is_in_every_pattern(server, connection):
    install(connection, services=("Order-API", "orders", "Order-API"), namespace="live")

    wanted = ["logs-order_api-live", "logs-orders-live", "logs-trackline-live"]
    assert server.objects["/_index_template/trackline-logs"]["index_patterns"] == wanted
    assert server.objects["/_index_template/trackline-deadletter"]["index_patterns"] == ["logs-trackline.deadletter-live"]
    for role in ("writer", "reader"):
        names = server.objects[f"/_security/role/trackline-{role}"]["indices"][0]["names"]
        assert names == [*wanted, "logs-trackline.deadletter-live"]


@pytest.mark.parametrize("kind", range(len(FULL)), ids=FULL)
def test_only_what_differs_is_changed(server, connection, kind):
    planned = install(connection)
    part = planned.parts[kind]
    changed = copy.deepcopy(part.body)
    place = changed.get("policy", changed)
    place["_meta" if "_meta" in place else "metadata"]["note"] = "by hand"
    server.objects[part.path] = changed
    server.requests.clear()

    again = install(connection)

    assert names(again) == [FULL[kind]]
    assert [path for method, path in server.requests if method == "PUT"] == [part.path]
    assert server.objects[part.path] == part.body
    assert again.foreign == []


@pytest.mark.parametrize("kind", range(len(FULL)), ids=FULL)
def test_what_is_not_of_our_making_is_found_out_for_each_kind(server, connection, kind):
    part = install(connection).parts[kind]
    foreign = copy.deepcopy(part.body)
    place = foreign.get("policy", foreign)
    place.pop("_meta", None)
    place.pop("metadata", None)
    server.objects[part.path] = foreign

    assert [str(one) for one in plan(connection, Options()).foreign] == [FULL[kind]]


def test_what_is_not_as_it_was_put_is_an_error_that_shows_the_difference(server, connection):
    planned = plan(connection, Options())
    answer = server.answer

    def forgetful(method, path, body):
        if method == "PUT" and path.endswith("-settings"):
            body["template"]["settings"].pop("index.codec")
        return answer(method, path, body)

    server.answer = forgetful

    with pytest.raises(ElasticError, match=r"component template trackline-logs-settings is not as it was put") as error:
        carry_out(connection, planned)
    assert '+      "index.codec": "best_compression",' in str(error.value)


@pytest.mark.parametrize("status", [429, 503])
def test_what_cannot_be_done_just_now_is_tried_again(server, connection, status):
    times = dict.fromkeys(("PUT", "GET"), 3)
    answer = server.answer

    def busy(method, path, body):
        if path.endswith("trackline-writer") and times[method]:
            times[method] -= 1
            return status, {"error": {"reason": "at least one search shard for the index [.security-7] is unavailable"}}
        return answer(method, path, body)

    server.answer = busy

    install(connection)

    assert times == {"PUT": 0, "GET": 0}
    assert "/_security/role/trackline-writer" in server.objects


def test_what_cannot_be_done_for_long_is_an_error(server, connection, monkeypatch):
    monkeypatch.setattr("trackline.elastic.connection._PATIENCE", 0.1)
    server.answers["/_security/role/trackline-writer"] = 503, {"error": {"reason": "no shard"}}

    with pytest.raises(ElasticError, match="no shard"):
        plan(connection, Options())


@pytest.mark.parametrize("version", ["7.17.29", "8.13.4", "2.19.0"])
def test_a_server_that_is_too_old_is_told_from_which_on(version):
    with running(FullServer(version)) as server, Connection(server.url) as connection:
        with pytest.raises(ElasticError, match=rf"is Elasticsearch {version}: 8.14 or later is needed"):
            plan(connection, Options())
        assert server.requests == [("GET", "/")]


def test_what_is_no_elasticsearch_is_said_to_be_none(server, connection):
    server.answers["/"] = {"hello": "world"}

    with pytest.raises(ElasticError, match="it is no Elasticsearch"):
        plan(connection, Options())


def test_a_type_of_field_that_nobody_has_thought_of_is_an_error(server, connection):
    server.answers["/_index_template/_simulate"] = 400, {"error": {"reason": "something else"}}

    with pytest.raises(ElasticError, match="something else"):
        plan(connection, Options())


def test_a_dry_run_puts_nothing_and_its_status_is_the_difference(server, capsys, monkeypatch):
    for name in ("ELASTICSEARCH_API_KEY", "ELASTICSEARCH_USERNAME", "ELASTICSEARCH_CA", "TRACKLINE_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ELASTICSEARCH_URL", server.url)

    assert main(["elastic", "apply", "--dry-run"]) == 1
    assert all(method != "PUT" for method, _ in server.requests)
    assert main(["elastic", "apply", "--yes"]) == 0
    assert main(["elastic", "apply", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "done, and read back: 9 objects" in said
    assert said.endswith("nothing to change\n")


def test_what_elasticsearch_warns_of_is_passed_on_once(server, capsys):
    server.warnings = {
        "/_ilm/status": "is deprecated",
        "/_index_template/trackline-logs": "has patterns of others",
    }

    assert main(["elastic", "apply", "--yes", "--url", server.url]) == 0

    said = capsys.readouterr().out
    assert said.count("Elasticsearch: is deprecated\n") == 1
    assert said.count("Elasticsearch: has patterns of others\n") == 1


def test_the_namespace_of_the_environment_counts(server, monkeypatch):
    monkeypatch.setenv("TRACKLINE_NAMESPACE", "shop")

    assert main(["elastic", "apply", "--yes", "--url", server.url]) == 0
    assert server.objects["/_index_template/trackline-logs"]["index_patterns"] == ["logs-*-shop"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--retention", "5x"], "retention='5x': expected a number of days, hours or minutes"),
        (["--namespace", "a-b"], "namespace='a-b': expected small letters and digits, and no dash"),
        (["--service", " "], "service=' ': expected a name that is not empty"),
        (["--replicas", "-1"], "replicas=-1: expected a number from 0 to 9"),
    ],
)
def test_a_wrong_option_is_said_before_anything_is_asked(server, capsys, arguments, said):
    with pytest.raises(SystemExit) as ended:
        main(["elastic", "apply", "--url", server.url, *arguments])

    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert server.requests == []


@pytest.mark.parametrize("url", ["localhost:9200", "ftp://localhost", "http://", "http://localhost:x"])
def test_an_address_that_is_none_is_said_to_be_none(capsys, url):
    assert main(["elastic", "apply", "--url", url]) == 2
    assert f"--url='{url}': expected one such as http://127.0.0.1:9200" in capsys.readouterr().err


def test_a_ca_in_the_environment_is_of_no_matter_to_http(server, monkeypatch, capsys):
    monkeypatch.setenv("ELASTICSEARCH_CA", "/nowhere/ca.crt")

    assert main(["elastic", "apply", "--dry-run", "--url", server.url]) == 1
    assert main(["elastic", "apply", "--dry-run", "--url", server.url, "--ca", "/nowhere/ca.crt"]) == 2
    assert "with a CA an address of https:// is expected" in capsys.readouterr().err


def test_a_password_in_the_address_is_refused_and_not_shown(capsys):
    assert main(["elastic", "apply", "--url", "https://elastic:opensesame@localhost"]) == 2
    said = capsys.readouterr().err
    assert "--url: expected one without a user and a password in it" in said
    assert "opensesame" not in said


def test_nobody_at_the_address_is_said(capsys):
    assert main(["elastic", "apply", "--url", "http://127.0.0.1:1"]) == 2
    assert "http://127.0.0.1:1: cannot be reached" in capsys.readouterr().err


def test_without_an_address_it_is_said_where_one_is_expected(capsys, monkeypatch):
    monkeypatch.delenv("ELASTICSEARCH_URL", raising=False)

    assert main(["elastic", "apply"]) == 2
    assert "--url: expected a URL, here or in ELASTICSEARCH_URL, such as https:" in capsys.readouterr().err
