#include "kms/aws_kms.hh"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "base/file.hh"
#include "base/text.hh"
#include "crypto/lazy.hh"
#include "kms/answers.hh"
#include "storage/s3/checksums.hh"
#include "storage/s3/profile_file.hh"
#include "storage/s3/signer.hh"
#include "storage/wrap/repeater.hh"

namespace seawall::kms {
namespace {

namespace http = storage::http;
namespace s3 = storage::s3;

constexpr std::size_t key_bytes = 32;
constexpr std::size_t longest_answer = 64 << 10;
constexpr std::string_view key_setting = "WALG_CSE_KMS_ID";

struct Row {
  std::string_view name;
  Errc code;
  std::string_view advice;  ///< {action} is filled in
};

constexpr std::string_view see_key =
    "WALG_CSE_KMS_ID and WALG_CSE_KMS_REGION must name a key that is there and enabled";
constexpr std::string_view see_keys = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile";
constexpr std::string_view see_clock = "set this machine's clock: NTP";

constexpr auto by_name = std::to_array<Row>({
    {"AccessDeniedException", Errc::denied, "allow kms:{action} on the key that WALG_CSE_KMS_ID names"},
    {"NotFoundException", Errc::config, see_key},
    {"DisabledException", Errc::config, see_key},
    {"KMSInvalidStateException", Errc::config, see_key},
    {"InvalidKeyUsageException", Errc::config, "WALG_CSE_KMS_ID must name a symmetric key for encryption"},
    {"InvalidArnException", Errc::config, see_key},
    {"ValidationException", Errc::config, see_key},
    {"InvalidCiphertextException", Errc::denied,
     "the key of the object is damaged, or was encrypted in another account or region than WALG_CSE_KMS_REGION says"},
    {"IncorrectKeyException", Errc::denied, "the object was encrypted with another key than WALG_CSE_KMS_ID"},
    {"UnrecognizedClientException", Errc::denied, see_keys},
    {"InvalidClientTokenId", Errc::denied, see_keys},
    {"InvalidSignatureException", Errc::denied, see_keys},
    {"IncompleteSignatureException", Errc::denied, see_keys},
    {"MissingAuthenticationTokenException", Errc::denied, see_keys},
    {"OptInRequired", Errc::denied, "ask AWS about the account"},
    {"ExpiredTokenException", Errc::denied, "the temporary credentials are no longer good; get new ones"},
    {"RequestExpired", Errc::config, see_clock},
    {"ThrottlingException", Errc::throttled, ""},
    {"RequestLimitExceeded", Errc::throttled, ""},
    {"LimitExceededException", Errc::throttled, ""},
    {"KeyUnavailableException", Errc::network, ""},
    {"DependencyTimeoutException", Errc::network, ""},
    {"KMSInternalException", Errc::network, ""},
    {"InternalFailure", Errc::network, ""},
    {"ServiceUnavailableException", Errc::network, ""},
});

Row row_of(std::string_view name, int status) {
  const auto* const found =
      std::find_if(by_name.begin(), by_name.end(), [&](const Row& row) { return row.name == name; });
  if (found != by_name.end()) return *found;
  if (status == 429) return {name, Errc::throttled, ""};
  if (status >= 500) return {name, Errc::network, ""};
  if (status == 401 || status == 403) return {name, Errc::denied, see_keys};
  return {name, Errc::config, "is AWS_ENDPOINT_URL_KMS or WALG_CSE_KMS_REGION right?"};
}

/// The credentials may be good, but must be asked for anew.
bool asks_for_other_credentials(std::string_view name) {
  return name == "ExpiredTokenException" || name == "UnrecognizedClientException" || name == "InvalidClientTokenId";
}

class AwsKms {
 public:
  AwsKms(std::string key_id, std::string region, const Surroundings& surroundings)
      : key_id_(std::move(key_id)),
        region_(std::move(region)),
        surroundings_(surroundings),
        repeat_({.budget = surroundings.budget}, surroundings.log, surroundings.clock) {}

  crypto::KeyService::DataKey new_key() const {
    crypto::SecretBytes plain(key_bytes);
    if (::getentropy(plain.data(), plain.size()) != 0) throw system_error(errno, "getting random bytes");
    std::string text = s3::base64(plain.span());
    std::string body = fmt::format(R"({{"KeyId":{},"Plaintext":"{}"}})", json_string(key_id_), text);
    crypto::wipe(std::as_writable_bytes(std::span(text)));
    const Wiped wiped{body};
    std::string answer = ask("Encrypt", body);
    const crypto::SecretBytes encrypted = take_bytes(answer, "CiphertextBlob", "AWS KMS: Encrypt");
    return {std::move(plain), std::string(text_of(encrypted.span()))};
  }

