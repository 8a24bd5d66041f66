"""Rarer forms of WAL-G's archives: a real WAL-G ($WALG_BIN) writes them, and both restore the same bytes, in either order."""
import gzip
import json
import os
import random
import shutil
import struct
import subprocess

import ciphers
import pytest
import seawall_harness as harness
from golden import sums
from seawall_harness import give, mkdir

pytestmark = pytest.mark.once

ORDERS = ([], ["--reverse-unpack"], ["--reverse-unpack", "--skip-redundant-tars"])


def push(archive, cluster, walg, *flags, remote=False, **settings):
    """The new backup's name."""
    before = set(archive.backups())
    archive.ok("backup-push", *([] if remote else [cluster.data]), *flags, program=walg, timeout=300,
               **{"WALG_DELTA_MAX_STEPS": 9, **cluster.connection(), **settings})
    name, = set(archive.backups()) - before
    return name


class Restores:
    """Restores of one archive into directories that are thrown away. Tablespaces come to lie beside them."""

    def __init__(self, scratch, archive, walg, **settings):
        self.scratch, self.archive, self.walg = scratch, archive, walg
        self.settings = {"WALG_TAR_DISABLE_FSYNC": "true", "WALG_DOWNLOAD_FILE_RETRIES": 1, **settings}

    def files(self, program, name, *flags):
        """Path → digest of what a restore gives."""
        top = give(mkdir(self.scratch.path / "restore"))
        data, spec = top / "data", self.archive.sentinel(name).get("Spec") or {"tablespaces": []}
        if program:
            give(mkdir(data, 0o700))
        moved = {"base_prefix": str(data), "tablespaces": spec["tablespaces"]}
        for number in spec["tablespaces"]:
            moved[number] = {"loc": str(give(mkdir(top / f"ts{number}", 0o700))), "link": spec[number]["link"]}
        give(harness.touch(top / "spec")).write_text(json.dumps(moved))
        places = ["--restore-spec", top / "spec"] if spec["tablespaces"] else []
        self.archive.ok("backup-fetch", data, name, *places, *flags, program=program, timeout=300, **self.settings)
        found = {path: digest for path, digest in sums(top).items() if path != "spec"}
        shutil.rmtree(top)
        return found

    def agree(self, name, *flags, orders=ORDERS):
        want = self.files(self.walg, name, *flags)
        for order in orders:
            have = self.files(None, name, *flags, *order)
            differ = sorted(path for path in set(want) | set(have) if want.get(path) != have.get(path))
            assert not differ, (name, flags, order, differ[:9])
        return want


NEWER_THAN_ANY_BACKUP, OLD = (0x7fffffff, 1), (0, 4000)


