#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>

#include "postgres/page.hh"
#include "support/ciphers.hh"
#include "support/restore_fixture.hh"

namespace seawall::ops {
namespace {

using Random = std::mt19937_64;
using test::BackupBuilder;
using test::Cipher;

/// ./test --all tries as many places as docs/damage.md speaks of; the rest of the time is for other tests.
bool whole_sweep() { return std::getenv("SEAWALL_WHOLE_SWEEP") != nullptr; }
int places() { return whole_sweep() ? 200 : 12; }

std::string flipped(std::string bytes, Random& random) {
  const std::size_t at = random() % bytes.size();
  bytes[at] = static_cast<char>(bytes[at] ^ (1 << (random() % 8)));
  return bytes;
}

std::string cut(const std::string& bytes, Random& random) { return bytes.substr(0, random() % bytes.size()); }

/// Something of tables: repeated text, noise and zeros.
std::string content(std::size_t bytes) {
  std::string text;
  for (unsigned i = 0; text.size() < bytes; ++i) {
    text += fmt::format("row {} of account {};", i * 7919 % 5000, i % 50);
    if (i % 100 == 99) text += test::noise(3000, i) + std::string(2000, '\0');
  }
  text.resize(bytes);
  return text;
}

class Damage : public RestoreTest {
 protected:
  Damage() { one_thread(); }

  void put(const std::string& key, std::string_view bytes) { repository_.store->put(key, bytes_of(bytes), {}, {}); }
  std::string get(const std::string& name_in_archive) const {
    return pipeline::try_get(repository_, name_in_archive, {}).value_or("<absent>");
  }

  void start_empty(const codec::Codec& codec, const Cipher& cipher) {
    repository_.store = storage::make_memory_store(clock_);
    repository_.codec = &codec;
    repository_.crypter = cipher.crypter;
  }

  template <class Each>
  void for_each_encoding(Each each) {
    for (const Cipher& cipher : test::ciphers()) {
      for (const codec::Codec& codec : codec::all_codecs()) {
        if (codec.encode == nullptr) continue;
        start_empty(codec, cipher);
        SCOPED_TRACE(fmt::format("{} with {}", codec.name, cipher.name));
        each();
      }
    }
  }

