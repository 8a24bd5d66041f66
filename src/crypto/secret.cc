#include "crypto/secret.hh"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.hh"

namespace seawall::crypto {
namespace {

std::size_t whole_pages(std::size_t bytes) noexcept {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

}  // namespace

SecretBytes::SecretBytes(std::size_t bytes) {
  if (bytes == 0) return;
  const std::size_t mapped = whole_pages(bytes);
  void* memory = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw system_error(errno, "memory for a key");
  mlock(memory, mapped);
  madvise(memory, mapped, MADV_DONTDUMP);
  data_ = static_cast<std::byte*>(memory);
  size_ = bytes;
}

SecretBytes SecretBytes::copy_of(Bytes data) {
  SecretBytes copy(data.size());
  std::copy(data.begin(), data.end(), copy.data_);
  return copy;
}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this != &other) {
    wipe();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void SecretBytes::shrink(std::size_t bytes) noexcept {
  if (bytes >= size_) return;
  if (bytes == 0) return wipe();
  // A page that is no longer counted would not be unmapped.
  const std::size_t before = whole_pages(size_);
  const std::size_t after = whole_pages(bytes);
  explicit_bzero(data_ + bytes, size_ - bytes);
  if (after < before) munmap(data_ + after, before - after);
  size_ = bytes;
}

void SecretBytes::wipe() noexcept {
  if (data_ == nullptr) return;
  explicit_bzero(data_, size_);
  munmap(data_, whole_pages(size_));
  data_ = nullptr;
  size_ = 0;
}

void wipe(MutableBytes memory) noexcept {
  if (!memory.empty()) explicit_bzero(memory.data(), memory.size());
}

bool equal_secretly(Bytes a, Bytes b) noexcept {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= std::to_integer<unsigned>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace seawall::crypto
