"""st: single objects by name, on files and on S3."""
import os
import re
import subprocess

import pytest
import seawall_harness as harness
from s3_harness import double_archive
from seawall_harness import give, mkdir

DATE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? \+0000 UTC"


@pytest.fixture(params=["files", "s3"])
def store(request, scratch, archive):
    if request.param == "files":
        return archive
    return double_archive(scratch, request.getfixturevalue("double"))


@pytest.fixture
def hello(scratch):
    path = scratch.path / "hello.txt"
    path.write_text("hello\n")
    return give(path)


def names(listing):
    return [line.split()[6] for line in listing.splitlines()[1:]]


def test_put_listed_shown_read_and_removed(store, scratch, hello):
    store.ok("st", "put", hello, "dir/hello.txt")
    store.ok("st", "put", hello, "/dir//plain.txt", "--no-compress", "--no-encrypt")
    store.ok("st", "put", hello, "top.txt", "--no-compress")
    listing = store.ok("st", "ls").out
    assert re.fullmatch("type size last modified +name\ndir  0    0001-01-01 00:00:00 \\+0000 UTC +dir/ +\n"
                        f"obj  6    {DATE} +top.txt +\n", listing), listing
    assert names(store.ok("st", "ls", "dir").out) == ["hello.txt.lz4", "plain.txt"]
    assert names(store.ok("st", "ls", "-r").out) == ["top.txt", "dir/hello.txt.lz4", "dir/plain.txt"]
    assert names(store.ok("st", "stat", "dir/plain.txt").out) == ["dir/plain.txt"]
    assert store.ok("st", "cat", "dir/plain.txt").out == "hello\n"
    assert store.ok("st", "cat", "dir/hello.txt.lz4", "--decompress").out == "hello\n"
    assert store.ok("st", "cat", "dir/hello.txt.lz4").out != "hello\n"
    assert store.ok("st", "cat", "-g", "*/pl?in.txt").out == "hello\n"
    store.ok("st", "get", "dir/hello.txt.lz4", scratch.path / "got")
    assert (scratch.path / "got").read_text() == "hello\n"
    assert (scratch.path / "got").stat().st_mode & 0o7777 == 0o640
    into = give(mkdir(scratch.path / "into"))
    store.ok("st", "get", "dir/hello.txt.lz4", into, "--no-decompress")
    assert os.listdir(into) == ["hello.txt.lz4"] and (into / "hello.txt.lz4").read_bytes() != b"hello\n"
    store.ok("st", "rm", "dir/plain.txt")
    store.fails("st", "rm", "dir/plain.txt", says="neither an object nor a folder")
    store.ok("st", "rm", "dir")
    assert store.keys() == ["top.txt"]


def test_nothing_is_overwritten_unasked(store, scratch, hello):
    other = scratch.path / "other"
    other.write_text("other\n")
    give(other)
    store.ok("st", "put", hello, "x")
    store.ok("st", "put", hello, "y", "--no-compress")
    store.fails("st", "put", other, "x", says="x.lz4' exists already")
    store.fails("st", "put", other, "y", "--no-compress", says="y' exists already")
    assert store.ok("st", "cat", "y").out == "hello\n"
    store.ok("st", "put", other, "y", "--no-compress", "-f")
    assert store.ok("st", "cat", "y").out == "other\n"
    there = scratch.path / "there"
    there.write_text("mine")
    store.fails("st", "get", "y", there, says="exists")
    assert there.read_text() == "mine"
    store.fails("st", "get", "nothing", scratch.path / "new", says="nothing")
    assert not [path for path in scratch.path.iterdir() if path.name.startswith("new")]


def test_standard_input_of_unknown_length(store, scratch):
    content = os.urandom(3 << 20)
    done = subprocess.run([scratch.program, "st", "put", "-s", "big/stream"], input=content, env=store.environment(), check=False,
                          capture_output=True, **harness.other_user())
    assert done.returncode == 0, done.stderr
    store.ok("st", "get", "big/stream.lz4", scratch.path / "back")
    assert (scratch.path / "back").read_bytes() == content


def test_odd_uses_are_refused(store, hello):
    store.ok("st", "put", hello, "dir/a", "--no-compress")
    before = store.keys()
    store.fails("st", "put", hello, says="arguments")
    store.fails("st", "put", hello, "../x", says="leads out of the archive")
    store.fails("st", "put", "/", "x", says="is a directory")
    store.fails("st", "rm", "/", says="whole archive")
    store.fails("st", "rm", "", says="whole archive")
    store.fails("st", "rm", "-g", "[", says="no valid pattern")
    store.fails("st", "rm", "x", "--version-id", "1", "--all-versions", says="neither")
    store.fails("st", "ls", "dir/a", says="is an object and no folder")
    store.fails("st", "get", "dir/a", "x", "-t", "all", says="several")
    store.fails("st", "ls", "-t", "elsewhere", says="not configured")
    store.fails("st", "stat", "dir", says="dir")
    assert store.ok("st", "ls", "dir/nothing").out == "type size last modified name\n"
    assert store.keys() == before


