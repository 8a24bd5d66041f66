#include <algorithm>
#include <cstdlib>
#include <random>

#include "support/restore_fixture.hh"

namespace seawall::ops {
namespace {

using test::BackupBuilder;

/// A file of the cluster that is simulated. Relations consist of blocks, others are replaced as a whole.
struct SimulatedFile {
  std::string content;
  bool paged = true;
  std::uint32_t mode = 0600;
  bool touched = false;  ///< since the last backup
};

/// A cluster that lives, and its backups as WAL-G would take them: what each restore must give is what it looked like
/// when the backup was taken.
class SimulatedCluster {
 public:
  explicit SimulatedCluster(std::uint32_t seed)
      : random_(seed), block_bytes_(std::size_t{1024} << (number(6) == 0 ? number(6) : 0)) {}

  std::size_t number(std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_); }
  bool chance(std::size_t one_in) { return number(one_in) == 0; }

  void live() {
    for (std::size_t changes = 1 + number(12); changes > 0; --changes) change();
  }

  /// The backup of now: a delta if there is a parent.
  BackupBuilder back_up(const std::string& name, const std::string& parent) {
    BackupBuilder backup = parent.empty() ? BackupBuilder(name).utilities() : BackupBuilder::delta(name, parent);
    for (const char* path : {"/", "/base", "/base/1", "/global"}) backup.directory(path);
    for (const std::string& database : databases_)
      backup.directory("/base/" + database, database.size() % 2 ? 0700 : 0750);
    for (auto& [path, file] : files_) {
      backup.in(fmt::format("part_{:03}.tar", 1 + number(4)));
      store(backup, path, file, parent);
      file.touched = false;
    }
    backed_up_ = files_;
    return backup;
  }

  /// What must be in the directory: relative path → content and mode.
  std::map<std::string, std::pair<std::string, std::uint32_t>> expected() const {
    std::map<std::string, std::pair<std::string, std::uint32_t>> files;
    for (const auto& [path, file] : files_) files[path.substr(1)] = {file.content, file.mode};
    return files;
  }
  std::vector<std::string> directories() const {
    std::vector<std::string> names = databases_;
    names.insert(names.begin(), "1");
    return names;
  }

 private:
  std::string page() {
    // Often zeros: a new page, which must not be mistaken for one that is still missing.
    return chance(4) ? std::string(block_bytes_, '\0')
                     : test::noise(block_bytes_, static_cast<std::uint32_t>(random_()));
  }

  std::string pick_path() {
    auto it = files_.begin();
    std::advance(it, number(files_.size()));
    return it->first;
  }

  void create() {
    if (databases_.empty() || chance(10)) databases_.push_back(fmt::format("{}", 16384 + number(3) * 7));
    std::sort(databases_.begin(), databases_.end());
    databases_.erase(std::unique(databases_.begin(), databases_.end()), databases_.end());
    // Few names, so that dropped ones come back.
    const std::string path =
        fmt::format("/base/{}/{}{}", databases_[number(databases_.size())], 16400 + number(12), chance(5) ? ".1" : "");
    SimulatedFile file;
    file.paged = !chance(4);
    file.mode = chance(6) ? 0640 : 0600;
    file.touched = true;
    if (file.paged) {
      for (std::size_t pages = number(9); pages > 0; --pages) file.content += page();
    } else {
      file.content = test::noise(number(5000), static_cast<std::uint32_t>(random_()));
    }
    files_[path] = std::move(file);
  }

  void change() {
    if (files_.size() < 3 || chance(5)) return create();
    if (chance(8)) return drop();
    SimulatedFile& file = files_[pick_path()];
    file.touched = true;
    if (!file.paged) {
      file.content = test::noise(number(5000), static_cast<std::uint32_t>(random_()));
      return;
    }
    const std::size_t pages = file.content.size() / block_bytes_;
    switch (number(4)) {
      case 0:
        for (std::size_t n = 1 + number(4); n > 0; --n) file.content += page();
        break;
      case 1:
        file.content.resize(number(pages + 1) * block_bytes_);
        break;
      case 2:
        if (pages > 0) file.content.replace(number(pages) * block_bytes_, block_bytes_, page());
        break;
      default:
        break;  // only its time changed
    }
  }

  void drop() {
    if (chance(3) && !databases_.empty()) {
      const std::string prefix = "/base/" + databases_.back() + "/";
      std::erase_if(files_, [&](const auto& entry) { return entry.first.starts_with(prefix); });
      databases_.pop_back();
      return;
    }
    files_.erase(pick_path());
  }

