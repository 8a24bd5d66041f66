"""The matrix in docs/compatibility.md names tests that exist, for what they really try."""
import re

import golden
import pytest
import seawall_harness as harness
import test_encodings
import test_foreign_tools

PAGE = (harness.ROOT / "docs/compatibility.md").read_text()
TABLE = PAGE.partition("<!-- matrix")[2].partition("<!-- end of matrix")[0]
LETTERS = dict(re.findall(r"^\* ([A-Z]) `([^`]+)`", PAGE, re.M))
CIPHERS = ("plain", "libsodium", "openpgp")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines() if re.match(r"\| (WAL|full|delta|remote) ", line)]
# What WAL-G's archives under tests/archives/walg are encoded with.
RECORDED = {("lz4", "plain"), ("zstd", "plain"), ("brotli", "plain"), ("lzma", "plain"), ("none", "plain"), ("lz4", "openpgp"),
            ("zstd", "libsodium")}


def cells():
    for kind, codecs, *directions in ROWS:
        for codec in codecs.split(", "):
            for number, cell in enumerate(directions):
                yield kind, codec, CIPHERS[number // 2], ("read", "written")[number % 2], re.findall(r"[A-Z]\b", cell), cell


@pytest.mark.parametrize("letter", LETTERS)
def test_a_named_test_exists(letter):
    file, _, name = LETTERS[letter].partition("::")
    text = (harness.ROOT / file).read_text()
    if file.endswith(".py"):
        assert re.search(rf"^def {name}\(", text, re.M)
    else:
        suite, _, case = name.partition(".")
        assert re.search(rf"^TEST(_F)?\({suite}, {case}\)", text, re.M)


def parameters(test):
    return {tuple(each.values) for mark in test.pytestmark if mark.name == "parametrize" and mark.args[0] == "codec,cipher"
            for each in mark.args[1]}


def test_every_cell_is_tried_by_what_it_names():
    tried = {"R": parameters(test_encodings.test_full_backup_recovers),
             "V": parameters(test_encodings.test_walg_recovers_what_seawall_wrote),
             "C": parameters(test_encodings.test_seawall_recovers_a_chain_that_walg_wrote),
             "Q": parameters(test_encodings.test_remote_backup_recovers),
             "P": parameters(test_encodings.test_remote_backups_of_the_other_recover),
             "D": {tuple(path.name.split("-")) for path in (harness.ROOT / "tests/archives/encodings").iterdir()},
             "F": {(codec, cipher) for codec in test_foreign_tools.CODECS for cipher in CIPHERS}}
    tried["D"] = {(codec, "plain" if cipher == "none" else cipher) for codec, cipher in tried["D"]}
    tried |= {letter: RECORDED for letter in "GSN"}
    assert len(ROWS) == 24
    for kind, codec, cipher, direction, letters, cell in cells():
        assert letters or cell in ("–", "not yet"), (kind, codec, cipher, direction)
        for letter in letters:
            assert letter in LETTERS, f"{letter} is explained nowhere"
            assert (codec, cipher) in tried.get(letter, {(codec, cipher)}), f"{letter} does not try {kind} {codec} {cipher}"


def test_what_is_recorded_is_what_the_archives_are():
    found = set()
    for case in golden.CASES:
        settings = golden.settings(case)
        cipher = "libsodium" if "WALG_LIBSODIUM_KEY" in settings else "openpgp" if "WALG_PGP_KEY_PATH" in settings else "plain"
        found.add((settings.get("WALG_COMPRESSION_METHOD", "lz4"), cipher))
    assert found == RECORDED
