"""Values that somebody logs one day."""

import collections
import dataclasses
import datetime
import decimal
import enum
import math
import pathlib
import types
import uuid

import pydantic


class Boom(Exception):
    pass


def raising(*_args, **_kwargs):
    raise Boom


class BadText:
    __str__ = __repr__ = __format__ = raising


class BadClass:
    __class__ = property(raising)
    __str__ = __repr__ = raising


class BadAttributes:
    __getattribute__ = raising


class BadMeta(type):
    __name__ = property(raising)
    __str__ = __repr__ = raising


class BadType(metaclass=BadMeta):
    __str__ = __repr__ = raising


class BadList(list):
    __iter__ = __len__ = __str__ = __repr__ = __getitem__ = __eq__ = raising
    __hash__ = None


class BadDict(dict):
    __iter__ = __len__ = __str__ = __repr__ = __getitem__ = items = keys = values = raising


class BadStr(str):
    __slots__ = ()
    __str__ = __repr__ = __format__ = __len__ = isascii = encode = raising


class BadInt(int):
    __str__ = __repr__ = __index__ = __int__ = __lt__ = __le__ = __abs__ = raising


class BadFloat(float):
    __str__ = __repr__ = __float__ = __abs__ = __lt__ = raising


class BadDate(datetime.datetime):
    __str__ = __repr__ = isoformat = raising


class BadZone(datetime.tzinfo):
    utcoffset = dst = tzname = raising


class NotText:
    def __str__(self):
        return 5  # noqa: PLE0307


class Endless:
    def __iter__(self):
        while True:
            yield 1


class Recursing:
    def __str__(self):
        return str(self)


class BadError(Exception):
    __str__ = __repr__ = raising


class Color(enum.Enum):
    RED = "red"
    ODD = object()


class Name(str, enum.Enum):  # noqa: UP042
    PAT = "pat"


class Number(enum.IntEnum):
    ONE = 1


class Model(pydantic.BaseModel):
    amount: int


@dataclasses.dataclass
class Data:
    amount: object


def cycle():
    items = [1]
    items.append({"self": items})
    return items


def deep(levels, kind=list):
    value = 1
    for _ in range(levels):
        value = [value] if kind is list else {"a": value}
    return value


def doubling(levels):
    value = ["a"]
    for _ in range(levels):
        value = [value, value]
    return value


ODD = {
    "nan": math.nan,
    "infinity": -math.inf,
    "70 bits": 2**70,
    "-70 bits": -(2**70),
    "64 bits": 2**64 - 1,
    "5,000 digits": 10**5000,
    "bytes": b"\xff\x00a\n",
    "bytearray": bytearray(b"\xff"),
    "memoryview": memoryview(b"\xff"),
    "surrogate": "a\ud800b\udfff",
    "surrogates in a list": ["\ud800", {"\udc00": "\udc01", "a\udc02": 1}],
    "newlines": "a\nb\r\u2028\u0085\x00",
    "keys that look alike": {1: "a", "1": "b", None: 1, "None": 2, (1, 2): 4},
    "empty keys": {"": 1, " ": 2, ".": 3},
    "cycle": cycle(),
    "deep list": deep(5000),
    "deep dict": deep(300, dict),
    "2**40 items": doubling(40),
    "set": {1, "a", frozenset({2})},
    "date": datetime.date(2026, 11, 22),
    "time": datetime.time(14, 40),
    "datetime": datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC),
    "seconds in the offset": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(seconds=30))),
    "bad zone": datetime.datetime(2026, 1, 1, tzinfo=BadZone()),
    "bad date": BadDate(2026, 1, 1),
    "timedelta": datetime.timedelta(1),
    "uuid": uuid.UUID(int=1),
    "decimal": decimal.Decimal("NaN"),
    "enum": Color.RED,
    "enum of an object": Color.ODD,
    "enum of text": Name.PAT,
    "enum of numbers": Number.ONE,
    "model": Model(amount=5),
    "dataclass": Data(5),
    "dataclass with a cycle": Data(cycle()),
    "namedtuple": collections.namedtuple("Point", "x y")(1, b"2"),  # noqa: PYI024
    "ordered dict": collections.OrderedDict(a=1),
    "mapping proxy": types.MappingProxyType({"a": 1}),
    "path": pathlib.PurePosixPath("/srv/\udcff"),
    "exception": ValueError("a"),
    "class": Boom,
    "module": math,
    "lambda": lambda: 1,
    "generator": (i for i in range(3)),
    "bad text": BadText(),
    "bad text in a list": [1, BadText(), {"a": BadText()}],
    "bad key": {BadText(): 1},
    "bad class": BadClass(),
    "bad attributes": BadAttributes(),
    "bad type": BadType(),
    "bad list": BadList([1]),
    "bad dict": BadDict(a=1),
    "bad str": BadStr("a"),
    "bad str with a surrogate": BadStr("a\ud800"),
    "bad int": BadInt(5),
    "bad large int": BadInt(2**70),
    "bad float": BadFloat(5),
    "not text": NotText(),
    "endless": Endless(),
    "recursing": Recursing(),
    "object": object(),
    "1 MiB": "a" * 2**20,
    "1 MiB of what JSON escapes": "\x00" * 2**20,
    "1 MiB of emoji": "🎉" * 2**18,
    "300 KiB of bytes": b"\xff" * 300_000,
    "long key": {"k" * 2**20: 1},
    "many items": list(range(200_000)),
    "many keys": {f"key {number}": number for number in range(50_000)},
    "many long items": ["a" * 1000] * 5000,
    "wide and deep": {f"{a}": {f"{b}": {f"{c}": "x" * 100 for c in range(20)} for b in range(20)} for a in range(20)},
}
