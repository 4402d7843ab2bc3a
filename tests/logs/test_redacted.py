"""No secret of an extra, a header or a query is in the line."""

import collections
import types

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from logs.odd import ODD
from logs.reading import make_record, parse
from trackline import Redaction
from trackline.logs.contents import Contents
from trackline.logs.redacted import _Walk, redacted
from trackline.logs.resource import Resource
from trackline.logs.schema import SCHEMAS
from trackline.redaction import DEFAULT_REDACTION

EVERY_SCHEMA = pytest.mark.parametrize("name", list(SCHEMAS))
WITH_EXTRAS = pytest.mark.parametrize("name", ["ecs", "otel"])
SECRET = "hunter2hunter2"
LONG = 200_000


class Headers(collections.UserDict):
    def __repr__(self):
        return f"Headers(raw={list(self.items())})"


class User:
    def __repr__(self):
        return f"User(name='pat', password='{SECRET}')"


def line(record, name="ecs", redaction=DEFAULT_REDACTION):
    made = SCHEMAS[name](Resource("orders", {}), Contents(redaction)).line(record)
    parse(made)
    return made.decode()


@WITH_EXTRAS
@pytest.mark.parametrize(
    "extra",
    [
        {"password": SECRET},
        {"user": {"name": "pat", "Pass-Word": "kept", "db": {"passwd": SECRET}}},
        {"headers": [("accept", "*/*"), ("Authorization", f"Basic {SECRET}")]},
        {"headers": [(b"accept", b"*/*"), (b"cookie", SECRET.encode())]},
        {"headers": {"Set-Cookie": [SECRET, SECRET]}},
        {"headers": Headers({"x-api-key": SECRET})},
        {"headers": types.MappingProxyType({"x-api-key": SECRET})},
        {"request": {"headers": (("x-api-key", SECRET),)}},
        {"items": [1, {"a": [{"token": SECRET}]}]},
        {"users": {"private_key": {"pem": [SECRET]}}},
        {"user": User()},
        {"users": [User()]},
        {"url": f"https://pat:{SECRET}@host/"},
        {"url.full": f"https://pat:{SECRET}@host/"},
        {"labels": {"token": SECRET}},
        {"labels.token": SECRET},
        {"query": f"a=1&token={SECRET}".encode()},
        {"http": {"request": {"referrer": f"/?token={SECRET}"}}},
        collections.OrderedDict(a={"session_id": SECRET}),
    ],
)
def test_secret_in_extra_is_not_in_the_line(name, extra):
    record = make_record(**extra)

    assert SECRET in line(record, name, None)
    made = line(record, name)
    assert SECRET not in made
    assert "[redacted]" in made


@WITH_EXTRAS
def test_number_of_a_card_is_not_in_the_line(name):
    made = line(make_record(a=4111111111111111, b=["4111 1111 1111 1111"], c={"d": 4111111111111111}), name)

    assert "4111" not in made
    assert made.count("[redacted]") == 3


def test_number_that_a_field_of_ecs_takes_is_no_card():
    assert parse(line(make_record(**{"event.duration": 4111111111111111})).encode())["event.duration"] == 4111111111111111


@pytest.mark.parametrize(("value", "expected"), [(None, None), (True, True), (False, False), (0, "[redacted]"), ("", "[redacted]")])
def test_nothing_and_truth_are_no_secrets(value, expected):
    assert redacted([("password", value)], DEFAULT_REDACTION) == [("password", expected)]


def test_what_the_user_passed_is_not_changed():
    given = {"user": {"password": SECRET, "cards": [[("cookie", SECRET)]]}}
    copy = {"user": {"password": SECRET, "cards": [[("cookie", SECRET)]]}}

    line(make_record(**given))

    assert given == copy


@pytest.mark.parametrize("odd", ODD)  # by name: pytest itself looks at what it is given
def test_value_without_secrets_is_given_as_it_is(odd):
    value = ODD[odd]
    if odd in ("2**40 items", "deep list", "deep dict", "cycle", "many items", "many keys"):
        return
    [(_, given)] = redacted([("key", value)], DEFAULT_REDACTION)

    assert given is value


