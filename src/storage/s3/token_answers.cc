#include "storage/s3/token_answers.hh"

#include <fmt/format.h>

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <pugixml.hpp>

#include "base/error.hh"
#include "base/text.hh"
#include "base/time_text.hh"

namespace seawall::storage::s3 {
namespace {

using Json = nlohmann::json;

[[noreturn]] void fail(std::string_view what, std::string_view why) {
  throw Error(Errc::config, fmt::format("{}: {}; is it the right endpoint or program?", what, why));
}

/// Empty if the member is missing, null or no string.
std::string member(const Json& object, std::initializer_list<const char*> names) {
  if (!object.is_object()) return {};
  for (const char* name : names) {
    const auto found = object.find(name);
    if (found != object.end() && found->is_string()) return found->get<std::string>();
  }
  return {};
}

Json parsed(std::string_view text) { return Json::parse(text.begin(), text.end(), nullptr, false); }

/// What goes into a header or a key must be printable, or a request could be made to say something else.
void check(std::string_view value, std::string_view name, std::string_view what) {
  for (const char c : value) {
    if (c <= ' ' || c > '~') fail(what, fmt::format("{} holds a character that no credential has", name));
  }
}

Credentials checked(Credentials credentials, std::string_view expiration, std::string_view what) {
  if (credentials.access_key.empty()) fail(what, "the answer has no AccessKeyId");
  if (credentials.secret_key.empty()) fail(what, "the answer has no SecretAccessKey");
  check(credentials.access_key, "AccessKeyId", what);
  check(credentials.secret_key, "SecretAccessKey", what);
  check(credentials.session_token, "the session token", what);
  if (!expiration.empty()) {
    credentials.expires = parse_rfc3339(expiration);
    if (!credentials.expires) fail(what, "Expiration is no time such as 2024-05-01T12:00:00Z");
  }
  return credentials;
}

std::string child_text(const pugi::xml_node& node, const char* name) {
  return std::string(trim(node.child(name).child_value()));
}

/// The first element of that name, wherever it stands: services differ in what they wrap it with.
pugi::xml_node element(const pugi::xml_document& document, std::string_view name) {
  return document.find_node([&](const pugi::xml_node& node) { return node.name() == name; });
}

}  // namespace

Credentials credentials_from_xml(std::string_view text, std::string_view what) {
  pugi::xml_document document;
  if (!document.load_buffer(text.data(), text.size())) fail(what, "the answer is no XML");
  const pugi::xml_node node = element(document, "Credentials");
  const std::string expiration = child_text(node, "Expiration");
  if (node && expiration.empty()) fail(what, "the answer has no Expiration");
  return checked({.access_key = child_text(node, "AccessKeyId"),
                  .secret_key = child_text(node, "SecretAccessKey"),
                  .session_token = child_text(node, "SessionToken")},
                 expiration, what);
}

Refusal refusal_from_xml(std::string_view text) {
  pugi::xml_document document;
  if (!document.load_buffer(text.data(), text.size())) return {};
  const pugi::xml_node node = element(document, "Error");
  return {.code = child_text(node, "Code"), .message = child_text(node, "Message")};
}

Credentials credentials_from_json(std::string_view text, std::string_view what) {
  const Json document = parsed(text);
  if (!document.is_object()) fail(what, "the answer is no JSON object");
  return checked({.access_key = member(document, {"AccessKeyId"}),
                  .secret_key = member(document, {"SecretAccessKey"}),
                  .session_token = member(document, {"Token", "SessionToken"})},
                 member(document, {"Expiration"}), what);
}

Refusal refusal_from_json(std::string_view text) {
  const Json document = parsed(text);
  Refusal refusal{.code = member(document, {"Code", "code"}), .message = member(document, {"Message", "message"})};
  if (refusal.code == "Success") refusal.code.clear();
  return refusal;
}

std::optional<int> version_from_json(std::string_view text) {
  const Json document = parsed(text);
  if (!document.is_object()) return std::nullopt;
  const auto found = document.find("Version");
  if (found == document.end() || !found->is_number_unsigned()) return std::nullopt;
  const auto number = found->get<std::uint64_t>();
  return number > 1000 ? std::nullopt : std::optional(static_cast<int>(number));
}

}  // namespace seawall::storage::s3
