"""Every single request of a command fails once in turn, in every way; and the command is killed at every one of them.

It ends well with the same content, or with one clear error and nothing half visible; and the next run ends well. Plain runs
take a sample, ./test --all takes everything."""
import shutil
import signal

import pytest
from doubles.faults import KINDS
from s3_harness import one_line_error, relations
from seawall_harness import MIB, wait_until

pytestmark = pytest.mark.once
NOT_TRANSIENT = ("denied", "expired token", "skewed")
# What no server that is well says: to fail with one clear error is as good as to ask again.
MISLEADING = ("no xml", "error in success", "longer than said", "shorter than said", "no etag")
SLOW_KINDS = ("stall", "stall in request", "stall in answer", "slow down, wait a second", "condition ignored")
SWEPT = [kind for kind in KINDS if kind not in SLOW_KINDS]
SAMPLE = ("internal error, but done", "truncated", "denied")
SHORT = {"SEAWALL_REQUEST_TIMEOUT": "20s", "WALG_TAR_DISABLE_FSYNC": "true", "TOTAL_BG_UPLOADED_LIMIT": 1, "WALG_DOWNLOAD_CONCURRENCY": 2}


class Swept:
    """A command on an archive that is put back before each run; `check` looks at what a run left."""
    code = 1

    def __init__(self, scratch, double, archive):
        self.scratch, self.double, self.archive = scratch, double, archive
        archive.settings.update(SHORT, S3_MAX_PART_SIZE=5 * MIB)
        self.cluster = scratch.cluster(archive, autovacuum="off", archive_command="/bin/true", wal_keep_size="100MB")
        self.cluster.start()
        self.prepare()
        self.before = double.saved()
        self.arguments = self.command()

    def prepare(self):
        """Fills cluster and archive."""

    def clean(self):
        """Undoes what a run did outside the archive."""

    def start(self, *rules):
        self.clean()
        self.double.restore(self.before)
        self.double.forget()
        self.rules = self.double.fail(*rules)
        return self.archive.start(*self.arguments, **self.cluster.connection())

    def run(self, *rules):
        result = self.start(*rules).wait(120)
        self.double.fail()
        return result

    def check_failed(self, result, what):
        assert result.code == self.code, f"{what}: {result}"
        one_line_error(result)
        self.check_nothing_half(what)

    def check_nothing_half(self, what):
        left = [upload for upload in self.archive.open_uploads() if upload.parts]
        assert not left or "AbortMultipartUpload" in what, f"{what}: parts were left that somebody pays for"
        assert self.archive.run("backup-list").code == 0, what


class WalPush(Swept):
    def prepare(self):
        self.names = [self.cluster.switch_wal() for _ in range(2)]
        self.cluster.stop()

    def command(self):
        return "wal-push", self.cluster.segment_file(self.names[0])

    def clean(self):
        for path in (self.cluster.data / "pg_wal").glob("**/seawall*"):
            if path.is_file():
                path.unlink()

    def check_done(self, what):
        assert self.archive.contents() == self.good, what

    def remember(self):
        self.good = self.archive.contents()
        assert f"wal_005/{self.names[0]}.lz4" in self.good

    def check_nothing_half(self, what):
        super().check_nothing_half(what)
        assert all(self.good.get(key) == content for key, content in self.archive.contents().items()), what


class WalFetch(WalPush):
    code = 126

    def prepare(self):
        super().prepare()
        self.archive.ok(*super().command())
        self.out = self.scratch.path / "fetched"

    def command(self):
        self.archive.settings["WALG_DOWNLOAD_CONCURRENCY"] = 1  # what is fetched ahead goes on when the command has ended
        return "wal-fetch", self.names[0], self.out

    def clean(self):
        self.out.unlink(missing_ok=True)

    def check_done(self, what):
        assert self.out.read_bytes() == self.cluster.segment_file(self.names[0]).read_bytes(), what
        super().check_done(what)

    def check_nothing_half(self, what):
        assert not self.out.exists(), what
        super().check_nothing_half(what)


class BackupPush(Swept):
    def prepare(self):
        self.cluster.configure(archive_command=self.cluster.archive_command())
        self.cluster.sql("select pg_reload_conf(); create table t as select g, encode(sha512(g::text::bytea), 'base64') m "
                         "from generate_series(1, 40000) g")
        self.cluster.archive_all()
        self.cluster.sql("vacuum (freeze) t")
        self.cluster.sql("checkpoint")
        self.relations = relations(self.cluster.data)

    def command(self):
        return "backup-push", self.cluster.data

    def remember(self):
        self.check_done("the clean run")

    def check_done(self, what):
        (name,) = self.archive.backups()
        target = self.scratch.path / "restored"
        self.archive.ok("backup-fetch", target, name)
        assert relations(target) == self.relations, what
        assert (target / "backup_label").exists() and (target / "global/pg_control").exists(), what
        shutil.rmtree(target)

    def check_nothing_half(self, what):
        super().check_nothing_half(what)
        assert self.archive.backups() == [], f"{what}: a backup that failed is listed"
        assert self.cluster.sql("select count(*) from pg_stat_activity where application_name ilike '%seawall%'") == "0"


