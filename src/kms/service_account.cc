#include "kms/service_account.hh"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "base/error.hh"
#include "base/text.hh"
#include "crypto/ossl.hh"
#include "storage/s3/checksums.hh"

namespace seawall::kms {
namespace {

using Bio = std::unique_ptr<BIO, crypto::ossl::Freed<BIO_free_all>>;

constexpr std::chrono::seconds life = std::chrono::hours(1);

/// Without it OpenSSL would ask the terminal for the passphrase of a protected key.
int no_passphrase(char* /*into*/, int /*size*/, int /*for_writing*/, void* /*user*/) { return -1; }

std::string base64url(Bytes data) {
  std::string text = storage::s3::base64(data);
  for (char& c : text) {
    if (c == '+') c = '-';
    if (c == '/') c = '_';
  }
  text.erase(std::min(text.find('='), text.size()));
  return text;
}

}  // namespace

struct ServiceAccount::Key {
  std::string key_id;
  std::string account_id;
  crypto::ossl::Key key;
};

ServiceAccount::ServiceAccount(const crypto::KeySource& source) : key_(std::make_unique<Key>()) {
  const auto fail = [&](std::string_view why) {
    throw Error(Errc::config, fmt::format("{}: {} is no authorized key of a service account: {}; make one with: yc iam "
                                          "key create --output FILE --service-account-name NAME",
                                          source.setting, source.path, why));
  };
  const crypto::SecretBytes file = crypto::read_key(source);
  const std::string_view text = text_of(file.span());
  auto document = nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
  if (!document.is_object()) fail("it is no JSON object");
  const auto member = [&](const char* name) -> std::string& {
    const auto found = document.find(name);
    if (found == document.end() || !found->is_string()) fail(fmt::format("it has no {}", name));
    return found->template get_ref<std::string&>();
  };
  key_->key_id = member("id");
  key_->account_id = member("service_account_id");
  std::string& pem = member("private_key");
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  key_->key.reset(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, &no_passphrase, nullptr) : nullptr);
  crypto::wipe(std::as_writable_bytes(std::span(pem)));
  ERR_clear_error();
  if (!key_->key || EVP_PKEY_base_id(key_->key.get()) != EVP_PKEY_RSA) fail("its private_key is no RSA key in PEM");
}

ServiceAccount::~ServiceAccount() = default;

const std::string& ServiceAccount::id() const noexcept { return key_->account_id; }

std::string ServiceAccount::token(std::string_view audience, Time now) const {
  const auto issued = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  const std::string header = fmt::format(R"({{"typ":"JWT","alg":"PS256","kid":{}}})", json_string(key_->key_id));
  const std::string claims = fmt::format(R"({{"iss":{},"aud":{},"iat":{},"exp":{}}})", json_string(key_->account_id),
                                         json_string(audience), issued, issued + life.count());
  const std::string text = base64url(bytes_of(header)) + "." + base64url(bytes_of(claims));
  const crypto::ossl::DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* details = nullptr;  // owned by `context`
  std::size_t length = 0;
  std::string signature;
  const auto* const data = reinterpret_cast<const unsigned char*>(text.data());
  bool good = context && EVP_DigestSignInit(context.get(), &details, EVP_sha256(), nullptr, key_->key.get()) == 1 &&
              EVP_PKEY_CTX_set_rsa_padding(details, RSA_PKCS1_PSS_PADDING) == 1 &&
              EVP_PKEY_CTX_set_rsa_pss_saltlen(details, RSA_PSS_SALTLEN_DIGEST) == 1 &&
              EVP_DigestSign(context.get(), nullptr, &length, data, text.size()) == 1;
  if (good) {
    signature.resize(length);
    good = EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length, data,
                          text.size()) == 1;
  }
  ERR_clear_error();
  if (!good) throw Error(Errc::config, fmt::format("the key of service account {} cannot sign", key_->account_id));
  signature.resize(length);
  return text + "." + base64url(bytes_of(signature));
}

}  // namespace seawall::kms
