#include "archive/permanence.hh"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "archive/detail/json.hh"
#include "archive/layout.hh"
#include "base/error.hh"
#include "base/text.hh"

namespace seawall::archive {

std::vector<std::size_t> backups_to_mark(const Catalogue& catalogue, std::string_view name, bool permanent) {
  const std::vector<Backup>& backups = catalogue.backups();
  const auto found = catalogue.find(name);
  if (!found) throw Error(Errc::not_found, fmt::format("Backup '{}' does not exist.", name));
  std::vector<std::size_t> wanted{*found};
  if (permanent) {
    catalogue.base_of(*found);
    const std::vector<std::size_t> ancestors = catalogue.ancestors(*found);
    wanted.insert(wanted.end(), ancestors.begin(), ancestors.end());
    std::reverse(wanted.begin(), wanted.end());
  } else {
    for (const std::size_t child : backups[*found].children) {
      if (!backups[child].permanent) continue;
      throw Error(Errc::usage,
                  fmt::format("{} stays permanent: {}, which stands on it, is", name, backups[child].name));
    }
  }
  std::vector<std::size_t> marked;
  for (const std::size_t backup : wanted) {
    if (!backups[backup].permanence_known) {
      throw Error(Errc::corrupt, fmt::format("{} cannot be read", metadata_object(backups[backup].name)));
    }
    if (!backups[backup].metadata) {
      throw Error(Errc::incomplete, fmt::format("{} is missing: there is nothing to mark {} in",
                                                metadata_object(backups[backup].name), backups[backup].name));
    }
    if (backups[backup].permanent != permanent) marked.push_back(backup);
  }
  return marked;
}

namespace {

struct Span {
  std::size_t start;
  std::size_t end;
};

/// Walks over the members of the outermost object of a text that is known to be JSON.
class MemberSpans {
 public:
  explicit MemberSpans(std::string_view text) : text_(text), at_(text.find('{') + 1) {}

  /// The next member: where its name stands, with quotes, and where its value does; nothing after the last.
  std::optional<std::pair<Span, Span>> next() {
    skip(" \t\r\n,");
    if (text_[at_] == '}') return std::nullopt;
    const Span name = value();
    skip(" \t\r\n:");
    return std::pair(name, value());
  }
  std::size_t at() const noexcept { return at_; }

 private:
  void skip(std::string_view characters) { at_ = text_.find_first_not_of(characters, at_); }

  Span value() {
    const std::size_t start = at_;
    int depth = 0;
    do {
      const char c = text_[at_];
      if (c == '"') {
        for (++at_; text_[at_] != '"'; ++at_) at_ += text_[at_] == '\\' ? 1U : 0U;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      ++at_;
      // A number or a word ends where something else begins.
      if (depth == 0 && (c == '"' || c == '}' || c == ']')) break;
    } while (depth > 0 || text_.find_first_of(" \t\r\n,:}]", at_) != at_);
    return {start, at_};
  }

  std::string_view text_;
  std::size_t at_;
};

}  // namespace

std::string with_permanence(std::string_view metadata_json, bool permanent, std::string_view origin) {
  parse_metadata(metadata_json, origin);
  constexpr std::string_view wanted = "is_permanent";
  const std::string_view value = permanent ? "true" : "false";
  std::string text;
  std::size_t copied = 0;
  MemberSpans members(metadata_json);
  bool found = false;
  bool any = false;
  while (const auto member = members.next()) {
    any = true;
    const auto& [name, old] = *member;
    // As Go reads it: the case of names does not matter, and the last of several wins.
    const std::string_view quoted = metadata_json.substr(name.start, name.end - name.start);
    if (lower(parse_json(quoted, Errc::corrupt, origin).text) != wanted) continue;
    found = true;
    text.append(metadata_json.substr(copied, old.start - copied)).append(value);
    copied = old.end;
  }
  if (!found) {
    text = fmt::format("{}{}\"{}\":{}", metadata_json.substr(0, members.at()), any ? "," : "", wanted, value);
    copied = members.at();
  }
  return text.append(metadata_json.substr(copied));
}

}  // namespace seawall::archive
