"""seawall schedule on a real clock: seconds instead of nights. What follows from schedules is tested with a made-up clock."""
import os
import signal
import time

import pytest
from seawall_harness import give, mkdir, wait_until


@pytest.fixture
def state(scratch, archive):
    """Where the scheduler's history lies; the archive's commands get to know it."""
    archive.settings["SEAWALL_STATE_DIR"] = str(scratch.path / "state")
    give(scratch.path)
    return scratch.path / "state"


def jobs(scratch, text):
    file = scratch.path / "jobs.conf"
    file.write_text(text)
    return file


def status(archive, *words, code=0):
    result = archive.run("schedule", "--status", "--json", *words)
    assert result.code == code, result
    return result.json()


def test_backups_every_second_and_pruned(archive, cluster, state):
    """@every 1s with two backups to retain, until SIGTERM."""
    server = {**cluster.connection(), "PGDATA": str(cluster.data), "BACKUP_SCHEDULE": "@every 1s", "BACKUPS_TO_RETAIN": "2"}
    running = archive.start("schedule", **server)
    seen = set()

    def pruned():
        seen.update(archive.backups())
        return len(seen) >= 4
    wait_until(pruned, what="four backups")
    again = archive.fails("schedule", code=10, says="another scheduler", **server)
    assert again.out == ""
    running.signal(signal.SIGTERM)
    ended = running.wait()
    assert ended.code == 0, ended
    assert "read as every 1s from the start of the scheduler; next run 20" in ended.err
    assert "the scheduler has ended" in ended.err
    assert seen - set(archive.backups()) and len(archive.backups()) in (2, 3), "what is superfluous is deleted"
    told = archive.run("schedule", "--status", "--json", **server)
    assert told.code == 1, "nothing runs any more"
    seen = told.json()
    assert seen["scheduler"] == "stopped" and seen["jobs"] == [{"name": "backup", "schedule": "@every 1s", "next": None}]
    outcomes = [run["outcome"] for run in seen["runs"]]
    assert outcomes.count("ok") >= 2 and set(outcomes) <= {"ok", "skipped", "stopped"}, seen
    ran = [run for run in seen["runs"] if run["outcome"] == "ok"]
    assert all(a["finished"] <= b["started"] for a, b in zip(ran, ran[1:])), "two ran at once"
    text = archive.run("schedule", "--status", **server).out
    assert text.startswith("NO SCHEDULER RUNS\n") and "backup ok " in text


def test_jobs_of_an_ofelia_file(scratch, archive, state):
    logs = scratch.path / "logs"
    file = jobs(scratch, f"""
[global]
slack-webhook = https://example.org
save-folder = {logs}
[job-local "writes"]
schedule = @every 1s
command = "sh -c 'echo $WORD; echo to stderr >&2; pwd'"
environment = WORD=a word
dir = /usr
[job-local "fails"]
schedule = @every 2s
command = "sh -c 'echo why >&2; exit 3'"
command = touch {scratch.path}/never
save-only-on-error = true
[job-local "absent"]
schedule = @every 2s
command = no-such-program
[job-exec "elsewhere"]
schedule = @every 1s
command = true
container = x
""")
    running = archive.start("schedule", "--jobs", file)
    def finished():
        runs = archive.run("schedule", "--status", "--json", "--jobs", file).json()["runs"]
        return {run["job"] for run in runs if run["finished"]}

    wait_until(lambda: finished() >= {"writes", "fails", "absent"}, what="all jobs")
    alive = archive.run("schedule", "--status", "--json", "--jobs", file)
    assert alive.json()["scheduler"] == "running" and alive.code == 1, "a job failed"
    running.signal(signal.SIGINT)
    ended = running.wait()
    assert ended.code == 0, ended
    assert "a word\n/usr\n" in ended.out and "to stderr" in ended.err
    assert "slack-webhook is accepted, but nobody is told" in ended.err
    assert "job 'elsewhere' is not run: [job-exec] wants a container engine" in ended.err
    assert "job 'fails': 'sh -c echo why >&2; exit 3' failed with status 3" in ended.err
    assert not (scratch.path / "never").exists()
    runs = status(archive, "--jobs", file, code=1)["runs"]
    failed = next(run for run in runs if run["job"] == "fails")
    assert (failed["outcome"], failed["status"], failed["detail"]) == ("failed", 3, "why")
    absent = next(run for run in runs if run["job"] == "absent")
    assert (absent["outcome"], absent["detail"]) == ("failed", "there is no program 'no-such-program' in PATH")
    written = sorted(path.name for path in logs.iterdir())
    first = next(name for name in written if name.endswith("_writes.stdout.log"))
    assert (logs / first).read_text() == "a word\n/usr\n"
    assert (logs / first.replace("stdout", "stderr")).read_text() == "to stderr\n"