def page(rng, size, lsn):
    """A page that WAL-G takes for valid: in a delta it is stored if its LSN is that of the parent or newer."""
    return struct.pack("<IIHHHHHHI", *lsn, 0, 0, 64, size // 2, size, size | 4, 0) + rng.randbytes(100) + bytes(size - 124)


class LivingFiles:
    """Files among a server's that it does not look at, and that change as those of relations do: pages newer than the last
    backup, new ones, cuts, growth, drops, other files under the same name, directories that go and come."""

    def __init__(self, rng, places, size):
        self.rng, self.places, self.size = rng, places, size
        for _ in range(12):
            self.create()

    def pages(self, most, *kinds):
        kinds = [self.rng.choice(kinds) for _ in range(self.rng.randrange(most))]
        return b"".join(page(self.rng, self.size, lsn) if lsn else bytes(self.size) for lsn in kinds)

    def files(self):
        return sorted(path for place in self.places for path in place.glob("*") if path.is_file())

    def create(self):
        name = f"{70100 + self.rng.randrange(12)}{self.rng.choice(['', '', '', '.1', '_fsm', '_init'])}"
        content = self.pages(12, OLD, OLD, NEWER_THAN_ANY_BACKUP, None)
        odd = self.rng.randbytes(self.rng.randrange(1, 3000)) if self.rng.random() < 0.1 else b""
        (mkdir(self.rng.choice(self.places)) / name).write_bytes(content + odd)

    def change(self):
        if len(self.files()) < 6:
            return self.create()
        path = self.rng.choice(self.files())
        content, kind = path.read_bytes(), self.rng.randrange(8)
        pages = len(content) // self.size
        if kind == 0:
            return self.create()
        if kind == 1:
            return path.unlink()
        if kind == 2 and self.rng.random() < 0.3:
            shutil.rmtree(path.parent)
            return self.rng.random() < 0.5 and mkdir(path.parent)
        if kind in (3, 4) and pages:
            at = self.rng.randrange(pages) * self.size
            content = content[:at] + self.pages(2, NEWER_THAN_ANY_BACKUP, None).ljust(self.size, b"\0") + content[at + self.size:]
        elif kind == 5:
            content = content[:self.rng.randrange(pages + 1) * self.size]
        elif kind == 6:
            content += self.pages(9, NEWER_THAN_ANY_BACKUP, None)
        elif kind == 7 and self.rng.random() < 0.3:
            content = self.rng.randbytes(self.rng.randrange(40000))
        return path.write_bytes(content)


def odd_names(directory):
    """Names that only PAX headers hold, and those that a shell or a pattern would read otherwise."""
    for name in ("name €", "x" * 200, "tab\tnew\nline", "back\\slash", "'quote\"", " lead", "trail ", "%2f", "a:b", "*?[x]", "70000",
                 "part_001.tar", "d" * 70 + "/" + "e" * 70 + "/" + "ü" * 70):
        mkdir((directory / name).parent)
        (directory / name).write_text(name)


@pytest.mark.parametrize("seed,size", [(1, 8192), (2, 4096), (3, 32768), (4, 2048), (5, 8192), (6, 8192)])
def test_chains_of_every_make(scratch, archive, walg, seed, size):
    """Composers, codecs, parts of all sizes, branches, origins, deltas without lists, blocks of other sizes, a tablespace, and a
    data directory in whose path stands "base", so that WAL-G takes numbered files anywhere for relations."""
    rng = random.Random(seed)
    cluster = scratch.cluster(archive, autovacuum="off", checkpoint_timeout="1d")
    if seed % 3 == 0:
        cluster.data = cluster.data.rename(give(mkdir(cluster.home / "a base")) / "data")
    tablespace = give(mkdir(scratch.path / "ts80000"))
    (cluster.data / "pg_tblspc/80000").symlink_to(tablespace)
    odd_names(cluster.data / "odd")
    places = [cluster.data / "base/70000", tablespace / "PG_15_202209061/70000", cluster.data / "base/70001", cluster.data / "extra"]
    living = LivingFiles(rng, places, size)
    cluster.start()
    for step in range(5):
        for _ in range(rng.randrange(1, 15) if step else 0):
            living.change()
        for top in (cluster.data / "odd", tablespace, *places):
            if top.exists():
                give(top, recursive=True)
        flags = rng.choice([[], [], [], ["--rating-composer"], ["--database-composer"], ["--permanent"], ["--without-files-metadata"]])
        if step > 1 and rng.random() < 0.3 and flags != ["--without-files-metadata"]:
            flags = [*flags, "--delta-from-name", rng.choice(archive.backups())]
        push(archive, cluster, walg, *flags, WALG_PG_BLOCK_SIZE=size, WALG_DELTA_ORIGIN=rng.choice(["LATEST", "LATEST", "LATEST_FULL"]),
             WALG_COMPRESSION_METHOD=rng.choice(["lz4", "zstd", "brotli", "lzma", "none"]),
             WALG_SERIALIZER_TYPE=rng.choice(["json_default", "json_streamed"]), WALG_UPLOAD_DISK_CONCURRENCY=rng.choice([1, 3]),
             WALG_TAR_SIZE_THRESHOLD=rng.choice([100000, 1 << 20, 4 << 20, 1 << 30]))
    cluster.stop()
    restores = Restores(scratch, archive, walg, WALG_PG_BLOCK_SIZE=size)
    for name in archive.backups()[1:]:
        want = restores.files(walg, name)
        for order in ORDERS:
            have = restores.files(None, name, *order)
            differ = {path for path in set(want) | set(have) if want.get(path) != have.get(path)}
            # Without lists WAL-G restores it all the same, and the server would follow it to the old places.
            assert differ <= ({"data/tablespace_map"} if archive.sentinel(name).get("FilesMetadataDisabled") else set()), (name, order)


def test_deltas_of_orioledb(scratch, archive, walg):
    """Its pages bear the number of a checkpoint instead of an LSN, may be compressed to units of 512 bytes, and its increments
    tell the size of their pages. WAL-G knows its files by their path, and reads its increments in the classic order alone."""
    rng = random.Random(7)
    cluster = scratch.cluster(archive)
    top = mkdir(cluster.data / "orioledb_data")
    place = mkdir(top / "16384")

    def plain(*checkpoints):
        return b"".join(struct.pack("<IHHQ", number, 0, 0, 0) + rng.randbytes(8176) for number in checkpoints)

    def packed(*checkpoints):
        return b"".join(struct.pack("<IHHQ", number, 900, 0, 0) + rng.randbytes(1008) for number in checkpoints)

    def checkpoint(number):
        for path in top.glob("*.xid"):
            path.unlink()
        (top / f"{number}.xid").touch()
        give(top, recursive=True)

    (place / "16390").write_bytes(plain(1, 1, 1, 1) + b"tail" * 30)
    (place / "16391").write_bytes(packed(1, 1, 1))
    (place / "16392").write_bytes(plain(1, 1))
    (place / "16393.1").write_bytes(plain(1, 1, 1))
    (place / "16390-1.map").write_bytes(b"a map")
    cluster.start()
    checkpoint(2)
    push(archive, cluster, walg)
    with open(place / "16390", "r+b") as file:
        file.seek(8192)
        file.write(plain(3))
    (place / "16391").write_bytes(packed(3, 3))
    (place / "16393.1").write_bytes(plain(3))
    (place / "16390-1.map").write_bytes(b"another map")
    checkpoint(4)
    first = push(archive, cluster, walg)
    with open(place / "16390", "r+b") as file:
        file.seek(3 * 8192)
        file.write(plain(5, 5))
    (place / "16391").write_bytes(plain(5))
    with open(place / "16393.1", "ab") as file:
        file.write(plain(5))
    checkpoint(6)
    second = push(archive, cluster, walg)
    expected = sums(top)
    cluster.stop()
    assert archive.sentinel(second)["DeltaChkpNum"] == 4
    for name in (first, second):
        lists = json.loads((archive.root / f"basebackups_005/{name}/files_metadata.json").read_text())["Files"]
        assert lists["/orioledb_data/16384/16390"]["IsIncremented"]
        have = Restores(scratch, archive, walg).agree(name)
    assert {path.removeprefix("data/orioledb_data/"): digest for path, digest in have.items() if "orioledb" in path} == expected


def test_tablespaces_within_the_data_directory(scratch, archive, walg):
    """In place (PostgreSQL 15 can), and at a location that is a directory of the cluster's own."""
    cluster = scratch.cluster(archive, allow_in_place_tablespaces="on")
    cluster.start()
    within = give(mkdir(cluster.data / "within", 0o700))
    cluster.sql("create tablespace in_place location ''")
    cluster.sql(f"create tablespace within location '{within}'")
    cluster.sql("create table a tablespace in_place as select g from generate_series(1, 3000) g;"
                "create table b tablespace within as select g from generate_series(1, 3000) g; checkpoint")
    push(archive, cluster, walg)
    cluster.sql("update a set g = 7 where g < 10; update b set g = 7 where g < 10; insert into b select generate_series(1, 1000);"
                "checkpoint")
    push(archive, cluster, walg)
    cluster.archive_all()
    digest = cluster.digest()
    cluster.stop()
    cluster.data.rename(cluster.home / "gone")
    for name in archive.backups():
        found = []
        for program, order in ((walg, []), *((None, order) for order in ORDERS)):
            shutil.rmtree(cluster.data, ignore_errors=True)
            archive.ok("backup-fetch", cluster.data, name, *order, program=program, timeout=300)
            found.append(sums(cluster.data))
        assert all(each == found[0] for each in found), name
    cluster.recovery()
    cluster.start(archive_mode="off")
    cluster.wait_promoted()
    assert cluster.digest() == digest


TOOLS = {"gz": lambda raw: gzip.compress(raw[:70000], 1) + gzip.compress(raw[70000:], 1),
         "lzo": lambda raw: ciphers.through(["lzop", "-qc"], raw),
         "zst": lambda raw: ciphers.through(["zstd", "-qc"], raw[:70000]) + ciphers.through(["zstd", "-qc"], raw[70000:]),
         "lz4": lambda raw: ciphers.through(["lz4", "-qc", "-B4", "-BX"], raw[:70000]) + ciphers.through(["lz4", "-qc"], raw[70000:]),
         "lzma": lambda raw: ciphers.through(["xz", "--format=lzma", "-qc", "-0"], raw)}


def recompress(archive, name, extension):
    """The parts of a backup in another codec, as its stock tool writes them, in several frames where the format has such."""
    top = archive.root / "basebackups_005" / name
    for path in sorted((top / "tar_partitions").iterdir()):
        raw = ciphers.through(["lz4", "-qdc", path], b"")
        path.unlink()
        give(harness.touch(path.with_suffix(f".{extension}"))).write_bytes(TOOLS[extension](raw))
    lists = top / "files_metadata.json"
    lists.write_text(lists.read_text().replace('.tar.lz4"', f'.tar.{extension}"'))


@pytest.mark.parametrize("extension", TOOLS)
def test_parts_that_stock_tools_compressed(scratch, archive, cluster, walg, extension):
    ciphers.fill(cluster)
    push(archive, cluster, walg, WALG_TAR_SIZE_THRESHOLD=4 << 20)
    cluster.sql("update t set m = 'x' where g < 50; checkpoint")
    push(archive, cluster, walg, WALG_TAR_SIZE_THRESHOLD=4 << 20)
    cluster.stop()
    full, delta = archive.backups()
    recompress(archive, full, extension)
    if extension != "lz4":
        Restores(scratch, archive, walg).agree(delta, orders=ORDERS[:1])
    recompress(archive, delta, extension)
    Restores(scratch, archive, walg).agree(delta)


def test_local_deltas_on_a_remote_backup(scratch, archive, cluster, walg):
    """Its files are listed without a slash, so that WAL-G knows none of them again."""
    ciphers.fill(cluster)
    push(archive, cluster, walg, remote=True)
    cluster.sql("update t set m = 'x' where g < 50; checkpoint")
    push(archive, cluster, walg)
    cluster.sql("update t set m = 'y' where g < 50; checkpoint")
    push(archive, cluster, walg, WALG_COMPRESSION_METHOD="zstd")
    cluster.stop()
    for name in archive.backups():
        Restores(scratch, archive, walg).agree(name)


KEYS = ["app", "app/t", "app/public.t", "app/s/u", "app/t*", "app/*", "a*", "app/s.*", "app/p", "app/pg_toast*", "app,other/t", "nothing",
        "app/Big Name", "*/t", "app/t|p", "app/[tu]", "App", "template1", "app/.*t"]


def test_a_part_of_the_databases(scratch, archive, walg):
    cluster = scratch.cluster(archive)
    cluster.start()
    place = give(mkdir(scratch.path / "x", 0o700))
    cluster.sql(f"create tablespace x location '{place}'")
    for name in ("app", "other", "App"):
        cluster.sql(f'create database "{name}"')
        cluster.sql("create schema s; create table t as select g, repeat('x', 3000) r from generate_series(1, 100) g;"
                    "create index ti on t(g); create table s.u as select 1 n; create table p (n int) partition by range (n);"
                    "create table p1 partition of p for values from (0) to (10);"
                    "create table s.p2 partition of p for values from (10) to (20);"
                    'create table "Big Name" tablespace x as select 1 n; create table par(n int); create table child() inherits (par);'
                    "create materialized view mv as select * from t; create sequence sq", name)
    cluster.sql("checkpoint")
    name = push(archive, cluster, walg)
    cluster.stop()
    restores = Restores(scratch, archive, walg)
    sizes = {key: len(restores.agree(name, "--restore-only", key, orders=ORDERS[:1])) for key in KEYS}
    assert sizes["nothing"] < sizes["app/t"] < sizes["app"] < sizes["a*"] + 1


def test_the_second_of_two_attempts_under_one_name(scratch, archive, cluster, walg):
    """A standby's pushes from one restart point have one name: what the first stored under other names than the second is still
    there. WAL-G unpacks both at once."""
    ciphers.fill(cluster)
    first = push(archive, cluster, walg, WALG_TAR_SIZE_THRESHOLD=1 << 20)
    cluster.sql("update t set m = 'x'; drop table if exists u; checkpoint")
    local = push(archive, cluster, walg, "--full", WALG_COMPRESSION_METHOD="zstd")
    remote = push(archive, cluster, walg, remote=True)
    cluster.stop()
    parts = {name: archive.root / f"basebackups_005/{name}/tar_partitions" for name in (first, local, remote)}
    for name in (local, remote):
        restores = Restores(scratch, archive, walg, WALG_DOWNLOAD_CONCURRENCY=1)  # the largest part first
        want = restores.files(walg, name)
        for path in parts[first].iterdir():
            if not (parts[name] / path.name).exists() and (name == local or path.name.startswith("part_")):
                subprocess.run(["cp", "-a", path, parts[name]], check=True)
        assert len(os.listdir(parts[name])) > 8
        assert restores.files(None, name) == want


def chain_and_remote(archive, cluster, walg):
    """Four backups; the digest of what came after them."""
    ciphers.fill(cluster)
    push(archive, cluster, walg)
    cluster.sql("update t set m = 'x' where g < 50; create table late as select 1 n; checkpoint")
    push(archive, cluster, walg)
    cluster.sql("update t set m = 'y' where g > 4950; drop table late; checkpoint")
    push(archive, cluster, walg)
    push(archive, cluster, walg, remote=True)
    cluster.archive_all()
    digest = cluster.digest()
    cluster.stop()
    return digest


def recovers(scratch, archive, digest, **kind):
    for name, order in zip(archive.backups()[-2:], (ORDERS[2], ORDERS[0])):
        restored = scratch.restored(archive, name, *order, **kind)
        restored.recovery()
        restored.start(archive_mode="off")
        restored.wait_promoted()
        assert restored.digest() == digest
        restored.stop()


def test_a_chain_and_a_remote_backup_of_each_major(scratch, archive, walg, major):
    cluster = scratch.cluster(archive, major=major)
    cluster.start()
    digest = chain_and_remote(archive, cluster, walg)
    for name in archive.backups()[-2:]:
        Restores(scratch, archive, walg).agree(name)
    recovers(scratch, archive, digest, major=major)


@pytest.mark.parametrize("mib", [4, 64])
def test_wal_segments_of_other_sizes_that_walg_archived(scratch, walg, mib):
    archive = scratch.archive(segment_mib=mib)
    cluster = scratch.cluster(archive, segment_mib=mib, min_wal_size=f"{2 * mib}MB", max_wal_size=f"{4 * mib}MB")
    command = cluster.archive_command().replace(str(scratch.program), str(walg))
    cluster.configure("postgresql.auto.conf", archive_command=command)
    cluster.start()
    digest = chain_and_remote(archive, cluster, walg)
    for words in (["backup-list", "--detail"], ["wal-show"], ["wal-show", "--detailed-json"]):
        assert archive.ok(*words).out == archive.ok(*words, program=walg).out
    recovers(scratch, archive, digest, segment_mib=mib)
