"""docs/moving-from-wal-g.md and moving-from-wal-e.md, word for word: their commands are taken from the page and run, in a
private root with the paths replaced, and (long) in a Debian of its own as they stand there."""
import os
import re
import shutil
import subprocess

import pytest
import golden
import seawall_harness as harness
import wal_e_harness as wal_e
from bare_debian import BareDebian, release_package
from seawall_harness import DEBIAN, ROOT, give, mkdir, other_user

WAL_G, WAL_E = ROOT / "docs/moving-from-wal-g.md", ROOT / "docs/moving-from-wal-e.md"

# The program that was there before, as far as the page needs it: it stores with lzop, and restores with lzop and tar.
OLD_WAL_E = """#!/bin/sh
set -eu
root=${WALE_FILE_PREFIX#file://localhost}
echo "old wal-e $1" >>"$root/old.log"
case $1 in
wal-push) mkdir -p "$root/wal_005"; lzop -c "$2" >"$root/wal_005/${2##*/}.lzo" ;;
wal-fetch) [ -f "$root/wal_005/$2.lzo" ] && lzop -dc "$root/wal_005/$2.lzo" >"$3" ;;
backup-fetch)
  newest=$(ls -t "$root"/basebackups_005/*_backup_stop_sentinel.json | head -n 1)
  mkdir -p -m 700 "$2"
  for volume in "${newest%_backup_stop_sentinel.json}"/tar_partitions/part_*.tar.lzo; do lzop -dc "$volume" | tar -xf - -C "$2"; done ;;
*) exit 2 ;;
esac
"""


def commands(page, title):
    """The indented blocks of one section, a list of lines each."""
    section = re.split(r"^## ", page.read_text(), flags=re.MULTILINE)
    text = next(part for part in section if part.startswith(title + "\n"))
    blocks, lines = [], []
    for line in text.splitlines():
        match = re.match(r"(?: {7}| {4})(?=[a-z])(.*)", line)
        if match:
            lines.append(match.group(1))
        elif lines:
            blocks.append(lines)
            lines = []
    return [block for block in [*blocks, lines] if block]


@pytest.mark.once
def test_from_wal_g_and_back(scratch, program):
    root = scratch.path / "root"
    for directory in ("usr/bin", "usr/local/bin", "var/tmp"):
        give(mkdir(root / directory))
    give(root / "usr/local"), give(root / "usr"), give(root)
    before = root / "usr/local/bin/wal-g"
    shutil.copy(harness.WALG or program, before)
    before.chmod(0o755)
    archive = scratch.archive()
    cluster = scratch.cluster(archive)
    settings = {**archive.environment(), **cluster.connection(), "PGDATA": str(cluster.data),
                "PATH": f"{root}/usr/local/bin:{root}/usr/bin:{DEBIAN}:/usr/bin:/bin"}
    pairs = " ".join(f"{key}='{value}'" for key, value in settings.items() if not key.startswith("PG"))
    cluster.configure(archive_command=f"env {pairs} PGDATA={cluster.data} wal-g wal-push %p")
    cluster.start()

    def shell(lines):
        text = "\n".join(lines)
        for path, here in (("build/release/seawall", str(program)), ("/var/lib/postgresql/15/main", str(cluster.data)),
                           (" /usr/", f" {root}/usr/"), (" /var/tmp/", f" {root}/var/tmp/")):
            text = text.replace(path, here)
        done = subprocess.run(["bash", "-euxc", text], cwd="/", env=settings, capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, **other_user())
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    cluster.sql("create table t as select generate_series(1, 1000) i")
    shell(["wal-g backup-push /var/lib/postgresql/15/main"])
    old = {key for key in archive.keys() if "sentinel" in key}

    over = commands(WAL_G, "Over")
    assert over[0] == ["apt install ./seawall_*.deb"]
    for block in over[1:]:
        printed = shell(block)
        if block[0].startswith("seawall backup-list"):
            assert len(printed.splitlines()) == 2
    assert os.readlink(before) == f"{root}/usr/bin/seawall"
    assert len({key for key in archive.keys() if "sentinel" in key}) == len(old) + 1
    assert archive.holds("seawall_005/identity.json")
    cluster.sql("insert into t select generate_series(1001, 2000)")
    content = cluster.digest()
    shell(["psql -c 'select pg_switch_wal()'"])
    cluster.archive_all()

    *back, removal = commands(WAL_G, "Back")
    assert removal == ["apt remove seawall"]
    for block in back:
        shell(block)
    assert not before.is_symlink()
    assert len(shell(["wal-g backup-list"]).splitlines()) == 3
    restored = scratch.cluster(archive, empty=True)
    shell([f"wal-g backup-fetch {restored.data} LATEST"])
    restored.recovery(restore_command=f"env {pairs} PGDATA={restored.data} wal-g wal-fetch %f %p")
    restored.start()
    restored.wait_promoted()
    assert restored.digest() == content


