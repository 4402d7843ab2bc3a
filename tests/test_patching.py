"""A library's function is wrapped once, and given back where nobody has wrapped it since."""

from __future__ import annotations

import functools

import pytest

from trackline.patching import Patches


@pytest.fixture
def library():
    class Library:
        def send(self, text):
            return text

    return Library


def marking(mark):
    def make(original):
        @functools.wraps(original)
        def send(self, text):
            return f"{mark}({original(self, text)})"

        return send

    return make


def test_wrapped_twice_it_is_wrapped_once(library):
    patches = Patches()
    patches.wrap(library, "send", marking("ours"))
    patches.wrap(library, "send", marking("ours"))

    assert library().send("a") == "ours(a)"


def test_undone_it_is_the_original(library):
    original, patches = library.send, Patches()
    patches.wrap(library, "send", marking("ours"))
    patches.undo()
    patches.undo()

    assert library.send is original


def test_what_somebody_has_wrapped_since_stays_and_is_not_wrapped_again(library):
    patches = Patches()
    patches.wrap(library, "send", marking("ours"))
    library.send = theirs = marking("theirs")(library.send)
    patches.undo()
    patches.wrap(library, "send", marking("ours"))

    assert library.send is theirs
    assert library().send("a") == "theirs(ours(a))"


def test_undone_after_the_others_are_gone(library):
    original, patches = library.send, Patches()
    patches.wrap(library, "send", marking("ours"))
    ours = library.send
    library.send = marking("theirs")(ours)
    patches.undo()
    library.send = ours
    patches.undo()

    assert library.send is original