def test_the_end_is_orderly(scratch, archive, state):
    """What is about to end may; what takes long is asked to stop; nobody is left behind."""
    file = jobs(scratch, f"""
[job-local "short"]
schedule = @every 1s
cluster = one
command = "sh -c 'touch {scratch.path}/begun; sleep 1; touch {scratch.path}/whole'"
[job-local "long"]
schedule = @every 1s
cluster = two
command = "sh -c 'trap \\"echo asked; exit 9\\" TERM; touch {scratch.path}/long; while :; do sleep 0.1; done'"
""")
    running = archive.start("schedule", "--jobs", file, SEAWALL_SCHEDULE_DRAIN="3s")
    wait_until(lambda: (scratch.path / "begun").exists() and (scratch.path / "long").exists(), what="both jobs")
    begun = time.monotonic()
    running.signal(signal.SIGTERM)
    ended = running.wait()
    assert ended.code == 0 and time.monotonic() - begun >= 2.5, ended
    assert (scratch.path / "whole").exists()
    assert "job 'long' is asked to stop" in ended.err and "asked" in ended.out
    runs = {run["job"]: run for run in status(archive, "--jobs", file, code=1)["runs"] if run["started"]}
    assert runs["short"]["outcome"] == "ok" and (runs["long"]["outcome"], runs["long"]["status"]) == ("stopped", 9)


def test_jobs_end_with_a_scheduler_that_is_killed(scratch, archive, state):
    file = jobs(scratch, f"[job-local \"long\"]\nschedule = @every 1s\n"
                         f"command = \"sh -c 'echo $$ > {scratch.path}/pid; exec sleep 1000'\"\n")
    running = archive.start("schedule", "--jobs", file)
    wait_until(lambda: (scratch.path / "pid").exists() and (scratch.path / "pid").read_text().strip(), what="the job")
    pid = int((scratch.path / "pid").read_text())
    running.signal(signal.SIGKILL)
    running.wait()
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), what="the end of the job")
    runs = status(archive, "--jobs", file, code=1)["runs"]
    assert runs[-1]["outcome"] == "broken off"
    assert archive.run("schedule", "--status", "--jobs", file).out.startswith("NO SCHEDULER RUNS\n")


def test_what_was_missed_is_told(scratch, archive, state):
    file = jobs(scratch, "[job-local \"hourly\"]\nschedule = @hourly\ncommand = true\n")
    due = time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(time.time() - 3 * 3600))
    mkdir(state)
    (state / "schedule.tsv").write_text(f"{due}\t{due}\t{due}\thourly\tok\t0\t\n")
    give(state, recursive=True)
    running = archive.start("schedule", "--jobs", file)
    wait_until(lambda: "next run" in running.text(), what="the start")
    running.signal(signal.SIGTERM)
    assert "job 'hourly' missed 3 runs" in running.wait().err
    running = archive.start("schedule", "--jobs", file, SEAWALL_SCHEDULE_CATCH_UP="true")
    wait_until(lambda: "next run" in running.text(), what="the start")
    running.signal(signal.SIGTERM)
    assert "missed" not in running.wait().err, "told once"


def test_check_shows_what_would_be_run(archive, state):
    shown = archive.ok("schedule", "--check", BACKUP_SCHEDULE="TZ=Europe/Berlin 30 3 * * *", BACKUPS_TO_RETAIN="7", PGDATA="/data")
    lines = shown.out.splitlines()
    assert lines[0].startswith("backup: 'TZ=Europe/Berlin 30 3 * * *', standard cron of 5 fields, minute first; next run 20")
    assert " 03:30:00 +0" in lines[0]
    assert lines[1:] == ["  seawall backup-push /data", "  seawall delete retain 7 --confirm"]
    kept = archive.ok("schedule", "--check", BACKUP_SCHEDULE="@daily", SEAWALL_KEEP_DAYS="7").out.splitlines()
    assert kept[1:] == ["  seawall backup-push", "  seawall expire --confirm"]
    assert not state.exists()


