"""The program under the name wal-e, archives of the real WAL-E (tests/archives/README.md), and parsers for what wal-e prints."""
import os
import re
import shlex
import subprocess

import golden
import seawall_harness as harness

ARCHIVES = harness.ROOT / "tests/archives/wal-e"

# As people parse the log of WAL-E: one record of several lines, fields behind STRUCTURED.
RECORD = re.compile(r"^(?P<logger>wal_e\.\S+)\s+(?P<level>[A-Z]+)\s+MSG: (?P<msg>.*?)(?:\n        DETAIL: (?P<detail>.*?))?"
                    r"(?:\n        HINT: (?P<hint>.*?))?\n        STRUCTURED: time=(?P<time>\S+) pid=(?P<pid>\d+)(?P<pairs>.*)$",
                    re.MULTILINE | re.DOTALL)

# daemontools' envdir, as far as these need it.
ENVDIR = """#!/bin/sh
dir=$1; shift
for file in "$dir"/*; do
  name=${file##*/}
  if [ -s "$file" ]; then IFS= read -r value <"$file" || :; export "$name=$value"; else unset "$name"; fi
done
exec "$@"
"""


def records(text):
    """The records of a log, each a dict; what follows STRUCTURED is under its own names."""
    found = []
    for chunk in re.split(r"^(?=wal_e\.)", text, flags=re.MULTILINE):
        match = RECORD.match(chunk.rstrip("\n"))
        if match:
            record = match.groupdict()
            record.update(pair.split("=", 1) for pair in record.pop("pairs").split())
            found.append(record)
    return found


def link(program):
    """The program by the name of wal-e."""
    path = program.parent / "wal-e"
    if not path.exists():
        path.symlink_to(program.name)
    return path


class WalEArchive(harness.Archive):
    """An archive as WAL-E's users configure it."""

    def __init__(self, scratch, name="archive", **settings):
        super().__init__(scratch, name)
        self.program = link(scratch.program)
        self.settings = {"WALE_FILE_PREFIX": f"file://localhost{self.root}", "WALE_LOG_DESTINATION": "stderr", **settings}

    def start(self, *arguments, program=None, **rest):
        return super().start(*arguments, program=program or self.program, **rest)

    def command_line(self, *words, **more):
        env = self.environment(**more)
        pairs = " ".join(f"{key}={shlex.quote(value)}" for key, value in env.items()).replace("%", "%%")
        return f"/usr/bin/env -i {pairs} {self.program} " + " ".join(words)

    def segments(self):
        """Those that are whole: a file on its way has another name."""
        return [name for name in self.wal() if re.fullmatch(r"[0-9A-F]{24}", name)]

    def envdir(self):
        """A directory of the environment, one file a variable, as daemontools have it."""
        path = harness.give(harness.mkdir(self.scratch.path / "envdir"))
        for name, value in self.settings.items():
            harness.give(golden.write(path / name, f"{value}\n"))
        return path

    def cluster(self, **rest):
        """A server that archives here, with WAL-E's command."""
        made = self.scratch.cluster(None, **rest)
        made.configure(archive_mode="on", archive_command=self.command_line("wal-push", "%p", **made.connection()))
        made.start()
        return made

    def push(self, cluster, *options, **settings):
        self.ok("backup-push", *options, cluster.data, **cluster.connection(), **settings)
        return self.backups()[-1]

    def fetched(self, name="LATEST", *options, major=15, **settings):
        """A stopped cluster on what backup-fetch restored, with the configuration that WAL-E's backups lack."""
        made = self.scratch.cluster(None, major=major, empty=True)
        self.ok("backup-fetch", *options, made.data, name, **settings)
        supply(made)
        return made

    def recover(self, cluster, **settings):
        cluster.recovery(restore_command=self.command_line("wal-fetch", '"%f"', '"%p"'), **settings)
        cluster.start()
        cluster.wait_promoted()


def supply(cluster):
    """What WAL-E's backups lack."""
    cluster.configure(listen_addresses="", fsync="off", shared_buffers="16MB", max_wal_senders=10, hot_standby="on")
    harness.give(golden.write(cluster.data / "pg_hba.conf", "local all all trust\n"))
    harness.give(golden.write(cluster.data / "pg_ident.conf", ""))


def unpacked(scratch, case, **settings):
    """A copy of a recorded archive, with the times that it had."""
    subprocess.run(["tar", "-C", scratch.path, "-xJf", ARCHIVES / case / "archive.tar.xz", "--no-same-owner"], check=True)
    root = scratch.path / "archive"
    times = ARCHIVES / case / "mtimes.txt"
    for text in times.read_text().splitlines() if times.exists() else []:
        moment, name = text.split(" ", 1)
        seconds, _, nanoseconds = moment.partition(".")
        moment = int(seconds) * 10**9 + int(nanoseconds.ljust(9, "0")[:9])
        os.utime(root / name, ns=(moment, moment))
    harness.give(root, recursive=True)
    return WalEArchive(scratch, **settings)


def expected(case, name):
    return (ARCHIVES / case / "expect" / name).read_bytes().decode()


def sums(case, name):
    return dict(reversed(line.split("  ", 1)) for line in expected(case, name).splitlines())


def listing(top):
    """The tree as the recorded lists have it: type, mode, size, path, target of a link."""
    lines = []
    for directory, folders, files in os.walk(top):
        for name in [*folders, *files] if directory != str(top) else [".", *folders, *files]:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            kind = "l" if os.path.islink(path) else "d" if os.path.isdir(path) else "f"
            shown = "" if name == "." else os.path.relpath(path, top)
            target = os.readlink(path) if kind == "l" else ""
            lines.append(f"{kind} {status.st_mode & 0o7777:o} {'-' if kind == 'd' else status.st_size} {shown} {target}".rstrip())
    return sorted(lines)


def expected_listing(case, name):
    return sorted(line.rstrip() for line in expected(case, name).splitlines())


def content(cluster):
    """Database, table, rows and a digest of them, as recorded."""
    lines = []
    databases = cluster.sql("select datname from pg_database where datallowconn and datname not like 'template%' order by 1")
    for database in databases.splitlines():
        tables = cluster.sql("select schemaname || '.' || tablename from pg_tables where schemaname = 'public' order by 1", database)
        for table in tables.splitlines():
            row = cluster.sql(f"set timezone = 'UTC'; select count(*) || ' md5=' || coalesce(md5(string_agg(t::text, '|' "
                              f"order by t::text)), '') from {table} t", database)
            lines.append(f"{database} {table} count={row}")
    return "\n".join(lines) + "\n"
