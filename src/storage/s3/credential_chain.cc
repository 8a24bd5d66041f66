#include "storage/s3/credential_chain.hh"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "base/error.hh"
#include "base/file.hh"
#include "base/text.hh"
#include "config/setting.hh"
#include "storage/s3/credential_process.hh"
#include "storage/s3/metadata_services.hh"

namespace seawall::storage::s3 {
namespace {

constexpr std::string_view web_token_key = "AWS_WEB_IDENTITY_TOKEN_FILE";
constexpr std::size_t longest_chain = 16;

struct Given {
  std::string_view key;
  std::string value;
};

std::optional<Given> first_of(const Lookup& lookup, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (auto value = value_of(lookup, key)) return Given{key, std::move(*value)};
  }
  return std::nullopt;
}

std::string read_token(const std::string& path) {
  const auto text = try_read_file(path, std::size_t{64} << 10);
  if (!text) throw Error(Errc::config, fmt::format("web identity token file {} does not exist", path));
  const std::string_view token = trim(*text);
  if (token.empty()) throw Error(Errc::config, fmt::format("web identity token file {} is empty", path));
  return std::string(token);
}

std::string text_of(const Profile& profile, std::string_view key) {
  const Profile::Value* value = profile.find(key);
  return value == nullptr ? std::string() : value->text;
}

/// Such a value would end up in a header, and is a slip of the clipboard rather than a key.
void require_plain(std::string_view value, std::string_view name) {
  const auto odd = [](char c) { return c <= ' ' || c > '~'; };
  if (std::any_of(value.begin(), value.end(), odd)) {
    throw Error(Errc::config, fmt::format("{} holds a blank or a character that no credential has", name));
  }
}

Role role_from(const Profile& profile) {
  Role role{.arn = text_of(profile, "role_arn"),
            .session_name = text_of(profile, "role_session_name"),
            .external_id = text_of(profile, "external_id")};
  if (const Profile::Value* value = profile.find("duration_seconds")) {
    const auto seconds = parse_int<unsigned>(value->text);
    if (!seconds || *seconds < 900 || *seconds > 43200) {
      throw Error(Errc::config, fmt::format("{}: duration_seconds must be from 900 to 43200", value->where));
    }
    role.duration = std::chrono::seconds(*seconds);
  }
  if (const Profile::Value* value = profile.find("mfa_serial")) {
    throw Error(Errc::unsupported, fmt::format("{}: mfa_serial asks for a code each time, which no program that runs "
                                               "unattended has: use a role without it",
                                               value->where));
  }
  return role;
}

std::optional<Found> keys_of(const Profile& profile) {
  const Profile::Value* access = profile.find("aws_access_key_id");
  const Profile::Value* secret = profile.find("aws_secret_access_key");
  if (access == nullptr && secret == nullptr) return std::nullopt;
  if (access == nullptr || secret == nullptr) {
    const std::string& where = (access == nullptr ? secret : access)->where;
    throw Error(Errc::config, fmt::format("{}: profile '{}' has {} but no {}", where, profile.name(),
                                          access == nullptr ? "aws_secret_access_key" : "aws_access_key_id",
                                          access == nullptr ? "aws_access_key_id" : "aws_secret_access_key"));
  }
  const Profile::Value* token = profile.find("aws_session_token");
  if (token == nullptr) token = profile.find("aws_security_token");
  for (const Profile::Value* value : {access, secret, token}) {
    if (value != nullptr) require_plain(value->text, fmt::format("{}: the value", value->where));
  }
  return Found{.credentials = {.access_key = access->text,
                               .secret_key = secret->text,
                               .session_token = token == nullptr ? "" : token->text},
               .source = profile.description()};
}

}  // namespace

CredentialChain::CredentialChain(Lookup lookup, std::string region, Exchange services, Exchange metadata, Clock& clock)
    : lookup_(std::move(lookup)),
      region_(std::move(region)),
      services_(std::move(services)),
      metadata_(std::move(metadata)),
      clock_(clock) {}

