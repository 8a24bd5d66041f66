"""On S3 as on files: archive, backup, restore, with real servers. What is sent, who signs it and where it goes, with doubles."""
import contextlib
import dataclasses
import hashlib
import http.server
import pathlib
import re
import threading

import pytest
from doubles import sigv4
from doubles.faults import KINDS
from doubles.s3 import S3Double
from doubles.tokens import ROLE, TokenDouble
from golden import sums
from s3_harness import DOUBLE_KEY, DOUBLE_SECRET, S3Archive, double_archive, ssl_context
from seawall_harness import MIB, give, mkdir, touch

EVERYWHERE = ["radosgw http", "radosgw https", "swift", pytest.param("radosgw18 http", marks=pytest.mark.long),
              pytest.param("radosgw18 https", marks=pytest.mark.long)]


def on_server(request, which):
    name, _, scheme = which.partition(" ")
    server = request.getfixturevalue(name)
    return dataclasses.replace(server, endpoint=server.plain, ca="") if scheme == "http" else server


@pytest.fixture(params=EVERYWHERE)
def s3(request, scratch):
    return S3Archive(scratch, on_server(request, request.param))


@pytest.fixture
def rados(scratch, radosgw):
    """An archive on radosgw over TLS."""
    return S3Archive(scratch, radosgw)


ALONE = {"TOTAL_BG_UPLOADED_LIMIT": 1}

# --- real servers


def test_archived_backed_up_and_brought_back(scratch, s3):
    """With parts of the least size, so that the backup travels in several."""
    s3.settings["S3_MAX_PART_SIZE"] = 5 * MIB
    cluster = scratch.cluster(s3)
    cluster.start()
    cluster.sql("create table t as select g, encode(sha512(g::text::bytea), 'base64') m from generate_series(1, 100000) g")
    cluster.sql("checkpoint")
    s3.ok("backup-push", cluster.data, **cluster.connection())
    cluster.sql("insert into t select g, 'later' from generate_series(1, 100) g")
    cluster.archive_all()
    digest = cluster.digest()
    cluster.crash()
    assert s3.open_uploads() == []
    (name,) = s3.backups()
    assert name in s3.ok("backup-list").out
    assert max(len(s3.read(key)) for key in s3.keys("basebackups_005/")) > 5 * MIB, "the backup was too small for parts"
    restored = scratch.restored(s3)
    restored.recovery()
    restored.start(archive_mode="off")
    restored.wait_promoted()
    assert restored.digest() == digest


@pytest.mark.once
def test_every_promise_of_a_store_is_kept(s3):
    """The contract that each driver passes, as users run it against their storage; and it cleans up."""
    s3.ok("st", "check", "write")
    result = s3.ok("check", "storage", timeout=300)
    promises, features = result.out.split("\nAlso:\n")
    lines = promises.splitlines()[1:]
    assert len(lines) > 30 and all(line.startswith("yes ") for line in lines), result
    assert [line[:20].strip() for line in features.splitlines()] == ["put if absent", "checksums", "removal in batches",
                                                                     "versions", "object lock"], result
    assert all(line[20:].strip() for line in features.splitlines()), result
    assert s3.keys("") == []
    missing = s3.run("st", "check", "read", "wal_005/none")
    assert missing.code == 1 and "wal_005/none" in missing.err, missing


def test_stored_on_s3_as_on_files(scratch, s3, wal_files):
    files = scratch.archive()
    cluster = wal_files(scratch, files)
    for name in cluster.finished:
        for archive in (files, s3):
            archive.ok("wal-push", cluster.segment_file(name), **ALONE, PGDATA=cluster.home)
    assert s3.contents() == {key: content for key, (content, _) in files.contents().items()}


