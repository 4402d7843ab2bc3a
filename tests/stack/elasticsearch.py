"""One real Elasticsearch node on this machine: started and stopped, asked over HTTP."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx

from stack.processes import Program, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NOBODY = 65534  # Elasticsearch refuses root
START = 180.0  # seconds; a node takes 25 to 40 on two cores, and may have to share them

SETTINGS = """\
cluster.name: trackline-tests
node.name: trackline-tests
path.data: {directory}/data
path.logs: {directory}/logs
network.host: 127.0.0.1
http.port: {port}
transport.port: 0
node.portsfile: true
discovery.type: single-node
cluster.routing.allocation.disk.threshold_enabled: false
action.destructive_requires_name: false
xpack.security.enabled: {secured}
"""
SECURITY = """\
xpack.security.enrollment.enabled: false
xpack.security.transport.ssl.enabled: false
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.certificate: {directory}/config/node.crt
xpack.security.http.ssl.key: {directory}/config/node.key
"""
# Small, and quick to start; what it does once is not worth the best compiler.
JVM_OPTIONS = """\
-Xms512m
-Xmx512m
-XX:+UseSerialGC
-XX:TieredStopAtLevel=1
-XX:+ExitOnOutOfMemoryError
-XX:ErrorFile={directory}/logs/hs_err_pid%p.log
-Djava.io.tmpdir={directory}/tmp
"""


class Elasticsearch:
    """
    A node with a folder of its own. A context manager, which ends it and deletes the folder.

    ``secured`` has TLS, with a certificate authority of its own (``ca``), and the superuser ``user`` with ``password``. ``url`` is
    there from the first start on, and stays over ``stop()`` and ``start()``; so do the documents. ``http`` is a client with all rights.
    """

    user = "operator"

    def __init__(self, home: Path, *, secured: bool = False) -> None:
        # Not in pytest's own folder, which nobody else may enter.
        self.directory = Path(tempfile.mkdtemp(prefix="trackline-elasticsearch-"))
        self.directory.chmod(0o755)
        self.secured = secured
        self.password = secrets.token_hex(12)
        self.ca = self.directory / "ca.crt"
        self.port = 0
        self._home = home if _everybody_may_enter(home) or os.geteuid() != 0 else Path(shutil.copytree(home, self.directory / "home"))
        self._environment = {
            "ES_PATH_CONF": str(self.directory / "config"),
            "ES_TMPDIR": str(self.directory / "tmp"),
            "ES_JAVA_OPTS": "",
        }
        if not (self._home / "jdk").exists():  # the full distribution has one
            self._environment["ES_JAVA_HOME"] = _java_home()
        as_nobody: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        self.program = Program([self._home / "bin" / "elasticsearch"], self.directory / "run", self._environment, **as_nobody)
        self.program.grace = 60.0  # it closes its shards first
        self.http = httpx.Client(trust_env=False)
        self._prepare()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.program.kill()
        self.http.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"{'https' if self.secured else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start the node, and wait until it answers."""
        (self.directory / "logs" / "http.ports").unlink(missing_ok=True)
        self._configure()
        self.program.start()
        ports = self.directory / "logs" / "http.ports"
        wait_for(lambda: self._still_runs() and ports.exists() and ports.read_text().strip(), START, self.log)
        if self.port == 0:
            self.port = int(re.findall(r"127\.0\.0\.1:(\d+)", ports.read_text())[0])
            self.http = self._client()
        wait_for(lambda: self._still_runs() and self._is_healthy(), START, self.log, every=0.2)
        return self

    def stop(self) -> None:
        """Stop the node as a supervisor would."""
        self.program.stop()

    def log(self) -> str:
        """Give the end of the node's log."""
        path = self.directory / "logs" / "trackline-tests.log"
        own = path.read_text("utf-8", "replace").splitlines()[-40:] if path.exists() else []
        return "\n".join((self.program.log(), *own))

    def request(self, method: str, path: str, body: object = None, **parameters: Any) -> Any:
        """Give the answer as JSON; fail with Elasticsearch's own words where it is an error."""

        def answer() -> httpx.Response | None:
            given = self.http.request(method, path, json=body, params=parameters or None)
            return None if given.status_code == 503 else given  # an index that has just been made has no shard for a moment

        response = wait_for(answer, 30, f"{method} {path}: 503")
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def refresh(self, index: str) -> None:
        """Make everything that is stored visible."""
        self.request("POST", f"/{index}/_refresh", ignore_unavailable="true", allow_no_indices="true")

    def count(self, index: str, query: object = None) -> int:
        """Count the documents of an index, or of all that a pattern names: 0 where there is none."""
        self.refresh(index)
        body = {"query": query} if query else None
        answer = self.request("POST", f"/{index}/_count", body, ignore_unavailable="true", allow_no_indices="true")
        return int(answer["count"])

    def search(self, index: str, query: object, *, size: int = 1000, **more: Any) -> list[dict[str, Any]]:
        """Give the hits of a query, the first thousand."""
        self.refresh(index)
        parameters = {"ignore_unavailable": "true", "allow_no_indices": "true"}
        return list(self.request("POST", f"/{index}/_search", {"query": query, "size": size, **more}, **parameters)["hits"]["hits"])

    def hits(self, index: str, *, source: bool | Iterable[str] = False) -> Iterator[dict[str, Any]]:
        """Give all documents, any number of them, by scroll."""
        self.refresh(index)
        body = {"size": 5000, "sort": ["_doc"], "_source": source if isinstance(source, bool) else list(source)}
        parameters = {"scroll": "1m", "ignore_unavailable": "true", "allow_no_indices": "true"}
        answer = self.request("POST", f"/{index}/_search", body, **parameters)
        try:
            while hits := answer["hits"]["hits"]:
                yield from hits
                answer = self.request("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": answer["_scroll_id"]})
        finally:
            self.request("DELETE", "/_search/scroll", {"scroll_id": answer["_scroll_id"]})

    def api_key(self, name: str, roles: dict[str, Any] | None = None) -> dict[str, str]:
        """Make an API key with the rights of some role descriptors, or all; give its ``id``, ``api_key`` and ``encoded``."""
        return dict(self.request("POST", "/_security/api_key", {"name": name, "role_descriptors": roles or {}}))

    def _prepare(self) -> None:
        for name in ("config", "data", "logs", "tmp", "run"):
            (self.directory / name).mkdir()
        config = self.directory / "config"
        for path in (self._home / "config").iterdir():
            if path.name in {"log4j2.properties", "roles.yml", "role_mapping.yml"}:
                shutil.copy(path, config)
        (config / "jvm.options").write_text(JVM_OPTIONS.format(directory=self.directory))
        (config / "users").touch()
        (config / "users_roles").touch()
        self._configure()
        if self.secured:
            self._certify()
            users = self._home / "bin" / "elasticsearch-users"
            _run([users, "useradd", self.user, "-p", self.password, "-r", "superuser"], env={**os.environ, **self._environment})
        if os.geteuid() == 0:
            for path in (self.directory, *self.directory.rglob("*")):
                if self.directory / "home" not in (path, *path.parents):
                    os.chown(path, NOBODY, NOBODY)

    def _configure(self) -> None:
        settings = SETTINGS + (SECURITY if self.secured else "")
        text = settings.format(directory=self.directory, port=self.port, secured=str(self.secured).lower())
        (self.directory / "config" / "elasticsearch.yml").write_text(text)

    def _certify(self) -> None:
        """Make a certificate authority, and with it a certificate for 127.0.0.1."""
        config, ca_key = self.directory / "config", self.directory / "ca.key"
        extensions = self.directory / "extensions.txt"
        extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        request = self.directory / "node.csr"
        new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes"]
        _run([*new, "-x509", "-days", "3650", "-keyout", ca_key, "-out", self.ca, "-subj", "/CN=trackline tests"])
        _run([*new, "-keyout", config / "node.key", "-out", request, "-subj", "/CN=127.0.0.1"])
        sign = ["openssl", "x509", "-req", "-days", "3650", "-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial"]
        _run([*sign, "-in", request, "-out", config / "node.crt", "-extfile", extensions])

    def _client(self) -> httpx.Client:
        import ssl

        verify: Any = ssl.create_default_context(cafile=str(self.ca)) if self.secured else True
        auth = (self.user, self.password) if self.secured else None
        return httpx.Client(base_url=self.url, auth=auth, verify=verify, timeout=60, trust_env=False)

    def _still_runs(self) -> bool:
        assert self.program.is_running(), f"Elasticsearch has ended:\n{self.log()}"
        return True

    def _is_healthy(self) -> bool:
        try:
            response = self.http.get("/_cluster/health", params={"wait_for_status": "yellow", "timeout": "5s"})
        except httpx.TransportError:
            return False
        return response.status_code == 200 and not response.json()["timed_out"]


def _everybody_may_enter(path: Path) -> bool:
    return all(one.stat().st_mode & 0o001 for one in (path, *path.resolve().parents))


def _java_home() -> str:
    said = _run(["java", "-XshowSettings:properties", "-version"]).stderr
    return re.findall(r"^\s*java\.home = (.*)$", said, re.MULTILINE)[0]


def _run(command: list[Any], **options: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command[0]} failed with {done.returncode}: {done.stdout}{done.stderr}"
    return done


def install_templates(node: Elasticsearch) -> None:
    """Install templates and lifecycle as an operator does."""
    command = [sys.executable, "-m", "trackline", "elastic", "apply", "--url", node.url, "--yes"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
