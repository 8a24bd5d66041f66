// A key per object, itself encrypted by a key service and stored in front of the object.
#include <fmt/format.h>

#include "base/error.hh"
#include "crypto/crypto.hh"
#include "crypto/dare.hh"
#include "crypto/envelope.hh"
#include "crypto/plain.hh"

namespace seawall::crypto {
namespace {

constexpr std::size_t key_bytes = 32;

SecretBytes decrypted(const KeyService& service, std::string_view name, Bytes encrypted) {
  SecretBytes key;
  try {
    key = service.decrypt(encrypted);
  } catch (Error& error) {
    throw error.during(fmt::format("{}: key of the object, by {}", name, service.name));
  }
  if (key.size() != key_bytes) {
    throw Error(Errc::corrupt, fmt::format("{}: {} decrypts the object's key to {} bytes, not to {}", name,
                                           service.name, key.size(), key_bytes));
  }
  return key;
}

KeyService::DataKey fresh_key(const KeyService& service, std::string_view name) {
  try {
    KeyService::DataKey key = service.new_key();
    if (key.plain.size() != key_bytes) throw Error(Errc::bug, "it gave a data key of a wrong size");
    return key;
  } catch (Error& error) {
    throw error.during(fmt::format("{}: key for the object, by {}", name, service.name));
  }
}

class AwsKms final : public Crypter {
 public:
  explicit AwsKms(KeyService service) : service_(std::make_shared<const KeyService>(std::move(service))) {}

  std::unique_ptr<Filter> encrypt(std::string_view name, Sink& next) const override {
    KeyService::DataKey key = fresh_key(*service_, name);
    if (key.encrypted.size() != blob_bytes) {
      // Nothing in the object tells the length, so neither WAL-G nor seawall could find the content again.
      throw Error(Errc::unsupported,
                  fmt::format("{}: {} encrypts a key to {} bytes; the format of the archive needs {}", name,
                              service_->name, key.encrypted.size(), blob_bytes));
    }
    next.write(bytes_of(key.encrypted));
    return seal_dare(std::move(key.plain), next);
  }

  std::unique_ptr<Filter> decrypt(std::string_view name, Sink& next) const override {
    EnvelopeReader how{.name = std::string(name),
                       .setting = "WALG_CSE_KMS_ID",
                       .header_bytes = [](Bytes) { return blob_bytes; },
                       .open = {}};
    how.open = [service = service_, name = how.name](Bytes header, Sink& to) {
      // The blob has no sign of its own; what is plain would only confuse the service.
      refuse_plain(name, "WALG_CSE_KMS_ID", header);
      return open_dare(decrypted(*service, name, header), {.name = name}, to);
    };
    return read_envelope(std::move(how), next);
  }

  std::string_view method() const override { return "AWS KMS"; }

 private:
  /// Of what AWS makes of 32 bytes; WAL-G counts on it.
  static constexpr std::size_t blob_bytes = 184;

  std::shared_ptr<const KeyService> service_;  // owned by this and by the decrypting stages
};

class YandexKms final : public Crypter {
 public:
  explicit YandexKms(KeyService service) : service_(std::make_shared<const KeyService>(std::move(service))) {}

  std::unique_ptr<Filter> encrypt(std::string_view name, Sink& next) const override {
    KeyService::DataKey key = fresh_key(*service_, name);
    if (key.encrypted.size() > largest_key) {
      throw Error(Errc::unsupported, fmt::format("{}: {} encrypts a key to {} bytes, more than {}", name,
                                                 service_->name, key.encrypted.size(), largest_key));
    }
    std::string header(start);
    header.resize(start.size() + 4);
    store_le(std::as_writable_bytes(std::span(header)), start.size(), static_cast<std::uint32_t>(key.encrypted.size()));
    next.write(bytes_of(header + key.encrypted));
    return seal_dare(std::move(key.plain), next);
  }

  std::unique_ptr<Filter> decrypt(std::string_view name, Sink& next) const override {
    EnvelopeReader how{.name = std::string(name), .setting = "YC_CSE_KMS_KEY_ID", .header_bytes = {}, .open = {}};
    how.header_bytes = [name = how.name, setting = how.setting](Bytes so_far) -> std::size_t {
      constexpr std::size_t fixed = start.size() + 4;
      if (so_far.size() < fixed) return fixed;
      if (!text_of(so_far).starts_with(start)) {
        refuse_plain(name, setting, so_far);
        throw Error(Errc::corrupt,
                    fmt::format("{}: object is not encrypted as {} asks, or its beginning is damaged", name, setting));
      }
      const std::size_t key = load_le<std::uint32_t>(so_far, start.size());
      if (key > largest_key) throw Error(Errc::corrupt, fmt::format("{}: encrypted object has a damaged header", name));
      return fixed + key;
    };
    how.open = [service = service_, name = how.name](Bytes header, Sink& to) {
      return open_dare(decrypted(*service, name, header.subspan(start.size() + 4)), {.name = name, .only_aes = true},
                       to);
    };
    return read_envelope(std::move(how), next);
  }

  std::string_view method() const override { return "Yandex KMS"; }

 private:
  static constexpr std::string_view start{"yckms\x01"};
  static constexpr std::size_t largest_key = 4096;

  std::shared_ptr<const KeyService> service_;  // owned by this and by the decrypting stages
};

}  // namespace

std::shared_ptr<const Crypter> make_aws_kms(KeyService service) { return std::make_shared<AwsKms>(std::move(service)); }

std::shared_ptr<const Crypter> make_yandex_kms(KeyService service) {
  return std::make_shared<YandexKms>(std::move(service));
}

}  // namespace seawall::crypto