def test_wal_comes_back_and_what_is_missing_is_74(scratch, s3, wal_files):
    cluster = wal_files(scratch, s3)
    s3.ok("wal-push", cluster.segment_file(cluster.finished[0]))
    out = scratch.path / "out"
    for name in cluster.finished:
        s3.ok("wal-fetch", name, out)
        assert out.read_bytes() == cluster.segment_file(name).read_bytes()
        out.unlink()
    assert s3.run("wal-fetch", "0000000100000000000000FF", out).code == 74
    assert not out.exists()


def test_another_segment_under_a_stored_name_is_refused(s3, scratch, wal_files):
    cluster = wal_files(scratch, s3)
    path = cluster.segment_file(cluster.finished[0])
    s3.ok("wal-push", path, **ALONE)
    stored = s3.contents()
    s3.ok("wal-push", path, **ALONE)
    other = give(mkdir(cluster.home / "other/pg_wal")) / path.name
    raw = bytearray(path.read_bytes())
    raw[5000] ^= 0xFF
    other.write_bytes(raw)
    result = s3.fails("wal-push", give(other), says=path.name, **ALONE)
    assert len(set(re.findall(r"\b[0-9a-f]{16,64}\b", result.err))) >= 2, result
    assert s3.contents() == stored


@pytest.mark.parametrize("prefix", ["with blank", "per%25cent+plus", "ümlaut/日本", "tilde~(*)!'"])
def test_odd_prefixes(scratch, rados, prefix, wal_files):
    """The prefix is a URL: what it says of an object's key is percent-decoded."""
    rados.prefix = prefix.replace("%25", "%")
    rados.settings["WALG_S3_PREFIX"] = f"s3://{rados.bucket}/{prefix}/"
    cluster = wal_files(scratch, rados)
    name = cluster.finished[0]
    rados.ok("wal-push", cluster.segment_file(name), **ALONE)
    assert f"wal_005/{name}.lz4" in rados.keys()
    rados.ok("wal-fetch", name, scratch.path / "out")
    assert (scratch.path / "out").read_bytes() == cluster.segment_file(name).read_bytes()


def test_a_customers_key_is_needed_to_read(scratch, rados, wal_files):
    cluster = wal_files(scratch, rados)
    name, key = cluster.finished[0], "0123456789abcdef0123456789ABCDEF"
    rados.settings.update(S3_SSE="AES256", S3_SSE_C=key)
    rados.ok("wal-push", cluster.segment_file(name), **ALONE)
    status, _, body = rados.server.request("GET", f"/{rados.bucket}/{rados.prefix}/wal_005/{name}.lz4")
    assert status == 400 and b"<Code>" in body, "the server gave it without the key"
    out = scratch.path / "out"
    rados.ok("wal-fetch", name, out, WALG_DOWNLOAD_CONCURRENCY=1)
    assert out.read_bytes() == cluster.segment_file(name).read_bytes()
    out.unlink()
    wrong = "fedcba9876543210fedcba9876543210"
    result = rados.run("wal-fetch", name, out, S3_SSE_C=wrong)
    assert result.code == 126 and not out.exists(), result
    assert key not in result.err and wrong not in result.err, result
    rados.ok("wal-push", cluster.segment_file(name), **ALONE)


def test_a_backup_with_a_customers_key(scratch, rados):
    rados.settings.update(S3_SSE="AES256", S3_SSE_C="0123456789abcdef0123456789ABCDEF", S3_MAX_PART_SIZE=5 * MIB)
    cluster = scratch.cluster(rados)
    cluster.start()
    cluster.sql("create table t as select g, encode(sha512(g::text::bytea), 'base64') m from generate_series(1, 100000) g")
    rados.ok("backup-push", cluster.data, **cluster.connection())
    cluster.archive_all()
    cluster.stop()
    restored = scratch.restored(rados)
    restored.recovery()
    restored.start(archive_mode="off")
    restored.wait_promoted()
    assert restored.sql("select count(*) from t") == "100000"