  Random random_{20261121};
};

// What seawall wrote: its digests see everything.

TEST_F(Damage, OfOurPartsIsSeenByTheDigestWithEveryCodecAndCipher) {
  const std::string raw = content(60000);
  for_each_encoding([&] {
    pipeline::EncodedObjectWriter writer(repository_, "part", {}, {.key = "part", .size_hint = raw.size()}, {});
    writer.filter().write(bytes_of(raw));
    const pipeline::Stored stored = writer.commit();
    const std::string good = get(pipeline::with_suffix("part", *repository_.codec));
    for (int i = 0; i < 2 * places(); ++i) {
      const std::string bad = i % 2 == 0 ? flipped(good, random_) : cut(good, random_);
      put(stored.object.key, bad);
      StringSink out;
      const Error error = thrown_by([&] {
        pipeline::pull(repository_, *repository_.store->stat(stored.object.key, {}), *repository_.codec, out, {},
                       stored.digest);
      });
      ASSERT_EQ(error.code(), Errc::corrupt) << error.what();
      ASSERT_THAT(error.what(), AllOf(HasSubstr(stored.object.key), HasSubstr(bad.empty() ? "empty" : "digest")));
    }
  });
}

TEST_F(Damage, OfAnyObjectOfOurBackupsIsSeen) {
  for_each_encoding([&] {
    BackupBuilder::whole(std::string(name)).store(repository_, /*with_manifest=*/true);
    std::vector<storage::ObjectInfo> objects;
    repository_.store->list({.prefix = repository_.key(archive::backups_folder)},
                            [&](const storage::ObjectInfo& object) {
                              objects.push_back(object);
                              return true;
                            },
                            {});
    ASSERT_EQ(objects.size(), 7U) << "four parts, files_metadata.json, seawall.json, the sentinel";
    for (const storage::ObjectInfo& object : objects) {
      const std::string good = get(object.key);
      for (int i = 0; i < std::max(2, places() / 10); ++i) {
        std::filesystem::remove_all(target_);
        put(object.key, i % 2 == 0 ? flipped(good, random_) : cut(good, random_));
        EXPECT_THAT(refused().what(), HasSubstr(object.key));
      }
      put(object.key, good);
    }
    std::filesystem::remove_all(target_);
    restore();
    std::filesystem::remove_all(target_);
  });
}

TEST_F(Damage, OfOurPartsThatChangedPlacesIsSeen) {
  constexpr std::string_view other = "base_000000010000000000000004";
  for_each_encoding([&] {
    BackupBuilder later = BackupBuilder::whole(std::string(other));
    later.in("part_001.tar").file("/base/1/later", "of another day");
    BackupBuilder::whole(std::string(name)).store(repository_, /*with_manifest=*/true);
    later.store(repository_, /*with_manifest=*/true);
    const std::string one = pipeline::with_suffix(part("part_001.tar"), *repository_.codec);
    const std::string two = pipeline::with_suffix(part("part_002.tar"), *repository_.codec);
    const std::string theirs = pipeline::with_suffix(part("part_001.tar", other), *repository_.codec);
    for (const auto& [a, b] : {std::pair(one, two), std::pair(one, theirs)}) {
      const std::string in_a = get(a), in_b = get(b);
      put(a, in_b);
      put(b, in_a);
      EXPECT_THAT(refused().what(), testing::AnyOf(HasSubstr(a), HasSubstr(b)));
      put(a, in_a);
      put(b, in_b);
    }
    std::filesystem::remove_all(target_);
  });
}

// What WAL-G wrote has no digests: docs/damage.md says what is seen all the same.

/// What a damaged part did.
enum class Outcome { refused, page_checksum, unseen };
using Outcomes = std::set<Outcome>;

Outcomes outcomes_of(std::string_view cell) {
  Outcomes found;
  if (cell.find("refused") != std::string_view::npos) found.insert(Outcome::refused);
  if (cell.find("page checksum") != std::string_view::npos) found.insert(Outcome::page_checksum);
  if (cell.find("unseen") != std::string_view::npos) found.insert(Outcome::unseen);
  return found;
}

struct Row {
  std::string flips;
  std::string cuts;
};

/// The rows of the table, by "codec-cipher".
std::map<std::string, Row> documented() {
  std::ifstream page(SEAWALL_SOURCE "/docs/damage.md");
  std::map<std::string, Row> rows;
  for (std::string line; std::getline(page, line);) {
    std::vector<std::string> cells;
    std::istringstream words(line);
    for (std::string cell; std::getline(words, cell, '|');) cells.push_back(cell);
    if (cells.size() != 5 || cells[1] == " codec " || cells[1].starts_with("-")) continue;
    const auto word = [&](std::size_t i) { return cells[i].substr(1, cells[i].size() - 2); };
    rows[word(1) + "-" + word(2)] = {cells[3], cells[4]};
  }
  return rows;
}

class DamageOfWalG : public Damage {
 protected:
  static constexpr std::string_view relation = "base/1/1259";

  /// A backup whose part_001 is `stored`, bytes that WAL-G made of a tar with these three files.
  void backup(const std::string& stored) {
    BackupBuilder builder{std::string(name)};
    builder.directory("/").directory("/base").directory("/base/1").directory("/global");
    builder.list("/PG_VERSION").list("/base/1/1259").list("/postgresql.conf");
    builder.parts["part_002.tar"] = std::exchange(builder.parts["part_001.tar"], {});
    builder.utilities().store(repository_);
    key_ = pipeline::with_suffix(part("part_001.tar"), *repository_.codec);
    put(key_, stored);
  }

  using Files = std::map<std::string, std::string>;
  Files files() const {
    Files found;
    for (const auto file : {"PG_VERSION", "postgresql.conf", relation.data()}) found[file] = restored(file);
    return found;
  }

  /// Nothing if what is restored is the same.
  std::optional<Outcome> outcome_of(const std::string& bad, const Files& good) {
    std::filesystem::remove_all(target_);
    put(key_, bad);
    try {
      restore();
    } catch (const Error& error) {
      // A tar that ends where a file is padded may be whole: then what is missing is named.
      EXPECT_THAT(error.what(), testing::AnyOf(HasSubstr("part_001.tar"), HasSubstr("/base/1/1259")));
      return Outcome::refused;
    }
    Files have = files();
    if (have == good) return std::nullopt;
    const std::string pages = std::exchange(have[std::string(relation)], good.at(std::string(relation)));
    return have == good && bad_pages(pages) ? Outcome::page_checksum : Outcome::unseen;
  }

