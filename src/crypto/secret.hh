#pragma once

#include <cstddef>
#include <utility>

#include "base/bytes.hh"

namespace seawall::crypto {

/// Memory for keys and passphrases: pages of its own that are kept out of swap and of core dumps and are overwritten
/// before they are given back. Movable, not copied by accident. Locking is asked for and not insisted on: where
/// RLIMIT_MEMLOCK leaves no room, a backup that stops would be worse than a page that may be swapped.
class SecretBytes {
 public:
  SecretBytes() = default;
  /// Zeros. Errc::io if there is no memory.
  explicit SecretBytes(std::size_t bytes);
  static SecretBytes copy_of(Bytes data);
  SecretBytes(SecretBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  ~SecretBytes() { wipe(); }

  std::byte* data() noexcept { return data_; }
  const std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  MutableBytes span() noexcept { return {data_, size_}; }
  Bytes span() const noexcept { return {data_, size_}; }
  /// Overwrites what is behind `bytes` and forgets it.
  void shrink(std::size_t bytes) noexcept;

 private:
  void wipe() noexcept;

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Overwrites memory in a way that the compiler does not leave out.
void wipe(MutableBytes memory) noexcept;

/// Compares in a time that does not depend on where the difference is.
bool equal_secretly(Bytes a, Bytes b) noexcept;

}  // namespace seawall::crypto
