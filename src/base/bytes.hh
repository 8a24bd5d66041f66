#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>

namespace seawall {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

inline Bytes bytes_of(std::string_view text) noexcept { return std::as_bytes(std::span(text.data(), text.size())); }
inline std::string_view text_of(Bytes bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Little-endian integer at `offset`; the caller has checked the size.
template <class T>
T load_le(Bytes from, std::size_t offset) noexcept {
  static_assert(std::endian::native == std::endian::little, "PostgreSQL data files are read in native order");
  T value;
  std::memcpy(&value, from.data() + offset, sizeof value);
  return value;
}

template <class T>
void store_le(MutableBytes into, std::size_t offset, T value) noexcept {
  static_assert(std::endian::native == std::endian::little);
  std::memcpy(into.data() + offset, &value, sizeof value);
}

/// Alignment that O_DIRECT accepts on every file system in use: logical block sizes are 512 or 4096.
inline constexpr std::size_t direct_io_alignment = 4096;

/// Heap memory aligned for O_DIRECT, not initialised. Movable, freed on destruction.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t bytes)
      : memory_(static_cast<std::byte*>(::operator new[](bytes, std::align_val_t{direct_io_alignment}))),
        size_(bytes) {}

  std::byte* data() const noexcept { return memory_.get(); }
  std::size_t size() const noexcept { return size_; }
  MutableBytes span() const noexcept { return {memory_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* p) const noexcept { ::operator delete[](p, std::align_val_t{direct_io_alignment}); }
  };
  std::unique_ptr<std::byte[], Free> memory_;
  std::size_t size_ = 0;
};

}  // namespace seawall
