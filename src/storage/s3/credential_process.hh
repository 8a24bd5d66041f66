#pragma once

#include <chrono>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.hh"
#include "storage/s3/signer.hh"

namespace seawall::storage::s3 {

/// Runs `command` with /bin/sh and reads the credentials that it writes (JSON, Version 1). Its standard error is
/// discarded, because it may hold secrets, and neither the command nor what it wrote is ever in a message; `where`
/// stands for them: "credential_process (/root/.aws/config:7)".
/// Errc::config if it cannot be started, fails, or writes anything else; timeout after `limit`, cancelled within 100 ms
/// of `stop`: both kill it and what it started.
Credentials run_credential_process(const std::string& command, std::string_view where, Clock& clock,
                                   std::stop_token stop, std::chrono::nanoseconds limit = std::chrono::minutes(1));

}  // namespace seawall::storage::s3