def test_encrypted_by_the_key_service(scratch, rados, wal_files):
    cluster = wal_files(scratch, rados)
    name = cluster.finished[0]
    rados.settings.update(S3_SSE="aws:kms", S3_SSE_KMS_ID="testkey-1")
    rados.ok("wal-push", cluster.segment_file(name), **ALONE)
    status, headers, _ = rados.server.request("HEAD", f"/{rados.bucket}/{rados.prefix}/wal_005/{name}.lz4")
    headers = {key.lower(): value for key, value in headers.items()}
    assert status == 200 and headers["x-amz-server-side-encryption"] == "aws:kms"
    assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "testkey-1"
    rados.ok("wal-fetch", name, scratch.path / "out")
    assert (scratch.path / "out").read_bytes() == cluster.segment_file(name).read_bytes()


def test_another_users_bucket_is_denied_by_name(scratch, rados, wal_files):
    cluster = wal_files(scratch, rados)
    key, secret = rados.server.other
    stranger = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    result = rados.fails("wal-push", cluster.segment_file(cluster.finished[0]), says=rados.bucket, **stranger, **ALONE)
    assert secret not in result.err, result
    assert rados.keys() == []
    assert rados.run("wal-fetch", cluster.finished[0], scratch.path / "out", **stranger).code == 126


def test_listed_by_the_older_request(scratch, s3, wal_files):
    s3.settings["S3_USE_LIST_OBJECTS_V1"] = "true"
    cluster = wal_files(scratch, s3)
    s3.ok("wal-push", cluster.segment_file(cluster.finished[0]))
    s3.ok("wal-fetch", cluster.finished[1], scratch.path / "out")
    s3.ok("backup-list")
    assert (scratch.path / "out").read_bytes() == cluster.segment_file(cluster.finished[1]).read_bytes()


@pytest.mark.once
def test_walg_and_seawall_read_each_other(scratch, rados, walg):
    cluster = scratch.cluster(rados)
    cluster.start()
    cluster.sql("create table t as select g, md5(g::text) m from generate_series(1, 30000) g; checkpoint")
    rados.ok("backup-push", cluster.data, **cluster.connection())
    rados.ok("backup-push", cluster.data, program=walg, timeout=300, **cluster.connection())
    name = cluster.archive_all()
    cluster.stop()
    for backup in rados.backups():
        trees = []
        for program in (None, walg):
            target = scratch.cluster(rados, empty=True)
            rados.ok("backup-fetch", target.data, backup, program=program, timeout=300)
            trees.append(sums(target.data))
        assert trees[0] == trees[1] and trees[0]
    for program, out in ((None, "ours"), (walg, "theirs")):
        rados.ok("wal-fetch", name, scratch.path / out, program=program, WALG_DOWNLOAD_CONCURRENCY=1)
    assert (scratch.path / "ours").read_bytes() == (scratch.path / "theirs").read_bytes()


# --- what is sent


def test_a_push_costs_one_put_and_at_most_one_list(scratch, double, s3_archive, wal_files):
    cluster = wal_files(scratch, s3_archive)
    s3_archive.ok("wal-push", cluster.segment_file(cluster.finished[0]), **ALONE)
    for name in cluster.finished[1:]:
        double.forget()
        s3_archive.ok("wal-push", cluster.segment_file(name), **ALONE)
        assert (double.count("PutObject"), double.count()) in ((1, 1), (1, 2)), double.summary()
        assert double.count("PutObject", "ListObjectsV2") == double.count(), double.summary()


def test_connections_are_kept(scratch, double, s3_archive, wal_files):
    cluster = wal_files(scratch, s3_archive)
    s3_archive.ok("wal-push", cluster.segment_file(cluster.finished[0]), UPLOAD_CONCURRENCY=2)
    assert double.count("PutObject") >= 12
    assert len({each.connection for each in double.log}) * 4 <= double.count(), double.summary()


