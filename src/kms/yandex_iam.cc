#include "kms/yandex_iam.hh"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hh"
#include "base/time_text.hh"
#include "kms/answers.hh"

namespace seawall::kms {
namespace {

namespace http = storage::http;

constexpr std::size_t longest_answer = 64 << 10;
/// Tokens live up to 12 hours; Yandex advises to renew them each hour.
constexpr std::chrono::seconds longest_use = std::chrono::hours(1);
constexpr std::chrono::seconds margin = std::chrono::minutes(5);

std::chrono::seconds use_of(std::chrono::seconds life) {
  return std::clamp(life - std::min(margin, life / 4), std::chrono::seconds(0), longest_use);
}

/// Such a text would end up in a header.
void require_plain(const std::string& token, std::string_view what) {
  const bool odd = token.empty() || std::any_of(token.begin(), token.end(), [](char c) { return c <= ' ' || c > '~'; });
  if (odd) throw Error(Errc::denied, fmt::format("{}: the answer has no token", what));
}

Errc code_of(int status) {
  if (status == 429) return Errc::throttled;
  if (status == 408) return Errc::timeout;
  if (status >= 500) return Errc::network;
  return Errc::denied;
}

}  // namespace

YandexTokens::YandexTokens(YandexCaller caller, http::Client& client, Clock& clock)
    : caller_(std::move(caller)), client_(client), clock_(clock) {}

std::string YandexTokens::description() const {
  if (caller_.account.path.empty()) return "the virtual machine's service account";
  const std::lock_guard lock(mutex_);
  return fmt::format("service account {} of {}", account_ ? account_->id() : "", caller_.account.setting);
}

std::string YandexTokens::get(std::stop_token stop) {
  const std::lock_guard lock(mutex_);
  if (!token_ || clock_.steady() >= token_->renew_at) {
    token_ = caller_.account.path.empty() ? from_metadata(stop) : exchanged(stop);
  }
  return token_->text;
}

void YandexTokens::reject(const std::string& token) {
  const std::lock_guard lock(mutex_);
  if (token_ && token_->text == token) token_.reset();  // else another thread has renewed it
}

YandexTokens::Token YandexTokens::exchanged(const std::stop_token& stop) {
  if (!account_) account_ = std::make_unique<ServiceAccount>(caller_.account);
  // The audience is the name of the service, wherever it is reached.
  const Time now = clock_.wall();
  const std::string jwt = account_->token("https://iam.api.cloud.yandex.net/iam/v1/tokens", now);
  const std::string body = fmt::format(R"({{"jwt":"{}"}})", jwt);
  const http::Request request{.method = "POST",
                              .url = caller_.iam_url + "/iam/v1/tokens",
                              .headers = {{"Content-Type", "application/json"}},
                              .body = bytes_of(body)};
  const std::string what =
      fmt::format("{}: token for service account {} of {}", request.url, account_->id(), caller_.account.setting);
  const http::Answer answer = client_.perform(request, stop, longest_answer);
  if (answer.status != 200) {
    throw refusal(code_of(answer.status), what, answer, "", text_member(answer.body, "message").value_or(""),
                  "is the authorized key still valid, and this machine's clock right?", {jwt});
  }
  Token token{.text = text_member(answer.body, "iamToken").value_or(""), .renew_at = clock_.steady()};
  require_plain(token.text, what);
  const auto expires = parse_rfc3339(text_member(answer.body, "expiresAt").value_or(""));
  token.renew_at += use_of(expires ? std::chrono::floor<std::chrono::seconds>(*expires - now) : longest_use);
  return token;
}

YandexTokens::Token YandexTokens::from_metadata(const std::stop_token& stop) {
  const std::string host = caller_.metadata_address.empty() ? "169.254.169.254" : caller_.metadata_address;
  const http::Request request{
      .url = fmt::format("http://{}/computeMetadata/v1/instance/service-accounts/default/token", host),
      .headers = {{"Metadata-Flavor", "Google"}}};
  const std::string what = fmt::format("{}: token for the virtual machine's service account", request.url);
  http::Answer answer;
  try {
    // Elsewhere than on a virtual machine of Yandex's nobody answers, and that should not take long to see.
    http::Client nearby({.connect_timeout = std::chrono::seconds(2), .stall_timeout = std::chrono::seconds(5)});
    answer = nearby.perform(request, stop, longest_answer);
  } catch (const Error& error) {
    if (error.code() == Errc::cancelled) throw;
    throw Error(Errc::denied,
                fmt::format("{}: {}; {} is not set, and this seems to be no virtual machine of Yandex Cloud", what,
                            error.what(), caller_.account.setting));
  }
  if (answer.status != 200) {
    throw refusal(code_of(answer.status), what, answer, "", "",
                  fmt::format("attach a service account to the virtual machine, or set {}", caller_.account.setting),
                  {});
  }
  Token token{.text = text_member(answer.body, "access_token").value_or(""), .renew_at = clock_.steady()};
  require_plain(token.text, what);
  const double life = number_member(answer.body, "expires_in").value_or(0);
  token.renew_at += use_of(std::chrono::seconds(static_cast<std::int64_t>(std::clamp(life, 0.0, 1e6))));
  return token;
}

}  // namespace seawall::kms
