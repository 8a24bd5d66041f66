"""Archives that the real WAL-G wrote, and what it answered on them (tests/archives/README.md): unpacking and running."""
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import seawall_harness as harness

ARCHIVES = harness.ROOT / "tests/archives"
WALG = ARCHIVES / "walg"
FIRST_NAMES = {"without-files-metadata": "composer-nofilesmeta"}  # of the directory that the cluster lived in
CASES = sorted(path.name for path in WALG.iterdir() if path.is_dir())


@dataclasses.dataclass
class Line:
    """One command and what it must give."""
    case: str
    name: str
    code: int
    command: str
    settings: dict
    after: str = ""  # the deletion whose result this line looks at

    @property
    def id(self):
        return f"{self.case}/{self.name}"

    @property
    def word(self):
        return self.command.split()[0]


@dataclasses.dataclass
class Deviations:
    """tests/archives/deviations.txt: lines that differ, and words, flags and codecs that are not built yet."""
    lines: dict
    not_built: dict

    def left_out(self, line):
        """Why this line cannot be run yet; None if it can."""
        words = shlex.split(line.command)[:1] + [word for word in line.command.split() if word.startswith("--")]
        codec = line.settings.get("WALG_COMPRESSION_METHOD")
        for word in [*words, f"method {codec}"]:
            if word in self.not_built:
                return word
        return None


def deviations():
    found = Deviations({}, {})
    for text in (ARCHIVES / "deviations.txt").read_text().splitlines():
        if not text.strip() or text.startswith("#"):
            continue
        name, reason = (part.strip() for part in text.split(" : ", 1))
        if name.startswith("not built "):
            found.not_built[name.removeprefix("not built ")] = reason
        else:
            found.lines[name] = reason
    return found


def lines(case):
    expect = WALG / case / "expect"
    skip = expect / "not-repeatable.txt"
    skip = set(skip.read_text().split()) if skip.exists() else set()
    skip = {name for name in skip if not name.startswith("fetch-spec-")}  # this runner makes the specification they need
    deletion = ""
    for text in (expect / "commands.tsv").read_text().splitlines()[1:]:
        name, code, command = text.split("\t")
        if name in skip or "online" in name or name.startswith("foreign-") or command == "--version":
            continue
        settings = {}
        match = re.search(r"\s+\[env ([^\]]*)\]$", command)
        if match:
            command = command[:match.start()]
            settings = dict(pair.split("=", 1) for pair in match.group(1).split() if "=" in pair)
        if "--confirm" in command:
            deletion = command
        follows = name.startswith("delc-") and "--confirm" not in command
        yield Line(case, name, int(code), command, settings, deletion if follows else "")


