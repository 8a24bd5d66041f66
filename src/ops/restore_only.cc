#include "ops/restore_only.hh"

#include <fmt/format.h>
#include <regex.h>

#include <algorithm>
#include <array>

#include "base/error.hh"
#include "base/text.hh"

namespace seawall::ops {
namespace {

/// FirstNormalObjectId: what PostgreSQL numbers from here on was made by users (access/transam.h).
constexpr std::uint32_t first_user_oid = 16384;
/// How many names are kept for "did you mean".
constexpr std::size_t most_candidates = 20000;

/// A name as a key gives it: itself, or a regular expression for all of a name.
class NamePattern {
 public:
  NamePattern(std::string_view name, std::string_view key) : text_(name) {
    std::string expression = "^";
    for (const char c : name) expression += c == '*' ? ".*" : std::string(1, c);
    expression += "$";
    if (const int failure = ::regcomp(&compiled_, expression.c_str(), REG_EXTENDED | REG_NOSUB); failure != 0) {
      std::array<char, 128> reason{};
      ::regerror(failure, &compiled_, reason.data(), reason.size());
      throw Error(Errc::usage, fmt::format("--restore-only {}: {}", key, reason.data()));
    }
  }
  ~NamePattern() { ::regfree(&compiled_); }
  NamePattern(const NamePattern&) = delete;
  NamePattern& operator=(const NamePattern&) = delete;

  bool matches(const std::string& name) const {
    // A name with a '$' or a '+' in it is meant as it stands.
    return name == text_ || ::regexec(&compiled_, name.c_str(), 0, nullptr, 0) == 0;
  }
  const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
  regex_t compiled_{};
};

std::uint32_t number_before(std::string_view name, std::string_view ends) {
  return parse_int<std::uint32_t>(name.substr(0, name.find_first_of(ends))).value_or(0);
}

}  // namespace

struct RestoreOnly::Key {
  std::string text;
  std::unique_ptr<NamePattern> database;
  std::unique_ptr<NamePattern> relation;  // null: all of them
  bool found_database = false;
  bool found = false;
  std::vector<std::string> candidates;  // names that might have been meant
};

RestoreOnly::~RestoreOnly() = default;
RestoreOnly::RestoreOnly(RestoreOnly&&) noexcept = default;
RestoreOnly& RestoreOnly::operator=(RestoreOnly&&) noexcept = default;

RestoreOnly::RestoreOnly(std::string_view list) {
  for (const std::string_view text : split(list, ',')) {
    const std::vector<std::string_view> words = split(text, '/');
    std::string relation;
    if (words.size() == 2) {
      relation = words[1].find('.') == std::string_view::npos ? fmt::format("public.{}", words[1]) : words[1];
    }
    if (words.size() == 3) relation = fmt::format("{}.{}", words[1], words[2]);
    const bool whole = std::none_of(words.begin(), words.end(), [](std::string_view word) { return word.empty(); });
    if (!whole || words.size() > 3 || std::count(relation.begin(), relation.end(), '.') > 1) {
      throw Error(Errc::usage, fmt::format("--restore-only '{}' is neither DATABASE nor DATABASE/TABLE nor "
                                           "DATABASE/SCHEMA.TABLE",
                                           text));
    }
    keys_.push_back({.text = std::string(text),
                     .database = std::make_unique<NamePattern>(words[0], text),
                     .relation = relation.empty() ? nullptr : std::make_unique<NamePattern>(relation, text),
                     .found_database = false,
                     .found = false,
                     .candidates = {}});
  }
}

void RestoreOnly::keep(std::uint32_t database, std::uint32_t file_node) {
  kept_.push_back(std::uint64_t{database} << 32 | file_node);
}

void RestoreOnly::relation(const archive::RelationEntry& relation) { pending_.push_back(relation); }

void RestoreOnly::database(std::string_view name, std::uint32_t oid) {
  databases_.push_back(oid);
  for (const archive::RelationEntry& entry : pending_) {
    if (entry.oid < first_user_oid) keep(oid, entry.file_node);
  }
  for (Key& key : keys_) {
    if (!key.database->matches(std::string(name))) {
      if (!key.found_database && key.candidates.size() < most_candidates) key.candidates.emplace_back(name);
      continue;
    }
    if (!key.found_database) key.candidates.clear();  // relations of this one are nearer to what was meant
    key.found_database = true;
    key.found = key.found || key.relation == nullptr;
    for (const archive::RelationEntry& entry : pending_) {
      if (key.relation != nullptr && !key.relation->matches(entry.name)) {
        if (!key.found && key.candidates.size() < most_candidates) key.candidates.push_back(entry.name);
        continue;
      }
      key.found = true;
      keep(oid, entry.file_node);
      for (const archive::RelationEntry& nested : entry.subtables) keep(oid, nested.file_node);
    }
  }
  pending_.clear();
}

bool RestoreOnly::seal() {
  std::sort(kept_.begin(), kept_.end());
  kept_.erase(std::unique(kept_.begin(), kept_.end()), kept_.end());
  std::sort(databases_.begin(), databases_.end());
  return !databases_.empty();
}

bool RestoreOnly::wants(std::string_view relative) const {
  if (!relative.starts_with("base/") && !relative.starts_with("pg_tblspc/")) return true;
  const std::size_t slash = relative.rfind('/');
  const std::uint32_t file_node = number_before(relative.substr(slash + 1), "._");
  const std::string_view directory = relative.substr(0, slash);
  const std::uint32_t database = number_before(directory.substr(directory.rfind('/') + 1), "");
  if (file_node == 0 || database < first_user_oid) return true;
  if (!std::binary_search(databases_.begin(), databases_.end(), database)) return true;
  return std::binary_search(kept_.begin(), kept_.end(), std::uint64_t{database} << 32 | file_node);
}

std::vector<RestoreOnly::Unmatched> RestoreOnly::unmatched() const {
  std::vector<Unmatched> found;
  for (const Key& key : keys_) {
    if (key.found) continue;
    const std::string& wanted = key.found_database ? key.relation->text() : key.database->text();
    found.push_back({key.text, nearest(wanted, key.candidates).value_or("")});
  }
  return found;
}

bool RestoreOnly::names_relations() const noexcept {
  return std::any_of(keys_.begin(), keys_.end(), [](const Key& key) { return key.relation != nullptr; });
}

}  // namespace seawall::ops
