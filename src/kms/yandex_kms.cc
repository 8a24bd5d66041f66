#include "kms/yandex_kms.hh"

#include <fmt/format.h>

#include <memory>

#include "base/text.hh"
#include "crypto/lazy.hh"
#include "kms/answers.hh"
#include "kms/yandex_iam.hh"
#include "storage/s3/checksums.hh"
#include "storage/s3/profile_file.hh"
#include "storage/wrap/repeater.hh"

namespace seawall::kms {
namespace {

namespace http = storage::http;

constexpr std::size_t longest_answer = 64 << 10;
constexpr std::string_view public_kms = "https://kms.yandex";
constexpr std::string_view public_iam = "https://iam.api.cloud.yandex.net";

class YandexKms {
 public:
  YandexKms(crypto::KeyServices::Yandex key, const Surroundings& surroundings)
      : key_(std::move(key)),
        surroundings_(surroundings),
        repeat_({.budget = surroundings.budget}, surroundings.log, surroundings.clock) {}

  crypto::KeyService::DataKey new_key() const {
    std::string answer = ask("generateDataKey", R"({"dataKeySpec":"AES_256"})");
    TwoKeys keys = take_two(answer, "dataKeyPlaintext", "dataKeyCiphertext", "Yandex KMS: generateDataKey");
    return {std::move(keys.first), std::string(text_of(keys.second.span()))};
  }

  crypto::SecretBytes decrypt(Bytes encrypted) const {
    std::string answer = ask("decrypt", fmt::format(R"({{"ciphertext":"{}"}})", storage::s3::base64(encrypted)));
    return take_bytes(answer, "plaintext", "Yandex KMS: decrypt");
  }

 private:
  /// What is made with the first question.
  struct Live {
    std::unique_ptr<http::Client> client;
    std::string kms_url;
    std::unique_ptr<YandexTokens> tokens;
  };

  /// "https://host:port" without anything behind it.
  std::string base_url() const {
    std::string base = key_.endpoint;
    if (base.find("://") == std::string::npos) base = "https://" + base;
    while (base.ends_with('/')) base.pop_back();
    const bool url = base.starts_with("http://") || base.starts_with("https://");
    if (!url || base.find_first_of("@?# \t") != std::string::npos) {
      throw Error(Errc::config, fmt::format("'{}' is no address of the Yandex API: host:port or a URL is expected in "
                                            "SEAWALL_YC_ENDPOINT or WALG_ENVELOPE_PGP_YC_ENDPOINT",
                                            key_.endpoint));
    }
    return base;
  }

  Live connect() const {
    Live live{.client = std::make_unique<http::Client>(http::ClientOptions{}),
              .kms_url = std::string(public_kms),
              .tokens = {}};
    YandexCaller caller{
        .account = {.setting = key_.account_setting, .text = {}, .path = key_.service_account_file},
        .metadata_address = storage::s3::value_of(surroundings_.lookup, "YC_METADATA_ADDR").value_or(""),
        .iam_url = std::string(public_iam)};
    if (!key_.endpoint.empty()) {
      const std::string base = base_url();
      const http::Answer answer =
          live.client->perform({.url = base + "/endpoints"}, surroundings_.stop, longest_answer);
      const auto kms = yandex_address(answer.body, "kms-crypto");
      const auto iam = yandex_address(answer.body, "iam");
      if (answer.status >= 500)
        throw Error(Errc::network, fmt::format("{}/endpoints: the answer is {}", base, answer.status));
      if (answer.status != 200 || !kms || !iam) {
        throw Error(Errc::config,
                    fmt::format("{}/endpoints does not tell where kms-crypto and iam are (the answer is {}): "
                                "is it the address of the Yandex API?",
                                base, answer.status));
      }
      const std::string scheme = base.substr(0, base.find("://") + 3);
      live.kms_url = scheme + *kms;
      caller.iam_url = scheme + *iam;
    }
    live.tokens = std::make_unique<YandexTokens>(std::move(caller), *live.client, surroundings_.clock);
    return live;
  }

  std::string ask(std::string_view action, const std::string& body) const {
    return repeat_(action, key_.key_id, surroundings_.stop, [&] { return ask_once(action, body); });
  }

  /// Once, but for a token that turns out to have ended.
  std::string ask_once(std::string_view action, const std::string& body) const {
    const Live& live = live_.get([this] { return connect(); });
    for (bool renewed = false;; renewed = true) {
      const std::string token = live.tokens->get(surroundings_.stop);
      const http::Request request{
          .method = "POST",
          .url = fmt::format("{}/kms/v1/keys/{}:{}", live.kms_url, http::percent_encode(key_.key_id, false), action),
          .headers = {{"Content-Type", "application/json"}, {"Authorization", "Bearer " + token}},
          .body = bytes_of(body)};
      http::Answer answer = live.client->perform(request, surroundings_.stop, longest_answer);
      if (answer.status == 200) return std::move(answer.body);
      if (answer.status == 401 && !renewed) {
        live.tokens->reject(token);
        continue;
      }
      throw error_of(action, request.url, live, answer, token);
    }
  }

  Error error_of(std::string_view action, const std::string& url, const Live& live, const http::Answer& answer,
                 const std::string& token) const {
    const std::string who = live.tokens->description();
    Errc code = Errc::config;
    std::string advice = fmt::format("{} must name a key that is there and active", key_.key_setting);
    if (answer.status == 401 || answer.status == 403) {
      code = Errc::denied;
      advice =
          fmt::format("give {} the role kms.keys.encrypterDecrypter on the key that {} names", who, key_.key_setting);
    } else if (answer.status == 400 && action == "decrypt") {
      code = Errc::denied;
      advice = fmt::format("what is to be decrypted is damaged, or was encrypted with another key than {}",
                           key_.key_setting);
    } else if (answer.status == 429) {
      code = Errc::throttled;
      advice.clear();
    } else if (answer.status == 408 || answer.status >= 500) {
      code = answer.status == 408 || answer.status == 504 ? Errc::timeout : Errc::network;
      advice.clear();
    }
    return refusal(code, url, answer, "", text_member(answer.body, "message").value_or(""), advice, {token});
  }

  const crypto::KeyServices::Yandex key_;
  const Surroundings surroundings_;
  mutable storage::Repeater repeat_;
  crypto::Lazy<Live> live_;
};

}  // namespace

crypto::KeyService yandex_kms(const crypto::KeyServices::Yandex& key, const Surroundings& surroundings) {
  const auto kms = std::make_shared<const YandexKms>(key, surroundings);  // owned by both functions
  return {.name = fmt::format("Yandex KMS key {} ({})", key.key_id, key.key_setting),
          .new_key = [kms] { return kms->new_key(); },
          .decrypt = [kms](Bytes encrypted) { return kms->decrypt(encrypted); }};
}

}  // namespace seawall::kms
