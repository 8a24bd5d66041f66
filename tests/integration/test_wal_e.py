"""The program under the name wal-e: what it writes, prints and refuses, beside what WAL-E's users run on it."""
import io
import json
import os
import pathlib
import re
import subprocess
import tarfile
import time

import golden
import pytest
import s3_harness
import seawall_harness as harness
import wal_e_harness as wal_e
from doubles.s3 import S3Double
from doubles.tunnel import Tunnel

SEGMENT = "000000010000000000000001"


@pytest.fixture
def archive(scratch):
    return wal_e.WalEArchive(scratch)


@pytest.fixture
def cluster(archive):
    made = archive.cluster()
    made.sql("create table ledger (id int primary key, note text); insert into ledger select n, md5(n::text) from generate_series(1, 2000) n")
    return made


def lzop(*arguments, **rest):
    return subprocess.run(["lzop", *arguments], check=True, capture_output=True, **rest).stdout


def wal_objects(archive):
    return [path for path in archive.root.glob("wal_005/*") if ".tmp." not in path.name]


def volumes(archive, name):
    return sorted((archive.root / f"basebackups_005/{name}/tar_partitions").iterdir())


def test_writes_what_wal_e_and_lzop_read(archive, cluster, scratch):
    name = archive.push(cluster, "-p", "2", "--cluster-read-rate-limit", "1000000000")
    assert re.fullmatch(r"base_0000000100000000000000[0-9A-F]{2}_00000040", name)
    keys = archive.keys("basebackups_005")
    assert keys == sorted([f"basebackups_005/{name}/extended_version.txt", f"basebackups_005/{name}_backup_stop_sentinel.json",
                           *(f"basebackups_005/{name}/tar_partitions/part_{n:08}.tar.lzo" for n in range(len(volumes(archive, name))))])
    assert (archive.root / f"basebackups_005/{name}/extended_version.txt").read_text() == cluster.sql("select version()")
    assert all(re.fullmatch(r"[0-9A-F]{24}(\.[0-9A-F]{8}\.backup)?\.lzo", path.name) for path in wal_objects(archive))
    sentinel = archive.sentinel(name)
    assert list(sentinel)[:4] == ["wal_segment_backup_stop", "wal_segment_offset_backup_stop", "expanded_size_bytes", "spec"]
    assert sentinel["spec"] == {"base_prefix": f"{cluster.data}/", "tablespaces": []}
    for path in [*volumes(archive, name), *wal_objects(archive)]:
        lzop("-t", path)
    # As WAL-E restores: every volume through lzop into Python's tarfile.
    members, bytes_of_files = {}, 0
    to = harness.give(harness.mkdir(scratch.path / "to", 0o700))
    for volume in volumes(archive, name):
        with tarfile.open(fileobj=io.BytesIO(lzop("-dc", volume))) as tar:
            for member in tar:
                assert not member.name.startswith("/") and member.name not in members
                members[member.name] = member
                bytes_of_files += member.size
            tar.extractall(to, members=[member for member in tar if member.name], numeric_owner=True)
    assert members[""].isdir() and members["global/pg_control"].isfile() and members["backup_label"].mode == 0o600
    assert not {"postgresql.conf", "pg_hba.conf", "pg_ident.conf", "tablespace_map"} & set(members)
    assert {member.uid for member in members.values()} == {cluster.data.stat().st_uid}
    assert sentinel["expanded_size_bytes"] == bytes_of_files
    # What WAL-E would have restored starts and recovers, by WAL that lzop unpacks.
    restored = scratch.cluster(None, empty=True)
    os.rename(to, restored.data)
    wal_e.supply(restored)
    cluster.sql("insert into ledger values (2001, 'after'); select pg_switch_wal()")
    expected = wal_e.content(cluster)
    cluster.stop()
    restored.recovery(restore_command=f"lzop -dc {archive.root}/wal_005/%f.lzo >%p")
    restored.start()
    restored.wait_promoted()
    assert wal_e.content(restored) == expected