def test_as_wal_e_where_only_its_variables_are_set(archive, state):
    shown = archive.ok("schedule", "--check", WALG_FILE_PREFIX=None, WALE_FILE_PREFIX=f"file://localhost{archive.root}",
                       BACKUP_SCHEDULE="@daily", BACKUPS_TO_RETAIN="5", PGDATA="/data")
    assert shown.out.splitlines()[1:] == ["  wal-e backup-push /data", "  wal-e delete --confirm retain 5"]


@pytest.mark.parametrize("settings, words, code, says", [
    ({}, [], 3, ["BACKUP_SCHEDULE", "--jobs"]),
    ({"BACKUP_SCHEDULE": "0 25 * * *"}, [], 3, ["BACKUP_SCHEDULE: schedule '0 25 * * *': field 2 of 5 (hour), '25'"]),
    ({"BACKUP_SCHEDULE": "@dayly"}, [], 3, ["did you mean @daily?"]),
    ({"BACKUP_SCHEDULE": "TZ=Mars 0 1 * * *"}, [], 3, ["'Mars' is no time zone"]),
    ({"BACKUP_SCHEDULE": "@daily", "BACKUPS_TO_RETAIN": "-1"}, [], 3, ["BACKUPS_TO_RETAIN", "-1"]),
    ({"BACKUP_SCHEDULE": "@daily", "BACKUPS_TO_RETAIN": "many"}, [], 3, ["BACKUPS_TO_RETAIN", "many"]),
    ({"BACKUP_SCHEDULE": "@daily", "SEAWALL_SCHEDULE_DRAIN": "soon"}, [], 3, ["SEAWALL_SCHEDULE_DRAIN"]),
    ({}, ["--jobs", "/nowhere"], 4, ["/nowhere"]),
    ({}, ["--json"], 2, ["--status"]),
])
def test_wrong_settings(archive, state, settings, words, code, says):
    archive.fails("schedule", *words, code=code, says=says, **settings)
    assert not state.exists() and archive.keys() == []


def test_a_wrong_file_of_jobs(scratch, archive, state):
    file = jobs(scratch, "[job-local \"a\"]\nschedule = 61 * * * *\ncommand = x\n")
    archive.fails("schedule", "--jobs", file, code=3, says=f"{file}, line 2: schedule '61 * * * *': field 1 of 5 (minute), '61'")
    assert archive.run("schedule", "--status", "--jobs", file).code == 3


def test_a_replica_and_one_that_lags_behind(scratch, cluster):
    """The printed lines, pasted as the manual says."""
    archive = cluster.archive
    cluster.sql("create table t as select 1 as a")
    archive.ok("backup-push", cluster.data, **cluster.connection())
    replicas = []
    for flags in ([], ["--delay", "1h"]):
        replica = scratch.restored(archive)
        lines = archive.ok("standby-config", replica.data, *flags).out
        with open(replica.data / "postgresql.auto.conf", "a", encoding="utf-8") as out:
            out.write(lines)
        give_empty = replica.data / "standby.signal"
        give_empty.touch()
        give(give_empty)
        replica.start(archive_mode="off")
        replicas.append(replica)
    cluster.sql("insert into t values (2)")
    cluster.archive_all()
    follows, lags = replicas
    wait_until(lambda: follows.sql("select count(*) from t") == "2", what="the replica")
    assert lags.sql("show recovery_min_apply_delay") == "1h"
    assert lags.sql("select pg_is_in_recovery(), count(*) from t") == "t|1"
    archive.fails("standby-config", follows.data, "--delay", "soon", code=2, says="--delay is 'soon'")
    archive.fails("standby-config", scratch.path, code=8, says="PG_VERSION")
    old = archive.ok("standby-config", scratch.home, "--pg-version", "11", "--delay", "30m").out
    assert "recovery.conf" in old and "standby_mode = 'on'" in old and "recovery_min_apply_delay = '1800000ms'" in old
