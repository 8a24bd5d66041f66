"""The PostgreSQL that is backed up: Debian's 15, filled with rows such as a shop has."""
import os
import shutil

from measure import Failed, tree_bytes

BIN = "/usr/lib/postgresql/15/bin"

SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{sockets}'
fsync = off
autovacuum = off
checkpoint_timeout = 1h
shared_buffers = 256MB
max_wal_size = 1GB
wal_keep_size = 512MB
wal_level = replica
archive_mode = off
"""

FILL = """
select setseed(0.42);
create table orders(id bigint, customer int, created timestamptz, status text, amount numeric(12,2), doc jsonb,
  note text);
insert into orders select g, (random() * 200000)::int, timestamptz '2026-01-01' - random() * interval '900 days',
  (array['new', 'paid', 'shipped', 'returned'])[1 + (random() * 3)::int], (random() * 10000)::numeric(12,2),
  jsonb_build_object('sku', md5(random()::text), 'qty', (random() * 10)::int,
    'price', round((random() * 100)::numeric, 2),
    'tags', jsonb_build_array('a' || (random() * 50)::int, 'b' || (random() * 50)::int)),
  (array['delivered to the front desk', 'customer asked for a later delivery date', 'please ring the bell twice',
    'fragile, handle with care'])[1 + (random() * 3)::int] || ' ' || (random() * 1000)::int
  from generate_series(1, {rows}) g;
create index on orders(id);
create index on orders(customer);
create index on orders(created);
create table ledger as select g id, md5(g::text) hash, random() rate, repeat(chr(65 + (g % 26)), 20) label
  from generate_series(1, {rows} * 6 / 7) g;
create index on ledger(hash);
vacuum analyze;
checkpoint;
"""

# Two complete segments of ordinary work.
WAL = """
select pg_switch_wal();
create table clicks(id int, at timestamptz, path text);
do $$ begin
  while pg_current_wal_lsn() - '{start}'::pg_lsn < 3.2 * 16 * 1024 * 1024 loop
    insert into clicks select g, now(), '/shop/' || md5(random()::text) from generate_series(1, 500) g;
    update orders set status = 'paid', amount = amount + 1 where id in (select (random() * {rows})::bigint
      from generate_series(1, 100));
    commit;
  end loop;
end $$;
select pg_switch_wal();
checkpoint;
"""


class Cluster:
    def __init__(self, runner, rows):
        if not os.path.exists(f"{BIN}/initdb"):
            raise Failed("PostgreSQL 15 is missing: apt-get install postgresql-15")
        self.runner, self.rows = runner, rows
        self.data, sockets = runner.path("data"), runner.directory("sockets")
        self.environment = {"PGHOST": sockets, "PGUSER": "postgres", "PGDATABASE": "postgres"}
        runner.directory("data")
        runner.run([f"{BIN}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-k", "--no-sync"])
        with open(f"{self.data}/postgresql.conf", "a") as configuration:
            configuration.write(SETTINGS.format(sockets=sockets))
        runner.run([f"{BIN}/pg_ctl", "-D", self.data, "-l", runner.path("data", "server.log"), "-w", "start"])
        with open(f"{self.data}/postmaster.pid") as pid_file:
            runner.servers.add(int(pid_file.readline()))

    def sql(self, text):
        command = [f"{BIN}/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-f", self._script(text)]
        return self.runner.run(command, self.environment).output.strip()

    def fill(self):
        self.sql(FILL.format(rows=self.rows))

    def make_wal(self):
        """The names of two consecutive, complete segments in pg_wal."""
        start = self.sql("select pg_current_wal_lsn()")
        self.sql(WAL.format(start=start, rows=self.rows))
        later = f"'{start}'::pg_lsn + n * 16777216"
        names = self.sql(f"select pg_walfile_name({later}) from generate_series(1, 2) n").split()
        for name in names:
            if os.stat(f"{self.data}/pg_wal/{name}").st_size != 16 << 20:
                raise Failed(f"{name} is no segment of 16 MiB")
        return names

    def bytes(self):
        return tree_bytes(self.data, without=("pg_wal",))

    def check_restored(self, directory):
        """That a restore brought everything: the bytes of all relations, and the file without which nothing starts."""
        if not os.path.exists(f"{directory}/global/pg_control"):
            raise Failed(f"{directory} has no global/pg_control")
        wanted, got = tree_bytes(f"{self.data}/base"), tree_bytes(f"{directory}/base")
        # pg_internal.init files come and go.
        if abs(wanted - got) > 2 << 20:
            raise Failed(f"{directory}/base has {got} bytes, the source {wanted}")

    def _script(self, text):
        path = self.runner.path("tmp", "script.sql")
        with open(path, "w") as script:
            script.write(text)
        if self.runner.root:
            shutil.chown(path, self.runner.user.pw_uid)
        return path
