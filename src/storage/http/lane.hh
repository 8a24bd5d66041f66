#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/bytes.hh"
#include "storage/http/libcurl.hh"

namespace seawall::storage::http {

/// Name lookups and TLS sessions that all lanes of a client share, under locks. Connections are not shared: libcurl
/// cannot do that across threads.
class SharedCaches {
 public:
  explicit SharedCaches(const Libcurl& curl);
  ~SharedCaches();
  SharedCaches(const SharedCaches&) = delete;
  SharedCaches& operator=(const SharedCaches&) = delete;
  CURLSH* handle() const noexcept { return handle_; }

 private:
  static void lock(CURL* easy, curl_lock_data data, curl_lock_access access, void* self) noexcept;
  static void unlock(CURL* easy, curl_lock_data data, void* self) noexcept;

  const Libcurl& curl_;
  std::array<std::mutex, CURL_LOCK_DATA_LAST> mutexes_;
  CURLSH* handle_;
};

/// A place for one transfer at a time: an easy handle in a multi handle of its own. The multi handle keeps the
/// connections alive between transfers, and a wait in it can be ended by another thread. One thread at a time.
class Lane {
 public:
  /// Both must outlive it.
  Lane(const Libcurl& curl, const SharedCaches& caches);

  const Libcurl& curl() const noexcept { return curl_; }
  CURL* easy() const noexcept { return easy_.get(); }
  CURLM* multi() const noexcept { return multi_.get(); }

  /// Forgets the options of the last transfer; connections and caches stay.
  void reset();
  /// What libcurl says about the last failure, or empty.
  const char* detail() const noexcept { return detail_.data(); }

  // setopt is variadic: these pass what libcurl reads. Options that this libcurl does not know are let pass.
  void set(CURLoption option, long value) const noexcept;
  void set_size(CURLoption option, curl_off_t value) const noexcept;
  void set(CURLoption option, const std::string& value) const noexcept { set(option, value.c_str()); }
  template <class T>
  void set(CURLoption option, T* value) const noexcept {
    static_cast<void>(curl_.easy_setopt(easy(), option, value));
  }
  long number(CURLINFO wanted) const noexcept;
  curl_off_t size(CURLINFO wanted) const noexcept;

  /// Bytes that arrived before anyone had asked for them; kept here so that the memory is reused.
  std::vector<std::byte>& spill() noexcept { return spill_; }

 private:
  const Libcurl& curl_;
  // The easy handle goes first, as libcurl demands.
  std::unique_ptr<CURLM, decltype(&::curl_multi_cleanup)> multi_;
  std::unique_ptr<CURL, decltype(&::curl_easy_cleanup)> easy_;
  std::array<char, CURL_ERROR_SIZE> detail_{};
  std::vector<std::byte> spill_;
};

}  // namespace seawall::storage::http
