"""What goes wrong between a client and S3, one thing at a time: it is repeated, or said clearly, and never half done."""
import collections
import re
import socket
import threading
import time

import pytest
from doubles import sigv4
from doubles.faults import KINDS
from doubles.http_server import end_listening
from doubles.s3 import S3Double
from s3_harness import DOUBLE_SECRET, one_line_error, relations, ssl_context
from seawall_harness import MIB, SLOW, give, mkdir

ALONE = {"TOTAL_BG_UPLOADED_LIMIT": 1}
LASTING = ("denied", "expired token", "skewed")
# What no server that is well says: to fail with one clear error is as good as to ask again.
MISLEADING = ("no xml", "error in success", "longer than said", "shorter than said", "no etag")
LONG = ("stall", "stall in request", "stall in answer", "slow down, wait a second")
TRANSIENT = [kind for kind in KINDS if kind not in (*LASTING, *MISLEADING, *LONG, "condition ignored")]


@pytest.fixture
def segments(scratch, s3_archive, wal_files):
    """The files of a stopped cluster that archived nothing; its first segment is stored."""
    cluster = wal_files(scratch, s3_archive)
    s3_archive.ok("wal-push", cluster.segment_file(cluster.finished[0]), **ALONE)
    return cluster


def push(archive, cluster, number, **settings):
    return archive.run("wal-push", cluster.segment_file(cluster.finished[number]), **ALONE, **settings)


def fetch(scratch, archive, cluster, number, **settings):
    out = scratch.path / f"out{number}"
    out.unlink(missing_ok=True)
    return archive.run("wal-fetch", cluster.finished[number], out, WALG_DOWNLOAD_CONCURRENCY=1, **settings), out


def same(out, cluster, number):
    return out.read_bytes() == cluster.segment_file(cluster.finished[number]).read_bytes()


# --- repeated until it goes through


@pytest.mark.parametrize("kind", TRANSIENT)
def test_a_fault_that_passes_is_survived(scratch, double, s3_archive, segments, kind):
    rules = double.fail({"operation": "PutObject", "key": "wal_005", "times": 2, **KINDS[kind]})
    result = push(s3_archive, segments, 1)
    assert result.code == 0, f"{result}\n{double.summary()}"
    assert rules[0].hits, "the fault was not met"
    double.fail()
    result, out = fetch(scratch, s3_archive, segments, 1)
    assert result.code == 0 and same(out, segments, 1), result
    rules = double.fail({"operation": "GetObject", "key": "wal_005", "times": 2, **KINDS[kind]})
    result, out = fetch(scratch, s3_archive, segments, 1)
    assert result.code == 0 and same(out, segments, 1), f"{result}\n{double.summary()}"
    assert rules[0].hits, "the fault was not met"


@pytest.mark.once
@pytest.mark.parametrize("kind", MISLEADING)
def test_a_misleading_answer_is_not_believed(scratch, double, s3_archive, segments, kind):
    assert push(s3_archive, segments, 1).code == 0
    stored = double.objects()
    for operation in ("PutObject", "GetObject"):
        double.fail({"operation": operation, "key": "wal_005", "times": 2, **KINDS[kind]})
        result, out = push(s3_archive, segments, 2), None
        if operation == "GetObject":
            result, out = fetch(scratch, s3_archive, segments, 1)
        if result.code:
            one_line_error(result)
            assert not out or not out.exists(), result
        else:
            assert out is None or same(out, segments, 1), result
    double.fail()
    assert push(s3_archive, segments, 2).code == 0
    assert {key: double.objects()[key] for key in stored} == stored
    for number in (1, 2):
        result, out = fetch(scratch, s3_archive, segments, number)
        assert result.code == 0 and same(out, segments, number), result


@pytest.mark.once
@pytest.mark.parametrize("kind", MISLEADING[:4])
def test_a_misleading_listing_is_not_believed(double, s3_archive, segments, kind):
    double.fail({"operation": "ListObjectsV2|ListObjects", "times": 2, **KINDS[kind]})
    result = s3_archive.run("backup-list")
    assert result.code == 0 or one_line_error(result), result


