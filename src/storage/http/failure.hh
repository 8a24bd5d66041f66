#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.hh"
#include "storage/http/http.hh"
#include "storage/http/lane.hh"

namespace seawall::storage::http {

/// "host:port" of an absolute URL, for messages: without user, path and query. Errc::config unless it is http or https
/// and names a host.
std::string peer_of(std::string_view url);
/// Is it this machine, by name or address?
bool is_loopback(std::string_view peer);

/// The Error for a transfer on `lane` that libcurl ended with `code`, before the lane is used for anything else.
/// `received` is the size of the answer's body so far.
Error failure_of(CURLcode code, const Lane& lane, std::string_view peer, const ClientOptions& options,
                 std::uint64_t received);

/// The proxy wants to know who asks: nothing that the store said.
Error proxy_refusal(std::string_view peer, long status);

/// "1.5 s"
std::string seconds_text(std::chrono::nanoseconds duration);

}  // namespace seawall::storage::http
