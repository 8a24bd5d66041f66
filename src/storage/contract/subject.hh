#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hh"
#include "base/error.hh"
#include "storage/contract/store_contract.hh"

namespace seawall::storage::contract {

/// The checks of each file; store_checks() joins them.
std::span<const StoreCheck> object_checks();
std::span<const StoreCheck> upload_checks();
std::span<const StoreCheck> list_checks();
std::span<const StoreCheck> thread_checks();

/// Throws the Error that says which promise is broken.
inline void expect(bool holds, std::string_view promise) {
  if (!holds) throw Error(Errc::bug, fmt::format("broken: {}", promise));
}

template <class A, class B>
void expect_equal(const A& found, const B& wanted, std::string_view promise) {
  if (!(found == wanted))
    throw Error(Errc::bug, fmt::format("broken: {}: found {}, wanted {}", promise, found, wanted));
}

inline void expect_equal(const std::vector<std::string>& found, const std::vector<std::string>& wanted,
                         std::string_view promise) {
  if (found == wanted) return;
  throw Error(Errc::bug, fmt::format("broken: {}: found [{}], wanted [{}]", promise, fmt::join(found, ", "),
                                     fmt::join(wanted, ", ")));
}

/// `action` must throw an Error of `code`.
template <class F>
void expect_error(Errc code, std::string_view promise, F&& action) {
  try {
    action();
  } catch (const Error& error) {
    if (error.code() == code) return;
    throw Error(Errc::bug, fmt::format("broken: {}: wanted {}, found {}: {}", promise, info(code).name,
                                       info(error.code()).name, error.what()));
  }
  throw Error(Errc::bug, fmt::format("broken: {}: wanted {}, found no failure", promise, info(code).name));
}

/// `bytes` of noise that differ with `seed` and nowhere repeat, aligned or not.
class Noise {
 public:
  explicit Noise(std::size_t bytes, std::uint64_t seed = 1, std::size_t misaligned_by = 0)
      : buffer_(bytes + misaligned_by), start_(misaligned_by) {
    std::uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
    for (std::byte& byte : buffer_.span()) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      byte = static_cast<std::byte>(state >> 32);
    }
  }
  Bytes bytes() const { return Bytes(buffer_.span()).subspan(start_); }
  std::string_view text() const { return text_of(bytes()); }

 private:
  AlignedBuffer buffer_;
  std::size_t start_;
};

/// Do two answers mean the same moment? Stores tell it to the second in some answers and more exactly in others, and in
/// the answer to put() perhaps not at all.
inline bool same_time(Time a, Time b) {
  using std::chrono::seconds;
  if (a == b || a == Time{} || b == Time{}) return true;
  const bool coarse = a == std::chrono::floor<seconds>(a) || b == std::chrono::floor<seconds>(b);
  return coarse && a - b < seconds(1) && b - a < seconds(1);
}

/// The store under test, with every name put below the prefix.
class Subject {
 public:
  Subject(storage::Store& under_test, std::string_view prefix) : store(under_test), prefix_(prefix) {}

  storage::Store& store;

  std::string key(std::string_view name) const { return prefix_ + std::string(name); }
  std::vector<std::string> keys(std::vector<std::string> names) const {
    for (std::string& name : names) name = key(name);
    return names;
  }
  storage::PutResult put(std::string_view name, std::string_view text, const storage::PutOptions& options = {}) {
    return store.put(key(name), bytes_of(text), options, {});
  }
  std::optional<storage::ObjectInfo> stat(std::string_view name) { return store.stat(key(name), {}); }
  /// Through small reads of an odd size.
  static std::string drain(Source& source) {
    std::string text;
    std::vector<std::byte> buffer(100003);
    while (const std::size_t n = source.read(buffer)) text += text_of(Bytes(buffer).first(n));
    return text;
  }
  std::optional<std::string> get(std::string_view name, const storage::ReadOptions& options = {}) {
    const auto source = store.try_open(key(name), options, {});
    if (!source) return std::nullopt;
    return drain(*source);
  }
  void expect_content(std::string_view name, std::string_view wanted) {
    const auto found = get(name);
    expect(found.has_value(), fmt::format("{} can be opened", name));
    expect_equal(found->size(), wanted.size(), fmt::format("size of {}", name));
    const auto differ = std::mismatch(found->begin(), found->end(), wanted.begin()).first;
    expect(differ == found->end(),
           fmt::format("{} has the bytes that were put, also at {}", name, differ - found->begin()));
  }
  /// Names and folded prefixes as they are visited; `prefix` and `start_after` are names too.
  std::vector<std::string> list(storage::ListOptions options = {}) {
    if (!options.start_after.empty()) options.start_after = key(options.start_after);
    options.prefix = key(options.prefix);
    std::vector<std::string> names;
    store.list(
        options,
        [&](const storage::ObjectInfo& object) { return names.push_back(object.key.substr(prefix_.size())), true; },
        [&](std::string_view folded) { return names.emplace_back(folded.substr(prefix_.size())), true; }, {});
    return names;
  }
  void remove(std::vector<std::string> names) {
    const auto failures = store.remove(keys(std::move(names)), {});
    if (!failures.empty()) throw Error(Errc::bug, fmt::format("{}: {}", failures[0].key, failures[0].reason));
  }

 private:
  std::string prefix_;
};

}  // namespace seawall::storage::contract
