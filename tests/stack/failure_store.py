"""A node with the failure store: the server's own code, which the distribution of the tests does not switch on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stack.binaries import BUILD, COLLECTOR
from stack.elasticsearch import Elasticsearch

if TYPE_CHECKING:
    from collections.abc import Iterator

PLUGIN = """\
name=failure-store
description=The failure store of data streams
classname=FailureStorePlugin
version=1
java.version=17
elasticsearch.version={version}
"""


@contextmanager
def node_with_failure_store(elasticsearch_home: Path) -> Iterator[Elasticsearch]:
    """Start a node whose data streams keep what they refuse, with the templates."""
    if missing := [tool for tool in ("javac", "jar") if shutil.which(tool) is None]:
        pytest.skip(f"the failure store's plugin needs a JDK to be built, and there is no {', '.join(missing)} on the PATH")
    folder = Path(tempfile.mkdtemp(prefix="trackline-failure-store-"))
    try:
        folder.chmod(0o755)
        home = Path(shutil.copytree(elasticsearch_home, folder / "home"))
        plugin = home / "plugins" / "failure-store"
        services = folder / "classes" / "META-INF" / "services"
        for path in (plugin, services):
            path.mkdir(parents=True)
        source = BUILD / "failure-store" / "FailureStorePlugin.java"
        run(["javac", "--release", "17", "-nowarn", "-cp", f"{home}/lib/*", "-d", folder / "classes", source])
        (services / "org.elasticsearch.features.FeatureSpecification").write_text("FailureStorePlugin$Features\n")
        run(["jar", "--create", "--file", plugin / "failure-store.jar", "-C", folder / "classes", "."])
        (server,) = (home / "lib").glob("elasticsearch-[0-9].[0-9]*.jar")
        (plugin / "plugin-descriptor.properties").write_text(PLUGIN.format(version=server.stem.removeprefix("elasticsearch-")))
        with Elasticsearch(home) as node:
            run([sys.executable, "-m", "trackline", "elastic", "apply", "--url", node.url, "--yes"])
            # It has asked by an interface that is in the same module, and left out what is in collector/elasticsearch/settings.json.
            path = "/_component_template/trackline-logs-settings"
            template = node.request("GET", path)["component_templates"][0]["component_template"]
            wanted = json.loads((COLLECTOR / "elasticsearch" / "settings.json").read_text())["template"]["data_stream_options"]
            template["template"]["data_stream_options"] = wanted
            node.request("PUT", path, template)
            yield node
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(command: list[object]) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stdout + done.stderr