@pytest.mark.once
@pytest.mark.parametrize("kind", [kind for kind in TRANSIENT if kind not in ("reset in request",)])
def test_a_listing_survives(double, s3_archive, segments, kind):
    rules = double.fail({"operation": "ListObjectsV2|ListObjects", "times": 2, **KINDS[kind]})
    s3_archive.ok("backup-list")
    assert rules[0].hits, "the fault was not met"


def test_a_storm_passes(scratch, double, s3_archive, segments):
    """Every second request goes through, and waits are cut short by the setting for that."""
    s3_archive.settings["S3_MAX_THROTTLING_RETRY_DELAY"] = 200
    double.fail({"times": 0, "share": 0.5, **KINDS["slow down"]})
    for number in (1, 2, 3):
        result = push(s3_archive, segments, number)
        assert result.code == 0, f"{result}\n{double.summary()}"
    result, out = fetch(scratch, s3_archive, segments, 3)
    assert result.code == 0 and same(out, segments, 3), result


@pytest.mark.once
def test_the_server_says_how_long_to_wait(double, s3_archive, segments):
    double.fail({"operation": "PutObject", "times": 2, **KINDS["slow down, wait a second"]})
    begin = time.monotonic()
    assert push(s3_archive, segments, 1).code == 0
    assert time.monotonic() - begin >= 2


def test_throttled_without_end_it_ends_in_the_time_it_was_given(scratch, double, s3_archive, segments):
    double.fail({"times": 0, **KINDS["slow down"]})
    begin = time.monotonic()
    result = push(s3_archive, segments, 1, SEAWALL_REQUEST_TIMEOUT="2s")
    assert result.code == 1 and time.monotonic() - begin < 10 * SLOW, result
    one_line_error(result, "SlowDown|slow down|throttl")
    begin = time.monotonic()
    result, out = fetch(scratch, s3_archive, segments, 0, SEAWALL_REQUEST_TIMEOUT="2s")
    assert result.code == 126 and time.monotonic() - begin < 10 * SLOW, result
    assert not out.exists()


def test_retries_end(double, s3_archive, segments):
    double.fail({"operation": "PutObject", "times": 0, **KINDS["internal error"]})
    double.forget()
    result = push(s3_archive, segments, 1, S3_MAX_RETRIES=2)
    assert result.code == 1 and double.count("PutObject") == 3, f"{result}\n{double.summary()}"
    double.forget()
    assert push(s3_archive, segments, 1, S3_MAX_RETRIES=0).code == 1
    assert double.count("PutObject") == 1, double.summary()


@pytest.mark.parametrize("kind", ["stall", "stall in answer", "stall in request"])
@pytest.mark.long
def test_a_stalled_transfer_is_noticed(scratch, double, s3_archive, segments, kind):
    rules = double.fail({"operation": "PutObject", "key": "wal_005", **KINDS[kind]})
    assert push(s3_archive, segments, 1).code == 0 and rules[0].hits == 1, double.summary()
    rules = double.fail({"operation": "GetObject", "key": "wal_005", **KINDS[kind]})
    result, out = fetch(scratch, s3_archive, segments, 1)
    assert result.code == 0 and same(out, segments, 1) and rules[0].hits == 1, result


@pytest.mark.long
def test_a_stall_counts_against_the_time_that_was_given(scratch, double, s3_archive, segments):
    double.fail({"times": 0, **KINDS["stall"]})
    begin = time.monotonic()
    result, out = fetch(scratch, s3_archive, segments, 0, SEAWALL_REQUEST_TIMEOUT="3s")
    assert result.code == 126 and not out.exists(), result
    assert time.monotonic() - begin < 45 * SLOW, result


# --- answers that mislead


