"""Archives of WAL-E: restored beside WAL-G and WAL-E's own pipeline, written beside lzop."""
import glob
import os
import shutil

from measure import Failed, median, say, warm
from report import MB, head, of, ratio, row, spread

PIPELINE = "lzop -d | tar x"


def make_archive(runner, cluster, program):
    """A backup in WAL-E's layout whose volumes lzop itself compressed."""
    root = runner.directory("wal-e-archive")
    settings = cluster.environment | {"WALE_FILE_PREFIX": f"file://localhost{root}", "WALE_LOG_DESTINATION": "stderr"}
    runner.run([program, "wal-e", "backup-push", cluster.data], settings)
    for volume in glob.glob(f"{root}/basebackups_005/*/tar_partitions/*.lzo"):
        runner.run(["/bin/sh", "-c", 'lzop -dc "$1" | lzop -c >"$1.new" && mv "$1.new" "$1"', "sh", volume])
    return root, settings


def measure_wal_e(runner, cluster, tools, runs):
    """(restores, pushes): samples by tool."""
    if not shutil.which("lzop"):
        raise Failed("lzop is missing: apt-get install lzop")
    program = tools[0].program
    root, settings = make_archive(runner, cluster, program)
    pipeline = f'cd "$1" && for volume in {root}/basebackups_005/*/tar_partitions/*; do lzop -dc "$volume" | tar xp; done'
    restores = {"seawall": lambda to: runner.run([program, "wal-e", "backup-fetch", to, "LATEST"], settings, sync=True)}
    for tool in tools[1:]:
        if tool.name == "WAL-G":
            walg = {"WALG_FILE_PREFIX": root}
            restores["WAL-G"] = lambda to: runner.run([tool.program, "backup-fetch", to, "LATEST"], walg, sync=True)
            break
    restores[PIPELINE] = lambda to: runner.run(["/bin/sh", "-c", pipeline, "sh", to], sync=True)
    restored = {name: [] for name in restores}
    for turn in range(runs):
        say(f"WAL-E's archive, round {turn + 1} of {runs}")
        for name, restore in restores.items():
            target = runner.directory("restored")
            os.sync()
            warm(root)
            restored[name].append(restore(target))
            cluster.check_restored(target)
            runner.directory("restored")
    return restored, measure_pushes(runner, cluster, program, settings, max(runs, 15))


def measure_pushes(runner, cluster, program, settings, runs):
    segment = f"{cluster.data}/pg_wal/{cluster.make_wal()[0]}"
    pushed = {"seawall": [], "lzop": []}
    for _ in range(runs):
        archive = runner.directory("wal-e-wal")
        place = settings | {"WALE_FILE_PREFIX": f"file://localhost{archive}"}
        os.sync()
        pushed["seawall"].append(runner.run([program, "wal-e", "wal-push", "-p", "1", segment], place))
        os.sync()
        pushed["lzop"].append(runner.run(["/bin/sh", "-c", 'lzop -c "$1" >"$2"', "sh", segment, f"{archive}/lzop"]))
    return pushed


def wal_e_table(measured, data_bytes):
    restored, pushed = measured
    lines = [f"### WAL-E's archive: {data_bytes / MB:.0f} MB of data, {len(restored['seawall'])} rounds, warm", "",
             *head("backup-fetch", "wall s", "CPU s", "MB per CPU s", "MB per CPU s, seawall ÷ this")]
    own = median(of(restored["seawall"], "cpu"))
    for name, samples in restored.items():
        cpu = median(of(samples, "cpu"))
        lines.append(row(name, spread(of(samples, "wall"), 2), spread(of(samples, "cpu"), 2), f"{data_bytes / MB / cpu:.0f}",
                         ratio(cpu, own)))
    lines += ["", *head("wal-push of 16 MiB", "wall ms", "CPU ms", "wall ÷ seawall")]
    for name, samples in pushed.items():
        lines.append(row(name, *(spread([1e3 * value for value in of(samples, field)], 1) for field in ("wall", "cpu")),
                         ratio(median(of(samples, "wall")), median(of(pushed["seawall"], "wall")))))
    return [*lines, ""]
