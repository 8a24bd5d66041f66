"""Options, markers and fixtures; and how two pytest processes share one list of tests."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import ciphers  # noqa: E402
import s3_harness  # noqa: E402
import seawall_harness as harness  # noqa: E402
from doubles.s3 import S3Double  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--claims", help="directory where workers that run side by side claim the tests they take")
    parser.addoption("--counts", help="file for the names of the tests that passed and failed, as JSON")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: a sweep that only ./test --all runs")
    config.addinivalue_line("markers", "once: not repeated in builds with sanitizers (memory, other programs)")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored when a shell started us in the background
    config.seawall = {"collected": [], "passed": [], "failed": []}
    config.seawall_not_run = []


def pytest_generate_tests(metafunc):
    if "major" in metafunc.fixturenames:
        metafunc.parametrize("major", harness.MAJORS)


def claim(session, items):
    """The next test that no other worker has taken."""
    for item in items:
        if not session.config.option.claims:
            return item
        name = item.nodeid.replace("/", "_").replace("[", "(").replace("]", ")")[-200:]
        try:
            os.close(os.open(os.path.join(session.config.option.claims, name), os.O_CREAT | os.O_EXCL))
            return item
        except FileExistsError:
            continue
    return None


def pytest_runtestloop(session):
    session.config.seawall["collected"] = [item.nodeid for item in session.items]
    if session.testsfailed and not session.config.option.continue_on_collection_errors:
        raise session.Interrupted("errors while collecting")
    if session.config.option.collectonly:
        return True
    items = iter(session.items)
    item = claim(session, items)
    while item is not None:
        # The next one is claimed first: shared fixtures are torn down by looking at it.
        following = claim(session, items)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following
    return True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    outcome = item.config.seawall
    if report.failed or report.skipped:  # a skip is a test that did not run, and that is a failure here
        if item.nodeid not in outcome["failed"]:
            outcome["failed"].append(item.nodeid)
        if item.nodeid in outcome["passed"]:
            outcome["passed"].remove(item.nodeid)
    elif report.when == "call":
        outcome["passed"].append(item.nodeid)
    if report.when == "call" and item.config.option.claims:
        print(f"   {'ok' if report.passed else 'FAILED'} {item.nodeid.split('/')[-1]} ({report.duration:.1f} s)",
              file=sys.__stderr__, flush=True)


def pytest_collection_modifyitems(config, items):
    """Comparisons with WAL-G are neither passed nor failed when there is none: they are left out, and the summary says so."""
    if harness.WALG:
        return
    walg = [item for item in items if "walg" in item.fixturenames]
    config.seawall_not_run = [item.nodeid for item in walg]
    items[:] = [item for item in items if item not in walg]


def pytest_terminal_summary(terminalreporter, config):
    if config.seawall_not_run:
        terminalreporter.write_line(f"NOT RUN: {len(config.seawall_not_run)} comparisons with WAL-G: set WALG_BIN to a WAL-G "
                                    "built from its source")


def pytest_sessionfinish(session):
    if session.config.option.counts:
        pathlib.Path(session.config.option.counts).write_text(json.dumps(session.config.seawall), encoding="utf-8")


@pytest.fixture(scope="session")
def session_directory():
    path = pathlib.Path(tempfile.mkdtemp(prefix="it-"))
    path.chmod(0o755)
    yield path
    for removal in removals:
        removal.wait()
    shutil.rmtree(path, ignore_errors=True)


removals = []


@pytest.fixture(scope="session")
def program(session_directory):
    """A copy of the program where the servers' user can run it; the clone may lie in root's home."""
    assert harness.PROGRAM.exists(), f"{harness.PROGRAM} is not built"
    copy = harness.mkdir(session_directory / "bin") / "seawall"
    shutil.copy(harness.PROGRAM, copy)
    copy.chmod(0o755)
    return copy


@pytest.fixture
def scratch(session_directory, program, request):
    path = harness.give(harness.mkdir(pathlib.Path(tempfile.mkdtemp(prefix="t", dir=session_directory))))
    made = harness.Scratch(path, program)
    try:
        yield made
    finally:
        try:
            made.end()
        finally:
            removals.append(subprocess.Popen(["rm", "-rf", path]))  # the next test need not wait for it


@pytest.fixture
def archive(scratch):
    return scratch.archive()


@pytest.fixture
def cluster(scratch, archive):
    """A running PostgreSQL 15 with 1 MiB segments that archives into `archive`."""
    made = scratch.cluster(archive)
    made.start()
    return made


@pytest.fixture(scope="session")
def walg(session_directory):
    copy = harness.mkdir(session_directory / "walg") / "wal-g"
    shutil.copy(harness.WALG, copy)
    copy.chmod(0o755)
    return copy


@pytest.fixture
def small_disk(scratch):
    """small_disk(MIB): a file system of that size. Only root may mount one."""
    assert os.getuid() == 0, "a file system of a chosen size needs root"
    mounted = []

    def make(mib):
        place = harness.mkdir(scratch.path / f"disk{len(mounted)}")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0755", "tmpfs", place], check=True)
        mounted.append(place)
        return harness.give(place)
    yield make
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=False)


def real_server(name):
    @pytest.fixture(scope="session", name=name)
    def running(session_directory):
        directory = session_directory / "s3"
        yield s3_harness.start_server(name, directory)
        s3_harness.stop_server(name, directory)
    return running


radosgw, radosgw18, swift = real_server("radosgw"), real_server("radosgw18"), real_server("swift")


@pytest.fixture(scope="session")
def certificates(session_directory):
    """Name → (certificate, key), each trusted by nobody but who is told to: localhost's, and one for another name."""
    directory = harness.mkdir(session_directory / "tls")
    return {"localhost": s3_harness.certificate(directory, "localhost"),
            "elsewhere": s3_harness.certificate(directory, "elsewhere", "DNS:elsewhere.example")}


@pytest.fixture
def double():
    """S3 over plain HTTP, empty, with faults on order."""
    made = S3Double()
    yield made
    made.close()


@pytest.fixture
def s3_archive(scratch, double):
    """An archive in the double; requests are few and waits are short."""
    return s3_harness.double_archive(scratch, double)


@pytest.fixture(scope="session")
def wal_files(session_directory, program):
    """wal_files(SCRATCH, ARCHIVE): the files of a stopped cluster that archived nothing, with its `finished` segments; made
    once and copied, since a test that needs no server should not wait for one."""
    made = harness.Scratch(harness.give(harness.mkdir(session_directory / "wal-files")), program)
    return s3_harness.wal_files_of(made)


@pytest.fixture(scope="session")
def keys(session_directory):
    """Keys that GnuPG made: RSA of 2048 and 4096 bits, Ed25519/Curve25519 with a passphrase."""
    made = ciphers.Keys(session_directory / "keys")
    yield made
    made.gpg.close()