def test_parallel_push_and_its_log(archive, scratch):
    """One call archives what is waiting; the log is what parsers of WAL-E's know."""
    made = scratch.cluster(None)
    made.configure(archive_mode="on", archive_command="/bin/false")
    made.start()
    for _ in range(4):
        made.sql("create table t (); drop table t; select pg_switch_wal()")
    made.stop()
    status = made.data / "pg_wal/archive_status"
    ready = sorted(path.stem for path in status.glob("*.ready"))
    assert len(ready) >= 4
    result = archive.ok("wal-push", f"pg_wal/{ready[0]}", cwd=made.data)
    assert archive.wal() == ready
    assert sorted(os.listdir(status)) == [f"{ready[0]}.ready", *(f"{name}.done" for name in ready[1:])]
    records = [record for record in wal_e.records(result.err) if record.get("action") == "push-wal"]
    complete = {record["seg"]: record for record in records if record["state"] == "complete"}
    assert sorted(complete) == ready and sorted(record["seg"] for record in records if record["state"] == "begin") == ready
    one = complete[ready[1]]
    assert one["key"] == f"file://localhost{archive.root}/wal_005/{ready[1]}.lzo" and one["prefix"] == f"{archive.root}/"[1:]
    assert one["msg"] == "completed archiving to a file" and f"at {one['rate']}KiB/s." in one["detail"]
    assert one["logger"] == "wal_e.worker.upload" and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}-00", one["time"])
    assert archive.ok("--terse", "wal-push", "-p", "1", f"pg_wal/{ready[0]}", cwd=made.data).err == ""


def test_a_stored_segment_is_never_overwritten(archive, cluster, scratch):
    cluster.sql("select pg_switch_wal()")
    harness.wait_until(lambda: archive.segments(), what="archived WAL")
    segment = archive.segments()[0]
    before = archive.contents()
    other = harness.give(harness.mkdir(scratch.path / "pg_wal"))
    content = bytearray(lzop("-dc", archive.root / f"wal_005/{segment}.lzo"))
    (other / segment).write_bytes(content)
    archive.ok("wal-push", harness.give(other / segment))
    content[8000] ^= 1
    (other / segment).write_bytes(content)
    archive.fails("wal-push", other / segment, says=[segment, "other content"])
    harness.give(golden.write(other / "000000010000000000000077", "x" * harness.MIB))
    archive.fails("wal-push", other / "000000010000000000000077", says="not a WAL segment")
    archive.fails("wal-push", other / "0000000100000000000000AA", says="0000000100000000000000AA")
    archive.fails("wal-push", other / "zero", code=2, says="zero")
    assert {key: value for key, value in archive.contents().items() if key in before} == before


def test_prefetch_beyond_segment_255_of_1_mib(archive, scratch):
    """WAL-E took every cluster's segments for 16 MiB and stopped there."""
    made = archive.cluster()
    made.sql("select pg_switch_wal()")
    made.stop()
    subprocess.run([made.bin / "pg_resetwal", "-l", "0000000100000000000000FE", made.data], check=True, capture_output=True, **harness.other_user())
    made.start()
    for n in range(6):
        made.sql(f"create table t{n} (); select pg_switch_wal()")
    harness.wait_until(lambda: "000000010000000000000102" in archive.wal(), what="archived WAL")
    made.stop()
    pg_wal = harness.give(harness.mkdir(scratch.path / "pg_wal"))
    archive.ok("wal-fetch", "-p", "3", "0000000100000000000000FF", pg_wal / "RECOVERYXLOG")
    cache = pg_wal / ".wal-e/prefetch"
    wanted = ["000000010000000000000100", "000000010000000000000101", "000000010000000000000102"]
    harness.wait_until(lambda: sorted(path.name for path in cache.glob("0*")) == wanted, what="segments fetched ahead")
    (pg_wal / "RECOVERYXLOG").unlink()
    result = archive.ok("wal-fetch", "-p", "0", "000000010000000000000100", pg_wal / "RECOVERYXLOG")
    assert [(r["action"], r.get("state"), r["msg"]) for r in wal_e.records(result.err)] == [("wal-fetch", None, "promoted prefetched wal segment")]
    assert (pg_wal / "RECOVERYXLOG").read_bytes() == lzop("-dc", archive.root / "wal_005/000000010000000000000100.lzo")
    archive.ok("wal-prefetch", pg_wal, "000000010000000000000103")
    assert (cache / "000000010000000000000103").exists()
    archive.fails("wal-prefetch", pg_wal, "000000010000000000000FFF", code=2)


