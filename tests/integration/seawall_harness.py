"""Real PostgreSQL servers, archives and runs of the program under test, for the integration tests.

Settings of a run, all from the environment:
  SEAWALL_BIN         the program (default build/dev/seawall)
  SEAWALL_PG_MAJORS   majors for tests that run on several (default "15 12"); 15 is Debian's, the rest tools/servers has
  WALG_BIN            a WAL-G that the comparisons with it may run; without it they say that they were not run
Servers talk through Unix sockets only and run as the user postgres when the tests run as root."""
import dataclasses
import itertools
import json
import os
import pathlib
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEBIAN = pathlib.Path("/usr/lib/postgresql/15/bin")
PROGRAM = pathlib.Path(os.environ.get("SEAWALL_BIN") or ROOT / "build/dev/seawall")
WALG = os.environ.get("WALG_BIN")
MAJORS = [int(word) for word in os.environ.get("SEAWALL_PG_MAJORS", "15 12").split()]
SANITIZER = re.compile(r"(ERROR|WARNING): (Address|Leak|Thread|UndefinedBehavior|Memory)Sanitizer|runtime error: ")
SLOW = 4 if os.environ.get("SEAWALL_PRESET") in ("asan", "tsan") else 1
MIB = 1 << 20


def other_user():
    """How to start a process as the one who owns the servers: root may not run PostgreSQL."""
    if os.getuid() != 0:
        return {}
    entry = pwd.getpwnam("postgres")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def give(path, recursive=False):
    """Hands a path to the user that the servers and the program run as."""
    if os.getuid() == 0:
        entry = pwd.getpwnam("postgres")
        for each in [path, *(pathlib.Path(path).rglob("*") if recursive else [])]:
            os.chown(each, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
    return pathlib.Path(path)


def base_environment(home):
    """What a child gets: nothing of the caller's settings, but the marks by which a run is cleaned up."""
    keep = ("PATH", "TMPDIR", "SEAWALL_RUN", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS")
    return {**{key: os.environ[key] for key in keep if key in os.environ}, "HOME": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


@dataclasses.dataclass
class Result:
    argv: list
    code: int
    out: str
    err: str

    def __str__(self):
        return f"{shlex.join(map(str, self.argv))}\nexit {self.code}\n{self.out[-2000:]}\n{self.err[-4000:]}"

    def json(self):
        return json.loads(self.out)


class Running:
    """A program started and not waited for."""

    def __init__(self, argv, env, cwd):
        self.argv = [str(word) for word in argv]
        self.output = tempfile.TemporaryFile()
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=self.errors, **other_user())

    def signal(self, number):
        self.process.send_signal(number)

    def running(self):
        return self.process.poll() is None

    def text(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def wait(self, timeout=120):
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{shlex.join(self.argv)}: still running after {timeout} s\n{self.text()[-4000:]}") from None
        self.output.seek(0)
        result = Result(self.argv, code, self.output.read().decode(errors="replace"), self.text())
        assert not SANITIZER.search(result.err), result
        return result


class Archive:
    """A file storage and the settings that every command on it gets."""

    def __init__(self, scratch, name="archive", segment_mib=1, **settings):
        self.scratch = scratch
        self.root = give(mkdir(scratch.path / name))
        self.settings = {"WALG_FILE_PREFIX": str(self.root), "WALG_PG_WAL_SIZE": str(segment_mib), **settings}

    def environment(self, **more):
        env = {**base_environment(self.scratch.home), **self.settings, **more}
        return {key: str(value) for key, value in env.items() if value is not None}

    def start(self, *arguments, program=None, cwd=None, **settings):
        return Running([program or self.scratch.program, *arguments], self.environment(**settings), cwd or self.scratch.path)

    def run(self, *arguments, timeout=120, **rest):
        return self.start(*arguments, **rest).wait(timeout * SLOW)

    def ok(self, *arguments, **rest):
        result = self.run(*arguments, **rest)
        assert result.code == 0, result
        return result

    def fails(self, *arguments, code=1, says=(), **rest):
        """The command ends with `code` and its log names every one of `says`."""
        result = self.run(*arguments, **rest)
        assert result.code == code, result
        for words in [says] if isinstance(says, str) else says:
            assert words.lower() in result.err.lower(), f"the message does not say {words!r}:\n{result}"
        return result

    def holds(self, key):
        return (self.root / key).exists()

    def keys(self, under=""):
        top = self.root / under
        return sorted(str(path.relative_to(self.root)) for path in top.rglob("*") if path.is_file())

    def contents(self):
        """Key → (bytes, mtime): what a failed command must not have changed."""
        return {key: ((self.root / key).read_bytes(), (self.root / key).stat().st_mtime_ns) for key in self.keys()}

    def stamps(self):
        """Key → (size, mtime): enough to see that a command that only reads has not written."""
        return {key: ((self.root / key).stat().st_size, (self.root / key).stat().st_mtime_ns) for key in self.keys()}

    def wal(self):
        return [key.split("/")[1].split(".")[0] if re.match(r"[0-9A-F]{24}(\.\w+)?$", key.split("/")[1]) else key.split("/")[1]
                for key in self.keys("wal_005")]

    def backups(self):
        return sorted(path.name.removesuffix("_backup_stop_sentinel.json")
                      for path in self.root.glob("basebackups_005/*_backup_stop_sentinel.json"))

    def sentinel(self, name):
        return json.loads((self.root / f"basebackups_005/{name}_backup_stop_sentinel.json").read_text())


class Scratch:
    """The directory of one test: the program, the home and every server of the test live in it."""

    def __init__(self, path, program):
        self.path, self.program = path, program
        self.home = give(mkdir(path / "home"))
        self.clusters = []
        self.numbers = itertools.count()

    def archive(self, **rest):
        return Archive(self, **rest)

    def cluster(self, archive=None, **rest):
        cluster = Cluster(self, archive, f"c{next(self.numbers)}", **rest)
        self.clusters.append(cluster)
        return cluster

    def restored(self, archive, name="LATEST", *flags, major=15, **rest):
        """A stopped cluster whose data directory backup-fetch just wrote."""
        cluster = self.cluster(archive, major=major, empty=True, **rest)
        archive.ok("backup-fetch", cluster.data, name, *flags, timeout=300)
        return cluster

    def end(self):
        for cluster in self.clusters:
            cluster.kill()
        for cluster in self.clusters:
            cluster.check_log()


def mkdir(path, mode=0o755):
    path = pathlib.Path(path)
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    return path


def wait_until(condition, seconds=60, what="condition", every=0.05):
    end = time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(every)
    raise AssertionError(f"not within {seconds * SLOW} s: {what}")


_binaries = {}


def server_binaries(major, scratch_root):
    """The directory with initdb, pg_ctl and postgres of a major, where the servers' user can reach it."""
    if major not in _binaries:
        if major == 15:
            _binaries[major] = DEBIAN
        else:
            subprocess.run([ROOT / "tools/servers", str(major)], check=True, capture_output=True)
            home = ROOT / f"build/npm/node_modules/pg{major}/native"
            reachable = subprocess.run(["test", "-x", home / "bin/postgres"], **other_user(), check=False).returncode == 0
            if not reachable:
                home = shutil.copytree(home, scratch_root / f"pg{major}", symlinks=True)
            _binaries[major] = home / "bin"
    return _binaries[major]


_templates = {}


def initdb(major, segment_mib, checksums, scratch_root, directory):
    argv = [server_binaries(major, scratch_root) / "initdb", "-D", directory, "-U", "postgres", "-A", "trust", "-E", "UTF8",
            "--locale=C", "--no-sync"]
    if major > 10:
        argv.append(f"--wal-segsize={segment_mib}")
    if checksums:
        argv.append("--data-checksums")
    elif major >= 18:
        argv.append("--no-data-checksums")
    done = subprocess.run([str(word) for word in argv], cwd="/", env=base_environment("/"), capture_output=True, text=True,
                          check=False, **other_user())
    assert done.returncode == 0, done.stdout + done.stderr


def template(major, segment_mib, checksums, scratch_root):
    key = (major, segment_mib, checksums)
    if key not in _templates:
        parent = give(mkdir(scratch_root / f"template-{major}-{segment_mib}-{int(checksums)}"))
        initdb(major, segment_mib, checksums, scratch_root, parent / "data")
        _templates[key] = parent / "data"
    return _templates[key]


def quote_conf(text):
    return "'" + str(text).replace("\\", "\\\\").replace("'", "''") + "'"


class Cluster:
    """One PostgreSQL server. Clusters of the same kind share a system identifier unless `fresh` asks for one's own."""

    def __init__(self, scratch, archive, name, major=15, segment_mib=1, checksums=True, fresh=False, empty=False,
                 database="postgres", **settings):
        self.scratch, self.archive, self.major, self.database = scratch, archive, major, database
        self.segment_mib = 16 if major == 10 else segment_mib
        self.segment = self.segment_mib * MIB
        if archive:
            archive.settings["WALG_PG_WAL_SIZE"] = str(self.segment_mib)
        self.home = give(mkdir(scratch.path / name))
        self.data, self.log = self.home / "data", self.home / "log"
        self.sockets = give(mkdir(self.home / "s"))
        self.bin = server_binaries(major, scratch.path.parent)
        self.options = []
        self.started = False
        if empty:
            return
        if fresh:
            initdb(major, self.segment_mib, checksums, scratch.path.parent, self.data)
        else:
            source = template(major, self.segment_mib, checksums, scratch.path.parent)
            subprocess.run(["cp", "-a", "--reflink=auto", source, self.data], check=True)
        self.configure(**{
            "listen_addresses": "", "unix_socket_directories": self.sockets, "fsync": "off", "shared_buffers": "16MB",
            "max_connections": 40, "wal_level": "replica", "max_wal_senders": 8, "hot_standby": "on", "log_checkpoints": "off",
            "archive_mode": "on", "archive_command": self.archive_command() if archive else "",
            **({"wal_keep_segments": 8} if major < 13 else {"wal_keep_size": "8MB"}), **settings})

    @property
    def running(self):
        return self.started

    def archive_command(self, **more):
        return self.command_line("wal-push", "%p", **more)

    def restore_command(self, **more):
        return self.command_line("wal-fetch", "%f", "%p", **more)

    def command_line(self, *words, **more):
        """The program under `env -i`: a server's environment is not to be relied on."""
        env = self.archive.environment(**more)
        pairs = " ".join(f"{key}={shlex.quote(value)}" for key, value in env.items()).replace("%", "%%")
        quoted = " ".join(f'"{word}"' if word.startswith("%") else shlex.quote(str(word)) for word in words)
        return f"/usr/bin/env -i {pairs} {shlex.quote(str(self.scratch.program))} {quoted}"

    def configure(self, file="postgresql.conf", **settings):
        with open(self.data / file, "a", encoding="utf-8") as out:
            out.write("".join(f"{key} = {quote_conf(value)}\n" for key, value in settings.items()))
        give(self.data / file)

    def recovery(self, standby=False, restore_command=None, **settings):
        """Recovery settings as this major wants them: recovery.conf until 11, signal files since."""
        settings = {"restore_command": restore_command or self.restore_command(), **settings}
        if not standby:
            settings.setdefault("recovery_target_action", "promote")
        if self.major >= 12:
            self.configure("postgresql.auto.conf", **settings)
            give(touch(self.data / ("standby.signal" if standby else "recovery.signal")))
        else:
            if standby:
                settings = {"standby_mode": "on", **settings}
            self.configure("recovery.conf", **settings)

    def environment(self):
        return {**base_environment(self.scratch.home), "PGHOST": str(self.sockets), "PGUSER": "postgres",
                "PGDATABASE": self.database, "PGDATA": str(self.data)}

    def connection(self):
        """What the program needs to reach this server."""
        return {"PGHOST": str(self.sockets), "PGUSER": "postgres", "PGDATABASE": self.database}

    def pg_ctl(self, *arguments, check=True, timeout=120):
        with open(self.home / "ctl", "ab") as out:
            done = subprocess.run([str(self.bin / "pg_ctl"), "-D", str(self.data), *map(str, arguments)], cwd="/",
                                  env=self.environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                  timeout=timeout * SLOW, check=False, **other_user())
        if check:
            assert done.returncode == 0, (self.home / "ctl").read_text() + self.log_text()[-4000:]
        return done.returncode

    def start(self, wait=True, check=True, timeout=60, **options):
        """`options` win over the configuration, as a restored one names the first server's sockets."""
        options = {"unix_socket_directories": self.sockets, "listen_addresses": "", **options}
        words = " ".join(f"-c {key}={shlex.quote(str(value))}" for key, value in options.items())
        give(touch(self.log))
        self.started = True
        return self.pg_ctl("-l", self.log, "-o", words, "-t", timeout * SLOW, "-w" if wait else "-W", "start", check=check,
                           timeout=timeout + 30)

    def stop(self, mode="fast"):
        self.pg_ctl("-m", mode, "-w", "stop")
        self.started = False

    def restart(self):
        self.stop()
        self.start()

    def crash(self):
        self.stop("immediate")

    def alive(self):
        return self.pg_ctl("status", check=False) != 3  # a server that starts has an empty file for a moment

    def kill(self):
        if self.started and (self.data / "postmaster.pid").exists():
            self.pg_ctl("-m", "immediate", "-w", "stop", check=False)
        self.started = False

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def check_log(self):
        assert not SANITIZER.search(self.log_text()), self.log_text()[-8000:]

    def sql(self, text, database=None, check=True):
        """Rows as text, fields divided by |. The text may hold several statements and psql's own commands."""
        done = subprocess.run([str(DEBIAN / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database or self.database, "-f", "-"], cwd="/",
                              env=self.environment(), input=text, capture_output=True, text=True, check=False, **other_user())
        if check:
            assert done.returncode == 0, f"{text}\n{done.stderr}\n{self.log_text()[-2000:]}"
            return done.stdout.strip()
        return done

    def pgbench(self, *arguments, wait=True):
        process = subprocess.Popen([str(DEBIAN / "pgbench"), *map(str, arguments), self.database], cwd="/", env=self.environment(),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   **other_user())
        if not wait:
            return process
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 0, out
        return out

    def in_recovery(self):
        done = self.sql("select pg_is_in_recovery()", check=False)
        return done.stdout.strip() if done.returncode == 0 else "?"

    def wait_promoted(self, seconds=60):
        def promoted():
            assert self.alive(), self.log_text()[-4000:]
            return self.in_recovery() == "f"
        wait_until(promoted, seconds, "the end of recovery", every=0.1)

    def lsn(self):
        return self.sql("select pg_current_wal_lsn()")

    def wal_file(self):
        return self.sql("select pg_walfile_name(pg_current_wal_insert_lsn())")

    def switch_wal(self):
        """Ends the segment and returns its name; the record makes sure that there is something to end."""
        return self.sql("select pg_create_restore_point('switch') \\g /dev/null\nselect pg_walfile_name(pg_switch_wal())")

    def wait_archived(self, name, seconds=60):
        wait_until(lambda: name in self.archive.wal(), seconds, f"{name} in the archive")

    def archive_all(self):
        name = self.switch_wal()
        self.wait_archived(name)
        return name

    DIGESTS = r"""
select format('select %L, count(*), md5(coalesce(string_agg(t::text, E''\n'' order by t::text collate "C"), '''')) from %s t',
  c.oid::regclass, c.oid::regclass) from pg_class c join pg_namespace n on n.oid = relnamespace
 where relkind = 'r' and relpersistence = 'p' and nspname not in ('pg_catalog', 'information_schema') order by 1 \gexec
"""

    def digest(self, database=None, tables=None):
        """One line per ordinary table, or per one of `tables`: name, rows, md5 of its rows in order."""
        each = "select '{0}', count(*), md5(coalesce(string_agg(t::text, E'\\n' order by t::text collate \"C\"), '')) from {0} t;"
        return self.sql(self.DIGESTS if tables is None else " ".join(each.format(table) for table in tables), database)

    def digest_at_restore_point(self, name, lock="pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history"):
        """Names a restore point while writers are held back by locks, so that the digest is exactly its content."""
        return self.sql(f"begin; lock table {lock} in exclusive mode; {self.DIGESTS}\n"
                        f"\\o /dev/null\nselect pg_create_restore_point('{name}'); commit;")

    def digest_at_time(self, lock="pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history"):
        """(time, digest): a moment with no commit close to it."""
        rows = self.sql(f"begin; lock table {lock} in exclusive mode; {self.DIGESTS}\n"
                        "select pg_sleep(0.05) \\g /dev/null\nselect clock_timestamp(); select pg_sleep(0.05) \\g /dev/null\ncommit;")
        *digest, moment = rows.splitlines()
        return moment, "\n".join(digest)

    def segment_file(self, name):
        return self.data / "pg_wal" / name


def touch(path):
    path.touch()
    return path


def tree(top):
    """Relative path → (mode, content or link target) of everything under a directory."""
    found = {}
    for path in sorted(pathlib.Path(top).rglob("*")):
        name = str(path.relative_to(top))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_file():
            found[name] = (oct(path.stat().st_mode & 0o7777), path.read_bytes())
        else:
            found[name] = (oct(path.stat().st_mode & 0o7777), None)
    return found


def descendants(pid):
    todo, found = [pid], []
    while todo:
        process = todo.pop()
        found.append(process)
        try:
            for task in os.listdir(f"/proc/{process}/task"):
                with open(f"/proc/{process}/task/{task}/children", encoding="ascii") as children:
                    todo += [int(word) for word in children.read().split()]
        except OSError:
            continue
    return found


def resident_bytes(pid):
    """Resident memory of a process and all its descendants, from /proc."""
    total = 0
    for process in descendants(pid):
        try:
            with open(f"/proc/{process}/statm", encoding="ascii") as statm:
                total += int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            continue
    return total


def peak_memory(running, timeout):
    """Waits for `running` and returns (result, peak resident bytes), sampled each 100 ms."""
    peak, end = 0, time.monotonic() + timeout
    while running.running() and time.monotonic() < end:
        peak = max(peak, resident_bytes(running.process.pid))
        time.sleep(0.1)
    return running.wait(1), peak


def interrupt(running, number=signal.SIGTERM):
    running.signal(number)
    return running.wait(60)
