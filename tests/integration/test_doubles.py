"""The doubles refuse what the services refuse, and do the faults that are ordered: else the tests on them prove nothing."""
import base64
import hashlib
import http.client
import re
import time

import pytest
from doubles import sigv4
from doubles.checksums import crc32c
from doubles.faults import KINDS
from doubles.s3 import S3Double
from doubles.tokens import ROLE, TokenDouble
from s3_harness import DOUBLE_KEY, DOUBLE_SECRET, Server
from slow_proxy import Proxy

pytestmark = pytest.mark.once


@pytest.fixture
def client(double):
    return client_of(double)


def client_of(double, key=DOUBLE_KEY, secret=DOUBLE_SECRET, port=None):
    return Server("double", "", key, secret, plain=f"http://localhost:{port or double.server.port}")


def code(body):
    match = re.search(rb"<Code>(\w+)", body)
    return match and match[1].decode()


def test_crc32c():
    assert crc32c(b"123456789") == 0xE3069283 and crc32c(b"") == 0
    data = bytes(range(256)) * 700
    assert crc32c(data) == crc32c_by_bits(data)


def crc32c_by_bits(data):
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def test_a_signature_is_for_one_request_by_one_key(double, client):
    assert client.request("PUT", "/bucket/a key+ü", body=b"x")[0] == 200
    assert double.objects() == {"a key+ü": b"x"}
    assert client_of(double, secret="wrong").request("GET", "/bucket/a")[0] == 403
    assert code(client_of(double, key="AKIDNOBODY").request("GET", "/bucket/a")[2]) == "InvalidAccessKeyId"
    for change in ("path", "query", "header", "body"):
        headers = {"host": f"localhost:{double.server.port}", "x-amz-meta-a": "1", "content-length": "1"}
        sigv4.sign("PUT", "/bucket/b", "partNumber=1&uploadId=2", headers, b"x", DOUBLE_KEY, DOUBLE_SECRET, "us-east-1")
        if change == "header":
            headers["x-amz-meta-a"] = "2"
        path = "/bucket/c" if change == "path" else "/bucket/b"
        query = "uploadId=3&partNumber=1" if change == "query" else "partNumber=1&uploadId=2"
        connection = http.client.HTTPConnection("localhost", double.server.port)
        connection.request("PUT", f"{path}?{query}", b"y" if change == "body" else b"x", headers)
        answer = connection.getresponse()
        assert code(answer.read()) == ("XAmzContentSHA256Mismatch" if change == "body" else "SignatureDoesNotMatch"), change
        connection.close()


def test_headers_that_must_be_signed(double):
    headers = {"host": f"localhost:{double.server.port}"}
    sigv4.sign("GET", "/bucket", "", headers, b"", DOUBLE_KEY, DOUBLE_SECRET, "us-east-1")
    connection = http.client.HTTPConnection("localhost", double.server.port)
    connection.request("GET", "/bucket", headers={**headers, "x-amz-security-token": ""})
    assert connection.getresponse().status == 403


def test_digests_are_checked(client):
    right, wrong = (base64.b64encode(hashlib.md5(text).digest()).decode() for text in (b"x", b"y"))
    assert client.request("PUT", "/bucket/a", body=b"x", **{"content-md5": right})[0] == 200
    assert code(client.request("PUT", "/bucket/a", body=b"x", **{"content-md5": wrong})[2]) == "BadDigest"
    right, wrong = (base64.b64encode(crc32c(text).to_bytes(4, "big")).decode() for text in (b"x", b"y"))
    assert client.request("PUT", "/bucket/a", body=b"x", **{"x-amz-checksum-crc32c": right})[0] == 200
    assert code(client.request("PUT", "/bucket/a", body=b"x", **{"x-amz-checksum-crc32c": wrong})[2]) == "BadDigest"
    assert code(client.request("POST", "/bucket", "delete=", b"<Delete/>")[2]) == "InvalidRequest"


def test_conditions(client):
    none = {"if-none-match": "*"}
    assert client.request("PUT", "/bucket/a", body=b"x", **none)[0] == 200
    assert client.request("PUT", "/bucket/a", body=b"y", **none)[0] == 412
    etag = client.request("HEAD", "/bucket/a")[1]["ETag"]
    assert client.request("GET", "/bucket/a", **{"if-match": etag, "range": "bytes=0-"})[0] == 206
    client.request("PUT", "/bucket/a", body=b"z")
    assert client.request("GET", "/bucket/a", **{"if-match": etag})[0] == 412


