#include "storage/store.hh"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hh"
#include "storage/request.hh"

namespace seawall::storage {

void Store::settle(std::string_view, std::stop_token) {}

std::vector<Feature> Store::features(std::stop_token) { return {}; }

std::vector<ObjectInfo> Store::stat_each(std::span<const std::string> keys, std::stop_token stop) {
  std::vector<ObjectInfo> found;
  for (const std::string& key : keys) {
    if (auto object = stat(key, stop)) found.push_back(std::move(*object));
  }
  return found;
}

std::vector<RemoveFailure> Store::remove_versions(std::span<const ObjectVersion>, std::stop_token) {
  throw Error(Errc::unsupported, fmt::format("{} keeps no versions of objects", description()));
}

std::string_view key_fault(std::string_view key) noexcept {
  if (key.empty()) return "it is empty";
  if (key.find('\0') != std::string_view::npos) return "it holds a NUL";
  for (std::size_t start = 0; start <= key.size();) {
    const std::size_t end = std::min(key.find('/', start), key.size());
    const std::string_view component = key.substr(start, end - start);
    if (component.empty()) return "it has an empty part before or after a '/'";
    if (component == "." || component == "..") return "'.' and '..' are no names";
    start = end + 1;
  }
  return {};
}

void check_key(std::string_view key) {
  const std::string_view fault = key_fault(key);
  if (fault.empty()) return;
  throw Error(Errc::usage, fmt::format("'{}' cannot be the name of a stored object: {}", key, fault));
}

void check_stop(const std::stop_token& stop, std::string_view operation, std::string_view key) {
  if (stop.stop_requested()) throw Error(Errc::cancelled, fmt::format("{} {}: stopped on request", operation, key));
}

void check_put(const std::stop_token& stop, std::string_view operation, std::string_view key,
               const PutOptions& options) {
  check_stop(stop, operation, key);
  check_key(key);
  if (options.only_if_absent && !options.if_version.empty()) {
    throw Error(Errc::usage, fmt::format("{} {}: only_if_absent and if_version exclude each other", operation, key));
  }
}

std::uint64_t total_bytes(std::string_view key, std::span<const Part> parts) {
  std::uint64_t total = 0;
  unsigned number = 1;
  for (const Part& part : parts) {
    if (part.number != number || part.offset != total) {
      throw Error(Errc::bug, fmt::format("{}: part {} at byte {} where part {} at byte {} should follow", key,
                                         part.number, part.offset, number, total));
    }
    total += part.bytes;
    ++number;
  }
  return total;
}

void check_version(std::string_view key, const ObjectInfo* current, std::string_view version) {
  if (current == nullptr)
    throw Error(Errc::differs, fmt::format("{}: removed since version {} was seen", key, version));
  if (current->version != version) {
    throw Error(Errc::differs, fmt::format("{}: changed meanwhile: version {} was expected, {} is there", key, version,
                                           current->version));
  }
}

Extent clip(const Range& range, std::uint64_t bytes) noexcept {
  const std::uint64_t offset = std::min(range.offset, bytes);
  const std::uint64_t rest = bytes - offset;
  return {offset, range.length ? std::min(*range.length, rest) : rest};
}

}  // namespace seawall::storage
