"""What must not be in a log: of which keys the value is a secret, and which texts are one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from trackline.credentials import MASK, may_hold_credentials, text_may_hold_credentials, without_credentials

# Without separators and in lower case. As words anywhere in a key, or as its end: user_password_hash, dbPassword, X-API-KEY.
_NAMES = frozenset(
    {
        *("password", "passwords", "passwd", "passphrase", "passcode", "secret", "secrets", "credential", "credentials"),
        *("authorization", "apikey", "apikeys", "privatekey", "secretkey", "accesskey", "signingkey", "encryptionkey"),
        *("sessionid", "sessionkey", "sessid", "cardnumber", "creditcard"),
    }
)
# As its end only: token_count and cookie_banner are no secrets.
_ENDS = ("token", "cookie", "cookies", "setcookie", "xamzsignature", "xgoogsignature")
# As its last word only: compass, author.
_LAST = frozenset({"pwd", "pass", "auth", "jwt", "otp", "cvv", "cvc"})
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|[^\W\d_A-Za-z]+")
_SEPARATOR = re.compile(r"[\W_]+")
_MOST_WORDS = 4
_MOST_KEPT = 4096
_LONGEST = 256
_WINDOW, _OVERLAP = 2048, 256
_DECIDED = ("POSSESSIVE_REPEAT", "ATOMIC_GROUP", "ASSERT", "ASSERT_NOT")  # what has matched is not tried in another way
_FEW = 32


@dataclass(frozen=True, slots=True)
class Redaction:
    """
    What is replaced by ``[redacted]`` in the lines: a setting of `trackline.setup_logging`. Immutable, thread-safe.

    ``keys`` are names whose values are secrets, more than those that are known (passwords, secrets, tokens, API keys, Authorization,
    cookies, session IDs, private keys): case and separators do not count, and a name with words before or after it is meant too.
    ``keep`` are keys that are no secrets, in full. ``patterns`` are regular expressions of secrets in texts, more than those that are
    known (card numbers, Bearer and Basic, JSON Web Tokens, private keys, cookies, ``://user:password@``, ``password=…``); they see one
    that is longer than 2,048 characters in parts of that length, each with the last 256 of the one before it. ``messages`` is whether
    texts are looked through in messages, tracebacks and stacks as well. Raises ValueError where one of these is wrong.
    """

    keys: Sequence[str] = ()
    patterns: Sequence[str | re.Pattern[str]] = ()
    keep: Sequence[str] = ()
    messages: bool = False
    suspicious: Callable[[bytes], bool] = field(init=False, repr=False, compare=False)
    """Says of JSON, as it was encoded, whether `clean` might change a text in it: False is certain. With own patterns, always True."""
    suspicious_text: Callable[[str], bool] = field(init=False, repr=False, compare=False)
    """Says the same of a text."""
    _names: frozenset[str] = field(init=False, repr=False, compare=False)
    _kept: frozenset[str] = field(init=False, repr=False, compare=False)
    _any_name: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _own: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)
    _known: dict[str, bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if type(self.messages) is not bool:
            raise ValueError(f"messages={self.messages!r}: expected True or False")
        for option, value in (
            ("keys", _checked("keys", self.keys, "names, such as ('iban',)")),
            ("keep", _checked("keep", self.keep, "names, such as ('next_page_token',)")),
            ("patterns", _checked("patterns", self.patterns, r"regular expressions, such as (r'\bghp_\w{36}\b',)")),
        ):
            object.__setattr__(self, option, value)
        for option in ("keys", "keep"):
            for key in getattr(self, option):
                if not isinstance(key, str) or not _squeezed(key):
                    raise ValueError(f"{option}={getattr(self, option)!r}: {key!r} is not a name: expected letters or digits in it")
        object.__setattr__(self, "_names", _NAMES | {_squeezed(key) for key in self.keys})
        object.__setattr__(self, "_any_name", re.compile("|".join(sorted(map(re.escape, (*self._names, *_ENDS, *_LAST))))))
        object.__setattr__(self, "_kept", frozenset(map(_squeezed, self.keep)))
        object.__setattr__(self, "_own", tuple(_pattern(self.patterns, pattern) for pattern in self.patterns))
        object.__setattr__(self, "_known", {})
        object.__setattr__(self, "suspicious", _always if self._own else may_hold_credentials)
        object.__setattr__(self, "suspicious_text", _always if self._own else text_may_hold_credentials)

    def is_secret(self, key: str) -> bool:
        """Say whether the value under a key is a secret. What was found is kept, for some thousands of keys."""
        known = self._known.get(key)
        if known is None:
            known = self._judge(key)
            if len(self._known) < _MOST_KEPT and len(key) <= _LONGEST:
                self._known[key] = known
        return known

    def clean(self, text: str) -> str:
        """Give a text with ``[redacted]`` for the secrets in it, or the text itself where there are none. Never raises."""
        text = without_credentials(text, self.is_secret)
        for pattern in self._own:
            text = _substituted(pattern, text)
        return text

    def _judge(self, key: str) -> bool:
        if len(key) > _LONGEST:
            key = f"{key[: _LONGEST // 2]} {key[-_LONGEST // 2 :]}"
        if self._any_name.search(_SEPARATOR.sub("", key).lower()) is None:  # as of most keys: a quarter of the time of what follows
            return False
        words = [word.lower() for word in _WORD.findall(key)]
        whole = "".join(words)
        if not words or whole in self._kept:
            return False
        if words[-1] in _LAST or whole.endswith(_ENDS) or whole.endswith(tuple(self._names)):
            return True
        runs = ("".join(words[start:end]) for start in range(len(words)) for end in range(start + 1, start + 1 + _MOST_WORDS))
        return any(run in self._names for run in runs)


def _always(_: object) -> bool:
    return True


def _checked(option: str, value: object, expected: str) -> tuple[Any, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ValueError(f"{option}={value!r}: expected a list of {expected}")
    return tuple(value)


def _squeezed(key: str) -> str:
    return "".join(_WORD.findall(key)).lower()


def _pattern(patterns: Sequence[object], given: object) -> re.Pattern[str]:
    try:
        pattern = re.compile(given) if isinstance(given, str) else given
    except re.error as error:
        raise ValueError(f"patterns={patterns!r}: {given!r} is not a regular expression: {error}") from None
    if not isinstance(pattern, re.Pattern) or not isinstance(pattern.pattern, str):
        raise ValueError(f"patterns={patterns!r}: {given!r} is not a regular expression: expected a text, or one compiled from a text")
    if pattern.match("") is not None:
        raise ValueError(f"patterns={patterns!r}: {given!r} matches an empty text: expected one that does not")
    if _backtracks(import_module("re._parser").parse(pattern.pattern, pattern.flags & ~re.DEBUG)):
        raise ValueError(
            f"patterns={patterns!r}: {given!r} can take for ever: expected no repetition or alternative within a repetition, "
            "or that one possessive, such as (?:a+b)*+"
        )
    return pattern


def _backtracks(tree: Any, within: bool = False) -> bool:
    """Say whether a parsed expression has a choice within a repetition: on some texts, each more character doubles the work."""
    for operation, value in tree:
        name = str(operation)
        is_repeat = name in ("MAX_REPEAT", "MIN_REPEAT")
        if within and (name == "BRANCH" or (is_repeat and value[0] != value[1])):
            return True
        within_this = (within or (is_repeat and value[1] > _FEW)) and name not in _DECIDED
        if any(_backtracks(part, within_this) for part in _parts(value)):
            return True
    return False


def _parts(value: Any) -> Iterator[Any]:
    if hasattr(value, "getwidth"):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _parts(item)


def _substituted(pattern: re.Pattern[str], text: str) -> str:
    if len(text) <= _WINDOW:
        return pattern.sub(MASK, text)
    # Even `\w+@\w+` takes the square of the length of some texts: so in parts.
    kept: list[str] = []
    done = 0
    for start in range(0, len(text), _WINDOW - _OVERLAP):
        for found in pattern.finditer(text, start, start + _WINDOW):
            if found.end() > done:
                kept += (text[done : max(found.start(), done)], MASK if found.start() >= done else "")
                done = found.end()
    return "".join((*kept, text[done:])) if kept else text


DEFAULT_REDACTION = Redaction()
"""What is known, in extras and headers."""


def redaction_of(redact: object) -> Redaction | None:
    """Give what the option ``redact`` means, None for nothing. Raises ValueError where it is none of what is allowed."""
    if isinstance(redact, Redaction):
        return redact
    if isinstance(redact, Mapping):  # of a configuration file
        try:
            return Redaction(**redact)
        except TypeError as error:
            raise ValueError(f"redact={redact!r}: {error}") from None
    if type(redact) is bool:
        return DEFAULT_REDACTION if redact else None
    raise ValueError(f"redact={redact!r}: expected True, False or a trackline.Redaction")