def test_failed_fetch_leaves_the_destination(archive, cluster, scratch):
    cluster.sql("select pg_switch_wal()")
    harness.wait_until(lambda: archive.segments(), what="archived WAL")
    destination = harness.give(golden.write(scratch.path / "x", "what was there"))
    result = archive.fails("wal-fetch", "-p", "0", "0000000100000000000000AA", destination, code=2)
    assert [(r.get("action"), r.get("state")) for r in wal_e.records(result.err)][:2] == [("wal-fetch", "begin"), ("wal-fetch", "complete")]
    assert destination.read_text() == "what was there"
    (archive.root / f"wal_005/{SEGMENT}.lzo").write_bytes(b"no lzop")
    archive.fails("wal-fetch", "-p", "0", SEGMENT, destination, code=126, says=f"{SEGMENT}.lzo")
    assert destination.read_text() == "what was there"
    archive.fails("wal-fetch", "irrelevant", destination, code=2)
    archive.fails("wal-fetch", SEGMENT, "/nonexistent/x", code=126, says="/nonexistent")


def test_while_offline(archive, cluster, scratch):
    archive.fails("backup-push", "--while-offline", cluster.data, says="postmaster.pid")
    expected = wal_e.content(cluster)
    cluster.crash()
    (cluster.data / "postmaster.pid").unlink(missing_ok=True)
    archive.fails("backup-push", "--while-offline", cluster.data, says="did not end cleanly")
    cluster.start()
    cluster.stop()
    archive.ok("backup-push", "--while-offline", cluster.data)
    name, = archive.backups()
    sentinel = archive.sentinel(name)
    assert f"base_{sentinel['wal_segment_backup_stop']}_{sentinel['wal_segment_offset_backup_stop']}" == name
    archive.fails("backup-push", "--while-offline", cluster.data, says=name)
    assert "backup_label" not in archive.run("verify", program=scratch.program, WALG_FILE_PREFIX=archive.root).out
    restored = archive.fetched()
    assert not (restored.data / "backup_label").exists()
    # The segment that the server reads first came along: nothing of the archive is needed.
    restored.start()
    assert wal_e.content(restored) == expected


class Keys:
    """A GnuPG home with keys of the test."""

    def __init__(self, scratch):
        self.home = harness.give(harness.mkdir(scratch.path / "gnupg", 0o700))
        self.make("ops@example.org")

    def gpg(self, *arguments, **rest):
        done = subprocess.run(["gpg", "--homedir", self.home, "--batch", "--pinentry-mode", "loopback", *arguments], capture_output=True,
                              check=False, **harness.other_user(), **rest)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def make(self, name, expires="never", *more):
        self.gpg("--passphrase", "", *more, "--quick-gen-key", name, "future-default", "default", expires)

    def end(self):
        subprocess.run(["gpgconf", "--homedir", self.home, "--kill", "gpg-agent"], check=False, capture_output=True, **harness.other_user())


@pytest.fixture
def keys(scratch):
    made = Keys(scratch)
    yield made
    made.end()


def test_encrypted_archive_is_gpgs_own(scratch, keys):
    archive = wal_e.WalEArchive(scratch, GNUPGHOME=str(keys.home), WALE_GPG_KEY_ID="ops@example.org")
    cluster = archive.cluster()
    cluster.sql("create table t as select generate_series(1, 100) n")
    name = archive.push(cluster)
    expected = wal_e.content(cluster)
    for path in [*volumes(archive, name), *wal_objects(archive)]:
        plain = keys.gpg("-d", "-q", input=path.read_bytes())
        assert lzop("-dc", input=plain)
    restored = archive.fetched()
    cluster.stop()
    archive.recover(restored)
    assert wal_e.content(restored) == expected