@pytest.mark.once
def test_from_wal_e_and_back(scratch, program):
    root = scratch.path / "root"
    for directory in ("usr/bin", "usr/local/bin", "var/tmp"):
        give(mkdir(root / directory))
    give(root / "usr/local"), give(root / "usr"), give(root)
    before = root / "usr/local/bin/wal-e"
    for path, text in ((before, OLD_WAL_E), (root / "usr/bin/envdir", wal_e.ENVDIR)):
        give(golden.write(path, text)).chmod(0o755)
    archive = wal_e.WalEArchive(scratch)
    cluster = scratch.cluster(None)
    archive.settings.update(cluster.connection())
    folder = archive.envdir()
    path = f"{root}/usr/local/bin:{root}/usr/bin:{DEBIAN}:/usr/bin:/bin"
    wal_e_of_site = f"env PATH={path} envdir {folder} wal-e"
    cluster.configure(archive_mode="on", archive_command=f"{wal_e_of_site} wal-push %p")
    cluster.start()

    def shell(lines):
        text = "\n".join(lines)
        for there, here in (("build/release/seawall", str(program)), ("/var/lib/postgresql/15/main", str(cluster.data)),
                            ("/etc/wal-e.d/env", str(folder)), (" /usr/", f" {root}/usr/"), (" /var/tmp/", f" {root}/var/tmp/")):
            text = text.replace(there, here)
        done = subprocess.run(["bash", "-euxc", text], cwd="/", env={"PATH": path, "HOME": str(scratch.home), **cluster.connection()},
                              capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **other_user())
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def archived():
        name = cluster.sql("select pg_walfile_name(pg_switch_wal())")
        harness.wait_until(lambda: name in archive.wal(), what=f"{name} in the archive")
    cluster.sql("create table t as select generate_series(1, 1000) i")
    archived()
    assert "old wal-e wal-push" in (archive.root / "old.log").read_text()
    archive.push(cluster)  # what WAL-E's own would be, which needs a server of before PostgreSQL 15

    over = commands(WAL_E, "Over")
    assert over[0] == ["apt install ./seawall_*.deb"]
    for block in over[1:]:
        shell(block)
    assert os.readlink(before) == f"{root}/usr/bin/seawall" and len(archive.backups()) == 2
    (archive.root / "old.log").unlink()
    cluster.sql("insert into t select generate_series(1001, 2000)")
    archived()
    assert not archive.holds("old.log")

    *back, removal = commands(WAL_E, "Back")
    assert removal == ["apt remove seawall"]
    for block in back:
        shell(block)
    cluster.sql("insert into t select generate_series(2001, 3000)")
    archived()
    content = wal_e.content(cluster)
    assert "old wal-e wal-push" in (archive.root / "old.log").read_text()
    restored = scratch.cluster(None, empty=True)
    shell([f"envdir /etc/wal-e.d/env wal-e backup-fetch {restored.data} LATEST"])
    wal_e.supply(restored)
    restored.recovery(restore_command=f"{wal_e_of_site} wal-fetch %f %p")
    restored.start()
    restored.wait_promoted()
    assert wal_e.content(restored) == content