  crypto::SecretBytes decrypt(Bytes encrypted) const {
    // The service knows which of its keys it was; naming one would shut out objects from before WALG_CSE_KMS_ID
    // changed.
    std::string answer = ask("Decrypt", fmt::format(R"({{"CiphertextBlob":"{}"}})", s3::base64(encrypted)));
    return take_bytes(answer, "Plaintext", "AWS KMS: Decrypt");
  }

 private:
  struct Wiped {
    std::string& text;
    ~Wiped() { crypto::wipe(std::as_writable_bytes(std::span(text))); }
  };
  /// What is made with the first question.
  struct Live {
    std::string region;
    std::string url;
    std::unique_ptr<http::Client> client;
    std::unique_ptr<s3::CredentialProvider> credentials;
  };

  Live connect() const {
    Live live;
    live.region = region_.empty() ? s3::configured_region(surroundings_.lookup).value_or("") : region_;
    const bool name = std::all_of(live.region.begin(), live.region.end(),
                                  [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
    if (live.region.empty() || !name) {
      throw Error(Errc::config,
                  fmt::format("no region of AWS KMS: set WALG_CSE_KMS_REGION to that of the key {}", key_id_));
    }
    live.url = fmt::format("https://kms.{}.amazonaws.com{}/", live.region, live.region.starts_with("cn-") ? ".cn" : "");
    if (const auto given = s3::value_of(surroundings_.lookup, "AWS_ENDPOINT_URL_KMS")) {
      const bool url = given->starts_with("http://") || given->starts_with("https://");
      if (!url || given->find_first_of("@?# \t") != std::string::npos) {
        throw Error(Errc::config,
                    "AWS_ENDPOINT_URL_KMS must be a URL that begins with https:// or http://, without user or query");
      }
      live.url = *given;
      if (live.url.find('/', live.url.find("://") + 3) == std::string::npos) live.url += '/';
    }
    live.client = std::make_unique<http::Client>(
        http::ClientOptions{.ca_file = s3::value_of(surroundings_.lookup, "AWS_CA_BUNDLE").value_or("")});
    live.credentials =
        s3::make_credentials(surroundings_.lookup, live.region, *live.client, surroundings_.clock, surroundings_.log);
    return live;
  }

  std::string ask(std::string_view action, const std::string& body) const {
    return repeat_(action, key_id_, surroundings_.stop, [&] { return ask_once(action, body); });
  }

  /// Once, but for credentials that turn out to have ended.
  std::string ask_once(std::string_view action, const std::string& body) const {
    const Live& live = live_.get([this] { return connect(); });
    for (bool renewed = false;; renewed = true) {
      const s3::Credentials credentials = live.credentials->get(surroundings_.stop);
      http::Request request{.method = "POST",
                            .url = live.url,
                            .headers = {{"Content-Type", "application/x-amz-json-1.1"},
                                        {"X-Amz-Target", fmt::format("TrentService.{}", action)}},
                            .body = bytes_of(body)};
      s3::sign(request, credentials, live.region, "kms", surroundings_.clock.wall(), s3::Payload::hashed);
      http::Answer answer = live.client->perform(request, surroundings_.stop, longest_answer);
      if (answer.status == 200) return std::move(answer.body);
      const std::string name = aws_error(answer.body);
      if (!renewed && asks_for_other_credentials(name) && live.credentials->reject(credentials)) continue;
      throw error_of(action, live, answer, name, credentials);
    }
  }

  Error error_of(std::string_view action, const Live& live, const http::Answer& answer, const std::string& name,
                 const s3::Credentials& credentials) const {
    const Row row = row_of(name, answer.status);
    std::string advice(row.advice);
    if (const auto at = advice.find("{action}"); at != std::string::npos) advice.replace(at, 8, action);
    std::string message = text_member(answer.body, "message").value_or("");
    if (message.empty()) message = text_member(answer.body, "Message").value_or("");
    return refusal(row.code,
                   fmt::format("{}: {} with credentials of {}", live.url, action, live.credentials->description()),
                   answer, name, message, advice, {credentials.secret_key, credentials.session_token});
  }

  const std::string key_id_;
  const std::string region_;
  const Surroundings surroundings_;
  mutable storage::Repeater repeat_;
  crypto::Lazy<Live> live_;
};

}  // namespace

crypto::KeyService aws_kms(const std::string& key_id, const std::string& region, const Surroundings& surroundings) {
  const auto kms = std::make_shared<const AwsKms>(key_id, region, surroundings);  // owned by both functions
  return {.name = fmt::format("AWS KMS key {} ({})", key_id, key_setting),
          .new_key = [kms] { return kms->new_key(); },
          .decrypt = [kms](Bytes encrypted) { return kms->decrypt(encrypted); }};
}

}  // namespace seawall::kms
