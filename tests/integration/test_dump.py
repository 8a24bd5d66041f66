"""Logical dumps: what dump-restore brings back is what was there, and what failed is not there."""
import os
import signal
import subprocess

import pytest
from seawall_harness import DEBIAN, MIB, give, peak_memory, wait_until

CONTENT = """
create role accountant login password 'secret';
create table t(i int primary key, word text, big bytea);
insert into t select i, 'wört ' || i, decode(repeat(md5(i::text), 50), 'hex') from generate_series(1, 2000) i;
create view v as select count(*) n from t;
create function f() returns int language sql as 'select 42';
alter table t owner to accountant;
"""
ODD = 'odd "name"=\'x\' /..\\ä'


def names(archive):
    return {(line["name"], line["database"]) for line in archive.ok("dump-list", "--json").json()}


def objects(archive):
    return archive.keys("seawall_005/dumps") if archive.holds("seawall_005/dumps") else []


@pytest.fixture
def filled(scratch):
    archive = scratch.archive()
    cluster = scratch.cluster(archive, archive_mode="off")
    archive.settings.update(cluster.connection())
    cluster.start()
    cluster.sql(f"create database app;\ncreate database {quoted(ODD)};")
    cluster.sql(CONTENT, database="app")
    cluster.sql("create table o as select 'odd' as what", database=odd_conninfo())
    return cluster


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def odd_conninfo():
    return "dbname='" + ODD.replace("\\", "\\\\").replace("'", "\\'") + "'"


def test_a_dump_restores_into_a_new_cluster_with_roles_and_odd_names(scratch, filled):
    archive = filled.archive
    before = filled.digest("app")
    odd_before = filled.digest(odd_conninfo())
    name = archive.ok("dump").out.strip()
    assert names(archive) == {(name, "app"), (name, ODD), (name, "postgres"), (name, None)}
    assert sorted(objects(archive))[:2] == [f"seawall_005/dumps/{name}/database_app.dump.lz4",
                                            f"seawall_005/dumps/{name}/database_app.json"]
    listed = archive.ok("dump-list").out
    assert "kept_as" in listed and "(globals)" in listed and "newest,day,week,month" in listed
    filled.stop()

    fresh = scratch.cluster(None, fresh=True)
    fresh.start()
    archive.ok("dump-restore", "LATEST", "--globals", **fresh.connection())
    assert fresh.digest("app") == before
    assert fresh.digest(odd_conninfo()) == odd_before
    assert fresh.sql("select n from v", database="app") == "2000"
    assert fresh.sql("select f()", database="app") == "42"
    assert fresh.sql("select tableowner from pg_tables where tablename = 't'", database="app") == "accountant"
    assert fresh.sql("select rolpassword is not null from pg_authid where rolname = 'accountant'") == "t"


def test_one_database_beside_the_one_that_is_there(filled):
    archive = filled.archive
    before = filled.digest("app")
    name = archive.ok("dump", "app", "--no-globals").out.strip()
    assert names(archive) == {(name, "app")}
    filled.sql("delete from t where i > 5", database="app")
    changed = filled.digest("app")

    refused = archive.run("dump-restore", name, "app")
    assert refused.code != 0 and "holds something" in refused.err, refused
    assert filled.digest("app") == changed, "a refused restore changes nothing"
    archive.ok("dump-restore", name, "app", "--into", "app_before")
    assert filled.digest("app_before") == before
    assert filled.digest("app") == changed
    archive.ok("dump-restore", name, "app", "--clean")
    assert filled.digest("app") == before

    printed = archive.start("dump-restore", name, "app", "--stdout")
    printed.process.wait(60)
    printed.output.seek(0)
    listing = subprocess.run([str(DEBIAN / "pg_restore"), "--list"], stdin=printed.output, capture_output=True, check=True).stdout
    assert b"TABLE DATA public t accountant" in listing


