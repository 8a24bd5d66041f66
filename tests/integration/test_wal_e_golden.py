"""Archives that the real WAL-E 1.1.1 wrote: they list, restore and recover."""
import json
import os
import re
import shutil
import subprocess

import golden
import pytest
import seawall_harness as harness
import wal_e_harness as wal_e

LZO_FIRST = "base_000000010000000000000007_00000040"
# Names, arguments and exit code of the recorded lists.
LISTS = [("list", [], 0), ("list-detail", ["--detail"], 0), ("list-latest", ["LATEST"], 0), ("list-one", [LZO_FIRST], 0),
         ("list-none", ["base_000000010000000000000099_00000040"], 0), ("list-bad", ["nonsense"], 1)]


@pytest.fixture
def lzo(scratch):
    return wal_e.unpacked(scratch, "lzo")


def test_lists_as_wal_e_does(lzo):
    for name, arguments, code in LISTS:
        result = subprocess.run([lzo.program, "backup-list", *arguments], env=lzo.environment(), capture_output=True, check=False)
        assert result.returncode == code, result
        assert result.stdout.decode() == wal_e.expected("lzo", f"{name}.stdout"), name


@pytest.mark.parametrize("name,backup", [("fetch-1", LZO_FIRST), ("fetch-latest", "LATEST")])
def test_restores_what_wal_e_stored(scratch, lzo, name, backup):
    before = lzo.stamps()
    lzo.ok("backup-fetch", scratch.path / "to", backup)
    assert golden.sums(scratch.path / "to") == wal_e.sums("lzo", f"{name}.sha256")
    assert wal_e.listing(scratch.path / "to") == wal_e.expected_listing("lzo", f"{name}.list")
    assert lzo.stamps() == before
    # The same by the other names of the program.
    lzo.ok("backup-fetch", scratch.path / "again", LZO_FIRST, program=scratch.program, WALG_PG_WAL_SIZE="16")
    assert golden.sums(scratch.path / "again") == wal_e.sums("lzo", "fetch-1.sha256")


@pytest.mark.parametrize("name,backup,target", [
    ("1-to-latest", LZO_FIRST, "latest"),
    pytest.param("tli1", LZO_FIRST, "1", marks=pytest.mark.long),
    pytest.param("latest", "LATEST", "latest", marks=pytest.mark.long)])
def test_recovers_what_wal_e_stored(lzo, name, backup, target):
    cluster = lzo.fetched(backup, major=13)
    lzo.recover(cluster, recovery_target_timeline=target)
    assert wal_e.content(cluster) == wal_e.expected("lzo", f"content.{name}.txt")


