"""Clients without a token, or with incomplete requests, have no lasting effect on the server."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from local_panther.instance.http.on_demand import MAX_CONNECTIONS
from tests.instance.conftest import archive
from tests.instance.servers import COMMAND, TOKEN, Server, eventually, server
from tests.instance.test_uploads import one_rule
from tests.scale import examples

pytestmark = [pytest.mark.attack("serve"), pytest.mark.process]

QUERY = json.dumps({"query": "{generalSettings {pantherVersion}}"}).encode()
VERSION = "{generalSettings {pantherVersion}}"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with server(tmp_path_factory.mktemp("serve") / "state") as found:
        yield found


def connection(running: Server, *, sent: bytes = b"") -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", running.port), timeout=30)
    opened.sendall(sent)
    return opened


def is_closed(opened: socket.socket, seconds: float) -> bool:
    """Return whether the server closes a connection in time."""
    opened.settimeout(seconds)
    try:
        while opened.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def answer(running: Server, *, host=None, **headers: str) -> tuple[int, str]:
    """Send a request with only these headers besides the necessary ones."""
    client = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    host = f"127.0.0.1:{running.port}" if host is None else host
    client.putrequest("POST", "/public/graphql", skip_host=True)
    all_headers = {"Host": host, "X-API-Key": TOKEN, "Content-Type": "application/json"}
    for name, value in (all_headers | headers).items():
        if value is not None:
            client.putheader(name, value)
    client.putheader("Content-Length", str(len(QUERY)))
    client.endheaders(QUERY)
    response = client.getresponse()
    return response.status, response.read().decode()


class TestHalfOpen:
    HALVES = (
        b"",
        b"POST /public/graphql HTTP/1.1\r\n",
        b"POST /public/graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API",
        b"\x16\x03\x01",  # a client that speaks TLS
    )

    def test_connections_without_a_request_are_closed(self, running):
        opened = [connection(running, sent=sent) for sent in self.HALVES]
        assert [is_closed(half, 20) for half in opened] == [True] * len(self.HALVES)

    def test_a_connection_that_sends_a_byte_now_and_then_is_closed(self, running):
        opened = connection(running, sent=b"POST /public/graphql HTTP/1.1\r\nX: ")
        deadline = time.monotonic() + 20
        closed = False
        while not closed and time.monotonic() < deadline:
            try:
                opened.sendall(b"x")
            except OSError:
                closed = True
            time.sleep(0.2)
        assert closed

    def test_a_client_with_a_request_is_served_while_many_connections_are_half_open(self, running):
        crowd = [connection(running, sent=b"POST /pub") for _ in range(MAX_CONNECTIONS + 200)]
        assert "panther_core" in str(running.client.ask(VERSION))
        files = len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))
        assert files < MAX_CONNECTIONS + 50
        assert all(is_closed(opened, 30) for opened in crowd)

    def test_a_low_limit_of_descriptors_neither_stops_the_server_nor_fills_its_log(self, tmp_path):
        """378 connections at 256 descriptors once wrote 153 MB of log."""
        command = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))"
        command += "; os.execv(sys.executable, sys.argv[1:])"
        arguments = [*COMMAND, "serve", "--port", "0", "--state", str(tmp_path / "state")]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", command, *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | {"PANTHER_API_TOKEN": TOKEN},
                text=True,
            )
        try:
            url = process.stdout.readline().strip().split("=", 1)[1]
            port = int(url.split(":")[2].split("/")[0])
            address = ("127.0.0.1", port)
            count = examples(378, 2000)
            crowd = [socket.create_connection(address, timeout=30) for _ in range(count)]
            from tests.instance.conftest import Client

            assert "panther_core" in str(Client(url, tmp_path).ask(VERSION))
        finally:
            for opened in crowd:
                opened.close()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
        assert process.returncode == 0
        assert (tmp_path / "log").stat().st_size < 10_000

    def test_an_upload_is_stored_while_hundreds_of_clients_are_connected(self, running):
        crowd = [connection(running) for _ in range(MAX_CONNECTIONS + 100)]
        assert running.client.upload(archive(one_rule()))["status"] == "COMPLETED"
        for opened in crowd:
            opened.close()


class TestRequests:
    def test_a_valid_request_is_answered(self, running):
        status, text = answer(running)
        assert status == 200 and "panther_core" in text

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "evil.example:8097",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "[",
            "127.0.0.1@evil.example",
            "xn--localhost-.example",
        ],
    )
    def test_an_unknown_host_name_is_refused(self, running, host):
        status, text = answer(running, host=host)
        assert status in (400, 403) and "panther_core" not in text

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8097"])
    def test_host_names_of_the_server_are_accepted(self, running, host):
        assert answer(running, host=host)[0] == 200

    @pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", ""])
    def test_a_request_from_another_origin_is_refused(self, running, origin):
        status, text = answer(running, Origin=origin)
        assert status == 403 and "another origin" in text

    def test_a_request_from_the_origin_of_the_server_is_accepted(self, running):
        assert answer(running, Origin=f"http://127.0.0.1:{running.port}")[0] == 200

    @pytest.mark.parametrize(
        "kind",
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None, "json"],
    )
    def test_only_json_is_accepted(self, running, kind):
        """A page of another site can send the other media types without a preflight request."""
        status, text = answer(running, **{"Content-Type": kind})
        assert status == 415 and "application/json" in text

    def test_a_charset_after_the_media_type_is_accepted(self, running):
        assert answer(running, **{"Content-Type": "application/json; charset=utf-8"})[0] == 200

    def test_the_token_is_checked_before_the_body_is_read(self, running):
        kept = []
        for token in (None, "", "test", TOKEN + "x", TOKEN.upper(), "\xff"):
            header = b"" if token is None else b"X-API-Key: " + token.encode("latin-1") + b"\r\n"
            kept.append(connection(running))
            kept[-1].sendall(
                b"POST /public/graphql HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                + header
                + b"Content-Type: application/json\r\nContent-Length: 40000000\r\n\r\n"
            )
            assert kept[-1].recv(4096).startswith(b"HTTP/1.1 403"), token
        assert [is_closed(opened, 20) for opened in kept] == [True] * len(kept)


class TestListening:
    def run(self, tmp_path, *arguments, **environment):
        command = [*COMMAND, "serve", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True
        )

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
    def test_an_address_beyond_loopback_needs_a_flag(self, tmp_path, host):
        done = self.run(tmp_path, "--host", host, "--port", "0")
        assert done.returncode == 2 and "--allow-remote" in done.stderr
        assert not list(tmp_path.iterdir())

    def test_serving_beyond_loopback_warns_and_answers_only_allowed_hosts(self, tmp_path):
        arguments = ("--host", "0.0.0.0", "--allow-remote", "--allow-host", "panther.example")
        with server(tmp_path / "state", *arguments) as found:
            for host, status in (("panther.example", 200), ("other.example", 403)):
                assert answer(found, host=host)[0] == status
            _, messages = found.end()
        assert "warning: anyone with the token can run Python here" in messages

    def test_the_token_is_read_from_a_file(self, tmp_path):
        (tmp_path / "token").write_text("from-a-file\n")
        with server(tmp_path / "state", "--token-file", "token") as found:
            assert answer(found, **{"X-API-Key": "from-a-file"})[0] == 200
            assert answer(found)[0] == 403

    @pytest.mark.parametrize("content", [None, b"", b"a\nb", b"\xff"])
    def test_a_file_without_a_token_is_an_error(self, tmp_path, content):
        if content is not None:
            (tmp_path / "token").write_bytes(content)
        done = self.run(tmp_path, "--token-file", "token", "--port", "0")
        assert done.returncode == 2 and "token" in done.stderr and "Traceback" not in done.stderr

    def test_the_token_is_not_an_option_of_the_command_line(self, tmp_path):
        done = self.run(tmp_path, "--token", "x")
        assert done.returncode == 2 and "--token" in done.stderr


def test_hundreds_of_clients_that_connect_together_are_all_answered(running, record_property):
    """Of 300 clients, a quarter was once cut off before it had sent its request."""
    record_property("tried", clients := 300)
    statuses, begin = [], threading.Barrier(clients)

    def ask():
        begin.wait()
        statuses.append(answer(running)[0])

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * clients


def test_closed_connections_do_not_increase_the_memory_of_the_server(running):
    def memory() -> int:
        status = Path(f"/proc/{running.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    before = memory()
    for _ in range(examples(500, 20_000)):
        connection(running, sent=b"POST /public/graphql HTTP/1.1\r\n").close()
    assert eventually(lambda: running.client.ask(VERSION))
    assert memory() - before < 50_000  # KB
