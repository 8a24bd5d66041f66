#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hh"
#include "base/text.hh"
#include "base/time_text.hh"
#include "storage/s3/credential_chain.hh"
#include "support/temp_dir.hh"

namespace seawall::storage::s3::test {

/// A request as a service saw it.
struct Seen {
  std::string line;  ///< "POST https://sts.us-east-1.amazonaws.com/"
  std::string body;
  std::vector<http::Header> headers;

  std::string header(std::string_view name) const {
    for (const auto& header : headers) {
      if (lower(header.name) == name) return header.value;
    }
    return "";
  }
};

inline http::Answer sts_answer(std::string_view name, std::string_view expiration) {
  return {.status = 200,
          .body = fmt::format("<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
                              "<AssumeRoleResult><AssumedRoleUser><Arn>a</Arn></AssumedRoleUser><Credentials>"
                              "<AccessKeyId>{0}</AccessKeyId><SecretAccessKey>{0}-secret</SecretAccessKey>"
                              "<SessionToken>{0}-token</SessionToken><Expiration>{1}</Expiration>"
                              "</Credentials></AssumeRoleResult></AssumeRoleResponse>",
                              name, expiration)};
}
inline http::Answer sts_refusal(int status, std::string_view code, std::string_view message) {
  return {.status = status,
          .body = fmt::format("<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code><Message>{}</Message></Error>"
                              "<RequestId>1</RequestId></ErrorResponse>",
                              code, message)};
}
inline http::Answer json_answer(std::string_view name, std::string_view expiration) {
  return {.status = 200,
          .body = fmt::format(R"({{"Code":"Success","AccessKeyId":"{0}","SecretAccessKey":"{0}-secret",)"
                              R"("Token":"{0}-token","Expiration":"{1}"}})",
                              name, expiration)};
}

/// Settings, a home directory, a clock that stands still, and services that answer as `answer` says.
class Services : public testing::Test {
 protected:
  Services() { settings_["HOME"] = home_.path().string(); }

  Lookup lookup() {
    return [this](std::string_view key) -> std::optional<std::string> {
      const auto found = settings_.find(std::string(key));
      return found == settings_.end() ? std::nullopt : std::optional(found->second);
    };
  }
  Exchange exchange() {
    return [this](const http::Request& request, std::stop_token stop) {
      const Seen seen{request.method + " " + request.url, std::string(text_of(request.body)), request.headers};
      {
        std::lock_guard lock(mutex_);
        seen_.push_back(seen);
      }
      return answer_(seen, stop);
    };
  }
  CredentialChain chain(std::string region = "eu-central-1") {
    return {lookup(), std::move(region), exchange(), exchange(), clock_};
  }
  void write(const std::filesystem::path& name, std::string_view text) {
    std::filesystem::create_directories((home_ / name).parent_path());
    std::ofstream(home_ / name) << text;
  }
  /// "access/secret/token from source".
  std::string fetch() {
    const Found found = chain().fetch({});
    return fmt::format("{}/{}/{} from {}", found.credentials.access_key, found.credentials.secret_key,
                       found.credentials.session_token, found.source);
  }
  std::pair<Errc, std::string> failure() {
    try {
      return {Errc::bug, "no failure, but " + fetch()};
    } catch (const Error& error) {
      return {error.code(), error.what()};
    }
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> lines;
    for (const Seen& seen : seen_) lines.push_back(seen.line);
    return lines;
  }

  seawall::test::TempDir home_;
  std::map<std::string, std::string> settings_;
  ManualClock clock_{*parse_rfc3339("2024-05-01T12:00:00Z")};
  MemoryLog log_;
  std::mutex mutex_;
  std::vector<Seen> seen_;
  std::function<http::Answer(const Seen&, std::stop_token)> answer_ = [](const Seen& seen, std::stop_token) {
    return throw Error(Errc::timeout, seen.line + ": nobody answers"), http::Answer{};
  };
};

}  // namespace seawall::storage::s3::test
