"""The tools that are measured, all by the same few verbs. Each gets as many workers as the machine has cores, writes
the same encoding, and has an archive of its own (places.py)."""
import os
import shutil
import subprocess

from measure import Failed

CORES = os.cpu_count()
CODECS = ("lz4", "zstd", "brotli", "lzma", "none")  # those that WAL-G writes
CIPHERS = ("none", "libsodium", "openpgp")


class Encoding:
    """How objects are stored: WAL-G's settings, which are seawall's."""

    def __init__(self, codec, cipher, runner, repository):
        self.is_common = (codec, cipher) == ("lz4", "none")  # what every tool writes
        self.settings = {"WALG_COMPRESSION_METHOD": codec}
        if cipher == "libsodium":
            self.settings |= {"WALG_LIBSODIUM_KEY": bytes(range(32)).hex(), "WALG_LIBSODIUM_KEY_TRANSFORM": "hex"}
        if cipher == "openpgp":  # RSA; both programs then encrypt with AES
            key = shutil.copy(f"{repository}/src/crypto/testdata/rsa.secret.asc", runner.path("openpgp.asc"))
            os.chmod(key, 0o644)
            self.settings["WALG_PGP_KEY_PATH"] = key


class Tool:
    def place_sample(self, run):
        """What `run` cost, with the server's part."""
        before = self.place.server_cpu(self.key)
        sample = run()
        sample.server = self.place.server_cpu(self.key) - before
        return sample

    def attach(self, data, environment):
        """From now on the tool serves the stopped cluster in `data`."""
        self.data, self.connection = data, environment


class Walg(Tool):
    """WAL-G, and seawall, which takes the same commands and settings."""

    def __init__(self, key, name, program, runner, cluster, place, encoding):
        self.key, self.name, self.runner, self.place = key, name, runner, place
        self.program = runner.install(program, key)
        self.version = runner.run([self.program, "--version"]).output.strip().split("\n")[-1].replace("\t", " ")
        self.environment = encoding.settings | {"WALG_UPLOAD_DISK_CONCURRENCY": str(CORES), "WALG_LOG_LEVEL": "NORMAL"}
        if cluster:
            self.attach(cluster.data, cluster.environment)
        self.variants = {}  # of backup-push: name to settings

    def version_command(self):
        return [self.program, "--version"]

    def server_environment(self):
        return self.environment | self.place.settings(self.key)

    def archive_command(self):
        return f"{self.program} wal-push %p"

    def restore_command(self):
        return f"{self.program} wal-fetch %f %p"

    def new_archive(self):
        self.place.new(self.key)
        shutil.rmtree(f"{self.data}/pg_wal/walg_data", ignore_errors=True)

    def backup(self, variant):
        return self._run(["backup-push", self.data], self.variants[variant], sync=True)

    def restore(self, directory):
        return self._run(["backup-fetch", directory, "LATEST"], sync=True)

    def push_wal(self, name):
        return self._run(["wal-push", f"pg_wal/{name}"], cwd=self.data)

    def fetch_wal(self, name, standby, ahead):
        environment = {} if ahead else {"WALG_DOWNLOAD_CONCURRENCY": "1"}
        return self._run(["wal-fetch", name, "pg_wal/RECOVERYXLOG"], environment, cwd=standby)

    def is_ahead(self, name, standby):
        return os.path.exists(f"{standby}/pg_wal/.wal-g/prefetch/{name}")

    def _run(self, arguments, environment=None, **how):
        settings = self.connection | self.server_environment() | (environment or {})
        return self.place_sample(lambda: self.runner.run([self.program, *arguments], settings, **how))


class Seawall(Walg):
    def __init__(self, program, runner, cluster, place, encoding):
        super().__init__("seawall", "seawall", program, runner, cluster, place, encoding)
        self.variants = {"": {"WALG_VERIFY_PAGE_CHECKSUMS": "false"},
                         "verifying": {"WALG_VERIFY_PAGE_CHECKSUMS": "true"}}


class RealWalg(Walg):
    def __init__(self, program, runner, cluster, place, encoding):
        super().__init__("wal-g", "WAL-G", program, runner, cluster, place, encoding)
        self.variants = {"": {"WALG_VERIFY_PAGE_CHECKSUMS": "false"}}


class PgBackRest(Tool):
    key, name = "pgbackrest", "pgBackRest"
    variants = {"verifying": None}

    def __init__(self, program, runner, cluster, place):
        self.program, self.runner, self.place = program, runner, place
        self.online = True
        if cluster:
            self.attach(cluster.data, cluster.environment)
        self.version = runner.run(self.version_command()).output.strip()
        self.configuration = runner.path("pgbackrest.conf")

    def version_command(self):
        return [self.program, "version"]

    def new_archive(self):
        self.place.new(self.key)
        self.runner.directory("pgbackrest-spool")
        self._configure()
        self._run(["stanza-create", *([] if self.online else ["--no-online"])])

    def attach(self, data, environment):
        super().attach(data, environment)
        self.online = os.path.exists(f"{data}/postmaster.pid")

    def server_environment(self):
        return {}

    def archive_command(self):
        return f"{' '.join(self._command())} --archive-async archive-push %p"

    def restore_command(self):
        """It asks for the data directory where it is, and that is where the server works."""
        return f"{' '.join(self._command())} --archive-async --pg1-path=$PWD archive-get %f %p"

    def backup(self, variant):
        return self._run(["backup", "--type=full"], sync=True)

    def restore(self, directory):
        return self._run(["restore", f"--pg1-path={directory}", "--type=none"], sync=True)

    def push_wal(self, name):
        return self._run(["archive-push", f"pg_wal/{name}"], cwd=self.data)

    def fetch_wal(self, name, standby, ahead):
        return self._run(["archive-get", f"--pg1-path={standby}", *(["--archive-async"] if ahead else []), name,
                          "pg_wal/RECOVERYXLOG"], cwd=standby)

    def is_ahead(self, name, standby):
        return os.path.exists(self.runner.path("pgbackrest-spool", "archive", "bench", "in", name))

    def _configure(self):
        with open(self.configuration, "w") as file:
            settings = "\n".join(self.place.pgbackrest_settings(self.key))
            file.write(f"""[global]
{settings}
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
pg1-path={self.data}
pg1-socket-path={self.connection["PGHOST"]}
pg1-user=postgres
""")
        os.chmod(self.configuration, 0o644)

    def _run(self, arguments, **how):
        return self.place_sample(lambda: self.runner.run([*self._command(), *arguments], self.connection, **how))

    def _command(self):
        return [self.program, f"--config={self.configuration}", "--stanza=bench"]


def find_tools(repository, runner, cluster, place, encoding):
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
    tools.append(Seawall(seawall, runner, cluster, place, encoding))
    walg = os.environ.get("WALG_BIN")
    if walg and os.access(walg, os.X_OK):
        tools.append(RealWalg(walg, runner, cluster, place, encoding))
    else:
        missing.append("WAL-G: not measured. Set WALG_BIN to a wal-g program built for PostgreSQL.")
    if not encoding.is_common:
        return tools, missing
    pgbackrest = os.environ.get("PGBACKREST_BIN") or shutil.which("pgbackrest", path="/usr/local/bin:/usr/bin:/bin")
    if pgbackrest and os.access(pgbackrest, os.X_OK):
        tools.append(PgBackRest(pgbackrest, runner, cluster, place))
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