class KeyRing:
    """A GnuPG home of its own, with the key of the recorded archive."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.home = harness.give(harness.mkdir(scratch.path / "gnupg", 0o700))
        keys = wal_e.ARCHIVES / "gpg-passphrase/keys"
        self.passphrase = (keys / "passphrase.txt").read_text().strip()
        self.gpg("--batch", "--pinentry-mode", "loopback", "--passphrase", self.passphrase, "--import", "-",
                 input=(keys / "secret.asc").read_bytes())
        self.forget()

    def gpg(self, *arguments, **rest):
        return subprocess.run(["gpg", "--homedir", self.home, *arguments], check=True, capture_output=True, **harness.other_user(), **rest)

    def forget(self):
        """What the agent learnt while the key was imported."""
        subprocess.run(["gpgconf", "--homedir", self.home, "--kill", "gpg-agent"], check=True, capture_output=True, **harness.other_user())

    def preset(self):
        """gpg-agent as unattended sites have it."""
        harness.give(golden.write(self.home / "gpg-agent.conf", "allow-preset-passphrase\n"))
        self.forget()
        subprocess.run(["gpgconf", "--homedir", self.home, "--launch", "gpg-agent"], check=True, capture_output=True, **harness.other_user())
        listed = self.gpg("--batch", "--with-colons", "--with-keygrip", "--list-secret-keys").stdout.decode()
        for line in listed.splitlines():
            if line.startswith("grp:"):
                subprocess.run(["/usr/lib/gnupg/gpg-preset-passphrase", "--preset", line.split(":")[9]], check=True,
                               input=self.passphrase.encode(), env={**os.environ, "GNUPGHOME": str(self.home)}, **harness.other_user())


@pytest.fixture
def key_ring(scratch):
    made = KeyRing(scratch)
    yield made
    made.forget()


@pytest.fixture
def encrypted(scratch, key_ring):
    return wal_e.unpacked(scratch, "gpg-passphrase", GNUPGHOME=str(key_ring.home), WALE_GPG_KEY_ID="backup@example.org",
                          GPG_AGENT_INFO="/nowhere:1:1")


def test_passphrase_of_a_protected_key(scratch, encrypted, key_ring):
    """By a setting, a file, a command and gpg-agent; WAL-E knew the last alone."""
    secret = harness.give(golden.write(scratch.path / "passphrase", key_ring.passphrase + "\n"))
    ways = [{"WALG_PGP_KEY_PASSPHRASE": key_ring.passphrase}, {"SEAWALL_PGP_PASSPHRASE_PATH": str(secret)},
            {"SEAWALL_PGP_PASSPHRASE_COMMAND": f"cat {secret}"}]
    segment = "000000010000000000000003"
    for way in ways:
        encrypted.ok("wal-fetch", "-p", "0", segment, scratch.path / "wal", **way)
        assert (scratch.path / "wal").stat().st_size == 16 << 20
    encrypted.ok("backup-fetch", scratch.path / "to", "LATEST", **ways[1])
    assert golden.sums(scratch.path / "to") == wal_e.sums("gpg-passphrase", "fetch.sha256")
    key_ring.preset()
    encrypted.ok("wal-fetch", "-p", "0", segment, scratch.path / "wal2")
    assert (scratch.path / "wal2").read_bytes() == (scratch.path / "wal").read_bytes()
    # What is encrypted tells so itself: the key need not be named for reading.
    encrypted.ok("wal-fetch", "-p", "0", segment, scratch.path / "wal3", WALE_GPG_KEY_ID=None)


def test_protected_key_without_passphrase(scratch, encrypted, key_ring):
    ways = ["WALG_PGP_KEY_PASSPHRASE", "SEAWALL_PGP_PASSPHRASE_PATH", "SEAWALL_PGP_PASSPHRASE_COMMAND", "gpg-agent", "0x"]
    destination = golden.write(scratch.path / "wal", "what was there")
    encrypted.fails("wal-fetch", "-p", "0", "000000010000000000000003", destination, code=126, says=ways)
    assert destination.read_text() == "what was there"
    encrypted.fails("backup-fetch", scratch.path / "to", "LATEST", code=2, says=ways)
    encrypted.fails("wal-fetch", "000000010000000000000003", destination, code=126, says="does not unlock",
                    WALG_PGP_KEY_PASSPHRASE="wrong")
    encrypted.fails("wal-fetch", "000000010000000000000003", destination, code=126, says=["SEAWALL_PGP_PASSPHRASE_COMMAND", "no such"],
                    SEAWALL_PGP_PASSPHRASE_COMMAND="echo no such thing >&2; exit 3")
    encrypted.fails("wal-fetch", "000000010000000000000003", destination, code=126, says="no secret part",
                    GNUPGHOME=str(harness.give(harness.mkdir(scratch.path / "empty", 0o700))))
    assert destination.read_text() == "what was there"


@pytest.mark.long
def test_recovers_an_encrypted_archive(encrypted, key_ring):
    encrypted.settings["WALG_PGP_KEY_PASSPHRASE"] = key_ring.passphrase
    cluster = encrypted.fetched("LATEST", major=13)
    encrypted.recover(cluster)
    assert wal_e.content(cluster) == wal_e.expected("gpg-passphrase", "content.txt")


def without_map(sums):
    return {name: digest for name, digest in sums.items() if name != "tablespace_map"}


@pytest.fixture
def spaces(scratch):
    return wal_e.unpacked(scratch, "tablespace")


def test_hard_links_and_odd_files(scratch, spaces):
    """Without links WAL-E restores tablespaces of a file store into plain directories, and so with --blind-restore."""
    for name, options in (("plain", []), ("blind", ["--blind-restore"])):
        result = spaces.ok("backup-fetch", *options, scratch.path / name, "LATEST")
        assert "pg_tblspc" in result.err and "allow_in_place_tablespaces" in result.err
        assert golden.sums(scratch.path / name) == without_map(wal_e.sums("tablespace", "fetch-plain.sha256"))
        # Directories that no member is for are the owner's alone; WAL-E's are as umask has it.
        wanted = [re.sub(r"^d 755 (- pg_tblspc/.+)$", r"d 700 \1", line) for line in wal_e.expected_listing("tablespace", "fetch-plain.list")]
        assert wal_e.listing(scratch.path / name) == sorted(line for line in wanted if " tablespace_map" not in line)
    odd = scratch.path / "plain/odd"
    assert (odd / "hard_a").stat().st_ino == (odd / "hard_b").stat().st_ino
    # WAL-E never came to an end here.
    spaces.fails("backup-fetch", scratch.path / "plain", "LATEST", code=1, says=["plain", "empty"])


def recover_spaces(spaces, cluster):
    wal_e.supply(cluster)
    spaces.recover(cluster)
    assert wal_e.content(cluster) == wal_e.expected("tablespace", "content.txt")


def test_relocation_by_links_survives_the_start(scratch, spaces):
    """The tablespace_map of the backup had the server make the links anew, to where the tablespaces once were."""
    cluster = scratch.cluster(None, major=13, empty=True)
    data = harness.give(harness.mkdir(cluster.data, 0o700))
    harness.give(harness.mkdir(data / "pg_tblspc", 0o700))
    for oid in ("16788", "16789"):
        place = harness.give(harness.mkdir(scratch.path / f"space-{oid}", 0o700))
        (data / "pg_tblspc" / oid).symlink_to(place)
    harness.give(golden.write(data / "recovery.signal", ""))
    spaces.ok("backup-fetch", data, "LATEST")
    recover_spaces(spaces, cluster)
    for oid in ("16788", "16789"):
        assert os.readlink(data / "pg_tblspc" / oid).rstrip("/") == str(scratch.path / f"space-{oid}")


def test_relocation_by_specification(scratch, spaces):
    cluster = scratch.cluster(None, major=13, empty=True)
    spec = json.loads(wal_e.expected("tablespace", "restore-spec.json"))
    spec["base_prefix"] = str(cluster.data)
    for oid in spec["tablespaces"]:
        spec[oid]["loc"] = f"{scratch.path}/moved-{oid}/"
    file = harness.give(golden.write(scratch.path / "spec.json", json.dumps(spec)))
    result = spaces.ok("backup-fetch", "--restore-spec", file, scratch.path / "ignored", "LATEST")
    assert str(cluster.data) in result.err and not (scratch.path / "ignored").exists()
    # A second time ends at once, with the first one's files as they were.
    spaces.fails("backup-fetch", "--restore-spec", file, scratch.path / "ignored", "LATEST", code=1, says=str(cluster.data))
    recover_spaces(spaces, cluster)
    golden.write(scratch.path / "bad.json", '{"base_prefix": "/x",}')
    spaces.fails("backup-fetch", "--restore-spec", scratch.path / "bad.json", scratch.path / "n", "LATEST", code=2, says="bad.json")
    spaces.fails("backup-fetch", "--restore-spec", "/nonexistent.json", scratch.path / "n", "LATEST", says="/nonexistent.json")
    assert not (scratch.path / "n").exists()


def test_links_that_are_wrong_or_missing(scratch, spaces):
    data = harness.give(harness.mkdir(scratch.path / "to", 0o700))
    harness.give(harness.mkdir(data / "pg_tblspc", 0o700))
    (data / "pg_tblspc/16788").symlink_to(harness.give(harness.mkdir(scratch.path / "s")))
    spaces.fails("backup-fetch", data, "LATEST", says=["pg_tblspc/16789", "--restore-spec", "--blind-restore"])
    (data / "pg_tblspc/16789").symlink_to(harness.give(harness.mkdir(scratch.path / "s2")))
    (data / "pg_tblspc/4711").symlink_to(scratch.path / "s2")
    spaces.fails("backup-fetch", data, "LATEST", says="pg_tblspc/4711")
    (data / "pg_tblspc/4711").unlink()
    golden.write(scratch.path / "s2/file", "x")
    spaces.fails("backup-fetch", data, "LATEST", says=["s2", "file"])
    assert sorted(os.listdir(data)) == ["pg_tblspc"]


def test_an_archive_in_s3(scratch, double):
    """Objects that WAL-E put into an object store."""
    archive = wal_e.unpacked(scratch, "s3")
    for path in sorted((archive.root / "prod").rglob("*")):
        if path.is_file():
            double.bucket().put(str(path.relative_to(archive.root)), path.read_bytes())
    shutil.rmtree(archive.root / "prod")
    archive.settings = {"WALE_S3_PREFIX": "s3://bucket/prod/main", "WALE_S3_ENDPOINT": double.endpoint.replace("http://", "http+path://"),
                        "AWS_ACCESS_KEY_ID": "AKIDDOUBLE", "AWS_SECRET_ACCESS_KEY": "double/secret+key", "WALE_LOG_DESTINATION": "stderr"}
    def columns(text):
        rows = [line.split("\t") for line in text.replace("\r\n", "\n").splitlines()]
        return [row[:1] + row[2:] for row in rows]
    for name, arguments in (("list", []), ("list-detail", ["--detail"])):
        assert columns(archive.ok("backup-list", *arguments).out) == columns(wal_e.expected("s3", f"{name}.stdout"))
    spec = harness.give(golden.write(scratch.path / "spec.json", json.dumps({
        "base_prefix": str(scratch.path / "data"), "16788": {"loc": str(scratch.path / "space"), "link": "pg_tblspc/16788"}})))
    archive.fails("backup-fetch", scratch.path / "data", "LATEST", says="pg_tblspc/16788")
    archive.ok("backup-fetch", "--restore-spec", spec, scratch.path / "data", "LATEST")
    assert golden.sums(scratch.path / "data") == without_map(wal_e.sums("s3", "fetch-SOURCE.sha256"))
    archive.fails("wal-fetch", "-p", "0", "0000000100000000000000AA", scratch.path / "wal", code=1)
    archive.fails("wal-fetch", "00000009.history", scratch.path / "wal", code=1)
    archive.ok("wal-fetch", "-p", "0", "000000010000000000000005", scratch.path / "wal")
    assert (scratch.path / "wal").stat().st_size == 16 << 20
