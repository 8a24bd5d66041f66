"""Peak memory of backup-push, backup-fetch, wal-push and wal-fetch, sampled from /proc, children included."""
import fcntl
import os
import random
import threading

import pytest
from doubles.s3 import S3Double
from s3_harness import S3Archive, double_archive
from seawall_harness import MIB, give, peak_memory

pytestmark = pytest.mark.once
LIMIT = 200 * MIB
S3_LIMIT = 256 * MIB
WAL_LIMIT = 60 * MIB
PAGE = 8192


def fill(cluster, gib, files):
    """Files that lie in the data directory like relations: no zero pages but one in ten, half of the rest incompressible."""
    directory = cluster.data / "base/1"
    chunk = 16 * MIB
    rng = random.Random(1)
    text = b"".join(f"row {n} of a table, with a few words and the number {n * 7919};".encode() for n in range(chunk // 40))[:chunk]
    noise = [rng.randbytes(chunk) for _ in range(3)]
    for number in range(gib):
        path = directory / f"9{number:05d}"
        with open(path, "wb") as out:
            for step in range(1024 // 16):
                raw = bytearray(text if step % 2 else noise[(number + step) % 3])
                raw[:chunk // 10 // PAGE * PAGE] = bytes(chunk // 10 // PAGE * PAGE)
                raw[-8:] = step.to_bytes(8, "little")
                out.write(raw)
        give(path)
    body = text[:3000]
    for number in range(files):
        path = directory / f"8{number:06d}"
        path.write_bytes(body)
    if files:
        give(directory, recursive=True)


def push_and_fetch(scratch, archive, cluster, timeout, remote=False, limit=LIMIT):
    archive.settings["SEAWALL_ARCHIVE_TIMEOUT"] = "60s"
    where = [] if remote else [cluster.data]
    result, peak = peak_memory(archive.start("backup-push", *where, **cluster.connection(), WALG_VERIFY_PAGE_CHECKSUMS="false"), timeout)
    assert result.code == 0, result
    assert peak <= limit, f"backup-push took {peak // MIB} MiB"
    target = scratch.path / "restored"
    result, peak = peak_memory(archive.start("backup-fetch", target, "LATEST"), timeout)
    assert result.code == 0, result
    assert peak <= LIMIT, f"backup-fetch took {peak // MIB} MiB"
    count = 0
    for directory, _, names in os.walk(cluster.data / "base"):
        for name in names:
            if name[0] in "89" and len(name) > 5:
                path = os.path.join(directory, name)
                back = os.path.join(str(target), os.path.relpath(path, cluster.data))
                count += 1
                assert same(path, back), back
    return count


def same(left, right):
    with open(left, "rb") as a, open(right, "rb") as b:
        while True:
            one, other = a.read(4 * MIB), b.read(4 * MIB)
            if one != other:
                return False
            if not one:
                return True


def test_memory_of_a_gibibyte_and_many_files(scratch, archive, cluster):
    fill(cluster, 1, 20_000)
    assert push_and_fetch(scratch, archive, cluster, 600) == 20_001


@pytest.mark.long
def test_memory_of_a_remote_backup(scratch, archive, cluster):
    fill(cluster, 2, 50_000)
    assert push_and_fetch(scratch, archive, cluster, 1800, remote=True) == 50_002


@pytest.mark.long
def test_memory_of_ten_gibibytes(scratch, archive, cluster):
    fill(cluster, 10, 0)
    assert push_and_fetch(scratch, archive, cluster, 1800) == 10


@pytest.mark.long
def test_memory_of_ten_gibibytes_on_s3(scratch, radosgw):
    archive = S3Archive(scratch, radosgw)
    cluster = scratch.cluster(archive)
    cluster.start()
    fill(cluster, 10, 0)
    assert push_and_fetch(scratch, archive, cluster, 3600, limit=S3_LIMIT) == 10


@pytest.mark.long
def test_memory_of_many_uploads_is_what_the_manual_says(scratch, radosgw):
    """docs/storage-s3.md, Memory."""
    archive = S3Archive(scratch, radosgw)
    archive.settings |= {"SEAWALL_UPLOAD_MEMORY": "320mb", "WALG_UPLOAD_CONCURRENCY": "16", "S3_MAX_PART_SIZE": 20 * MIB}
    cluster = scratch.cluster(archive)
    cluster.start()
    fill(cluster, 2, 0)
    assert push_and_fetch(scratch, archive, cluster, 1800, limit=(320 + 64) * MIB) == 2


def write_numbered(path, mebibytes):
    """Each of them begins with its number."""
    rest = bytes(MIB - 16)
    with open(path, "wb", buffering=0) as out:
        fcntl.fcntl(out, fcntl.F_SETPIPE_SZ, MIB)
        for number in range(mebibytes):
            assert os.writev(out.fileno(), [number.to_bytes(16, "big"), rest]) == MIB


@pytest.mark.long
def test_memory_of_a_stream_of_sixty_gibibytes(scratch):
    """Its length is unknown, so that parts have to grow; the double checks the SHA-256 of each and keeps where it began."""
    mebibytes = 60 << 10
    double = S3Double(drop_parts=True, checksums=False)
    try:
        archive = double_archive(scratch, double)
        os.mkfifo(scratch.path / "stream")
        give(scratch.path / "stream")
        threading.Thread(target=write_numbered, args=(scratch.path / "stream", mebibytes), daemon=True).start()
        result, peak = peak_memory(archive.start("st", "put", "stream", "big", "--no-compress"), 3600)
        assert result.code == 0, result
        pieces = double.objects()[f"{archive.prefix}/big"].pieces
        print(f"{len(pieces)} parts, the last of {pieces[-1][0] // MIB} MiB; {peak // MIB} MiB of memory")
        assert peak <= (128 + 64) * MIB, f"st put took {peak // MIB} MiB"
        assert [size for size, _ in pieces[:-1]] == [8 * MIB << number // 1000 for number in range(len(pieces) - 1)]
        assert sum(size for size, _ in pieces) == mebibytes * MIB and len(pieces) <= 10_000
        begin = 0
        for size, start in pieces:
            assert int.from_bytes(start, "big") == begin // MIB
            begin += size
    finally:
        double.close()


@pytest.mark.long
def test_memory_of_two_hundred_thousand_files(scratch, archive, cluster):
    fill(cluster, 0, 200_000)
    assert push_and_fetch(scratch, archive, cluster, 1800) == 200_000


def test_memory_of_wal(scratch):
    archive = scratch.archive(segment_mib=16)
    cluster = scratch.cluster(archive, segment_mib=16, archive_command="")
    cluster.start()
    names = [cluster.switch_wal() for _ in range(6)]
    cluster.stop()
    result, peak = peak_memory(archive.start("wal-push", cluster.segment_file(names[0])), 120)
    assert result.code == 0 and peak <= WAL_LIMIT, f"wal-push took {peak // MIB} MiB\n{result}"
    assert set(names) <= set(archive.wal())
    result, peak = peak_memory(archive.start("wal-fetch", names[0], scratch.path / "out"), 120)
    assert result.code == 0 and peak <= WAL_LIMIT, f"wal-fetch took {peak // MIB} MiB\n{result}"
    assert (scratch.path / "out").stat().st_size == 16 * MIB