def test_no_usable_key_fails_and_does_not_hang(archive, cluster, scratch, keys):
    """WAL-E's backup-push never ended here."""
    settings = {"GNUPGHOME": str(keys.home), **cluster.connection()}
    cluster.sql("select pg_switch_wal()")
    harness.wait_until(lambda: archive.segments(), what="archived WAL")
    keys.make("old@example.org", "seconds=1")
    time.sleep(2)
    before = archive.contents()
    for key, says in (("nobody@example.org", "nobody@example.org"), ("old@example.org", "expired")):
        archive.fails("--gpg-key-id", key, "backup-push", cluster.data, says=says, timeout=60, **settings)
    # A key ring that is not there, no gpg at all, and no agent running to read with.
    archive.fails("backup-push", cluster.data, says="ops@example.org", WALE_GPG_KEY_ID="ops@example.org",
                  **{**settings, "GNUPGHOME": "/nonexistent"})
    archive.fails("backup-push", cluster.data, says="gpg", WALE_GPG_KEY_ID="ops@example.org", **{**settings, "PATH": "/nonexistent"})
    segment = cluster.data / "pg_wal" / cluster.sql("select pg_walfile_name(pg_switch_wal())")
    empty = harness.give(harness.mkdir(scratch.path / "empty"))
    archive.fails("--gpg-key-id", "nobody@example.org", "wal-push", "-p", "1", segment, says="nobody@example.org",
                  WALE_FILE_PREFIX=f"file://localhost{empty}", **settings)
    assert not list(empty.glob("wal_005/*"))
    assert archive.contents().items() >= before.items() and archive.backups() == []
    assert cluster.sql("select count(*) from pg_stat_activity where query ilike '%backup%' and pid <> pg_backend_pid()") == "0"


WRONG = [  # arguments, exit code, words of the message, settings
    ([], 127, "subcommand", {}), ([], 1, "no storage prefix", {"WALE_FILE_PREFIX": None}), (["frobnicate"], 2, "frobnicate", {}),
    (["--version"], 2, "--version", {}), (["backup-list", "--terse"], 2, "--terse", {}),
    (["backup-list"], 1, "no storage prefix", {"WALE_FILE_PREFIX": None}), (["backup-list"], 1, "ftp://x/y", {"WALE_FILE_PREFIX": "ftp://x/y"}),
    (["backup-list"], 1, "not built", {"WALE_FILE_PREFIX": None, "WALE_GS_PREFIX": "gs://b/p"}),
    (["backup-list"], 1, "not built", {"WALE_FILE_PREFIX": None, "WALE_WABS_PREFIX": "wabs://b/p"}),
    (["backup-list"], 1, "not built", {"WALE_FILE_PREFIX": None, "WALE_SWIFT_PREFIX": "swift://b/p"}),
    (["backup-list"], 1, "AWS_REGION", {"WALE_FILE_PREFIX": None, "WALE_S3_PREFIX": "s3://b/p", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}),
    (["backup-list"], 1, "AWS_ACCESS_KEY_ID", {"WALE_FILE_PREFIX": None, "WALE_S3_PREFIX": "s3://b/p"}),
    (["backup-list"], 2, "maybe", {"WALE_FILE_PREFIX": None, "WALE_S3_PREFIX": "s3://b/p", "AWS_INSTANCE_PROFILE": "maybe"}),
    (["backup-list"], 2, "abc", {"WALE_RETRIES": "abc"}), (["backup-list", "nonsense"], 1, "nonsense", {}),
    (["backup-push"], 2, "PG_CLUSTER_DIRECTORY", {}), (["backup-push", "--cluster-read-rate-limit", "x", "/d"], 2, "'x'", {}),
    (["backup-push", "--cluster-read-rate-limit", "0", "/d"], 2, "rate", {}), (["backup-push", "-p", "0", "/d"], 2, "pool-size", {}),
    (["backup-push", "/nonexistent"], 1, "connect", {"PGHOST": "/nonexistent"}),
    (["backup-fetch", "DIR"], 2, "BACKUP_NAME", {}), (["backup-fetch", "DIR", "nonsense"], 1, "nonsense", {}),
    (["backup-fetch", "DIR", "LATEST"], 1, "LATEST", {}), (["backup-fetch", "-p", "0", "DIR", "LATEST"], 2, "pool-size", {}),
    (["backup-fetch", "DIR", "base_0000000100000000000000EE_00000040"], 1, "0000000100000000000000EE", {}),
    (["delete", "retain"], 2, "NUM_TO_RETAIN", {}), (["delete", "retain", "x"], 2, "'x'", {}),
    (["delete", "retain", "1", "--confirm"], 2, "--confirm", {}), (["delete", "sometimes"], 2, "sometimes", {}),
    (["-k", "a", "--aws-instance-profile", "backup-list"], 2, "not allowed", {}),
    *((["backup-list"], 1, "WALE_S3_ENDPOINT", {"WALE_FILE_PREFIX": None, "WALE_S3_PREFIX": "s3://b/p", "AWS_ACCESS_KEY_ID": "a",
                                                "AWS_SECRET_ACCESS_KEY": "b", "WALE_S3_ENDPOINT": endpoint})
      for endpoint in ("http://127.0.0.1:1", "http+path://127.0.0.1:1/x", "http+path://u:p@127.0.0.1:1", "ftp+path://127.0.0.1:1", "http+weird://h:1"))]


