// OpenPGP with a key ring that a key service encrypted and that lies, so encrypted, in front of every object.
#include <fmt/format.h>

#include <map>
#include <mutex>

#include "base/error.hh"
#include "crypto/crypto.hh"
#include "crypto/envelope.hh"
#include "crypto/lazy.hh"
#include "crypto/openpgp/ring.hh"
#include "crypto/plain.hh"

namespace seawall::crypto {
namespace {

constexpr std::string_view start{"envelope-yc-kms\x01"};
constexpr std::size_t largest_header = 8192;
constexpr std::size_t length_bytes = 4;

void append_length(std::string& out, std::size_t bytes) {
  const auto length = static_cast<std::uint32_t>(bytes);
  out.append(text_of(std::as_bytes(std::span(&length, 1))));
}

/// Decrypted key rings by what they are encrypted as. Thread-safe.
class Rings {
 public:
  Rings(KeyService service, const EnvelopePgpOptions& options)
      : service_(std::move(service)), setting_(options.key.setting), keep_(options.cache), clock_(*options.clock) {}

  std::shared_ptr<const openpgp::Ring> find(Bytes encrypted) {
    const std::string id(text_of(encrypted));
    const auto now = clock_.steady();
    const std::lock_guard lock(mutex_);
    const auto known = rings_.find(id);
    if (known != rings_.end() && (keep_.count() == 0 || now - known->second.since < keep_)) return known->second.ring;
    try {
      const SecretBytes text = service_.decrypt(encrypted);
      Entry entry{std::make_shared<const openpgp::Ring>(text.span(),
                                                        openpgp::RingOptions{
                                                            .setting = setting_,
                                                            .passphrase_setting = setting_,
                                                            .passphrase = {},
                                                            .now = clock_.wall(),
                                                        }),
                  now};
      return rings_.insert_or_assign(id, std::move(entry)).first->second.ring;
    } catch (Error& error) {
      // A service that is away for a while must not stop archiving.
      if (known != rings_.end()) return known->second.ring;
      throw error.during(fmt::format("OpenPGP key in {}, by {}", setting_, service_.name));
    }
  }

  const std::string& setting() const noexcept { return setting_; }

 private:
  struct Entry {
    std::shared_ptr<const openpgp::Ring> ring;  // owned by this and by the stages at work
    std::chrono::steady_clock::time_point since;
  };

  const KeyService service_;
  const std::string setting_;
  const std::chrono::nanoseconds keep_;
  Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, Entry> rings_;
};

struct Header {
  std::size_t bytes = 0;  // as far as is known
  Bytes key;
};

Header read_header(std::string_view name, std::string_view setting, Bytes so_far) {
  const std::size_t fixed = start.size() + length_bytes;
  if (so_far.size() < fixed) return {fixed, {}};
  if (!text_of(so_far).starts_with(start)) {
    refuse_plain(name, setting, so_far);
    throw Error(Errc::corrupt,
                fmt::format("{}: object is not encrypted as {} asks, or its beginning is damaged", name, setting));
  }
  const auto limited = [&](std::size_t bytes) {
    if (bytes > largest_header) throw Error(Errc::corrupt, fmt::format("{}: object has a damaged header", name));
    return bytes;
  };
  const std::size_t key_at = limited(fixed + load_le<std::uint32_t>(so_far, start.size()) + length_bytes);
  if (so_far.size() < key_at) return {key_at, {}};
  const std::size_t key_length = load_le<std::uint32_t>(so_far, key_at - length_bytes);
  const std::size_t end = limited(key_at + key_length);
  if (so_far.size() < end) return {end, {}};
  return {end, so_far.subspan(key_at, key_length)};
}

class EnvelopePgp final : public Crypter {
 public:
  EnvelopePgp(EnvelopePgpOptions options, KeyService service)
      : source_(options.key), rings_(std::make_shared<Rings>(std::move(service), options)) {}

  std::unique_ptr<Filter> encrypt(std::string_view name, Sink& next) const override {
    const Bytes key = encrypted_key();
    const auto ring = rings_->find(key);
    std::string header(start);
    const std::string ids = ring->primary_ids();
    append_length(header, ids.size());
    header += ids;
    append_length(header, key.size());
    header.append(text_of(key));
    if (header.size() > largest_header) {
      throw Error(Errc::config, fmt::format("{}: the encrypted OpenPGP key in {} has {} bytes, too many for a header",
                                            name, rings_->setting(), key.size()));
    }
    next.write(bytes_of(header));
    return ring->encrypt(next);
  }

  std::unique_ptr<Filter> decrypt(std::string_view name, Sink& next) const override {
    EnvelopeReader how{.name = std::string(name), .setting = rings_->setting(), .header_bytes = {}, .open = {}};
    how.header_bytes = [name = how.name, setting = how.setting](Bytes so_far) {
      return read_header(name, setting, so_far).bytes;
    };
    how.open = [rings = rings_, name = how.name](Bytes header, Sink& to) {
      std::shared_ptr<const openpgp::Ring> ring;
      try {
        ring = rings->find(read_header(name, rings->setting(), header).key);
      } catch (Error& error) {
        throw error.during(name);
      }
      ring->expect_secret_keys();
      return openpgp::read_message(
          {.name = name,
           .setting = rings->setting(),
           .find_session = [ring, name](const openpgp::Envelope& told) { return ring->find_session(name, told); }},
          to);
    };
    return read_envelope(std::move(how), next);
  }

  std::string_view method() const override { return "OpenPGP with a key from Yandex KMS"; }

 private:
  Bytes encrypted_key() const {
    return encrypted_
        .get([this] {
          const SecretBytes text = read_key(source_);
          auto decoded = decode_base64(trim(text.span()));
          if (!decoded || decoded->empty()) {
            throw Error(Errc::config, fmt::format("{}: the encrypted OpenPGP key is not base64", source_.setting));
          }
          return std::move(*decoded);
        })
        .span();
  }

  const KeySource source_;
  Lazy<SecretBytes> encrypted_;
  std::shared_ptr<Rings> rings_;  // owned by this and by the decrypting stages
};

}  // namespace

std::shared_ptr<const Crypter> make_envelope_pgp(EnvelopePgpOptions options, KeyService service) {
  if (options.clock == nullptr) throw Error(Errc::bug, "an envelope needs a clock");
  return std::make_shared<EnvelopePgp>(std::move(options), std::move(service));
}

}  // namespace seawall::crypto
