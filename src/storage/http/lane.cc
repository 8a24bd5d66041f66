#include "storage/http/lane.hh"

#include "base/error.hh"

namespace seawall::storage::http {

SharedCaches::SharedCaches(const Libcurl& curl) : curl_(curl), handle_(curl.share_init()) {
  if (handle_ == nullptr) throw Error(Errc::io, "libcurl has no memory for its caches");
  curl_.share_setopt(handle_, CURLSHOPT_USERDATA, static_cast<void*>(this));
  curl_.share_setopt(handle_, CURLSHOPT_LOCKFUNC, &SharedCaches::lock);
  curl_.share_setopt(handle_, CURLSHOPT_UNLOCKFUNC, &SharedCaches::unlock);
  curl_.share_setopt(handle_, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
  curl_.share_setopt(handle_, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
}

SharedCaches::~SharedCaches() { curl_.share_cleanup(handle_); }

void SharedCaches::lock(CURL* /*easy*/, curl_lock_data data, curl_lock_access /*access*/, void* self) noexcept {
  static_cast<SharedCaches*>(self)->mutexes_.at(data).lock();
}

void SharedCaches::unlock(CURL* /*easy*/, curl_lock_data data, void* self) noexcept {
  static_cast<SharedCaches*>(self)->mutexes_.at(data).unlock();
}

Lane::Lane(const Libcurl& curl, const SharedCaches& caches)
    : curl_(curl), multi_(curl.multi_init(), curl.multi_cleanup), easy_(curl.easy_init(), curl.easy_cleanup) {
  if (multi_ == nullptr || easy_ == nullptr) throw Error(Errc::io, "libcurl has no memory for another connection");
  set(CURLOPT_SHARE, caches.handle());
}

void Lane::reset() {
  curl_.easy_reset(easy());
  detail_[0] = '\0';
  set(CURLOPT_ERRORBUFFER, detail_.data());
  spill_.clear();
}

void Lane::set(CURLoption option, long value) const noexcept {
  static_cast<void>(curl_.easy_setopt(easy(), option, value));
}

void Lane::set_size(CURLoption option, curl_off_t value) const noexcept {
  static_cast<void>(curl_.easy_setopt(easy(), option, value));
}

long Lane::number(CURLINFO wanted) const noexcept {
  long value = 0;
  return curl_.easy_getinfo(easy(), wanted, &value) == CURLE_OK ? value : 0;
}

curl_off_t Lane::size(CURLINFO wanted) const noexcept {
  curl_off_t value = 0;
  return curl_.easy_getinfo(easy(), wanted, &value) == CURLE_OK ? value : 0;
}

}  // namespace seawall::storage::http
