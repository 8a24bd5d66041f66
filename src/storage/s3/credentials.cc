#include "storage/s3/credentials.hh"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include "base/error.hh"
#include "base/time_text.hh"
#include "storage/s3/credential_chain.hh"

namespace seawall::storage::s3 {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t most_answer_bytes = std::size_t{256} << 10;
constexpr nanoseconds renewal_margin = std::chrono::minutes(5);
constexpr nanoseconds shortest_pause = std::chrono::seconds(1);
constexpr nanoseconds longest_pause = std::chrono::seconds(30);
constexpr nanoseconds rejection_counts_for = std::chrono::minutes(1);

bool same(const Credentials& a, const Credentials& b) {
  return a.access_key == b.access_key && a.secret_key == b.secret_key && a.session_token == b.session_token;
}

/// Keeps what the chain found and asks again in time. The lock is never held while a source is asked: others go on with
/// what is at hand, or wait for the one that asks.
class RenewingCredentials final : public CredentialProvider {
 public:
  RenewingCredentials(CredentialChain chain, Clock& clock, Log& log)
      : chain_(std::move(chain)), clock_(clock), log_(log) {}

  Credentials get(std::stop_token stop) override {
    std::unique_lock lock(mutex_);
    for (;;) {
      const Time now = clock_.wall();
      if (usable(now) && (!due(now) || renewing_ || now < next_attempt_)) return found_->credentials;
      if (!renewing_) {
        renew(lock, stop);
        return found_->credentials;
      }
      const std::uint64_t seen = attempts_;
      if (!changed_.wait(lock, stop, [&] { return attempts_ != seen; })) {
        throw Error(Errc::cancelled, "stopped on request while waiting for credentials");
      }
      if (failure_ && !usable(clock_.wall())) throw Error(*failure_);
    }
  }

  bool reject(const Credentials& credentials) override {
    std::lock_guard lock(mutex_);
    if (!found_ || !same(found_->credentials, credentials)) return true;
    if (found_->fixed) return false;
    const Time now = clock_.wall();
    if (rejected_before_ && same(*rejected_before_, credentials) && now - rejected_at_ < rejection_counts_for) {
      // Its source was asked, and gave the same: asking for ever would hide what the server says. While the answer is
      // still out, wait for it.
      return rejected_;
    }
    rejected_ = true;
    rejected_before_ = credentials;
    rejected_at_ = now;
    return true;
  }

  std::string description() const override {
    std::lock_guard lock(mutex_);
    return found_ ? found_->source : "credentials that were not asked for yet";
  }

 private:
  bool usable(Time now) const {
    return found_ && !rejected_ && (!found_->credentials.expires || now < *found_->credentials.expires);
  }
  bool due(Time now) const {
    if (!found_->credentials.expires) return false;
    const nanoseconds life = *found_->credentials.expires - obtained_;
    return *found_->credentials.expires - now < std::min(renewal_margin, life / 4);
  }

  void renew(std::unique_lock<std::mutex>& lock, std::stop_token stop) {
    renewing_ = true;
    lock.unlock();
    std::optional<Found> found;
    std::optional<Error> failure;
    std::exception_ptr other;
    try {
      found = chain_.fetch(stop);
    } catch (const Error& error) {
      failure = error;
    } catch (...) {
      other = std::current_exception();
    }
    lock.lock();
    renewing_ = false;
    ++attempts_;
    changed_.notify_all();
    const Time now = clock_.wall();
    if (found && found->credentials.expires && *found->credentials.expires <= now) {
      failure = Error(Errc::denied, fmt::format("{} gave credentials that ended at {}; here it is {}: check the clock",
                                                found->source, rfc3339(*found->credentials.expires), rfc3339(now)));
    }
    // A stop is for the thread that was told so, not for those that waited for it.
    failure_ = failure && failure->code() != Errc::cancelled ? failure : std::nullopt;
    if (other) std::rethrow_exception(other);
    if (!failure) return accept(std::move(*found), now);
    if (failure->code() == Errc::cancelled || !usable(now)) throw Error(*failure);
    keep_on(*failure, now);
  }
  void accept(Found found, Time now) {
    log_.debug("S3: credentials from {}{}", found.source,
               found.credentials.expires ? fmt::format(", until {}", rfc3339(*found.credentials.expires)) : "");
    found_ = std::move(found);
    obtained_ = now;
    next_attempt_ = now;
    rejected_ = false;
  }
  void keep_on(const Error& failure, Time now) {
    const nanoseconds left = *found_->credentials.expires - now;
    next_attempt_ = now + std::clamp(left / 8, shortest_pause, longest_pause);
    log_.warning("S3: the credentials end at {} and could not be renewed yet: {}",
                 rfc3339(*found_->credentials.expires), failure.what());
  }

  CredentialChain chain_;  // used by the thread that renews
  Clock& clock_;
  Log& log_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<Found> found_;
  Time obtained_{};
  Time next_attempt_{};
  std::optional<Error> failure_;  // of the last attempt
  std::uint64_t attempts_ = 0;
  bool renewing_ = false;
  bool rejected_ = false;
  std::optional<Credentials> rejected_before_;
  Time rejected_at_{};
};

/// Made when it is first used: most runs never ask it, and it must give up fast where nobody listens.
Exchange metadata_exchange() {
  // Shared by the copies of this function object alone, which std::function demands.
  auto client = std::make_shared<std::unique_ptr<http::Client>>();
  return [client](const http::Request& request, std::stop_token stop) {
    if (!*client) {
      *client = std::make_unique<http::Client>(
          http::ClientOptions{.connect_timeout = std::chrono::seconds(1), .stall_timeout = std::chrono::seconds(2)});
    }
    return (*client)->perform(request, stop, most_answer_bytes);
  };
}

}  // namespace

std::unique_ptr<CredentialProvider> make_credentials(Lookup lookup, std::string region, http::Client& client,
                                                     Clock& clock, Log& log) {
  Exchange services = [&client](const http::Request& request, std::stop_token stop) {
    return client.perform(request, stop, most_answer_bytes);
  };
  return make_credentials(
      CredentialChain(std::move(lookup), std::move(region), std::move(services), metadata_exchange(), clock), clock,
      log);
}

std::unique_ptr<CredentialProvider> make_credentials(CredentialChain chain, Clock& clock, Log& log) {
  return std::make_unique<RenewingCredentials>(std::move(chain), clock, log);
}

std::optional<std::string> configured_region(const Lookup& lookup) {
  if (auto region = value_of(lookup, "AWS_REGION")) return region;
  if (auto region = value_of(lookup, "AWS_DEFAULT_REGION")) return region;
  const ProfileFiles files(lookup);
  const Profile* profile = files.find(chosen_profile(lookup).value_or("default"));
  const Profile::Value* region = profile == nullptr ? nullptr : profile->find("region");
  return region == nullptr ? std::nullopt : std::optional(region->text);
}

}  // namespace seawall::storage::s3
