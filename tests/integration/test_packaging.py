"""The package, the units and the container's scripts, run from private directories."""
import gzip
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest
from bare_debian import BareDebian, release_package
from seawall_harness import PROGRAM, ROOT, mkdir

PACKAGING = ROOT / "packaging"


def run(*argv, check=True, **rest):
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False, **rest)
    if check:
        assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    out = tmp_path_factory.mktemp("deb")
    return pathlib.Path(run(PACKAGING / "deb/build", PROGRAM, out).stdout.strip())


@pytest.fixture(scope="module")
def unpacked(package):
    root = package.parent / "root"
    run("dpkg-deb", "-x", package, root)
    return root


@pytest.mark.once
def test_lintian_finds_no_error(package):
    done = run("lintian", "--fail-on", "error", "--tag-display-limit", "0", "--allow-root", package, check=False)
    assert done.returncode == 0 and not re.search(r"^[EW]:", done.stdout, re.MULTILINE), done.stdout + done.stderr


@pytest.mark.once
def test_what_is_in_the_package_works(unpacked):
    program = unpacked / "usr/bin/seawall"
    version = run(program, "--version").stdout
    assert re.search(r"\d+\.\d+\.\d+", version)
    commands = run(program, "docs", "commands").stdout.split()
    assert {"wal-push", "backup-push", "dump", "dump-restore"} <= set(commands)
    pages = {path.name for path in (unpacked / "usr/share/man").rglob("*.gz")}
    assert pages == {"seawall.1.gz", "seawall-settings.7.gz", "seawall-exit-codes.7.gz",
                     *(f"seawall-{command}.1.gz" for command in commands)}
    for path in (unpacked / "usr/share/man").rglob("*.gz"):
        source = gzip.decompress(path.read_bytes()).decode()
        assert source.startswith(".TH ") and ".SH NAME" in source, path
        prose = re.sub(r"^\.nf$.*?^\.fi$", "", source, flags=re.MULTILINE | re.DOTALL)  # examples show what they like
        assert "```" not in source and "\n|" not in prose, f"{path}: Markdown is left"
    page = gzip.decompress((unpacked / "usr/share/man/man1/seawall-dump.1.gz").read_bytes()).decode()
    assert "seawall\\-dump" in page or "seawall-dump \\-" in page
    assert "\\-\\-no\\-rotation" in page and ".SH \"ROTATION\"" in page

    completions = unpacked / "usr/share/bash-completion/completions/seawall"
    offered = run("bash", "-c", f". {completions}; complete -p seawall").stdout
    assert "seawall" in offered
    for path in ("usr/share/zsh/vendor-completions/_seawall", "usr/share/fish/vendor_completions.d/seawall.fish"):
        assert "backup-push" in (unpacked / path).read_text()


@pytest.mark.once
def test_the_package_says_what_it_needs_and_what_it_holds(package, unpacked):
    fields = {name: run("dpkg-deb", "-f", package, name).stdout.strip() for name in ("Package", "Depends", "Architecture")}
    assert fields["Package"] == "seawall"
    assert {"libc6", "libfmt9", "libpq5", "libstdc++6"} <= {word.split()[0] for word in fields["Depends"].split(", ")}
    control = package.parent / "control"
    run("dpkg-deb", "-e", package, control)
    listed = dict(reversed(line.split("  ", 1)) for line in (control / "md5sums").read_text().splitlines())
    files = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert set(listed) == files
    assert all(hashlib.md5((unpacked / name).read_bytes()).hexdigest() == digest for name, digest in listed.items())
    again = package.parent / "again"
    other = run(PACKAGING / "deb/build", PROGRAM, again).stdout.strip()
    assert pathlib.Path(other).read_bytes() == package.read_bytes(), "the same program gives the same package"


@pytest.mark.once
def test_alternatives_give_the_names_and_leave_real_programs_alone(tmp_path, unpacked, package):
    """The package's own scripts, with the system's update-alternatives working in a private directory."""
    control = tmp_path / "control"
    run("dpkg-deb", "-e", package, control)
    root = tmp_path / "root"
    shutil.copytree(unpacked, root)
    for directory in ("etc/alternatives", "admin", "usr/bin"):
        mkdir(root / directory)
    (root / "usr/bin/wal-g").write_text("the real one")
    tools = mkdir(tmp_path / "bin")
    # Paths of the scripts are those of an installed system; here they are below `root`.
    (tools / "update-alternatives").write_text(f"""#!/bin/sh
for word; do
  shift
  case "$word" in /*) word={root}$word ;; esac
  set -- "$@" "$word"
done
exec /usr/bin/update-alternatives --altdir {root}/etc/alternatives --admindir {root}/admin --log /dev/null "$@"
""")
    for name in ("getent", "systemctl"):
        (tools / name).write_text("#!/bin/sh\nexit 2\n")
    for path in tools.iterdir():
        path.chmod(0o755)
    env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    told = run(control / "postinst", "configure", env=env)
    assert "wal-g" in told.stdout + told.stderr
    assert (root / "usr/bin/wal-g").read_text() == "the real one"
    assert (root / "usr/bin/wal-e").resolve() == root / "usr/bin/seawall"
    run(control / "postinst", "configure", env=env)  # an upgrade
    (root / "usr/bin/wal-g").rename(root / "usr/bin/wal-g.before")  # docs/moving-from-wal-g.md
    run("update-alternatives", "--auto", "wal-g", env=env)
    assert (root / "usr/bin/wal-g").resolve() == root / "usr/bin/seawall"
    run(control / "prerm", "remove", env=env)
    assert not any((root / "usr/bin" / name).is_symlink() for name in ("wal-e", "wal-g"))
    assert (root / "usr/bin/wal-g.before").read_text() == "the real one"


