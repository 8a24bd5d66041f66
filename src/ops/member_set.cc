#include "ops/member_set.hh"

#include <algorithm>

#include "base/digest.hh"

namespace seawall::ops {

MemberSet::Key MemberSet::key_of(std::string_view name) noexcept { return digest_of(bytes_of(name)).low; }

void MemberSet::add(std::string_view name, std::uint8_t flags) { entries_.push_back({key_of(name), flags}); }

void MemberSet::seal() {
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.key < b.key; });
  keys_.reserve(entries_.size());
  flags_ = std::make_unique<std::atomic<std::uint8_t>[]>(entries_.size());
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    keys_.push_back(entries_[i].key);
    flags_[i] = entries_[i].flags;
  }
  entries_ = {};
}

std::optional<std::size_t> MemberSet::index_of(Key key) const noexcept {
  const auto at = std::lower_bound(keys_.begin(), keys_.end(), key);
  if (at == keys_.end() || *at != key) return std::nullopt;
  return static_cast<std::size_t>(at - keys_.begin());
}

std::optional<std::uint8_t> MemberSet::find(Key key) const noexcept {
  const std::optional<std::size_t> index = index_of(key);
  if (!index) return std::nullopt;
  return flags_[*index].load();
}

void MemberSet::mark(std::string_view name, Flag flag) noexcept {
  if (const std::optional<std::size_t> index = index_of(key_of(name))) flags_[*index].fetch_or(flag);
}

std::size_t MemberSet::count(const std::function<bool(Key, std::uint8_t flags)>& wanted) const {
  std::size_t n = 0;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    if (wanted(keys_[i], flags_[i].load())) ++n;
  }
  return n;
}

}  // namespace seawall::ops