def test_tls_sessions_are_resumed(scratch, certificates, wal_files):
    double = S3Double(ssl_context(certificates["localhost"]))
    try:
        archive = double_archive(scratch, double, S3_CA_CERT_FILE=certificates["localhost"][0])
        cluster = wal_files(scratch, archive)
        archive.ok("wal-push", cluster.segment_file(cluster.finished[0]))
        first = {}
        for each in double.log:
            first.setdefault(each.connection, each.resumed)
        assert len(first) == 1 or any(first.values()), "no further connection resumed the session of the first"
        assert all(each.headers["x-amz-content-sha256"] == sigv4.UNSIGNED for each in double.log if each.operation == "PutObject")
    finally:
        double.close()


def put_headers(wal_files, double, archive, **settings):
    cluster = wal_files(archive.scratch, archive)
    archive.ok("wal-push", cluster.segment_file(cluster.finished[0]), **ALONE, **settings)
    return next(each.headers for each in double.log if each.operation == "PutObject" and "wal_005" in each.key)


def test_a_body_without_tls_is_signed_and_every_body_has_a_checksum(scratch, double, s3_archive, wal_files):
    headers = put_headers(wal_files, double, s3_archive)
    assert re.fullmatch("[0-9a-f]{64}", headers["x-amz-content-sha256"])
    assert {"content-md5", "x-amz-checksum-crc32c", "x-amz-content-sha256"} & set(headers)
    assert int(headers["content-length"]) > 0


def test_settings_of_the_stored_object(scratch, double, s3_archive, wal_files):
    headers = put_headers(wal_files, double, s3_archive, S3_STORAGE_CLASS="STANDARD_IA", S3_SSE="AES256", S3_RETENTION_PERIOD=3600,
                          S3_RETENTION_MODE="COMPLIANCE",
                          S3_REQUEST_ADDITIONAL_HEADERS='{"X-Team": "databases", "X-Amz-Meta-Host": "db 1"}')
    assert headers["x-amz-storage-class"] == "STANDARD_IA"
    assert headers["x-amz-server-side-encryption"] == "AES256"
    assert headers["x-amz-object-lock-mode"] == "COMPLIANCE"
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", headers["x-amz-object-lock-retain-until-date"])
    assert headers["x-team"] == "databases" and headers["x-amz-meta-host"] == "db 1"


def test_bucket_in_the_hosts_name(scratch, double, s3_archive, wal_files):
    headers = put_headers(wal_files, double, s3_archive, AWS_S3_FORCE_PATH_STYLE="false")
    assert headers["host"] == f"bucket.localhost:{double.server.port}"
    assert s3_archive.keys("wal_005/")


class Answering(http.server.BaseHTTPRequestHandler):
    """Says what the server was made with, and notes what it was asked."""

    def do_GET(self):
        self.server.asked.append(self.requestline)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.said)))
        self.end_headers()
        self.wfile.write(self.server.said)

    do_PUT = do_HEAD = do_GET

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def answering(status, said):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.status, server.said, server.asked = status, said, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def test_a_proxy_of_the_environment_is_used_unless_no_proxy_names_the_host(s3_archive):
    elsewhere = {"AWS_ENDPOINT": "http://storage.invalid", "SEAWALL_REQUEST_TIMEOUT": "1s"}
    with answering(403, b"") as proxy:
        settings = {**elsewhere, "http_proxy": f"http://127.0.0.1:{proxy.server_port}"}
        s3_archive.fails("backup-list", **settings)
        assert proxy.asked and " http://storage.invalid/bucket" in proxy.asked[0], proxy.asked
        asked = len(proxy.asked)
        s3_archive.fails("backup-list", **settings, no_proxy="example.com,storage.invalid", says="storage.invalid")
        assert len(proxy.asked) == asked


def test_the_endpoint_that_a_source_tells(scratch, double, s3_archive, wal_files):
    with answering(200, b"127.0.0.1") as source:
        headers = put_headers(wal_files, double, s3_archive, AWS_ENDPOINT="http://storage.invalid",
                              S3_ENDPOINT_SOURCE=f"http://127.0.0.1:{source.server_port}/", S3_ENDPOINT_PORT=double.server.port)
    assert headers["host"].split(":")[0] == "storage.invalid"