@pytest.mark.long
@pytest.mark.once
def test_it_installs_on_a_bare_debian(package, tmp_path):
    """A Debian 12 of nothing but its essential packages, and the package of a release build."""
    _, built = release_package(mkdir(tmp_path / "out"))
    lintian = run("lintian", "--fail-on", "error", "--allow-root", built, check=False)
    assert lintian.returncode == 0 and not re.search(r"^E:", lintian.stdout, re.MULTILINE), lintian.stdout + lintian.stderr
    bare = BareDebian(tmp_path / "bare", "man-db", "bash-completion")
    shutil.copy(built, bare.root / "tmp/seawall.deb")
    bare.run("rm -f /etc/dpkg/dpkg.cfg.d/*; apt-get install --no-install-recommends /tmp/seawall.deb")
    assert bare.out("wal-g --version") == bare.out("seawall --version").replace("seawall", "wal-g")
    assert bare.out("wal-e version") == "1.1.1\n"
    assert "backup-push" in bare.out("seawall --help")
    assert "Take a base backup" in bare.out("man seawall-backup-push | cat") and "SEAWALL" in bare.out("man wal-e | cat")
    completed = bare.out(". /usr/share/bash-completion/bash_completion; _completion_loader seawall || :; COMP_WORDS=(seawall backup-l); "
                         "COMP_CWORD=1; COMP_LINE='seawall backup-l'; COMP_POINT=16; $(complete -p seawall | sed 's/.*-F //; s/ .*//') seawall; "
                         "printf '%s\\n' \"${COMPREPLY[@]}\"")
    assert completed.split() == ["backup-list"]
    bare.run("apt-get purge seawall")
    assert not (bare.root / "usr/bin/wal-e").is_symlink() and not (bare.root / "usr/bin/seawall").exists()


@pytest.mark.once
def test_units_are_in_order(tmp_path):
    """As systemd itself reads them; only the program's path is this build's."""
    names = sorted(path.name for path in (PACKAGING / "systemd").iterdir() if path.suffix in (".service", ".timer"))
    assert {"seawall-schedule@.service", "seawall-backup@.timer", "seawall-expire@.timer", "seawall-verify@.timer", "seawall-dump@.timer"} <= set(names)
    for name in names:
        text = (PACKAGING / "systemd" / name).read_text()
        (tmp_path / name).write_text(text.replace("/usr/bin/seawall", str(PROGRAM.resolve())))
        if name.endswith(".timer"):
            assert name.replace(".timer", ".service") in names
    for name in names:
        instance = tmp_path / name.replace("@.", "@15-main.")
        instance.symlink_to(name)
        done = run("systemd-analyze", "verify", "--man=no", instance, check=False)
        told = [line for line in (done.stdout + done.stderr).splitlines() if "seawall" in line]
        assert done.returncode == 0 and not told, done.stdout + done.stderr
        instance.unlink()
    for name in (name for name in names if name.endswith(".service")):
        shown = run("systemd-analyze", "security", "--offline=true", tmp_path / name, check=False).stdout
        score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", shown)
        assert score and float(score.group(1)) < 2.0, shown[-300:]


