"""The procedures of sites that run WAL-E, as shell scripts: from cron lines and envdir, with the program in WAL-E's place.

Written for PostgreSQL 11 they use recovery.conf; from 12 on the same settings go into postgresql.auto.conf, and a signal file
says that they count."""
import re
import subprocess

import golden
import pytest
import seawall_harness as harness
import wal_e_harness as wal_e

MAJORS = [15, pytest.param(11, marks=pytest.mark.long)]

# A line of the log that a dashboard counts, from a runbook's sample of WAL-E's output.
PUSHED = re.compile(r"^wal_e\.worker\.upload INFO     MSG: completed archiving to a file\n"
                    r"        DETAIL: Archiving to \"(?P<url>\S+)\" complete at (?P<shown>\S+)KiB/s\.\n"
                    r"        STRUCTURED: time=\S+-00 pid=\d+ action=push-wal key=(?P<key>\S+) prefix=\S* rate=(?P<rate>[0-9.e+]+) "
                    r"seg=(?P<seg>[0-9A-F]{24}) state=complete$", re.MULTILINE)


class Site:
    """A host with PostgreSQL, /etc/wal-e.d/env, envdir and wal-e."""

    def __init__(self, scratch, major):
        self.scratch, self.major = scratch, major
        self.archive = wal_e.WalEArchive(scratch)
        self.bin = harness.give(harness.mkdir(scratch.path / "site"))
        script = harness.give(golden.write(self.bin / "envdir", wal_e.ENVDIR))
        script.chmod(0o755)
        self.cluster = scratch.cluster(None, major=major)
        self.archive.settings.update({name: value for name, value in self.cluster.connection().items() if name != "PGDATABASE"})
        self.env = self.archive.envdir()
        self.wal_e = f"{self.bin}/envdir {self.env} {self.archive.program}"
        self.cluster.configure(archive_mode="on", archive_timeout=60, archive_command=f"{self.wal_e} wal-push %p")
        self.cluster.start()
        self.cluster.sql("create table notes (id int primary key, note text)")

    def sh(self, script, data=None, check=True):
        """A runbook's commands, as the servers' user, with little more than PATH."""
        done = subprocess.run(["/bin/sh", "-eu", "-c", script], cwd="/", capture_output=True, text=True, check=False,
                              env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.scratch.home), "D": str(data or self.cluster.data)},
                              **harness.other_user())
        assert not check or done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done

    def cron(self, line):
        """Runs what a line of a crontab runs, the five fields and the user in front."""
        return self.sh(line.split(None, 6)[6])

    def note(self, *ids):
        self.cluster.sql("".join(f"insert into notes values ({each}, 'note {each}');" for each in ids))

    def switch(self):
        name = self.cluster.sql("select pg_walfile_name(pg_switch_wal())")
        harness.wait_until(lambda: name in self.archive.wal(), what=f"{name} in the archive")

    def recovery_conf(self, data, **settings):
        """What the runbook writes into recovery.conf before it fetches."""
        harness.give(harness.mkdir(data, 0o700))
        settings = {"restore_command": f'{self.wal_e} wal-fetch -p 4 "%f" "%p"', **settings}
        text = "".join(f"{key} = '{value}'\n" for key, value in settings.items())
        if self.major < 12:
            harness.give(golden.write(data / "recovery.conf", text))
            return ""
        harness.give(golden.write(data / "recovery.signal", ""))
        return text

    def restored(self):
        made = self.scratch.cluster(None, major=self.major, empty=True)
        return made

    def ids(self, cluster):
        return cluster.sql("select string_agg(id::text, ' ' order by id) from notes")


@pytest.mark.parametrize("server", MAJORS)
def test_gitlab_restore_to_a_point_in_time(scratch, server):
    """Base backup by cron; recovery.conf first, then backup-fetch, then start; the log of the archiver is counted."""
    site = Site(scratch, server)
    site.note(1)
    site.cron(f"0 0 * * * gitlab-psql {site.wal_e} backup-push $D")
    listed = site.sh(f"{site.wal_e} backup-list").stdout
    assert re.search(r"^base_[0-9A-F]{24}_\d{8}\t", listed, re.MULTILINE)
    site.note(2)
    site.cluster.sql("select pg_sleep(0.01)")
    moment = site.cluster.sql("select clock_timestamp()")
    site.cluster.sql("select pg_sleep(0.01)")
    site.note(3)
    site.switch()
    pushed = list(PUSHED.finditer(site.cluster.log_text()))
    assert {match["seg"] for match in pushed} >= {name for name in site.archive.wal() if len(name) == 24}
    assert all(match["url"] == match["key"] and match["shown"] == match["rate"] for match in pushed)
    site.cluster.stop()
    restored = site.restored()
    later = site.recovery_conf(restored.data, recovery_target_time=moment, recovery_target_action="promote")
    site.sh(f"{site.wal_e} backup-fetch $D LATEST", restored.data)
    wal_e.supply(restored)
    if later:
        harness.give(golden.write(restored.data / "postgresql.auto.conf", later))
    restored.start()
    restored.wait_promoted()
    assert site.ids(restored) == "1 2"


@pytest.mark.parametrize("server", MAJORS)
def test_govuk_nightly_backup_and_restore(scratch, server):
    """The restore script of one site: empty the directory, fetch LATEST, write recovery.conf, start."""
    site = Site(scratch, server)
    site.note(1)
    site.cron(f"20 1 * * * postgres {site.wal_e} backup-push $D >/dev/null")
    site.note(2, 3)
    site.switch()
    site.cluster.stop()
    site.sh("rm -rf $D/* && " + f"{site.wal_e} backup-fetch $D LATEST")
    cluster = site.cluster
    wal_e.supply(cluster)
    cluster.configure(unix_socket_directories=cluster.sockets)
    later = site.recovery_conf(cluster.data)
    if later:
        cluster.configure("postgresql.auto.conf", restore_command=f"{site.wal_e} wal-fetch %f %p", recovery_target_action="promote")
    cluster.start()
    cluster.wait_promoted()
    assert site.ids(cluster) == "1 2 3"


def test_container_scenario(scratch):
    """The container's own test: data, backup, other data, backup, the volume is lost, restore, the same state."""
    site = Site(scratch, 15)
    site.note(1)
    site.sh(f"{site.wal_e} backup-push $D")
    site.note(2)
    site.sh(f"{site.wal_e} backup-push $D")
    assert len(site.archive.backups()) == 2
    site.switch()
    site.cluster.stop()
    cluster = site.cluster
    site.sh("rm -rf $D/* $D/.[!.]*; " + f"{site.wal_e} backup-fetch $D {site.archive.backups()[0]}")
    wal_e.supply(cluster)
    cluster.configure(unix_socket_directories=cluster.sockets, restore_command=f"{site.wal_e} wal-fetch %f %p")
    harness.give(golden.write(cluster.data / "recovery.signal", ""))
    cluster.start()
    cluster.wait_promoted()
    assert site.ids(cluster) == "1 2"


def test_restore_refuses_a_running_server(scratch):
    site = Site(scratch, 15)
    site.note(1)
    site.sh(f"{site.wal_e} backup-push $D")
    done = site.sh(f"{site.wal_e} backup-fetch $D LATEST", check=False)
    assert done.returncode == 1 and "postmaster.pid" in done.stderr
    assert site.ids(site.cluster) == "1"
