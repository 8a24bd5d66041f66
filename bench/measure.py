"""Runs a command and says what it cost: wall time, CPU of its whole process tree, peak memory of one process."""
import contextlib
import ctypes
import dataclasses
import os
import pwd
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Sample:
    wall: float  # seconds, from the start of the program to its end
    cpu: float  # seconds, user and system, with all processes that it waited for
    rss: int  # bytes; the largest single process
    sync: float = 0.0  # seconds that a sync right afterwards took: what the program left to the kernel
    stored: int = 0  # bytes in the archive
    server: float = 0.0  # CPU seconds that the storage server used meanwhile


def median(values):
    return statistics.median(values) if values else None


def say(text):
    print(text, file=sys.stderr, flush=True)


class Failed(Exception):
    pass


class Runner:
    """A scratch directory, the user who works in it, and every process that is started there. Used by `with`: at the
    end, also after Ctrl-C, all of it is gone."""

    def __init__(self):
        self.root = os.geteuid() == 0
        try:
            self.user = pwd.getpwnam("postgres") if self.root else pwd.getpwuid(os.getuid())
        except KeyError:
            raise Failed("root may not run PostgreSQL, and there is no user postgres: install postgresql-15") from None
        self.servers = set()  # process ids that settle() does not wait for
        self.foreign_cpu = self.measured_wall = 0.0
        self.discarded = 0
        # What a program leaves running when it ends, as wal-fetch does its prefetch, becomes a child of this process.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def __enter__(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, frame: sys.exit(128 + number))
        self.scratch = tempfile.mkdtemp(prefix="seawall-bench-")
        os.chmod(self.scratch, 0o711)
        self.environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC",
                            "HOME": self.directory("home"), "TMPDIR": self.directory("tmp")}
        return self

    def __exit__(self, *ignored):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGQUIT, signal.SIGKILL):
            for child in self._children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, number)
            deadline = time.monotonic() + 5
            while self._children() and time.monotonic() < deadline:
                self._reap()
                time.sleep(0.02)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.scratch, *names)

    def directory(self, *names):
        """A new empty directory in the scratch directory; what was there is gone. Its files are emptied and kept
        till the end: for minutes ext4 walks round inodes that were deleted, and whoever makes files next pays."""
        path = self.path(*names)
        if os.path.isdir(path):
            self.discarded += 1
            old = self.path(f"discarded-{self.discarded}")
            os.rename(path, old)
            for folder, _, files in os.walk(old):
                for name in files:
                    file = os.path.join(folder, name)
                    if not os.path.islink(file):
                        os.truncate(file, 0)
        os.mkdir(path, 0o700)
        if self.root:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        return path

    def install(self, program, name):
        """A copy that the user can reach and that nobody rebuilds while it is measured."""
        path = self.path(name)
        shutil.copyfile(program, path)
        os.chmod(path, 0o755)
        return path

    def run(self, command, environment=None, cwd=None, sync=False):
        """What `command` cost. Failed if it fails."""
        with tempfile.TemporaryFile(dir=self.path("tmp")) as log:
            busy = self._busy()
            with self._as_user():
                start = time.perf_counter()
                process = subprocess.Popen(command, cwd=cwd or self.scratch, env=self.environment | (environment or {}),
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                status, usage = os.wait4(process.pid, 0)[1:]
                wall = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu = usage.ru_utime + usage.ru_stime
            if wall > 0.5:  # shorter than the clock of /proc/stat can tell
                self.foreign_cpu += max(0.0, self._busy() - busy - cpu)
                self.measured_wall += wall
            if status != 0:
                log.seek(0)
                text = log.read().decode(errors="replace").strip()[-2000:]
                raise Failed(f"{' '.join(command)}: exit status {process.returncode}\n{text}")
            sample = Sample(wall, cpu, usage.ru_maxrss * 1024)
            if sync:
                start = time.perf_counter()
                os.sync()
                sample.sync = time.perf_counter() - start
            log.seek(0)
            sample.output = log.read().decode(errors="replace")
            return sample

    def settle(self):
        """Waits until what the last command left running has ended."""
        deadline = time.monotonic() + 30
        while True:
            self._reap()
            rest = [child for child in self._children() if child not in self.servers]
            if not rest:
                return
            if time.monotonic() > deadline:
                raise Failed(f"processes {rest} do not end")
            time.sleep(0.001)

    def cold(self, version_command=None):
        """Data are read from the disk from now on; the program, which a busy server has in memory, is not."""
        os.sync()
        with open("/proc/sys/vm/drop_caches", "w") as control:
            control.write("3")
        if version_command:
            self.run(version_command)

    @contextlib.contextmanager
    def _as_user(self):
        # Not runuser or Popen(user=): a process more, or a full fork, would be measured with every short command.
        if not self.root:
            yield
            return
        groups = os.getgroups()
        os.setgroups([])
        os.setresgid(self.user.pw_gid, self.user.pw_gid, 0)
        os.setresuid(self.user.pw_uid, self.user.pw_uid, 0)
        try:
            yield
        finally:
            os.setresuid(0, 0, 0)
            os.setresgid(0, 0, 0)
            os.setgroups(groups)

    @staticmethod
    def _busy():
        with open("/proc/stat") as stat:
            fields = [int(field) for field in stat.readline().split()[1:]]
        return (fields[0] + fields[1] + fields[2] + fields[5] + fields[6]) / TICKS

    @staticmethod
    def _children():
        with open(f"/proc/self/task/{os.getpid()}/children") as children:
            return [int(child) for child in children.read().split()]

    @staticmethod
    def _reap():
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass


def tree_bytes(*directories, without=()):
    """Bytes in the regular files under the directories."""
    total = 0
    for directory in directories:
        for base, names, files in os.walk(directory):
            names[:] = [name for name in names if name not in without]
            for name in files:
                with contextlib.suppress(FileNotFoundError):
                    total += os.lstat(os.path.join(base, name)).st_size
    return total


def warm(*directories):
    """Reads everything once, so that it is in the page cache as far as memory reaches."""
    buffer = bytearray(1 << 20)
    for directory in directories:
        for base, _, files in os.walk(directory):
            for name in files:
                with contextlib.suppress(OSError), open(os.path.join(base, name), "rb", buffering=0) as file:
                    while file.readinto(buffer):
                        pass
