"""How the programs are found: named, kept, built once, or missing."""

import threading
from pathlib import Path

import pytest

from stack import binaries
from stack.binaries import BuildError, MissingError, NotServedError, Program, find


@pytest.fixture
def recipes(tmp_path, monkeypatch):
    """Give a folder of recipes and an empty cache."""
    monkeypatch.setattr(binaries, "BUILD", tmp_path / "build")
    monkeypatch.setenv("TRACKLINE_STACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TEST_PROGRAM", raising=False)
    return tmp_path / "build"


def recipe(recipes: Path, script: str, *tools: str) -> Program:
    folder = recipes / "program"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "build.sh").write_text(f"#!/bin/sh\nset -eu\n{script}\n")
    (folder / "build.sh").chmod(0o755)
    return Program("program", "TEST_PROGRAM", tools or ("sh",), "a shell", "made")


def test_a_program_is_built_once_for_two_who_ask_at_once(recipes, tmp_path):
    program = recipe(recipes, f'echo x >>{tmp_path}/built; sleep 0.2; echo made >"$1/made"')
    found = []
    threads = [threading.Thread(target=lambda: found.append(find(program))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 4
    assert len(set(found)) == 1
    assert found[0].read_text() == "made\n"
    assert (tmp_path / "built").read_text() == "x\n"


def test_a_recipe_that_has_changed_is_built_again(recipes):
    first = find(recipe(recipes, 'echo 1 >"$1/made"'))
    second = find(recipe(recipes, 'echo 2 >"$1/made"'))

    assert (first.read_text(), second.read_text()) == ("1\n", "2\n")


def test_a_build_that_fails_says_why_and_leaves_nothing(recipes, tmp_path):
    program = recipe(recipes, 'touch "$1/made"; echo no network >&2; exit 7')

    with pytest.raises(BuildError, match="building program failed with status 7:\nno network"):
        find(program)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["program.lock"]


def test_what_the_registry_does_not_serve_is_told_from_a_build_that_is_broken(recipes):
    said = "go: github.com/elastic/beats/v7@v7.1.0: reading https://proxy.example.org/v7.1.0.mod: 403 Forbidden"
    with pytest.raises(NotServedError, match="403 Forbidden"):
        find(recipe(recipes, f"echo '{said}' >&2; exit 1"))

    with pytest.raises(BuildError) as broken:
        find(recipe(recipes, "echo 'main.go:12: 403 undefined' >&2; exit 1"))
    assert type(broken.value) is BuildError


def test_filebeat_is_the_older_one_where_the_registry_has_no_other_and_it_is_said(recipes, monkeypatch):
    from stack import conftest

    newer = recipe(recipes, "echo 'go: x@v1: reading https://proxy.example.org/x.mod: 404 Not Found'; exit 1")
    older = Program("older", "TEST_OLDER", (), "", "made")
    monkeypatch.setattr(conftest, "FILEBEATS", {"9": newer})
    monkeypatch.setattr(conftest, "VERSIONS", [])
    monkeypatch.setattr(binaries, "FILEBEAT_7", older)
    monkeypatch.setenv("TEST_OLDER", str(recipes))

    assert conftest._filebeat("9") == recipes
    assert "404 Not Found" in conftest.VERSIONS[0]


def test_without_a_toolchain_it_says_what_is_missing_and_the_way_round(recipes):
    with pytest.raises(MissingError, match=r"needs a shell to be built, and there is no no-such-tool on the PATH; .* TEST_PROGRAM"):
        find(recipe(recipes, "exit 1", "sh", "no-such-tool"))


def test_a_named_program_is_taken_as_it_is(recipes, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_PROGRAM", str(tmp_path))
    assert find(recipe(recipes, "exit 1")) == tmp_path

    monkeypatch.setenv("TEST_PROGRAM", "/no/such/path")
    with pytest.raises(MissingError, match="TEST_PROGRAM=/no/such/path"):
        find(recipe(recipes, "exit 1"))


@pytest.mark.parametrize("variable", ["CI", "TRACKLINE_STACK_STRICT"])
@pytest.mark.parametrize(("value", "outcome"), [("true", "failed"), ("", "skipped")])
def test_what_is_missing_fails_in_ci_and_is_skipped_elsewhere(outcome_of, variable, value, outcome):
    result = outcome_of({variable: value, "PATH": "/nowhere"})

    assert result == outcome


@pytest.fixture
def outcome_of(monkeypatch, tmp_path):
    """Give a function that says what becomes of a test that wants Filebeat in an environment without anything."""
    from stack.conftest import _find

    def outcome(environment):
        for name in ("CI", "TRACKLINE_STACK_STRICT", "TRACKLINE_FILEBEAT"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TRACKLINE_STACK_CACHE", str(tmp_path / "empty"))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        try:
            _find(binaries.FILEBEAT)
        except pytest.fail.Exception:
            return "failed"
        except pytest.skip.Exception:
            return "skipped"
        return "found"

    return outcome