Found CredentialChain::fetch(std::stop_token stop) {
  asked_.clear();
  const auto cloud = value_of(lookup_, "S3_USE_YC_SESSION_TOKEN");
  const std::optional<bool> metadata_only = cloud ? config::parse_bool(*cloud) : false;
  if (!metadata_only) throw Error(Errc::config, "S3_USE_YC_SESSION_TOKEN must be true or false");
  Found found = base(*metadata_only, stop);
  const auto role = value_of(lookup_, "AWS_ROLE_ARN");
  // With a token file the role is the one that the token stands for, and is assumed already.
  if (*metadata_only || !role || value_of(lookup_, web_token_key)) return found;
  return assume({.arn = *role, .session_name = value_of(lookup_, "AWS_ROLE_SESSION_NAME").value_or("")}, found, stop);
}

Found CredentialChain::base(bool metadata_only, std::stop_token stop) {
  if (!metadata_only) {
    if (auto found = from_settings()) return *found;
    if (const auto file = value_of(lookup_, web_token_key)) {
      const auto role = value_of(lookup_, "AWS_ROLE_ARN");
      if (!role) throw Error(Errc::config, "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not");
      return from_web_identity(*file,
                               {.arn = *role, .session_name = value_of(lookup_, "AWS_ROLE_SESSION_NAME").value_or("")},
                               fmt::format("role {} for the web identity in {}", *role, *file), stop);
    }
    in_vain("AWS_WEB_IDENTITY_TOKEN_FILE is not set");
    if (auto found = from_profile(stop)) return *found;
  }
  if (auto found = from_container(stop)) return *found;
  if (auto found = from_instance(stop)) return *found;
  throw Error(Errc::denied,
              fmt::format("no credentials for S3: {}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or one of these",
                          fmt::join(asked_, "; ")));
}

std::optional<Found> CredentialChain::from_settings() const {
  const auto access = first_of(lookup_, {"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"});
  const auto secret = first_of(lookup_, {"AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"});
  if (!access && !secret) return std::nullopt;
  if (!access) throw Error(Errc::config, fmt::format("{} is set, but AWS_ACCESS_KEY_ID is not", secret->key));
  if (!secret) throw Error(Errc::config, fmt::format("{} is set, but AWS_SECRET_ACCESS_KEY is not", access->key));
  const auto token = first_of(lookup_, {"AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"});
  for (const auto& given : {access, secret, token}) {
    if (given) require_plain(given->value, given->key);
  }
  return Found{.credentials = {.access_key = access->value,
                               .secret_key = secret->value,
                               .session_token = token ? token->value : ""},
               .source = fmt::format("{} and {}", access->key, secret->key),
               .fixed = true};
}

Found CredentialChain::from_web_identity(const std::string& token_file, const Role& role, std::string source,
                                         std::stop_token stop) {
  return {.credentials = assume_role_with_web_identity(sts(), role, read_token(token_file), stop),
          .source = std::move(source)};
}

Found CredentialChain::assume(const Role& role, const Found& with, std::stop_token stop) {
  Credentials credentials;
  try {
    credentials = assume_role(sts(), role, with.credentials, clock_.wall(), stop);
  } catch (Error& error) {
    throw error.during(fmt::format("with credentials of {}", with.source));
  }
  return {.credentials = std::move(credentials), .source = fmt::format("role {} by {}", role.arn, with.source)};
}

std::optional<Found> CredentialChain::from_profile(std::stop_token stop) {
  const auto chosen = chosen_profile(lookup_);
  const std::string name = chosen.value_or("default");
  const ProfileFiles files(lookup_);
  const Profile* profile = files.find(name);
  if (profile == nullptr && chosen) {
    throw Error(Errc::config,
                fmt::format("there is no profile '{}', which AWS_PROFILE or AWS_DEFAULT_PROFILE names: {}", name,
                            files.description()));
  }
  auto found = profile == nullptr ? std::nullopt : resolve(files, *profile, {}, stop);
  if (!found) {
    in_vain(fmt::format("profile '{}' {}: {}", name, profile == nullptr ? "is not there" : "names no credentials",
                        files.description()));
  }
  return found;
}