  static bool bad_pages(std::string_view pages) {
    constexpr std::size_t page_bytes = 8192;
    for (std::size_t at = 0; at + page_bytes <= pages.size(); at += page_bytes) {
      const auto page = bytes_of(pages.substr(at, page_bytes));
      if (postgres::check_page(page, static_cast<std::uint32_t>(at / page_bytes)) == postgres::PageState::bad)
        return true;
    }
    return false;
  }

  Outcomes sweep(const std::string& good_part, const Files& good, std::string (*harm)(std::string, Random&)) {
    Outcomes found;
    for (int i = 0; i < places(); ++i) {
      if (const auto outcome = outcome_of(harm(good_part, random_), good)) found.insert(*outcome);
    }
    return found;
  }

  std::string key_;
};

void expect_as_documented(const Outcomes& found, const std::string& cell) {
  const Outcomes claimed = outcomes_of(cell);
  for (const Outcome outcome : found) {
    EXPECT_TRUE(claimed.contains(outcome)) << "docs/damage.md does not say so: " << static_cast<int>(outcome);
  }
  if (!whole_sweep()) return;
  for (const Outcome outcome : outcomes_of(cell.substr(0, cell.find("rarely")))) {
    EXPECT_TRUE(found.contains(outcome)) << "docs/damage.md says what does not happen: " << static_cast<int>(outcome);
  }
}

TEST_F(DamageOfWalG, IsSeenAsTheTableSays) {
  std::map<std::string, Row> table = documented();
  for (const Cipher& cipher : test::ciphers()) {
    for (const codec::Codec& codec : codec::all_codecs()) {
      const std::string encoding = fmt::format("{}-{}", codec.name, cipher.name);
      const std::filesystem::path file = std::filesystem::path(SEAWALL_SOURCE "/tests/archives/encodings") / encoding;
      if (!std::filesystem::exists(file)) continue;
      SCOPED_TRACE(encoding);
      start_empty(codec, cipher);
      const std::string good_part = text_of_file(file);
      backup(good_part);
      std::filesystem::remove_all(target_);
      restore();
      const Files good = files();
      ASSERT_EQ(good.at("PG_VERSION"), "15\n");
      ASSERT_EQ(good.at(std::string(relation)).size(), 24576U);
      ASSERT_FALSE(bad_pages(good.at(std::string(relation))));
      ASSERT_TRUE(table.contains(encoding)) << "docs/damage.md has no row";
      expect_as_documented(sweep(good_part, good, flipped), table[encoding].flips);
      expect_as_documented(sweep(good_part, good, [](std::string bytes, Random& random) { return cut(bytes, random); }),
                           table[encoding].cuts);
      table.erase(encoding);
    }
  }
  EXPECT_THAT(table, IsEmpty()) << "rows that nothing proves";
}

/// Names are not part of what a cipher protects: a part of another backup with the same files takes the place.
TEST_F(DamageOfWalG, PartsOfTwoBackupsThatChangedPlacesAreNotSeen) {
  repository_.crypter = test::ciphers().at(1).crypter;
  BackupBuilder{BackupBuilder::whole(std::string(name))}.store(repository_);
  BackupBuilder other = BackupBuilder::whole("base_000000010000000000000004");
  other.parts["part_002.tar"].clear();
  other.in("part_002.tar").file("/base/1/1260", test::noise(20000, 99)).file("/base/1/empty", "");
  other.store(repository_);
  put(part("part_002.tar.lz4"), get(part("part_002.tar.lz4", other.name)));
  restore();
  EXPECT_TRUE(restored("base/1/1260") == test::noise(20000, 99));
}

TEST_F(DamageOfWalG, PartsOfOneBackupThatChangedPlacesDoNoHarm) {
  BackupBuilder::whole(std::string(name)).store(repository_);
  const std::string one = get(part("part_001.tar.lz4"));
  put(part("part_001.tar.lz4"), get(part("part_002.tar.lz4")));
  put(part("part_002.tar.lz4"), one);
  restore();
  EXPECT_TRUE(restored("base/1/1260") == test::noise(20000));
  EXPECT_EQ(restored("PG_VERSION"), "15\n");
}

}  // namespace
}  // namespace seawall::ops