def test_an_answer_that_was_lost_is_not_taken_for_a_failure(double, s3_archive, segments):
    """The object was stored, the answer was not heard: pushed again it is there already, and the same."""
    for number, kind in enumerate(("internal error, but done", "closed, nothing answered", "reset in head"), 1):
        double.fail({"operation": "PutObject", "key": "wal_005", **KINDS[kind]})
        result = push(s3_archive, segments, number)
        assert result.code == 0, f"{kind}: {result}\n{double.summary()}"


@pytest.mark.once
@pytest.mark.parametrize("conditions", ["ignore", "refuse"])
def test_servers_that_know_no_conditions(scratch, double, s3_archive, segments, conditions):
    double.settings.conditions = conditions
    assert push(s3_archive, segments, 1).code == 0, double.summary()
    assert push(s3_archive, segments, 1).code == 0, double.summary()
    stored = s3_archive.contents()
    other = give(mkdir(segments.home / "other/pg_wal")) / segments.finished[1]
    raw = bytearray(segments.segment_file(segments.finished[1]).read_bytes())
    raw[5000] ^= 0xFF
    other.write_bytes(raw)
    s3_archive.fails("wal-push", give(other), says=segments.finished[1], **ALONE)
    assert s3_archive.contents() == stored, "what was stored first was overwritten"


def test_an_upload_in_parts_ends_without_an_etag(double, s3_archive):
    """radosgw 16 answers so."""
    double.settings.etag_at_completion = False
    cluster = busy_cluster(s3_archive)
    s3_archive.ok("backup-push", cluster.data, **cluster.connection())
    assert double.count("CompleteMultipartUpload") >= 1 and len(s3_archive.backups()) == 1


def test_a_read_goes_on_where_it_broke_and_only_of_the_same_object(scratch, double, s3_archive, segments):
    key = f"{s3_archive.prefix}/wal_005/{segments.finished[1]}.lz4"
    assert push(s3_archive, segments, 1).code == 0
    middle = len(double.objects()[key]) // 2
    double.forget()
    double.fail({"operation": "GetObject", "do": "reset", "of": "answer", "at": middle})
    result, out = fetch(scratch, s3_archive, segments, 1)
    assert result.code == 0 and same(out, segments, 1), result
    again = [each for each in double.log if each.operation == "GetObject"][1]
    assert again.headers["range"].startswith("bytes=") and "if-match" in again.headers, again
    # Replaced meanwhile by something of the same length: two halves make no whole.
    double.fail({"operation": "GetObject", "do": "reset", "of": "answer", "at": middle},
                {"operation": "GetObject", "nth": 2, "do": "change", "put": {key: "x" * len(double.objects()[key])}})
    result, out = fetch(scratch, s3_archive, segments, 1)
    assert result.code == 126 and not out.exists(), result


def test_pages_that_change_while_they_are_read(scratch, double, s3_archive):
    cluster = scratch.cluster(s3_archive)
    cluster.start()
    s3_archive.ok("backup-push", cluster.data, **cluster.connection())
    (name,) = s3_archive.backups()
    sentinel = s3_archive.read(f"basebackups_005/{name}_backup_stop_sentinel.json").decode()
    folder = f"{s3_archive.prefix}/basebackups_005/"
    for number in range(6):
        double.bucket().put(f"{folder}base_0000000100000000000000F{number}_backup_stop_sentinel.json", sentinel.encode())
    double.settings.page = 2
    double.fail({"operation": "ListObjectsV2", "nth": 2, "do": "change", "put": {f"{folder}aaa": "x", f"{folder}zzz": "x"},
                 "delete": [f"{folder}base_0000000100000000000000F0_backup_stop_sentinel.json"]})
    listed = {line["backup_name"] for line in s3_archive.ok("backup-list", "--json").json()}
    assert {name, *(f"base_0000000100000000000000F{number}" for number in range(1, 6))} <= listed


def busy_cluster(archive):
    """A running cluster whose backup is some parts big."""
    archive.settings["S3_MAX_PART_SIZE"] = 5 * MIB
    cluster = archive.scratch.cluster(archive, autovacuum="off")
    cluster.start()
    cluster.sql("create table t as select g, encode(sha512(g::text::bytea), 'base64') m from generate_series(1, 60000) g")
    cluster.sql("vacuum (freeze) t")
    cluster.sql("checkpoint")
    return cluster