def test_patterns(store, hello):
    for name in ("wal/a1", "wal/a2", "wal/b1", "other/a1", "wal/deep/a1", "wal/deep2/x"):
        store.ok("st", "put", hello, name, "--no-compress")
    listing = store.ok("st", "ls", "-g", "wal/d*").out
    assert [line for line in listing.splitlines() if line.endswith(":")] == ["wal/deep/:", "wal/deep2/:"]
    assert store.ok("st", "cat", "-g", "*/a[12]").out == "hello\n" * 3
    store.ok("st", "rm", "-g", "wal/*1")
    store.ok("st", "rm", "-g", "wal/deep*")
    assert store.keys() == ["other/a1", "wal/a2"]


def test_a_large_folder_is_removed_in_batches(store, hello):
    store.ok("st", "put", hello, "f/0", "--no-compress")
    if isinstance(store, harness.Archive) and hasattr(store, "root"):
        for number in range(1, 2500):
            give(harness.touch(store.root / f"f/{number}"))
    else:
        for number in range(1, 2500):
            store.server.double.bucket().put(f"{store.prefix}/f/{number}", b"x")
    store.ok("st", "put", hello, "f2/stays", "--no-compress")
    store.ok("st", "rm", "f")
    assert store.keys() == ["f2/stays"]


def test_encrypted_objects(archive, scratch, hello):
    archive.settings["WALG_LIBSODIUM_KEY"] = "0123456789abcdef0123456789abcdef"
    archive.ok("st", "put", hello, "x")
    archive.ok("st", "put", hello, "y", "--no-encrypt")
    archive.ok("st", "put", hello, "z.txt", "--no-compress")
    assert archive.ok("st", "cat", "x.lz4", "--decrypt", "--decompress").out == "hello\n"
    assert archive.ok("st", "cat", "y.lz4", "--decompress").out == "hello\n"
    assert archive.ok("st", "cat", "z.txt", "--decrypt").out == "hello\n"
    assert archive.ok("st", "cat", "z.txt").out != "hello\n"
    archive.fails("st", "get", "y.lz4", scratch.path / "y", says="y.lz4")
    archive.ok("st", "get", "y.lz4", scratch.path / "y", "--no-decrypt")
    assert (scratch.path / "y").read_text() == "hello\n"
    unknown = archive.ok("st", "get", "z.txt", scratch.path / "z")
    assert (scratch.path / "z").read_text() == "hello\n" and "names no compression" in unknown.err


def test_an_empty_object(store, scratch):
    empty = give(harness.touch(scratch.path / "empty"))
    store.ok("st", "put", empty, "none", "--no-compress")
    assert store.ok("st", "cat", "none").out == ""
    store.ok("st", "put", empty, "packed")
    assert store.ok("st", "cat", "packed.lz4", "--decompress").out == ""


def versions(listing):
    """(name, LATEST and DELETE) of each, and the ids."""
    rows = [line.split() for line in listing.splitlines()[1:]]
    return [(row[6], " ".join(row[8:])) for row in rows], [row[7] for row in rows]


def test_versions_are_listed_and_removed(scratch, double, hello):
    double.bucket().versioning = "Enabled"
    store = double_archive(scratch, double)
    for _ in range(2):
        store.ok("st", "put", hello, "dir/x", "--no-compress", "-f")
    store.ok("st", "put", hello, "dir/y", "--no-compress")
    store.ok("st", "rm", "dir/x")
    assert names(store.ok("st", "ls", "dir").out) == ["y"]
    told, ids = versions(store.ok("st", "ls", "dir", "--all-versions").out)
    assert told == [("x", "LATEST DELETE"), ("x", ""), ("x", ""), ("y", "LATEST")]
    store.ok("st", "rm", "dir/x", "--version-id", ids[0])
    assert names(store.ok("st", "ls", "dir").out) == ["x", "y"]
    store.ok("st", "rm", "dir/x", "--all-versions")
    told, _ = versions(store.ok("st", "ls", "dir", "--all-versions").out)
    assert told == [("y", "LATEST")]
    store.ok("st", "rm", "dir", "--all-versions")
    assert versions(store.ok("st", "ls", "-r", "--all-versions").out)[0] == []


def test_files_keep_no_versions(archive, hello):
    archive.ok("st", "put", hello, "x", "--no-compress")
    assert archive.ok("st", "ls", "--all-versions").out == archive.ok("st", "ls").out
    archive.fails("st", "rm", "x", "--version-id", "1", says="keeps no versions")
    archive.ok("st", "rm", "x", "--all-versions")
    assert archive.keys() == []
