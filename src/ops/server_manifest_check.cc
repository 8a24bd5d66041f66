#include "ops/server_manifest_check.hh"

#include <fmt/format.h>

#include <algorithm>

#include "archive/server_manifest.hh"
#include "base/crc32c.hh"
#include "base/error.hh"
#include "ops/member_set.hh"
#include "ops/restore_chain.hh"

namespace seawall::ops {

void ServerManifestCheck::received(std::string_view name, std::uint64_t bytes, std::uint32_t crc32c) {
  const Entry entry{MemberSet::key_of(without_root(name)), bytes, crc32c};
  const std::lock_guard lock(mutex_);
  entries_.push_back(entry);
}

void ServerManifestCheck::compare(Source& manifest, const std::string& origin, bool all_expected) {
  const auto less = [](const Entry& a, const Entry& b) { return a.key < b.key; };
  std::sort(entries_.begin(), entries_.end(), less);
  archive::read_server_manifest(manifest, origin, [&](const archive::ServerManifestFile& file) {
    const Entry wanted{MemberSet::key_of(file.path), file.bytes, file.crc32c.value_or(0)};
    // pg_control comes twice.
    const auto [first, last] = std::equal_range(entries_.begin(), entries_.end(), wanted, less);
    if (first == last && all_expected) {
      throw Error(Errc::incomplete,
                  fmt::format("the server listed {} in {}, but no part of the backup brought it", file.path, origin));
    }
    for (auto entry = first; entry != last; ++entry) {
      if (entry->bytes == file.bytes && (!file.crc32c || entry->crc32c == *file.crc32c)) continue;
      throw Error(Errc::corrupt,
                  fmt::format("{} is not as the server sent it: {} says {} bytes{}, it has {} bytes{}", file.path,
                              origin, file.bytes, file.crc32c ? fmt::format(" with CRC {:08x}", *file.crc32c) : "",
                              entry->bytes, fmt::format(" with CRC {:08x}", entry->crc32c)));
    }
  });
}

void SummingSink::begin(const archive::Member& member, std::uint64_t offset) {
  name_ = member.name;
  bytes_ = member.bytes;
  sum_ = 0;
  to_.begin(member, offset);
}

void SummingSink::body(Bytes data) {
  sum_ = crc32c(data, sum_);
  to_.body(data);
}

MutableBytes SummingSink::room(std::size_t bytes) {
  room_ = to_.room(bytes);
  return room_;
}

void SummingSink::placed(std::size_t n) {
  sum_ = crc32c(room_.first(n), sum_);
  to_.placed(n);
}

void SummingSink::end() {
  to_.end();
  check_.received(name_, bytes_, sum_);
}

}  // namespace seawall::ops
