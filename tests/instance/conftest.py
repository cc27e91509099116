"""A running instance, and a client for it."""

import base64
import io
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_panther.instance.http.server import running
from tests.builders.events import CONTENT_FOLDERS, REPO

TOKEN = "test-token"


class Client:
    """A client that sends the requests of panther_analysis_tool, and of the REST API."""

    def __init__(self, url: str, state: Path) -> None:
        self.url = url
        self.state = state

    def post(self, body: bytes, token: str | None = TOKEN) -> tuple[int, dict]:
        headers = {"Content-Type": "application/json", **({"X-API-Key": token} if token else {})}
        request = urllib.request.Request(self.url, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=90) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def rest(self, method: str, path: str, body=None, token=TOKEN, **parameters):
        """Send a request to the REST API; return the status and the answer.

        A _ in the name of a parameter stands for -, and a list for a repeated parameter.
        """
        query = {name.replace("_", "-"): value for name, value in parameters.items()}
        url = self.url.replace("/public/graphql", path) + (
            f"?{urllib.parse.urlencode(query, doseq=True)}" if query else ""
        )
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **({"X-API-Key": token} if token else {})}
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=90) as response:
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def get(self, path: str, **parameters):
        """Return the answer of a path of the REST API."""
        status, answer = self.rest("GET", path, **parameters)
        assert status == 200, answer
        return answer

    def send(self, query: str, **variables) -> dict:
        status, answer = self.post(json.dumps({"query": query, "variables": variables}).encode())
        assert status == 200, answer
        return answer

    def ask(self, query: str, **variables) -> dict:
        answer = self.send(query, **variables)
        assert "errors" not in answer, answer["errors"]
        (value,) = answer["data"].values()
        return value

    def upload(self, archive: bytes, validate: bool = False) -> dict:
        """Upload an archive, wait, and return the outcome: statistics, error and issues."""
        kind = "ValidateBulkUploadInput" if validate else "UploadDetectionEntitiesAsyncInput"
        name = "validateBulkUpload" if validate else "uploadDetectionEntitiesAsync"
        data = {"data": base64.b64encode(archive).decode()}
        receipt = self.ask(f"mutation($i: {kind}!) {{{name}(input: $i) {{receiptId}}}}", i=data)
        statistics = "{new modified total}"
        kinds = " ".join(f"{kind} {statistics}" for kind in ("rules", "globalHelpers", "queries"))
        status, fields = ("detectionEntitiesUploadStatus", kinds)
        if validate:
            status, fields = ("validateBulkUploadStatus", "issues {path errorMessage}")
        query = f"query($i: ID!) {{{status}(receiptId: $i) {{status error result {{{fields}}}}}}}"
        while (found := self.ask(query, i=receipt["receiptId"]))["status"] == "NOT_PROCESSED":
            time.sleep(0.05)
        return found

    def refused(self, archive: bytes) -> str:
        """Upload an archive; assert that it is refused and changes nothing; return the problems."""
        before = self.files()
        found = self.upload(archive)
        assert found["status"] == "FAILED", found
        assert self.files() == before
        issues = json.loads(found["error"])["issues"]
        return "\n".join(f"{issue['path']}: {issue['errorMessage']}" for issue in issues)

    def files(self) -> dict[str, bytes]:
        """Return the files of the state folder, without the database of the alerts."""
        found = (path for path in self.state.rglob("*") if path.is_file())
        return {
            str(path.relative_to(self.state)): path.read_bytes()
            for path in found
            if not path.name.startswith("alerts.sqlite")
        }


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Client]:
    state = tmp_path / "state"
    with running(state, TOKEN) as url:
        yield Client(url, state)


def archive(files: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return buffer.getvalue()


def repo_files() -> dict[str, str]:
    """Return this repository's content as panther_analysis_tool packs it."""
    paths = (p for folder in CONTENT_FOLDERS for p in (REPO / folder).rglob("*"))
    return {str(p.relative_to(REPO)): p.read_text() for p in paths if p.suffix in (".py", ".yml")}