def sums(top):
    """Relative path → sha256 of every regular file."""
    found = {}
    for directory, _, files in os.walk(top):
        for name in files:
            path = os.path.join(directory, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as opened:
                    found[os.path.relpath(path, top)] = hashlib.file_digest(opened, "sha256").hexdigest()
    return found


@functools.cache
def expected_sums(path):
    return {line.split("  ", 1)[1]: line.split("  ", 1)[0] for line in path.read_text().splitlines()}


def sums_of_line(line, kind="restored"):
    """The sums that a fetch must give, or None where only the exit code is known."""
    name = line.name.removeprefix("fetch-")
    for each in (name, name.replace("-rev", "-reverse")):
        path = WALG / line.case / "expect" / f"{each}.{kind}.sha256"
        if path.exists():
            return expected_sums(path)
    return None


def unpack(case, directory):
    """Puts the archive under `directory`, with the modification times that LATEST and the order of lists depend on."""
    subprocess.run(["tar", "-C", directory, "-xJf", WALG / case / "archive.tar.xz", "--no-same-owner"], check=True)
    for text in (WALG / case / "mtimes.txt").read_text().splitlines():
        moment, name = text.split(" ", 1)
        seconds, _, nanoseconds = moment.partition(".")
        moment = int(seconds) * 10**9 + int(nanoseconds.ljust(9, "0")[:9])
        os.utime(directory / "archive" / name, ns=(moment, moment))
    harness.give(directory / "archive", recursive=True)
    if (WALG / case / "keys").exists():
        harness.give(shutil.copytree(WALG / case / "keys", directory / "keys"), recursive=True)
    return directory / "archive"


def copy_archive(source, target):
    shutil.copytree(source, target, symlinks=True)
    harness.give(target, recursive=True)
    return target


def settings(case):
    found = {}
    for text in (WALG / case / "env").read_text().splitlines():
        if "=" in text and not text.startswith("#"):
            key, value = text.split("=", 1)
            found[key] = value.strip("'\"")
    return found


class CaseArchive(harness.Archive):
    """An unpacked case as an archive that commands run on."""

    def __init__(self, scratch, case, source, copy=True):
        super().__init__(scratch, name="empty")
        self.root = copy_archive(source, scratch.path / "archive") if copy else source
        self.case = case
        self.keys_directory = source.parent / "keys"
        found = {key: value.replace("./keys", str(self.keys_directory)) for key, value in settings(case).items()}
        self.settings = {**found, "WALG_FILE_PREFIX": str(self.root)}


WITH_TABLESPACES = ("tablespaces", "remote-base-backup")


def remembered(case):
    """Where the archive says that its cluster lived."""
    return f"/var/lib/postgresql/{FIRST_NAMES.get(case, case)}"


def move(archive, place):
    """The recorded places belong to no test: the same sentinels, with `place` as the directory around the cluster."""
    for path in archive.root.glob("basebackups_005/*_sentinel.json"):
        times = path.stat()
        write(path, path.read_text().replace(remembered(archive.case), str(place)))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


READING = ("backup-list", "wal-fetch", "backup-fetch", "wal-show", "wal-verify", "delete")


def in_any_order(line, text):
    """WAL-G prints the checks of wal-verify in random order."""
    if line.word != "wal-verify":
        return text
    if "--json" in line.command:
        return json.dumps(json.loads(text), sort_keys=True)
    return sorted(text.splitlines())


class LineRun:
    """Runs one line in the directory of one test and says in what it differs."""

    def __init__(self, scratch, line, source):
        self.scratch, self.line = scratch, line
        self.case_directory = harness.give(harness.mkdir(scratch.path / "case"))
        # Commands that only read share one copy, which is compared afterwards.
        self.reads = not line.after and "--confirm" not in line.command and (line.word in READING or line.command.startswith("st ls"))
        self.changed = line.case in WITH_TABLESPACES and line.word == "backup-fetch"
        self.archive = CaseArchive(scratch, line.case, source, copy=self.changed or not self.reads)
        self.work = harness.give(harness.mkdir(scratch.path / "work"))
        self.restore = harness.give(harness.mkdir(scratch.path / "restore"))
        self.data = self.case_directory / "data"

    def places(self):
        return [("@RESTORE@", self.restore), ("@DATA@", self.data), ("@WORK@", self.work), ("@CASE@", self.case_directory),
                ("@ARCHIVE@", self.archive.root), ("@KEYS@", self.archive.keys_directory)]

    def real(self, text):
        for tag, path in self.places():
            text = text.replace(tag, str(path))
        return text

    def tagged(self, text):
        for tag, path in self.places():
            text = text.replace(str(path), tag)
        place = remembered(self.line.case)
        return text.replace(f"{place}/data", "@DATA@").replace(place, "@CASE@")

    def prepare(self):
        """Files that the commands were given when they were recorded."""
        if self.changed:
            # The specification is that of the case "tablespaces".
            spec = WALG / "tablespaces/expect/spec-moved.json"
            harness.give(write(self.case_directory / "spec.json", self.real(spec.read_text())))
            harness.give(write(self.case_directory / "bad.json", '{"tablespaces": ["1"]}'))
            move(self.archive, self.case_directory)
        if self.line.name == "fetch-notempty":
            harness.give(write(harness.give(harness.mkdir(self.restore / "latest")) / "PG_VERSION", "15\n"))
        if self.line.name == "fetch-dest-exists":
            harness.give(write(self.work / "out1", "there already"))
        if self.line.name.startswith("st-"):
            self.prepare_objects()
        if self.line.word == "copy":
            self.prepare_copy()

    def prepare_objects(self):
        """What the lines before this one had left."""
        hello = harness.give(write(self.work / "hello.txt", "hello\n"))
        if self.line.name.split("-")[1] in ("get", "stat", "cat", "rm") or self.line.name == "st-put-again":
            self.archive.ok("st", "put", hello, "dir/hello.txt")
            self.archive.ok("st", "put", hello, "dir/plain.txt", "--no-compress", "--no-encrypt")
        if self.line.name == "st-rm-missing":
            self.archive.ok("st", "rm", "dir/plain.txt")
        if self.line.name == "st-get-exists":
            harness.give(write(self.work / "got.txt", "hello\n"))

    def prepare_copy(self):
        """The settings files, and how source and destination stood."""
        for name, root in (("from", self.archive.root), ("to", self.case_directory / "copydst")):
            harness.give(write(self.case_directory / f"{name}.json", json.dumps({"WALG_FILE_PREFIX": str(root)})))
        harness.give(harness.mkdir(self.case_directory / "copydst"))
        if self.line.name == "copy-all-conflict":
            self.archive.ok(*self.arguments())
            with open(self.case_directory / "copydst/wal_005/000000010000000000000002.00000028.backup.lz4", "ab") as longer:
                longer.write(b"xx")
        if self.line.name.startswith("copy-gap"):
            (self.archive.root / "wal_005/000000010000000000000004.lz4").unlink()

    def arguments(self):
        head, flag, value = self.line.command.partition("--target-user-data")
        words = self.real(head).split()
        if flag:
            words += [flag + value] if value.startswith("=") else [flag, value.strip()]
        return words

    def run(self):
        self.prepare()
        if self.line.after:
            self.archive.run(*self.real(self.line.after).split(), cwd=self.work)  # which may be refused
        before = self.archive.stamps() if self.reads else None
        settings = {key: self.real(value) for key, value in self.line.settings.items()}
        result = self.archive.run(*self.arguments(), cwd=self.work, **settings)
        wrong = []
        if result.code != self.line.code:
            wrong.append(f"exit {result.code}, expected {self.line.code}")
        path = WALG / self.line.case / "expect" / f"{self.line.name}.out"
        want = path.read_text() if path.exists() else ""
        if self.line.code == 0 and in_any_order(self.line, self.tagged(result.out)) != in_any_order(self.line, want):
            wrong.append(f"stdout:\n{self.tagged(result.out)}\nexpected:\n{want}")
        if self.line.word == "backup-fetch" and self.line.code == 0:
            wrong += self.compare_trees()
        if self.line.word == "wal-fetch" and self.line.code == 0 and result.code == 0:
            wrong += self.compare_segment()
        remaining = WALG / self.line.case / "expect" / f"{self.line.name}.remaining"
        if remaining.exists():
            want = sorted(name.removeprefix("./") for name in remaining.read_text().split())
            if (have := self.archive.keys("")) != [name.removeprefix("archive/") for name in want]:
                wrong.append(f"objects left: too many {sorted(set(have) - set(want))}, missing {sorted(set(want) - set(have))}")
        if before is not None and before != self.archive.stamps():
            wrong.append("a command that only reads changed the archive")
        return [*wrong, str(result)] if wrong else []

    def compare_trees(self):
        wrong = []
        for kind, top in (("restored", pathlib.Path(self.arguments()[1])), ("tablespaces", self.case_directory)):
            want = sums_of_line(self.line, kind)
            if want is None:
                continue
            have = sums(top)
            if kind == "tablespaces":
                have = {name: value for name, value in have.items() if name.startswith(("ts_", "moved/"))}
            differ = sorted(name for name in set(have) | set(want) if have.get(name) != want.get(name))
            if differ:
                wrong.append(f"{kind}: {len(differ)} of {len(want)} files differ: {differ[:5]}")
        return wrong

    def compare_segment(self):
        path = WALG / self.line.case / "expect" / f"{self.line.name}.sha256"
        if not path.exists():
            return []
        have = hashlib.sha256(pathlib.Path(self.arguments()[2]).read_bytes()).hexdigest()
        return [] if have == path.read_text().split()[0] else ["the segment's content differs"]


def write(path, text):
    path.write_text(text)
    return path