@pytest.mark.parametrize("dropped", [False, True])
def test_an_upload_in_parts(double, client, dropped):
    double.settings.drop_parts = dropped

    def complete(*parts):
        body = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>" for number, tag in parts)
        return client.request("POST", "/bucket/big", query, f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>".encode())
    identity = re.search(rb"<UploadId>([^<]+)", client.request("POST", "/bucket/big", "uploads=")[2])[1].decode()
    query, data = f"uploadId={sigv4.encoded(identity)}", [b"a" * (5 << 20), b"b"]
    tags = [client.request("PUT", "/bucket/big", f"partNumber={number}&{query}", body)[1]["ETag"] for number, body in enumerate(data, 1)]
    assert code(complete((1, tags[1]))[2]) == "InvalidPart"
    assert code(complete((2, tags[1]), (1, tags[0]))[2]) == "InvalidPartOrder"
    assert "big" not in double.objects() and len(client.open_uploads("bucket")) == 1
    assert complete((1, tags[0]), (2, tags[1]))[0] == 200 == complete((1, tags[0]), (2, tags[1]))[0]
    assert client.open_uploads("bucket") == []
    kept = double.objects()["big"]
    assert kept.pieces == [(5 << 20, b"a" * 16), (1, b"b")] if dropped else kept == b"".join(data)
    assert client.request("HEAD", "/bucket/big")[1]["Content-Length"] == str((5 << 20) + 1)


def test_pages_are_complete_and_in_byte_order(double, client):
    double.settings.page = 2
    names = ["a", "a b", "a/b", "b", "b/1", "b/2", "é", "\U0001F418", "~"]
    for name in names:
        double.bucket().put(name, b"")
    assert client.names("bucket") == sorted(names, key=str.encode)
    status, _, body = client.request("GET", "/bucket", "delimiter=%2F&list-type=2&max-keys=1000&start-after=a%20b")
    assert status == 200 and re.findall(rb"<(?:Key|Prefix)>([^<]+)", body) == [b"b", b"a/"]


def outcome(double, client, kind, method, body=b""):
    """What a client sees: a status, "no answer", or a body that is not what was announced."""
    double.fail({"request": double.count() + 1, **KINDS[kind]})
    try:
        status, _, answer = client.request(method, "/bucket/key", body=body)
        return f"{status} {code(answer) or ''}".strip()
    except (ConnectionError, http.client.HTTPException, OSError) as error:
        return type(error).__name__


@pytest.mark.parametrize("kind,put,get", [
    ("slow down", "503 SlowDown", "503 SlowDown"), ("internal error, but done", "500 InternalError", "500 InternalError"),
    ("denied", "403 AccessDenied", "403 AccessDenied"), ("bad gateway", "502", "502"), ("no xml", "200", "200"),
    ("error in success", "200 InternalError", "200 InternalError"), ("reset before", "ConnectionResetError", "ConnectionResetError"),
    ("reset in answer", "200", "ConnectionResetError"), ("truncated", "200", "IncompleteRead"),
    ("shorter than said", "IncompleteRead", "IncompleteRead"), ("closed, nothing answered", "RemoteDisconnected", "RemoteDisconnected")])
def test_faults(double, client, kind, put, get):
    content = b"0123456789" * 10000
    assert outcome(double, client, kind, "PUT", content) == put
    done = kind not in ("slow down", "denied", "bad gateway", "no xml", "error in success", "reset before")
    assert ("key" in double.objects()) == done
    double.fail()
    assert client.request("PUT", "/bucket/key", body=content)[0] == 200
    assert outcome(double, client, kind, "GET") == get
    double.fail()
    assert client.read("bucket", "key") == content


def test_rules_choose_their_requests(double, client):
    rules = double.fail({"operation": "PutObject", "key": "^b", "nth": 2, "times": 2, "do": "error", "status": 503, "code": "SlowDown"})
    got = [client.request("PUT", f"/bucket/{name}")[0] for name in ("a1", "b1", "a2", "b2", "b3", "a3", "b4")]
    assert got == [200, 200, 200, 503, 503, 200, 200] and rules[0].hits == 2


def test_temporary_keys_die(double):
    tokens = TokenDouble(double.keys, life=1)
    try:
        connection = http.client.HTTPConnection("localhost", tokens.server.port)
        connection.request("GET", "/container", headers={"Authorization": "another"})
        assert connection.getresponse().status == 403
        form = f"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=s&RoleArn={ROLE}&WebIdentityToken="
        connection = http.client.HTTPConnection("localhost", tokens.server.port)
        connection.request("POST", "/", form + "another")
        assert connection.getresponse().status == 400
        connection = http.client.HTTPConnection("localhost", tokens.server.port)
        connection.request("POST", "/", form + tokens.web_identity)
        assert connection.getresponse().status == 200
        (name,) = tokens.issued
        key = double.keys[name]
        headers = {"host": f"localhost:{double.server.port}"}
        sigv4.sign("GET", "/bucket", "", headers, b"", name, key.secret, "us-east-1", key.token)
        for status in (200, 400):
            connection = http.client.HTTPConnection("localhost", double.server.port)
            connection.request("GET", "/bucket", headers=headers)
            assert connection.getresponse().status == status
            time.sleep(1.1)
    finally:
        tokens.close()


def test_the_proxy_delays_and_breaks(double):
    delayed = Proxy("127.0.0.1", double.server.port, delay=0.05).start()
    broken = Proxy("127.0.0.1", double.server.port, fail=0.5).start()
    try:
        client = client_of(double, port=delayed.port)
        content = b"x" * (8 << 20)
        begin = time.monotonic()
        assert client.request("PUT", "/bucket/key", body=content)[0] == 200
        assert time.monotonic() - begin >= 0.2, "a connection and a request are two round trips"
        assert client.read("bucket", "key") == content
        client, outcomes = client_of(double, port=broken.port), set()
        for _ in range(20):
            try:
                outcomes.add(client.request("HEAD", "/bucket/key")[0])
            except (OSError, http.client.HTTPException):
                outcomes.add("broken")
        assert outcomes == {200, "broken"} and broken.failures > 2
    finally:
        delayed.close()
        broken.close()