def test_encrypted_and_with_every_codec(filled):
    archive = filled.archive
    before = filled.digest("app")
    key = "0123456789abcdef" * 4
    for method in ("none", "lz4", "zstd"):
        settings = {"WALG_COMPRESSION_METHOD": method, "WALG_LIBSODIUM_KEY": key, "WALG_LIBSODIUM_KEY_TRANSFORM": "hex",
                    "WALG_STORAGE_PREFIX": method}
        name = archive.ok("dump", "app", **settings).out.strip()
        stored = b"".join(path.read_bytes() for path in (archive.root / method).rglob("*database_app.dump*"))
        assert stored and b"PGDMP" not in stored
        archive.ok("dump-restore", name, "app", "--into", "app_" + method, **settings)
        assert filled.digest("app_" + method) == before
        globals_text = archive.ok("dump-restore", name, "--globals", "--stdout", **settings).out
        assert "CREATE ROLE accountant" in globals_text


def test_what_failed_midway_is_not_there_and_the_rest_is(scratch, filled):
    archive = filled.archive
    directory = scratch.path / "programs"
    directory.mkdir()
    for program in ("pg_dumpall", "pg_restore", "psql"):
        (directory / program).symlink_to(DEBIAN / program)
    # Half of a real dump of one database, then an error; the others are dumped as they are.
    fake = directory / "pg_dump"
    fake.write_text(f"""#!/bin/sh
case "$*" in
  *"dbname='app'"*) {DEBIAN}/pg_dump "$@" | head -c 60000; echo 'pg_dump: error: the connection was lost' >&2; exit 1 ;;
  *) exec {DEBIAN}/pg_dump "$@" ;;
esac
""")
    fake.chmod(0o755)
    directory.chmod(0o755)
    done = archive.run("dump", SEAWALL_PG_BINDIR=directory)
    assert done.code != 0 and "the connection was lost" in done.err and 'not dumped: "app"' in done.err, done
    assert {database for _, database in names(archive)} == {None, "postgres", ODD}
    assert not [key for key in objects(archive) if "database_app" in key]

    missing = archive.run("dump", SEAWALL_PG_BINDIR="/nonexistent")
    assert missing.code != 0 and "SEAWALL_PG_BINDIR" in missing.err
    absent = archive.run("dump", "nothing")
    assert absent.code != 0 and '"nothing"' in absent.err
    unknown = archive.run("dump-restore", "20200101T000000Z")
    assert unknown.code != 0 and "20200101T000000Z" in unknown.err


def test_stopped_by_a_signal_it_leaves_nothing(scratch, filled):
    archive = filled.archive
    directory = scratch.path / "programs"
    directory.mkdir(mode=0o755)
    fake = directory / "pg_dump"
    pid_file = give(scratch.path / "home") / "pid"
    fake.write_text(f"#!/bin/sh\necho $$ >{pid_file}\nhead -c 3000000 /dev/urandom\nexec sleep 600\n")
    fake.chmod(0o755)
    running = archive.start("dump", "app", SEAWALL_PG_BINDIR=directory)
    wait_until(lambda: pid_file.exists() and pid_file.read_text().strip(), what="pg_dump's start")
    running.signal(signal.SIGTERM)
    result = running.wait(30)
    assert result.code == -signal.SIGTERM, result
    assert objects(archive) == [] and names(archive) == set()
    child = int(pid_file.read_text())
    wait_until(lambda: not os.path.exists(f"/proc/{child}"), what="pg_dump's end")


def test_a_damaged_dump_is_an_error_that_names_the_object(filled):
    archive = filled.archive
    name = archive.ok("dump", "app", "--no-globals").out.strip()
    path = archive.root / f"seawall_005/dumps/{name}/database_app.dump.lz4"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    result = archive.run("dump-restore", name, "app", "--into", "copy1")
    assert result.code != 0 and str(path.relative_to(archive.root)) in result.err, result
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    result = archive.run("dump-restore", name, "app", "--into", "copy2")
    assert result.code != 0 and "database_app.dump.lz4" in result.err, result
    path.unlink()
    result = archive.run("dump-restore", name, "app", "--into", "copy3")
    assert result.code != 0 and "missing" in result.err, result


