"""The files of collector/ are found from a checkout and from a wheel, and can be copied from both."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from trackline.cli import main
from trackline.collector import collector_files, copy_files

ROOT = Path(__file__).parents[1]


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_in_a_checkout_the_folder_is_the_repositorys():
    assert collector_files() == ROOT / "collector"


def test_a_wheel_carries_all_of_them_and_finds_them(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")

    told = subprocess.run(
        [sys.executable, "-c", "import trackline.collector as c; print(c.__file__); print(c.collector_files())"],
        env={"PYTHONPATH": str(tmp_path / "installed")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.split()

    assert told == [str(tmp_path / "installed/trackline/collector.py"), str(tmp_path / "installed/trackline/_collector")]
    assert files(tmp_path / "installed/trackline/_collector") == files(ROOT / "collector")


def test_copied_they_are_as_they_are_here(tmp_path, capsys):
    assert main(["collector", "copy", str(tmp_path / "mine")]) == 0

    assert files(tmp_path / "mine") == files(ROOT / "collector")
    assert f"{tmp_path / 'mine'}: {len(files(ROOT / 'collector'))} files" in capsys.readouterr().out


def test_a_file_that_somebody_has_changed_is_kept_and_named(tmp_path, capsys):
    copy_files(tmp_path)
    changed = tmp_path / "elasticsearch" / "settings.json"
    changed.write_text("{}")

    assert main(["collector", "copy", str(tmp_path)]) == 1
    assert changed.read_text() == "{}"
    assert f"{changed}: is there, and differs" in capsys.readouterr().err
    assert main(["collector", "copy", "--force", str(tmp_path)]) == 0
    assert changed.read_bytes() == (ROOT / "collector" / "elasticsearch" / "settings.json").read_bytes()


def test_a_folder_that_cannot_be_made_is_said(tmp_path, capsys):
    (tmp_path / "file").write_text("")

    assert main(["collector", "copy", str(tmp_path / "file")]) == 2
    assert "file" in capsys.readouterr().err


def test_without_the_files_it_is_said_where_they_should_be(monkeypatch, tmp_path):
    monkeypatch.setattr("trackline.collector.__file__", str(tmp_path / "a" / "b" / "collector.py"))

    with pytest.raises(FileNotFoundError, match="install trackline from a wheel"):
        collector_files()
