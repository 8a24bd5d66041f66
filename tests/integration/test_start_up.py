"""wal-push runs for every segment: what it loads is counted, for each library costs a part of a millisecond."""
import os
import re
import subprocess


ALLOWED = {"linux-vdso", "ld-linux-x86-64", "libc", "libm", "libgcc_s", "libstdc++", "libfmt"}
SANITIZERS = {"libasan", "libubsan", "libtsan", "libdl", "libpthread", "librt"}


def libraries(text):
    return {os.path.basename(name).split(".so")[0] for name in re.findall(r"^\s*(\S+\.so\S*)", text, re.MULTILINE)}


def test_the_program_links_what_every_command_needs_and_no_more():
    linked = libraries(subprocess.run(["ldd", os.environ["SEAWALL_BIN"]], check=True, capture_output=True, text=True).stdout)
    assert linked - SANITIZERS == ALLOWED, sorted(linked)


def test_wal_push_loads_nothing_more(scratch, archive):
    """libpq with its two dozen libraries is loaded by the first session only."""
    result = subprocess.run([os.environ["SEAWALL_BIN"], "wal-push", "/nonexistent/000000010000000000000001"],
                            env={**os.environ, "WALG_FILE_PREFIX": str(scratch.path), "LD_DEBUG": "files",
                                 "LD_DEBUG_OUTPUT": str(scratch.path / "loaded")}, capture_output=True, text=True)
    assert result.returncode == 1, result
    logs = list(scratch.path.glob("loaded.*"))
    assert logs, "the loader wrote what it loaded"
    opened = {os.path.basename(name).split(".so")[0] for log in logs
              for name in re.findall(r"calling init: (\S+)", log.read_text())}
    assert "libstdc++" in opened
    assert not {name for name in opened if name.startswith(("libpq", "libssl", "libcrypto", "libcurl", "libldap"))}, opened