@pytest.mark.once
@pytest.mark.parametrize("kind", ["error in success", "closed, nothing answered", "internal error, but done", "bad gateway",
                                  "truncated", "reset in head", "conflict", "slow down"])
def test_an_upload_in_parts_ends_well(scratch, double, s3_archive, kind):
    cluster = busy_cluster(s3_archive)
    before = relations(cluster.data)
    rules = double.fail({"operation": "CompleteMultipartUpload", **KINDS[kind]})
    if kind != "error in success":  # S3 says so at the end of an upload only
        rules = double.fail({"operation": "CompleteMultipartUpload", **KINDS[kind]}, {"operation": "UploadPart", "nth": 2, **KINDS[kind]},
                            {"operation": "CreateMultipartUpload", **KINDS[kind]})
    s3_archive.ok("backup-push", cluster.data, **cluster.connection())
    assert all(rule.hits for rule in rules), double.summary()
    # A CreateMultipartUpload whose answer was lost leaves an upload that nobody knows the name of; without parts.
    assert not any(upload.parts for upload in s3_archive.open_uploads()), double.summary()
    assert relations(scratch.restored(s3_archive).data) == before
    if len(rules) > 1:
        sent = collections.Counter(each.query for each in double.log if each.operation == "UploadPart")
        again = 1 if kind == "truncated" else 2  # the answer to a part is shorter than where that breaks off
        assert sorted(sent.values()) == [1] * (len(sent) - 1) + [again], "a part is repeated alone"


def test_a_failed_upload_in_parts_is_aborted(scratch, double, s3_archive):
    cluster = busy_cluster(s3_archive)
    double.fail({"operation": "UploadPart", "nth": 2, "times": 0, **KINDS["denied"]})
    s3_archive.fails("backup-push", cluster.data, **cluster.connection(), says="tar_partitions")
    assert s3_archive.open_uploads() == [], double.summary()
    assert s3_archive.backups() == []


# --- refused, and said so


@pytest.mark.parametrize("kind,words", [("denied", ["denied", "s3:PutObject", "wal_005"]), ("expired token", ["expired"]), ("skewed", ["clock|time"])])
def test_what_no_repetition_helps_is_said_at_once(double, s3_archive, segments, kind, words):
    double.fail({"operation": "PutObject", "times": 0, **KINDS[kind]})
    double.forget()
    begin = time.monotonic()
    result = push(s3_archive, segments, 1)
    assert result.code == 1 and time.monotonic() - begin < 10 * SLOW, result
    one_line_error(result, *words)
    assert double.count("PutObject") <= 3 and DOUBLE_SECRET not in result.err, f"{result}\n{double.summary()}"


