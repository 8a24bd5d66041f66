"""Samples to Markdown tables. A ratio is the other tool's figure divided by seawall's: above 1 seawall needs less."""
from measure import median

MB = 1e6
PEERS = ("WAL-G", "pgBackRest")
RATIOS = {"wall": "wall", "CPU": "cpu", "stored": "stored"}
# Which of seawall's ways of taking a backup does the same work as the peer's.
SAME_WORK = {"WAL-G": "", "pgBackRest": "verifying"}


def row(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def head(*cells):
    return [row(*cells), row(*(["---"] + ["---:"] * (len(cells) - 1)))]


def spread(values, digits):
    """Median (least–greatest)."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def of(samples, field):
    return [getattr(sample, field) for sample in samples]


def ratio(other, own):
    return f"{other / own:.2f}" if own else "–"


def place(key):
    verb, state, tool, variant = key
    return verb != "backup-push", state, ("seawall", *PEERS).index(tool), variant


def backup_table(samples, data_bytes):
    serving = any(sample.server for runs in samples.values() for sample in runs)
    lines = [f"### Base backups: {data_bytes / MB:.0f} MB of data, {len(next(iter(samples.values())))} rounds", "",
             *head("", "wall s", "CPU s", "MB per CPU s", "stored MB", "largest process MB", "sync afterwards s",
                   *(["server's CPU s"] if serving else []))]
    for key in sorted(samples, key=place):
        (verb, state, tool, variant), all_runs = key, samples[key]
        stored = median(of(all_runs, "stored"))
        cpu = median(of(all_runs, "cpu"))
        name = f"{verb}, {state}: {tool}" + (f", {variant}" if variant else "")
        lines.append(row(name, spread(of(all_runs, "wall"), 2), spread(of(all_runs, "cpu"), 2),
                         f"{data_bytes / MB / cpu:.0f}", f"{stored / MB:.0f}" if stored else "",
                         f"{median(of(all_runs, 'rss')) / MB:.0f}", f"{median(of(all_runs, 'sync')):.2f}",
                         *([f"{median(of(all_runs, 'server')):.2f}"] if serving else [])))
    lines += ["", *head("÷ seawall", *(f"{peer} {what}" for peer in PEERS for what in RATIOS))]
    for verb, state in dict.fromkeys(key[:2] for key in sorted(samples, key=place)):
        cells = []
        for peer in PEERS:
            push = verb == "backup-push"
            variant = SAME_WORK[peer] if push else ""
            other, own = samples.get((verb, state, peer, variant)), samples[verb, state, "seawall", variant]
            if other is None:
                cells += ["–"] * len(RATIOS)
                continue
            cells += [ratio(median(of(other, field)), median(of(own, field))) for field in RATIOS.values()]
        lines.append(row(f"{verb}, {state}", *cells))
    return [*lines, ""]


def limits_table(limits, samples, data_bytes):
    names = {"read-cold": "read the data files, cold", "read-warm": "read the data files, warm",
             "lz4-encode": "lz4, compress blocks of 64 KiB", "lz4-decode": "lz4, decompress them",
             "xxh32": "XXH32, the frame's checksum", "xxh3-128": "XXH3 with 128 bits",
             "write-buffered": "write one file, page cache and fsync",
             "write-direct": "write one file, O_DIRECT and fsync"}
    lines = ["### Limits of the machine, one thread", "", *head("", "MB/s", "MB per CPU s")]
    for name, text in names.items():
        if name in limits:
            one = limits[name]
            lines.append(row(text, f"{one['bytes'] / MB / one['wall']:.0f}", f"{one['bytes'] / MB / one['cpu']:.0f}"))
    encode = limits["lz4-encode"]
    share = encode["stored"] / encode["bytes"]  # of a byte of data that is stored

    def cost(name):  # CPU seconds for a byte
        return limits[name]["cpu"] / limits[name]["bytes"]

    write = min(cost("write-buffered"), cost("write-direct"))
    lines += ["", f"Compression of these data by lz4 in such blocks: {1 / share:.2f} to 1.", "",
              *head("CPU s", "read", "lz4", "write", "sum", "seawall", "seawall ÷ sum")]
    for state in ("cold", "warm"):
        read = cost(f"read-{state}") if f"read-{state}" in limits else None
        if read is None:
            continue
        for verb, work in (("backup-push", (read, cost("lz4-encode"), write * share)),
                           ("backup-fetch", (read * share, cost("lz4-decode"), write))):
            parts = [part * data_bytes for part in work]
            own = median(of(samples[(verb, state, "seawall", "")], "cpu"))
            lines.append(row(f"{verb}, {state}", *(f"{part:.2f}" for part in parts), f"{sum(parts):.2f}", f"{own:.2f}",
                             f"{own / sum(parts):.2f}"))
    return [*lines, ""]


def wal_table(samples):
    tools = list(dict.fromkeys(tool for _, tool in samples))
    count = len(next(iter(samples.values())))
    lines = [f"### WAL: one segment of 16 MiB, median of {count}", "",
             *head("wall ms", *tools, *(f"{tool} ÷ seawall" for tool in tools[1:]))]
    for unit, field, digits in (("wall ms", "wall", 1), ("CPU ms", "cpu", 1)):
        if field == "cpu":
            lines += ["", *head(unit, *tools, *(f"{tool} ÷ seawall" for tool in tools[1:]))]
        for what in dict.fromkeys(what for what, _ in samples):
            times = {tool: [1e3 * value for value in of(samples[what, tool], field)] for tool in tools}
            lines.append(row(what, *(spread(times[tool], digits) for tool in tools),
                             *(ratio(median(times[tool]), median(times["seawall"])) for tool in tools[1:])))
    return [*lines, ""]


def replay_table(rates, recoveries):
    copying = median(of(recoveries["cp"], "wall"))
    lines = ["### A backlog of WAL drained by a server's archiver, and a recovery through restore_command", "",
             *head("", "segments/s drained", "seawall ÷ it", "recovery wall s", "÷ cp", "recovery CPU s, with the server's")]
    for name, runs in recoveries.items():
        drained = rates.get(name)
        lines.append(row(name, spread(drained, 1) if drained else "",
                         f"{median(rates['seawall']) / median(drained):.2f}" if drained else "",
                         spread(of(runs, "wall"), 2), f"{median(of(runs, 'wall')) / copying:.2f}",
                         f"{median(of(runs, 'cpu')):.2f}"))
    return [*lines, ""]


def distance_table(samples):
    lines = ["### seawall and a far server that fails: 30 ms of round trip, 1 % of requests reset", "",
             *head("wall s", "near", "far", "far's share of near's throughput")]
    for verb in dict.fromkeys(verb for verb, _ in samples):
        near, far = of(samples[verb, "near"], "wall"), of(samples[verb, "far"], "wall")
        lines.append(row(verb, spread(near, 2), spread(far, 2), f"{100 * median(near) / median(far):.0f} %"))
    return [*lines, ""]


def start_table(samples):
    count = len(next(iter(samples.values())))
    lines = [f"### Start: `--version`, median of {count}", "", *head("", "wall ms", "CPU ms")]
    for name, all_runs in samples.items():
        cells = (spread([1e3 * value for value in of(all_runs, field)], 1) for field in ("wall", "cpu"))
        lines.append(row(name, *cells))
    return [*lines, ""]
