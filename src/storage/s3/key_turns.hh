#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/error.hh"

namespace seawall::storage::s3 {

/// Writers of one key take turns in it where the server cannot be told their condition. Thread-safe.
class KeyTurns {
 public:
  /// Holds the turn until its end.
  class Turn {
   public:
    /// Errc::cancelled if `stop` was requested while others had it.
    Turn(KeyTurns& turns, std::string_view key, const std::stop_token& stop) : turns_(turns), key_(key) {
      std::unique_lock lock(turns_.mutex_);
      if (!turns_.ended_.wait(lock, stop, [&] { return !turns_.taken_.contains(key_); })) {
        throw Error(Errc::cancelled, key_ + ": stopped on request while another wrote it");
      }
      turns_.taken_.insert(key_);
    }
    ~Turn() {
      {
        std::lock_guard lock(turns_.mutex_);
        turns_.taken_.erase(key_);
      }
      turns_.ended_.notify_all();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    KeyTurns& turns_;
    std::string key_;
  };

 private:
  std::mutex mutex_;
  std::condition_variable_any ended_;
  std::set<std::string, std::less<>> taken_;
};

}  // namespace seawall::storage::s3
