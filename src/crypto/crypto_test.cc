#include "crypto/crypto.hh"

#include "crypto/key_text.hh"
#include "crypto/secret.hh"
#include "crypto/test_support.hh"
#include "support/temp_dir.hh"

namespace seawall::crypto {
namespace {

/// What the kernel says of the mapping that begins at `address`.
std::string mapping_of(const void* address) {
  std::ifstream file("/proc/self/smaps");
  const std::string begin = fmt::format("{:x}-", reinterpret_cast<std::uintptr_t>(address));
  std::string line, text;
  bool found = false;
  while (std::getline(file, line)) {
    const bool header =
        !line.empty() && std::isxdigit(static_cast<unsigned char>(line[0])) != 0 && line.find('-') < line.find(' ');
    if (header) {
      if (found) break;
      found = line.starts_with(begin);
    }
    if (found) text += line + "\n";
  }
  return text;
}

TEST(SecretBytes, AreLockedAndKeptOutOfCoreDumps) {
  SecretBytes secret(12288);
  secret.data()[0] = std::byte{1};
  const std::string mapping = mapping_of(secret.data());
  const std::size_t flags = mapping.find("VmFlags:");
  ASSERT_NE(flags, std::string::npos);
  EXPECT_NE(mapping.find(" dd", flags), std::string::npos) << mapping;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // under which mlock does nothing
  EXPECT_NE(mapping.find(" lo", flags), std::string::npos) << mapping << "(is RLIMIT_MEMLOCK 0 here?)";
#endif
}

TEST(SecretBytes, GiveTheirPagesBackAndWipeWhatIsCutOff) {
  SecretBytes secret(8192);
  std::memset(secret.data(), 'x', secret.size());
  const std::byte* const address = secret.data();
  secret.shrink(10);
  EXPECT_EQ(secret.size(), 10U);
  EXPECT_EQ(address[9], std::byte{'x'});
  EXPECT_EQ(address[10], std::byte{0});
  EXPECT_EQ(address[4095], std::byte{0});
  SecretBytes other = std::move(secret);
  EXPECT_EQ(other.data(), address);
  EXPECT_TRUE(secret.empty());  // NOLINT(bugprone-use-after-move): this is what is tested
  other = SecretBytes();
  EXPECT_EQ(mapping_of(address), "");
}

TEST(SecretBytes, CompareByContent) {
  EXPECT_TRUE(equal_secretly(bytes_of("abc"), bytes_of("abc")));
  EXPECT_FALSE(equal_secretly(bytes_of("abc"), bytes_of("abd")));
  EXPECT_FALSE(equal_secretly(bytes_of("abc"), bytes_of("ab")));
  EXPECT_TRUE(equal_secretly({}, {}));
}

std::optional<std::string> base64(std::string_view text) {
  const auto out = decode_base64(bytes_of(text));
  return out ? std::optional(std::string(text_of(out->span()))) : std::nullopt;
}

TEST(KeyText, DecodesBase64AsGoDoes) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("Zg=="), "f");
  EXPECT_EQ(base64("Zm8="), "fo");
  EXPECT_EQ(base64("Zm9v"), "foo");
  EXPECT_EQ(base64("Zm9v\r\nYmFy\n"), "foobar");
  EXPECT_EQ(base64("+/+/"), "\xfb\xff\xbf");
  for (const char* wrong : {"Z", "Zg", "Zg=", "Zg===", "Z===", "Zm9vY", "Zm 9v", "Zg==Zg==", "Zm9-", "=", "Zm8=x"}) {
    EXPECT_EQ(base64(wrong), std::nullopt) << wrong;
  }
}

TEST(KeyText, DecodesHex) {
  EXPECT_EQ(text_of(decode_hex(bytes_of("00fFA9"))->span()), std::string_view("\x00\xff\xa9", 3));
  EXPECT_FALSE(decode_hex(bytes_of("0")));
  EXPECT_FALSE(decode_hex(bytes_of("0g")));
}

TEST(KeyText, ReadsFilesOfAnySizeUpToTheLimit) {
  const test::TempDir dir;
  std::ofstream(dir / "key") << std::string(100000, 'k');
  const SecretBytes text = read_key({.setting = "S", .text = {}, .path = (dir / "key").string()});
  EXPECT_EQ(text_of(text.span()), std::string(100000, 'k'));
  std::filesystem::resize_file(dir / "key", (16 << 20) + 1);
  expect_failure([&] { read_key({.setting = "S", .text = {}, .path = (dir / "key").string()}); }, Errc::config,
                 "too large for a key");
  expect_failure([&] { read_key({.setting = "S", .text = {}, .path = (dir / "none").string()}); }, Errc::config,
                 "the key named by S cannot be read");
}

TEST(Signs, TellPlainObjectsByTheirBeginning) {
  const auto plain = [](std::string_view head) { return seems_plain(bytes_of(head)); };
  EXPECT_EQ(plain("\x04\x22\x4d\x18\x64"), "lz4");
  EXPECT_EQ(plain("\x28\xb5\x2f\xfd"), "zstd");
  EXPECT_EQ(plain("\x89LZO"), "lzo");
  EXPECT_EQ(plain({"\x10\xd1\x07\x00", 4}), "a WAL segment");
  EXPECT_EQ(plain({"\x10\xd1\x07\x01", 4}), "");
  EXPECT_EQ(plain(std::string(257, '\0') + "ustar"), "a tar archive");
  EXPECT_EQ(plain(std::string(256, '\0') + "ustar"), "");
  EXPECT_EQ(plain("\x04\x22"), "");
  EXPECT_EQ(plain(""), "");
}

TEST(Signs, TellEncryptedObjectsByTheirBeginning) {
  const auto seems = [](std::string_view head) { return seems_encrypted(bytes_of(head)); };
  for (const char* name : {"wal-g.pgp", "gpg-zip.pgp", "rnp-ocb.pgp", "gpg-hidden.pgp", "gpg-signed-two.pgp"}) {
    EXPECT_EQ(seems(slurp(testdata(name)).substr(0, 16)), "OpenPGP") << name;
  }
  EXPECT_EQ(seems("yckms\x01"), "Yandex KMS");
  EXPECT_EQ(seems("envelope-yc-kms\x01"), "OpenPGP with a key from Yandex KMS");
  EXPECT_EQ(seems("\x04\x22\x4d\x18\x64\x70"), "");
  EXPECT_EQ(seems(""), "");
}

}  // namespace
}  // namespace seawall::crypto