def record(name, database):
    return f'{{"version":1,"name":"{name}","database":"{database}","started":"{iso(name)}","finished":"{iso(name)}",' \
           f'"raw_bytes":1,"object":"seawall_005/dumps/{name}/database_{database}.dump.lz4","stored_bytes":1,' \
           f'"xxh3":"{"0" * 32}","server_version":150000,"encoding":"UTF8","collate":"C","ctype":"C"}}\n'


def iso(name):
    return f"{name[:4]}-{name[4:6]}-{name[6:11]}:{name[11:13]}:{name[13:]}"


def test_rotation_removes_its_own_and_nothing_else(filled):
    archive = filled.archive
    dumps = archive.root / "seawall_005/dumps"

    def put(name, database, data=b"x", text=None):
        directory = dumps / name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"database_{database}.dump.lz4").write_bytes(data)
        if text is not False:
            (directory / f"database_{database}.json").write_text(text or record(name, database))
    for day in ("20190101", "20190201", "20190202", "20190203"):
        put(f"{day}T020000Z", "app")
        put(f"{day}T020000Z", "gone")
    put("20180101T020000Z", "app", text="{}")
    put("20180102T020000Z", "app", text=False)
    old = dumps / "20180102T020000Z/database_app.dump.lz4"
    os.utime(old, (1500000000, 1500000000))
    put("20180103T020000Z", "app", text=False)  # young: a dump that is under way
    (dumps / "20180103T020000Z/notes.txt").write_text("mine")
    os.utime(dumps / "20180103T020000Z/notes.txt", (1500000000, 1500000000))
    give(archive.root, recursive=True)

    keep = {"SEAWALL_DUMP_KEEP_DAILY": 2, "SEAWALL_DUMP_KEEP_WEEKLY": 0, "SEAWALL_DUMP_KEEP_MONTHLY": 3}
    before = set(objects(archive))
    assert ("20190202T020000Z", "app") in names(archive)
    name = archive.ok("dump", "app", "--no-globals", **keep).out.strip()
    gone = before - set(objects(archive))
    assert gone == {f"seawall_005/dumps/{each}T020000Z/database_app.{end}" for each in ("20190201", "20190202")
                    for end in ("dump.lz4", "json")} | {"seawall_005/dumps/20180102T020000Z/database_app.dump.lz4"}
    assert names(archive) >= {(name, "app"), ("20190203T020000Z", "app"), ("20190101T020000Z", "app"), ("20190202T020000Z", "gone")}
    kept = {(line["name"], line["database"]): line["kept_as"] for line in archive.ok("dump-list", "--json", **keep).json()}
    assert kept[name, "app"] == ["newest", "day", "month"]
    assert kept["20190203T020000Z", "app"] == ["day", "month"]
    assert kept["20190101T020000Z", "app"] == ["month"]
    assert kept["20190202T020000Z", "gone"] == ["day"]
    assert kept["20190201T020000Z", "gone"] == []

    # A dump that begins in the same second as the one before is refused.
    wait_until(lambda: archive.run("dump", "app", "--no-globals", "--no-rotation", SEAWALL_DUMP_KEEP_DAILY=1).code == 0)
    assert ("20190101T020000Z", "app") in names(archive)


def test_another_cluster_does_not_dump_into_the_archive(scratch, filled):
    archive = filled.archive
    archive.ok("dump", "app")
    other = scratch.cluster(None, fresh=True)
    other.start()
    stored = archive.contents()
    result = archive.run("dump", **other.connection())
    assert result.code != 0 and "cluster" in result.err, result
    assert archive.contents() == stored


@pytest.mark.once
def test_memory_does_not_grow_with_the_dump(filled):
    archive = filled.archive
    filled.sql("create table big as select g, repeat(md5(g::text) || md5((-g)::text), 500) w from generate_series(1, 6000) g", database="app")
    running = archive.start("dump", "app", "--no-globals")
    result, peak = peak_memory(running, 120)
    assert result.code == 0, result
    raw = archive.ok("dump-list", "--json").json()[0]["raw_bytes"]
    assert raw > 180 * MIB
    assert peak < 160 * MIB, f"{peak} bytes, pg_dump included"
