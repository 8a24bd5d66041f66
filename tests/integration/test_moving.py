"""docs/moving-from-wal-g.md, word for word in a private root: its commands are taken from the page and run."""
import os
import re
import shutil
import subprocess

import pytest
import seawall_harness as harness
from seawall_harness import DEBIAN, ROOT, give, mkdir, other_user

PAGE = ROOT / "docs/moving-from-wal-g.md"


def commands(title):
    """The indented blocks of one section, a list of lines each."""
    section = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
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
def test_over_to_seawall_and_back(scratch, program):
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

    over = commands("Over")
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

    *back, removal = commands("Back")
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
