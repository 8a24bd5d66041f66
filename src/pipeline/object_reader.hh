#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/digest.hh"
#include "pipeline/repository.hh"

namespace seawall::pipeline {

/// An object found by its name without suffix.
struct Found {
  storage::ObjectInfo object;
  const codec::Codec* codec;  ///< that its suffix names
};

/// Looks for `name` under every codec's suffix, as WAL objects are found; nothing if there is none. A suffix that
/// WAL-G writes but this build cannot read (Errc::unsupported, naming it) is not taken for absence.
std::optional<Found> find_encoded(const Repository& repository, std::string_view name, std::stop_token stop);
std::vector<Found> find_all_encoded(const Repository& repository, std::string_view name, std::stop_token stop);

/// The codec that the text after the last dot of `key` names; "tar" and no dot mean none.
/// Errc::unsupported naming the extension otherwise.
const codec::Codec& codec_of_key(std::string_view key);

/// Streams an object, decrypted if that is configured, through its decoder into `to`, digesting what was stored on the
/// way. An object of 0 bytes, one that ends early or that changed meanwhile is Errc::corrupt naming the key.
/// Errc::not_found if it is absent, Errc::config if it is encrypted though nothing says so. `expected`: the digest of
/// the stored bytes where it is known; Errc::corrupt if they have another one, whatever decoding them gave.
struct Pulled {
  std::uint64_t stored_bytes = 0;
  Digest digest;  ///< of the stored bytes
};
Pulled pull(const Repository& repository, const storage::ObjectInfo& object, const codec::Codec& codec, Sink& to,
            std::stop_token stop, std::optional<Digest> expected = std::nullopt);

/// A small object whole, not decoded; nothing if absent. Errc::corrupt beyond `limit` bytes.
std::optional<std::string> try_get(const Repository& repository, std::string_view name, std::stop_token stop,
                                   std::size_t limit = std::size_t{64} << 20);

}  // namespace seawall::pipeline
