#include "base/digest.hh"

#include <fmt/format.h>

// Only for the complete XXH3_state_t; the library is linked statically, so header and code are of one version.
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

namespace seawall {
namespace {

Digest from(XXH128_hash_t hash) noexcept { return {.high = hash.high64, .low = hash.low64}; }

}  // namespace

struct Digester::State {
  XXH3_state_t xxh;
};

std::string Digest::hex() const { return fmt::format("{:016x}{:016x}", high, low); }

Digest digest_of(Bytes data) noexcept { return from(XXH3_128bits(data.data(), data.size())); }

Digester::Digester() : state_(std::make_unique<State>()) { reset(); }
Digester::~Digester() = default;
Digester::Digester(Digester&&) noexcept = default;
Digester& Digester::operator=(Digester&&) noexcept = default;

void Digester::reset() noexcept { XXH3_128bits_reset(&state_->xxh); }

void Digester::update(Bytes data) noexcept {
  if (!data.empty()) XXH3_128bits_update(&state_->xxh, data.data(), data.size());
}

Digest Digester::value() const noexcept { return from(XXH3_128bits_digest(&state_->xxh)); }

}  // namespace seawall