  void store(BackupBuilder& backup, const std::string& path, SimulatedFile& file, const std::string& parent) {
    const auto before = backed_up_.find(path);
    const bool known = !parent.empty() && before != backed_up_.end();
    if (known && !file.touched) {
      backup.skipped(path);
      return;
    }
    // Nobody sees whether a file is another one of the same name: then the increment just has all its pages.
    const bool increment = known && file.paged && before->second.paged && !file.content.empty() && !chance(6);
    if (!increment) {
      backup.file(path, file.content, file.mode);
      return;
    }
    std::uint64_t size = file.content.size();
    const std::uint64_t pages = size / block_bytes_;
    // Pages that came to be behind the size that the walk saw.
    if (pages > 1 && chance(6)) size -= (1 + number(pages - 1)) * block_bytes_;
    std::vector<std::pair<std::uint32_t, std::string>> changed;
    for (std::uint32_t block = 0; block < pages; ++block) {
      const std::string now = file.content.substr(block * block_bytes_, block_bytes_);
      if (block * block_bytes_ >= size || now != base_page(before->second.content, size, block) || chance(8)) {
        changed.emplace_back(block, now);
      }
    }
    backup.patched(path, test::increment(size, changed), file.mode);
  }

  /// What the parent's content gives for a block, once it was cut or extended to `size`: zeros behind its end.
  std::string base_page(const std::string& content, std::uint64_t size, std::uint64_t block) const {
    const std::string cut = content.substr(0, size);
    std::string page = block * block_bytes_ < cut.size() ? cut.substr(block * block_bytes_, block_bytes_) : "";
    page.resize(block_bytes_);
    return page;
  }

  std::mt19937 random_;
  const std::size_t block_bytes_;
  std::vector<std::string> databases_;
  std::map<std::string, SimulatedFile> files_;
  std::map<std::string, SimulatedFile> backed_up_;
};

class RestoreProperty : public RestoreTest {
 protected:
  using Tree = std::map<std::string, std::pair<std::string, std::uint32_t>>;

  Tree tree(const std::filesystem::path& root, std::vector<std::string>& databases) const {
    Tree files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
      const std::string path = entry.path().lexically_relative(root);
      if (entry.is_directory()) {
        if (path.starts_with("base/")) databases.push_back(path.substr(5));
        continue;
      }
      files[path] = {text_of_file(entry.path()), static_cast<std::uint32_t>(entry.status().permissions())};
    }
    std::sort(databases.begin(), databases.end());
    return files;
  }

  void expect_equal(const Tree& have, const Tree& want, const std::string& what) const {
    for (const auto& [path, file] : want) {
      const auto found = have.find(path);
      ASSERT_NE(found, have.end()) << what << ": " << path << " is absent";
      ASSERT_TRUE(found->second.first == file.first) << what << ": " << path << " differs";
      ASSERT_EQ(found->second.second, file.second) << what << ": mode of " << path;
    }
    for (const auto& [path, file] : have) ASSERT_TRUE(want.contains(path)) << what << ": " << path << " is too much";
  }

  void check(const BackupBuilder& backup, const SimulatedCluster& simulated, const std::string& what) {
    Tree want = simulated.expected();
    want["global/pg_control"] = {backup.control, 0600};
    want["backup_label"] = {backup.label, 0600};
    want["tablespace_map"] = {"", 0600};
    for (const auto& [backwards, skip] : {std::pair{false, false}, std::pair{true, false}, std::pair{true, true}}) {
      std::filesystem::remove_all(target_);
      restore({.directory = {},
               .backup = backup.name,
               .mask = {},
               .restore_spec = {},
               .restore_only = {},
               .reverse_unpack = backwards,
               .skip_redundant_tars = skip});
      std::vector<std::string> databases;
      const Tree have = tree(target_, databases);
      expect_equal(have, want, what + (skip ? ", skipping" : backwards ? ", backwards" : ", oldest first"));
      if (HasFatalFailure()) return;
      EXPECT_EQ(databases, simulated.directories()) << what;
    }
  }
};

TEST_F(RestoreProperty, AnyChainGivesTheClusterAsItWasInEitherOrder) {
  repository_.codec = codec::find_codec("none");
  const char* given = std::getenv("SEAWALL_SEED");
  const std::uint32_t first = given != nullptr ? static_cast<std::uint32_t>(std::atoi(given)) : 1;
  const std::uint32_t rounds = given != nullptr ? 1 : 12;
  for (std::uint32_t seed = first; seed < first + rounds; ++seed) {
    SimulatedCluster simulated(seed);
    std::string parent;
    const std::size_t backups = 2 + simulated.number(4);
    for (std::size_t i = 0; i < backups; ++i) {
      simulated.live();
      const std::string segment = fmt::format("{:024X}", (std::uint64_t{seed} << 16) + 2 * i);
      const std::string backup_name =
          parent.empty() ? "base_" + segment : fmt::format("base_{}_D_{}", segment, parent.substr(5, 24));
      const BackupBuilder backup = simulated.back_up(backup_name, parent);
      backup.store(repository_);
      parent = backup_name;
      check(backup, simulated, fmt::format("SEAWALL_SEED={}, backup {} of {}", seed, i + 1, backups));
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace seawall::ops
