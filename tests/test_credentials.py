"""Which texts hold credentials, and what is left of them."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackline.credentials import MASK, is_card, may_hold_credentials, without_credentials
from trackline.redaction import Redaction

is_secret = Redaction().is_secret
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
PIECES = (
    *("4", "11", "1111", "4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005", "0.", " ", "-", "\n", "\\", '"', "'", "é"),
    *("Bearer ", "Basic ", "dXNlcjpwYXNz", "eyJ", ".", "a", "token", "password", "=", ":", "://", "u:", "@", "&", "%3D", "[", "]", ","),
    *("Cookie: ", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", JWT, MASK),
)
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("4111111111111111", "[redacted]"),
        ("card 12 4111 1111 1111 1111, thanks", "card 12 [redacted], thanks"),
        ("4111-1111-1111-1111 5555-5555-5555-4444", "[redacted] [redacted]"),
        ("3782 822463 10005", "[redacted]"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer [redacted]"),
        ("Basic dXNlcjpwYXNz", "Basic [redacted]"),
        ("GET / HTTP/1.1\r\nCookie: sid=abc; lang=de\r\nHost: shop", "GET / HTTP/1.1\r\nCookie: [redacted]\r\nHost: shop"),
        ("< set-cookie:sid=abc; HttpOnly\n<", "< set-cookie:[redacted]\n<"),
        ('curl -H "Cookie: sid=abc" https://shop', 'curl -H "Cookie: [redacted]" https://shop'),
        (f"got {JWT}!", "got [redacted]!"),
        ("postgres://user:p@ss:word@db:5432/orders", "postgres://user:[redacted]@db:5432/orders"),
        ("redis://:word@cache", "redis://:[redacted]@cache"),
        ("GET /pay?order=7&token=abc&a=1 HTTP/1.1", "GET /pay?order=7&token=[redacted]&a=1 HTTP/1.1"),
        ("token = abc", "token = [redacted]"),
        ("authorization=Bearer abc def", "authorization=[redacted] def"),
        ("%70assword=abc", "%70assword=[redacted]"),
        ("user[password]=abc", "user[password]=[redacted]"),
        ("User(name='pat', password='it is, so', age=3)", "User(name='pat', password='[redacted]', age=3)"),
        ("User(password=hunter2)", "User(password=[redacted])"),
        ('{"password": "a \\"b\\" c", "n": 1}', '{"password": "[redacted]", "n": 1}'),
        ("{'api-key': 'x', 'n': 1}", "{'api-key': '[redacted]', 'n': 1}"),
        ('{"body": "{\\"token\\": \\"x\\"}"}', '{"body": "{\\"token\\": \\"[redacted]\\"}"}'),
        ('{"token": 12345}', '{"token": [redacted]}'),
        ('{"password": "cut off', '{"password": "[redacted]'),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\nafter", "[redacted]\nafter"),
        ("-----BEGIN PRIVATE KEY-----\nMIIB, cut off", "[redacted]"),
    ],
)
def test_credentials_are_replaced_and_the_rest_stays(text, left):
    assert without_credentials(text, is_secret) == left


@pytest.mark.parametrize(
    "text",
    [
        "",
        "paid 4111111111111112",  # its check digit is wrong
        "trace 4bf92f3577b34da6a3ce929d0e0e4736",
        "at 1795358401123456789 ns, 1795358401123 ms",
        "0.4111111111111111",
        "4111111111111111.5",
        "a4111111111111111",
        "2026-11-22 14:40:01 12 13 14",
        "the Basic plan",
        "https://host:8080/a@b?c=d",
        "https://user@host/",
        "password= and password=None",
        "tokens=5&token_count=7",
        f"token={MASK}",
        '{"amount": 5}',
    ],
)
def test_what_is_no_credential_stays(text):
    assert without_credentials(text, is_secret) is text or without_credentials(text, is_secret) == text


@pytest.mark.parametrize(
    ("digits", "is_one"),
    [
        ("4222222222222", True),
        ("4111111111111111", True),
        ("5555555555554444", True),
        ("2223003122003222", True),
        ("378282246310005", True),
        ("30569309025904", True),
        ("6011111111111117", True),
        ("3530111333300000", True),
        ("6200000000000000000", True),
        ("4111111111111112", False),
        ("1111111111111117", False),
        ("0000000000000000", False),
        ("422222222222", False),
        ("41111111111111111111", False),
    ],
)
def test_card_is_told_by_its_length_its_issuer_and_its_check_digit(digits, is_one):
    assert is_card(digits) is is_one


@given(text=texts)
def test_what_the_prefilter_passes_over_holds_no_credentials(text):
    encoded = orjson.dumps(text.encode("utf-8", "replace").decode())
    if not may_hold_credentials(encoded):
        assert without_credentials(text, is_secret) == text


@given(text=texts)
def test_what_was_cleaned_is_clean(text):
    once = without_credentials(text, is_secret)

    assert without_credentials(once, is_secret) == once


@given(before=texts, after=texts, secret=st.from_regex(r"[a-z]{12}", fullmatch=True))
def test_password_in_a_pair_is_found_wherever_it_is(before, after, secret):
    assert secret not in without_credentials(f"{before} password={secret} {after}", is_secret)


def test_most_lines_do_not_look_like_credentials():
    ordinary = {
        "order": "a-17",
        "amount": 12.5,
        "user_id": "42",
        "path": "/orders/12",
        "at": "2026-11-22",
        "ok": True,
        "trace": "4bf92f3577b3",
    }

    assert not may_hold_credentials(orjson.dumps(ordinary))