@pytest.fixture
def container(tmp_path):
    """run(words, settings) of the entrypoint with a seawall that tells how it was called."""
    tools = mkdir(tmp_path / "bin")
    (tools / "seawall").write_text(f"""#!/bin/sh
printf '%s\\n' "$@" >{tmp_path}/words
env >{tmp_path}/environment
echo $$ >{tmp_path}/pid
[ "${{1:-}}" != schedule ] || [ -z "${{WAIT:-}}" ] || exec sleep 60
""")
    shutil.copy(PACKAGING / "container/restore", tools)
    (tools / "check_backup").symlink_to("seawall")
    (tools / "seawall").chmod(0o755)
    home = mkdir(tmp_path / "home")

    class Container:
        path = tmp_path

        def environment(self, **more):
            return {"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(home), "SEAWALL_PGPASS_SECRET": str(tmp_path / "secret"), **more}

        def run(self, *words, check=True, **more):
            return run(PACKAGING / "container/entrypoint", *words, env=self.environment(**more), check=check)

        def words(self):
            return (tmp_path / "words").read_text().splitlines()

        def seen(self):
            return dict(line.split("=", 1) for line in (tmp_path / "environment").read_text().splitlines() if "=" in line)
    return Container()


def test_the_container_runs_the_scheduler_and_named_commands(container):
    container.run(PGHOST="db", PGUSER="postgres", PGPASSWORD="secret", BACKUP_SCHEDULE="@daily")
    assert container.words() == ["schedule"]
    seen = container.seen()
    assert (seen["PGDATA"], seen["PGHOST"], seen["PGPASSWORD"], seen["BACKUP_SCHEDULE"]) == ("/pgdata", "db", "secret", "@daily")
    assert "PGPASSFILE" not in seen and "SEAWALL_SCHEDULE_JOBS" not in seen
    (container.path / "ofelia.conf").write_text("[job-local \"x\"]\n")
    container.run(BACKUP_SCHEDULE="@daily", SEAWALL_OFELIA_CONF=str(container.path / "ofelia.conf"))
    assert container.seen()["SEAWALL_SCHEDULE_JOBS"] == str(container.path / "ofelia.conf")
    container.run("seawall", "backup-list", "--detail", PGDATA="/elsewhere")
    assert container.words() == ["backup-list", "--detail"] and container.seen()["PGDATA"] == "/elsewhere"
    container.run("check_backup")
    assert container.run("sh", "-c", "exit 7", check=False).returncode == 7


def test_the_container_takes_the_password_from_the_secret(container):
    (container.path / "secret").write_text("db:5432:*:postgres:p:w\n")
    (container.path / "secret").chmod(0o444)
    for _ in range(2):  # also when the container is started again
        container.run()
        file = pathlib.Path(container.seen()["PGPASSFILE"])
        assert file.read_text() == "db:5432:*:postgres:p:w\n" and file.stat().st_mode & 0o777 == 0o600


def test_the_container_restores_by_name(container):
    container.run("restore", "LATEST")
    assert container.words() == ["restore", "LATEST", "/pgdata"]
    container.run("restore", "base_000000010000000000000003", "--target-time", "2026-11-21 09:00:00", PGDATA="/data")
    assert container.words() == ["restore", "base_000000010000000000000003", "/data", "--target-time", "2026-11-21 09:00:00"]
    (container.path / "words").unlink()
    for words in ((), ("--help",)):
        refused = container.run("restore", *words, check=False)
        assert refused.returncode == 1 and "NAME|LATEST" in refused.stderr
    assert not (container.path / "words").exists()


def test_the_scheduler_gets_the_containers_signal_itself(container):
    running = subprocess.Popen([PACKAGING / "container/entrypoint"], env=container.environment(WAIT="1"))
    while not (container.path / "pid").exists() or not (container.path / "pid").read_text():
        assert running.poll() is None
    assert int((container.path / "pid").read_text()) == running.pid, "no shell stays in between"
    running.send_signal(signal.SIGTERM)
    assert running.wait(30) == -signal.SIGTERM


def test_the_dockerfile_holds_together():
    """Instructions that exist, files that are there, and the habits that linters ask for."""
    text = (PACKAGING / "container/Dockerfile").read_text()
    joined = re.sub(r"\\\n\s*", "", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    instructions = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    known = {"FROM", "COPY", "RUN", "ENV", "VOLUME", "HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    assert {word for word, _ in instructions} <= known
    assert instructions[0] == ["FROM", "debian:bookworm-slim"]
    for word, rest in instructions:
        if word == "COPY":
            *sources, _ = [part for part in rest.split() if not part.startswith("--")]
            for source in sources:
                assert source == "seawall_*.deb" or os.access(PACKAGING / "container" / source, os.X_OK), source
        if word == "RUN" and "apt-get" in rest:
            assert "--no-install-recommends" in rest and "rm -rf" in rest and "/var/lib/apt/lists/*" in rest and " -y " in rest
        if word in ("ENTRYPOINT", "HEALTHCHECK"):
            assert re.search(r'\["[^\]]*"\]$', rest), f"{word} goes without a shell"
        if word == "RUN":
            run("sh", "-n", "-c", rest)
    assert sum(word == "ENTRYPOINT" for word, _ in instructions) == 1


def test_scripts_are_posix():
    for script in ("container/entrypoint", "container/restore", "deb/build", "deb/postinst", "deb/prerm"):
        run("shellcheck", "--severity=warning", "--shell=sh", PACKAGING / script)
