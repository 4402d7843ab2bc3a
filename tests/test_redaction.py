"""Of which keys the value is a secret, and what a setting may be."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackline import Redaction
from trackline.logs.fields import ecs_fields
from trackline.redaction import redaction_of

LONG = 200_000


@pytest.mark.parametrize(
    "key",
    [
        *("password", "Password", "PASSWORD", "db_password", "dbPassword", "userpassword", "password_hash", "passwd", "DB_PASS", "pwd"),
        *("api_key", "api-key", "apiKey", "APIKEY", "X-API-Key", "x_api_key", "XApiKey", "stripe.api.key", "AWS_SECRET_ACCESS_KEY"),
        *("authorization", "Proxy-Authorization", "http.request.header.authorization", "auth", "access_token", "accessToken", "token"),
        *(
            "X-CSRF-Token",
            "Cookie",
            "Set-Cookie",
            "session_id",
            "PHPSESSID",
            "JSESSIONID",
            "private key",
            "privateKeyPem",
            "client_secret",
        ),
        *("client_secret", "credentials", "card_number", "cvv", "X-Amz-Signature"),
    ],
)
def test_value_under_a_key_of_a_secret_is_one(key):
    assert Redaction().is_secret(key)


@pytest.mark.parametrize(
    "key",
    ["author", "compass", "monkey", "token_count", "max_tokens", "secretary", "cookie_banner", "tracking_id", "", "_"],
)
def test_value_under_another_key_is_none(key):
    assert not Redaction().is_secret(key)


def test_of_ecs_only_passwords_are_secrets():
    assert {field.rpartition(".")[2] for field in ecs_fields() if Redaction().is_secret(field)} == {"password"}


def test_keys_of_ones_own_are_meant_in_any_spelling():
    redaction = Redaction(keys=["IBAN", "x-tax-no"])

    assert all(map(redaction.is_secret, ["iban", "customer_iban", "ibanOld", "X_Tax_No", "xTaxNo", "password"]))
    assert not Redaction().is_secret("iban")


def test_key_to_be_kept_is_no_secret():
    redaction = Redaction(keep=["next_page_token"])

    assert not redaction.is_secret("nextPageToken")
    assert redaction.is_secret("token")


def test_what_is_kept_about_keys_is_bounded():
    redaction = Redaction()
    for number in range(10_000):
        redaction.is_secret(f"key{number}")
    redaction.is_secret("x" * LONG)

    assert len(redaction._known) <= 4096
    assert max(map(len, redaction._known)) < 300


def test_of_a_long_key_both_ends_are_looked_at():
    assert Redaction().is_secret("x_" * LONG + "password")
    assert Redaction().is_secret("password_" + "_x" * LONG)


def test_own_pattern_is_replaced_and_looked_for_in_each_line():
    redaction = Redaction(patterns=[r"\bghp_\w+", re.compile("SECRET", re.IGNORECASE)])

    assert redaction.clean("a ghp_abc, b secret") == "a [redacted], b [redacted]"
    assert redaction.suspicious(b'"a"')
    assert not Redaction().suspicious(b'"a"')


@given(at=st.integers(0, 9000) | st.integers(1700, 2100), length=st.integers(1, 250), size=st.integers(0, 9000))
def test_own_pattern_is_found_at_any_place_of_a_long_text(at, length, size):
    text = "." * at + "<" + "x" * length + ">" + "." * size

    assert Redaction(patterns=["<x+>"]).clean(text) == "." * at + "[redacted]" + "." * size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keys": "iban"}, r"keys='iban': expected a list of names, such as \('iban',\)"),
        ({"keys": ["-"]}, r"keys=\('-',\): '-' is not a name: expected letters or digits"),
        ({"keep": [5]}, r"keep=\(5,\): 5 is not a name"),
        ({"patterns": "a"}, "patterns='a': expected a list of regular expressions"),
        ({"patterns": ["("]}, "'\\(' is not a regular expression: missing \\)"),
        ({"patterns": [b"a"]}, "b'a' is not a regular expression: expected a text"),
        ({"patterns": [re.compile(b"a")]}, "expected a text, or one compiled from a text"),
        ({"patterns": ["a*"]}, "'a\\*' matches an empty text"),
        ({"messages": "yes"}, "messages='yes': expected True or False"),
    ],
)
def test_wrong_setting_says_what_is_allowed(options, message):
    with pytest.raises(ValueError, match=message):
        Redaction(**options)


@pytest.mark.parametrize("pattern", ["(a+)+b", "(?:a|aa)+b", r"([a-z]+\.)*com", "(ba?){50}", "(?=(a+)+b)c", "(?:(?:ab?)+c)+"])
def test_pattern_that_can_take_for_ever_is_refused(pattern):
    with pytest.raises(ValueError, match="can take for ever"):
        Redaction(patterns=[pattern])


@pytest.mark.parametrize("pattern", [r"\bghp_\w{36}\b", r"(?:[ -]?\d){12,18}", "(?:ab+)*+x", "(?>a+)*b", "foo|bar", "a+b+"])
def test_pattern_that_cannot_is_taken(pattern):
    assert Redaction(patterns=[pattern]).patterns == (pattern,)


@pytest.mark.parametrize("redact", ["no", 0, None, ["password"]])
def test_redact_is_true_false_or_a_redaction(redact):
    with pytest.raises(ValueError, match=r"redact=.*: expected True, False or a trackline\.Redaction"):
        redaction_of(redact)


def test_redact_from_a_configuration_file_is_a_mapping():
    assert redaction_of({"keys": ["iban"], "messages": True}) == Redaction(keys=["iban"], messages=True)
    with pytest.raises(ValueError, match=r"redact={'key': 1}: .*unexpected keyword argument 'key'"):
        redaction_of({"key": 1})
