"""Real file systems for the tests of what happens when one fails: small ones of their own. Who may not mount one, skips."""

import os
import shutil
import subprocess
import threading
from contextlib import contextmanager

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system, or runs a process as another user")


def until_refused(reason, act):
    """Do something again and again, until the system refuses it."""
    with pytest.raises(OSError, match=reason):
        exhaust(act)


def exhaust(act):
    while True:
        act()


def found(program):
    """Give the path of a program; skip the test where it is not there."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"there is no {program} here")
    return path


def run_or_skip(program, *arguments):
    """Run a program; skip the test where it is not there or says no."""
    done = subprocess.run([found(program), *arguments], check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"cannot {program}: {done.stderr.decode().strip()}")


class Mounted:
    """A file system of its own, in memory."""

    def __init__(self, path, options):
        self.path = path
        path.mkdir(exist_ok=True)
        run_or_skip("mount", "-t", "tmpfs", "-o", options, "tmpfs", path)

    def fill(self):
        with (self.path / "filler").open("wb", buffering=0) as filler:
            until_refused("No space left", lambda: filler.write(b"x" * 4096))

    def remount(self, options):
        subprocess.run(["mount", "-o", f"remount,{options}", self.path], check=True)

    def unmount(self):
        subprocess.run(["umount", "--lazy", self.path], check=True)


class Disk(Mounted):
    """A file system on a block device, which is a file: it can stand still, and fail."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        image = path.with_name("image")
        image.touch()
        os.truncate(image, 32 * 2**20)
        run_or_skip("mkfs.ext4", "-q", "-F", image)
        run_or_skip("mount", "-o", "loop", image, path)

    @contextmanager
    def standing_still(self):
        """Have no write end, as on a disk or a network that hangs; not even SIGKILL ends who waits for it."""
        run_or_skip("fsfreeze", "--freeze", self.path)
        thaw = [found("fsfreeze"), "--unfreeze", self.path]
        at_last = threading.Timer(60, subprocess.run, [thaw])  # whatever happens: a test that hangs could not be killed
        at_last.start()
        try:
            yield
        finally:
            at_last.cancel()
            subprocess.run(thaw, check=True)

    def fail(self):
        """Let it become what it is after an error of the device: nothing can be written any more."""
        subprocess.run(["sync", "--file-system", self.path], check=True)
        self.remount("abort")
