#pragma once

#include <chrono>
#include <stop_token>

#include "base/clock.hh"
#include "base/log.hh"
#include "crypto/settings.hh"
#include "storage/s3/credentials.hh"

namespace seawall::kms {

/// What key services are asked with.
struct Surroundings {
  storage::s3::Lookup lookup;                                 ///< settings by name, for credentials and regions
  std::chrono::nanoseconds budget = std::chrono::minutes(5);  ///< of one question, repetitions included
  Clock& clock;                                               ///< outlives the services, as does `log`
  Log& log;
  std::stop_token stop;  ///< ends every question
};

/// AWS KMS and Yandex KMS. What they throw when asked: Errc::config (no region, no such key, an unreadable service
/// account), denied (credentials or permission, or encrypted with another key), and after repetitions network, timeout
/// and throttled. Nothing is asked before the first key is needed.
crypto::KeyServices key_services(Surroundings surroundings);

}  // namespace seawall::kms
