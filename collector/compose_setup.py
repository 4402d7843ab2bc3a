"""
What compose.yaml does once, before the rest starts. It may be run again: what is there already stays.

    python compose_setup.py elasticsearch     Kibana's password, the templates, and an API key that can only append, in $KEYS/encoded
    python compose_setup.py kibana            the data view, the searches and the dashboard
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

BOUNDARY = "trackline-saved-objects"


def set_up_elasticsearch() -> None:
    """Needs ELASTICSEARCH_URL, ELASTICSEARCH_USERNAME, ELASTICSEARCH_PASSWORD, KIBANA_PASSWORD and KEYS."""
    url, encoded = os.environ["ELASTICSEARCH_URL"], Path(os.environ["KEYS"], "encoded")
    post(f"{url}/_security/user/kibana_system/_password", json.dumps({"password": os.environ["KIBANA_PASSWORD"]}).encode())
    trackline("apply", "--yes")
    if encoded.exists() and is_good(url, encoded.read_text()):
        print("the API key that is there is good")
        return
    # To a file of another name first: nobody reads half a key.
    draft = encoded.with_suffix(".draft")
    draft.write_text(json.loads(trackline("key", "compose", "--json"))["encoded"])
    draft.replace(encoded)
    print(f"an API key that can only append: {encoded}")


def set_up_kibana() -> None:
    """Needs KIBANA_URL, ELASTICSEARCH_USERNAME and ELASTICSEARCH_PASSWORD."""
    objects = Path(__file__).with_name("trackline.ndjson").read_bytes()
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="trackline.ndjson"\r\n'
    body = f"{head}Content-Type: application/ndjson\r\n\r\n".encode() + objects + f"\r\n--{BOUNDARY}--\r\n".encode()
    url = f"{os.environ['KIBANA_URL']}/api/saved_objects/_import?overwrite=true"
    answer = post(url, body, f"multipart/form-data; boundary={BOUNDARY}")
    if not answer.get("success"):
        raise SystemExit(f"Kibana has not imported all of it: {json.dumps(answer.get('errors'))}")
    print(f"Kibana: {answer['successCount']} objects; the dashboard is “Trackline: requests”")


def trackline(*arguments: str) -> str:
    """Run `trackline elastic`; what it says on stderr is seen, and an error ends this."""
    done = subprocess.run(["trackline", "elastic", *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def is_good(url: str, encoded: str) -> bool:
    """Whether Elasticsearch knows an API key."""
    request = urllib.request.Request(f"{url}/_security/_authenticate", headers={"Authorization": f"ApiKey {encoded}"})
    try:
        with urllib.request.urlopen(request, timeout=30):
            return True
    except urllib.error.HTTPError as error:
        if error.code == 401:
            return False
        raise


def post(url: str, body: bytes, content_type: str = "application/json") -> dict[str, Any]:
    """Post as the user of ELASTICSEARCH_USERNAME, and give the answer. What the server has against it is said, and ends this."""
    user = base64.b64encode(f"{os.environ['ELASTICSEARCH_USERNAME']}:{os.environ['ELASTICSEARCH_PASSWORD']}".encode()).decode()
    headers = {"Authorization": f"Basic {user}", "Content-Type": content_type, "kbn-xsrf": "true"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{url}: {error.code} {error.read()[:1000].decode(errors='replace')}") from None


if __name__ == "__main__":
    steps = {"elasticsearch": set_up_elasticsearch, "kibana": set_up_kibana}
    if sys.argv[1:] not in [[name] for name in steps]:
        raise SystemExit(__doc__)
    steps[sys.argv[1]]()
