"""Malformed requests and values of wrong types are answered without a traceback."""

import base64
import json
import socket
import struct

import pytest

from tests.builders import hostile
from tests.instance.conftest import archive
from tests.instance.servers import TOKEN, server
from tests.instance.test_uploads import one_rule

pytestmark = [pytest.mark.attack("serve"), pytest.mark.process]
SECRET_FORMS = (
    f"GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: {TOKEN}\x01\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: x\r\nX-API-Key : {TOKEN}\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: x\r\n X-API-Key: {TOKEN}\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: x\r\n{TOKEN}\r\n\r\n",
)
ODD = (
    "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "GET / HTTP/9.9\r\n\r\n",
    "\x16\x03\x01\x02",
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    f"GET /{'x' * 20_000} HTTP/1.1\r\nHost: x\r\n\r\n",
)


def test_malformed_requests_print_neither_tracebacks_nor_the_token(tmp_path, record_property):
    record_property("tried", len(SECRET_FORMS) + len(ODD))
    with server(tmp_path / "state") as running:
        for text in (*SECRET_FORMS, *ODD):
            with socket.create_connection(("127.0.0.1", running.port), 10) as connection:
                connection.sendall(text.encode("latin-1"))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
        # A client that disconnects within its request, and one before its answer
        for part in ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n", "\r\n{}"):
            with socket.create_connection(("127.0.0.1", running.port), 10) as connection:
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                connection.sendall(part.encode())
        assert running.client.upload(archive(one_rule()))["status"] == "COMPLETED"
        _, messages = running.end()
    assert "Traceback" not in messages and TOKEN not in messages
    assert len(messages.splitlines()) <= 3, messages


@pytest.mark.parametrize("odd", ["null", "[]", "7", '"x"', '{"Detection": [7]}', '{"GroupBy": 5}'])
def test_an_invalid_simple_detection_does_not_affect_the_others(instance, odd):
    good = json.dumps({"Detection": [{"Key": "a", "Condition": "Exists"}]})
    text = "mutation($i: TranspileSimpleDetectionsToPythonInput!) "
    text += "{transpileSimpleDetectionsToPython(input: $i) {transpiledPython}}"
    found = instance.ask(text, i={"data": [good, odd]})["transpiledPython"]
    assert "MATCHES" in found[0] and found[1].startswith("raise ValueError(")


def test_a_query_without_a_database_uses_the_default_one(instance):
    text = "mutation($i: ExecuteDataLakeQueryInput!) {executeDataLakeQuery(input: $i) {id}}"
    assert instance.ask(text, i={"sql": "SELECT 1", "databaseName": None})["id"]


@pytest.mark.parametrize("method", [1, 6, 12, 14, 93, 97, 99, 65535])
@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"\0" * 40])
def test_an_archive_of_any_compression_method_gets_an_error(instance, method, content):
    """zipfile and its decompressors raise different exceptions for each compression."""
    packed = bytearray(archive(one_rule()))
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = 0
        while (found := packed.find(signature, start)) >= 0:
            packed[found + offset : found + offset + 2] = struct.pack("<H", method)
            start = found + 4
    first = packed.find(b"PK\x03\x04") + 30
    packed[first + 40 : first + 40 + len(content)] = content
    data = {"data": base64.b64encode(bytes(packed)).decode()}
    text = "mutation($i: UploadDetectionEntitiesInput!) {uploadDetectionEntities(input: $i) "
    answer = instance.send(text + "{rules {total}}}", i=data)
    (error,) = answer["errors"]
    assert "not a valid zip file" in error["message"] or "encrypted" in error["message"]


@pytest.mark.parametrize("half", hostile.WITH_HALVES)
def test_a_lone_surrogate_is_refused_and_pairs_are_kept(instance, half):
    rule = {"id": "A.B", "body": f"def rule(event):\n    return '{half}'\n", "severity": "INFO"}
    rule["logTypes"] = ["AWS.CloudTrail"]
    status, answer = instance.rest("PUT", "/rules/A.B", rule)
    assert status == 400 and "lone surrogate" in answer["message"]
    query = json.dumps({"query": f'{{dataLakeDatabase(name: "{half}") {{name}}}}'}).encode()
    status, answer = instance.post(query)
    assert status == 400 and "lone surrogate" in answer["message"]
    whole = rule | {"body": "def rule(event):\n    return '\U0001f600 \\\\ud800'\n"}
    status, answer = instance.rest("PUT", "/rules/A.B", whole)
    assert status == 201, answer
    assert answer["body"] == whole["body"]
