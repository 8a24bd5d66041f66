#include "storage/http/libcurl.hh"

#include <dlfcn.h>
#include <fmt/format.h>

#include <mutex>

#include "base/error.hh"

namespace seawall::storage::http {
namespace {

template <class F>
void resolve(void* library, const char* name, F& function) {
  void* symbol = dlsym(library, name);
  if (symbol == nullptr) {
    throw Error(Errc::not_found, fmt::format("libcurl.so.4 has no function {}: libcurl 7.68 or newer is needed "
                                             "(Debian: apt install libcurl4)",
                                             name));
  }
  function = reinterpret_cast<F>(symbol);
}

void initialise(const Libcurl& curl) {
  // libcurl before 7.84 must not be initialised by two threads at once; later calls only count.
  static std::mutex initialising;
  const std::lock_guard lock(initialising);
  const CURLcode result = curl.global_init(CURL_GLOBAL_DEFAULT);
  if (result != CURLE_OK) {
    throw Error(Errc::io, fmt::format("libcurl cannot be initialised: {}", curl.easy_strerror(result)));
  }
}

}  // namespace

Libcurl load_libcurl() {
  void* library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    throw Error(Errc::not_found, fmt::format("the HTTP library cannot be loaded: {}; install it (Debian: apt install "
                                             "libcurl4)",
                                             dlerror()));
  }
  Libcurl curl{};
  resolve(library, "curl_easy_cleanup", curl.easy_cleanup);
  resolve(library, "curl_easy_getinfo", curl.easy_getinfo);
  resolve(library, "curl_easy_init", curl.easy_init);
  resolve(library, "curl_easy_pause", curl.easy_pause);
  resolve(library, "curl_easy_reset", curl.easy_reset);
  resolve(library, "curl_easy_setopt", curl.easy_setopt);
  resolve(library, "curl_easy_strerror", curl.easy_strerror);
  resolve(library, "curl_global_init", curl.global_init);
  resolve(library, "curl_multi_add_handle", curl.multi_add_handle);
  resolve(library, "curl_multi_cleanup", curl.multi_cleanup);
  resolve(library, "curl_multi_info_read", curl.multi_info_read);
  resolve(library, "curl_multi_init", curl.multi_init);
  resolve(library, "curl_multi_perform", curl.multi_perform);
  resolve(library, "curl_multi_poll", curl.multi_poll);
  resolve(library, "curl_multi_remove_handle", curl.multi_remove_handle);
  resolve(library, "curl_multi_strerror", curl.multi_strerror);
  resolve(library, "curl_multi_wakeup", curl.multi_wakeup);
  resolve(library, "curl_share_cleanup", curl.share_cleanup);
  resolve(library, "curl_share_init", curl.share_init);
  resolve(library, "curl_share_setopt", curl.share_setopt);
  resolve(library, "curl_slist_append", curl.slist_append);
  resolve(library, "curl_slist_free_all", curl.slist_free_all);
  dlclose(library);  // RTLD_NODELETE keeps it
  initialise(curl);
  return curl;
}

}  // namespace seawall::storage::http