class RawServer:
    """A port that reads a little, says `answer`, and hangs up."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(self.answer)

    def close(self):
        end_listening(self.listener, self.thread)


SHORT = {"SEAWALL_REQUEST_TIMEOUT": "1s"}
NO_METADATA = {"AWS_EC2_METADATA_DISABLED": "true"}
TLS = {"AWS_ENDPOINT": "https://localhost:9", **SHORT}
PROXY_PASSWORD = "a-password-of-the-proxy"
BAD_SETTINGS = {
    "no bucket": ({"WALG_S3_PREFIX": "s3://"}, ["WALG_S3_PREFIX", "s3://"]),
    "no scheme": ({"WALG_S3_PREFIX": "bucket/path"}, ["WALG_S3_PREFIX", "bucket/path"]),
    "another scheme": ({"WALG_S3_PREFIX": "gs://bucket/path"}, ["WALG_S3_PREFIX", "gs://"]),
    "bad percent": ({"WALG_S3_PREFIX": "s3://bucket/a%zz"}, ["WALG_S3_PREFIX", "a%zz"]),
    "bucket missing": ({"WALG_S3_PREFIX": "s3://missing-bucket/path"}, ["missing-bucket", "bucket"]),
    "unknown key": ({"AWS_ACCESS_KEY_ID": "AKIDNOBODY"}, ["AKIDNOBODY|access key"]),
    "wrong secret": ({"AWS_SECRET_ACCESS_KEY": "not-the-secret"}, ["secret|signature"]),
    "no credentials": ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, **NO_METADATA}, ["credential"]),
    "half of the credentials": ({"AWS_SECRET_ACCESS_KEY": None, **NO_METADATA}, ["AWS_SECRET_ACCESS_KEY|credential"]),
    "unresolvable": ({"AWS_ENDPOINT": "http://no-such-host.invalid:1", **SHORT}, ["no-such-host.invalid", "resolve"]),
    "nobody listens": ({"AWS_ENDPOINT": "http://127.0.0.1:9", **SHORT}, ["127.0.0.1", "9", "refused|connect"]),
    "no URL": ({"AWS_ENDPOINT": "http://", **SHORT}, ["AWS_ENDPOINT"]),
    "proxy refuses": ({"AWS_ENDPOINT": "http://storage.invalid", "http_proxy": "http://127.0.0.1:9", **SHORT}, ["proxy", "127.0.0.1"]),
    "proxy refuses to connect": ({**TLS, "AWS_ENDPOINT": "https://storage.invalid", "https_proxy": "PROXY"}, ["proxy refuses", "407"]),
    "CA file missing": ({"S3_CA_CERT_FILE": "/nonexistent/ca.pem", **TLS}, ["/nonexistent/ca.pem"]),
    "key of the key service alone": ({"S3_SSE_KMS_ID": "key-1"}, ["SSE"]),
    "key service without a key": ({"S3_SSE": "aws:kms"}, ["KMS"]),
    "customer's key without TLS": ({"S3_SSE": "AES256", "S3_SSE_C": "k" * 32}, ["TLS|https"]),
    "customer's key too short": ({"S3_SSE": "AES256", "S3_SSE_C": "short", **TLS}, ["SSE_C", "32"]),
    "parts too small": ({"S3_MAX_PART_SIZE": "1mb"}, ["PART_SIZE", "5"]),
    "headers are no map": ({"S3_REQUEST_ADDITIONAL_HEADERS": "[1, 2"}, ["ADDITIONAL_HEADERS"]),
}


@pytest.mark.once
@pytest.mark.parametrize("what", BAD_SETTINGS)
def test_bad_settings_are_named(scratch, double, s3_archive, segments, what):
    settings, words = BAD_SETTINGS[what]
    proxy = RawServer(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    settings = {name: f"http://user:{PROXY_PASSWORD}@127.0.0.1:{proxy.port}" if value == "PROXY" else value
                for name, value in settings.items()}
    out = scratch.path / "out0"
    try:
        for code, run in ((1, lambda: push(s3_archive, segments, 1, **settings)),
                          (126, lambda: fetch(scratch, s3_archive, segments, 0, **settings)[0])):
            begin = time.monotonic()
            result = run()
            assert result.code == code and time.monotonic() - begin < 15 * SLOW, result
            assert len(one_line_error(result, *words)) < 1000, result
            for secret in (DOUBLE_SECRET, "not-the-secret", "k" * 32, PROXY_PASSWORD):
                assert secret not in result.err, result
        assert not out.exists()
    finally:
        proxy.close()


NO_S3 = {"nothing": b"", "ssh": b"SSH-2.0-OpenSSH_9.2p1\r\n", "zeros": bytes(100),
         "a web server": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nIt works!"}


@pytest.mark.once
@pytest.mark.parametrize("what", NO_S3)
def test_an_endpoint_that_is_no_s3(scratch, s3_archive, segments, what):
    server = RawServer(NO_S3[what])
    try:
        begin = time.monotonic()
        result = push(s3_archive, segments, 1, AWS_ENDPOINT=f"http://127.0.0.1:{server.port}", **SHORT)
        assert result.code == 1 and time.monotonic() - begin < 15 * SLOW, result
        one_line_error(result, "127.0.0.1")
        result, out = fetch(scratch, s3_archive, segments, 0, AWS_ENDPOINT=f"http://127.0.0.1:{server.port}", **SHORT)
        assert result.code == 126 and not out.exists() and time.monotonic() - begin < 30 * SLOW, result
        one_line_error(result, "127.0.0.1")
    finally:
        server.close()


@pytest.mark.once
def test_tls_is_checked(scratch, certificates, s3_archive, segments):
    """A certificate of nobody's, one of another name, plain HTTP where TLS is spoken, and the reverse."""
    doubles = {name: S3Double(ssl_context(pair)) for name, pair in certificates.items()}
    try:
        here = doubles["localhost"].endpoint
        trusted = {"S3_CA_CERT_FILE": certificates["localhost"][0]}
        cases = [({"AWS_ENDPOINT": here}, ["certificate"]),
                 ({"AWS_ENDPOINT": here, "S3_CA_CERT_FILE": certificates["elsewhere"][0]}, ["certificate"]),
                 ({"AWS_ENDPOINT": doubles["elsewhere"].endpoint, "S3_CA_CERT_FILE": certificates["elsewhere"][0]},
                  ["certificate", "localhost|name"]),
                 ({"AWS_ENDPOINT": here, "S3_CA_CERT_FILE": "/etc/passwd"}, ["/etc/passwd", "PEM"]),
                 ({"AWS_ENDPOINT": here.replace("https", "http"), **SHORT}, ["localhost"]),
                 ({"AWS_ENDPOINT": s3_archive.settings["AWS_ENDPOINT"].replace("http", "https"), **trusted, **SHORT}, ["localhost"])]
        for settings, words in cases:
            begin = time.monotonic()
            result = push(s3_archive, segments, 1, **settings)
            assert result.code == 1 and time.monotonic() - begin < 15 * SLOW, result
            one_line_error(result, *words)
        assert push(s3_archive, segments, 1, AWS_ENDPOINT=here, **trusted).code == 0
        assert push(s3_archive, segments, 1, AWS_ENDPOINT=here, AWS_CA_BUNDLE=certificates["localhost"][0]).code == 0
    finally:
        for each in doubles.values():
            each.close()