# --- who signs


def test_a_session_token_is_sent_and_signed(scratch, double, s3_archive, wal_files):
    double.keys["ASIATEMP"] = sigv4.Key("short/lived", "token/+=" * 20)
    settings = {"AWS_ACCESS_KEY_ID": "ASIATEMP", "AWS_SECRET_ACCESS_KEY": "short/lived", "AWS_SESSION_TOKEN": "token/+=" * 20}
    put_headers(wal_files, double, s3_archive, **settings)
    result = s3_archive.fails("backup-list", **{**settings, "AWS_SESSION_TOKEN": "of/another"})
    assert "short/lived" not in result.err and "of/another" not in result.err, result


def test_keys_of_a_profile(scratch, s3_archive):
    folder = give(mkdir(scratch.home / ".aws"))
    give(touch(folder / "credentials")).write_text(
        f"[default]\naws_access_key_id = WRONG\naws_secret_access_key = wrong\n\n[backup]\naws_access_key_id={DOUBLE_KEY}\n"
        f"aws_secret_access_key = {DOUBLE_SECRET}\n")
    none = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    s3_archive.ok("backup-list", AWS_PROFILE="backup", **none)
    s3_archive.fails("backup-list", AWS_PROFILE="default", **none)


@pytest.fixture
def tokens(double):
    """Credentials that live for two seconds."""
    made = TokenDouble(double.keys)
    yield made
    made.close()


def sources(scratch, tokens):
    """Name → settings under which that source hands out the credentials."""
    token = give(touch(scratch.home / "web-identity"))
    token.write_text(tokens.web_identity)
    role = {"AWS_ROLE_ARN": ROLE, "AWS_ROLE_SESSION_NAME": "backup", "AWS_ENDPOINT_URL_STS": tokens.endpoint}
    none = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    return {
        "assumed role": role,
        "web identity": {**none, **role, "AWS_WEB_IDENTITY_TOKEN_FILE": token},
        "container": {**none, "AWS_CONTAINER_CREDENTIALS_FULL_URI": tokens.endpoint + "/container",
                      "AWS_CONTAINER_AUTHORIZATION_TOKEN": tokens.authorization},
        "ec2": {**none, "AWS_EC2_METADATA_SERVICE_ENDPOINT": tokens.endpoint + "/"}}


@pytest.mark.parametrize("source", ["assumed role", "web identity", "container", "ec2"])
def test_credentials_that_live_for_two_seconds_are_renewed(scratch, double, s3_archive, tokens, source):
    """The transfer is slowed down so that it outlives them."""
    cluster = scratch.cluster(s3_archive)
    settings = sources(scratch, tokens)[source]
    cluster.configure(archive_command=cluster.archive_command(**settings))
    cluster.start()
    cluster.sql("create table t as select g, encode(sha512(g::text::bytea), 'base64') m from generate_series(1, 60000) g")
    double.forget()
    s3_archive.ok("backup-push", cluster.data, **cluster.connection(), **settings, WALG_NETWORK_RATE_LIMIT=3 * MIB,
                  WALG_TAR_SIZE_THRESHOLD=MIB)
    assert len(tokens.issued) >= 3, tokens.log
    assert not [each for each in double.log if each.status == 403], double.summary()
    assert len(s3_archive.backups()) == 1


def test_credentials_that_the_server_calls_expired_are_asked_for_again(scratch, double, s3_archive, tokens, wal_files):
    tokens.life = 3600
    cluster = wal_files(scratch, s3_archive)
    settings = sources(scratch, tokens)["container"]
    double.fail({"operation": "PutObject", "key": "wal_005", **KINDS["expired token"]})
    s3_archive.ok("wal-push", cluster.segment_file(cluster.finished[0]), **ALONE, **settings)
    assert len(tokens.issued) == 2
    double.fail({"key": "wal_005", **KINDS["expired token"]})
    s3_archive.ok("wal-fetch", cluster.finished[0], scratch.path / "out", WALG_DOWNLOAD_CONCURRENCY=1, **settings)
    assert (scratch.path / "out").read_bytes() == cluster.segment_file(cluster.finished[0]).read_bytes()
    assert len(tokens.issued) == 4


