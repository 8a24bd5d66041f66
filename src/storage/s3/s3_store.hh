#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/clock.hh"
#include "base/log.hh"
#include "storage/s3/credentials.hh"
#include "storage/s3/s3_settings.hh"
#include "storage/store.hh"

namespace seawall::storage::s3 {

/// Keeps from one run to the next whether this bucket's server honours put-if-absent: a push of one object would
/// otherwise ask each time whether it is there. With it, the first object put is put a second time to find out.
/// Both may be called from any thread; what is lost is found out again.
struct PutIfAbsentCache {
  std::function<std::optional<bool>()> recall;
  std::function<void(bool honoured)> keep;
};

/// A store on what speaks the S3 API: bucket and path of WALG_S3_PREFIX. Opens nothing and reads no credentials before
/// its first request, and does not retry (wrap/retry does). `clock` and `log` must outlive it. Errc::config for a
/// prefix or settings that cannot be. What each server cannot do, and what follows, is told in docs/storage-s3.md.
std::unique_ptr<Store> make_s3_store(const S3Settings& settings, Lookup lookup, Clock& clock, Log& log,
                                     PutIfAbsentCache cache = {});

}  // namespace seawall::storage::s3
