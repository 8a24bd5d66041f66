#include "ops/lease.hh"

#include <fmt/format.h>
#include <unistd.h>

#include <array>

#include "archive/layout.hh"
#include "base/text.hh"
#include "base/time_text.hh"
#include "ops/host.hh"

namespace seawall::ops {

Lease::Lease(const pipeline::Repository& repository, std::string backup, const Run& run)
    : repository_(repository), key_(repository.key(archive::lease_object(backup))), run_(run) {
  renew();
}

Lease::~Lease() {
  try {
    // Also after a stop was requested: a lease that stays would protect garbage.
    const std::array<std::string, 1> keys{key_};
    for (const storage::RemoveFailure& failure : repository_.store->remove(keys, std::stop_token{})) {
      run_.log.warning("the lease {} stays: {}", failure.key, failure.reason);
    }
  } catch (const Error& error) {
    run_.log.warning("the lease {} stays: {}", key_, error.what());
  }
}

void Lease::renew() {
  const std::string text = fmt::format(R"({{"host":{},"pid":{},"renewed":"{}"}})", json_string(host_name()), ::getpid(),
                                       rfc3339_nano(run_.clock.wall()));
  repository_.store->put(key_, bytes_of(text), {}, run_.stop);
}

}  // namespace seawall::ops