class BackupFetch(BackupPush):
    def prepare(self):
        super().prepare()
        self.archive.ok("backup-push", self.cluster.data, **self.cluster.connection())
        self.cluster.stop()
        self.target = self.scratch.path / "target"

    def command(self):
        return "backup-fetch", self.target, "LATEST"

    def clean(self):
        if self.target.exists():
            shutil.rmtree(self.target)

    def check_done(self, what):
        assert relations(self.target) == self.relations, what
        assert (self.target / "global/pg_control").exists(), what

    def check_nothing_half(self, what):
        assert self.archive.run("backup-list").code == 0, what
        assert not (self.target / "global/pg_control").exists(), f"{what}: what was restored in part looks like a cluster"


COMMANDS = {"wal-push": WalPush, "wal-fetch": WalFetch, "backup-push": BackupPush, "backup-fetch": BackupFetch}


def swept(name, scratch, double, archive):
    made = COMMANDS[name](scratch, double, archive)
    assert made.run().code == 0
    made.requests = [f"{each.number} {each.operation} {each.key}" for each in double.log]
    made.remember()
    return made


def sweep(made, kinds, step):
    """Fails every `step`-th request in each way."""
    for kind in kinds:
        for number in range(1, len(made.requests) + 1, step):
            result = made.run({"request": number, **KINDS[kind]})
            # Which request that was may differ from the clean run: several are under way at once.
            met = made.double.log[number - 1] if len(made.double.log) >= number else None
            what = f"{kind} at {met}" if met else f"{kind} at request {number}, which was not made"
            if result.code == 0:
                made.check_done(what)
            else:
                # Without a body that timed out, 400 to a HEAD tells nothing.
                unknowable = kind == "request timeout" and "HeadObject" in what
                assert unknowable or kind in (*NOT_TRANSIENT, *MISLEADING), f"{what} was not survived: {result}\n{made.double.summary()}"
                made.check_failed(result, what)


@pytest.mark.parametrize("name", COMMANDS)
def test_one_failure(scratch, double, s3_archive, name):
    made = swept(name, scratch, double, s3_archive)
    sweep(made, SAMPLE, 1 if name.startswith("wal") else max(1, len(made.requests) // 4))


@pytest.mark.long
@pytest.mark.parametrize("kind", SWEPT)
@pytest.mark.parametrize("name", COMMANDS)
def test_each_failure_at_each_request(scratch, double, s3_archive, name, kind):
    sweep(swept(name, scratch, double, s3_archive), [kind], 1)


@pytest.mark.long
@pytest.mark.parametrize("name", COMMANDS)
def test_a_failure_that_stays_from_each_request_on(scratch, double, s3_archive, name):
    """The storage goes away in the middle and does not come back."""
    s3_archive.settings["SEAWALL_REQUEST_TIMEOUT"] = "2s"
    made = swept(name, scratch, double, s3_archive)
    made.archive.settings["SEAWALL_REQUEST_TIMEOUT"] = "2s"
    for number in range(1, len(made.requests) + 1):
        what = f"gone from {made.requests[number - 1]} on"
        result = made.run({"request": number, "times": 0, **KINDS["reset before"]})
        if result.code == 0:
            made.check_done(what)
        else:
            assert result.code == made.code, f"{what}: {result}"
            one_line_error(result)


def kill_at(made, number, side):
    """SIGKILL while request `number` is under way: before it is carried out, or after it was and nobody heard."""
    running = made.start({"request": number, "do": "stall", "of": side, "at": 0, "seconds": 3600})
    wait_until(lambda: made.rules[0].hits and (side == "request" or made.double.log[number - 1].status) or not running.running(),
               60, f"request {number}", every=0.002)
    running.signal(signal.SIGKILL)
    result = running.wait()
    made.double.fail()
    return result


def killed_everywhere(made, step):
    for side in ("request", "answer"):
        for number in range(1, len(made.requests) + 1, step):
            what = f"killed at {made.requests[number - 1]} ({side})"
            result = kill_at(made, number, side)
            assert result.code in (-signal.SIGKILL, 0), f"{what}: {result}"
            assert made.archive.run("backup-list").code == 0, what
            if made.code == 126 and made.out.exists():
                made.check_done(what)
            made.clean()
            if isinstance(made, BackupPush) and not isinstance(made, BackupFetch):
                finish_backup(made, what)
            else:
                made.archive.ok(*made.arguments, **made.cluster.connection())
                made.check_done(what)


def finish_backup(made, what):
    """The next backup succeeds, and whatever is listed can be restored."""
    made.archive.ok(*made.arguments, **made.cluster.connection())
    backups = made.archive.backups()
    assert 1 <= len(backups) <= 2, what
    for name in backups:
        target = made.scratch.path / "restored"
        made.archive.ok("backup-fetch", target, name)
        assert relations(target) == made.relations, what
        shutil.rmtree(target)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.once] if name == "backup-push" else [])
                                  for name in COMMANDS])
def test_killed(scratch, double, s3_archive, name):
    made = swept(name, scratch, double, s3_archive)
    killed_everywhere(made, 1 if name.startswith("wal") else max(1, len(made.requests) // 3))


@pytest.mark.long
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_each_request(scratch, double, s3_archive, name):
    killed_everywhere(swept(name, scratch, double, s3_archive), 1)
