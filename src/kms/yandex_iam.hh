#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "kms/service_account.hh"
#include "storage/http/http.hh"

namespace seawall::kms {

/// Who asks Yandex's services.
struct YandexCaller {
  crypto::KeySource account;     ///< `path` empty: the account of the virtual machine
  std::string metadata_address;  ///< "host:port" of its metadata service; empty: 169.254.169.254
  std::string iam_url;           ///< "https://iam.api.cloud.yandex.net"
};

/// The token that requests to Yandex's services carry, renewed before it ends. Thread-safe.
class YandexTokens {
 public:
  /// `client` and `clock` must outlive it.
  YandexTokens(YandexCaller caller, storage::http::Client& client, Clock& clock);
  /// Errc::config if the key file is none, denied if IAM refuses or this is no virtual machine of Yandex's; what
  /// Client throws, network, timeout and throttled to be repeated.
  std::string get(std::stop_token stop);
  /// It was not accepted: the next get() gives another one.
  void reject(const std::string& token);
  /// For messages: "service account ajeX of YC_SERVICE_ACCOUNT_KEY_FILE".
  std::string description() const;

 private:
  struct Token {
    std::string text;
    std::chrono::steady_clock::time_point renew_at;
  };
  Token exchanged(const std::stop_token& stop);
  Token from_metadata(const std::stop_token& stop);

  const YandexCaller caller_;
  storage::http::Client& client_;
  Clock& clock_;
  mutable std::mutex mutex_;  // of what follows
  std::unique_ptr<ServiceAccount> account_;
  std::optional<Token> token_;
};

}  // namespace seawall::kms