class Site:
    """A Debian with PostgreSQL as its package sets it up, and what a site had before."""

    def __init__(self, where, program, package):
        self.debian = BareDebian(where / "debian", "postgresql-15", "lzop", "daemontools")
        self.root = self.debian.root
        mkdir(self.root / "srv/seawall/build/release")
        shutil.copy(package, self.root / "srv/seawall")
        shutil.copy(program, self.root / "srv/seawall/build/release")
        self.debian.run("mkdir /srv/backups; chown postgres: /srv/backups")

    def sql(self, text):
        return self.debian.out(f"psql -XAtqc '{text}'", "postgres").strip()

    def page(self, blocks):
        """Line by line, as whom it has to be: programs are root's."""
        for line in (line for block in blocks for line in block):
            root = re.match(r"(apt|install|mv|ln|rm /usr|update-alternatives) ?", line)
            self.debian.run(line, "root" if root else "postgres", cwd="/srv/seawall")

    def serve(self, archive_command):
        self.debian.write("etc/postgresql/15/main/conf.d/site.conf",
                          f"archive_mode = on\narchive_command = '{archive_command}'\nlisten_addresses = ''\nfsync = off\n")
        self.debian.run("pg_ctlcluster 15 main start")

    def archived(self):
        name = self.sql("select pg_walfile_name(pg_switch_wal())")
        harness.wait_until(lambda: self.sql("select last_archived_wal from pg_stat_archiver") >= name, what=f"{name} in the archive")

    def recovers(self, fetch, restore_command):
        """What a server of its own finds in the table after recovery from the archive."""
        data = "/var/lib/postgresql/restored"
        self.debian.run(f"{fetch.replace('DATA', data)}\ntouch {data}/recovery.signal\n"
                        f"echo \"restore_command = '{restore_command}'\" >{data}/postgresql.conf\n"
                        f"echo \"recovery_target_action = promote\" >>{data}/postgresql.conf\n"
                        f"echo 'local all all trust' >{data}/pg_hba.conf; touch {data}/pg_ident.conf\n"
                        f"/usr/lib/postgresql/15/bin/pg_ctl -D {data} -w -l /tmp/restored.log -o '-k /tmp -p 5433 -c listen_addresses=' start\n"
                        "until [ \"$(psql -h /tmp -p 5433 -XAtqc 'select pg_is_in_recovery()')\" = f ]; do sleep 1; done", "postgres")
        rows = self.debian.out("psql -h /tmp -p 5433 -XAtqc 'select count(*), sum(i) from t'", "postgres")
        self.debian.run(f"/usr/lib/postgresql/15/bin/pg_ctl -D {data} -m fast stop; rm -r {data}", "postgres")
        return rows.strip()

    def end(self):
        self.debian.run("pg_ctlcluster 15 main stop -m fast", check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    where = tmp_path_factory.mktemp("site")
    made = Site(where, *release_package(mkdir(where / "out")))
    yield made
    made.end()


@pytest.mark.long
@pytest.mark.once
def test_both_pages_as_they_stand(site):
    """One site after the other on the same server: WAL-E's first."""
    debian = site.debian
    debian.write("usr/local/bin/wal-e", OLD_WAL_E, 0o755)
    debian.write("etc/wal-e.d/env/WALE_FILE_PREFIX", "file://localhost/srv/backups/wal-e\n")
    debian.run("mkdir /srv/backups/wal-e", "postgres")
    site.serve("envdir /etc/wal-e.d/env /usr/local/bin/wal-e wal-push %p")
    site.sql("create table t as select generate_series(1, 1000) i")
    site.archived()
    debian.run("build/release/seawall --version || apt-get install libfmt9 libpq5", cwd="/srv/seawall")
    debian.run("envdir /etc/wal-e.d/env /srv/seawall/build/release/seawall wal-e backup-push /var/lib/postgresql/15/main", "postgres")
    site.page(commands(WAL_E, "Over"))
    assert os.readlink(site.root / "usr/local/bin/wal-e") == "/usr/bin/seawall"
    site.sql("insert into t select generate_series(1001, 2000)")
    site.archived()
    *back, removal = commands(WAL_E, "Back")
    site.page(back)
    assert (site.root / "usr/local/bin/wal-e").read_text() == OLD_WAL_E
    site.page([removal])
    assert not (site.root / "usr/bin/seawall").exists() and not (site.root / "usr/bin/wal-e").is_symlink()
    site.sql("insert into t select generate_series(2001, 3000)")
    site.archived()
    assert site.recovers("envdir /etc/wal-e.d/env wal-e backup-fetch DATA LATEST",
                         "envdir /etc/wal-e.d/env /usr/local/bin/wal-e wal-fetch %f %p") == "3000|4501500"

    shutil.copy(harness.WALG or site.root / "srv/seawall/build/release/seawall", site.root / "usr/local/bin/wal-g")
    debian.write("var/lib/postgresql/.walg.json",
                 '{"WALG_FILE_PREFIX": "/srv/backups/wal-g", "PGHOST": "/var/run/postgresql", "PGDATA": "/var/lib/postgresql/15/main"}\n')
    debian.run("mkdir /srv/backups/wal-g", "postgres")
    debian.write("etc/postgresql/15/main/conf.d/site.conf", "archive_mode = on\narchive_command = '/usr/local/bin/wal-g wal-push %p'\nlisten_addresses = ''\n")
    debian.run("apt-get install libfmt9 libpq5 libbrotli1 liblzo2-2 libsodium23; pg_ctlcluster 15 main reload")
    site.archived()
    debian.run("wal-g backup-push /var/lib/postgresql/15/main", "postgres")
    site.page(commands(WAL_G, "Over"))
    assert os.readlink(site.root / "usr/local/bin/wal-g") == "/usr/bin/seawall"
    site.sql("insert into t select generate_series(3001, 4000)")
    site.archived()
    *back, removal = commands(WAL_G, "Back")
    site.page(back)
    assert len(debian.out("wal-g backup-list", "postgres").splitlines()) == 3
    assert site.recovers("wal-g backup-fetch DATA LATEST", "/usr/local/bin/wal-g wal-fetch %f %p") == "4000|8002000"
    site.page([removal])
    assert not (site.root / "usr/bin/seawall").exists()