std::optional<Found> CredentialChain::resolve(const ProfileFiles& files, const Profile& profile,
                                              std::vector<std::string> passed, std::stop_token stop) {
  if (std::find(passed.begin(), passed.end(), profile.name()) != passed.end() || passed.size() >= longest_chain) {
    throw Error(Errc::config, fmt::format("profiles name one another as source_profile without end: {} -> {}",
                                          fmt::join(passed, " -> "), profile.name()));
  }
  passed.push_back(profile.name());
  if (profile.find("role_arn") != nullptr) return role_of(files, profile, std::move(passed), stop);
  if (auto keys = keys_of(profile)) return keys;
  if (const Profile::Value* command = profile.find("credential_process")) {
    const std::string where = fmt::format("credential_process ({})", command->where);
    return Found{.credentials = run_credential_process(command->text, where, clock_, stop), .source = where};
  }
  for (const std::string_view key : {"sso_session", "sso_start_url"}) {
    if (const Profile::Value* value = profile.find(key)) {
      throw Error(Errc::unsupported,
                  fmt::format("{}: single sign-on is not asked by this program: let credential_process call 'aws "
                              "configure export-credentials'",
                              value->where));
    }
  }
  return std::nullopt;
}

Found CredentialChain::role_of(const ProfileFiles& files, const Profile& profile, std::vector<std::string> passed,
                               std::stop_token stop) {
  const Role role = role_from(profile);
  if (const Profile::Value* file = profile.find("web_identity_token_file")) {
    return from_web_identity(file->text, role, fmt::format("role {} by {}", role.arn, profile.description()), stop);
  }
  return assume(role, source_of_role(files, profile, std::move(passed), stop), stop);
}

Found CredentialChain::source_of_role(const ProfileFiles& files, const Profile& profile,
                                      std::vector<std::string> passed, std::stop_token stop) {
  const Profile::Value* source = profile.find("source_profile");
  const Profile::Value* named = profile.find("credential_source");
  if (source != nullptr && named != nullptr) {
    throw Error(Errc::config, fmt::format("{}: source_profile and credential_source exclude each other", named->where));
  }
  if (named != nullptr) return credential_source(*named, stop);
  if (source == nullptr || source->text == profile.name()) {
    if (auto keys = keys_of(profile)) return *keys;
    throw Error(Errc::config, fmt::format("{}: the profile has a role_arn, but neither source_profile nor "
                                          "credential_source nor keys to assume it with",
                                          profile.find("role_arn")->where));
  }
  const Profile* next = files.find(source->text);
  if (next == nullptr) {
    throw Error(Errc::config, fmt::format("{}: there is no profile '{}'", source->where, source->text));
  }
  auto found = resolve(files, *next, std::move(passed), stop);
  if (!found) {
    throw Error(Errc::config, fmt::format("{}: profile '{}' names no credentials", source->where, source->text));
  }
  return *found;
}

Found CredentialChain::credential_source(const Profile::Value& named, std::stop_token stop) {
  const std::string kind = lower(named.text);
  std::optional<Found> found;
  asked_.clear();
  if (kind == "environment") {
    found = from_settings();
    if (!found) in_vain("AWS_ACCESS_KEY_ID is not set");
  } else if (kind == "ecscontainer") {
    found = from_container(stop);
  } else if (kind == "ec2instancemetadata") {
    found = from_instance(stop);
  } else {
    throw Error(Errc::config, fmt::format("{}: credential_source must be Environment, EcsContainer or "
                                          "Ec2InstanceMetadata",
                                          named.where));
  }
  if (!found) {
    throw Error(Errc::denied,
                fmt::format("{}: credential_source {} has none: {}", named.where, named.text, fmt::join(asked_, "; ")));
  }
  return *found;
}

std::optional<Found> CredentialChain::from_container(std::stop_token stop) {
  auto credentials = container_credentials(lookup_, services_, stop);
  if (credentials)
    return Found{.credentials = std::move(*credentials), .source = "the container's credential endpoint"};
  in_vain("no AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI is set");
  return std::nullopt;
}

std::optional<Found> CredentialChain::from_instance(std::stop_token stop) {
  InstanceAnswer answer = instance_credentials(lookup_, metadata_, instance_answered_, stop);
  if (answer.credentials) {
    instance_answered_ = true;
    return Found{.credentials = std::move(*answer.credentials), .source = "EC2 instance metadata"};
  }
  in_vain(std::move(answer.why_none));
  return std::nullopt;
}

}  // namespace seawall::storage::s3
