#include <fmt/format.h>

#include "base/error.hh"
#include "crypto/crypto.hh"
#include "crypto/lazy.hh"
#include "crypto/openpgp/gpg.hh"
#include "crypto/openpgp/ring.hh"

namespace seawall::crypto {
namespace {

using openpgp::Ring;

/// In a setting of one line the line breaks of a key are written as a backslash and an n.
SecretBytes with_line_breaks(SecretBytes text) {
  std::size_t used = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escaped =
        i + 1 < text.size() && text.data()[i] == std::byte{'\\'} && text.data()[i + 1] == std::byte{'n'};
    text.data()[used++] = escaped ? std::byte{'\n'} : text.data()[i];
    if (escaped) ++i;
  }
  text.shrink(used);
  return text;
}

/// Asked for when a key is to be unlocked, and not by those who only encrypt.
class LazyPassphrase {
 public:
  explicit LazyPassphrase(PassphraseSource source)
      : source_(std::move(source)), setting_(passphrase_setting(source_)) {}
  LazyPassphrase(const LazyPassphrase&) = delete;
  LazyPassphrase& operator=(const LazyPassphrase&) = delete;
  ~LazyPassphrase() { wipe(std::as_writable_bytes(std::span(source_.text))); }

  Bytes bytes() const {
    return secret_.get([this] { return read_passphrase(source_); }).span();
  }
  std::string_view setting() const noexcept { return setting_; }

 private:
  PassphraseSource source_;
  const std::string_view setting_;
  Lazy<SecretBytes> secret_;
};

class OpenPgp final : public Crypter {
 public:
  explicit OpenPgp(OpenPgpOptions options)
      : options_(std::move(options)), passphrase_(std::make_shared<const LazyPassphrase>(options_.passphrase)) {
    wipe(std::as_writable_bytes(std::span(options_.passphrase.text)));
  }
  ~OpenPgp() override { wipe(std::as_writable_bytes(std::span(options_.key.text))); }

  std::unique_ptr<Filter> encrypt(std::string_view, Sink& next) const override { return ring()->encrypt(next); }

  std::unique_ptr<Filter> decrypt(std::string_view name, Sink& next) const override {
    openpgp::ReadOptions read{.name = std::string(name),
                              .setting = options_.key.setting,
                              .allow_unprotected = options_.allow_unprotected,
                              .find_session = {}};
    if (uses_gpg()) {
      read.find_session = [name = read.name, program = options_.gpg_program, setting = read.setting,
                           passphrase = passphrase_](const openpgp::Envelope& envelope) {
        try {
          return openpgp::gpg_session_key(program, envelope.packets, passphrase->bytes());
        } catch (const Error& error) {
          throw Error(error.code(), fmt::format("{}: gpg cannot decrypt the object's session key ({}): {}", name,
                                                setting, error.what()));
        }
      };
    } else {
      const std::shared_ptr<const Ring> keys = ring();
      keys->expect_secret_keys();
      read.find_session = [keys, name = read.name](const openpgp::Envelope& envelope) {
        try {
          return keys->find_session(name, envelope);
        } catch (Error& error) {  // a passphrase is needed, and missed, with the first object
          if (std::string_view(error.what()).find(name) == std::string_view::npos) error.during(name);
          throw;
        }
      };
    }
    return openpgp::read_message(std::move(read), next);
  }

  std::string_view method() const override { return "OpenPGP"; }

 private:
  bool uses_gpg() const noexcept { return !options_.gpg_key_id.empty(); }

  std::shared_ptr<const Ring> ring() const {
    return ring_.get([this] {
      const SecretBytes text = uses_gpg() ? openpgp::gpg_export(options_.gpg_program, options_.gpg_key_id)
                               : options_.key.text.empty() ? read_key(options_.key)
                                                           : with_line_breaks(read_key(options_.key));
      return std::make_shared<const Ring>(text.span(),
                                          openpgp::RingOptions{
                                              .setting = options_.key.setting,
                                              .passphrase_setting = std::string(passphrase_->setting()),
                                              .passphrase = [secret = passphrase_] { return secret->bytes(); },
                                              .now = options_.now ? std::optional<Time>(options_.now()) : std::nullopt,
                                          });
    });
  }

  OpenPgpOptions options_;
  const std::shared_ptr<const LazyPassphrase> passphrase_;  // owned by this, the ring and the decrypting stages
  Lazy<std::shared_ptr<const Ring>> ring_;                  // owned by this and by the decrypting stages
};

}  // namespace

std::shared_ptr<const Crypter> make_openpgp(OpenPgpOptions options) {
  return std::make_shared<OpenPgp>(std::move(options));
}

}  // namespace seawall::crypto