# --- where it goes


def in_region(scratch, region, **settings):
    double = S3Double(region=region)
    return double, double_archive(scratch, double, **settings)


@pytest.mark.parametrize("said", [None, "us-west-2"])
def test_the_region_is_learned_from_the_server(scratch, said, wal_files):
    double, archive = in_region(scratch, "eu-central-1", AWS_REGION=said)
    try:
        cluster = wal_files(scratch, archive)
        archive.ok("wal-push", cluster.segment_file(cluster.finished[0]))
        archive.ok("wal-fetch", cluster.finished[0], scratch.path / "out", WALG_DOWNLOAD_CONCURRENCY=1)
        assert (scratch.path / "out").read_bytes() == cluster.segment_file(cluster.finished[0]).read_bytes()
    finally:
        double.close()


def test_a_redirect_to_another_region_is_followed_or_named(scratch, double, s3_archive):
    there, _ = in_region(scratch, "eu-west-3")
    try:
        double.moved["bucket"] = ("eu-west-3", f"localhost:{there.server.port}")
        result = s3_archive.run("backup-list")
        assert result.code == 0 or "eu-west-3" in result.err, result
    finally:
        there.close()


def test_a_bucket_with_many_names_is_listed_whole(scratch, s3_archive, double):
    """Pages of three; keys that XML, URLs and byte order make awkward lie between ours."""
    double.settings.page = 3
    cluster = scratch.cluster(s3_archive)
    cluster.start()
    s3_archive.ok("backup-push", cluster.data, **cluster.connection())
    (name,) = s3_archive.backups()
    sentinel = s3_archive.read(f"basebackups_005/{name}_backup_stop_sentinel.json")
    wanted = [name]
    for number in range(7):
        other = f"base_0000000100000000000000F{number}"
        double.bucket().put(f"{s3_archive.prefix}/basebackups_005/{other}_backup_stop_sentinel.json", sentinel)
        wanted.append(other)
    for odd in ("a b", "ä", "x&y<z>", "new\nline", "%2F", "+", "\x01", "\U0001F418", "~"):
        double.bucket().put(f"{s3_archive.prefix}/basebackups_005/{odd}", b"odd")
    listed = [line["backup_name"] for line in s3_archive.ok("backup-list", "--json").json()]
    assert sorted(listed) == sorted(wanted)
    assert double.count("ListObjectsV2") >= 6


def test_the_receipt_of_one_archive_is_not_taken_for_another(scratch, double, s3_archive, wal_files):
    """What was archived in one bucket counts for nothing in the next."""
    cluster = wal_files(scratch, s3_archive)
    s3_archive.ok("wal-push", cluster.segment_file(cluster.finished[0]))
    other = double_archive(scratch, double, WALG_S3_PREFIX="s3://bucket/elsewhere")
    other.prefix = "elsewhere"
    other.ok("wal-push", cluster.segment_file(cluster.finished[1]))
    assert f"wal_005/{cluster.finished[1]}.lz4" in other.keys()


def test_versions_keep_what_was_overwritten(scratch, double, s3_archive, wal_files):
    double.bucket().versioning = "Enabled"
    cluster = wal_files(scratch, s3_archive)
    path = cluster.segment_file(cluster.finished[0])
    s3_archive.ok("wal-push", path, **ALONE)
    s3_archive.ok("wal-push", path, **ALONE)
    s3_archive.ok("wal-fetch", path.name, scratch.path / "out")
    assert hashlib.sha256((scratch.path / "out").read_bytes()).digest() == hashlib.sha256(path.read_bytes()).digest()
    assert pathlib.PurePath(s3_archive.keys("wal_005/")[0]).suffix == ".lz4"
