"""A backlog of WAL that a real server's archiver drains, and a real recovery that fetches it again through restore_command,
beside `cp` from a directory on the same machine."""
import glob
import os
import shutil
import time

from cluster import BIN
from measure import Failed, say

SEGMENTS = 150
COPYING = "cp"  # what the tools' recoveries are compared with

SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{sockets}'
fsync = off
autovacuum = off
shared_buffers = 256MB
checkpoint_timeout = 1d
max_wal_size = 64GB
wal_keep_size = 32GB
wal_level = replica
hot_standby = off
archive_mode = on
archive_command = '/bin/false'
"""

ROWS = """
create table orders(id bigint primary key, customer int, created timestamptz, amount numeric(12,2), doc jsonb, note text);
insert into orders select g, (random() * 200000)::int, timestamptz '2026-01-01' - random() * interval '900 days',
  (random() * 10000)::numeric(12,2), jsonb_build_object('sku', md5(random()::text), 'qty', (random() * 10)::int),
  'customer asked for a later delivery date' from generate_series(1, 300000) g;
create index on orders(customer);
checkpoint;
"""

WORK = """
do $$ declare start pg_lsn := pg_current_wal_lsn(); next bigint := 300000; begin
  while pg_current_wal_lsn() - start < {bytes} loop
    insert into orders select next + g, (random() * 200000)::int, now(), (random() * 10000)::numeric(12,2),
      jsonb_build_object('sku', md5(random()::text), 'qty', (random() * 10)::int), md5(random()::text)
      from generate_series(1, 2000) g;
    next := next + 2000;
    update orders set amount = amount + 1 where id in (select (random() * 300000)::bigint from generate_series(1, 300));
    commit;
  end loop;
end $$;
select pg_current_wal_lsn();
select pg_switch_wal();
"""


class History:
    """A cluster as it was (`start`), and the same with SEGMENTS of WAL more, none of it archived (`now`)."""

    def __init__(self, runner):
        self.runner = runner
        self.now = runner.directory("replay-now")
        self.sockets = runner.directory("replay-sockets")
        self.environment = {"PGHOST": self.sockets, "PGUSER": "postgres", "PGDATABASE": "postgres"}
        say(f"making {SEGMENTS} segments of WAL")
        runner.run([f"{BIN}/initdb", "-D", self.now, "-U", "postgres", "-A", "trust", "--no-sync"])
        with open(f"{self.now}/postgresql.conf", "a") as configuration:
            configuration.write(SETTINGS.format(sockets=self.sockets))
        self._serve()
        self._sql(ROWS)
        self._stop("fast")
        self.start = self._copy(self.now, "replay-start")
        self._serve()
        self.end = self._sql(WORK.format(bytes=SEGMENTS * (16 << 20))).splitlines()[0]
        self._stop("fast")

    def ready(self, data):
        return len(glob.glob(f"{data}/pg_wal/archive_status/*.ready"))

    def drain(self, tool):
        """Segments a second. The archiver is the server's own, so the clock starts when the server does."""
        data = self._copy(self.now, "replay-data")
        tool.attach(data, self.environment)
        tool.new_archive()
        waiting = self.ready(data)
        self._configure(data, [f"archive_command = '{tool.archive_command()}'"])
        start = time.perf_counter()
        self._serve(data, tool.server_environment(), wait=False)
        try:
            while self.ready(data) > 0:
                if time.perf_counter() - start > 600:
                    raise Failed(f"{tool.name} has left {self.ready(data)} segments after 10 minutes")
                time.sleep(0.02)
            wall = time.perf_counter() - start
        finally:
            self._stop("fast", data)
        return waiting / wall

    def recover(self, name, restore_command, environment):
        """Seconds from the server's start to its end at the target, which is all that it does."""
        data = self._copy(self.start, "replay-recovered")
        shutil.rmtree(f"{data}/pg_wal")
        self.runner.directory("replay-recovered", "pg_wal")
        self._configure(data, [f"restore_command = '{restore_command}'", f"recovery_target_lsn = '{self.end}'",
                               "recovery_target_action = 'shutdown'", "archive_mode = off"])
        self.runner.run(["touch", f"{data}/recovery.signal"])
        os.sync()
        sample = self.runner.run([f"{BIN}/postgres", "-D", data], self.environment | environment)
        self.runner.settle()
        if "recovery stopping after WAL location" not in sample.output:
            raise Failed(f"the recovery by {name} did not reach {self.end}:\n{sample.output[-2000:]}")
        return sample

    def copying(self):
        """The restore_command without any tool."""
        return f'cp "{self.now}/pg_wal/%f" "%p"'

    def _copy(self, source, name):
        target = self.runner.directory(name)
        self.runner.run(["cp", "-a", f"{source}/.", target])
        return target

    def _configure(self, data, lines):
        with open(f"{data}/postgresql.auto.conf", "a") as configuration:
            configuration.write("".join(f"{line}\n" for line in lines))

    def _serve(self, data=None, environment=None, wait=True):
        data = data or self.now
        self.runner.run([f"{BIN}/pg_ctl", "-D", data, "-l", f"{data}/server.log", "-w" if wait else "-W", "start"],
                        self.environment | (environment or {}))

    def _stop(self, mode, data=None):
        self.runner.run([f"{BIN}/pg_ctl", "-D", data or self.now, "-m", mode, "-w", "stop"], self.environment)

    def _sql(self, text):
        script = self.runner.path("tmp", "replay.sql")
        with open(script, "w") as file:
            file.write(text)
        os.chmod(script, 0o644)
        return self.runner.run([f"{BIN}/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-f", script],
                               self.environment).output.strip()


def measure_replay(runner, tools, runs):
    """Rates of draining by tool, and samples of recoveries by tool and by cp."""
    history = History(runner)
    rates, recoveries = {tool.name: [] for tool in tools}, {name: [] for name in (COPYING, *(tool.name for tool in tools))}
    for turn in range(runs):
        for tool in tools[turn % len(tools):] + tools[:turn % len(tools)]:
            rates[tool.name].append(history.drain(tool))
            recoveries[tool.name].append(history.recover(tool.name, tool.restore_command(), tool.server_environment()))
            recoveries[COPYING].append(history.recover(COPYING, history.copying(), {}))
            say(f"  {tool.name}: drained {rates[tool.name][-1]:.1f} segments/s, "
                f"recovered in {recoveries[tool.name][-1].wall:.2f} s, cp {recoveries[COPYING][-1].wall:.2f} s")
    return rates, recoveries
