#pragma once

#include <memory>

#include "base/log.hh"
#include "config/sources.hh"
#include "storage/s3/credentials.hh"
#include "storage/s3/s3_settings.hh"
#include "storage/settings.hh"
#include "storage/store.hh"

namespace seawall {

/// The settings of every driver.
struct StoreSettings {
  storage::StorageSettings common;
  storage::s3::S3Settings s3;
};

/// Settings by their names, for what is no declared setting: credentials. `sources` must outlive it.
storage::s3::Lookup lookup_in(const config::Sources& sources);

/// Opens the storage that is configured, as WAL-G chooses it, with retries and, unless `unlimited`, the rate limit
/// around it. With repositories.cc, which alone calls it, the only file that knows every driver. Errc::config if no
/// storage or a broken one is configured, Errc::unsupported for one that this build has no driver for. All four must
/// outlive it.
std::shared_ptr<storage::Store> open_store(const StoreSettings& settings, const config::Sources& sources,
                                           bool unlimited, Log& log, Clock& clock);

}  // namespace seawall
