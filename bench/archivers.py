"""The tools that are measured, all by the same few verbs. Each gets as many workers as the machine has cores, writes
lz4 to a directory, and has an archive of its own."""
import os
import shutil
import subprocess

from measure import Failed

CORES = os.cpu_count()


class Walg:
    """WAL-G, and seawall, which takes the same commands and settings."""

    def __init__(self, key, name, program, runner, cluster):
        self.key, self.name, self.runner, self.cluster = key, name, runner, cluster
        self.program = runner.install(program, key)
        self.archive = runner.path(f"archive-{key}")
        self.version = runner.run([self.program, "--version"]).output.strip().split("\n")[-1].replace("\t", " ")
        self.environment = {"WALG_FILE_PREFIX": self.archive, "WALG_COMPRESSION_METHOD": "lz4",
                            "WALG_UPLOAD_DISK_CONCURRENCY": str(CORES), "WALG_LOG_LEVEL": "NORMAL"}
        self.environment |= cluster.environment if cluster else {}
        self.variants = {}  # of backup-push: name to settings

    def version_command(self):
        return [self.program, "--version"]

    def new_archive(self):
        self.runner.directory(f"archive-{self.key}")
        shutil.rmtree(f"{self.cluster.data}/pg_wal/walg_data", ignore_errors=True)

    def backup(self, variant):
        return self._run(["backup-push", self.cluster.data], self.variants[variant], sync=True)

    def restore(self, directory):
        return self._run(["backup-fetch", directory, "LATEST"], sync=True)

    def push_wal(self, name):
        return self._run(["wal-push", f"pg_wal/{name}"], cwd=self.cluster.data)

    def fetch_wal(self, name, standby, ahead):
        environment = {} if ahead else {"WALG_DOWNLOAD_CONCURRENCY": "1"}
        return self._run(["wal-fetch", name, "pg_wal/RECOVERYXLOG"], environment, cwd=standby)

    def is_ahead(self, name, standby):
        return os.path.exists(f"{standby}/pg_wal/.wal-g/prefetch/{name}")

    def _run(self, arguments, environment=None, **how):
        return self.runner.run([self.program, *arguments], self.environment | (environment or {}), **how)


class Seawall(Walg):
    def __init__(self, program, runner, cluster):
        super().__init__("seawall", "seawall", program, runner, cluster)
        self.variants = {"": {"WALG_VERIFY_PAGE_CHECKSUMS": "false"},
                         "verifying": {"WALG_VERIFY_PAGE_CHECKSUMS": "true"}}


class RealWalg(Walg):
    def __init__(self, program, runner, cluster):
        super().__init__("wal-g", "WAL-G", program, runner, cluster)
        self.variants = {"": {"WALG_VERIFY_PAGE_CHECKSUMS": "false"}}


class PgBackRest:
    key, name = "pgbackrest", "pgBackRest"
    variants = {"verifying": None}

    def __init__(self, program, runner, cluster):
        self.program, self.runner, self.cluster = program, runner, cluster
        self.archive = runner.path("archive-pgbackrest")
        self.version = runner.run(self.version_command()).output.strip()
        self.configuration = runner.path("pgbackrest.conf")
        if cluster:
            self._configure()

    def version_command(self):
        return [self.program, "version"]

    def new_archive(self):
        for name in ("archive-pgbackrest", "pgbackrest-spool"):
            self.runner.directory(name)
        self._run(["stanza-create"])

    def backup(self, variant):
        return self._run(["backup", "--type=full"], sync=True)

    def restore(self, directory):
        return self._run(["restore", f"--pg1-path={directory}", "--type=none"], sync=True)

    def push_wal(self, name):
        return self._run(["archive-push", f"pg_wal/{name}"], cwd=self.cluster.data)

    def fetch_wal(self, name, standby, ahead):
        return self._run(["archive-get", f"--pg1-path={standby}", *(["--archive-async"] if ahead else []), name,
                          "pg_wal/RECOVERYXLOG"], cwd=standby)

    def is_ahead(self, name, standby):
        return os.path.exists(self.runner.path("pgbackrest-spool", "archive", "bench", "in", name))

    def _configure(self):
        with open(self.configuration, "w") as file:
            file.write(f"""[global]
repo1-path={self.archive}
lock-path={self.runner.directory("pgbackrest-lock")}
spool-path={self.runner.path("pgbackrest-spool")}
log-level-file=off
log-level-console=warn
compress-type=lz4
compress-level=1
process-max={CORES}
start-fast=y
archive-check=n
archive-copy=n
[bench]
pg1-path={self.cluster.data}
pg1-socket-path={self.cluster.environment["PGHOST"]}
pg1-user=postgres
""")
        os.chmod(self.configuration, 0o644)

    def _run(self, arguments, **how):
        return self.runner.run([self.program, f"--config={self.configuration}", "--stanza=bench", *arguments],
                               self.cluster.environment, **how)


def find_tools(repository, runner, cluster):
    """The tools that are there, and a line for each that is not."""
    tools, missing = [], []
    seawall = os.environ.get("SEAWALL_BIN")
    if not seawall:
        seawall = os.path.join(repository, "build/release/seawall")
        if os.path.isdir(os.path.dirname(seawall)):
            subprocess.run(["cmake", "--build", os.path.dirname(seawall), "--target", "seawall", "limits"], check=True,
                           stdout=subprocess.DEVNULL)
    if not os.access(seawall, os.X_OK):
        raise Failed(f"{seawall} is missing: cmake --preset release && cmake --build --preset release")
    tools.append(Seawall(seawall, runner, cluster))
    walg = os.environ.get("WALG_BIN")
    if walg and os.access(walg, os.X_OK):
        tools.append(RealWalg(walg, runner, cluster))
    else:
        missing.append("WAL-G: not measured. Set WALG_BIN to a wal-g program built for PostgreSQL.")
    pgbackrest = os.environ.get("PGBACKREST_BIN") or shutil.which("pgbackrest", path="/usr/local/bin:/usr/bin:/bin")
    if pgbackrest and os.access(pgbackrest, os.X_OK):
        tools.append(PgBackRest(pgbackrest, runner, cluster))
    else:
        missing.append("pgBackRest: not measured. apt-get install pgbackrest, or set PGBACKREST_BIN.")
    return tools, missing


def find_limits(runner):
    """The program of limits.cc, beside seawall or in the release build; None if it was not built."""
    repository = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    seawall = os.environ.get("SEAWALL_BIN", "")
    for place in (os.environ.get("LIMITS_BIN", ""), os.path.join(os.path.dirname(seawall), "limits"),
                  os.path.join(repository, "build/release/limits")):
        if place and os.path.isfile(place) and os.access(place, os.X_OK):
            return runner.install(place, "limits-program")
    return None