@pytest.mark.parametrize("odd", ODD)
def test_odd_value_beside_a_secret_gives_a_line_without_it(odd):
    for extra in ({"token": SECRET, "odd": [ODD[odd]]}, {"odd": {"token": SECRET, "a": ODD[odd]}}, {"token": ODD[odd]}):
        made = line(make_record(**extra))
        assert SECRET not in made
        assert "[redacted]" in made


pieces = ("password", "=", ":", "'", '"', "token", "Bearer ", "4111", " ", "1111", "://", "u:", "@", "eyJ", ".", "a", "\n")
told = (
    st.lists(st.sampled_from(pieces), max_size=8).map("".join)
    | st.integers(4 * 10**15, 4 * 10**15 + 99)
    | st.sampled_from([None, True, 1.5, -7])
)


@given(extras=st.dictionaries(st.sampled_from(["a", "b", "token", "event.duration"]), told).map(lambda given: list(given.items())))
@example(extras=[("a", "x"), ("b", "token=abc")])
@example(extras=[("a", "4111"), ("b", "111111111111")])
def test_quick_look_at_plain_extras_finds_what_looking_at_each_finds(extras):
    walk = _Walk(DEFAULT_REDACTION)

    each = [(key, "[redacted]" if walk.hides(key, value) else walk.of(value, key=key)) for key, value in extras]
    assert redacted(extras, DEFAULT_REDACTION) == each


nested = st.recursive(
    st.just(SECRET) | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=8,
)


@WITH_EXTRAS
@given(value=nested, before=nested, after=nested)
@settings(max_examples=60, deadline=None)
def test_value_under_the_key_of_a_secret_is_nowhere(name, value, before, after):
    secret = {"password": [SECRET, value]}
    shown = line(make_record(a=[secret, (before,)], b={"c": secret}), name, Redaction(patterns=[SECRET]))

    assert SECRET not in shown
    assert line(make_record(a=[secret], b={"c": secret}, d=[("cookie", value)]), name).count(SECRET) == 0
    assert parse(line(make_record(a=[before], b={"c": after}), name).encode())


@EVERY_SCHEMA
def test_query_of_an_access_line_has_no_secrets(name):
    record = make_record('%s - "%s %s HTTP/%s" %d', ("10.0.0.1:5000", "GET", f"/pay?order=7&token={SECRET}", "1.1", 200))
    record.name = "uvicorn.access"

    made = line(record, name)

    assert SECRET not in made
    assert "order=7&token=[redacted]" in made


@EVERY_SCHEMA
def test_messages_and_tracebacks_are_looked_through_only_where_that_is_asked_for(name):
    def failing():
        raise ValueError(f"password={SECRET}")

    try:
        failing()
    except ValueError as error:
        record = make_record("Bearer %s", (SECRET,), exc_info=error)
    record.stack_info = f"token={SECRET}"

    assert line(record, name).count(SECRET) >= 3
    assert SECRET not in line(record, name, Redaction(messages=True))


@EVERY_SCHEMA
def test_nothing_is_replaced_where_redaction_is_off(name):
    assert "[redacted]" not in line(make_record("Bearer abc", password=SECRET, card="4111111111111111"), name, None)


HOSTILE = (
    *("4 ", "1-1 ", "4111 ", "a=", "password=", "password='", 'a="', "://", "://a:", "://a:a@", "eyJ", "eyJa.", "Bearer ", "Basic a"),
    *("-----BEGIN PRIVATE KEY-----", "1", "[", "=a", '"a":', "%", "token=%41", '\\"', 'password="\\', "password= ", "A", "\n"),
)


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("end", ["", "=@x"])
def test_hostile_text_of_200_kb_is_a_line_like_any_other(piece, end):
    text = (piece * LONG)[:LONG] + end
    # With work that grew as the square, each of these would take minutes: the run itself is the bound.
    line(make_record(a=text))
