#pragma once

#include <mutex>
#include <optional>

namespace seawall::crypto {

/// A value that is made at its first use. A failure is thrown to who asked, and the next one tries again; for that
/// std::call_once is not to be trusted (libstdc++ hangs on some platforms, and under ThreadSanitizer). Thread-safe.
template <class T>
class Lazy {
 public:
  /// Valid as long as this is.
  template <class Make>
  const T& get(const Make& make) const {
    const std::lock_guard lock(mutex_);
    if (!value_) value_.emplace(make());
    return *value_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::optional<T> value_;
};

}  // namespace seawall::crypto
