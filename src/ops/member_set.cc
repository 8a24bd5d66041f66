#include "ops/member_set.hh"

#include <algorithm>

#include "base/digest.hh"

namespace seawall::ops {
namespace {

std::uint64_t digest_of_name(std::string_view name) { return digest_of(bytes_of(name)).low; }

}  // namespace

void MemberSet::add(std::string_view name, std::uint8_t flags) { entries_.push_back({digest_of_name(name), flags}); }

void MemberSet::seal() {
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.digest < b.digest; });
  digests_.reserve(entries_.size());
  flags_ = std::make_unique<std::atomic<std::uint8_t>[]>(entries_.size());
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    digests_.push_back(entries_[i].digest);
    flags_[i] = entries_[i].flags;
  }
  entries_ = {};
}

std::optional<std::size_t> MemberSet::index_of(std::string_view name) const noexcept {
  return index_of_digest(digest_of_name(name));
}

std::optional<std::size_t> MemberSet::index_of_digest(std::uint64_t digest) const noexcept {
  const auto at = std::lower_bound(digests_.begin(), digests_.end(), digest);
  if (at == digests_.end() || *at != digest) return std::nullopt;
  return static_cast<std::size_t>(at - digests_.begin());
}

std::optional<std::uint8_t> MemberSet::find(std::string_view name) const noexcept {
  const std::optional<std::size_t> index = index_of(name);
  if (!index) return std::nullopt;
  return flags_[*index].load();
}

void MemberSet::mark(std::string_view name, Flag flag) noexcept {
  if (const std::optional<std::size_t> index = index_of(name)) flags_[*index].fetch_or(flag);
}

bool MemberSet::settled(std::uint64_t digest, std::uint8_t flags, const MemberSet* parent,
                        std::span<const MemberSet* const> above) const noexcept {
  if ((flags & restored) != 0) return true;
  const bool asked_for = std::all_of(above.begin(), above.end(), [&](const MemberSet* set) {
    const std::optional<std::size_t> at = set->index_of_digest(digest);
    return at && (set->flags_[*at].load() & (incremented | skipped)) != 0;
  });
  if (!asked_for) return true;
  if ((flags & skipped) == 0 || parent == nullptr) return false;
  const std::optional<std::size_t> at = parent->index_of_digest(digest);
  return at && (parent->flags_[*at].load() & (restored | skipped)) != 0;
}

std::size_t MemberSet::missing(const MemberSet* parent, std::span<const MemberSet* const> above) const noexcept {
  std::size_t count = 0;
  for (std::size_t i = 0; i < digests_.size(); ++i) {
    if (!settled(digests_[i], flags_[i].load(), parent, above)) ++count;
  }
  return count;
}

bool MemberSet::is_missing(std::string_view name, const MemberSet* parent,
                           std::span<const MemberSet* const> above) const noexcept {
  const std::optional<std::size_t> index = index_of(name);
  return index && !settled(digests_[*index], flags_[*index].load(), parent, above);
}

}  // namespace seawall::ops