def test_wrong_use(archive, scratch):
    for arguments, code, says, settings in WRONG:
        arguments = [str(scratch.path / "d") if word == "DIR" else word for word in arguments]
        archive.fails(*arguments, code=code, says=says, **settings)
    assert archive.keys() == [] and not (scratch.path / "d").exists()
    assert archive.ok("version", WALE_FILE_PREFIX=None).out == "1.1.1\n"
    head = archive.ok("backup-list", WALE_FILE_PREFIX=f"file://localhost{scratch.path}/none").out
    assert head.count("\n") == 1 and head.startswith("name\tlast_modified\t")
    assert not (scratch.path / "none").exists()


def test_environment_from_a_directory(archive, cluster, scratch):
    """As daemontools' envdir, under every name of the program; an empty file takes a variable away."""
    name = archive.push(cluster)
    folder = archive.envdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(scratch.home), "WALE_RETRIES": "nonsense"}
    harness.give(golden.write(folder / "WALE_RETRIES", ""))
    for words in ([scratch.program, "--envdir", folder, "wal-e", "backup-list"], [archive.program, f"--envdir={folder}", "backup-list"]):
        done = subprocess.run([str(word) for word in words], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and name in done.stdout, done
    harness.give(golden.write(folder / "WALG_FILE_PREFIX", f"{archive.root}\n"))
    done = subprocess.run([scratch.program, "--envdir", folder, "backup-list"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and name in done.stdout, done
    done = subprocess.run([scratch.program, "--envdir", "/nonexistent", "backup-list"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "/nonexistent" in done.stderr


def test_a_setting_chooses_another_codec(archive, cluster):
    archive.settings["SEAWALL_WALE_COMPRESSION"] = "zstd"
    name = archive.push(cluster)
    assert all(path.name.endswith(".tar.zst") for path in volumes(archive, name))
    assert archive.ok("backup-list", SEAWALL_WALE_COMPRESSION="lz4").out.count(name) == 1
    restored = archive.fetched(name)
    expected = wal_e.content(cluster)
    cluster.stop()
    archive.recover(restored)
    assert wal_e.content(restored) == expected


def test_tablespaces_go_both_ways(archive, cluster, scratch):
    place = harness.give(harness.mkdir(scratch.path / "space", 0o700))
    cluster.sql(f"create tablespace far location '{place}'")
    cluster.sql("create table distant tablespace far as select generate_series(1, 1000) n")
    oid = cluster.sql("select oid from pg_tablespace where spcname = 'far'")
    name = archive.push(cluster)
    assert archive.sentinel(name)["spec"] == {"base_prefix": f"{cluster.data}/", "tablespaces": [oid],
                                              oid: {"loc": f"{place}/", "link": f"pg_tblspc/{oid}"}}
    expected = wal_e.content(cluster)
    cluster.stop()
    restored = scratch.cluster(None, empty=True)
    spec = harness.give(golden.write(scratch.path / "spec.json", json.dumps({oid: {"loc": str(scratch.path / "elsewhere")}})))
    archive.ok("backup-fetch", "--restore-spec", spec, restored.data, name)
    wal_e.supply(restored)
    archive.recover(restored)
    assert wal_e.content(restored) == expected
    assert os.readlink(restored.data / "pg_tblspc" / oid).rstrip("/") == str(scratch.path / "elsewhere")
    assert list(place.iterdir())  # the first cluster's own, untouched
    listed = pathlib.Path(restored.data / "pg_tblspc" / oid).resolve()
    assert list(listed.glob("PG_15_*"))


def test_encryption_by_the_server_on_amazon_alone(scratch, wal_files, certificates):
    """WAL-E's header, which buckets' policies ask for, on what is sent to Amazon's hosts; other services may refuse it."""
    pair = s3_harness.certificate(harness.mkdir(scratch.path / "tls"), "amazon", "DNS:*.s3.eu-west-1.amazonaws.com")
    keys = {"AWS_ACCESS_KEY_ID": s3_harness.DOUBLE_KEY, "AWS_SECRET_ACCESS_KEY": s3_harness.DOUBLE_SECRET}
    amazon = S3Double(s3_harness.ssl_context(pair), region="eu-west-1")
    tunnel = Tunnel(amazon.server.port)
    other = S3Double()
    archive = wal_e.WalEArchive(scratch)
    files = wal_files(scratch, archive)
    segment = files.segment_file(files.finished[0])

    def stored(double, **settings):
        double.forget()
        archive.settings = {"WALE_S3_PREFIX": "s3://bucket/prod", "WALE_LOG_DESTINATION": "stderr", **keys, **settings}
        archive.ok("wal-push", "-p", "1", segment)
        archive.ok("backup-push", "--while-offline", files.data)
        assert "base_" in archive.ok("backup-list").out
        written = [each for each in double.log if each.operation in ("PutObject", "CreateMultipartUpload")]
        assert {"wal_005", "basebackups_005"} <= {each.key.split("/")[1] for each in written}
        return {each.headers.get("x-amz-server-side-encryption") for each in written}

    try:
        there = {"AWS_REGION": "eu-west-1", "S3_CA_CERT_FILE": str(pair[0]), "https_proxy": tunnel.address}
        assert stored(amazon, **there) == {"AES256"}
        assert tunnel.asked == {"bucket.s3.eu-west-1.amazonaws.com:443"}
        saved = amazon.objects()
        amazon.operations.buckets["bucket"] = type(amazon.bucket())("bucket", "eu-west-1")
        assert stored(amazon, **there, WALG_S3_SSE="aws:kms", WALG_S3_SSE_KMS_ID="key") == {"aws:kms"}
        assert stored(other, WALE_S3_ENDPOINT=other.endpoint.replace("http://", "http+path://")) == {None}
        assert [key for key in other.objects() if "wal_005" in key] == [key for key in saved if "wal_005" in key]
    finally:
        for each in (tunnel, amazon, other):
            each.close()


def test_delete(archive, scratch):
    """Dry unless confirmed; what is kept can be restored, and has its WAL."""
    archive.settings["WALG_PG_WAL_SIZE"] = "1"
    cluster = archive.cluster()
    names = []
    for n in range(3):
        cluster.sql(f"create table t{n} as select generate_series(1, 10) n; select pg_switch_wal()")
        names.append(archive.push(cluster))
    last = cluster.sql("create table last as select 1 n; select pg_walfile_name(pg_switch_wal())")
    harness.wait_until(lambda: last in archive.wal(), what=f"{last} in the archive")
    everything = archive.keys()
    for options in ([], ["-n"], ["--dry-run", "--confirm"]):
        result = archive.ok("delete", *options, "retain", "2")
        assert archive.keys() == everything and names[0] in result.err
    assert archive.ok("--terse", "delete", "retain", "2").err == ""
    archive.fails("delete", "--confirm", "retain", "-1", code=2, says="-1")
    archive.fails("delete", "--confirm", "before", names[1] + "_backup_stop_sentinel.json", code=2, says="no backup's name")
    archive.fails("delete", "--confirm", "before", "000000010000000000000009", code=2, says="000000010000000000000009")
    archive.fails("delete", "--confirm", "before", "LATEST", code=2, says="LATEST")
    archive.fails("delete", code=1, says="retain")
    archive.ok("delete", "--confirm", "old-versions")
    archive.ok("delete", "--confirm", "before", names[0])
    assert archive.backups() == names
    archive.ok("delete", "--confirm", "retain", "0")
    assert archive.backups() == names
    archive.ok("delete", "--con", "retain", "2")
    assert archive.backups() == names[1:] and not any(names[0] in key for key in archive.keys())
    assert archive.segments()[0] == names[1].split("_")[1]
    archive.ok("delete", "--confirm", "before", names[2])
    assert archive.backups() == names[2:]
    expected = wal_e.content(cluster)
    restored = archive.fetched(names[2])
    cluster.stop()
    archive.recover(restored)
    assert wal_e.content(restored) == expected
    restored.stop()
    harness.give(harness.mkdir(archive.root / "wal_004"))
    (archive.root / "wal_004/old.lzo").write_bytes(b"x")
    archive.ok("delete", "old-versions")
    assert archive.holds("wal_004/old.lzo")
    archive.ok("delete", "--confirm", "old-versions")
    assert not archive.holds("wal_004/old.lzo")
    archive.ok("delete", "--confirm", "everything")
    assert archive.backups() == [] and archive.wal() == []