@pytest.mark.once
def test_other_commands_fail_as_clearly(scratch, s3_archive, cluster):
    target = scratch.path / "target"
    commands = (["backup-push", cluster.data], ["backup-fetch", target, "LATEST"], ["backup-list"], ["st", "ls"])
    for what, code in (("wrong secret", 12), ("bucket missing", 3), ("nobody listens", 13), ("CA file missing", 3)):
        settings, words = BAD_SETTINGS[what]
        for command, documented in (*((command, 1) for command in commands), (["check", "storage"], code)):
            begin = time.monotonic()
            result = s3_archive.run(*command, **cluster.connection(), **settings)
            assert result.code == documented and time.monotonic() - begin < 15 * SLOW, result
            assert "not-the-secret" not in result.err, result
            one_line_error(result, *words)
            assert not target.exists() or not any(target.iterdir())


def test_secrets_are_in_no_log_and_no_argument(scratch, double, s3_archive, segments):
    double.keys["ASIATEMP"] = sigv4.Key("very/secret+key", "token/+=" * 20)
    settings = {"AWS_ACCESS_KEY_ID": "ASIATEMP", "AWS_SECRET_ACCESS_KEY": "very/secret+key", "AWS_SESSION_TOKEN": "token/+=" * 20,
                "WALG_LOG_LEVEL": "DEVEL", "S3_LOG_LEVEL": "DEVEL"}
    double.fail({"operation": "PutObject", **KINDS["internal error"]})
    result = s3_archive.ok("wal-push", segments.segment_file(segments.finished[1]), **settings)
    assert "very/secret" not in result.err and "token/+" not in result.err, result
    assert not re.search(r"Signature=[0-9a-f]{64}|Authorization", result.err, re.IGNORECASE), result
